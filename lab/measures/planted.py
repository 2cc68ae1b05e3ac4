"""A planted stationary point beside the end of a descent: losses, distances, and the straight lines between them.

It puts together what `lab.measures.landscape` and `lab.measures.path` compute one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lab.kernels.singular import spectral_norm
from lab.measures.landscape import barrier, constant_loss, loss_and_gradient, losses_along, moved, planted_motion
from lab.measures.path import KernelPath
from lab.networks.elman import ElmanRNN

NO_UNIT = "all targets are equal, so that the best constant has no loss"
LINES = ("descent", "planted", "between")  #: W₀ → W_T, W₀ → W_bad, W_T → W_bad


@dataclass(frozen=True)
class PlantedPoint:
    """A planted stationary point W_bad, and the end W_T of a descent from the same W₀.

    Attributes
    ----------
    motion
        W_bad − W₀, (m, m).
    gradient
        Largest |entry| of the gradient at W_bad.
    loss, descent_loss
        Loss at W_bad and at W_T over that of the best constant; both are None where a constant fits, and the second one
        after a divergence.
    distance, descent_distance
        ‖W_bad − W₀‖_F and ‖W_T − W₀‖_F; the second one is None after a divergence.
    initial
        ‖W₀‖₂.
    shares
        Places on the lines, from 0 to 1, (P,).
    losses
        Loss there over that of the best constant by line, (P,); NaN where a constant fits. Lines to W_T are left out
        after a divergence.
    barriers
        How far the loss rises on a line above the higher of its ends, in the same unit, by line; none where a constant
        fits.
    """

    motion: Tensor
    gradient: float
    loss: float | None
    descent_loss: float | None
    distance: float
    descent_distance: float | None
    initial: float
    shares: NDArray[np.float64]
    losses: Mapping[str, NDArray[np.float64]]
    barriers: Mapping[str, float]

    @property
    def direction(self) -> Tensor:
        """The motion over its norm; it is of rank one, so that its spectral norm is 1."""
        return self.motion / self.distance

    def summary(self) -> dict[str, float | str | None]:
        """Numbers by name; None where there is none, and ``reasons`` in words where a constant fits."""
        near = self.descent_distance
        return {
            "planted_gradient": self.gradient,
            "planted_loss": self.loss,
            "descent_loss": self.descent_loss,
            **{f"barrier_{line}": self.barriers.get(line) for line in LINES},
            "planted_distance": self.distance,
            "planted_over_initial": self.distance / self.initial,
            "descent_distance": near,
            "distance_ratio": self.distance / near if near else None,
            "reasons": f"planted_loss: {NO_UNIT}" if self.loss is None else "",
        }

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """``shares`` (P,) and ``losses`` in the order of LINES, (3, P), NaN where there are none."""
        missing = np.full(len(self.shares), np.nan)
        return {"shares": self.shares, "losses": np.stack([self.losses.get(line, missing) for line in LINES])}


def plant(network: ElmanRNN, inputs: Tensor, targets: Tensor, path: KernelPath, points: int) -> PlantedPoint:
    """Plant a stationary point (`lab.measures.landscape.planted_motion`) and compare it with the end of a descent.

    Parameters
    ----------
    network, inputs, targets
        At W₀; shapes (n, L, p) and (n, o).
    path
        A descent from W₀ on these data.
    points
        Points on each line, its ends included.
    """
    targets = targets.to(network.W)
    bad, good, unit = planted_motion(network, inputs), path.motion(), constant_loss(targets)
    loss, gradient = loss_and_gradient(moved(network, bad), inputs, targets)
    shares = np.linspace(0, 1, points)
    ends = {"descent": (0 * bad, good), "planted": (0 * bad, bad), "between": (good, bad)}
    losses = {
        line: losses_along(network, inputs, targets, start, end, shares.tolist())
        for line, (start, end) in ends.items()
        if start is not None and end is not None
    }
    return PlantedPoint(
        bad,
        float(gradient.abs().max()),
        loss / unit if unit else None,
        0.5 * float(path.mse[-1]) * targets.numel() / unit if unit and good is not None else None,
        float(bad.norm()),
        None if good is None else float(good.norm()),
        spectral_norm(network.W.detach()),
        shares,
        {line: np.array(along) / (unit or np.nan) for line, along in losses.items()},
        {line: barrier(along) / unit for line, along in losses.items()} if unit else {},
    )
