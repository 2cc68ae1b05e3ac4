"""How near to its initialization must a network stay for the gradient bounds to hold, and how fast does the loss fall?

Theorems 3 and 4 of Allen-Zhu, Li, Song 2019 hold for ‖W − W₀‖₂ ≤ ρ/√m. Theorem 3 bounds ‖∇f‖²/(m f) from both sides
*for every choice of targets*. Since ‖∇f‖² = rᵀKr and f = ½‖r‖², this means that 2λ_min(K)/m and 2λ_max(K)/m stay in a
band, where K is the tangent kernel on the training set at the weights W. So λ_min is measured along gradient descent,
and on spheres of spectral radius ρ/√m in four directions (`lab.measures.surroundings`). Towards the stationary point
that `comparisons.minima` plants, K ends at 0. Outputs are centred: the bounds hold for all targets, so for y + f₀ too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np

import lab
from comparisons import kit
from lab.costs import eigenvectors
from lab.errors import refuse

question = "How near to its initialization must a network stay for the gradient bounds to hold?"
asked_by = "R1, R3"
version = 3

DIRECTIONS = {
    "gaussian": "in a Gaussian direction",
    "gd": "along the motion of descent",
    "adversarial": "in the worst direction found",
    "planted": "towards the planted point",
}
FREE = {name: DIRECTIONS[name] for name in ("gaussian", "gd", "adversarial")}  # in which flips are counted
PARTS = {"total": "f(W) − f₀ − J₀(W − W₀)", "kinks": "its part of flipped gates", "multilinear": "its frozen-gate part"}
_FALL = "Smallest ρ = √m·‖W − W₀‖₂ at which λ_min(K) < λ_min(K₀)/4 {}."
_SLOPE = "Slope on log(width) of the log of {}."
_FLIPS = _SLOPE.format("the share of gates that differ at ρ = flip_radius {}; −½ if W′ does not depend on the gates")
_MISSED = "Slope on log ρ over ρ ≤ 1 of the log of the RMS of {}, along the motion of descent; 2, or 1½ to 2 for flips."
_AT_WIDTH = {
    "ratio_min": "Smallest 2λ_min(K)/m along the path of descent: the lower constant of Theorem 3.",
    "ratio_max": "Largest 2λ_max(K)/m along the path: its upper constant.",
    "ratio_kept": "Smallest λ_min(K) along the path over λ_min(K₀).",
    "path_ratio_min": "Smallest ‖∇f‖²/(m f) along the path, for the residual of descent itself.",
    "path_ratio_max": "Largest ‖∇f‖²/(m f) along the path; it depends mostly on where the residual points.",
    "motion": "√m·‖W_T − W₀‖₂ at the end of descent, in the units of ρ.",
    "motion_over_valid": "motion over radius_of_validity.",
    "rate_over_prediction": "−d log mse/dt in the last decade over 2ηλ_min(K₀), the linear rate of Theorem 3.",
    "rate_over_linear": "The same rate over that of the network's own linearization in the same decade.",
}
AT_WIDTH = kit.family(meanings=_AT_WIDTH)
RADII = kit.family("radius", template=_FALL, meanings=DIRECTIONS)
RADII["of_validity"] = kit.Quantity("radius_of_validity", meaning=_FALL.format("in the worst of the four directions"))
CONSTANTS = {name: f"{name}; 0 in the theory" for name in ("ratio_min", "ratio_max", "motion")}
EXPONENTS = kit.family("exponent", template=_SLOPE, meanings=CONSTANTS)
DEGREE = kit.Quantity("exponent", "radius_of_validity", meaning="Degree of radius_of_validity in the width (censored).")
FLIPS = kit.family("exponent", "flips", template=_FLIPS, meanings=FREE)
OWN_FLIPS = kit.Quantity("exponent", "flips", meaning="exponent.flips.gd.")
MISSED = kit.family("exponent", "remainder", template=_MISSED, meanings=PARTS)
MISSED["total"] = kit.Quantity("exponent", "remainder", meaning=_MISSED.format(PARTS["total"]))
WITHIN = kit.Quantity("motion_within_from", meaning="Width at which motion_over_valid falls through 1.")
F0_SHARE, REACHED = kit.records.F0_SHARE, kit.Quantity("reached", meaning="Share of runs that reached the accuracy.")
COLORS = {"gaussian": "#009E73", "gd": "#0072B2", "adversarial": "#D55E00", "planted": "#CC79A7"}
BAND = {
    "ratio_max": (r"highest, any target: $2\lambda_{\max}(K)/m$", "#D55E00"),
    "path_ratio_max": ("highest, this residual", "#C08400"),
    "path_ratio_min": ("lowest, this residual", "#3A96C9"),
    "ratio_min": (r"lowest, any target: $2\lambda_{\min}(K)/m$", "#0072B2"),
}
ENDS = {"radius_of_validity": ("valid in the worst direction", "#D55E00"), "motion": ("where descent ends", "#0072B2")}
LINES = (("#000000", "-", 4.5), ("#D55E00", (0, (3, 1)), 2.2), ("#0072B2", "-", 2.2))  # of the parts
RATES = {"rate_over_prediction": (r"over $2\eta\lambda_{\min}$", "o-"), "rate_over_linear": ("over linear", "s:")}
SHARE, RADIUS = r"$\lambda_{\min}(K)/\lambda_{\min}(K_0)$, cut off at 1.6", r"$\rho=\sqrt{m}\,\|W-W_0\|_2$"
HEADLINES = ("radius_of_validity.#", "exponent.radius_of_validity", "motion.#", "rate_over_prediction.#")
CAPTIONS = {
    "radius": f"How far from W₀ the bound holds, and where descent ends, against the width. {kit.marks.LAWS}",
    "spheres": f"Smallest kernel eigenvalue against the distance; dashed, a quarter of the first. {kit.marks.SEEDS}",
    "band": f"Theorem 3's ratio along descent, against the width: constants are level lines. {kit.marks.LAWS}",
    "flips": f"Gates that differ, against the width; what the linearization misses, against ρ. {kit.marks.LAWS}",
    "rate": f"Error over steps, beside the predicted rate; and the measured rate over it. {kit.marks.BARS}",
}
SMALL = 1.0  # ρ up to which the slopes of the remainder are fitted


@dataclass(frozen=True)
class Settings(kit.paths.PathSettings):
    """Settings of the gradient bounds: those of `PathSettings`, and how far to look."""

    widths: tuple[int, ...] = (64, 128, 256, 512)
    radii: kit.paths.Radii = (0.03, 0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
    flip_radius: Annotated[kit.Positive, kit.doc("Radius ρ at which flipped gates are counted.")] = 1.0
    centred: Annotated[bool, kit.doc("Outputs are f(θ) − f(θ₀); false: the network's own f₀ is kept.")] = True

    def check(self) -> None:
        """Refuse radii that do not ascend, and a single one."""
        super().check()
        if len(self.radii) < 2 or list(self.radii) != sorted(self.radii):
            refuse("radii", str(self.radii), "two or more ascending numbers", "sort them")


PRESETS = {
    "fast": Settings(widths=(32, 64, 128), seeds=(6, 4, 4), samples=6),
    "default": Settings(seeds=(12, 8, 4, 8)),
    "full": Settings(widths=(64, 128, 256, 512, 1024, 2048), seeds=10, samples=24, searches=12),
}


@dataclass(frozen=True, kw_only=True)
class Cell(kit.paths.PathCell):
    """One network of one width and seed."""

    flip_radius: float
    centred: bool


def cells(settings: Settings) -> list[Cell]:
    """One cell for every readout, width and seed."""
    return settings.grid(Cell)


def cost(cell: Cell) -> kit.Cost:
    """Flops of a typical descent, of the kernels along it and on the spheres, and of the search's decompositions."""
    steps = round(cell.patience * (500 if cell.readout == "all" else 30))
    looks = len(cell.radii) * (3 + 3 * cell.searches)
    training = kit.costs.training_cost(cell, steps, kernels=70 + looks, copies=8)
    return training + len(cell.radii) * cell.searches * eigenvectors(cell.width)


