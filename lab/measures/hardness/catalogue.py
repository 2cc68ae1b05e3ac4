"""The targets and the errors to reach: cases, by name. No torch here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.costs import Cost, population_fit
from lab.errors import check_choice, refuse

#: What is fitted, in a few words.
TARGETS = {"neuron": "one neuron", "wave": "wave of shifted ReLUs, its kinks ∝ 1/√d apart"}

#: What each product is that the theorem bounds; see `lab.measures.hardness.prices.Price`.
PRODUCTS = {
    "product": "r*·max|u|, u by least squares with r* features",
    "wide_product": "R·max|u| for all features, u as small as ridge regression makes it at that error",
}
THEOREM_ERROR = 1 / 50  #: absolute mean square error in the theorem


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A target, and the random features that are fitted to it.

    Attributes
    ----------
    target, dimension
        One of `TARGETS`, and its number d of inputs.
    seed, features, bias_spread
        Of the draw of features, the largest number R of them, and the standard deviation of their biases.
    tolerances
        Relative errors to reach; see `cases`.
    bias, wave_spacing
        Of the neuron, in units of the norm of its weights; the kinks of the wave are ``wave_spacing``/√d apart.
    """

    target: str
    dimension: int
    seed: int
    features: int
    tolerances: tuple[float, ...]
    bias: float = 0.0
    bias_spread: float = 1.0
    wave_spacing: float = 4.0


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


def fitting_cost(setting: Setting) -> Cost:
    """Cost of the fits with every number of features."""
    return population_fit(setting.features)


def cases(target: str, tolerances: Sequence[float]) -> list[Case]:
    """The cases of a target: a neuron to each tolerance and as in the theorem, or the wave to the first tolerance.

    Raises
    ------
    LabError
        Another target, or tolerances whose cases have the same name.
    """
    check_choice("target", target, TARGETS)
    neurons = [neuron(tolerance) for tolerance in tolerances]
    if len({case.name for case in neurons}) < len(neurons):
        refuse("tolerances", str(tolerances), "values that differ in six digits", "name each value once")
    return [wave(tolerances[0])] if target == "wave" else [*neurons, THEOREM]


def read_cases(columns: Iterable[object], quantity: str) -> list[Case]:
    """The cases whose column of a quantity is among some columns: neurons in their order, the theorem, the wave.

    The tolerance of a wave is not in its name; it is 1 here.
    """
    there = list(map(str, columns))
    start = f"{quantity}_neuron_"
    percents = [name.removeprefix(start).replace("p", ".") for name in there if name.startswith(start)]
    others = [case for case in (THEOREM, wave(1.0)) if case.column(quantity) in there]
    return [*(neuron(float(percent) / 100) for percent in percents), *others]
