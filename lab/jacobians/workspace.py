"""Memory for unrolling a recurrent network, which a descent writes over at every step."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

Steps = tuple[Tensor, ...]


class Deltas:
    """Memory for one backward pass: ``whole`` (L, n, m), and ``steps``, its time steps (n, m)."""

    def __init__(self, states: Tensor) -> None:
        self.whole = torch.empty_like(states)
        self.steps = self.whole.unbind()
        self._columns: dict[int, Tensor] = {}

    def columns(self, start: int) -> Tensor:
        """The time steps from ``start`` on, side by side, (m, steps · n): what a fat product begins with."""
        if start not in self._columns:
            self._columns[start] = self.whole[start:].flatten(0, 1).T
        return self._columns[start]


class Workspace:
    """States, slopes and deltas, time first, each also as a tuple of its time steps (n, m): views cost as much as work.

    Parameters
    ----------
    states
        Where h_t is or will be, shape (L, n, m).
    lasting
        Whether deltas stay allocated from one backward pass to the next.
    """

    def __init__(self, states: Tensor, *, lasting: bool = False) -> None:
        self.states, self.state_steps = states, states.unbind()
        self._lasting = lasting
        self._deltas: Deltas | None = None

    @cached_property
    def forwards(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """(h_t, h_{t-1}) from the second step on."""
        return tuple(zip(self.state_steps[1:], self.state_steps, strict=False))

    @cached_property
    def backwards(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """Deltas and slopes of the steps before the last, from there to the second; memory must be lasting."""
        return tuple(zip(self.deltas().steps[-2:0:-1], self.slope_steps[-2:0:-1], strict=True))

    @cached_property
    def earlier(self) -> Tensor:
        """h_{t-1} of all steps but the first, one below the other, ((L − 1) n, m)."""
        return self.states[:-1].flatten(0, 1)

    @cached_property
    def slopes(self) -> Tensor:
        """φ'(g_t), shape (L, n, m)."""
        return torch.empty_like(self.states)

    @cached_property
    def slope_steps(self) -> Steps:
        """The same, step by step."""
        return self.slopes.unbind()

    @cached_property
    def preactivations(self) -> Tensor:
        """g_t, shape (L, n, m): for activations whose slope is no function of the states."""
        return torch.empty_like(self.states)

    def deltas(self) -> Deltas:
        """Memory for one backward pass; what it holds is left over from the last one."""
        if self._deltas is not None:
            return self._deltas
        deltas = Deltas(self.states)
        self._deltas = deltas if self._lasting else None
        return deltas
