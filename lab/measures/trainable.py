"""At which learning rates a network trains, and its linear model, under any loss, in units of the critical rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lab.kernels.sharpness import jacobian_sharpness
from lab.learners.arrival import Arrival, arrive
from lab.learners.descent import Descent
from lab.learners.network import Snapshot
from lab.losses import Loss, LossFunction
from lab.measures.linear_model import LONGEST, LinearModel
from lab.measures.thresholds import Threshold, holds_up_to
from lab.networks.network import Network
from lab.tasks.task import Task

Array = NDArray[np.float64]

LEARNERS = ("network", "linear")  #: rows of what `Trainable` holds of both

_DIVERGED = 1e6  # times the first loss


@dataclass(frozen=True, eq=False)
class Trainable:
    """What happened at ascending critical fractions c (k,), to the network and to its linear model.

    Attributes
    ----------
    fractions
        c in η = 2c/λ_max(H₀^½ K₀ H₀^½), (k,).
    trains
        Whether the network, and the linear model, reached the goal, booleans (2, k).
    peaks
        Largest training loss on the way there over the first one, (2, k): in the whole budget where the goal was not
        reached, inf after a divergence.
    sharpness
        ηλ_max(H_t^½ K_t H_t^½)/2 of the network where it reached the goal, (k,), 1 being the edge of stability; NaN
        where it did not.
    """

    fractions: Array
    trains: NDArray[np.bool_]
    peaks: Array
    sharpness: Array

    def limit(self, learner: str) -> Threshold:
        """Largest c such that the "network", or the "linear" model, trains there and at all smaller ones."""
        return holds_up_to(self.fractions, self.trains[LEARNERS.index(learner)])

    def survives(self, learner: str) -> Threshold:
        """Largest c such that the "network", or the "linear" model, diverges neither there nor at any smaller one."""
        return holds_up_to(self.fractions, np.isfinite(self.peaks[LEARNERS.index(learner)]))

    def sharpness_ratio(self, fraction: float) -> float | None:
        """λ_max(H_t^½ K_t H_t^½) of the network where it reached the goal over its first, at the c nearest in logs.

        None where it did not reach the goal there.
        """
        place = int(np.abs(np.log(self.fractions / fraction)).argmin())
        found = float(self.sharpness[place] / self.fractions[place])
        return found if math.isfinite(found) else None

    def summary(self) -> dict[str, float | str | None]:
        """One flat row of JSON values.

        ``network_limit`` and ``network_limit_censored``, ``linear_limit`` and ``linear_limit_censored``: see `limit`.
        ``network_peak``, ``linear_peak``, ``sharpness_at_limit``: at the own limit, the largest c that was tried if it
        is right censored; None if it is left censored.
        """
        row: dict[str, float | str | None] = {}
        for learner, peaks in zip(LEARNERS, self.peaks, strict=True):
            limit = self.limit(learner)
            row |= {f"{learner}_limit": limit.value, f"{learner}_limit_censored": limit.censored}
            row[f"{learner}_peak"] = self._at(limit, peaks)
        return row | {"sharpness_at_limit": self._at(self.limit("network"), self.sharpness)}

    def _at(self, limit: Threshold, values: Array) -> float | None:
        place = int(np.searchsorted(self.fractions, limit.value))
        return None if limit.censored == "left" else float(values[place])


def try_rates(
    network: Network,
    task: Task,
    loss: str | Loss | LossFunction = "squared",
    *,
    fractions: Sequence[float],
    goal: float,
    least_steps: int,
    patience: float,
    reference: float,
    most_steps: int | None = None,
) -> Trainable:
    """Train copies of a network by full-batch descent at several learning rates, and its linear model beside them.

    Parameters
    ----------
    network, task, loss
        A network at initialization; a task; a loss as for `lab.Descent`.
    fractions
        Ascending critical fractions.
    goal
        Share of the first training loss to fall below.
    least_steps
        The goal does not count before this step: an unstable direction takes some steps to show.
    patience
        Budget of steps, in units of the steps that the linear model takes to the goal at the critical fraction
        ``reference`` (of `lab.measures.linear_model.LONGEST` if it never gets there). Below that fraction the budget is
        one of equal kernel time.
    reference
        Below 1.
    most_steps
        The budget is at most so long: an ill-conditioned kernel may take the linear model millions of steps. None for
        no bound.

    Raises
    ------
    LabError
        As for `lab.arrive`.
    """
    model, rows = LinearModel.at(network, task, loss), []
    ticks = model.steps_to(goal, 2 * reference / model.lambda_max) or LONGEST
    for fraction in fractions:
        rate = 2 * fraction / model.lambda_max
        patient = math.ceil(patience * ticks * max(reference / fraction, 1.0))
        budget = max(min(patient, most_steps or patient), least_steps)
        descent = Descent(budget, learning_rate=rate, record="all", loss=loss)
        found = arrive(network, task, descent, _Small(goal, least_steps), progress=False)
        reached, linear_peak = _linear(model.errors(rate, np.arange(budget + 1)), goal, least_steps)
        peaks = (math.inf if found.exit == "diverged" else float(found.loss.max() / found.loss[0]), linear_peak)
        rows.append(((found.exit == "reached", reached), peaks, rate * _lambda_max(found, model, task) / 2))
    trains, heights, sharp = (np.array(column).T for column in zip(*rows, strict=True))
    return Trainable(np.asarray(fractions, dtype=np.float64), trains, heights, sharp)


@dataclass(frozen=True, eq=False)
class ModelRates:
    """What happened at ascending critical fractions to a network, to its linear model, and to further models of it.

    Attributes
    ----------
    runs
        By the name of each model; the first is the network, beside which its linear model stands.
    """

    runs: Mapping[str, Trainable]

    @property
    def peaks(self) -> dict[str, Array]:
        """Largest training loss over the first one at each c (k,), by learner; inf after a divergence."""
        return {"linear": self._first.peaks[1], **{name: run.peaks[0] for name, run in self.runs.items()}}

    def summary(self, fraction: float) -> dict[str, float | str | None]:
        """One flat row of JSON values: for each learner its limit and how far it survives, with censoring marks.

        ``peak_*`` are as in `Trainable.summary`; ``sharpness_ratio_*`` that at the critical ``fraction``, of all but
        the linear model, whose kernel stays.
        """
        row: dict[str, float | str | None] = {}
        for learner in self.peaks:
            run, name = (self.runs[learner], "network") if learner in self.runs else (self._first, "linear")
            for what, place in (("limit", run.limit(name)), ("survives", run.survives(name))):
                row |= {f"{what}_{learner}": place.value, f"{what}_{learner}_censored": place.censored}
            peak = run.summary()[f"{name}_peak"]
            row[f"peak_{learner}"] = peak if isinstance(peak, float) and math.isfinite(peak) else None
            if name == "network":
                row[f"sharpness_ratio_{learner}"] = run.sharpness_ratio(fraction)
        return row

    @property
    def _first(self) -> Trainable:
        return next(iter(self.runs.values()))


def try_models(models: Mapping[str, Network], task: Task, **effort: Any) -> ModelRates:
    """`try_rates` for a network and for models of it that are networks themselves, such as `lab.QuadraticNetwork`.

    ``models`` are by name, the network first, all at the same weights; ``effort`` are the arguments of `try_rates`.
    """
    return ModelRates({name: try_rates(model, task, **effort) for name, model in models.items()})


class _Small:
    """Until the training loss is below a share of its first value, but not before some step; called at every step."""

    def __init__(self, share: float, least_steps: int) -> None:
        self._share, self._least, self._first = share, least_steps, math.nan

    def __call__(self, snapshot: Snapshot) -> bool:
        if snapshot.step == 0:
            self._first = snapshot.loss
        return snapshot.step >= self._least and snapshot.loss < self._share * self._first


def _linear(errors: Array, goal: float, least_steps: int) -> tuple[bool, float]:
    """Whether errors (T,), over the first one, get below the goal from some step on, and their peak until then.

    A peak beyond a million, where learners count as diverged (`lab.Descent`), is inf, and nothing counts after it.
    """
    alive = np.logical_and.accumulate(errors <= _DIVERGED)
    small = np.flatnonzero((errors < goal) & alive & (np.arange(len(errors)) >= least_steps))
    end = int(small[0]) + 1 if len(small) else len(errors)
    return bool(len(small)), float(errors[:end].max()) if alive[:end].all() else math.inf


def _lambda_max(found: Arrival, model: LinearModel, task: Task) -> float:
    """λ_max(H_t^½ K_t H_t^½) of a network that reached the goal; NaN for others, 0 where H_t underflows."""
    if found.exit != "reached":
        return math.nan
    with torch.no_grad():
        jacobian = found.network.jacobian(task.train_inputs)
        curvature = model.aim.curvature(jacobian.outputs.to(model.regressor.outputs))
        return 0.0 if curvature is not None and not curvature.any() else jacobian_sharpness(jacobian, curvature)
