"""Is the linear theory sufficient to explain how well networks perform on real series?

`lab.measures.selection` has the learners. All of them train on the same data: series are standardised by the training
samples, targets are ±1 (a column for each of more than two classes), and ``loss`` is that of all descents, beside which
ridge regression stays least squares. A seed draws the network and resamples the whole set: n samples for training, a
quarter of them for validation, and others for the test. Every learner chooses among 8 candidates, by fewest validation
mistakes and then by the smaller mean loss, and is tested without another fit. Linear ridge regression and neighbours
show how hard a set is. Series longer than ``longest`` are averaged over neighbouring steps, for all learners alike:
work grows with the length, and the last states of a ReLU network become parallel where L is not small beside √m.
Verdicts read the joint_interval of a difference or gain, which holds for all networks and sets at once (Bonferroni).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge

import lab
from comparisons import kit
from lab.errors import refuse

question = "Is the linear theory sufficient to explain how well networks perform on real series?"
asked_by = "R3"
version = 1

LEARNERS, NETWORKS = lab.measures.selection.catalogue.LABELS, lab.measures.selection.catalogue.NETWORKS
COLORS = dict.fromkeys(NETWORKS, "#0072B2") | {"linearized": "#D55E00", "kernel": "#000000", "kernel_ridge": "#000000"}
COLORS |= {"features": "#009E73", "ridge": "#6b6b6b", "neighbours": "#CC79A7"}
DASHES = {"network_large_step": (0, (5, 2)), "network_small_scale": (0, (1, 1.6)), "kernel_ridge": (0, (5, 2))}
HEADLINES = ("error.kernel.digits", "error.network.digits", "difference.network.*", "gain.network.*")
CAPTIONS = {
    "errors": f"Test error of each learner, on each set; networks are blue, dashed is chance. {kit.marks.POINTS}",
    "learning": f"Test error against the number of samples; parallel lines improve at one rate. {kit.marks.BANDS}",
}
COUNTABLE, MISTAKES = 5, "test error (share of mistakes)"  # the former on average over seeds
ERRORS = kit.family("error", template="Share of test mistakes at the largest n of the set: {}.", meanings=LEARNERS)
_MINUS = "Error of a learner minus that of the infinite-width kernel, paired by seed: {}. Below 0 it is better."
DIFFERENCES = kit.family("difference", template=_MINUS, meanings={n: LEARNERS[n] for n in LEARNERS if n != "kernel"})
GAIN = "Error of the linearization minus that of a network, paired by seed: {}. Above 0 the network is better."
GAINS = kit.family("gain", template=GAIN, meanings={name: LEARNERS[name] for name in NETWORKS})
EXPONENT = "Slope of log(error) on log(n) on the first set, if each n has 5 mistakes on average and each seed one: {}."
EXPONENTS = kit.family("learning_exponent", template=EXPONENT, meanings=LEARNERS)
GROUPS = {
    "Networks, linearization, infinite width": (*NETWORKS, "linearized", "kernel"),
    "Infinite width and learners without it": ("kernel", "kernel_ridge", "features", "ridge", "neighbours"),
}
SAMPLES = kit.Quantity("samples", meaning="The largest n of the set.")
SETS, EVERY = ("digits", "ItalyPowerDemand", "GunPoint", "JapaneseVowels"), ("digits", *lab.data.archive.BUNDLED)
SETS_HELP = "digits, UCR/UEA sets (extra [data]), or files of series with classes; learning curves are of the first."
Size = Annotated[int, Ge(20)]


@dataclass(frozen=True)
class Settings(kit.Settings):
    """Settings of the comparison with practice."""

    sets: Annotated[kit.Choices[str], kit.doc(SETS_HELP)] = SETS
    samples: Annotated[kit.Choices[Size], kit.doc("Training samples n of the first set.")] = (24, 48, 96, 192)
    others: Annotated[Size, kit.CHOOSES, kit.doc("Samples n of the other sets, at most half of each.")] = 48
    test: Annotated[Size, kit.doc("Largest number of test samples.")] = 300
    longest: Annotated[int, Ge(2), kit.doc("Largest number of time steps; longer series are averaged.")] = 50
    width: Annotated[kit.Count, kit.doc("Hidden units m.")] = 256
    kernel_time: Annotated[kit.Positive, kit.doc("Last stopping time τ = c·steps·(1 + β)/(1 − β).")] = 1000.0
    momentum: Annotated[kit.Momentum, kit.doc("Momentum β of all learners trained by descent.")] = 0.9
    seeds: Annotated[kit.SeedCount, kit.doc("Number of resampled data splits.")] = 5
    loss: kit.losses.Loss = "squared"

    def check(self) -> None:
        """Refuse unknown sets, and tasks that are not real series."""
        for name in self.sets:
            if name in ("separable", "templates"):
                refuse("sets", repr(name), "real series", 'name "digits", a set of the archives, or a file')
            kit.tasks.check_task(name, None, setting="sets")


PRESETS = {
    "fast": Settings(sets=("digits",), samples=(48, 96), width=128, seeds=3),
    "default": Settings(),
    "full": Settings(
        sets=EVERY, samples=(24, 48, 96, 192, 384, 768), others=96, test=1000, width=1024, kernel_time=1e4, seeds=10
    ),
}


@dataclass(frozen=True, kw_only=True)
class Fitted(kit.tasks.TaskCell):
    """One learner on one resample of one set."""

    samples: int
    learner: str
    seed: int
    test: int
    longest: int
    width: int
    kernel_time: float
    momentum: float
    loss: str = kit.optional("squared")


@dataclass(frozen=True, kw_only=True)
class Skipped(kit.Cell):
    """A set whose reader is not installed: no work, and a sentence for the verdict."""

    set: str
    skipped: str


Cell = Fitted | Skipped


def cells(settings: Settings) -> list[Cell]:
    """One cell for every set, n, learner and seed."""
    found: list[Cell] = []
    for place, name in enumerate(settings.sets):
        if missing := lab.data.archive.missing(name):
            found.append(Skipped(set=name, skipped=missing))
            continue
        half = lab.data.sets.shape(name).samples // 2
        sizes = [n for n in ((settings.others,) if place else settings.samples) if n <= half] or [half]
        found += kit.grid(Fitted, settings, task=[name], samples=sizes, learner=LEARNERS, seed=range(settings.seeds))
    return found


def cost(cell: Cell) -> kit.Cost:
    """That of all candidates of a learner."""
    if isinstance(cell, Skipped):
        return kit.Cost(1.0, 1.0)
    length, classes = min(kit.tasks.size_of(cell).length, cell.longest), lab.data.sets.shape(cell.task).classes
    sizes = kit.pick(cell, "samples", "test", "width", "kernel_time", "momentum", "loss")
    return lab.measures.selection.catalogue.learning_cost(cell.learner, length=length, classes=classes, **sizes)


def measure(cell: Cell) -> kit.Measured:
    """Let one learner choose by validation, and count its test mistakes."""
    if isinstance(cell, Skipped):
        return {"set": cell.set, "skipped": cell.skipped, "diverged": False}, {}
    selection = lab.measures.selection
    data = lab.data.digits.load() if cell.task == "digits" else kit.tasks.load(cell)
    task = selection.choice.resample(data, cell.samples, cell.test, cell.longest, cell.seed, cell.loss)
    shared = selection.learners.Budget(**kit.pick(cell, "width", "seed", "kernel_time", "momentum", "loss"))
    found = selection.choice.choose(cell.learner, task, cell.samples - len(task.train_inputs), shared)
    row: kit.Row = {"set": data.name, **kit.pick(cell, "samples", "learner", "seed"), **kit.losses.column(cell.loss)}
    row |= {"classes": len(data.classes or ()), "length": task.train_inputs.shape[1], **found.summary()}
    return {**row, "skipped": None, "tested": found.sizes[1]}, found.arrays()


def conclude(table: kit.Table) -> kit.Conclusion:
    """Errors and paired differences at the largest n of each set, learning exponents on the first, and a verdict."""
    good = table[table["error"].notna() | table["diverged"].astype(bool)] if "error" in table else table.iloc[:0]
    numbers, arms = kit.Numbers(), kit.split(good, "set")
    for arm in arms:
        numbers |= _compare(arm.value, arm.rows[arm.rows["samples"] == arm.rows["samples"].max()], len(arms))
    numbers |= _learning(arms[0].rows) if arms else {}
    return kit.Conclusion(numbers, verdict(numbers, [arm.value for arm in arms], table))


def _compare(name: str, rows: kit.Table, sets: int) -> kit.Numbers:
    """Errors and paired differences at one n of one set; joint intervals hold for the networks on all sets at once."""
    grid = kit.by_seed(rows.fillna({"error": np.inf}), "error", "learner")  # a run that diverged has no finite mean
    numbers = {key(name): kit.Number.rate(grid[each].dropna()) for each, key in ERRORS.items() if each in grid}
    pairs = {key: (learner, "kernel") for learner, key in DIFFERENCES.items()}
    pairs |= {key: ("linearized", learner) for learner, key in GAINS.items()}
    for key, (one, other) in pairs.items():
        if {one, other} <= set(grid):
            difference = (grid[one] - grid[other]).dropna()
            numbers[key(name)] = kit.Number.mean(difference, together=len(NETWORKS) * sets)
    return numbers | {SAMPLES(name): kit.Number.exact(float(rows["samples"].max()), rows["seed"].nunique())}


def _learning(rows: kit.Table) -> kit.Numbers:
    """Learning exponents on one set, as Vyas et al. 2022 compare them."""
    numbers: kit.Numbers = {}
    for arm in kit.split(rows, "learner"):
        counts = arm.rows.groupby("samples")["mistakes"]
        few = [f"{n:g}" for n, part in counts if part.isna().any() or part.min() <= 0 or part.mean() < COUNTABLE]
        uncounted = kit.fill("mistakes cannot be counted at n = {}", few)
        reason = uncounted if len(counts) > 1 else "a slope needs two sizes n or more"
        none = kit.Number.none(reason, arm.rows["seed"].nunique())
        numbers[EXPONENTS[arm.value]()] = none if reason else kit.exponent(arm.rows, "error", "samples", "sizes")
    return numbers


def verdict(numbers: kit.Numbers, sets: Sequence[str], table: kit.Table) -> str:
    """Networks against both linear theories, the learning exponents, and the sets that were left out."""
    skipped = list(dict.fromkeys(table["skipped"].dropna())) if "skipped" in table else []
    left_out = kit.sentences(kit.losses.words_of(table).trained, f"Left out: {'; '.join(skipped)}." if skipped else "")
    if not sets:
        return kit.sentences("Nothing was measured.", left_out)
    error = numbers.get(ERRORS["kernel"](sets[0]), kit.Number.none("not measured"))
    kernel = f"the infinite-width kernel, whose test error on {sets[0]} is {kit.percent(error)}"
    slopes = {name: numbers.get(EXPONENTS[name]()) for name in ("network", "kernel")}
    laws = [f"{kit.power(slope, 'n')} for the {name}" for name, slope in slopes.items() if slope and slope.interval]
    return kit.sentences(
        _judge(numbers, kernel, DIFFERENCES, sets, better="below"),
        _judge(numbers, "their own linearizations", GAINS, sets, better="above"),
        f"With n samples, errors scale as {kit.joined(laws)}." if len(laws) == len(slopes) else "",
        left_out,
    )


def _judge(numbers: kit.Numbers, theory: str, keys: dict[str, kit.Quantity], sets: Sequence[str], better: str) -> str:
    """Networks and sets, grouped by what the joint intervals of their numbers show; three of a group are named."""
    phrases = {"below": "worse", "above": "worse", better: "better", "around": "not visibly different"}
    phrases |= {"unknown": "not judged (fewer than three seeds)", "missing": "not known (some seed has no error)"}
    found: dict[str, list[str]] = {"better": [], "worse": []}
    reach = 0.0
    for learner, name in itertools.product(NETWORKS, sets):
        if number := numbers.get(keys[learner](name)):
            phrase = kit.compare(number.joint, 0.0, **phrases)
            found.setdefault(phrase, []).append(f"{name} ({LEARNERS[learner]})")
            reach = max(reach, float(np.ptp(number.joint.interval or 0.0)) / 2)
    parts = [f"{phrase} on {kit.first_few(cases)}" for phrase, cases in found.items() if cases]
    none = "" if found["better"] or not reach else "better on no set; "
    judged = f"All are judged together, by intervals of up to ±{kit.format_value(100 * reach)} %." if reach else ""
    return f"Compared with {theory}, networks are {none}{'; '.join(parts)}. {judged}".rstrip() if parts else ""


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    """Errors by learner and set, and learning curves on the first set."""
    table, numbers = results.table, conclusion.numbers
    sets = [arm for arm in kit.split(table, "set") if SAMPLES(arm.value) in numbers and arm.rows["error"].notna().any()]
    if not sets:
        return {}
    size = (3.4 if len(sets) > 1 else 5.6, 4.2)
    keys = [DIFFERENCES[name](arm.value) for name in NETWORKS for arm in sets]
    places = [kit.position(numbers[key].joint, 0.0) for key in keys if key in numbers]
    title = f"Of {len(places)} networks {places.count('below')} are seen to beat the infinite-width kernel on their set"
    errors = kit.figures.panels(sets, partial(_draw_errors, numbers), title=title, size=size, sharey=True)
    if sets[0].rows["samples"].nunique() < 2:
        return {"errors": errors}
    arms = [kit.Arm(sets[0].rows, learners, "", title) for title, learners in GROUPS.items()]
    title = kit.finding(conclusion.verdict, "With n samples", otherwise=f"Learning curves on {sets[0].label}")
    look: dict[str, Any] = {"size": (5.2, 5.0), "columns": 2, "named": "{}"}
    curves = kit.figures.panel_per_arm(arms, _draw_curves, title=title, ylabel=MISTAKES, **look)
    return {"errors": errors, "learning": curves}


def _draw_errors(numbers: Mapping[kit.Key, kit.Number], ax: kit.Axes, arm: kit.Arm) -> None:
    n, classes = numbers[SAMPLES(arm.value)].value, int(arm.rows["classes"].iloc[0])
    errors = {learner: numbers[key(arm.value)] for learner, key in ERRORS.items() if key(arm.value) in numbers}
    rows = arm.rows[arm.rows["samples"] == n].set_index("learner")["error"].astype(float)
    kit.figures.named_with_seeds(ax, errors, {name: rows[[name]].dropna() for name in errors}, LEARNERS, COLORS)
    lab.figures.curves.reference(ax, 1 - 1 / classes, "chance ")
    ax.set(title=f"{arm.label}:\nn = {n:g}, {classes} classes", xlabel=MISTAKES, xlim=(0, 1.08 * (1 - 1 / classes)))


def _draw_curves(ax: kit.Axes, panel: kit.Arm) -> None:
    for learner in panel.value:
        curve = kit.along(panel.rows[panel.rows["learner"] == learner], "error", "samples", share=True)
        if curve.x.size:
            line: dict[str, Any] = {"linestyle": DASHES.get(learner, "-"), "marker": "o", "markersize": 4}
            kit.figures.band(ax, curve, COLORS[learner], LEARNERS[learner], "n", linewidth=2, **line)
    lab.figures.curves.width_axis(ax, np.unique(panel.rows["samples"]))
    ax.set_xlabel("training samples n (¼ of them for validation)")
