"""Settings and cells of comparisons of one network over widths and seeds, the networks that settings can name, costs.

"elman" is the paper's network. The other networks (`lab.networks.zoo`) are in standard parametrization: weights
N(0, g²/fan-in) without multipliers, all of them trained; g² is 2 where ReLU is at work and 1 elsewhere. There hidden
and output weights contribute to the tangent kernel in order m, input weights and biases in order 1, so that the latter
hardly train in wide networks, and η falls as 1/m. Levels do not compare with those of "elman". Slopes depend on the
critical fraction more than those of "elman": a small one is the fairer comparison.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from comparisons.kit import losses, tasks
from comparisons.kit.cells import grid, optional
from comparisons.kit.seeds import Drawn, SeedSettings
from comparisons.kit.settings import Choices, Count, Distinct, OneOf, Positive, Precision, doc
from lab.errors import check_choice, refuse

if TYPE_CHECKING:
    from torch import nn

    from lab.networks.network import Network
    from lab.tasks.task import SequenceTask

BLOCKS = ("W", "A", "B")

Readout = Annotated[str, OneOf("last", "all", "mean")]
Block = Annotated[str, OneOf(*BLOCKS)]
TASK = "digits, separable, templates, a UCR/UEA set such as ItalyPowerDemand (extra [data]), or a file of series."
READOUTS = "Losses: last and mean have one output per sample; all is the paper's, over time steps 2 to L."
SAMPLES = "Training samples, and as many test samples; None: the task's own number."
Task = Annotated[str, doc(TASK)]
Samples = Annotated[int | None, doc(SAMPLES)]
Readouts = Annotated[Choices[Readout], doc(READOUTS)]
Widths = Annotated[Choices[Count], doc("Widths m of the network.")]
Dtype = Annotated[Precision, doc("Precision of weights and outputs; eigen-solves are in float64.")]


@dataclass(frozen=True)
class NetworkSettings(SeedSettings):
    """Task, network and grid of a comparison of one network over widths and seeds."""

    task: Task = "digits"
    samples: Samples = None
    readouts: Readouts = ("last", "all")
    widths: Widths = (64, 128, 256, 512, 1024)
    critical_fraction: Annotated[Positive, doc("Learning rate in units of the critical one: c in η = 2c/λ_max.")] = 0.5
    activation: Annotated[str, OneOf("relu", "erf", "tanh", "softplus"), doc("Activation φ.")] = "relu"
    parametrization: Annotated[str, OneOf("paper", "ntk"), doc("paper (Allen-Zhu, Li, Song 2019) or ntk.")] = "paper"
    trained: Annotated[tuple[Block, ...], Distinct(), doc("Trained matrices, among W, A, B.")] = ("W",)
    dtype: Dtype = "float32"

    def check(self) -> None:
        """Refuse numbers of seeds, a task, a loss and an activation that do not go with the other settings."""
        super().check()
        tasks.check_task(self.task, self.samples)
        losses.check(losses.of(self), self.task)
        if self.activation == "softplus" and self.parametrization == "paper":
            came = "'softplus' with parametrization='paper'"
            refuse("activation", came, "relu, erf or tanh there", "use parametrization='ntk'")

    def grid(self, kind: type[AnyCell], **more: Any) -> list[AnyCell]:
        """One cell for every readout, width and seed; ``more`` are further axes, of which seeds are the last."""
        return grid(kind, self, self.seeds, readout=self.readouts, width=self.widths, **more)


@dataclass(frozen=True)
class CentredSettings(NetworkSettings):
    """`NetworkSettings` for comparisons in which removing f₀ would dominate training."""

    readouts: Readouts = ("last",)
    centred: Annotated[bool, doc("Outputs are f(θ) − f(θ₀); E f₀² = Σ_t ‖x_t‖² is large beside targets of size 1.")] = (
        True
    )


@dataclass(frozen=True, kw_only=True)
class NetworkCell(Drawn, tasks.TaskCell):
    """One network on one task; ``trained``, ``parametrization`` and ``activation`` are absent where it has none."""

    readout: str
    width: int
    seed: int
    data_seed: int
    data_seeds: str = optional("own")
    sample: int | None = optional()
    critical_fraction: float
    activation: str | None = optional()
    parametrization: str | None = optional()
    trained: tuple[str, ...] | None = optional()
    dtype: str


@dataclass(frozen=True, kw_only=True)
class CentredCell(NetworkCell):
    """`NetworkCell` with outputs f(θ) − f(θ₀) where ``centred``."""

    centred: bool


AnyCell = TypeVar("AnyCell", bound=NetworkCell)


def build(cell: NetworkCell, network: str = "elman") -> tuple[SequenceTask, Network]:
    """The task of a cell, and its network at initialization on torch's default device; centred if `centred` is set."""
    import torch

    import lab

    task = tasks.build(cell, cell.draw)
    task = task.at_every_step() if cell.readout == "all" else task
    precision = {"dtype": getattr(torch, cell.dtype), "device": torch.get_default_device()}
    centred, outputs = getattr(cell, "centred", False), losses.outputs(losses.of(cell), task.train_targets.shape[-1])
    if network != "elman":
        return task, lab.as_network(_module(task, cell, network, outputs).to(**precision), centred=centred)
    sizes = {"outputs": outputs, "seed": cell.network_seed, "centred": centred}
    return task, lab.ElmanRNN.like(task, cell.width, **sizes, **choices(cell), **precision)


