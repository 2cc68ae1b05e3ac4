"""How near to its initialization must a network stay for the gradient bounds to hold, and how fast does the loss fall?

Theorems 3 and 4 of Allen-Zhu, Li, Song 2019 hold for all W with ‖W − W₀‖₂ ≤ τ/√m, "near" the initialization. Theorem 3
bounds ‖∇f‖²/(m f) from both sides *whatever the targets are*; since ‖∇f‖² = rᵀKr and f = ½‖r‖², this says that
2λ_min(K)/m and 2λ_max(K)/m stay in a band, K being the tangent kernel of W on the training set at these weights. So
λ_min is what is measured: along gradient descent, and on spheres of spectral radius τ/√m in four directions.

* gaussian: W′ with independent normal entries.
* gd: gradient descent's own motion W_T − W₀, shortened or continued.
* adversarial: the ball's worst motion as far as a search finds it (`lab.measures.landscape.worst_motion`).
* planted: towards the flat stationary point of `comparisons.minima`, at which K = 0.

Descent is not centred: the theorems are about the network's own f₀. It stops at the first recorded step with a mean
square error (f − y)² below ``accuracy``; its budget is ``patience`` times what the linear model needs, in closed form.

Numbers
-------
ratio_min.<m>, ratio_max.<m>
    Smallest 2λ_min(K)/m and largest 2λ_max(K)/m along the path: Theorem 3's constants. exponent.ratio_min and
    exponent.ratio_max are their slopes in m; the theorem says 0.
ratio_kept.<m>
    Smallest λ_min(K) along the path over λ_min(K₀).
path_ratio_min.<m>, path_ratio_max.<m>
    The same for the residual's own ratio ‖∇f‖²/(m f), which mostly tells where the residual points.
radius_of_validity.<m>
    Smallest τ at which λ_min < λ_min(K₀)/4 in the worst of the four directions (up to there descent converges linearly,
    at a quarter of the rate or faster). radius.<direction>.<m> for each one; exponent.radius_of_validity by censored
    regression.
motion.<m>
    √m·‖W_T − W₀‖₂ at the end of descent, in the units of τ; exponent.motion, for which the theory has 0.
motion_over_valid.<m>, motion_within_from
    motion over radius_of_validity, and the width at which that falls through 1: from there on, the theorem's ball,
    however one leaves its centre, contains the whole path.
exponent.flips.gaussian|gd|adversarial, exponent.flips
    Slope in m of the share of gates that differ at τ = ``flip_radius``; the last one is gd's. For a W′ that does not
    know the gates it is −½: W′h has entries of order τ/m, pre-activations are of order 1/√m.
exponent.remainder, exponent.remainder.kinks, exponent.remainder.multilinear
    Slope in τ (gd direction, τ ≤ 1, largest width) of the RMS over outputs of f(W₀ + W′) − f₀ − J₀W′ and of its two
    parts: gates that flip, and W being used L − 1 times. The multilinear part must have 2; kinks have between 1½
    (flips of random signs) and 2 (all of one sign). On the loss one would find 2 whatever happens.
rate_over_prediction.<m>
    Fitted −d log mse/dt in the last decade before ``accuracy``, over 2ηλ_min(K₀): the linear convergence that Theorem 3
    gives. 1 is the theorem's slowest case with the kernel at the start; below 1 the kernel got worse on the way.
rate_over_linear.<m>
    The same rate over that of the network's own linearization in the same decade: what is left when the residual's
    direction, which is the linear model's too, is taken out.
f0_share, reached
    ‖f₀‖²/‖y − f₀‖² at the largest width; share of runs that arrived.
<key>.<readout>
    The same for a further readout: "all" is the paper's own loss, over all time steps from the second on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from comparisons import _exponents
from comparisons._settings import NetworkSettings, build, check_paper, training_cost
from comparisons._shape import Conclusion, Number
from comparisons._words import percent, power, side, told
from lab.costs import Cost, eigenvectors
from lab.errors import check_integer, check_number, refuse

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

question = "How near to its initialization must a network stay for the gradient bounds to hold?"
asked_by = "R1, R3"
version = 1
GRID = NetworkSettings.GRID

DIRECTIONS = {
    "gaussian": "Gaussian",
    "gd": "gradient descent's own",
    "adversarial": "worst found",
    "planted": "planted",
}
FREE = ("gaussian", "gd", "adversarial")  # directions in which flips are counted
PARTS = {"total": "all of it", "kinks": "gates that flip", "multilinear": "multilinear (gates frozen)"}
LEVELS = ("ratio_min", "ratio_max", "ratio_kept", "path_ratio_min", "path_ratio_max", "motion", "motion_over_valid")
LEVELS += ("rate_over_prediction", "rate_over_linear")
QUARTER = 0.25
SMALL = 1.0  # τ up to which the remainder's slope is fitted


@dataclass(frozen=True)
class Settings(NetworkSettings):
    """Settings of the gradient bounds: those of `NetworkSettings`, how far to train, and how far to look.

    Parameters
    ----------
    accuracy
        Mean square error at which descent stops.
    patience
        Budget in units of the linear model's own time to ``accuracy``.
    radii
        τ of the spheres, ascending; the spectral radius is τ/√m.
    flip_radius
        τ at which flipped gates are counted.
    searches
        Gradients of λ_min at each radius in search of the worst motion.
    """

    task: str = "separable"
    samples: int | None = 12
    widths: tuple[int, ...] = (64, 128, 256, 512)
    dtype: str = "float64"
    accuracy: float = 1e-3
    patience: float = 4.0
    radii: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
    flip_radius: float = 1.0
    searches: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_paper(self)
        for name in ("accuracy", "patience", "flip_radius"):
            check_number(name, getattr(self, name), above=0)
        check_integer("searches", self.searches, 1)
        for radius in self.radii:
            check_number("radii", radius, above=0)
        if len(self.radii) < 2 or list(self.radii) != sorted(set(self.radii)):
            refuse("radii", str(self.radii), "two or more ascending numbers", "sort them")


PRESETS = {
    "fast": Settings(widths=(32, 64, 128), seeds=3, samples=6),
    "default": Settings(),
    "full": Settings(widths=(64, 128, 256, 512, 1024, 2048), seeds=10, samples=24, searches=12),
}


def cells(settings: Settings) -> list[dict[str, Any]]:
    """One cell for every readout, width and seed."""
    return [{**cell, "radii": list(settings.radii)} for cell in settings.cells()]


def cost(cell: dict[str, Any]) -> Cost:
    """Flops of a typical descent, of the kernels along it and on the spheres, and of the search's decompositions."""
    steps = round(cell["patience"] * (500 if cell["readout"] == "all" else 30))
    looks = len(cell["radii"]) * (3 + 3 * cell["searches"])
    training = training_cost(cell, steps, kernels=70 + looks, copies=8)
    return training + len(cell["radii"]) * cell["searches"] * eigenvectors(cell["width"])


