"""The loss surface around an initialization: how far its tangent kernel stays good, and what lies beyond.

All of it is about the recurrent weight W of an Elman network with ReLU gates. A *motion* is W′ = W − W₀, shape (m, m).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.errors import check_integer, check_number, refuse
from lab.jacobians.factored import Unrolled
from lab.networks.elman import ElmanRNN

_RANK = 1e-6  # singular values below this share of the largest are no direction
_OVERSHOOT = 1.01  # how far beyond its kink a gate is pushed


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
def moved(network: ElmanRNN, motion: Tensor) -> ElmanRNN:
    """A copy of the network at W + W′."""
    twin = network.copy()
    twin.W.add_(motion)
    return twin


def extremes(network: ElmanRNN, inputs: Tensor) -> tuple[float, float]:
    """Smallest and largest eigenvalue of the tangent kernel on inputs (n, L, p); rounding below 0 is cut off.

    Both are NaN for weights at which the kernel is not finite.
    """
    kernel = _kernel(network, inputs)
    if not bool(torch.isfinite(kernel).all()):
        return math.nan, math.nan
    values = torch.linalg.eigvalsh(kernel)
    return max(float(values[0]), 0.0), float(values[-1])


def lowest_along(network: ElmanRNN, inputs: Tensor, direction: Tensor, radii: Sequence[float]) -> list[float]:
    """λ_min(K) at W₀ + r·direction for each radius r."""
    return [extremes(moved(network, radius * direction), inputs)[0] for radius in radii]


def gaussian_direction(network: ElmanRNN, seed: int) -> Tensor:
    """A motion with independent normal entries and spectral norm 1."""
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(network.W.shape, generator=generator, dtype=torch.float64)
    unit: Tensor = direction / torch.linalg.matrix_norm(direction, ord=2)
    return unit.to(network.W)


def eigenvalue_gradient(network: ElmanRNN, inputs: Tensor) -> tuple[float, Tensor]:
    """λ_min(K) at the network's weights and its gradient in W.

    With Kv = λv, λ = ‖Jᵀv‖² and dλ/dW = 2 ∇²⟨v, f⟩ [Jᵀv]: two backward passes, no gram is differentiated. Gates that
    flip make K jump; the gradient does not see that.
    """
    values, vectors = torch.linalg.eigh(_kernel(network, inputs))
    lowest = vectors[:, 0].to(network.W)
    with torch.enable_grad():
        W = network.W.detach().requires_grad_(True)
        outputs = torch.func.functional_call(network, {"W": W}, (inputs,)).flatten()
        (pulled,) = torch.autograd.grad(lowest @ outputs, W, create_graph=True)
        (gradient,) = torch.autograd.grad(pulled.square().sum(), W)
    return float(values[0]), gradient


def worst_motion(
    network: ElmanRNN, inputs: Tensor, radius: float, *, start: Tensor | None = None, iterations: int = 4
) -> tuple[float, Tensor]:
    """The lowest λ_min(K) that a search finds for ‖W′‖₂ ≤ radius, and its motion.

    For the gradient UΣVᵀ of λ_min, the motion of spectral norm 1 along which it falls fastest is −UVᵀ. Two searches use
    that, and the lower end counts: Frank–Wolfe, which moves W′ towards −radius·UVᵀ with weight 2/(k + 2), is better at
    small radii; equal steps outward from ``start`` along −UVᵀ are better at large ones. Both are heuristics, for λ_min
    is neither convex nor smooth: what they find bounds the worst case from above.

    Parameters
    ----------
    network
        At W₀; it is not changed.
    inputs
        Shape (n, L, p).
    radius
        Spectral radius of the ball.
    start
        Motion inside the ball to begin at, such as the one found for a smaller radius; the result is no worse than it.
    iterations
        Gradients taken in each search.

    References
    ----------
    Jaggi, "Revisiting Frank-Wolfe", ICML 2013 (the spectral ball and its corners).
    """
    check_number("radius", radius, above=0)
    check_integer("iterations", iterations, 1)
    first = torch.zeros_like(network.W) if start is None else start
    found = [(extremes(moved(network, first), inputs)[0], first)]
    # dense: Lanczos hardly converges where many singular values are equal, as sums of UVᵀ have them
    step = (radius - float(torch.linalg.matrix_norm(first, ord=2))) / iterations
    inward, outward = first, first
    for k in range(iterations):
        inward = inward - (radius * _fall(network, inward, inputs) + inward) * (2 / (k + 2))
        outward = outward - step * _fall(network, outward, inputs)
        found.append((extremes(moved(network, inward), inputs)[0], inward))
    found.append((extremes(moved(network, outward), inputs)[0], outward))
    return min(found, key=lambda pair: pair[0])


def lowest_in_balls(
    network: ElmanRNN, inputs: Tensor, radii: Sequence[float], *, stop: float = 0.0, iterations: int = 4
) -> list[float]:
    """λ_min(K) at the `worst_motion` of each radius, ascending, each search begun where the last one ended.

    It ends with the first value below ``stop``: as many values as there were searches.
    """
    found: list[float] = []
    motion: Tensor | None = None
    for radius in radii:
        lowest, motion = worst_motion(network, inputs, radius, start=motion, iterations=iterations)
        found.append(lowest)
        if lowest < stop:
            break
    return found


@torch.no_grad()
def gate_frozen(network: ElmanRNN, inputs: Tensor, motion: Tensor) -> Tensor:
    """Outputs (n, o) at W₀ + W′ of the network whose gates stay those of W₀: h_t = D_t((W₀ + W′) h_{t−1} + A x_t)."""
    unrolled, W = network.unroll(inputs), network.W + motion
    states = _projected(network, unrolled)
    states[0] *= unrolled.gains[0]
    for t in range(1, len(states)):
        states[t].addmm_(states[t - 1], W.T, alpha=network.multipliers["W"]).mul_(unrolled.gains[t])
    taps = network.multipliers["B"] * unrolled.taps
    return torch.einsum("st,tnm,qm->nsq", taps, states, network.B).flatten(1)


@torch.no_grad()
def remainder(network: ElmanRNN, inputs: Tensor, motion: Tensor) -> Remainder:
    """What the linearization around W₀ misses at W₀ + W′, split by the gate-frozen network; only W may be trained.

    The multilinear part is O(‖W′‖²). The kinks are what Theorem 4 of Allen-Zhu, Li, Song 2019 pays for beyond that.
    """
    jacobian = network.jacobian(inputs)
    linear = jacobian.outputs + jacobian.push({"W": motion})
    frozen, outputs = gate_frozen(network, inputs, motion), moved(network, motion)(inputs).flatten(1)
    return Remainder(_rms(outputs - linear), _rms(outputs - frozen), _rms(frozen - linear))


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
    projected = _projected(network, network.unroll(inputs))
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
def losses_along(
    network: ElmanRNN, inputs: Tensor, targets: Tensor, start: Tensor, end: Tensor, shares: Sequence[float]
) -> list[float]:
    """½ Σ (f − y)² at W₀ + start + s·(end − start) for each share s; targets are (n, o), start and end motions."""
    outputs = (moved(network, start + share * (end - start))(inputs).flatten(1) for share in shares)
    return [0.5 * float((output - targets.to(output)).square().sum()) for output in outputs]


def barrier(losses: Sequence[float]) -> float:
    """How far the loss rises on a line above the higher of its two ends; 0 if it does not."""
    return max(losses) - max(losses[0], losses[-1])


def _kernel(network: ElmanRNN, inputs: Tensor) -> Tensor:
    """Tangent kernel as a symmetric float64 matrix (N, N)."""
    kernel = network.jacobian(inputs).gram().double()
    size = kernel.shape[0] * kernel.shape[1]
    matrix = kernel.reshape(size, size)
    return (matrix + matrix.T) / 2


def _fall(network: ElmanRNN, motion: Tensor, inputs: Tensor) -> Tensor:
    """UVᵀ of λ_min's gradient UΣVᵀ at W₀ + W′, over the singular values that are not rounding."""
    gradient = eigenvalue_gradient(moved(network, motion), inputs)[1]
    left, values, right = torch.linalg.svd(gradient, full_matrices=False)
    live = values > _RANK * values[0]
    fall: Tensor = left[:, live] @ right[live]
    return fall


def _projected(network: ElmanRNN, unrolled: Unrolled) -> Tensor:
    """c_A A x_t + c_b b, shape (L, n, m)."""
    projected = network.multipliers["A"] * (unrolled.inputs @ network.A.detach().T)
    return projected if network.b is None else projected + network.multipliers["b"] * network.b.detach()


def _normalised_mean(states: Tensor) -> Tensor:
    """Mean of the normalised states (…, m), normalised."""
    lengths = torch.linalg.vector_norm(states, dim=-1, keepdim=True).clamp(min=torch.finfo(states.dtype).tiny)
    mean = (states / lengths).flatten(0, 1).mean(0)
    unit: Tensor = mean / torch.linalg.vector_norm(mean).clamp(min=torch.finfo(mean.dtype).tiny)
    return unit


def _rms(values: Tensor) -> float:
    return float(values.double().square().mean().sqrt())
