"""Does a network become lazy by the scale of its outputs alone, and what does laziness cost in test error?

A centred network α(f(θ) − f(θ₀)) (`lab.Scaled`) descends at η = 2c/λ_max(α²K₀) until its training error is a given
share of the first, the same for every α (`lab.at_equal_error`). The linear learner beside it does not depend on α. c is
divided by 4 while descent diverges or does not arrive; each try has ``patience`` times the linear learner's steps.

Networks: Elman networks with ReLU and with erf, both in "ntk" parametrization, and a small ReLU CNN ("cnn", stride 2,
all weights trained). erf is smooth, as the theorems ask; ReLU is not. With B frozen an erf network is bounded, so that
below some α it cannot reach the targets: such cells are not trained.

Data: "digits", and "teacher", one ReLU neuron of the first time step (`lab.tasks.single_index`, p = 32, n = 64), in
which a learner that finds the direction should generalize. Intervals are over networks and draws of the data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

from annotated_types import Le

import lab
from comparisons import kit
from lab.costs import convolution_step
from lab.errors import refuse

question = "Does scaling the outputs alone make a network lazy, and what does laziness cost in test error?"
asked_by = "R3 [Chizat, Oyallon, Bach]"
version = 3

_SLOPE = "Slope on log(α) over α ≥ 3 of the log of {}; theory for smooth networks: −1."
_QUANTITIES = {
    "gap_test": "the largest test gap |network − linearized| on the way in units of the targets, above rounding",
    "weight_motion": "‖θ_T − θ₀‖_F",
    "kernel_drift": "‖K_T − K₀‖_F/‖K₀‖_F, where a ReLU gate that flips is a jump",
    "kappa": "the criterion κ of Chizat, Oyallon, Bach 2019, section 1",
    "gate_flips": "the share of ReLU gates that changed",
}
SLOPES = kit.family("slope", template=_SLOPE, meanings=_QUANTITIES)
KAPPA = kit.Quantity("kappa", meaning="Criterion κ (`lab.measures.curvature`) at the α nearest to 1; lazy where κ ≪ 1.")
ALPHA_LAZY = kit.Quantity("alpha_lazy", meaning="The α at which the largest test gap falls through 0.1.")
REACHED = kit.Quantity("reached", meaning="Share of all runs that reached the training error.")
_ERROR = "Mean (f − y)² over the test set in units of mean y² there, at equal training error: {}."
_PLACES = {
    "rich": "at the smallest α that all seeds reached",
    "standard": "at the α nearest to 1",
    "lazy": "at the largest α that all seeds reached",
    "lazy_minus_rich": "lazy − rich, paired by seed",
    "lazy_minus_standard": "lazy − standard, paired by seed",
}
ERRORS = kit.family("test_error", template=_ERROR, meanings=_PLACES)

NETWORKS = {"relu": "ReLU RNN", "erf": "erf RNN", "cnn": "ReLU CNN"}
SIZES = kit.scaled.SIZES
ALPHAS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
TITLES = {"digits": "digits 3 and 8", "teacher": "one ReLU neuron of the first step"}
DRAWN = {
    "gap_test": "test gap |network − linearized|\nin units of the targets",
    "weight_motion": r"weight motion $\|\theta_T-\theta_0\|_F$",
    "kernel_drift": r"kernel drift $\|K_T-K_0\|_F/\|K_0\|_F$",
    "kappa": r"criterion $\kappa$",
}
HEADLINES = ("slope.gap_test.*", "test_error.standard.relu*", "test_error.lazy.relu*")
CAPTIONS = {
    "laziness": "Four measures of nonlinearity against the output scale: they fall to the right, where networks are "
    f"lazy, and theory for smooth networks is the dashed 1/α. {kit.marks.BANDS}",
    "test_error": "Test error against the output scale, at one training error: where it rises to the right, laziness "
    f"costs. {kit.marks.BANDS}",
}
COSTS = {"above": "the test error rises by {}", "below": "it falls by {}", "around": "no change is visible: {}"}
THEORY = -1.0
LAZY_FROM = 3.0  # smallest α of the fits
NOISE = 10  # times the rounding noise: smaller gaps do not count


@dataclass(frozen=True)
class Training(kit.scaled.Training):
    """Settings that all cells of a run share."""

    width: Annotated[kit.Count, kit.doc("Hidden units of the recurrent networks.")] = 64
    channels: Annotated[kit.Count, Le(22), kit.doc("Channels of both convolutions; 22 make 5,000 parameters.")] = 16
    trained: Annotated[tuple[kit.networks.Block, ...], kit.Distinct(), kit.doc("Trained matrices: W, A, B.")] = ("W",)


@dataclass(frozen=True)
class Settings(Training, kit.Settings):
    """Settings of the output-scale comparison."""

    networks: Annotated[kit.Choices[Annotated[str, kit.OneOf(*NETWORKS)]], kit.doc("Networks.")] = tuple(NETWORKS)
    data: Annotated[kit.Choices[Annotated[str, kit.OneOf(*SIZES)]], kit.doc("Data; teacher for RNNs.")] = tuple(SIZES)
    alphas: Annotated[kit.Choices[kit.Positive], kit.doc("Output scales α.")] = (*ALPHAS, 1000.0)
    seeds: Annotated[kit.SeedCount, kit.doc("Number of initializations at each α.")] = 5

    def check(self) -> None:
        """Refuse a choice without cells."""
        if self.networks == ("cnn",) and "digits" not in self.data:
            refuse("data", repr(self.data), "data with digits for networks=('cnn',)", "add digits or an RNN")


PRESETS = {
    "fast": Settings(seeds=3, alphas=(0.3, 1, 3, 10, 100), width=32, channels=6, test=100, target=0.2, patience=2),
    "default": Settings(),
    "full": Settings(seeds=10, alphas=(*ALPHAS, 300, 1e3, 3e3, 1e4), width=256, channels=22, target=0.01, patience=10),
}


@dataclass(frozen=True, kw_only=True)
class Cell(Training, kit.Cell):
    """One network at one output scale."""

    network: str
    data: str
    alpha: float
    seed: int


def cells(settings: Settings) -> list[Cell]:
    """One cell for every network on every data set it can read, every α and seed."""
    axes = {"data": settings.data, "network": settings.networks, "alpha": settings.alphas}
    every = kit.grid(Cell, settings, settings.seeds, **axes)
    return [cell for cell in every if (cell.data, cell.network) != ("teacher", "cnn")]


def cost(cell: Cell) -> kit.Cost:
    """Flops of some 300 steps at α ≥ 1, of more tries that use up their patience below, and of the kernels."""
    steps = 300 if cell.alpha >= 1 or not cell.fallbacks else 300 * (1 + cell.fallbacks) * cell.patience
    if cell.network == "cnn":
        samples, _ = SIZES[cell.data]
        return (steps * convolution_step(samples, cell.channels, 20)).holding(8.0 * 12 * cell.test * cell.channels**2)
    return kit.scaled.cost(cell.data, cell, cell.width, steps)


def measure(cell: Cell) -> kit.Measured:
    """Train one scaled network until it has learnt enough, and compare it with its linearization on the way."""
    task, net = _build(cell)
    found = kit.scaled.train(net, task, cell)
    return {**kit.pick(cell, "network", "data", "alpha", "seed"), **found.summary()}, kit.scaled.path(found)


def _build(cell: Cell) -> tuple[lab.SequenceTask, lab.Scaled]:
    """The data, and the centred network that is scaled by α, in float64 on torch's default device."""
    import torch

    task = kit.scaled.data(cell.data, cell)
    if cell.network == "cnn":
        module = lab.networks.zoo.like(task, "strided", cell.channels, seed=cell.network_seed)
        return task, lab.Scaled(lab.as_network(module.to(torch.get_default_device())), cell.alpha)
    return task, lab.Scaled(
        kit.scaled.elman(task, cell.width, cell.network, cell.trained, cell.network_seed), cell.alpha
    )


