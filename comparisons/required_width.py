"""How does the sufficient width grow with the samples, the length, the separation and the accuracy?

The theorem asks for m ≥ poly(n, L, 1/δ, log 1/ε) (Allen-Zhu, Li, Song 2019, Theorem 1) and hides the degrees. Here one
of n, L, δ and ε varies at a time around a base setting. Two widths are measured (`comparisons.kit.ladders`): that at
which gradient descent *trains* in nine of ten seeds, and that at which it stays *lazy*. Budgets are multiples of the
hitting time of the infinitely wide linear learner, so that a degree is not that of the budget.
A seed draws network and data: with one data set per setting its peculiarities would enter the degree, and no interval
over initializations would show it. The degree in δ is measured on pairs of sequences whose first steps are exactly δ
apart and whose later steps are equal (`lab.tasks.pairs`). Settings with more than 20 % censored seeds are left out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, TypeVar

import numpy as np
from annotated_types import Ge, Interval, MultipleOf

import lab
from comparisons import kit
from lab.errors import check_integer

question = "How does the width that suffices in practice scale with n, L, 1/δ and 1/ε?"
asked_by = "R1, R3"
version = 2


@dataclass(frozen=True)
class Argument:
    """An argument of the polynomial: its symbol, the settings with its values, its field of a cell."""

    symbol: str
    settings: tuple[str, str]  # for train and for lazy
    field: str
    readout: str = "last"

    def values(self, rows: kit.Table) -> kit.Series[float]:
        """What the width is a power of, for each row."""
        given = rows[self.field].astype(float)
        return 1 / given if self.field in ("separation", "accuracy") else given


ARGUMENTS = {
    "n": Argument("n", ("samples", "lazy_samples"), "samples"),
    "length": Argument("L", ("lengths", "lengths"), "length"),
    "length.all": Argument("L (loss over all steps)", ("lengths_all", "lengths_all"), "length", "all"),
    "separation": Argument("1/δ", ("separations", "lazy_separations"), "separation"),
    "accuracy": Argument("1/ε", ("accuracies", "accuracies"), "accuracy"),
}
SYMBOLS, LOG = {name: argument.symbol for name, argument in ARGUMENTS.items()}, {"log_accuracy": "log 1/ε"}
LABELS = {"samples": "training samples n", "length": "length L", "separation": "1/δ of pairs", "accuracy": "1/ε"}
NOTIONS = {
    "train": "m₉₀, where mse < ε within the budget in 9 of 10 seeds (logistic fit; degrees: least squares, jackknife)",
    "lazy": "the width where the largest test gap falls through the level (isotonic; degrees: censored regression)",
}
DEGREES = {
    notion: kit.family(notion, "degree", template=f"Degree in {{}} of {what}.", meanings=SYMBOLS | LOG)
    for notion, what in NOTIONS.items()
}
WIDTHS = {
    notion: kit.family(notion, "width", template=f"For each {{}}: {what}.", meanings=SYMBOLS)
    for notion, what in NOTIONS.items()
}
NOISE_FLOOR = kit.Quantity("lazy", "noise_floor", meaning="Largest disagreement of the two linear models, as a gap.")
DRAWN = {"train": ("trains (9 of 10 seeds)", "#0072B2", "o"), "lazy": ("stays lazy (gap < level)", "#D55E00", "s")}
HEADLINES = ("train.degree.n", "train.degree.length", "lazy.degree.n", "lazy.degree.length")
CAPTIONS = {
    "widths": "Width that suffices, against each argument: the steeper a line, the more width that argument costs. "
    f"Points are estimates, lines power laws, their degrees in the legends. {kit.marks.BARS}",
    "ladders": "What was measured at each width that was tried: networks train where the share passes the dashed "
    "level, and stay lazy where the gap of a seed falls through it.",
}
COUNTING = 0.5  # degree in n of m² trained weights against n equations

Value = TypeVar("Value")
Values = Annotated[tuple[Value, ...], kit.Distinct(0), kit.CHOOSES]  # different ones, or none
Notion = Annotated[str, kit.OneOf(*NOTIONS)]
Two = Annotated[int, Ge(2)]
Separation = Annotated[float, Interval(gt=0, le=1)]


@dataclass(frozen=True)
class Settings(kit.ladders.LadderSettings):
    """Settings of the required-width comparison; digits vary samples and accuracy only."""

    notions: Annotated[Values[Notion], kit.doc("Criteria to measure, among train and lazy.")] = tuple(NOTIONS)
    samples: Annotated[Values[Two], kit.doc("Training samples n, for train.")] = (8, 16, 32, 64, 128)
    lazy_samples: Annotated[Values[Two], kit.doc("Training samples n, for lazy.")] = (8, 16, 32, 64)
    lengths: Annotated[Values[Two], kit.doc("Lengths L, with the loss at the last step.")] = (2, 4, 8, 16)
    lengths_all: Annotated[Values[Two], kit.doc("Lengths L, with the loss over all steps.")] = (2, 4, 8)
    separations: Annotated[Values[Separation], kit.doc("Distances δ of pairs, for train.")] = (0.1, 0.2, 0.4, 0.7, 1.0)
    lazy_separations: Annotated[Values[Separation], kit.doc("Distances δ of pairs, for lazy.")] = (0.4, 0.55, 0.75, 1.0)
    accuracies: Annotated[Values[kit.Share], kit.doc("Errors ε to reach.")] = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
    base_samples: Annotated[Two, MultipleOf(2), kit.doc("n of the base setting; even, as some data are pairs.")] = 8
    base_length: Annotated[Two, kit.doc("L of the base setting.")] = 4
    base_accuracy: Annotated[kit.Share, kit.doc("ε of the base setting.")] = 0.1
    features: Annotated[Two, kit.doc("Features p of a time step.")] = 8
    lazy_seeds: Annotated[kit.SeedCount, kit.doc("Number of draws of network and data, for lazy.")] = 5
    widest: Annotated[kit.Count, kit.doc("Largest width tried, for train.")] = 512
    lazy_narrowest: Annotated[kit.Count, kit.doc("Smallest width tried, for lazy.")] = 4
    lazy_widest: Annotated[kit.Count, kit.doc("Largest width tried, for lazy.")] = 1024

    def check(self) -> None:
        """Refuse more digits than there are, and ladders without widths."""
        super().check()
        counts = {"samples": self.samples, "lazy_samples": self.lazy_samples, "base_samples": (self.base_samples,)}
        for name, values in counts.items():
            kit.tasks.check_task(self.task, max(values, default=2), name)
        check_integer("lazy_widest", self.lazy_widest, self.lazy_narrowest)


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


@dataclass(frozen=True, kw_only=True)
class Cell(kit.ladders.LadderCell):
    """One ladder; ``arm`` is the field that varies, and ``separation`` is None where the data are no pairs."""

    arm: str
    readout: str
    separation: float | None


def cells(settings: Settings) -> list[Cell]:
    """One cell, a whole ladder of widths, for every notion, setting and seed; digits have one length and no pairs."""
    digits = settings.task == "digits"
    length = kit.tasks.SIZES["digits"].length if digits else settings.base_length
    varied = [each for each in ARGUMENTS.values() if not digits or each.field in ("samples", "accuracy")]
    base = {"samples": [settings.base_samples], "length": [length], "separation": [None]}
    found: list[Cell] = []
    for notion in settings.notions:
        lazy = notion == kit.ladders.LAZY
        ends = (settings.lazy_narrowest, settings.lazy_widest) if lazy else (settings.narrowest, settings.widest)
        shared = {"notion": [notion], "narrowest": ends[:1], "widest": ends[1:], **base}
        seeds = range(settings.lazy_seeds if lazy else settings.seeds)
        for each in varied:
            axes = {**shared, "accuracy": [settings.base_accuracy], each.field: getattr(settings, each.settings[lazy])}
            found += kit.grid(Cell, settings, arm=[each.field], readout=[each.readout], **axes, seed=seeds)
    return found


def cost(cell: Cell) -> kit.Cost:
    """Flops of a ladder and bytes of its widest network, with rough hitting times: ½n/δ·log₁₀(1/ε) steps."""
    hitting = 0.5 * cell.samples / (cell.separation or 1.0) * max(-math.log10(cell.accuracy), 0.5)
    hitting *= cell.length**2 if cell.readout == "all" else 1
    return kit.ladders.cost(cell, cell.budget * hitting, kit.ladders.step_cost(cell, cell.widest, linearized=cell.lazy))


def measure(cell: Cell) -> kit.Measured:
    """Climb one ladder."""
    row, arrays = kit.ladders.climb(cell, build_task(cell))
    setting = kit.pick(cell, "notion", "arm", "readout", "samples", "length", "separation", "accuracy")
    return {**setting, **kit.pick(cell, "seed", "narrowest", "widest"), **row}, arrays


def build_task(cell: Cell) -> lab.SequenceTask:
    """The data of a cell: as many test samples as training samples."""
    if cell.separation is not None:
        shape = cell.length, cell.features, cell.data_seed + cell.seed
        return lab.tasks.pairs(cell.samples, cell.separation, *shape, test=cell.samples)
    task = cell.sequences(cell.samples, separation=0.3)
    return task.at_every_step() if cell.readout == "all" else task


def _arms(table: kit.Table) -> Iterator[tuple[str, str, kit.widths.Ladders]]:
    """Notion, name of the argument, and ladders of each arm; the length has one arm for each readout."""
    for notion, (name, argument) in itertools.product(NOTIONS, ARGUMENTS.items()):
        varied = (table["arm"] == argument.field) & (table["readout"] == argument.readout)
        rows = table[varied & (table["notion"] == notion)]
        if len(rows):
            yield notion, name, kit.ladders.read(rows, notion, int(rows["widest"].max()))


def conclude(table: kit.Table) -> kit.Conclusion:
    """Widths and degrees of every arm, and a verdict."""
    numbers: kit.Numbers = {}
    for notion, name, ladders in _arms(table):
        argument, degrees, widths = ARGUMENTS[name], DEGREES[notion], WIDTHS[notion]
        numbers |= {widths[name](value): part.width() for value, part in ladders.split(argument.field)}
        x = argument.values(ladders.rows)
        numbers[degrees[name]()] = ladders.degree(x, argument.symbol)
        if name == "accuracy":
            numbers[degrees["log_accuracy"]()] = ladders.degree(x, argument.symbol, log=True)
    if "noise_floor" in table and table["noise_floor"].notna().any():
        numbers[NOISE_FLOOR()] = kit.Number.exact(float(table["noise_floor"].max()), int(table["seed"].nunique()))
    return kit.Conclusion(numbers, verdict(numbers))


def verdict(numbers: kit.Numbers) -> str:
    """Degrees for the last-step loss, and a comparison with the theory."""
    starts = {"train": "To train in 9 of 10 seeds", "lazy": "To stay lazy"}
    found = [kit.clauses(start, _clauses(numbers, notion)) for notion, start in starts.items()]
    counted = numbers.get(DEGREES["train"]["n"]())
    if counted is not None and counted.value is not None:
        few = "not compared (fewer than three seeds) with"
        place = kit.compare(counted, COUNTING, below="below", above="above", around="compatible with", unknown=few)
        theory = "Zou and Gu 2019 quote n^24 for the theorem's feed-forward version"
        found.append(f"The degree in n for training is {place} the ½ from counting weights (m² ≥ n); {theory}.")
    return kit.sentences(*found)


def _clauses(numbers: kit.Numbers, notion: str) -> list[str]:
    """Degrees of one notion by the symbol of their argument: those that are known, not visible, and missing."""
    keys = {symbol: DEGREES[notion][name]() for name, symbol in SYMBOLS.items() if name != "length.all"}
    degrees = {symbol: numbers[key] for symbol, key in keys.items() if key in numbers}
    known = {symbol: degree for symbol, degree in degrees.items() if degree.value is not None}
    powers = [kit.power(degree, f"({symbol})" if "/" in symbol else symbol) for symbol, degree in known.items()]
    flat = [symbol for symbol, degree in known.items() if kit.position(degree, 0.0) == "around"]
    return [
        kit.fill("the width scales as {}", powers),
        kit.fill("no dependence on {} is visible at this size", flat),
        *[f"no degree in {symbol} was fitted ({degrees[symbol].reason})" for symbol in degrees if symbol not in known],
    ]


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    """The widths against each argument, and the ladders behind them for n."""
    title, ylabel = kit.finding(conclusion.verdict, "the width scales", otherwise=question), "sufficient width m"
    drawn, panels = partial(_draw_widths, conclusion), kit.split(results.table, "arm", LABELS)
    widths = kit.figures.panel_per_arm(panels, drawn, title=title, ylabel=ylabel, size=(4.2, 4.9), named="")
    if not (arms := [ladders for _, name, ladders in _arms(results.table) if name == "n"]):
        return {"widths": widths}
    laws = {DRAWN[notion][0]: DEGREES[notion]["n"]() for notion in NOTIONS}
    title = kit.fill("The width at which a network {}", kit.scalings(conclusion.numbers, laws, "n")) or question
    ladders = kit.figures.panels(
        arms, lambda ax, arm: arm.draw(ax, results, "samples", "n", "arm"), title=title, columns=3, size=(5.2, 4.5)
    )
    return {"widths": widths, "ladders": ladders}


def _draw_widths(conclusion: kit.Conclusion, ax: kit.Axes, panel: kit.Arm) -> None:
    """Widths against one argument with their intervals, and the lines of their degrees."""
    argument = next(each for each in ARGUMENTS.values() if each.field == panel.value)
    for place, (notion, name, ladders) in enumerate(_arms(panel.rows)):
        degree = conclusion.numbers[DEGREES[notion][name]()]
        settings = ladders.rows.drop_duplicates(argument.field)
        x = argument.values(settings).tolist()
        found = [conclusion.numbers[WIDTHS[notion][name](value)] for value in settings[argument.field]]
        (what, color, marker), last = DRAWN[notion], ARGUMENTS[name].readout == "last"
        what = what if last else f"{what}, loss over all steps"
        kit.figures.degree(ax, x, found, degree, color, what, marker=marker, filled=last, shift=1.02 ** (2 * place - 1))
    lab.figures.curves.ticks_at(ax, argument.values(panel.rows).tolist()).set_xlabel(panel.label)
    if panel.value == "samples":
        lab.figures.curves.law(ax, np.sqrt, "counting weights, m² = n")
