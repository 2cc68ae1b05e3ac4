"""The tasks that settings can name, and their sizes without loading torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.errors import check_choice, check_integer, refuse

if TYPE_CHECKING:
    from lab.tasks.task import SequenceTask


@dataclass(frozen=True)
class Size:
    """Training samples, test samples, time steps and features; and how many samples there are in all, if limited."""

    samples: int
    test: int
    length: int
    features: int
    most: int | None = None


SIZES = {"digits": Size(48, 48, 8, 9, most=357), "separable": Size(24, 24, 8, 8)}


def check_task(name: str, samples: int | None) -> None:
    """Refuse an unknown task, or a number of samples below 2; None means the task's own."""
    check_choice("task", name, SIZES)
    if samples is None:
        return
    check_integer("samples", samples, 2)
    most = SIZES[name].most
    if most is not None and 2 * samples > most:
        refuse("samples", samples, f"at most {most // 2} for {name}: as many again are for testing", "ask for fewer")


def size(cell: Mapping[str, Any]) -> Size:
    """Sizes of the task of a cell with the fields ``task`` and ``samples``."""
    own = SIZES[cell["task"]]
    samples = cell.get("samples")
    return own if samples is None else Size(samples, samples, own.length, own.features, own.most)


def build(cell: Mapping[str, Any]) -> SequenceTask:
    """The task of a cell with the fields ``task``, ``samples`` and ``data_seed``."""
    from lab import tasks

    wanted = size(cell)
    if cell["task"] == "digits":
        return tasks.digits(train=wanted.samples, test=wanted.test, seed=cell["data_seed"])
    return tasks.separable(wanted.samples, wanted.test, wanted.length, wanted.features, seed=cell["data_seed"])
