"""How closely does gradient descent follow the linearized network as the width grows?

For each width and seed the three learners (`lab.side_by_side`) train by the same descent, and the table keeps the
largest gap over the recorded steps and how far weights, gates and kernel went.

Numbers
-------
exponent.gap_train, exponent.gap_test
    Slope of log(largest tracking gap) on log(width). The gap is RMS(network − linearized) over samples and outputs, in
    units of RMS(y − f₀) on the training set. Lee et al. 2019 (Theorem 2.1) bound it by m^(−1/2).
exponent.weight_motion, exponent.relative_weight_motion, exponent.spectral_motion
    The same for ‖θ_T − θ₀‖_F, for ‖θ_T − θ₀‖_F/‖θ₀‖_F and for ‖W_T − W₀‖₂. Allen-Zhu, Li, Song 2019 (Theorem 3) ask for
    a spectral radius of order m^(−1/2).
exponent.kernel_drift, exponent.gate_flips
    The same for ‖K_T − K₀‖_F/‖K₀‖_F and for the share of ReLU gates that changed.
exponent.<quantity>.<readout>
    The same for a further readout: "all" is the paper's own loss, over all time steps from the second on.
gap_test.<width>
    Mean largest test gap at the smallest and the largest width.
kernel_time, final_mse_linearized, f0_share
    τ = η·t·λ_max(K₀)/2 at the end; the linear learner's mean (f − y)² there at the largest width; ‖f₀‖²/‖y − f₀‖².
noise_floor
    Largest disagreement of the two computations of the linear model (weight space and kernel), in units of the gap;
    from the widths below 8192, where there is one in weight space.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from comparisons import _exponents, _networks
from comparisons._settings import NetworkSettings, f0_share, training_cost
from comparisons._shape import Conclusion, Number
from comparisons._words import percent, plain, power
from lab.costs import Cost
from lab.errors import check_integer

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

question = "How closely does gradient descent follow the linearized network as the width grows?"
asked_by = "R1, R3"
version = 2
GRID = NetworkSettings.GRID

QUANTITIES = {
    "gap_train": "training set",
    "gap_test": "test set",
    "weight_motion": r"weight motion $\|\theta_T-\theta_0\|_F$",
    "relative_weight_motion": r"relative motion $\|\theta_T-\theta_0\|_F/\|\theta_0\|_F$",
    "spectral_motion": r"spectral motion $\|W_T-W_0\|_2$",
    "kernel_drift": r"kernel drift $\|K_T-K_0\|_F/\|K_0\|_F$",
    "gate_flips": "share of flipped gates",
}
THEORY = -0.5  # exponent of the bound on the gap
NOISE = 10  # times the noise floor: a gap below that is none
IN_PLACE_FROM = 8192  # width from which one copy of W is held, and the linearized network runs on coefficients


@dataclass(frozen=True)
class Settings(NetworkSettings):
    """Settings of the width comparison: those of `NetworkSettings`, the number of gradient steps, and the network.

    Parameters
    ----------
    steps
        Gradient steps at η = 2c/λ_max(K₀).
    network
        "elman", or torch's own "rnn", "gru" or "lstm", or an "mlp" or "cnn" on the whole sequence. These are in
        standard parametrization with all weights trained, so levels do not compare with those of "elman" (see
        `comparisons._networks`). ``parametrization`` and ``trained`` belong to "elman", ``activation`` not to "gru" and
        "lstm"; "mlp" and "cnn" have no readout "mean".
    """

    steps: int = 300
    network: str = "elman"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("steps", self.steps, 1)
        _networks.check(self.network, self)


PRESETS = {
    "fast": Settings(widths=(32, 64, 128, 256), seeds=3, steps=100),
    "default": Settings(),
    "full": Settings(widths=(64, 128, 256, 512, 1024, 2048, 4096), seeds=10, steps=1000),
}


def cells(settings: Settings) -> list[dict[str, Any]]:
    """One cell for every readout, width and seed."""
    return [_networks.fitted(cell) for cell in settings.cells()]


def cost(cell: dict[str, Any]) -> Cost:
    """Flops of both trainings and the three kernels; bytes of weights, Taylor weights and cached deltas."""
    if cell["network"] != "elman":
        return _networks.cost(cell)
    copies = 1 if _in_place(cell) else 4  # the start, the network, the Taylor weights, and a motion at the end
    return training_cost(cell, cell["steps"], kernels=3, copies=copies)


def _in_place(cell: dict[str, Any]) -> bool:
    """Whether the network is so wide that there should be one copy of W."""
    return bool(cell["network"] == "elman" and cell["width"] >= IN_PLACE_FROM)


def measure(cell: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Train the three learners once."""
    import lab

    task, network = _networks.build(cell)
    descent = lab.Descent(cell["steps"], cell["critical_fraction"])
    result = lab.side_by_side(network, task, descent, in_place=_in_place(cell))
    return _row(cell, result), _arrays(result)


def _row(cell: dict[str, Any], result: Any) -> dict[str, Any]:
    summary = result.summary()
    reasons = "; ".join(f"{name}: {reason}" for name, reason in summary.pop("reasons").items())
    return {
        "readout": cell["readout"],
        "width": cell["width"],
        "seed": cell["seed"],
        **summary,
        "final_mse_linearized": _exponents.finite(2 * result.linearized.final_loss / result.task.train_targets.numel()),
        "kernel_time": result.learning_rate * cell["steps"] * result.lambda_max / 2,
        "f0_share": f0_share(result),
        "diverged": any(learner.diverged_at is not None for learner in result.learners.values()),
        "reasons": reasons,
    }


