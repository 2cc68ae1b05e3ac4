"""Learning rates that are raised until networks fail: settings and fields of cells of the questions that do so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Gt

from comparisons.kit import networks
from comparisons.kit.cells import pick
from comparisons.kit.settings import Count, Positive, Share, doc


@dataclass(frozen=True)
class RateSettings(networks.CentredSettings):
    """`CentredSettings`, a grid of rates in units of the critical one, and the effort for each rate."""

    smallest_fraction: Annotated[Share, doc("Smallest c to which the rate is raised.")] = 0.5
    largest_fraction: Annotated[float, Gt(1), doc("Largest c to which it is raised.")] = 8.0
    per_octave: Annotated[Count, doc("Values of c in each factor of 2.")] = 2
    patience: Annotated[Positive, doc("Budget of a rate, in steps of the linear model to a tenth of its loss.")] = 5.0
    least_steps: Annotated[Count, doc("No rate counts as trained before this step.")] = 60

    @property
    def fractions(self) -> tuple[float, ...]:
        """The rates, in units of the critical one, ascending."""
        import lab

        ends = self.smallest_fraction, self.largest_fraction
        return tuple(lab.measures.interpolation.octaves(*ends, self.per_octave))


@dataclass(frozen=True, kw_only=True)
class RateCell(networks.CentredCell):
    """One network whose rate is raised to these fractions of the critical one, if there are any."""

    patience: float
    least_steps: int
    fractions: tuple[float, ...]

    @property
    def effort(self) -> dict[str, Any]:
        """Fractions and effort by the names that `lab.measures.trainable` has for them."""
        return {**pick(self, "fractions", "patience", "least_steps"), "reference": self.critical_fraction}
