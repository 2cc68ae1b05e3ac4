"""A cell is one measurement of a sweep, described by JSON values; its key is a hash of them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from lab.errors import LabError

Cell = Mapping[str, Any]


def plain(value: object) -> Any:
    """JSON form of ``value``: tuples become lists, NumPy scalars Python numbers, NaN and infinities null.

    Raises
    ------
    LabError
        If ``value`` holds something that is no JSON (an array, an object, a key that is no text).
    """
    if isinstance(value, Mapping):
        return {_text(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if value is None or isinstance(value, (bool, str)):
        return value
    return _number(value)


def _text(key: object) -> str:
    if isinstance(key, str):
        return key
    raise LabError("value", f"the key {key!r}", "keys that are text", "write the key as text")


def _number(value: object) -> int | float | bool | None:
    scalar = value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value
    if isinstance(scalar, float):
        return scalar if math.isfinite(scalar) else None
    if isinstance(scalar, (bool, int)):
        return scalar
    raise LabError("value", f"a {type(value).__name__}", "JSON values", "put arrays among the arrays of the cell")


def canonical(value: object) -> str:
    """One text per JSON value: sorted keys, no blanks. Equal texts mean equal values."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def pretty(value: object) -> str:
    """JSON for files that people open."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def cell_key(comparison: str, version: int, cell: Cell) -> str:
    """Name of a cell's files: 32 hexadecimal digits, from what is measured and by which version."""
    identity = {"comparison": comparison, "version": version, "cell": cell}
    return hashlib.sha256(canonical(identity).encode()).hexdigest()[:32]


def label(cell: Cell, fields: Iterable[str] | None = None) -> str:
    """A cell in words, such as ``width 64, seed 1``; of these fields alone, if they are given.

    A file is called by its name without the folder; a field without a value is left out.
    """
    named = {name: cell.get(name) for name in (cell if fields is None else fields)}
    known = {name.replace("_", " "): value for name, value in named.items() if value not in (None, "", [], ())}
    words = [_in_words(name, value) for name, value in known.items()]
    return ", ".join(words) or "the only cell"


def _in_words(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else f"not {name}"
    values = value if isinstance(value, (list, tuple)) else (value,)
    texts = [f"{each:g}" if isinstance(each, float) else PurePath(str(each)).name for each in values]
    return f"{name} {' '.join(texts)}"


def varying(cells: Sequence[Cell]) -> tuple[str, ...]:
    """The fields in which cells differ: they identify a cell among the others."""
    names = dict.fromkeys(name for cell in cells for name in cell)
    return tuple(name for name in names if len({canonical(cell.get(name)) for cell in cells}) > 1)


def distinguishing(cells: Sequence[Cell]) -> tuple[str, ...]:
    """As few fields as identify a cell among the others, for people: without those that follow from the rest.

    Left out are first fields that are no text, such as sizes of a file, and those with few values; then later ones.
    """
    values = {name: [canonical(cell.get(name)) for cell in cells] for name in varying(cells)}
    texts = {name for name in values if any(isinstance(cell.get(name), str) for cell in cells)}
    kept = list(values)
    for name in sorted(kept, key=lambda name: (name in texts, len(set(values[name])), -kept.index(name))):
        rest = [values[other] for other in kept if other != name]
        if len(set(zip(*rest, strict=True))) == len(set(zip(*(values[other] for other in kept), strict=True))):
            kept.remove(name)
    return tuple(kept)


def matches(cell: Cell, fields: Mapping[str, Any]) -> bool:
    """Whether a cell has all these fields with these values."""
    return all(name in cell and cell[name] == value for name, value in plain(fields).items())
