"""The Jacobian of an Elman network in factors: one idea behind training, linearization and tangent kernel.

With g_t = c_W W h_{t-1} + c_A A x_t + c_b b, h_t = φ(g_t) and an output f_a = c_B Σ_t R_at B h_t, the deltas
δ_t = ∂f_a/∂g_t satisfy (Allen-Zhu, Li, Song 2019, section 4; they write D_t for the diagonal of φ'(g_t))

    δ_t = φ'(g_t) ∘ (c_B R_at Bᵀe + c_W Wᵀ δ_{t+1})

and ∂f_a/∂W = c_W Σ_t δ_t h_{t-1}ᵀ, ∂f_a/∂A = c_A Σ_t δ_t x_tᵀ, ∂f_a/∂b = c_b Σ_t δ_t.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from lab.errors import refuse
from lab.jacobians.factors import Factors, reduce
from lab.jacobians.gram import MEMORY
from lab.jacobians.jacobian import Tangent, WeightWatch, check_cotangent, check_tangent
from lab.jacobians.parts import OutputMatrix, Part, Place, Products
from lab.jacobians.workspace import Deltas, Workspace


@dataclass(frozen=True)
class Unrolled:
    """A recurrent network unrolled over n sequences of L steps: everything a Jacobian needs, and no activation.

    Attributes
    ----------
    inputs
        x_t (L, n, p), time first.
    workspace
        Where h_t and φ'(g_t), both (L, n, m), lie, and where deltas may.
    gated
        Whether slopes are 0 or 1; `gains` are booleans then.
    weights, multipliers
        W (m, m), A (m, p), B (q, m) and, where there is one, b (m,); and the constants in front of them.
    taps
        How much each observed step reads of each state, R (s, L): one row e_L, rows e_2…e_L, or one row of 1/L.
    first_read
        The first time step (from 0) that is read; columns of R before it are zero.
    trained
        Names of the trained weights.
    """

    inputs: Tensor
    workspace: Workspace
    gated: bool
    weights: Mapping[str, Tensor]
    multipliers: Mapping[str, float]
    taps: Tensor
    first_read: int
    trained: tuple[str, ...]

    @property
    def states(self) -> Tensor:
        """h_t, shape (L, n, m)."""
        return self.workspace.states

    @property
    def slopes(self) -> Tensor:
        """φ'(g_t), shape (L, n, m), in the dtype of the states."""
        return self.workspace.slopes

    @property
    def gains(self) -> Tensor:
        """φ'(g_t), shape (L, n, m): booleans where it is 0 or 1."""
        return self.slopes.bool() if self.gated else self.slopes

    @cached_property
    def first_step(self) -> int:
        """The first time step (from 0) at which a trained weight acts: W meets h_0 = 0 at step 0."""
        return 0 if "A" in self.trained or "b" in self.trained else 1

    @cached_property
    def reads_last(self) -> bool:
        """Whether the last state alone is read, as it is."""
        return len(self.taps) == 1 and self.reads_each

    @cached_property
    def reads_each(self) -> bool:
        """Whether every time step from the first that is read is an output of its own: R is the identity there."""
        return len(self.taps) == len(self.states) - self.first_read

    def select(self, samples: Tensor) -> Self:
        """The same network unrolled over some of its sequences, by integer indices."""
        workspace = Workspace(self.states[:, samples])
        workspace.slopes = self.slopes[:, samples]
        return replace(self, inputs=self.inputs[:, samples], workspace=workspace)


