"""The second-order expansion of an Elman network: states, first and second tangents by one linear recurrence.

With the notation of `lab.jacobians.factored` and a motion v = (V_W, V_A, V_b, V_B), the states move as h + u + ½s with

    ġ_t = c_W (W u_{t-1} + V_W h_{t-1}) + c_A V_A x_t + c_b V_b      u_t = φ'(g_t) ∘ ġ_t
    g̈_t = c_W (W s_{t-1} + 2 V_W u_{t-1})                            s_t = φ'(g_t) ∘ g̈_t + φ''(g_t) ∘ ġ_t²

to second order, and f as f₀ + c_B R (B u + V_B h) + c_B R (½B s + V_B u). Going back from r, two recurrences give the
deltas δ_t of g and ε_t of ġ. A time step takes nine products: two with W and two with V_W forward, two with W and one
with V_W backward, and two for the gradient. A step of the network takes three.

For ReLU φ'' = 0 except at kinks, which no derivative sees: s has the multilinear part alone, W being used L − 1 times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor

from lab.jacobians.expansion import QuadraticJacobian
from lab.jacobians.factored import Unrolled, all_features, pool, read_out, seed, sources, time_features
from lab.jacobians.factors import Factors
from lab.jacobians.parts import OutputMatrix, Part, Products


class RecurrentExpansion:
    """An Elman network around its initial weights on n samples.

    Parameters
    ----------
    unrolled
        The network unrolled over its inputs; its weights are copied.
    bend
        φ''(g_t), shape (L, n, m); None where it is 0.
    start
        What is subtracted from the outputs, (n, o), if they are centred.
    """

    def __init__(self, unrolled: Unrolled, bend: Tensor | None, start: Tensor | None = None) -> None:
        weights = {name: value.detach().clone() for name, value in unrolled.weights.items()}
        self._unrolled, self._bend = replace(unrolled, weights=weights), bend
        outputs = read_out(unrolled, unrolled.states)
        self._outputs = outputs if start is None else outputs - start

    @property
    def outputs(self) -> Tensor:
        """f₀, shape (n, o)."""
        return self._outputs

    @torch.no_grad()
    def at(self, motion: Mapping[str, Tensor]) -> RecurrentQuadratic:
        """The Jacobian of the second-order model at v: one pass forward."""
        return RecurrentQuadratic(self, self._unrolled, self._bend, motion)

    @torch.no_grad()
    def select(self, samples: Tensor) -> Self:
        """The expansion of some samples, by integer indices."""
        twin = object.__new__(type(self))
        twin._unrolled = self._unrolled.select(samples)
        twin._bend = None if self._bend is None else self._bend[:, samples]
        twin._outputs = self._outputs[samples]
        return twin


class RecurrentQuadratic(QuadraticJacobian):
    """J₀ + vᵀH₀ of an Elman network.

    Parameters
    ----------
    expansion, unrolled, bend
        The expansion and what it holds.
    motion
        v; weights that it does not name stay.
    """

    def __init__(
        self, expansion: RecurrentExpansion, unrolled: Unrolled, bend: Tensor | None, motion: Mapping[str, Tensor]
    ) -> None:
        self._unrolled, self._bend = unrolled, bend
        self._first, self._u = _forward(unrolled, sources(unrolled, motion))
        s = _second(unrolled, bend, motion, self._first, self._u)
        outputs = expansion.outputs + read_out(unrolled, self._u + s / 2)
        if "B" in motion:
            moved = pool(unrolled, unrolled.states + self._u)
            outputs += torch.matmul(moved, motion["B"].T).reshape(outputs.shape)
        super().__init__(expansion, motion, outputs)

    def _add_pull(self, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float) -> None:
        unrolled, u = self._unrolled, self._u
        epsilons, deltas = self._deltas(cotangent)
        for name in self._motion.keys() - {"B"}:
            features, begin = time_features(unrolled, name)
            weight, factor = tangent[name].view(len(tangent[name]), -1), scale * unrolled.multipliers[name]
            acting = slice(begin - unrolled.first_step, None)
            weight.addmm_(epsilons[acting].flatten(0, 1).T, features.flatten(0, 1), alpha=factor)
            if name == "W":
                weight.addmm_(deltas[acting].flatten(0, 1).T, u[:-1].flatten(0, 1), alpha=factor)
        if "B" in self._motion:
            residual = cotangent.reshape(-1, len(unrolled.weights["B"]))
            tangent["B"].addmm_(residual.T, pool(unrolled, unrolled.states + u).flatten(0, 1), alpha=scale)

    @torch.no_grad()
    def gram(self, other: Self | None = None) -> Tensor:
        """(J₀ + vᵀH₀)(J₀ + vᵀH₀)ᵀ, shape (n, o, n', o'), from the factors of both: ε with h and x, δ with u."""
        self._watch.check()
        return self._factors().gram(None if other is None else other._factors())

    def _factors(self) -> Factors:
        """The Jacobian as sums of outer products, for which W is used twice as often as in the network."""
        unrolled, parts = self._unrolled, dict[str, Part]()
        if recurrent := [name for name in unrolled.trained if name != "B"]:
            found = [self._deltas(unit) for unit in _units(self._outputs)]
            deltas = torch.stack([torch.cat(pair) for pair in found])  # (o, 2T, n, m)
            features, places = all_features(unrolled, recurrent)
            moved = torch.zeros_like(features)
            if "W" in recurrent:  # the first place is W's
                moved[1 - unrolled.first_step :, :, places[0].features] = unrolled.multipliers["W"] * self._u[:-1]
            both = torch.cat([features, moved]).transpose(0, 1)
            parts["recurrent"] = Products(deltas.permute(2, 0, 1, 3), both, places)
        if "B" in unrolled.trained:
            parts["B"] = OutputMatrix("B", pool(unrolled, unrolled.states + self._u), len(unrolled.weights["B"]))
        sizes = {name: unrolled.weights[name].shape for name in unrolled.trained}
        return Factors(parts, self._outputs, sizes)

    def _deltas(self, cotangent: Tensor) -> tuple[Tensor, Tensor]:
        """ε_t and δ_t of ⟨r, q⟩ from the first step at which a trained weight acts, (T, n, m)."""
        unrolled, begin = self._unrolled, self._unrolled.first_step
        raw, deltas = _backward(unrolled, _seeds(unrolled, cotangent))
        seeds = _seeds(self._moved_readout(), cotangent)
        if "W" in self._motion:  # half of δ, twice for the factor 2 in g̈
            seeds[:-1] += unrolled.multipliers["W"] * torch.matmul(deltas[1:], self._motion["W"])
        extra = None if self._bend is None else self._bend * self._first * raw
        return _backward(unrolled, seeds, extra)[1][begin:], deltas[begin:]

    def _moved_readout(self) -> Unrolled:
        """The network with B + V_B in the place of B."""
        if "B" not in self._motion:
            return self._unrolled
        weights = dict(self._unrolled.weights)
        weights["B"] = weights["B"] + self._motion["B"]
        return replace(self._unrolled, weights=weights)


def _units(outputs: Tensor) -> Iterator[Tensor]:
    """The cotangents (n, o) that pick one output of every sample."""
    for place in range(outputs.shape[1]):
        unit = torch.zeros_like(outputs)
        unit[:, place] = 1
        yield unit


def _second(unrolled: Unrolled, bend: Tensor | None, motion: Mapping[str, Tensor], first: Tensor, u: Tensor) -> Tensor:
    """The second tangents s_t, (L, n, m)."""
    along = torch.zeros_like(u)
    if "W" in motion:
        along[1:] = 2 * unrolled.multipliers["W"] * torch.matmul(u[:-1], motion["W"].T)
    extra = None if bend is None else bend * first.square()
    return _forward(unrolled, along, extra)[1]


def _forward(unrolled: Unrolled, added: Tensor, extra: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """a_t + c_W W y_{t-1} and y_t = φ'(g_t) ∘ (that) + b_t for sources a and b, all (L, n, m); a is written over."""
    W_transposed, results, begin = unrolled.weights["W"].T, torch.empty_like(added), unrolled.first_step
    rows, slopes = results.unbind(), unrolled.workspace.slope_steps
    results[:begin] = 0
    for t, source in enumerate(added.unbind()[begin:], begin):
        if t > begin:
            source.addmm_(rows[t - 1], W_transposed, alpha=unrolled.multipliers["W"])
        torch.mul(source, slopes[t], out=rows[t])
        if extra is not None:
            rows[t].add_(extra[t])
    return added, results


def _seeds(unrolled: Unrolled, cotangent: Tensor) -> Tensor:
    """∂⟨r, f⟩/∂h_t through the readout alone, (L, n, m)."""
    seeds = torch.zeros_like(unrolled.states)
    seed(unrolled, seeds, cotangent)
    return seeds


def _backward(unrolled: Unrolled, seeds: Tensor, extra: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """a_t + c_W Wᵀz_{t+1} and z_t = φ'(g_t) ∘ (that) + b_t, from the last step; as `_forward`, a is written over.

    Steps before the first at which a trained weight acts are left out.
    """
    W, results, carried = unrolled.weights["W"], torch.empty_like(seeds), seeds.unbind()
    rows, slopes, last = results.unbind(), unrolled.workspace.slope_steps, len(carried) - 1
    for t in range(last, unrolled.first_step - 1, -1):
        if t < last:
            carried[t].addmm_(rows[t + 1], W, alpha=unrolled.multipliers["W"])
        torch.mul(carried[t], slopes[t], out=rows[t])
        if extra is not None:
            rows[t].add_(extra[t])
    return seeds, results
