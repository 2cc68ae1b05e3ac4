"""How far is a network of finite width from the infinitely wide one, in its kernel and in what it learns?

For each width and seed: the empirical tangent kernel K₀ at initialization against its closed-form limit K∞, and the
trained network's test outputs against the predictor that starts from the same f₀ and descends with K∞ instead of K₀,

    f₀(x) + K∞(x, X) K∞⁻¹ (I − (I − ηK∞)^t)(y − f₀(X)),    η = 2c/λ_max(K∞) for all seeds.

Without its own f₀ the predictor would keep a random error that never falls with the width.

Numbers
-------
exponent.kernel_error
    Slope of log ‖K₀ − K∞‖_F/‖K∞‖_F on log(width), the error of each seed's own kernel; −½ by the central limit theorem
    (Jacot, Gabriel, Hongler 2018, and Allen-Zhu, Li, Song 2019 for the recurrent network, section 2).
exponent.output_error
    The same for RMS(network − predictor) over the test set at kernel time τ = ηtλ_max(K∞)/2, in units of RMS(y − f₀).
exponent.tracking_error, exponent.limit_error
    Its two parts: network − own linearization, and own linearization − predictor.
exponent.kernel_distance_over_lambda_min
    The same for ‖K₀ − K∞‖₂/λ_min(K∞), both in the spectral norm of the training set's kernel. A ratio below 1 keeps
    the finite kernel positive definite; proofs that go from infinite to finite width ask for ¼ or less.
exponent.<quantity>.<readout>
    The same for a further readout.
width_for_kernel, width_for_kernel.<readout>
    Smallest width at which that ratio is at most ¼ for 90 % of the seeds: a logistic fit of success on log(width),
    with its interval. None where it lies outside the widths that were measured.
width_for_kernel_extrapolated, width_for_kernel_extrapolated.<readout>
    Where the ratio's power law, fitted per seed and averaged, passes ¼; its interval is that of the exponent alone. It
    stands for a typical seed, not for 90 % of them, and may lie far outside the measured widths: an extrapolation,
    right only if the power law holds on. None unless the exponent's interval lies below 0.
kernel_error.<width>, output_error.<width>
    Means at the smallest and the largest width.
kernel_time, f0_share
    τ reached; ‖f₀‖²/‖y − f₀‖² at the largest width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from comparisons import _exponents
from comparisons._settings import NetworkSettings, build, f0_share, training_cost
from comparisons._shape import Conclusion, Number
from comparisons._words import percent, power, told
from lab.costs import Cost
from lab.errors import check_number

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

question = "How far is a network of finite width from the infinitely wide one?"
asked_by = "R3 [Jacot, Gabriel, Hongler]"
version = 2
GRID = NetworkSettings.GRID

QUANTITIES = {
    "kernel_error": r"kernel error $\|K_0-K_\infty\|_F/\|K_\infty\|_F$",
    "output_error": "network − infinite-width predictor",
    "tracking_error": "network − own linearization",
    "limit_error": "own linearization − predictor",
}
RATIO = "kernel_distance_over_lambda_min"
ENOUGH = 0.25  # of λ_min(K∞)
SHARE = 0.9  # of the seeds
THEORY = -0.5


@dataclass(frozen=True)
class Settings(NetworkSettings):
    """Settings of the infinite-width comparison: those of `NetworkSettings`, and how long to train.

    Parameters
    ----------
    kernel_time
        τ = ηtλ_max(K∞)/2 at which outputs are compared; steps are τ/c.
    """

    kernel_time: float = 50.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("kernel_time", self.kernel_time, above=0)


PRESETS = {
    "fast": Settings(widths=(32, 64, 128, 256), seeds=3, kernel_time=20.0),
    "default": Settings(),
    "full": Settings(widths=(64, 128, 256, 512, 1024, 2048, 4096), seeds=10),
}


def cells(settings: Settings) -> list[dict[str, Any]]:
    """One cell for every readout, width and seed."""
    return settings.cells()


def cost(cell: dict[str, Any]) -> Cost:
    """Flops of both trainings and the kernels; bytes of weights, Taylor weights and cached deltas."""
    return training_cost(cell, _steps(cell), kernels=4)


def _steps(cell: dict[str, Any]) -> int:
    return max(round(cell["kernel_time"] / cell["critical_fraction"]), 1)


def measure(cell: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Compare one network with its limit, in its kernel and in its test outputs after training."""
    import torch

    import lab
    from lab.kernels.spectrum import Spectrum

    task, network = build(cell)
    limit, cross = _limits(cell, task)
    kernel = lab.empirical_ntk(network, task.train_inputs).to(limit)
    spectrum = Spectrum(limit)
    learning_rate = 2 * cell["critical_fraction"] / spectrum.lambda_max
    descent = lab.Descent(_steps(cell), learning_rate=learning_rate)
    with torch.no_grad():
        train, test = (network(inputs).flatten(1) for inputs in (task.train_inputs, task.test_inputs))
    predictor = lab.KernelRegressor(limit, train, task.train_targets.flatten(1), cross, test, spectrum=spectrum)
    result = lab.side_by_side(network, task, descent)
    predicted = predictor.trajectory(descent, learning_rate)
    distances = _distances(kernel, limit, spectrum)
    return _row(cell, result, predicted, distances), _arrays(result, predicted)


