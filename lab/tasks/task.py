"""Inputs and targets, checked once at the door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from lab.arrays import as_array, as_tensor, check_data, is_integral
from lab.errors import check_seed, refuse
from lab.html import Facts
from lab.tasks.classes import class_names, class_targets


@dataclass(frozen=True, eq=False, repr=False)
class Task(Facts):
    """Training and test data of one regression problem.

    Parameters
    ----------
    train_inputs, train_targets
        Array-likes with n samples first. Targets (n,) are taken as (n, 1).
    test_inputs, test_targets
        The same for n' test samples, or None for both.
    name
        How figures and tables call the task.
    classes
        Names of the classes in the order of their columns, where targets stand for classes; see `Task.from_labels`.

    Attributes
    ----------
    train_inputs, train_targets, test_inputs, test_targets
        Tensors on the CPU with memory of their own (the test ones None where there is no test split): float64, but
        integer inputs, such as token ids, are int64. Learners cast floating ones to the network's dtype; everything
        goes to its device.

    Raises
    ------
    LabError
        Empty, non-numeric, NaN or infinite data; inputs and targets with different numbers of samples; a test split
        that is shaped otherwise than the training split.
    """

    train_inputs: Tensor
    train_targets: Tensor
    test_inputs: Tensor | None = None
    test_targets: Tensor | None = None
    name: str = "task"
    classes: tuple[str, ...] | None = None

    @classmethod
    def from_labels(
        cls,
        train_inputs: Any,
        train_labels: Any,
        test_inputs: Any = None,
        test_labels: Any = None,
        name: str = "task",
        classes: Sequence[Any] | None = None,
    ) -> Self:
        """A task of classes, from one label for each sample: text, class indices or other numbers.

        Targets are those of `lab.tasks.class_targets`, which all losses understand: −1 and +1 in one column for two
        classes, a column of ±1 for each of more.

        Parameters
        ----------
        classes
            The classes in the order of the columns; by default those of the training labels, sorted.

        Raises
        ------
        LabError
            As `Task` and `lab.tasks.class_targets` do, such as for a test label that no training sample has.

        Examples
        --------
        >>> task = Task.from_labels([[0.0], [1.0], [2.0]], ["cat", "dog", "owl"])
        >>> task.classes, task.train_targets[1].tolist()
        (('cat', 'dog', 'owl'), [-1.0, 1.0, -1.0])
        """
        chosen = class_names(train_labels) if classes is None else list(classes)
        targets: Any = class_targets(train_labels, chosen)
        held_out: Any = None if test_labels is None else class_targets(test_labels, chosen)
        return cls(train_inputs, targets, test_inputs, held_out, name, tuple(map(str, chosen)))

    def __post_init__(self) -> None:
        if (self.test_inputs is None) != (self.test_targets is None):
            fix = "pass test_inputs and test_targets"
            refuse("test split", "only one of inputs and targets", "both or neither", fix)
        for split in ("train", "test") if self.has_test else ("train",):
            inputs = _inputs(f"{split}_inputs", getattr(self, f"{split}_inputs"))
            targets = _tensor(f"{split}_targets", getattr(self, f"{split}_targets"))
            object.__setattr__(self, f"{split}_inputs", inputs)
            object.__setattr__(self, f"{split}_targets", targets[:, None] if targets.ndim == 1 else targets)
            _check_count(split, inputs, targets)
        if self.has_test:
            self._check_same_shapes()
            self._take_one_type()

    def __repr__(self) -> str:
        test = "" if self.test_inputs is None else f" and {len(self.test_inputs)} test"
        shapes = f"inputs {tuple(self.train_inputs.shape[1:])}, targets {tuple(self.train_targets.shape[1:])}"
        return f"{type(self).__name__}({self.name!r}, {len(self.train_inputs)} training{test} samples, {shapes})"

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        return f"{type(self).__name__} {self.name!r}", {
            "training samples": len(self.train_inputs),
            "test samples": None if self.test_inputs is None else len(self.test_inputs),
            "inputs per sample": tuple(self.train_inputs.shape[1:]) or 1,
            "targets per sample": tuple(self.train_targets.shape[1:]),
            "classes": None if self.classes is None else ", ".join(self.classes),
            "range of the targets": (float(self.train_targets.min()), float(self.train_targets.max())),
        }

    @property
    def has_test(self) -> bool:
        """Whether there is a test split."""
        return self.test_inputs is not None

    @property
    def test_split(self) -> tuple[Tensor, Tensor]:
        """Inputs and targets of the test split; raises `LabError` without one."""
        if self.test_inputs is None or self.test_targets is None:
            refuse("task", "a task without a test split", "a task with one", "give it test_inputs and test_targets")
        return self.test_inputs, self.test_targets

    def _take_one_type(self) -> None:
        """Inputs of both splits as floating-point numbers unless both are integers."""
        inputs = self.train_inputs, self.test_split[0]
        if inputs[0].dtype != inputs[1].dtype:
            object.__setattr__(self, "train_inputs", inputs[0].double())
            object.__setattr__(self, "test_inputs", inputs[1].double())

    def _check_same_shapes(self) -> None:
        for what in ("inputs", "targets"):
            train, test = getattr(self, f"train_{what}").shape[1:], getattr(self, f"test_{what}").shape[1:]
            if train != test:
                came = f"{tuple(test)} per test sample, {tuple(train)} per training sample"
                refuse(f"test_{what}", came, "equal shapes per sample", "prepare both splits in the same way")


class SequenceTask(Task):
    """A task whose inputs are sequences: inputs (n, L, p), float64, targets (n, q), or (n, L−1, q) for steps 2…L."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("train_inputs", "test_inputs") if self.has_test else ("train_inputs",):
            object.__setattr__(self, name, getattr(self, name).double())
        inputs, targets = self.train_inputs.shape, self.train_targets.shape
        if len(inputs) != 3:
            fix = "for one feature per step use inputs[:, :, None]"
            refuse("train_inputs", f"shape {tuple(inputs)}", "(samples, length, features)", fix)
        if len(targets) not in (2, 3) or (len(targets) == 3 and targets[1] != inputs[1] - 1):
            fix = "give one target per sample, or one per time step from the second on"
            allowed = f"(samples, outputs) or (samples, {inputs[1] - 1}, outputs)"
            refuse("train_targets", f"shape {tuple(targets)}", allowed, fix)

    def at_every_step(self) -> Self:
        """The same task with its target repeated at steps 2…L, for networks with ``readout="all"``."""
        if self.train_targets.ndim == 3:
            return self
        steps = self.train_inputs.shape[1] - 1
        if steps < 1:
            refuse("length", steps + 1, "at least 2 time steps", "read the last step only")
        test = None if self.test_targets is None else _repeated(self.test_targets, steps)
        return replace(self, train_targets=_repeated(self.train_targets, steps), test_targets=test)

    def with_random_labels(self, seed: int = 0) -> Self:
        """The same inputs with ±1 by coin flips for targets, equal at all time steps of a sample."""
        check_seed("seed", seed)
        generator = np.random.default_rng(seed)
        train = _coin_flips(self.train_targets, generator)
        test = None if self.test_targets is None else _coin_flips(self.test_targets, generator)
        return replace(self, train_targets=train, test_targets=test, name=f"{self.name}, random labels")


