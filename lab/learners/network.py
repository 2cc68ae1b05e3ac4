"""The full network under gradient descent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lab.data.signs import places_of
from lab.errors import refuse
from lab.jacobians.jacobian import BackwardPass, Jacobian
from lab.kernels.sharpness import sharpness
from lab.learners.descent import Descent, Stop, Visits, check_descent, follow, plain
from lab.learners.trajectory import Labels, Recorder, Trajectory
from lab.losses import Custom, Loss, LossFunction, Objective, as_loss
from lab.networks.modules import as_network
from lab.networks.network import Evaluator, Network, SteppingEvaluator, evaluator
from lab.progress import shown
from lab.tasks.task import Task, as_task


@dataclass(frozen=True)
class Snapshot:
    """The network at a recorded step, before the step is taken.

    Attributes
    ----------
    step
        Steps taken so far.
    network
        The descending network itself: live, so copy what should outlast the next step.
    jacobian
        Its Jacobian on the training inputs, unkept: good until the next step.
    loss
        The descent's loss summed over the training set, ½ Σ (f − y)² unless it has another.
    """

    step: int
    network: Network
    jacobian: Jacobian
    loss: float


@dataclass(frozen=True)
class NetworkModel:
    """A network on its training inputs, as `follow` descends it."""

    network: Network
    evaluator: Evaluator

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        """The live weights."""
        return self.network.trained

    @property
    def replayable(self) -> bool:
        """As the network says; one that says nothing is evaluated in every step."""
        return getattr(self.network, "replayable", False)

    def evaluate(self, batch: Tensor | None) -> tuple[Tensor, Jacobian]:
        """Outputs (b, o) and Jacobian at today's weights."""
        jacobian = self.evaluator(batch)
        return jacobian.outputs, jacobian

    def step(self, batch: Tensor | None) -> tuple[Tensor, BackwardPass]:
        """The same for a step whose Jacobian is not read, by the network's shorter way if it has one."""
        if isinstance(self.evaluator, SteppingEvaluator):
            return self.evaluator.step(batch)
        return self.evaluate(batch)


@dataclass(frozen=True)
class Path(Iterator[Snapshot]):
    """Snapshots along descent; once exhausted, ``diverged_at`` says at which step the network diverged, if it did."""

    network: Network
    visits: Visits
    progress: bool = True  # whether a bar may appear

    def __next__(self) -> Snapshot:
        with shown(self.progress):
            visit = next(self.visits)
        return Snapshot(visit.step, self.network, visit.jacobian, visit.loss)

    @property
    def diverged_at(self) -> int | None:
        """First step at which the loss was not finite or too large; None before the end, or if there was none.

        On a GPU, ``network`` may be up to 32 steps further then.
        """
        return self.visits.diverged_at


def descend(
    network: torch.nn.Module | Network,
    task: Task | tuple[Any, Any],
    descent: Descent,
    *,
    in_place: bool = False,
    progress: bool = True,
) -> Path:
    """Descend with a full network and look at it at the recorded steps.

    Parameters
    ----------
    network
        A network of the lab or any torch.nn.Module; a copy of it descends, unless ``in_place``.
    task
        A task, or a pair (X, y).
    descent
        With a critical fraction, the tangent kernel of the training set is computed first, for its λ_max (see
        `Descent`).
    progress
        Whether a progress bar appears when it takes longer than about two seconds.

    Returns
    -------
    Path
        An iterator of `Snapshot`. It ends early if the network diverges (see ``Path.diverged_at``).

    Raises
    ------
    LabError
        A network that does not fit the task, targets that the loss does not take, or a module that `lab.as_network`
        refuses.

    Examples
    --------
    >>> from lab.networks.elman import ElmanRNN
    >>> from lab.tasks import digits
    >>> task = digits()
    >>> [snapshot.step for snapshot in descend(ElmanRNN.like(task, 32), task, Descent(4))]
    [0, 1, 2, 3, 4]
    """
    return path(network, task, descent, in_place=in_place, progress=progress)


def path(
    network: torch.nn.Module | Network,
    task: Task | tuple[Any, Any],
    descent: Descent,
    *,
    in_place: bool,
    progress: bool,
    stop: Stop | None = None,
) -> Path:
    """`descend`, or with ``stop`` a path without snapshots, which ends where that is true of a recorded step's loss."""
    network, task = as_network(network), as_task(task)
    check_descent(descent)
    aim = objective(network, task, descent.loss)
    learning_rate = descent.learning_rate
    if descent.critical_fraction is not None:
        with shown(progress):
            jacobian = network.jacobian(task.train_inputs)
            kernel = jacobian.gram()
        learning_rate = descent.rate(sharpness(kernel, aim.curvature(jacobian.outputs)))
    twin = network if in_place else network.copy()
    return Path(twin, _visits(twin, task, descent, learning_rate, aim, stop), progress)


