"""What surrounds an initialization: kernel, gates and linearization on spheres around it, in several directions.

It puts together what `lab.measures.landscape`, `path`, `motion` and `thresholds` compute one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.kernels.singular import spectral_norm
from lab.measures.exponents import fit_exponent
from lab.measures.landscape import (
    ADVERSARIAL,
    QUARTER,
    gaussian_direction,
    lowest_by_direction,
    moved,
    planted_motion,
    remainders_along,
    worst_motion,
)
from lab.measures.motion import gate_flips
from lab.measures.path import KernelPath
from lab.measures.thresholds import Threshold, earliest, falls_of_each
from lab.networks.elman import ElmanRNN

Array = NDArray[np.float64]

GAUSSIAN, DESCENT, PLANTED = "gaussian", "gd", "planted"
DIRECTIONS = (GAUSSIAN, DESCENT, ADVERSARIAL, PLANTED)  #: in the order of `Surroundings.shares`
PARTS = ("total", "kinks", "multilinear")  #: in the order of `Surroundings.remainders`


@dataclass(frozen=True)
class Surroundings:
    """What was found on spheres of spectral radius ρ/√m around W₀.

    Attributes
    ----------
    radii
        ρ, ascending, (R,).
    shares
        λ_min(K)/λ_min(K₀) in each of DIRECTIONS, (4, R). NaN where nothing was looked at, and everywhere if λ_min(K₀)
        is not positive.
    remainders
        RMS of f(W) − f₀ − J₀(W − W₀) in the direction of descent and of its two parts, PARTS, (3, R); NaN without it.
    flips
        Share of gates that differ at one ρ, by direction.
    falls
        ρ at which the share falls through a level, by direction; a direction without any value is left out.
    """

    radii: Array
    shares: Array
    remainders: Array
    flips: Mapping[str, float | None]
    falls: Mapping[str, Threshold]

    def arrays(self) -> dict[str, Array]:
        """The arrays among the attributes, by name."""
        return {"radii": self.radii, "shares": self.shares, "remainders": self.remainders}

    @property
    def worst(self) -> Threshold | None:
        """The smallest of ``falls``; None if there are none."""
        return earliest(self.falls.values())

    def summary(self, up_to: float) -> dict[str, float | str | None]:
        """Numbers by name; None where there is none.

        ``radius_of_validity`` and ``censored_of_validity``, the place and the censoring of `worst`; the same two of
        each direction, ``radius_gaussian`` and so on; ``flips_…`` of the directions that are not planted;
        ``slope_…``, the `slopes` up to this ρ.
        """
        row: dict[str, float | str | None] = {}
        places = {"of_validity": self.worst, **{name: self.falls.get(name) for name in DIRECTIONS}}
        for name, place in places.items():
            row[f"radius_{name}"] = None if place is None else place.value
            row[f"censored_{name}"] = None if place is None else place.censored
        row |= {f"flips_{name}": self.flips.get(name) for name in DIRECTIONS if name != PLANTED}
        return row | {f"slope_{part}": slope for part, slope in self.slopes(up_to).items()}

    def slopes(self, up_to: float) -> dict[str, float | None]:
        """Slope of the log of each part of the remainder on log ρ, over positive values at ρ ≤ ``up_to``, by part."""
        near = self.radii <= up_to
        return {
            part: fit_exponent(self.radii[near], values[near]).value
            for part, values in zip(PARTS, self.remainders, strict=True)
        }


def look_around(
    network: ElmanRNN,
    inputs: Tensor,
    path: KernelPath,
    radii: Sequence[float],
    flip_radius: float,
    *,
    level: float = QUARTER,
    seed: int = 0,
    iterations: int = 4,
) -> Surroundings:
    """Kernels, gates and linearization around W₀ in four directions.

    They are Gaussian, the motion of descent, the worst that `lab.measures.landscape.worst_motion` finds, and towards
    the planted stationary point.

    Parameters
    ----------
    network, inputs
        At W₀, and shape (n, L, p).
    path
        A descent from W₀. After a divergence its direction is left out.
    radii
        ρ of the spheres, ascending.
    flip_radius
        ρ at which flipped gates are counted.
    level
        Share of λ_min(K₀) through which the kernel is seen to fall. The search for the worst motion ends there.
    seed, iterations
        Of the Gaussian direction, and of the search.
    """
    taus, root = np.asarray(radii, dtype=np.float64), network.width**0.5
    lines, lambda_min = _directions(network, inputs, path.motion(), seed), path.linear.spectrum.lambda_min
    stop = level * lambda_min
    lowest = lowest_by_direction(network, inputs, lines, taus / root, stop=stop, iterations=iterations)
    shares = _stacked(DIRECTIONS, lowest, len(taus)) / (lambda_min if lambda_min > 0 else np.nan)
    missed = remainders_along(network, inputs, lines[DESCENT], taus / root) if DESCENT in lines else {}
    reach = flip_radius / root
    points = {name: reach * line for name, line in lines.items()}
    points[ADVERSARIAL] = worst_motion(network, inputs, reach, iterations=iterations)[1]
    return Surroundings(
        taus,
        shares,
        _stacked(PARTS, missed, len(taus)),
        _flips(network, inputs, points),
        falls_of_each(taus, dict(zip(DIRECTIONS, shares, strict=True)), level),
    )


def _directions(network: ElmanRNN, inputs: Tensor, motion: Tensor | None, seed: int) -> dict[str, Tensor]:
    """Motions of spectral norm 1."""
    lines = {GAUSSIAN: gaussian_direction(network, seed), PLANTED: planted_motion(network, inputs)}
    if motion is not None:
        lines[DESCENT] = motion
    return {name: line / spectral_norm(line) for name, line in lines.items()}


@torch.no_grad()
def _flips(network: ElmanRNN, inputs: Tensor, points: Mapping[str, Tensor]) -> dict[str, float | None]:
    gates = network.gates(inputs)
    return {name: gate_flips(gates, moved(network, motion).gates(inputs)) for name, motion in points.items()}


def _stacked(names: Sequence[str], curves: Mapping[str, Array], count: int) -> Array:
    """Curves (k, count) in the order of the names; NaN where there is none."""
    return np.stack([curves.get(name, np.full(count, np.nan)) for name in names])
