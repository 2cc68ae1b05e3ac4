"""How far is a network of finite width from the infinitely wide one, in its kernel and in what it learns?

For each width and seed: the empirical tangent kernel K₀ at initialization against its closed-form limit K∞, and the
trained network's test outputs against the predictor that starts from the same f₀ and is trained with K∞ instead of K₀,

    f₀(x) + K∞(x, X) K∞⁻¹ (I − (I − ηK∞)^t)(y − f₀(X)),    η = 2c/λ_max(K∞) for all seeds.

Outputs are centred, so that f₀ = 0; the paper's own network, with its random f₀, and one with a smooth activation are
arms beside it. Errors are in units of the RMS of the training targets about their mean.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import lab
from comparisons import kit

if TYPE_CHECKING:
    from torch import Tensor

question = "How far is a network of finite width from the infinitely wide one?"
asked_by = "R3 [Jacot, Gabriel, Hongler]"
version = 4

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
F0_SHARE, DRAWS = kit.records.F0_SHARE, kit.draws.SHARE
KERNEL_TIME = kit.Quantity("kernel_time", meaning="τ = ηtλ_max(K∞)/2 at which outputs are compared.")

OUTPUTS = {
    "output_error": ("network − limit", "#0072B2"),
    "tracking_error": ("network − linearized", "#D55E00"),
    "limit_error": ("linearized − limit", "#009E73"),
}
HEADLINES = ("kernel_error.*[0-9]", "output_error.*[0-9]", "exponent.kernel_error", "exponent.output_error")
CAPTIONS = {
    "outputs": "Distance of the trained network from its limit, the infinite-width predictor, against the width, and "
    f"its two parts: from network to own linearization, and from there to the limit. {kit.marks.LAWS}",
    "kernel": "Distance of the kernel at initialization from its limit, against the width: of the whole, and over the "
    f"smallest eigenvalue, where the dashed ¼ is enough for the proofs. {kit.marks.LAWS}",
}
KERNELS = "Seeds of each width whose kernel is measured; as many as seeds where these are given, and this is not."
ENOUGH = 0.25  # of λ_min(K∞)
SHARE = 0.9  # of the seeds


@dataclass(frozen=True)
class Settings(kit.variants.Settings):
    """Those of `variants.Settings`, and the training time."""

    kernel_seeds: Annotated[kit.Seeds, kit.doc(KERNELS)] = 20
    kernel_time: Annotated[kit.Positive, kit.doc("Kernel time τ = ηtλ_max(K∞)/2 of the comparison: τ/c steps.")] = 50.0


PRESETS = {
    "fast": Settings(widths=(32, 64, 128, 256), seeds=4, kernel_seeds=20, kernel_time=20.0, draws=6),
    "default": Settings(seeds=(24, 12, 4, 6, 8), kernel_seeds=(500, 200, 8, 120, 120), draws=12),
    "full": Settings(widths=(64, 128, 256, 512, 1024, 2048, 4096), seeds=12, kernel_seeds=100, draws=24),
}


@dataclass(frozen=True, kw_only=True)
class Cell(kit.variants.Cell):
    """One network of one width and seed; its kernel alone if it is not trained."""

    kernel_time: float
    trained_too: bool = kit.optional(True)

    @property
    def steps(self) -> int:
        """Gradient steps to the kernel time."""
        return max(round(self.kernel_time / self.critical_fraction), 1)


def cells(settings: Settings) -> list[Cell]:
    """One cell for every readout, width and seed, and kernels alone of the first arm for further seeds."""
    trained = [replace(cell, trained_too=cell.sample is None) for cell in settings.grid(Cell)]
    main = replace(settings, readouts=settings.readouts[:1], variants=settings.variants[:1], draws=0)
    more = replace(main, seeds=settings.kernel_seeds).grid(Cell)
    return trained + [replace(cell, trained_too=False) for cell in more if cell not in set(trained)]


def cost(cell: Cell) -> kit.Cost:
    """Flops of both trainings and the kernels; bytes of weights, Taylor weights and cached deltas."""
    return kit.costs.training_cost(cell, cell.steps if cell.trained_too else 0, kernels=4 if cell.trained_too else 1)


def measure(cell: Cell) -> kit.Measured:
    """Compare one network with its limit, in its kernel and in its test outputs after training."""
    task, network = kit.variants.build(cell)
    meta = lab.ElmanRNN.like(task, cell.width, device="meta", **kit.networks.choices(cell))
    limit = lab.infinite_ntk(meta, task.train_inputs, shared=True)  # float64, as λ_min needs it
    kernel = lab.empirical_ntk(network, task.train_inputs).to(limit)
    spectrum = lab.kernels.spectrum.Spectrum(limit)
    row: kit.Row = {**kit.pick(cell, "variant", "centred", "readout", "width", "seed", "trained_too")}
    row |= _distances(kernel, limit, spectrum)
    if not cell.trained_too:
        return row | {"diverged": False}, {}
    cross = lab.infinite_ntk(meta, task.test_split[0], task.train_inputs, shared=True)
    learning_rate = 2 * cell.critical_fraction / spectrum.lambda_max
    descent = lab.Descent(cell.steps, learning_rate=learning_rate)
    train, test = (network(inputs).detach().flatten(1) for inputs in (task.train_inputs, task.test_split[0]))
    predictor = lab.KernelRegressor(limit, train, task.train_targets.flatten(1), cross, test, spectrum=spectrum)
    result = lab.side_by_side(network, task, descent)
    predicted = predictor.trajectory(descent, learning_rate)
    arrays = kit.records.trajectories(task, {**result.learners, "kernel": predicted})
    return row | _trained(cell, result, predicted), arrays


def _distances(kernel: Tensor, limit: Tensor, spectrum: lab.kernels.spectrum.Spectrum) -> kit.Row:
    """Relative distance of the two kernels, and their spectral distance over the limit's λ_min."""
    defined = spectrum.lambda_min > spectrum.tolerance
    return {
        "kernel_error": lab.measures.kernels.relative_error(kernel, limit),
        RATIO: lab.measures.kernels.spectral_distance(kernel, limit) / spectrum.lambda_min if defined else None,
        "limit_lambda_min": spectrum.lambda_min,
        "reasons": "" if defined else f"{RATIO}: λ_min(K∞) is 0 up to rounding",
    }


