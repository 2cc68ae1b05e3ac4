"""Conditions for `lab.arrive` that collect what they see on the way."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from lab.learners.descent import plain
from lab.learners.network import Snapshot, objective
from lab.losses import Objective
from lab.measures.linear_model import error_unit
from lab.measures.motion import distance
from lab.networks.network import Network
from lab.tasks.task import Task

Array = NDArray[np.float64]

_ROUNDING = 1e-6  # a residual that exceeds its first value by less has no peak


class Passage:
    """Until the training error is a share of its first value; collects motion at every step and test outputs at some.

    Call it at every step, that is with ``record="all"``.

    Parameters
    ----------
    start
        The network at step 0, which must not move itself.
    task
        With a test split of n' samples.
    first_error
        Mean (f − y)² over training samples and outputs at step 0; for other losses than the squared one the loss per
        sample.
    share
        Share of ``first_error`` to fall below.
    earliest
        The condition is not met before this step.
    record
        Ascending steps (T,) at which test outputs are collected.
    aim
        The loss on the training set; the squared one by default.

    Attributes
    ----------
    motion
        ‖θ_t − θ₀‖_F at the steps seen so far.
    test
        Test outputs (T, n', o) at the steps of ``record``; NaN at those that were not reached.
    """

    def __init__(
        self,
        start: Network,
        task: Task,
        first_error: float,
        share: float,
        earliest: int,
        record: NDArray[np.int64],
        aim: Objective | None = None,
    ) -> None:
        aim = objective(start, task) if aim is None else aim
        self._start, self._inputs, self._unit = start, task.test_split[0], error_unit(aim)
        self._first_error, self._share, self._earliest = first_error, share, earliest
        self._rows = {int(step): row for row, step in enumerate(record)}
        self.motion: list[float] = []
        self.test: Array = np.full((len(record), len(self._inputs), math.prod(aim.shape)), np.nan)

    def __call__(self, snapshot: Snapshot) -> bool:
        """Collect, and return whether the error is small enough."""
        self.motion.append(distance(self._start, snapshot.network))
        row = self._rows.get(snapshot.step)
        if row is not None:
            with torch.no_grad():
                self.test[row] = plain(snapshot.network(self._inputs).flatten(1))
        small = snapshot.loss / self._unit / self._first_error < self._share
        return small and snapshot.step >= self._earliest


class AfterPeak:
    """Until the residual ‖f − y‖ falls to a share of its first value, after its peak if it rises above that value.

    Beyond the edge of stability the residual may pass the share, rise again to a peak and come back (a catapult,
    Lewkowycz et al. 2020). A network that was caught before the peak is dropped.

    Parameters
    ----------
    first_loss
        ½ Σ (f − y)² at step 0, positive.
    share
        Of the first residual, between 0 and 1.
    at_once
        Whether to stop at the first passage. Otherwise the condition is never met, so that the whole descent is watched
        for a later peak: look at ``network`` afterwards.

    Attributes
    ----------
    network
        Copy of the network at the passage; None before.
    step
        Step of the passage; None before.

    References
    ----------
    Lewkowycz, Bahri, Dyer, Sohl-Dickstein, Gur-Ari, "The large learning rate phase of deep learning", 2020.
    """

    def __init__(self, first_loss: float, share: float, *, at_once: bool) -> None:
        self._first_loss, self._share, self._at_once = first_loss, share, at_once
        self._peak = 1.0 + _ROUNDING
        self.network: Network | None = None
        self.step: int | None = None

    def __call__(self, snapshot: Snapshot) -> bool:
        """Keep the network of the first passage after the peak so far."""
        residual = math.sqrt(snapshot.loss / self._first_loss)
        if residual > self._peak:
            self._peak, self.network, self.step = residual, None, None
        elif self.network is None and residual <= self._share:
            self.network, self.step = snapshot.network.copy(), snapshot.step
        return self._at_once and self.network is not None
