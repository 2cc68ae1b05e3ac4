"""How does the width that is enough grow with the samples, the length, the separation and the accuracy?

The theorem asks for m ≥ poly(n, L, 1/δ, log 1/ε) (Allen-Zhu, Li, Song 2019, Theorem 1) and hides the degrees. Here one
of n, L, δ and ε varies at a time around a base setting, and two widths are measured (`comparisons._ladders`): at which
gradient descent *trains* in nine of ten seeds, and at which it stays *lazy*. Budgets are multiples of the infinitely
wide linear learner's own hitting time, so that a degree is not that of the budget.

A seed draws network and data. With one data set for each setting its luck would be shared by all seeds and pass for a
degree, and no interval over initializations would show it. The degree in δ is measured on pairs of sequences whose
first steps are exactly δ apart and whose later steps are equal (`lab.tasks.pairs`). Ladders of *train* are climbed in
factors 2^¼ until four widths in a row are reached and four are not; those of *lazy* in factors √2 until two gaps in a
row are below the level.

Numbers
-------
train.degree.n, train.degree.length, train.degree.length.all, train.degree.separation
    Degree d in m₉₀ ∝ n^d, L^d, (1/δ)^d, where mse < ε within 10 times the linear hitting time: least squares through
    the m₉₀ of the settings, each from a logistic fit of its own, with a jackknife over seeds
    (`lab.measures.thresholds.success_slope`). "all" is the paper's loss over time steps 2…L.
train.degree.accuracy, train.degree.log_accuracy
    The same in 1/ε and in log 1/ε, the theorem's own argument.
lazy.degree.<argument>
    Degrees of the width at which the largest test gap |network − linearized| over the same kernel time, in units of
    RMS(y − f₀), falls through 0.1: isotonic in log m for each seed, then censored (Tobit) regression in logs.
train.width.<argument>.<value>, lazy.width.<argument>.<value>
    m₉₀ with the profile interval of its own logistic fit; geometric mean over seeds with a t interval.
lazy.noise_floor
    Largest disagreement of the linear model computed twice, in units of the gap.

A setting with more than 20 % censored seeds is dropped and named; a degree needs three settings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from comparisons import _ladders, _tasks
from comparisons._shape import Conclusion, Number
from comparisons._words import listed, power, side
from lab.costs import Cost, linearized_step, training_step
from lab.errors import check_choice, check_integer, check_number, check_seed, refuse

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

question = "Which degree has the polynomial in n, L, 1/δ and 1/ε that the width really needs?"
asked_by = "R1, R3"
version = 1
GRID = ("notions", "samples", "lazy_samples", "lengths", "lengths_all", "separations", "lazy_separations")
GRID += ("accuracies", "seeds", "lazy_seeds")

NOTIONS = ("train", "lazy")
ARGUMENTS = {"samples": "n", "length": "length", "separation": "separation", "accuracy": "accuracy"}
SYMBOLS = {"n": "n", "length": "L", "length.all": "L (loss over all steps)", "separation": "1/δ", "accuracy": "1/ε"}
QUOTED = 24  # the degree in n that Zou and Gu (NeurIPS 2019, abstract) quote for the feed-forward sibling
COUNTING = 0.5  # m² trained weights against n equations
MOST_CENSORED = 0.2
FEWEST = 3
FACTORS = {"train": 2**0.25, "lazy": 2**0.5}
SEARCH = {"train": {"start": 16, "streak": 4}, "lazy": {"start": 64, "streak": 2}}


@dataclass(frozen=True)
class Settings:
    """Settings of the required-width comparison.

    Parameters
    ----------
    task
        "separable" (random labels), or "digits", which varies samples and accuracy only.
    notions
        Which of "train" and "lazy".
    samples, lazy_samples
        n in each notion.
    lengths, lengths_all
        L for the readouts "last" and "all".
    separations, lazy_separations
        δ of the pairs, at most 1, in each notion.
    accuracies
        ε: mean square residual at which training counts as done; targets are ±1.
    base_samples, base_length, base_accuracy
        n (even), L and ε where they do not vary.
    features
        p.
    seeds, lazy_seeds
        How many draws of network and data in each notion.
    data_seed
        Added to the seed for the data.
    critical_fraction
        c in η = 2c/λ_max, below 1.
    budget
        Kernel time, in units of the linear learner's hitting time.
    level
        Of the test gap, in the notion "lazy".
    narrowest, widest
        Ends of the ladder in the notion "train".
    lazy_narrowest, lazy_widest
        The same in the notion "lazy".
    dtype
        Precision of weights and outputs.
    """

    task: str = "separable"
    notions: tuple[str, ...] = NOTIONS
    samples: tuple[int, ...] = (8, 16, 32, 64, 128)
    lazy_samples: tuple[int, ...] = (8, 16, 32, 64)
    lengths: tuple[int, ...] = (2, 4, 8, 16)
    lengths_all: tuple[int, ...] = (2, 4, 8)
    separations: tuple[float, ...] = (0.1, 0.2, 0.4, 0.7, 1.0)
    lazy_separations: tuple[float, ...] = (0.4, 0.55, 0.75, 1.0)
    accuracies: tuple[float, ...] = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
    base_samples: int = 8
    base_length: int = 4
    base_accuracy: float = 0.1
    features: int = 8
    seeds: int = 10
    lazy_seeds: int = 5
    data_seed: int = 0
    critical_fraction: float = 0.5
    budget: float = 10.0
    level: float = 0.1
    narrowest: int = 2
    widest: int = 512
    lazy_narrowest: int = 4
    lazy_widest: int = 1024
    dtype: str = "float32"

    def __post_init__(self) -> None:
        check_choice("task", self.task, ("separable", "digits"))
        check_choice("dtype", self.dtype, ("float32", "float64"))
        for notion in self.notions:
            check_choice("notions", notion, NOTIONS)
        self._check_lists()
        self._check_numbers()

    def _check_lists(self) -> None:
        for name in ("samples", "lazy_samples", "base_samples"):
            for count in self._values(name):
                _tasks.check_task(self.task, count)
        for name in ("lengths", "lengths_all", "base_length"):
            for length in self._values(name):
                check_integer(name, length, 2)
        for name in ("separations", "lazy_separations"):
            for separation in self._values(name):
                check_number(name, separation, above=0, below=math.nextafter(1, 2))
        for name in ("accuracies", "base_accuracy"):
            for accuracy in self._values(name):
                check_number(name, accuracy, above=0, below=1)
        for name in (entry for entry in GRID if isinstance(getattr(self, entry), tuple)):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                refuse(name, str(getattr(self, name)), "different values", "name each value once")

    def _check_numbers(self) -> None:
        if self.base_samples % 2:
            refuse("base_samples", self.base_samples, "an even number", "the separation is measured on pairs")
        for name, least in (("features", 2), ("seeds", 1), ("lazy_seeds", 1), ("narrowest", 1), ("lazy_narrowest", 1)):
            check_integer(name, getattr(self, name), least)
        check_integer("widest", self.widest, self.narrowest)
        check_integer("lazy_widest", self.lazy_widest, self.lazy_narrowest)
        check_seed("data_seed", self.data_seed)
        check_number("critical_fraction", self.critical_fraction, above=0, below=1)
        check_number("budget", self.budget, above=0)
        check_number("level", self.level, above=0)

    def _values(self, name: str) -> tuple[Any, ...]:
        value = getattr(self, name)
        return value if isinstance(value, tuple) else (value,)


PRESETS = {
    "fast": Settings(
        samples=(8, 16, 32), lazy_samples=(8, 16, 32), lengths=(2, 4, 8), lengths_all=(), separations=(0.4, 0.7, 1.0),
        lazy_separations=(), accuracies=(0.3, 0.1, 0.03), seeds=5, lazy_seeds=3, widest=128, lazy_widest=256,
    ),
    "default": Settings(),
    "full": Settings(
        samples=(8, 16, 32, 64, 128, 256), lazy_samples=(8, 16, 32, 64, 128), lengths_all=(2, 4, 8, 16),
        separations=(0.05, 0.1, 0.2, 0.4, 0.7, 1.0), lazy_separations=(0.2, 0.4, 0.7, 1.0), seeds=20, lazy_seeds=10,
        widest=1024, lazy_widest=4096,
    ),
}  # fmt: skip


def cells(settings: Settings) -> list[dict[str, Any]]:
    """One cell, a whole ladder of widths, for every notion, setting and seed."""
    grid = {*GRID, "base_samples", "base_length", "base_accuracy"}
    grid |= {"narrowest", "widest", "lazy_narrowest", "lazy_widest"}
    fixed = {name: value for name, value in asdict(settings).items() if name not in grid}
    return [
        {"notion": notion, **setting, "seed": seed, **_ladder(settings, notion), **fixed}
        for notion in settings.notions
        for setting in _settings(settings, notion)
        for seed in range(settings.seeds if notion == "train" else settings.lazy_seeds)
    ]


def _ladder(settings: Settings, notion: str) -> dict[str, int]:
    prefix = "lazy_" if notion == "lazy" else ""
    return {name: getattr(settings, prefix + name) for name in ("narrowest", "widest")}


def _settings(settings: Settings, notion: str) -> list[dict[str, Any]]:
    """Everything that varies, one argument at a time; digits have one length, and no pairs."""
    base = {"readout": "last", "samples": settings.base_samples, "length": settings.base_length}
    base |= {"separation": None, "accuracy": settings.base_accuracy}
    lazy, digits = notion == "lazy", settings.task == "digits"
    if digits:
        base["length"] = _tasks.SIZES["digits"].length
    arms = [("samples", n, {}) for n in (settings.lazy_samples if lazy else settings.samples)]
    if not digits:
        arms += [("length", length, {}) for length in settings.lengths]
        arms += [("length", length, {"readout": "all"}) for length in settings.lengths_all]
        arms += [("separation", d, {}) for d in (settings.lazy_separations if lazy else settings.separations)]
    arms += [("accuracy", accuracy, {}) for accuracy in settings.accuracies]
    return [{"arm": arm, **base, arm: value, **more} for arm, value, more in arms]


def cost(cell: dict[str, Any]) -> Cost:
    """Flops of a ladder and bytes of its widest network, with rough hitting times: ½n/δ·log₁₀(1/ε) steps."""
    n, length, widest = cell["samples"], cell["length"], cell["widest"]
    separation = cell["separation"] or 1.0
    hitting = 0.5 * n / separation * max(-math.log10(cell["accuracy"]), 0.5)
    hitting *= length**2 if cell["readout"] == "all" else 1
    lazy, sizes = cell["notion"] == "lazy", (n, length, widest)
    step = training_step(*sizes) + linearized_step(*sizes) if lazy else training_step(*sizes)
    step = step.holding(4 * (4 * widest**2 + 4 * n * length * widest))
    return _ladders.cost(cell["notion"], cell["budget"] * hitting, step)


def measure(cell: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Climb one ladder."""
    from lab.measures.thresholds import geometric_grid

    task = _task(cell)
    grid = geometric_grid(cell["narrowest"], cell["widest"], FACTORS[cell["notion"]])
    told = {name: cell[name] for name in ("notion", "arm", "readout", "samples", "length", "separation", "accuracy")}
    told |= {name: cell[name] for name in ("seed", "narrowest", "widest")}
    shared = {name: cell[name] for name in ("budget", "accuracy", "critical_fraction", "seed", "dtype")}
    if cell["notion"] == "train":
        return told | _ladders.train_ladder(task, grid, **SEARCH["train"], **shared), {}
    row, arrays = _ladders.lazy_ladder(task, grid, level=cell["level"], **SEARCH["lazy"], **shared)
    return told | row, arrays


