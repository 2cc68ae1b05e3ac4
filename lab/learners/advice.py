"""Warnings about runs whose numbers are right and whose meaning is not what it seems."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor

from lab.arrays import is_integral
from lab.errors import LabWarning, ScaleWarning
from lab.learners.descent import Descent
from lab.losses import Objective
from lab.networks.modules import ModuleNetwork
from lab.networks.network import Network
from lab.networks.scaled import Scaled

_LARGE_START = 10.0  # RMS of f₀ over that of the targets
_LARGE_INPUTS, _SMALL_INPUTS = 5.0, 0.02  # RMS of entries; norm of a row of features
_STRONGER = 100.0  # gradients, by which it shows whether an optimizer's step grows with them


def warn_of_scale(network: Network, inputs: Tensor, outputs: Tensor, aim: Objective) -> None:
    """Warn if initial outputs (n, o) are far larger than targets, or if inputs (n, …) are far from unit scale.

    Logits are compared with 1. Integers that the network takes as such, token ids, have no scale.
    """
    start = float(outputs.double().square().mean().sqrt())
    unit, what = _size(aim)
    found = []
    if start > _LARGE_START * unit:
        found.append(
            f"the initial outputs (RMS {start:.2g}) are far larger than the {what} (RMS {unit:.2g}): training mostly "
            "removes them, and weights move far for that reason alone; centre the network, by "
            "lab.as_network(module, centred=True) or ElmanRNN(..., centred=True)"
        )
    if not _are_tokens(network, inputs) and (scale := _far_scale(inputs)):
        found.append(f"the inputs are far from unit scale ({scale}); standardise them")
    if found:
        warnings.warn("; ".join(found), ScaleWarning, stacklevel=4)


def warn_of_adaptive_steps(network: Network, descent: Descent) -> None:
    """Warn if an output scale α meets an optimizer whose steps do not shrink with it."""
    if descent.optimizer is None or not isinstance(network, Scaled) or network.alpha == 1:
        return
    if not _grows_with_gradients(descent, network.trained):
        warnings.warn(
            f"the steps of this optimizer do not depend on the size of the gradient, so the output scale "
            f"α = {network.alpha:g} does not make training lazy: weights move as far as for α = 1, and outputs α times "
            "as far. Use plain descent, lab.Descent(steps, critical_fraction), or divide the optimizer's rate by α",
            LabWarning,
            stacklevel=4,
        )


def _size(aim: Objective) -> tuple[float, str]:
    """The size that outputs should have, and what has it."""
    if aim.loss.in_output_units or not aim.loss.are_classes(aim.targets):
        return float(aim.targets.double().square().mean().sqrt()), "targets"
    return 1.0, "logits that decide between classes"


def _are_tokens(network: Network, inputs: Tensor) -> bool:
    inner = network.network if isinstance(network, Scaled) else network
    return is_integral(inputs) and isinstance(inner, ModuleNetwork) and bool(inner.takes_integers)


def _far_scale(inputs: Tensor) -> str | None:
    """The size of inputs in words if it is far from 1."""
    values = inputs.double()
    entry = float(values.square().mean().sqrt())
    if entry > _LARGE_INPUTS:
        return f"RMS {entry:.2g}, up to {float(values.abs().max()):.3g}"
    row = entry * values[0].numel() ** 0.5
    return f"RMS {entry:.2g}" if row < _SMALL_INPUTS else None


def _grows_with_gradients(descent: Descent, weights: Mapping[str, Tensor]) -> bool:
    """Whether the first step of an optimizer is larger for larger gradients; tried on a parameter of its own."""
    assert descent.optimizer is not None
    like = next(iter(weights.values()))
    lengths = []
    for strength in (1.0, _STRONGER):
        trial = torch.zeros(2, dtype=like.dtype, device=like.device, requires_grad=True)
        trial.grad = strength * torch.tensor([1.0, -0.5], dtype=like.dtype, device=like.device)
        descent.optimizer([trial]).step()
        lengths.append(float(torch.linalg.vector_norm(trial.detach())))
    return bool(lengths[1] > _STRONGER**0.5 * lengths[0])
