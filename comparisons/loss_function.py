"""Does the loss decide whether training is lazy?

The same data and widths under several losses, each at the same share c of its own critical rate 2/λ_max(H₀^½ K₀ H₀^½),
H₀ being the loss's curvature at the initial outputs; kernel time is τ = c·t for all. The unit of the gap is the RMS of
the linear learner's own change of outputs on the training set, for the squared loss, too: logits grow without bound,
about as log τ, so that targets are no unit. Logits are centred over classes.
Cross-entropy of two outputs is the logistic loss of their difference, which is twice a centred logit. In the paper's
parametrization the two are one experiment with other draws of the output weights: each checks the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import numpy as np

import lab
from comparisons import kit

question = "Does the loss decide whether training is lazy?"
asked_by = "R3"
version = 2

WHEN = {"50": "kernel time 50", "accuracy": "full training accuracy of the linear learner"}
_THEN = "τ = 50, or until the linear learner first has all training samples right (accuracy)"
_OF = {"gap_test": f"largest test gap until {_THEN}", "weight_motion": "weight motion ‖θ_t − θ₀‖_F at the same times"}
EXPONENTS = kit.family("exponent", template="Slope on log(width) of the log of the {}.", meanings=_OF)
GAP = kit.Quantity("gap_test", meaning="That gap at the largest width, geometric mean over seeds.")
OVER_SQUARED = kit.Quantity("gap_over_squared", meaning="The gap over that of the squared loss, by seed.")
OUTPUT = kit.Quantity("output", meaning="RMS of the linear learner's training outputs then, at the largest width.")
ACCURATE = kit.Quantity("time_to_accuracy", meaning="τ when the linear learner first has all samples right; median.")
_LEAVING = "RMS of the linear learner's training outputs (centred logits) when the test gap exceeds 0.1"
LEAVING = kit.Quantity("output_at_leaving", meaning=f"{_LEAVING}, at the largest width; Kaplan–Meier median.")
DEGREE = kit.Quantity("exponent", "output_at_leaving", meaning=f"Degree in the width of the {_LEAVING}; censored fit.")
_TIME = "τ when the test gap exceeds 0.1, at the largest width, Kaplan–Meier; never: share of seeds. No power law."
TIME = kit.Quantity("time_to_leave", meaning=_TIME)
SHARPNESS = kit.Quantity("sharpness", meaning="ηλ_max(H^½KH^½)/2 of the network at τ = 50; it starts at c.")
NOISE = kit.Quantity("noise_floor", meaning="Largest disagreement of two linear models up to τ = 50, as a gap.")
_RATES = {
    "network_limit": "Largest c such that there and at all smaller c the network's loss reaches 0.1 of its first.",
    "linear_limit": "The same of the linear learner.",
    "network_peak": "Largest training loss on the way there over the first one, at network_limit.",
    "linear_peak": "The same of the linear learner at linear_limit, or at the largest c tried.",
    "sharpness_at_limit": "ηλ_max(H^½KH^½)/2 of the network when it gets there at network_limit; 1 is the edge.",
}
RATES = kit.family(meanings=_RATES)
HEADLINES = ("gap_over_squared.*.#", "exponent.output_at_leaving.*", "network_limit.*[!0-9]")
CAPTIONS = {
    "gap": f"Largest test gap against the width, until equal times and until equal accuracy. {kit.marks.LAWS}",
    "leaving": "Left: the gap grows with the outputs (for cross-entropy centred logits, half of the logistic ones), "
    "which only the squared loss stops. Right: points are seeds, open triangles those that never leave; medians.",
    "rates": f"Left: the largest rate that trains. Right: how far the loss first rises. {kit.marks.LAWS}",
}

LEVEL, WATCHED, GOAL = 0.1, 50.0, 0.1  # gap, kernel time, and share of the first training loss
LOSSES, SAME = ("squared", "logistic", "cross_entropy"), ("readout", "width", "seed")
LABELS = dict(zip((*LOSSES, "huber"), ("squared loss", "logistic loss", "cross-entropy", "Huber loss"), strict=True))
Arms = Sequence[tuple[kit.Arm, str]]  # with their colours
DASHES, MARKERS = ("-", (0, (5, 2)), (0, (1, 1.5)), "-."), "os^D"
UNIT, OUTPUTS = "(in units of the outputs' change)", "RMS of the linear learner's outputs"


@dataclass(frozen=True)
class Settings(kit.rates.RateSettings):
    """Settings of the loss comparison: those of `RateSettings`, the losses, and how long to train."""

    losses: Annotated[kit.Choices[kit.losses.Loss], kit.doc("Losses to compare.")] = LOSSES
    samples: kit.networks.Samples = 24
    critical_fraction: Annotated[kit.Share, kit.doc("c of the courses, and of the budget of the rates.")] = 0.5
    kernel_time: Annotated[kit.Positive, kit.doc("Kernel time τ at which training ends.")] = 400.0
    rates_up_to: Annotated[kit.Count, kit.CHOOSES, kit.doc("Largest width at which the rate is raised.")] = 256
    smallest_fraction: float = 0.4
    largest_fraction: float = 256.0
    patience: float = 10.0

    def check(self) -> None:
        """Refuse losses of classes on a file whose targets are numbers."""
        super().check()
        for loss in self.losses:
            kit.losses.check(loss, self.task)


PRESETS = {
    "fast": Settings(widths=(32, 64, 128, 256), seeds=4, samples=12, kernel_time=100.0, rates_up_to=64, per_octave=1),
    "default": Settings(seeds=(10, 6, 4, 4, 6)),
    "full": Settings(widths=(64, 128, 256, 512, 1024, 2048), seeds=10, kernel_time=2000.0, rates_up_to=1024),
}


@dataclass(frozen=True, kw_only=True)
class Cell(kit.rates.RateCell):
    """One network of one width and seed under one loss."""

    loss: str
    kernel_time: float


def cells(settings: Settings) -> list[Cell]:
    """One cell for every readout, loss, width and seed."""
    found, rates = settings.grid(Cell, loss=settings.losses, fractions=[()]), settings.fractions
    return [replace(cell, fractions=rates) if cell.width <= settings.rates_up_to else cell for cell in found]


def cost(cell: Cell) -> kit.Cost:
    """Flops of the steps to the end and of those that most rates take, and of their kernels."""
    steps = cell.kernel_time / cell.critical_fraction + 2 * cell.least_steps * len(cell.fractions)
    return kit.costs.training_cost(cell, round(steps), kernels=3 + len(cell.fractions))


def measure(cell: Cell) -> kit.Measured:
    """One course of a network beside its linear model, and what happens to both at higher rates."""
    task, network = kit.networks.build(cell)
    pace = {**kit.pick(cell, "critical_fraction", "kernel_time"), "watched": WATCHED}
    course = lab.measures.leaving.follow_course(network, task, cell.loss, **pace)
    row = kit.pick(cell, "readout", "loss", "width", "seed") | course.summary(LEVEL, {"50": WATCHED})
    arrays = kit.pick(course, "kernel_time", "loss", "gap_test", "size", "motion")
    if cell.fractions:
        found = lab.measures.trainable.try_rates(network, task, cell.loss, goal=GOAL, **cell.effort)
        row, arrays = row | found.summary(), arrays | kit.pick(found, "fractions", "trains", "peaks", "sharpness")
    return row, arrays


def conclude(table: kit.Table) -> kit.Conclusion:
    """Numbers of every loss, and a verdict on the first readout."""
    numbers = kit.each_readout(table, _numbers)
    numbers[NOISE()] = kit.Number.exact(kit.finite(float(table["linear_noise"].max())), table["seed"].nunique())
    return kit.Conclusion(numbers, verdict(numbers, kit.main_readout(table)))


def _numbers(table: kit.Table) -> kit.Numbers:
    found, squared = kit.Numbers(), table[table["loss"] == "squared"]
    for arm in kit.split(table, "loss"):
        rows, last, loss = arm.rows, kit.widest(arm.rows), arm.value
        for when in WHEN:
            gap = f"gap_test_{when}"
            found[EXPONENTS["gap_test"](loss, when)] = kit.exponent(rows, gap)
            found[EXPONENTS["weight_motion"](loss, when)] = kit.exponent(rows, f"motion_{when}")
            found[GAP(loss, when)] = kit.Number.geometric(last[gap])
            found[OUTPUT(loss, when)] = kit.Number.geometric(last[f"size_{when}"])
            if loss != "squared":
                found[OVER_SQUARED(loss, when)] = kit.paired_ratio(last, squared, gap, SAME)
        found[ACCURATE(loss)] = kit.median_time(rows, "accurate_at", "accurate_censored")
        found[LEAVING(loss)] = kit.median_time(rows, "size_at_leaving", "censored")
        found[DEGREE(loss)] = kit.threshold_degree(rows, "size_at_leaving", "censored")
        found[TIME(loss)] = _time(rows)
        found[SHARPNESS(loss)] = kit.over_finite(last["sharpness"])
        for width in sorted(_tried(rows)["width"].unique().tolist()):
            part = rows[rows["width"] == width]
            for name, key in RATES.items():
                mark = f"{name}_censored"
                number = kit.mean_threshold(part, name, mark) if mark in part else kit.over_finite(part[name])
                found |= {key(loss): number, key(loss, width): number}  # the last width remains
    return found


def _tried(rows: kit.Table) -> kit.Table:
    """Rows of the networks whose rate was raised."""
    rows = rows if "network_limit" in rows else rows.assign(network_limit=np.nan, network_limit_censored=None)
    return rows.dropna(subset=["network_limit"])


def _time(rows: kit.Table) -> kit.Number:
    """The median; its details have the share of seeds that never leave, and local slopes of medians in the width."""
    found, never = kit.median_time(rows, "leaves", "censored"), (rows["censored"] == "right").groupby(rows["width"])
    medians = {int(width): time for width, time in found.details.get("medians", {}).items() if time}
    slopes = np.diff(np.log([*medians.values()])) / np.diff(np.log([*medians]))
    more = {"never": never.mean().rename(str).to_dict(), "local_slopes": slopes.round(4).tolist()}
    return replace(found, details={**found.details, **more})


def verdict(numbers: kit.Numbers, table: kit.Table) -> str:
    """Gaps at equal time and accuracy, where networks leave the linear picture, and which rates they stand."""
    tried, losses = _tried(table), list(dict.fromkeys(table["loss"]))

    def each(key: kit.Quantity, *which: str, write: Callable[[kit.Number], str] = kit.format_number) -> list[str]:
        known = {LABELS[loss]: numbers[key(loss, *which)] for loss in losses if key(loss, *which) in numbers}
        return [f"{write(one)} with {label}" for label, one in known.items() if one.value is not None]

    marks = {str(loss): set(rows["linear_limit_censored"]) for loss, rows in tried.groupby("loss", sort=False)}
    beyond = [f"beyond every rate tried with {LABELS[loss]}" for loss, found in marks.items() if found == {"right"}]
    never = [f"more than they ever have with {LABELS[loss]}" for loss in losses if numbers[LEAVING(loss)].value is None]
    gap = f"Up to kernel time 50 the test gap at width {table['width'].max()}, in units of the outputs' change, reaches"
    rate = f"At width {tried['width'].max()} the largest trainable rate, in units of the critical one, is"
    return kit.sentences(
        kit.fill(f"{gap} {{}}.", each(GAP, "50", write=kit.percent)),
        kit.fill("Its ratio to that with squared loss is {}.", each(OVER_SQUARED, "50")),
        kit.fill("At equal training accuracy the ratio is {}.", each(OVER_SQUARED, "accuracy")),
        kit.fill("The gap up to kernel time 50 scales as {}.", each(EXPONENTS["gap_test"], "50", write=kit.power)),
        kit.fill("The gap exceeds 0.1 when the linear learner's outputs have an RMS of {}.", each(LEAVING) + never),
        kit.fill("That RMS scales as {}.", each(DEGREE, write=kit.power)),
        kit.fill(f"{rate} {{}}.", each(RATES["network_limit"])),
        kit.fill("That of the linear learner is {}.", each(RATES["linear_limit"]) + beyond),
    )


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    """Gaps against the width, where networks leave the linear picture, and rates that they stand."""
    losses = kit.split(kit.main_readout(results.table), "loss", LABELS)
    arms = list(zip(losses, lab.figures.style.QUANTITIES, strict=False))
    found = partial(kit.finding, conclusion.verdict, otherwise=question)
    panels = partial(kit.figures.panels, size=(5.4, 4.5))
    return {
        "gap": panels(WHEN, partial(_draw_gaps, arms), title=found("The gap up to"), sharey=True),
        "leaving": panels(("gap", "width"), partial(_draw_leaving, arms, results, conclusion), title=found("exceeds")),
        "rates": panels(("limits", "peaks"), partial(_draw_rates, arms, results), title=found("trainable rate")),
    }


def _draw_gaps(arms: Arms, ax: kit.Axes, when: str) -> None:
    for place, (arm, color) in enumerate(arms):
        law = kit.power_law(arm.rows, f"gap_test_{when}")
        kit.figures.power_law(ax, law, color, arm.label, 0.94 * 1.04**place, MARKERS[place])
    ax.set(title=f"up to {WHEN[when]}", ylabel=f"largest test gap\n{UNIT}")


def _draw_leaving(arms: Arms, results: kit.Results, conclusion: kit.Conclusion, ax: kit.Axes, against: str) -> None:
    """The gap along training at the largest width, or the outputs at which it exceeds 0.1 against the width."""
    for place, (arm, color) in enumerate(arms):
        rows = kit.widest(arm.rows)
        line: dict[str, Any] = {"label": arm.label, "linestyle": DASHES[place]}
        if against == "width":
            median, columns = conclusion.numbers[LEAVING(arm.value)], ("size_at_leaving", "censored")
            kit.figures.times(ax, arm.rows, columns, median, color, 0.94 * 1.04**place, marker=MARKERS[place], **line)
        elif runs := kit.records.arrays_of(results, rows[~rows["diverged"].astype(bool)], "loss", *SAME):
            size = np.geomspace(max(run["size"][1] for run in runs), min(run["size"].max() for run in runs), 80)
            gaps = [np.interp(size, np.maximum.accumulate(run["size"]), run["gap_test"]) for run in runs]
            kit.figures.band(ax, kit.curve(size, gaps, log=True), color, **line)
    if against == "width":
        lab.figures.curves.width_axis(ax, arm.rows["width"].unique()).set_ylabel(f"{OUTPUTS}\nwhen the gap exceeds 0.1")
    else:
        lab.figures.curves.log_axes(ax).set(xlabel=OUTPUTS, ylabel=f"test gap at width {rows['width'].max()}\n{UNIT}")


def _draw_rates(arms: Arms, results: kit.Results, ax: kit.Axes, what: str) -> None:
    """The largest rate at which networks train against the width, or how far the loss rises at each rate."""
    for place, (arm, color) in enumerate(arms):
        rows, shift = _tried(arm.rows), 0.94 * 1.04**place
        if what == "limits":
            law = kit.power_law(rows[rows["network_limit_censored"].isna()], "network_limit")
            kit.figures.power_law(ax, law, color, arm.label, shift, MARKERS[place]).set_ylabel("largest trainable c")
        elif runs := kit.records.arrays_of(results, kit.widest(rows), "loss", *SAME):
            for learner, dash, row in (("network", "-", 0), ("linear", DASHES[1], 1)):
                peaks = [np.where(np.isfinite(run["peaks"][row]), run["peaks"][row], np.nan) for run in runs]
                curve = kit.curve(runs[0]["fractions"], peaks, log=True)
                kit.figures.band(ax, curve, color, f"{arm.label}, {learner}", linestyle=dash)
            x, y = "rate c, in units of the critical one", "largest loss over the first one"
            lab.figures.curves.log_axes(ax).set(xlabel=x, ylabel=y)
