"""Two runs of one comparison: the settings that differ, and the numbers side by side, from their summaries alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comparisons.cli.formats import aligned
from comparisons.kit.numbers import Number
from comparisons.runs.outputs import read_summary
from lab.errors import LabError
from lab.sweeps import Store
from lab.sweeps.cells import varying

#: Intervals are apart where |a − b| exceeds the sum of their half-widths, which is at least the half-width of a 95 %
#: interval for the difference, however a and b depend on each other.
NOTE = (
    "Two numbers whose intervals are apart differ at the 5 % level, whether the runs share seeds or not; by chance up"
    " to one pair in twenty is apart. Overlap does not show that two numbers agree."
)


@dataclass(frozen=True)
class Pair:
    """A number in both runs as in summary.json (None where a run has none), and how its intervals lie.

    ``intervals`` is "apart", "overlap", "same" (and so are the values), or None where one is missing.
    """

    a: Mapping[str, Any] | None
    b: Mapping[str, Any] | None
    intervals: str | None


@dataclass(frozen=True)
class Compared:
    """Two runs: their directories, cells by status, settings that differ (a, b), and numbers by key."""

    comparison: str
    a: str
    b: str
    cells: tuple[Mapping[str, int], Mapping[str, int]]
    settings: Mapping[str, tuple[Any, Any]]
    numbers: Mapping[str, Pair]

    def __str__(self) -> str:
        rows = [("", f"A: {self.a}", f"B: {self.b}", ""), ("cells", *map(_cells, self.cells), "")]
        rows += [(name, *map(_value, pair), "") for name, pair in self.settings.items()]
        rows += [] if self.settings else [("settings", "the same", "the same", "")]
        rows += [("", "", "", "95 % intervals")]
        rows += [(key, _number(pair.a), _number(pair.b), pair.intervals or "") for key, pair in self.numbers.items()]
        judged = [pair.intervals for pair in self.numbers.values() if pair.intervals]
        return "\n".join([*aligned(rows), "", f"Intervals apart: {judged.count('apart')} of {len(judged)}. {NOTE}"])


def read(a: Path, b: Path) -> Compared:
    """Compare the summaries of two run directories.

    Raises
    ------
    LabError
        Directories without a run or a conclusion; runs of two comparisons.
    """
    stores = Store(a), Store(b)
    ours, theirs = (_summary(store) for store in stores)
    if ours["comparison"] != theirs["comparison"]:
        came = f"runs of two comparisons, {ours['comparison']} in {a} and {theirs['comparison']} in {b}"
        raise LabError("A and B", came, "two runs of one comparison", "`lazylab report A B` puts any runs on one page")
    left, right = ({**store.manifest["settings"], "version": store.manifest["version"]} for store in stores)
    keys = dict.fromkeys([*ours["numbers"], *theirs["numbers"]])
    return Compared(
        ours["comparison"],
        str(a),
        str(b),
        (ours["cells"], theirs["cells"]),
        {name: (left.get(name), right.get(name)) for name in varying([left, right])},
        {key: _pair(ours["numbers"].get(key), theirs["numbers"].get(key)) for key in keys},
    )


def _summary(store: Store) -> dict[str, Any]:
    found = read_summary(store)
    if found is None:
        came = f"{str(store.directory)!r}, which has no conclusion from its settings"
        fix = f"`lazylab show {store.directory}` concludes from the cells that are there"
        raise LabError("directory", came, "a run that was concluded from", fix)
    return found


def _pair(a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> Pair:
    if a is None or b is None or a["value"] is None or b["value"] is None:
        return Pair(a, b, None)
    if (a["value"], a["interval"]) == (b["value"], b["interval"]):
        return Pair(a, b, "same")
    if a["interval"] is None or b["interval"] is None:
        return Pair(a, b, None)
    overlap = max(a["interval"][0], b["interval"][0]) <= min(a["interval"][1], b["interval"][1])
    return Pair(a, b, "overlap" if overlap else "apart")


def _number(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "–"
    if found["value"] is None:
        return "none"
    interval = None if found["interval"] is None else (found["interval"][0], found["interval"][1])
    return str(Number(found["value"], interval, found["seeds"]))


def _value(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _cells(counts: Mapping[str, int]) -> str:
    failed = f", {counts['failed']} failed" if counts["failed"] else ""
    return f"{counts['total'] - counts['missing'] - counts['failed']} of {counts['total']}{failed}"
