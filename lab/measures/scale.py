"""What limits a scaled network α (f(θ) − f(θ₀)): rounding at a large α, bounded outputs at a small one."""

from __future__ import annotations

import torch

from lab.networks.elman import ElmanRNN
from lab.networks.scaled import Scaled
from lab.tasks.task import Task

_BOUNDED = ("erf", "tanh")  # activations with |φ| < 1


@torch.no_grad()
def rounding_noise(network: Scaled, inputs: torch.Tensor) -> float:
    """α·RMS(f₀)·ε: the rounding error of centred outputs α (f − f₀), in units of the outputs.

    f and f₀ are rounded to the relative precision ε of their dtype before they are subtracted, and α multiplies what is
    left. RMS is over inputs (n, …) and outputs. It is 0 for a network that is not centred.
    """
    if network.origin is None:
        return 0.0
    initial = network.origin(inputs)
    return network.alpha * float(initial.square().mean().sqrt()) * float(torch.finfo(initial.dtype).eps)


@torch.no_grad()
def least_mse(network: Scaled, task: Task) -> float:
    """The mean squared training error below which no trained weights can bring a network with bounded outputs.

    An Elman network with erf or tanh has |h| < 1 in every unit, so with a frozen B of multiplier c_B each output obeys
    |f| < c_B Σ_i |B_i|, and α (f − f₀) covers an interval of length 2α c_B Σ_i |B_i| at most. The result is the mean
    square distance of the targets from these intervals, taken for each sample and output by itself: a lower bound.

    Returns
    -------
    float
        0 for any other network: there is no such bound.
    """
    inner = network.network
    if not isinstance(inner, ElmanRNN) or inner.activation.name not in _BOUNDED or "B" in inner.trained:
        return 0.0
    targets, sign = task.train_targets.to(inner.B), task.train_targets.sign().to(inner.B)
    initial = torch.zeros_like(targets) if network.origin is None else network.origin(task.train_inputs)
    bound = inner.multipliers["B"] * inner.B.abs().sum(1)
    reach = network.alpha * (bound - sign * initial)
    return float((targets.abs() - reach).clamp(min=0).square().mean())
