"""What a recurrent network does to a signal over many steps: forwards, backwards, and to two inputs side by side.

All of it is read off a network unrolled over its inputs (states h_t and gains D_t = φ'(g_t)), with logarithms kept
along the way, so that a product of a hundred factors neither overflows nor underflows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.errors import check_integer, refuse
from lab.jacobians.factored import Unrolled
from lab.kernels.singular import largest_singular_value

Array = NDArray[np.float64]


@torch.no_grad()
def forward_log_norms(unrolled: Unrolled) -> Array:
    """log ‖h_t‖ at every step, shape (L, n); −inf where a state is zero."""
    return _logs(torch.linalg.vector_norm(unrolled.states, dim=2))


@torch.no_grad()
def backward_log_norms(unrolled: Unrolled) -> Array:
    """log ‖B D_L W D_{L−1} W … D_{L−k+1} W‖₂ for k = 1…L−1 factors, shape (L−1, n); −inf where it is zero.

    It is Back_{L−k→L} of Allen-Zhu, Li, Song 2019: how strongly the last output depends on the state k steps earlier.
    """
    length, n, _ = unrolled.states.shape
    W = unrolled.multipliers["W"] * unrolled.weights["W"].detach()
    rows = (unrolled.multipliers["B"] * unrolled.weights["B"].detach()).expand(n, -1, -1)
    logs, total = [], torch.zeros(n, dtype=torch.float64, device=W.device)
    for t in range(length - 1, 0, -1):
        rows = (rows * unrolled.gains[t][:, None]) @ W
        size = torch.linalg.svdvals(rows)[:, 0]
        total = total + size.double().log()
        logs.append(total)
        rows = rows / torch.where(size > 0, size, 1.0)[:, None, None]
    return torch.stack(logs).cpu().numpy() if logs else np.empty((0, n))


def growth_rate(log_norms: Array) -> Array:
    """Least-squares slope of log norms (k, n) against the number of factors, for each sample (n,): nats per step.

    NaN where a norm is zero or not finite, or where there are fewer than two.
    """
    if len(log_norms) < 2:
        return np.full(log_norms.shape[1], np.nan)
    place = np.arange(len(log_norms)) - (len(log_norms) - 1) / 2
    with np.errstate(invalid="ignore"):
        slopes = place @ log_norms / (place @ place)
    return np.where(np.isfinite(slopes), slopes, np.nan)


@torch.no_grad()
def product_norms(unrolled: Unrolled, factors: Sequence[int], sample: int = 0, tolerance: float = 1e-4) -> Array:
    """‖D_L W D_{L−1} W … D_{L−k+1} W‖₂ of one sample for some numbers k of factors, shape (len(factors),).

    By Lanczos on the action of the product, 2k products with W each time; the product is never formed.

    Parameters
    ----------
    unrolled
        The network on its inputs.
    factors
        Numbers k from 1 to L−1 (W acts from step 2 on).
    sample
        Which of the n samples.
    tolerance
        Relative error of the squared norm.

    Raises
    ------
    LabError
        A number of factors outside 1…L−1.
    """
    W, gains = unrolled.multipliers["W"] * unrolled.weights["W"].detach(), unrolled.gains[:, sample]
    W_transposed = W.T.contiguous()
    for k in factors:
        check_integer("factors", k, 1)
        if k >= len(gains):
            refuse(
                "factors", k, f"at most {len(gains) - 1} for {len(gains)} steps", "ask for fewer, or for longer inputs"
            )

    def norm(chain: Tensor) -> float:
        def forward(vector: Tensor) -> Tensor:
            for gain in chain:
                vector = gain * (W @ vector)
            return vector

        def backward(vector: Tensor) -> Tensor:
            for gain in chain.flip(0):
                vector = W_transposed @ (gain * vector)
            return vector

        return largest_singular_value(forward, backward, W[0], tolerance)

    return np.array([norm(gains[len(gains) - k :]) for k in factors])


@torch.no_grad()
def pair_differences(unrolled: Unrolled) -> Tensor:
    """h_t − h'_t of samples 2i and 2i+1, shape (L, n/2, m), also where it is far below the rounding error of h_t.

    Where the gates of the two agree, the difference obeys D(W(h − h') + A(x − x')) and is carried on by itself; where
    they differ one of the states is 0, and the subtraction is exact.

    Raises
    ------
    LabError
        An odd number of samples, or an activation without on/off gates.
    """
    gains, states = unrolled.gains, unrolled.states
    if gains.shape[1] % 2 or gains.dtype != torch.bool:
        came = f"{gains.shape[1]} samples, gains of type {gains.dtype}"
        refuse("unrolled", came, "an even number of samples of a ReLU network", "use lab.tasks.pairs and relu")
    W = unrolled.multipliers["W"] * unrolled.weights["W"].detach()
    A = unrolled.multipliers["A"] * unrolled.weights["A"].detach()
    driven = (unrolled.inputs[:, ::2] - unrolled.inputs[:, 1::2]) @ A.T
    differences, last = torch.empty_like(states[:, ::2]), torch.zeros_like(states[0, ::2])
    for t, drive in enumerate(driven):
        one, other = gains[t, ::2], gains[t, 1::2]
        last = torch.where(one == other, one * (last @ W.T + drive), states[t, ::2] - states[t, 1::2])
        differences[t] = last
    return differences


@torch.no_grad()
def direction_distances(unrolled: Unrolled) -> Array:
    """log ‖h_t/‖h_t‖ − h'_t/‖h'_t‖‖ of samples 2i and 2i+1, shape (L, n/2); see `pair_differences` for precision."""
    difference = pair_differences(unrolled).double()
    one, other = (unrolled.states[:, start::2].double() for start in (0, 1))
    sizes = [torch.linalg.vector_norm(states, dim=2, keepdim=True) for states in (one, other)]
    stretch = (difference * (one + other)).sum(2, keepdim=True) / (sizes[0] + sizes[1])  # ‖h‖ − ‖h'‖
    turned = (difference - other * (stretch / sizes[1])) / sizes[0]
    return _logs(torch.linalg.vector_norm(turned, dim=2))


@torch.no_grad()
def state_distances(unrolled: Unrolled) -> Array:
    """log ‖h_t − h'_t‖ of samples 2i and 2i+1, shape (L, n/2); see `pair_differences` for precision."""
    return _logs(torch.linalg.vector_norm(pair_differences(unrolled), dim=2))


def _logs(norms: Tensor) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(norms.cpu().double().numpy()))
