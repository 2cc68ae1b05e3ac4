"""Is the linear theory sufficient to explain how well networks do on real series?

Every learner answers the same question on the same data: series are standardised by the training samples (see
`lab.tasks.from_file`), targets are ±1 (a column for each of more than two classes), the loss is squared, the class is
the sign or the argmax. A seed is a resample of the whole set into n samples for training and up to ``test`` others,
shared by all learners, and the network's initialization. A quarter of the n samples is for validation; every learner
chooses among 8 candidates, by fewest validation mistakes and then by the smaller mean square, and is tested as chosen,
without another fit. No learner has more choice than another:

network
    The Elman network of Allen-Zhu, Li, Song 2019, centred; W, A and B trained by heavy ball with momentum β, c = 0.25,
    η = 2c(1 + β)/λ_max(K₀). 8 stopping times, in kernel time τ = c·steps·(1 + β)/(1 − β), a factor 32 from end to end.
network_large_step
    The same at c = 2, beyond the edge of the linear model, at the same kernel times.
network_small_scale
    Outputs times α ∈ {0.3, 0.1}, at 4 stopping times each: small α leaves the lazy regime (Chizat, Oyallon, Bach 2019).
linearized, kernel
    The Taylor model of that very network, and the infinitely wide one (closed-form tangent kernel of W, A and B), both
    under the same descent with the same stopping times.
kernel_ridge, features, ridge
    Ridge regression with 8 penalties λ_max·10⁰…10⁻⁷: on the infinite-width tangent kernel, on the network's initial
    last states (B alone trained), on the inputs themselves.
neighbours
    1, 3, …, 15 of them. This and ``ridge`` show the level of a set.

Series longer than ``longest`` are averaged over neighbouring steps, for all learners alike: work grows with the length,
and the states of a ReLU network of this kind fall together where L is not small beside √m.

Numbers
-------
error.<learner>.<set>
    Share of test mistakes at the largest n of the set.
difference.<learner>.<set>
    Paired by seed: error of the learner − error of ``kernel``; below 0 the learner does better than the theory's. The
    verdict judges by ``joint_interval``, which is wide enough for all its networks and sets at once (Bonferroni).
gain.<network>.<set>
    Paired by seed: error of ``linearized`` − error of the network; above 0 what lies beyond the linearization helps.
learning_exponent.<learner>
    Slope of log(error) on log(n) on the first set, per seed; only where every n has 5 mistakes or more on average and
    no seed has none. Vyas et al. 2022 compare networks and kernels by it.
samples.<set>
    That largest n.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from comparisons import _exponents, _tasks
from comparisons._shape import Conclusion, Number
from comparisons._words import listed, percent, power
from lab.costs import Cost, eigenvectors, tangent_kernel, training_step
from lab.data import archive
from lab.errors import check_integer, check_number, refuse

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

question = "Is the linear theory sufficient to explain how well networks do on real series?"
asked_by = "R3"
version = 1
GRID = ("sets", "samples", "others", "seeds")

LEARNERS = {
    "network": "network, c = 0.25",
    "network_large_step": "network, c = 2",
    "network_small_scale": "network, small α",
    "linearized": "its linearization",
    "kernel": "infinite width, stopped",
    "kernel_ridge": "infinite width, ridge",
    "features": "random features (B alone)",
    "ridge": "linear ridge",
    "neighbours": "nearest neighbours",
}
NETWORKS = ("network", "network_large_step", "network_small_scale")
DIGITS = 1797  # how many there are, known before they are loaded
COUNTABLE = 5  # mistakes, on average over seeds


@dataclass(frozen=True)
class Settings:
    """Settings of the comparison with practice.

    Parameters
    ----------
    sets
        "digits" (ten classes), sets of the UCR/UEA archives that aeon ships (left out and named where the extra
        ``[data]`` is not installed), or files of your own with classes (see `lab.data.files.read`). The first one has
        the learning curve.
    samples
        Numbers n of training samples, validation included, for the first set.
    others
        n for the other sets; half of a set where there are fewer.
    test
        Test samples at most.
    longest
        Time steps at most; longer series are averaged over neighbouring steps.
    width
        Hidden units m.
    kernel_time
        Last stopping time τ = c·steps·(1 + β)/(1 − β) of all learners that descend.
    momentum
        β of all learners that descend.
    seeds
        How many resamples.
    """

    sets: tuple[str, ...] = ("digits", "ItalyPowerDemand", "GunPoint", "JapaneseVowels")
    samples: tuple[int, ...] = (24, 48, 96, 192)
    others: int = 48
    test: int = 300
    longest: int = 50
    width: int = 256
    kernel_time: float = 1000.0
    momentum: float = 0.9
    seeds: int = 5

    def __post_init__(self) -> None:
        for name, least in (("others", 20), ("test", 20), ("longest", 2), ("width", 1), ("seeds", 1)):
            check_integer(name, getattr(self, name), least)
        for count in self.samples:
            check_integer("samples", count, 20)
        check_number("kernel_time", self.kernel_time, above=0)
        check_number("momentum", self.momentum, above=0, below=1, closed=True)
        for name in ("sets", "samples"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                refuse(name, str(values), "one or more different values", "name each value once")
        for name in self.sets:
            if name in ("separable", "templates"):
                refuse("sets", repr(name), "real series", 'name "digits", a set of the archives, or a file')
            _tasks.check_task(name, None)


PRESETS = {
    "fast": Settings(sets=("digits",), samples=(48, 96), width=128, seeds=3),
    "default": Settings(),
    "full": Settings(
        sets=("digits", *archive.BUNDLED),
        samples=(24, 48, 96, 192, 384, 768),
        others=96,
        test=1000,
        width=1024,
        kernel_time=10_000.0,
        seeds=10,
    ),
}


def cells(settings: Settings) -> list[dict[str, Any]]:
    """One cell for every set, n, learner and seed; one without work for a set whose reader is not installed."""
    fixed = {name: value for name, value in asdict(settings).items() if name not in GRID}
    found: list[dict[str, Any]] = []
    for place, name in enumerate(settings.sets):
        if name in archive.BUNDLED and not archive.is_installed():
            found.append({"set": name, "skipped": f"{name} needs {archive.INSTALL}"})
            continue
        most = _most(name)
        sizes = [n for n in settings.samples if n <= most] if place == 0 else [settings.others]
        found += [
            {"task": name, "samples": min(n, most), "learner": learner, "seed": seed, **fixed}
            for n in sizes or [most]
            for learner in LEARNERS
            for seed in range(settings.seeds)
        ]
    return found


def _most(name: str) -> int:
    """The largest n: half of the set, both of its own splits together."""
    if name == "digits":
        return DIGITS // 2
    if name in archive.BUNDLED:
        return (archive.BUNDLED[name].train + archive.BUNDLED[name].test) // 2
    return len(_series({"task": name}).series) // 2


def _series(cell: dict[str, Any]) -> Any:
    """The labelled series of a cell."""
    if cell["task"] == "digits":
        from lab.data import digits

        return digits.load()
    data = _tasks.load(cell)
    if data.classes is None:
        refuse("sets", f"{data.name}, whose targets are numbers", "sets with classes", "give labels instead of targets")
    return data


def cost(cell: dict[str, Any]) -> Cost:
    """Flops of the descents and of the kernels; bytes of weights and of what the kernels hold."""
    if "skipped" in cell:
        return Cost(1.0, 1.0)
    fit, width, item = cell["samples"] * 3 // 4, cell["width"], 4
    length, outputs = min(_tasks.size(cell).length, cell["longest"]), _outputs(cell["task"])
    held_out = cell["samples"] - fit + cell["test"]
    if cell["learner"] in NETWORKS:
        gain = (1 + cell["momentum"]) / (1 - cell["momentum"])
        steps = cell["kernel_time"] / gain / (2.0 if cell["learner"] == "network_large_step" else 0.25)
        steps *= 2 if cell["learner"] == "network_small_scale" else 1
        own = tangent_kernel(fit, fit, outputs, length, width)
        work = steps * training_step(fit, length, width) + own
        return work.holding(item * (4 * width**2 + 2 * fit * length * width))
    if cell["learner"] == "linearized":
        kernel = tangent_kernel(fit, fit + held_out, outputs, length, width)
        deltas = (fit + held_out) * outputs * length * width
        return (kernel + eigenvectors(fit * outputs)).holding(item * (width**2 + 2 * deltas))
    pairs = fit * (fit + held_out)
    return eigenvectors(fit) + Cost(100.0 * pairs * length, 8.0 * pairs * (length + 10), operations=1e5)


def _outputs(name: str) -> int:
    """Outputs that the classes of a set need."""
    if name == "digits":
        return 10
    classes = archive.BUNDLED[name].classes if name in archive.BUNDLED else len(_series({"task": name}).classes)
    return 1 if classes == 2 else classes


def measure(cell: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Let one learner choose by validation, and count its test mistakes."""
    if "skipped" in cell:
        return {"set": cell["set"], "skipped": cell["skipped"], "diverged": False}, {}
    import torch

    from comparisons import _learners
    from lab.data.labelled import shorten
    from lab.measures.classification import mistakes
    from lab.tasks.files import prepare

    data, n = _series(cell), cell["samples"]
    rows = data.choose(n, min(cell["test"], len(data.series) - n), cell["seed"], pool=True)
    inputs, targets, fit = prepare(shorten(data.series[rows], cell["longest"]), n), data.targets[rows], n * 3 // 4
    split = _learners.Data(torch.from_numpy(inputs), torch.from_numpy(targets), fit)
    found = _learners.candidates(cell["learner"], split, cell)
    (validation, test), (known, asked) = (
        np.split(part, [n - fit], axis) for part, axis in ((found.outputs, 1), (targets[fit:], 0))
    )
    counts = {"validation": mistakes(validation, known), "test": mistakes(test, asked)}
    squares = np.square(validation - known).mean((1, 2))
    best = _choose(counts["validation"], squares) if found.diverged_at is None else None
    row = _row(cell, data, inputs, found, best) | {"tested": len(asked)}
    if best is not None:
        row |= {"mistakes": int(counts["test"][best]), "error": float(counts["test"][best] / len(asked))}
        row |= {"validation_error": float(counts["validation"][best] / len(known))}
    return row, {"values": np.array(found.values), **counts}


