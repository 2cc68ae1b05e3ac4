"""The looks of a watch in TensorBoard; a `SummaryWriter` needs ``pip install lazylab[tensorboard]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.errors import refuse
from lab.watch.following import numbers
from lab.watch.watch import Watch

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def add_look(writer: SummaryWriter, watch: Watch, *, step: int | None = None, prefix: str = "watch") -> None:
    """Add the last look of a watch to TensorBoard: its columns as scalars, its verdict as text.

    ::

        writer = SummaryWriter()
        ...
        watch.look(step)
        add_look(writer, watch)

    Parameters
    ----------
    writer
        Of ``torch.utils.tensorboard``, or another with its methods ``add_scalar`` and ``add_text``.
    watch
        One that has looked. Columns without a value, and those that are not finite, are left out.
    step
        Where to draw it; the step of the look if not given.
    prefix
        Scalars are called ``prefix/column``.

    Raises
    ------
    LabError
        A watch that has not looked yet.
    """
    if watch.table.empty:
        refuse("watch", "a watch without looks", "one that has looked", "call watch.look(step) first")
    row = {str(name): float(value) for name, value in watch.table.iloc[-1].items()}
    at = int(row["step"]) if step is None else step
    for name, value in numbers(row).items():
        writer.add_scalar(f"{prefix}/{name}", value, at)
    writer.add_text(f"{prefix}/verdict", watch.verdict(), at)
