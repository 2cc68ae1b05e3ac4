"""Does a network become lazy by the scale of its outputs alone, and what does laziness cost in test error?

A centred network α(f(θ) − f(θ₀)) (`lab.Scaled`) descends at η = 2c/λ_max(α²K₀) until its training error is a given
share of the first, the same for every α (`lab.at_equal_error`). The linear learner beside it does not depend on α. c is
divided by 4 while descent diverges or does not arrive; each try has ``patience`` times the linear learner's steps.

Networks: Elman networks with ReLU and with erf, both in "ntk" parametrization, and a small ReLU CNN ("cnn", stride 2,
all weights trained). erf is smooth, as the theorems ask; ReLU is not. With B frozen an erf network is bounded, so that
below some α it cannot reach the targets: such cells are not trained.

Data: "digits", and "teacher", one ReLU neuron of the first time step (`lab.tasks.single_index`, p = 32, n = 64), in
which a learner that finds the direction should generalize. Intervals are over initializations, on one draw of the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge, Le

import lab
from comparisons import kit
from lab.costs import convolution_step, tangent_kernel, training_step
from lab.errors import refuse

if TYPE_CHECKING:
    from lab.networks.scaled import Scaled
    from lab.tasks.task import SequenceTask

question = "Does scaling the outputs alone make a network lazy, and what does laziness cost in test error?"
asked_by = "R3 [Chizat, Oyallon, Bach]"
version = 1

SLOPES = kit.family(
    "slope",
    template="Slope on log(α) over α ≥ 3 of the log of {}; theory for smooth networks: −1.",
    meanings={
        "gap_test": "the largest test gap |network − linearized| on the way, in units of RMS(y), above rounding noise",
        "weight_motion": "‖θ_T − θ₀‖_F",
        "kernel_drift": "‖K_T − K₀‖_F/‖K₀‖_F, where a ReLU gate that flips is a jump",
        "kappa": "the criterion κ of Chizat, Oyallon, Bach 2019, section 1",
        "gate_flips": "the share of ReLU gates that changed",
    },
)
KAPPA = kit.Quantity("kappa", meaning="Criterion κ (`lab.measures.curvature`) at the α nearest to 1; lazy where κ ≪ 1.")
ALPHA_LAZY = kit.Quantity("alpha_lazy", meaning="The α at which the largest test gap falls through 0.1.")
REACHED = kit.Quantity("reached", meaning="Share of all runs that reached the training error.")
ERRORS = kit.family(
    "test_error",
    template="Mean (f − y)² over the test set in units of mean y² there, at equal training error: {}.",
    meanings={
        "rich": "at the smallest α that all seeds reached",
        "standard": "at the α nearest to 1",
        "lazy": "at the largest α that all seeds reached",
        "lazy_minus_rich": "lazy − rich, paired by seed",
        "lazy_minus_standard": "lazy − standard, paired by seed",
    },
)

NETWORKS = {"relu": "ReLU RNN", "erf": "erf RNN", "cnn": "ReLU CNN"}
SIZES = {"digits": (48, 8), "teacher": (64, 3)}  # training samples, time steps
ALPHAS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
TITLES = {"digits": "digits 3 and 8", "teacher": "one ReLU neuron of the first step"}
DRAWN = {
    "gap_test": "test gap |network − linearized|\nin units of RMS(y)",
    "weight_motion": r"weight motion $\|\theta_T-\theta_0\|_F$",
    "kernel_drift": r"kernel drift $\|K_T-K_0\|_F/\|K_0\|_F$",
    "kappa": r"criterion $\kappa$",
}
THEORY = -1.0
LAZY_FROM = 3.0  # smallest α of the fits
NOISE = 10  # times the rounding noise: a gap below that is none

Network = Annotated[str, kit.OneOf(*NETWORKS)]
Data = Annotated[str, kit.OneOf(*SIZES)]


@dataclass(frozen=True)
class Training:
    """Settings that all cells of a run share."""

    data_seed: Annotated[kit.Seed, kit.doc("Seed of the data, which are the same for all α and seeds.")] = 0
    width: Annotated[kit.Count, kit.doc("Hidden units of the recurrent networks.")] = 64
    channels: Annotated[kit.Count, Le(22), kit.doc("Channels of both convolutions; 22 make 5,000 parameters.")] = 16
    trained: Annotated[tuple[kit.networks.Block, ...], kit.Distinct(), kit.doc("Trained among W, A, B.")] = ("W",)
    test: Annotated[int, Ge(2), Le(309), kit.doc("Test samples; of 357 digits 48 are for training.")] = 300
    target: Annotated[kit.Share, kit.doc("Mean squared training error to reach, in units of the first.")] = 0.03
    critical_fraction: Annotated[kit.Share, kit.doc("c in η = 2c/λ_max at the first try.")] = 0.5
    fallbacks: Annotated[int, Ge(0), kit.doc("How often c is divided by 4.")] = 3
    patience: Annotated[kit.Positive, kit.doc("Steps of a try over the linear learner's at the first c.")] = 3.0


@dataclass(frozen=True)
class Settings(Training, kit.Settings):
    """Settings of the output-scale comparison."""

    networks: Annotated[tuple[Network, ...], kit.Distinct(), kit.CHOOSES, kit.doc("Networks.")] = tuple(NETWORKS)
    data: Annotated[tuple[Data, ...], kit.Distinct(), kit.CHOOSES, kit.doc("Data; teacher for RNNs.")] = tuple(SIZES)
    alphas: Annotated[tuple[kit.Positive, ...], kit.Distinct(), kit.CHOOSES, kit.doc("Scales α.")] = (*ALPHAS, 1000.0)
    seeds: Annotated[kit.Count, kit.CHOOSES, kit.doc("Number of initializations at each α.")] = 5

    def check(self) -> None:
        """Refuse a choice without cells."""
        if self.networks == ("cnn",) and "digits" not in self.data:
            allowed = "data with digits for networks=('cnn',)"
            refuse("data", repr(self.data), allowed, "add digits or a recurrent network")


PRESETS = {
    "fast": Settings(
        seeds=3, alphas=(0.3, 1.0, 3.0, 10.0, 100.0), width=32, channels=6, test=100, target=0.2, patience=2
    ),
    "default": Settings(),
    "full": Settings(
        seeds=10, alphas=(*ALPHAS, 300.0, 1e3, 3e3, 1e4), width=256, channels=22, target=0.01, patience=10
    ),
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
    every = kit.grid(Cell, settings, **axes, seed=range(settings.seeds))
    return [cell for cell in every if (cell.data, cell.network) != ("teacher", "cnn")]


def cost(cell: Cell) -> kit.Cost:
    """Flops of some 300 steps for each patience at α ≥ 1, of more tries below, and of the kernels."""
    samples, length = SIZES[cell.data]
    tries = 1 if cell.alpha >= 1 else 1 + cell.fallbacks
    steps = 300 * tries * (cell.patience if tries > 1 else 1)
    if cell.network == "cnn":
        step = convolution_step(samples, cell.channels, places=20)
        return (steps * step).holding(8.0 * cell.test * 12 * cell.channels**2)
    deltas = (samples + cell.test) * length * cell.width
    work = steps * 4 / 3 * training_step(samples, length, cell.width)
    work += 3 * tangent_kernel(samples, cell.test, 1, length, cell.width)
    return work.holding(8.0 * (4 * cell.width**2 + 2 * deltas))


def measure(cell: Cell) -> kit.Measured:
    """Train one scaled network until it has learnt enough, and compare it with its linearization on the way."""
    task, network = _build(cell)
    tries = kit.pick(cell, "critical_fraction", "fallbacks", "patience")
    found = lab.at_equal_error(network, task, cell.target, **tries)
    row = {**kit.pick(cell, "network", "data", "alpha", "seed"), **found.summary()}
    arrays = {"kernel_time": found.kernel_time, "mse": found.mse, "gap_test": found.gap()} if found.reached else {}
    return row, arrays


def _build(cell: Cell) -> tuple[SequenceTask, Scaled]:
    """The data, and the centred network that is scaled by α, in float64 on torch's default device."""
    import torch

    (samples, length), device = SIZES[cell.data], torch.get_default_device()
    if cell.data == "digits":
        task = lab.tasks.digits(train=samples, test=cell.test, seed=cell.data_seed)
    else:
        task = lab.tasks.single_index(samples, cell.test, length, seed=cell.data_seed)
    if cell.network == "cnn":
        like = partial(lab.networks.zoo.like, task, "strided", cell.channels, readout="last", activation="relu")
        module = like(seed=cell.seed)
        return task, lab.Scaled(lab.as_network(module.to(device)), cell.alpha)
    choices = {"activation": cell.network, "parametrization": "ntk", "trained": cell.trained, "seed": cell.seed}
    return task, lab.Scaled(lab.ElmanRNN.like(task, cell.width, device=device, **choices), cell.alpha)


