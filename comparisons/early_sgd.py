"""Does the linear picture explain stochastic gradient descent in its early stages, and for how long?

The network and the linear learner get the same batches in the same order, with the same rate and momentum. Time is
kernel time τ = η(b/n)tλ_max(K₀)/(2(1 − β)) for batches of b of n samples and momentum β; η is 2c(1 − β)/λ_max, so that
a step moves as far with momentum as without, and all arms run to the same τ. The linear learner iterates on
coefficients (one number per output), which is exact for any batches. Both are recorded every 0.1 in τ up to 5, and
every 2 % later. The gap is RMS(network − linearized) over the test set in units of the training targets; with another
``loss`` in units of the RMS change of the linear learner's training outputs, and λ_max is that of H₀^½K₀H₀^½.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import numpy as np

import lab
from comparisons import kit
from lab.costs import linearized_step, training_step
from lab.errors import check_choice

if TYPE_CHECKING:
    from lab.together import SideBySide

question = "Does the linear picture explain stochastic gradient descent in its early stages?"
asked_by = "R3"
version = 3

TIME = "Kernel time at which the test gap first exceeds {:g} at the largest width; Kaplan–Meier, none if most never do."
DEGREE = "Degree in the width of the time to a gap of {:g}, by censored regression over widths at which 80 % leave."
LEAVING = {0.1: kit.Quantity("time_to_leave", meaning=TIME.format(0.1))}
LEAVING |= {0.05: kit.Quantity("time_to_leave", "0.05", meaning=TIME.format(0.05))}
DEGREES = {at: kit.Quantity("exponent", *time.parts, meaning=DEGREE.format(at)) for at, time in LEAVING.items()}
BOUND = "Slope on log(width) of the log of gap_at_tau; theory: −1/2 (Lee et al. 2019, full batches)."
GAP_SLOPE = kit.Quantity("exponent", "gap_at_tau", meaning=BOUND)
GAP = kit.Quantity("gap_at_tau", meaning="Mean largest test gap up to this τ, at the largest width.")
OVER_FULL = kit.Quantity("gap_over_full", meaning="gap_at_tau over that of full batches, by seed, geometric mean.")
LEFT = "Training error of the network when the gap exceeds 0.1, in units of the first; none if most seeds never leave."
ERROR = {short: kit.Quantity(f"{short}_when_leaving", meaning=LEFT) for short in ("mse", "loss_per_sample")}
HEADLINES = ("time_to_leave.?", "time_to_leave.full", "mse_when_leaving.?", "mse_*.full", "exponent.time_to_leave.?")
CAPTIONS = {
    "gap": "Largest test gap so far over kernel time, for each batch size and width. The linear picture holds until a "
    f"line crosses the dashed levels. {kit.marks.BARS}",
    "time_to_leave": "Against the width: the kernel time at which the gap exceeds 0.1 (points: seeds; lines: medians), "
    "and the largest gap up to kernel time 10 (lines: power laws). Equal colours, equal batches.",
}

COLUMNS = {level: (f"leaves_{level:g}", f"censored_{level:g}") for level in LEAVING}  # when; "right" if never
GAPS = {tau: f"gap_at_{tau}" for tau in (1, 10, 50)}
MAIN, WATCHED = 0.1, 10  # level and kernel time that the verdict and the figures are about
THEORY = kit.limits.BOUND
NEARLY = 1 + 1e-9  # of a kernel time: records are whole steps
STRAYED = "How far SGD has strayed from the linear model on the same batches"
SAME = ("readout", "momentum", "width", "seed")


@dataclass(frozen=True)
class Settings(kit.networks.CentredSettings):
    """Settings of the comparison of early SGD: those of `CentredSettings`, batches, momenta and the end."""

    samples: kit.networks.Samples = 24
    widths: kit.networks.Widths = (64, 128, 256, 512)
    batches: Annotated[kit.Choices[str], kit.doc("Batch sizes.")] = ("1", "4", "full")
    momenta: Annotated[kit.Choices[kit.Momentum], kit.doc("Momentum β.")] = (0.0, 0.9)
    kernel_time: Annotated[kit.Positive, kit.doc("Kernel time τ at which training stops.")] = 50.0
    loss: kit.losses.Loss = "squared"

    def check(self) -> None:
        """Refuse batches that do not divide the samples."""
        super().check()
        samples = kit.tasks.size(self.task, self.samples).samples
        divisors = [str(size) for size in range(1, samples) if samples % size == 0]
        for batch in self.batches:
            check_choice("batches", batch, (*divisors, "full"))


PRESETS = {
    "fast": Settings(samples=12, widths=(32, 64, 128), seeds=(6, 4, 4), kernel_time=15.0, momenta=(0.0,)),
    "default": Settings(seeds=(10, 8, 5, 8)),
    "full": Settings(samples=48, widths=(64, 128, 256, 512, 1024, 2048), seeds=10),
}


@dataclass(frozen=True, kw_only=True)
class Cell(kit.networks.CentredCell):
    """One network of one width and seed, trained on batches of one size with one momentum."""

    momentum: float
    batch: str
    kernel_time: float
    loss: str = kit.optional("squared")

    @property
    def share(self) -> float:
        """Batch size over training samples."""
        return 1.0 if self.batch == "full" else int(self.batch) / kit.tasks.size_of(self).samples

    def looks(self) -> tuple[int, ...]:
        """The steps to record: also those at the kernel times of the numbers, and the last."""
        pace = self.critical_fraction * self.share
        return lab.measures.schedule.looks(self.kernel_time, pace, spacing=0.1, growth=1.02, also=GAPS)


def cells(settings: Settings) -> list[Cell]:
    """One cell for every momentum, batch size, readout, width and seed."""
    arms = {"momentum": settings.momenta, "batch": settings.batches, "readout": settings.readouts}
    return kit.grid(Cell, settings, settings.seeds, **arms, width=settings.widths)


def cost(cell: Cell) -> kit.Cost:
    """Flops of the network's steps and looks (the linear learner runs on coefficients), and of the kernels."""
    task, looks, kernels = kit.tasks.size_of(cell), cell.looks(), kit.costs.kernel_cost(cell, 3)
    batch = round(cell.share * task.samples)
    step = training_step(batch, task.length, cell.width) + linearized_step(batch, task.length, 1)
    look = training_step(task.samples + task.test, task.length, cell.width)
    return (looks[-1] * step + len(looks) * look + kernels).holding(kernels.bytes)


