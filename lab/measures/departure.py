"""How far descent goes from random recurrent weights, beside another random draw of the same weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from lab.learners.descent import Descent
from lab.learners.network import descend
from lab.networks.elman import ElmanRNN
from lab.tasks.task import Task

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Departure:
    """One descent away from W₀, and the straight line from W₀ to another draw W₀′.

    Errors are those on the training set over that of predicting 0: Σ (f − y)²/Σ y².

    Attributes
    ----------
    distance, error
        ‖W_t − W₀‖_F/‖W₀′ − W₀‖_F and the error at the recorded steps, shape (T,).
    line_distance, line_error
        The shares s, and the errors at W₀ + s·(W₀′ − W₀), shape (k,); A and B stay.
    diverged_at
        Step at which the descent diverged; None if it did not.
    """

    distance: Array
    error: Array
    line_distance: Array
    line_error: Array
    diverged_at: int | None


@torch.no_grad()
def departure(network: ElmanRNN, task: Task, descent: Descent, seed: int, shares: ArrayLike) -> Departure:
    """Descend with a copy of the network, and walk from its recurrent weights to another draw of them.

    Parameters
    ----------
    network, task, descent
        As for `lab.descend`; the network is at its initialization W₀ and is not changed.
    seed
        Of the other draw W₀′; another one than that of the network.
    shares
        Places s on the line from W₀ to W₀′, 0 at W₀ and 1 at W₀′.

    Raises
    ------
    LabError
        As `lab.descend` does; a seed outside 0…2³² − 1.
    """
    start = network.W.detach().clone()
    to_other = other_draw(network, seed) - start
    unit = float(to_other.norm())
    path = descend(network, task, descent)
    seen = [(float((_recurrent(each.network) - start).norm()) / unit, each.loss) for each in path]
    distance, loss = np.array(seen, dtype=np.float64).T
    on_line, zero = network.copy(), 0.5 * float(task.train_targets.square().sum())
    places = np.asarray(shares, dtype=np.float64)
    line = np.array([_loss_at(on_line, start + share * to_other, task) for share in places.tolist()])
    return Departure(distance, loss / zero, places, line / zero, path.diverged_at)


def other_draw(network: ElmanRNN, seed: int) -> Tensor:
    """The recurrent weights (m, m) that a network of the same sizes and scales has with another seed."""
    features, outputs = network.A.shape[1], len(network.B)
    twin = ElmanRNN(
        network.width,
        features,
        outputs,
        activation=network.activation.name,
        parametrization=network.parametrization,
        seed=seed,
        dtype=network.W.dtype,
        device=network.W.device,
    )
    return twin.W.detach()


def _recurrent(network: object) -> Tensor:
    assert isinstance(network, ElmanRNN)
    return network.W


def _loss_at(network: ElmanRNN, weights: Tensor, task: Task) -> float:
    """½ Σ (f − y)² over the training set with these recurrent weights; the network is changed."""
    network.W.copy_(weights)
    outputs = network(task.train_inputs).double().cpu()
    return 0.5 * float((outputs - task.train_targets).square().sum())
