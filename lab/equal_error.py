"""A network and its linear learner, both trained until they have the same training error."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lab.errors import check_integer, check_number, refuse
from lab.html import Facts
from lab.learners.arrival import Exit, arrive
from lab.learners.descent import Descent, plain
from lab.learners.kernel import KernelRegressor
from lab.learners.network import Snapshot
from lab.learners.trajectory import Trajectory
from lab.measures.curvature import relative_curvature
from lab.measures.gap import tracking_gap, unit_of
from lab.measures.hitting import hitting_step, linear_motion
from lab.measures.motion import Motion, Origin, measure_motion
from lab.measures.scale import least_mse, rounding_noise
from lab.networks.modules import as_network
from lab.networks.network import Network
from lab.networks.scaled import Scaled
from lab.tasks.task import Task, as_task

Array = NDArray[np.float64]

_AT_ARRIVAL = (
    *("gap_test", "weight_motion", "kernel_drift", "kappa", "gate_flips", "gap_train", "relative_weight_motion"),
    *("test_error", "error_rate", "test_error_linear", "mse"),
)  # columns that are empty without an arrival
_FALL = 4  # by which c is divided after a descent that did not arrive


@dataclass(frozen=True, eq=False, repr=False)
class EqualError(Facts):
    """A network that was trained to a given training error, with the linear learner at the same steps.

    Attributes
    ----------
    start, task
        The network at initialization, and what was learnt.
    linear
        The linear learner around ``start``, in closed form.
    level
        The mean squared training error to reach.
    linear_steps
        Steps that the linear learner takes to it at the first critical fraction.
    tries
        The descents in order: c, and how each one ended. The last one alone can be "reached".
    reason
        Why the error was not reached; empty if it was.
    trained_network, trajectory
        Where the last try arrived, and its outputs on a logarithmic grid of steps and at the arrival; else None.
    """

    start: Network
    task: Task
    linear: KernelRegressor
    level: float
    linear_steps: int
    tries: tuple[tuple[float, Exit], ...]
    reason: str
    trained_network: Network | None = None
    trajectory: Trajectory | None = None

    def __repr__(self) -> str:
        ends = ", ".join(f"c = {fraction:g} {ended}" for fraction, ended in self.tries)
        return f"EqualError({self.task.name!r}, mean squared error {self.level:.3g}: {ends})"

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        return f"{self.task.name}, to a mean squared error of {self.level:.3g}", self.summary()

    @property
    def reached(self) -> bool:
        """Whether the network has the training error that was asked for."""
        return self.trajectory is not None

    @property
    def critical_fraction(self) -> float:
        """c of the last try."""
        return self.tries[-1][0]

    @property
    def learning_rate(self) -> float:
        """η = 2c/λ_max of the last try."""
        return 2 * self.critical_fraction / self.linear.spectrum.lambda_max

    @property
    def unit(self) -> float:
        """RMS of the training targets about their mean: the unit of the gap."""
        return unit_of(self.linear)

    @property
    def network(self) -> Trajectory:
        """The network's trajectory; raises `LabError` where the error was not reached."""
        if self.trajectory is None:
            refuse("network", self.reason, "a network that reached the error", "look at `reached` first")
        return self.trajectory

    @property
    def mse(self) -> Array:
        """Mean (f − y)² over training samples and outputs at the network's steps, (T,)."""
        return np.asarray(2 * self.network.loss / self.task.train_targets.numel())

    @property
    def kernel_time(self) -> Array:
        """c·t at the network's steps, (T,)."""
        return np.asarray(self.critical_fraction * self.network.steps, dtype=np.float64)

    @cached_property
    def linearized(self) -> Trajectory:
        """The linear learner's trajectory at the steps of the network's."""
        steps = self.network.steps
        descent = Descent(int(steps[-1]), learning_rate=self.learning_rate, record=tuple(steps.tolist()))
        return self.linear.trajectory(descent, self.learning_rate)

    def motion(self) -> Motion:
        """How far weights, gates and kernel went."""
        inputs = self.task.train_inputs
        assert self.trained_network is not None
        kernel = self.linear.kernel.to(next(iter(self.start.trained.values())))
        return measure_motion(Origin.of(self.start, inputs, kernel), self.trained_network, inputs)

    def curvature(self) -> float:
        """κ of `lab.measures.curvature` over the distance that the linear learner goes in `linear_steps` steps at η."""
        steps = np.array([self.linear_steps])
        distance = linear_motion(self.linear.spectrum, self.linear.residual, self.learning_rate, steps)
        residual = (self.linear.outputs - self.linear.targets).to(next(iter(self.start.trained.values())))
        return relative_curvature(self.start, self.task.train_inputs, residual, float(distance[0]))

    def gap(self, split: str = "test") -> Array:
        """Gap |network − linearized| (T,) on "train" or "test" at the network's steps, in units of ``unit``."""
        return tracking_gap(getattr(self.network, split), getattr(self.linearized, split), self.unit)

    def summary(self, *, curvature: bool = True) -> dict[str, Any]:
        """One flat row of JSON values; what is known at the arrival alone is None without one.

        ``gap_train``, ``gap_test``: largest gaps on the way. The motion. κ, without which ``curvature=False`` halves
        the time. ``test_error``, ``test_error_linear``: mean (f − y)² over the test set in units of mean y² there, of
        the network and of the linear learner at the same step; ``error_rate``: share of test outputs whose sign is not
        the target's. ``mse``: training error. How each try ended; the steps and kernel times c·t of both learners;
        ``noise``: rounding of the gap, in its units.
        """
        spectrum, noise = self.linear.spectrum, 0.0
        if isinstance(self.start, Scaled):
            noise = rounding_noise(self.start, self.task.train_inputs) / self.unit
        found = self._at_arrival(curvature) if self.reached else {}
        steps = int(self.network.steps[-1]) if self.reached else None
        return {
            **{name: found.get(name) for name in _AT_ARRIVAL if curvature or name != "kappa"},
            "exit": self.tries[-1][1],
            "tries": "; ".join(f"{fraction:g} {ended}" for fraction, ended in self.tries),
            "critical_fraction": self.critical_fraction if self.reached else None,
            "steps": steps,
            "kernel_time": None if steps is None else self.critical_fraction * steps,
            "kernel_time_linear": self.tries[0][0] * self.linear_steps,
            "noise": noise,
            "lambda_max": spectrum.lambda_max,
            "lambda_min": spectrum.lambda_min,
            "diverged": all(ended == "diverged" for _, ended in self.tries),
            "reasons": self.reason,
        }

    def _at_arrival(self, curvature: bool) -> dict[str, Any]:
        """The entries of the summary that need an arrival."""
        targets = self.task.test_split[1].flatten(1).numpy()
        last, linear = self.network.test_outputs[-1], self.linearized.test_outputs[-1]
        return {
            **self.motion(),
            **{f"gap_{split}": float(self.gap(split).max()) for split in ("train", "test")},
            **({"kappa": self.curvature()} if curvature else {}),
            "test_error": relative_mse(last, targets),
            "test_error_linear": relative_mse(linear, targets),
            "error_rate": float((last * targets <= 0).mean()),
            "mse": float(self.mse[-1]),
        }


