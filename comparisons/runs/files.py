"""A comparison in a file of the user's: loaded by its path, and refused before any work if it is not whole."""

from __future__ import annotations

import importlib.util
import sys
import traceback
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from comparisons.kit.settings import Settings
from comparisons.runs.options import NAMES as OPTIONS
from lab.errors import LabError, refuse

_ATTRIBUTES = ("question", "asked_by", "version", "Settings", "PRESETS", "Cell")
_NAMES = (*_ATTRIBUTES, "cells", "cost", "measure", "conclude", "draw")
_PRESETS = ("fast", "default", "full")
_README = "see “Add a comparison” in comparisons/README.md"


def load(path: Path) -> ModuleType:
    """The module in a file; it is loaded again when its content has changed.

    Raises
    ------
    LabError
        A file that is not there, that fails when it is loaded, or that lacks what a comparison has.
    """
    where = path.resolve()
    try:
        content = where.read_bytes()
    except OSError:
        refuse("comparison", repr(str(path)), "a Python file that is there", "check the path")
    name = f"comparisons_from_{where.stem}_{zlib.crc32(str(where).encode() + content):x}"
    if name not in sys.modules:
        try:
            _execute(name, where, content)
            _check(path, sys.modules[name])
        except BaseException:
            sys.modules.pop(name, None)
            raise
    return sys.modules[name]


def _execute(name: str, where: Path, content: bytes) -> None:
    """Make the module from the content that was read, so that its name and its code agree."""
    spec = importlib.util.spec_from_file_location(name, where)
    assert spec is not None  # every path that ends in .py has one
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: its dataclasses look themselves up there
    try:
        exec(compile(content, str(where), "exec"), vars(module))
    except Exception as error:
        came = f"{str(where)!r}, which fails {_place(error, where)}({type(error).__name__}: {error})"
        raise LabError("comparison", came, "a Python file that can be loaded", "correct the file") from error


def _place(error: Exception, where: Path) -> str:
    """The last line of the file on the way to an error; a syntax error names its line itself."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(where)]
    return f"in line {lines[-1]} " if lines else ""


def _check(path: Path, module: ModuleType) -> None:
    for came, allowed, fix in _faults(module):
        refuse("comparison", f"{str(path)!r} {came}", allowed, fix)


def _faults(module: ModuleType) -> Iterator[tuple[str, str, str]]:
    """What the module lacks: what came, what is allowed, and the fix."""
    if missing := [each for each in _NAMES if not hasattr(module, each)]:
        yield f"without {', '.join(missing)}", ", ".join(_NAMES), _README
    if type(module.version) is not int:
        yield f"with version = {module.version!r}", "an integer", "write version = 1"
    if not (isinstance(module.Settings, type) and issubclass(module.Settings, Settings)):
        yield "with other Settings", "a subclass of kit.Settings", _README
    if "__dataclass_fields__" not in vars(module.Settings):
        fix = "write @dataclass(frozen=True) above the class"
        yield "with a class Settings that is no dataclass", "a frozen dataclass", fix
    if taken := [each for each in module.Settings.__dataclass_fields__ if each in OPTIONS]:
        came = f"with the settings {', '.join(taken)}"
        yield came, f"names other than the run options {', '.join(OPTIONS)}", "rename them"
    if missing := [each for each in _PRESETS if not isinstance(module.PRESETS.get(each), module.Settings)]:
        yield f"without Settings for {', '.join(missing)} in PRESETS", ", ".join(_PRESETS), "add them to PRESETS"