def _task(cell: Mapping[str, Any]) -> Any:
    """The data of a cell: as many test samples as training samples, drawn by data seed and seed."""
    from lab import tasks

    n, seed = cell["samples"], cell["data_seed"] + cell["seed"]
    shape = {"length": cell["length"], "features": cell["features"], "seed": seed}
    if cell["task"] == "digits":
        return tasks.digits(train=n, test=n, seed=seed)
    if cell["separation"] is not None:
        return tasks.pairs(n, cell["separation"], test=n, **shape)
    task = tasks.separable(n, n, separation=0.3, **shape)
    return task.at_every_step() if cell["readout"] == "all" else task


def conclude(table: pd.DataFrame) -> Conclusion:
    """Degrees and widths of every arm, and a verdict."""
    numbers: dict[str, Number] = {}
    for (notion, name), arm in _arms(table).items():
        widths = _widths(notion, name, arm)
        numbers |= widths | _degrees(notion, name, arm)
    if "noise_floor" in table and table["noise_floor"].notna().any():
        numbers["lazy.noise_floor"] = Number(float(table["noise_floor"].max()), None, int(table["seed"].nunique()))
    return Conclusion(numbers, verdict(numbers, table))


def _arms(table: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """Rows of each notion and argument; the length has one arm for each readout."""
    arms = {}
    for (notion, argument, readout), rows in table.groupby(["notion", "arm", "readout"], sort=False):
        arms[notion, ARGUMENTS[argument] + (".all" if readout == "all" else "")] = rows
    return arms


def _x(name: str, rows: pd.DataFrame) -> pd.Series:
    """What the width is a power of: n, L, 1/δ or 1/ε."""
    values = rows[_column(name)].astype(float)
    return 1 / values if name in ("separation", "accuracy") else values


def _column(name: str) -> str:
    return "samples" if name == "n" else name.split(".")[0]


def _kept(notion: str, name: str, arm: pd.DataFrame) -> tuple[pd.DataFrame, str | None]:
    """The settings with at most 20 % censored seeds, and which were dropped."""
    share = arm.apply(lambda row: _ladders.is_censored(notion, row), axis=1).groupby(_x(name, arm)).mean()
    dropped = share.index[share > MOST_CENSORED]
    named = ", ".join(f"{SYMBOLS[name]} = {value:.4g} ({share[value]:.0%})" for value in dropped)
    reason = f"dropped, more than 20 % of the seeds censored: {named}" if named else None
    return arm[~_x(name, arm).isin(dropped)], reason


def _degrees(notion: str, name: str, arm: pd.DataFrame) -> dict[str, Number]:
    """The degree in the argument; for the accuracy also in its logarithm."""
    kept, reason = _kept(notion, name, arm)
    x = _x(name, kept)
    found = {f"{notion}.degree.{name}": _degree(notion, x, kept, reason)}
    if name == "accuracy":
        import numpy as np

        found[f"{notion}.degree.log_accuracy"] = _degree(notion, np.log(x), kept, reason)
    return found


def _degree(notion: str, x: pd.Series, kept: pd.DataFrame, reason: str | None) -> Number:
    import numpy as np

    from lab.measures.thresholds import Threshold, censored_slope, success_slope

    seeds = int(kept["seed"].nunique())
    if x.nunique() < FEWEST:
        return Number.none("; ".join(filter(None, (f"fewer than {FEWEST} settings are left", reason))), seeds)
    if notion == "lazy":
        sides = [side if isinstance(side, str) else None for side in kept["censored"]]
        found = censored_slope(x, [Threshold(width, side) for width, side in zip(kept["width"], sides, strict=True)])
    else:
        runs = _ladders.runs(kept.assign(z=np.log(x)))
        found = success_slope(runs["z"], runs["width"], runs["won"], runs["seed"])
    details = {"settings": [round(value, 6) for value in sorted(x.unique())]}
    return Number(found.value, found.interval, seeds, found.reason or reason, details)


def _widths(notion: str, name: str, arm: pd.DataFrame) -> dict[str, Number]:
    """The width of every setting: m₉₀, or the geometric mean over seeds."""
    return {
        f"{notion}.width.{name}.{value:g}": _ladders.width(notion, rows) for value, rows in arm.groupby(_column(name))
    }


def verdict(numbers: Mapping[str, Number], table: pd.DataFrame) -> str:
    """Degrees of the last-step loss in words, and what they say of the theory."""
    sentences = []
    for notion, what in (("train", "To train in 9 of 10 seeds"), ("lazy", "To stay lazy")):
        if (table["notion"] == notion).any():
            sentences.append(f"{what}, the width grows as {_powers(notion, numbers)}.")
    degree = numbers.get("train.degree.n")
    if degree is not None and degree.value is not None:
        sentences.append(_loose(degree))
    return " ".join(sentences)


def _powers(notion: str, numbers: Mapping[str, Number]) -> str:
    grows, flat, none = [], [], []
    for name, word in SYMBOLS.items():
        degree = numbers.get(f"{notion}.degree.{name}")
        if degree is None or name.endswith(".all"):
            continue
        if degree.value is None:
            none.append(f"no degree in {word} ({degree.reason})")
        elif side(degree, 0.0) == "open":
            flat.append(word)
        else:
            grows.append(power(degree, f"({word})" if "/" in word else word))
    without = [f"no dependence on {listed(flat)} is visible"] if flat else []
    return "; ".join([*([listed(grows)] if grows else []), *without, *none])


def _loose(degree: Number) -> str:
    """The measured degree in n beside the quoted one and the count of weights."""
    where = {"open": "compatible with", "above": "above", "below": "below", None: "not to be judged with few seeds by"}
    judged = where[side(degree, COUNTING)]
    quoted = f"Where n^{QUOTED} is quoted for the theorem's feed-forward sibling, the degree in n is here {judged}"
    return f"{quoted} the ½ of counting weights, m² ≥ n."


def draw(results: Any, conclusion: Conclusion) -> dict[str, Figure]:
    """The widths against each argument, and the ladders behind them for n."""
    return {"widths": _draw_widths(results.table, conclusion), "ladders": _draw_ladders(results)}


def _draw_widths(table: pd.DataFrame, conclusion: Conclusion) -> Figure:
    from lab.figures import style

    labels = {"n": "training samples n", "length": "length L", "separation": "1/δ of pairs", "accuracy": "1/ε"}
    arms = _arms(table)
    shown = [name for name in labels if any(name == arm.split(".")[0] for _, arm in arms)]
    figure, axes = style.panels(len(shown), size=(3.9, 4.9), sharey=True)
    for ax, name in zip(axes[0], shown, strict=True):
        for place, ((notion, arm), rows) in enumerate(
            each for each in arms.items() if each[0][1].split(".")[0] == name
        ):
            _draw_arm(ax, notion, arm, rows, conclusion.numbers, 1.02 ** (2 * place - 1))
        here = [_x(arm, rows) for (_, arm), rows in arms.items() if arm.split(".")[0] == name]
        ticks = sorted({round(float(x), 4) for values in here for x in values})
        ticks = [x for place, x in enumerate(ticks) if place == 0 or x / ticks[place - 1] > 1.3]
        ax.set_xticks(ticks, labels=[f"{x:.4g}" if x < 100 else f"{x:.0f}" for x in ticks])
        if name == "n":
            _draw_counting(ax)
        ax.set_xlabel(labels[name])
        style.legend_below(ax)
    axes[0, 0].set_ylabel("width m that is enough")
    style.headline(figure, "Which width is enough to train, and which to stay lazy?")
    return figure


def _draw_arm(ax: Any, notion: str, name: str, rows: pd.DataFrame, numbers: Mapping[str, Number], shift: float) -> None:
    """The widths of one arm with their intervals, and the line of its degree; what is censored has no point."""
    import numpy as np

    from lab.figures import curves

    settings = rows.assign(x=_x(name, rows)).drop_duplicates("x").sort_values("x")
    found = {row["x"]: numbers[f"{notion}.width.{name}.{row[_column(name)]:g}"] for _, row in settings.iterrows()}
    known = {x: number for x, number in found.items() if number.value is not None}
    ends = [number.interval or (np.nan, np.nan) for number in known.values()]
    degree = numbers[f"{notion}.degree.{name}"]
    what = {"train": "trains (9 of 10 seeds)", "lazy": "stays lazy (gap < level)"}[notion]
    what += ", loss over all steps" if name.endswith("all") else ""
    label = f"{what}\n{'no degree' if degree.value is None else f'degree {degree}'}".replace("-", "−")
    color = {"train": "#0072B2", "lazy": "#D55E00"}[notion]
    shape = {"color": color, "label": label, "filled": not name.endswith("all"), "slope": degree.value, "shift": shift}
    values = np.array([number.value for number in known.values()], dtype=float)
    curves.estimates(ax, np.array(list(known)), values, np.array(ends, dtype=float).reshape(-1, 2), **shape)


def _draw_counting(ax: Any) -> None:
    """As many weights as equations: below m = √n nothing can interpolate for every label."""
    import numpy as np

    from lab.figures import style

    grid = np.array(ax.get_xlim())
    ax.plot(grid, np.sqrt(grid), color=style.GREY, linestyle="--", linewidth=1.2, label="counting weights, m² = n")
    ax.set_xlim(*grid)


def _draw_ladders(results: Any) -> Figure:
    """For every n: the share of seeds that trained, and the largest gap of every seed, against the width."""
    from lab.figures import style

    table = results.table[results.table["arm"] == "samples"]
    notions = [notion for notion in NOTIONS if (table["notion"] == notion).any()]
    figure, axes = style.panels(max(len(notions), 1), size=(5.2, 4.6))
    for ax, notion in zip(axes[0], notions, strict=False):
        for (n, rows), color in zip(table[table["notion"] == notion].groupby("samples"), _shades(), strict=False):
            draw_one = _draw_success if notion == "train" else _draw_gaps
            draw_one(ax, results, n, rows, color)
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.set_xlabel("width m (hidden units)")
        style.legend_below(ax, columns=5)
    style.headline(figure, "The ladders behind the widths, for n training samples")
    return figure


def _shades() -> list[Any]:
    """Dark to light for growing n."""
    import matplotlib as mpl

    return [mpl.colormaps["viridis"](share) for share in (0.0, 0.2, 0.4, 0.6, 0.78, 0.92)]


def _draw_success(ax: Any, results: Any, n: int, rows: pd.DataFrame, color: Any) -> None:
    won = _ladders.runs(rows.assign(z=0.0)).groupby("width")["won"].mean()
    ax.plot(won.index, won, "o-", color=color, markersize=4, linewidth=1.6, label=f"n = {n}")
    ax.set_ylabel("share of tried seeds that reached mse < ε")
    ax.set_title("trains")
    ax.axhline(0.9, color="#6b6b6b", linestyle="--", linewidth=1)


def _draw_gaps(ax: Any, results: Any, n: int, rows: pd.DataFrame, color: Any) -> None:
    from lab.figures import curves

    for place, seed in enumerate(rows["seed"]):
        arrays = results.arrays(notion="lazy", arm="samples", samples=int(n), seed=int(seed))
        label = f"n = {n}" if place == 0 else None
        ax.plot(arrays["widths"], arrays["gaps"], color=color, linewidth=1.2, alpha=0.8, label=label)
    curves.log_ticks(ax)
    ax.set_ylabel("largest test gap (units of RMS(y − f₀))")
    ax.set_title("stays lazy: each line is a seed, the level is dashed")
    ax.axhline(results.cells[0]["level"], color="#6b6b6b", linestyle="--", linewidth=1)
