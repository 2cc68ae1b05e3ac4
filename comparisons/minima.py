"""Are there worse minima than the one that gradient descent finds, how far away are they, and why does width help?

The theorems exclude bad critical points near the initialization, not elsewhere. So one is planted, for each width and
seed (`lab.measures.landscape.planted_motion`): W_bad kills every even time step on the training set. Every product
δ_t h_{t−1}ᵀ then vanishes, so the gradient is exactly 0 for any loss, and since gates stay dead in a neighbourhood, the
loss is constant there: a flat local minimum at which no gradient method moves. These cells are about the paper's own
loss, of f and not of f − f₀: with the readout "last" and even length the network's output at W_bad is 0.

Whether descent gets stuck in practice is asked of narrow networks, centred by default (see `CentredSettings`), since an
uncentred one first has to forget its own f₀.

Numbers
-------
planted_gradient
    Largest |entry| of ∇f at W_bad over all cells: 0.0, not merely small.
planted_loss, descent_loss
    Loss at W_bad, and where gradient descent ends (at a mean square error below ``accuracy``), both over
    ½‖y − mean y‖², the loss of the best constant, at the largest width.
distance_ratio.<m>, exponent.distance_ratio
    ‖W_bad − W₀‖_F/‖W_T − W₀‖_F, and its slope in m. W_bad is of rank one with entries of need_k ~ 1/√m, so its distance
    does not depend on m, while descent's falls as m^(−½): ½ is expected.
planted_distance.<m>, planted_over_initial.<m>, descent_distance.<m>
    ‖W_bad − W₀‖_F; its ratio to ‖W₀‖₂ (about 2√2); and ‖W_T − W₀‖_F.
barrier.descent|planted|between.<m>
    How far the loss rises on the line W₀ → W_T, W₀ → W_bad, W_T → W_bad above the higher of its ends, over the loss of
    the best constant. 0: downhill or flat. A means over seeds.
success.<m>, stuck.<m>, slow.<m>, diverged.<m>
    Shares of the narrow networks by how training ended: mse < ``success_accuracy`` within ``success_patience`` times
    what the infinitely wide network's linear learner needs at the same critical fraction; *stuck* if at the end of
    this budget the gradient is so small that another whole budget at this pace, η‖∇f‖²/f per step, would not take a
    tenth off the loss; otherwise slow. Only stuck bears on minima. With m² < n·o weights a
    network cannot fit in general.
width_for_90_percent
    Where the success share reaches 0.9: logistic in log m, over all seeds (not monotone in m, so no bisection).
needed.<m>, valid.<m>, needed_over_valid.<m>, needed_is_valid_from
    **Why width helps.** Needed: √(r₀ᵀK₀⁻¹r₀), r₀ = f₀ − y, the shortest motion ‖W − W₀‖_F with which the linearized
    network fits the data; K₀ grows as m, so it falls as m^(−½). Valid: the spectral radius ‖W − W₀‖₂ up to which
    λ_min(K) ≥ λ_min(K₀)/4 in the worst direction found (adversarial or planted, as in `comparisons.gradient_bounds`).
    Where needed < valid, the linearized network's solution lies inside a ball in which no bad critical point was found,
    and λ_min > 0 leaves no room for one. Both are plain distances in W, one a Frobenius norm and one a spectral radius:
    ‖·‖₂ ≤ ‖·‖_F, so the ratio errs on the safe side (the theorems' ball is the spectral one).
    ``needed_over_valid_spectral.<m>`` has the spectral norm of the same shortest motion on top.
exponent.needed, exponent.valid
    Slopes of both in m.
<key>.<readout>
    The same for a further readout: "all" is the paper's own loss, over all time steps from the second on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from comparisons import _exponents
from comparisons._settings import CentredSettings, build, check_distinct, check_paper, training_cost
from comparisons._shape import Conclusion, Number
from comparisons._words import power, side, told
from lab.costs import Cost, eigenvectors
from lab.errors import check_choice, check_integer, check_number

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

question = "Are there worse minima than the one that gradient descent finds, how far away, and why does width help?"
asked_by = "R2"
version = 1

LINES = {"descent": "W₀ → W_T (descent)", "planted": "W₀ → W_bad (planted)", "between": "W_T → W_bad"}
EXITS = {"success": "#009E73", "slow": "#E69F00", "stuck": "#D55E00", "diverged": "#6b6b6b"}
LEVELS = ("distance_ratio", "planted_distance", "planted_over_initial", "descent_distance", "needed")
LEVELS += ("needed_over_valid", "needed_over_valid_spectral")
QUARTER = 0.25
STUCK = 0.1  # a stuck run would take less than this share off its loss in another whole budget


@dataclass(frozen=True)
class Settings(CentredSettings):
    """Settings of the minima: those of `CentredSettings`, two grids of widths, budgets, and how far to look.

    Parameters
    ----------
    centred
        Of the success experiment alone; a planted point belongs to the loss of f itself.
    success_widths, success_seeds, success_readouts
        Widths, initializations and losses of the success experiment.
    accuracy, success_accuracy
        Mean square errors at which descent stops beside a planted point, and that counts as success.
    patience, success_patience
        Their budgets, in units of the linear learner's own hitting time.
    points
        Points on each line, its ends included.
    radii
        τ of the balls, ascending, in which the kernel's worst motion is sought; the spectral radius is τ/√m.
    searches
        Gradients of λ_min in each of them.
    """

    task: str = "separable"
    samples: int | None = 12
    readouts: tuple[str, ...] = ("last", "all")
    widths: tuple[int, ...] = (32, 64, 128, 256, 512)
    dtype: str = "float64"
    success_widths: tuple[int, ...] = (2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64)
    success_seeds: int = 20
    success_readouts: tuple[str, ...] = ("last",)
    accuracy: float = 1e-3
    success_accuracy: float = 1e-2
    patience: float = 4.0
    success_patience: float = 100.0
    points: int = 41
    radii: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
    searches: int = 4

    GRID: ClassVar[tuple[str, ...]] = (
        "widths",
        "seeds",
        "readouts",
        "success_widths",
        "success_seeds",
        "success_readouts",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_paper(self)
        for name in ("accuracy", "success_accuracy", "patience", "success_patience"):
            check_number(name, getattr(self, name), above=0)
        for name, least in (("success_seeds", 1), ("points", 3), ("searches", 1)):
            check_integer(name, getattr(self, name), least)
        for width in self.success_widths:
            check_integer("success_widths", width, 1)
        for radius in self.radii:
            check_number("radii", radius, above=0)
        for readout in self.success_readouts:
            check_choice("success_readouts", readout, ("last", "all", "mean"))
        check_distinct("success_readouts", self.success_readouts)
        check_distinct("success_widths", self.success_widths)
        check_distinct("radii", self.radii)


GRID = Settings.GRID
PRESETS = {
    "fast": Settings(widths=(16, 32, 64), seeds=3, samples=6, success_widths=(2, 4, 8, 16), success_seeds=5),
    "default": Settings(),
    "full": Settings(widths=(16, 32, 64, 128, 256, 512, 1024), seeds=10, samples=24, success_seeds=100),
}


def cells(settings: Settings) -> list[dict[str, Any]]:
    """One planted cell for every readout, width and seed, and one success cell for every narrow network."""
    narrow = replace(
        settings, readouts=settings.success_readouts, widths=settings.success_widths, seeds=settings.success_seeds
    )
    looks = {"accuracy": settings.accuracy, "points": settings.points, "searches": settings.searches}
    looks |= {"radii": sorted(settings.radii), "patience": settings.patience, "centred": False, "part": "planted"}
    asks = {"accuracy": settings.success_accuracy, "patience": settings.success_patience, "part": "success"}
    own = {"success_accuracy", "success_patience", *looks} - {"centred"}
    planted = [{**_without(cell, own), **looks} for cell in settings.cells()]
    return planted + [{**_without(cell, own), **asks} for cell in narrow.cells()]


def _without(cell: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in cell.items() if name not in names}


def cost(cell: dict[str, Any]) -> Cost:
    """Flops of a typical descent, and of the kernels and decompositions of the search."""
    steps = round(cell["patience"] * (300 if cell["readout"] == "all" else 15))
    if cell["part"] == "success":
        return training_cost(cell, steps, kernels=2)
    looks = 2 * len(cell["radii"]) * cell["searches"]
    training = training_cost(cell, steps, kernels=70 + 3 * looks, copies=8)
    return training + looks * eigenvectors(cell["width"])


def measure(cell: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """One planted point beside one descent, or one narrow network's training."""
    row = {name: cell[name] for name in ("part", "readout", "width", "seed")}
    found, arrays = (_planted if cell["part"] == "planted" else _success)(cell)
    return {**row, **found, "diverged": found["exit"] == "diverged"}, arrays


