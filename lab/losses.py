"""Losses as functions of a network's outputs: value, gradient and curvature, and which targets they take.

Every loss is a sum over samples. `Objective` is a loss on one training set, as a descent sees it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from lab.errors import LabError, check_choice, check_number, first_line, refuse

LossFunction = Callable[[Tensor, Tensor], Tensor]
Shape = tuple[int, ...]

_SUM = 1e-6  # by which probabilities may miss a sum of 1
_MIXED = 1e-5  # relative difference between a sample's loss alone and beside others that is rounding
_INDICES = "pass class indices from 0, one-hot rows, or one column of ±1 per class (lab.tasks.class_targets)"


class Loss(ABC):
    """A loss ℓ(f, y) of the outputs of one sample; a descent takes its sum over samples.

    ``outputs`` are (n, *shape) in all methods, and ``targets`` (n, …) as `encode` returns them.

    Attributes
    ----------
    name
        How summaries and figures call it.
    in_output_units
        Whether targets are values that outputs should take, so that their spread is a unit for differences of outputs.
    shaped_as_outputs
        Whether targets have the shape of the outputs.
    """

    name: ClassVar[str]
    in_output_units: ClassVar[bool] = False
    shaped_as_outputs: ClassVar[bool] = True

    @abstractmethod
    def value(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """ℓ of each sample, (n,)."""

    @abstractmethod
    def gradient(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """∂ℓ/∂f, shaped like the outputs."""

    @abstractmethod
    def curvature(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """H = ∂²ℓ/∂f², (n, o, o) with o outputs per sample, flattened; None stands for the identity."""

    def total(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Σ ℓ over the samples, shape (), and ∂ℓ/∂f."""
        return self.value(outputs, targets).sum(), self.gradient(outputs, targets)

    def encode(self, targets: Tensor, shape: Shape, name: str = "train_targets") -> Tensor:
        """Targets (n, …) as this loss takes them for outputs of this shape per sample.

        Raises
        ------
        LabError
            Targets of another shape, or values that mean nothing to this loss; ``name`` is what it calls them.
        """
        return targets

    def centred(self, outputs: Tensor, classes: int) -> Tensor:
        """Outputs (…, o) without what the loss does not depend on; ``classes`` is the last axis of a sample's shape."""
        return outputs

    def are_classes(self, targets: Tensor) -> bool:
        """Whether targets (n, *shape) stand for classes: ±1 by sign, or ±1 in columns with one +1 in each row."""
        above = targets > 0
        if not bool((targets.abs() == 1).all()) or bool(above.all()) or not bool(above.any()):
            return False
        return targets.shape[-1] == 1 or bool((above.sum(-1) == 1).all())

    def floor(self, targets: Tensor) -> float:
        """The loss below which no divergence is declared, beside the first one (see `lab.Descent`)."""
        return 0.0