def conclude(table: kit.Table) -> kit.Conclusion:
    """Slopes in α, test errors and further numbers of every network on every data set, and a verdict."""
    numbers: kit.Numbers = {}
    arms = _arms(table)
    for arm in arms:
        reached = arm.rows[arm.rows["exit"] == "reached"]
        beside = reached[reached["alpha"] == _nearest_to_one(reached)]
        errors = _errors(arm.rows)
        found = {key: _slope(arm.rows, name) for name, key in SLOPES.items()}
        found[KAPPA] = kit.Number.geometric(beside["kappa"])
        found[ALPHA_LAZY] = kit.crossing(reached, "gap_test", 0.1, "alpha")
        found[REACHED] = kit.Number.exact(len(reached) / len(arm.rows), arm.rows["seed"].nunique())
        found |= {key: errors[name] for name, key in ERRORS.items()}
        numbers |= {quantity(arm.value, arm=arm.name): number for quantity, number in found.items()}
    return kit.Conclusion(numbers, verdict(numbers, arms))


def _arms(table: kit.Table) -> list[kit.Arm]:
    """Each network on each data set; the value is the network, which all keys name, the name that of further data."""
    return [
        replace(net, name=data.name, label=net.label + (f" on the {data.name}" if data.name else ""))
        for data in kit.split(table, "data")
        for net in kit.split(data.rows, "network", NETWORKS)
    ]


