"""The settings that comparisons of one Elman network over widths and seeds share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from comparisons import _tasks
from lab.costs import Cost, eigenvectors, linearized_step, recurrent_pass, tangent_kernel, training_step
from lab.errors import check_choice, check_integer, check_number, check_seed, refuse

RECORDED = 75  #: how many steps a descent records by itself, about


@dataclass(frozen=True)
class NetworkSettings:
    """Task, network and grid of a comparison.

    Parameters
    ----------
    task
        "digits", "separable", "templates", a set of the UCR/UEA archives such as "ItalyPowerDemand" (extra ``[data]``),
        or a file of your own: .npz, .csv, .tsv, .txt or .ts, in the layout of `lab.data.files.read`.
    samples
        Training samples, and as many test samples; None for the task's own number.
    readouts
        Which losses: "last" and "mean" have one output per sample, "all" is the paper's, over time steps 2…L.
    widths
        Widths m.
    seeds
        How many initializations at each width.
    data_seed
        Of the data, which are the same for all widths and seeds.
    critical_fraction
        c in η = 2c/λ_max.
    activation
        "relu", "erf", "tanh" or "softplus".
    parametrization
        "paper" (Allen-Zhu, Li, Song) or "ntk".
    trained
        Which of W, A, B gradient descent moves.
    dtype
        Precision of weights and outputs; eigen-solves are in float64 anyway.

    Raises
    ------
    LabError
        For each field that is out of range, by its name.
    """

    task: str = "digits"
    samples: int | None = None
    readouts: tuple[str, ...] = ("last", "all")
    widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    seeds: int = 5
    data_seed: int = 0
    critical_fraction: float = 0.5
    activation: str = "relu"
    parametrization: str = "paper"
    trained: tuple[str, ...] = ("W",)
    dtype: str = "float32"

    GRID: ClassVar[tuple[str, ...]] = ("widths", "seeds", "readouts")

    def __post_init__(self) -> None:
        _tasks.check_task(self.task, self.samples)
        check_integer("seeds", self.seeds, 1)
        check_seed("data_seed", self.data_seed)
        check_number("critical_fraction", self.critical_fraction, above=0)
        check_choice("dtype", self.dtype, ("float32", "float64"))
        check_choice("activation", self.activation, ("relu", "erf", "tanh", "softplus"))
        check_choice("parametrization", self.parametrization, ("paper", "ntk"))
        if self.activation == "softplus" and self.parametrization == "paper":
            fix = "use parametrization ntk"
            refuse("activation", "'softplus' with parametrization='paper'", "relu, erf or tanh there", fix)
        for width in self.widths:
            check_integer("widths", width, 1)
        _check_names("readouts", self.readouts, ("last", "all", "mean"))
        _check_names("trained", self.trained, ("W", "A", "B"))
        check_distinct("widths", self.widths)

    def cells(self) -> list[dict[str, Any]]:
        """One cell for every readout, width and seed: what varies first, then every other field."""
        fixed = {name: value for name, value in asdict(self).items() if name not in self.GRID}
        fixed["trained"] = list(self.trained)
        return [
            {"width": width, "seed": seed, "readout": readout, **fixed}
            for readout in self.readouts
            for width in self.widths
            for seed in range(self.seeds)
        ]


@dataclass(frozen=True)
class CentredSettings(NetworkSettings):
    """`NetworkSettings` for comparisons in which a run that first forgets its own f₀ would hide the question.

    Parameters
    ----------
    centred
        Whether outputs are f(θ) − f(θ₀): in the paper's initialization E f₀² = Σ_t ‖x_t‖², which is not small beside
        targets of size 1.
    """

    readouts: tuple[str, ...] = ("last",)
    centred: bool = True


def build(cell: dict[str, Any]) -> tuple[Any, Any]:
    """The task of a cell, and its network at initialization on torch's default device; centred if the cell says so."""
    import torch

    import lab

    task = _tasks.build(cell)
    task = task.at_every_step() if cell["readout"] == "all" else task
    choices = {name: cell[name] for name in ("readout", "activation", "parametrization", "trained", "seed")}
    precision = {"dtype": getattr(torch, cell["dtype"]), "device": torch.get_default_device()}
    network = lab.ElmanRNN.like(task, cell["width"], **choices, **precision)
    return task, lab.Scaled(network, 1.0) if cell.get("centred") else network


def check_paper(settings: NetworkSettings) -> None:
    """Refuse other networks than the paper's, with ReLU and W alone trained, for what the paper alone has theorems."""
    for name, value in {"activation": "relu", "parametrization": "paper", "trained": ("W",)}.items():
        if getattr(settings, name) != value:
            refuse(name, repr(getattr(settings, name)), f"{value!r}, as in the paper", f"leave {name} out")


def f0_share(result: Any) -> float:
    """‖f₀‖²/‖y − f₀‖² on the training set of three learners side by side: what there is to forget before learning."""
    start = result.linearized.train[0]
    residual = start - result.task.train_targets.flatten(1).numpy()
    return float((start**2).sum() / (residual**2).sum())


def training_cost(cell: Mapping[str, Any], steps: int, *, kernels: int, copies: int = 4) -> Cost:
    """Cost of training an Elman network and its linearization, recorded at RECORDED steps, and of some tangent kernels.

    Memory is ``copies`` arrays of the size of W, and the states and deltas of all samples.
    """
    task, width = _tasks.size(cell), cell["width"]
    outputs = task.length - 1 if cell["readout"] == "all" else 1
    sizes = (task.samples, task.length, width)
    reach = min(width, task.samples * (task.length - 1))  # coordinates of the linearized network's motion
    step = training_step(*sizes) + linearized_step(task.samples, task.length, reach)
    kernel = tangent_kernel(task.samples, task.test, outputs, task.length, width)
    item = 4 if cell["dtype"] == "float32" else 8
    deltas = (task.samples + task.test) * outputs * task.length * width
    work = steps * step + kernels * kernel + eigenvectors(task.samples * outputs)
    work += 1.5 * min(steps, RECORDED) * recurrent_pass(task.test, task.length, width)
    return work.holding(item * (copies * width**2 + 2 * deltas))


def _check_names(name: str, values: Sequence[str], options: Sequence[str]) -> None:
    for value in values:
        check_choice(name, value, options)
    check_distinct(name, values)


def check_distinct(name: str, values: Sequence[Any]) -> None:
    """Refuse an empty grid, and one that names a value twice."""
    if not values or len(set(values)) < len(values):
        refuse(name, str(values), "one or more different values", "name each value once")
