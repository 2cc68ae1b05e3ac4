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
exponent.<quantity>.<readout>
    The same for a further readout.
kernel_error.<width>, output_error.<width>
    Means at the smallest and the largest width.
kernel_time, f0_share
    τ reached; ‖f₀‖²/‖y − f₀‖² at the largest width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from comparisons import _exponents
from comparisons._settings import NetworkSettings, build, f0_share, training_cost
from comparisons._shape import Conclusion, Number
from lab.costs import Cost
from lab.errors import check_number

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

question = "How far is a network of finite width from the infinitely wide one?"
asked_by = "R3 [Jacot, Gabriel, Hongler]"
version = 1
GRID = NetworkSettings.GRID

QUANTITIES = {
    "kernel_error": r"kernel error $\|K_0-K_\infty\|_F/\|K_\infty\|_F$",
    "output_error": "network − infinite-width predictor",
    "tracking_error": "network − own linearization",
    "limit_error": "own linearization − predictor",
}
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
    limit = lab.infinite_ntk(network, task.train_inputs)
    cross = lab.infinite_ntk(network, task.test_inputs, task.train_inputs)
    kernel = lab.empirical_ntk(network, task.train_inputs)
    spectrum = Spectrum(limit.double())
    learning_rate = 2 * cell["critical_fraction"] / spectrum.lambda_max
    descent = lab.Descent(_steps(cell), learning_rate=learning_rate)
    with torch.no_grad():
        train, test = (network(inputs).flatten(1) for inputs in (task.train_inputs, task.test_inputs))
    predictor = lab.KernelRegressor(
        limit.double(), train, task.train_targets.flatten(1), cross, test, spectrum=spectrum
    )
    result = lab.side_by_side(network, task, descent)
    predicted = predictor.trajectory(descent, learning_rate)
    error = float(torch.linalg.vector_norm(kernel - limit) / torch.linalg.vector_norm(limit))
    return _row(cell, result, predicted, error), _arrays(result, predicted)


def _row(cell: dict[str, Any], result: Any, predicted: Any, kernel_error: float) -> dict[str, Any]:
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
        "kernel_error": kernel_error,
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
    numbers = _exponents.numbers(table, QUANTITIES)
    main = table[table["readout"] == _exponents.readouts(table)[0]]
    for width in sorted({main["width"].min(), main["width"].max()}):
        for name in ("kernel_error", "output_error"):
            numbers[f"{name}.{width}"] = Number.mean(main.loc[main["width"] == width, name])
    numbers["kernel_time"] = Number.mean(main.groupby("seed")["kernel_time"].mean())
    numbers["f0_share"] = Number.mean(main.loc[main["width"] == main["width"].max(), "f0_share"])
    return Conclusion(numbers, verdict(numbers, main))


def verdict(numbers: dict[str, Number], table: pd.DataFrame) -> str:
    """What the intervals of the two errors say."""
    low, high = int(table["width"].min()), int(table["width"].max())
    sentences = []
    for name, what in (
        ("kernel_error", "the kernel at initialization"),
        ("output_error", "the trained network's output"),
    ):
        exponent = numbers[f"exponent.{name}"]
        ends = [numbers[f"{name}.{width}"].value for width in (low, high)]
        share = " to ".join("?" if end is None else f"{100 * end:.0f} %" for end in ends)
        if exponent.value is None:
            sentences.append(f"{what} has no exponent here: {exponent.reason}")
        else:
            judged = _exponents.judge(exponent, THEORY)
            sentences.append(f"{what} is {share} away from its limit, as m^{exponent}: {judged}")
    return f"From width {low} to {high}, " + "; ".join(sentences) + "."


def draw(results: Any, conclusion: Conclusion) -> dict[str, Figure]:
    """Both errors against width, one panel for each readout."""
    return {"kernel": _draw_kernel(results.table), "outputs": _draw_outputs(results.table)}


def _draw_kernel(table: pd.DataFrame) -> Figure:
    from lab.figures import style

    figure, axes = style.panels(1, size=(5.4, 4.6))
    for place, (readout, color) in enumerate(zip(_exponents.readouts(table), style.QUANTITIES, strict=False)):
        arm, what = table[table["readout"] == readout], _exponents.READS[readout]
        _exponents.draw(axes[0, 0], arm, "kernel_error", color, what, 1.03**place)
    axes[0, 0].set_ylabel(QUANTITIES["kernel_error"])
    style.legend_below(axes[0, 0])
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
