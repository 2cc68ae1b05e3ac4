"""Measures: gap, motion, exponents. Numbers only, no plots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.lazy import submodules

if TYPE_CHECKING:
    from lab.measures import (
        alignment,
        catapult,
        classification,
        conditions,
        curvature,
        departure,
        estimate,
        exponents,
        gap,
        growth,
        hitting,
        interpolation,
        kernels,
        landscape,
        motion,
        path,
        population,
        random_matrix,
        scale,
        schedule,
        selection,
        stability,
        surroundings,
        thresholds,
    )

__all__ = [
    "alignment",
    "catapult",
    "classification",
    "conditions",
    "curvature",
    "departure",
    "estimate",
    "exponents",
    "gap",
    "growth",
    "hitting",
    "interpolation",
    "kernels",
    "landscape",
    "motion",
    "path",
    "population",
    "random_matrix",
    "scale",
    "schedule",
    "selection",
    "stability",
    "surroundings",
    "thresholds",
]
__getattr__ = submodules(__name__)