def _visits(
    network: Network,
    task: Task,
    descent: Descent,
    learning_rate: float | None,
    aim: Objective,
    stop: Stop | None = None,
) -> Visits:
    """Descend in place at a learning rate that is already known."""
    model = NetworkModel(network, evaluator(network, task.train_inputs))
    return follow(model, aim, descent, learning_rate, "network", stop)


def train_network(
    network: Network, task: Task, descent: Descent, learning_rate: float | None, aim: Objective | None = None
) -> Trajectory:
    """Train a network in place and record its outputs on both splits; ``aim`` is its `objective` if it is at hand."""
    aim = objective(network, task, descent.loss) if aim is None else aim
    o = math.prod(aim.shape)
    test = None if task.test_inputs is None else (len(task.test_inputs), o)
    recorder = Recorder(descent.recorded(), (len(task.train_inputs), o), test, labels(aim, task))
    visits = _visits(network, task, descent, learning_rate, aim)
    for visit in visits:
        with torch.no_grad():
            held_out = None if task.test_inputs is None else plain(network(task.test_inputs).flatten(1))
        recorder.record(visit.step, plain(visit.outputs), held_out, visit.loss)
    return recorder.trajectory(visits.diverged_at)


@torch.no_grad()
def objective(network: Network, task: Task, loss: str | Loss | LossFunction = "squared") -> Objective:
    """A loss on the training set, in the dtype and on the device of the network.

    Raises
    ------
    LabError
        A network without numbers, outputs that do not fit the targets, targets that the loss does not take, or a loss
        function that is none of single samples.
    """
    criterion, weight = as_loss(loss), next(iter(network.trained.values()))
    if any(value.is_meta for value in network.trained.values()):
        refuse("network", "weights on the device 'meta'", "weights with values", "build it on the cpu or on cuda")
    outputs = network(task.train_inputs[:1])
    if not isinstance(outputs, Tensor):
        fix = "wrap it in a module that returns the part you mean"
        refuse("network", f"outputs of type {type(outputs).__name__}", "one tensor, samples first", fix)
    shape = tuple(outputs.shape[1:])
    if criterion.shaped_as_outputs:
        _check_shapes(shape, task.train_targets)
    targets = criterion.encode(task.train_targets, shape).to(weight)
    if isinstance(criterion, Custom):
        criterion.check(network(task.train_inputs[:2]).detach(), targets[:2])
    return Objective(criterion, targets, shape)


def labels(aim: Objective, task: Task) -> Labels | None:
    """The classes that the targets of both splits mean to a loss; None unless they are classes.

    Raises
    ------
    LabError
        Test targets that the loss does not take.
    """
    test = None if task.test_targets is None else aim.loss.encode(task.test_targets, aim.shape, "test_targets")
    if not aim.loss.are_classes(aim.targets):
        return None
    places = (None if split is None else places_of(plain(split)) for split in (aim.targets, test))
    train, held_out = places
    assert train is not None
    return Labels(train, held_out, aim.shape[-1])


def _check_shapes(came: tuple[int, ...], targets: Tensor) -> None:
    allowed = tuple(targets.shape[1:])
    if came != allowed:
        _refuse_class_indices(came, targets)
        fix = "build it with ElmanRNN.like(task, width), or use task.at_every_step() for readout='all'"
        refuse("network", f"outputs of shape {came} per sample", f"{allowed}, as the targets", fix)


def _refuse_class_indices(outputs: tuple[int, ...], targets: Tensor) -> None:
    """Say what is meant where one column of targets counts the outputs of a classifier."""
    labels = torch.unique(targets)
    is_class = targets.shape[1:] == (1,) and bool((labels == labels.round()).all()) and len(labels) > 1
    if len(outputs) == 1 and outputs[0] > 1 and is_class and float(labels[0]) >= 0 and float(labels[-1]) < outputs[0]:
        came = f"class indices up to {int(labels[-1])} in one column, for a network of {outputs[0]} outputs"
        allowed = "a column of ±1 for each class, or one column and one output for two classes"
        fix = "make them by lab.tasks.class_targets(labels), or train with loss='cross_entropy'"
        refuse("train_targets", came, allowed, fix)
