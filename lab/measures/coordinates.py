"""How far training moves one coordinate of the features, and by which weight: the numbers of a coordinate check.

With g_L = c_W W h_{L-1} + c_A A x_L + c_b b at the last time step, the change of a pre-activation splits exactly into

    Δg_L = c_W W₀ Δh_{L-1} + c_W ΔW h_{L-1} + c_A ΔA x_L + c_b Δb,      h_{L-1} of the trained weights

and that of an output f = α c_B B h_L into α c_B B₀ Δh_L + α c_B ΔB h_L. A limit of infinite width in which every
layer learns features is one where the RMS of each of these is of order 1 over its coordinates.

References
----------
Yang, Hu, "Tensor Programs IV: Feature Learning in Infinite-Width Neural Networks", ICML 2021.
Yang et al., "Tensor Programs V: Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer", 2022, appendix D
(the coordinate check).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lab.errors import refuse
from lab.networks.elman import ElmanRNN
from lab.networks.scaled import Scaled


@torch.no_grad()
def coordinate_changes(start: ElmanRNN | Scaled, now: ElmanRNN | Scaled, inputs: Tensor) -> dict[str, float]:
    """RMS per coordinate of what training changed at the last time step L, in total and by each trained weight.

    Parameters
    ----------
    start, now
        One network before and after training: an `ElmanRNN` with any activation, or a `Scaled` one around it.
    inputs
        Shape (n, L, p).

    Returns
    -------
    dict
        "h": RMS over samples and units of h_L(θ_T) − h_L(θ₀). "f": RMS over all outputs of f(θ_T) − f(θ₀). For each
        trained weight the RMS of what its motion adds in the forward pass of the trained network: "W", c_W ΔW h_{L-1}
        (0 for sequences of one step); "A", c_A ΔA x_L; "b", c_b Δb, each over the samples and units of g_L; "B",
        α c_B ΔB h_L over the samples and outputs of the last time step, whatever the readout. h is that of θ_T.

    Raises
    ------
    LabError
        Something else than an `ElmanRNN`, two networks of different sizes, inputs that do not fit.
    """
    (before, _), (after, alpha) = elman_inside("start", start), elman_inside("now", now)
    if before.W.shape != after.W.shape or set(before.trained) != set(after.trained):
        came = f"width {after.width}, trained {', '.join(after.trained)}"
        allowed = f"width {before.width}, trained {', '.join(before.trained)}, as at the start"
        refuse("now", came, allowed, "take both from one training")
    first, last = before.unroll(inputs), after.unroll(inputs)
    state, length = last.states[-1], len(last.states)
    previous = last.states[-2] if length > 1 else torch.zeros_like(state)
    factors = {"W": previous, "A": last.inputs[-1], "B": state, "b": state.new_ones(len(state), 1)}
    found = {"h": _rms(state - first.states[-1]), "f": _rms(now(inputs) - start(inputs))}
    for name, weight in after.trained.items():
        moved = (weight - before.trained[name]).view(len(weight), -1)
        scale = after.multipliers[name] * (alpha if name == "B" else 1.0)
        found[name] = scale * _rms(factors[name] @ moved.T)
    return found


def elman_inside(name: str, network: ElmanRNN | Scaled) -> tuple[ElmanRNN, float]:
    """The Elman network inside of `Scaled` ones, or itself, and the scale α in front of it; else refuses ``name``."""
    alpha, inner = 1.0, network
    while isinstance(inner, Scaled):
        alpha, inner = alpha * inner.alpha, inner.network  # type: ignore[assignment]
    if not isinstance(inner, ElmanRNN):
        refuse(name, type(inner).__name__, "an ElmanRNN, or lab.Scaled around one", "build it by lab.ElmanRNN")
    return inner, alpha


def _rms(values: Tensor) -> float:
    return float(torch.linalg.vector_norm(values.double())) / math.sqrt(values.numel())
