"""How a kernel evolves: distance, velocity, size, alignment with the targets, effective rank.

Kernels are (n, o, n, o) or matrices (n, n); the numbers do not depend on which.

References
----------
Fort, Dziugaite, Paul, Kharaghani, Roy, Ganguli, "Deep learning versus kernel learning", NeurIPS 2020 (distance).
Cortes, Mohri, Rostamizadeh, "Algorithms for learning kernels based on centered alignment", JMLR 2012 (alignment).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lab.errors import refuse


def cosine_distance(kernel: Tensor, reference: Tensor) -> float:
    """1 − ⟨K, K_ref⟩/(‖K‖_F‖K_ref‖_F): 0 for kernels that differ by a factor alone (Fort et al. 2020)."""
    one, other = kernel.flatten(), reference.flatten()
    return 1 - float(one @ other / (one.norm() * other.norm()))


def angle(kernel: Tensor, reference: Tensor) -> float:
    """The angle between two kernels, arccos of ⟨K, K_ref⟩/(‖K‖_F‖K_ref‖_F), in radians.

    Taken from the chord between the two as unit vectors, in float64: an arccos of a number near 1 would lose half of
    the digits.
    """
    one, other = (values.flatten().double() for values in (kernel, reference))
    chord = float((one / one.norm() - other / other.norm()).norm())
    return 2 * math.asin(min(chord / 2, 1.0))


def velocity(kernel: Tensor, earlier: Tensor, steps: float) -> float:
    """The `angle` between two kernels of one path over the steps between them.

    Angles add up along a path that does not turn, so that this does not depend on the spacing of the looks, as a rate
    of `cosine_distance` would: that grows as the square of the angle.

    Raises
    ------
    LabError
        Steps that are not positive.
    """
    if not steps > 0:
        refuse("steps", repr(steps), "a positive number of steps", "pass the later kernel first, and the steps between")
    return angle(kernel, earlier) / steps


def norm_ratio(kernel: Tensor, reference: Tensor) -> float:
    """‖K‖_F/‖K_ref‖_F."""
    return float(torch.linalg.vector_norm(kernel) / torch.linalg.vector_norm(reference))


def traced(kernel: Tensor) -> Tensor:
    """K̄ (n, n): the sum over outputs of the kernel of each output with itself; a matrix as it is."""
    return kernel if kernel.ndim == 2 else torch.einsum("aibi->ab", kernel)


def alignment(kernel: Tensor, targets: Tensor) -> float | None:
    """Centred alignment ⟨H K̄ H, H Y Yᵀ H⟩ over the product of the norms, with H = I − 11ᵀ/n and K̄ as in `traced`.

    1 if the kernel tells samples apart exactly as their targets do; None for targets that are all equal, or a kernel
    that is constant. ``targets`` are (n, …).
    """
    values = targets.double().flatten(1) if targets.ndim > 1 else targets.double()[:, None]
    centred = values.to(kernel.device) - values.to(kernel.device).mean(0)
    matrix = traced(kernel).double()
    matrix = matrix - matrix.mean(0) - matrix.mean(1)[:, None] + matrix.mean()
    wanted = centred @ centred.T
    size = float(matrix.norm() * wanted.norm())
    return float((matrix * wanted).sum()) / size if size else None


def effective_rank(kernel: Tensor) -> float:
    """(tr K)²/tr K²: N for a multiple of the identity of size N, 1 for a kernel of rank one."""
    matrix = kernel.reshape(math.isqrt(kernel.numel()), -1).double()
    return float(matrix.diagonal().sum()) ** 2 / float(matrix.square().sum())