def _planted(cell: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    import lab
    from lab.kernels.singular import spectral_norm
    from lab.kernels.spectrum import Spectrum
    from lab.measures import landscape
    from lab.measures.hitting import hitting_step
    from lab.measures.path import kernel_path

    task, network = build(cell)
    inputs, targets = task.train_inputs, task.train_targets.flatten(1).to(network.W)
    jacobian = network.jacobian(inputs)
    spectrum, residual = Spectrum(jacobian.gram()), jacobian.outputs - targets
    rate = 2 * cell["critical_fraction"] / spectrum.lambda_max
    needed = hitting_step(spectrum, residual.numpy(), min(rate, 1 / spectrum.lambda_max), cell["accuracy"]) or 1000
    descent = lab.Descent(max(round(cell["patience"] * needed), 10), learning_rate=rate)
    path = kernel_path(network, task, descent, cell["accuracy"])
    bad = landscape.planted_motion(network, inputs)
    good = None if path.exit == "diverged" else (path.network.trained["W"] - network.W).detach()
    constant = 0.5 * float((targets - targets.mean(0)).square().sum())
    lines, arrays = _lines(cell, network, inputs, targets, good, bad, constant)
    there = landscape.moved(network, bad).jacobian(inputs)
    gradient = there.pull(there.outputs - targets)["W"]
    distances = _distances(spectral_norm(network.W.detach()), bad, good)
    motion = _needed(cell, network, inputs, spectrum, residual, bad)
    planted = {
        "exit": path.exit,
        "planted_gradient": float(gradient.abs().max()),
        "planted_loss": 0.5 * float((there.outputs - targets).square().sum()) / constant,
        "descent_loss": None if good is None else 0.5 * float(path.mse[-1]) * targets.numel() / constant,
    }
    return planted | lines | distances | motion, arrays


def _distances(initial: float, bad: Any, good: Any) -> dict[str, Any]:
    """How far the planted point and the end of descent are from W₀."""
    far, near = float(bad.norm()), None if good is None else float(good.norm())
    return {
        "planted_distance": far,
        "planted_over_initial": far / initial,
        "descent_distance": near,
        "distance_ratio": None if near is None else far / near,
    }


def _lines(
    cell: Any, network: Any, inputs: Any, targets: Any, good: Any, bad: Any, constant: float
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Losses along the three lines in units of the best constant's, and the barriers on them."""
    from lab.measures.landscape import barrier, losses_along

    shares, start = np.linspace(0, 1, cell["points"]), 0 * bad
    ends = {"descent": (start, good), "planted": (start, bad), "between": (good, bad)}
    row, losses = {}, np.full((len(LINES), len(shares)), np.nan)
    for place, (name, (one, other)) in enumerate(ends.items()):
        row[f"barrier_{name}"] = None
        if good is not None or name == "planted":
            along = losses_along(network, inputs, targets, one, other, shares.tolist())
            losses[place], row[f"barrier_{name}"] = np.array(along) / constant, barrier(along) / constant
    return row, {"shares": shares, "losses": losses}


def _needed(cell: Any, network: Any, inputs: Any, spectrum: Any, residual: Any, bad: Any) -> dict[str, Any]:
    """The shortest linear motion that fits, and the radius up to which the kernel is good, as distances in W."""
    import torch

    from lab.kernels.singular import spectral_norm
    from lab.measures import landscape
    from lab.measures.thresholds import falls_through

    radii = np.array(cell["radii"]) / cell["width"] ** 0.5
    start, stop = spectrum.lambda_min, QUARTER * spectrum.lambda_min
    balls = landscape.lowest_in_balls(network, inputs, radii, stop=stop, iterations=cell["searches"])
    line = landscape.lowest_along(network, inputs, bad / float(bad.norm()), radii)
    places = [falls_through(radii[: len(curve)], np.array(curve), stop) for curve in (balls, line) if start > 0]
    inside = [place for place in places if place.censored != "right"]
    valid = min(inside or places, key=lambda place: place.value, default=None)
    solved = spectrum.vectors @ (spectrum.limit() * (spectrum.vectors.T @ residual.numpy().ravel()))
    motion = network.jacobian(inputs).pull(torch.from_numpy(solved).to(residual).view_as(residual))["W"]
    full = spectrum.lambda_min > spectrum.tolerance  # otherwise the linear model cannot fit
    norms = {"needed": float(motion.norm()), "needed_spectral": spectral_norm(motion)}
    row: dict[str, Any] = {name: value if full else None for name, value in norms.items()}
    row |= {"valid": None if valid is None else valid.value, "valid_censored": valid.censored if valid else None}
    for name, ratio in (("needed", "needed_over_valid"), ("needed_spectral", "needed_over_valid_spectral")):
        row[ratio] = None if valid is None or row[name] is None else row[name] / valid.value
    return row


def _success(cell: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Train one narrow network until it succeeds or its budget is spent, and say what stopped it."""
    import torch

    import lab
    from lab.kernels.spectrum import Spectrum
    from lab.measures.hitting import hitting_step

    task, network = build(cell)
    jacobian, targets = network.jacobian(task.train_inputs), task.train_targets.flatten(1)
    limit = Spectrum(lab.infinite_ntk(getattr(network, "network", network), task.train_inputs).double())
    residual = (jacobian.outputs - targets.to(jacobian.outputs)).double().numpy()
    pace, goal = 2 * min(cell["critical_fraction"], 0.5) / limit.lambda_max, cell["accuracy"]
    budget = max(round(cell["patience"] * (hitting_step(limit, residual, pace, goal) or 1000)), 10)
    kernel = jacobian.gram()
    row = {"exit": "stuck", "budget": budget, "steps": 0, "final_mse": float((residual**2).mean()), "pace": 0.0}
    if not bool(torch.count_nonzero(kernel)):
        return row, {}  # no gate on any path is open: there is no gradient at all
    rate = 2 * cell["critical_fraction"] / Spectrum(kernel).lambda_max
    path = lab.descend(network, task, lab.Descent(budget, learning_rate=rate))
    for snapshot in path:
        mse = 2 * snapshot.loss / targets.numel()
        row |= {"steps": snapshot.step, "final_mse": _exponents.finite(mse)}
        if mse < goal:
            break
        left = snapshot.jacobian.outputs - targets.to(snapshot.jacobian.outputs)
        force = float(snapshot.jacobian.pull(left)["W"].double().square().sum()) / snapshot.loss
        row["pace"] = _exponents.finite(rate * force)
    row["exit"] = "success" if mse < goal else "slow"
    if path.diverged_at is not None:
        row |= {"exit": "diverged", "final_mse": None, "pace": None}
    elif row["exit"] == "slow" and row["pace"] * budget < STUCK:
        row["exit"] = "stuck"
    return row, {}


def conclude(table: pd.DataFrame) -> Conclusion:
    """Numbers of every readout, and a verdict on the first one."""
    numbers: dict[str, Number] = {}
    for place, readout in enumerate(_exponents.readouts(table)):
        arm = table[table["readout"] == readout]
        planted, narrow = arm[arm["part"] == "planted"], arm[arm["part"] == "success"]
        found = (_planted_numbers(planted) if len(planted) else {}) | (_success_numbers(narrow) if len(narrow) else {})
        numbers |= {f"{name}.{readout}" if place else name: value for name, value in found.items()}
    return Conclusion(numbers, verdict(numbers, table))


def _planted_numbers(arm: pd.DataFrame) -> dict[str, Number]:
    found: dict[str, Number] = {}
    done, seeds = arm[arm["exit"] != "diverged"], int(arm["seed"].nunique())
    found["planted_gradient"] = Number(float(arm["planted_gradient"].max()), None, seeds)
    widest = arm[arm["width"] == arm["width"].max()]
    for name in ("planted_loss", "descent_loss"):
        found[name] = Number.geometric(widest.loc[widest["exit"] != "diverged", name])
    for width, rows in arm.groupby("width"):
        kept = done[done["width"] == width]
        found |= {f"{name}.{width}": Number.geometric(kept[name]) for name in LEVELS}
        found |= {f"barrier.{name}.{width}": Number.mean(kept[f"barrier_{name}"]) for name in LINES}
        seen = rows.dropna(subset=["valid"])
        found[f"valid.{width}"] = _exponents.threshold(seen["valid"], seen["valid_censored"])
    for name in ("distance_ratio", "needed"):
        found[f"exponent.{name}"] = _exponents.number(_exponents.fit(arm, name))
    found["exponent.valid"] = _exponents.threshold_degree(arm.dropna(subset=["valid"]), "valid", "valid_censored")
    found["needed_is_valid_from"] = _exponents.crossing(arm, "needed_over_valid", 1.0)
    return found


def _success_numbers(arm: pd.DataFrame) -> dict[str, Number]:
    from lab.measures.thresholds import success_place

    shares = arm.groupby("width")["exit"].value_counts(normalize=True).unstack(fill_value=0.0)
    trials = arm.groupby("width").size()
    found = {
        f"{name}.{width}": Number(float(shares[name].get(width, 0.0)) if name in shares else 0.0, None, int(count))
        for name in EXITS
        for width, count in trials.items()
    }
    won = (arm["exit"] == "success").groupby(arm["width"]).sum()
    place = success_place(won.index, won, trials)
    found["width_for_90_percent"] = Number(place.value, place.interval, int(trials.max()), place.reason)
    return found


def verdict(numbers: dict[str, Number], table: pd.DataFrame) -> str:
    """What the numbers say of the planted point, of why width helps, and of training narrow networks."""
    main = table[table["readout"] == _exponents.readouts(table)[0]]
    planted = main.loc[main["part"] == "planted", "width"]
    sentences = [_far(numbers, int(planted.max())), _why(numbers)] if len(planted) else []
    sentences += [_narrow_words(numbers)] if "width_for_90_percent" in numbers else []
    return " ".join(sentences)


def _far(numbers: dict[str, Number], width: int) -> str:
    gradient, exponent = numbers["planted_gradient"].value, numbers["exponent.distance_ratio"]
    exact = "exactly 0" if gradient == 0 else f"at most {gradient:.2g}, not 0"
    growth = f", growing as {power(exponent)}" if side(exponent, 0.0) == "above" else ""
    return (
        f"At width {width} a worse minimum (gradient {exact}) lies "
        f"{told(numbers[f'distance_ratio.{width}'])} times as far away as where descent ends{growth}."
    )


def _why(numbers: dict[str, Number]) -> str:
    place = numbers["needed_is_valid_from"]
    where = f"at width {told(place)}" if place.value is not None else f"at no width found ({place.reason})"
    return f"The motion needed to fit the data falls below the radius in which the kernel stays good {where}."


def _narrow_words(numbers: dict[str, Number]) -> str:
    place = numbers["width_for_90_percent"]
    shares = {int(name.split(".")[1]): n.value for name, n in numbers.items() if re.fullmatch(r"stuck\.\d+", name)}
    stuck = [width for width, share in shares.items() if share]
    ends = "none get stuck"
    if stuck:
        first, last = stuck[0], stuck[-1]
        later = "none beyond" if last < max(shares) else f"{100 * shares[last]:.0f} % at"
        ends = f"{100 * shares[first]:.0f} % get stuck at width {first}, {later} width {last}"
    where = f"from width {told(place)} on" if place.value is not None else f"at no width found ({place.reason})"
    return f"Nine of ten networks succeed {where}: {ends}."


def draw(results: Any, conclusion: Conclusion) -> dict[str, Figure]:
    """The intuition (needed against valid), the distances, the lines, and how narrow networks end."""
    table = results.table
    planted, narrow = table[table["part"] == "planted"], table[table["part"] == "success"]
    figures = {"success": _draw_success(narrow, conclusion)} if len(narrow) else {}
    if len(planted):
        figures |= {
            "intuition": _draw_pair(
                planted,
                INTUITION,
                "Why does width help? Motion needed, and motion that the kernel stands",
            )
        }
        figures |= {"distance": _draw_pair(planted, DISTANCES, "How far away is a worse minimum?")}
        figures |= {"lines": _draw_lines(results, planted)}
    return figures


INTUITION = {
    "needed": (r"needed to fit, $\|\cdot\|_F$", "#0072B2"),
    "valid": (r"kernel good within, $\|\cdot\|_2$", "#D55E00"),
}
DISTANCES = {
    "planted_distance": ("to the planted minimum", "#D55E00"),
    "descent_distance": ("to where descent ends", "#0072B2"),
}


def _draw_pair(table: pd.DataFrame, lines: dict[str, tuple[str, str]], title: str) -> Figure:
    from lab.figures import style

    arms = _exponents.readouts(table)
    figure, axes = style.panels(len(arms), size=(5.6, 4.6), sharey=True)
    for ax, readout in zip(axes[0], arms, strict=True):
        for name, (what, color) in lines.items():
            _exponents.draw(ax, table[table["readout"] == readout], name, color, what)
        ax.set_title(f"readout: {_exponents.READS[readout]}")
        style.legend_below(ax)
    axes[0, 0].set_ylabel("distance from W₀")
    style.headline(figure, title)
    return figure


def _draw_lines(results: Any, planted: pd.DataFrame) -> Figure:
    from lab.figures import style

    arms, widths = _exponents.readouts(planted), sorted(planted["width"].unique())
    figure, axes = style.panels(len(LINES), len(arms), size=(4.0, 3.4), sharey="row")
    for row, readout in enumerate(arms):
        for ax, (place, what) in zip(axes[row], enumerate(LINES.values()), strict=True):
            for width, color in zip(dict.fromkeys((widths[0], widths[-1])), ("#E69F00", "#0072B2"), strict=False):
                rows = planted[(planted["readout"] == readout) & (planted["width"] == width)]
                found = [
                    results.arrays(part="planted", readout=readout, width=int(width), seed=int(seed))
                    for seed in rows["seed"]
                ]
                _losses(ax, found, place, color, f"width {width}")
            ax.axhline(1, color=style.GREY, linestyle="--", label="best constant")
            ax.set(yscale="log", title=what if row == 0 else None, xlabel="share of the way")
        axes[row, 0].set_ylabel(f"loss over the best constant's\n(readout: {_exponents.READS[readout]})")
    style.legend_below(axes[-1, 1], columns=3)
    style.headline(figure, "The loss along straight lines")
    return figure


def _losses(ax: Axes, found: list[dict[str, np.ndarray]], place: int, color: str, label: str) -> Axes:
    """Losses along one line: seeds as faint curves and their geometric mean."""
    for arrays in found:
        ax.plot(arrays["shares"], arrays["losses"][place], color=color, alpha=0.3, linewidth=0.8)
    middle = np.exp(np.log([arrays["losses"][place] for arrays in found]).mean(0))
    ax.plot(found[0]["shares"], middle, color=color, linewidth=2.2, label=label)
    return ax


def _draw_success(narrow: pd.DataFrame, conclusion: Conclusion) -> Figure:
    from lab.figures import style

    arms = _exponents.readouts(narrow)
    figure, axes = style.panels(len(arms), size=(5.0, 4.4), sharey=True)
    for ax, readout in zip(axes[0], arms, strict=True):
        arm = narrow[narrow["readout"] == readout]
        shares = arm.groupby("width")["exit"].value_counts(normalize=True).unstack(fill_value=0.0)
        floor, places = np.zeros(len(shares)), np.arange(len(shares))
        for name, color in EXITS.items():
            height = shares[name].to_numpy() if name in shares else np.zeros(len(shares))
            ax.bar(places, height, bottom=floor, color=color, label=name, width=0.8)
            floor = floor + height
        ax.set_xticks(places, labels=[str(width) for width in shares.index])
        place = conclusion.numbers["width_for_90_percent" + ("" if readout == arms[0] else f".{readout}")]
        ax.set(xlabel="width m (hidden units)", title=f"readout: {_exponents.READS[readout]}\n90 % at m = {place}")
        ax.axhline(0.9, color="white", linestyle="--", linewidth=1)
        style.legend_below(ax, columns=4)
    axes[0, 0].set_ylabel("share of initializations")
    style.headline(figure, "How training of narrow networks ends")
    return figure
