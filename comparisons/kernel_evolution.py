"""When does the kernel stop moving, and is the kernel after training a better one?

A network descends by full batches until its training error is 1e-3 of the first. On the way the tangent kernel K_t is
taken on fixed probes, the first test samples. Its motion is the angle to K₀; its velocity in a phase is the angle
between the kernels at both ends over the kernel time between, which depends less on the spacing of looks than rates of
1 − cos do. Phases end at ½ and 0.1 of the first training error, and at the end. With large steps, c > 1, the error
first rises (a catapult); phases then count from the last step at which it is above the first one.

What a kernel is worth is the test error of kernel regression on the targets, from 0 and without early stopping. A
quarter of the labelled samples are set aside before training in every arm and choose the ridge penalty. A network has
no such choice, so that errors with the smallest penalty stand beside. A seed draws the network and its own samples.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

import numpy as np
from annotated_types import Gt, Lt

import lab
from comparisons import kit
from lab.costs import tangent_kernel, training_step

question = "When does the kernel stop moving, and is the kernel after training a better one?"
asked_by = "R1, R3"
version = 1

PHASES = {"early": "error 1 to 0.5", "middle": "error 0.5 to 0.1", "late": "error 0.1 to the end"}
KERNELS = {"init": "K₀", "half": "the kernel at a tenth of the training error", "after": "the kernel at the end"}
LEARNERS = {name: f"kernel regression with {text}" for name, text in KERNELS.items()} | {"network": "the network"}
_MOVED = {name: KERNELS[name] for name in ("half", "after")}
_SPEED = "Angle between the kernels at the ends of this phase over its kernel time, in rad per unit of τ: {}."
_DISTANCE = "1 − cos of the angle between kernels 2 units of τ apart (Fort et al. 2020) where this phase begins: {}."
_ERROR = "Mean (f − y)² over the test set in units of mean (y − ȳ)² there: {}"
_PLAIN = "The same error of kernel regression with the smallest penalty, 1e-9 λ_max: {}."
FAMILIES = {  # by the first part of the names of their columns
    "velocity": kit.family("velocity", template=_SPEED, meanings=PHASES),
    "distance": kit.family("distance", template=_DISTANCE, meanings=PHASES),
    "angle": kit.family("angle", template="Angle in radians between K₀ and {}.", meanings=_MOVED),
    "error": kit.family("error", template=f"{_ERROR}.", meanings=LEARNERS),
    "plain": kit.family("error_without_ridge", template=_PLAIN, meanings=KERNELS),
}
MOVED = kit.Quantity("moved", "half", meaning="Angle to K₀ at a tenth of the training error over that at the end.")
_SETTLES = "Training error, over the first, from which on the angle to K₀ is 0.9 of its final value or more."
SETTLES = kit.Quantity("settles_at", meaning=_SETTLES)
_ALIGNED = "Centred alignment with the targets on the probes, which are not trained on: {}."
ALIGNMENTS = kit.family("alignment", template=_ALIGNED, meanings=KERNELS)
ALIGNMENT_GAIN = kit.Quantity("alignment_gain", meaning="Alignment at the end minus that of K₀, paired by seed.")
PAIRS = {name: (name, "init") for name in ("half", "after", "network")} | {"network_over_after": ("network", "after")}
_OVER = {name: f"{LEARNERS[over]} over {LEARNERS[under]}" for name, (over, under) in PAIRS.items()}
_RATIO = "Ratio of test errors at this width, paired by seed: {}"
RATIOS = {"error": kit.family("ratio", template=f"{_RATIO}.", meanings=_OVER)}
RATIOS["plain"] = kit.family("ratio_without_ridge", template=f"{_RATIO}, smallest penalty.", meanings=_OVER)
_SLOPES = {f"velocity_{name}": f"the velocity, {text}" for name, text in PHASES.items()} | {"angle_after": "the angle"}
EXPONENTS = kit.family("exponent", template="Slope on log(width) of the log of {}.", meanings=_SLOPES)
NOISE_FLOOR = kit.Quantity("noise_floor", meaning="Largest angle between K₀ and itself from probes in another order.")
REACHED = kit.Quantity("reached", meaning="Share of all runs that reached the last training error.")
CAPTIONS = {
    "angle": "How far the kernel has turned when the training error has fallen to a share of the first; training runs "
    f"to the right. A kernel that has settled is a flat line. {kit.marks.BANDS}",
    "velocity": f"Velocity of the kernel in each phase of training, against the width. {kit.marks.LAWS}",
    "settling": f"Training error from which on the kernel stays: early above the dashed line. {kit.marks.BARS}",
    "errors": f"Test error over that of kernel regression with K₀, paired by seed: below 1 is better. {kit.marks.BARS}",
}

SPACING = 2.0  # kernel time between the two kernels of a distance
USUAL = 500.0  # kernel time to the last error, for the forecast
TENTH = 0.1  # training error that parts early from late
STEPS = {"small": ("#0072B2", "o-"), "large": ("#D55E00", "s--")}
SPEEDS = dict(zip(PHASES, (("#0072B2", "o"), ("#D55E00", "^"), ("#009E73", "v")), strict=True))
ERRORS = {"half": ("#C08400", "D-."), "after": ("#D55E00", "^--"), "network": ("#0072B2", "o-")}


@dataclass(frozen=True)
class Settings(kit.networks.CentredSettings):
    """Settings of the evolution of the kernel: those of `CentredSettings`, a large rate, the end, and the probes."""

    samples: Annotated[int | None, kit.doc("Labelled samples, a quarter to validate, and as many to test.")] = 64
    widths: kit.networks.Widths = (64, 128, 256, 512)
    seeds: Annotated[kit.Count, kit.CHOOSES, kit.doc("Number of networks, each with samples of its own.")] = 8
    critical_fraction: Annotated[kit.Share, kit.doc("Small learning rate c, in units of the critical one.")] = 0.25
    large_fraction: Annotated[float, Gt(1), kit.doc("Large learning rate c, at which the error first rises.")] = 2.0
    goal: Annotated[float, Gt(0), Lt(TENTH), kit.doc("Training error at the end, as a share of the first.")] = 1e-3
    patience: Annotated[kit.Positive, kit.doc("Budget, in steps of the linear model to that error.")] = 4.0
    probes: Annotated[kit.Count, kit.doc("Test samples, at most, on which the kernel is followed.")] = 48


PRESETS = {
    "fast": Settings(samples=48, widths=(32, 64, 128), seeds=3, goal=1e-2),
    "default": Settings(),
    "full": Settings(samples=160, widths=(64, 128, 256, 512, 1024, 2048), seeds=20, critical_fraction=0.1),
}


@dataclass(frozen=True, kw_only=True)
class Cell(kit.networks.CentredCell):
    """One network at one rate; the seed draws its samples, too."""

    goal: float
    patience: float
    probes: int


def cells(settings: Settings) -> list[Cell]:
    """One cell for every readout, width, seed and rate."""
    every = settings.grid(Cell, critical_fraction=(settings.critical_fraction, settings.large_fraction))
    return [replace(cell, data_seed=cell.data_seed + cell.seed) for cell in every]


def cost(cell: Cell) -> kit.Cost:
    """Flops of the usual number of steps and of a hundred kernels on the probes; bytes of weights and kernels."""
    task, kernels = kit.tasks.size_of(cell), kit.networks.kernel_cost(cell, 3)
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
    numbers[REACHED()] = kit.Number.share(table["exit"] == "reached")
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
    found[MOVED()], gain = average(last["moved_half"]), last["alignment_after"] - last["alignment_init"]
    found[ALIGNMENT_GAIN()] = kit.over_finite(gain, kit.Number.mean)
    found |= {key(): kit.exponent(rows, column) for column, key in EXPONENTS.items()}
    for width in _widths(arm):
        part = rows[rows["width"] == width]
        found[SETTLES(width)] = average(part["settles_at"])
        for (kind, keys), (name, (over, under)) in itertools.product(RATIOS.items(), PAIRS.items()):
            found[keys[name](width)] = average(part[f"{kind}_{over}"] / part[f"{kind}_{under}"])
    return found


def verdict(numbers: kit.Numbers, arms: Sequence[kit.Arm]) -> str:
    """When the kernel settles, how fast it is in each phase, and what it is worth, at both rates."""
    all_but = "" if numbers[REACHED()].value == 1 else f"{kit.percent(numbers[REACHED()])} of the runs reached the end."
    return kit.sentences(*(part(numbers, arm) for part in (_motion, _worth) for arm in arms), all_but)


def _motion(numbers: kit.Numbers, arm: kit.Arm) -> str:
    width, angle = _widths(arm)[-1], numbers[FAMILIES["angle"]["after"](arm=arm.name)]
    settles, moved = numbers[SETTLES(width, arm=arm.name)], numbers[MOVED(arm=arm.name)]
    if settles.value is None:
        return f"With {arm.label}, the kernel cannot be followed to the end: {settles.reason}."
    places = {"above": "early, as in Fort et al. 2020", "below": "late, as in Vyas et al. 2022"}
    place = kit.compare(settles, TENTH, **places, around="neither visibly before nor after a tenth of the error")
    speeds = [kit.format_number(numbers[key(arm=arm.name)]) for key in FAMILIES["velocity"].values()]
    return kit.sentences(
        f"With {arm.label}, at width {width}, the kernel turns by {kit.format_number(angle)} rad and settles when the "
        f"training error is {kit.format_number(settles)} of the first: {place}.",
        f"At a tenth of the error it has made {kit.percent(moved)} of its way.",
        kit.fill("Its velocity in the three phases of training is {} rad per unit of kernel time.", speeds),
        f"The angle scales as {kit.power(numbers[EXPONENTS['angle_after'](arm=arm.name)])}.",
    )


def _worth(numbers: kit.Numbers, arm: kit.Arm) -> str:
    words, width = {"below": "better", "above": "worse"}, _widths(arm)[-1]
    kernel, network = (numbers[RATIOS["error"][name](width, arm=arm.name)] for name in ("after", "network_over_after"))
    if kernel.value is None:
        return ""
    return (
        f"With {arm.label}, the kernel after training has {kit.format_number(kernel)} times the test error of K₀ "
        f"({kit.compare(kernel, 1.0, **words)}), and the network {kit.format_number(network)} times that of the kernel "
        f"after training ({kit.compare(network, 1.0, **words)})."
    )


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    """Angle against training error, velocities against the width, where the kernel settles, and errors over K₀'s."""
    arms, numbers = _arms(results.table)[:2], dict(conclusion.numbers)
    panels = partial(kit.figures.panel_per_arm, arms, named="{}", columns=2)
    angle, speed = "angle between $K_t$ and $K_0$ (rad)", "velocity (rad per unit of kernel time τ)"
    ratio, settling = "test error over that of $K_0$", partial(_draw_settling, numbers)
    return {
        "angle": panels(partial(_draw_angle, results), title="How far the kernel turns", ylabel=angle),
        "velocity": panels(_draw_velocity, title="How fast the kernel turns", ylabel=speed, columns=1),
        "settling": kit.figures.panels([arms], settling, title="When the kernel settles", size=(6.4, 4.5)),
        "errors": panels(partial(_draw_errors, numbers), title="What kernels and networks are worth", ylabel=ratio),
    }


