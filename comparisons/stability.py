"""At which weight variance do signals neither explode nor vanish, and do inputs stay distinguishable?

The recurrent matrix has variance σ_w²/m, and only it: W = σ_w/√2·W₀ with the same draws W₀ for every σ_w², while A has
the paper's 2/m. Nothing is trained. Inputs are pairs of sequences of unit steps that differ in their first step alone.
At infinite width a signal grows by ½ log(σ_w²/2) per step both ways, and with new inputs E‖h_l‖² = Σ_{k<l} (σ_w²/2)^k,
which levels off for σ_w² < 2 although the past is lost. The distance within a pair shows what is kept of the first
step. The norm of the worst direction at σ_w² = 2 should be polynomial in the length for L well below √m.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
from annotated_types import Ge, Interval

import lab
from comparisons import kit
from lab.costs import ELEMENTWISE, recurrent_pass
from lab.errors import refuse

question = "At which weight variance do signals neither explode nor vanish, and do inputs stay distinguishable?"
asked_by = "R1"
version = 2

_GROWTH = {
    "growth_rate": "backwards: log ‖B D_L W … D_{L−k+1} W‖ against k (Allen-Zhu, Li, Song 2019, section 4)",
    "forward_growth": "forwards: log ‖h_l‖ against l, where all inputs after the first step are zero",
    "state_growth": "with new inputs: log ‖h_l‖ over the second half of the steps; 0 does not imply memory",
}
RATES = kit.family(template="Growth in nats per step at weight variance σ_w²/m, {}.", meanings=_GROWTH)
_PASS = {"growth_rate": "critical_variance", "forward_growth": "critical_variance_forward"}
_WHERE = "σ_w² at which {} passes 0, per seed. Theory: 2."
CROSSINGS = {rate: kit.Quantity(name, meaning=_WHERE.format(rate)) for rate, name in _PASS.items()}
WORST = "Slope of log ‖D_L W … D_{L−k+1} W‖₂, the worst direction, on log k at σ_w² = 2"
PRODUCT = kit.Quantity("exponent", "product_norm", meaning=f"{WORST}. The theory bounds it by a polynomial.")
LATE = kit.Quantity("late_exponent", "product_norm", meaning=f"{WORST}, from about L/2 to L − 1 factors.")
_KEPT = "{} of a pair at the last step over that at the first, geometric mean over pairs and seeds."
_APART = {"separation_kept": "‖h_l/‖h_l‖ − h'_l/‖h'_l‖‖", "distance_kept": "‖h_l − h'_l‖"}
SHARES = kit.family(template=_KEPT, meanings=_APART)
RATIO = kit.Quantity("separation_ratio", meaning="separation_kept over its value at σ_w² = 2, paired by seed.")
LIMIT = kit.Quantity("separation_limit", meaning="separation_kept at infinite width, on average over the data.")
CRITICAL, SHOWN = 2.0, 3e-3  # the theory's σ_w², which is the paper's; smaller shares are outside the picture
PANELS = {
    "growth_rate": ("backward product", r"$\|B\,D_L W \cdots D_{L-k+1} W\|$ over that at k = 1"),
    "forward_growth": ("forwards, first input alone", r"$\|h_l\|\,/\,\|h_1\|$"),
    "state_growth": ("forwards, input at every step", r"$\|h_l\|\,/\,\|h_1\|$"),
    "separation_kept": ("directions (dashed: infinite width)", "distance over that at step 1"),
    "distance_kept": ("states", "distance over that at step 1"),
}
HEADLINES = ("critical_variance", "critical_variance_forward", "separation_kept.2", "separation_ratio.[14]")
CAPTIONS = {
    "rates": f"Growth of a signal per time step, against the variance of W; at 0 it keeps its size. {kit.marks.BARS}",
    "norms": f"Size of a signal over time: below the critical variance it vanishes, above explodes. {kit.marks.BANDS}",
    "worst_direction": f"Norm of the product of k steps; a line here is a polynomial in k. {kit.marks.LAWS}",
    "separation": f"Distance of a pair over time: the higher, the better the first step is kept. {kit.marks.BANDS}",
}
VARIANCES = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 8.0)


@dataclass(frozen=True)
class Settings(kit.seeds.SeedSettings):
    """Settings of the stability comparison. Everything runs in float64: nothing is trained."""

    variances: Annotated[kit.Choices[kit.Positive], kit.doc("Factors σ_w² of the variance σ_w²/m of W.")] = VARIANCES
    widths: Annotated[kit.Choices[kit.Count], kit.doc("Widths m.")] = (128, 1024)
    seeds: kit.Seeds = 10
    samples: Annotated[int, Ge(2), kit.doc("Number of sequences, which come in pairs.")] = 8
    separation: Annotated[float, Interval(gt=0, le=2), kit.doc("δ, the distance of a pair's first steps.")] = 0.3
    length: Annotated[int, Ge(3), kit.doc("Time steps L of a sequence.")] = 100
    features: Annotated[int, Ge(2), kit.doc("Features p of a time step.")] = 8

    def check(self) -> None:
        """Refuse an odd number of sequences, and seeds that do not go with the widths."""
        super().check()
        if self.samples % 2:
            refuse("samples", self.samples, "an even number", "add one: sequences come in pairs")


PRESETS = {
    "fast": Settings(variances=(1.0, 2.0, 4.0), widths=(64, 256), seeds=4),
    "default": Settings(seeds=(20, 10)),
    "full": Settings(variances=(0.5, 1.0, 1.5, 1.8, 2.0, 2.2, 2.5, 3.0, 4.0, 8.0), widths=(128, 512, 2048), seeds=20),
}


@dataclass(frozen=True, kw_only=True)
class Cell(kit.seeds.Drawn, kit.Cell):
    """One network of one width, variance and seed, on all sequences."""

    width: int
    variance: float
    seed: int
    samples: int
    separation: float
    length: int
    features: int
    data_seed: int
    data_seeds: str


def product_columns(length: int) -> dict[int, str]:
    """Columns with the spectral norms of products at σ_w² = 2, by the number of factors, for sequences of L steps."""
    return {int(k): f"product_norm_{k:g}" for k in np.unique(np.geomspace(1, length - 1, 9).round())}


def cells(settings: Settings) -> list[Cell]:
    """One cell for every width, variance and seed."""
    return kit.grid(Cell, settings, settings.seeds, width=settings.widths, variance=settings.variances)


def cost(cell: Cell) -> kit.Cost:
    """Two passes forwards, one backwards and one for the differences, and their limit; at σ_w² = 2 also the norms."""
    states = cell.samples * cell.length * cell.width
    products = sum(product_columns(cell.length)) if cell.variance == CRITICAL else 0
    flops = ELEMENTWISE * states + 25 * 4.0 * cell.width**2 * products  # a spectral norm takes about 25 products MᵀMv
    rest = kit.Cost(flops, 8.0 * (3 * cell.width**2 + 6 * states), operations=400 * cell.length)
    return 4 * recurrent_pass(cell.samples, cell.length, cell.width, cell.features) + rest


def measure(cell: Cell) -> kit.Measured:
    """Follow signals through one network, and through infinitely wide ones."""
    stability, columns = lab.measures.stability, product_columns(cell.length)
    task = lab.tasks.pairs(cell.samples, cell.separation, cell.length, cell.features, seed=cell.draw)
    network = stability.network_of_variance(cell.width, cell.features, cell.variance, cell.network_seed)
    signals = stability.follow_signals(network, task.train_inputs)
    steps = np.array([1, *list(columns)[1:], cell.length])
    limit = stability.limit_direction_distances(network, task.train_inputs, steps.tolist())
    arrays = {name: logs.mean(1) for name, logs in zip(PANELS, signals, strict=True)}
    names = (*RATES, *(f"log_{name}" for name in SHARES))
    values = dict(zip(names, (float(each.mean()) for each in (*signals.rates(), *signals.kept())), strict=True))
    lost = ", ".join(name for name, value in values.items() if not math.isfinite(value))
    row = {
        **kit.pick(cell, "width", "variance", "seed", "length"),
        **{name: kit.finite(value) for name, value in values.items()},
        "separation_limit": kit.finite(float(limit[-1] / limit[0])),
        "diverged": not np.isfinite(signals.states).all(),
        "reasons": f"{lost}: a norm is zero or not finite" if lost else "",
    }
    if cell.variance == CRITICAL:
        arrays["product"] = stability.product_norms(network.unroll(task.train_inputs), list(columns))
        row |= {name: float(norm) for name, norm in zip(columns.values(), arrays["product"], strict=True)}
    return row, arrays | {"limit": limit, "limit_steps": steps}


def conclude(table: kit.Table) -> kit.Conclusion:
    """Rates, crossings, the product's exponent and what is kept, at the largest width and then at the others."""
    numbers, lost = kit.Numbers(), kit.Number.none("lost in rounding")
    for arm in _by_width(table):
        rows, name = _derived(arm.rows), arm.name
        for column, key in CROSSINGS.items():
            numbers[key(arm=name)] = kit.crossing(rows, f"{column}_decay", 1.0, "variance")
        numbers |= {PRODUCT(arm=name): _product_law(rows).exponent, LATE(arm=name): _product_law(rows, 2).exponent}
        numbers |= kit.at_each(rows, "variance", RATES, name)
        numbers |= kit.at_each(rows, "variance", SHARES, name, kit.Number.geometric)
        others = rows[rows["variance"] != CRITICAL]
        numbers |= kit.at_each(others, "variance", {"separation_ratio": RATIO}, name, kit.Number.geometric)
        limits = kit.at_each(rows, "variance", {"separation_limit": LIMIT}, name, kit.Number.geometric)
        numbers |= {key: lost if number.value is None else number for key, number in limits.items()}
    return kit.Conclusion(numbers, verdict(numbers, int(table["width"].max()), int(table["length"].max())))


