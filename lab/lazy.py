"""Submodules that are imported when they are first used, so that ``import lab`` loads neither torch nor matplotlib."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.util import find_spec
from types import ModuleType


def submodules(package: str) -> Callable[[str], ModuleType]:
    """A module-level ``__getattr__`` (PEP 562) that imports submodules of ``package`` on first use.

    It raises AttributeError for a name that is no submodule, as any module does.
    """

    def load(name: str) -> ModuleType:
        if name.startswith("_") or find_spec(f"{package}.{name}") is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return importlib.import_module(f"{package}.{name}")

    return load