def _choose(counts: np.ndarray, squares: np.ndarray) -> int:
    """The candidate of fewest mistakes, of these the one of smallest squared error."""
    return int(np.lexsort((np.nan_to_num(squares, nan=np.inf), counts))[0])


def _row(cell: dict[str, Any], data: Any, inputs: np.ndarray, found: Any, best: int | None) -> dict[str, Any]:
    lost = best is None
    return {
        "set": data.name,
        "samples": cell["samples"],
        "learner": cell["learner"],
        "seed": cell["seed"],
        "classes": len(data.classes),
        "length": inputs.shape[1],
        "error": None,
        "mistakes": None,
        "validation_error": None,
        "choice": found.choice,
        "chosen": None if lost else float(found.values[best]),
        "at_the_edge": None if lost else best in (0, len(found.values) - 1),
        "diverged": lost,
        "reasons": f"diverged at step {found.diverged_at}" if lost else "",
        "skipped": None,
    }


def conclude(table: pd.DataFrame) -> Conclusion:
    """Errors and paired differences at the largest n of each set, learning exponents on the first, and a verdict."""
    numbers: dict[str, Number] = {}
    good = table[table["error"].notna() | table["diverged"].astype(bool)] if "error" in table else table.iloc[:0]
    for name in dict.fromkeys(good["set"]):
        arm = good[good["set"] == name]
        largest = arm[arm["samples"] == arm["samples"].max()]
        numbers |= _levels(str(name), largest, pairs=len(NETWORKS) * good["set"].nunique())
    if len(good):
        numbers |= _learning(good[good["set"] == good["set"].iloc[0]])
    return Conclusion(numbers, verdict(numbers, table))


