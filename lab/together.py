"""The three learners on one task: the full network, its linearization, the kernel regressor."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.errors import LabWarning, check_choice, refuse
from lab.html import Facts
from lab.jacobians.jacobian import Jacobian
from lab.kernels.spectrum import Spectrum
from lab.learners.advice import warn_of_adaptive_steps, warn_of_scale
from lab.learners.descent import Descent, check_descent, check_optimizer, plain
from lab.learners.kernel import KernelRegressor
from lab.learners.linearized import linearize, train_linearized
from lab.learners.network import check_fits, flat_targets, train_network
from lab.learners.trajectory import Trajectory
from lab.measures.derivative import DerivativeCheck, check_derivative
from lab.measures.gap import UNITS, disagreement, gap_units, tracking_gap, with_divergences
from lab.measures.hitting import kernel_time
from lab.measures.motion import Motion, Origin, measure_motion, no_motion
from lab.networks.modules import as_network
from lab.networks.network import Network
from lab.progress import shown
from lab.tasks.task import Task, as_task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

_STEPS = 300  # of the descent that is taken where none is given
_NO_CLOSED_FORM = "torch.optim's optimizers have no closed form on a kernel"


@dataclass(frozen=True, eq=False, repr=False)
class SideBySide(Facts):
    """Three learners after one descent from one initialization.

    Attributes
    ----------
    network, linearized, kernel
        Their trajectories; ``kernel`` is None under an optimizer of torch.optim (see ``reasons``).
    trained_network
        The network at the last step.
    learning_rate
        η, None under an optimizer.
    lambda_max, lambda_min
        Extreme eigenvalues of the training kernel K₀ at initialization, in output units.
    units
        Units of the gap by name: "targets", the RMS of the training targets about their mean, and "initial", the RMS of
        (targets − initial outputs) there (see `lab.measures.gap.gap_units`).
    motion
        How far weights, gates and kernel went.
    reasons
        Why something is None, by name; why the derivative check is large although nothing is wrong.
    task, descent
        What was asked.
    linearized_in
        "weights", or "coefficients" c with v = J₀ᵀc, where no second copy of the weights is held.
    f0_share
        ‖f₀‖²/‖y − f₀‖² on the training split: how much of the first residual is the network's own initial output.
    derivative_check
        Relative difference between J₀v and a difference quotient of the network along a random direction v (see
        `lab.measures.derivative.check_derivative`); None with a reason where it has no value.
    """

    network: Trajectory
    linearized: Trajectory
    kernel: Trajectory | None
    trained_network: Network
    learning_rate: float | None
    lambda_max: float
    lambda_min: float
    units: Mapping[str, float]
    motion: Motion
    task: Task
    descent: Descent
    linearized_in: str = "weights"
    f0_share: float = 0.0
    derivative_check: float | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        gap = self.gap(self._splits[-1]).max()
        return f"SideBySide({self._title()}, {self.descent.steps} steps, largest gap {gap:.3g})"

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        found = self.summary()
        names = (*(name for name in found if name.startswith(("gap_", "final_loss_"))), *self.motion)
        return f"{self._title()}, {self.descent.steps} steps", {name: found[name] for name in names}

    @property
    def learners(self) -> dict[str, Trajectory]:
        """The trajectories there are, by name."""
        every = {"network": self.network, "linearized": self.linearized, "kernel": self.kernel}
        return {name: trajectory for name, trajectory in every.items() if trajectory is not None}

    def gap(self, split: str = "test", unit: str = "targets") -> Array:
        """Tracking gap at the recorded steps, shape (T,): RMS of (network − linearized) over samples and outputs.

        It is inf from a divergence on.

        Parameters
        ----------
        split
            "train" or "test"; raises `LabError` for anything else, or for "test" without a test split.
        unit
            "targets": in units of the RMS of the training targets about their mean, what there is to learn. "initial":
            in units of the RMS of (targets − initial outputs). They agree for centred networks if targets average to 0.
        """
        check_choice("split", split, ("train", "test"))
        check_choice("unit", unit, UNITS)
        if split == "test" and not self.task.has_test:
            refuse(
                "split",
                "'test' for a task without a test split",
                "'train'",
                "give the task test_inputs and test_targets",
            )
        gap = tracking_gap(getattr(self.network, split), getattr(self.linearized, split), self.units[unit])
        return with_divergences(gap, self.network.steps, self.network.diverged_at, self.linearized.diverged_at)

    @property
    def kernel_time(self) -> Array:
        """Kernel time τ at the recorded steps, (T,); see `lab.measures.hitting.kernel_time`.

        Raises `LabError` under an optimizer of torch.optim, which has no rate.
        """
        if self.learning_rate is None:
            refuse("kernel_time", "a descent by an optimizer", "one with a rate", "give it a critical fraction")
        samples, batch = len(self.task.train_inputs), self.descent.batch_size
        share = 1.0 if batch is None or batch >= samples else batch / samples
        clock = {"share": share, "momentum": self.descent.momentum}
        return np.asarray(kernel_time(1, self.learning_rate, self.lambda_max, **clock) * self.network.steps)

    def disagreement(self) -> float | None:
        """Largest |linearized − kernel| over steps, samples and splits, in units of the gap; None without a kernel."""
        if self.kernel is None:
            return None
        splits = ("train", "test") if self.task.has_test else ("train",)
        pairs = ((getattr(self.linearized, split), getattr(self.kernel, split)) for split in splits)
        return max(disagreement(linearized, kernel, self.units["targets"]) for linearized, kernel in pairs)

    def summary(self) -> dict[str, Any]:
        """One flat row of JSON values: rates, largest gaps, final losses, motion, divergences, and reasons for None."""
        named = {"gap": "targets", "gap_initial": "initial"}
        gaps = {f"{name}_{s}": float(self.gap(s, unit).max()) for name, unit in named.items() for s in self._splits}
        losses = {f"final_loss_{name}": trajectory.final_loss for name, trajectory in self.learners.items()}
        ends = {f"diverged_at_{name}": trajectory.diverged_at for name, trajectory in self.learners.items()}
        numbers = {
            "learning_rate": self.learning_rate,
            "lambda_max": self.lambda_max,
            "lambda_min": self.lambda_min,
            **gaps,
            **losses,
            **self.motion,
            "linearized_kernel_disagreement": self.disagreement(),
            "derivative_check": self.derivative_check,
            "f0_share": self.f0_share,
        }
        reasons = {**self.reasons, **self.motion.reasons}
        for name, value in numbers.items():
            if value is not None and not np.isfinite(value):
                numbers[name], reasons[name] = None, self._divergence()
        return {**numbers, **ends, "linearized_in": self.linearized_in, "reasons": reasons}

    def plot(self) -> Figure:
        """One figure: losses of the learners, their outputs on a few test samples, the gap over steps."""
        from lab.figures import curves, style

        with style.use():
            figure, axes = style.panels(3)
            curves.losses(axes[0, 0], self.network.steps, {name: t.loss for name, t in self.learners.items()})
            self._draw_outputs(axes[0, 1])
            gaps = {split: self.gap(split) for split in self._splits}
            curves.gaps(axes[0, 2], self.network.steps, gaps)
            style.headline(figure, self._title())
        return figure

    @property
    def _splits(self) -> tuple[str, ...]:
        return ("train", "test") if self.task.has_test else ("train",)

    def _draw_outputs(self, ax: Any) -> None:
        from lab.figures import curves

        split = self._splits[-1]
        outputs = {name: getattr(t, split)[:, :, -1] for name, t in self.learners.items()}
        gap = np.nan_to_num(np.abs(outputs["network"] - outputs["linearized"])).max(0)
        by_gap = np.argsort(gap)
        samples = [int(by_gap[int(share * (len(by_gap) - 1))]) for share in (0.0, 0.5, 0.75, 1.0)]
        curves.outputs_over_steps(ax, self.network.steps, outputs, list(dict.fromkeys(samples)))
        ax.set_title(f"{split} outputs: smallest, median, upper-quartile, largest gap", fontsize="small")

    def _title(self) -> str:
        parameters = sum(value.numel() for value in self.trained_network.trained.values())
        width = getattr(self.trained_network, "width", None)
        size = f"{parameters:,} trained parameters" if width is None else f"width {width}"
        return f"{self.task.name}, {size}"

    def _divergence(self) -> str:
        ends = [
            f"{name} diverged at step {t.diverged_at}" for name, t in self.learners.items() if t.diverged_at is not None
        ]
        return "; ".join(ends) or "not finite"


def side_by_side(
    network: torch.nn.Module | Network,
    task: Task | tuple[Any, Any],
    descent: Descent | None = None,
    *,
    in_place: bool = False,
    progress: bool = True,
) -> SideBySide:
    """Train a network, its linearization around these weights, and the kernel regressor, by the same descent.

    Parameters
    ----------
    network
        A network of the lab or any torch.nn.Module, at initialization. It is not changed, unless ``in_place``.
    task
        A `Task`, or a pair (X, y) without a test split.
    descent
        Steps, rates, batches; see `Descent`. ``Descent(steps=300)`` if not given: full batches, half the critical rate.
    in_place
        Train the given network itself, so that the largest width is set by one copy of W: the linearized network runs
        on coefficients c with v = J₀ᵀc, and an ElmanRNN at initialization keeps no copy of it either. Its motion is
        then formed in its own weights from initial rows drawn again, and they are restored afterwards. Other networks
        keep a copy of their start. The derivative check, which needs a second copy of the weights, is left out.
    progress
        Whether a progress bar appears when the work takes longer than about two seconds.

    Warns
    -----
    LabWarning
        If initial outputs are more than ten times as large as the targets, or inputs far from unit scale; if an output
        scale meets an optimizer whose steps do not depend on it; if the derivative check fails.

    Raises
    ------
    LabError
        A network that does not fit the task, a module that cannot be differentiated per sample, outputs that do not
        depend on the trained weights (zero kernel).

    Examples
    --------
    >>> import lab
    >>> task = lab.tasks.digits()
    >>> result = lab.side_by_side(lab.ElmanRNN.like(task, 256), task, lab.Descent(steps=20))
    >>> bool(result.gap("test").max() < 1), bool(result.disagreement() < 1e-9)
    (True, True)
    """
    network, task = as_network(network), as_task(task)
    descent = Descent(_STEPS) if descent is None else descent
    check_descent(descent)
    check_fits(network, task)
    check_optimizer(descent, network.trained)
    warn_of_adaptive_steps(network, descent)
    with torch.no_grad(), shown(progress):
        return _train(network, task, descent, in_place)


def _train(network: Network, task: Task, descent: Descent, in_place: bool) -> SideBySide:
    start = _Start.of(network, task, cached=not in_place or descent.optimizer is not None)
    warn_of_scale(network, task.train_inputs, start.outputs, start.targets)
    learning_rate = descent.rate(start.spectrum.lambda_max)
    kernel = None if learning_rate is None else start.regressor().trajectory(descent, learning_rate)
    linearized = _train_linearized(start, network, descent, learning_rate)
    origin = Origin.of(network, task.train_inputs, start.kernel, moves=in_place)
    after = network if in_place else network.copy()
    check = _check(after, start, task.train_inputs, in_place)
    start.release()
    trajectory = train_network(after, task, descent, learning_rate)
    reasons = {"derivative_check": check.reason, "kernel": None if kernel else _NO_CLOSED_FORM}
    return SideBySide(
        network=trajectory,
        linearized=linearized,
        kernel=kernel,
        trained_network=after,
        learning_rate=learning_rate,
        lambda_max=start.spectrum.lambda_max,
        lambda_min=start.spectrum.lambda_min,
        units=gap_units(plain(start.targets), plain(start.outputs)),
        motion=_motion(origin, after, task.train_inputs, trajectory),
        task=task,
        descent=descent,
        linearized_in="weights" if start.cached else "coefficients",
        f0_share=start.f0_share,
        derivative_check=check.error,
        reasons={name: reason for name, reason in reasons.items() if reason},
    )


def _check(after: Network, start: _Start, inputs: Tensor, in_place: bool) -> DerivativeCheck:
    """J₀ against a difference quotient of the copy that is about to descend; warns if they differ."""
    if in_place or start.jacobians is None:
        return DerivativeCheck(None, 0.0, "no second copy of the weights is held in place")
    check = check_derivative(after, start.jacobians[0], inputs)
    if check.fails:
        warnings.warn(
            f"the derivative J₀v differs from a difference quotient of the network by {check.error:.2g} (tolerance "
            f"{check.tolerance:.2g}), so that the linearized network and the kernel may be those of another function: "
            "look for detached tensors, hand-written gradients, and units that lie exactly at a kink",
            LabWarning,
            stacklevel=4,
        )
    return check


@dataclass
class _Start:
    """The network at initialization, as the two linear learners need it: small kernels, and maybe kept Jacobians."""

    targets: Tensor
    outputs: Tensor
    kernel: Tensor
    spectrum: Spectrum
    test_outputs: Tensor | None
    test_kernel: Tensor | None
    cached: bool
    jacobians: tuple[Jacobian, Jacobian | None] | None

    @classmethod
    def of(cls, network: Network, task: Task, *, cached: bool) -> _Start:
        """Differentiate once; ``cached`` keeps the Jacobians for the linearized network in weight space."""
        jacobian = network.jacobian(task.train_inputs)
        test = None if task.test_inputs is None else network.jacobian(task.test_inputs)
        if cached:
            jacobian.keep()
            if test is not None:
                test.keep()
        kernel = jacobian.gram()
        return cls(
            targets=flat_targets(network, task),
            outputs=jacobian.outputs,
            kernel=kernel,
            spectrum=Spectrum(kernel),
            test_outputs=None if test is None else test.outputs,
            test_kernel=None if test is None else test.gram(jacobian),
            cached=cached,
            jacobians=(jacobian, test) if cached else None,
        )

    @property
    def residual(self) -> Tensor:
        """y − f₀ (n, o), float64."""
        return self.targets.double() - self.outputs.double()

    @property
    def f0_share(self) -> float:
        """‖f₀‖²/‖y − f₀‖²; infinite where there is nothing to learn, 0 where f₀ is 0."""
        start, residual = (float(values.double().square().sum()) for values in (self.outputs, self.residual))
        return start / residual if residual else math.inf if start else 0.0

    def regressor(self) -> KernelRegressor:
        """The kernel regressor from f₀."""
        test = (self.test_kernel, self.test_outputs)
        return KernelRegressor(self.kernel, self.outputs, self.targets, *test, spectrum=self.spectrum)

    def release(self) -> None:
        """Drop the kept Jacobians: the network's training needs the memory."""
        self.jacobians = None


def _train_linearized(start: _Start, network: Network, descent: Descent, learning_rate: float | None) -> Trajectory:
    """In weight space on the kept Jacobians; without them on coefficients."""
    if start.jacobians is None:
        assert learning_rate is not None
        return start.regressor().recursion(descent, learning_rate)
    jacobian, test = start.jacobians
    model, test = linearize(jacobian, test, network.trained, descent)
    return train_linearized(model, test, start.targets, descent, learning_rate)


def _motion(origin: Origin, after: Network, inputs: Tensor, trajectory: Trajectory) -> Motion:
    if trajectory.diverged_at is not None:
        return no_motion(f"network diverged at step {trajectory.diverged_at}")
    return measure_motion(origin, after, inputs)
