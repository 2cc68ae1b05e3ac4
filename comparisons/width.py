"""How closely does gradient descent follow the linearized network as the width grows?

For each width and seed the three learners (`lab.side_by_side`) train by the same descent. The table keeps the largest
gap over the recorded steps, and how far weights, gates and kernel moved. The gap is RMS(network − linearized) over
samples and outputs, in units of the RMS of the training targets about their mean; with another ``loss`` in units of the
RMS change of the linear learner's outputs on the training set. Outputs are centred, f(θ) − f(θ₀); the paper's network,
with its random f₀, and a smooth one are arms beside it. ``parametrization="mean_field"``, never lazy, is the control.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np

import lab
from comparisons import kit
from lab.errors import refuse

question = "How closely does gradient descent follow the linearized network as the width grows?"
asked_by = "R1, R3"
version = 4

_QUANTITIES = {
    "gap_train": "the largest gap on the training set",
    "gap_test": "the largest gap on the test set; Lee et al. 2019 (Theorem 2.1) bound it by m^(−1/2)",
    "gap_initial_test": "the largest gap on the test set in units of the initial residual RMS(y − f₀)",
    "weight_motion": "‖θ_T − θ₀‖_F",
    "relative_weight_motion": "‖θ_T − θ₀‖_F/‖θ₀‖_F",
    "spectral_motion": "‖W_T − W₀‖₂; Allen-Zhu, Li, Song 2019 (Theorem 3) require order m^(−1/2)",
    "kernel_drift": "‖K_T − K₀‖_F/‖K₀‖_F",
    "gate_flips": "the share of ReLU gates that changed",
}
EXPONENTS = kit.family("exponent", template="Slope on log(width) of the log of {}.", meanings=_QUANTITIES)
GAP = kit.Quantity("gap_test", meaning="Largest test gap at the smallest and the largest width; geometric mean.")
_INITIAL = "The same in units of the initial residual RMS(y − f₀), which for an uncentred network is mostly f₀."
GAP_INITIAL = kit.Quantity("gap_initial_test", meaning=_INITIAL)
KERNEL_TIME = kit.Quantity("kernel_time", meaning="τ = η·t·λ_max/2 at the end of training.")
MSE, F0_SHARE, DRAWS, SLOWER = kit.losses.MSE, kit.records.F0_SHARE, kit.draws.SHARE, kit.limits.SLOWER
_NOISE = "Largest disagreement of the linear model computed twice, below width 8192, in units of the gap."
NOISE_FLOOR = kit.Quantity("noise_floor", meaning=_NOISE)

LABELS = {
    "weight_motion": r"weight motion $\|\theta_T-\theta_0\|_F$",
    "relative_weight_motion": r"relative motion $\|\theta_T-\theta_0\|_F/\|\theta_0\|_F$",
    "spectral_motion": r"spectral motion $\|W_T-W_0\|_2$",
    "kernel_drift": r"kernel drift $\|K_T-K_0\|_F/\|K_0\|_F$",
    "gate_flips": "share of flipped gates",
}
MOVED = {"weight_motion": "weights", "kernel_drift": "the kernel", "gate_flips": "gates"}
HEADLINES = ("gap_test.*[0-9]", "exponent.gap_test", "gap_test.#.erf", "exponent.gap_test.erf", "gap_test.#.paper")
CAPTIONS = {
    "gap": "Largest gap of network and linearization during training, against the width. The lower, the lazier; theory "
    f"bounds the slope by −½ in the lazy limit and has 0 in the mean-field one. {kit.marks.LAWS}",
    "motion": f"How far training moved weights, kernel and gates, against the width. {kit.marks.LAWS}",
    "outputs": "Outputs on the test samples after training, in the order of the linearized network's: the nearer the "
    "dots to the dashed line, the lazier the network. The kernel's dotted line should lie on the dashed one.",
}
NOISE, IN_PLACE_FROM = 10, 8192  # times the noise floor, below which a gap is rounding; width from which W is held once
NETWORK_HELP = "elman, or torch's rnn, gru, lstm, or an mlp or cnn on the whole sequence, with all weights trained."


@dataclass(frozen=True)
class Settings(kit.variants.Settings):
    """Those of `variants.Settings`, the number of gradient steps, one more limit of width, and the network."""

    steps: Annotated[kit.Count, kit.doc("Gradient steps at η = 2c/λ_max.")] = 300
    variants: tuple[str, ...] = ("centred", "erf", "paper", "leading")
    parametrization: kit.limits.Parametrization = "paper"
    network: Annotated[str, kit.OneOf(*kit.networks.NAMES), kit.doc(NETWORK_HELP)] = "elman"
    loss: kit.losses.Loss = "squared"

    def check(self) -> None:
        """Refuse settings that the network does not have."""
        super().check()
        kit.networks.check_network(self.network, self)
        if self.network != "elman" and self.variants[0] == "erf":
            came = f"erf first, with network={self.network!r}"
            refuse("variants", came, "centred or paper there", "set `activation`")


PRESETS = {
    "fast": Settings(widths=(32, 64, 128, 256), seeds=(12, 6, 4, 4), steps=100, draws=6),
    "default": Settings(seeds=(48, 24, 4, 6, 5), draws=12),
    "full": Settings(widths=(64, 128, 256, 512, 1024, 2048, 4096), seeds=(48, 32, 16, 12, 12, 8, 8), steps=1000),
}


@dataclass(frozen=True, kw_only=True)
class Cell(kit.variants.Cell):
    """One network of one width and seed."""

    steps: int
    network: str
    loss: str = kit.optional("squared")

    @property
    def in_place(self) -> bool:
        """Whether the network is so wide that one copy of W should be held."""
        return self.network == "elman" and self.width >= IN_PLACE_FROM


def cells(settings: Settings) -> list[Cell]:
    """One cell for every readout of the first variant, and for one of the others; width and seed."""
    name, gone = settings.network, () if settings.network == "elman" else ("erf", "leading")
    return [kit.networks.fitted(cell, name) for cell in settings.grid(Cell) if cell.variant not in gone]


def cost(cell: Cell) -> kit.Cost:
    """Flops of both trainings and the three kernels; bytes of weights, Taylor weights and cached deltas."""
    if cell.network != "elman":
        return kit.costs.module_cost(cell, cell.network, cell.steps)
    copies = 1 if cell.in_place else 4  # the start, the network, the Taylor weights, and a motion at the end
    return kit.costs.training_cost(cell, cell.steps, kernels=3, copies=copies)


def measure(cell: Cell) -> kit.Measured:
    """Train the three learners once."""
    task, network = kit.variants.build(cell, cell.network)
    descent = lab.Descent(cell.steps, cell.critical_fraction, loss=cell.loss)
    result = lab.side_by_side(network, task, descent, in_place=cell.in_place)
    arrays = {f"gap_{split}": result.gap(split) for split in ("test", "train")}
    arrays["loss"] = np.stack([learner.loss for learner in result.learners.values()])
    return _row(cell, result), {**kit.records.trajectories(task, result.learners, result.objective), **arrays}


def _row(cell: Cell, result: lab.SideBySide) -> kit.Row:
    summary, end = kit.records.summary(result), str(kit.losses.words(cell.loss).end())
    reasons = summary.pop("reasons")
    assert result.learning_rate is not None
    return {
        **kit.pick(cell, "variant", "readout", "width", "seed", "activation"),
        "alpha": kit.limits.scale_of(result.trained_network),
        **summary,
        end: kit.finite(kit.losses.mean(result.linearized.final_loss, result.objective)),
        "kernel_time": result.learning_rate * cell.steps * result.lambda_max / 2,
        "f0_share": result.f0_share,
        "diverged": kit.records.diverged(result),
        "reasons": reasons,
    }


def conclude(table: kit.Table) -> kit.Conclusion:
    """Exponents of every arm, context numbers, and a verdict on the first arm beside the others."""
    table, repeated = kit.draws.apart(table)
    numbers: kit.Numbers = {DRAWS(): kit.draws.share(repeated, "gap_test")}
    for arm in kit.by_readout(table):
        numbers |= {key(arm=arm.name): kit.exponent(arm.rows, name) for name, key in EXPONENTS.items()}
        law, widths = numbers[EXPONENTS["gap_test"](arm=arm.name)], arm.rows["width"]
        for width in sorted({int(widths.min()), int(widths.max()), *kit.limits.ends(law, arm.rows)}):
            rows = arm.rows[arm.rows["width"] == width]
            numbers[GAP(width, arm=arm.name)] = kit.Number.geometric(rows["gap_test"])
            key = GAP_INITIAL(width, arm=arm.name)
            numbers[key] = kit.records.of_values(rows, "gap_initial_test", kit.Number.geometric)
        numbers |= arm.keyed(kit.limits.widest_exponent(arm.rows))
        numbers[F0_SHARE(arm=arm.name)] = kit.records.of_values(kit.widest(arm.rows), "f0_share")
    numbers |= kit.limits.over_leading(kit.by_readout(table))
    main, words = kit.main_readout(table), kit.losses.words_of(table)
    numbers[KERNEL_TIME()] = kit.Number.mean(kit.widest(main)["kernel_time"])
    numbers[words.end()] = kit.Number.geometric(kit.widest(main)[str(words.end())])
    floor = table.loc[table["linearized_in"] == "weights", "linearized_kernel_disagreement"].max()
    numbers[NOISE_FLOOR()] = kit.Number.exact(kit.finite(float(floor)), int(table["seed"].nunique()))
    return kit.Conclusion(numbers, verdict(numbers, table))


def verdict(numbers: kit.Numbers, table: kit.Table) -> str:
    """How far the gap falls and how fast, as far as the intervals support it, and how the other arms differ."""
    arms, words, gap = kit.by_readout(table), kit.losses.words_of(table), numbers[EXPONENTS["gap_test"]()]
    (low, high), limit = kit.limits.ends(gap, arms[0].rows), kit.limits.note(arms[0].rows)
    if gap.value is None:
        return kit.sentences(f"No exponent of the test gap could be fitted: {gap.reason}.", limit)
    if (last := numbers[GAP(high)]).value is not None and last.value < NOISE * (numbers[NOISE_FLOOR()].value or 0.0):
        return kit.sentences(f"Not judged: the gap at width {high} is below {NOISE} times the numerical noise.", limit)
    others, end = {arm.name: arm for arm in arms[1:]}, numbers[words.end()].value  # not the main one's other readouts
    lazy = partial(_course, "In the ntk parametrization, not centred,") if limit else _uncentred
    return kit.sentences(
        f"From width {low} to {high}{kit.limits.left_out(gap, arms[0].rows)} the largest test gap between network and "
        f"linearization goes from {kit.percent(numbers[GAP(low)])} to {kit.percent(last)} of {words.whole}, as "
        f"{kit.limits.describe(gap, arms[0].rows)}.",
        _course("With erf", numbers, others.get("erf")),
        _course("With targets along large eigenvalues of K∞ alone", numbers, others.get("leading")),
        kit.limits.slowed(numbers),
        lazy(numbers, others.get("paper")),
        f"The linear learner ends at a {words.error} of {kit.format_value(end)} there." if end is not None else "",
        kit.draws.sentence(numbers, f"the log of the gap at width {int(arms[0].rows['width'].min())}"),
    )


def _course(where: str, numbers: kit.Numbers, arm: kit.Arm | None) -> str:
    """How the gap of another arm falls; empty where it is not there."""
    if arm is None:
        return ""
    slope = numbers[EXPONENTS["gap_test"](arm=arm.name)]
    if slope.value is None:
        return f"{where} no exponent could be fitted: {slope.reason}."
    gaps = ((numbers[GAP(m, arm=arm.name)], m) for m in kit.limits.ends(slope, arm.rows))
    ends = " to ".join(f"{kit.percent(gap)} at width {m}" for gap, m in gaps)
    return f"{where} it goes from {ends}, as {kit.limits.describe(slope, arm.rows)}."


def _uncentred(numbers: kit.Numbers, arm: kit.Arm | None) -> str:
    """What f₀ does to the paper's own network; empty where it is the main arm or is not there."""
    high = 0 if arm is None else int(arm.rows["width"].max())
    if arm is None or (gap := numbers[GAP(high, arm=arm.name)]).value is None:
        return ""
    start = f"The paper's network, which is not centred, has a gap of {kit.percent(gap)} at width {high}."
    initial, share = numbers[GAP_INITIAL(high, arm=arm.name)], numbers[F0_SHARE(arm=arm.name)]
    inside = f"(median); in units of that residual the gap is {kit.percent(initial)}"
    part = f"Its random initial output makes up {kit.percent(share)} of the initial residual {inside}."
    return start if initial.value is None or share.value is None else f"{start} {part}"


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    """The gap against width, the motion against width, and the learners' test outputs at three widths."""
    table = kit.draws.apart(results.table)[0]
    rows = kit.main_readout(table)
    names = [name for name in LABELS if rows[name].notna().any()]
    moved = kit.scalings(conclusion.numbers, {what: EXPONENTS[name]() for name, what in MOVED.items()})
    title = kit.fill("Training moves {}", moved) or "How far training moves weights, kernel and gates"
    motion = kit.figures.panels(names, partial(_draw_motion, rows), title=title, size=(3.9, 3.2), rows=2)
    return {"gap": _draw_gaps(table, conclusion), "motion": motion, "outputs": _draw_outputs(results)}