def _levels(name: str, arm: pd.DataFrame, pairs: int) -> dict[str, Number]:
    """What is measured at one n of one set; ``pairs`` is how many networks and sets the verdict judges together."""
    grid = arm.pivot(index="seed", columns="learner", values="error").astype(float)
    there = [learner for learner in LEARNERS if learner in grid]
    asked = {learner: arm.loc[arm["learner"] == learner, "seed"] for learner in there}
    numbers = {f"error.{learner}.{name}": Number.mean(grid.loc[asked[learner], learner]) for learner in there}
    numbers |= {
        f"difference.{learner}.{name}": _paired(grid, asked, (learner, "kernel"), pairs)
        for learner in there
        if learner != "kernel" and "kernel" in there
    }
    numbers |= {
        f"gain.{learner}.{name}": _paired(grid, asked, ("linearized", learner), pairs)
        for learner in NETWORKS
        if learner in there and "linearized" in there
    }
    return numbers | {f"samples.{name}": Number(float(arm["samples"].max()), None, len(grid))}


def _paired(grid: pd.DataFrame, asked: dict[str, Any], learners: tuple[str, str], pairs: int) -> Number:
    """Mean difference over shared seeds, with the interval that holds for all ``pairs`` at once (Bonferroni)."""
    from lab.measures.exponents import mean_interval

    one, other = learners
    seeds = sorted(set(asked[one]) & set(asked[other]))
    differences = grid.loc[seeds, one] - grid.loc[seeds, other]
    number = Number.mean(differences)
    if number.interval is None:
        return number
    joint = mean_interval(differences, 1 - 0.05 / pairs)[1]
    return replace(number, details={"joint_interval": list(joint or ())})


