"""Chizat, Oyallon and Bach's criterion: how much the Jacobian changes while the residual is learnt."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lab.errors import check_number, refuse
from lab.networks.network import Network


@torch.no_grad()
def relative_curvature(network: Network, inputs: Tensor, residual: Tensor, distance: float) -> float:
    """κ = ‖r₀‖ ‖J(θ₀ + hv) − J(θ₀)‖_F / (h ‖J₀‖_F²), v = J₀ᵀr₀/‖J₀ᵀr₀‖: training is lazy where κ ≪ 1.

    A finite difference over the distance h that training is going to move, so that kinks on the way count: the second
    derivative that autograd gives is blind to a ReLU's. The Jacobian's rows are compared one by one, since differences
    of kernels would cancel: one forward pass and o backward passes for each sample and end.

    Parameters
    ----------
    network
        At θ₀; it is not changed. For a `Scaled` one, κ falls as 1/α wherever J is smooth over the distance h.
    inputs
        Samples first, (n, …).
    residual
        r₀ = f₀ − y, shape (n, o).
    distance
        h > 0, a distance in weights.

    Raises
    ------
    LabError
        A distance that is not positive, or a residual without a gradient.

    References
    ----------
    Chizat, Oyallon, Bach, "On Lazy Training in Differentiable Programming", NeurIPS 2019, section 1, there with
    operator norms of the derivatives; Frobenius norms, and one direction of the second one, here.
    """
    check_number("distance", distance, above=0)
    gradient = network.jacobian(inputs).pull(residual)
    length = math.hypot(*(float(torch.linalg.vector_norm(value)) for value in gradient.values()))
    if not 0 < length < math.inf:
        refuse(
            "residual", f"a gradient of norm {length:g}", "a gradient to follow", "pass f₀ − y of an untrained network"
        )
    moved = network.copy()
    for name, value in moved.trained.items():
        value.add_(gradient[name], alpha=distance / length)
    change = size = 0.0
    units = torch.eye(residual.shape[1], dtype=residual.dtype, device=residual.device)
    for place in range(len(inputs)):
        before, after = (each.jacobian(inputs[place : place + 1]) for each in (network, moved))
        for unit in units:
            row, other = before.pull(unit[None]), after.pull(unit[None])
            size += sum(float(value.square().sum()) for value in row.values())
            change += sum(float((other[name] - value).square().sum()) for name, value in row.items())
    return float(torch.linalg.vector_norm(residual)) * math.sqrt(change) / (distance * size)
