"""How the training of one network ends: it succeeds, is slow, gets stuck, or diverges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lab.errors import refuse
from lab.kernels.infinite import infinite_ntk
from lab.kernels.spectrum import Spectrum
from lab.learners.arrival import arrive
from lab.learners.descent import Descent
from lab.learners.kernel import KernelRegressor
from lab.measures.path import Pace, patient_descent
from lab.networks.elman import ElmanRNN
from lab.networks.network import Network
from lab.networks.scaled import Scaled
from lab.tasks.task import SequenceTask

Outcome = Literal["success", "slow", "stuck", "diverged"]

STUCK = 0.1  #: a stuck run would take less than this share off its loss in another whole budget


@dataclass(frozen=True)
class Attempt:
    """How one training ended.

    Attributes
    ----------
    exit
        "success": the accuracy was reached. "diverged". "stuck": the budget is spent, and another whole budget at the
        present pace would not take a tenth off the loss. "slow": the budget is spent otherwise.
    budget, steps
        Steps that there were, and the last one that was looked at.
    final_mse
        Mean (f − y)² there; None after a divergence.
    pace
        η‖∇f‖²/f at the last step that had not arrived; None after a divergence.
    """

    exit: Outcome
    budget: int
    steps: int
    final_mse: float | None
    pace: float | None


def attempt(
    network: Network, task: SequenceTask, accuracy: float, *, critical_fraction: float, patience: float
) -> Attempt:
    """Train a copy of a network until it succeeds or its budget is spent, and see how that ended.

    Parameters
    ----------
    network, task
        An `lab.ElmanRNN`, or a `lab.Scaled` one, and its data.
    accuracy
        Mean square error that counts as success.
    critical_fraction
        c in η = 2c/λ_max(K₀).
    patience
        Budget in units of what the infinitely wide network's linear learner needs at the same critical fraction; see
        `lab.measures.path.patient_descent`.

    Raises
    ------
    LabError
        A network without an infinitely wide limit.
    """
    if not isinstance(network, ElmanRNN | Scaled):
        refuse("network", type(network).__name__, "an ElmanRNN, or a Scaled one", "use lab.ElmanRNN")
    jacobian, targets = network.jacobian(task.train_inputs), task.train_targets.flatten(1)
    wide = KernelRegressor(infinite_ntk(network, task.train_inputs, shared=True), jacobian.outputs, targets)
    budget = patient_descent(wide, accuracy, critical_fraction=critical_fraction, patience=patience).steps
    kernel = jacobian.gram()
    if not bool(kernel.any()):  # no gate on any path is open: there is no gradient at all
        return Attempt("stuck", budget, 0, float((wide.residual**2).mean()), 0.0)
    rate = 2 * critical_fraction / Spectrum(kernel).lambda_max
    pace = Pace(targets, accuracy, rate)
    found = arrive(network, task, Descent(budget, learning_rate=rate), pace)
    last = int(found.steps[-1])
    if found.exit == "diverged":
        return Attempt("diverged", budget, last, None, None)
    unfinished: Outcome = "stuck" if pace.latest * budget < STUCK else "slow"
    outcome: Outcome = "success" if found.exit == "reached" else unfinished
    mse, latest = (value if np.isfinite(value) else None for value in (float(found.mse[-1]), pace.latest))
    return Attempt(outcome, budget, last, mse, latest)
