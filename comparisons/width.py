"""How closely does gradient descent follow the linearized network as the width grows?

For each width and seed the three learners (`lab.side_by_side`) train by the same descent. The table keeps the largest
gap over the recorded steps, and how far weights, gates and kernel moved. The gap is RMS(network − linearized) over
samples and outputs, in units of RMS(y − f₀) on the training set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np

import lab
from comparisons import kit

question = "How closely does gradient descent follow the linearized network as the width grows?"
asked_by = "R1, R3"
version = 2

EXPONENTS = kit.family(
    "exponent",
    template="Slope on log(width) of the log of {}.",
    meanings={
        "gap_train": "the largest gap on the training set",
        "gap_test": "the largest gap on the test set; Lee et al. 2019 (Theorem 2.1) bound it by m^(−1/2)",
        "weight_motion": "‖θ_T − θ₀‖_F",
        "relative_weight_motion": "‖θ_T − θ₀‖_F/‖θ₀‖_F",
        "spectral_motion": "‖W_T − W₀‖₂; Allen-Zhu, Li, Song 2019 (Theorem 3) require order m^(−1/2)",
        "kernel_drift": "‖K_T − K₀‖_F/‖K₀‖_F",
        "gate_flips": "the share of ReLU gates that changed",
    },
)
GAP = kit.Quantity("gap_test", meaning="Mean largest test gap at the smallest and the largest width.")
KERNEL_TIME = kit.Quantity("kernel_time", meaning="τ = η·t·λ_max(K₀)/2 at the end of training.")
MSE = kit.Quantity(
    "final_mse_linearized", meaning="Mean (f − y)² of the linear learner at the end, at the largest width."
)
F0_SHARE = kit.Quantity("f0_share", meaning="‖f₀‖²/‖y − f₀‖² on the training set, at the largest width.")
NOISE_FLOOR = kit.Quantity(
    "noise_floor",
    meaning="Largest disagreement of the two computations of the linear model (weight space and kernel), in units of "
    "the gap, over widths below 8192.",
)

LABELS = {
    "weight_motion": r"weight motion $\|\theta_T-\theta_0\|_F$",
    "relative_weight_motion": r"relative motion $\|\theta_T-\theta_0\|_F/\|\theta_0\|_F$",
    "spectral_motion": r"spectral motion $\|W_T-W_0\|_2$",
    "kernel_drift": r"kernel drift $\|K_T-K_0\|_F/\|K_0\|_F$",
    "gate_flips": "share of flipped gates",
}
THEORY = -0.5  # exponent of the bound on the gap
NOISE = 10  # times the noise floor: a smaller gap is rounding
IN_PLACE_FROM = 8192  # width from which one copy of W is held, and the linearized network runs on coefficients
NETWORK_HELP = "elman, or torch's rnn, gru, lstm, or an mlp or cnn on the whole sequence, with all weights trained."


@dataclass(frozen=True)
class Settings(kit.networks.NetworkSettings):
    """Settings of the width comparison: those of `NetworkSettings`, the number of gradient steps, and the network."""

    steps: Annotated[kit.Count, kit.doc("Gradient steps at η = 2c/λ_max(K₀).")] = 300
    network: Annotated[str, kit.OneOf(*kit.networks.NAMES), kit.doc(NETWORK_HELP)] = "elman"

    def check(self) -> None:
        """Refuse settings that the network does not have."""
        super().check()
        kit.networks.check_network(self.network, self)


PRESETS = {
    "fast": Settings(widths=(32, 64, 128, 256), seeds=3, steps=100),
    "default": Settings(),
    "full": Settings(widths=(64, 128, 256, 512, 1024, 2048, 4096), seeds=10, steps=1000),
}


@dataclass(frozen=True, kw_only=True)
class Cell(kit.networks.NetworkCell):
    """One network of one width and seed."""

    steps: int
    network: str

    @property
    def in_place(self) -> bool:
        """Whether the network is so wide that one copy of W should be held."""
        return self.network == "elman" and self.width >= IN_PLACE_FROM


def cells(settings: Settings) -> list[Cell]:
    """One cell for every readout, width and seed."""
    return [kit.networks.fitted(cell, settings.network) for cell in settings.grid(Cell)]


def cost(cell: Cell) -> kit.Cost:
    """Flops of both trainings and the three kernels; bytes of weights, Taylor weights and cached deltas."""
    if cell.network != "elman":
        return kit.networks.module_cost(cell, cell.network, cell.steps)
    copies = 1 if cell.in_place else 4  # the start, the network, the Taylor weights, and a motion at the end
    return kit.networks.training_cost(cell, cell.steps, kernels=3, copies=copies)


def measure(cell: Cell) -> kit.Measured:
    """Train the three learners once."""
    task, network = kit.networks.build(cell, cell.network)
    descent = lab.Descent(cell.steps, cell.critical_fraction)
    result = lab.side_by_side(network, task, descent, in_place=cell.in_place)
    loss = np.stack([learner.loss for learner in result.learners.values()])
    gaps = {f"gap_{split}": result.gap(split) for split in ("train", "test")}
    return _row(cell, result), {**kit.records.trajectories(task, result.learners), "loss": loss, **gaps}


def _row(cell: Cell, result: lab.SideBySide) -> kit.Row:
    summary = result.summary()
    reasons = "; ".join(f"{name}: {reason}" for name, reason in summary.pop("reasons").items())
    assert result.learning_rate is not None
    return {
        **kit.pick(cell, "readout", "width", "seed"),
        **summary,
        "final_mse_linearized": kit.finite(2 * result.linearized.final_loss / result.task.train_targets.numel()),
        "kernel_time": result.learning_rate * cell.steps * result.lambda_max / 2,
        "f0_share": result.f0_share,
        "diverged": kit.records.diverged(result),
        "reasons": reasons,
    }


def conclude(table: kit.Table) -> kit.Conclusion:
    """Exponents of every readout, context numbers, and a verdict on the first readout."""
    numbers: kit.Numbers = {
        key(arm=arm.name): kit.exponent(arm.rows, name)
        for arm in kit.by_readout(table)
        for name, key in EXPONENTS.items()
    }
    main = kit.main_readout(table)
    for width in sorted({main["width"].min(), main["width"].max()}):
        numbers[GAP(width)] = kit.Number.mean(main.loc[main["width"] == width, "gap_test"])
    numbers[KERNEL_TIME()] = kit.Number.mean(main.groupby("seed")["kernel_time"].mean())
    numbers[MSE()] = kit.Number.mean(kit.widest(main)["final_mse_linearized"])
    numbers[F0_SHARE()] = kit.Number.mean(kit.widest(main)["f0_share"])
    floor = table.loc[table["linearized_in"] == "weights", "linearized_kernel_disagreement"].max()
    numbers[NOISE_FLOOR()] = kit.Number.exact(kit.finite(float(floor)), int(table["seed"].nunique()))
    return kit.Conclusion(numbers, verdict(numbers, main))


def verdict(numbers: kit.Numbers, table: kit.Table) -> str:
    """How far the gap falls and how fast, as far as the intervals support it."""
    gap, low, high = numbers[EXPONENTS["gap_test"]()], int(table["width"].min()), int(table["width"].max())
    first, last = numbers[GAP(low)], numbers[GAP(high)]
    if gap.value is None:
        return f"No exponent of the test gap could be fitted: {gap.reason}."
    if last.value is not None and last.value < NOISE * (numbers[NOISE_FLOOR()].value or 0.0):
        return (
            f"At width {high} the test gap is less than {NOISE} times the numerical noise; its exponent is not judged."
        )
    mse = numbers[MSE()].value
    return kit.sentences(
        f"From width {low} to {high} the largest test gap between network and linearization goes from "
        f"{kit.percent(first)} to {kit.percent(last)} of the initial residual, as {kit.power(gap)}; "
        f"{kit.compare_with_theory(gap, THEORY)}.",
        ""
        if mse is None
        else f"Training ended at a linear mean squared error of {kit.format_value(mse)} at width {high}.",
    )


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    """The gap against width, the motion against width, and the learners' test outputs at three widths."""
    table = results.table
    gap = kit.figures.panel_per_arm(
        kit.by_readout(table),
        _draw_gaps,
        title=question,
        ylabel="largest gap |network − linearized|\n(RMS, in units of RMS(y − f₀))",
        size=(5.0, 4.4),
    )
    return {"gap": gap, "motion": _draw_motion(kit.main_readout(table)), "outputs": _draw_outputs(results)}


