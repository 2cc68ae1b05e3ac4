"""What a recurrent network does to a signal over many steps: forwards, backwards, and to two inputs side by side.

All of it is read off a network unrolled over its inputs (states h_t and gains D_t = φ'(g_t)), with logarithms kept
along the way, so that a product of a hundred factors neither overflows nor underflows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.errors import check_integer, refuse
from lab.jacobians.factored import Unrolled
from lab.kernels.infinite import infinite_nngp
from lab.kernels.singular import largest_singular_value
from lab.networks.elman import ElmanRNN
from lab.networks.parametrization import Parametrization

Array = NDArray[np.float64]

_FAINT = 1e-6  # a distance from a correlation ρ has an error of about √ε: smaller ones are rounding


class Rates(NamedTuple):
    """Growth in nats per step.

    Attributes
    ----------
    backward
        Of the product ‖B D_L W … D_{L−k+1} W‖ with the number k of factors.
    first_input
        Of the state where all inputs after the first step are zero.
    states
        Of the state with an input at every step, over the second half of the steps.
    """

    backward: Array
    first_input: Array
    states: Array


class Signals(NamedTuple):
    """Logarithms of norms and distances along one network, for n sequences of L steps in pairs.

    Attributes
    ----------
    backward
        log ‖B D_L W … D_{L−k+1} W‖₂ for k = 1…L−1 factors, shape (L−1, n); see `backward_log_norms`.
    first_input, states
        log ‖h_t‖ with zeros for all inputs after the first step, and with the inputs as they are, shape (L, n).
    directions, distances
        log ‖h_t/‖h_t‖ − h'_t/‖h'_t‖‖ and log ‖h_t − h'_t‖ of samples 2i and 2i+1, shape (L, n/2).
    """

    backward: Array
    first_input: Array
    states: Array
    directions: Array
    distances: Array

    def rates(self) -> Rates:
        """Growth per step of each sample, (n,)."""
        late = self.states[len(self.states) // 2 :]
        return Rates(growth_rate(self.backward), growth_rate(self.first_input), growth_rate(late))

    def kept(self) -> tuple[Array, Array]:
        """Logs of the shares of directions and of distances that each pair keeps from the first to the last step."""
        return self.directions[-1] - self.directions[0], self.distances[-1] - self.distances[0]


def network_of_variance(width: int, features: int, variance: float, seed: int) -> ElmanRNN:
    """The paper's network, but with entries of variance σ_w²/m in W alone, on torch's default device.

    One seed gives W = σ_w/√2·W₀ with the same W₀, A and B for every σ_w².
    """
    scales = Parametrization(sigma_w=math.sqrt(variance))
    return ElmanRNN(width, features, parametrization=scales, seed=seed, device=torch.get_default_device())


@torch.no_grad()
def follow_signals(network: ElmanRNN, inputs: Tensor) -> Signals:
    """Norms and distances along a network on pairs of sequences (n, L, p); refuses as `pair_differences` does."""
    first = inputs.clone()
    first[:, 1:] = 0
    unrolled = network.unroll(inputs)
    return Signals(
        backward=backward_log_norms(unrolled),
        first_input=forward_log_norms(network.unroll(first)),
        states=forward_log_norms(unrolled),
        directions=direction_distances(unrolled),
        distances=state_distances(unrolled),
    )


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


def limit_direction_distances(network: ElmanRNN, inputs: Tensor, steps: Sequence[int]) -> Array:
    """Geometric mean over pairs of ‖h_t/‖h_t‖ − h'_t/‖h'_t‖‖ at some steps t as the width grows, shape (len(steps),).

    From the correlation ρ of the states in `lab.infinite_nngp`, as √(2 − 2ρ); NaN where that is lost in rounding.

    Parameters
    ----------
    network
        Its activation and scales are read, never a weight; its readout is "last".
    inputs
        Samples 2i and 2i+1 are a pair, shape (n, L, p).
    steps
        Numbers t from 1 to L.

    Raises
    ------
    LabError
        Another readout: the covariance of its outputs is not that of one state.
    """
    if network.readout != "last":
        refuse("network", f"readout={network.readout!r}", "readout='last'", "build it with readout='last'")
    distances = []
    for step in steps:
        table = infinite_nngp(network, inputs[:, :step], shared=True).cpu().numpy()
        norms = np.sqrt(np.diag(table))
        correlations = (table / np.outer(norms, norms))[range(0, len(table), 2), range(1, len(table), 2)]
        distances.append(np.sqrt(np.maximum(2 - 2 * correlations, 1e-300)))
    means = np.exp(np.log(distances).mean(1))
    return np.where(means > _FAINT, means, np.nan)


def limit_rates(variances: Array, length: int) -> Rates:
    """Rates of ReLU networks as their width grows, for each variance σ_w²/m of W (k,), over L steps.

    ½ log(σ_w²/2) backwards, and forwards from the first input. With inputs of unit length at every step and A of
    variance 2/m, E‖h_t‖² = Σ_{s<t} (σ_w²/2)^s: it levels off for σ_w² < 2, grows as t at σ_w² = 2, and as (σ_w²/2)^t
    above.
    """
    free = np.asarray(0.5 * np.log(variances / 2))
    squares = np.cumsum((variances / 2) ** np.arange(length)[:, None], axis=0)
    return Rates(free, free, growth_rate(0.5 * np.log(squares[length // 2 :])))


def _logs(norms: Tensor) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(norms.cpu().double().numpy()))
