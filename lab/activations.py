"""The activations of the recurrent networks, each with its derivative (its *gain*)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from lab.errors import check_choice


class Gain(Protocol):
    """A derivative as `Activation.gain` computes it."""

    def __call__(self, preactivations: Tensor, states: Tensor, out: Tensor | None = None) -> Tensor:
        """φ'(g)."""
        ...


class SecondDerivative(Protocol):
    """A second derivative as `Activation.bend` computes it."""

    def __call__(self, preactivations: Tensor, states: Tensor, slopes: Tensor) -> Tensor:
        """φ''(g)."""
        ...


@dataclass(frozen=True)
class Activation:
    """A pointwise nonlinearity φ and what its derivative needs.

    Attributes
    ----------
    name
        How `ElmanRNN` calls it.
    function
        φ itself, differentiable by torch; any shape in, the same shape out.
    gain
        (pre-activations g, states h = φ(g), out) -> φ'(g), same shape, written to ``out`` unless that is None. At a
        kink it follows torch: relu'(0) = 0.
    in_place
        φ again, written over its argument, which it returns.
    bend
        (g, h, φ'(g)) -> φ''(g), same shape; None where it is 0 but for kinks. ``g`` is not read if `gain_of_state`.
    gated
        Whether φ' is 0 or 1, so that one can speak of open and closed gates.
    gain_of_state
        Whether `gain` depends on the states alone, so that pre-activations need not be kept.
    """

    name: str
    function: Callable[[Tensor], Tensor]
    gain: Gain
    in_place: Callable[[Tensor], Tensor]
    bend: SecondDerivative | None
    gated: bool = False
    gain_of_state: bool = False


_SOFTPLUS_THRESHOLD = 20.0  # where torch's softplus switches to the identity; its slope must switch with it


def _relu_gain(preactivations: Tensor, states: Tensor, out: Tensor | None = None) -> Tensor:
    return torch.sign(states, out=out)  # h = max(g, 0), so sign(h) is 1[g > 0]


def _erf_gain(preactivations: Tensor, states: Tensor, out: Tensor | None = None) -> Tensor:
    return torch.square(preactivations, out=out).neg_().exp_().mul_(2 / math.sqrt(math.pi))


def _tanh_gain(preactivations: Tensor, states: Tensor, out: Tensor | None = None) -> Tensor:
    return torch.square(states, out=out).neg_().add_(1)


def _softplus_gain(preactivations: Tensor, states: Tensor, out: Tensor | None = None) -> Tensor:
    return torch.sigmoid(preactivations, out=out).masked_fill_(preactivations > _SOFTPLUS_THRESHOLD, 1.0)


def _erf_bend(preactivations: Tensor, states: Tensor, slopes: Tensor) -> Tensor:
    return -2 * preactivations * slopes


def _tanh_bend(preactivations: Tensor, states: Tensor, slopes: Tensor) -> Tensor:
    return -2 * states * slopes


def _softplus_bend(preactivations: Tensor, states: Tensor, slopes: Tensor) -> Tensor:
    return slopes * (1 - slopes)


def _softplus_in_place(preactivations: Tensor) -> Tensor:
    return preactivations.copy_(torch.nn.functional.softplus(preactivations))


ACTIVATIONS = {
    activation.name: activation
    for activation in (
        Activation("relu", torch.relu, _relu_gain, torch.relu_, None, gated=True, gain_of_state=True),
        Activation("erf", torch.erf, _erf_gain, torch.erf_, _erf_bend),
        Activation("tanh", torch.tanh, _tanh_gain, torch.tanh_, _tanh_bend, gain_of_state=True),
        Activation("softplus", torch.nn.functional.softplus, _softplus_gain, _softplus_in_place, _softplus_bend),
    )
}


def activation(name: str) -> Activation:
    """Look an activation up by name; raises `LabError` for an unknown one."""
    check_choice("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]
