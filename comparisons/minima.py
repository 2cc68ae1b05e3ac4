"""Are there worse minima than the one that gradient descent finds, how far away are they, and why does width help?

The theorems exclude bad critical points near the initialization, not elsewhere. So one is planted for each width and
seed (`lab.measures.landscape.planted_motion`): at W_bad every even time step is dead on the training set. Every product
δ_t h_{t−1}ᵀ then vanishes, so the gradient is exactly 0 for any loss. Gates stay dead in a neighbourhood, so the loss
is constant there: a flat local minimum. These cells use the paper's own loss, of f and not of f − f₀.

A second experiment trains narrow networks and counts how training ends. Only "stuck" is about minima: at the end of the
budget the gradient is so small that another whole budget at this pace would not take a tenth off the loss. The budget
is ``success_patience`` times what the infinitely wide linear learner needs. With m² < n·o weights a network cannot fit
in general. Outputs are centred by default: otherwise a network first has to forget its own f₀.

**Why width helps.** The shortest motion with which the linearized network fits falls as m^(−½), since K₀ grows as m.
Where it is shorter than the radius in which the kernel stays good, the solution of the linearized network lies in a
ball in which no bad critical point was found, and λ_min > 0 leaves no room for one. The motion is a Frobenius norm and
the radius a spectral one; ‖·‖₂ ≤ ‖·‖_F, so their ratio errs on the safe side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Ge

import lab
from comparisons import kit
from lab.costs import eigenvectors

if TYPE_CHECKING:
    from torch import Tensor

    from lab.learners.kernel import KernelRegressor
    from lab.networks.elman import ElmanRNN

question = "Are there worse minima than the one that gradient descent finds, how far away, and why does width help?"
asked_by = "R2"
version = 1

GRADIENT = kit.Quantity("planted_gradient", meaning="Largest |entry| of ∇f at W_bad over all cells: exactly 0.")
LOSSES = kit.family(
    template="Loss {} over ½‖y − mean y‖², the loss of the best constant, at the largest width.",
    meanings={"planted_loss": "at W_bad", "descent_loss": "where descent ends"},
)
AT_WIDTH = kit.family(
    meanings={
        "distance_ratio": "‖W_bad − W₀‖_F/‖W_T − W₀‖_F.",
        "planted_distance": "‖W_bad − W₀‖_F.",
        "planted_over_initial": "‖W_bad − W₀‖_F/‖W₀‖₂; ‖W₀‖₂ is about 2√2.",
        "descent_distance": "‖W_T − W₀‖_F.",
        "needed": "√(r₀ᵀK₀⁻¹r₀), r₀ = f₀ − y: length of the shortest motion with which the linearized network fits.",
        "needed_over_valid": "needed over valid.",
        "needed_over_valid_spectral": "The same with the spectral norm of the shortest motion.",
    }
)
LINES = {"descent": "W₀ → W_T (descent)", "planted": "W₀ → W_bad (planted)", "between": "W_T → W_bad"}
_BARRIER = "Rise of the loss on the line {} above the higher of its ends, over the loss of the best constant."
BARRIERS = kit.family("barrier", template=_BARRIER, meanings=LINES)
VALID = kit.Quantity(
    "valid", meaning="Radius ‖W − W₀‖₂ up to which λ_min(K) ≥ λ_min(K₀)/4 in the worst direction found."
)
EXPONENTS = kit.family(
    "exponent",
    template="Slope on log(width) of the log of {}.",
    meanings={
        "distance_ratio": "distance_ratio; ½ is expected: W_bad is of rank one with entries ~1/√m",
        "needed": "needed; −½ is expected",
    },
)
DEGREE = kit.Quantity("exponent", "valid", meaning="Degree of valid in the width, by censored regression.")
VALID_FROM = kit.Quantity("needed_is_valid_from", meaning="Width at which needed_over_valid falls through 1.")
EXITS = kit.family(
    template="Share of narrow networks {}.",
    meanings={
        "success": "that reach the accuracy within the budget",
        "slow": "that are on their way when the budget is spent",
        "stuck": "that would lose less than a tenth of their loss in another budget at their pace",
        "diverged": "that diverge",
    },
)
WIDTH_90 = kit.Quantity("width_for_90_percent", meaning="Width at which the success share is 0.9: logistic in log m.")

COLORS = ("#009E73", "#E69F00", "#D55E00", "#6b6b6b")  # of the exits
NEEDED = {
    "needed": (r"needed to fit, $\|\cdot\|_F$", "#0072B2"),
    "valid": (r"kernel good within, $\|\cdot\|_2$", "#D55E00"),
}
DISTANCES = {
    "planted_distance": ("to the planted minimum", "#D55E00"),
    "descent_distance": ("to where descent ends", "#0072B2"),
}
STUCK = 0.1  # a stuck run would take less than this share off its loss in another whole budget


@dataclass(frozen=True)
class Settings(kit.paths.PathSettings):
    """Settings of the minima: those of `PathSettings`, how far to look, and the narrow networks."""

    widths: tuple[int, ...] = (32, 64, 128, 256, 512)
    centred: Annotated[bool, kit.doc("Narrow networks have outputs f(θ) − f(θ₀); a planted point belongs to f.")] = True
    success_widths: Annotated[
        tuple[kit.Count, ...], kit.Distinct(), kit.CHOOSES, kit.doc("Widths of the narrow networks.")
    ] = (2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64)
    success_seeds: Annotated[kit.Count, kit.CHOOSES, kit.doc("Initializations of each of them.")] = 20
    success_readouts: Annotated[
        tuple[kit.networks.Readout, ...], kit.Distinct(), kit.CHOOSES, kit.doc("Their losses.")
    ] = ("last",)
    success_accuracy: Annotated[kit.Positive, kit.doc("Mean square error that counts as success.")] = 1e-2
    success_patience: Annotated[kit.Positive, kit.doc("Their budget in units of the wide linear model's time.")] = 100.0
    points: Annotated[int, Ge(3), kit.doc("Points on each line, its ends included.")] = 41
    radii: Annotated[
        tuple[kit.Positive, ...], kit.Distinct(), kit.doc("τ of the balls; the spectral radius is τ/√m.")
    ] = (0.03, 0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)


PRESETS = {
    "fast": Settings(widths=(16, 32, 64), seeds=3, samples=6, success_widths=(2, 4, 8, 16), success_seeds=5),
    "default": Settings(),
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
        "seed": range(settings.success_seeds),
        "accuracy": [settings.success_accuracy],
        "patience": [settings.success_patience],
    }
    return [*planted, *kit.grid(NarrowCell, settings, **narrow)]


def cost(cell: Cell) -> kit.Cost:
    """Flops of a typical descent, and of the kernels and decompositions of the search."""
    steps = round(cell.patience * (300 if cell.readout == "all" else 15))
    if isinstance(cell, NarrowCell):
        return kit.networks.training_cost(cell, steps, kernels=2)
    looks = 2 * len(cell.radii) * cell.searches
    training = kit.networks.training_cost(cell, steps, kernels=70 + 3 * looks, copies=8)
    return training + looks * eigenvectors(cell.width)


def measure(cell: Cell) -> kit.Measured:
    """One planted point beside one descent, or the training of one narrow network."""
    found, arrays = _plant(cell) if isinstance(cell, PlantedCell) else (_train(cell), {})
    row = {**kit.pick(cell, "part", "readout", "width", "seed"), **found}
    return {**row, "diverged": found["exit"] == kit.paths.DIVERGED}, arrays


def _plant(cell: PlantedCell) -> kit.Measured:
    """Losses and distances of the planted point and of the end of descent, and the three lines between them."""
    landscape, norm = lab.measures.landscape, lab.kernels.singular.spectral_norm
    task, network, path = kit.paths.descend(cell)
    inputs, targets = task.train_inputs, task.train_targets.flatten(1).to(network.W)
    bad, good, unit = landscape.planted_motion(network, inputs), path.motion(), landscape.constant_loss(targets)
    loss, gradient = landscape.loss_and_gradient(landscape.moved(network, bad), inputs, targets)
    shares = np.linspace(0, 1, cell.points)
    ends = {"descent": (0 * bad, good), "planted": (0 * bad, bad), "between": (good, bad)}
    losses = {
        name: landscape.losses_along(network, inputs, targets, one, other, shares.tolist())
        for name, (one, other) in ends.items()
        if one is not None and other is not None
    }
    far, near = float(bad.norm()), None if good is None else float(good.norm())
    row = {
        "exit": path.exit,
        "planted_gradient": float(gradient.abs().max()),
        "planted_loss": loss / unit,
        "descent_loss": None if good is None else 0.5 * float(path.mse[-1]) * targets.numel() / unit,
        **{f"barrier_{name}": landscape.barrier(losses[name]) / unit if name in losses else None for name in LINES},
        "planted_distance": far,
        "planted_over_initial": far / norm(network.W.detach()),
        "descent_distance": near,
        "distance_ratio": kit.ratio(far, near),
        **_needed(cell, network, inputs, path.linear, bad / far),
    }
    table = np.array([losses.get(name, [np.nan] * cell.points) for name in LINES])
    return row, {"shares": shares, "losses": table / unit}


def _needed(cell: PlantedCell, network: ElmanRNN, inputs: Tensor, linear: KernelRegressor, planted: Tensor) -> kit.Row:
    """The shortest motion of the linear model that fits, and the radius up to which the kernel is good."""
    radii = [radius / cell.width**0.5 for radius in cell.radii]
    found = lab.measures.surroundings.valid_radius(network, inputs, linear, planted, radii, iterations=cell.searches)
    shortest = lab.measures.landscape.shortest_fit(network, inputs, linear)
    whole = None if shortest is None else float(shortest.norm())
    spectral = None if shortest is None else lab.kernels.singular.spectral_norm(shortest)
    valid = None if found is None else found.value
    return {
        "needed": whole,
        "needed_spectral": spectral,
        "valid": valid,
        "valid_censored": None if found is None else found.censored,
        "needed_over_valid": kit.ratio(whole, valid),
        "needed_over_valid_spectral": kit.ratio(spectral, valid),
    }


def _train(cell: NarrowCell) -> kit.Row:
    """Train one narrow network until it succeeds or its budget is spent, and find out why it ended."""
    task, network = kit.networks.build(cell)
    jacobian, targets = network.jacobian(task.train_inputs), task.train_targets.flatten(1)
    assert isinstance(network, lab.ElmanRNN | lab.Scaled)
    wide = lab.KernelRegressor(lab.infinite_ntk(network, task.train_inputs), jacobian.outputs, targets)
    budget = lab.measures.path.patient_descent(
        wide, cell.accuracy, critical_fraction=cell.critical_fraction, patience=cell.patience
    ).steps
    row: kit.Row = {"exit": "stuck", "budget": budget, "steps": 0, "final_mse": float((wide.residual**2).mean())}
    kernel = jacobian.gram()
    if not bool(kernel.any()):
        return {**row, "pace": 0.0}  # no gate on any path is open: there is no gradient at all
    rate = 2 * cell.critical_fraction / lab.kernels.spectrum.Spectrum(kernel).lambda_max
    pace = lab.measures.path.Pace(targets, cell.accuracy, rate)
    found = lab.arrive(network, task, lab.Descent(budget, learning_rate=rate), pace)
    unfinished = "stuck" if pace.latest * budget < STUCK else "slow"
    exits = {"reached": "success", "diverged": kit.paths.DIVERGED, "undecided": unfinished}
    row |= {"exit": exits[found.exit], "steps": int(found.steps[-1])}
    ended = found.exit == "diverged"
    row["final_mse"] = None if ended else kit.finite(float(found.mse[-1]))
    return {**row, "pace": None if ended else kit.finite(pace.latest)}


def conclude(table: kit.Table) -> kit.Conclusion:
    """Numbers of every readout, and a verdict on the first one."""
    numbers = kit.each_readout(table, _numbers)
    return kit.Conclusion(numbers, verdict(numbers, kit.main_readout(table)))


def _numbers(rows: kit.Table) -> kit.Numbers:
    planted, narrow = (rows[rows["part"] == part] for part in ("planted", "success"))
    found = _planted_numbers(planted) if len(planted) else {}
    return found | (_narrow_numbers(narrow) if len(narrow) else {})


def _planted_numbers(rows: kit.Table) -> kit.Numbers:
    done = rows[rows["exit"] != kit.paths.DIVERGED]
    found = {GRADIENT(): kit.Number.exact(float(rows["planted_gradient"].max()), int(rows["seed"].nunique()))}
    widest = done[done["width"] == rows["width"].max()]
    found |= {key(): kit.Number.geometric(widest[name]) for name, key in LOSSES.items()}
    for width in sorted(rows["width"].unique().tolist()):
        kept = done[done["width"] == width]
        found |= {key(width): kit.Number.geometric(kept[name]) for name, key in AT_WIDTH.items()}
        found |= {key(width): kit.Number.mean(kept[f"barrier_{name}"]) for name, key in BARRIERS.items()}
        found[VALID(width)] = kit.mean_threshold(rows[rows["width"] == width], "valid", "valid_censored")
    found |= {key(): kit.exponent(rows, name) for name, key in EXPONENTS.items()}
    found[DEGREE()] = kit.threshold_degree(rows.dropna(subset=["valid"]), "valid", "valid_censored")
    return found | {VALID_FROM(): kit.crossing(rows, "needed_over_valid", 1.0)}


def _narrow_numbers(rows: kit.Table) -> kit.Numbers:
    groups = [(width, rows.loc[rows["width"] == width, "exit"]) for width in sorted(rows["width"].unique().tolist())]
    found = {
        key(width): kit.Number.exact(float((exits == name).mean()), len(exits))
        for name, key in EXITS.items()
        for width, exits in groups
    }
    widths, trials = [width for width, _ in groups], [len(exits) for _, exits in groups]
    place = lab.measures.thresholds.success_place(widths, [(exits == "success").sum() for _, exits in groups], trials)
    return found | {WIDTH_90(): kit.Number.estimated(place, max(trials))}


def verdict(numbers: kit.Numbers, table: kit.Table) -> str:
    """The planted point, why width helps, and how the training of narrow networks ends."""
    planted, narrow = (sorted(table.loc[table["part"] == part, "width"].unique()) for part in ("planted", "success"))
    return kit.sentences(
        _far(numbers, planted[-1]) if planted else "",
        _why(numbers[VALID_FROM()]) if planted else "",
        _ends(numbers, narrow) if narrow else "",
    )


def _far(numbers: kit.Numbers, width: int) -> str:
    gradient, exponent = numbers[GRADIENT()].value, numbers[EXPONENTS["distance_ratio"]()]
    exact = "exactly 0" if gradient == 0 else f"at most {gradient:.2g}, not 0"
    grows = kit.position(exponent, 0.0) == "above"
    return (
        f"At width {width} a worse minimum (gradient {exact}) lies "
        f"{kit.format_number(numbers[AT_WIDTH['distance_ratio'](width)])} times as far away as where descent ends"
        f"{f', growing as {kit.power(exponent)}' if grows else ''}."
    )


def _why(place: kit.Number) -> str:
    where = f"no width found ({place.reason})" if place.value is None else f"width {kit.format_number(place)}"
    return f"The motion needed to fit the data falls below the radius in which the kernel stays good at {where}."


def _ends(numbers: kit.Numbers, widths: list[int]) -> str:
    place, shares = numbers[WIDTH_90()], {width: numbers[EXITS["stuck"](width)].value or 0.0 for width in widths}
    stuck = [width for width in widths if shares[width]]
    ends = "none get stuck"
    if stuck:
        later = "none beyond" if stuck[-1] < widths[-1] else f"{100 * shares[stuck[-1]]:.0f} % at"
        ends = f"{100 * shares[stuck[0]]:.0f} % get stuck at width {stuck[0]}, {later} width {stuck[-1]}"
    where = (
        f"at no width found ({place.reason})" if place.value is None else f"from width {kit.format_number(place)} on"
    )
    return f"Nine of ten networks succeed {where}: {ends}."


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    """The motion needed against the valid radius, the distances, the lines, and how narrow networks end."""
    planted, narrow = (results.table[results.table["part"] == part] for part in ("planted", "success"))
    figures: kit.Figures = {}
    if len(narrow):
        draw_arm = partial(_draw_ends, conclusion.numbers)
        title, ylabel = "How training of narrow networks ends", "share of initializations"
        arms = kit.by_readout(narrow)
        figures["success"] = kit.figures.panel_per_arm(arms, draw_arm, title=title, ylabel=ylabel, columns=4)
    if len(planted):
        panels = partial(kit.figures.panel_per_arm, kit.by_readout(planted), ylabel="distance from W₀")
        why = "Why does width help? Motion needed, and motion within which the kernel stays good"
        figures["intuition"] = panels(kit.figures.power_laws(NEEDED), title=why)
        figures["distance"] = panels(kit.figures.power_laws(DISTANCES), title="How far away is a worse minimum?")
        figures["lines"] = _draw_lines(results, planted)
    return figures


def _draw_lines(results: kit.Results, planted: kit.Table) -> kit.Figure:
    style, arms = lab.figures.style, kit.by_readout(planted)
    figure, axes = style.panels(len(LINES), len(arms), size=(4.0, 3.4), sharey="row")
    widths = sorted(planted["width"].unique())
    for row, arm in zip(axes, arms, strict=True):
        for width, color in zip(dict.fromkeys((widths[0], widths[-1])), ("#E69F00", "#0072B2"), strict=False):
            found = kit.records.arrays_of(results, arm.rows[arm.rows["width"] == width], part="planted")
            for place, ax in enumerate(row if found else ()):
                curve = kit.curve(found[0]["shares"], [arrays["losses"][place] for arrays in found], log=True)
                kit.figures.seeds(ax, curve, color, f"width {width}")
        for ax, what in zip(row, LINES.values(), strict=True):
            ax.axhline(1, color=style.GREY, linestyle="--", label="best constant")
            ax.set(yscale="log", title=what, xlabel="share of the way")
        row[0].set_ylabel(f"loss over the best constant's\n(readout: {arm.label})")
    style.legend_below(axes[-1, 1], columns=3)
    style.headline(figure, "The loss along straight lines")
    return figure


def _draw_ends(numbers: Mapping[kit.Key, kit.Number], ax: kit.Axes, arm: kit.Arm) -> None:
    widths = sorted(arm.rows["width"].unique())
    shares = {
        name: (np.array([numbers[key(width, arm=arm.name)].value for width in widths], dtype=float), color)
        for (name, key), color in zip(EXITS.items(), COLORS, strict=True)
    }
    lab.figures.estimates.stacked(ax, [str(width) for width in widths], shares)
    ax.axhline(0.9, color="white", linestyle="--", linewidth=1)
    ax.set_xlabel(f"width m (hidden units)\n90 % succeed at m = {numbers[WIDTH_90(arm=arm.name)]}")
