"""The questions, one module each; ``run`` and ``load`` give their answers to Python and to the command."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from comparisons.runs.outputs import Run
    from comparisons.runs.run import load, run

__all__ = ["Run", "load", "run"]

_HOMES = {"Run": "comparisons.runs.outputs", "load": "comparisons.runs.run", "run": "comparisons.runs.run"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'comparisons' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