def _by_width(table: kit.Table) -> list[kit.Arm]:
    """One arm for each width, the largest first."""
    return kit.split(table.sort_values("width", ascending=False, kind="stable"), "width", suffix="m{}".format)


def _derived(rows: kit.Table) -> kit.Table:
    """Rows of one width with the shares, their ratio to the same seed's at σ_w² = 2, and e^(−rate) for each rate."""
    logs = {name: rows[f"log_{name}"].astype(float) for name in SHARES}
    at_two = rows[rows["variance"] == CRITICAL].set_index("seed")["log_separation_kept"]
    logs["separation_ratio"] = logs["separation_kept"] - rows["seed"].map(at_two)
    logs |= {f"{name}_decay": -rows[name].astype(float) for name in CROSSINGS}
    return rows.assign(**{name: np.exp(values) for name, values in logs.items()})


def _product_law(rows: kit.Table, last: int = 0) -> kit.PowerLaw:
    """The power law of the product's norm in the number of factors at σ_w² = 2, over all or the last few of them."""
    columns = product_columns(int(rows["length"].iloc[0]))
    norms = rows[rows["variance"] == CRITICAL].reindex(columns=list(columns.values())).dropna(axis=1, how="all")
    factors = [k for k, column in columns.items() if column in norms]
    return kit.fit_seeds(factors[-last:], norms.iloc[:, -last:], "factors")