class FactoredJacobian:
    """Jacobian of all outputs of a recurrent network in its trained weights.

    Unkept, `push` and `pull` run the recurrence with the live weights (one more product with W each) and hold only the
    states, n·L·m numbers. Kept, they are products on cached deltas, n·o·L·m numbers more.

    Parameters
    ----------
    unrolled
        The network unrolled over its inputs; n samples, o = s·q outputs each, time first, then q.
    start
        What is subtracted from the outputs, (n, o), if they are centred.

    Raises
    ------
    LabError
        From every method of an unkept Jacobian once the weights have moved.
    """

    def __init__(self, unrolled: Unrolled, start: Tensor | None = None) -> None:
        self._live: Unrolled | None = unrolled
        self._factors: Factors | None = None
        self._watch = WeightWatch(unrolled.weights)
        self._shapes = {name: unrolled.weights[name].shape for name in unrolled.trained}
        outputs = read_out(unrolled, unrolled.states)
        self._outputs = outputs if start is None else outputs - start

    @property
    def outputs(self) -> Tensor:
        """f, shape (n, o)."""
        return self._outputs

    @torch.no_grad()
    def pull(self, cotangent: Tensor) -> Tangent:
        """Jᵀr for r (n, o): one backward pass, whatever o."""
        tangent = {name: self._outputs.new_zeros(shape) for name, shape in self._shapes.items()}
        self.add_pull(tangent, cotangent, 1.0)
        return tangent

    @torch.no_grad()
    def add_pull(self, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float) -> None:
        """Tangent += scale · Jᵀr in place, one fat product per weight over the stacked time steps."""
        cotangent = check_cotangent(cotangent, self._outputs)
        if self._factors is not None:
            self._factors.add_pull(tangent, cotangent, scale)
        else:
            add_pull(self._current(), tangent, cotangent, scale)

    @torch.no_grad()
    def push(self, tangent: Mapping[str, Tensor]) -> Tensor:
        """Jv for a tangent v, shape (n, o)."""
        tangent = check_tangent(tangent, self._shapes, self._outputs)
        if self._factors is not None:
            return self._factors.push(tangent)
        return _push_live(self._current(), tangent)

    @torch.no_grad()
    def gram(self, other: Self | None = None, *, route: str | None = None, memory: int = MEMORY) -> Tensor:
        """J J'ᵀ, shape (n, o, n', o'), by the cheaper of two routes (see `lab.jacobians.gram`) or the named one.

        ``memory`` bounds the temporaries in bytes.
        """
        if other is not None and not self._matches(other):
            refuse(
                "other",
                "a Jacobian of another network",
                "one of the same weights and dtype",
                "use the same network for both",
            )
        right = None if other is None or other is self else other._current_factors()
        return self._current_factors().gram(right, route, memory)

    @torch.no_grad()
    def keep(self) -> Self:
        """Form the deltas of all outputs, n·o·T·m numbers, let go of the weights, and return this same object."""
        self._factors, self._live = self._current_factors().stored(), None
        return self

    @torch.no_grad()
    def reduced(self, other: Self | None) -> tuple[Self, Self | None]:
        """Two kept Jacobians in coordinates of what descent on this one can reach (see `lab.jacobians.factors.reduce`).

        Their tangents are smaller than the weights.
        """
        assert self._factors is not None
        mine, theirs = reduce(self._factors, None if other is None else other._factors)
        return self._with(mine), None if other is None or theirs is None else other._with(theirs)

    @torch.no_grad()
    def select(self, samples: Tensor) -> Self:
        """The kept Jacobian of some samples (integer indices); raises `LabError` if this one is not kept."""
        if self._factors is None:
            refuse("jacobian", "an unkept Jacobian", "a kept one", "call .keep() before selecting samples")
        chosen = copy.copy(self)
        chosen._factors, chosen._outputs = self._factors.select(samples), self._outputs[samples]
        return chosen

    def _with(self, factors: Factors) -> Self:
        twin = copy.copy(self)
        twin._factors, twin._shapes = factors, factors.shapes
        return twin

    def _matches(self, other: object) -> bool:
        same = isinstance(other, FactoredJacobian) and other._shapes == self._shapes
        return same and other._outputs.dtype == self._outputs.dtype  # type: ignore[attr-defined]

    def _current(self) -> Unrolled:
        """The unrolled network, if its weights are still the ones it was unrolled with."""
        self._watch.check()
        assert self._live is not None
        return self._live

    def _current_factors(self) -> Factors:
        return self._factors if self._factors is not None else form_factors(self._current())


def read_out(unrolled: Unrolled, states: Tensor) -> Tensor:
    """c_B R B h over states (L, n, m), flattened to (n, o)."""
    B = unrolled.weights["B"].detach()
    read = torch.mm(states[-1], B.T) if unrolled.reads_last else _read_steps(unrolled, states, B)
    return read if unrolled.multipliers["B"] == 1 else read.mul_(unrolled.multipliers["B"])


def _read_steps(unrolled: Unrolled, states: Tensor, B: Tensor) -> Tensor:
    """R B h, (n, o): B reads first, so that R mixes q numbers, not m."""
    n, first = states.shape[1], unrolled.first_read
    read = torch.matmul(states[first:], B.T)  # (steps that are read, n, q)
    if not unrolled.reads_each:
        read = torch.matmul(unrolled.taps[:, first:], read.flatten(1)).view(len(unrolled.taps), n, -1)
    return read.transpose(0, 1).reshape(n, -1)


