"""How far weights, gates and kernel moved between two points of training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from lab.html import Facts
from lab.jacobians.jacobian import Tangent
from lab.kernels.singular import spectral_norm
from lab.networks.network import Network, Redrawable


@dataclass(frozen=True)
class Motion(Mapping[str, float | None], Facts):
    """Motion of a network from its start to the last recorded step; a quantity that has no value is None.

    Also a mapping from names to values.

    Attributes
    ----------
    weight_motion
        ‖θ_T − θ₀‖_F over all trained parameters.
    relative_weight_motion
        The same over ‖θ₀‖_F; None where all of θ₀ is 0.
    spectral_motion
        ‖W_T − W₀‖₂, the spectral norm of the recurrent weight's motion.
    kernel_drift
        ‖K_T − K₀‖_F / ‖K₀‖_F on the training set.
    gate_flips
        Share of ReLU gates on the training set (all samples, steps and units) that changed.
    reasons
        Why a value is None, by name.
    """

    weight_motion: float | None
    relative_weight_motion: float | None
    spectral_motion: float | None
    kernel_drift: float | None
    gate_flips: float | None
    reasons: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> float | None:
        if name not in MOTIONS:
            raise KeyError(name)
        value: float | None = getattr(self, name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(MOTIONS)

    def __len__(self) -> int:
        return len(MOTIONS)

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        return "Motion", {name: self.reasons.get(name) if value is None else value for name, value in self.items()}


MOTIONS = tuple(entry.name for entry in fields(Motion) if entry.name != "reasons")


@dataclass(frozen=True)
class Origin:
    """What is remembered of a network at its start, to measure its motion from there.

    Attributes
    ----------
    kernel
        K₀ on the training inputs, (n, o, n, o); None where no kernel is formed, so that its drift is not known.
    gates
        Open gates there, booleans, or None.
    weights
        The network as it was, or None where its initial weights are drawn again.
    """

    kernel: Tensor | None
    gates: Tensor | None
    weights: Network | None

    @classmethod
    def of(cls, network: Network, inputs: Tensor, kernel: Tensor | None, *, moves: bool = False) -> Origin:
        """Remember this network; if it itself ``moves``, a copy of it, or none where its weights can be drawn again."""
        weights: Network | None = network
        if moves:
            weights = None if isinstance(network, Redrawable) and network.is_initial() else network.copy()
        return cls(kernel, network.gates(inputs), weights)


@torch.no_grad()
def measure_motion(origin: Origin, after: Network, inputs: Tensor) -> Motion:
    """Motion of a network from its origin, on inputs (n, …)."""
    reasons: dict[str, str] = {}
    drift, spectral, flips = None, None, gate_flips(origin.gates, after.gates(inputs))
    with _moved(origin, after) as (moved, start):
        length = norm(moved)
        if "W" in moved and moved["W"].ndim == 2:
            spectral = spectral_norm(moved["W"].detach())
    if spectral is None:
        reasons["spectral_motion"] = "no recurrent weight W is trained"
    if not start:
        reasons["relative_weight_motion"] = "all trained parameters start at 0"
    if flips is None:
        reasons["gate_flips"] = "this network has no on/off gates"
    if origin.kernel is None:
        reasons["kernel_drift"] = "no kernel was formed"
    else:
        change = after.jacobian(inputs).gram() - origin.kernel
        drift = float(torch.linalg.vector_norm(change) / torch.linalg.vector_norm(origin.kernel))
    return Motion(length, length / start if start else None, spectral, drift, flips, reasons)


@contextmanager
def _moved(origin: Origin, after: Network) -> Iterator[tuple[Tangent, float]]:
    """θ_T − θ₀ and ‖θ₀‖: as a new tangent, or formed in the weights themselves, which are restored at the end."""
    if origin.weights is not None:
        before = origin.weights.trained
        yield {name: value - before[name] for name, value in after.trained.items()}, norm(before)
        return
    assert isinstance(after, Redrawable)
    start = _add_initial(after, -1.0)
    try:
        yield after.trained, start
    finally:
        _add_initial(after, 1.0)  # exact where a weight moved by less than half: W − W₀ was exact there


def _add_initial(network: Redrawable, sign: float) -> float:
    """θ += sign · θ₀ in place, a few rows at a time, drawn again; returns ‖θ₀‖."""
    squares = 0.0
    for name, weight in network.trained.items():
        for place, rows in network.initial_pieces(name):
            weight[place].add_(rows, alpha=sign)
            squares += float(torch.linalg.vector_norm(rows)) ** 2
    return math.sqrt(squares)


def no_motion(reason: str) -> Motion:
    """A motion without values, all for one reason."""
    return Motion(None, None, None, None, None, dict.fromkeys(MOTIONS, reason))


def norm(tangent: Tangent) -> float:
    """Euclidean norm over all entries of a tangent."""
    return math.hypot(*(float(torch.linalg.vector_norm(value.detach())) for value in tangent.values()))


def distance(before: Network, after: Network) -> float:
    """‖θ_T − θ₀‖_F over all trained parameters of two copies of one network."""
    start = before.trained
    differences = (value.detach() - start[name].detach() for name, value in after.trained.items())
    return math.sqrt(sum(float(difference.square().sum()) for difference in differences))


def open_gates(gates: Tensor | None) -> float | None:
    """Share of gates (booleans of any shape) that are open; None where there are none."""
    return None if gates is None else float(gates.double().mean())


def gate_flips(before: Tensor | None, after: Tensor | None) -> float | None:
    """Share of gates (booleans of one shape) that differ; None where there are none."""
    return None if before is None or after is None else float((before != after).double().mean())
