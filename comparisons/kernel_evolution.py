"""When does the kernel stop moving, and is the kernel after training a better one?

A network descends by full batches to 1e-3 of its first training error. On the way the tangent kernel K_t is taken on
fixed probes, the first test samples. Its motion is the angle to K₀; its velocity in a phase is the angle between the
kernels at both ends over the kernel time between, which depends less on the spacing than a rate of 1 − cos. Phases end
at ½ and 0.1 of the first error, and at the end. With large steps, c > 1, the error first rises (a catapult); phases
then count from the last step at which it is above the first one.
A kernel is judged by the test error of kernel regression on the targets, from 0 and without early stopping. A quarter
of the labelled samples are set aside before training in every arm and choose the ridge penalty. "resumed" starts from
the network's outputs after the rise, as the network itself does. A seed draws the network and its own samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
from annotated_types import Gt, Lt

import lab
from comparisons import kit
from lab.costs import tangent_kernel, training_step

question = "When does the kernel stop moving, and is the kernel after training a better one?"
asked_by = "R1, R3"
version = 2

PHASES = {"early": "error 1 to 0.5", "middle": "error 0.5 to 0.1", "late": "error 0.1 to the end"}
KERNELS = {"init": "K₀", "half": "the kernel at a tenth of the training error", "after": "the kernel at the end"}
LEARNERS = {name: f"kernel regression with {text}" for name, text in KERNELS.items()} | {"network": "the network"}
LEARNERS["resumed"] = "the last kernel, from the outputs after the error rose"
_SPEED = "Angle between the kernels at the ends of this phase over its kernel time, in rad per unit of τ: {}."
_DISTANCE = "1 − cos of the angle between kernels 2 units of τ apart (Fort et al. 2020) where this phase begins: {}."
_ERROR = "Mean (f − y)² over the test set in units of mean (y − ȳ)² there: {}"
_PLAIN = "The same error of kernel regression with the smallest penalty, 1e-9 λ_max: {}."
FAMILIES = {  # by the first part of the names of their columns
    "velocity": kit.family("velocity", template=_SPEED, meanings=PHASES),
    "distance": kit.family("distance", template=_DISTANCE, meanings=PHASES),
    "angle": kit.family("angle", template="Angle in radians between K₀ and {}.", meanings=dict([*KERNELS.items()][1:])),
    "error": kit.family("error", template=f"{_ERROR}.", meanings=LEARNERS),
    "plain": kit.family("error_without_ridge", template=_PLAIN, meanings=KERNELS),
}
_ALIGNED = "Centred alignment with the targets on the probes, which are not trained on: {}."
ALIGNMENTS = kit.family("alignment", template=_ALIGNED, meanings=KERNELS | {"gain": "at the end minus K₀, by seed"})
_SETTLING = {"settles_at": "Training error over the first", "settles_within": "Share of the kernel time"}
_FROM = "{} from which on the angle to K₀ is 0.9 of its final value or more, at this width."
SETTLING = kit.family(template=_FROM, meanings=_SETTLING)
PAIRS = {name: (name, "init") for name in LEARNERS if name != "init"} | {"after_over_half": ("after", "half")}
PAIRS |= {f"network_over_{name}": ("network", name) for name in ("after", "resumed")}
_OVER = {name: f"{LEARNERS[over]} over {LEARNERS[under]}" for name, (over, under) in PAIRS.items()}
_RATIO = "Ratio of test errors, paired by seed, at this width or averaged in logs over all: {}."
RATIOS = kit.family("ratio", template=_RATIO, meanings=_OVER)
_SLOPES = {f"velocity_{name}": f"the velocity, {text}" for name, text in PHASES.items()} | {"angle_after": "the angle"}
EXPONENTS = kit.family("exponent", template="Slope on log(width) of the log of {}.", meanings=_SLOPES)
NOISE_FLOOR = kit.Quantity("noise_floor", meaning="Largest angle between K₀ and itself from probes in another order.")
REACHED = kit.Quantity("reached", meaning="Share of all runs that reached the last training error.")
HEADLINES: tuple[str, ...] = ("settles_within.#", "settles_at.#", "angle.after", "exponent.angle_after", "ratio.after")
HEADLINES += ("ratio.after_over_half", "ratio.network_over_after.large", "ratio.network_over_resumed.large")
CAPTIONS = {
    "angle": "How far the kernel has turned when the training error has fallen to a share of the first; training runs "
    f"to the right. A kernel that has settled is a flat line. {kit.marks.BANDS}",
    "velocity": f"Velocity of the kernel in each phase of training, against the width. {kit.marks.LAWS}",
    "settling": f"Training error from which on the kernel stays: early above the dashed line. {kit.marks.BARS}",
    "errors": f"Test error over that of kernel regression with K₀, paired by seed: below 1 is better. {kit.marks.BARS}",
}

SPACING, USUAL = 2.0, 500.0  # kernel time between the two kernels of a distance, and to the end for the forecast
TENTH, HALF, NEITHER = 0.1, 0.5, "neither early nor late"  # training error, and share of the time, between the two
IN_ERROR = partial(kit.compare, level=TENTH, above="early: above a tenth", below="late: below a tenth", around=NEITHER)
IN_TIME = partial(IN_ERROR, level=HALF, above="late: in the second half", below="early: in the first half")
BETTER = partial(kit.compare, level=1.0, below="better", above="worse")
STEPS = {"small": ("#0072B2", "o-"), "large": ("#D55E00", "s--")}
ERRORS = {"half": ("#C08400", "D-."), "after": ("#D55E00", "^--")}
ERRORS |= {"resumed": ("#6b6b6b", "v:"), "network": ("#0072B2", "o-")}
OTHERS = {"after": "K₀", "after_over_half": "the kernel at a tenth of the error"}
OTHERS |= {"network_over_after": "the last kernel", "network_over_resumed": "it from the outputs after the error rose"}
CITED = "Fort and others (2020) saw kernels settle in a few epochs, Vyas and others (2022) move for most of training."


@dataclass(frozen=True)
class Settings(kit.networks.CentredSettings):
    """Settings of the evolution of the kernel: those of `CentredSettings`, a large rate, the end, and the probes."""

    samples: Annotated[int | None, kit.doc("Labelled samples, a quarter to validate, and as many to test.")] = 64
    widths: kit.networks.Widths = (64, 128, 256, 512)
    seeds: kit.Seeds = 8
    critical_fraction: Annotated[kit.Share, kit.doc("Small learning rate c, in units of the critical one.")] = 0.25
    large_fraction: Annotated[float, Gt(1), kit.doc("Large learning rate c, at which the error first rises.")] = 2.0
    goal: Annotated[float, Gt(0), Lt(TENTH), kit.doc("Training error at the end, as a share of the first.")] = 1e-3
    patience: Annotated[kit.Positive, kit.doc("Budget, in steps of the linear model to that error.")] = 4.0
    probes: Annotated[kit.Count, kit.doc("Test samples, at most, on which the kernel is followed.")] = 48


PRESETS = {
    "fast": Settings(samples=48, widths=(32, 64, 128), seeds=(6, 4, 4), goal=1e-2),
    "default": Settings(seeds=(12, 8, 4, 8)),
    "full": Settings(samples=160, widths=(64, 128, 256, 512, 1024, 2048), seeds=20, critical_fraction=0.1),
}


@dataclass(frozen=True, kw_only=True)
class Cell(kit.networks.CentredCell):
    """One network at one rate."""

    goal: float
    patience: float
    probes: int


def cells(settings: Settings) -> list[Cell]:
    """One cell for every readout, width, seed and rate."""
    return settings.grid(Cell, critical_fraction=(settings.critical_fraction, settings.large_fraction))


def cost(cell: Cell) -> kit.Cost:
    """Flops of the usual number of steps and of a hundred kernels on the probes; bytes of weights and kernels."""
    task, kernels = kit.tasks.size_of(cell), kit.costs.kernel_cost(cell, 3)
    look = tangent_kernel(min(cell.probes, task.test), 0, 1, task.length, cell.width)
    step = training_step(task.samples * 3 // 4, task.length, cell.width)
    return (USUAL / cell.critical_fraction * step + 100 * look + kernels).holding(kernels.bytes)


def measure(cell: Cell) -> kit.Measured:
    """Follow the kernel of one network along its training, and see what the kernels are worth."""
    task, network = kit.networks.build(cell)
    validation = -(-len(task.train_inputs) // 4)
    task = lab.measures.validation.learners.hold_out(task, validation)
    probes = [part[validation : validation + cell.probes] for part in task.test_split]
    pace = kit.pick(cell, "critical_fraction", "goal", "patience") | {"spacing": SPACING}
    course = lab.measures.settling.follow_kernel(network, task, probes, **pace)
    row = kit.pick(cell, "readout", "critical_fraction", "width", "seed") | course.summary()
    return row | lab.measures.settling.held_out_errors(course, task, validation), course.arrays()


def conclude(table: kit.Table) -> kit.Conclusion:
    """Numbers of each readout at both rates, and a verdict on the first readout."""
    numbers, arms = kit.Numbers(), _arms(table)
    for arm in arms:
        numbers |= arm.keyed(_numbers(arm))
    numbers[REACHED()] = kit.Number.exact(float((table["exit"] == "reached").mean()), table["seed"].nunique())
    numbers[NOISE_FLOOR()] = kit.Number.exact(float(table["noise"].max()), table["seed"].nunique())
    return kit.Conclusion(numbers, verdict(numbers, arms[:2]))


def _arms(table: kit.Table) -> list[kit.Arm]:
    """Each readout at each rate, the small one first."""
    named = dict(zip(sorted(table["critical_fraction"].unique()), STEPS, strict=False))
    labels = {c: f"{name} steps, c = {c:g}" for c, name in named.items()}
    return [arm for one in kit.by_readout(table) for arm in one.split("critical_fraction", labels, named.__getitem__)]


def _numbers(arm: kit.Arm) -> kit.Numbers:
    """Numbers of one arm at its largest width, some of them at every width, and exponents."""
    rows, last, found, average = arm.rows, kit.widest(arm.rows), kit.Numbers(), partial(kit.of_most, verb="got there")
    for kind, keys in FAMILIES.items():
        found |= {key(): average(last[f"{kind}_{name}"]) for name, key in keys.items()}
    found |= {key(): kit.over_finite(last[f"alignment_{name}"], kit.Number.mean) for name, key in ALIGNMENTS.items()}
    found |= {key(): kit.exponent(rows, column) for column, key in EXPONENTS.items()}
    at = {m: rows["width"] == m for m in _widths(arm)}
    kinds = zip(SETTLING.items(), (average, partial(kit.over_finite, average=kit.Number.rate)), strict=True)
    found |= {key(m): each(rows.loc[at[m], name]) for (name, key), each in kinds for m in at}
    for name, (over, under) in PAIRS.items():
        ratios = rows[f"error_{over}"] / rows[f"error_{under}"]
        found[RATIOS[name]()] = kit.level(rows.assign(ratio=ratios), "ratio", "got there")
        found |= {RATIOS[name](m): average(ratios[here]) for m, here in at.items()}
    return found


def verdict(numbers: kit.Numbers, arms: Sequence[kit.Arm]) -> str:
    """When the kernel settles, how fast it is in each phase, and what it is worth, at both rates."""
    known = [arm for arm in arms if numbers[RATIOS["network"](_widths(arm)[-1], arm=arm.name)].value is not None]
    some = f"{kit.percent(numbers[REACHED()])} of the runs reached the last training error."
    motions, worths = ([part(numbers, arm) for arm in known] for part in (_motion, _worth))
    return kit.sentences(*motions, CITED if known else "", *worths, "" if numbers[REACHED()].value == 1 else some)


def _motion(numbers: kit.Numbers, arm: kit.Arm) -> str:
    width, angle = _widths(arm)[-1], numbers[FAMILIES["angle"]["after"](arm=arm.name)]
    error, time = (numbers[key(width, arm=arm.name)] for key in SETTLING.values())
    speeds = [kit.format_number(numbers[key(arm=arm.name)]) for key in FAMILIES["velocity"].values()]
    return kit.sentences(
        f"With {arm.label}, at width {width}, the kernel turns by {kit.format_number(angle)} rad. It settles when the "
        f"training error is {kit.format_number(error)} of the first ({IN_ERROR(error)}), after {kit.percent(time)} of "
        f"the training time ({IN_TIME(time)}).",
        kit.fill(f"With {arm.label}, the kernel's velocity in the phases is {{}} rad per unit of kernel time.", speeds),
        kit.fill("{}.", kit.scalings(numbers, {"The angle scales": EXPONENTS["angle_after"](arm=arm.name)})),
    )


def _worth(numbers: kit.Numbers, arm: kit.Arm) -> str:
    known = {name: numbers[RATIOS[name](arm=arm.name)] for name in OTHERS}
    told = [f"{kit.format_number(known[n])} times that of {text} ({BETTER(known[n])})" for n, text in OTHERS.items()]
    last = f"With {arm.label}, over all widths, regression with the last kernel has a test error that is {{}}."
    return kit.sentences(
        kit.fill(last, told[:2]), kit.fill("That of the network is {}.", told[2 : 4 if arm.name else 3])
    )


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    """Angle against training error, velocities against the width, where the kernel settles, and errors over K₀'s."""
    arms, numbers = _arms(results.table)[:2], dict(conclusion.numbers)
    panels = partial(kit.figures.panel_per_arm, arms, named="{}", columns=2)
    angle, speed = "angle between $K_t$ and $K_0$ (rad)", "velocity (rad per unit of kernel time τ)"
    colors, ratio = zip(PHASES.items(), lab.figures.style.QUANTITIES, strict=False), "test error over that of $K_0$"
    speeds = {f"velocity_{name}": (text, color) for (name, text), color in colors}
    velocity, settling = kit.figures.power_laws(speeds, kit.power_law), partial(_draw_settling, numbers)
    turns, fast = (kit.finding(conclusion.verdict, each, otherwise=question) for each in ("turns by", "velocity"))
    settled = {arm.label: numbers[SETTLING["settles_at"](_widths(arm)[-1], arm=arm.name)] for arm in arms}
    last = {arm.label: numbers[RATIOS["after"](arm=arm.name)] for arm in arms}
    worth = kit.fill("Test error of the last kernel over that of K₀: {}", kit.for_each(last, kit.format_number, BETTER))
    settles = kit.fill("Kernels settle at {} of the first error", kit.for_each(settled, kit.format_number, IN_ERROR))
    return {
        "angle": panels(partial(_draw_angle, results), title=turns, ylabel=angle),
        "velocity": panels(velocity, title=fast, ylabel=speed, columns=1),
        "settling": kit.figures.panels([arms], settling, title=settles or question, size=(8.4, 4.5)),
        "errors": panels(partial(_draw_errors, numbers), title=worth or question, ylabel=ratio),
    }


