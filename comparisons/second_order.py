"""What does the linearization miss, and is the next order of the Taylor series enough?

Beside the network and its linearization f₀ + J₀v a second-order model f₀ + J₀v + ½vᵀH₀v (`lab.QuadraticNetwork`)
descends at the same rate: at a small one at several widths, and at one width at rates that rise until each of them
fails. Its kernel moves, and so it can catapult.

ReLU has no second derivative at its kinks: there H₀ is the multilinear part alone, W being used L − 1 times. The
gate-frozen network (`lab.GateFrozen`) has that part to all orders; what it misses are gates that flip. Everything is
in "ntk" parametrization, centred, in float64. Intervals are over networks and draws of the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import numpy as np

import lab
from comparisons import kit
from lab.errors import refuse

question = "What does the linearization miss, and does the second order explain it?"
asked_by = "R1, R3"
version = 2

MODELS = {"linear": "linear model", "quadratic": "second-order model", "frozen": "gate-frozen network"}
ALL = {"network": "network", **MODELS}
_GAP = "largest test gap between the network and the {}, in units of the targets"
_SLOPE, _EACH = f"Slope on log(width) of the log of the {_GAP}.", {f"gap_{key}": text for key, text in MODELS.items()}
EXPONENTS = kit.family("exponent", template=_SLOPE, meanings=_EACH)
GAPS = kit.family("gap", template=f"The {_GAP}, at the largest width; geometric mean over seeds.", meanings=MODELS)
DIFFERENCE = kit.Quantity("exponent", "difference", meaning="Exponent of the second-order gap minus the linear one.")
_SHARE = "1 − (gap to the {})/(gap to the linear model), at each width; geometric mean of the quotient."
SHARES = kit.family("share", template=_SHARE, meanings={key: MODELS[key] for key in ("quadratic", "frozen")})
_RATES = {
    "limit": "Largest c such that there and at all smaller c the {} reaches 0.1 of its first error.",
    "survives": "Largest c such that the {} diverges neither there nor at any smaller c.",
    "peak": "Largest training error of the {} over its first one, at its own limit.",
    "sharpness_ratio": "λ_max of the kernel of the {} at 0.1 of its first error over that at the start, at c = 1.26.",
}
RATES = {(key, name): kit.Quantity(key, name, meaning=_RATES[key].format(ALL[name])) for key in _RATES for name in ALL}
del RATES["sharpness_ratio", "linear"]  # its kernel stays
HEADLINES = ("gap.*.relu", "gap.linear.erf", "share.quadratic.erf.#", "exponent.gap_linear.*", "limit.quadratic.*")
CAPTIONS = {
    "gap": f"Largest test gap from the network to each model; with frozen gates the flips are left. {kit.marks.LAWS}",
    "rates": "Largest error over the first one against the rate, with 95 % intervals, up to where a seed diverges.",
    "losses": "Training error of one network and its models, below and above the critical rate.",
}

GOAL, BEYOND, RAISED, LONGEST = 0.1, 1.26, 5, 5_000  # share of the first error; c of sharpness; seeds; steps of a try
SAME = ("readout", "activation", "width", "seed")
CURVES, CURVE_STEPS = (0.5, 1.2, 1.5, 3.0), 60  # c of the courses that are kept, and how long they are
ACTIVATIONS = {"erf": "erf", "relu": "ReLU", "tanh": "tanh", "softplus": "softplus"}
Activation = Annotated[str, kit.OneOf(*ACTIVATIONS)]


@dataclass(frozen=True)
class Settings(kit.rates.RateSettings):
    """Settings of this comparison: those of `RateSettings`, the activations, and the steps."""

    activations: Annotated[kit.Choices[Activation], kit.doc("Activations φ, set side by side.")] = ("erf", "relu")
    widths: kit.networks.Widths = (64, 128, 256, 512)
    parametrization: str = "ntk"
    dtype: str = "float64"
    critical_fraction: float = 0.25
    steps: Annotated[kit.Count, kit.doc("Gradient steps of the gaps, at η = 2c/λ_max.")] = 200
    rates_at: Annotated[kit.Count, kit.CHOOSES, kit.doc("Width at which the rate is raised, for five seeds.")] = 128
    per_octave: int = 3
    patience: Annotated[kit.Positive, kit.doc("Budget, in steps of the linear model to 0.1; 5,000 at most.")] = 5.0

    def check(self) -> None:
        """Refuse an activation beside `activations`."""
        super().check()
        if self.activation != "relu":
            refuse("activation", self.activation, "nothing: several are set side by side", "set `activations`")


PRESETS = {
    "fast": Settings(widths=(64, 128, 256), seeds=5, samples=16, steps=60, rates_at=64, largest_fraction=5, patience=2),
    "default": Settings(seeds=(24, 12, 4, 6)),
    "full": Settings(widths=(64, 128, 256, 512, 1024, 2048), seeds=10, steps=1000, rates_at=512),
}


@dataclass(frozen=True, kw_only=True)
class Cell(kit.rates.RateCell):
    """One network of one width, seed and activation."""

    steps: int


def cells(settings: Settings) -> list[Cell]:
    """One cell for every readout, activation, width and seed."""
    found = settings.grid(Cell, activation=settings.activations, fractions=[()])
    at, first, rates = settings.rates_at, range(RAISED), settings.fractions
    return [replace(each, fractions=rates) if each.width == at and each.seed in first else each for each in found]


def cost(cell: Cell) -> kit.Cost:
    """Flops of the network and its models, which take four times as many, and of a few kernels."""
    steps = cell.steps + (2 * cell.least_steps + 2 * CURVE_STEPS) * len(cell.fractions)
    return kit.costs.training_cost(cell, 4 * steps, kernels=3 + 4 * len(cell.fractions), copies=7)


def measure(cell: Cell) -> kit.Measured:
    """Gaps of one network to its models at a small rate; where the cell says so, what all do at larger ones."""
    task, network = kit.networks.build(cell)
    assert isinstance(network, lab.ElmanRNN)
    frozen = lab.GateFrozen(network) if network.activation.gated else None
    result = lab.side_by_side(network, task, lab.Descent(cell.steps, cell.critical_fraction), order=2)
    row = {**kit.pick(cell, "readout", "activation", "width", "seed"), **_gaps(result, frozen)}
    arrays = {**kit.records.trajectories(task, result.learners), "gap_test": result.gap("test")}
    if not cell.fractions:
        return row, arrays
    models: dict[str, Any] = {"network": network, "quadratic": lab.QuadraticNetwork(network)}
    rates = lab.measures.trainable.try_models(
        models | ({"frozen": frozen} if frozen else {}), task, goal=GOAL, most_steps=LONGEST, **cell.effort
    )
    arrays |= {"fractions": np.array(cell.fractions), **{f"peak_{name}": peak for name, peak in rates.peaks.items()}}
    return row | rates.summary(BEYOND), arrays | ({} if cell.seed else {"curves": _courses(network, task)})


def _courses(network: lab.ElmanRNN, task: lab.SequenceTask) -> np.ndarray:
    """Errors of network, linear and second-order model over the first one at a few c, (c, learners, steps + 1)."""
    runs = [lab.side_by_side(network, task, lab.Descent(CURVE_STEPS, c, record="all"), order=2) for c in CURVES]
    learners = [(run.network, run.linearized, run.quadratic) for run in runs]
    return np.array([[each.loss / each.loss[0] for each in three if each is not None] for three in learners])


def _gaps(result: lab.SideBySide, frozen: lab.GateFrozen | None) -> kit.Row:
    """Largest gaps to each model, over the linear one, and who diverged."""
    gaps = {"linear": result.gap("test"), "quadratic": result.gap("test", learner="quadratic")}
    if frozen is not None:
        run = lab.learners.network.train_network(frozen, result.task, result.descent, result.learning_rate)
        outputs = result.network.test_outputs, run.test_outputs
        gaps["frozen"] = lab.measures.gap.tracking_gap(*outputs, result.units["targets"])
    largest = {name: kit.finite(lab.measures.gap.largest(gap)) for name, gap in gaps.items()}
    row: kit.Row = {f"gap_{name}": gap for name, gap in largest.items()}
    row |= {f"ratio_{name}": kit.ratio(gap, largest["linear"]) for name, gap in largest.items() if name != "linear"}
    return row | {"diverged": kit.records.diverged(result), "reasons": kit.records.summary(result)["reasons"]}


def conclude(table: kit.Table) -> kit.Conclusion:
    """Numbers of every activation, and a verdict on the first readout."""
    numbers = kit.each_readout(table, _numbers)
    return kit.Conclusion(numbers, verdict(numbers, kit.main_readout(table)))


def _numbers(table: kit.Table) -> kit.Numbers:
    found = kit.Numbers()
    for arm in kit.split(table, "activation", ACTIVATIONS):
        rows, tried, name = arm.rows, _tried(arm.rows), arm.value
        for model in _models(rows):
            found[EXPONENTS[f"gap_{model}"](name)] = kit.exponent(rows, f"gap_{model}")
            found[GAPS[model](name)] = kit.over_finite(kit.widest(rows)[f"gap_{model}"])
            for width, part in rows.groupby("width") if model in SHARES else ():
                found[SHARES[model](name, str(width))] = kit.over_finite(part[f"ratio_{model}"]).complement
        found[DIFFERENCE(name)] = kit.exponent(rows, "ratio_quadratic")
        for (what, learner), key in RATES.items() if len(tried) else ():
            if learner in ("network", *_models(rows)) and (column := f"{what}_{learner}") in tried:
                mark = f"{column}_censored" if what in ("limit", "survives") else ""
                found[key(name)] = kit.mean_threshold(tried, column, mark) if mark else kit.over_finite(tried[column])
    return found


def _models(rows: kit.Table) -> list[str]:
    """The models that these networks have: gates are frozen where there are some."""
    return [name for name in MODELS if name != "frozen" or ("gap_frozen" in rows and rows["gap_frozen"].notna().any())]


def _tried(rows: kit.Table) -> kit.Table:
    return rows.dropna(subset=["limit_network"]) if "limit_network" in rows else rows[:0]


def verdict(numbers: kit.Numbers, table: kit.Table) -> str:
    """For each activation how far the gap falls with the order, and what all do beyond the critical rate."""
    arms = kit.split(table, "activation", ACTIVATIONS)
    return kit.sentences(*(judge(numbers, arm) for judge in (_order, _beyond) for arm in arms))


def _order(numbers: kit.Numbers, arm: kit.Arm) -> str:
    """Gaps to both models, their exponents, and the share that the next order explains."""
    high, name = int(arm.rows["width"].max()), arm.value
    linear, second = numbers[GAPS["linear"](name)], numbers[GAPS["quadratic"](name)]
    pair = ("linear", "quadratic") if arm.rows["width"].nunique() > 1 else ()
    laws = kit.fill("; they scale as {}", [kit.power(numbers[EXPONENTS[f"gap_{each}"](name)]) for each in pair])
    shares = [(MODELS[model], numbers.get(key(name, str(high)))) for model, key in SHARES.items()]
    known = [(f"With {arm.label} the {model}", share) for model, share in shares if share and share.value is not None]
    words = {"below": "is farther off", "above": "explains a part", "around": "makes no visible difference"}
    words["unknown"] = "is not judged for want of three seeds"
    return kit.sentences(
        f"With {arm.label} the largest test gap at width {high} is {kit.percent(linear)} to the linear model and "
        f"{kit.percent(second)} to the second-order one{laws}.",
        *(f"{it} {kit.compare(n, 0.0, **words)}: it explains {kit.percent(n)} of the gap." for it, n in known),
    )


def _beyond(numbers: kit.Numbers, arm: kit.Arm) -> str:
    """The largest rates at which each trains, and whether the second-order model catapults."""
    tried, name = _tried(arm.rows), arm.value
    if not len(tried):
        return ""
    limits = {learner: numbers[RATES["limit", learner](name)] for learner in ("network", *_models(tried))}
    marks = {key: [*tried[f"limit_{key}_censored"].unique()] for key in limits}
    off = {key: {"right": "above", "left": "below"}.get(str(mark[0])) for key, mark in marks.items() if len(mark) == 1}
    known = {key: f"{off[key]} all tried" if off.get(key) else kit.format_number(it) for key, it in limits.items()}
    words = {"below": "fails before the edge", "above": "catapults, too", "around": "is not seen to pass the edge"}
    end = words.get(off.get("quadratic") or "") or kit.compare(limits["quadratic"], 1.0, **words, unknown="")
    frozen = f" That of the gate-frozen network is {known['frozen']}." if "frozen" in known else ""
    return kit.sentences(
        f"With {arm.label} at width {tried['width'].max()} the largest c that trains is {known['network']} for the "
        f"network, {known['quadratic']} for the second-order model and {known['linear']} for the linear one.{frozen}",
        f"With {arm.label} the second-order model {end}." if end else "",
    )


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    """Gaps against the width, the rise of the error against the rate, and courses at a few rates."""
    arms = kit.split(kit.main_readout(results.table), "activation", ACTIVATIONS)
    tried = [replace(arm, rows=_tried(arm.rows)) for arm in arms if len(_tried(arm.rows))]
    found = partial(kit.finding, conclusion.verdict, otherwise=question)
    panels = partial(kit.figures.panel_per_arm, size=(5.6, 4.6), named="{}")
    gap = panels(arms, _draw_gaps, title=found("it explains"), ylabel="largest test gap\n(units of the targets)")
    if not tried:
        return {"gap": gap}
    runs = {arm.label: kit.records.arrays_of(results, arm.rows, *SAME) for arm in tried}
    courses, three = {label: arrays[0]["curves"] for label, arrays in runs.items()}, dict(list(ALL.items())[:3])
    rates = panels(tried, partial(_draw_rates, runs), title=found("largest c"), ylabel="largest error / first error")
    losses = lab.figures.orders.courses(courses, CURVES, three, found("catapults, too", "the edge"))
    return {"gap": gap, "rates": rates, "losses": losses}


def _draw_gaps(ax: kit.Axes, arm: kit.Arm) -> None:
    for place, name in enumerate(_models(arm.rows)):
        law, line = kit.power_law(arm.rows, f"gap_{name}"), lab.figures.orders.LINES[name]
        kit.figures.power_law(ax, law, line.color, f"to the {MODELS[name]}", 0.96 * 1.04**place, line.marker)


def _draw_rates(runs: Mapping[str, Sequence[kit.Arrays]], ax: kit.Axes, arm: kit.Arm) -> None:
    """Peaks of the error against c for each learner."""
    found = runs[arm.label]
    for name, label in ALL.items():
        if f"peak_{name}" in found[0]:
            peaks = [np.where(np.isfinite(run[f"peak_{name}"]), run[f"peak_{name}"], np.nan) for run in found]
            curve, line = kit.curve(found[0]["fractions"], peaks, log=True), lab.figures.orders.LINES[name]
            kit.figures.band(ax, curve, line.color, label, linestyle=line.linestyle, marker=line.marker)
    lab.figures.curves.log_axes(ax).set_xlabel("rate c, in units of the critical one")
