"""Gradient descent as all learners share it: settings, batches, recorded steps, divergence."""

from __future__ import annotations

import inspect
import itertools
import math
import operator
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.errors import check_choice, check_integer, check_number, check_seed, first_line, refuse
from lab.jacobians.jacobian import BackwardPass, Jacobian, Tangent
from lab.jacobians.work import Work
from lab.losses import LOSSES, Loss, LossFunction, Objective, as_loss
from lab.progress import bar
from lab.threads import limited

Update = Callable[[BackwardPass, Tensor], None]
Stop = Callable[[int, float], bool]
OptimizerFactory = Callable[[Iterable[Tensor]], torch.optim.Optimizer]

_EVERY_STEP_UNTIL = 10  # record="log" starts with each of these
_GEOMETRIC_POINTS = 64
_WHOLE = ("steps", "batch_size", "seed")
_REAL = ("critical_fraction", "learning_rate", "momentum")
_LOOK_EVERY = 32  # steps between two looks at the losses that a GPU holds: a look waits until it has done its work
_DIVERGENCE = 1e6  # times the larger of the first loss and ½Σy²


@dataclass(frozen=True)
class Descent:
    """How to descend on a loss, ½ Σ (f − y)² over samples and outputs if no other is named.

    Parameters
    ----------
    steps
        Number of steps; a step is one batch, its gradient a plain sum.
    critical_fraction
        c in η = c · 2(1 + momentum)/λ_max, λ_max being the largest eigenvalue of H₀^½ K₀ H₀^½: K₀ is the tangent kernel
        of the whole training set at initialization, H₀ the loss's curvature in the outputs there, the identity for the
        squared loss. 1 is the edge of stability of the linear model under full batches. ½ if neither rate is given.
    learning_rate
        η itself, instead of ``critical_fraction``.
    momentum
        Heavy ball as in torch.optim.SGD, in [0, 1).
    batch_size
        None for full batches; otherwise each epoch is a permutation cut into batches, the last one maybe smaller.
    seed
        Of the permutations.
    record
        "log": steps 0…10, 64 geometrically spaced ones, and the last. "all", or a tuple of steps.
    optimizer
        A factory ``parameters -> torch.optim.Optimizer`` for the network and the linearized model; it carries its own
        rates. The kernel learner has no closed form then and is left out.
    loss
        "squared"; "logistic" for targets ±1; "cross_entropy" for classes, with an output for each; "huber"; a
        `lab.losses.Loss`; or a function of outputs (n, …) and targets (n, …) that returns one loss for each sample,
        (n,), and is twice differentiable in the outputs. It is summed over samples, never averaged.

    Notes
    -----
    With another loss than the squared one the edge at c = 1 is a local one, at the start of descent. For cross-entropy
    at q equal logits H₀ = (1/q)(I − 11ᵀ/q). The curvature may first rise, for cross-entropy up to q/2-fold, and falls
    as the loss does. Beyond the edge the linear model need not diverge, since these losses have bounded gradients.

    Raises
    ------
    LabError
        Both rates, a rate that is not positive, steps below 1, momentum outside [0, 1), an optimizer beside rates or
        momentum, recorded steps outside 0…steps, an unknown loss.
    """

    steps: int
    critical_fraction: float | None = None
    learning_rate: float | None = None
    momentum: float = 0.0
    batch_size: int | None = None
    seed: int = 0
    record: str | tuple[int, ...] = "log"
    optimizer: OptimizerFactory | None = None
    loss: str | Loss | LossFunction = "squared"

    def __init__(
        self,
        steps: int,
        critical_fraction: float | None = None,
        *,
        learning_rate: float | None = None,
        momentum: float = 0.0,
        batch_size: int | None = None,
        seed: int = 0,
        record: str | tuple[int, ...] = "log",
        optimizer: OptimizerFactory | None = None,
        loss: str | Loss | LossFunction = "squared",
    ) -> None:
        if critical_fraction is None and learning_rate is None and optimizer is None:
            critical_fraction = 0.5
        if isinstance(record, (list, range, np.ndarray)):
            record = tuple(record)
        given = {
            "steps": steps,
            "critical_fraction": critical_fraction,
            "learning_rate": learning_rate,
            "momentum": momentum,
            "batch_size": batch_size,
            "seed": seed,
            "record": record,
            "optimizer": optimizer,
            "loss": loss,
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)
        self._check()
        self._take_plain_numbers()

    def recorded(self) -> np.ndarray:
        """The recorded steps, ascending integers (T,)."""
        if isinstance(self.record, tuple):
            return np.unique(self.record)
        if self.record == "all":
            return np.arange(self.steps + 1)
        early = np.arange(min(_EVERY_STEP_UNTIL, self.steps) + 1)
        late = np.geomspace(min(_EVERY_STEP_UNTIL, self.steps), self.steps, _GEOMETRIC_POINTS).round().astype(int)
        return np.union1d(early, late)

    @property
    def criterion(self) -> Loss:
        """The loss as an object."""
        return as_loss(self.loss)

    def rate(self, lambda_max: float) -> float | None:
        """η for this largest eigenvalue of H₀^½ K₀ H₀^½; None under an optimizer of torch.optim."""
        if self.critical_fraction is None:
            return self.learning_rate
        return self.critical_fraction * 2 * (1 + self.momentum) / lambda_max

    def batches(self, samples: int) -> Iterator[np.ndarray | None]:
        """Endless batches of sample indices; None stands for the full batch."""
        size = self.batch_size or samples
        if size >= samples:
            yield from itertools.repeat(None)
        generator = np.random.default_rng(self.seed)
        while True:
            order = generator.permutation(samples)
            yield from (order[start : start + size] for start in range(0, samples, size))

    def _check(self) -> None:
        as_loss(self.loss)
        check_integer("steps", self.steps, 1)
        check_seed("seed", self.seed)
        check_number("momentum", self.momentum, above=0, below=1, closed=True)
        for name in ("critical_fraction", "learning_rate"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), above=0)
        if self.batch_size is not None:
            check_integer("batch_size", self.batch_size, 1)
        self._check_rates()
        self._check_record()

    def _take_plain_numbers(self) -> None:
        """Numbers of NumPy and torch as Python's: a tensor would spread into what is computed from it."""
        for names, plain in ((_WHOLE, operator.index), (_REAL, float)):
            for name in names:
                if getattr(self, name) is not None:
                    object.__setattr__(self, name, plain(getattr(self, name)))
        if isinstance(self.record, tuple):
            object.__setattr__(self, "record", tuple(map(operator.index, self.record)))

    def _check_rates(self) -> None:
        if self.critical_fraction is not None and self.learning_rate is not None:
            came = f"{self.learning_rate!r} beside critical_fraction={self.critical_fraction!r}"
            refuse("learning_rate", came, "one of the two", "leave one of them out")
        if self.optimizer is not None and (
            isinstance(self.optimizer, torch.optim.Optimizer) or not callable(self.optimizer)
        ):
            fix = "pass optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-3)"
            refuse("optimizer", type(self.optimizer).__name__, "a function from parameters to an optimizer", fix)
        if self.optimizer is not None and (self.rate(1.0) is not None or self.momentum):
            refuse(
                "optimizer", "an optimizer beside a rate or momentum", "one or the other", "set rates in the factory"
            )

    def _check_record(self) -> None:
        if isinstance(self.record, str):
            check_choice("record", self.record, ("log", "all"))
            return
        fix = "pass a tuple of integers such as (0, 10, 100)"
        if not isinstance(self.record, tuple) or not self.record:
            refuse("record", self.record, '"log", "all" or a non-empty tuple of steps', fix)
        for step in self.record:
            check_integer("record", step, 0)
            if step > self.steps:
                refuse("record", step, f"steps from 0 to {self.steps}", fix)


