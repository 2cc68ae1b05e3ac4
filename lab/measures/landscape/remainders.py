"""What the linearization misses at a distance, split into gates that flip and the multilinear part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.measures.landscape.points import moved
from lab.networks.elman import ElmanRNN
from lab.networks.gate_frozen import GateFrozen


@dataclass(frozen=True)
class Remainder:
    """What the linearization misses on the outputs, RMS over samples and outputs.

    Attributes
    ----------
    total
        f(W₀ + W′) − f₀ − J₀W′.
    kinks
        f(W₀ + W′) − f_frozen(W₀ + W′): gates that flip.
    multilinear
        f_frozen(W₀ + W′) − f₀ − J₀W′: W is used L − 1 times in a row.
    """

    total: float
    kinks: float
    multilinear: float


@torch.no_grad()
def gate_frozen(network: ElmanRNN, inputs: Tensor, motion: Tensor) -> Tensor:
    """Outputs (n, o) at W₀ + W′ of the network whose gates stay those of W₀ (see `lab.networks.GateFrozen`)."""
    return GateFrozen(moved(network, motion), network).jacobian(inputs).outputs


@torch.no_grad()
def remainder(network: ElmanRNN, inputs: Tensor, motion: Tensor) -> Remainder:
    """What the linearization around W₀ misses at W₀ + W′, split by the gate-frozen network; only W may be trained.

    The multilinear part is O(‖W′‖²). The kinks are what Theorem 4 of Allen-Zhu, Li, Song 2019 pays for beyond that.
    """
    jacobian = network.jacobian(inputs)
    linear = jacobian.outputs + jacobian.push({"W": motion})
    frozen, outputs = gate_frozen(network, inputs, motion), moved(network, motion)(inputs).flatten(1)
    return Remainder(_rms(outputs - linear), _rms(outputs - frozen), _rms(frozen - linear))


def remainders_along(
    network: ElmanRNN, inputs: Tensor, direction: Tensor, radii: Sequence[float]
) -> dict[str, NDArray[np.float64]]:
    """Each part of the `remainder` at W₀ + r·direction for each radius r, by name, (R,)."""
    found = [remainder(network, inputs, radius * direction) for radius in radii]
    return {part.name: np.array([getattr(each, part.name) for each in found]) for part in fields(Remainder)}


def _rms(values: Tensor) -> float:
    return float(values.double().square().mean().sqrt())