def _trained(cell: Cell, result: lab.SideBySide, predicted: lab.Trajectory) -> kit.Row:
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
        **errors,
        **kit.pick(result, "learning_rate", "lambda_max", "lambda_min"),
        "kernel_time": cell.steps * cell.critical_fraction,
        "f0_share": result.f0_share,
        "linearized_kernel_disagreement": result.disagreement(),
        "diverged": kit.records.diverged(result),
    }


def conclude(table: kit.Table) -> kit.Conclusion:
    """Exponents of every arm, levels at the ends, and a verdict on the first arm."""
    table, repeated = kit.draws.apart(table)
    numbers: kit.Numbers = {DRAWS(): kit.draws.share(repeated, "kernel_error")}
    for arm in kit.by_readout(table):
        rows = {name: _of(arm.rows, name) for name in EXPONENTS}
        numbers |= {key(arm=arm.name): kit.exponent(rows[name], name) for name, key in EXPONENTS.items()}
        numbers[WIDTH(arm=arm.name)] = _width_for_kernel(arm.rows)
        numbers[FAR_WIDTH(arm=arm.name)] = kit.power_law(arm.rows, RATIO).reaches(ENOUGH)
        numbers[F0_SHARE(arm=arm.name)] = kit.Number.median(kit.widest(_of(arm.rows, "f0_share"))["f0_share"])
        for width in sorted({arm.rows["width"].min(), arm.rows["width"].max()}):
            ends = {name: each.loc[each["width"] == width, name] for name, each in rows.items()}
            numbers |= {key(width, arm=arm.name): kit.Number.geometric(ends[name]) for name, key in LEVELS.items()}
    main = kit.main_readout(table)
    numbers[KERNEL_TIME()] = kit.Number.mean(kit.widest(_of(main, "kernel_time"))["kernel_time"])
    return kit.Conclusion(numbers, verdict(numbers, int(main["width"].min()), int(main["width"].max())))