def _learning(arm: pd.DataFrame) -> dict[str, Number]:
    """Learning exponents on one set."""
    found = {}
    for learner in [name for name in LEARNERS if (arm["learner"] == name).any()]:
        own = arm[arm["learner"] == learner]
        few = [int(n) for n, part in own.groupby("samples") if not _countable(part["mistakes"])]
        if own["samples"].nunique() < 2:
            reason = "a slope needs two sizes n or more"
        else:
            reason = f"mistakes cannot be counted at n = {', '.join(map(str, few))}" if few else ""
        number = Number.none(reason, own["seed"].nunique())
        found[f"learning_exponent.{learner}"] = number if reason else _slope(own)
    return found


def _slope(arm: pd.DataFrame) -> Number:
    """The exponent in n, with the sizes that entered."""
    slope = _exponents.number(_exponents.fit(arm, "error", "samples"))
    sizes = {"sizes": slope.details["widths"], "local_slopes": slope.details["local_slopes"]}
    return Number(slope.value, slope.interval, slope.seeds, slope.reason, sizes)


def _countable(mistakes: pd.Series) -> bool:
    return bool(mistakes.notna().all() and mistakes.min() > 0 and mistakes.mean() >= COUNTABLE)


def verdict(numbers: dict[str, Number], table: pd.DataFrame) -> str:
    """Who does better than the kernel where, what lies beyond the linearization, how errors fall, what was left out."""
    sets = [name.removeprefix("samples.") for name in numbers if name.startswith("samples.")]
    sentences = [_against_kernel(numbers, sets), _against_linearization(numbers, sets), _curves(numbers, sets)]
    skipped = list(dict.fromkeys(table["skipped"].dropna())) if "skipped" in table else []
    left_out = f"Left out: {'; '.join(skipped)}." if skipped else ""
    return " ".join(sentence for sentence in (*sentences, left_out) if sentence)


def _judged(numbers: dict[str, Number], what: str, sets: list[str], *, joint: bool = True) -> dict[str, list[str]]:
    """Networks and sets by what the (joint) interval of a number says: below 0, above 0, around 0, or nothing."""
    found: dict[str, list[str]] = {"below": [], "above": [], "around": [], "none": []}
    for learner in NETWORKS:
        for name in sets:
            number = numbers.get(f"{what}.{learner}.{name}", Number.none("missing"))
            interval = number.details.get("joint_interval") if joint else number.interval
            low, high = interval or (np.nan, np.nan)
            side = "none" if np.isnan(low) else "below" if high < 0 else "above" if low > 0 else "around"
            found[side].append(f"{name} ({LEARNERS[learner]})")
    return found


def _against_kernel(numbers: dict[str, Number], sets: list[str]) -> str:
    if not sets:
        return "Nothing was measured."
    found = _judged(numbers, "difference", sets)
    level = numbers.get(f"error.kernel.{sets[0]}", Number.none("not measured"))
    kernel = f"infinite-width kernel, whose test error on {sets[0]} is {percent(level)}"
    better = f"A network does better than its {kernel}, on {_some(found['below'])}"
    start = better if found["below"] else f"No network does visibly better than its {kernel}"
    parts = [f"worse on {_some(found['above'])}"] if found["above"] else []
    parts += [f"not told apart in {len(found['around'])} cases"] if found["around"] else []
    parts += [f"without interval on {_some(found['none'])}"] if found["none"] else []
    return f"{start}. Judged together, networks are {', '.join(parts)}." if parts else f"{start}."


def _some(names: list[str]) -> str:
    """Two names at most, and how many more there are."""
    more = len(names) - 2
    return listed(names) if more <= 0 else f"{', '.join(names[:2])} and {more} more"


def _against_linearization(numbers: dict[str, Number], sets: list[str]) -> str:
    found = _judged(numbers, "gain", sets)
    if not (found["above"] or found["below"] or found["around"]):
        return ""
    better = f"better on {_some(found['above'])}" if found["above"] else "nowhere visibly better"
    worse = f", worse on {_some(found['below'])}" if found["below"] else ""
    alone = len(_judged(numbers, "gain", sets, joint=False)["above"]) - len(found["above"])
    also = f" ({alone} more if judged one at a time)" if alone > 0 else ""
    return f"Beside their own linearizations they are {better}{worse}{also}."