def measure(cell: Cell) -> kit.Measured:
    """Train network and linear learner on the same batches."""
    task, network = kit.networks.build(cell)
    looks, beta, words, seed = cell.looks(), cell.momentum, kit.losses.words(cell.loss), cell.network_seed
    size, rate = None if cell.batch == "full" else int(cell.batch), cell.critical_fraction * (1 - beta) / (1 + beta)
    descent = lab.Descent(looks[-1], rate, momentum=beta, batch_size=size, seed=seed, record=looks, loss=cell.loss)
    result = lab.side_by_side(network, task, descent, in_place=True)  # the linear learner on coefficients
    errors = kit.losses.mean(np.stack([result.network.loss, result.linearized.loss]), result.objective)
    arrays = {"kernel_time": result.kernel_time, "gap_test": result.gap("test"), **words.kept(errors)}
    return _row(cell, result, arrays, words), arrays


def _row(cell: Cell, result: SideBySide, arrays: kit.Arrays, words: kit.losses.Words) -> kit.Row:
    times, gap, (error, linear), short = arrays["kernel_time"], arrays["gap_test"], arrays[words.array], words.short
    gap = np.where(np.isnan(gap), 0.0, gap)  # before the linear learner has changed
    diverged, row = kit.records.diverged(result), kit.pick(cell, "readout", "momentum", "batch", "width", "seed")
    row |= kit.losses.column(cell.loss)
    for level, columns in COLUMNS.items():
        passage = lab.measures.thresholds.first_passage(times, gap, level)
        left = None if passage.censored else float(np.interp(passage.value, times, error)) / float(error[0])
        found = (None, None, None) if diverged else (passage.value, passage.censored, left)
        row |= dict(zip((*columns, f"{short}_{level:g}"), found, strict=True))
    for tau, name in GAPS.items():
        seen = not diverged and tau <= cell.kernel_time * NEARLY
        row[name] = float(gap[times <= tau * NEARLY].max()) if seen else None
    return row | {
        f"final_{short}_network": kit.finite(float(error[-1])),
        f"final_{short}_linearized": kit.finite(float(linear[-1])),
        "kernel_time": float(times[-1]),
        **kit.pick(result, "learning_rate", "lambda_max", "f0_share"),
        "linearized_kernel_disagreement": result.disagreement(),
        "diverged": diverged,
    }


