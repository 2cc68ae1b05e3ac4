"""Measures: gap, motion, exponents. Numbers only, no plots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.lazy import submodules

if TYPE_CHECKING:
    from lab.measures import (
        alignment,
        attempts,
        catapult,
        classification,
        conditions,
        curvature,
        departure,
        estimate,
        exponents,
        gap,
        growth,
        hardness,
        hitting,
        interpolation,
        kernels,
        landscape,
        motion,
        path,
        planted,
        population,
        random_matrix,
        relinearization,
        room,
        scale,
        schedule,
        selection,
        stability,
        surroundings,
        thresholds,
        validation,
    )

__all__ = [
    "alignment",
    "attempts",
    "catapult",
    "classification",
    "conditions",
    "curvature",
    "departure",
    "estimate",
    "exponents",
    "gap",
    "growth",
    "hardness",
    "hitting",
    "interpolation",
    "kernels",
    "landscape",
    "motion",
    "path",
    "planted",
    "population",
    "random_matrix",
    "relinearization",
    "room",
    "scale",
    "schedule",
    "selection",
    "stability",
    "surroundings",
    "thresholds",
    "validation",
]
__getattr__ = submodules(__name__)
