"""Figures: one style, curves that take and return an ``ax``. Takes numbers, trains nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.lazy import submodules

if TYPE_CHECKING:
    from lab.figures import (
        animation,
        architecture,
        curves,
        ensembles,
        estimates,
        fitting,
        growth,
        labels,
        notebook,
        orders,
        page,
        regimes,
        style,
        texts,
    )

__all__ = [
    "animation",
    "architecture",
    "curves",
    "ensembles",
    "estimates",
    "fitting",
    "growth",
    "labels",
    "notebook",
    "orders",
    "page",
    "regimes",
    "style",
    "texts",
]
__getattr__ = submodules(__name__)
