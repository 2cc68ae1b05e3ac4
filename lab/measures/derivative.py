"""A Jacobian against a difference quotient of the network itself, which shares no code with it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lab.jacobians.expansion import Expansion
from lab.jacobians.jacobian import Jacobian, Tangent
from lab.networks.network import Network

_TOLERANCE = 15.0  # in units of ε^(1/3)
_KINK = 0.1  # share of the sum of two errors from which their difference is no rounding
_AT_A_KINK = "units lie exactly at a kink, where torch takes one of two derivatives"
_SECOND_STEP, _SECOND_TOLERANCE = 1e-7, 1e-3  # of the second derivative
_LEAST_SECOND = 1e-5  # share of J₀v below which vᵀH₀v may be rounding alone
_HALF_PRECISION = 1e-3  # ε from which a difference quotient has no digits left


@dataclass(frozen=True)
class DerivativeCheck:
    """How far J₀v is from a difference quotient along v.

    Attributes
    ----------
    error
        ‖(f(θ₀ + hv) − f₀)/h − J₀v‖ / ‖J₀v‖ over samples and outputs; None where it has no value.
    tolerance
        What rounding and curvature explain.
    reason
        Why there is no value, or why it is large although the derivative is right; else None.
    """

    error: float | None
    tolerance: float
    reason: str | None = None

    @property
    def fails(self) -> bool:
        """Whether the error is larger than the tolerance and no kink explains it."""
        return self.error is not None and self.error > self.tolerance and self.reason is None


@torch.no_grad()
def check_derivative(network: Network, jacobian: Jacobian, inputs: Tensor, seed: int = 0) -> DerivativeCheck:
    """Compare J₀v with one more evaluation of the network, at θ₀ + hv for a random direction v.

    v is normal, in units of the RMS of each parameter. Entries of a parameter in which every derivative is zero are not
    moved, so that dead units and rows of padding do not count. Three things separate J₀v and the quotient: curvature,
    of relative size h; rounding of the outputs, ε/h for the precision ε of the weights; and the ReLU gates that flip
    between θ₀ and θ₀ + hv, a share of about h of all, which contribute with random signs, √h. The last two are equal at
    h = ε^(2/3). The tolerance is fifteen times that size, 15 ε^(1/3), which is 9e-5 in float64 and 0.07 in float32, and
    larger by ‖f₀‖/‖J₀v‖ where that is above 1.

    An error above the tolerance is looked at again along −v. If J₀ is wrong, both errors are equal. If units lie
    exactly at a kink (blank regions of images with biases of zero), they are those of two one-sided derivatives, of
    which torch takes one by convention: then ``reason`` says so.

    Parameters
    ----------
    network
        A network at θ₀; its weights are moved and put back to the bit.
    jacobian
        Jacobian at θ₀ on these inputs, kept, or of another copy of the network.
    inputs
        Shape (n, …).
    seed
        Of the direction.
    """
    precision = torch.finfo(jacobian.outputs.dtype).eps
    step, tolerance = precision ** (2 / 3), _TOLERANCE * precision ** (1 / 3)
    if precision > _HALF_PRECISION:
        return DerivativeCheck(None, tolerance, f"{jacobian.outputs.dtype} has too few digits")
    direction = _direction(network, jacobian, torch.Generator().manual_seed(seed))
    error, derivative = _error_along(network, jacobian, inputs, direction, step)
    check = _compare(error, derivative, jacobian.outputs.double(), tolerance)
    if not check.fails:
        return check
    behind = -_error_along(network, jacobian, inputs, direction, -step)[0]
    difference, total = torch.linalg.vector_norm(error - behind), torch.linalg.vector_norm(error + behind)
    return replace(check, reason=_AT_A_KINK if bool(difference > _KINK * total) else None)


@torch.no_grad()
def check_second_derivative(network: Network, expansion: Expansion, inputs: Tensor, seed: int = 0) -> DerivativeCheck:
    """Compare vᵀH₀v with a difference quotient of J v, for a random direction v; in float64 alone.

    v is as for `check_derivative`. The quotient is (J(θ₀ + hv)v − J(θ₀ − hv)v)/2h with h = 1e-7: so near that hardly
    a ReLU gate flips, and so far that its rounding errors are of the size 1e-9 ‖J₀v‖. The error is in units of ‖vᵀH₀v‖,
    but at least of 1e-5 ‖J₀v‖: outputs that are linear in the weights have no second derivative, only rounding. An
    error above the tolerance of 1e-3 is looked at again with h/2: if H₀ is wrong, both errors are equal; if a gate
    flips in between, they are not.

    Parameters
    ----------
    network
        A network at θ₀; its weights are moved and put back to the bit.
    expansion
        Its expansion at θ₀ on these inputs.
    inputs
        Shape (n, …).
    seed
        Of the direction.
    """
    outputs = expansion.outputs
    if outputs.dtype != torch.float64:
        return DerivativeCheck(None, _SECOND_TOLERANCE, f"{outputs.dtype} has too few digits")
    direction = _direction(network, network.jacobian(inputs), torch.Generator().manual_seed(seed))
    ahead, behind = ({name: sign * v for name, v in direction.items()} for sign in (1, -1))
    there, back = expansion.at(ahead).outputs, expansion.at(behind).outputs
    second, least = there + back - 2 * outputs, _LEAST_SECOND * float(torch.linalg.vector_norm(there - back)) / 2
    near, far = (
        _slope_quotient(network, direction, inputs, step) - second for step in (_SECOND_STEP / 2, _SECOND_STEP)
    )
    check = _compare(far, second, outputs, _SECOND_TOLERANCE, least)
    difference, total = torch.linalg.vector_norm(near - far), torch.linalg.vector_norm(near + far)
    return replace(check, reason=_AT_A_KINK if check.fails and bool(difference > _KINK * total) else None)


def _slope_quotient(network: Network, direction: Tangent, inputs: Tensor, step: float) -> Tensor:
    """(J(θ₀ + hv)v − J(θ₀ − hv)v)/2h, (n, o)."""
    saved, slopes = {name: value.detach().clone() for name, value in network.trained.items()}, []
    try:
        for sign in (1, -1):
            for name, value in network.trained.items():
                value.copy_(saved[name] + sign * step * direction[name])
            slopes.append(network.jacobian(inputs).push(direction))
    finally:
        for name, value in network.trained.items():
            value.copy_(saved[name])
    return (slopes[0] - slopes[1]) / (2 * step)


def _error_along(
    network: Network, jacobian: Jacobian, inputs: Tensor, direction: Tangent, step: float
) -> tuple[Tensor, Tensor]:
    """(f(θ₀ + hv) − f₀)/|h| − J₀v and J₀v, (n, o) in float64; v has the sign of h and is what rounding leaves of it."""
    saved = {name: value.detach().clone() for name, value in network.trained.items()}
    moved: Tangent = {}
    try:
        for name, value in network.trained.items():
            value.add_(direction[name], alpha=step)
            moved[name] = (value - saved[name]) / abs(step)
        outputs = network(inputs).flatten(1)
    finally:
        for name, value in network.trained.items():
            value.copy_(saved[name])
    derivative = jacobian.push(moved).double()
    return (outputs.double() - jacobian.outputs.double()) / abs(step) - derivative, derivative


def _direction(network: Network, jacobian: Jacobian, generator: torch.Generator) -> Tangent:
    """A normal direction, without the entries that no output depends on unless these are the whole parameter."""
    outputs, weights = jacobian.outputs, network.trained
    pulled = jacobian.pull(_normal(outputs, generator))
    squares = sum(float(value.double().square().sum()) for value in weights.values())
    typical = (squares / sum(value.numel() for value in weights.values())) ** 0.5 or 1.0
    direction = {}
    for name, value in weights.items():
        size = float(value.double().square().mean().sqrt()) or typical
        live = pulled[name] != 0 if bool(pulled[name].any()) else torch.ones_like(value, dtype=torch.bool)
        direction[name] = size * _normal(value, generator) * live
    return direction


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device="cpu").to(like.device)


def _compare(
    difference: Tensor, derivative: Tensor, start: Tensor, tolerance: float, least: float = 0.0
) -> DerivativeCheck:
    """The size of a difference in units of that of the derivative, or of the least size that is told from rounding."""
    distance, size, outputs = (float(torch.linalg.vector_norm(each)) for each in (difference, derivative, start))
    size = max(size, least)
    if distance == 0:
        return DerivativeCheck(0.0, tolerance)
    error = distance / size if size else math.inf
    if math.isnan(error):
        return DerivativeCheck(None, tolerance, "the network has no finite outputs near its start")
    return DerivativeCheck(error, tolerance * max(1.0, outputs / size) if size else tolerance)