def split(inputs: Any, targets: Any, samples: int, name: str, classes: tuple[str, ...] | None = None) -> SequenceTask:
    """A task that trains on the first ``samples`` of these sequences and tests on the rest, if there is a rest."""
    if samples == len(inputs):
        return SequenceTask(inputs, targets, name=name, classes=classes)
    return SequenceTask(inputs[:samples], targets[:samples], inputs[samples:], targets[samples:], name, classes)


def as_task(data: Task | tuple[Any, Any]) -> Task:
    """The task itself, or one made of a pair ``(X, y)`` without a test split; raises `LabError` for anything else."""
    if isinstance(data, Task):
        return data
    if not isinstance(data, tuple) or len(data) != 2:
        refuse("task", type(data).__name__, "a Task or a pair (X, y)", "write side_by_side(network, (X, y), descent)")
    return Task(*data)


def _coin_flips(targets: Tensor, generator: np.random.Generator) -> Tensor:
    """±1 in the shape of targets (n, q) or (n, s, q), equal along s."""
    flips = generator.choice([-1.0, 1.0], size=(len(targets), *[1] * (targets.ndim - 2), targets.shape[-1]))
    return torch.from_numpy(flips).expand_as(targets).contiguous()


def _repeated(targets: Tensor, steps: int) -> Tensor:
    return targets[:, None].expand(-1, steps, -1).contiguous()


def _inputs(name: str, values: Any) -> Tensor:
    """Inputs as int64 if they are integers, else as `_tensor` makes them."""
    tensor = as_tensor(name, values)
    if not is_integral(tensor):
        return _tensor(name, values)
    return check_data(name, tensor.detach().to("cpu", torch.int64, copy=True).contiguous())


def _tensor(name: str, values: Any) -> Tensor:
    """Any array-like of numbers as a finite float64 tensor on the CPU, of its own memory."""
    return check_data(name, torch.from_numpy(as_array(name, values)))


def _check_count(split: str, inputs: Tensor, targets: Tensor) -> None:
    if len(inputs) != len(targets):
        came = f"{len(targets)} targets for {len(inputs)} inputs"
        refuse(f"{split}_targets", came, "one target per sample", "put samples on the first axis of both")
