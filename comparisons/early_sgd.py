"""Does the linear picture explain stochastic gradient descent in its early stages, and for how long?

The network and the linear learner get the same batches in the same order, with the same rate and momentum. Time is
kernel time τ = η(b/n)tλ_max(K₀)/(2(1 − β)) for batches of b of n samples and momentum β; η is 2c(1 − β)/λ_max, so that
a step moves as far with momentum as without, and all arms run to the same τ. The linear learner iterates on
coefficients (one number per sample), which is exact for any batches. Both are looked at every 0.1 in τ up to 5, and
every 2 % later.

Numbers
-------
time_to_leave.<batch>
    Kernel time at which the test gap, RMS(network − linearized) in units of RMS(y − f₀), first exceeds 0.1 at the
    largest width: Kaplan–Meier median over seeds, with the medians of all widths beside it; none if more than half of
    the seeds never leave. The passage is interpolated between looks, since a full-batch step is c long and would come
    out later than it is. Batches: 1, 4, "full"; further momenta have "momentum_<β>" at the end.
time_to_leave.0.05.<batch>
    The same for a gap of 0.05.
exponent.time_to_leave.<batch>, exponent.time_to_leave.0.05.<batch>
    Its degree in the width, by regression over seeds in which a run that never left counts as censored; widths with
    over 20 % of such runs are left out.
exponent.gap_at_tau.<1|10|50>
    Slope of log(largest gap up to τ) on log(width) for the first batch size; further ones have theirs at the end.
    Lee et al. 2019 (Theorem 2.1, full batches) bound the gap by m^(−1/2).
gap_at_tau.<1|10|50>.<batch>
    That gap at the largest width.
gap_over_full.<1|10|50>.<batch>
    Ratio of that gap to the full batch's, paired by seed at the largest width, geometric mean.
mse_when_leaving.<batch>
    The network's training error when it leaves (gap 0.1), in units of the first: how early "early" is. Over the seeds
    that leave, if more than half do, at the largest width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from comparisons import _exponents, _tasks
from comparisons._settings import CentredSettings, build, check_distinct, f0_share
from comparisons._shape import Conclusion, Number
from comparisons._words import listed, plain, power, told
from lab.costs import Cost, linearized_step, tangent_kernel, training_step
from lab.errors import check_number, refuse

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

question = "Does the linear picture explain stochastic gradient descent in its early stages?"
asked_by = "R3"
version = 1
GRID = (*CentredSettings.GRID, "batches", "momenta")

LEVELS = (0.1, 0.05)  # the main one first
TIMES = (1, 10, 50)
THEORY = -0.5  # exponent of the bound on the gap
LOOK, GROWTH = 0.1, 1.02  # kernel time between looks, and later their ratio
SHOWN_FROM = 0.49  # kernel time at which the figure begins: about one step of full batches


@dataclass(frozen=True)
class Settings(CentredSettings):
    """Settings of the comparison of early SGD: those of `CentredSettings`, batches and momenta.

    Parameters
    ----------
    batches
        Batch sizes as text, divisors of the number of samples, or "full".
    momenta
        β of the heavy ball.
    kernel_time
        τ at the end.
    """

    samples: int | None = 24
    widths: tuple[int, ...] = (64, 128, 256, 512)
    batches: tuple[str, ...] = ("1", "4", "full")
    momenta: tuple[float, ...] = (0.0, 0.9)
    kernel_time: float = 50.0

    def __post_init__(self) -> None:
        super().__post_init__()
        samples = _tasks.size({"task": self.task, "samples": self.samples}).samples
        for batch in self.batches:
            if batch != "full" and not (batch.isdecimal() and 0 < int(batch) < samples and samples % int(batch) == 0):
                refuse("batches", repr(batch), f'"full" or a divisor of {samples} below it', 'write it as "4"')
        for momentum in self.momenta:
            check_number("momenta", momentum, above=0, below=1, closed=True)
        check_distinct("batches", self.batches)
        check_distinct("momenta", self.momenta)
        check_number("kernel_time", self.kernel_time, above=0)


PRESETS = {
    "fast": Settings(samples=12, widths=(32, 64, 128), seeds=3, kernel_time=15.0, momenta=(0.0,)),
    "default": Settings(),
    "full": Settings(samples=48, widths=(64, 128, 256, 512, 1024, 2048), seeds=10),
}


def cells(settings: Settings) -> list[dict[str, Any]]:
    """One cell for every momentum, batch size, readout, width and seed."""
    own = ("batches", "momenta")
    shared = [{name: value for name, value in cell.items() if name not in own} for cell in settings.cells()]
    return [
        {"momentum": momentum, "batch": batch, **cell}
        for momentum in settings.momenta
        for batch in settings.batches
        for cell in shared
    ]


def cost(cell: dict[str, Any]) -> Cost:
    """Flops of the network's steps and looks (the linear learner runs on coefficients), and of the kernels."""
    task, width = _tasks.size(cell), cell["width"]
    batch = task.samples if cell["batch"] == "full" else int(cell["batch"])
    share = batch / task.samples
    steps, outputs = _steps(cell, share), task.length - 1 if cell["readout"] == "all" else 1
    work = steps * (training_step(batch, task.length, width) + linearized_step(batch, task.length, 1))
    work += len(_looks(cell, share)) * training_step(task.samples + task.test, task.length, width)
    kernel = tangent_kernel(task.samples, task.test, outputs, task.length, width)
    deltas = (task.samples + task.test) * outputs * task.length * width
    return (work + 3 * kernel).holding((4 if cell["dtype"] == "float32" else 8) * (4 * width**2 + 2 * deltas))


