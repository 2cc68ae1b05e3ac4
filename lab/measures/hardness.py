"""What random ReLU features pay for targets that are hard for them: how many features, how large coefficients.

Yehudai and Shamir 2019 prove that there are single neurons with weights polynomial in the dimension d for which the
number r of features or the largest coefficient max|u| is exponential in d; their bound is on the product r·max|u|.
A `Case` is a target and an error to reach. Errors are population mean squares over x ~ N(0, I_d).

References
----------
Yehudai, Shamir, "On the Power and Limitations of Random Features", NeurIPS 2019, section 4.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from lab.errors import check_choice
from lab.measures.population import PopulationFit, Target, random_neurons, single_neuron, triangle_wave

THEOREM_ERROR = 1 / 50  #: absolute mean square error in the theorem


@dataclass(frozen=True)
class Case:
    """A target, and how well it is to be fitted.

    Attributes
    ----------
    name, label
        In tables, and in figures.
    target
        "neuron" or "wave"; see `target`.
    tolerance
        Relative error to reach, in units of the best affine predictor's. None for the theorem's own setting: a neuron
        with weights of norm d², to an absolute error of 1/50. Of d² relu(x_1) that is 1/(50 d⁴) of relu(x_1)'s square.
    """

    name: str
    label: str
    target: str
    tolerance: float | None

    def column(self, quantity: str) -> str:
        """The column of a quantity of this case in a table; `read_cases` reads it back."""
        return f"{quantity}_{self.name}"

    def error(self, dimension: int, affine_error: float) -> float:
        """The error to reach for a target of unit weights."""
        return THEOREM_ERROR / dimension**4 if self.tolerance is None else self.tolerance * affine_error

    def norm(self, dimension: int) -> float:
        """Norm of the target's weights, by which coefficients are multiplied."""
        return float(dimension**2) if self.tolerance is None else 1.0


THEOREM = Case("theorem", "one neuron to 1/50 at weights of norm d²", "neuron", None)


def neuron(tolerance: float) -> Case:
    """A single neuron to a relative error: the same relative accuracy at every dimension."""
    percent = f"{100 * tolerance:g}"
    label = f"one neuron to {percent} % of the best affine predictor's error"
    return Case(f"neuron_{percent}".replace(".", "p"), label, "neuron", tolerance)


def wave(tolerance: float) -> Case:
    """The triangle wave to a relative error."""
    return Case("wave", "the wave of shifted ReLUs", "wave", tolerance)


def cases(target: str, tolerances: Sequence[float]) -> list[Case]:
    """The cases of a target: a neuron to each tolerance and as in the theorem, or the wave to the first tolerance."""
    check_choice("target", target, ("neuron", "wave"))
    return [wave(tolerances[0])] if target == "wave" else [*map(neuron, tolerances), THEOREM]


def read_cases(columns: Iterable[object], quantity: str) -> list[Case]:
    """The cases whose column of a quantity is among some columns: neurons in their order, the theorem, the wave.

    The tolerance of a wave is not in its name; it is 1 here.
    """
    there = list(map(str, columns))
    start = f"{quantity}_neuron_"
    percents = [name.removeprefix(start).replace("p", ".") for name in there if name.startswith(start)]
    others = [case for case in (THEOREM, wave(1.0)) if case.column(quantity) in there]
    return [*(neuron(float(percent) / 100) for percent in percents), *others]


def target(name: str, dimension: int, *, bias: float = 0.0, spacing: float = 4.0) -> Target:
    """The neuron relu(x_1 + bias); or a triangle wave in x_1 whose kinks are ``spacing``/√d apart.

    The wave is a sum of shifted ReLUs as in the proof, with fewer kinks than there, so that some d are in reach.
    """
    check_choice("target", name, ("neuron", "wave"))
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


def study(
    name: str,
    dimension: int,
    seed: int,
    *,
    features: int,
    tolerances: Sequence[float],
    bias: float = 0.0,
    bias_spread: float = 1.0,
    spacing: float = 4.0,
) -> Study:
    """Fit a target with every number of random features, up to ``features`` of them.

    Parameters
    ----------
    name, dimension, bias, spacing
        As for `target`.
    seed, features, bias_spread
        As for `lab.measures.population.random_neurons`.
    tolerances
        As for `cases`.
    """
    neurons = random_neurons(features, dimension, bias_spread=bias_spread, seed=seed)
    fit = PopulationFit(neurons, target(name, dimension, bias=bias, spacing=spacing))
    return Study(fit, cases(name, tolerances))