def _draw_gaps(ax: kit.Axes, arm: kit.Arm) -> None:
    for name, what, color, shift in (
        ("gap_test", "test set", "#0072B2", 0.98),
        ("gap_train", "training set", "#E69F00", 1.02),
    ):
        kit.figures.power_law(ax, kit.power_law(arm.rows, name), color, what, shift)


def _draw_motion(rows: kit.Table) -> kit.Figure:
    style = lab.figures.style
    figure, axes = style.panels(3, 2, size=(3.9, 3.2))
    names = [name for name in LABELS if rows[name].notna().any()]
    for ax, name, color in zip(axes.flat, names, style.QUANTITIES, strict=False):
        kit.figures.power_law(ax, kit.power_law(rows, name), color)
        ax.set_title(LABELS[name], fontsize="medium")
        ax.legend(loc="best", fontsize="small")
    for ax in axes.flat[len(names) :]:
        ax.remove()
    style.headline(figure, "How far training moved weights, kernel and gates")
    return figure


def _draw_outputs(results: kit.Results) -> kit.Figure:
    figure, axes = lab.figures.style.panels(3, sharey=True)
    for ax, (width, arrays) in zip(axes[0], _three_widths(results), strict=False):
        final = {name: outputs[-1, :, -1] for name, outputs in zip(arrays["learners"], arrays["test"], strict=True)}
        lab.figures.curves.outputs_by_sample(ax, final, arrays["test_targets"][:, -1])
        ax.set_title(f"width {width}, gap {arrays['gap_test'].max():.2f} (median seed)")
    axes[0, 0].set_ylabel("output after training")
    axes[0, 0].legend(loc="upper left")
    lab.figures.style.headline(figure, "Test outputs of the three learners")
    return figure


def _three_widths(results: kit.Results) -> Iterator[tuple[int, kit.Arrays]]:
    """Smallest, middle and largest width, with the arrays of the first readout and the seed of median test gap."""
    main = kit.main_readout(results.table)
    widths = sorted(main["width"].unique())
    for width in dict.fromkeys((widths[0], widths[len(widths) // 2], widths[-1])):
        rows = main[main["width"] == width].sort_values("gap_test")
        row = rows.iloc[(len(rows) - 1) // 2]
        yield int(width), results.arrays(width=int(width), seed=int(row["seed"]), readout=row["readout"])
