"""Points of the loss surface around an initialization, and straight lines between them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lab.errors import refuse
from lab.jacobians.factored import Unrolled
from lab.learners.kernel import KernelRegressor
from lab.networks.elman import ElmanRNN

_OVERSHOOT = 1.01  # how far beyond its kink a gate is pushed


@torch.no_grad()
def moved(network: ElmanRNN, motion: Tensor) -> ElmanRNN:
    """A copy of the network at W + W′."""
    twin = network.copy()
    twin.W.add_(motion)
    return twin


@torch.no_grad()
def planted_motion(network: ElmanRNN, inputs: Tensor) -> Tensor:
    """W_bad − W₀ = −need·uᵀ, of rank one: at W_bad the gradient of every loss on these inputs is exactly 0.

    W cannot kill every gate, for A x_t revives a unit after each dead step; so every even step is killed. There
    h_t = 0, so that each odd step has h_t = relu(A x_t) =: h_i whatever W is. With u the normalised mean of these
    states and need_k = 1.01·max(0, max_i (W₀h_i + A x_{i,t+1})_k/⟨u, h_i⟩), every even pre-activation is negative. Then
    every product δ_t h_{t−1}ᵀ vanishes: δ_t at even t, h_{t−1} at odd t. All of it holds with a margin, so the loss is
    constant around W_bad: it is a (flat) local minimum.

    Raises
    ------
    LabError
        Gates that are not ReLU, a bias, fewer than two steps, or a sample whose odd step is dead already: no W can kill
        the step after it.
    """
    if network.activation.name != "relu" or network.b is not None:
        refuse("network", repr(network), "ReLU gates without a bias", "use activation='relu' and no bias")
    projected = projected_inputs(network, network.unroll(inputs))
    later = projected[1::2]
    if not len(later):
        refuse("inputs", f"shape {tuple(inputs.shape)}", "at least two time steps", "give longer sequences")
    states = projected[0::2][: len(later)].clamp(min=0)
    mean = _normalised_mean(states)
    heights = states @ mean
    if not bool((heights > 0).all()):
        refuse("network", f"width {network.width}, where an odd step has no live unit", "live units", "use more units")
    preactivations = later + network.multipliers["W"] * states @ network.W.T
    places = preactivations / (network.multipliers["W"] * heights[..., None])
    need = _OVERSHOOT * places.flatten(0, 1).max(0).values.clamp(min=0)
    return -torch.outer(need, mean)


@torch.no_grad()
def shortest_fit(network: ElmanRNN, inputs: Tensor, linear: KernelRegressor) -> Tensor | None:
    """J₀⁺(y − f₀): the shortest motion with which the linearized network fits its training targets.

    Its length is √(r₀ᵀK₀⁻¹r₀) for r₀ = f₀ − y.

    Parameters
    ----------
    network, inputs
        At W₀, and shape (n, L, p).
    linear
        The linear model around W₀ on these inputs (`lab.KernelRegressor.at`).

    Returns
    -------
    Tensor
        Shape (m, m); None where K₀ is singular up to rounding, so that the linear model does not fit in general.
    """
    spectrum = linear.spectrum
    if spectrum.lambda_min <= spectrum.tolerance:
        return None
    coefficients = spectrum.vectors @ (spectrum.limit() * (spectrum.vectors.T @ -linear.residual.ravel()))
    jacobian = network.jacobian(inputs)
    return jacobian.pull(torch.from_numpy(coefficients).view(jacobian.outputs.shape))["W"]


@torch.no_grad()
def loss_and_gradient(network: ElmanRNN, inputs: Tensor, targets: Tensor) -> tuple[float, Tensor]:
    """½ Σ (f − y)² for targets (n, o), and its gradient in W (m, m)."""
    jacobian = network.jacobian(inputs)
    residual = jacobian.outputs - targets.to(jacobian.outputs)
    return 0.5 * float(residual.square().sum()), jacobian.pull(residual)["W"]


def constant_loss(targets: Tensor) -> float:
    """½ Σ (y − mean y)² for targets (n, o): the loss of the best outputs that do not depend on the input."""
    return 0.5 * float((targets - targets.mean(0)).square().sum())


@torch.no_grad()
def losses_along(
    network: ElmanRNN, inputs: Tensor, targets: Tensor, start: Tensor, end: Tensor, shares: Sequence[float]
) -> list[float]:
    """½ Σ (f − y)² at W₀ + start + s·(end − start) for each share s; targets are (n, o), start and end motions."""
    outputs = (moved(network, start + share * (end - start))(inputs).flatten(1) for share in shares)
    return [0.5 * float((output - targets.to(output)).square().sum()) for output in outputs]


def barrier(losses: Sequence[float]) -> float:
    """How far the loss rises on a line above the higher of its two ends; 0 if it does not."""
    return max(losses) - max(losses[0], losses[-1])


def projected_inputs(network: ElmanRNN, unrolled: Unrolled) -> Tensor:
    """c_A A x_t + c_b b, shape (L, n, m)."""
    projected = network.multipliers["A"] * (unrolled.inputs @ network.A.detach().T)
    return projected if network.b is None else projected + network.multipliers["b"] * network.b.detach()


def _normalised_mean(states: Tensor) -> Tensor:
    """Mean of the normalised states (…, m), normalised."""
    lengths = torch.linalg.vector_norm(states, dim=-1, keepdim=True).clamp(min=torch.finfo(states.dtype).tiny)
    mean = (states / lengths).flatten(0, 1).mean(0)
    unit: Tensor = mean / torch.linalg.vector_norm(mean).clamp(min=torch.finfo(mean.dtype).tiny)
    return unit
