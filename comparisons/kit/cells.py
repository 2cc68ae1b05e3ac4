"""Cells: the parameters of one measurement, as a frozen dataclass; JSON only where the store reads and writes."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from comparisons.kit.values import fit
from lab.sweeps.cells import plain

_ABSENT = "absent"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Base of the cells of all comparisons. Its fields are JSON values, or tuples of them."""


AnyCell = TypeVar("AnyCell", bound=Cell)


def optional(default: object = None) -> Any:
    """A field with a default, and without an entry in JSON while it has that value."""
    return field(default=default, metadata={_ABSENT: True})


def grid(
    kind: type[AnyCell], settings: object, seeds: int | Sequence[int] = (), /, **axes: Iterable[object]
) -> list[AnyCell]:
    """One cell for every combination of the axes, the last axis fastest, and within it for every seed.

    Parameters
    ----------
    seeds
        How many seeds there are, counted from 0; or how many at each value of the axis ``width``. Empty where the field
        ``seed`` is an axis like the others, or there is none.
    axes
        Values by field. A field that is not an axis takes the setting of the same name, or else keeps its default.
    """
    shared = {entry.name: getattr(settings, entry.name) for entry in fields(kind) if hasattr(settings, entry.name)}
    values = [{**shared, **dict(zip(axes, chosen, strict=True))} for chosen in itertools.product(*axes.values())]
    if seeds == ():
        return [kind(**each) for each in values]
    counts = defaultdict(lambda: seeds) if isinstance(seeds, int) else dict(zip(axes["width"], seeds, strict=True))
    return [kind(**{**each, "seed": seed}) for each in values for seed in range(counts[each.get("width")])]


def to_json(cell: Cell) -> dict[str, Any]:
    """The JSON form of a cell, whose hash is the name of its files."""
    absent = (entry for entry in fields(cell) if _ABSENT in entry.metadata)
    gone = {entry.name for entry in absent if getattr(cell, entry.name) == entry.default}
    values: dict[str, Any] = plain({name: value for name, value in asdict(cell).items() if name not in gone})
    return values


def from_json(kind: Any, values: Sequence[Any] | dict[str, Any]) -> Any:
    """The cell of this kind (a dataclass, or a union of several) that has these JSON values.

    Raises
    ------
    LabError
        If the values are not those of such a cell.
    """
    return fit("cell", values, kind)


def pick(source: object, *names: str) -> dict[str, Any]:
    """Some fields of a cell, or attributes of a result, as columns of a row."""
    return {name: getattr(source, name) for name in names}