def _draw_angle(results: kit.Results, ax: kit.Axes, arm: kit.Arm) -> None:
    """The angle at each width against the training error, after the last step at which it is above the first."""
    widths = list(arm.rows[arm.rows["exit"] == "reached"].groupby("width"))
    for (width, rows), color in zip(widths, lab.figures.style.shades(len(widths)), strict=True):
        runs = kit.records.arrays_of(results, rows, "readout", "critical_fraction", "width", "seed")
        errors = [run["mse"] / run["mse"][0] for run in runs]
        levels = np.geomspace(1, max(error[-1] for error in errors), 60)
        falling = partial(lab.measures.settling.when_falling, levels=levels)
        angles = list(map(falling, errors, [run["angle"] for run in runs]))
        kit.figures.band(ax, kit.curve(levels, angles, log=True), color, f"width {width}", linewidth=1.8)
    lab.figures.curves.ticks_at(ax, [1, 0.1, 0.01, 0.001]).set_xlabel("training error over the first   (training →)")
    lab.figures.curves.log_axis(ax.yaxis)
    ax.invert_xaxis()


def _draw_settling(numbers: kit.Numbers, ax: kit.Axes, arms: Sequence[kit.Arm]) -> None:
    for place, (arm, style) in enumerate(zip(arms, STEPS.values(), strict=False)):
        found = {m: numbers[SETTLING["settles_at"](m, arm=arm.name)] for m in _widths(arm)}
        _points(ax, found, style, arm.label, place)
    lab.figures.curves.reference(ax, TENTH, "", horizontal=True)
    ax.set_ylabel("training error, over the first,\nwhen the kernel settles")


def _draw_errors(numbers: kit.Numbers, ax: kit.Axes, arm: kit.Arm) -> None:
    for place, (name, style) in enumerate(ERRORS.items()):
        found = {m: numbers[RATIOS[name](m, arm=arm.name)] for m in _widths(arm)}
        _points(ax, found, style, LEARNERS[name], place)
    lab.figures.curves.reference(ax, 1.0, "", horizontal=True)


def _points(ax: kit.Axes, found: Mapping[int, kit.Number], style: tuple[str, str], label: str, place: int) -> None:
    places = [m * 0.97 * 1.03**place for m in found]  # side by side
    kit.figures.points(ax, places, list(found.values()), style[0], label, fmt=style[1])
    lab.figures.curves.width_axis(ax, np.array(list(found)))


def _widths(arm: kit.Arm) -> list[int]:
    return sorted(arm.rows["width"].unique().tolist())