def _limits(cell: dict[str, Any], task: Any) -> tuple[Any, Any]:
    """K∞ of the training set, and between test and training set, in float64: λ_min of the paper's loss needs it."""
    import lab

    choices = {name: cell[name] for name in ("readout", "activation", "parametrization", "trained")}
    limit = lab.ElmanRNN.like(task, cell["width"], device="meta", **choices)
    return lab.infinite_ntk(limit, task.train_inputs), lab.infinite_ntk(limit, task.test_inputs, task.train_inputs)


def _distances(kernel: Any, limit: Any, spectrum: Any) -> dict[str, Any]:
    """Relative Frobenius distance of two kernels (n, o, n, o), and spectral distance over the limit's λ_min."""
    import torch

    difference = (kernel - limit).reshape(len(spectrum.values), -1)
    spectral = float(torch.linalg.matrix_norm(difference, ord=2))
    defined = spectrum.lambda_min > spectrum.tolerance
    return {
        "kernel_error": float(torch.linalg.vector_norm(difference) / torch.linalg.vector_norm(limit)),
        RATIO: spectral / spectrum.lambda_min if defined else None,
        "limit_lambda_min": spectrum.lambda_min,
        "reasons": "" if defined else f"{RATIO}: λ_min(K∞) is 0 up to rounding",
    }


def _row(cell: dict[str, Any], result: Any, predicted: Any, distances: dict[str, Any]) -> dict[str, Any]:
    from lab.measures.gap import tracking_gap

    ends = {"network": result.network.test, "linearized": result.linearized.test, "predictor": predicted.test}
    pairs = {"output": ("network", "predictor"), "tracking": ("network", "linearized")}
    pairs["limit"] = ("linearized", "predictor")
    errors = {
        f"{name}_error": _exponents.finite(float(tracking_gap(ends[one][-1:], ends[other][-1:], result.scale)[0]))
        for name, (one, other) in pairs.items()
    }
    return {
        "readout": cell["readout"],
        "width": cell["width"],
        "seed": cell["seed"],
        **distances,
        **errors,
        "learning_rate": result.learning_rate,
        "lambda_max": result.lambda_max,
        "lambda_min": result.lambda_min,
        "kernel_time": _steps(cell) * cell["critical_fraction"],
        "f0_share": f0_share(result),
        "linearized_kernel_disagreement": result.disagreement(),
        "diverged": any(learner.diverged_at is not None for learner in result.learners.values()),
    }


def _arrays(result: Any, predicted: Any) -> dict[str, np.ndarray]:
    learners = {"network": result.network, "linearized": result.linearized, "kernel": predicted}
    return {
        "steps": result.network.steps,
        "learners": np.array(list(learners)),
        "test": np.stack([learner.test for learner in learners.values()]).astype(np.float32),
        "test_targets": result.task.test_targets.flatten(1).numpy(),
    }


def conclude(table: pd.DataFrame) -> Conclusion:
    """Exponents of every readout, levels at the ends, and a verdict on the first readout."""
    numbers = _exponents.numbers(table, (*QUANTITIES, RATIO))
    for place, readout in enumerate(_exponents.readouts(table)):
        arm, end = table[table["readout"] == readout], f".{readout}" if place else ""
        numbers[f"width_for_kernel{end}"] = _width_for_kernel(arm)
        numbers[f"width_for_kernel_extrapolated{end}"] = _extrapolated(arm)
    main = table[table["readout"] == _exponents.readouts(table)[0]]
    for width in sorted({main["width"].min(), main["width"].max()}):
        for name in ("kernel_error", "output_error"):
            numbers[f"{name}.{width}"] = Number.mean(main.loc[main["width"] == width, name])
    numbers["kernel_time"] = Number.mean(main.groupby("seed")["kernel_time"].mean())
    numbers["f0_share"] = Number.mean(main.loc[main["width"] == main["width"].max(), "f0_share"])
    return Conclusion(numbers, verdict(numbers, main))


def _width_for_kernel(arm: pd.DataFrame) -> Number:
    """Where the share of seeds with a small enough ratio reaches 90 %."""
    from lab.measures.thresholds import success_place

    rows = arm.dropna(subset=[RATIO])
    if rows.empty:
        return Number.none("λ_min(K∞) is 0 up to rounding for every seed", arm["seed"].nunique())
    counts = (rows[RATIO].astype(float) <= ENOUGH).groupby(rows["width"]).agg(["sum", "count"])
    found = success_place(counts.index.to_numpy(float), counts["sum"], counts["count"], SHARE)
    return Number(found.value, found.interval, rows["seed"].nunique(), found.reason)


