"""The kernel regressor: the linear model's whole training from one Gram matrix."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.arrays import as_tensor, check_data
from lab.errors import refuse
from lab.html import Facts
from lab.jacobians.dual import DualJacobian
from lab.jacobians.jacobian import Tangent
from lab.kernels.infinite import repeat
from lab.kernels.spectrum import Spectrum
from lab.learners.descent import Descent, Divergence
from lab.learners.linearized import LinearizedNetwork, train_linearized
from lab.learners.network import objective
from lab.learners.trajectory import Trajectory
from lab.losses import LOSSES, Loss, LossFunction, Objective, Squared
from lab.networks.network import Network
from lab.progress import bar
from lab.tasks.task import Task

Array = NDArray[np.float64]

_SCAN = 1024  # steps whose loss is computed at once in search of a divergence


class KernelRegressor(Facts):
    """Kernel regression from f₀, in closed form for every step of descent, for gradient flow, ridge and t → ∞.

    Gradient descent: f_t = y + (I − ηK)^t (f₀ − y) on the training set, f_t(x) = f₀(x) + K(x, X) a_t elsewhere, where
    a_t = K⁻¹ (I − (I − ηK)^t)(y − f₀), exact in discrete steps. Momentum: a two-term recursion for each eigenvalue.
    Mini-batches and other losses than the squared one: the recursion a ← a − η g(f₀ + K a) itself, g being the loss's
    gradient in the outputs, on the same batches as the other learners. All of it in float64.

    A kernel that outputs share is taken once: with (n, n) in place of (n, o, n, o), memory falls by o² and the time of
    the eigen-decomposition by o³.

    Parameters
    ----------
    kernel
        Training kernel, shape (n, o, n, o). Or one that outputs share, as ``lab.infinite_ntk(..., shared=True)`` gives
        it: (n, n) for all o outputs, or (n, s, n, s) for o/s outputs at each of s time steps (time first).
    outputs, targets
        f₀ and y on the training set, shape (n, o). For cross-entropy y has probabilities, such as one-hot rows.
    test_kernel, test_outputs
        Kernel (n', o, n, o) between test and training samples, or a shared one (n', n) or (n', s, n, s), and f₀
        (n', o); both or neither.
    spectrum
        Of ``kernel``, where it is at hand already.

    Attributes
    ----------
    kernel, outputs, targets, test_kernel, test_outputs
        As given, in float64 on the CPU.
    spectrum
        Eigen-decomposition of ``kernel``.

    Raises
    ------
    LabError
        A kernel that is not finite, zero, or indefinite (see `lab.kernels.spectrum`), shapes that do not fit, or only
        half of a test split.

    Examples
    --------
    >>> kernel = torch.tensor([[2.0, 1.0], [1.0, 2.0]])  # shared by three outputs
    >>> targets = torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 2.0]])
    >>> regressor = KernelRegressor(kernel, torch.zeros(2, 3), targets)
    >>> regressor.limit()[0].round(9).tolist()
    [[1.0, 0.0, 2.0], [0.0, 1.0, 2.0]]

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
        given = {"kernel": kernel, "outputs": outputs, "targets": targets}
        if test_kernel is not None and test_outputs is not None:
            given |= {"test_kernel": test_kernel, "test_outputs": test_outputs}
        tensors = {name: as_tensor(name, value) for name, value in given.items()}
        _check_shapes({name: tuple(value.shape) for name, value in tensors.items()})
        self.spectrum = spectrum or Spectrum(kernel)
        doubles = {name: _double(name, value) for name, value in tensors.items()}
        self.kernel, self.outputs, self.targets = (doubles[name] for name in ("kernel", "outputs", "targets"))
        self.test_kernel, self.test_outputs = (doubles.get(name) for name in ("test_kernel", "test_outputs"))
        columns = (self.targets - self.outputs).numpy().reshape(self._check_rows(), -1)
        self._residual = (self.spectrum.vectors.T @ columns).T  # (k, N) for the k outputs that share each row

    def __repr__(self) -> str:
        test = "" if self.test_outputs is None else f", {len(self.test_outputs)} test samples"
        return f"KernelRegressor({len(self.outputs)} training samples{test}, {self.spectrum!r})"

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        test = None if self.test_outputs is None else len(self.test_outputs)
        samples = {"training samples": len(self.outputs), "test samples": test, "outputs": self.outputs.shape[1]}
        return "Kernel regressor", {**samples, **self.spectrum._facts()[1]}

    def _check_rows(self) -> int:
        """N, the number of rows of the kernel and of its spectrum."""
        rows = math.prod(self.kernel.shape[: self.kernel.ndim // 2])
        if len(self.spectrum.values) != rows:
            came = f"{len(self.spectrum.values)} eigenvalues"
            refuse("spectrum", came, f"{rows}, one for each row of the kernel", "take it from this kernel")
        return rows

    @property
    def _sizes(self) -> Array:
        """Norms of the residual over the outputs that share a row, (N,): all that a loss depends on."""
        return self._residual[0] if len(self._residual) == 1 else np.asarray(np.linalg.norm(self._residual, axis=0))

    @property
    def residual(self) -> Array:
        """f₀ − y on the training set, (n, o)."""
        return np.asarray((self.outputs - self.targets).numpy())

    @classmethod
    def at(cls, network: Network, task: Task, loss: str | Loss | LossFunction = "squared") -> Self:
        """The linear model around a network's present weights: its tangent kernels on both splits, and its outputs.

        Targets are taken as the loss understands them, class indices as one-hot rows for "cross_entropy".
        """
        jacobian, targets = network.jacobian(task.train_inputs), objective(network, task, loss).targets.flatten(1)
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

        The squared loss and full batches: each eigenvalue on its own, by powers or, with momentum, by its two-term
        recursion. Otherwise the recursion of the coefficients a.
        """
        whole = descent.batch_size is None or descent.batch_size >= len(self.targets)
        if whole and isinstance(descent.criterion, Squared):
            follow = self._with_momentum if descent.momentum else self._closed_form
            return follow(descent, learning_rate)
        return self.recursion(descent, learning_rate)

    def recursion(self, descent: Descent, learning_rate: float, aim: Objective | None = None) -> Trajectory:
        """The linear model iterated on coefficients a, with v = J₀ᵀa: any descent, no array of the weights' size.

        ``aim`` is the loss on the training set; by default the descent's, on the targets of this regressor.
        """
        if aim is None:
            shape = tuple(self.targets.shape[1:])
            aim = Objective(descent.criterion, descent.criterion.encode(self.targets, shape), shape)
        test = self.test_kernel, self.test_outputs
        return recursion((self.kernel, self.outputs), test, aim, descent, learning_rate)

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
        recorded, filters, sizes = set(steps.tolist()), [], self._sizes
        with bar(int(steps[-1]), "kernel regressor", "step") as counter:
            for step, weights in enumerate(self.spectrum.heavy_ball(learning_rate, descent.momentum)):
                if step in recorded:
                    filters.append(weights)
                residual = (1.0 - self.spectrum.values * weights) * sizes
                if rule.reached(0.5 * float(residual @ residual)):
                    diverged_at = step
                if diverged_at is not None or step == steps[-1]:
                    break
                counter.update()
        kept = np.array(filters)
        return self._trajectory(steps, kept, 1.0 - self.spectrum.values * kept, diverged_at)

    def _trajectory(self, steps: NDArray[np.int64], filters: Array, left: Array, diverged_at: int | None) -> Trajectory:
        """From the filters of the steps that were reached, and the share of each residual that is left there."""
        missing, rows = len(steps) - len(filters), self._in_rows(-left)
        train = self._outputs(rows @ self.spectrum.vectors.T, self.targets, left.shape[:1]) + self.targets.numpy()
        test = self._apply(filters)[1]
        held_out, losses = None if test is None else _pad(test, missing), 0.5 * ((left * self._sizes) ** 2).sum(1)
        return Trajectory(steps, _pad(train, missing), held_out, _pad(losses, missing), diverged_at)

    def _rule(self) -> Divergence:
        return Divergence.from_start(0.5 * float(self._sizes @ self._sizes), LOSSES["squared"].floor(self.targets))

    def _divergence(self, learning_rate: float, last: int) -> int | None:
        """First step at which the loss of plain descent is above the limit: only possible beyond the edge."""
        if learning_rate * self.spectrum.lambda_max <= 2:
            return None
        rule, sizes = self._rule(), self._sizes
        for start in range(0, last + 1, _SCAN):
            steps = np.arange(start, min(start + _SCAN, last + 1))
            with np.errstate(over="ignore", invalid="ignore"):
                losses = 0.5 * ((self.spectrum.decay(learning_rate, steps) * sizes) ** 2).sum(1)
            above = ~(losses <= rule.limit)
            if above.any():
                return int(steps[above.argmax()])
        return None

    def _apply(self, filters: Array) -> tuple[Array, Array | None]:
        """Outputs f₀ + K V diag(filter) Vᵀ (y − f₀) on both splits; filters (N,) or (T, N)."""
        vectors, lead = self.spectrum.vectors, filters.shape[:-1]
        basis = self._in_rows(filters)
        fitted = self._outputs((basis * self.spectrum.values) @ vectors.T, self.outputs, lead) + self.outputs.numpy()
        if self.test_kernel is None or self.test_outputs is None:
            return fitted, None
        cross = self.test_kernel.numpy().reshape(-1, len(vectors))
        change = self._outputs((basis @ vectors.T) @ cross.T, self.test_outputs, lead)
        return fitted, change + self.test_outputs.numpy()

    def _in_rows(self, filters: Array) -> Array:
        """Coefficients of the residual times filters (N,) or (T, N), k rows for each step: (T·k, N)."""
        return np.asarray((filters[..., None, :] * self._residual).reshape(-1, filters.shape[-1]))

    def _outputs(self, rows: Array, like: Tensor, lead: tuple[int, ...]) -> Array:
        """Rows (T·k, rows of a kernel) as outputs, shaped (*lead, n, o) for ``like`` of shape (n, o)."""
        columns = rows.reshape(-1, len(self._residual), rows.shape[1]).swapaxes(1, 2)
        return columns.reshape(*lead, *like.shape)


def recursion(
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor | None, Tensor | None],
    aim: Objective,
    descent: Descent,
    learning_rate: float,
) -> Trajectory:
    """The linear model on coefficients a: a ← a − η g(f₀ + K a), with the descent's batches and momentum, in float64.

    Parameters
    ----------
    train, test
        Kernel and f₀ of each split, shaped as for `KernelRegressor`; (None, None) without a test split.
    aim
        The loss on the training set, g being its gradient in the outputs.
    """
    kernel, outputs = (values.detach().to("cpu", torch.float64) for values in train)
    rows, samples = math.prod(kernel.shape[: kernel.ndim // 2]), len(outputs)
    held_out = None
    if test[0] is not None and test[1] is not None:
        cross, start = (values.detach().to("cpu", torch.float64) for values in (test[0], test[1]))
        held_out = dual(cross, start, samples, rows // samples)
    model = LinearizedNetwork(dual(kernel, outputs, samples, rows // samples), {"a": torch.zeros_like(outputs)})
    return train_linearized(model, held_out, aim.to(outputs), descent, learning_rate)


def dual(kernel: Tensor, outputs: Tensor, samples: int, columns: int) -> DualJacobian:
    """The Jacobian of these outputs (n', o) in coefficients of n training samples, whose kernel has n·s rows."""
    shared = outputs.shape[1] // columns
    table = kernel.reshape(len(outputs), columns, samples, columns)
    return DualJacobian(table, outputs) if shared == 1 else _SharedJacobian(table, outputs)


class _SharedJacobian(DualJacobian):
    """`DualJacobian` of a kernel (n', s, n, s) that outputs share; a is (n, o), and nothing of n·o rows is formed."""

    def pull(self, cotangent: Tensor) -> Tangent:
        """The motion of a that a unit step along r makes, shape (n, o)."""
        tangent = {"a": cotangent.new_zeros(self._kernel.shape[2], cotangent.shape[1])}
        self.add_pull(tangent, cotangent, 1.0)
        return tangent

    def push(self, tangent: Mapping[str, Tensor]) -> Tensor:
        """K a, shape (n', o)."""
        matrix = self._kernel.flatten(2).flatten(0, 1)
        return (matrix @ tangent["a"].reshape(matrix.shape[1], -1)).view_as(self._outputs)

    def gram(self, other: Self | None = None) -> Tensor:
        """The whole kernel (n', o, n'', o), with zeros between different outputs."""
        return repeat(super().gram(other), self._outputs.shape[1] // self._kernel.shape[1])


def _check_shapes(shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse shapes that are not those of one kernel, whole or shared."""
    kernel, outputs = shapes["kernel"], shapes["outputs"]
    _check_shape("outputs", outputs, len(outputs) == 2 and 0 not in outputs, "(n, o), not empty")
    _check_shape("targets", shapes["targets"], shapes["targets"] == outputs, str(outputs))
    (n, o), steps = outputs, kernel[1] if len(kernel) == 4 else 1
    fits = kernel in ((n, n), (n, steps, n, steps)) and steps > 0 and o % steps == 0
    _check_shape("kernel", kernel, fits, f"{(n, o, n, o)}, or {(n, n)} where outputs share it")
    if "test_kernel" not in shapes:
        return
    tested, shared = shapes["test_outputs"], o // steps
    _check_shape("test_outputs", tested, len(tested) == 2 and tested[-1] % shared == 0, f"(n', {o})")
    rows = (tested[0], tested[1] // shared)
    wanted = (rows[0], n) if len(kernel) == 2 and rows[1] == 1 else (*rows, n, steps)
    _check_shape("test_kernel", shapes["test_kernel"], shapes["test_kernel"] == wanted, str(wanted))


def _check_shape(name: str, came: tuple[int, ...], fits: bool, allowed: str) -> None:
    if not fits:
        refuse(name, f"shape {came}", allowed, "take all of them from one network and one task")


def _double(name: str, values: Tensor) -> Tensor:
    return check_data(name, as_tensor(name, values).detach().to("cpu", torch.float64))


def _pad(rows: Array, missing: int) -> Array:
    """The rows, and NaN rows after them for steps that were never reached."""
    return np.concatenate([rows, np.full((missing, *rows.shape[1:]), np.nan)])