def _steps(cell: dict[str, Any], share: float) -> int:
    return max(math.ceil(cell["kernel_time"] / (cell["critical_fraction"] * share) * (1 - 1e-12)), 1)


def _looks(cell: dict[str, Any], share: float) -> tuple[int, ...]:
    """The steps to look at: every 0.1 in kernel time, from 5 on every 2 %, and the last."""
    end, length = cell["kernel_time"], cell["critical_fraction"] * share
    early = np.arange(0, min(end, LOOK / (GROWTH - 1)) + LOOK / 2, LOOK)
    late = early[-1] * GROWTH ** np.arange(1, max(math.log(end / early[-1]) / math.log(GROWTH), 0) + 1)
    steps = np.ceil(np.concatenate([early, late, [t for t in TIMES if t < end]]) / length * (1 - 1e-12)).astype(int)
    last = _steps(cell, share)
    return tuple(int(step) for step in np.union1d(steps[steps <= last], last))


def measure(cell: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Train network and linear learner on the same batches."""
    import lab

    task, network = build(cell)
    samples, beta = len(task.train_inputs), cell["momentum"]
    batch = None if cell["batch"] == "full" else int(cell["batch"])
    share = 1.0 if batch is None else batch / samples
    descent = lab.Descent(
        _steps(cell, share),
        cell["critical_fraction"] * (1 - beta) / (1 + beta),
        momentum=beta,
        batch_size=batch,
        seed=cell["seed"],
        record=_looks(cell, share),
    )
    result = lab.side_by_side(network, task, descent, in_place=True)  # the linear learner on coefficients
    return _row(cell, result, share), _arrays(cell, result, share)


def _row(cell: dict[str, Any], result: Any, share: float) -> dict[str, Any]:
    from lab.measures.thresholds import first_passage

    times, gap = _path(cell, result, share)
    diverged = any(learner.diverged_at is not None for learner in result.learners.values())
    row = {name: cell[name] for name in ("readout", "momentum", "batch", "width", "seed")}
    error = 2 * result.network.loss / result.task.train_targets.numel()
    for level in LEVELS:
        passage = first_passage(times, gap, level)
        left = None if diverged else passage.value
        row |= {f"leaves_{level:g}": left, f"censored_{level:g}": None if diverged else passage.censored}
        there = float(np.interp(passage.value, times, error)) / float(error[0])
        row[f"mse_{level:g}"] = None if diverged or passage.censored else there
    for tau in TIMES:
        before = gap[times <= tau * (1 + 1e-9)]
        row[f"gap_at_{tau}"] = None if diverged or tau > cell["kernel_time"] * (1 + 1e-9) else float(before.max())
    return row | {
        "final_mse_network": _exponents.finite(float(error[-1])),
        "final_mse_linearized": _exponents.finite(2 * result.linearized.final_loss / result.task.train_targets.numel()),
        "kernel_time": float(times[-1]),
        "learning_rate": result.learning_rate,
        "lambda_max": result.lambda_max,
        "f0_share": f0_share(result),
        "linearized_kernel_disagreement": result.disagreement(),
        "diverged": diverged,
    }


def _path(cell: dict[str, Any], result: Any, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Kernel times of the looks, and the test gap there."""
    from lab.measures.hitting import kernel_time

    momentum = {"share": share, "momentum": cell["momentum"]}
    per_step = kernel_time(1, result.learning_rate, result.lambda_max, **momentum)
    return per_step * result.network.steps, result.gap("test")


def _arrays(cell: dict[str, Any], result: Any, share: float) -> dict[str, np.ndarray]:
    times, gap = _path(cell, result, share)
    losses = np.stack([result.network.loss, result.linearized.loss])
    return {"kernel_time": times, "gap_test": gap, "mse": 2 * losses / result.task.train_targets.numel()}


def conclude(table: pd.DataFrame) -> Conclusion:
    """Times to leave, gaps and their exponents for every batch size and momentum, and a verdict on the first."""
    table = table.assign(batch=table["batch"].astype(str))
    numbers: dict[str, Number] = {}
    for place, (suffix, arm) in enumerate(_arms(table)):
        for rank, level in enumerate(LEVELS):
            key = f"time_to_leave.{level:g}.{suffix}" if rank else f"time_to_leave.{suffix}"
            numbers[key] = _leaving(arm, level)
            numbers[f"exponent.{key}"] = _degree(arm, level)
        last = arm[arm["width"] == arm["width"].max()]
        numbers[f"mse_when_leaving.{suffix}"] = _mse_when_leaving(last)
        for tau in TIMES:
            found = _gaps(table, arm, tau)
            numbers[f"exponent.gap_at_tau.{tau}" + (f".{suffix}" if place else "")] = found.pop("exponent")
            numbers |= {f"{name}.{tau}.{suffix}": number for name, number in found.items()}
    return Conclusion(numbers, verdict(numbers, table))


def _arms(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each readout, momentum and batch size, by the end of its keys; the first readout and momentum are not named."""
    for place, readout in enumerate(dict.fromkeys(table["readout"])):
        for rank, momentum in enumerate(dict.fromkeys(table["momentum"])):
            for batch in dict.fromkeys(table["batch"]):
                arm = table[(table["readout"] == readout) & (table["momentum"] == momentum) & (table["batch"] == batch)]
                if len(arm):
                    name = batch + (f".momentum_{momentum:g}" if rank else "") + (f".{readout}" if place else "")
                    yield name, arm


def _gaps(table: pd.DataFrame, arm: pd.DataFrame, tau: int) -> dict[str, Number]:
    """The gap up to one kernel time: its exponent, its level at the largest width, and that over full batches'."""
    last, name = arm[arm["width"] == arm["width"].max()], f"gap_at_{tau}"
    found = {"exponent": _exponents.number(_exponents.fit(arm, name)), "gap_at_tau": Number.mean(last[name])}
    if arm["batch"].iloc[0] != "full":
        found["gap_over_full"] = _over_full(table, last, name)
    if not arm[name].notna().any():
        return dict.fromkeys(found, Number.none(f"no run got to kernel time {tau}: it ended before, or diverged"))
    return found


def _leaving(arm: pd.DataFrame, level: float) -> Number:
    """The Kaplan–Meier median at the largest width, and those of all widths."""
    from lab.measures.thresholds import Threshold, median_survival

    medians = {}
    for width, rows in arm.dropna(subset=[f"leaves_{level:g}"]).groupby("width"):
        sides = [side if isinstance(side, str) and side else None for side in rows[f"censored_{level:g}"]]
        times = [Threshold(float(t), side) for t, side in zip(rows[f"leaves_{level:g}"], sides, strict=True)]
        medians[int(width)] = (median_survival(times), len(times))
    if int(arm["width"].max()) not in medians:
        return Number.none("every run at the largest width diverged")
    found, seeds = medians[int(arm["width"].max())]
    details = {"width": max(medians), "medians": {str(width): median.value for width, (median, _) in medians.items()}}
    return Number(found.value, found.interval, seeds, found.reason, details)


def _degree(arm: pd.DataFrame, level: float) -> Number:
    rows = arm.dropna(subset=[f"leaves_{level:g}"])
    if rows.empty:
        return Number.none("every run diverged")
    return _exponents.threshold_degree(rows, f"leaves_{level:g}", f"censored_{level:g}")


def _mse_when_leaving(rows: pd.DataFrame) -> Number:
    left = rows[f"mse_{LEVELS[0]:g}"].dropna()
    if 2 * len(left) <= len(rows):
        return Number.none(f"{len(left)} of {len(rows)} seeds leave", len(left))
    return Number.geometric(left)


def _over_full(table: pd.DataFrame, rows: pd.DataFrame, name: str) -> Number:
    """Ratio of the gap to that of full batches of the same width, seed, readout and momentum."""
    same = ["readout", "momentum", "width", "seed"]
    full = table[table["batch"] == "full"].set_index(same)[name]
    pairs = rows.set_index(same)[name].to_frame("own").join(full.rename("full"), how="inner").dropna()
    return Number.geometric(pairs["own"] / pairs["full"]) if len(pairs) else Number.none("no pair of runs with a gap")


def verdict(numbers: dict[str, Number], table: pd.DataFrame) -> str:
    """How long the picture holds for SGD and for full batches, how it grows with the width, and what noise adds."""
    batches, width = list(dict.fromkeys(table["batch"])), int(table["width"].max())
    times = [f"{_say_leaving(numbers, batch)} with {_name(batch)}" for batch in batches]
    first = f"At width {width} the test gap exceeds {LEVELS[0]:g} of the initial residual {listed(times)}."
    return " ".join(part for part in (first, _say_growth(numbers, batches[0]), _say_noise(numbers, batches)) if part)


def _name(batch: str) -> str:
    return "full batches" if batch == "full" else f"batches of {batch}"


def _say_leaving(numbers: dict[str, Number], batch: str) -> str:
    time, left = numbers[f"time_to_leave.{batch}"], numbers[f"mse_when_leaving.{batch}"]
    if time.value is None:
        return f"in no median run ({time.reason})"
    remains = "" if left.value is None else f" ({100 * left.value:.0f} % of the error left)"
    return f"at kernel time {plain(time.value)}{remains}"


def _say_growth(numbers: dict[str, Number], batch: str) -> str:
    """The time's degree in the width, or that it is not visible; and the gap's exponent."""
    degree, gap = numbers[f"exponent.time_to_leave.{batch}"], numbers["exponent.gap_at_tau.10"]
    if degree.value is None or degree.interval is None:
        said = f"How the time grows with the width is not visible ({degree.reason or 'no interval'})"
    elif degree.interval[0] > 0:
        said = f"The time grows as {power(degree)}"
    else:
        said = f"No growth of the time with the width is visible at this size ({power(degree)})"
    if gap.value is None:
        return f"{said}."
    return f"{said}; the gap up to kernel time 10 goes as {power(gap)}: {_exponents.judge(gap, THEORY)}."


def _say_noise(numbers: dict[str, Number], batches: list[str]) -> str:
    """What the noise of the smallest batches adds to the gap of full ones."""
    key = f"gap_over_full.10.{batches[0]}"
    if key not in numbers or numbers[key].value is None:
        return ""
    ratio = numbers[key]
    if ratio.interval is None:
        return f"With {_name(batches[0])} the gap there is {told(ratio)} times that of full batches."
    low, high = ratio.interval
    judged = (
        "the noise adds to it" if low > 1 else "the noise takes from it" if high < 1 else "no difference is visible"
    )
    return f"With {_name(batches[0])} the gap there is {told(ratio)} times that of full batches: {judged}."


def draw(results: Any, conclusion: Conclusion) -> dict[str, Figure]:
    """The gap over kernel time for each batch size and width; the time to leave, and the gap, against the width."""
    return {"gap": _draw_gap(results), "time_to_leave": _draw_leaving(results.table, conclusion)}


def _main(table: pd.DataFrame) -> pd.DataFrame:
    rows = table.assign(batch=table["batch"].astype(str))
    return rows[(rows["readout"] == rows["readout"].iloc[0]) & (rows["momentum"] == rows["momentum"].iloc[0])]


def _draw_gap(results: Any) -> Figure:
    from lab.figures import curves, style

    table = _main(results.table)
    batches, widths = list(dict.fromkeys(table["batch"])), sorted(table["width"].unique())
    figure, axes = style.panels(len(batches), size=(4.4, 4.0), sharey=True)
    for ax, batch in zip(axes[0], batches, strict=True):
        for place, width in enumerate(widths):
            paths = list(_paths(results, table[(table["batch"] == batch) & (table["width"] == width)]))
            if paths:
                shade = 0.25 + 0.75 * place / max(len(widths) - 1, 1)
                curves.log_band(
                    ax, paths[0][0], np.log([gap for _, gap in paths]), **_shade(shade), label=f"m = {width}"
                )
        for level in LEVELS:
            ax.axhline(level, color=style.GREY, linestyle="--", linewidth=1)
        ax.set_xscale("log")
        ax.set_title(_name(batch))
        ax.set_xlabel("kernel time τ")
        style.legend_below(ax, columns=2)
    axes[0, 0].set_ylim(bottom=1e-3)
    axes[0, 0].set_ylabel("largest test gap so far\n(units of RMS(y − f₀))")
    for level in LEVELS:
        where = {"xycoords": axes[0, -1].get_yaxis_transform(), "va": "center", "annotation_clip": False}
        axes[0, -1].annotate(f"{level:g}", (1.02, level), color=style.GREY, **where)
    style.headline(figure, "How far SGD has strayed from the linear model on the same batches (dashed: it has left)")
    return figure


def _shade(strength: float) -> dict[str, Any]:
    import matplotlib as mpl

    return {"color": mpl.colors.to_hex(mpl.colormaps["viridis_r"](strength))}


def _paths(results: Any, rows: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Kernel times and sup-so-far gaps of the runs of these rows that did not diverge."""
    for row in rows[~rows["diverged"].astype(bool)].itertuples():
        cell = {"readout": row.readout, "momentum": float(row.momentum), "batch": row.batch}
        arrays = results.arrays(**cell, width=int(row.width), seed=int(row.seed))
        shown = arrays["kernel_time"] >= SHOWN_FROM
        yield arrays["kernel_time"][shown], np.maximum.accumulate(arrays["gap_test"])[shown]


def _draw_leaving(table: pd.DataFrame, conclusion: Conclusion) -> Figure:
    from lab.figures import style

    main = _main(table)
    figure, axes = style.panels(2, size=(4.9, 4.4))
    batches, marks = list(dict.fromkeys(main["batch"])), ("o", "s", "^", "D", "v", "P")
    for batch, color, marker in zip(batches, style.QUANTITIES, marks, strict=False):
        medians = conclusion.numbers[f"time_to_leave.{batch}"].details.get("medians", {})
        seen = {int(width): value for width, value in medians.items() if value is not None}
        place = batches.index(batch)
        rows = main[(main["batch"] == batch) & main[f"leaves_{LEVELS[0]:g}"].notna()]
        _points(axes[0, 0], rows, color, 0.97 + 0.03 * place)
        axes[0, 0].plot(list(seen), list(seen.values()), color=color, marker=marker, label=_name(batch))
        _exponents.draw(axes[0, 1], main[main["batch"] == batch], "gap_at_10", color, _name(batch), 0.97 + 0.03 * place)
    _finish(axes[0], main)
    style.headline(figure, "How long, and how closely, the linear picture holds")
    return figure


def _points(ax: Any, rows: pd.DataFrame, color: str, shift: float) -> None:
    """Each seed's time to leave; those that never left as open triangles at the last time watched."""
    seen = rows[f"censored_{LEVELS[0]:g}"].isna() | (rows[f"censored_{LEVELS[0]:g}"] == "")
    name = f"leaves_{LEVELS[0]:g}"
    ax.plot(shift * rows.loc[seen, "width"], rows.loc[seen, name], "o", color=color, alpha=0.3, markersize=3)
    ax.plot(shift * rows.loc[~seen, "width"], rows.loc[~seen, name], "^", color=color, mfc="none", markersize=6)


def _finish(axes: Any, table: pd.DataFrame) -> None:
    from lab.figures import curves, style

    curves.width_axis(axes[0], np.array(sorted(table["width"].unique()), dtype=float))
    axes[0].set_ylabel(f"kernel time τ when the gap exceeds {LEVELS[0]:g}\n(median; open triangle: never)")
    axes[1].set_ylabel("largest test gap up to τ = 10\n(units of RMS(y − f₀))")
    for ax in axes:
        style.legend_below(ax)