def _slope(rows: kit.Table, name: str) -> kit.Number:
    """The slope of a quantity over α ≥ 3, without gaps that are rounding noise."""
    lazy = rows[rows["alpha"] >= LAZY_FROM].copy()
    if name == "gap_test":
        lazy.loc[lazy[name] < NOISE * lazy["noise"], name] = np.nan
    if lazy[name].notna().any():
        return kit.exponent(lazy, name, "alpha", "alphas")
    return kit.Number.none("no on/off gates" if name == "gate_flips" else "no run with α ≥ 3 arrived above the noise")


def _nearest_to_one(rows: kit.Table) -> float:
    return float(min(sorted(rows["alpha"].unique()), key=lambda alpha: abs(np.log(alpha)), default=1.0))


def _errors(rows: kit.Table) -> dict[str, kit.Number]:
    """Test errors at the smallest α that all seeds reached, beside α = 1 and at the largest, and paired differences."""
    errors = kit.by_seed(rows, "test_error", "alpha").dropna(axis=1)
    alphas = sorted(errors.columns.astype(float))
    found = dict.fromkeys(ERRORS, kit.Number.none("not all seeds reached the training error at two different α"))
    if len(alphas) < 2:
        return found
    for name, alpha in {"rich": alphas[0], "standard": _nearest_to_one(rows), "lazy": alphas[-1]}.items():
        if alpha in alphas:
            found[name] = replace(kit.Number.mean(errors[alpha]), details={"alpha": alpha})
        if alpha in alphas[:-1]:
            found[f"lazy_minus_{name}"] = kit.Number.mean(errors[alphas[-1]] - errors[alpha])
    return found


