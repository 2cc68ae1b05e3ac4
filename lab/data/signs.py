"""Classes as the ±1 that least squares learns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sign_columns(places: NDArray[np.integer], classes: int) -> NDArray[np.float64]:
    """Targets of class indices (n,): −1 and +1, (n, 1), for two classes; for more a column each, (n, classes).

    A sample has +1 in the column of its own class and −1 elsewhere; with two classes, +1 is the second one.
    """
    signs = 2.0 * (np.asarray(places)[:, None] == np.arange(classes)) - 1.0
    return np.asarray(signs[:, 1:] if classes == 2 else signs)


def places_of(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """Class indices (…) that outputs or targets (…, q) mean: whether one output is above 0; of several, the largest."""
    return np.asarray(values[..., 0] > 0 if values.shape[-1] == 1 else values.argmax(-1), dtype=np.int64)
