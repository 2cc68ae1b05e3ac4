"""The runs in a folder, from their settings, their cells and their summaries, without torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comparisons.cli.formats import clock, counted
from comparisons.cli.status import count, examine, last_commit
from comparisons.runs.outputs import read_summary, source_of
from comparisons.runs.presets import as_flags, nearest
from comparisons.runs.registry import find
from lab.errors import LabError, first_line
from lab.sweeps import Store
from lab.sweeps.store import SETTINGS


@dataclass(frozen=True)
class Entry:
    """One run.

    Attributes
    ----------
    cells
        As in `Progress`.
    preset, changes
        The nearest preset, and the settings that differ from it; None and empty where the comparison is not here.
    last_commit
        When the last cell was committed, in seconds since the epoch.
    verdict
        Of these settings; None before they were concluded from.
    """

    directory: str
    comparison: str
    version: int
    preset: str | None
    changes: Mapping[str, Any]
    cells: Mapping[str, int]
    last_commit: float | None
    verdict: str | None

    def __str__(self) -> str:
        done, failed = self.cells["done"], self.cells["failed"]
        cells = f"{done} of {counted(self.cells['total'], 'cell')}{f', {failed} failed' if failed else ''}"
        last = "" if self.last_commit is None else f", last at {clock(self.last_commit)}"
        found = f"no conclusion yet; `lazylab show {self.directory}` draws one from the cells that are there"
        found = found if self.verdict is None else first_sentence(self.verdict)
        return "\n  ".join([self.directory, self._settings(), cells + last, found])

    def _settings(self) -> str:
        if self.preset is None:
            return f"{self.comparison}, a comparison that is not here"
        return " ".join([self.comparison, "--preset", self.preset, *as_flags(self.changes)])


@dataclass(frozen=True)
class Inventory:
    """The runs of a folder, and the errors of those that cannot be read, by directory."""

    folder: str
    runs: tuple[Entry, ...]
    unreadable: Mapping[str, str]

    def __str__(self) -> str:
        return "\n".join(map(str, self.runs)) or f"no run in {self.folder}; `lazylab run NAME` makes one"


def read(folder: Path) -> Inventory:
    """The runs in a folder, which may be a run directory itself; by name."""
    found, unreadable = [], {}
    for place in sorted({path.parent for pattern in (SETTINGS, f"*/{SETTINGS}") for path in folder.glob(pattern)}):
        try:
            found.append(_entry(Store(place)))
        except (LabError, OSError) as error:
            unreadable[str(place)] = first_line(error)
    return Inventory(str(folder), tuple(found), unreadable)


def _entry(store: Store) -> Entry:
    manifest, states, summary = store.manifest, examine(store), read_summary(store)
    return Entry(
        str(store.directory),
        manifest["comparison"],
        manifest["version"],
        *_preset(store),
        cells=count(states),
        last_commit=last_commit(states),
        verdict=None if summary is None else summary["verdict"],
    )


def _preset(store: Store) -> tuple[str | None, dict[str, Any]]:
    try:
        return nearest(find(source_of(store)), store.manifest["settings"])
    except LabError:
        return None, {}


def first_sentence(text: str) -> str:
    """The first sentence of a verdict: up to a full stop, a blank and a capital letter.

    Examples
    --------
    >>> first_sentence("It falls as m^0.5 (0.4 to 0.6). With erf it is faster.")
    'It falls as m^0.5 (0.4 to 0.6).'
    """
    return re.split(r"(?<=[.!?])\s+(?=[A-Z])", text, maxsplit=1)[0]
