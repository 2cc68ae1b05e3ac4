"""Mistakes of outputs that were trained on ±1 targets: by sign for one output, by argmax for several."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab.data.signs import places_of
from lab.errors import refuse


def mistakes(outputs: ArrayLike, targets: ArrayLike) -> NDArray[np.int64]:
    """How many samples are classified wrongly.

    Parameters
    ----------
    outputs
        Shape (…, n, q). One output says the second class where it is above 0; of several the largest one wins, the
        first of equal ones. Outputs that are not finite are mistakes.
    targets
        ±1 of shape (n, q).

    Returns
    -------
    NDArray
        Counts of shape (…).

    Raises
    ------
    LabError
        Shapes that do not match.
    """
    f, y = np.asarray(outputs, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    if f.shape[-2:] != y.shape or y.ndim != 2:
        refuse("outputs", f"shapes {f.shape} and {y.shape}", "(…, n, q) and (n, q)", "put samples before outputs")
    wrong = places_of(f) != places_of(y)
    return np.asarray((wrong | ~np.isfinite(f).all(-1)).sum(-1))
