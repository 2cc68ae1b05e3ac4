"""Memory for unrolling a recurrent network, which a descent writes over at every step."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

Steps = tuple[Tensor, ...]


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
        self._deltas: tuple[Tensor, Steps] | None = None

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

    def deltas(self) -> tuple[Tensor, Steps]:
        """Memory for one backward pass, (L, n, m), and step by step; what it holds is left over from the last one."""
        if self._deltas is not None:
            return self._deltas
        deltas = torch.empty_like(self.states)
        pair = deltas, deltas.unbind()
        self._deltas = pair if self._lasting else None
        return pair
