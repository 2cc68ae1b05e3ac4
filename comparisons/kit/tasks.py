"""The tasks that settings can name, and their sizes without loading torch.

A task is a name, or the path of a file with the user's own series (`lab.data.files.read`). A cell of a file carries the
file's digest, so that a change of content gives a new cell, and its sizes, so that costs need no file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from comparisons.kit.cells import Cell, optional
from lab.data import archive, files
from lab.errors import LabError, check_integer, refuse, spelling

if TYPE_CHECKING:
    from lab.data.labelled import Labelled
    from lab.tasks.task import SequenceTask


@dataclass(frozen=True)
class Size:
    """Training samples, test samples, time steps and features; and how many samples there are in all, if limited."""

    samples: int
    test: int
    length: int
    features: int
    most: int | None = None


@dataclass(frozen=True, kw_only=True)
class TaskCell(Cell):
    """A cell on a task that settings name.

    Attributes
    ----------
    task, samples
        Name or file, and training samples; None for the task's own number.
    task_digest, task_sizes
        Of a file or a set of the archives alone (see `stamped`): digest of its content, and the fields of `Size`.
    """

    task: str
    samples: int | None
    task_digest: str | None = optional()
    task_sizes: tuple[int | None, ...] | None = optional()


AnyCell = TypeVar("AnyCell", bound=Cell)


def _of_archive(shape: archive.Shape) -> Size:
    most = 2 * min(shape.train, shape.test)
    own = min(48, most // 2)
    return Size(own, own, shape.length, shape.features + 1, most)


SIZES = {"digits": Size(48, 48, 8, 9, most=357), "separable": Size(24, 24, 8, 8), "templates": Size(48, 48, 40, 2)}
SIZES |= {name: _of_archive(shape) for name, shape in archive.BUNDLED.items()}


def check_task(
    name: str, samples: int | None, argument: str = "samples", test: int | None = None, *, setting: str = "task"
) -> None:
    """Refuse an unknown task, an unreadable file, and fewer than 2 or too many training samples.

    Parameters
    ----------
    name, samples
        Name or file, and training samples; None for the task's own number.
    argument
        The setting that holds the number of samples, for the message.
    test
        Test samples; as many as for training if they are not given.
    setting
        The setting that holds the name, for the message.
    """
    if not isinstance(name, str) or (name not in SIZES and not files.is_file_name(name)):
        allowed = "one of " + ", ".join(sorted(SIZES)) + ", or a file ending in " + ", ".join(files.READERS)
        refuse(setting, repr(name), allowed, spelling(name, SIZES))
    if name not in SIZES:
        _check_file(setting, name)
    if samples is None:
        return
    check_integer(argument, samples, 2)
    most = _own(name).most
    if most is None or samples + (samples if test is None else test) <= most:
        return
    left, others = (most // 2, "as many again") if test is None else (most - test, f"{test} more")
    refuse(argument, samples, f"at most {left} for {name}: {others} are for testing", "ask for fewer")


def _check_file(setting: str, path: str) -> None:
    try:
        files.read(path)
    except LabError as error:
        argument = setting if error.argument == "path" else error.argument
        raise LabError(argument, error.came, error.allowed, error.fix) from None


def check_ready(name: str) -> None:
    """Refuse a set of the archives where aeon is not installed; checked before the run starts."""
    if name in archive.BUNDLED:
        archive.path(name)


def stamped(cell: AnyCell) -> AnyCell:
    """The cell with digest and sizes of its task's file, if its task is a file or a set of the archives.

    Raises
    ------
    LabError
        A file that cannot be read; a set of the archives without aeon.
    """
    if not isinstance(cell, TaskCell) or cell.task_digest or (cell.task in SIZES and cell.task not in archive.BUNDLED):
        return cell
    check_ready(cell.task)
    own = _own(cell.task)
    sizes = (own.samples, own.test, own.length, own.features, own.most)
    return replace(cell, task_digest=_digest(cell.task), task_sizes=sizes)


def size(task: str, samples: int | None) -> Size:
    """Sizes of a task with so many training samples, and as many test samples; None for its own number."""
    return _with_samples(_own(task), samples)


def size_of(cell: TaskCell) -> Size:
    """Sizes of the task of a cell."""
    own = _own(cell.task) if cell.task_sizes is None else Size(*cell.task_sizes)  # type: ignore[arg-type]
    return _with_samples(own, cell.samples)


def _with_samples(own: Size, samples: int | None) -> Size:
    return own if samples is None else Size(samples, samples, own.length, own.features, own.most)


def build(cell: TaskCell, data_seed: int) -> SequenceTask:
    """The task of a cell.

    Raises
    ------
    LabError
        A file that is missing or has changed since the cell was made.
    """
    from lab import tasks
    from lab.tasks.files import make

    wanted = size_of(cell)
    if cell.task == "digits":
        return tasks.digits(train=wanted.samples, test=wanted.test, seed=data_seed)
    if cell.task == "separable":
        return tasks.separable(wanted.samples, wanted.test, wanted.length, wanted.features, seed=data_seed)
    if cell.task == "templates":
        return tasks.templates(2, wanted.samples, wanted.test, wanted.length, seed=data_seed)
    return make(load(cell), wanted.samples, wanted.test, data_seed)


def load(cell: TaskCell) -> Labelled:
    """The series behind a cell whose task is a file or a set of the archives; refuses as `build` does."""
    path, now = _path(cell.task), _digest(cell.task)
    if cell.task_digest not in (None, now):
        refuse("task", f"{path} with another content", "what it held when the run began", "run again: it is new work")
    return files.read(path)


def _path(name: str) -> str:
    return str(archive.path(name)) if name in archive.BUNDLED else name


def _digest(name: str) -> str:
    """A digest of a task's files, shortened."""
    return files.digest(_path(name))[:16]


def _own(name: str) -> Size:
    """Default sizes of a task."""
    if name in SIZES:
        return SIZES[name]
    data = files.read(name)
    own = min(48, data.most // 2)
    return Size(own, own, data.series.shape[1], data.series.shape[2] + 1, data.most)
