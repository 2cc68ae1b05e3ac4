"""Questions about the paper's own network, which descends to an accuracy, and about the balls around its start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from comparisons.kit import networks
from comparisons.kit.settings import Count, Positive, doc
from lab.errors import refuse

if TYPE_CHECKING:
    from lab.learners.arrival import Exit
    from lab.measures.path import KernelPath
    from lab.networks.elman import ElmanRNN
    from lab.tasks.task import SequenceTask

DIVERGED: Exit = "diverged"  #: in the column ``exit``


@dataclass(frozen=True)
class PathSettings(networks.NetworkSettings):
    """`NetworkSettings` of the paper's network (ReLU, W alone trained), an accuracy, a budget, and a search."""

    task: str = "separable"
    samples: int | None = 12
    dtype: str = "float64"
    accuracy: Annotated[Positive, doc("Mean square error at which descent stops.")] = 1e-3
    patience: Annotated[Positive, doc("Budget in units of the linear model's own time to the accuracy.")] = 4.0
    searches: Annotated[Count, doc("Gradients of λ_min at each radius in search of the worst motion.")] = 4

    def check(self) -> None:
        """Refuse other networks than the paper's, for which alone there are theorems."""
        super().check()
        for name, value in {"activation": "relu", "parametrization": "paper", "trained": ("W",)}.items():
            if getattr(self, name) != value:
                refuse(name, repr(getattr(self, name)), f"{value!r}, as in the paper", f"leave {name} out")


@dataclass(frozen=True, kw_only=True)
class PathCell(networks.NetworkCell):
    """One network that descends to an accuracy, and radii of the balls around its start."""

    accuracy: float
    patience: float
    radii: tuple[float, ...]
    searches: int


def descend(cell: PathCell) -> tuple[SequenceTask, ElmanRNN, KernelPath]:
    """The task of a cell, its network at initialization, and the kernel along the descent of a copy of it."""
    import lab

    task, network = networks.build(cell)
    assert isinstance(network, lab.ElmanRNN)
    pace = {"critical_fraction": cell.critical_fraction, "patience": cell.patience}
    return task, network, lab.measures.path.patient_path(network, task, cell.accuracy, **pace)
