"""Training from zero outputs without a second network: the targets are shifted by f₀ instead."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from lab.networks.network import Network
from lab.tasks.task import SequenceTask


def centred_task(network: Network, task: SequenceTask) -> SequenceTask:
    """The task with targets y + f₀, f₀ being the present outputs of the network, on both splits.

    A network that trains on it from here has the residuals (f − f₀) − y of `lab.Scaled` with α = 1, and the same
    weights at every step, without the second forward pass of f₀ in each of them.

    Parameters
    ----------
    network
        At initialization; its outputs have the shape of the targets.
    """
    train, test = _outputs(network, task.train_inputs), task.test_targets
    if task.test_inputs is not None and test is not None:
        test = test + _outputs(network, task.test_inputs)
    return replace(task, train_targets=task.train_targets + train, test_targets=test)


@torch.no_grad()
def _outputs(network: Network, inputs: Tensor) -> Tensor:
    return network(inputs).cpu().double()