def conclude(table: kit.Table) -> kit.Conclusion:
    """Times to leave, gaps and their exponents for every batch size and momentum, and a verdict on the first."""
    numbers: kit.Numbers = {}
    arms, full, short = _arms(table), table[table["batch"] == "full"], kit.losses.words_of(table).short
    for place, arm in enumerate(arms):
        batch, own = arm.value, {"arm": arm.name}
        for level, (leaves, censored) in COLUMNS.items():
            numbers[LEAVING[level](batch, **own)] = kit.median_time(arm.rows, leaves, censored)
            numbers[DEGREES[level](batch, **own)] = kit.threshold_degree(arm.rows, leaves, censored)
        numbers[ERROR[short](batch, **own)] = kit.of_most(kit.widest(arm.rows)[f"{short}_{MAIN:g}"], "leave")
        for tau, name in GAPS.items():
            slope, gap, ratio = _gaps(arm.rows, full, name)
            main = GAP_SLOPE(tau) if place == 0 else GAP_SLOPE(tau, batch, **own)
            numbers |= {main: slope, GAP(tau, batch, **own): gap}
            numbers |= {} if batch == "full" else {OVER_FULL(tau, batch, **own): ratio}
    return kit.Conclusion(numbers, verdict(numbers, [arm for arm in arms if not arm.name]))


def _arms(table: kit.Table) -> list[kit.Arm]:
    """Each batch size, which is the value, under each readout and momentum, which are named but for the first ones."""
    batches = table["batch"].astype(str)  # a file without "full" is read as numbers
    labels = {batch: "full batches" if batch == "full" else f"batches of {batch}" for batch in batches}
    momenta = kit.split(table, "momentum", suffix=lambda beta: f"momentum_{beta:g}")
    groups = dict(iter(table.assign(batch=batches).groupby(["readout", "momentum", "batch"])))
    return [
        kit.Arm(groups[place], batch, ".".join(filter(None, (momentum.name, readout.name))), label)
        for readout in kit.by_readout(table)
        for momentum in momenta
        for batch, label in labels.items()
        if (place := (readout.value, momentum.value, batch)) in groups
    ]


def _gaps(rows: kit.Table, full: kit.Table, name: str) -> list[kit.Number]:
    """Exponent of the gap up to one kernel time, its mean at the largest width, and its ratio to full batches'."""
    if not rows[name].notna().any():
        return [kit.Number.none("no run reached this kernel time: it ended before, or diverged")] * 3
    last = kit.widest(rows)
    return [kit.exponent(rows, name), kit.Number.geometric(last[name]), kit.paired_ratio(last, full, name, SAME)]