def check_descent(descent: object) -> None:
    """Refuse what is no `Descent`."""
    if not isinstance(descent, Descent):
        refuse("descent", repr(descent), "a lab.Descent", "write lab.Descent(steps=300)")


def check_optimizer(descent: Descent, parameters: Mapping[str, Tensor]) -> None:
    """Refuse an optimizer that cannot descend with these parameters; without one there is nothing to refuse."""
    if descent.optimizer is not None:
        _optimizer(parameters, descent.optimizer)


@dataclass(frozen=True)
class Divergence:
    """The rule by which a learner has diverged: a loss that is not finite, or above the limit."""

    limit: float

    @classmethod
    def from_start(cls, first_loss: float, floor: float) -> Divergence:
        """Limit 1e6 · max(first loss, floor), the floor being ½Σy² for the squared loss and 0 for others."""
        return cls(_DIVERGENCE * max(first_loss, floor))

    def reached(self, loss: float) -> bool:
        """Whether this training loss counts as diverged."""
        return not (math.isfinite(loss) and loss <= self.limit)


class Model(Protocol):
    """What descends: a network, or its linearization."""

    def evaluate(self, batch: Tensor | None) -> tuple[Tensor, Jacobian]:
        """Outputs (b, o) and Jacobian at today's weights, on the given samples or on all."""
        ...

    def step(self, batch: Tensor | None) -> tuple[Tensor, BackwardPass]:
        """The same for a step whose Jacobian is not read: the same numbers, good until the next call."""
        ...

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        """What a step writes to."""
        ...

    @property
    def replayable(self) -> bool:
        """Whether a full-batch step is always the same operations on the same tensors, and reads no number."""
        ...


