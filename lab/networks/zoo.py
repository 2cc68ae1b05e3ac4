"""torch modules of a given width by name: recurrent layers of torch, perceptrons, convolutional networks."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lab.activations import activation as find_activation
from lab.networks.elman import READOUTS
from lab.networks.weights import fill
from lab.tasks.task import SequenceTask

Shape = tuple[int, ...]

LAYERS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class Recurrent(nn.Module):
    """A recurrent layer of torch, read by one linear layer as `ElmanRNN` is: at the last step, at 2…L, or averaged."""

    def __init__(self, core: nn.RNNBase, outputs: int, readout: str) -> None:
        super().__init__()
        self.core, self.head, self.readout = core, nn.Linear(core.hidden_size, outputs), readout

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs for inputs (n, L, p): (n, q), or (n, L−1, q) for the readout "all"."""
        states, _ = self.core(inputs)
        taps = READOUTS[self.readout](states.shape[1]).to(states)
        outputs: Tensor = self.head(torch.einsum("st,ntm->nsm", taps, states))
        return outputs if self.readout == "all" else outputs[:, 0]


class Pointwise(nn.Module):
    """An activation of the lab by its name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.function = find_activation(name).function

    def forward(self, inputs: Tensor) -> Tensor:
        """The function of every number."""
        return self.function(inputs)


def like(
    task: SequenceTask,
    network: str,
    width: int,
    *,
    readout: str = "last",
    activation: str = "relu",
    seed: int,
    outputs: int | None = None,
) -> nn.Module:
    """A float64 module that fits a task, with weights N(0, g²/fan-in), g² = 2 for ReLU and 1 otherwise, biases zero.

    Parameters
    ----------
    network
        "rnn", "gru" or "lstm": one layer, read as `Recurrent` says. "mlp": two hidden layers on the flattened sequence.
        "cnn": two 3×3 convolutions on the sequence as an image (time, features), averaged over the image. "strided":
        the same with stride 2 and without biases there, read at all places instead of averaged: its kernel is far
        better conditioned, and blank patches stay 0 instead of sitting on ReLU's kink.
    width
        Hidden units, or channels of both convolutions.
    seed
        One seed is one module.
    outputs
        Outputs of a sample, at each step that is read; by default as many as targets.
    """
    maker, targets = _recurrent if network in LAYERS else _MAKERS[network], task.train_targets.shape[1:]
    shape = (*targets[:-1], targets[-1] if outputs is None else outputs)
    module = maker(task.train_inputs.shape[1:], shape, network, width, readout, activation).double()
    relu = activation == "relu" and network not in ("gru", "lstm")
    return _drawn(module, seed, gain=2.0 if relu else 1.0)


def _recurrent(inputs: Shape, shape: Shape, network: str, width: int, readout: str, activation: str) -> nn.Module:
    options = {"nonlinearity": activation} if network == "rnn" else {}
    core = LAYERS[network](inputs[1], width, batch_first=True, **options)
    return Recurrent(core, shape[-1], readout)


def _perceptron(inputs: Shape, shape: Shape, network: str, width: int, readout: str, activation: str) -> nn.Module:
    first, second = nn.Linear(math.prod(inputs), width), nn.Linear(width, width)
    hidden = nn.Sequential(nn.Flatten(), first, Pointwise(activation), second, Pointwise(activation))
    return nn.Sequential(hidden, nn.Linear(width, math.prod(shape)), nn.Unflatten(1, shape))


def _convolutional(inputs: Shape, shape: Shape, network: str, width: int, readout: str, activation: str) -> nn.Module:
    first, second = nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
    hidden = nn.Sequential(nn.Unflatten(1, (1, inputs[0])), first, Pointwise(activation), second, Pointwise(activation))
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(hidden, pool, nn.Linear(width, math.prod(shape)), nn.Unflatten(1, shape))


def _strided(inputs: Shape, shape: Shape, network: str, width: int, readout: str, activation: str) -> nn.Module:
    length, features = inputs
    first, second = (nn.Conv2d(size, width, 3, stride=2, padding=1, bias=False) for size in (1, width))
    hidden = nn.Sequential(nn.Unflatten(1, (1, length)), first, Pointwise(activation), second, Pointwise(activation))
    places = math.ceil(length / 4) * math.ceil(features / 4)
    head = nn.Sequential(nn.Flatten(), nn.Linear(width * places, math.prod(shape)))
    return nn.Sequential(hidden, head, nn.Unflatten(1, shape))


_MAKERS = {"mlp": _perceptron, "cnn": _convolutional, "strided": _strided}


@torch.no_grad()
def _drawn(module: nn.Module, seed: int, gain: float) -> nn.Module:
    """The module with weights of its seed; the last weight, which feeds the outputs, has no gain."""
    weights = {name: value for name, value in module.named_parameters() if value.ndim > 1}
    last = next(reversed(weights))
    for name, value in module.named_parameters():
        if name in weights:
            rows = value.flatten(1)
            fill(rows, seed, name, math.sqrt((1.0 if name == last else gain) / rows.shape[1]))
        else:
            value.zero_()
    return module
