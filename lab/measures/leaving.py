"""A network beside its linear model under any loss, in a unit that all losses share, and when it leaves the model.

The unit of the gap is the RMS of the linear model's own change of outputs on the training set at that step
(`lab.measures.gap.change_unit`), for the squared loss, too: outputs that grow, as logits do, are not compared with
targets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lab.kernels.sharpness import jacobian_sharpness
from lab.learners.descent import Descent, plain
from lab.learners.network import Snapshot, descend, labels
from lab.learners.trajectory import Trajectory
from lab.losses import Loss, LossFunction
from lab.measures.gap import change_unit, largest, rms, taylor_disagreement, tracking_gap, with_divergences
from lab.measures.linear_model import LinearModel
from lab.measures.motion import distance
from lab.measures.schedule import looks, steps_to
from lab.measures.thresholds import Threshold, first_passage
from lab.networks.network import Network
from lab.tasks.task import Task

Array = NDArray[np.float64]

SPACING, GROWTH = 0.1, 1.02  # of the kernel times at which training is recorded

_NEARLY = 1 + 1e-9  # of a kernel time: records are whole steps


@dataclass(frozen=True, eq=False)
class Course:
    """A network and its linear model along one descent.

    Attributes
    ----------
    kernel_time
        τ at the recorded steps (T,), ascending from 0.
    gap_test
        Test gap (T,): RMS of (network − linear model) in units of the linear model's RMS change of training outputs.
        0 at step 0, where both are equal; inf from a divergence on.
    size
        RMS of the linear model's training outputs (T,). Logits are centred over classes here and in the gap.
    motion
        ‖θ_t − θ₀‖_F of the network (T,); NaN after a divergence.
    loss
        Training loss (2, T) of the network and of the linear model, summed over samples.
    accurate_at
        τ of the first step after step 0 at which the linear model classifies all training samples rightly; None if it
        never does, or if the targets are no classes.
    sharpness
        ηλ_max(H_t^½ K_t H_t^½)/2 of the network at the time that was asked for, with H_t the loss's curvature at its
        outputs: 1 is the edge of stability. None where training did not get there.
    linear_noise
        Noise floor of the gap: largest disagreement of two computations of the linear model up to that time, from the
        kernel and in weight space, in units of its largest change (see `lab.measures.gap.disagreement`).
    learning_rate, lambda_max
        η, and λ_max(H₀^½ K₀ H₀^½).
    diverged_at
        First step at which a learner diverged; None without one.
    """

    kernel_time: Array
    gap_test: Array
    size: Array
    motion: Array
    loss: Array
    accurate_at: float | None
    sharpness: float | None
    linear_noise: float
    learning_rate: float
    lambda_max: float
    diverged_at: int | None

    def until(self, values: Array, time: float | None) -> Array:
        """Those of some values (T,) that were recorded up to a kernel time; none if training ended before, or None."""
        if time is None or time > self.kernel_time[-1] * _NEARLY:
            return values[:0]
        return values[self.kernel_time <= time * _NEARLY]

    def leaves(self, level: float) -> tuple[Threshold, Threshold]:
        """The kernel time at which the gap first exceeds a level, and the size of the outputs then.

        Both are linear between recorded steps; right censored at their last values if the gap never does.
        """
        time = first_passage(self.kernel_time, self.gap_test, level)
        return time, Threshold(float(np.interp(time.value, self.kernel_time, self.size)), time.censored)

    def summary(self, level: float, times: Mapping[str, float]) -> dict[str, float | str | bool | None]:
        """One flat row of JSON values; what was not reached, or comes after a divergence, is None.

        ``leaves``, ``size_at_leaving``, ``censored``: see `leaves`, None after a divergence. ``gap_test_…``: largest
        gap up to each named kernel time, and to "accuracy", `accurate_at`; ``motion_…``, ``size_…``: their values then.
        ``accurate_at``, ``accurate_censored``: right censored at the end. sharpness, linear_noise, learning_rate,
        lambda_max, diverged.
        """
        time, size = self.leaves(level)
        row: dict[str, float | str | bool | None] = {
            "leaves": time.value,
            "size_at_leaving": size.value,
            "censored": time.censored,
        }
        if self.diverged_at is not None:
            row = dict.fromkeys(row)
        for name, moment in {**times, "accuracy": self.accurate_at}.items():
            gap, motion, size_then = (self.until(each, moment) for each in (self.gap_test, self.motion, self.size))
            row |= {f"gap_test_{name}": _finite(gap.max(initial=-np.inf)), f"motion_{name}": _last(motion)}
            row[f"size_{name}"] = _last(size_then)
        never = self.accurate_at is None
        return row | {
            "accurate_at": float(self.kernel_time[-1]) if never else self.accurate_at,
            "accurate_censored": "right" if never else None,
            "sharpness": self.sharpness,
            "linear_noise": _finite(self.linear_noise),
            "learning_rate": self.learning_rate,
            "lambda_max": self.lambda_max,
            "diverged": self.diverged_at is not None,
        }


def follow_course(
    network: Network,
    task: Task,
    loss: str | Loss | LossFunction = "squared",
    *,
    critical_fraction: float,
    kernel_time: float,
    watched: float,
) -> Course:
    """Train a copy of a network by full-batch descent for a kernel time, beside its linear model.

    Steps are recorded every 0.1 in τ up to 5, every 2 % later, at ``watched``, and where the linear model becomes
    accurate.

    Parameters
    ----------
    network, task
        A network at initialization, and a task with a test split.
    loss
        As for `lab.Descent`.
    critical_fraction
        c in η = 2c/λ_max(H₀^½ K₀ H₀^½).
    kernel_time
        τ = c·t at which training ends.
    watched
        τ at which the sharpness is taken.

    Raises
    ------
    LabError
        Targets that the loss does not take, a zero kernel, a loss that is not convex at the initial outputs.
    """
    model = LinearModel.at(network, task, loss)
    rate, end = 2 * critical_fraction / model.lambda_max, int(steps_to(kernel_time, critical_fraction))
    every = model.trajectory(Descent(end, learning_rate=rate, record="all", loss=loss), rate)
    accurate = _accurate_step(model, task, every)
    found = looks(kernel_time, critical_fraction, spacing=SPACING, growth=GROWTH, also=(watched,))
    steps = np.union1d(found, [] if accurate is None else [accurate]).astype(np.int64)
    watch = _Watch(network, task, model, int(steps_to(watched, critical_fraction)))
    descent = Descent(end, learning_rate=rate, record=tuple(steps.tolist()), loss=loss)
    path = descend(network, task, descent, progress=False)
    for snapshot in path:
        watch.look(snapshot)
    gap, size = _gap_and_size(watch.padded(watch.test, len(steps)), every, steps, model, network)
    return Course(
        kernel_time=np.asarray(critical_fraction * steps, dtype=np.float64),
        gap_test=with_divergences(gap, steps, path.diverged_at, every.diverged_at),
        size=size,
        motion=watch.padded(watch.motion, len(steps)),
        loss=np.stack([watch.padded(watch.loss, len(steps)), every.loss[steps]]),
        accurate_at=None if accurate is None else critical_fraction * accurate,
        sharpness=None if watch.lambda_max is None else rate * watch.lambda_max / 2,
        linear_noise=_noise(model, network, task, rate, int(steps_to(min(watched, kernel_time), critical_fraction))),
        learning_rate=rate,
        lambda_max=model.lambda_max,
        diverged_at=path.diverged_at if every.diverged_at is None else every.diverged_at,
    )


class _Watch:
    """What is seen of a descending network at each recorded step."""

    def __init__(self, start: Network, task: Task, model: LinearModel, sharp_at: int) -> None:
        self._start, self._inputs, self._model, self._sharp_at = start, task.test_split[0], model, sharp_at
        self.test: list[Array] = []
        self.motion: list[float] = []
        self.loss: list[float] = []
        self.lambda_max: float | None = None

    @torch.no_grad()
    def look(self, snapshot: Snapshot) -> None:
        self.test.append(plain(snapshot.network(self._inputs).flatten(1)))
        self.motion.append(distance(self._start, snapshot.network))
        self.loss.append(snapshot.loss)
        if snapshot.step == self._sharp_at:
            outputs = snapshot.jacobian.outputs.to(self._model.regressor.outputs)
            self.lambda_max = jacobian_sharpness(snapshot.jacobian, self._model.aim.curvature(outputs))

    @staticmethod
    def padded(values: list[Array] | list[float], rows: int) -> Array:
        """As an array, with NaN for steps that were never reached."""
        seen = np.asarray(values, dtype=np.float64)
        return np.concatenate([seen, np.full((rows - len(seen), *seen.shape[1:]), np.nan)])


def _accurate_step(model: LinearModel, task: Task, linear: Trajectory) -> int | None:
    """First step at which the linear model, recorded at every step, has all training samples right.

    Step 0 does not count: outputs of centred networks are 0 there, and their signs rounding.
    """
    known = labels(model.aim, task)
    if known is None:
        return None
    right = np.flatnonzero(known.accuracy(linear.train, "train")[1:] == 1)
    return 1 + int(right[0]) if len(right) else None


def _noise(model: LinearModel, network: Network, task: Task, rate: float, steps: int) -> float:
    """Disagreement of the linear model with the Taylor model in weight space over some steps, on the test set."""
    loss = model.aim.loss
    linear = model.trajectory(Descent(steps, learning_rate=rate, loss=loss), rate)
    change = largest(rms(linear.train - linear.train[0], axis=(1, 2)))
    return taylor_disagreement(network, task, linear, rate, change, loss)


def _gap_and_size(
    test: Array, linear: Trajectory, steps: NDArray[np.int64], model: LinearModel, network: Network
) -> tuple[Array, Array]:
    """Test gap and the linear model's size (T,) at some steps, from its trajectory at every step."""
    precision = torch.finfo(next(iter(network.trained.values())).dtype).eps
    rows = (test, linear.train[steps], linear.test_outputs[steps])
    ours, train, theirs = (plain(model.aim.centred(torch.from_numpy(each))) for each in rows)
    gap = tracking_gap(ours, theirs, change_unit(train, None, precision))
    gap[0] = 0.0
    return gap, rms(train, axis=(1, 2))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _last(values: Array) -> float | None:
    """The last of some values; None where there is none, or it is not finite."""
    return _finite(values[-1]) if len(values) else None