def _draw_angle(results: kit.Results, ax: kit.Axes, arm: kit.Arm) -> None:
    """The angle at each width against the training error, after the last step at which it is above the first."""
    widths = list(arm.rows[arm.rows["exit"] == "reached"].groupby("width"))
    for (width, rows), color in zip(widths, lab.figures.style.shades(len(widths)), strict=True):
        runs = kit.records.arrays_of(results, rows, "readout", "critical_fraction", "width", "seed")
        errors = [run["mse"] / run["mse"][0] for run in runs]
        levels = np.geomspace(1, max(error[-1] for error in errors), 60)
        falling = partial(lab.measures.settling.when_falling, levels=levels)
        angles = [falling(error, run["angle"]) for error, run in zip(errors, runs, strict=True)]
        kit.figures.band(ax, kit.curve(levels, angles, log=True), color, f"width {width}", linewidth=1.8)
    lab.figures.curves.ticks_at(ax, [1, 0.1, 0.01, 0.001]).set_xlabel("training error over the first   (training →)")
    lab.figures.curves.log_axis(ax.yaxis)
    ax.invert_xaxis()


def _draw_velocity(ax: kit.Axes, arm: kit.Arm) -> None:
    for place, (name, (color, marker)) in enumerate(SPEEDS.items()):
        law = kit.power_law(arm.rows, f"velocity_{name}")
        kit.figures.power_law(ax, law, color, PHASES[name], 0.96 * 1.04**place, marker)


