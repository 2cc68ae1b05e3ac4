"""The tangent kernel along one descent: how fast it turns in which phase of training, and when it has settled.

Phases are bounded by shares of the first training error: from 1 to ½, to 0.1, and to the error at which training ends.
A descent that rises above its first error (a catapult) begins again there: its phases count after the last such step.

References
----------
Fort, Dziugaite, Paul, Kharaghani, Roy, Ganguli, "Deep learning versus kernel learning", NeurIPS 2020.
Vyas, Bansal, Nakkiran, "Limitations of the NTK for understanding generalization in deep learning", 2022.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lab.learners.arrival import Exit, arrive
from lab.learners.descent import Descent
from lab.learners.kernel import KernelRegressor
from lab.learners.network import Snapshot
from lab.measures.evolution import alignment, angle, cosine_distance, velocity
from lab.measures.path import patient_descent
from lab.measures.schedule import looks
from lab.measures.validation.learners import output_error, tangent_errors
from lab.networks.network import Network
from lab.tasks.task import Task

Array = NDArray[np.float64]

SHARES = (0.5, 0.1)  #: of the first training error, at which a phase ends and the next one begins
PHASES = ("early", "middle", "late")  #: names of the phases
STAGES = {"init": 0, "half": 2, "after": 3}  #: names of places in `KernelCourse.stages`: "half" is at error 0.1
SETTLED = 0.9  #: of the final angle

_SPACING, _GROWTH = 0.5, 1.05  # of the kernel times of the looks
_ROUNDING = 1e-6  # an error that exceeds the first one by less has not risen


@dataclass(frozen=True, eq=False)
class Stage:
    """The start or the end of a phase.

    Attributes
    ----------
    step
        At which the training error is first at or below the share.
    network
        A copy of the network there.
    kernel
        Its tangent kernel on the probes, (N, o, N, o).
    later
        The kernel a fixed number of steps later; None if training ended before.
    """

    step: int
    network: Network
    kernel: Tensor
    later: Tensor | None = None


@dataclass(frozen=True, eq=False)
class KernelCourse:
    """The kernel on the probes along one descent.

    Attributes
    ----------
    exit
        "reached" the last error, "diverged", or "undecided": the steps were spent.
    kernel_time
        τ = ct at the looks, (T,).
    mse
        Mean (f − y)² on the training set, (T,).
    angle, alignment
        Of the kernel: its angle to K₀ in radians, and its alignment with the targets of the probes (NaN where these are
        all equal), (T,).
    peak
        Largest error over the first one at any step.
    stages
        The start, and each share that was reached, in order. Four if all were.
    critical_fraction
        c, the kernel time of a step.
    network
        At the last step.
    risen
        At the last step at which the error was above the first one; the start if it never was.
    noise
        Angle between K₀ and the same from the probes in the opposite order: what rounding does.
    """

    exit: Exit
    kernel_time: Array
    mse: Array
    angle: Array
    alignment: Array
    peak: float
    stages: tuple[Stage, ...]
    critical_fraction: float
    network: Network
    risen: Network
    noise: float

    @property
    def error(self) -> Array:
        """Training error over the first one, (T,)."""
        return np.asarray(self.mse / self.mse[0])

    @property
    def named(self) -> dict[str, Stage]:
        """The stages that were reached among those of `STAGES`."""
        return {name: self.stages[place] for name, place in STAGES.items() if place < len(self.stages)}

    def velocities(self) -> dict[str, float | None]:
        """Angle between the kernels at the ends of each phase over its kernel time; None for what did not end.

        None also for a phase that one step leaps over.
        """
        found = dict[str, float | None].fromkeys(PHASES)
        for name, (start, end) in zip(PHASES, itertools.pairwise(self.stages), strict=False):
            time = self.critical_fraction * (end.step - start.step)
            found[name] = velocity(end.kernel, start.kernel, time) if time else None
        return found

    def distances(self) -> dict[str, float | None]:
        """1 − cos of the angle between the kernels at the beginning of each phase and a fixed kernel time later."""
        stages = dict(zip(PHASES, self.stages, strict=False))
        laters = {name: stage.later for name, stage in stages.items()}
        return {
            name: None if (later := laters.get(name)) is None else cosine_distance(later, stages[name].kernel)
            for name in PHASES
        }

    def settled(self) -> int | None:
        """First look from which on the angle to K₀ is 0.9 of its final value or more; None unless training arrived."""
        if self.exit != "reached":
            return None
        below = np.flatnonzero(self.angle < SETTLED * self.angle[-1])
        return int(below[-1]) + 1 if len(below) else 0

    def summary(self) -> dict[str, float | str | bool | None]:
        """One flat row of JSON values; what was not reached is None.

        velocity_…, distance_…: of each phase. angle_half, angle_after, alignment_init, alignment_half, alignment_after:
        at error 0.1, and at the end; alignment_gain: the last minus the first. settles_at, settles_within: error at
        `settled`, and its kernel time over that at the end. moved_half: angle at error 0.1 over that at the end.
        kernel_time, error: where training ended. peak, noise, exit, diverged, reasons.
        """
        times = {name: self.critical_fraction * stage.step for name, stage in self.named.items()}
        places = {name: int(np.searchsorted(self.kernel_time, time)) for name, time in times.items()}
        half, after, settled = places.get("half"), places.get("after"), self.settled()
        row: dict[str, float | str | bool | None] = {
            f"velocity_{name}": each for name, each in self.velocities().items()
        }
        row |= {f"distance_{name}": each for name, each in self.distances().items()}
        row |= {"angle_half": _at(self.angle, half), "angle_after": _at(self.angle, after)}
        row |= {f"alignment_{name}": _at(self.alignment, places.get(name)) for name in STAGES}
        row |= {
            "settles_at": _at(self.error, settled),
            "settles_within": _at(self.kernel_time / self.kernel_time[-1], settled),
        }
        row["moved_half"] = None if after is None else _at(self.angle / self.angle[after], half)
        row["alignment_gain"] = _at(self.alignment - self.alignment[0], after)
        row |= {"kernel_time": float(self.kernel_time[-1]), "error": _at(self.error, -1), "peak": self.peak}
        row |= {"noise": self.noise, "exit": self.exit, "diverged": self.exit == "diverged"}
        return {
            **row,
            "reasons": "" if self.exit == "reached" else f"{self.exit} at kernel time {row['kernel_time']:g}",
        }

    def arrays(self) -> dict[str, Array]:
        """The attributes of shape (T,), by name."""
        return {name: getattr(self, name) for name in ("kernel_time", "mse", "angle", "alignment")}


def follow_kernel(
    network: Network,
    task: Task,
    probes: Sequence[Tensor],
    *,
    critical_fraction: float,
    goal: float,
    patience: float,
    spacing: float,
) -> KernelCourse:
    """Descend with a copy of a network by full batches, and look at its kernel on probes.

    Looks are every 0.5 in kernel time up to 10, every 5 % later, and at the ends of phases.

    Parameters
    ----------
    network, task
        The network at initialization, and what it learns.
    probes
        Two: inputs (N, …), and their targets for the alignment.
    critical_fraction
        c in η = 2c/λ_max(K₀).
    goal
        Share of the first training error at which training ends, below 0.1.
    patience
        Budget, in steps of the linear model to that error (at c = ½, if c is larger).
    spacing
        Kernel time between the kernels of `KernelCourse.distances`; rounded up to whole steps.
    """
    linear = KernelRegressor.at(network, task)
    first = float(np.square(linear.residual).mean())
    budget = patient_descent(linear, goal * first, critical_fraction=critical_fraction, patience=patience)
    descent = Descent(budget.steps, learning_rate=budget.learning_rate, record="all")
    wanted = looks(budget.steps * critical_fraction, critical_fraction, spacing=_SPACING, growth=_GROWTH)
    watch = _Watch(network, probes, (*SHARES, goal), frozenset(wanted), int(np.ceil(spacing / critical_fraction)))
    found = arrive(network, task, descent, watch)
    step, error, turned, aligned = np.array(watch.rows, dtype=np.float64).T
    return KernelCourse(
        exit=found.exit,
        kernel_time=critical_fraction * step,
        mse=first * error,
        angle=turned,
        alignment=aligned,
        peak=float(found.loss.max() / found.loss[0]),
        stages=tuple(watch.stages),
        critical_fraction=critical_fraction,
        network=found.network,
        risen=watch.risen,
        noise=watch.noise,
    )


def held_out_errors(course: KernelCourse, task: Task, validation: int) -> dict[str, float | None]:
    """Test errors of kernel regression with the kernels of a course, and of the network where it arrived.

    Parameters
    ----------
    course
        Of a network that was trained on the training split.
    task, validation
        The first so many samples of its test split choose the ridge penalty, the others test.

    Returns
    -------
    dict
        error_init, error_half, error_after: with the kernels of `STAGES` (`tangent_errors`). plain_…: the same with the
        smallest penalty. error_resumed, plain_resumed: with the last kernel, but from the outputs of
        ``course.risen`` on. error_network, plain_network: of the network, twice the same. All are mean (f − y)² over
        the test samples in units of mean (y − ȳ)² there; None for what was not reached.
    """
    targets = task.test_split[1][validation:]
    unit = float((targets - targets.mean(0)).square().mean())
    found = dict[str, tuple[float, float] | None].fromkeys([*STAGES, "resumed", "network"])
    found |= {name: tangent_errors(stage.network, task, validation) for name, stage in course.named.items()}
    if course.exit == "reached":
        found["resumed"] = tangent_errors(course.network, task, validation, course.risen)
        found["network"] = (output_error(course.network, task, validation),) * 2
    row = dict[str, float | None]()
    for name, pair in found.items():
        for place, kind in enumerate(("error", "plain")):
            row[f"{kind}_{name}"] = None if pair is None else pair[place] / unit
    return row


def when_falling(error: Array, values: Array, levels: Array) -> Array:
    """Values (T,) when the error (T,) falls to each level, after the last place at which it is 1 or more.

    Parameters
    ----------
    error
        Over the first one, which is 1.
    levels
        Shape (k,), from 1 to the last error.
    """
    start = int(np.flatnonzero(error >= 1)[-1])
    below = np.minimum.accumulate(error[start:])[None] <= levels[:, None] * (1 + _ROUNDING)
    return np.asarray(values[start + np.argmax(below, axis=1)])


class _Watch:
    """An ``until`` of `lab.arrive` that collects kernels; call it at every step."""

    def __init__(
        self,
        network: Network,
        probes: Sequence[Tensor],
        shares: tuple[float, ...],
        wanted: Collection[int],
        spacing: int,
    ) -> None:
        self._probes, self._shares, self._wanted, self._spacing = probes, shares, wanted, spacing
        start = Stage(0, network, network.jacobian(probes[0]).gram())
        opposite = network.jacobian(probes[0].flip(0)).gram().flip(0, 2)
        self.noise, self._first = angle(opposite, start.kernel), 0.0
        self.stages, self.risen = [start], network
        self.rows: list[tuple[float, float, float, float]] = []

    def __call__(self, snapshot: Snapshot) -> bool:
        self._first = self._first or snapshot.loss
        error = snapshot.loss / self._first
        if error > 1 + _ROUNDING:
            del self.stages[1:]
            self.risen = snapshot.network.copy()
        reached = [share for share in self._shares[len(self.stages) - 1 :] if error <= share]
        due = [place for place, stage in enumerate(self.stages) if stage.step + self._spacing == snapshot.step]
        if reached or due or snapshot.step in self._wanted:
            kernel = snapshot.network.jacobian(self._probes[0]).gram()
            matched = alignment(kernel, self._probes[1].flatten(1))
            turned = angle(kernel, self.stages[0].kernel)
            self.rows.append((snapshot.step, error, turned, np.nan if matched is None else matched))
            for place in due:
                stage = self.stages[place]
                self.stages[place] = Stage(stage.step, stage.network, stage.kernel, kernel)
            self.stages += [Stage(snapshot.step, snapshot.network.copy(), kernel) for _ in reached]
        return len(self.stages) > len(self._shares)


def _at(values: Array, place: int | None) -> float | None:
    """A value by its place; None without one, or if it is not finite."""
    return float(values[place]) if place is not None and np.isfinite(values[place]) else None