def verdict(numbers: kit.Numbers, width: int, length: int) -> str:
    """Compare the critical variances at the largest width with 2/m; report separation and worst direction there."""
    backward, forward = (numbers[key()] for key in CROSSINGS.values())
    places = {"below": "below", "above": "above", "around": "compatible with", "unknown": "not compared with"}
    beside = kit.compare(backward, CRITICAL, **places)
    kept = numbers.get(SHARES["separation_kept"](CRITICAL), kit.Number.none("not measured"))
    ratios = {at: numbers.get(RATIO(at), kit.Number.none("not measured")) for at in (CRITICAL / 2, CRITICAL * 2)}
    known = {at: kit.format_number(ratio) for at, ratio in ratios.items() if ratio.value is not None}
    others = "".join(f", {ratio} times as much at σ_w² = {at:g}" for at, ratio in known.items())
    whole, late = numbers[PRODUCT()], numbers[LATE()]
    law = f"has no exponent ({whole.reason})" if whole.value is None else f"grows as {kit.power(whole, 'length')}"
    bends = bool(whole.interval and late.interval and late.interval[0] > whole.interval[1])
    return kit.sentences(
        f"At width {width} over {length} time steps the gradient norm stays constant if W has variance σ_w²/m with",
        f"σ_w² = {kit.format_number(backward)}, {beside} the theory's 2, and the norm of forward signals at",
        f"σ_w² = {kit.format_number(forward)}.",
        f"The share of the first step's separation that is kept is {kit.percent(kept)} at σ_w² = 2{others}.",
        f"The norm of the worst direction {law}{', and faster over the last factors' * bends}.",
    )


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    """Rates against the variance; norms along the way; the worst direction; what is kept of a pair's distance."""
    arms, panels = _by_width(results.table)[::-1], kit.figures.panels
    cells = kit.split(arms[-1].rows.sort_values("variance", kind="stable"), "variance")
    arrays = {arm.value: kit.records.arrays_of(results, arm.rows, "width", "variance", "seed") for arm in cells}
    rates, finding = partial(_draw_rates, conclusion.numbers, arms), partial(kit.finding, conclusion.verdict)
    signals, ends = partial(_draw_signals, arrays=arrays), dict.fromkeys((min(arrays), max(arrays)))
    grown = [f"{kit.format_number(conclusion.numbers[RATES['growth_rate'](at)])} nats at σ_w² = {at:g}" for at in ends]
    return {
        "rates": panels(RATES, rates, title=finding("stays constant", otherwise=question), sharey=True),
        "norms": panels(RATES, signals, title=kit.fill("Per time step a backward signal grows by {}", grown)),
        "worst_direction": panels([arms], _draw_products, title=finding("worst direction", otherwise=question)),
        "separation": panels(SHARES, signals, title=finding("first step's separation", otherwise=question)),
    }


