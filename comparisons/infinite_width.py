"""How far is a network of finite width from the infinitely wide one, in its kernel and in what it learns?

For each width and seed: the empirical tangent kernel K₀ at initialization against its closed-form limit K∞, and the
trained network's test outputs against the predictor that starts from the same f₀ and is trained with K∞ instead of K₀,

    f₀(x) + K∞(x, X) K∞⁻¹ (I − (I − ηK∞)^t)(y − f₀(X)),    η = 2c/λ_max(K∞) for all seeds.

Outputs are centred, so that f₀ = 0; the paper's own network, with its random f₀, and one with a smooth activation are
arms beside it. Errors are in units of the RMS of the training targets about their mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import lab
from comparisons import kit

if TYPE_CHECKING:
    from torch import Tensor

question = "How far is a network of finite width from the infinitely wide one?"
asked_by = "R3 [Jacot, Gabriel, Hongler]"
version = 3

RATIO = "kernel_distance_over_lambda_min"
_ERRORS = {
    "kernel_error": "‖K₀ − K∞‖_F/‖K∞‖_F, the error of each seed's own kernel; −½ by the central limit theorem (Jacot, "
    "Gabriel, Hongler 2018; for the recurrent network Allen-Zhu, Li, Song 2019, section 2)",
    "output_error": "RMS(network − predictor) over the test set after training, in units of the targets",
    "tracking_error": "RMS(network − own linearization), a part of the output error",
    "limit_error": "RMS(own linearization − predictor), the other part of the output error",
    RATIO: "‖K₀ − K∞‖₂/λ_min(K∞) on the training set; below 1 the finite kernel is positive definite, and proofs that "
    "go from infinite to finite width require ¼ or less",
}
EXPONENTS = kit.family("exponent", template="Slope on log(width) of the log of {}.", meanings=_ERRORS)
WIDTH = kit.Quantity(
    "width_for_kernel",
    meaning="Smallest width at which ‖K₀ − K∞‖₂/λ_min(K∞) is at most ¼ for 90 % of the seeds: a logistic fit of "
    "success on log(width). None outside the measured widths.",
)
FAR_WIDTH = kit.Quantity(
    "width_for_kernel_extrapolated",
    meaning="Where the power law of that ratio, fitted per seed and averaged, passes ¼: an extrapolation for a typical "
    "seed, right only if the power law continues. Its interval is that of the exponent alone.",
)
LEVEL = "{} at the smallest and the largest width; geometric mean."
LEVELS = kit.family(template=LEVEL, meanings={"kernel_error": "Kernel error", "output_error": "Output error"})
F0_SHARE = kit.records.F0_SHARE
KERNEL_TIME = kit.Quantity("kernel_time", meaning="τ = ηtλ_max(K∞)/2 at which outputs are compared.")

OUTPUTS = {
    "output_error": ("network − infinite-width predictor", "#0072B2", 0.96),
    "tracking_error": ("network − own linearization", "#D55E00", 1.0),
    "limit_error": ("own linearization − predictor", "#009E73", 1.04),
}
HEADLINES = ("kernel_error.*[0-9]", "output_error.*[0-9]", "exponent.kernel_error", "exponent.output_error")
CAPTIONS = {
    "outputs": "Distance of the trained network from the infinite-width predictor, against the width, and its two "
    f"parts: from network to own linearization, and from there to the predictor. {kit.marks.LAWS}",
    "kernel": "Distance of the kernel at initialization from its limit, against the width: of the whole, and over the "
    f"smallest eigenvalue, where the dashed ¼ is enough for the proofs. {kit.marks.LAWS}",
}
ENOUGH = 0.25  # of λ_min(K∞)
SHARE = 0.9  # of the seeds
THEORY = -0.5


@dataclass(frozen=True)
class Settings(kit.variants.Settings):
    """Those of `variants.Settings`, and the training time."""

    kernel_time: Annotated[kit.Positive, kit.doc("Kernel time τ = ηtλ_max(K∞)/2 of the comparison: τ/c steps.")] = 50.0


PRESETS = {
    "fast": Settings(widths=(32, 64, 128, 256), seeds=3, kernel_time=20.0),
    "default": Settings(),
    "full": Settings(widths=(64, 128, 256, 512, 1024, 2048, 4096), seeds=10),
}


@dataclass(frozen=True, kw_only=True)
class Cell(kit.variants.Cell):
    """One network of one width and seed."""

    kernel_time: float

    @property
    def steps(self) -> int:
        """Gradient steps to the kernel time."""
        return max(round(self.kernel_time / self.critical_fraction), 1)


def cells(settings: Settings) -> list[Cell]:
    """One cell for every readout, width and seed."""
    return settings.grid(Cell)


def cost(cell: Cell) -> kit.Cost:
    """Flops of both trainings and the kernels; bytes of weights, Taylor weights and cached deltas."""
    return kit.costs.training_cost(cell, cell.steps, kernels=4)


def measure(cell: Cell) -> kit.Measured:
    """Compare one network with its limit, in its kernel and in its test outputs after training."""
    task, network = kit.networks.build(cell)
    limit, cross = _limits(cell, task)
    kernel = lab.empirical_ntk(network, task.train_inputs).to(limit)
    spectrum = lab.kernels.spectrum.Spectrum(limit)
    learning_rate = 2 * cell.critical_fraction / spectrum.lambda_max
    descent = lab.Descent(cell.steps, learning_rate=learning_rate)
    train, test = (network(inputs).detach().flatten(1) for inputs in (task.train_inputs, task.test_split[0]))
    predictor = lab.KernelRegressor(limit, train, task.train_targets.flatten(1), cross, test, spectrum=spectrum)
    result = lab.side_by_side(network, task, descent)
    predicted = predictor.trajectory(descent, learning_rate)
    row = _row(cell, result, predicted, _distances(kernel, limit, spectrum))
    return row, kit.records.trajectories(task, {**result.learners, "kernel": predicted})


def _limits(cell: Cell, task: lab.SequenceTask) -> tuple[Tensor, Tensor]:
    """K∞ of the training set, and between test and training set, shared by all outputs; float64, as λ_min needs it."""
    limit, train = lab.ElmanRNN.like(task, cell.width, device="meta", **kit.networks.choices(cell)), task.train_inputs
    return lab.infinite_ntk(limit, train, shared=True), lab.infinite_ntk(limit, task.test_split[0], train, shared=True)


def _distances(kernel: Tensor, limit: Tensor, spectrum: lab.kernels.spectrum.Spectrum) -> kit.Row:
    """Relative distance of the two kernels, and their spectral distance over the limit's λ_min."""
    defined = spectrum.lambda_min > spectrum.tolerance
    return {
        "kernel_error": lab.measures.kernels.relative_error(kernel, limit),
        RATIO: lab.measures.kernels.spectral_distance(kernel, limit) / spectrum.lambda_min if defined else None,
        "limit_lambda_min": spectrum.lambda_min,
        "reasons": "" if defined else f"{RATIO}: λ_min(K∞) is 0 up to rounding",
    }


