"""The tasks that settings can name, and their sizes without loading torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.errors import check_choice, check_integer

if TYPE_CHECKING:
    from lab.tasks.task import SequenceTask


@dataclass(frozen=True)
class Size:
    """Training samples, test samples, time steps and features."""

    samples: int
    test: int
    length: int
    features: int


SIZES = {"digits": Size(48, 48, 8, 9), "separable": Size(24, 24, 8, 8)}


def check_task(name: str, samples: int | None) -> None:
    """Refuse an unknown task, or a number of samples below 2; None means the task's own."""
    check_choice("task", name, SIZES)
    if samples is not None:
        check_integer("samples", samples, 2)


def size(cell: Mapping[str, Any]) -> Size:
    """Sizes of the task of a cell with the fields ``task`` and ``samples``."""
    own = SIZES[cell["task"]]
    samples = cell.get("samples")
    return own if samples is None else Size(samples, samples, own.length, own.features)


def build(cell: Mapping[str, Any]) -> SequenceTask:
    """The task of a cell with the fields ``task``, ``samples`` and ``data_seed``."""
    from lab import tasks

    wanted = size(cell)
    if cell["task"] == "digits":
        return tasks.digits(train=wanted.samples, test=wanted.test, seed=cell["data_seed"])
    return tasks.separable(wanted.samples, wanted.test, wanted.length, wanted.features, seed=cell["data_seed"])
