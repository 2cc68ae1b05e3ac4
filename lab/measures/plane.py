"""Laws of the gap in the plane of width m and output scale α: a sum of two powers, and a limit of large width.

References
----------
Dyer, Gur-Ari, "Asymptotics of Wide Networks from Feynman Diagrams", ICLR 2020 (orders in 1/m of smooth networks).
Geiger, Spigler, Jacot, Wyart, "Disentangling feature and lazy training in deep neural networks", J. Stat. Mech. 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls
from torch import Tensor

from lab.errors import check_number, refuse

Array = NDArray[np.float64]

_FEWEST = 3  # widths for a limit: a line has two parameters


@dataclass(frozen=True)
class TwoTermGap:
    """The gap (a/α + b/α²)/m of a smooth network, where it is small.

    The two orders of perturbation theory differ in α: the changes of the weights on which the second derivative acts
    are of order 1/α. In each realization a is a sum of random signs.

    Attributes
    ----------
    a, b
        Not negative.
    """

    a: float
    b: float

    @classmethod
    def fit(cls, widths: ArrayLike, alphas: ArrayLike, gaps: ArrayLike) -> TwoTermGap:
        """Least squares in the relative error, from widths, scales and gaps (k,); all are positive.

        Raises
        ------
        LabError
            Shapes that do not match, fewer than two gaps, or something that is not positive.
        """
        m, scale, gap = (np.asarray(values, dtype=np.float64) for values in (widths, alphas, gaps))
        if gap.ndim != 1 or len(gap) < 2 or not m.shape == scale.shape == gap.shape:
            came = f"shapes {m.shape}, {scale.shape} and {gap.shape}"
            refuse("gaps", came, "a width and a scale for each of two gaps or more", "leave out what has no gap")
        if not all((values > 0).all() and np.isfinite(values).all() for values in (m, scale, gap)):
            refuse("gaps", "a number that is not positive", "positive widths, scales and gaps", "leave it out")
        terms = np.stack([1 / scale, 1 / scale**2], 1) / (m * gap)[:, None]
        (a, b), _ = nnls(terms, np.ones(len(gap)))
        return cls(float(a), float(b))

    def __call__(self, widths: ArrayLike, alphas: ArrayLike) -> Array:
        """The gap at widths and scales that broadcast."""
        m, scale = np.asarray(widths, dtype=np.float64), np.asarray(alphas, dtype=np.float64)
        return np.asarray((self.a / scale + self.b / scale**2) / m)

    def boundary(self, widths: ArrayLike, level: float) -> Array:
        """The scales (k,) at which the gap is ``level``: √(b/(level·m)) where they are far below b/a, else a/(level·m).

        Raises
        ------
        LabError
            A level that is not positive.
        """
        check_number("level", level, above=0)
        height = level * np.asarray(widths, dtype=np.float64)
        return np.asarray((self.a + np.sqrt(self.a**2 + 4 * self.b * height)) / (2 * height))


def width_limits(widths: ArrayLike, values: ArrayLike) -> Array:
    """Limits (seeds,) of a quantity at infinite width: v∞ of the least squares fit v∞ + c·m^(−1/2) of each seed.

    Parameters
    ----------
    widths
        At least three distinct positive numbers (w,).
    values
        Shape (seeds, w), finite.

    Raises
    ------
    LabError
        Shapes that do not match, fewer than three widths, or a value that is not finite.
    """
    m, table = np.asarray(widths, dtype=np.float64), np.atleast_2d(np.asarray(values, dtype=np.float64))
    if m.ndim != 1 or table.shape[1:] != m.shape or len(np.unique(m)) < _FEWEST or not (m > 0).all():
        came = f"shapes {m.shape} and {table.shape}"
        refuse("values", came, f"values (seeds, w) at {_FEWEST} widths or more", "measure more widths")
    if not np.isfinite(table).all():
        refuse("values", "a value that is not finite", "finite values", "leave out widths at which a run diverged")
    return np.asarray(np.polyfit(m**-0.5, table.T, 1)[1])


@torch.no_grad()
def unit_alignment(weights: Tensor, direction: Tensor) -> Array:
    """Cosines (m,) of the angles between the input weights of each hidden unit, (m, p), and a direction (p,).

    Weights of further inputs than those of the direction are left out: a constant, say.
    """
    rows = weights[:, : len(direction)].double().cpu()
    aim = direction.double().cpu()
    return np.asarray(rows @ aim / (torch.linalg.vector_norm(rows, dim=1) * torch.linalg.vector_norm(aim)))