def verdict(numbers: kit.Numbers, arms: Sequence[kit.Arm]) -> str:
    """How long the picture holds for each batch size, how that grows with the width, and what small batches add."""
    main, width = arms[0], max(int(arm.rows["width"].max()) for arm in arms)
    times = [f"{kit.format_number(numbers[LEAVING[MAIN](arm.value)])} with {arm.label}" for arm in arms]
    words = kit.losses.words_of(main.rows)
    errors = {arm.label: numbers[ERROR[words.short](arm.value)] for arm in arms}
    left = [f"{kit.percent(error)} with {label}" for label, error in errors.items() if error.value is not None]
    first = f"At width {width} the kernel time at which the test gap exceeds {MAIN:g} of {words.unit} is {{}}."
    parts = [kit.fill(first, times), kit.fill("Relative to its initial value, the training error is then {}.", left)]
    degree, gap = numbers[DEGREES[MAIN](main.value)], numbers[GAP_SLOPE(WATCHED)]
    until, flat = f"The gap up to kernel time {WATCHED}", "no trend is visible at this size"
    trend = kit.compare(degree, 0.0, above="it increases", below="it decreases", around=flat)
    growth = f"The kernel time to a gap of {MAIN:g} scales as {kit.power(degree)}; {trend}."
    parts.append(growth if degree.value is not None else f"No exponent of the time could be fitted: {degree.reason}.")
    if gap.value is not None:
        parts.append(f"{until} scales as {kit.power(gap)}; {kit.compare_with_theory(gap, THEORY)}.")
    ratio = numbers.get(OVER_FULL(WATCHED, main.value))
    if ratio is not None and ratio.value is not None:
        noise = kit.compare(ratio, 1.0, above="SGD noise increases it", below="SGD noise decreases it")
        parts.append(f"{until} with {main.label} is {kit.format_number(ratio)} times that with full batches; {noise}.")
    return kit.sentences(*parts)


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    """The gap over kernel time for each batch size and width; the time to leave, and the gap, against the width."""
    arms = [arm for arm in _arms(results.table) if not arm.name]
    title = kit.finding(conclusion.verdict, "at which the test gap exceeds", otherwise=STRAYED)
    unit, drawn = kit.losses.words_of(results.table).unit, partial(_draw_gap, results)
    ylabel = f"largest test gap so far\n(units of {unit})"
    gap = kit.figures.panel_per_arm(arms, drawn, title=title, ylabel=ylabel, named="{}", size=(4.4, 4.2), columns=2)
    gap.axes[0].set_ylim(bottom=1e-3)
    lab.figures.estimates.across(gap.axes, list(LEAVING))
    return {"gap": gap, "time_to_leave": _draw_leaving(arms, conclusion, unit)}


def _draw_gap(results: kit.Results, ax: kit.Axes, arm: kit.Arm) -> None:
    """The largest gap so far of the runs that did not diverge, one curve for each width."""
    widths, curves = list(arm.rows.groupby("width")), []
    for (width, rows), color in zip(widths, lab.figures.style.shades(len(widths)), strict=True):
        runs = kit.records.arrays_of(results, rows[~rows["diverged"].astype(bool)], "batch", *SAME)
        if runs:
            shown = runs[0]["kernel_time"] >= 0.49  # about one step of full batches
            gaps = [np.fmax.accumulate(run["gap_test"])[shown] for run in runs]
            curves.append((f"width {width}", kit.curve(runs[0]["kernel_time"][shown], gaps, log=True), color))
    kit.figures.whiskers(lab.figures.curves.log_axes(ax), curves)
    ax.set_xlabel("kernel time τ (critical steps over the full batch)")


def _draw_leaving(arms: Sequence[kit.Arm], conclusion: kit.Conclusion, unit: str) -> kit.Figure:
    style, columns = lab.figures.style, COLUMNS[MAIN]
    figure, axes = style.panels(2, size=(5.2, 4.8))
    times, gaps = axes[0]
    for place, (arm, color, marker) in enumerate(zip(arms, style.QUANTITIES, style.MARKERS, strict=False)):
        shift, law = 0.97 + 0.03 * place, kit.power_law(arm.rows, GAPS[WATCHED])
        median = conclusion.numbers[LEAVING[MAIN](arm.value)]
        kit.figures.times(times, arm.rows, columns, median, color, shift, marker=marker, label=arm.label)
        kit.figures.power_law(gaps, law, color, arm.label, shift, marker)
    lab.figures.curves.width_axis(times, law.x)
    times.set_ylabel(f"kernel time τ when the gap exceeds {MAIN:g}\n(median; open triangle: never)")
    gaps.set_ylabel(f"largest test gap up to τ = {WATCHED}\n(units of {unit})")
    lab.figures.labels.name_curves(figure)
    style.headline(figure, kit.finding(conclusion.verdict, "scales as", otherwise="How long the linear picture holds"))
    return figure
