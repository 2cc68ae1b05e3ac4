"""Two checkpoints of one network: was the training between them lazy?"""

from __future__ import annotations

from typing import Any

import torch

from lab.losses import Loss, LossFunction
from lab.watch.twin import Readout
from lab.watch.watch import Watch


def diagnose(
    module_at_start: torch.nn.Module,
    module_now: torch.nn.Module,
    probe_inputs: Any,
    probe_targets: Any = None,
    *,
    outputs: Readout | None = None,
    loss: str | Loss | LossFunction | None = None,
) -> Watch:
    """A `Watch` made at the first checkpoint that has looked once, at the second.

    Parameters
    ----------
    module_at_start, module_now
        The same architecture twice. Neither is changed.
    probe_inputs, probe_targets, outputs, loss
        As for `Watch`.

    Returns
    -------
    Watch
        With one row, whose ``step`` is 1: ``kernel_velocity`` is the whole angle.

    Raises
    ------
    LabError
        As `Watch` does; modules whose parameters differ in names or shapes.

    Examples
    --------
    >>> from lab.networks.elman import ElmanRNN
    >>> start, now = ElmanRNN(8, 3, seed=0), ElmanRNN(8, 3, seed=1)
    >>> diagnose(start, now, torch.ones(4, 5, 3)).regime
    'rich'
    """
    watch = Watch(module_at_start, probe_inputs, probe_targets, outputs=outputs, loss=loss)
    watch.point_at(module_now)
    watch.look(1)
    return watch
