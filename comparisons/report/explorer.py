"""Trajectories that the page's explorer shows: which cells, by which fields they are chosen, and how curves look."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from comparisons.report.packing import evenly
from comparisons.report.trajectories import OUTPUTS, STEPS, Thinned, follows, thin
from lab.sweeps import Cell, Results
from lab.sweeps.cells import canonical, plain, varying

#: At most so many numbers of a run and of all runs are shown.
NUMBERS, IN_ALL = 400_000, 1_600_000
_FIRST = ("width", "seed")  # kept where other fields would do
#: Dashes of curves that `lab.figures.style` does not know, in pixels as plotly takes them.
_DASHES = ("solid", "8px,3px,2px,3px", "12px,4px", "2px,4px", "14px,3px,2px,3px,2px,3px")


@dataclass(frozen=True)
class Explored:
    """Trajectories of one run.

    Attributes
    ----------
    data
        ``fields`` [{name, values}] by which a cell is chosen, and ``cells`` [{at: places among the values, …}].
    curves
        Names of all curves that occur.
    note
        What was left out.
    """

    data: dict[str, Any]
    curves: tuple[str, ...]
    note: str


def explore_all(runs: Sequence[Results]) -> list[Explored | None]:
    """Trajectories of several runs, which share the budget of one page."""
    having = [any(follows(results.read(cell)) for cell in results.cells) for results in runs]
    budget = min(NUMBERS, IN_ALL // max(sum(having), 1))
    return [explore(results, budget) if found else None for results, found in zip(runs, having, strict=True)]


def explore(results: Results, budget: int = NUMBERS) -> Explored | None:
    """Thin the trajectories of a run to about ``budget`` numbers; None if its cells have none."""
    found: list[tuple[Cell, Thinned]] = []
    spent = total = 0
    for _, cells in _by_seed(results.cells):
        thinned = [(cell, thin(arrays)) for cell in cells if follows(arrays := results.read(cell))]
        size = sum(entry.numbers for _, entry in thinned)
        total += len(thinned)
        if not found and size > budget:  # at least one seed is shown
            thinned = [thinned[place] for place in evenly(len(thinned), max(budget * len(thinned) // size, 1))]
        if not found or spent + size <= budget:
            found += thinned
            spent += size
    if not found:
        return None
    order = {canonical(cell): place for place, cell in enumerate(results.cells)}
    found.sort(key=lambda pair: order[canonical(pair[0])])
    fields = choices([cell for cell, _ in found])
    curves = dict.fromkeys(name for _, entry in found for name in entry.curves)
    return Explored(_choosable(fields, found), tuple(curves), _note([entry for _, entry in found], total))


def choices(cells: Sequence[Cell]) -> tuple[str, ...]:
    """The fewest fields that identify the cells; of equally many, those with width and seed, then the first ones."""
    fields = varying(cells)
    texts = {name: [canonical(cell.get(name)) for cell in cells] for name in fields}
    for count in range(len(fields) + 1):
        groups = sorted(itertools.combinations(fields, count), key=lambda group: -len({*_FIRST} & {*group}))
        for group in groups:
            if len(set(zip(*(texts[name] for name in group), strict=True))) == len(cells) or len(cells) == 1:
                return group
    return fields


def _by_seed(cells: Sequence[Cell]) -> list[tuple[Any, list[Cell]]]:
    """Cells in batches of one seed, lowest first; all at once where there are no seeds."""
    batches: dict[Any, list[Cell]] = {}
    for cell in cells:
        seed = cell.get("seed")
        batches.setdefault(seed if isinstance(seed, (int, float)) else -1, []).append(cell)
    return sorted(batches.items())


def _choosable(fields: Sequence[str], found: Sequence[tuple[Cell, Thinned]]) -> dict[str, Any]:
    values = {name: list(_distinct(cell.get(name) for cell, _ in found)) for name in fields}
    cells = [
        {"at": [values[name].index(plain(cell.get(name))) for name in fields], **entry.data} for cell, entry in found
    ]
    return {
        "fields": [{"name": name, "values": [_text(value) for value in values[name]]} for name in fields],
        "cells": cells,
    }


def _distinct(values: Iterable[Any]) -> Iterator[Any]:
    """Each value once, numbers in order and everything else as it comes."""
    once = list({canonical(value): plain(value) for value in values}.values())
    yield from sorted(once) if all(type(value) in (int, float) for value in once) else once


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return "none" if value is None else str(value)


def _note(shown: Sequence[Thinned], total: int) -> str:
    """What the page leaves out, in a sentence; every run is rounded."""
    parts = []
    steps, outputs = max(entry.steps for entry in shown), max(entry.outputs for entry in shown)
    if steps > STEPS:
        parts.append(f"{STEPS} of up to {steps} recorded steps")
    if outputs > OUTPUTS:
        parts.append(f"{OUTPUTS} of up to {outputs} test outputs of a cell")
    if total > len(shown):
        parts.append(f"{len(shown)} of {total} cells (lowest seeds first)")
    start = f"To keep this page small, the explorer has {_listed(parts)}. " if parts else ""
    return f"{start}Values are rounded to four digits. All other numbers on this page are from all data."


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def styles(curves: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour, dash (as plotly takes it) and width of each curve: those of the figures for learners."""
    from lab.figures.style import LEARNERS, QUANTITIES

    found: dict[str, dict[str, Any]] = {}
    for name in curves:
        if name in LEARNERS:
            line = LEARNERS[name]
            dash = "solid" if line.linestyle == "-" else _dash(line.linestyle[1], line.linewidth)
            found[name] = {"color": line.color, "dash": dash, "width": line.linewidth}
        else:
            place = len(found.keys() - LEARNERS.keys())
            color, dash = QUANTITIES[(place + 2) % len(QUANTITIES)], _DASHES[place % len(_DASHES)]
            found[name] = {"color": color, "dash": dash, "width": 2.0}
    return found


def _dash(lengths: Sequence[float], width: float) -> str:
    return ",".join(f"{length * width:g}px" for length in lengths)