def _arrays(result: Any) -> dict[str, np.ndarray]:
    learners = result.learners
    return {
        "steps": result.network.steps,
        "learners": np.array(list(learners)),
        "loss": np.stack([learner.loss for learner in learners.values()]),
        "test": np.stack([learner.test for learner in learners.values()]).astype(np.float32),
        "test_targets": result.task.test_targets.flatten(1).numpy(),
        "gap_train": result.gap("train"),
        "gap_test": result.gap("test"),
    }


def conclude(table: pd.DataFrame) -> Conclusion:
    """Exponents of every readout, context numbers, and a verdict on the first readout."""
    numbers = _exponents.numbers(table, QUANTITIES)
    main = table[table["readout"] == _exponents.readouts(table)[0]]
    widest = main[main["width"] == main["width"].max()]
    for width in sorted({main["width"].min(), main["width"].max()}):
        numbers[f"gap_test.{width}"] = Number.mean(main.loc[main["width"] == width, "gap_test"])
    numbers["kernel_time"] = Number.mean(main.groupby("seed")["kernel_time"].mean())
    numbers["final_mse_linearized"] = Number.mean(widest["final_mse_linearized"])
    numbers["f0_share"] = Number.mean(widest["f0_share"])
    floor = table.loc[table["linearized_in"] == "weights", "linearized_kernel_disagreement"]
    numbers["noise_floor"] = Number(_exponents.finite(float(floor.max())), None, int(table["seed"].nunique()))
    return Conclusion(numbers, verdict(numbers, main))


def verdict(numbers: dict[str, Number], table: pd.DataFrame) -> str:
    """The sentence that the numbers support, and no more."""
    gap = numbers["exponent.gap_test"]
    if gap.value is None:
        return f"The test gap has no exponent here: {gap.reason}."
    low, high = int(table["width"].min()), int(table["width"].max())
    first, last = numbers[f"gap_test.{low}"], numbers[f"gap_test.{high}"]
    if max(last.value or 0.0, 0.0) < NOISE * (numbers["noise_floor"].value or 0.0):
        return f"From width {low} to {high} the test gap is rounding noise: the two learners are one model here."
    mse = numbers["final_mse_linearized"].value
    left = "" if mse is None else f" Training ended with a linear mean squared error of {plain(mse)} at width {high}."
    return (
        f"From width {low} to {high} the largest test gap between network and linearization goes from {percent(first)} "
        f"to {percent(last)} of the initial residual, as {power(gap)}: {_exponents.judge(gap, THEORY)}.{left}"
    )


def draw(results: Any, conclusion: Conclusion) -> dict[str, Figure]:
    """The gap against width, the motion against width, and the learners' test outputs at three widths."""
    table = results.table
    return {"gap": _draw_gap(table), "motion": _draw_motion(table), "outputs": _draw_outputs(results)}


def _draw_gap(table: pd.DataFrame) -> Figure:
    from lab.figures import style

    arms = _exponents.readouts(table)
    figure, axes = style.panels(len(arms), size=(5.0, 4.4), sharey=True)
    for ax, readout in zip(axes[0], arms, strict=True):
        for name, color, shift in (("gap_test", "#0072B2", 0.98), ("gap_train", "#E69F00", 1.02)):
            _exponents.draw(ax, table[table["readout"] == readout], name, color, QUANTITIES[name], shift)
        ax.set_title(f"readout: {_exponents.READS[readout]}")
        style.legend_below(ax)
    axes[0, 0].set_ylabel("largest gap |network − linearized|\n(RMS, in units of RMS(y − f₀))")
    style.headline(figure, question)
    return figure


def _draw_motion(table: pd.DataFrame) -> Figure:
    from lab.figures import style

    names = [name for name in QUANTITIES if not name.startswith("gap")]
    arm = table[table["readout"] == _exponents.readouts(table)[0]]
    figure, axes = style.panels(3, 2, size=(3.9, 3.2))
    names = [name for name in names if arm[name].notna().any()]
    for ax, name, color in zip(axes.flat, names, style.QUANTITIES, strict=False):
        _exponents.draw(ax, arm, name, color)
        ax.set_title(QUANTITIES[name], fontsize="medium")
        ax.legend(loc="best", fontsize="small")
    for ax in axes.flat[len(names) :]:
        ax.remove()
    style.headline(figure, "How far training moved weights, kernel and gates")
    return figure


def _draw_outputs(results: Any) -> Figure:
    from lab.figures import curves, style

    figure, axes = style.panels(3, sharey=True)
    for ax, (width, arrays) in zip(axes[0], _three_widths(results), strict=False):
        final = {name: outputs[-1, :, -1] for name, outputs in zip(arrays["learners"], arrays["test"], strict=True)}
        curves.outputs_by_sample(ax, final, arrays["test_targets"][:, -1])
        ax.set_title(f"width {width}, gap {arrays['gap_test'].max():.2f} (median seed)")
    axes[0, 0].set_ylabel("output after training")
    axes[0, 0].legend(loc="upper left")
    style.headline(figure, "Test outputs of the three learners")
    return figure


def _three_widths(results: Any) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Smallest, middle and largest width, with the arrays of the first readout and the seed of median test gap."""
    table = results.table
    main = table[table["readout"] == table["readout"].iloc[0]]
    widths = sorted(main["width"].unique())
    for width in dict.fromkeys((widths[0], widths[len(widths) // 2], widths[-1])):
        rows = main[main["width"] == width].sort_values("gap_test")
        row = rows.iloc[(len(rows) - 1) // 2]
        yield int(width), results.arrays(width=int(width), seed=int(row["seed"]), readout=row["readout"])