def _draw_gaps(table: kit.Table, conclusion: kit.Conclusion) -> kit.Figure:
    style = lab.figures.style
    figure, axes = style.panels(2, size=(6.0, 4.8), sharey=True)
    for ax, (name, what) in zip(axes[0], (("gap_test", "test set"), ("gap_train", "training set")), strict=True):
        for place, (arm, color) in enumerate(zip(kit.by_readout(table), style.QUANTITIES, strict=False)):
            law, label = kit.power_law(arm.rows, name), kit.limits.label(arm, table)
            kit.figures.power_law(ax, law, color, label, 0.94 * 1.04**place, style.MARKERS[place])
        ax.set_title(f"{what}; bars: 95 % intervals over seeds")
    lab.figures.labels.name_curves(figure)
    words = kit.losses.words_of(table)
    axes[0, 0].set_ylabel(f"largest gap |network − linearized|\n(RMS, {words.axis})")
    style.headline(figure, kit.finding(conclusion.verdict, "largest test gap", otherwise=question))
    return figure


def _draw_motion(rows: kit.Table, ax: kit.Axes, name: str) -> None:
    color = lab.figures.style.QUANTITIES[list(LABELS).index(name)]
    kit.figures.power_law(ax, kit.power_law(rows, name), color).legend(loc="best", fontsize="small")
    ax.set_title(LABELS[name], fontsize="medium")


def _draw_outputs(results: kit.Results) -> kit.Figure:
    (figure, axes), gaps = lab.figures.style.panels(3, sharey=True), []
    words = kit.losses.words_of(results.table)
    for ax, (width, arrays) in zip(axes[0], kit.records.three_widths(results, "gap_test"), strict=False):
        final = {name: outputs[-1, :, -1] for name, outputs in zip(arrays["learners"], arrays["test"], strict=True)}
        targets = None if words.has_classes else arrays["test_targets"][:, -1]
        lab.figures.curves.outputs_by_sample(ax, final, targets)
        gaps.append(f"{lab.measures.gap.largest(arrays['gap_test']):.2f} at width {width}")
        ax.set_title(f"width {width} (median seed)")
    axes[0, 0].set_ylabel(f"{words.output} after training")
    lab.figures.style.legends_below(figure, 2)
    lab.figures.style.headline(figure, kit.fill("Networks leave their linearizations, by a test gap of {}", gaps))
    return figure
