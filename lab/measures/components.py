"""Variance components: how much of a spread comes from what groups of measurements share."""

from __future__ import annotations

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from lab.errors import refuse
from lab.measures.estimate import Estimate


def group_share(values: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Share of the variance that lies between groups, σ_g²/(σ_g² + σ²) of v_gi = μ + a_g + e_gi with normal a and e.

    Parameters
    ----------
    values
        Shape (groups, members), finite; two or more of both.
    confidence
        Of the interval.

    Returns
    -------
    Estimate
        The estimate by mean squares, (F − 1)/(F − 1 + k) for k members and F their quotient, and the exact interval of
        Searle 1971; both are cut off at 0. No value where nothing varies.

    Raises
    ------
    LabError
        Other shapes, or values that are not finite.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2 or not np.isfinite(table).all():
        came = f"shape {table.shape}" if table.ndim != 2 or min(table.shape) < 2 else "a value that is not finite"
        refuse("values", came, "finite values (groups, members), two or more of both", "measure more, or drop groups")
    groups, members = table.shape
    between, within = groups - 1, groups * (members - 1)
    inner = float(np.square(table - table.mean(1, keepdims=True)).sum() / within)
    outer = float(members * table.mean(1).var(ddof=1))
    if inner == 0:
        return Estimate(None, None, "nothing varies") if outer == 0 else Estimate(1.0, (1.0, 1.0))
    tail = (1 + confidence) / 2
    low, high = scipy.stats.f.ppf(tail, between, within), 1 / scipy.stats.f.ppf(tail, within, between)
    shares = [max((f - 1) / (f - 1 + members), 0.0) for f in (outer / inner / np.array([1.0, low, high])).tolist()]
    return Estimate(shares[0], (shares[1], shares[2]))