def _row(cell: Cell, result: lab.SideBySide, predicted: lab.Trajectory, distances: kit.Row) -> kit.Row:
    learners = {"network": result.network, "linearized": result.linearized, "predictor": predicted}
    ends = {name: learner.test_outputs[-1:] for name, learner in learners.items()}
    pairs = {"output": ("network", "predictor"), "tracking": ("network", "linearized")}
    pairs["limit"] = ("linearized", "predictor")
    gap = lab.measures.gap.tracking_gap
    errors = {
        f"{name}_error": kit.finite(float(gap(ends[one], ends[other], result.units["targets"])[0]))
        for name, (one, other) in pairs.items()
    }
    return {
        **kit.pick(cell, "variant", "centred", "readout", "width", "seed"),
        **distances,
        **errors,
        **kit.pick(result, "learning_rate", "lambda_max", "lambda_min"),
        "kernel_time": cell.steps * cell.critical_fraction,
        "f0_share": result.f0_share,
        "linearized_kernel_disagreement": result.disagreement(),
        "diverged": kit.records.diverged(result),
    }


def conclude(table: kit.Table) -> kit.Conclusion:
    """Exponents of every arm, levels at the ends, and a verdict on the first arm."""
    numbers: kit.Numbers = {}
    for arm in kit.by_readout(table):
        numbers |= {key(arm=arm.name): kit.exponent(arm.rows, name) for name, key in EXPONENTS.items()}
        numbers[WIDTH(arm=arm.name)] = _width_for_kernel(arm.rows)
        numbers[FAR_WIDTH(arm=arm.name)] = _extrapolated(arm.rows)
        numbers[F0_SHARE(arm=arm.name)] = kit.Number.median(kit.widest(arm.rows)["f0_share"])
        for width in sorted({arm.rows["width"].min(), arm.rows["width"].max()}):
            rows = arm.rows[arm.rows["width"] == width]
            numbers |= {key(width, arm=arm.name): kit.Number.geometric(rows[name]) for name, key in LEVELS.items()}
    main = kit.main_readout(table)
    numbers[KERNEL_TIME()] = kit.Number.mean(kit.widest(main)["kernel_time"])
    return kit.Conclusion(numbers, verdict(numbers, int(main["width"].min()), int(main["width"].max())))


