"""Mean and variance of outputs over an ensemble, and how to collect them from one member at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Mean and variance of outputs over initializations.

    Attributes
    ----------
    mean, variance
        Both (T, n, o): recorded steps, samples, outputs. NaN where there are too few members, or after a divergence.
    """

    mean: Array
    variance: Array

    @property
    def deviation(self) -> Array:
        """Standard deviation, (T, n, o)."""
        return np.asarray(np.sqrt(self.variance))


class RunningMoments:
    """Mean and unbiased variance (ddof = 1) of arrays that come one at a time; none of them is kept.

    Differences from the running mean are added up, not squares: the variance stays accurate where it is small beside
    the mean.

    References
    ----------
    Welford, "Note on a method for calculating corrected sums of squares and products", Technometrics 4, 1962.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count = 0
        self._mean, self._squares = np.zeros(shape), np.zeros(shape)

    def add(self, values: Array) -> None:
        """Take one more array into account."""
        self.count += 1
        before = values - self._mean
        self._mean += before / self.count
        self._squares += before * (values - self._mean)

    def moments(self) -> Moments:
        """What was collected; the mean is NaN without an array, the variance with fewer than two."""
        mean = self._mean.copy() if self.count else np.full_like(self._mean, np.nan)
        enough = self.count > 1
        return Moments(mean, self._squares / (self.count - 1) if enough else np.full_like(mean, np.nan))
