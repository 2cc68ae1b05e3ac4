"""What the explorer shows: outputs, loss and gap of the learners over training, for every cell that kept them.

The explorer shows every comparison whose cells have these arrays:

========================  =====================================================================================
``steps`` (T,)            recorded gradient steps, or another time
``learners`` (k,)         names; those of `lab.figures.style.LEARNERS` get their colour and dash
``test`` (k, T, n', o)    outputs of each learner on the test samples
``test_targets`` (n', o)  their targets
``loss`` (k, T)           training loss; without it the page shows the mean squared error on the test samples
``gap_test`` (T,)         gap of network and linearized; without it, and with these two among the learners, the page
                          shows RMS(network − linearized) in units of the deviation of the targets, on the test samples
========================  =====================================================================================

To keep the page small, steps, outputs and, last, whole seeds are thinned; `Explored.note` says what was left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.sweeps import Cell, Results
from lab.sweeps.cells import canonical, plain, varying

Array = NDArray[np.float64]

#: At most so many steps and outputs of a cell are shown, and so many numbers of a run and of all runs.
STEPS, OUTPUTS, NUMBERS, IN_ALL = 48, 48, 400_000, 1_600_000
_FIRST = ("width", "seed")  # kept longest where fields are redundant


@dataclass(frozen=True)
class Explored:
    """Trajectories of one run.

    Attributes
    ----------
    data
        ``fields`` [{name, values}] by which a cell is chosen, and ``cells`` [{at: places among the values, …}].
    learners
        Every learner that occurs.
    note
        What was left out.
    """

    data: dict[str, Any]
    learners: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class _Thinned:
    """The part of one cell that the page shows, and how many steps and outputs the cell had."""

    data: dict[str, Any]
    learners: tuple[str, ...]
    steps: int
    outputs: int
    numbers: int


def explore_all(runs: Sequence[Results]) -> list[Explored | None]:
    """Trajectories of several runs, which share the budget of one page."""
    having = [any(follows(results.read(cell)) for cell in results.cells[:1]) for results in runs]
    budget = min(NUMBERS, IN_ALL // max(sum(having), 1))
    return [explore(results, budget) for results in runs]


def explore(results: Results, budget: int = NUMBERS) -> Explored | None:
    """Thin the trajectories of a run to about ``budget`` numbers; None if its cells have none."""
    fields = choices(results.cells)
    found: list[tuple[Cell, _Thinned]] = []
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
    learners = dict.fromkeys(name for _, entry in found for name in entry.learners)
    return Explored(_choosable(fields, found), tuple(learners), _note([entry for _, entry in found], total))


def follows(arrays: Mapping[str, Array]) -> bool:
    """Whether the arrays of a cell follow the convention."""
    if not {"steps", "learners", "test", "test_targets"} <= set(arrays):
        return False
    test, targets = arrays["test"], arrays["test_targets"]
    head = (*arrays["learners"].shape, *arrays["steps"].shape)
    if test.ndim != 4 or head != test.shape[:2] or targets.shape != test.shape[2:] or 0 in test.shape:
        return False
    shapes = {"loss": test.shape[:2], "gap_test": test.shape[1:2]}
    return all(arrays[name].shape == shape for name, shape in shapes.items() if name in arrays)


def choices(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Fields that identify the cells, none of which is redundant."""
    kept = list(varying(cells))
    rest = [name for name in reversed(kept) if name not in _FIRST]
    for name in rest + [name for name in _FIRST if name in kept]:
        without = [other for other in kept if other != name]
        if len({canonical([cell.get(other) for other in without]) for cell in cells}) == len(cells):
            kept = without
    return tuple(kept)


def _by_seed(cells: Sequence[Cell]) -> list[tuple[Any, list[Cell]]]:
    """Cells in batches of one seed, lowest first; all at once where there are no seeds."""
    batches: dict[Any, list[Cell]] = {}
    for cell in cells:
        seed = cell.get("seed")
        batches.setdefault(seed if isinstance(seed, (int, float)) else -1, []).append(cell)
    return sorted(batches.items())


