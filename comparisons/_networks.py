"""The networks that settings can name besides the Elman network, what they cost, and which settings they have.

They are in standard parametrization: weights N(0, g²/fan-in) without multipliers, all of them trained; g² is 2 where
ReLU is at work and 1 elsewhere. There hidden and output weights contribute of order m to the tangent kernel, input
weights and biases of order 1, so the latter are hardly trained in wide networks, and η falls as 1/m. Levels do not
compare with those of "elman". Their slopes depend on the critical fraction more than those of "elman": a small one is
the fairer comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comparisons import _settings, _tasks
from lab.costs import Cost
from lab.errors import check_choice, refuse

if TYPE_CHECKING:
    from comparisons._settings import NetworkSettings

_RECURRENT, _WHOLE = ("last", "all", "mean"), ("last", "all")  # an "all" of a whole-sequence network is L−1 outputs
_BLOCKS = 2**28  # bytes of Jacobian rows that a kernel takes at most, as lab.jacobians.gram.MEMORY


@dataclass(frozen=True)
class _Kind:
    """What a network can be asked for; ``activations`` are empty where it has its own."""

    activations: tuple[str, ...]
    readouts: tuple[str, ...]
    gates: int = 0


KINDS = {
    "rnn": _Kind(("relu", "tanh"), _RECURRENT, gates=1),
    "gru": _Kind((), _RECURRENT, gates=3),
    "lstm": _Kind((), _RECURRENT, gates=4),
    "mlp": _Kind(("relu", "erf", "tanh"), _WHOLE),
    "cnn": _Kind(("relu", "erf", "tanh"), _WHOLE),
}
NAMES = ("elman", *KINDS)
_OF_ELMAN = ("parametrization", "trained")  # the others have one parametrization and train everything


def check(network: str, settings: NetworkSettings) -> None:
    """Refuse an unknown network, and settings that it does not have unless they are left at their defaults."""
    check_choice("network", network, NAMES)
    if network == "elman":
        return
    kind, defaults = KINDS[network], type(settings)()
    fields = _OF_ELMAN if kind.activations else (*_OF_ELMAN, "activation")
    for name in fields:
        if getattr(settings, name) != getattr(defaults, name):
            came = f"{getattr(settings, name)!r} with network={network!r}"
            refuse(name, came, "nothing: this network does not have that setting", f"leave {name} out")
    if kind.activations:
        check_choice("activation", settings.activation, kind.activations)
    for readout in settings.readouts:
        check_choice("readouts", readout, kind.readouts)


def fitted(cell: dict[str, Any]) -> dict[str, Any]:
    """A cell without the settings that its network does not have."""
    if cell["network"] == "elman":
        return cell
    absent = _OF_ELMAN if KINDS[cell["network"]].activations else (*_OF_ELMAN, "activation")
    return {name: value for name, value in cell.items() if name not in absent}


def build(cell: Mapping[str, Any]) -> tuple[Any, Any]:
    """The task of a cell, and its network at initialization on torch's default device."""
    if cell["network"] == "elman":
        return _settings.build(dict(cell))
    import torch

    from comparisons import _modules

    task = _tasks.build(cell)
    task = task.at_every_step() if cell["readout"] == "all" else task
    choices = {"readout": cell["readout"], "activation": cell.get("activation", "tanh"), "seed": cell["seed"]}
    module = _modules.like(task, cell["network"], cell["width"], **choices)
    return task, module.to(torch.get_default_device(), getattr(torch, cell["dtype"]))


def cost(cell: Mapping[str, Any]) -> Cost:
    """Three forward passes for a derivative of either kind, Jacobians of all rows contracted, weights held five times.

    A training step takes a forward pass and a backward derivative, a linearized one a derivative each way.
    """
    task, item = _tasks.size(cell), 4 if cell["dtype"] == "float32" else 8
    weights, forward = _weights_and_flops(cell, task)
    rows = task.samples * (task.length - 1 if cell["readout"] == "all" else 1)
    columns = rows * (1 + task.test / task.samples)
    step = Cost(task.samples * (4 + 6) * forward, operations=100 + 60 * task.length)
    kernel = Cost(3 * forward * columns + 2.0 * weights * rows * columns)
    held = item * 5.0 * weights + min(_BLOCKS, item * 2.0 * weights * columns)
    return (cell["steps"] * step + 3 * kernel).holding(held)


def _weights_and_flops(cell: Mapping[str, Any], task: _tasks.Size) -> tuple[float, float]:
    """How many weights, biases and the output layer left out, and flops of a forward pass of one sample."""
    width, gates = cell["width"], KINDS[cell["network"]].gates
    if gates:
        weights = gates * width * (width + task.features)
        return weights, 2.0 * weights * task.length
    if cell["network"] == "mlp":
        weights = width * (width + task.length * task.features)
        return weights, 2.0 * weights
    weights = 9 * width * (width + 1)
    return weights, 2.0 * weights * task.length * task.features