def measure(cell: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Descend once and look at the kernel along the path, then on the spheres around the start."""
    import lab
    from lab.kernels.singular import spectral_norm
    from lab.kernels.spectrum import Spectrum
    from lab.learners.network import flat_targets
    from lab.measures.hitting import hitting_step
    from lab.measures.path import kernel_path

    task, network = build(cell)
    jacobian = network.jacobian(task.train_inputs)
    spectrum = Spectrum(jacobian.gram())
    residual = (jacobian.outputs - flat_targets(network, task)).double().numpy()
    rate = 2 * cell["critical_fraction"] / spectrum.lambda_max
    needed = hitting_step(spectrum, residual, min(rate, 1 / spectrum.lambda_max), cell["accuracy"]) or 1000
    descent = lab.Descent(max(round(cell["patience"] * needed), 10), learning_rate=rate)
    path = kernel_path(network, task, descent, cell["accuracy"])
    row = {name: cell[name] for name in ("readout", "width", "seed")}
    row |= {"f0_share": float(jacobian.outputs.square().sum()) / float((residual**2).sum())}
    row |= _path_row(cell, path, spectrum, residual, rate)
    motion = None if path.exit == "diverged" else (path.network.trained["W"] - network.W).detach()
    row["motion"] = None if motion is None else cell["width"] ** 0.5 * spectral_norm(motion)
    around, arrays = _around(cell, task.train_inputs, network, motion, spectrum.lambda_min)
    row |= around
    row["motion_over_valid"] = None if row["motion"] is None else row["motion"] / row["radius_of_validity"]
    arrays |= {name: getattr(path, name) for name in ("steps", "mse", "lambda_min", "lambda_max", "force")}
    return {**row, "exit": path.exit, "diverged": path.exit == "diverged"}, arrays


def _path_row(cell: Any, path: Any, spectrum: Any, residual: np.ndarray, rate: float) -> dict[str, Any]:
    """Extremes of the ratios along the path, and the rate in its last decade; no values after a divergence."""
    from lab.measures.path import decay_rate

    m, values = cell["width"], dict.fromkeys(("rate_over_prediction", "rate_over_linear"))
    values["ratio_min"], values["ratio_max"] = 2 * path.lambda_min.min() / m, 2 * path.lambda_max.max() / m
    values["ratio_kept"] = path.lambda_min.min() / spectrum.lambda_min if spectrum.lambda_min > 0 else None
    values["path_ratio_min"], values["path_ratio_max"] = path.force.min() / m, path.force.max() / m
    own = decay_rate(path.steps, path.mse, cell["accuracy"]) if path.exit == "reached" else None
    linear = _linear_rate(spectrum, residual, rate, cell["accuracy"])
    if own is not None and spectrum.lambda_min > 0:
        values["rate_over_prediction"] = own / (2 * rate * spectrum.lambda_min)
        values["rate_over_linear"] = None if linear is None else own / linear
    fixed = {"learning_rate": rate, "lambda_min": spectrum.lambda_min, "lambda_max": spectrum.lambda_max}
    values["final_mse"] = path.mse[-1]
    if path.exit == "diverged":
        values = dict.fromkeys(values)
    numbers = {**fixed, **values}
    return {name: None if value is None else _exponents.finite(float(value)) for name, value in numbers.items()}


def _linear_rate(spectrum: Any, residual: np.ndarray, rate: float, accuracy: float) -> float | None:
    """The linear model's rate in the same decade of its own error, from its closed form."""
    from lab.measures.hitting import hitting_step, linear_mse
    from lab.measures.path import decay_rate

    if rate * spectrum.lambda_max >= 2:
        return None
    ends = [hitting_step(spectrum, residual, rate, level) for level in (10 * accuracy, accuracy)]
    if ends[0] is None or ends[1] is None:
        return None
    steps = np.unique(np.linspace(ends[0], ends[1], 100).round().astype(int))
    return decay_rate(steps, linear_mse(spectrum, residual, rate, steps), accuracy)


def _around(
    cell: Any, inputs: Any, network: Any, motion: Any, lambda_min: float
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """λ_min, flips and remainders on the spheres; without gradient descent's own direction after a divergence."""
    from lab.kernels.singular import spectral_norm
    from lab.measures import landscape
    from lab.measures.motion import gate_flips

    lines = {"gaussian": landscape.gaussian_direction(network, cell["seed"])}
    lines |= {"planted": landscape.planted_motion(network, inputs)} | ({} if motion is None else {"gd": motion})
    lines = {name: direction / spectral_norm(direction) for name, direction in lines.items()}
    radii, root, searches = np.array(cell["radii"]), cell["width"] ** 0.5, cell["searches"]
    lowest = {name: landscape.lowest_along(network, inputs, line, radii / root) for name, line in lines.items()}
    stop = QUARTER * lambda_min
    balls = landscape.lowest_in_balls(network, inputs, radii / root, stop=stop, iterations=searches)
    lowest["adversarial"] = balls
    reach = cell["flip_radius"] / root
    at = {name: reach * line for name, line in lines.items()}
    at["adversarial"] = landscape.worst_motion(network, inputs, reach, iterations=searches)[1]
    gates = network.gates(inputs)
    flips = {
        f"flips_{name}": gate_flips(gates, landscape.moved(network, at[name]).gates(inputs)) if name in at else None
        for name in FREE
    }
    missed, slopes = _remainders(network, inputs, lines.get("gd"), radii)
    shares = np.full((len(DIRECTIONS), len(radii)), np.nan)
    for place, name in enumerate(DIRECTIONS):
        shares[place, : len(lowest.get(name, ()))] = np.array(lowest.get(name, ())) / lambda_min
    row = _radii(radii, dict(zip(DIRECTIONS, shares, strict=True))) | flips | slopes
    return row, {"radii": radii, "shares": shares, "remainders": missed}


def _radii(radii: np.ndarray, shares: dict[str, np.ndarray]) -> dict[str, Any]:
    """Where each curve falls through a quarter, and the smallest of these places: value and censoring."""
    from lab.measures.thresholds import falls_through

    seen = {name: np.isfinite(curve) for name, curve in shares.items()}
    found = {
        name: falls_through(radii[seen[name]], curve[seen[name]], QUARTER)
        for name, curve in shares.items()
        if seen[name].any()
    }
    inside = [place for place in found.values() if place.censored != "right"]
    found["of_validity"] = min(inside or found.values(), key=lambda place: place.value)
    row: dict[str, Any] = {}
    for name in ("of_validity", *DIRECTIONS):
        row[f"radius_{name}"] = found[name].value if name in found else None
        row[f"censored_{name}"] = found[name].censored if name in found else None
    return row


def _remainders(network: Any, inputs: Any, line: Any, radii: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Remainders (3, R) along gradient descent's motion, and their slopes at small radii."""
    from lab.measures.landscape import remainder

    slopes: dict[str, Any] = {f"slope_{name}": None for name in PARTS}
    if line is None:
        return np.full((len(PARTS), len(radii)), np.nan), slopes
    found = [remainder(network, inputs, radius / network.width**0.5 * line) for radius in radii]
    table = np.array([[getattr(each, name) for each in found] for name in PARTS])
    for name, curve in zip(PARTS, table, strict=True):
        good = (radii <= SMALL) & (curve > 0)
        if good.sum() > 1:
            slopes[f"slope_{name}"] = float(np.polyfit(np.log(radii[good]), np.log(curve[good]), 1)[0])
    return table, slopes


def conclude(table: pd.DataFrame) -> Conclusion:
    """Numbers of every readout, and a verdict on the first one."""
    numbers: dict[str, Number] = {}
    for place, readout in enumerate(_exponents.readouts(table)):
        arm = table[table["readout"] == readout]
        found = _numbers(arm)
        numbers |= {f"{name}.{readout}" if place else name: value for name, value in found.items()}
    main = table[table["readout"] == _exponents.readouts(table)[0]]
    return Conclusion(numbers, verdict(numbers, int(main["width"].max())))


def _numbers(arm: pd.DataFrame) -> dict[str, Number]:
    """The numbers of one readout; runs that diverged are in none but those of the spheres."""
    found: dict[str, Number] = {}
    done = arm[arm["exit"] != "diverged"]
    for width, rows in arm.groupby("width"):
        found |= {f"{name}.{width}": Number.geometric(done.loc[done["width"] == width, name]) for name in LEVELS}
        keys = {"of_validity": "radius_of_validity"} | {name: f"radius.{name}" for name in DIRECTIONS}
        for name, key in keys.items():
            seen = rows.dropna(subset=[f"radius_{name}"])
            found[f"{key}.{width}"] = _exponents.threshold(seen[f"radius_{name}"], seen[f"censored_{name}"])
    for name in ("ratio_min", "ratio_max", "motion"):
        found[f"exponent.{name}"] = _exponents.number(_exponents.fit(arm, name))
    degree = _exponents.threshold_degree(arm, "radius_of_validity", "censored_of_validity")
    found["exponent.radius_of_validity"] = degree
    for name in FREE:
        found[f"exponent.flips.{name}"] = _exponents.number(_exponents.fit(arm, f"flips_{name}"))
    found["exponent.flips"] = found["exponent.flips.gd"]
    widest = done[done["width"] == arm["width"].max()]
    for name in PARTS:
        found["exponent.remainder" + ("" if name == "total" else f".{name}")] = Number.mean(widest[f"slope_{name}"])
    found["motion_within_from"] = _exponents.crossing(done, "motion_over_valid", 1.0)
    found["f0_share"] = Number.mean(widest["f0_share"])
    found["reached"] = Number(float((arm["exit"] == "reached").mean()), None, int(arm["seed"].nunique()))
    return found


def verdict(numbers: dict[str, Number], width: int) -> str:
    """The radius against the motion, what is kept along the path, and the rate."""
    return " ".join(filter(None, (part(numbers, width) for part in (_radius, _path, _rate))))


def _radius(numbers: dict[str, Number], width: int) -> str:
    valid, motion = numbers[f"radius_of_validity.{width}"], numbers[f"motion.{width}"]
    if valid.value is None:
        return f"At width {width} the radius in which Theorem 3's bound holds cannot be told ({valid.reason})."
    where = _DESCENT_ENDS[side(numbers[f"motion_over_valid.{width}"], 1.0)]
    ends = f", and descent ends {where}, at {told(motion)}" if motion.value is not None else ""
    return (
        f"At width {width} Theorem 3's lower bound keeps a quarter of its constant up to a distance of {told(valid)} "
        f"/ √width in the worst direction found{ends}."
    )


_DESCENT_ENDS = {
    "below": "inside",
    "above": "outside",
    "open": "about there",
    None: "somewhere (too few seeds to judge)",
}


def _path(numbers: dict[str, Number], width: int) -> str:
    kept, exponent = numbers[f"ratio_kept.{width}"], numbers["exponent.ratio_min"]
    if kept.value is None:
        return f"What descent's own path keeps of it has no value ({kept.reason})."
    trend = {
        "open": "and the constant has no visible trend in the width",
        "above": f"and the constant rises as {power(exponent)}, unlike in Theorem 3",
        "below": f"and the constant falls as {power(exponent)}, unlike in Theorem 3",
        None: "and whether the constant has a trend cannot be told",
    }[side(exponent, 0.0)]
    return f"Along descent it keeps {percent(kept)}, {trend}."


def _rate(numbers: dict[str, Number], width: int) -> str:
    rate = numbers[f"rate_over_prediction.{width}"]
    return "" if rate.value is None else f"The error falls at {told(rate)} times the predicted linear rate."


def draw(results: Any, conclusion: Conclusion) -> dict[str, Figure]:
    """The band along the path, λ_min on the spheres, radius and motion against width, flips and remainders, rates."""
    table = results.table
    return {
        "spheres": _draw_spheres(results),
        "radius": _draw_radius(table),
        "band": _draw_lines(table, BAND, "Theorem 3's two constants along descent", r"$\|\nabla f\|^2/(m f)$"),
        "flips": _draw_flips(results),
        "rate": _draw_rate(results),
    }


BAND = {
    "ratio_max": (r"highest, any target: $2\lambda_{\max}(K)/m$", "#D55E00"),
    "path_ratio_max": ("highest, this residual", "#E69F00"),
    "path_ratio_min": ("lowest, this residual", "#56B4E9"),
    "ratio_min": (r"lowest, any target: $2\lambda_{\min}(K)/m$", "#0072B2"),
}
COLORS = {"gaussian": "#009E73", "gd": "#0072B2", "adversarial": "#D55E00", "planted": "#CC79A7"}


def _draw_lines(table: pd.DataFrame, lines: dict[str, tuple[str, str]], title: str, label: str) -> Figure:
    from lab.figures import style

    arms = _exponents.readouts(table)
    figure, axes = style.panels(len(arms), size=(5.6, 4.8), sharey=True)
    for ax, readout in zip(axes[0], arms, strict=True):
        for name, (what, color) in lines.items():
            _exponents.draw(ax, table[table["readout"] == readout], name, color, what)
        ax.set_title(f"readout: {_exponents.READS[readout]}")
        style.legend_below(ax)
    axes[0, 0].set_ylabel(label)
    style.headline(figure, title)
    return figure


def _draw_radius(table: pd.DataFrame) -> Figure:
    lines = {
        "radius_of_validity": ("valid, worst direction", COLORS["adversarial"]),
        "motion": ("where descent ends", COLORS["gd"]),
    }
    return _draw_lines(table, lines, question, r"$\tau=\sqrt{m}\,\|W-W_0\|_2$")


def _cells(results: Any, readout: str, width: int) -> list[tuple[Any, dict[str, np.ndarray]]]:
    table = results.table
    rows = table[(table["readout"] == readout) & (table["width"] == width)]
    return [(row, results.arrays(readout=readout, width=width, seed=int(row["seed"]))) for _, row in rows.iterrows()]


def _draw_spheres(results: Any) -> Figure:
    from lab.figures import style

    arms, width = _exponents.readouts(results.table), int(results.table["width"].max())
    figure, axes = style.panels(len(arms), size=(5.6, 4.8), sharey=True)
    for ax, readout in zip(axes[0], arms, strict=True):
        found = _cells(results, readout, width)
        shares = np.stack([arrays["shares"] for _, arrays in found])
        for place, (name, what) in enumerate(DIRECTIONS.items()):
            _seeds(ax, found[0][1]["radii"], shares[:, place], COLORS[name], what)
        motion = np.nanmean([row["motion"] for row, _ in found])
        ax.axvline(motion, color=COLORS["gd"], linewidth=1, linestyle=(0, (1, 1.6)), label="descent ends (mean)")
        ax.axhline(QUARTER, color=style.GREY, linestyle="--", label="a quarter")
        ax.set(xscale="log", ylim=(0, 1.6), xlabel=r"$\tau=\sqrt{m}\,\|W-W_0\|_2$")
        ax.set_title(f"readout: {_exponents.READS[readout]}")
        style.legend_below(ax, columns=2)
    axes[0, 0].set_ylabel(r"$\lambda_{\min}(K)/\lambda_{\min}(K_0)$")
    style.headline(figure, f"The smallest kernel eigenvalue around an initialization (width {width})")
    return figure


def _seeds(ax: Axes, x: np.ndarray, lines: np.ndarray, color: str, label: str) -> Axes:
    """Seeds (seeds, k) as faint lines and their median, where more than half of them go on."""
    for line in lines:
        ax.plot(x, line, color=color, alpha=0.25, linewidth=0.8)
    goes_on = np.isfinite(lines).mean(0) > 0.5
    if goes_on.any():
        middle = np.nanmedian(lines[:, goes_on], 0)
        ax.plot(x[goes_on], middle, "o-", color=color, markersize=4, linewidth=2, label=label)
    return ax


def _draw_flips(results: Any) -> Figure:
    from lab.figures import style

    table = results.table
    readout, width = _exponents.readouts(table)[0], int(table["width"].max())
    arm = table[table["readout"] == readout]
    figure, axes = style.panels(2, size=(5.2, 4.6))
    for name, what in list(DIRECTIONS.items())[:3]:
        _exponents.draw(axes[0, 0], arm, f"flips_{name}", COLORS[name], what)
    axes[0, 0].set(ylabel="share of gates that differ", title="at one fixed τ, against width")
    found = _cells(results, readout, width)
    missed = np.stack([arrays["remainders"] for _, arrays in found])
    radii = found[0][1]["radii"]
    near = radii <= 8 * SMALL
    for place, (what, color) in enumerate(zip(PARTS.values(), ("#000000", "#D55E00", "#0072B2"), strict=True)):
        _seeds(axes[0, 1], radii[near], np.where(missed > 0, missed, np.nan)[:, place, near], color, what)
    guide = np.nanmedian(missed[:, 2, near], 0)[-1] * (radii[near] / radii[near][-1]) ** 2
    axes[0, 1].plot(radii[near], guide, "--", color=style.GREY, label="slope 2")
    axes[0, 1].set(xscale="log", yscale="log", xlabel=r"$\tau=\sqrt{m}\,\|W-W_0\|_2$")
    axes[0, 1].set(ylabel="RMS of f(W) − f₀ − J₀(W − W₀)", title=f"what the linearization misses, width {width}")
    for ax in axes[0]:
        style.legend_below(ax)
    style.headline(figure, f"Gates that flip around an initialization (readout: {_exponents.READS[readout]})")
    return figure


def _draw_rate(results: Any) -> Figure:
    from lab.figures import curves, style

    table = results.table
    arms, width = _exponents.readouts(table), int(table["width"].max())
    figure, axes = style.panels(len(arms) + 1, size=(4.8, 4.4))
    for ax, readout in zip(axes[0], arms, strict=False):
        for place, (row, path) in enumerate(_cells(results, readout, width)):
            ax.plot(
                path["steps"], path["mse"], color=COLORS["gd"], linewidth=1.4, label="network" if not place else None
            )
            bound = path["mse"][0] * np.exp(-2 * row["learning_rate"] * row["lambda_min"] * path["steps"])
            label = r"$\exp(-2\eta\lambda_{\min}(K_0)\,t)$" if not place else None
            ax.plot(path["steps"], bound, "--", color=style.GREY, linewidth=1, label=label)
        ax.set(yscale="log", xlabel="gradient step t", title=f"readout: {_exponents.READS[readout]}, width {width}")
        ax.set_ylim(bottom=0.3 * max(np.nanmin(table["final_mse"].to_numpy(float)), 1e-12))
        style.legend_below(ax, columns=2)
    axes[0, 0].set_ylabel("mean square error on the training set")
    last = axes[0, -1]
    for readout, color in zip(arms, style.QUANTITIES, strict=False):
        rows = table[table["readout"] == readout].dropna(subset=["rate_over_prediction"])
        means = rows.groupby("width")[["rate_over_prediction", "rate_over_linear"]].mean()
        what = _exponents.READS[readout]
        last.plot(
            means.index,
            means["rate_over_prediction"],
            "o-",
            color=color,
            label=f"{what}: over $2\\eta\\lambda_{{\\min}}$",
        )
        last.plot(means.index, means["rate_over_linear"], "s:", color=color, label=f"{what}: over the linear model's")
    last.axhline(1, color=style.GREY, linestyle="--", label="as predicted")
    curves.width_axis(last, np.array(sorted(table["width"].unique()), dtype=float))
    last.set(yscale="linear", ylim=(0, None))
    last.set(title="rate in the last decade (mean over seeds)", ylabel="rate, measured over predicted")
    style.legend_below(last)
    style.headline(figure, "Rate of linear convergence, measured and predicted")
    return figure