def _of(rows: kit.Table, name: str) -> kit.Table:
    """The rows that can have a value: what training gives is not known of kernels alone."""
    return rows if name in ("kernel_error", RATIO) else rows[rows["trained_too"].astype(bool)]


def _width_for_kernel(rows: kit.Table) -> kit.Number:
    """Where the share of seeds with a small enough ratio reaches 90 %."""
    known = rows.dropna(subset=[RATIO])
    if known.empty:
        return kit.Number.none("λ_min(K∞) is 0 up to rounding for every seed", rows["seed"].nunique())
    counts = (known[RATIO].astype(float) <= ENOUGH).groupby(known["width"]).agg(["sum", "count"])
    place = lab.measures.thresholds.success_place(counts.index, counts["sum"], counts["count"], SHARE)
    return kit.Number.estimated(place, known["seed"].nunique(), scale="log")


def verdict(numbers: kit.Numbers, low: int, high: int) -> str:
    """The two errors and their exponents, and the width from which the kernel is close enough."""
    output, kernel = (_error(numbers, name, high) for name in ("output_error", "kernel_error"))
    return kit.sentences(
        f"At width {high} the trained network's output {output}.",
        f"The kernel at initialization {kernel}.",
        _kernel_sentence(numbers, low),
        kit.draws.sentence(numbers, f"the log of the kernel's error at width {low}"),
    )


def _error(numbers: kit.Numbers, name: str, width: int) -> str:
    """The distance from the limit, and how it falls."""
    slope, level = numbers[EXPONENTS[name]()], numbers[LEVELS[name](width)]
    known = f"scaling as {kit.power(slope)}; {kit.compare_with_theory(slope, kit.limits.BOUND)}"
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
    table = kit.draws.apart(results.table)[0]
    outputs = kit.figures.panel_per_arm(
        kit.by_readout(_of(table, "output_error")),
        kit.figures.power_laws(OUTPUTS, kit.power_law),
        title=kit.finding(conclusion.verdict, "trained network's output", otherwise=question),
        ylabel="test outputs after training, RMS difference\n(in units of the targets)",
        size=(5.4, 4.8),
        named="{}",
    )
    return {"outputs": outputs, "kernel": _draw_kernel(table, conclusion)}


def _draw_kernel(table: kit.Table, conclusion: kit.Conclusion) -> kit.Figure:
    style = lab.figures.style
    figure, axes = style.panels(2, size=(5.4, 4.6))
    whole, smallest = axes[0]
    arms = kit.by_readout(table[table["centred"]] if table["centred"].any() else table)  # f₀ changes no kernel
    for ax, name in ((whole, "kernel_error"), (smallest, RATIO)):
        for place, arm in enumerate(each for each in arms if each.rows[name].notna().any()):
            look = style.QUANTITIES[place], arm.label, 1.03**place, style.MARKERS[place]
            kit.figures.power_law(ax, kit.power_law(arm.rows, name), *look)
    whole.set(title="the whole kernel", ylabel=r"kernel error $\|K_0-K_\infty\|_F/\|K_\infty\|_F$")
    smallest.set(title="against its smallest eigenvalue", ylabel=r"$\|K_0-K_\infty\|_2/\lambda_{\min}(K_\infty)$")
    lab.figures.curves.reference(smallest, ENOUGH, "¼: close enough ", horizontal=True)
    lab.figures.labels.name_curves(figure)
    style.headline(figure, kit.finding(conclusion.verdict, "The kernel at", otherwise="The kernel and its limit"))
    return figure
