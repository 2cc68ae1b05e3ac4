"""After a first phase of large steps the weights are no longer random: does a linearization taken there still hold?

Phase one trains a network at η = 2c₁/λ_max(K₀) until its residual ‖f − y‖ is ρ times the first one; if the error rises
above its first value on the way (a catapult), what counts is the first time after its peak. Phase two goes on from
those weights W_k by a step that is small for both kernels, 2c/max(λ_max(K₀), λ_max(K_k)) with c = ¼, beside two linear
models in closed form that start where the network does, at f(W_k), and differ in their kernel alone: K₀ = K(W₀), as the
theory has it, or K_k = K(W_k). It lasts until the second model's mean squared error is a hundredth of what phase one
left, or until its budget is spent.

Numbers
-------
gap_from_init.<c₁>, gap_from_phase_one.<c₁>
    Largest test gap of phase two, RMS(network − linear model) with K₀ or with K_k, in units of RMS(y − f(W_k)) on the
    training set, since units of the first residual would hide everything. At the middle ρ and the largest width.
gap_from_init.<c₁>.at.<ρ>, gap_from_phase_one.<c₁>.at.<ρ>, gap_ratio.<c₁>.at.<ρ>, kernel_distance.<c₁>.at.<ρ>
    The same at the other ρ; so are gap_over_control.<c₁>.at.<ρ> and the control's.
gap_ratio.<c₁>
    gap_from_phase_one over gap_from_init, paired by seed (geometric mean): below 1, relinearizing helps. Fort et al.
    2020 linearize along the path in this way.
gap_small_step_control.init, gap_small_step_control.phase_one
    Both gaps after the control, the smallest c₁: phase one without large steps.
gap_over_control.<c₁>
    gap_from_phase_one over that of the control, paired by seed (geometric mean).
kernel_distance.<c₁>
    1 − ⟨K₀, K_k⟩/(‖K₀‖‖K_k‖) on the training set (Fort et al. 2020): blind to a kernel that shrinks as a whole.
lambda_min_init, lambda_max_init, lambda_min_phase_one.<c₁>, lambda_max_phase_one.<c₁>
    Extreme eigenvalues of K over m at both ends of phase one. Allen-Zhu, Li, Song 2019 (Theorem 3) say of the loss f
    that ‖∇f‖² ≥ const·m·f near W₀; for every target at once the best constant is 2λ_min(K)/m, and 2λ_max(K)/m the one
    of their upper bound. These and the next are positive and spread widely over seeds: they are averaged in logs.
lambda_min_kept.<c₁>
    λ_min(K_k)/λ_min(K₀), geometric mean: how much of Theorem 3's lower bound is left at W_k.
gradient_ratio_init, gradient_ratio_phase_one.<c₁>
    ‖∇f‖²/(m·f) of the residual that is there.
spectrum_kept.<c₁>, spectrum_top.<c₁>
    Share of the singular values of W_k that do not lie beyond 1.1 times the edge of a random matrix, 2√2 in the paper's
    initialization (1 is what a random W has), and the largest one over that edge.
phase_one_length.<c₁>, capped.<c₁>
    Steps of phase one (geometric mean); share of seeds in which phase two ended with its budget.
exponent.gap_from_phase_one.<c₁>
    Slope of the log gap on log(width), where there are several widths.
f0_share, noise_floor
    ‖f₀‖²/‖y − f₀‖²; largest disagreement of two computations of the linear model at W_k after the control.
<number>.<readout>
    The same for a further readout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from comparisons import _exponents
from comparisons._settings import CentredSettings, build, check_distinct, training_cost
from comparisons._shape import Conclusion, Number
from comparisons._words import percent, side, told
from lab.costs import Cost
from lab.errors import check_integer, check_number

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

question = "After a first phase of large steps, does a linearization taken there describe what follows?"
asked_by = "R1, R3"
version = 1
GRID = (*CentredSettings.GRID, "phase_one", "residuals")

DONE = 1e-2  # of the mean squared error that phase one left
WATCHED = 200  # steps for which a phase one beyond the edge is watched for its peak
BEYOND = 1.1  # times the edge of a random matrix
MISSING = 0.2  # share of seeds that may be without phase two
WHICH = ("readout", "width", "seed", "first", "residual")
ENDS = ("phase_two_length", "small_step", "final_mse", "noise")
AT_INIT = ("lambda_min_init", "lambda_max_init", "gradient_ratio_init")
MEANS = ("gap_from_init", "gap_from_phase_one", "kernel_distance", "spectrum_kept", "spectrum_top", "capped")
SCALES = ("lambda_min_phase_one", "lambda_max_phase_one", "gradient_ratio_phase_one")  # averaged in logs
RATIOS = {
    "gap_ratio": ("gap_from_phase_one", "gap_from_init"),
    "lambda_min_kept": ("lambda_min_phase_one", "lambda_min_init"),
}


@dataclass(frozen=True)
class Settings(CentredSettings):
    """Settings of the comparison of phases: those of `CentredSettings`, and the two phases.

    Parameters
    ----------
    critical_fraction
        c of phase two (below 1), of the smaller one of both critical steps.
    phase_one
        Values of c₁; the smallest one (below 1) is the control.
    residuals
        Values of ρ, in (0, 1); numbers are quoted at the middle one.
    phase_one_time
        Budget of phase one in kernel time τ = c₁·steps.
    phase_two_steps
        Budget of phase two in steps.
    """

    widths: tuple[int, ...] = (256,)
    critical_fraction: float = 0.25
    phase_one: tuple[float, ...] = (0.1, 0.5, 1.5, 3.0)
    residuals: tuple[float, ...] = (0.8, 0.5, 0.2)
    phase_one_time: float = 100.0
    phase_two_steps: int = 3000

    GRID: ClassVar[tuple[str, ...]] = GRID

    def __post_init__(self) -> None:
        super().__post_init__()
        check_distinct("phase_one", self.phase_one)
        check_distinct("residuals", self.residuals)
        check_number("critical_fraction", self.critical_fraction, above=0, below=1)
        for fraction in self.phase_one:
            check_number("phase_one", fraction, above=0)
        check_number("phase_one", min(self.phase_one), above=0, below=1)
        for residual in self.residuals:
            check_number("residuals", residual, above=0, below=1)
        check_number("phase_one_time", self.phase_one_time, above=0)
        check_integer("phase_two_steps", self.phase_two_steps, 1)

    def cells(self) -> list[dict[str, Any]]:
        """One cell for every readout, width, seed, c₁ and ρ; those that tell the noise floor say so."""
        measured = (min(self.phase_one), middle(self.residuals))
        return [
            {**cell, "first": first, "residual": residual, "noise": (first, residual) == measured}
            for cell in super().cells()
            for first in self.phase_one
            for residual in self.residuals
        ]


PRESETS = {
    "fast": Settings(widths=(64,), seeds=3, samples=24, phase_one=(0.1, 1.5, 3.0), residuals=(0.5,)),
    "default": Settings(),
    "full": Settings(widths=(128, 256, 512, 1024), seeds=10, critical_fraction=0.1, phase_two_steps=20_000),
}


def middle(residuals: Any) -> float:
    """The ρ at which numbers are quoted."""
    return float(sorted(residuals)[len(residuals) // 2])


def cells(settings: Settings) -> list[dict[str, Any]]:
    """One cell for every readout, width, seed, c₁ and ρ."""
    return settings.cells()


def cost(cell: dict[str, Any]) -> Cost:
    """Flops of phase one and of a quarter of phase two's budget, and of five kernels; bytes of weights and deltas."""
    return training_cost(cell, _horizon(cell) + cell["phase_two_steps"] // 4, kernels=5)


def _horizon(cell: dict[str, Any]) -> int:
    """Most steps of phase one."""
    return max(math.ceil(cell["phase_one_time"] / cell["first"]), WATCHED)


def measure(cell: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Both phases of one network, and the two linear models beside the second."""
    import lab

    task, network = build(cell)
    before = lab.KernelRegressor.at(network, task)
    length, path, caught, diverged = _phase_one(cell, network, task, before)
    row = {name: cell[name] for name in WHICH}
    row |= {**dict.fromkeys((*MEANS, *SCALES, *ENDS)), "phase_one_length": length, "peak": max(path)}
    row |= _kernel_columns(before, cell["width"], "init")
    row["f0_share"] = float(before.outputs.square().sum() / (before.targets - before.outputs).square().sum())
    if caught is None:
        end = "diverged" if diverged else "undecided"
        told = {"outcome": end, "diverged": bool(diverged), "reasons": f"phase one {end} at step {len(path) - 1}"}
        return {**row, **told, "peak": None if diverged else row["peak"]}, {"path": np.array(path)}
    after = lab.KernelRegressor.at(caught, task)
    row |= {**_kernel_columns(after, cell["width"], "phase_one"), "kernel_distance": _distance(before, after)}
    found, arrays = _phase_two(cell, caught, task, before, after)
    return {**row, **_spectrum(network, caught), **found}, {"path": np.array(path), **arrays}


def _phase_one(cell: dict[str, Any], network: Any, task: Any, before: Any) -> tuple[Any, list[float], Any, int | None]:
    """Its length and the network there (None if ρ is not reached), the residual's path, and where it diverged."""
    import lab

    rate = 2 * cell["first"] / before.spectrum.lambda_max
    descent = lab.Descent(_horizon(cell), learning_rate=rate, record="all")
    start = 0.5 * float((before.outputs - before.targets).square().sum())
    path, peak, caught, length = [], 1.0 + 1e-6, None, None  # the first value, up to rounding, is no peak
    steps = lab.descend(network, task, descent)
    for snapshot in steps:
        path.append(math.sqrt(snapshot.loss / start))
        if path[-1] > peak:  # what was caught before the peak does not count
            peak, caught = path[-1], None
        elif caught is None and path[-1] <= cell["residual"]:
            length, caught = snapshot.step, snapshot.network.copy()
            if cell["first"] < 1:
                return length, path, caught, None
    if steps.diverged_at is not None or caught is None:
        return None, path, None, steps.diverged_at
    return length, path, caught, None


def _phase_two(
    cell: dict[str, Any], network: Any, task: Any, before: Any, after: Any
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Small steps of the network from W_k beside the two linear models that start there."""
    import lab
    from lab.learners.linearized import taylor_trajectory
    from lab.learners.network import train_network
    from lab.measures.gap import disagreement, rms, tracking_gap
    from lab.measures.hitting import hitting_step

    rate = 2 * cell["critical_fraction"] / max(before.spectrum.lambda_max, after.spectrum.lambda_max)
    residual = (after.outputs - after.targets).numpy()
    scale = float(rms(residual))
    wanted, budget = hitting_step(after.spectrum, residual, rate, DONE * scale**2), cell["phase_two_steps"]
    descent = lab.Descent(budget if wanted is None else min(max(wanted, 1), budget), learning_rate=rate)
    trained = train_network(network.copy(), task, descent, rate)
    models = {"init": before.starting_from(after), "phase_one": after}
    paths = {name: model.trajectory(descent, rate) for name, model in models.items()}
    gaps = {name: tracking_gap(trained.test, path.test, scale) for name, path in paths.items()}
    diverged = trained.diverged_at is not None
    losses = np.stack([trained.loss, *(path.loss for path in paths.values())]) / trained.loss[0]
    row = {f"gap_from_{name}": _exponents.finite(float(gap.max())) for name, gap in gaps.items()}
    row |= {
        "outcome": "diverged" if diverged else "reached",
        "phase_two_length": descent.steps,
        "small_step": rate,
        "capped": float(wanted is None or wanted > budget),
        "final_mse": None if diverged else float(losses[0, -1]),
        "noise": None,
        "diverged": trained.diverged_at or False,
        "reasons": f"phase two diverged at step {trained.diverged_at}" if diverged else "",
    }
    if cell["noise"]:
        again = taylor_trajectory(network, task, descent, rate)
        row["noise"] = disagreement(again.test, paths["phase_one"].test, scale)
    times = descent.recorded() * rate * after.spectrum.lambda_max / 2
    return row, {"times": times, "losses": losses, **{f"gap_{name}": gap for name, gap in gaps.items()}}


def _kernel_columns(regressor: Any, width: int, where: str) -> dict[str, float]:
    """Extreme eigenvalues of K over m, and ‖∇f‖²/(m·f) = 2 rᵀKr/(m‖r‖²)."""
    residual = (regressor.outputs - regressor.targets).flatten()
    kernel = regressor.kernel.reshape(len(residual), -1)
    squared_gradient = float(residual @ kernel @ residual)
    return {
        f"lambda_min_{where}": regressor.spectrum.lambda_min / width,
        f"lambda_max_{where}": regressor.spectrum.lambda_max / width,
        f"gradient_ratio_{where}": 2 * squared_gradient / (width * float(residual @ residual)),
    }


def _distance(before: Any, after: Any) -> float:
    one, other = before.kernel.flatten(), after.kernel.flatten()
    return 1 - float(one @ other / (one.norm() * other.norm()))


def _spectrum(start: Any, network: Any) -> dict[str, float]:
    """Singular values of W_k beside the edge 2σ√m of a random matrix with entries of deviation σ, which is W₀'s."""
    import torch

    initial, now = (getattr(each, "network", each) for each in (start, network))
    edge = 2 * initial.scales["W"].deviation * math.sqrt(initial.width)
    values = torch.linalg.svdvals(now.W.detach().double()) / edge
    return {"spectrum_kept": float((values <= BEYOND).double().mean()), "spectrum_top": float(values[0])}


def conclude(table: pd.DataFrame) -> Conclusion:
    """Numbers of every c₁ at the largest width, gaps at every ρ, and a verdict on the largest c₁."""
    numbers: dict[str, Number] = {}
    main = middle(table["residual"].unique())
    for place, readout in enumerate(_exponents.readouts(table)):
        arm = table[table["readout"] == readout]
        widest = arm[arm["width"] == arm["width"].max()]
        found = _numbers(widest[widest["residual"] == main])
        for residual in sorted(set(widest["residual"]) - {main}):
            there = _numbers(widest[widest["residual"] == residual])
            found |= {f"{key}.at.{residual:g}": there[key] for key in there if key.startswith(("gap_", "kernel_"))}
        found |= _width_exponents(arm[arm["residual"] == main])
        numbers |= {f"{key}.{readout}" if place else key: number for key, number in found.items()}
    floor = _exponents.finite(float(table["noise"].astype(float).max()))
    numbers["noise_floor"] = Number(floor, None, int(table["seed"].nunique()))
    numbers["f0_share"] = Number.mean(table.groupby("seed")["f0_share"].mean())
    return Conclusion(numbers, verdict(numbers, table))


def _numbers(arm: pd.DataFrame) -> dict[str, Number]:
    """All numbers of one readout, width and ρ."""
    control, once = min(arm["first"]), arm.groupby("seed").first()
    numbers = {name: Number.geometric(once[name]) for name in AT_INIT}
    steady = arm[arm["first"] == control].set_index("seed")
    for first, rows in arm.groupby("first"):
        here, missing = _complete(rows.set_index("seed"))
        seeds, key = len(rows), f"{first:g}"
        for name in MEANS:
            numbers[f"{name}.{key}"] = missing or Number.mean(here[name])
        for name in SCALES:
            numbers[f"{name}.{key}"] = missing or Number.geometric(here[name])
        for name, (above, below) in RATIOS.items():
            numbers[f"{name}.{key}"] = missing or Number.geometric(here[above] / here[below])
        numbers[f"phase_one_length.{key}"] = missing or Number.geometric(here["phase_one_length"].clip(lower=1))
        paired = (here["gap_from_phase_one"] / steady["gap_from_phase_one"]).dropna()
        few = None if len(paired) >= (1 - MISSING) * seeds else Number.none("too few seeds have both", len(paired))
        numbers[f"gap_over_control.{key}"] = missing or few or Number.geometric(paired)
    for where in ("init", "phase_one"):
        numbers[f"gap_small_step_control.{where}"] = numbers[f"gap_from_{where}.{control:g}"]
    return numbers


def _complete(rows: pd.DataFrame) -> tuple[pd.DataFrame, Number | None]:
    """The seeds that went through both phases, and a number without value if more than a fifth of them did not."""
    columns = [*MEANS, *SCALES, "phase_one_length", *(name for pair in RATIOS.values() for name in pair)]
    here = rows[rows["outcome"] == "reached"].astype(dict.fromkeys(columns, float))
    gone = len(rows) - len(here)
    if gone > MISSING * len(rows):
        ends = ", ".join(sorted(set(rows.loc[rows["outcome"] != "reached", "outcome"])))
        return here, Number.none(f"{gone} of {len(rows)} seeds did not get through both phases ({ends})", len(here))
    return here, None


def _width_exponents(arm: pd.DataFrame) -> dict[str, Number]:
    if arm["width"].nunique() < 2:
        return {}
    name = "gap_from_phase_one"
    return {
        f"exponent.{name}.{first:g}": _exponents.number(_exponents.fit(rows, name))
        for first, rows in arm.groupby("first")
    }


def verdict(numbers: dict[str, Number], table: pd.DataFrame) -> str:
    """What the largest c₁ with numbers says of both linear models, and of Theorem 3."""
    firsts = sorted(table["first"].unique())
    large = [c for c in firsts if c > 1 and numbers[f"gap_from_init.{c:g}"].value is not None]
    if not large:
        why = numbers[f"gap_from_init.{firsts[-1]:g}"].reason or "no phase one was beyond the edge"
        return f"There is no phase two after large steps to speak of: {why}."
    c, width = f"{large[-1]:g}", table["width"].max()
    gap, frozen = (percent(numbers[f"gap_from_{where}.{c}"]) for where in ("phase_one", "init"))
    helps = _RELINEARIZING[side(numbers[f"gap_ratio.{c}"], 1.0)]
    said = (
        f"At width {width}, after a first phase at {c} times the critical step, a linearization taken there is off by "
        f"{gap} of the remaining residual, the one at initialization by {frozen}: relinearizing {helps}."
    )
    control = numbers["gap_small_step_control.phase_one"]
    if control.value is not None:
        against = _AGAINST_CONTROL[side(numbers[f"gap_over_control.{c}"], 1.0)]
        said += f" After small steps it is {percent(control)}: {against}."
    return f"{said} Theorem 3's lower bound {_theorem(numbers[f'lambda_min_kept.{c}'])}."


_RELINEARIZING = {
    "below": "helps",
    "above": "makes it worse",
    "open": "makes no visible difference",
    None: "cannot be judged from so few seeds",
}
_AGAINST_CONTROL = {
    "below": "more",
    "above": "less",
    "open": "no visible difference",
    None: "not to be compared with so few seeds",
}


def _theorem(kept: Number) -> str:
    """What is left of Theorem 3's lower bound."""
    if kept.value is None:
        return "is lost there"
    if side(kept, 1.0) == "open":
        return f"keeps its constant within the interval ({told(kept)} times)"
    return f"keeps {percent(kept)} of its constant there"


def draw(results: Any, conclusion: Conclusion) -> dict[str, Figure]:
    """Both gaps against c₁, both phases over time, and Theorem 3's ratio before and after."""
    table = results.table[results.table["readout"] == _exponents.readouts(results.table)[0]]
    table = table[table["width"] == table["width"].max()]
    return {"gaps": _draw_gaps(table), "phases": _draw_phases(results, table), "theorem": _draw_theorem(table)}


MODELS = {
    "init": ("kernel of W₀", "#D55E00", (0, (5, 2))),
    "phase_one": ("kernel of W_k, after phase one", "#0072B2", "-"),
}


def _draw_gaps(table: pd.DataFrame) -> Figure:
    from lab.figures import groups, style

    residuals = sorted(table["residual"].unique(), reverse=True)
    figure, axes = style.panels(len(residuals), size=(4.1, 4.0), sharey=True)
    for ax, residual in zip(axes[0], residuals, strict=True):
        arm = table[table["residual"] == residual]
        for shift, (where, (label, color, _)) in zip((-0.1, 0.1), MODELS.items(), strict=True):
            gaps = _by_first(arm, f"gap_from_{where}")
            groups.points_by_group(ax, gaps, color=color, label=label, marker="s", offset=shift)
        ax.set_title(f"phase one until ‖f − y‖ is {residual:g} of its first value", fontsize="medium")
        ax.set_xlabel("step of phase one, c₁ = ηλ_max(K₀)/2")
        style.legend_below(ax)
    axes[0, 0].set_ylim(bottom=0)
    axes[0, 0].set_ylabel("largest test gap of phase two,\nRMS, in units of RMS(y − f(W_k))")
    style.headline(figure, question)
    return figure


def _by_first(arm: pd.DataFrame, name: str) -> dict[str, np.ndarray]:
    """A column's values, one for each seed, by c₁."""
    return {f"{first:g}": rows[name].to_numpy(float) for first, rows in arm.groupby("first")}


def _draw_phases(results: Any, table: pd.DataFrame) -> Figure:
    from lab.figures import style

    main = table[table["residual"] == middle(table["residual"].unique())]
    figure, axes = style.panels(2, size=(5.2, 4.2))
    seed = int(main["seed"].min())
    for row, color in zip(main[main["seed"] == seed].itertuples(), style.QUANTITIES, strict=False):
        arrays = results.arrays(
            **{name: getattr(row, name) for name in ("readout", "width", "seed", "first", "residual")}
        )
        length = len(arrays["path"]) - 1 if np.isnan(row.phase_one_length) else int(row.phase_one_length)
        steps, path = np.arange(length + 1), arrays["path"][: length + 1]
        axes[0, 0].plot(steps, path, color=color, label=f"c₁ = {row.first:g}")
        axes[0, 0].plot(steps[-1:], path[-1:], "o", color=color, clip_on=False, zorder=4)
        for where, (_, _, dash) in MODELS.items():
            if f"gap_{where}" in arrays:
                axes[0, 1].plot(arrays["times"], arrays[f"gap_{where}"], color=color, linestyle=dash)
    _phase_axes(axes[0], float(main["residual"].iloc[0]))
    style.headline(figure, f"One network (seed {seed}, width {main['width'].max()}) in both phases")
    return figure


def _phase_axes(axes: Any, residual: float) -> None:
    """Axes, legends and the end of phase one."""
    from matplotlib.ticker import LogLocator, NullLocator

    from lab.figures import curves, style

    one, two = axes
    one.axhline(residual, color=style.GREY, linestyle="--", linewidth=1.0)
    one.set_yscale("log")
    curves.step_axis(one, np.array([max(line.get_xdata().max() for line in one.get_lines()[:-1])]))
    one.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    one.yaxis.set_major_formatter("{x:g}")
    one.yaxis.set_minor_locator(NullLocator())
    one.set_xlabel("gradient step of phase one")
    one.set_ylabel("residual ‖f − y‖ over its first value")
    one.set_title("phase one: large steps")
    style.legend_below(one, columns=2)
    two.set_xlabel("kernel time of phase two, ηtλ_max(K_k)/2")
    two.set_ylabel("test gap, in units of RMS(y − f(W_k))")
    two.set_ylim(bottom=0)
    two.set_title("phase two: small steps")
    for label, _, dash in MODELS.values():
        two.plot([], [], color=style.GREY, linestyle=dash, label=label)
    style.legend_below(two)


def _draw_theorem(table: pd.DataFrame) -> Figure:
    from lab.figures import groups, style

    main = table[table["residual"] == middle(table["residual"].unique())]
    figure, axes = style.panels(1, size=(6.6, 4.6))
    ax = axes[0, 0]
    for shift, where, label in ((-0.18, "init", "at W₀"), (0.12, "phase_one", "at W_k, after phase one")):
        color = MODELS[where][1]
        scaled = main.assign(low=2 * main[f"lambda_min_{where}"], high=2 * main[f"lambda_max_{where}"])
        for name, what, marker, aside in (
            ("high", "2λ_max(K)/m", "v", 0.0),
            (f"gradient_ratio_{where}", "‖∇f‖²/(m f)", "o", 0.06),
            ("low", "2λ_min(K)/m", "^", 0.0),
        ):
            shape = {"color": color, "label": f"{what} {label}", "marker": marker, "offset": shift + aside}
            groups.points_by_group(ax, _by_first(scaled, name), log=True, **shape)
    ax.set_xlabel("step of phase one, c₁ = ηλ_max(K₀)/2")
    ax.set_ylabel("squared gradient over m·loss")
    style.legend_below(ax, columns=2)
    style.headline(figure, "Theorem 3's ratio before and after phase one")
    return figure
