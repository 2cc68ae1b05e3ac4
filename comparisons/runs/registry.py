"""The comparisons that there are: the modules of this package, and any file of the user's."""

from __future__ import annotations

import importlib
import pkgutil
import typing
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import comparisons
from comparisons.kit.cells import from_json
from comparisons.kit.comparison import Comparison, Measured
from comparisons.runs.files import load
from lab.errors import LabError, ScaleWarning, refuse, spelling
from lab.sweeps import Cell

Kind = TypeVar("Kind")
PAIR = "a pair of dictionaries: the row and the arrays"


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


def address(name: str) -> str:
    """The name with which another process finds the comparison: its own, or the absolute path of its file."""
    return str(Path(name).resolve()) if is_file(name) else name


def find(name: str) -> Comparison:
    """The comparison of this name, or in the Python file of this path.

    Raises
    ------
    LabError
        If there is none, or a file does not have what a comparison has.
    """
    if is_file(name):
        return typing.cast(Comparison, load(Path(name)))
    if name not in names():
        fix = f"{spelling(name, names())}; one of your own is named by the path of its .py file"
        raise LabError("comparison", repr(name), "one of " + (", ".join(names()) or "none, there are none yet"), fix)
    return typing.cast(Comparison, importlib.import_module(f"comparisons.{name}"))


def identity(comparison: Comparison) -> str:
    """The name of the module that was loaded; it changes with the content of a user's file."""
    return typing.cast(ModuleType, comparison).__name__


def returned(function: str, value: Kind, kind: type[Any], allowed: str) -> Kind:
    """What a function of a comparison returned, refused if it is of another type."""
    if not isinstance(value, kind):
        refuse(f"{function}()", f"a {type(value).__name__} returned", allowed, f"correct the function {function}")
    return value


@dataclass(frozen=True)
class Measure:
    """Measures cells of a comparison given as JSON; it travels to workers, which load the comparison by its name.

    ``module`` is the `identity` of the comparison when the run began.
    """

    name: str
    module: str

    def __call__(self, cell: Cell) -> Measured:
        """Row and arrays of one cell.

        Raises
        ------
        LabError
            If the user's file has changed since the run began, or does not return row and arrays.
        """
        comparison = find(self.name)
        if identity(comparison) != self.module:
            fix = "run it again; raise its version if cells come out differently"
            refuse("comparison", f"{self.name!r}, changed since the run began", "the same file", fix)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ScaleWarning)  # uncentred networks are what some questions are about
            found = returned("measure", comparison.measure(typed(comparison, cell)), tuple, PAIR)
        if len(found) != 2 or not all(isinstance(each, Mapping) for each in found):
            refuse("measure()", f"a tuple of {len(found)} returned", PAIR, "correct the function measure")
        return found


def typed(comparison: Comparison, cell: Cell) -> Any:
    """A cell as the comparison has it, from its JSON form."""
    return from_json(comparison.Cell, dict(cell))