def thin(arrays: Mapping[str, Array]) -> _Thinned:
    """The part of a cell's arrays that is shown, as JSON values."""
    learners = tuple(str(name) for name in arrays["learners"])
    test = np.asarray(arrays["test"], dtype=float)
    outputs, targets = test.reshape(*test.shape[:2], -1), arrays["test_targets"].reshape(-1)
    at, kept = evenly(test.shape[1], STEPS), evenly(len(targets), OUTPUTS)
    lead = learners.index("linearized") if "linearized" in learners else 0
    last = np.nan_to_num(outputs[lead][:, kept], posinf=0.0, neginf=0.0)[-1]
    kept = kept[np.argsort(last, kind="stable")]
    shown = outputs[:, at][:, :, kept]
    with np.errstate(over="ignore", invalid="ignore"):  # of learners that diverged
        error = None if "loss" in arrays else np.mean((outputs - targets) ** 2, axis=2)
    unit = _unit(shown, targets)
    data = {
        "learners": learners,
        "steps": arrays["steps"][at].tolist(),
        "unit": unit,
        "outputs": [[_differences(row, unit) for row in learner.T] for learner in shown],
        "targets": _rounded(targets[kept]),
        "names": [_name(int(place), test.shape[3]) for place in kept],
        "loss": [_rounded(row[at]) for row in (arrays["loss"] if error is None else error)],
        "trained": error is None,
        "gap": _gap(arrays, learners, outputs, targets, at),
        "measured": "gap_test" in arrays,
    }
    return _Thinned(data, learners, test.shape[1], len(targets), shown.size)


def evenly(there: int, most: int) -> NDArray[np.int64]:
    """At most ``most`` places of ``there``, the first and the last among them."""
    return np.unique(np.linspace(0, there - 1, min(there, most)).round().astype(np.int64))


def _unit(shown: Array, targets: Array) -> float:
    """Power of ten that gives the largest finite output four digits; targets set the scale of a run that diverges."""
    span = 100 * float(np.abs(targets).max())
    sizes = np.abs(shown[np.isfinite(shown)])
    largest = min(float(sizes.max(initial=0.0)), span) if span else float(sizes.max(initial=0.0))
    return 10.0 ** (math.floor(math.log10(largest)) - 3) if largest > 0 else 1.0


def _differences(row: Array, unit: float) -> list[int | None]:
    """A curve (T,) in whole units, each value as its difference from the one before, which compresses well."""
    found: list[int | None] = []
    before = 0
    for value in row:
        whole = round(float(value) / unit) if np.isfinite(value) else None
        found.append(None if whole is None else whole - before)
        before = before if whole is None else whole
    return found


def _rounded(values: Array) -> list[float | None]:
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values]


def _name(place: int, outputs: int) -> str:
    sample, output = divmod(place, outputs)
    return f"sample {sample + 1}" + (f", output {output + 1} of {outputs}" if outputs > 1 else "")


def _gap(
    arrays: Mapping[str, Array], learners: Sequence[str], outputs: Array, targets: Array, at: NDArray[np.int64]
) -> list[float | None] | None:
    if "gap_test" in arrays:
        return _rounded(arrays["gap_test"][at])
    if not {"network", "linearized"} <= set(learners):
        return None
    network, linearized = (outputs[learners.index(name)] for name in ("network", "linearized"))
    scale = float(np.std(targets))
    with np.errstate(over="ignore", invalid="ignore"):
        apart = np.sqrt(np.mean((network - linearized) ** 2, axis=1))
    return _rounded(apart[at] / scale) if scale > 0 else None


def _choosable(fields: Sequence[str], found: Sequence[tuple[Cell, _Thinned]]) -> dict[str, Any]:
    values = {name: list(_distinct(cell.get(name) for cell, _ in found)) for name in fields}
    cells = [
        {"at": [values[name].index(plain(cell.get(name))) for name in fields], **entry.data} for cell, entry in found
    ]
    return {
        "fields": [{"name": name, "values": [_text(value) for value in values[name]]} for name in fields],
        "cells": cells,
    }


def _distinct(values: Iterator[Any]) -> Iterator[Any]:
    """Each value once, numbers in order and everything else as it comes."""
    once = list({canonical(value): plain(value) for value in values}.values())
    yield from sorted(once) if all(type(value) in (int, float) for value in once) else once


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return "none" if value is None else str(value)


def _note(shown: Sequence[_Thinned], total: int) -> str:
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
    return f"{start}Outputs are rounded to four digits of the largest. All other numbers here are from all data."


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
