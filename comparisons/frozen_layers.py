"""What does each of the matrices W, A and B carry, and are random weights nearly optimal as they are?

Arms train one, two or all of the three matrices, each with its own critical rate and to one kernel time τ, so that
equal τ means equal progress along each arm's own fastest direction. Outputs are centred, f(θ) − f(θ₀), except for the
last question, which is about the loss of the random network itself.

Numbers
-------
loss.<arm>
    Median over seeds of mse = mean (f − y)² at τ, in units of the first one. Allen-Zhu, Li, Song 2019 train W alone.
reached.<arm>, linear_time.<arm>
    Share of seeds with mse below ``target``; and the kernel time at which the arm's own linear model gets there, in
    closed form (geometric mean).
gap.<arm>
    Largest test gap |network − linearized|. f is linear in B, so that of B alone is 0 up to rounding.
trace_share.<block>, lambda_min.<block>
    The tangent kernel is a sum over what is trained, K = K_W + K_A + K_B: the share of each block in the trace, and its
    smallest eigenvalue over m (also of the sum, WAB). In the paper's parametrization K_W and K_A grow like m, K_B does
    not; with ``parametrization="ntk"`` all three keep their size.
trace_share_limit.<block>, lambda_min_limit.<block>
    The same of `lab.infinite_ntk` for this trained set.
motion_over_prediction.<arm>
    ‖θ_T − θ₀‖ / √(r₀ᵀK⁻¹(I − (I − ηK)^T)² r₀): over what the linear model moves.
loss_init, loss_random, loss_end
    Without centring, W trained: mse at W₀, at an independent draw W₀′ with the same A and B, and at τ, over mean y²
    (which is the mse of f = 0).
distance_over_random
    In the same run ‖W_T − W₀‖_F/‖W₀′ − W₀‖_F: how far training goes, over how far one draw is from another.
exponent.distance_over_random
    Its slope on log(width): −1 if the motion falls as m^(−½), as in lazy training, while ‖W₀′ − W₀‖_F ≈ 2√m.
<key>.random
    Each with coin flips for labels.

Without a width all are those of the largest one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from comparisons import _exponents
from comparisons._settings import CentredSettings, build, check_distinct, training_cost
from comparisons._shape import Conclusion, Number
from comparisons._words import listed, percent, told
from lab.costs import Cost
from lab.errors import check_choice, check_number, refuse

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

question = "What does each of the matrices W, A and B carry, and are random weights nearly optimal as they are?"
asked_by = "R3"
version = 1

BLOCKS = ("W", "A", "B")
ARMS = ("W", "A", "B", "WA", "WB", "AB", "WAB")
LABELS = ("task", "random")
THEORY = -1.0  # exponent of distance_over_random
OTHER_DRAW = 2**31  # what is added to a seed for an independent draw
COLORS = {
    "W": "#0072B2",
    "A": "#D55E00",
    "B": "#009E73",
    "WA": "#CC79A7",
    "WB": "#56B4E9",
    "AB": "#E69F00",
    "WAB": "#000000",
}


_START_LABELS = {
    "path": "gradient descent from step 1 on, each seed",
    "end": "trained",
    "line": "straight to another random draw",
    "draw": "another random draw",
}


@dataclass(frozen=True)
class Settings(CentredSettings):
    """Settings of the frozen-layers comparison: those of `CentredSettings`, and which matrices train on which labels.

    Parameters
    ----------
    arms
        Sets of trained matrices, among W, A, B, WA, WB, AB, WAB; use this in place of ``trained``.
    labels
        "task" for the task's own, "random" for coin flips.
    kernel_time
        τ = ηtλ_max(K₀)/2 to which every arm trains.
    target
        Share of the first mse below which an arm has fitted.
    """

    widths: tuple[int, ...] = (64, 128, 256)
    arms: tuple[str, ...] = ARMS
    labels: tuple[str, ...] = LABELS
    kernel_time: float = 150.0
    target: float = 0.05

    GRID: ClassVar[tuple[str, ...]] = (*CentredSettings.GRID, "arms", "labels")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, options in (("arms", ARMS), ("labels", LABELS)):
            check_distinct(name, getattr(self, name))
            for value in getattr(self, name):
                check_choice(name, value, options)
        check_number("kernel_time", self.kernel_time, above=0)
        check_number("target", self.target, above=0, below=1)
        default = next(field.default for field in fields(CentredSettings) if field.name == "trained")
        if self.trained != default:
            refuse("trained", repr(self.trained), "nothing: the arms say what is trained", "set arms instead")


GRID = Settings.GRID
PRESETS = {
    "fast": Settings(widths=(32, 64), seeds=3, kernel_time=50.0, samples=24, arms=(*BLOCKS, "WAB")),
    "default": Settings(),
    "full": Settings(widths=(64, 128, 256, 512, 1024), seeds=10, readouts=("last", "all")),
}


def cells(settings: Settings) -> list[dict[str, Any]]:
    """One cell for every readout, width, seed, labels and arm; and with the arm "start", W trained without centring."""
    arms = [{"arm": arm, "trained": list(arm)} for arm in settings.arms]
    arms.append({"arm": "start", "trained": ["W"], "centred": False})
    return [
        {**base, "labels": labels, **arm} for base in settings.cells() for labels in settings.labels for arm in arms
    ]


def cost(cell: dict[str, Any]) -> Cost:
    """Flops of both trainings and four kernels; bytes of weights, Taylor weights, another draw and cached deltas."""
    return training_cost(cell, _steps(cell), kernels=4, copies=5)


def _steps(cell: dict[str, Any]) -> int:
    return max(math.ceil(cell["kernel_time"] / cell["critical_fraction"] * (1 - 1e-12)), 1)


def measure(cell: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Train one arm beside its linearization; or follow the uncentred network away from its random start."""
    import torch

    task, network = build(cell)
    task = task.with_random_labels(cell["data_seed"]) if cell["labels"] == "random" else task
    head = {name: cell[name] for name in ("readout", "width", "seed", "labels", "arm")}
    with torch.no_grad():
        row, arrays = (_leave_start if cell["arm"] == "start" else _train_arm)(cell, task, network)
    return head | row, arrays


