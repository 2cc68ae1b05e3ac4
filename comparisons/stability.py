"""At which variance of the recurrent weights does a signal neither explode nor vanish, and do inputs stay apart?

The recurrent matrix has variance c/m, and only it: W = √(c/2)·W₀ with the same draws W₀ for all c, while A keeps the
paper's 2/m. Nothing is trained. Inputs are pairs of sequences of unit steps that differ in their first step alone.

Numbers
-------
growth_rate.<c>
    Backwards: slope of log ‖B D_L W … D_{L−k+1} W‖ on the number k of factors, in nats per step; the product is
    Back_{L−k→L} of Allen-Zhu, Li, Song 2019 (section 4), by which gradients travel. Infinite width: ½ log(c/2).
forward_growth.<c>
    Forwards, of one input alone: slope of log ‖h_l‖ on l where all inputs after the first step are zero. Infinite
    width: ½ log(c/2) too, since E‖h_l‖² = (c/2)^{l−1} ‖h_1‖². Because ReLU is homogeneous, its distance from that value
    is the same for every c.
state_growth.<c>
    Forwards with a new input at every step, as the network runs: slope of log ‖h_l‖ over the second half of the steps.
    In the limit E‖h_l‖² = Σ_{k<l} (c/2)^k for unit inputs and A of variance 2/m: it levels off for c < 2, since new
    input makes up for what is lost, grows as l at c = 2, and as (c/2)^l above. A rate of 0 is therefore no sign that
    the past is kept.
critical_c, critical_c_forward
    Where growth_rate and forward_growth pass 0, linear in log c, per seed; the theory says 2.
exponent.product_norm
    Slope of log ‖D_L W … D_{L−k+1} W‖₂ on log k at c = 2: the worst direction instead of B's. The theory asks that it
    be polynomial in the length, not exponential, for L well below √m.
late_exponent.product_norm
    The same over the last stretch alone, from about L/2 to L − 1 factors: larger where the curve bends upwards.
separation_kept.<c>
    Distance of directions ‖h_l/‖h_l‖ − h'_l/‖h'_l‖‖ of a pair at the last step over that at the first, geometric mean
    over pairs. separation_limit.<c> is the infinitely wide network's (`lab.infinite_nngp`).
separation_ratio.<c>
    The same over its value at c = 2, paired by seed.
distance_kept.<c>
    The same for the states themselves, ‖h_l − h'_l‖.
<key>.m<width>
    Each of these at the narrower widths (such as growth_rate.0.5.m128); without a width it is that of the largest.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from comparisons import _exponents
from comparisons._settings import check_distinct
from comparisons._shape import Conclusion, Number
from comparisons._words import percent, power, side, told
from lab.costs import ELEMENTWISE, Cost, recurrent_pass
from lab.errors import check_integer, check_number, check_seed, refuse

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

question = "At which variance of the recurrent weights do signals neither explode nor vanish, and inputs stay apart?"
asked_by = "R1"
version = 1
GRID = ("variances", "widths", "seeds")

CRITICAL = 2.0  # the paper's c
RATES = {
    "growth_rate": "backward product",
    "forward_growth": "first input alone",
    "state_growth": "input at every step",
}
SHARES = {"separation_kept": "directions", "distance_kept": "states"}
_LANCZOS = 25  # products with MᵀM that a spectral norm takes, about
_SHOWN = 3e-3  # shares of a separation below this are off the picture
_FAINT = 1e-6  # a distance of directions from correlations ρ is lost in rounding below √ε of about this size


@dataclass(frozen=True)
class Settings:
    """Settings of the stability comparison. Everything runs in float64: nothing is trained.

    Parameters
    ----------
    variances
        Factors c of the variance c/m of W.
    widths, seeds
        Widths m, and how many initializations at each.
    samples
        How many sequences, in pairs.
    separation
        δ, the distance of a pair's first steps.
    length, features
        Steps L and features p of a sequence.
    data_seed
        Of the sequences, which are the same for all widths, seeds and variances.

    Raises
    ------
    LabError
        For each field that is out of range, by its name.
    """

    variances: tuple[float, ...] = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 8.0)
    widths: tuple[int, ...] = (128, 1024)
    seeds: int = 10
    samples: int = 8
    separation: float = 0.3
    length: int = 100
    features: int = 8
    data_seed: int = 0

    def __post_init__(self) -> None:
        for c in self.variances:
            check_number("variances", c, above=0)
        for name, values, least in (("widths", self.widths, 1), ("variances", self.variances, None)):
            check_distinct(name, values)
            _ = least and [check_integer(name, value, least) for value in values]
        for name, least in (("seeds", 1), ("samples", 2), ("length", 3), ("features", 2)):
            check_integer(name, getattr(self, name), least)
        if self.samples % 2:
            refuse("samples", self.samples, "an even number", "pairs come in twos")
        check_number("separation", self.separation, above=0, below=math.nextafter(2, 3))
        check_seed("data_seed", self.data_seed)


PRESETS = {
    "fast": Settings(variances=(1.0, 2.0, 4.0), widths=(64, 256), seeds=3),
    "default": Settings(),
    "full": Settings(variances=(0.5, 1.0, 1.5, 1.8, 2.0, 2.2, 2.5, 3.0, 4.0, 8.0), widths=(128, 512, 2048), seeds=20),
}


def cells(settings: Settings) -> list[dict[str, Any]]:
    """One cell for every width, variance and seed."""
    fixed = {name: value for name, value in asdict(settings).items() if name not in GRID}
    return [
        {"width": width, "variance": c, "seed": seed, **fixed}
        for width in settings.widths
        for c in settings.variances
        for seed in range(settings.seeds)
    ]


def cost(cell: dict[str, Any]) -> Cost:
    """Two passes forwards, one backwards and one for the differences, and their limit; at c = 2 also the norms."""
    width, samples, length = cell["width"], cell["samples"], cell["length"]
    passes = 4 * recurrent_pass(samples, length, width, cell["features"])
    norms = 4.0 * width**2 * _LANCZOS * sum(_factors(length)) if cell["variance"] == CRITICAL else 0.0
    limit = Cost(ELEMENTWISE * samples * length * width, operations=400 * length)
    return passes + limit + Cost(norms, 8.0 * (3 * width**2 + 6 * samples * length * width))


def _factors(length: int) -> list[int]:
    """Numbers of factors at which the spectral norm is taken."""
    return np.unique(np.geomspace(1, length - 1, 9).round().astype(int)).tolist()


def measure(cell: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Unroll one network over all inputs, and over their first steps alone, and follow norms and distances."""
    import torch

    import lab
    from lab.measures import stability

    sizes = {name: cell[name] for name in ("samples", "separation", "length", "features")}
    inputs = lab.tasks.pairs(**sizes, seed=cell["data_seed"]).train_inputs
    scales = lab.Parametrization(sigma_w=math.sqrt(cell["variance"]))
    settings = {"parametrization": scales, "seed": cell["seed"], "device": torch.get_default_device()}
    network = lab.ElmanRNN(cell["width"], cell["features"], **settings)
    alone = inputs.clone()
    alone[:, 1:] = 0
    unrolled = network.unroll(inputs)
    logs = {
        "growth_rate": stability.backward_log_norms(unrolled),
        "forward_growth": stability.forward_log_norms(network.unroll(alone)),
        "state_growth": stability.forward_log_norms(unrolled),
        "separation_kept": stability.direction_distances(unrolled),
        "distance_kept": stability.state_distances(unrolled),
    }
    arrays = {name: values.mean(1) for name, values in logs.items()}
    factors = _factors(cell["length"])
    if cell["variance"] == CRITICAL:
        arrays["product"] = stability.product_norms(unrolled, factors)
    limit, seen = _limit(network, inputs)
    row = _row(cell, logs, limit)
    row |= {f"product_norm_{k}": float(v) for k, v in zip(factors, arrays.get("product", ()), strict=False)}
    return row, arrays | {"limit": limit, "limit_steps": seen}


