"""What does each of the matrices W, A and B contribute, and are random weights nearly optimal as they are?

Arms train one, two or all of the three matrices, each with its own critical rate and to one kernel time τ, so that
equal τ means equal progress along each arm's own fastest direction. Their outputs are centred, f(θ) − f(θ₀).
A second experiment follows W away from its random start without centring, since the error of the random network itself
is of interest, and compares that with the straight line from W₀ to another random draw W₀′.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Literal

import numpy as np

import lab
from comparisons import kit
from lab.errors import refuse

question = "What does each of the matrices W, A and B contribute, and are random weights nearly optimal as they are?"
asked_by = "R3"
version = 3

_TRAINED = {
    "loss": "Median over seeds of the arm's mean (f − y)² at τ, in units of the first one.",
    "reached": "Share of seeds in which mean (f − y)² falls below the target.",
    "linear_time": "Kernel time at which the arm's own linear model is below the target, in closed form.",
    "gap": "Largest test gap |network − linearized| of the arm; f is linear in B: that of B is 0 up to rounding.",
    "motion_over_prediction": "‖θ_T − θ₀‖ over √(r₀ᵀK⁻¹(I − (I − ηK)^T)² r₀), the motion of the linear model.",
}
TRAINED = kit.family(meanings=_TRAINED)
_BLOCK = {
    "trace_share": "Share of a block in the trace of the tangent kernel K = K_W + K_A + K_B.",
    "lambda_min": "Smallest eigenvalue over m. In the paper's parametrization K_W and K_A grow like m, K_B not.",
    "trace_share_limit": "Share of a block in the trace of the infinite-width kernel (lab.infinite_ntk).",
    "lambda_min_limit": "Smallest eigenvalue over m of a block's infinite-width kernel.",
}
BLOCK = kit.family(meanings=_BLOCK)
NEAR = "distance_over_random"
_START = {
    "loss_init": "Mean (f − y)² at W₀ over mean y², the error of predicting 0; not centred, as all of these.",
    "loss_random": "The same error at an independent draw W₀′ with the same A and B.",
    "loss_end": "The same error at τ, with W trained.",
    NEAR: "‖W_T − W₀‖_F/‖W₀′ − W₀‖_F: how far training goes, over how far two draws are apart.",
}
START = kit.family(meanings=_START)
MEANING = f"Slope of log({NEAR}) on log(width): −1 if the motion falls as m^(−½); two draws are about 2√m apart."
EXPONENT = kit.Quantity("exponent", NEAR, meaning=MEANING)

Trained = Literal["W", "A", "B", "WA", "WB", "AB", "WAB"]
Labels = Literal["task", "random"]
ARMS: tuple[Trained, ...] = ("W", "A", "B", "WA", "WB", "AB", "WAB")
BLOCKS = ARMS[:3]
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#3A96C9", "#C08400", "#000000")  # of the arms
AXES = ("readout", "width", "seed", "labels", "arm")  # columns that identify a cell
KINDS: tuple[Labels, ...] = ("task", "random")
AVERAGES = {"loss": kit.Number.median, "reached": kit.Number.share}  # others: geometric
DRAWN = {"trace_share": "share of the trace of K", "lambda_min": "smallest eigenvalue over m"}
HEADLINES = ("reached.W", "reached.A", "reached.B", "reached.WAB", "distance_over_random", "loss_init", "loss_end")
CAPTIONS = {
    "kernel": f"What each matrix contributes to the tangent kernel; grey is infinite width. {kit.marks.BARS}",
    "losses": "Training error over kernel time for each set of trained matrices, in the seed of median error. A set "
    "whose curve comes down fits the data.",
    "near_and_far": "Error against the distance from W₀, in units of that to another random draw: blue along descent, "
    "dashed on the line to the other draw. Random weights are near good ones if descent ends far to the left.",
}
OTHER_DRAW = 2**31  # what is added to a seed for an independent draw
DISTANCE = "distance ‖W − W₀‖ over ‖W₀′ − W₀‖, that to another draw"
PATHS = ("descent from step 1 on, each seed", "trained", "straight to another random draw", "another random draw")


@dataclass(frozen=True)
class Settings(kit.networks.CentredSettings):
    """Settings of the frozen-layers comparison: those of `CentredSettings`, and what is trained on which labels."""

    widths: kit.networks.Widths = (64, 128, 256)
    arms: Annotated[kit.Choices[Trained], kit.doc("Sets of matrices to train, one arm each.")] = ARMS
    labels: Annotated[kit.Choices[Labels], kit.doc("Labels: those of the task, or random.")] = KINDS
    kernel_time: Annotated[kit.Positive, kit.doc("τ = ηtλ_max(K₀)/2 to which every arm trains.")] = 150.0
    target: Annotated[kit.Share, kit.doc("Share of the initial mse below which an arm fits the data.")] = 0.05

    def check(self) -> None:
        """Refuse trained matrices other than by arms."""
        super().check()
        if self.trained != kit.networks.CentredSettings().trained:
            refuse("trained", repr(self.trained), "its default, since the arms determine it", "set `arms` instead")


PRESETS = {
    "fast": Settings(widths=(32, 64), seeds=4, kernel_time=50.0, samples=24, arms=(*BLOCKS, "WAB")),
    "default": Settings(seeds=(8, 8, 12)),
    "full": Settings(widths=(64, 128, 256, 512, 1024), seeds=10, readouts=("last", "all")),
}


@dataclass(frozen=True, kw_only=True)
class Cell(kit.networks.CentredCell):
    """One set of trained matrices on one kind of labels; or, with the arm "start", W leaving its random start."""

    labels: Labels
    arm: Trained | Literal["start"]
    kernel_time: float
    target: float

    @property
    def steps(self) -> int:
        """Gradient steps to the kernel time."""
        return max(math.ceil(self.kernel_time / self.critical_fraction * (1 - 1e-12)), 1)


def cells(settings: Settings) -> list[Cell]:
    """One cell for every readout, width, seed, labels and arm, and one for the start with W trained, not centred."""
    every = settings.grid(Cell, labels=settings.labels, arm=(*settings.arms, "start"))
    leaving = {"trained": ("W",), "centred": False}
    return [replace(cell, **(leaving if cell.arm == "start" else {"trained": tuple(cell.arm)})) for cell in every]


def cost(cell: Cell) -> kit.Cost:
    """Flops of both trainings and four kernels; bytes of weights, Taylor weights, another draw and cached deltas."""
    return kit.costs.training_cost(cell, cell.steps, kernels=4, copies=5)


def measure(cell: Cell) -> kit.Measured:
    """Train one arm beside its linearization; or follow the uncentred network away from its random start."""
    task, network = kit.networks.build(cell)
    task = task.with_random_labels(cell.draw) if cell.labels == "random" else task
    row, arrays = (_leave_start if cell.arm == "start" else _train_arm)(cell, task, network)
    return {**kit.pick(cell, *AXES), **row}, arrays


def _train_arm(cell: Cell, task: lab.SequenceTask, network: lab.networks.network.Network) -> kit.Measured:
    assert isinstance(network, (lab.ElmanRNN, lab.Scaled))
    hitting, inputs = lab.measures.hitting, task.train_inputs
    result = lab.side_by_side(network, task, lab.Descent(cell.steps, cell.critical_fraction))
    kernels = {"": lab.empirical_ntk(network, inputs), "_limit": lab.infinite_ntk(network, inputs).double()}
    spectra = {mark: lab.kernels.spectrum.Spectrum(kernel) for mark, kernel in kernels.items()}
    residual, rate = result.linearized.train[0] - task.train_targets.flatten(1).numpy(), result.learning_rate
    assert rate is not None  # it is None under an optimizer of torch alone
    predicted = float(hitting.linear_motion(spectra[""], residual, rate, np.array([cell.steps]))[0])
    loss, linear = (each.loss / result.network.loss[0] for each in (result.network, result.linearized))
    row: kit.Row = {
        "loss": kit.finite(float(loss[-1])),
        "loss_linearized": kit.finite(float(linear[-1])),
        "reached": bool(loss[-1] < cell.target),
        "gap_test": kit.finite(float(result.gap("test").max())),
        "linear_time": hitting.hitting_time(spectra[""], residual, rate, cell.target),
        "motion_over_prediction": kit.ratio(result.motion.weight_motion, predicted),
    }
    for mark, each in spectra.items():
        values = {"trace": float(each.values.sum()), "lambda_min": each.lambda_min, "lambda_max": each.lambda_max}
        row |= {f"{name}{mark}": value / cell.width for name, value in values.items()}
    row |= {"learning_rate": rate, "diverged": kit.records.diverged(result)}
    return row, {"time": result.network.steps * cell.critical_fraction, "network": loss, "linearized": linear}


def _leave_start(cell: Cell, task: lab.SequenceTask, network: lab.networks.network.Network) -> kit.Measured:
    assert isinstance(network, lab.ElmanRNN)
    descent, places = lab.Descent(cell.steps, cell.critical_fraction), np.geomspace(1e-3, 1.0, 13)
    found = lab.measures.departure.departure(network, task, descent, cell.network_seed ^ OTHER_DRAW, places)
    row: kit.Row = {"loss_init": found.error[0], "loss_random": found.line_error[-1], "loss_end": None, NEAR: None}
    if found.diverged_at is None:
        row |= {"loss_end": found.error[-1], NEAR: found.distance[-1]}
    line = {"line_distance": found.line_distance, "line_mse": found.line_error}
    return {**row, "diverged": found.diverged_at is not None}, {"distance": found.distance, "mse": found.error, **line}


def conclude(table: kit.Table) -> kit.Conclusion:
    """Numbers of every readout and kind of labels at the largest width, and a verdict on the first of each."""
    numbers: kit.Numbers = {}
    for readout in kit.by_readout(table):
        numbers |= readout.keyed(_kernel_numbers(kit.widest(readout.rows)))
        for arm in readout.split("labels"):
            trained, starts = arm.rows[arm.rows["arm"] != "start"], arm.rows[arm.rows["arm"] == "start"]
            for name, key in TRAINED.items():
                rows = kit.widest(trained).rename(columns={"gap_test": "gap"})
                numbers |= kit.at_each(rows, "arm", {name: key}, arm.name, AVERAGES.get(name, kit.Number.geometric))
            if len(starts):
                found = {key(): kit.Number.geometric(kit.widest(starts)[name]) for name, key in START.items()}
                numbers |= arm.keyed(found | {EXPONENT(): kit.exponent(starts, NEAR)})
    return kit.Conclusion(numbers, verdict(numbers, int(table["width"].max())))


def _kernel_numbers(rows: kit.Table) -> kit.Numbers:
    """Shares of the trace and smallest eigenvalues, per seed, beside those of infinite width."""
    rows = rows[(rows["labels"] == rows["labels"].iloc[0]) & rows["arm"].isin((*BLOCKS, "WAB"))]
    numbers: kit.Numbers = {}
    for mark in ("", "_limit"):
        if set(BLOCKS) <= set(rows["arm"]):
            traces = kit.by_seed(rows, f"trace{mark}", "arm")
            shares = {block: traces[block] / (traces["W"] + traces["A"] + traces["B"]) for block in BLOCKS}
            numbers |= {BLOCK[f"trace_share{mark}"](block): kit.Number.rate(share) for block, share in shares.items()}
        least = f"lambda_min{mark}"
        numbers |= kit.at_each(rows, "arm", {least: BLOCK[least]}, average=kit.Number.geometric)
    return numbers


def verdict(numbers: kit.Numbers, width: int) -> str:
    """What the blocks contribute to the kernel, which arms fit, and whether random weights are near and good."""
    missing, same = kit.Number.none("not measured"), "no difference in error is visible"
    trace, fits = (
        kit.joined([f"{kit.percent(numbers.get(key(block), missing))} for {block}" for block in BLOCKS])
        for key in (BLOCK["trace_share"], TRAINED["reached"])
    )
    init, end, distance = (numbers.get(START[name](), missing) for name in ("loss_init", "loss_end", NEAR))
    level = (end.interval or (0.0, math.inf))[1]
    apart = kit.compare(init, level, above="the error decreases", below=same, around=same)
    return kit.sentences(
        f"At width {width} the share of the kernel's trace is {trace}.",
        f"The share of seeds in which training a single matrix fits the data is {fits}.",
        f"How far training moves W is unknown ({distance.reason})."
        if distance.value is None
        else f"Training moves W by {kit.percent(distance)} of the distance to another draw, and the error from "
        f"{kit.format_number(init)} to {kit.format_number(end)} times that of predicting 0; {apart}.",
    )


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    """Losses of the arms; what each matrix contributes to the kernel; distance and error along training."""
    panels, finding = kit.figures.panels, partial(kit.finding, conclusion.verdict, otherwise=question)
    rows = kit.widest(kit.main_readout(results.table))
    arms = kit.split(rows[~rows["diverged"].astype(bool)], "labels")
    losses, starts = partial(_draw_losses, results=results), partial(_draw_start, results=results)
    return {
        "kernel": panels(DRAWN, partial(_draw_kernel, numbers=conclusion.numbers), title=finding("kernel's trace")),
        "losses": panels(arms, losses, title=finding("fits the data"), sharey=True, columns=4),
        "near_and_far": panels(arms, starts, title=finding("raining moves"), sharey=True),
    }


def _draw_losses(ax: kit.Axes, arm: kit.Arm, results: kit.Results) -> None:
    for part in kit.split(arm.rows[arm.rows["arm"] != "start"], "arm"):
        ordered = part.rows.sort_values("loss")
        [median] = kit.records.arrays_of(results, ordered.iloc[[(len(ordered) - 1) // 2]], *AXES)
        curve = kit.curve(median["time"], median["network"], log=True)
        dash = (0, (4, 2)) if "B" in part.value else "-"  # training B adds little: the lines would hide each other
        kit.figures.band(ax, curve, COLORS[ARMS.index(part.value)], f"{part.value} trained", linestyle=dash)
        lab.figures.curves.step_axis(ax, np.ceil(curve.x).astype(int))
    lab.figures.curves.log_axis(ax.yaxis)
    ax.set(title=f"{arm.label} labels", xlabel="kernel time τ of the arm", ylabel="mse over initial mse (median seed)")


def _draw_kernel(ax: kit.Axes, name: str, numbers: Mapping[kit.Key, kit.Number]) -> None:
    arms = [arm for arm in (*BLOCKS, "WAB") if BLOCK[name](arm) in numbers]
    found, limits = ([numbers[key(arm)] for arm in arms] for key in (BLOCK[name], BLOCK[f"{name}_limit"]))
    if arms:
        kit.figures.named(ax, arms, limits, lab.figures.style.GREY, label="infinite width", marker="s", offset=0.2)
        kit.figures.named(ax, arms, found, lab.figures.style.NETWORK.color, label="networks, with 95 % intervals")
    lab.figures.curves.log_axis(ax.xaxis)
    ax.set(xlabel=DRAWN[name], ylabel="trained matrices")


def _draw_start(ax: kit.Axes, arm: kit.Arm, results: kit.Results) -> None:
    arrays = kit.records.arrays_of(results, arm.rows[arm.rows["arm"] == "start"], *AXES)
    paths = [(each["distance"], each["mse"]) for each in arrays]
    lab.figures.curves.departures(ax, paths, [(each["line_distance"], each["line_mse"]) for each in arrays], PATHS)
    ax.set(title=f"{arm.label} labels", xlabel=DISTANCE, ylabel="mse over that of predicting 0")