@dataclass(frozen=True)
class Squared(Loss):
    """½ Σ (f − y)² over outputs: the loss of the theory, and the default."""

    name = "squared"
    in_output_units = True

    def value(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """½ Σ (f − y)², (n,)."""
        return 0.5 * (outputs - targets).flatten(1).square().sum(1)

    def gradient(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The residual f − y."""
        return outputs - targets

    def curvature(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """The identity."""
        return None

    def total(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """½ Σ (f − y)² over all samples, shape (), and the residual."""
        residual = outputs - targets
        return half_square(residual), residual

    def floor(self, targets: Tensor) -> float:
        """½ Σ y²."""
        return 0.5 * float((targets**2).sum())


@dataclass(frozen=True)
class Huber(Loss):
    """Huber's loss: ½ r² of a residual r = f − y up to |r| = δ, and δ(|r| − δ/2) beyond.

    Parameters
    ----------
    delta
        δ > 0, in units of the targets.

    Notes
    -----
    Its curvature is 1 or 0. `curvature` returns the identity, which bounds it: critical rates are those of the squared
    loss.
    """

    delta: float = 1.0

    name = "huber"
    in_output_units = True

    def __post_init__(self) -> None:
        check_number("delta", self.delta, above=0)

    def value(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Σ over outputs, (n,)."""
        each = functional.huber_loss(outputs, targets, reduction="none", delta=self.delta)
        return each.flatten(1).sum(1)

    def gradient(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The residual, cut off at ±δ."""
        return (outputs - targets).clamp(-self.delta, self.delta)

    def curvature(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """The identity, which bounds it."""
        return None


@dataclass(frozen=True)
class Logistic(Loss):
    """Σ log(1 + exp(−y f)) over outputs with y = ±1: each output decides between two classes by its sign.

    Targets are ±1, or 0 and 1, in the shape of the outputs.
    """

    name = "logistic"

    def value(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Σ log(1 + exp(−y f)) over outputs, (n,)."""
        return functional.softplus(-targets * outputs).flatten(1).sum(1)

    def gradient(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """−y σ(−y f), with σ the logistic function."""
        return -targets * torch.sigmoid(-targets * outputs)

    def curvature(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Diagonal: σ(f)(1 − σ(f)), ¼ at f = 0 and less elsewhere."""
        return torch.diag_embed((torch.sigmoid(outputs) * torch.sigmoid(-outputs)).flatten(1))

    def encode(self, targets: Tensor, shape: Shape, name: str = "train_targets") -> Tensor:
        """Targets ±1 from ±1 or 0 and 1."""
        bits = bool(((targets == 0) | (targets == 1)).all())
        if not bits and not bool((targets.abs() == 1).all()):
            fix = "pass −1 and 1, or 0 and 1; for more classes use loss='cross_entropy' with an output for each"
            refuse(name, f"values such as {_odd(targets, (-1, 1)):g}", "±1 for loss='logistic'", fix)
        return 2 * targets - 1 if bits else targets


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """−Σ y_k log softmax(f)_k over classes k, the last axis of the outputs; summed over time steps where there are any.

    Targets are class indices (n,) or (n, 1), one-hot rows or other probabilities (n, q), or a column of ±1 for each
    class; with two outputs, also one column of ±1, where 1 means the second class.
    """

    name = "cross_entropy"
    shaped_as_outputs = False

    def value(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """−Σ y log softmax(f), (n,)."""
        return -(targets * outputs.log_softmax(-1)).flatten(1).sum(1)

    def gradient(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """softmax(f) − y."""
        return outputs.softmax(-1) - targets

    def curvature(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """diag(p) − p pᵀ with p = softmax(f), a block for each time step; (1/q)(I − 11ᵀ/q) at equal logits."""
        p = outputs.softmax(-1)
        between = p[..., :, None] * p[..., None, :]
        between.diagonal(dim1=-2, dim2=-1).zero_()
        blocks = torch.diag_embed(between.sum(-1)) - between  # p − p² would cancel where the softmax is saturated
        n, q = len(p), p.shape[-1]
        blocks = blocks.reshape(n, -1, q, q)
        steps = blocks.shape[1]
        whole = blocks.new_zeros(n, steps, q, steps, q)
        places = torch.arange(steps, device=blocks.device)
        whole[:, places, :, places] = blocks.transpose(0, 1)
        return whole.reshape(n, steps * q, steps * q)

    def encode(self, targets: Tensor, shape: Shape, name: str = "train_targets") -> Tensor:
        """Probabilities (n, *shape) from class indices, one-hot rows, or signs."""
        if not shape or shape[-1] < 2:
            came = "'cross_entropy' for a network of one output"
            refuse("loss", came, "two or more outputs, one for each class", "use loss='logistic', or more outputs")
        if targets.shape[1:] == shape:
            return _probabilities(targets, name)
        if targets.shape[1:] not in (shape[:-1], (*shape[:-1], 1)):
            came = f"targets of shape {tuple(targets.shape[1:])} per sample for outputs of shape {shape}"
            refuse(name, came, f"one class for each sample, or {shape}", _INDICES)
        return functional.one_hot(_indices(targets, shape, name), shape[-1]).to(targets)

    def centred(self, outputs: Tensor, classes: int) -> Tensor:
        """Logits minus their mean over classes."""
        logits = outputs.reshape(*outputs.shape[:-1], -1, classes)
        centred: Tensor = (logits - logits.mean(-1, keepdim=True)).flatten(-2)
        return centred

    def are_classes(self, targets: Tensor) -> bool:
        """They are, the most probable one of each row."""
        return True


@dataclass(frozen=True)
class Custom(Loss):
    """A loss of the user's own; its gradient and curvature are those of autograd.

    Parameters
    ----------
    function
        (outputs (n, *shape), targets (n, …)) -> losses (n,), one for each sample, twice differentiable in the outputs.
        Targets come as the task has them, in the network's floating type.
    """

    function: LossFunction
    shaped_as_outputs = False

    @property
    def name(self) -> str:  # type: ignore[override]
        """The name of the function."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def value(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What the function returns, (n,)."""
        return self.function(outputs, targets)

    def gradient(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """By one backward pass."""
        with torch.enable_grad():
            leaf = outputs.detach().requires_grad_()
            (found,) = torch.autograd.grad(self.value(leaf, targets).sum(), leaf)
        return found

    def curvature(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """By one backward pass through the gradient for each output."""
        n, rows = len(outputs), []
        with torch.enable_grad():
            leaf = outputs.detach().requires_grad_()
            (first,) = torch.autograd.grad(self.value(leaf, targets).sum(), leaf, create_graph=True)
            for column in first.reshape(n, -1).T:
                second = None
                if column.requires_grad:
                    (second,) = torch.autograd.grad(column.sum(), leaf, retain_graph=True, allow_unused=True)
                rows.append(torch.zeros_like(leaf) if second is None else second)
        return torch.stack([row.detach().reshape(n, -1) for row in rows], 1)

    def encode(self, targets: Tensor, shape: Shape, name: str = "train_targets") -> Tensor:
        """The targets as they are."""
        return targets

    def check(self, outputs: Tensor, targets: Tensor) -> None:
        """Refuse a function that fails, returns another shape, mixes samples, or cannot be differentiated."""
        allowed = "a function (outputs, targets) -> losses (n,), one for each sample, differentiable in the outputs"
        fix = "sum over outputs but not over samples, as in lambda f, y: (f - y).abs().pow(3).sum(1)"
        came = f"{self.name}, called with shapes {tuple(outputs.shape)} and {tuple(targets.shape)}"
        try:
            values = self.value(outputs, targets)
            gradient = self.gradient(outputs, targets)
        except LabError:
            raise
        except Exception as error:
            refuse("loss", f"{came}, which fails ({first_line(error)})", allowed, fix)
        if not isinstance(values, Tensor) or values.shape != outputs.shape[:1]:
            shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
            refuse("loss", f"{came}, which returns {shape}", allowed, fix)
        if not bool(torch.isfinite(values).all() and torch.isfinite(gradient).all()):
            refuse("loss", f"{came}, whose value or gradient is not finite", allowed, fix)
        alone = self.value(outputs[:1], targets[:1])[0]
        if bool((alone - values[0]).abs() > _MIXED * max(1.0, float(values[0].abs()))):
            refuse("loss", f"{came}, whose value for a sample depends on other samples", allowed, fix)


LOSSES: dict[str, Loss] = {each.name: each for each in (Squared(), Logistic(), CrossEntropy(), Huber())}


def as_loss(loss: object) -> Loss:
    """A loss from its name, from a function of outputs and targets, or from itself.

    Raises
    ------
    LabError
        Another name, or what is no function.
    """
    if isinstance(loss, Loss):
        return loss
    if callable(loss) and not isinstance(loss, type):
        return Custom(loss)
    if not isinstance(loss, str):
        fix = f"pass one of {', '.join(LOSSES)}, or an object such as lab.losses.Huber(0.5)"
        refuse("loss", repr(loss), "a name, a lab.losses.Loss or a function of outputs and targets", fix)
    check_choice("loss", loss, LOSSES)
    return LOSSES[loss]


@dataclass(frozen=True, eq=False)
class Objective:
    """A loss on one set of samples, in outputs that are flattened per sample.

    Attributes
    ----------
    loss
        Its kind.
    targets
        As the loss takes them, samples first.
    shape
        Of the outputs of one sample; o is their number.
    """

    loss: Loss
    targets: Tensor
    shape: Shape

    @classmethod
    def squared(cls, targets: Tensor) -> Objective:
        """½ Σ (f − y)² for targets (n, o)."""
        return cls(LOSSES["squared"], targets, tuple(targets.shape[1:]))

    def __len__(self) -> int:
        return len(self.targets)

    def __call__(self, outputs: Tensor, samples: Tensor | None = None) -> tuple[float, Tensor]:
        """Σ ℓ and ∂ℓ/∂f of outputs (b, o), on all samples or on those with these indices."""
        total, gradient = self.on_device(outputs, samples)
        return float(total), gradient

    def on_device(self, outputs: Tensor, samples: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The same with Σ ℓ as a tensor of shape (), for which the host need not wait."""
        targets = self.targets if samples is None else self.targets[samples]
        if len(self.shape) == 1:
            return self.loss.total(outputs, targets)
        total, gradient = self.loss.total(outputs.reshape(-1, *self.shape), targets)
        return total, gradient.reshape(outputs.shape)

    def to(self, like: Tensor) -> Objective:
        """The same in another precision, or on another device."""
        return Objective(self.loss, self.targets.to(like), self.shape)

    def curvature(self, outputs: Tensor) -> Tensor | None:
        """H (n, o, o) at outputs (n, o); None stands for the identity."""
        return self.loss.curvature(outputs.reshape(-1, *self.shape), self.targets)

    def centred(self, outputs: Tensor) -> Tensor:
        """Outputs (…, o) without what the loss does not depend on: logits minus their mean over classes."""
        return self.loss.centred(outputs, self.shape[-1] if self.shape else 1)

    @property
    def floor(self) -> float:
        """The loss below which no divergence is declared, beside the first one."""
        return self.loss.floor(self.targets)


def half_square(residual: Tensor) -> Tensor:
    """½ Σ r², shape ()."""
    flat = residual.flatten()
    return 0.5 * torch.dot(flat, flat)


def _probabilities(targets: Tensor, name: str) -> Tensor:
    """Rows that sum to 1, from such rows or from signs with one + in each."""
    if bool((targets.abs() == 1).all()) and bool((targets < 0).any()):
        if bool(((targets > 0).sum(-1) == 1).all()):
            return (targets + 1) / 2
        wrong = int(((targets > 0).sum(-1) != 1).sum())
        refuse(name, f"{wrong} rows of ±1 without exactly one +1", "one class for each sample", _INDICES)
    off = (targets.sum(-1) - 1).abs()
    if bool((targets < 0).any()) or float(off.max()) > _SUM:
        sums = targets.sum(-1).flatten()[off.flatten().argmax()]
        came = f"rows that are no probabilities (one sums to {float(sums):g}, the least entry is {targets.min():g})"
        refuse(name, came, "entries ≥ 0 that sum to 1 in each row", _INDICES)
    return targets


def _indices(targets: Tensor, shape: Shape, name: str) -> Tensor:
    """Class indices (n, *shape[:-1]) from indices, or from ±1 for two classes."""
    values, classes = targets.reshape(len(targets), *shape[:-1]), shape[-1]
    if classes == 2 and bool((values.abs() == 1).all()):
        return (values > 0).long()
    if bool((values != values.round()).any()) or float(values.min()) < 0 or float(values.max()) >= classes:
        allowed = f"class indices from 0 to {classes - 1} for {classes} outputs"
        if bool((values.abs() == 1).all()):
            refuse(name, f"±1 for a network of {classes} outputs", allowed, _INDICES)
        refuse(name, f"{_odd(values, range(classes)):g} among class indices", allowed, _INDICES)
    return values.long()


def _odd(values: Tensor, allowed: range | tuple[int, ...]) -> float:
    """One of the values that is none of those allowed."""
    known = torch.isin(values, torch.tensor(list(allowed), dtype=values.dtype, device=values.device))
    return float(values[~known][0])
