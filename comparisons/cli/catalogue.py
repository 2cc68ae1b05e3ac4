"""Every comparison with its question, and how long its presets take on this machine, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from comparisons.cli.formats import counted, roughly
from comparisons.kit.comparison import Comparison, asker
from comparisons.runs.forecast import glance, on_the_clock
from comparisons.runs.registry import find, names
from lab.sweeps import usable_cores


@dataclass(frozen=True)
class Expected:
    """Cells and flops of a preset, and its seconds on the clock with a worker for every core."""

    cells: int
    flops: float
    seconds: float


@dataclass(frozen=True)
class Entry:
    """A comparison, and what to expect of its presets by name."""

    name: str
    question: str
    asked_by: str
    version: int
    presets: Mapping[str, Expected]

    def __str__(self) -> str:
        usual = self.presets["default"]
        others = [f"{name} {roughly(each.seconds)}" for name, each in self.presets.items() if each is not usual]
        time = f"about {roughly(usual.seconds)} for {counted(usual.cells, 'cell')} (presets: {', '.join(others)})"
        return f"{self.name}\n  {self.question}\n  asked by {self.asked_by}\n  {time}"


@dataclass(frozen=True)
class Catalogue:
    """Every comparison, and the number of cores for which seconds are estimated."""

    cores: int
    comparisons: tuple[Entry, ...]

    def __str__(self) -> str:
        cores = counted(self.cores, "free core")
        note = f"Times are estimated for {cores} of this machine, from a short timing, within a factor of three or so."
        return "\n".join([*map(str, self.comparisons), "", note])


def read() -> Catalogue:
    """The comparisons of this package; timing the machine takes a fraction of a second."""
    cores = usable_cores()
    return Catalogue(cores, tuple(_entry(name, find(name), cores) for name in names()))


def _entry(name: str, comparison: Comparison, cores: int) -> Entry:
    presets = {preset: _expected(comparison, preset, cores) for preset in comparison.PRESETS}
    return Entry(name, comparison.question, asker(comparison), comparison.version, presets)


def _expected(comparison: Comparison, preset: str, cores: int) -> Expected:
    cells = comparison.cells(comparison.PRESETS[preset])
    costs = [comparison.cost(cell) for cell in cells]
    machines = [glance(getattr(cell, "dtype", "float64")) for cell in cells]
    seconds = [cost.seconds(machine) for cost, machine in zip(costs, machines, strict=True)]
    return Expected(len(cells), sum(cost.flops for cost in costs), on_the_clock(seconds, cores))
