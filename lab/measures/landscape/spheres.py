"""The smallest eigenvalue of the tangent kernel on spheres around an initialization, also in the worst direction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.errors import check_integer, check_number
from lab.measures.landscape.points import moved
from lab.networks.elman import ElmanRNN

QUARTER = 0.25  #: of λ_min(K₀): with that much left, descent still converges linearly at a quarter of the rate
ADVERSARIAL = "adversarial"  #: name of the worst direction that a search finds
_RANK = 1e-6  # singular values below this share of the largest are no direction


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
    generator = torch.Generator("cpu").manual_seed(seed)
    direction = torch.randn(network.W.shape, generator=generator, dtype=torch.float64, device="cpu")
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


def lowest_by_direction(
    network: ElmanRNN,
    inputs: Tensor,
    directions: Mapping[str, Tensor],
    radii: Sequence[float],
    *,
    stop: float = 0.0,
    iterations: int = 4,
) -> dict[str, NDArray[np.float64]]:
    """λ_min(K) at each radius (R,) along each direction, and as ``"adversarial"`` in the worst one that is found.

    Parameters
    ----------
    network, inputs
        At W₀, and shape (n, L, p).
    directions
        Motions of spectral norm 1, by name.
    radii
        Spectral radii, ascending.
    stop, iterations
        Of the search, as for `lowest_in_balls`. Its values are NaN beyond the first one below ``stop``.
    """
    found = {name: np.array(lowest_along(network, inputs, line, radii)) for name, line in directions.items()}
    searched = lowest_in_balls(network, inputs, radii, stop=stop, iterations=iterations)
    found[ADVERSARIAL] = np.full(len(radii), np.nan)
    found[ADVERSARIAL][: len(searched)] = searched
    return found


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