def measure(cell: Cell) -> kit.Measured:
    """Descend once and look at the kernel along the path, then at the spheres around the start."""
    task, network, path = kit.paths.descend(cell)
    look, search = lab.measures.surroundings.look_around, {"seed": cell.network_seed, "iterations": cell.searches}
    around = look(network, task.train_inputs, path, cell.radii, cell.flip_radius, **search)
    linear, along = path.linear, path.summary(cell.accuracy, cell.width)
    row = {
        **kit.pick(cell, "readout", "width", "seed"),
        "f0_share": float(linear.outputs.square().sum()) / float((linear.residual**2).sum()),
        **along,
        **around.summary(SMALL),
        "motion_over_valid": kit.ratio(along["motion"], around.worst.value if around.worst else None),
        "exit": path.exit,
        "diverged": path.exit == kit.paths.DIVERGED,
    }
    return row, {**around.arrays(), **path.arrays()}


def conclude(table: kit.Table) -> kit.Conclusion:
    """Numbers of every readout, and a verdict on the first one."""
    numbers = kit.each_readout(table, _numbers)
    return kit.Conclusion(numbers, verdict(numbers, int(kit.main_readout(table)["width"].max())))


def _numbers(rows: kit.Table) -> kit.Numbers:
    """Numbers of one readout. A run that diverged enters only those of the spheres."""
    found = kit.paths.at_widths(rows, AT_WIDTH)
    radii = {(f"radius_{name}", f"censored_{name}"): key for name, key in RADII.items()}
    found |= kit.paths.radii_at_widths(rows, radii)
    found |= {key(): kit.exponent(rows, name) for name, key in EXPONENTS.items()}
    known = rows.dropna(subset=["radius_of_validity"])
    found[DEGREE()] = kit.threshold_degree(known, "radius_of_validity", "censored_of_validity")
    found |= {key(): kit.exponent(rows, f"flips_{name}") for name, key in FLIPS.items()}
    found[OWN_FLIPS()] = found[FLIPS["gd"]()]
    done = kit.paths.done(rows)
    widest = done[done["width"] == rows["width"].max()]
    found |= {key(): kit.Number.mean(widest[f"slope_{name}"]) for name, key in MISSED.items()}
    found[WITHIN()] = kit.passes(done, "motion_over_valid", 1.0)
    found[F0_SHARE()] = kit.Number.median(widest["f0_share"])
    found[REACHED()] = kit.Number.share(rows["exit"] == "reached")
    return found