def _draw_rates(numbers: Mapping[kit.Key, kit.Number], arms: Sequence[kit.Arm], ax: kit.Axes, name: str) -> None:
    style, key = lab.figures.style, RATES[name]
    variances = sorted({variance for arm in arms for variance in arm.rows["variance"]})
    fine = np.geomspace(variances[0], variances[-1], 200)
    theory = lab.measures.stability.limit_rates(fine, int(arms[0].rows["length"].max()))
    ax.plot(fine, theory[list(RATES).index(name)], "--", color=style.GREY, label="infinite width")
    ax.axhline(0, color=style.GREY, linewidth=0.8)
    ax.axvline(CRITICAL, color=style.GREY, linewidth=0.8)
    for place, arm in enumerate(arms):
        found = [numbers.get(key(at, arm=arm.name), kit.Number.none("not measured")) for at in variances]
        color, places = style.QUANTITIES[place % 6], [1.03**place * at for at in variances]
        kit.figures.points(ax, places, found, color, f"width {arm.label}")
    lab.figures.curves.ticks_at(ax, variances)
    ax.set(title=PANELS[name][0], xlabel=r"$\sigma_w^2=m\cdot$variance of W", ylabel="growth in nats per time step")


def _draw_signals(ax: kit.Axes, name: str, arrays: Mapping[float, list[kit.Arrays]]) -> None:
    """One curve over the time steps for each variance, in units of its start."""
    style, curves, paired = lab.figures.style, [], name == "separation_kept"
    for variance, cells in arrays.items():
        shares = np.exp([each[name] - each[name][0] for each in cells])
        curve = kit.curve(np.arange(1, shares.shape[1] + 1), shares, log=True)
        curves.append((rf"$\sigma_w^2={variance:g}$", curve, style.diverging(math.log2(variance / CRITICAL) / 2)))
        if paired:
            limit = kit.curve(cells[0]["limit_steps"], [each["limit"] / each["limit"][0] for each in cells], log=True)
            ax.plot(limit.x, limit.middle, "--", color=style.GREY, linewidth=1.2, zorder=1.5)
            lab.figures.curves.log_axes(ax).set_ylim(SHOWN / 3, 3)
    kit.figures.named_curves(ax, curves, SHOWN if paired else 0.0)
    ax.set(title=PANELS[name][0], xlabel="time steps", ylabel=PANELS[name][1])


def _draw_products(ax: kit.Axes, arms: Sequence[kit.Arm]) -> None:
    for arm, color, marker in zip(arms, lab.figures.style.QUANTITIES, lab.figures.style.MARKERS, strict=False):
        kit.figures.power_law(ax, _product_law(arm.rows), color, f"width {arm.label}", marker=marker)
    ax.set(xlabel="number of factors k", ylabel=r"$\|D_L W \cdots D_{L-k+1} W\|_2$ at $\sigma_w^2=2$")