def conclude(table: kit.Table) -> kit.Conclusion:
    """Slopes in α, test errors and further numbers of every network on every data set, and a verdict."""
    numbers: kit.Numbers = {}
    for arm in (arms := _arms(table)):  # keys name networks, and end with the data unless they are the first
        reached = arm.rows[arm.rows["exit"] == "reached"]
        standard = lab.measures.interpolation.nearest_in_logs(sorted(reached["alpha"].unique()), [1.0])
        found = {key: _slope(arm.rows, name) for name, key in SLOPES.items()}
        found[KAPPA] = kit.Number.geometric(reached.loc[reached["alpha"].isin(standard), "kappa"])
        found[ALPHA_LAZY] = kit.crossing(reached, "gap_test", 0.1, "alpha")
        found[REACHED] = kit.Number.exact(len(reached) / len(arm.rows), arm.rows["seed"].nunique())
        found |= _errors(arm.rows)
        numbers |= {quantity(arm.value, arm=arm.name): number for quantity, number in found.items()}
    return kit.Conclusion(numbers, verdict(numbers, arms))


def _arms(table: kit.Table) -> list[kit.Arm]:
    """Every network on every data set."""
    return [
        replace(net, name=data.name, label=net.label + (f" on the {data.name}" if data.name else ""))
        for data in kit.split(table, "data")
        for net in kit.split(data.rows, "network", NETWORKS)
    ]


def _slope(rows: kit.Table, name: str) -> kit.Number:
    """The slope of a quantity over α ≥ 3, without gaps that are rounding noise."""
    lazy = rows[rows["alpha"] >= LAZY_FROM]
    if name == "gap_test":
        lazy = lazy.assign(gap_test=lazy[name].mask(lazy[name] < NOISE * lazy["noise"]))
    if lazy[name].notna().any():
        return kit.exponent(lazy, name, "alpha", "alphas")
    return kit.Number.none("no on/off gates" if name == "gate_flips" else "no run with α ≥ 3 arrived above the noise")