def verdict(numbers: kit.Numbers, arms: Sequence[kit.Arm]) -> str:
    """How the gap falls with α, what laziness costs in test error, and which runs never arrived."""
    slopes = {arm.label: numbers[SLOPES["gap_test"](arm.value)] for arm in arms if not arm.name}
    prices = {arm.label: numbers[ERRORS["lazy_minus_rich"](arm.value, arm=arm.name)] for arm in arms}
    gaps = [
        f"{kit.power(slope, 'α')} for the {label} ({kit.compare_with_theory(slope, THEORY, 'the theory')})"
        for label, slope in slopes.items()
        if slope.value is not None
    ]
    costs = [
        f"{kit.format_number(price)} for the {label} ({kit.compare(price, 0.0, below='lower', above='higher')})"
        for label, price in prices.items()
        if price.value is not None
    ]
    gap = f"For α ≥ 3 the test gap goes as {kit.joined(gaps)}. The theory is 1/α and holds for smooth networks."
    cost = "At equal training error, the test error at the largest α minus that at the smallest α that was reached is "
    parts = [gap if gaps else "The test gap has no slope in α here.", f"{cost}{kit.joined(costs)}." if costs else ""]
    for arm in arms:
        never = arm.rows[~(arm.rows["exit"] == "reached").groupby(arm.rows["alpha"]).transform("any")]
        alphas = kit.joined([f"{alpha:g}" for alpha in never["alpha"].unique()])
        for reason in never["reasons"].iloc[:1]:
            parts.append(f"The {arm.label} never trained that far at α = {alphas} ({reason}).")
    return kit.sentences(*parts)


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    """Gap, motion, drift and criterion against α; and the test error against α."""
    data = kit.split(results.table, "data", TITLES)
    title = f"Lazy by scale alone: what is left of nonlinearity at output scale α ({data[0].value})"
    drawn = partial(_draw_quantity, data[0].rows)
    figures = {"laziness": kit.figures.panels(DRAWN, drawn, title=title, size=(5.0, 4.3), rows=2)}
    title = "What laziness costs: test error at equal training error"
    return figures | {"test_error": kit.figures.panels(data, _draw_errors, title=title, size=(5.0, 4.2))}


def _draw_quantity(rows: kit.Table, ax: kit.Axes, name: str) -> None:
    """A quantity against α on log axes, with the slope of the theory."""
    _draw_bands(ax, rows, name)
    lazy = rows[rows["alpha"] >= LAZY_FROM]
    lab.figures.curves.guide(ax, lazy["alpha"].to_numpy(), lazy[name].to_numpy(float), THEORY, "theory: 1/α")
    ax.set(yscale="log", ylabel=DRAWN[name], xlabel="output scale α")
    lab.figures.style.legend_below(ax, columns=2)


def _draw_errors(ax: kit.Axes, data: kit.Arm) -> None:
    _draw_bands(ax, data.rows, "test_error")
    ax.set(title=data.label, xlabel="output scale α   (rich ← → lazy)", ylabel="test error, mean (f − y)² / mean y²")
    ax.set_ylim(bottom=0)
    lab.figures.style.legend_below(ax, columns=3)


def _draw_bands(ax: kit.Axes, rows: kit.Table, name: str) -> None:
    """Geometric means of each network with their intervals; an α that some seed did not reach is left out."""
    for net, color in zip(kit.split(rows, "network", NETWORKS), lab.figures.style.QUANTITIES, strict=False):
        curve = kit.along(net.rows, name, "alpha", log=True)
        kit.figures.band(ax, curve, color, net.label, marker="o", markersize=4)
    ax.set_xscale("log")