def _curves(numbers: dict[str, Number], sets: list[str]) -> str:
    slopes = {name: numbers.get(f"learning_exponent.{name}") for name in ("network", "kernel")}
    if not sets or any(slope is None or slope.interval is None for slope in slopes.values()):
        return ""
    told = " and ".join(f"{power(slope, 'n')} for the {name}" for name, slope in slopes.items() if slope)
    return f"With n samples errors fall as {told}."


def draw(results: Any, conclusion: Conclusion) -> dict[str, Figure]:
    """Errors by learner and set, and learning curves on the first set."""
    table = results.table
    if "error" not in table or not table["error"].notna().any():
        return {}
    figures = {"errors": _draw_errors(table, conclusion.numbers)}
    first = table[table["set"] == table.loc[table["error"].notna(), "set"].iloc[0]]
    if first["samples"].nunique() > 1:
        figures["learning"] = _draw_learning(first)
    return figures


COLORS = {
    **dict.fromkeys(NETWORKS, "#0072B2"),
    "linearized": "#D55E00",
    "kernel": "#000000",
    "kernel_ridge": "#000000",
    "features": "#009E73",
    "ridge": "#6b6b6b",
    "neighbours": "#CC79A7",
}
DASHES = {"network_large_step": (0, (5, 2)), "network_small_scale": (0, (1, 1.6)), "kernel_ridge": (0, (5, 2))}


def _draw_errors(table: pd.DataFrame, numbers: Any) -> Figure:
    from lab.figures import curves, style

    sets = [name.removeprefix("samples.") for name in numbers if name.startswith("samples.")]
    figure, axes = style.panels(len(sets), size=(3.4 if len(sets) > 1 else 5.6, 4.2), sharey=True)
    for ax, name in zip(axes[0], sets, strict=True):
        arm = table[(table["set"] == name) & (table["samples"] == numbers[f"samples.{name}"].value)]
        there = [learner for learner in LEARNERS if (arm["learner"] == learner).any()]
        grid = arm.pivot(index="seed", columns="learner", values="error")[there].astype(float)
        ends = [numbers[f"error.{learner}.{name}"].interval or (np.nan, np.nan) for learner in there]
        colors = [COLORS[learner] for learner in there]
        curves.levels(ax, [LEARNERS[each] for each in there], 100 * grid.to_numpy(), 100 * np.array(ends), colors)
        classes = int(arm["classes"].iloc[0])
        chance = 100 * (1 - 1 / classes)
        ax.axvline(chance, color=style.GREY, linestyle="--", linewidth=1)
        ax.text(chance, len(there) - 0.6, "chance ", color=style.GREY, ha="right", fontsize="small")
        ax.set_title(f"{name}:\nn = {arm['samples'].iloc[0]:.0f}, {classes} classes")
        ax.set_xlabel("test error (%)")
        ax.set_xlim(0, 1.08 * chance)
    style.headline(figure, question)
    return figure


def _draw_learning(arm: pd.DataFrame) -> Figure:
    from lab.figures import curves, style

    groups = [("Networks, linearization, infinite width", (*NETWORKS, "linearized", "kernel"))]
    groups += [
        ("Infinite width and learners without it", ("kernel", "kernel_ridge", "features", "ridge", "neighbours"))
    ]
    figure, axes = style.panels(2, size=(5.2, 5.0), sharey=True)
    for ax, (title, learners) in zip(axes[0], groups, strict=True):
        for learner in [name for name in learners if (arm["learner"] == name).any()]:
            own = arm[arm["learner"] == learner].assign(percent=lambda part: 100 * part["error"].astype(float))
            grid = own.pivot(index="seed", columns="samples", values="percent")
            with np.errstate(divide="ignore"):
                logs = np.log(grid.to_numpy())
            line = {"linestyle": DASHES.get(learner, "-"), "marker": "o", "markersize": 4, "linewidth": 2}
            label = LEARNERS[learner] + ("" if np.isfinite(logs).all() else " (diverged in places)")
            curves.log_band(ax, grid.columns.to_numpy(float), logs, color=COLORS[learner], label=label, **line)
        curves.width_axis(ax, np.array(sorted(arm["samples"].unique())))
        ax.set_xlabel("training samples n (¼ of them for validation)")
        ax.set_title(title, fontsize="medium")
        style.legend_below(ax, 2)
    axes[0, 0].set_ylabel("test error (%)")
    style.headline(figure, f"Learning curves on {arm['set'].iloc[0]}")
    return figure
