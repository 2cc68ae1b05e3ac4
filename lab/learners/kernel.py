"""The kernel regressor: the linear model's whole training from one Gram matrix."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.arrays import as_tensor, check_data
from lab.errors import refuse
from lab.jacobians.dual import DualJacobian
from lab.kernels.spectrum import Spectrum
from lab.learners.descent import Descent, Divergence
from lab.learners.linearized import LinearizedNetwork, train_linearized
from lab.learners.network import flat_targets
from lab.learners.trajectory import Trajectory
from lab.networks.network import Network
from lab.tasks.task import Task

Array = NDArray[np.float64]

_SCAN = 1024  # steps whose loss is computed at once in search of a divergence


class KernelRegressor:
    """Kernel regression from f₀, in closed form for every step of descent, for gradient flow, ridge and t → ∞.

    Gradient descent: f_t = y + (I − ηK)^t (f₀ − y) on the training set, f_t(x) = f₀(x) + K(x, X) c_t elsewhere, where
    c_t = K⁻¹ (I − (I − ηK)^t)(y − f₀), exact in discrete steps. Momentum: a two-term recursion for each eigenvalue.
    Mini-batches: the recursion of c itself, on the same batches as the other learners. All of it in float64.

    Parameters
    ----------
    kernel
        Training kernel, shape (n, o, n, o).
    outputs, targets
        f₀ and y on the training set, shape (n, o).
    test_kernel, test_outputs
        Kernel (n', o, n, o) between test and training samples, and f₀ (n', o); both or neither.
    spectrum
        Of ``kernel``, where it is at hand already.

    Raises
    ------
    LabError
        A kernel that is not finite, zero, or indefinite (see `lab.kernels.spectrum`), shapes that do not fit, or only
        half of a test split.

    References
    ----------
    Jacot, Gabriel, Hongler 2018, section 5; Lee et al. 2019, section 2.2 (there for gradient flow).
    """

    def __init__(
        self,
        kernel: Tensor,
        outputs: Tensor,
        targets: Tensor,
        test_kernel: Tensor | None = None,
        test_outputs: Tensor | None = None,
        *,
        spectrum: Spectrum | None = None,
    ) -> None:
        if (test_kernel is None) != (test_outputs is None):
            refuse("test_kernel", "only one of test_kernel and test_outputs", "both or neither", "pass both")
        self.spectrum = spectrum or Spectrum(kernel)
        self.kernel, self.outputs = _double("kernel", kernel), _double("outputs", outputs)
        self.targets = _double("targets", targets)
        self.test_kernel = None if test_kernel is None else _double("test_kernel", test_kernel)
        self.test_outputs = None if test_outputs is None else _double("test_outputs", test_outputs)
        self._check_shapes()
        self._residual = self.spectrum.vectors.T @ (self.targets - self.outputs).numpy().ravel()

    def _check_shapes(self) -> None:
        shape = tuple(self.outputs.shape)
        wanted = {"outputs": "(n, o)", "targets": str(shape), "kernel": str((*shape, *shape))}
        fits = {"outputs": len(shape) == 2, "targets": tuple(self.targets.shape) == shape}
        fits["kernel"] = tuple(self.kernel.shape) == (*shape, *shape)
        if self.test_kernel is not None and self.test_outputs is not None:
            wanted["test_kernel"] = str((*self.test_outputs.shape, *shape))
            fits["test_kernel"] = tuple(self.test_kernel.shape) == (*self.test_outputs.shape, *shape)
        for name in (name for name, fit in fits.items() if not fit):
            came = f"shape {tuple(getattr(self, name).shape)}"
            refuse(name, came, wanted[name], "take all of them from one network and one task")

    @property
    def residual(self) -> Array:
        """f₀ − y on the training set, (n, o)."""
        return np.asarray((self.outputs - self.targets).numpy())

    @classmethod
    def at(cls, network: Network, task: Task) -> Self:
        """The linear model around a network's present weights: its tangent kernels on both splits, and its outputs."""
        jacobian, targets = network.jacobian(task.train_inputs), flat_targets(network, task)
        if task.test_inputs is None:
            return cls(jacobian.gram(), jacobian.outputs, targets)
        test = network.jacobian(task.test_inputs)
        return cls(jacobian.gram(), jacobian.outputs, targets, test.gram(jacobian), test.outputs)

    def starting_from(self, other: Self) -> Self:
        """This kernel, but the outputs of another regressor on the same task to start from."""
        start = (other.outputs, self.targets, self.test_kernel, other.test_outputs)
        return type(self)(self.kernel, *start, spectrum=self.spectrum)

    def trajectory(self, descent: Descent, learning_rate: float) -> Trajectory:
        """Outputs and loss at the recorded steps.

        Full batches: each eigenvalue on its own, by powers or, with momentum, by its two-term recursion. Mini-batches:
        the recursion of c.
        """
        if descent.batch_size is None or descent.batch_size >= len(self.targets):
            follow = self._with_momentum if descent.momentum else self._closed_form
            return follow(descent, learning_rate)
        return self.recursion(descent, learning_rate)

    def recursion(self, descent: Descent, learning_rate: float) -> Trajectory:
        """The linear model iterated on coefficients c, with v = J₀ᵀc: any descent, no array of the weights' size."""
        model = LinearizedNetwork(DualJacobian(self.kernel, self.outputs), {"c": torch.zeros_like(self.targets)})
        test = None
        if self.test_kernel is not None and self.test_outputs is not None:
            test = DualJacobian(self.test_kernel, self.test_outputs)
        return train_linearized(model, test, self.targets, descent, learning_rate)

    def flow(self, times: Array) -> tuple[Array, Array | None]:
        """Gradient flow df/dt = −K (f − y) at times t (learning rate × steps): outputs (T, n, o) and (T, n', o)."""
        return self._apply(self.spectrum.flow(times))

    def ridge(self, penalty: float) -> tuple[Array, Array | None]:
        """f₀ + K (K + ρ)⁻¹ (y − f₀): outputs (n, o) and (n', o). ρ is in units of the kernel."""
        return self._apply(self.spectrum.ridge(penalty))

    def limit(self) -> tuple[Array, Array | None]:
        """t → ∞ of a convergent descent: outputs (n, o) and (n', o)."""
        return self._apply(self.spectrum.limit())

    def _closed_form(self, descent: Descent, learning_rate: float) -> Trajectory:
        steps = descent.recorded()
        diverged_at = self._divergence(learning_rate, int(steps[-1]))
        reached = steps if diverged_at is None else steps[steps <= diverged_at]
        left = self.spectrum.decay(learning_rate, reached)
        return self._trajectory(steps, self.spectrum.descent(learning_rate, reached), left, diverged_at)

    def _with_momentum(self, descent: Descent, learning_rate: float) -> Trajectory:
        steps, rule, diverged_at = descent.recorded(), self._rule(), None
        recorded, filters = set(steps.tolist()), []
        for step, weights in enumerate(self.spectrum.heavy_ball(learning_rate, descent.momentum)):
            if step in recorded:
                filters.append(weights)
            residual = (1.0 - self.spectrum.values * weights) * self._residual
            if rule.reached(0.5 * float(residual @ residual)):
                diverged_at = step
            if diverged_at is not None or step == steps[-1]:
                break
        kept = np.array(filters)
        return self._trajectory(steps, kept, 1.0 - self.spectrum.values * kept, diverged_at)

    def _trajectory(self, steps: NDArray[np.int64], filters: Array, left: Array, diverged_at: int | None) -> Trajectory:
        """From the filters of the steps that were reached, and the share of each residual that is left there."""
        missing, residual = len(steps) - len(filters), left * -self._residual
        train = self.targets.numpy() + (residual @ self.spectrum.vectors.T).reshape(-1, *self.targets.shape)
        test = self._apply(filters)[1]
        held_out = None if test is None else _pad(test, missing)
        return Trajectory(steps, _pad(train, missing), held_out, _pad(0.5 * (residual**2).sum(1), missing), diverged_at)

    def _rule(self) -> Divergence:
        return Divergence.from_start(0.5 * float(self._residual @ self._residual), self.targets)

    def _divergence(self, learning_rate: float, last: int) -> int | None:
        """First step at which the loss of plain descent is above the limit: only possible beyond the edge."""
        if learning_rate * self.spectrum.lambda_max <= 2:
            return None
        rule = self._rule()
        for start in range(0, last + 1, _SCAN):
            steps = np.arange(start, min(start + _SCAN, last + 1))
            with np.errstate(over="ignore", invalid="ignore"):
                losses = 0.5 * ((self.spectrum.decay(learning_rate, steps) * self._residual) ** 2).sum(1)
            above = ~(losses <= rule.limit)
            if above.any():
                return int(steps[above.argmax()])
        return None

    def _apply(self, filters: Array) -> tuple[Array, Array | None]:
        """Outputs f₀ + K V diag(filter) Vᵀ (y − f₀) on both splits; filters (N,) or (T, N)."""
        basis = filters * self._residual
        train = (basis * self.spectrum.values) @ self.spectrum.vectors.T
        fitted = self.outputs.numpy() + train.reshape(*filters.shape[:-1], *self.outputs.shape)
        if self.test_kernel is None or self.test_outputs is None:
            return fitted, None
        cross = self.test_kernel.numpy().reshape(self.test_outputs.numel(), -1)
        change = (basis @ self.spectrum.vectors.T) @ cross.T
        return fitted, self.test_outputs.numpy() + change.reshape(*filters.shape[:-1], *self.test_outputs.shape)


def _double(name: str, values: Tensor) -> Tensor:
    return check_data(name, as_tensor(name, values).detach().to("cpu", torch.float64))


def _pad(rows: Array, missing: int) -> Array:
    """The rows, and NaN rows after them for steps that were never reached."""
    return np.concatenate([rows, np.full((missing, *rows.shape[1:]), np.nan)])
