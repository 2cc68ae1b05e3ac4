"""How far the network strays from its linearization."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def rms(values: Array, axis: int | tuple[int, ...] | None = None) -> Array:
    """Root of the mean square over some axes."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.sqrt(np.mean(np.square(values), axis=axis)))


def tracking_gap(network: Array, linearized: Array, scale: float) -> Array:
    """RMS over samples and outputs of (network − linearized) at each recorded step, in units of ``scale``.

    Parameters
    ----------
    network, linearized
        Outputs (T, n, o).
    scale
        RMS of (targets − initial outputs) on the training split.

    Returns
    -------
    Array
        Shape (T,); inf wherever either has diverged (its row is not finite).
    """
    gap = rms(network - linearized, axis=(1, 2)) / scale
    return np.where(np.isfinite(gap), gap, np.inf)


def disagreement(linearized: Array, kernel: Array, scale: float) -> float:
    """Largest |linearized − kernel| over all steps, samples and outputs that both reached, in units of ``scale``.

    The two compute one curve in two ways, so this is the noise floor of every gap.
    """
    difference = np.abs(linearized - kernel)
    finite = difference[np.isfinite(difference)]
    return float(finite.max() / scale) if finite.size else float("nan")
