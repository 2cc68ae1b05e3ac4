"""Classifiers of MNIST-1D: the models and recipe of github.com/greydanus/mnist1d, and a kernel of the lab.

4,000 series of length 40 in ten classes, 1,000 more for the test; models of notebooks/models.py, recipe of
notebooks/train.py. One difference: their batches of 100 come in the order of the data, ours are drawn in each epoch.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import lab
from lab.estimators import TangentKernelClassifier

SOURCE = "greydanus/mnist1d"
PAGES = ("classification notebook, one seed", "quickstart notebook, one seed", "README, setting not stated")
#: Test accuracy in percent as printed on these pages: the two notebooks after 6,001 steps.
ACCURACIES = {
    "linear": ("31.5", "31.5", "32"),
    "mlp": ("65.1", "64.6", "68"),
    "cnn": ("92.3", "92.3", "94"),
    "gru": ("89.1", "92.1", "91"),
}
STEPS, RATE, BATCH, SERIES, CLASSES, RIDGE = 6001, 0.01, 100, 40, 10, 0.01


class Residual(nn.Module):
    """Two hidden layers of 100 ReLU units, the second around an identity."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(SERIES, 100), nn.Linear(100, 100), nn.Linear(100, CLASSES)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        hidden = self.first(series).relu()
        return self.last(hidden + self.second(hidden).relu())


class Recurrent(nn.Module):
    """A GRU of size 6 in both directions, all of whose states go into a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(1, 6, batch_first=True, bidirectional=True)
        self.last = nn.Linear(2 * 6 * SERIES, CLASSES)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        return self.last(self.gru(series[..., None])[0].flatten(1))


def convolutional() -> nn.Sequential:
    """Three convolutions with 25 channels and stride 2."""
    layers: list[nn.Module] = [nn.Unflatten(1, (1, SERIES))]
    for channels, size in ((1, 5), (25, 3), (25, 3)):
        layers += [nn.Conv1d(channels, 25, size, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(125, CLASSES))


MODELS = {"linear": lambda: nn.Linear(SERIES, CLASSES), "mlp": Residual, "cnn": convolutional, "gru": Recurrent}


def load() -> lab.Task | None:
    """The data, or None where the package is missing. (The file in its repository differs by less than 1e-15.)"""
    try:
        from mnist1d.data import get_dataset_args, make_dataset
    except ImportError:
        return None
    data = make_dataset(get_dataset_args())
    return lab.Task(*(data[name] for name in ("x", "y", "x_test", "y_test")), name="MNIST-1D")


def drawn(name: str, seed: int) -> nn.Module:
    """A model at an initialization."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MODELS[name]()


def accuracies(name: str, task: lab.Task, seeds: range, steps: int = STEPS) -> dict[str, np.ndarray]:
    """Test accuracy in percent of each seed, (seeds,), of the network and, for "mlp", its linearization."""
    train = _both if name == "mlp" else _alone
    found = [train(drawn(name, seed), task, _descent(seed, steps)) for seed in seeds]
    return {learner: np.array([each[learner] for each in found]) for learner in found[0]}


def limit_accuracy(task: lab.Task) -> float:
    """That of least squares on ±1 with the kernel of the lab's Elman network at infinite width, which has no seeds."""
    model = TangentKernelClassifier(penalty=RIDGE, parametrization="ntk")
    model.fit(task.train_inputs.numpy(), task.train_targets[:, 0].numpy())
    return 100 * float(model.score(task.test_inputs.numpy(), task.test_targets[:, 0].numpy()))


def _descent(seed: int, steps: int) -> lab.Descent:
    adam = lambda parameters: torch.optim.Adam(parameters, lr=RATE)  # noqa: E731
    return lab.Descent(steps, batch_size=BATCH, seed=seed, record=(steps,), optimizer=adam, loss="cross_entropy")


def _both(network: nn.Module, task: lab.Task, descent: lab.Descent) -> dict[str, float]:
    result = lab.side_by_side(network, task, descent, kernel=False)
    learners = {"network": result.network, "linearized": result.linearized}
    return {name: 100 * float(learner.test_accuracy[-1]) for name, learner in learners.items()}


@torch.no_grad()
def _alone(network: nn.Module, task: lab.Task, descent: lab.Descent) -> dict[str, float]:
    *_, last = lab.descend(network, task, descent)
    classes = last.network(task.test_inputs).argmax(1, keepdim=True)
    return {"network": 100 * float((classes == task.test_targets).double().mean())}
