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
    distance = rms(network - linearized, axis=(1, 2))
    with np.errstate(divide="ignore"):
        gap = np.divide(distance, scale, out=np.zeros_like(distance), where=distance != 0)  # 0/0: nothing to learn
    return np.where(np.isfinite(gap), gap, np.inf)


def disagreement(linearized: Array, kernel: Array, scale: float) -> float:
    """Largest |linearized − kernel| over all steps, samples and outputs that both reached, in units of ``scale``.

    The two compute one curve in two ways, so this is the noise floor of every gap. At steps where an exploding model
    has outputs above the scale (RMS over samples and outputs), it is in units of these.
    """
    size = np.maximum(scale, rms(linearized, axis=(1, 2)))[:, None, None]
    difference = np.abs(linearized - kernel)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(difference == 0, 0.0, difference / size)
    finite = share[np.isfinite(share)]
    return float(finite.max()) if finite.size else float("nan")
