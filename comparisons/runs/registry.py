"""The comparisons that there are: the modules of this package, and any file of the user's."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
import typing
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import comparisons
from comparisons.kit.cells import from_json
from comparisons.kit.comparison import Comparison, Measured
from lab.errors import LabError, refuse
from lab.sweeps import Cell

_ATTRIBUTES = ("question", "asked_by", "version", "Settings", "PRESETS", "Cell")
_NAMES = (*_ATTRIBUTES, "cells", "cost", "measure", "conclude", "draw")


def names() -> list[str]:
    """Every comparison of this package."""
    found = pkgutil.iter_modules(comparisons.__path__)
    return sorted(module.name for module in found if not module.ispkg and module.name[0] != "_")


def is_file(name: str) -> bool:
    """Whether a name is the path of a file with a comparison."""
    return name.endswith(".py")


def title(name: str) -> str:
    """The name under which a comparison's cells are kept: its own, or that of its file without the ending."""
    return Path(name).stem if is_file(name) else name


def find(name: str) -> Comparison:
    """The comparison of this name, or in the Python file of this path.

    Raises
    ------
    LabError
        If there is none, or a file does not have what a comparison has.
    """
    if is_file(name):
        return typing.cast(Comparison, _from_file(Path(name)))
    if name not in names():
        fix = "check the spelling with `lazylab list`; one of your own is named by the path of its .py file"
        raise LabError("comparison", repr(name), "one of " + (", ".join(names()) or "none, there are none yet"), fix)
    return typing.cast(Comparison, importlib.import_module(f"comparisons.{name}"))


def _from_file(path: Path) -> ModuleType:
    """The module in a file, loaded once per process."""
    where = path.resolve()
    name = f"comparisons_from_{where.stem}_{zlib.crc32(str(where).encode()):x}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, where)
    if not where.is_file() or spec is None or spec.loader is None:
        refuse("comparison", repr(str(path)), "a Python file that is there", "check the path")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: its dataclasses look themselves up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    missing = [each for each in _NAMES if not hasattr(module, each)]
    if missing:
        del sys.modules[name]
        fix = "see “Add a comparison” in the README"
        refuse("comparison", f"{str(path)!r} without {', '.join(missing)}", ", ".join(_NAMES), fix)
    return module


@dataclass(frozen=True)
class Measure:
    """Measures cells of a comparison given as JSON; it travels to workers, which load the comparison by its name."""

    name: str

    def __call__(self, cell: Cell) -> Measured:
        """Row and arrays of one cell."""
        comparison = find(self.name)
        return comparison.measure(typed(comparison, cell))


def typed(comparison: Comparison, cell: Cell) -> Any:
    """A cell as the comparison has it, from its JSON form."""
    return from_json(comparison.Cell, dict(cell))