@dataclass
class _Losses:
    """Training losses since the last look, on the device that computed them."""

    floor: float
    rule: Divergence | None = None
    last: float = math.nan
    _steps: list[int] = field(default_factory=list)
    _values: list[Tensor] = field(default_factory=list)

    def add(self, step: int, loss: Tensor) -> bool:
        """Take the loss of a step, shape (); returns whether it is time to look."""
        self._steps.append(step)
        self._values.append(loss)
        return self.rule is None or len(self._steps) >= _steps_between_looks(loss.device)

    def look(self) -> int | None:
        """The first step since the last look at which the descent had diverged."""
        values = torch.stack(self._values).tolist()
        self.rule, self.last = self.rule or Divergence.from_start(values[0], self.floor), values[-1]
        pairs = zip(self._steps, values, strict=True)
        diverged_at = next((step for step, loss in pairs if self.rule.reached(loss)), None)
        self._steps, self._values = [], []
        return diverged_at


def _steps_between_looks(device: torch.device) -> int:
    return 1 if device.type == "cpu" else _LOOK_EVERY


@dataclass(frozen=True)
class Visit:
    """A recorded step: outputs (n, o), Jacobian and loss on the whole training set, before the step is taken."""

    step: int
    outputs: Tensor
    jacobian: Jacobian
    loss: float


@dataclass
class Visits(Iterator[Visit]):
    """The recorded steps of one descent; once exhausted, ``diverged_at`` says where it diverged, if it did."""

    steps: Generator[Visit, None, int | None]
    flops: float  # of one product: they say how many threads a step is worth
    diverged_at: int | None = field(default=None, init=False)

    def __next__(self) -> Visit:
        try:
            with limited(self.flops):
                return next(self.steps)
        except StopIteration as stop:
            self.diverged_at = self.diverged_at if stop.value is None else stop.value
            raise


def follow(
    model: Model,
    objective: Objective,
    descent: Descent,
    learning_rate: float | None,
    what: str = "descent",
    stop: Stop | None = None,
) -> Visits:
    """Descend and visit the recorded steps, under a progress bar with the name ``what`` where it takes long.

    The loss of the whole set counts in every step of full-batch descent; with smaller batches, the batch loss in every
    step and the whole loss at recorded ones. On a GPU losses are looked at together, at recorded steps and whenever
    there are 32 of them: weights that diverged have then gone up to 32 steps further. Between records it replays one
    step from a CUDA graph if the model is replayable, since narrow networks would wait for Python. The objective is in
    the outputs' precision. With ``stop`` nothing is visited: the descent ends at the first recorded step at which it is
    true of the step and its loss. Steps run on as many threads as their products are worth, never on more than torch is
    set to (`lab.threads`).
    """
    steps = _follow(model, objective, descent, _update(model.parameters, descent, learning_rate), what, stop)
    return Visits(steps, _product_flops(model))


@torch.no_grad()
def _product_flops(model: Model) -> float:
    """Mean flops of one matrix product when the model is evaluated; not counted where there is but one thread."""
    if torch.get_num_threads() == 1:
        return 0.0
    with Work() as work:
        model.evaluate(None)
    return float(work.flops / max(work.products, 1))


@torch.no_grad()
def _follow(
    model: Model, objective: Objective, descent: Descent, update: Update, what: str, stop: Stop | None
) -> Generator[Visit, None, int | None]:
    steps, losses, replay = set(descent.recorded().tolist()), _Losses(objective.floor), None
    last, replayable, brief = max(steps), _is_replayable(model, objective, descent), _brief(model, objective)
    with bar(last, what, "step") as counter:
        for step, batch in enumerate(descent.batches(len(objective))):
            is_recorded, diverged_at = step in steps, None
            if replayable and losses.rule is not None and not is_recorded:
                replay = replay or _graph_of(model, objective, update)
                if losses.add(step, replay()) and (diverged_at := losses.look()) is not None:
                    return diverged_at
                counter.update()
                continue
            if losses.rule is None or batch is None or is_recorded:
                outputs, backward = brief(None) if stop or not is_recorded else model.evaluate(None)
                loss, gradient = objective.on_device(outputs)
                if losses.add(step, loss) or is_recorded:
                    diverged_at = losses.look()
                if is_recorded and diverged_at in (None, step):
                    if stop is None:
                        yield Visit(step, outputs, cast(Jacobian, backward), losses.last)
                    elif stop(step, losses.last):
                        return None
                if diverged_at is not None or step == last:
                    return diverged_at
            if batch is not None:
                chosen = torch.from_numpy(batch).to(outputs.device, non_blocking=True)
                outputs, backward = brief(chosen)
                loss, gradient = objective.on_device(outputs, chosen)
                if losses.add(step, loss) and (diverged_at := losses.look()) is not None:
                    return diverged_at
            update(backward, gradient)
            counter.update()
    return None


