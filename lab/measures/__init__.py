"""Measures: gap, motion, exponents. Numbers only, no plots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.lazy import submodules

if TYPE_CHECKING:
    from lab.measures import (
        classification,
        curvature,
        estimate,
        exponents,
        gap,
        growth,
        hitting,
        kernels,
        landscape,
        motion,
        path,
        population,
        stability,
        thresholds,
    )

__all__ = [
    "classification",
    "curvature",
    "estimate",
    "exponents",
    "gap",
    "growth",
    "hitting",
    "kernels",
    "landscape",
    "motion",
    "path",
    "population",
    "stability",
    "thresholds",
]
__getattr__ = submodules(__name__)
