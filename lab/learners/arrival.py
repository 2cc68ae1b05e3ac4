"""Descent until something is true: one loop, three exits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from lab.errors import check_number
from lab.html import Facts
from lab.learners.descent import Descent, check_descent
from lab.learners.network import Snapshot, descend, path
from lab.losses import Squared
from lab.networks.modules import as_network
from lab.networks.network import Network
from lab.tasks.task import Task, as_task

Exit = Literal["reached", "diverged", "undecided"]


@dataclass(frozen=True, repr=False)
class Arrival(Facts):
    """How a descent ended, and what was recorded on the way.

    Attributes
    ----------
    exit
        "reached": the condition was met at a recorded step. "diverged": the loss left the limits (see `Descent`).
        "undecided": the steps were spent before either.
    step
        The last step that was looked at; on "reached", the step at which the condition was met.
    diverged_at
        Step of the divergence; None without one.
    network
        The network at ``step``; on "diverged" where it diverged, on a GPU up to 32 steps later.
    steps, loss
        Recorded steps (T,) up to ``step``, and the loss summed over the training set there, (T,).
    mse
        Mean (f − y)² over training samples and outputs, (T,); for other losses than the squared one the loss per
        sample.
    quantity
        What ``mse`` is, in words.
    """

    exit: Exit
    step: int
    diverged_at: int | None
    network: Network
    steps: NDArray[np.int64]
    loss: NDArray[np.float64]
    mse: NDArray[np.float64]
    quantity: str = "mean squared error"

    def __repr__(self) -> str:
        return f"Arrival({self.exit!r} at step {self.step}, {self.quantity} {self.mse[0]:.3g} to {self.mse[-1]:.3g})"

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        errors = {f"first {self.quantity}": self.mse[0], f"last {self.quantity}": self.mse[-1]}
        return "Descent until a condition", {"exit": self.exit, "step": self.step, **errors}


def arrive(
    network: torch.nn.Module | Network,
    task: Task | tuple[Any, Any],
    descent: Descent,
    until: float | Callable[[Snapshot], bool],
    *,
    in_place: bool = False,
    progress: bool = True,
) -> Arrival:
    """Descend until a condition is met at a recorded step, the network diverges, or the steps are spent.

    Parameters
    ----------
    network, task, in_place, progress
        As for `lab.descend`: a copy of the network descends, unless ``in_place``.
    descent
        Its ``record`` says at which steps the condition is evaluated; ``record="all"`` evaluates it at every step.
    until
        A positive number: the mean squared training error to fall below, for other losses than the squared one the
        training loss per sample. Or a function of the `lab.Snapshot` that returns whether to stop; it is called once at
        each recorded step, in order, and may collect what it needs.

    Raises
    ------
    LabError
        As `lab.descend` does; an ``until`` that is neither a positive number nor callable.

    Examples
    --------
    >>> from lab.networks.elman import ElmanRNN
    >>> from lab.tasks import digits
    >>> task = digits()
    >>> found = arrive(ElmanRNN.like(task, 64), task, Descent(2000, record="all"), 0.1)
    >>> found.exit, bool(found.mse[-1] < 0.1 <= found.mse[-2])
    ('reached', True)
    """
    network, task = as_network(network), as_task(task)
    check_descent(descent)
    squared = isinstance(descent.criterion, Squared)
    unit = task.train_targets.numel() / 2 if squared else float(len(task.train_targets))
    quantity = "mean squared error" if squared else f"{descent.criterion.name} per sample"
    looks = _Looks()
    if callable(until):
        taken = descend(network, task, descent, in_place=in_place, progress=progress)
        for snapshot in taken:
            if looks.add(snapshot.step, snapshot.loss, until(snapshot)):
                break
    else:
        check_number("until", until, above=0)
        below = partial(looks.add_below, unit, until)
        taken = path(network, task, descent, in_place=in_place, progress=progress, stop=below)
        for _ in taken:  # it has no snapshots, and is taken as a whole
            pass
    diverged_at = None if looks.reached else taken.diverged_at
    ended: Exit = "reached" if looks.reached else "undecided" if diverged_at is None else "diverged"
    loss = np.array(looks.losses, dtype=np.float64)
    last = looks.steps[-1] if diverged_at is None else diverged_at
    return Arrival(ended, last, diverged_at, taken.network, np.array(looks.steps), loss, loss / unit, quantity)


@dataclass
class _Looks:
    """The recorded steps so far, their losses, and whether the condition was met at the last one."""

    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    reached: bool = False

    def add(self, step: int, loss: float, reached: bool) -> bool:
        """Take a recorded step; returns whether the condition was met there."""
        self.steps.append(step)
        self.losses.append(loss)
        self.reached = bool(reached)
        return self.reached

    def add_below(self, unit: float, level: float, step: int, loss: float) -> bool:
        """The same, the condition being a loss below this level in this unit."""
        return self.add(step, loss, loss / unit < level)
