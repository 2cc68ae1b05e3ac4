"""What the cases of `lab.measures.hardness.catalogue` cost with some random features."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from lab.errors import check_choice
from lab.measures.hardness.catalogue import TARGETS, Case, Setting, cases
from lab.measures.population import PopulationFit, Target, random_neurons, single_neuron, triangle_wave


def target(name: str, dimension: int, *, bias: float = 0.0, spacing: float = 4.0) -> Target:
    """The neuron relu(x_1 + bias); or a triangle wave in x_1 whose kinks are ``spacing``/√d apart.

    The wave is a sum of shifted ReLUs as in the proof, with fewer kinks than there, so that some d are in reach.
    """
    check_choice("target", name, TARGETS)
    return (
        triangle_wave(dimension, spacing / math.sqrt(dimension)) if name == "wave" else single_neuron(dimension, bias)
    )


@dataclass(frozen=True)
class Price:
    """What a case costs.

    Attributes
    ----------
    features
        r*, the smallest number of features that reach the error.
    product
        r*·max|u|, u by least squares with r* features.
    wide_product
        R·max|u| for all R features, with u as small as ridge regression makes it at that error; None where rounding
        keeps the error out of reach. The bound is on every combination, not only on the one with fewest features, and
        this product is the smaller of the two and by far the less noisy: max|u| at r* depends on a few almost parallel
        features.
    """

    features: int
    product: float
    wide_product: float | None


def price(fit: PopulationFit, case: Case) -> Price | None:
    """What a case costs with some random features; None where all of them are not enough."""
    dimension = fit.neurons.directions.shape[1]
    error, norm = case.error(dimension, fit.target.affine_error), case.norm(dimension)
    count = fit.features_for(error)
    if count is None:
        return None
    small = fit.small_coefficients(error)
    wide = None if small is None else len(fit.errors) * norm * float(np.abs(small).max())
    return Price(count, count * norm * float(np.abs(fit.coefficients(count)).max()), wide)


@dataclass(frozen=True, eq=False)
class Study:
    """What the cases of a target cost with some random features.

    Attributes
    ----------
    fit
        The fits with every number of features.
    cases
        Of the fitted target.
    """

    fit: PopulationFit
    cases: Sequence[Case]

    @property
    def errors(self) -> NDArray[np.float64]:
        """Errors with the first r features, (R,), in units of the best affine predictor's."""
        return np.asarray(self.fit.errors / self.fit.target.affine_error)

    def summary(self) -> dict[str, float | str | bool | None]:
        """Prices by `Case.column`, and "reasons" for those cases that all features, the "limit", are too few for."""
        limit, reasons = len(self.errors), []
        row: dict[str, float | str | bool | None] = {"limit": limit, "affine_error": self.fit.target.affine_error}
        row |= {"error_at_limit": float(self.errors[-1]), "diverged": False}
        for case in self.cases:
            found = price(self.fit, case)
            row |= {case.column(entry.name): getattr(found, entry.name, None) for entry in fields(Price)}
            reasons += [] if found else [f"{case.column('features')}: right censored at {limit}"]
        return {**row, "reasons": "; ".join(reasons)}

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Errors at 40 log-spaced numbers of features, or at all of fewer, and these numbers."""
        counts = np.unique(np.geomspace(1, len(self.errors), 40).round().astype(int))
        return {"counts": counts, "errors": self.errors[counts - 1]}


def study(setting: Setting) -> Study:
    """Fit the target of a setting with every number of its random features."""
    wanted = target(setting.target, setting.dimension, bias=setting.bias, spacing=setting.wave_spacing)
    features, d = setting.features, setting.dimension
    neurons = random_neurons(features, d, bias_spread=setting.bias_spread, seed=setting.seed)
    return Study(PopulationFit(neurons, wanted), cases(setting.target, setting.tolerances))
