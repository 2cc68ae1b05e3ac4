"""Room to fit: the shortest motion that fits the data, and the radius within which the tangent kernel stays good.

The shortest motion falls as m^(−½) with the width m, since K₀ grows as m. Where it is shorter than the radius, the
solution of the linearized network lies inside a ball in which no bad critical point was found, and λ_min > 0 leaves no
room for one. The motion's length is a Frobenius norm and the radius a spectral one; ‖·‖₂ ≤ ‖·‖_F, so that their ratio
errs on the safe side.

It puts together what `lab.measures.landscape` and `lab.measures.thresholds` compute one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from lab.kernels.singular import spectral_norm
from lab.learners.kernel import KernelRegressor
from lab.measures.landscape import QUARTER, lowest_by_direction, shortest_fit
from lab.measures.thresholds import Threshold, earliest, falls_of_each
from lab.networks.elman import ElmanRNN


@dataclass(frozen=True)
class Room:
    """How far W has to go to fit, and how far it may go.

    Attributes
    ----------
    needed, needed_spectral
        Frobenius and spectral norm of the shortest motion with which the linearized network fits; None where it does
        not fit in general.
    valid
        Spectral radius up to which λ_min(K) keeps its share of λ_min(K₀); None if λ_min(K₀) is not positive.
    """

    needed: float | None
    needed_spectral: float | None
    valid: Threshold | None

    def summary(self) -> dict[str, float | str | None]:
        """``needed``, ``needed_spectral``, ``valid``, ``valid_censored``, and both norms over ``valid``, by name."""
        radius = None if self.valid is None else self.valid.value
        return {
            "needed": self.needed,
            "needed_spectral": self.needed_spectral,
            "valid": radius,
            "valid_censored": None if self.valid is None else self.valid.censored,
            "needed_over_valid": None if radius is None or self.needed is None else self.needed / radius,
            "needed_over_valid_spectral": (
                None if radius is None or self.needed_spectral is None else self.needed_spectral / radius
            ),
        }


def room_to_fit(
    network: ElmanRNN,
    inputs: Tensor,
    linear: KernelRegressor,
    direction: Tensor,
    radii: Sequence[float],
    *,
    level: float = QUARTER,
    iterations: int = 4,
) -> Room:
    """The motion that the linear model around W₀ needs, and the radius within which its kernel stays good.

    Parameters
    ----------
    network, inputs, linear
        At W₀; shape (n, L, p); the linear model around W₀ on these inputs.
    direction
        A motion of spectral norm 1, (m, m). The radius is the smaller of that in this direction and that of the worst
        motion that a search finds.
    radii
        ρ, ascending; the spectral radii are ρ/√m.
    level, iterations
        The share of λ_min(K₀) that has to be left, and gradients in each search.
    """
    shortest = shortest_fit(network, inputs, linear)
    length, spectral = (None, None) if shortest is None else (float(shortest.norm()), spectral_norm(shortest))
    lowest, wanted = linear.spectrum.lambda_min, level * linear.spectrum.lambda_min
    if lowest <= 0:
        return Room(length, spectral, None)
    places = [radius / network.width**0.5 for radius in radii]
    curves = lowest_by_direction(network, inputs, {"given": direction}, places, stop=wanted, iterations=iterations)
    return Room(length, spectral, earliest(falls_of_each(places, curves, wanted).values()))