def _draw_settling(numbers: kit.Numbers, ax: kit.Axes, arms: Sequence[kit.Arm]) -> None:
    for place, (arm, style) in enumerate(zip(arms, STEPS.values(), strict=False)):
        _points(ax, {m: numbers[SETTLES(m, arm=arm.name)] for m in _widths(arm)}, 0.98 * 1.04**place, *style, arm.label)
    lab.figures.curves.reference(ax, TENTH, "", horizontal=True)
    ax.set_ylabel("training error, over the first,\nwhen the kernel settles")


def _draw_errors(numbers: kit.Numbers, ax: kit.Axes, arm: kit.Arm) -> None:
    for place, (name, style) in enumerate(ERRORS.items()):
        found = {m: numbers[RATIOS["error"][name](m, arm=arm.name)] for m in _widths(arm)}
        _points(ax, found, 0.96 * 1.04**place, *style, LEARNERS[name])
    lab.figures.curves.reference(ax, 1.0, "", horizontal=True)


def _points(ax: kit.Axes, found: dict[int, kit.Number], by: float, color: str, line: str, label: str) -> None:
    """Numbers by width, moved sideways by a factor."""
    kit.figures.points(ax, [by * width for width in found], list(found.values()), color, label, fmt=line)
    lab.figures.curves.width_axis(ax, np.array(list(found)))


def _widths(arm: kit.Arm) -> list[int]:
    return sorted(arm.rows["width"].unique().tolist())