def choices(cell: NetworkCell) -> dict[str, Any]:
    """Arguments of `lab.ElmanRNN` from a cell, except seed and precision."""
    return {name: getattr(cell, name) for name in ("readout", "activation", "parametrization", "trained")}


def _module(task: SequenceTask, cell: NetworkCell, network: str, outputs: int) -> nn.Module:
    from lab.networks import zoo

    choices = {"readout": cell.readout, "activation": cell.activation or "tanh"}
    return zoo.like(task, network, cell.width, seed=cell.network_seed, outputs=outputs, **choices)


@dataclass(frozen=True)
class Kind:
    """Options that a named network supports; no ``activations`` where its own are fixed."""

    activations: tuple[str, ...]
    readouts: tuple[str, ...]
    gates: int = 0


_RECURRENT, _WHOLE = ("last", "all", "mean"), ("last", "all")  # an "all" of a whole-sequence network is L−1 outputs
KINDS = {
    "rnn": Kind(("relu", "tanh"), _RECURRENT, gates=1),
    "gru": Kind((), _RECURRENT, gates=3),
    "lstm": Kind((), _RECURRENT, gates=4),
    "mlp": Kind(("relu", "erf", "tanh"), _WHOLE),
    "cnn": Kind(("relu", "erf", "tanh"), _WHOLE),
}
NAMES = ("elman", *KINDS)


def check_network(network: str, settings: NetworkSettings) -> None:
    """Refuse settings that a named network does not have, unless they are left at their defaults."""
    if network == "elman":
        return
    kind, defaults = KINDS[network], type(settings)()
    for name in _absent(network):
        if getattr(settings, name) != getattr(defaults, name):
            came = f"{getattr(settings, name)!r} with network={network!r}"
            refuse(name, came, "nothing: this network does not have that setting", f"leave `{name}` out")
    if kind.activations:
        check_choice("activation", settings.activation, kind.activations)
    for readout in settings.readouts:
        check_choice("readouts", readout, kind.readouts)


def fitted(cell: AnyCell, network: str) -> AnyCell:
    """A cell without the settings that its network does not have."""
    changes: dict[str, Any] = dict.fromkeys(_absent(network))
    return replace(cell, **changes)


def _absent(network: str) -> tuple[str, ...]:
    """The others have one parametrization and train everything; some have their own activation."""
    if network == "elman":
        return ()
    return (
        ("parametrization", "trained") if KINDS[network].activations else ("parametrization", "trained", "activation")
    )