def _limit(network: Any, inputs: Any) -> tuple[np.ndarray, np.ndarray]:
    """Geometric mean of the pairs' distances of directions at infinite width, and the steps at which it was taken."""
    import lab

    steps, distances = np.array([1, *_factors(inputs.shape[1])[1:], inputs.shape[1]]), []
    for step in steps:
        table = lab.infinite_nngp(network, inputs[:, :step])[:, 0, :, 0].cpu().numpy()
        norms = np.sqrt(np.diag(table))
        cosine = (table / np.outer(norms, norms))[range(0, len(table), 2), range(1, len(table), 2)]
        distances.append(np.sqrt(np.maximum(2 - 2 * cosine, 1e-300)))
    distances = np.exp(np.log(distances).mean(1))
    return np.where(distances > _FAINT, distances, np.nan), steps


def _row(cell: dict[str, Any], logs: dict[str, np.ndarray], limit: np.ndarray) -> dict[str, Any]:
    from lab.measures.stability import growth_rate

    half = logs["state_growth"][cell["length"] // 2 :]
    rates = {name: float(growth_rate(half if name == "state_growth" else logs[name]).mean()) for name in RATES}
    kept = {f"log_{name}": float((logs[name][-1] - logs[name][0]).mean()) for name in SHARES}
    lost = [name for name, value in (rates | kept).items() if not math.isfinite(value)]
    return {
        "width": cell["width"],
        "variance": cell["variance"],
        "seed": cell["seed"],
        **{name: _exponents.finite(value) for name, value in (rates | kept).items()},
        "separation_limit": _exponents.finite(float(limit[-1] / limit[0])),
        "length": cell["length"],
        "diverged": not np.isfinite(logs["state_growth"]).all(),
        "reasons": f"{', '.join(lost)}: a norm is zero or not finite" if lost else "",
    }


def conclude(table: pd.DataFrame) -> Conclusion:
    """Rates, crossings, the product's exponent and what is kept, at the largest width and then at the others."""
    numbers: dict[str, Number] = {}
    for width in sorted(table["width"].unique(), reverse=True):
        at_width = _at_width(table[table["width"] == width])
        mark = f".m{width}" if numbers else ""
        numbers |= {f"{name}{mark}": number for name, number in at_width.items()}
    return Conclusion(numbers, verdict(numbers, table))


def _at_width(arm: pd.DataFrame) -> dict[str, Number]:
    """Every number of one width, by its key without the width."""
    numbers = {"critical_c": _critical(arm, "growth_rate"), "critical_c_forward": _critical(arm, "forward_growth")}
    factors, norms = _products(arm)
    numbers["exponent.product_norm"] = _product_exponent(factors, norms)
    numbers["late_exponent.product_norm"] = _product_exponent(factors[-2:], norms[:, -2:])
    for name in RATES:
        for c, rows in arm.groupby("variance"):
            numbers[f"{name}.{c:g}"] = Number.mean(rows[name])
    for name in SHARES:
        for c, rows in arm.groupby("variance"):
            numbers[f"{name}.{c:g}"] = _geometric(rows[f"log_{name}"])
    grid = arm.pivot(index="seed", columns="variance", values="log_separation_kept")
    for c, rows in arm.groupby("variance"):
        if CRITICAL in grid and c != CRITICAL:
            numbers[f"separation_ratio.{c:g}"] = _geometric(grid[c] - grid[CRITICAL])
        limit = rows["separation_limit"].iloc[0]
        told = Number.none("below what rounding lets a correlation tell") if np.isnan(limit) else Number(limit, None, 0)
        numbers[f"separation_limit.{c:g}"] = told
    return numbers


def _geometric(logs: pd.Series) -> Number:
    """Geometric mean of exp(logs) over seeds."""
    return Number.geometric(np.exp(logs.astype(float)))


def _critical(arm: pd.DataFrame, name: str) -> Number:
    """Geometric mean over seeds of the c at which a growth rate passes 0."""
    from lab.measures.thresholds import falls_through

    places = []
    for _, rows in arm.dropna(subset=[name]).groupby("seed"):
        found = falls_through(rows["variance"], np.exp(-rows[name]), 1.0)  # e^(−rate) passes 1 where the rate passes 0
        if found.reason:
            return Number.none(f"{found.reason} for some seed", int(arm["seed"].nunique()))
        places.append(found.value)
    return Number.geometric(places) if places else Number.none("no seed has a growth rate")


def _product_exponent(factors: np.ndarray, norms: np.ndarray) -> Number:
    """Slope on log k from norms (seeds, k)."""
    if len(factors) < 2:
        return Number.none(f"no cell at c = {CRITICAL:g}")
    from lab.measures.exponents import fit_exponent

    fitted = _exponents.number(fit_exponent(factors, norms))
    details = {("factors" if name == "widths" else name): value for name, value in fitted.details.items()}
    return Number(fitted.value, fitted.interval, fitted.seeds, fitted.reason, details)


def _products(arm: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of factors (k,) and spectral norms (seeds, k) at c = 2."""
    names = [name for name in arm if str(name).startswith("product_norm_")]
    rows = arm.loc[arm["variance"] == CRITICAL, names].dropna(axis=1, how="all")
    return np.array([int(str(name).rsplit("_", 1)[1]) for name in rows]), rows.to_numpy(float)


def verdict(numbers: dict[str, Number], table: pd.DataFrame) -> str:
    """What the largest width says about the variance 2/m, and how its inputs and its worst direction fare there."""
    width, length = int(table["width"].max()), int(table["length"].max())
    backward, forward = (numbers[name] for name in ("critical_c", "critical_c_forward"))
    judged = {
        "open": ", compatible with the theory's 2",
        "below": ", below the theory's 2",
        "above": ", above the theory's 2",
        None: "",
    }[side(backward, CRITICAL)]
    start = f"At width {width} over {length} steps gradients keep their size at a weight variance of {_place(backward)}"
    return f"{start}{judged}, and forward signals at {_place(forward)}. {_separation(numbers)} {_product(numbers)}"


def _place(critical: Number) -> str:
    if critical.value is None:
        return f"no size on this grid ({critical.reason})"
    return f"{told(critical)} / width" if critical.interval else f"{told(critical)} / width without an interval"


def _product(numbers: dict[str, Number]) -> str:
    """Whether the worst direction grows as a power of the length."""
    whole, late = numbers["exponent.product_norm"], numbers["late_exponent.product_norm"]
    if whole.value is None or late.value is None:
        return "The worst direction has no exponent."
    start = f"The worst direction grows as {power(whole, 'length')}"
    if whole.interval is None or late.interval is None:
        return f"{start}."
    if late.interval[0] <= whole.interval[1]:
        return f"{start}, a power within the interval."
    return f"{start}, but bends upwards, and is no pure power at this width."


def _separation(numbers: dict[str, Number]) -> str:
    """What a pair keeps of its distance at c = 2, and whether less or more variance keeps more."""
    here = numbers.get("separation_kept.2")
    if here is None or here.value is None:
        return "What is kept of the inputs' separation at c = 2 was not measured."
    main = {key.split(".", 1)[1]: n for key, n in numbers.items() if key.startswith("separation_ratio.")}
    ratios = {float(c): number for c, number in main.items() if "m" not in c}
    sides = [c for c in (_nearest(ratios, 0.5), _nearest(ratios, 2.0)) if c in ratios]
    compared = "".join(f", {_COMPARED[side(ratios[c], 1.0)]} at {c:g}" for c in sides)
    return f"At 2, inputs that differ in their first step keep {percent(here)} of their separation{compared}."


_COMPARED = {"below": "less", "above": "more", "open": "as much", None: "about as much"}


def _nearest(ratios: dict[float, Number], factor: float) -> float:
    """The variance on one side of 2 that is nearest to ``factor`` · 2."""
    side = [c for c in ratios if (c - CRITICAL) * (factor - 1) > 0]
    return min(side, key=lambda c: abs(math.log(c / CRITICAL / factor)), default=math.nan)


def draw(results: Any, conclusion: Conclusion) -> dict[str, Figure]:
    """Rates against the variance; norms along the way; the worst direction; what is kept of a pair's distance."""
    return {
        "rates": _draw_rates(results.table),
        "norms": _draw_norms(results),
        "worst_direction": _draw_products(results.table),
        "separation": _draw_separation(results),
    }


def _draw_rates(table: pd.DataFrame) -> Figure:
    from lab.figures import style

    figure, axes = style.panels(3, size=(4.2, 4.2), sharey=True)
    for ax, (name, what) in zip(axes[0], RATES.items(), strict=True):
        grid = np.array(sorted(table["variance"].unique()))
        fine = np.geomspace(grid[0], grid[-1], 200)
        ax.plot(fine, _theory(name, fine, int(table["length"].max())), "--", color=style.GREY, label="infinite width")
        ax.axhline(0, color=style.GREY, linewidth=0.8)
        ax.axvline(CRITICAL, color=style.GREY, linewidth=0.8)
        for place, (width, arm) in enumerate(table.groupby("width")):
            numbers = [Number.mean(rows[name]) for _, rows in arm.groupby("variance")]
            _points(ax, grid * 1.03**place, numbers, style.QUANTITIES[place % 6], f"width {width}")
        ax.set_xscale("log")
        ax.set_xticks(grid, labels=[f"{c:g}" for c in grid], fontsize="small")
        ax.minorticks_off()
        ax.set_xlabel("c, where W has variance c/m")
        ax.set_title(what)
    axes[0, 0].set_ylabel("growth of the logarithm per step")
    style.legend_below(axes[0, 1], columns=3)
    style.headline(figure, "Growth of signals per step against the variance of the weights")
    return figure


def _theory(name: str, variances: np.ndarray, length: int) -> np.ndarray:
    """The rate at infinite width."""
    if name != "state_growth":
        return np.asarray(0.5 * np.log(variances / CRITICAL))
    from lab.measures.stability import growth_rate

    squares = np.cumsum((variances / CRITICAL) ** np.arange(length)[:, None], axis=0)  # E‖h_l‖² of unit inputs
    return growth_rate(0.5 * np.log(squares[length // 2 :]))


def _points(ax: Axes, places: np.ndarray, numbers: list[Number], color: str, label: str) -> None:
    """Means with their intervals; what has no value is left out."""
    shown = [(x, number) for x, number in zip(places, numbers, strict=True) if number.value is not None]
    means = [number.value for _, number in shown]
    ends = [number.interval or (number.value, number.value) for _, number in shown]
    bars = np.abs(np.array(ends).T - means) if shown else None
    ax.errorbar([x for x, _ in shown], means, yerr=bars, fmt="o-", color=color, capsize=3, markersize=4, label=label)


def _draw_norms(results: Any) -> Figure:
    from lab.figures import style

    figure, axes = style.panels(3, size=(4.6, 3.9))
    labels = {
        "growth_rate": (
            "backward product",
            "number of factors k",
            r"$\|B\,D_L W \cdots D_{L-k+1} W\|$ over that at k = 1",
        ),
        "forward_growth": ("forwards, first input alone", r"step $l$", r"$\|h_l\|\,/\,\|h_1\|$"),
        "state_growth": ("forwards, input at every step", r"step $l$", r"$\|h_l\|\,/\,\|h_1\|$"),
    }
    for ax, (name, (title, x, y)) in zip(axes[0], labels.items(), strict=True):
        _follow(ax, results, name)
        ax.set_title(title)
        ax.set_xlabel(x)
        ax.set_ylabel(y)
    width = results.table["width"].max()
    style.headline(figure, f"A signal over many steps, at several variances (width {width})")
    return figure


def _follow(ax: Axes, results: Any, name: str, limit: bool = False) -> None:
    """One curve over the steps for each c, relative to its start, at the largest width; named at its end."""
    from lab.figures import curves, style

    table, ends = results.table, []
    arm = table[table["width"] == table["width"].max()]
    for c, rows in arm.groupby("variance"):
        cells = [
            results.arrays(width=int(w), variance=c, seed=int(s)) for w, s in zip(rows.width, rows.seed, strict=True)
        ]
        logs = np.stack([arrays[name] - arrays[name][0] for arrays in cells])
        steps = np.arange(1, logs.shape[1] + 1)
        curves.log_band(ax, steps, logs, color=_color(c), linewidth=1.8)
        if limit:
            known = cells[0]["limit"] / cells[0]["limit"][0]
            ax.plot(cells[0]["limit_steps"], known, "--", color=style.GREY, linewidth=1.2, zorder=1.5)
        mean = np.exp(logs.mean(0))
        if limit and mean[-1] < _SHOWN:  # it leaves the picture before the last step: named where it does
            leaves = int(np.argmax(mean < _SHOWN))
            side = "left" if c > table["variance"].min() else "right"
            ax.annotate(f" c = {c:g} ", (steps[leaves], mean[leaves]), color=_color(c), ha=side)
        elif np.isfinite(mean[-1]) and mean[-1] > 0:
            ends.append((steps[-1], float(mean[-1]), f"c = {c:g}", _color(c)))
    curves.label_ends(ax, ends)


def _color(c: float) -> str:
    """Blue below 2, black at 2, red above."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    if c == CRITICAL:
        return "#000000"
    far = min(abs(math.log2(c / CRITICAL)) / 2, 1.0)
    return to_hex(colormaps["Blues" if c < CRITICAL else "Oranges"](0.5 + 0.45 * far))


def _draw_products(table: pd.DataFrame) -> Figure:
    from lab.figures import curves, style

    figure, axes = style.panels(1, size=(6.2, 4.6))
    ax = axes[0, 0]
    for place, (width, arm) in enumerate(table.groupby("width")):
        factors, norms = _products(arm)
        if not len(norms):
            continue
        color = style.QUANTITIES[place % 6]
        label = f"width {width}: as length^{_product_exponent(factors, norms)}".replace("-", "−")
        curves.log_band(ax, factors, np.log(norms), color=color, label=label, marker="o", markersize=4)
        ax.plot(factors, norms.T, color=color, alpha=0.3, linewidth=0.7)
        for slope, name in ((0.5, "√k"), (1.0, "k")) if place == 0 else ():
            guide = norms[:, 0].mean() * factors**slope
            ax.plot(factors, guide, "--", color=style.GREY, linewidth=1)
            ax.annotate(f" {name}", (factors[-1], guide[-1]), color=style.GREY, va="center")
    ax.set_xscale("log")
    ax.set_xlabel("number of factors k")
    ax.set_ylabel(r"$\|D_L W \cdots D_{L-k+1} W\|_2$ at c = 2")
    if ax.get_legend_handles_labels()[0]:
        style.legend_below(ax)
    style.headline(figure, "The worst direction through many steps (thin: single seeds)")
    return figure


def _draw_separation(results: Any) -> Figure:
    from lab.figures import style

    figure, axes = style.panels(2, size=(5.2, 4.4))
    axes[0, 0].set_xscale("log")
    axes[0, 0].set_ylim(_SHOWN / 3, 3)
    _follow(axes[0, 0], results, "separation_kept", limit=True)
    _follow(axes[0, 1], results, "distance_kept")
    axes[0, 0].set_ylabel("distance of directions over that at step 1\n(dashed: infinite width)")
    axes[0, 1].set_ylabel("distance of states over that at step 1")
    for ax in axes[0]:
        ax.set_xlabel(r"step $l$")
    width = results.table["width"].max()
    style.headline(figure, f"Do inputs that differ in their first step alone stay apart? (width {width})")
    return figure
