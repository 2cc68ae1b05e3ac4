"""Are there worse minima than the one that gradient descent finds, how far away are they, and why does width help?

The theorems exclude bad critical points near the initialization alone. So one is planted for each width and seed: at
W_bad every even time step is dead on the training set; the gradient is exactly 0 and the loss, of f and not of f − f₀,
constant around it (`lab.measures.landscape.planted_motion`). Why width helps is shown beside it (`lab.measures.room`).
A second experiment counts how training of narrow networks ends (`lab.measures.attempts`); only "stuck" is about minima.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated, Literal

from annotated_types import Ge

import lab
from comparisons import kit
from lab.costs import eigenvectors

question = "Are there worse minima than the one that gradient descent finds, how far away, and why does width help?"
asked_by = "R2"
version = 2

GRADIENT = kit.Quantity("planted_gradient", meaning="Largest |entry| of ∇f at W_bad over all cells: exactly 0.")
_LOSS = "Loss {} over ½‖y − mean y‖², the loss of the best constant, at the largest width."
LOSSES = kit.family(template=_LOSS, meanings={"planted_loss": "at W_bad", "descent_loss": "where descent ends"})
_AT_WIDTH = {
    "distance_ratio": "‖W_bad − W₀‖_F/‖W_T − W₀‖_F.",
    "planted_distance": "‖W_bad − W₀‖_F.",
    "planted_over_initial": "‖W_bad − W₀‖_F/‖W₀‖₂; ‖W₀‖₂ is about 2√2.",
    "descent_distance": "‖W_T − W₀‖_F.",
    "needed": "√(r₀ᵀK₀⁻¹r₀), r₀ = f₀ − y: length of the shortest motion with which the linearized network fits.",
    "needed_over_valid": "needed over valid.",
    "needed_over_valid_spectral": "The same with the spectral norm of the shortest motion.",
}
AT_WIDTH = kit.family(meanings=_AT_WIDTH)
LINES = {"descent": "W₀ → W_T (descent)", "planted": "W₀ → W_bad (planted)", "between": "W_T → W_bad"}
_BARRIER = "Rise of the loss on the line {} above the higher of its ends, over the loss of the best constant."
BARRIERS = kit.family("barrier", template=_BARRIER, meanings=LINES)
VALID = kit.Quantity("valid", meaning="‖W − W₀‖₂ up to which λ_min(K) ≥ λ_min(K₀)/4 in the worst direction found.")
_EXPECTED = {"distance_ratio": "½, as W_bad − W₀ is of rank one with entries ~1/√m", "needed": "−½"}
_SLOPES = {name: f"Slope on log(width) of log({name}); expected: {slope}." for name, slope in _EXPECTED.items()}
EXPONENTS = kit.family("exponent", meanings=_SLOPES)
DEGREE = kit.Quantity("exponent", "valid", meaning="Degree of valid in the width, by censored regression.")
VALID_FROM = kit.Quantity("needed_is_valid_from", meaning="Width at which needed_over_valid falls through 1.")
_ENDS = {
    "success": "reach the accuracy within the budget",
    "slow": "still make progress when the budget is spent",
    "stuck": "would lower the loss by less than 10 % in as many further steps at the final rate",
    "diverged": "diverge",
}
EXITS = kit.family(template="Share of narrow networks that {}.", meanings=_ENDS)
WIDTH_90 = kit.Quantity("width_for_90_percent", meaning="Width at which the success share is 0.9: logistic in log m.")
COLORS = ("#009E73", "#C08400", "#D55E00", "#6b6b6b")  # of the exits
NEEDED = {"needed": (r"needed to fit, $\|\cdot\|_F$", "#0072B2"), "valid": (r"valid radius, $\|\cdot\|_2$", "#D55E00")}
DISTANCES = {"planted_distance": ("planted minimum", "#D55E00"), "descent_distance": ("after training", "#0072B2")}
HEADLINES = ("distance_ratio.#", "exponent.needed", "exponent.valid", "needed_is_valid_from")
CAPTIONS = {
    "intuition": f"Motion needed to fit, and radius in which the kernel stays good, against width. {kit.marks.LAWS}",
    "distance": f"How far from W₀ the planted minimum is, and the trained weights, against width. {kit.marks.LAWS}",
    "lines": f"Loss along three straight lines; a rise between the ends is a barrier. {kit.marks.SEEDS}",
    "success": "How narrow networks end; where green passes 90 %, nine of ten succeed. If m² < n·o, none should fit.",
}
NARROW = (2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64)


@dataclass(frozen=True)
class Settings(kit.paths.PathSettings):
    """Settings of the minima: those of `PathSettings`, how far to look, and the narrow networks."""

    widths: tuple[int, ...] = (32, 64, 128, 256, 512)
    centred: Annotated[bool, kit.doc("Narrow networks have outputs f(θ) − f(θ₀); a planted point belongs to f.")] = True
    success_widths: Annotated[kit.networks.Widths, kit.doc("Widths of the narrow networks.")] = NARROW
    success_seeds: Annotated[kit.SeedCount, kit.doc("Initializations at each narrow width.")] = 20
    success_readouts: Annotated[kit.networks.Readouts, kit.doc("Losses of the narrow networks.")] = ("last",)
    success_accuracy: Annotated[kit.Positive, kit.doc("Mean square error that counts as success.")] = 1e-2
    success_patience: Annotated[kit.Positive, kit.doc("Budget in units of the infinite-width model's time.")] = 100.0
    points: Annotated[int, Ge(3), kit.doc("Points on each line, its ends included.")] = 41
    radii: kit.paths.Radii = (0.03, 0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)


PRESETS = {
    "fast": Settings(widths=(16, 32, 64), seeds=(8, 6, 5), samples=8, success_widths=(2, 4, 8, 16), success_seeds=5),
    "default": Settings(seeds=(10, 6, 4, 4, 6)),
    "full": Settings(widths=(16, 32, 64, 128, 256, 512, 1024), seeds=10, samples=24, success_seeds=100),
}


@dataclass(frozen=True, kw_only=True)
class PlantedCell(kit.paths.PathCell):
    """One planted point and one descent, from one initialization."""

    part: Literal["planted"] = "planted"
    centred: bool
    points: int


@dataclass(frozen=True, kw_only=True)
class NarrowCell(kit.networks.CentredCell):
    """The training of one narrow network."""

    part: Literal["success"] = "success"
    accuracy: float
    patience: float


Cell = PlantedCell | NarrowCell


def cells(settings: Settings) -> list[Cell]:
    """One planted cell for every readout, width and seed, and one cell for every narrow network."""
    planted = settings.grid(PlantedCell, centred=[False], radii=[tuple(sorted(settings.radii))])
    narrow = {
        "readout": settings.success_readouts,
        "width": settings.success_widths,
        "accuracy": [settings.success_accuracy],
        "patience": [settings.success_patience],
    }
    return [*planted, *kit.grid(NarrowCell, settings, settings.success_seeds, **narrow)]


def cost(cell: Cell) -> kit.Cost:
    """Flops of a typical descent, and of the kernels and decompositions of the search."""
    steps = round(cell.patience * (300 if cell.readout == "all" else 15))
    if isinstance(cell, NarrowCell):
        return kit.costs.training_cost(cell, steps, kernels=2)
    looks = 2 * len(cell.radii) * cell.searches
    training = kit.costs.training_cost(cell, steps, kernels=70 + 3 * looks, copies=8)
    return training + looks * eigenvectors(cell.width)


def measure(cell: Cell) -> kit.Measured:
    """One planted point beside one descent, or the training of one narrow network."""
    if isinstance(cell, PlantedCell):
        found, arrays = _plant(cell)
    else:
        task, network = kit.networks.build(cell)
        pace = {"critical_fraction": cell.critical_fraction, "patience": cell.patience}
        found, arrays = asdict(lab.measures.attempts.attempt(network, task, cell.accuracy, **pace)), {}
    row = {**kit.pick(cell, "part", "readout", "width", "seed"), **found}
    return {**row, "diverged": found["exit"] == kit.paths.DIVERGED}, arrays


def _plant(cell: PlantedCell) -> kit.Measured:
    """Where one descent ends, a planted point, and whether the linear model fits where the kernel is good."""
    task, network, path = kit.paths.descend(cell)
    planted = lab.measures.planted.plant(network, task.train_inputs, task.train_targets.flatten(1), path, cell.points)
    look, where = lab.measures.room.room_to_fit, (path.linear, planted.direction, cell.radii)
    room = look(network, task.train_inputs, *where, iterations=cell.searches)
    return {"exit": path.exit, **planted.summary(), **room.summary()}, planted.arrays()


def conclude(table: kit.Table) -> kit.Conclusion:
    """Numbers of every readout, and a verdict on the first one."""
    numbers = kit.each_readout(table, _numbers)
    return kit.Conclusion(numbers, verdict(numbers, kit.main_readout(table)))


def _numbers(rows: kit.Table) -> kit.Numbers:
    planted, narrow = (rows[rows["part"] == part] for part in ("planted", "success"))
    return (_planted_numbers(planted) if len(planted) else {}) | (_narrow_numbers(narrow) if len(narrow) else {})


def _planted_numbers(rows: kit.Table) -> kit.Numbers:
    found = {GRADIENT(): kit.Number.exact(float(rows["planted_gradient"].max()), int(rows["seed"].nunique()))}
    widest = kit.paths.done(kit.widest(rows))
    found |= {key(): kit.Number.geometric(widest[name].dropna()) for name, key in LOSSES.items()}
    barriers = {f"barrier_{name}": key for name, key in BARRIERS.items()}
    found |= kit.paths.at_widths(rows, barriers, lambda each: kit.Number.median(each.dropna()))
    found |= kit.paths.at_widths(rows, AT_WIDTH)
    found |= kit.paths.radii_at_widths(rows, {("valid", "valid_censored"): VALID})
    found |= {key(): kit.exponent(rows, name) for name, key in EXPONENTS.items()}
    found[DEGREE()] = kit.threshold_degree(rows.dropna(subset=["valid"]), "valid", "valid_censored")
    return found | {VALID_FROM(): kit.passes(rows, "needed_over_valid", 1.0)}


def _narrow_numbers(rows: kit.Table) -> kit.Numbers:
    groups = [(width, rows.loc[rows["width"] == width, "exit"]) for width in sorted(rows["width"].unique().tolist())]
    found = {key(width): kit.Number.share(exits == name) for name, key in EXITS.items() for width, exits in groups}
    widths, trials = [width for width, _ in groups], [len(exits) for _, exits in groups]
    place = lab.measures.thresholds.success_place(widths, [(exits == "success").sum() for _, exits in groups], trials)
    return found | {WIDTH_90(): kit.Number.estimated(place, max(trials), scale="log")}


def verdict(numbers: kit.Numbers, table: kit.Table) -> str:
    """The planted point, why width helps, and how the training of narrow networks ends."""
    planted, narrow = (sorted(table.loc[table["part"] == part, "width"].unique()) for part in ("planted", "success"))
    return kit.sentences(_far(numbers, planted[-1]) if planted else "", _ends(numbers, narrow) if narrow else "")


def _far(numbers: kit.Numbers, width: int) -> str:
    gradient, ratio = numbers[GRADIENT()].value, numbers[AT_WIDTH["distance_ratio"](width)]
    exact = "exactly 0" if gradient == 0 else f"at most {gradient:.2g}, not 0"
    exponent = numbers[EXPONENTS["distance_ratio"]()]
    growth = f", growing as {kit.power(exponent)}" if kit.position(exponent, 0.0) == "above" else ""
    far = f"{kit.format_number(ratio)} times as far from W₀ as the weights after training{growth}"
    far = f"at an unknown distance ({ratio.reason})" if ratio.value is None else far
    return (
        f"At width {width} a worse minimum (gradient {exact}) is {far}. "
        f"The motion needed to fit is below the radius with λ_min(K) ≥ λ_min(K₀)/4 {_from(numbers[VALID_FROM()])}."
    )


def _ends(numbers: kit.Numbers, widths: list[int]) -> str:
    shares = {width: numbers[EXITS["stuck"](width)] for width in widths}
    stuck, ends = [width for width, share in shares.items() if share.value], "none stops making progress"
    if stuck:
        later = "none above" if stuck[-1] < widths[-1] else f"{kit.percent(shares[stuck[-1]])} at"
        more = f", {later} width {stuck[-1]}" if stuck[0] < widths[-1] else ""
        ends = f"{kit.percent(shares[stuck[0]])} stop making progress at width {stuck[0]}{more}"
    return f"Nine of ten networks succeed {_from(numbers[WIDTH_90()])}; {ends}."


def _from(place: kit.Number) -> str:
    return f"from width {kit.format_number(place)} on" if place.value else f"from an unknown width on ({place.reason})"


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    """The motion needed against the valid radius, the distances, the lines, and how narrow networks end."""
    planted, narrow = (results.table[results.table["part"] == part] for part in ("planted", "success"))
    panels, figures, finding = kit.figures.panel_per_arm, {}, partial(kit.finding, conclusion.verdict)
    if len(planted):
        far = partial(panels, kit.by_readout(planted), ylabel="distance from W₀")
        needed, distances = (kit.figures.power_laws(names, kit.power_law) for names in (NEEDED, DISTANCES))
        figures["intuition"] = far(needed, title=finding("needed to fit", otherwise=question))
        figures["distance"] = far(distances, title=finding("worse minimum", otherwise=question))
        figures["lines"] = _draw_lines(results, planted)
    if len(narrow):
        title, draw_arm = finding("networks succeed", otherwise="How training ends"), partial(_draw_ends, conclusion)
        figures["success"] = panels(kit.by_readout(narrow), draw_arm, title=title, ylabel="share of seeds", columns=5)
    return figures


def _draw_lines(results: kit.Results, planted: kit.Table) -> kit.Figure:
    style, arms, falls = lab.figures.style, kit.by_readout(planted), []
    figure, axes = style.panels(len(LINES), len(arms), size=(4.0, 3.4), sharey="row")
    for row, arm in zip(axes, arms, strict=True):
        for width, color in zip(planted["width"].agg(["min", "max"]).unique(), ("#C08400", "#0072B2"), strict=False):
            found = kit.records.arrays_of(results, arm.rows[arm.rows["width"] == width], part="planted")
            falls += [(each["losses"][0][1:] <= each["losses"][0][:-1]).all() for each in found]
            for place, ax in enumerate(row if found else ()):
                curve = kit.curve(found[0]["shares"], [arrays["losses"][place] for arrays in found], log=True)
                kit.figures.seeds(ax, curve, color, f"width {width}")
        for ax, what in zip(row, LINES.values(), strict=True):
            ax.axhline(1, color=style.GREY, linestyle="--", label="best constant")
            lab.figures.curves.log_axis(ax.yaxis)
            ax.set(title=style.typeset(what), xlabel="share of the way")
        row[0].set_ylabel(f"loss over the best constant's\n(readout: {arm.label})")
    style.legends_below(figure)
    style.headline(figure, f"Straight from W₀ to W_T the loss never rises in {sum(falls)} of {len(falls)} networks")
    return figure


def _draw_ends(conclusion: kit.Conclusion, ax: kit.Axes, arm: kit.Arm) -> None:
    numbers, widths = conclusion.numbers, sorted(arm.rows["width"].unique())
    shares = {name: [numbers[key(width, arm=arm.name)].value or 0 for width in widths] for name, key in EXITS.items()}
    lab.figures.estimates.stacked(ax, [str(width) for width in widths], shares, COLORS)
    ax.axhline(0.9, color="black", linestyle="--", linewidth=1.2, label="90 %")
    ax.set_xlabel(f"width m; 90 % succeed at m = {kit.format_number(numbers[WIDTH_90(arm=arm.name)])}")