def pool(unrolled: Unrolled, states: Tensor) -> Tensor:
    """What B multiplies at the observed steps, c_B R h, shape (n, s, m)."""
    taps = unrolled.multipliers["B"] * unrolled.taps[:, unrolled.first_read :]
    read = states[unrolled.first_read :].flatten(1)
    return torch.matmul(taps, read).view(len(taps), *states.shape[1:]).transpose(0, 1)


def seed(unrolled: Unrolled, deltas: Tensor, cotangent: Tensor) -> None:
    """Write ∂⟨r, f⟩/∂h_t through the readout alone to the time steps of deltas (L, n, m) that are read."""
    B = unrolled.weights["B"].detach()
    if unrolled.reads_last:
        deltas[-1].addmm_(cotangent, B, beta=0, alpha=unrolled.multipliers["B"])
        return
    n, steps = len(cotangent), len(unrolled.taps)
    spread = cotangent.reshape(n, steps, len(B)).transpose(0, 1).reshape(steps, -1)
    if not unrolled.reads_each:
        spread = torch.matmul(unrolled.taps[:, unrolled.first_read :].T, spread)
    read = deltas[unrolled.first_read :].flatten(0, 1)
    read.addmm_(spread.reshape(-1, len(B)), B, beta=0, alpha=unrolled.multipliers["B"])


def _seeded_deltas(unrolled: Unrolled, cotangent: Tensor) -> Deltas:
    """∂⟨r, f⟩/∂g_t, shape (L, n, m), from the first time step that counts: one backward pass."""
    deltas = unrolled.workspace.deltas()
    seed(unrolled, deltas.whole, cotangent)
    W, slopes, multiplier = unrolled.weights["W"].detach(), unrolled.workspace.slope_steps, unrolled.multipliers["W"]
    rows, first_read = deltas.steps, unrolled.first_read
    later = rows[-1].mul_(slopes[-1])
    for t in range(len(rows) - 2, unrolled.first_step - 1, -1):  # two operations per time step
        if t >= first_read or multiplier != 1:  # added to the seed of this step, or written over what lies there
            rows[t].addmm_(later, W, beta=int(t >= first_read), alpha=multiplier)
        else:
            torch.mm(later, W, out=rows[t])  # the same product by the shorter way
        later = rows[t].mul_(slopes[t])
    return deltas


def add_pull(unrolled: Unrolled, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float) -> None:
    """Tangent += scale · Jᵀr in place at the weights of this moment, for r (n, o) in the dtype of the states."""
    recurrent = [name for name in unrolled.trained if name != "B"]
    deltas = _seeded_deltas(unrolled, cotangent) if recurrent else None
    for name in recurrent:
        assert deltas is not None
        features, start = _stacked_features(unrolled, name)
        weight = tangent[name] if name != "b" else tangent[name][:, None]
        weight.addmm_(deltas.columns(start), features, alpha=scale * unrolled.multipliers[name])
    if "B" in unrolled.trained:  # which the deltas read, so that it moves last
        residual = cotangent.reshape(-1, len(unrolled.weights["B"]))
        tangent["B"].addmm_(residual.T, pool(unrolled, unrolled.states).flatten(0, 1), alpha=scale)


def _stacked_features(unrolled: Unrolled, name: str) -> tuple[Tensor, int]:
    """`time_features` with the time steps one below the other, (steps · n, d)."""
    if name == "W":
        return unrolled.workspace.earlier, 1
    features, start = time_features(unrolled, name)
    return features.flatten(0, 1), start


def time_features(unrolled: Unrolled, name: str) -> tuple[Tensor, int]:
    """What the weight multiplies, time first, (steps, n, d), and the time step at which it begins to."""
    if name == "W":
        return unrolled.states[:-1], 1
    if name == "A":
        return unrolled.inputs, 0
    return unrolled.inputs.new_ones(*unrolled.inputs.shape[:2], 1), 0


def sources(unrolled: Unrolled, tangent: Mapping[str, Tensor]) -> Tensor:
    """What a motion dθ of the weights adds to g_t at fixed states, Σ c dθ z_t over the recurrent weights, (L, n, m)."""
    moved = torch.zeros_like(unrolled.states)
    for name in tangent.keys() - {"B"}:
        features, start = time_features(unrolled, name)
        direction = tangent[name].reshape(len(tangent[name]), -1)
        moved[start:] += unrolled.multipliers[name] * torch.matmul(features, direction.T)
    return moved


