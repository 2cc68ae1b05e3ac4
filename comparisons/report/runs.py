"""One run as a section of the page: verdict, figures, numbers, settings, the command that repeats it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from comparisons.kit.comparison import asker
from comparisons.report.explorer import Explored
from comparisons.report.figures import Picture, pictures
from comparisons.report.numbers import Groups, digits, grouped, in_words
from comparisons.report.repeat import command
from comparisons.runs.outputs import Run
from lab.sweeps import Store, signs
from lab.sweeps.cells import distinguishing, label

#: Failed cells that are listed.
LISTED = 12
#: The comparison that answers the question of the lab itself: its runs come first.
MAIN = "width"


@dataclass(frozen=True)
class Section:
    """Everything that the page shows of one run, as plain text that the template escapes.

    Attributes
    ----------
    asked_by
        Who raises the question, in words.
    main, groups
        Pairs of a definition and the numbers that have it: of the headline numbers, and of all.
    state
        "whole", "unfinished" or "empty".
    measured
        Pairs of what was the same for all cells (versions, device, seconds) and its values.
    """

    name: str
    directory: str
    question: str
    asked_by: str
    version: int
    verdict: str
    background: Sequence[str]
    main: Groups
    groups: Groups
    pictures: Sequence[Picture]
    counts: Mapping[str, int]
    state: str
    failures: Sequence[str]
    settings: Sequence[tuple[str, str]]
    measured: Sequence[tuple[str, str]]
    command: str
    explored: Explored | None


def ordered(runs: Sequence[Run]) -> list[Run]:
    """The runs of the main comparison first; runs of one comparison beside each other, in the order given."""
    names = dict.fromkeys(name_of(run) for run in runs)
    first = sorted(names, key=lambda name: name != MAIN)
    return [run for name in first for run in runs if name_of(run) == name]


def name_of(run: Run) -> str:
    """The name of the comparison that a run belongs to."""
    return str(run.store.manifest["comparison"])


def gather(run: Run, explored: Explored | None, style: str) -> Section:
    """Draw a run and put it into words.

    Parameters
    ----------
    run
        What the cells of a directory say.
    explored
        The part of its trajectories that the page shows.
    style
        Of the figures.
    """
    comparison, numbers = run.comparison, run.conclusion.numbers
    records = [record for cell in run.results.cells if (record := run.store.record(cell)) is not None]
    return Section(
        name=name_of(run),
        directory=str(run.directory),
        question=comparison.question,
        asked_by=asker(comparison),
        version=comparison.version,
        verdict=run.verdict,
        background=background(comparison),
        main=grouped(run.headlines),
        groups=grouped(numbers),
        pictures=pictures(run, style),
        counts=run.counts,
        state=_state(run.counts),
        failures=_failures(run.store),
        settings=[(name, in_words(value)) for name, value in run.settings.items()],
        measured=_measured(records),
        command=command(comparison, run.store.manifest, str(run.directory), records),
        explored=explored,
    )


def background(comparison: object) -> list[str]:
    """Paragraphs of a module's docstring after its first line; a formula, which is indented, keeps its lines."""
    paragraphs = inspect.cleandoc(getattr(comparison, "__doc__", None) or "").split("\n\n")[1:]
    return [each if each.startswith("    ") else _without_marks(" ".join(each.split())) for each in paragraphs]


def _without_marks(text: str) -> str:
    """Text without the marks of code."""
    return text.replace("`", "")


def _state(counts: Mapping[str, int]) -> str:
    absent = counts["missing"] + counts["failed"]
    if not absent:
        return "whole"
    return "empty" if absent == counts["total"] else "unfinished"


def _failures(store: Store) -> list[str]:
    """Cells that failed, with the kind of their error: its message may hold paths of the machine."""
    cells = store.manifest["cells"]
    fields, failed = distinguishing(cells), []
    for cell in cells:
        error = signs.failure(store.directory, store.key(cell))
        if error is not None and not store.whole(cell):
            failed.append(f"{label(cell, fields)}: {error.partition(':')[0]}")
    more = [f"and {len(failed) - LISTED} more"] if len(failed) > LISTED else []
    return failed[:LISTED] + more


def _measured(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Versions, device and threads that cells were measured with; several where they differ."""
    if not records:
        return []
    found: dict[str, dict[str, None]] = {}
    for record in records:
        facts = {**(record.get("versions") or {}), "device": record.get("device"), "threads": record.get("threads")}
        for name, value in facts.items():
            found.setdefault(name, {})[in_words(value)] = None
    seconds = sum(float(record["seconds"]) for record in records)
    measured = [(name, " and ".join(values)) for name, values in found.items()]
    return [*measured, ("seconds in all cells", digits(seconds))]