def _train_arm(cell: dict[str, Any], task: Any, network: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    import lab
    from lab.kernels.spectrum import Spectrum

    result = lab.side_by_side(network, task, lab.Descent(_steps(cell), cell["critical_fraction"]))
    spectrum = Spectrum(lab.empirical_ntk(network, task.train_inputs))
    limit = Spectrum(lab.infinite_ntk(getattr(network, "network", network), task.train_inputs).double())
    losses = {name: trajectory.loss / result.network.loss[0] for name, trajectory in result.learners.items()}
    row = {
        "loss": _exponents.finite(float(losses["network"][-1])),
        "loss_linearized": _exponents.finite(float(losses["linearized"][-1])),
        "reached": bool(losses["network"][-1] < cell["target"]),
        "gap_test": _exponents.finite(float(result.gap("test").max())),
        **_linear_columns(cell, result, spectrum),
        **_kernel_columns(spectrum, cell["width"], ""),
        **_kernel_columns(limit, cell["width"], "_limit"),
        "learning_rate": result.learning_rate,
        "diverged": any(each.diverged_at is not None for each in result.learners.values()),
    }
    times = result.network.steps * cell["critical_fraction"]
    return row, {"time": times, "network": losses["network"], "linearized": losses["linearized"]}


def _linear_columns(cell: dict[str, Any], result: Any, spectrum: Any) -> dict[str, float | None]:
    """What the linear model says in closed form: when it arrives, and how far the weights go."""
    from lab.measures import hitting

    residual = result.linearized.train[0] - result.task.train_targets.flatten(1).numpy()
    slow = min(result.learning_rate, 1 / spectrum.lambda_max)  # kernel time hardly depends on the rate below ½ critical
    arrival = hitting.hitting_step(spectrum, residual, slow, cell["target"] * float((residual**2).mean()))
    time = None if arrival is None else hitting.kernel_time(arrival, slow, spectrum.lambda_max)
    predicted = hitting.linear_motion(spectrum, residual, result.learning_rate, np.array([_steps(cell)]))[0]
    motion = result.motion.weight_motion
    ratio = None if motion is None else _exponents.finite(motion / float(predicted))
    return {"linear_time": time, "motion_over_prediction": ratio}


def _kernel_columns(spectrum: Any, width: int, mark: str) -> dict[str, float]:
    return {
        f"trace{mark}": float(spectrum.values.sum()) / width,
        f"lambda_min{mark}": spectrum.lambda_min / width,
        f"lambda_max{mark}": spectrum.lambda_max / width,
    }


def _leave_start(cell: dict[str, Any], task: Any, network: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Distance from W₀ and mse along descent, and on the straight line to another draw; distances over its length."""
    import lab

    path = lab.descend(network, task, lab.Descent(_steps(cell), cell["critical_fraction"]))
    start, other = network.W.detach().clone(), _other_draw(cell, network)
    unit = float((other - start).norm())
    walked = [(float((each.network.W - start).norm()) / unit, each.loss) for each in path]
    places = np.geomspace(1e-3, 1.0, 13)
    line = network.copy()
    losses = [_half_loss(line, start + place * (other - start), task) for place in places]
    scale = 0.5 * float(task.train_targets.square().sum())
    distance, loss = np.array(walked).T
    diverged = path.diverged_at is not None
    return {
        "loss_init": loss[0] / scale,
        "loss_random": losses[-1] / scale,
        "loss_end": None if diverged else loss[-1] / scale,
        "distance_over_random": None if diverged else distance[-1],
        "diverged": diverged,
    }, {"distance": distance, "mse": loss / scale, "line_distance": places, "line_mse": np.array(losses) / scale}


def _other_draw(cell: dict[str, Any], network: Any) -> Any:
    """W₀′, drawn with another seed."""
    twin = type(network)(
        network.width, network.A.shape[1], len(network.B),
        parametrization=network.parametrization, activation=network.activation.name,
        seed=cell["seed"] + OTHER_DRAW, dtype=network.W.dtype, device=network.W.device,
    )  # fmt: skip
    return twin.W.detach()


def _half_loss(network: Any, weights: Any, task: Any) -> float:
    """½ Σ (f − y)² with these recurrent weights."""
    network.W.copy_(weights)
    outputs = network(task.train_inputs).double().cpu()
    return 0.5 * float((outputs - task.train_targets).square().sum())


def conclude(table: pd.DataFrame) -> Conclusion:
    """Numbers of every readout and kind of labels at the largest width, and a verdict on the first of each."""
    numbers: dict[str, Number] = {}
    for place, readout in enumerate(_exponents.readouts(table)):
        arm = table[table["readout"] == readout]
        mark = f".{readout}" if place else ""
        widest = arm[arm["width"] == arm["width"].max()]
        for key, number in _kernel_numbers(widest).items():
            numbers[f"{key}{mark}"] = number
        for labels in dict.fromkeys(arm["labels"]):
            more = mark + (".random" if labels == "random" else "")
            found = _arm_numbers(widest[widest["labels"] == labels]) | _start_numbers(arm[arm["labels"] == labels])
            numbers |= {f"{key}{more}": number for key, number in found.items()}
    return Conclusion(numbers, verdict(numbers, table))


def _kernel_numbers(widest: pd.DataFrame) -> dict[str, Number]:
    """Shares of the trace and smallest eigenvalues, per seed, beside those of infinite width."""
    rows = widest[widest["labels"] == widest["labels"].iloc[0]]
    numbers = {}
    for mark in ("", "_limit"):
        traces = _by_arm(rows, f"trace{mark}")
        whole = sum(traces[block] for block in BLOCKS) if set(BLOCKS) <= set(traces) else None
        number = Number.mean if not mark else _constant
        for block in BLOCKS if whole is not None else ():
            numbers[f"trace_share{mark}.{block}"] = number(traces[block] / whole)
        for arm, values in _by_arm(rows, f"lambda_min{mark}").items():
            if arm in (*BLOCKS, "WAB"):
                numbers[f"lambda_min{mark}.{arm}"] = number(values)
    return numbers


def _constant(values: pd.Series) -> Number:
    """What no seed has a part in."""
    return Number(float(values.iloc[0]), None, 0)


def _by_arm(rows: pd.DataFrame, name: str) -> dict[str, pd.Series]:
    """A column by seed for each arm."""
    arms = rows[rows["arm"] != "start"]
    return {str(arm): group.set_index("seed")[name].astype(float) for arm, group in arms.groupby("arm", sort=False)}


def _arm_numbers(rows: pd.DataFrame) -> dict[str, Number]:
    numbers = {}
    for arm, group in rows[rows["arm"] != "start"].groupby("arm", sort=False):
        numbers[f"loss.{arm}"] = _median(group["loss"])
        numbers[f"reached.{arm}"] = Number(float(group["reached"].astype(float).mean()), None, len(group))
        numbers[f"linear_time.{arm}"] = Number.geometric(group["linear_time"])
        numbers[f"gap.{arm}"] = Number.mean(group["gap_test"])
        numbers[f"motion_over_prediction.{arm}"] = Number.geometric(group["motion_over_prediction"])
    return numbers


def _median(values: pd.Series) -> Number:
    """Median over seeds, with the extremes beside it; a diverged run has no value."""
    known = values.dropna().astype(float)
    if len(known) < len(values):
        return Number.none(f"{len(values) - len(known)} of {len(values)} seeds diverged", len(values))
    return Number(
        float(known.median()), None, len(known), None, {"lowest": float(known.min()), "highest": float(known.max())}
    )


def _start_numbers(rows: pd.DataFrame) -> dict[str, Number]:
    """Losses of random weights and the distance that training goes, at the largest width; its exponent over all."""
    starts = rows[rows["arm"] == "start"]
    if starts.empty:
        return {}
    widest = starts[starts["width"] == starts["width"].max()]
    numbers = {name: Number.geometric(widest[name]) for name in ("loss_init", "loss_random", "loss_end")}
    numbers["distance_over_random"] = Number.geometric(widest["distance_over_random"])
    numbers["exponent.distance_over_random"] = _exponents.number(_exponents.fit(starts, "distance_over_random"))
    return numbers


def verdict(numbers: dict[str, Number], table: pd.DataFrame) -> str:
    """What the blocks of the kernel carry, which arms fit, and whether random weights are near and good."""
    sentences = " ".join(filter(None, (_blocks(numbers), _arms(numbers), _start(numbers))))
    return f"At width {table['width'].max()}: {sentences}"


def _blocks(numbers: dict[str, Number]) -> str:
    """What each block adds to the kernel."""
    shares = [numbers.get(f"trace_share.{block}", Number.none("not measured")) for block in BLOCKS]
    if any(number.value is None for number in shares):
        return ""
    W, A, B = shares
    a, b = (percent(replace(number, interval=None)) for number in (A, B))
    return f"W carries {percent(W)} of the kernel's trace, A {a} and B {b}."


def _arms(numbers: dict[str, Number]) -> str:
    """The matrices that alone fit in every seed, in some, and in none."""
    shares = {arm: numbers[f"reached.{arm}"].value for arm in BLOCKS if f"reached.{arm}" in numbers}
    kinds: dict[str, list[str]] = {"every seed": [], "some seeds": [], "no seed": []}
    for arm, share in shares.items():
        kinds["every seed" if share == 1 else "some seeds" if share else "no seed"].append(arm)
    parts = [f"by {listed(names)} in {kind}" for kind, names in kinds.items() if names]
    return f"The data are fitted {', '.join(parts)}." if parts else "No matrix was trained alone."


def _start(numbers: dict[str, Number]) -> str:
    """Near in distance, far in loss, or not."""
    names = ("loss_init", "loss_end", "distance_over_random")
    init, end, distance = (numbers.get(name, Number.none("not measured")) for name in names)
    if None in (init.value, end.value, distance.value):
        return ""
    return (
        f"Training moves W by {percent(distance)} of the distance to another draw, and the error from "
        f"{told(init)} to {told(end)} times that of predicting 0: {_near_or_far(init, end)}."
    )


def _near_or_far(init: Number, end: Number) -> str:
    """Whether the loss at random weights is above that of predicting 0, and apart from the trained one."""
    if init.interval is None or end.interval is None:
        return "too few seeds to judge"
    if end.interval[1] >= init.interval[0]:
        return "the two cannot be told apart"
    if init.interval[0] > 1:
        return "near a solution but worse than 0"
    return "near a solution but none"


def draw(results: Any, conclusion: Conclusion) -> dict[str, Figure]:
    """Losses of the arms; what each block of the kernel carries; near in distance and far in loss."""
    return {
        "losses": _draw_losses(results),
        "kernel": _draw_kernel(conclusion.numbers, int(results.table["width"].max())),
        "near_and_far": _draw_start(results),
    }


def _widest(results: Any, labels: str) -> pd.DataFrame:
    """Rows of the main readout at the largest width."""
    table = results.table
    rows = table[(table["readout"] == table["readout"].iloc[0]) & (table["labels"] == labels)]
    return rows[rows["width"] == table["width"].max()]


def _arrays(results: Any, rows: pd.DataFrame) -> list[dict[str, np.ndarray]]:
    """Arrays of these rows' cells that did not diverge."""
    names = ("readout", "width", "seed", "labels", "arm")
    good = rows[~rows["diverged"].astype(bool)]
    return [results.arrays(**{name: row[name] for name in names}) for row in good[list(names)].to_dict("records")]


def _draw_losses(results: Any) -> Figure:
    from lab.figures import curves, style

    kinds = list(dict.fromkeys(results.table["labels"]))
    figure, axes = style.panels(len(kinds), size=(5.0, 4.2), sharey=True)
    for ax, labels in zip(axes[0], kinds, strict=True):
        ends = []
        for arm, rows in _widest(results, labels).groupby("arm", sort=False):
            found = _arrays(results, rows) if arm != "start" else []
            if not found:
                continue
            median = np.median([arrays["network"] for arrays in found], axis=0)
            dash = {1: "-", 2: (0, (5, 2)), 3: (0, (1, 1.5))}[len(str(arm))]
            ax.plot(found[0]["time"], median, color=COLORS[str(arm)], linestyle=dash, linewidth=2)
            ends.append((found[0]["time"][-1], float(median[-1]), str(arm), COLORS[str(arm)]))
        ax.set_yscale("log")
        ax.set_xscale("symlog", linthresh=1)
        ax.set_xlim(0, max((end[0] for end in ends), default=1))
        ax.set_xlabel("kernel time τ of the arm's own kernel")
        ax.set_title("labels of the task" if labels == "task" else "random labels")
        curves.label_ends(ax, ends)
    axes[0, 0].set_ylabel("training mse over its first value (median seed)")
    width = results.table["width"].max()
    style.headline(figure, f"Which matrices have to be trained? (width {width})")
    return figure


def _draw_kernel(numbers: Any, width: int) -> Figure:
    from lab.figures import style

    figure, axes = style.panels(2, size=(4.4, 3.9))
    panels = (
        (axes[0, 0], "trace_share", BLOCKS, "share of the trace of K"),
        (axes[0, 1], "lambda_min", (*BLOCKS, "WAB"), "smallest eigenvalue over m"),
    )
    for ax, name, arms, label in panels:
        for place, arm in enumerate(arms):
            number, limit = numbers.get(f"{name}.{arm}"), numbers.get(f"{name}_limit.{arm}")
            if number is None or number.value is None or limit is None:
                continue
            ends = number.interval or (number.value, number.value)
            bar = [[max(number.value - ends[0], 0.0)], [max(ends[1] - number.value, 0.0)]]
            ax.bar(place, number.value, 0.6, color=COLORS[arm], yerr=bar, capsize=4, alpha=0.85)
            known = {"label": "infinite width"} if place == 0 else {}
            ax.plot([place - 0.38, place + 0.38], [limit.value] * 2, "--", color=style.GREY, linewidth=2, **known)
        ax.set_yscale("log")
        ax.set_xticks(range(len(arms)), labels=["W+A+B" if arm == "WAB" else f"{arm} alone" for arm in arms])
        ax.set_ylabel(label)
        if ax.get_legend_handles_labels()[0]:
            style.legend_below(ax)
    style.headline(figure, f"What each matrix adds to the tangent kernel (width {width})")
    return figure


def _draw_start(results: Any) -> Figure:
    from lab.figures import style

    kinds = list(dict.fromkeys(results.table["labels"]))
    figure, axes = style.panels(len(kinds), size=(5.2, 4.4), sharey=True)
    for ax, labels in zip(axes[0], kinds, strict=True):
        rows = _widest(results, labels)
        for place, arrays in enumerate(_arrays(results, rows[rows["arm"] == "start"])):
            told = {name: label if place == 0 else None for name, label in _START_LABELS.items()}
            walked = arrays["distance"] > 0
            ax.plot(arrays["distance"][walked], arrays["mse"][walked], color="#0072B2", alpha=0.8, label=told["path"])
            ax.plot(arrays["distance"][-1], arrays["mse"][-1], "o", color="#0072B2", label=told["end"])
            ax.plot(arrays["line_distance"], arrays["line_mse"], "--", color=style.GREY, alpha=0.8, label=told["line"])
            ax.plot(1, arrays["line_mse"][-1], "s", color="#D55E00", label=told["draw"])
        ax.axhline(1, color=style.GREY, linewidth=0.8)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel("distance from the start, ‖W − W₀‖ over ‖W₀′ − W₀‖")
        ax.set_title("labels of the task" if labels == "task" else "random labels")
        if ax.get_legend_handles_labels()[0]:
            style.legend_below(ax).get_legend().set_bbox_to_anchor((0.5, -0.2), ax.transAxes)  # below tall tick labels
    axes[0, 0].set_ylabel("training mse over that of predicting 0")
    width = results.table["width"].max()
    style.headline(figure, f"Are random weights near trained ones? (width {width})")
    return figure