def _push_live(unrolled: Unrolled, tangent: Mapping[str, Tensor]) -> Tensor:
    """Tangent recurrence u_t = φ'(g_t) ∘ (c_W W u_{t-1} + Σ c dθ z_t), read out as the states are."""
    moved = sources(unrolled, tangent)
    W_transposed = unrolled.weights["W"].detach().T
    rows, slopes = moved.unbind(), unrolled.workspace.slope_steps
    earlier = rows[0].mul_(slopes[0])
    for row, slope in zip(rows[1:], slopes[1:], strict=True):
        earlier = row.addmm_(earlier, W_transposed, alpha=unrolled.multipliers["W"]).mul_(slope)
    change = read_out(unrolled, moved)
    if "B" in tangent:
        change += torch.matmul(pool(unrolled, unrolled.states), tangent["B"].T).reshape(change.shape)
    return change


def form_factors(unrolled: Unrolled) -> Factors:
    """The recurrent weights share the deltas of every output, stored time first; B stands for itself."""
    recurrent = [name for name in unrolled.trained if name != "B"]
    parts: dict[str, Part] = {}
    if recurrent:
        features, places = all_features(unrolled, recurrent)
        parts["recurrent"] = Products(_output_deltas(unrolled), features.transpose(0, 1), places)
    if "B" in unrolled.trained:
        parts["B"] = OutputMatrix("B", pool(unrolled, unrolled.states), len(unrolled.weights["B"]))
    sizes = {name: unrolled.weights[name].shape for name in unrolled.trained}
    return Factors(parts, unrolled.states.new_empty(_output_shape(unrolled)), sizes)


def all_features(unrolled: Unrolled, names: list[str]) -> tuple[Tensor, tuple[Place, ...]]:
    """What these weights multiply, with their multipliers, side by side, (T, n, d), and which columns are whose."""
    if names == ["W"] and unrolled.multipliers["W"] == 1:
        return unrolled.states[:-1], (Place("W", slice(0, unrolled.states.shape[2])),)  # the states, not a copy
    places, parts, start = [], [], 0
    for name in names:
        features, begins = time_features(unrolled, name)
        missing = features.new_zeros(begins - unrolled.first_step, *features.shape[1:])  # h_0 = 0
        parts.append(unrolled.multipliers[name] * torch.cat([missing, features]))
        places.append(Place(name, slice(start, start := start + features.shape[2])))
    return torch.cat(parts, dim=2), tuple(places)


def _output_shape(unrolled: Unrolled) -> tuple[int, int]:
    return unrolled.states.shape[1], len(unrolled.taps) * len(unrolled.weights["B"])


def _output_deltas(unrolled: Unrolled) -> Tensor:
    """∂f_a/∂g_t of every output a, shape (n, o, T, m), stored time first.

    An output that reads nothing after step t has no delta there, so each backward product carries only the outputs
    that already began: half of them on average when all steps are read.
    """
    steps, (n, o), B = len(unrolled.taps), _output_shape(unrolled), unrolled.weights["B"].detach()
    length, _, width = unrolled.states.shape
    deltas = B.new_empty(length - unrolled.first_step, steps, len(B), n, width)
    begins = [int(tap.nonzero().max()) for tap in unrolled.taps]  # later rows of R read later steps
    carried = steps  # outputs before this one do not read later steps
    for t in range(length - 1, unrolled.first_step - 1, -1):
        now, later = deltas[t - unrolled.first_step], deltas[t + 1 - unrolled.first_step :][:1]
        _carry_back(unrolled, now[carried:], later[:, carried:])
        now[:carried] = 0
        for k in unrolled.taps[:, t].nonzero().flatten().tolist():
            now[k] += (unrolled.multipliers["B"] * unrolled.taps[k, t]) * B[:, None]
        carried = sum(begin < t for begin in begins)
        now[carried:] *= unrolled.slopes[t]
    return deltas.view(-1, o, n, width).permute(2, 1, 0, 3)


def _carry_back(unrolled: Unrolled, now: Tensor, later: Tensor) -> None:
    """Write c_W δ_{t+1} W to ``now`` (s, q, n, m), for outputs that have a ``later`` (1, s, q, n, m)."""
    if now.numel():
        W = unrolled.weights["W"].detach()
        now.view(-1, len(W)).addmm_(later.reshape(-1, len(W)), W, beta=0, alpha=unrolled.multipliers["W"])
