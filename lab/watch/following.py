"""What the adapters of training libraries share: a watch that follows a loop which is not the user's own."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from lab.errors import LabError, LabWarning
from lab.losses import Loss, LossFunction
from lab.watch.probe import Row
from lab.watch.twin import Readout
from lab.watch.watch import Watch

_PLAIN = {"nesterov": False, "maximize": False, "dampening": 0}  # options of SGD with the edge 2(1 + β)/η


@dataclass
class Follower:
    """Makes a `Watch` when training begins, and looks at the steps that the loop has counted, never twice at one.

    Once it has begun, it never ends somebody's training: if a look is refused, as at weights that are not finite, it
    warns and looks no more. The rows so far are kept.

    Attributes
    ----------
    watch
        None before training began.
    """

    probe_inputs: Any
    probe_targets: Any
    outputs: Readout | None
    loss: str | Loss | LossFunction | None
    watch: Watch | None = field(default=None, init=False)
    _start: int = field(default=0, init=False)
    _last: int = field(default=0, init=False)
    _is_over: bool = field(default=True, init=False)

    def begin(self, module: torch.nn.Module, step: int) -> None:
        """Watch this module from now on; ``step`` is what the loop counts at present, such as after a resumption."""
        self.watch = Watch(module, self.probe_inputs, self.probe_targets, outputs=self.outputs, loss=self.loss)
        self._start = self._last = step
        self._is_over = False

    def look(self, step: int, optimizers: Sequence[torch.optim.Optimizer]) -> Row | None:
        """The row of a look at this step of the loop; None where there is nothing new, or no more to see.

        Warns `LabWarning` where a look is refused.
        """
        if self.watch is None or self._is_over or step <= self._last:
            return None
        rate, momentum = plain_rate(optimizers)
        try:
            row = self.watch.look(step - self._start, rate, momentum=momentum)
        except LabError as error:
            self._is_over = True
            warnings.warn(f"the watch looks no more, after step {self._last}: {error}", LabWarning, stacklevel=2)
            return None
        self._last = step
        return row


def plain_rate(optimizers: Sequence[torch.optim.Optimizer]) -> tuple[float | None, float]:
    """Learning rate and momentum of one plain SGD; (None, 0) for all else, of which the edge is not known.

    Plain is `torch.optim.SGD` itself, without Nesterov's momentum and dampening, with one rate for all parameters.
    Weight decay is allowed; what it adds to the curvature is left out.
    """
    if len(optimizers) != 1 or type(optimizers[0]) is not torch.optim.SGD:
        return None, 0.0
    groups = optimizers[0].param_groups
    rates = {(float(group["lr"]), float(group["momentum"])) for group in groups}
    if len(rates) != 1 or any(group[name] != value for group in groups for name, value in _PLAIN.items()):
        return None, 0.0
    rate, momentum = rates.pop()
    return (rate, momentum) if rate > 0 else (None, 0.0)


def numbers(row: Mapping[str, float | None]) -> dict[str, float]:
    """The columns of a look that a logger can draw: finite numbers, without the step."""
    return {name: value for name, value in row.items() if name != "step" and value is not None and math.isfinite(value)}