def relative_mse(outputs: Array, targets: Array) -> float:
    """Mean (f − y)² in units of mean y², over arrays of one shape."""
    return float(((outputs - targets) ** 2).mean() / (targets**2).mean())


def at_equal_error(
    network: torch.nn.Module | Network,
    task: Task | tuple[Any, Any],
    share: float,
    critical_fraction: float = 0.5,
    *,
    fallbacks: int = 3,
    patience: float = 3.0,
) -> EqualError:
    """Train a copy of a network until its training error is a given share of the first, whatever its scale.

    Plain gradient descent at η = 2c/λ_max(K₀), looked at in every step. c is divided by 4 after a descent that diverges
    or does not arrive. A bounded network that cannot have this error (`lab.measures.scale.least_mse`) is not trained.

    Parameters
    ----------
    network, task
        As for `lab.descend`; the task has a test split.
    share
        Mean squared training error to reach, in units of the first, between 0 and 1.
    critical_fraction
        c of the first try, between 0 and 1.
    fallbacks
        How often c is divided.
    patience
        Steps of each try, in units of those that the linear learner takes at the first c.

    Raises
    ------
    LabError
        An argument out of range; an error that the linear learner never reaches; a task without a test split.

    Examples
    --------
    >>> import lab
    >>> task = lab.tasks.digits()
    >>> found = at_equal_error(lab.Scaled(lab.ElmanRNN.like(task, 64), 10.0), task, 0.1)
    >>> found.tries, bool(found.gap().max() < 0.1)
    (((0.5, 'reached'),), True)
    """
    network, task = as_network(network), as_task(task)
    for name, value in (("share", share), ("critical_fraction", critical_fraction)):
        check_number(name, value, above=0, below=1)
    check_integer("fallbacks", fallbacks, 0)
    check_number("patience", patience, above=0)
    linear = KernelRegressor.at(network, task)
    level, steps = _goal(linear, share, critical_fraction)
    tries: list[tuple[float, Exit]] = []
    least = least_mse(network, task) if isinstance(network, Scaled) else 0.0
    if least > level:
        reason = f"out of reach: bounded outputs leave a mean squared error of {least:.3g} at least"
        return EqualError(network, task, linear, level, steps, ((critical_fraction, "undecided"),), reason)
    budget = int(np.ceil(patience * steps))
    for place in range(fallbacks + 1):
        rate = critical_fraction / _FALL**place
        descent = Descent(budget, learning_rate=2 * rate / linear.spectrum.lambda_max, record="all")
        watch = _Watch(task, level, Descent(budget).recorded().tolist())
        found = arrive(network, task, descent, watch)
        tries.append((rate, found.exit))
        if found.exit == "reached":
            arrived = found.network, watch.trajectory()
            return EqualError(network, task, linear, level, steps, tuple(tries), "", *arrived)
    return EqualError(network, task, linear, level, steps, tuple(tries), f"not in {budget} steps at any c")