def verdict(numbers: kit.Numbers, width: int) -> str:
    """The radius against the motion, what is kept along the path, and the rate."""
    names = ("motion", "motion_over_valid", "ratio_kept", "rate_over_prediction")
    motion, ratio, kept, rate = (numbers[AT_WIDTH[name](width)] for name in names)
    valid, trend = numbers[RADII["of_validity"](width)], numbers[EXPONENTS["ratio_min"]()]
    places = {"below": "a smaller distance, ", "above": "a larger distance, ", "around": "about the same distance, "}
    where = kit.compare(ratio, 1.0, **places, unknown="")
    ends = "" if motion.value is None else f", and descent ends at {where}{kit.format_number(motion)}/√width"
    law, same = f"as {kit.power(trend)}, unlike in Theorem 3", "it has no visible trend in the width: exponent"
    trends = {"below": f"it falls {law}", "above": f"it rises {law}", "around": f"{same} {kit.format_number(trend)}"}
    none = f"no exponent could be fitted: {trend.reason}"
    few = "its trend in the width is not judged: fewer than three seeds"
    change = kit.compare(trend, 0.0, **trends, unknown=few, missing=none)
    return kit.sentences(
        f"At width {width} the radius in which the lower bound of Theorem 3 holds is unknown ({valid.reason})."
        if valid.value is None
        else f"At width {width} the lower constant of Theorem 3 stays above a quarter of its initial value up to a "
        f"distance of {kit.format_number(valid)}/√width in the worst direction found{ends}.",
        f"Along descent the smallest lower constant is {kit.percent(kept)} of the initial one; {change}."
        if kept.value is not None
        else f"The smallest lower constant along descent is unknown ({kept.reason}).",
        "" if rate.value is None else f"The error falls at {kit.format_number(rate)} times the predicted linear rate.",
    )


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    """λ_min on the spheres, radius and motion, the band along the path, flips and remainders, and rates."""
    arms = kit.by_readout(results.table)
    panels = partial(kit.figures.panel_per_arm, arms, size=(5.6, 4.8))
    spheres, band = (kit.finding(conclusion.verdict, words, otherwise=question) for words in ("At width", "Along"))
    laws = {"The radius of validity scales": DEGREE(), "the end of descent": EXPONENTS["motion"]()}
    radius = kit.joined(kit.scalings(conclusion.numbers, laws)) or spheres
    return {
        "radius": panels(kit.figures.power_laws(ENDS, kit.power_law), title=radius, ylabel=RADIUS),
        "spheres": panels(partial(_draw_spheres, results, conclusion), title=spheres, ylabel=SHARE, columns=2),
        "band": panels(kit.figures.power_laws(BAND, kit.power_law), title=band, ylabel=r"$\|\nabla f\|^2/(m f)$"),
        "flips": _draw_flips(results, conclusion, arms[0]),
        "rate": _draw_rates(results, conclusion, arms),
    }


