"""Kernels of the Elman network in the limit of infinite width, in closed form.

As the width m grows, the pre-activations g_t(x) and g_u(x') of every unit become jointly normal with mean 0, and the
two sums of the tangent kernel, over states and over deltas, concentrate. For all pairs of time steps, with
S = E[φ(g_t) φ(g'_u)] and D = E[φ'(g_t) φ'(g'_u)] under the covariance C (`lab.kernels.expectations`):

    C[t,u] = c_A²Var(A) ⟨x_t, x'_u⟩ + m c_W²Var(W) S[t−1,u−1] + c_b²Var(b),          S[0,·] = S[·,0] = 0
    Θ[t,u] = c_A² ⟨x_t, x'_u⟩ + m c_W² S[t−1,u−1] + c_b² + m c_W²Var(W) D[t−1,u−1] Θ[t−1,u−1]
    covariance of the outputs  m c_B²Var(B) S[t,u],      tangent kernel  m c_B²Var(B) D[t,u] Θ[t,u] + m c_B² S[t,u]

The first three terms of Θ stand for the trained A, W and b, the last of the tangent kernel for B: one that is not
trained drops out, and the contributions add. (t, u) is fed by (t−1, u−1) alone, so that the last step of two sequences
needs one diagonal of the table; a readout that sees several steps through one B needs all pairs, t ≠ u too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lab.arrays import as_tensor, check_data
from lab.errors import refuse
from lab.kernels.expectations import EXACT, Moments, expectations
from lab.kernels.spectrum import add_transpose
from lab.networks.elman import READOUTS, ElmanRNN
from lab.networks.scaled import Scaled
from lab.progress import bar, shown

BLOCK = 2**16  # pairs of (sample, time step) held at once: ½ MiB an array, which fits a cache, and about 25 arrays
_SERIES = 16  # times that many where the coefficients of a Hermite series are computed anew for each block


def infinite_ntk(
    network: ElmanRNN | Scaled,
    X: Tensor,
    X2: Tensor | None = None,
    *,
    shared: bool = False,
    progress: bool = True,
) -> Tensor:
    """Tangent kernel of the network's own architecture as its width grows, in output units.

    It is the deterministic limit of `empirical_ntk` over initializations, at the network's own width m: the ratio of
    the two tends to 1, with fluctuations of order 1/√m. Only the width, scales, activation, readout and trained set
    are read, never a weight: a network on ``device="meta"`` will do.

    In the "ntk" parametrization the kernel does not depend on m. In the paper's, the parts of W and A grow like m and
    that of B stays of order 1. In "mean_field" it is the kernel of "ntk" times α² = α₀²/m. For ReLU with equal σ's, p
    inputs and q outputs the parts are multiples of each other, and so are the empirical ones of networks with one seed,
    at any width:

        K_W(paper) = m p/(q σ_w²) K_W(ntk),   K_A(paper) = m p/(q σ_u²) K_A(ntk),   K_B(paper) = p/σ_v² K_B(ntk)

    erf and tanh in the paper's parametrization have pre-activations of variance O(1/m), so that in the end only the
    slope φ'(0) is left: K/m tends to that of a linear network. What is returned keeps φ itself at the variances of
    this width. The two agree to a relative O(1/m), whose constant grows geometrically with L (erf: 2.5 a step), so that
    the linear limit alone would be far from any network that fits a computer.

    Parameters
    ----------
    network
        An `ElmanRNN`, or a `Scaled` one, whose kernel is α² times that of the network inside.
    X, X2
        Inputs (n, L, p) and (n', L', p); without ``X2`` the kernel of X with itself, exactly symmetric. Where L ≠ L',
        the sequences are aligned at their ends: the shorter ones get zero steps in front. That changes no output as
        long as zero input leaves the state at h = 0, that is φ(0) = 0 and no bias; otherwise it is refused.
    shared
        Return the one kernel that all q outputs of a time step share, without the zeros between different outputs: q²
        times fewer numbers. `lab.KernelRegressor` and `lab.kernels.spectrum.Spectrum` take it as it is.
    progress
        Whether a progress bar appears when it takes longer than about two seconds.

    Returns
    -------
    Tensor
        Shape (n, o, n', o'), computed in float64, in the network's dtype on its device (on the CPU for "meta"). With
        ``shared``, shape (n, n') for the readouts "last" and "mean", and (n, s, n', s') for "all", which reads
        s = L − 1 time steps. The whole kernel is K[i, (t, k), j, (u, l)] = K_shared[i, t, j, u] · δ_kl, outputs in the
        order time first, then q; so its eigenvalues are those of the shared one, each q times.

        Time grows like n·n' times L for the readout "last", times L² for "all" and "mean"; memory beyond the result is
        bounded. Kernels that take longer than a few seconds show a progress bar.

    Raises
    ------
    LabError
        A network that is no `ElmanRNN`, inputs that do not fit it, unequal lengths where zero steps are not neutral.

    See Also
    --------
    lab.kernels.expectations.hermite_series : accuracy for tanh and softplus; ReLU and erf are exact.

    References
    ----------
    Alemohammad et al., "The Recurrent Neural Tangent Kernel", ICLR 2021 (last step, "ntk").
    Yang, "Tensor Programs II", 2020 (several time steps with one readout matrix).

    Examples
    --------
    >>> network = ElmanRNN(4096, inputs=3, device="meta")
    >>> kernel = infinite_ntk(network, torch.ones(2, 5, 3, dtype=torch.float64))
    >>> tuple(kernel.shape), round(float(kernel[0, 0, 0, 0]) / 4096, 9)  # ReLU: 3 Σ_t t/2 = 3 (1+2+3+4)/2
    ((2, 1, 2, 1), 15.0)
    >>> network = ElmanRNN(4096, inputs=3, outputs=10, device="meta")
    >>> tuple(infinite_ntk(network, torch.ones(2, 5, 3), shared=True).shape)  # not (2, 10, 2, 10)
    (2, 2)
    """
    with shown(progress):
        if isinstance(network, Scaled) and isinstance(network.network, ElmanRNN):
            return _kernel(network.network, X, X2, tangent=True, shared=shared).mul_(network.alpha**2)
        return _kernel(network, X, X2, tangent=True, shared=shared)


def infinite_nngp(
    network: ElmanRNN, X: Tensor, X2: Tensor | None = None, *, shared: bool = False, progress: bool = True
) -> Tensor:
    """Covariance of the outputs over initializations as the width grows: the kernel of the Gaussian-process limit.

    It is of order 1 in "paper" and "ntk"; for ReLU the paper's is p/q times the "ntk" one at equal σ's. In "mean_field"
    it is that of "ntk" times α² = α₀²/m. It is that of f itself, for a centred network too, whose outputs at
    initialization are 0. What is trained does not matter. Parameters, shapes, errors and the rest are those of
    `infinite_ntk`.

    References
    ----------
    Yang, "Tensor Programs I", NeurIPS 2019 (recurrent networks as Gaussian processes).

    Examples
    --------
    >>> network = ElmanRNN(64, inputs=3, device="meta")
    >>> covariance = infinite_nngp(network, torch.ones(1, 5, 3, dtype=torch.float64))
    >>> round(float(covariance), 9)  # E‖h_L‖² = Σ_t ‖x_t‖²
    15.0
    """
    with shown(progress):
        return _kernel(network, X, X2, tangent=False, shared=shared)


@dataclass(frozen=True)
class _Limit:
    """Coefficients of the recursion; those of weights that are not trained are 0 in the last four."""

    moments: Moments
    recurrent: float  # m c_W² Var(W)
    drive: float  # c_A² Var(A)
    bias: float  # c_b² Var(b)
    readout: float  # m c_B² Var(B)
    W: float  # m c_W²
    A: float  # c_A²
    B: float  # m c_B²
    b: float  # c_b²

    @classmethod
    def of(cls, network: ElmanRNN, tangent: bool) -> _Limit:
        """Read the network's scales; without ``tangent`` nothing counts as trained."""
        trained = network.trained if tangent else ()
        copies = {"W": network.width, "A": 1, "B": network.width, "b": 1}  # how many entries of it add up
        squares = {name: copies[name] * scale.multiplier**2 for name, scale in network.scales.items()}
        spread = {name: squares[name] * scale.deviation**2 for name, scale in network.scales.items()}
        live = {name: squares[name] if name in trained else 0.0 for name in copies}
        recursion = spread["W"], spread["A"], spread.get("b", 0.0), spread["B"]
        return cls(expectations(network.activation), *recursion, **live)


@dataclass(frozen=True)
class _Sequences:
    """Inputs (T, n, p), variances of the pre-activations (T, n), and how outputs read the time steps (s, T)."""

    inputs: Tensor
    variances: Tensor
    taps: Tensor

    def rows(self, start: int, stop: int) -> _Sequences:
        """The samples from ``start`` to ``stop``."""
        return replace(self, inputs=self.inputs[:, start:stop], variances=self.variances[:, start:stop])

    @property
    def observed(self) -> list[int]:
        """Time steps that some output reads."""
        return [int(step) for step in self.taps.any(0).nonzero()]


@torch.no_grad()
def _kernel(network: ElmanRNN | Scaled, X: Tensor, X2: Tensor | None, tangent: bool, shared: bool) -> Tensor:
    given = [("X", X)] if X2 is None else [("X", X), ("X2", X2)]
    if not isinstance(network, ElmanRNN):
        fix = "pass an ElmanRNN; other modules have lab.empirical_ntk"
        refuse("network", type(network).__name__, "an ElmanRNN", fix)
    inputs = [_check(network, name, value) for name, value in given]
    limit = _Limit.of(network, tangent)
    left, right = (sequences := _align(network, limit, inputs))[0], sequences[-1]
    table = _upper(limit, left, right, 0, tangent, same=X2 is None)
    if X2 is None:
        add_transpose(table.view(len(table) * table.shape[1], -1))
    else:
        table += _upper(limit, right, left, 1, tangent).permute(2, 3, 0, 1)
    table = table.to(network.W.dtype)
    if shared:
        return table if network.readout == "all" else table[:, 0, :, 0]
    return repeat(table, len(network.B))


def _check(network: ElmanRNN, name: str, inputs: Tensor) -> Tensor:
    """Refuse what `ElmanRNN` refuses; inputs as float64 on the network's device."""
    inputs, p = as_tensor(name, inputs), network.A.shape[1]
    if inputs.ndim != 3 or inputs.shape[2] != p:
        fix = "put samples first, then time, then features; or build the network with ElmanRNN.like(task, width)"
        refuse(name, f"shape {tuple(inputs.shape)}", f"(samples, length, {p})", fix)
    if inputs.shape[1] < (shortest := 2 if network.readout == "all" else 1):
        allowed = f"at least {shortest} time steps for readout={network.readout!r}"
        refuse(name, f"shape {tuple(inputs.shape)}", allowed, "give longer sequences, or use readout='last'")
    return check_data(name, inputs).to("cpu" if network.W.is_meta else network.W.device, torch.float64)


def _align(network: ElmanRNN, limit: _Limit, inputs: list[Tensor]) -> list[_Sequences]:
    """Zero steps in front of the shorter inputs, where they change nothing."""
    lengths = [each.shape[1] for each in inputs]
    neutral = not network.activation.function(torch.zeros(1, device="cpu")).any() and "b" not in network.scales
    if len(set(lengths)) > 1 and not neutral:
        reason = "a bias" if "b" in network.scales else f"activation={network.activation.name!r}, φ(0) ≠ 0"
        allowed = f"equal lengths with {reason}: zero steps in front would move the state away from h = 0"
        refuse("X2", f"length {lengths[1]} beside {lengths[0]}", allowed, "cut the sequences to one length")
    return [_sequences(network, limit, each, max(lengths)) for each in inputs]


def _sequences(network: ElmanRNN, limit: _Limit, inputs: Tensor, length: int) -> _Sequences:
    own = inputs.shape[1]
    steps = torch.nn.functional.pad(inputs.transpose(0, 1), (0, 0, 0, 0, length - own, 0))
    taps = torch.nn.functional.pad(READOUTS[network.readout](own), (length - own, 0))
    variances, second = [], torch.zeros_like(steps[0, :, 0])
    for norms in steps.square().sum(2):
        variance = limit.drive * norms + limit.recurrent * second + limit.bias
        variances.append(variance)
        second = limit.moments(variance, variance, variance)[0]
    return _Sequences(steps, torch.stack(variances), taps.to(inputs))


def _upper(limit: _Limit, left: _Sequences, right: _Sequences, first: int, tangent: bool, same: bool = False) -> Tensor:
    """Part (n, s, n', s') of the kernel that comes from pairs of steps (t, u) with u − t ≥ ``first``.

    ``same`` says that both are one: then pairs u = t count half, so that adding the transpose completes the kernel.
    """
    reach = right.observed[-1] - left.observed[0]
    offsets = range(first, reach + 1)
    n, columns, length = left.inputs.shape[1], right.inputs.shape[1], len(left.inputs)
    shape = n, len(left.taps), columns, len(right.taps)
    if not offsets:
        return left.inputs.new_zeros(()).expand(shape)
    table = left.inputs.new_zeros(shape)
    block = BLOCK if limit.moments in EXACT.values() else _SERIES * BLOCK
    height = max(1, block // (len(offsets) * columns))
    starts = range(0, n, height)
    with bar(len(starts) * length, "infinite width") as counter:
        for start in starts:
            rows = left.rows(start, start + height)
            for step, pairs in enumerate(_walk(limit, rows, right, offsets, start if same else None, tangent)):
                _read(table[start : start + height], rows.taps[:, step], right.taps[:, step + first :], pairs)
                counter.update()
    return table


def _walk(
    limit: _Limit, left: _Sequences, right: _Sequences, offsets: range, diagonal: int | None, tangent: bool
) -> Iterator[Tensor]:
    """For t = 1, 2, … the kernel (d, n, n') between h_t and all h'_{t+d}, for the offsets d that still fit.

    ``diagonal`` is where the left samples start among the right ones, if they are the same.
    """
    length = len(right.inputs)
    products = slopes = theta = left.inputs.new_zeros(len(offsets), left.inputs.shape[1], right.inputs.shape[1])
    for step in range(length - offsets.start):
        steps = slice(step + offsets.start, min(step + offsets.stop, length))
        fit = steps.stop - steps.start
        overlaps = torch.einsum("ip,djp->dij", left.inputs[step], right.inputs[steps])
        theta = limit.recurrent * slopes[:fit] * theta[:fit] + limit.A * overlaps + limit.W * products[:fit] + limit.b
        covariances = limit.drive * overlaps + limit.recurrent * products[:fit] + limit.bias
        if diagonal is not None:  # a sequence with itself: ρ = 1 to the bit
            covariances[0].diagonal(diagonal).copy_(left.variances[step])
        variances = left.variances[step][None, :, None], right.variances[steps][:, None, :]
        products, slopes = limit.moments(covariances, *variances)
        pairs = limit.readout * slopes * theta + limit.B * products if tangent else limit.readout * products
        if diagonal is not None:
            pairs[0] *= 0.5
        yield pairs


def _read(table: Tensor, left: Tensor, right: Tensor, pairs: Tensor) -> None:
    """Add kernels (d, n, n') of one step with later ones to a table (n, s, n', s'), weighed by taps (s,), (s', ≥ d)."""
    for output in left.nonzero()[:, 0].tolist():
        table[:, output] += left[output] * torch.einsum("dij,cd->ijc", pairs, right[:, : len(pairs)])


def repeat(table: Tensor, outputs: int) -> Tensor:
    """The whole kernel (n, s·q, n', s'·q) from one (n, s, n', s') that q outputs share: 0 between different ones."""
    n, s, columns, s2 = table.shape
    if outputs == 1:
        return table
    whole = table.new_zeros(n, s, outputs, columns, s2, outputs)
    whole.diagonal(dim1=2, dim2=5).copy_(table[..., None])
    return whole.view(n, s * outputs, columns, s2 * outputs)