def _goal(linear: KernelRegressor, share: float, critical_fraction: float) -> tuple[float, int]:
    """The mean squared error to reach, and the steps that the linear learner takes to it."""
    level = share * float((linear.residual**2).mean())
    steps = hitting_step(linear.spectrum, linear.residual, 2 * critical_fraction / linear.spectrum.lambda_max, level)
    if steps is None:
        came = f"{share:g}, which the linear learner never reaches"
        refuse("share", came, "an error outside the kernel's null space", "raise it, or widen the network")
    return level, steps


class _Watch:
    """Stops at a mean squared error; keeps outputs and loss at some steps and where it stops."""

    def __init__(self, task: Task, level: float, steps: Collection[int]) -> None:
        self._task, self._level, self._steps = task, level, frozenset(steps)
        self._rows: list[tuple[int, Array, Array, float]] = []

    @torch.no_grad()
    def __call__(self, snapshot: Snapshot) -> bool:
        arrived = 2 * snapshot.loss / self._task.train_targets.numel() <= self._level
        if arrived or snapshot.step in self._steps:
            test = plain(snapshot.network(self._task.test_split[0]).flatten(1))
            self._rows.append((snapshot.step, plain(snapshot.jacobian.outputs), test, snapshot.loss))
        return arrived

    def trajectory(self) -> Trajectory:
        """What was kept."""
        steps, train, test, loss = (np.array(column) for column in zip(*self._rows, strict=True))
        return Trajectory(steps, train, test, loss, None)