def _brief(model: Model, objective: Objective) -> Callable[[Tensor | None], tuple[Tensor, BackwardPass]]:
    """How the model is evaluated where its Jacobian is not read; on a GPU graphs serve that end."""
    return model.evaluate if objective.targets.is_cuda else model.step


def _is_replayable(model: Model, objective: Objective, descent: Descent) -> bool:
    """Whether full-batch steps can be replayed: on a GPU, without code of the user in them."""
    whole = descent.batch_size is None or descent.batch_size >= len(objective)
    known = any(type(objective.loss) is type(loss) for loss in LOSSES.values()) and descent.optimizer is None
    return whole and known and model.replayable and objective.targets.is_cuda


def _graph_of(model: Model, objective: Objective, update: Update) -> Callable[[], Tensor]:
    """A full-batch step as a CUDA graph: a call takes the step and returns the loss before it, shape ()."""
    device = objective.targets.device
    graph, usual = torch.cuda.CUDAGraph(), torch.cuda.current_stream(device)
    own = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    own.wait_stream(usual)
    with torch.cuda.stream(own):
        graph.capture_begin(capture_error_mode="thread_local")
        outputs, jacobian = model.evaluate(None)
        loss, gradient = objective.on_device(outputs)
        update(jacobian, gradient)
        graph.capture_end()
    usual.wait_stream(own)

    def replay() -> Tensor:
        with torch.cuda.device(device):
            graph.replay()
        for parameter in model.parameters.values():  # torch does not count what a graph writes
            torch.autograd.graph.increment_version(parameter)
        return loss.clone()

    return replay


def _update(parameters: Mapping[str, Tensor], descent: Descent, learning_rate: float | None) -> Update:
    """How one step moves the parameters, given the Jacobian and the gradient in the outputs."""
    if descent.optimizer is not None:
        return _torch_update(parameters, _optimizer(parameters, descent.optimizer))
    assert learning_rate is not None
    if descent.momentum:
        return _heavy_ball(parameters, learning_rate, descent.momentum)
    return lambda jacobian, gradient: jacobian.add_pull(parameters, gradient, -learning_rate)


def _heavy_ball(parameters: Mapping[str, Tensor], learning_rate: float, momentum: float) -> Update:
    buffers: Tangent = {name: torch.zeros_like(value) for name, value in parameters.items()}

    def update(jacobian: BackwardPass, gradient: Tensor) -> None:
        for buffer in buffers.values():
            buffer.mul_(momentum)
        jacobian.add_pull(buffers, gradient, 1.0)
        for name, value in parameters.items():
            value.add_(buffers[name], alpha=-learning_rate)

    return update


def _optimizer(parameters: Mapping[str, Tensor], factory: OptimizerFactory) -> torch.optim.Optimizer:
    """What the factory makes of the parameters; refused unless it steps on dense gradients alone."""
    fix = "use one that takes a gradient and steps, such as lambda parameters: torch.optim.Adam(parameters, lr=1e-3)"
    try:
        optimizer = factory(list(parameters.values()))
    except (TypeError, ValueError) as error:
        refuse("optimizer", f"a factory that fails ({first_line(error)})", "one optimizer for a list", fix)
    if not isinstance(optimizer, torch.optim.Optimizer):
        refuse("optimizer", f"a factory of {type(optimizer).__name__}", "a factory of a torch.optim.Optimizer", fix)
    reason = "evaluates the loss itself" if _wants_a_closure(optimizer) else "needs sparse gradients"
    if _wants_a_closure(optimizer) or isinstance(optimizer, torch.optim.SparseAdam):
        refuse("optimizer", f"{type(optimizer).__name__}, which {reason}", "a first-order optimizer", fix)
    return optimizer


def _wants_a_closure(optimizer: torch.optim.Optimizer) -> bool:
    """Whether a step cannot be taken from the gradient alone, as in torch.optim.LBFGS."""
    arguments = inspect.signature(optimizer.step).parameters.values()
    return any(each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD for each in arguments)


def _torch_update(parameters: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> Update:

    def update(jacobian: BackwardPass, gradient: Tensor) -> None:
        for name, pulled in jacobian.pull(gradient).items():
            parameters[name].grad = pulled
        optimizer.step()

    return update


def plain(values: Tensor) -> NDArray[np.float64]:
    """A tensor as a NumPy float64 array on the CPU: what leaves a learner."""
    return np.asarray(values.detach().to("cpu", torch.float64))