def _draw_spheres(results: kit.Results, conclusion: kit.Conclusion, ax: kit.Axes, arm: kit.Arm) -> None:
    rows, numbers = kit.widest(arm.rows), conclusion.numbers
    found, width = kit.records.arrays_of(results, rows), int(rows["width"].iloc[0])
    for place, (name, what) in enumerate(DIRECTIONS.items()):
        curve = kit.curve(found[0]["radii"], [arrays["shares"][place] for arrays in found])
        kit.figures.seeds(ax, curve, COLORS[name], what, marker="o", markersize=4)
    kit.figures.mark(ax, numbers[AT_WIDTH["motion"](width, arm=arm.name)], COLORS["gd"], "descent ends")
    kit.figures.mark(ax, numbers[RADII["of_validity"](width, arm=arm.name)], COLORS["adversarial"], "valid up to here")
    ax.axhline(lab.measures.landscape.QUARTER, color=lab.figures.style.GREY, linestyle="--", label="a quarter")
    lab.figures.curves.log_axis(ax.xaxis)
    ax.set(ylim=(0, 1.6), xlabel=f"{RADIUS}, at width {width}")


def _draw_flips(results: kit.Results, conclusion: kit.Conclusion, arm: kit.Arm) -> kit.Figure:
    style, found = lab.figures.style, kit.records.arrays_of(results, kit.widest(arm.rows))
    figure, ((flips, missed),) = style.panels(2, size=(5.2, 4.6))
    drawn = {f"flips_{name}": (DIRECTIONS[name], COLORS[name]) for name in FLIPS}
    kit.figures.power_laws(drawn, kit.power_law)(flips, arm)
    flips.set(ylabel="share of gates that differ", title=f"at ρ = {results.cells[0]['flip_radius']:g}, against width")
    near = (radii := found[0]["radii"]) <= 8 * SMALL
    for place, (what, line) in enumerate(zip(PARTS.values(), LINES, strict=True)):
        curve = kit.curve(radii[near], [arrays["remainders"][place, near] for arrays in found], log=True)
        kit.figures.seeds(missed, curve, line[0], what, marker="o", markersize=4, linestyle=line[1], linewidth=line[2])
    lab.figures.curves.guide(missed, curve.x, curve.middle, 2.0, "slope 2")
    lab.figures.curves.log_axes(missed).set(xlabel=RADIUS, ylabel="RMS over outputs", title="what linearization misses")
    lab.figures.labels.name_curves(figure)
    laws = kit.scalings(conclusion.numbers, {FREE[name]: key() for name, key in FLIPS.items()})
    style.headline(figure, kit.fill("At equal distance gates flip {}", laws) or question)
    return figure


def _draw_rates(results: kit.Results, conclusion: kit.Conclusion, arms: list[kit.Arm]) -> kit.Figure:
    style, curves = lab.figures.style, lab.figures.curves
    figure, axes = style.panels(len(arms) + 1, size=(4.8, 4.8))
    widths, last = sorted(results.table["width"].unique().tolist()), axes[0, -1]
    for ax, arm, color in zip(axes[0], arms, style.QUANTITIES, strict=False):
        rows = kit.widest(arm.rows)
        found = zip(kit.records.arrays_of(results, rows), 2 * rows["learning_rate"] * rows["lambda_min"], strict=True)
        runs = [(arrays["steps"], arrays["mse"], rate) for arrays, rate in found]
        curves.errors(ax, runs, color=COLORS["gd"], bound=r"$\exp(-2\eta\lambda_{\min}(K_0)\,t)$")
        ax.set(title=f"readout: {arm.label}, width {widths[-1]}", ylabel="mean square error on the training set")
        for name, (what, line) in RATES.items():
            measured = [conclusion.numbers[AT_WIDTH[name](width, arm=arm.name)] for width in widths]
            kit.figures.points(last, widths, measured, color, f"{arm.label}: {what}", fmt=line)
    curves.width_axis(last, np.array(widths, dtype=float)).axhline(1, color=style.GREY, linestyle="--")
    last.set(yscale="linear", ylim=(0, None), xmargin=0.12, title="last decade", ylabel="rate, measured over predicted")
    lab.figures.labels.name_curves(figure)
    style.headline(figure, kit.finding(conclusion.verdict, "linear rate", otherwise="Rate of linear convergence"))
    return figure