def _extrapolated(arm: pd.DataFrame) -> Number:
    """Where the mean power law of the ratio passes the level, through the middle of the widths that entered."""
    exponent = _exponents.fit(arm, RATIO)
    if exponent.value is None or exponent.log_intercept is None:
        return Number.none(exponent.reason or "no power law", exponent.seeds)
    if exponent.interval is None or exponent.interval[1] >= 0:
        return Number.none("the ratio does not surely fall with the width", exponent.seeds)
    middle = float(np.log(exponent.widths).mean())
    height = exponent.log_intercept + exponent.value * middle - math.log(ENOUGH)
    with np.errstate(over="ignore"):  # a slope next to 0 gets there nowhere
        value, *ends = np.exp(middle - height / np.array([exponent.value, *exponent.interval])).tolist()
    if not math.isfinite(value):
        return Number.none("the ratio falls too slowly for a power law to name a width", exponent.seeds)
    return Number(value, (min(ends), max(ends)), exponent.seeds, exponent.reason)


def verdict(numbers: dict[str, Number], table: pd.DataFrame) -> str:
    """What the intervals of the two errors say, and from which width on the kernel is good enough."""
    low, high = int(table["width"].min()), int(table["width"].max())
    output, kernel = (_error(numbers, name, high) for name in ("output_error", "kernel_error"))
    start = f"At width {high} the trained network's output {output}. The kernel at initialization {kernel}."
    return f"{start} {_said_of_kernel(numbers, low)}"


def _error(numbers: dict[str, Number], name: str, width: int) -> str:
    """How far from the limit, and how that falls."""
    exponent = numbers[f"exponent.{name}"]
    if exponent.value is None:
        return f"has no exponent here ({exponent.reason})"
    level = percent(numbers[f"{name}.{width}"])
    return f"is {level} off its infinite-width limit, as {power(exponent)}: {_exponents.judge(exponent, THEORY)}"


def _said_of_kernel(numbers: dict[str, Number], low: int) -> str:
    """From which width on the finite kernel is as good as positive definite."""
    found, further = numbers["width_for_kernel"], numbers["width_for_kernel_extrapolated"]
    close = "It is within a quarter of its smallest eigenvalue"
    if found.value is not None:
        return f"{close} from width {told(found)} on."
    if found.reason == f"left censored at {low:g}":
        return f"{close} at every one of these widths."
    if not str(found.reason).startswith("right censored"):
        return f"{close} at no width that can be told ({found.reason})."
    if further.value is None:
        return f"{close} at none of these widths."
    return f"{close} at none of these widths; extrapolated, from width {told(further)} on."


def draw(results: Any, conclusion: Conclusion) -> dict[str, Figure]:
    """Both errors against width, one panel for each readout."""
    return {"kernel": _draw_kernel(results.table), "outputs": _draw_outputs(results.table)}


def _draw_kernel(table: pd.DataFrame) -> Figure:
    from lab.figures import style

    figure, axes = style.panels(2, size=(5.4, 4.6))
    titles = {"kernel_error": "the whole kernel", RATIO: "against its smallest eigenvalue"}
    for ax, (name, title) in zip(axes[0], titles.items(), strict=True):
        for place, (readout, color) in enumerate(zip(_exponents.readouts(table), style.QUANTITIES, strict=False)):
            arm, what = table[table["readout"] == readout], _exponents.READS[readout]
            if arm[name].notna().any():
                _exponents.draw(ax, arm, name, color, what, 1.03**place)
        ax.set_title(title)
        style.legend_below(ax)
    axes[0, 0].set_ylabel(QUANTITIES["kernel_error"])
    axes[0, 1].set_ylabel(r"$\|K_0-K_\infty\|_2/\lambda_{\min}(K_\infty)$")
    axes[0, 1].axhline(ENOUGH, color=style.GREY, linestyle="--", linewidth=1)
    axes[0, 1].text(
        1, ENOUGH, "¼: close enough ", color=style.GREY, fontsize="small", ha="right", va="bottom",
        transform=axes[0, 1].get_yaxis_transform(),
    )  # fmt: skip
    style.headline(figure, "The kernel at initialization and its limit")
    return figure


def _draw_outputs(table: pd.DataFrame) -> Figure:
    from lab.figures import style

    arms = _exponents.readouts(table)
    figure, axes = style.panels(len(arms), size=(5.4, 4.8), sharey=True)
    names = [name for name in QUANTITIES if name != "kernel_error"]
    for ax, readout in zip(axes[0], arms, strict=True):
        for name, color, shift in zip(names, ("#0072B2", "#D55E00", "#009E73"), (0.96, 1.0, 1.04), strict=True):
            _exponents.draw(ax, table[table["readout"] == readout], name, color, QUANTITIES[name], shift)
        ax.set_title(f"readout: {_exponents.READS[readout]}")
        style.legend_below(ax)
    axes[0, 0].set_ylabel("test outputs after training, RMS difference\n(in units of RMS(y − f₀))")
    style.headline(figure, question)
    return figure