def _width_for_kernel(rows: kit.Table) -> kit.Number:
    """Where the share of seeds with a small enough ratio reaches 90 %."""
    known = rows.dropna(subset=[RATIO])
    if known.empty:
        return kit.Number.none("λ_min(K∞) is 0 up to rounding for every seed", rows["seed"].nunique())
    counts = (known[RATIO].astype(float) <= ENOUGH).groupby(known["width"]).agg(["sum", "count"])
    place = lab.measures.thresholds.success_place(counts.index, counts["sum"], counts["count"], SHARE)
    return kit.Number.estimated(place, known["seed"].nunique())


def _extrapolated(rows: kit.Table) -> kit.Number:
    """Where the power law of the ratio, continued, passes the level."""
    grid = kit.by_seed(rows, RATIO)
    place = lab.measures.exponents.extrapolated_place(lab.fit_exponent(grid.columns, grid.to_numpy()), ENOUGH)
    return kit.Number.estimated(place, len(grid))


def verdict(numbers: kit.Numbers, low: int, high: int) -> str:
    """The two errors and their exponents, and the width from which the kernel is close enough."""
    output, kernel = (_error(numbers, name, high) for name in ("output_error", "kernel_error"))
    return kit.sentences(
        f"At width {high} the trained network's output {output}.",
        f"The kernel at initialization {kernel}.",
        _kernel_sentence(numbers, low),
    )


def _error(numbers: kit.Numbers, name: str, width: int) -> str:
    """The distance from the limit, and how it falls."""
    slope, level = numbers[EXPONENTS[name]()], numbers[LEVELS[name](width)]
    known = f"scaling as {kit.power(slope)}; {kit.compare_with_theory(slope, THEORY)}"
    law = known if slope.value is not None else f"and no exponent could be fitted ({slope.reason})"
    far = kit.percent(level) if level.value is not None else f"an unknown amount ({level.reason})"
    return f"deviates by {far} from its infinite-width limit, {law}"


def _kernel_sentence(numbers: kit.Numbers, low: int) -> str:
    """From which width on the kernel is within a quarter of its smallest eigenvalue."""
    found, further = numbers[WIDTH()], numbers[FAR_WIDTH()]
    close = "‖K₀ − K∞‖₂ ≤ λ_min(K∞)/4 holds in 90 % of the seeds"
    if found.value is not None:
        return f"{close} from width {kit.format_number(found)} on."
    if found.reason == f"left censored at {low:g}":
        return f"{close} at every measured width."
    if not str(found.reason).startswith("right censored"):
        return f"Whether {close} is unknown ({found.reason})."
    if further.value is None:
        return f"{close} at no measured width."
    return f"{close} at no measured width; extrapolated, typically from width {kit.format_number(further)} on."


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    """Both errors against width, one panel for each arm."""
    outputs = kit.figures.panel_per_arm(
        kit.by_readout(results.table),
        _draw_outputs,
        title=kit.finding(conclusion.verdict, "trained network's output", otherwise=question),
        ylabel="test outputs after training, RMS difference\n(in units of the targets)",
        size=(5.4, 4.8),
        named="{}",
    )
    return {"outputs": outputs, "kernel": _draw_kernel(results.table, conclusion)}


def _draw_outputs(ax: kit.Axes, arm: kit.Arm) -> None:
    for name, (what, color, shift) in OUTPUTS.items():
        kit.figures.power_law(ax, kit.power_law(arm.rows, name), color, what, shift)


def _draw_kernel(table: kit.Table, conclusion: kit.Conclusion) -> kit.Figure:
    style = lab.figures.style
    figure, axes = style.panels(2, size=(5.4, 4.6))
    whole, smallest = axes[0]
    arms = kit.by_readout(table[table["centred"]] if table["centred"].any() else table)  # f₀ changes no kernel
    for ax, name in ((whole, "kernel_error"), (smallest, RATIO)):
        for place, (arm, color) in enumerate(zip(arms, style.QUANTITIES, strict=False)):
            if arm.rows[name].notna().any():
                kit.figures.power_law(ax, kit.power_law(arm.rows, name), color, arm.label, 1.03**place)
    style.legends_below(figure)
    whole.set(title="the whole kernel", ylabel=r"kernel error $\|K_0-K_\infty\|_F/\|K_\infty\|_F$")
    smallest.set(title="against its smallest eigenvalue", ylabel=r"$\|K_0-K_\infty\|_2/\lambda_{\min}(K_\infty)$")
    lab.figures.curves.reference(smallest, ENOUGH, "¼: close enough ", horizontal=True)
    style.headline(figure, kit.finding(conclusion.verdict, "The kernel at", otherwise="The kernel and its limit"))
    return figure
