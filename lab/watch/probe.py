"""What is measured on the probes: at one point of the path, and between two."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lab.arrays import as_tensor, check_data
from lab.errors import LabError, refuse
from lab.jacobians.jacobian import Tangent
from lab.kernels.sharpness import sharpness
from lab.losses import Custom, Loss, Objective
from lab.measures import evolution
from lab.measures.kernels import relative_error
from lab.measures.motion import norm
from lab.watch.twin import Twin

Row = dict[str, float | None]

_ABOVE_NOISE = 10.0  # times the noise of the outputs: a smaller change of them is none


class Nonlinearity(NamedTuple):
    """‖f_t − f_b − J_b(θ_t − θ_b)‖/‖f_t − f_b‖, NaN for a change within the noise; its denominator; and f_b (n, o)."""

    ratio: float
    change: float
    base: Tensor


@dataclass(frozen=True, eq=False)
class Probe:
    """The twin of a network, and what its outputs should be.

    Attributes
    ----------
    twin
        The copy on which everything is measured.
    targets
        Probe targets (n, …) as they came, in float64; None without.
    aim
        The loss on the probes; None without targets.
    """

    twin: Twin
    targets: Tensor | None
    aim: Objective | None

    @classmethod
    def of(cls, twin: Twin, targets: Any, loss: Loss) -> Probe:
        """Check the targets against the twin's outputs; raises `LabError` for what the loss does not take."""
        if targets is None:
            return cls(twin, None, None)
        outputs = twin.outputs()
        values = check_data("probe_targets", as_tensor("probe_targets", targets)).detach().to("cpu", torch.float64)
        values = values[:, None] if values.ndim == 1 else values
        if len(values) != len(outputs):
            came = f"{len(values)} targets for {len(outputs)} probes"
            refuse("probe_targets", came, "one target for each probe", "put samples on the first axis of both")
        shape = tuple(outputs.shape[1:])
        if loss.shaped_as_outputs and tuple(values.shape[1:]) != shape:
            came = f"targets of shape {tuple(values.shape[1:])} per sample for outputs of shape {shape}"
            refuse("probe_targets", came, str(shape), "for class indices pass loss='cross_entropy'")
        encoded = loss.encode(values, shape, "probe_targets").to(outputs)
        if isinstance(loss, Custom):
            loss.check(outputs[:2], encoded[:2])
        return cls(twin, values, Objective(loss, encoded, shape))

    def nonlinearity(self, outputs: Tensor, today: Tangent, base: Tangent, noise: float) -> Nonlinearity:
        """Today's outputs (n, o) beside those of the linear model around a base point, where the twin is then."""
        self.twin.put(base)
        jacobian = self.twin.jacobian()
        along = self.twin.push(jacobian, {name: today[name] - base[name] for name in base})
        before = jacobian.outputs.double()
        size = float((outputs - before).norm())
        rest = float((outputs - before - along.double()).norm())
        return Nonlinearity(rest / size if size > _ABOVE_NOISE * noise else math.nan, size, before)

    @torch.no_grad()
    def outputs(self) -> Tensor:
        """Outputs (n, o) at what the twin holds, projected where they are many, in float64."""
        return self.twin.network(self.twin.inputs).flatten(1).double()

    def alone(self, kernel: Tensor, outputs: Tensor, rate: float | None) -> Row:
        """Columns that one point of the path has, where the twin is: of its kernel, and of the probe loss.

        ``outputs`` (n, o) are projected, and replaced by all of them, where there are many.
        """
        projected = self.twin.is_projected
        found: Row = {"effective_rank": evolution.effective_rank(kernel)}
        found["alignment"] = None if self.targets is None else evolution.alignment(kernel, self.targets)
        outputs = (self.twin.outputs() if projected else outputs).flatten(1)
        found["probe_loss"] = None if self.aim is None else self.aim(outputs.to(self.aim.targets))[0] / len(self.aim)
        found["lambda_max"] = None if projected else self._lambda_max(kernel, outputs)
        top = found["lambda_max"]
        found["critical_fraction"] = None if rate is None or top is None else rate * top / (2 * len(outputs))
        return found

    def _lambda_max(self, kernel: Tensor, outputs: Tensor) -> float | None:
        """λ_max of H^½ K H^½ with the curvature H at these outputs, that of K without targets; None without an edge."""
        try:
            return sharpness(kernel, None if self.aim is None else self.aim.curvature(outputs.to(self.aim.targets)))
        except LabError:
            return None

    def noise(self, kernel: Tensor) -> dict[str, float]:
        """What differs when the probes are evaluated in the opposite order, by column; ``outputs`` is ‖f − f′‖."""
        twin, outputs = self.twin, self.outputs()
        backwards = Twin(twin.original, twin.network, twin.inputs.flip(0), twin.prefix)
        again = backwards.network(backwards.inputs).flatten(1).double().flip(0)
        other = backwards.jacobian().gram().flip(0, 2)
        precision = torch.finfo(kernel.dtype).eps
        return {
            "outputs": max(float((again.detach() - outputs).norm()), precision * float(outputs.norm())),
            "kernel_distance": abs(evolution.cosine_distance(other.double(), kernel.double())),
            "kernel_angle": evolution.angle(other, kernel),
            "kernel_drift": relative_error(other, kernel),
            "effective_rank": abs(evolution.effective_rank(other) - evolution.effective_rank(kernel)),
        }


def weights(today: Tangent, first: Tangent) -> tuple[Row, dict[str, float]]:
    """Motion of all weights together, and relative motion of each parameter by name."""
    moved = {name: today[name] - first[name] for name in first}
    length, size = norm(moved), norm(first)
    each = {name: ratio(norm({name: moved[name]}), norm({name: first[name]})) for name in first}
    return {"weight_motion": length, "relative_weight_motion": ratio(length, size)}, each


def kernels(kernel: Tensor, first: Tensor, last: Tensor, steps: float) -> Row:
    """How the kernel differs from the first one, and how fast it turns."""
    return {
        "kernel_distance": evolution.cosine_distance(kernel.double(), first.double()),
        "kernel_velocity": evolution.velocity(kernel, last, steps),
        "kernel_norm_ratio": evolution.norm_ratio(kernel, first),
        "kernel_drift": relative_error(kernel, first),
    }


def ratio(one: float, other: float) -> float:
    """A quotient; NaN for 0/0, inf for other numbers over 0."""
    return one / other if other else math.nan if one == 0 else math.inf


def mean(values: Mapping[str, float]) -> float | None:
    """Mean of some numbers; None without any."""
    return float(np.mean(list(values.values()))) if values else None