def _errors(rows: kit.Table) -> dict[kit.Quantity, kit.Number]:
    """Test errors at the smallest α that all seeds reached, at α = 1 and at the largest, and paired differences."""
    errors = kit.by_seed(rows, "test_error", "alpha").dropna(axis=1)
    alphas = sorted(errors.columns.astype(float))
    found = dict.fromkeys(ERRORS.values(), kit.Number.none("not all seeds reached the error at two different α"))
    [standard] = lab.measures.interpolation.nearest_in_logs(sorted(rows["alpha"].unique()), [1.0])
    ends = {"rich": alphas[0], "standard": standard, "lazy": alphas[-1]} if len(alphas) > 1 else {}
    for name, alpha in ends.items():
        if alpha in alphas:
            found[ERRORS[name]] = replace(kit.Number.geometric(errors[alpha]), details={"alpha": alpha})
        if alpha in alphas[:-1]:
            found[ERRORS[f"lazy_minus_{name}"]] = kit.Number.mean(errors[alphas[-1]] - errors[alpha])
    return found


def verdict(numbers: kit.Numbers, arms: list[kit.Arm]) -> str:
    """Scaling of the gap in α, the cost of laziness in test error, and the runs that never arrived."""
    slopes = {arm.label: numbers[SLOPES["gap_test"](arm.value)] for arm in arms if not arm.name}
    prices = _prices(numbers, arms)
    law, theory = partial(kit.power, of="α"), partial(kit.compare_with_theory, theory=THEORY, name="the theory")
    gaps = kit.for_each(slopes, law, theory)
    costs = kit.for_each(prices, kit.format_number, partial(kit.compare, level=0.0, below="lower", above="higher"))
    return kit.sentences(
        kit.fill("For α ≥ 3 the test gap scales as {}. The theory is 1/α and holds for smooth networks.", gaps)
        or "No slope of the test gap in α could be fitted.",
        kit.fill("At equal training error, from smallest to largest α reached, the test error changes by {}.", costs),
        *map(_report_lost, arms),
    )


def _prices(numbers: kit.Numbers, arms: list[kit.Arm]) -> dict[str, kit.Number]:
    return {arm.label: numbers[ERRORS["lazy_minus_rich"](arm.value, arm=arm.name)] for arm in arms}


def _report_lost(arm: kit.Arm) -> str:
    """At which α no run of a network arrived, and why."""
    lost = arm.rows[~(arm.rows["exit"] == "reached").groupby(arm.rows["alpha"]).transform("any")]
    reason, alphas = next(iter(lost["reasons"]), ""), [f"{alpha:g}" for alpha in lost["alpha"].unique()]
    return kit.fill(f"The {arm.label} never reached the training error at α = {{}} ({reason}).", alphas)


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    """Gap, motion, drift and criterion against α; and the test error against α."""
    data = kit.split(results.table, "data", TITLES)
    title, panels = kit.finding(conclusion.verdict, "the test gap scales", otherwise=question), kit.figures.panels
    lazy = panels(DRAWN, partial(_draw_quantity, data[0].rows), title=title, size=(5.2, 4.0), rows=2)
    prices = _prices(dict(conclusion.numbers), _arms(results.table))
    price = kit.clauses("From smallest to largest α", kit.by_phrase(prices, 0.0, COSTS, kit.format_number))
    costs = panels(data, _draw_errors, title=price.removesuffix(".") or question)
    return {"laziness": lazy, "test_error": costs}


def _draw_quantity(rows: kit.Table, ax: kit.Axes, name: str) -> None:
    """A quantity against α on log axes, with the slope of the theory."""
    _draw_bands(ax, rows, name)
    lazy = rows[rows["alpha"] >= LAZY_FROM]
    lab.figures.curves.guide(ax, lazy["alpha"].to_numpy(), lazy[name].to_numpy(float), THEORY, "theory: 1/α")
    lab.figures.curves.log_axes(ax).set(ylabel=DRAWN[name], xlabel="output scale α   (rich ← → lazy)")


def _draw_errors(ax: kit.Axes, data: kit.Arm) -> None:
    _draw_bands(ax, data.rows, "test_error")
    ax.set(title=data.label, xlabel="output scale α   (rich ← → lazy)", ylabel="test error, mean (f − y)² / mean y²")
    lab.figures.curves.log_axis(ax.xaxis)
    ax.set_ylim(bottom=0)


def _draw_bands(ax: kit.Axes, rows: kit.Table, name: str) -> None:
    """Geometric means of each network with their intervals; an α that some seed did not reach is left out."""
    arms = kit.split(rows, "network", NETWORKS)
    found = [(arm.label, kit.along(arm.rows, name, "alpha", log=True)) for arm in arms]
    kit.figures.bands(ax, found, "α", marker="o")
