"""The three learners on one task: the full network, its linearization, the kernel regressor."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.errors import LabError, LabWarning, check_choice, check_integer, refuse
from lab.html import Facts
from lab.jacobians.jacobian import Jacobian
from lab.kernels.sharpness import jacobian_sharpness, sharpness
from lab.kernels.spectrum import Spectrum
from lab.learners.advice import warn_of_adaptive_steps, warn_of_scale
from lab.learners.descent import Descent, check_descent, check_optimizer, plain
from lab.learners.kernel import KernelRegressor, recursion
from lab.learners.linearized import linearize, train_linearized
from lab.learners.network import labels, objective, train_network
from lab.learners.quadratic import QuadraticNetwork
from lab.learners.trajectory import Trajectory
from lab.losses import Objective, Squared
from lab.measures.derivative import DerivativeCheck, check_derivative, check_second_derivative
from lab.measures.gap import UNITS, change_unit, disagreement, gap_units, largest, rms, tracking_gap, with_divergences
from lab.measures.hitting import kernel_time
from lab.measures.motion import Motion, Origin, measure_motion, no_motion
from lab.measures.principal import PrincipalPlane, principal_plane
from lab.networks.modules import as_network
from lab.networks.network import Network, expansion
from lab.progress import shown
from lab.tasks.curve import coordinate
from lab.tasks.task import Task, as_task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lab.figures.animation import Movie

Array = NDArray[np.float64]

_STEPS = 300  # of the descent that is taken where none is given
_NO_CLOSED_FORM = "torch.optim's optimizers have no closed form on a kernel"
_NOT_ASKED = "no kernel was asked for"
_ONE_COMPUTATION = "in place both linear learners are one recursion on the coefficients of the kernel"
_NO_UNIT = "the linear learner's outputs never changed by 100 times the noise floor"


@dataclass(frozen=True, eq=False)
class Frames:
    """What an animation of `SideBySide` shows, in the names of `lab.figures.animation.learners`.

    Attributes
    ----------
    outputs
        One output (T, n) of each learner.
    targets
        (n,); None for losses whose targets are not values of the outputs.
    x
        The number (n,) in which inputs differ; None where they differ in more.
    points
        That of the training samples, and their targets; None without ``x`` or targets.
    """

    outputs: Mapping[str, Array]
    targets: Array | None
    x: Array | None = None
    points: tuple[Array, Array] | None = None


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
    lambda_max
        Largest eigenvalue of H₀^½ K₀ H₀^½: of the training kernel K₀ itself, in output units, for the squared loss (see
        `Descent`). NaN where the loss is not convex at the initial outputs and the descent does not depend on it.
    lambda_min
        Smallest eigenvalue of K₀; NaN where no kernel was formed.
    units
        Units of the gap by name, for losses whose targets are in output units: "targets", the RMS of the training
        targets about their mean, and "initial", the RMS of (targets − initial outputs) there (see
        `lab.measures.gap.gap_units`). Others have the unit "change" alone, see `gap`.
    objective
        The loss on the training set.
    motion
        How far weights, gates and kernel went.
    quadratic
        Trajectory of the second-order Taylor model, `lab.QuadraticNetwork`, under the same descent; None unless
        ``order=2`` was asked for.
    second_derivative_check
        Relative difference between vᵀH₀v and a difference quotient of the Jacobian (see
        `lab.measures.derivative.check_second_derivative`); None without ``quadratic``, and for float32.
    reasons
        Why something is None, by name; why the derivative check is large although nothing is wrong.
    task, descent
        What was asked.
    linearized_in
        "weights", or "coefficients" a with v = J₀ᵀa, where no second copy of the weights is held.
    f0_share
        ‖f₀‖²/‖y − f₀‖² on the training split: how much of the first residual is the network's own initial output. None
        for losses whose targets are not in output units.
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
    objective: Objective
    motion: Motion
    task: Task
    descent: Descent
    linearized_in: str = "weights"
    f0_share: float | None = None
    derivative_check: float | None = None
    quadratic: Trajectory | None = None
    second_derivative_check: float | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        gap = largest(self.gap(self._splits[-1]))
        unit = "" if isinstance(self.objective.loss, Squared) else " in units of the linear learner's change"
        return f"SideBySide({self._title()}, {self.descent.steps} steps, largest gap {gap:.3g}{unit})"

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        found = self.summary()
        names = (*(name for name in found if name.startswith(("gap_", "final_"))), *self.motion)
        return f"{self._title()}, {self.descent.steps} steps", {name: found[name] for name in names}

    @property
    def learners(self) -> dict[str, Trajectory]:
        """The trajectories there are, by name."""
        every = {
            "network": self.network,
            "linearized": self.linearized,
            "kernel": self.kernel,
            "quadratic": self.quadratic,
        }
        return {name: trajectory for name, trajectory in every.items() if trajectory is not None}

    def gap(self, split: str = "test", unit: str | None = None, *, learner: str = "linearized") -> Array:
        """Tracking gap at the recorded steps, shape (T,): RMS of (network − linearized) over samples and outputs.

        It is inf from a divergence on. Logits of a cross-entropy are centred over classes first.

        Parameters
        ----------
        split
            "train" or "test"; raises `LabError` for anything else, or for "test" without a test split.
        unit
            "targets", the default for the squared loss: the RMS of the training targets about their mean, what there is
            to learn. "initial": the RMS of (targets − initial outputs); the two agree for centred networks if targets
            average to 0. "change", the default and, for classes, the only one for other losses: the RMS change of the
            linear learner's own training outputs at that step, for both splits; NaN at step 0, and while it is below
            100 times the noise floor (see `lab.measures.gap.change_unit`).
        learner
            What is compared with the network: "linearized", "kernel" or "quadratic", if it is there.
        """
        check_choice("split", split, ("train", "test"))
        check_choice("learner", learner, [name for name in self.learners if name != "network"])
        other = self.learners[learner]
        unit = self.gap_unit if unit is None else unit
        check_choice("unit", unit, UNITS)
        if split == "test" and not self.task.has_test:
            refuse(
                "split",
                "'test' for a task without a test split",
                "'train'",
                "give the task test_inputs and test_targets",
            )
        if unit != "change" and unit not in self.units:
            came = f"{unit!r} for loss={self.objective.loss.name!r}, whose targets are not values of the outputs"
            refuse("unit", came, "'change'", "leave it out")
        scale = self._change() if unit == "change" else self.units[unit]
        gap = tracking_gap(self._centred(self.network, split), self._centred(other, split), scale)
        return with_divergences(gap, self.network.steps, self.network.diverged_at, other.diverged_at)

    @property
    def gap_unit(self) -> str:
        """The unit of `gap` where none is named: "targets" for the squared loss, "change" for others."""
        return "targets" if isinstance(self.objective.loss, Squared) else "change"

    def _centred(self, learner: Trajectory, split: str) -> Array:
        return plain(self.objective.centred(torch.from_numpy(getattr(learner, split))))

    def _change(self) -> Array:
        kernel = None if self.kernel is None else self._centred(self.kernel, "train")
        precision = torch.finfo(next(iter(self.trained_network.trained.values())).dtype).eps
        return change_unit(self._centred(self.linearized, "train"), kernel, precision)

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
        """Largest |linearized − kernel| over steps, samples and splits; None without two computations.

        In units of the targets as the gap is, for other losses than the squared one in units of the largest RMS change
        of the linear learner's training outputs.
        """
        if self.kernel is None or "linearized_kernel_disagreement" in self.reasons:
            return None
        splits = ("train", "test") if self.task.has_test else ("train",)
        start = self.linearized.train
        scale = self.units["targets"] if self.gap_unit == "targets" else largest(rms(start - start[0], axis=(1, 2)))
        pairs = ((getattr(self.linearized, split), getattr(self.kernel, split)) for split in splits)
        return max(disagreement(linearized, kernel, scale) for linearized, kernel in pairs)

    def summary(self) -> dict[str, Any]:
        """One flat row of JSON values: rates, largest gaps, final losses, motion, divergences, and reasons for None."""
        gaps: dict[str, float | None] = {f"gap_{split}": largest(self.gap(split)) for split in self._splits}
        for split in self._splits if "initial" in self.units else ():
            gaps[f"gap_initial_{split}"] = largest(self.gap(split, "initial"))
        for split in self._splits if self.quadratic is not None else ():
            gaps[f"gap_quadratic_{split}"] = largest(self.gap(split, learner="quadratic"))
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
        if self.quadratic is not None:
            numbers["second_derivative_check"] = self.second_derivative_check
        reasons = {**self.reasons, **self.motion.reasons}
        for name, value in numbers.items():
            if value is not None and not np.isfinite(value):
                no_unit = name.startswith("gap_") and np.isnan(value)
                numbers[name], reasons[name] = None, reasons.get(name, _NO_UNIT if no_unit else self._divergence())
        words = {"linearized_in": self.linearized_in, "loss": self.objective.loss.name, "gap_unit": self.gap_unit}
        return {**numbers, **ends, **words, "reasons": reasons}

    def plot(self) -> Figure:
        """One figure: losses of the learners, their outputs on a few test samples, the gap over steps."""
        from lab.figures import curves, style

        with style.use():
            figure, axes = style.panels(3)
            losses = {name: t.loss for name, t in self.learners.items()}
            curves.losses(axes[0, 0], self.network.steps, losses, self.objective.loss.name)
            self._draw_outputs(axes[0, 1])
            gaps = {split: self.gap(split) for split in self._splits}
            curves.gaps(axes[0, 2], self.network.steps, gaps, self.gap_unit)
            style.headline(figure, self._title())
        return figure

    def animate(self, view: str = "outputs", *, output: int = 0, style: str | None = None) -> Movie:
        """An animation of training, one frame for each recorded step; Jupyter plays it, and ``.save(path)`` writes it.

        Parameters
        ----------
        view
            "outputs": outputs of the learners on the test samples (on the training samples where there is no test
            split), as curves where inputs differ in one number alone, as in `lab.tasks.curve`; the loss beside them.
            "path": their paths in function space, in the plane of the first two principal components of all of them.
        output
            Which of the outputs of a sample, in the view of outputs.
        style
            Of `lab.figures.style`, such as "lecture"; None for the one in use.

        Raises
        ------
        LabError
            An unknown view or style, an output that there is not.

        Examples
        --------
        >>> import lab
        >>> task = lab.tasks.curve(test=21)
        >>> movie = lab.side_by_side(lab.ElmanRNN.like(task, 32), task, lab.Descent(10)).animate()
        >>> movie.frames
        11
        """
        from lab.figures import animation
        from lab.figures import style as styles

        check_choice("view", view, ("outputs", "path"))
        steps, title = self.network.steps, self._title()
        with styles.use(style):
            if view == "path":
                plane = self._plane()
                return animation.paths(steps, plane.paths, plane.shares, target=plane.target, title=title)
            shown = self.frames(output)
            losses = {name: learner.loss for name, learner in self.learners.items()}
            loss = self.objective.loss.name
            return animation.learners(steps, losses=losses, loss=loss, title=title, **vars(shown))

    def frames(self, output: int = 0) -> Frames:
        """The numbers behind an animation: one output of the learners on the samples of the last split, by step.

        Raises `LabError` for an output that there is not.
        """
        split, outputs = self._splits[-1], self.network.train.shape[2]
        check_integer("output", output, 0)
        if output >= outputs:
            refuse("output", repr(output), f"0 to {outputs - 1}", "pass output=0")
        values = {name: self._centred(learner, split)[:, :, output] for name, learner in self.learners.items()}
        known = {each: self._targets(each) for each in self._splits}
        wanted = {each: None if found is None else found[:, output] for each, found in known.items()}
        places = coordinate(self.task)
        if places is None:
            return Frames(values, wanted[split])
        train = wanted["train"]
        points = None if train is None else (places[0], train)
        return Frames(values, wanted[split], places[0] if split == "train" else places[1], points)

    def _targets(self, split: str) -> Array | None:
        """Targets (n, o) where they are values of the outputs, else None."""
        if not self.objective.loss.in_output_units:
            return None
        return plain(getattr(self.task, f"{split}_targets").flatten(1))

    def _plane(self) -> PrincipalPlane:
        split = self._splits[-1]
        values = {name: self._centred(learner, split) for name, learner in self.learners.items()}
        return principal_plane(values, self._targets(split))

    @property
    def _splits(self) -> tuple[str, ...]:
        return ("train", "test") if self.task.has_test else ("train",)

    def _draw_outputs(self, ax: Any) -> None:
        from lab.figures import curves

        split = self._splits[-1]
        outputs = {name: self._centred(t, split)[:, :, -1] for name, t in self.learners.items()}
        gap = np.nan_to_num(np.abs(outputs["network"] - outputs["linearized"])).max(0)
        by_gap = np.argsort(gap)
        samples = [int(by_gap[int(share * (len(by_gap) - 1))]) for share in (0.0, 0.5, 0.75, 1.0)]
        curves.outputs_over_steps(ax, self.network.steps, outputs, list(dict.fromkeys(samples)))
        if self.objective.loss.name == "cross_entropy":
            ax.set_ylabel("logit of the last class, centred")
        ax.set_title(f"{split} outputs: smallest, median, upper-quartile, largest gap", fontsize="small")

    def _title(self) -> str:
        parameters = sum(value.numel() for value in self.trained_network.trained.values())
        width = getattr(self.trained_network, "width", None)
        size = f"{parameters:,} trained parameters" if width is None else f"width {width}"
        return ", ".join(filter(None, (self.task.name, size, getattr(self.trained_network, "label", ""))))

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
    kernel: bool = True,
    order: int = 1,
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
        Steps, rates, batches, loss; see `Descent`. ``Descent(steps=300)`` if not given: full batches, half the critical
        rate, the squared loss.
    in_place
        Train the given network itself, so that the largest width is set by one copy of W: the linearized network runs
        on coefficients a with v = J₀ᵀa, and an ElmanRNN at initialization keeps no copy of it either. Its motion is
        then formed in its own weights from initial rows drawn again, and they are restored afterwards. Other networks
        keep a copy of their start. The derivative check, which needs a second copy of the weights, is left out.
    kernel
        False leaves out the kernel regressor and all else that needs the kernel's (n·o)² numbers: ``lambda_min``, the
        motion ``kernel_drift``, the disagreement of the two linear learners. For thousands of samples. λ_max is then
        found by Lanczos iteration. Not possible ``in_place``.
    order
        2 trains the second-order Taylor model as well (`lab.QuadraticNetwork`), at the same rate; three to four times
        the cost of the network for an ElmanRNN. Not possible ``in_place``, since it holds the first weights.
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
        A network that does not fit the task, targets that the loss does not take, a module that cannot be
        differentiated per sample, outputs that do not depend on the trained weights (zero kernel), a critical fraction
        with a loss that is not convex at the initial outputs, ``in_place`` without the kernel or with ``order=2``,
        another order, a network without a second-order expansion.

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
    aim = objective(network, task, descent.loss)
    known = labels(aim, task)
    check_optimizer(descent, network.trained)
    if in_place and not kernel and descent.optimizer is None:
        refuse("kernel", "False beside in_place=True", "one of the two", "leave one of them out")
    warn_of_adaptive_steps(network, descent)
    _check_order(order, in_place)
    with torch.no_grad(), shown(progress):
        if order == 2:
            expansion(network, task.train_inputs[:1])  # who has none is refused before anything is trained
        found = _train(network, task, descent, aim, in_place, kernel)
        found = _add_quadratic(found, network) if order == 2 else found
    every: dict[str, Any] = {name: replace(learner, labels=known) for name, learner in found.learners.items()}
    return replace(found, **every)


def _check_order(order: int, in_place: bool) -> None:
    if isinstance(order, bool) or order not in (1, 2):
        refuse("order", repr(order), "1 or 2", "pass order=2 for the second-order model, or leave it out")
    if order == 2 and in_place:
        refuse("order", "2 beside in_place=True", "one of the two", "leave in_place out")


def _train(
    network: Network, task: Task, descent: Descent, aim: Objective, in_place: bool, with_kernel: bool
) -> SideBySide:
    cached = not in_place or descent.optimizer is not None
    start = _Start.of(network, task, aim, cached=cached, with_kernel=with_kernel)
    warn_of_scale(network, task.train_inputs, start.outputs, aim)
    lambda_max, reasons = _sharpness(start, descent)
    reasons |= start.no_check(descent)
    learning_rate = descent.rate(lambda_max)
    kernel = None if learning_rate is None else start.kernel_trajectory(descent, learning_rate)
    linearized = _train_linearized(start, network, descent, learning_rate)
    origin = Origin.of(network, task.train_inputs, start.kernel, moves=in_place)
    after = network if in_place else network.copy()
    check = _check(after, start, task.train_inputs, in_place)
    start.release()
    trajectory = train_network(after, task, descent, learning_rate, aim)
    return SideBySide(
        network=trajectory,
        linearized=linearized,
        kernel=kernel,
        trained_network=after,
        learning_rate=learning_rate,
        lambda_max=lambda_max,
        lambda_min=start.lambda_min,
        units=start.units,
        objective=aim,
        motion=_motion(origin, after, task.train_inputs, trajectory),
        task=task,
        descent=descent,
        linearized_in="weights" if cached else "coefficients",
        f0_share=start.f0_share,
        derivative_check=check.error,
        reasons=reasons | ({"derivative_check": check.reason} if check.reason else {}),
    )


def _add_quadratic(found: SideBySide, network: Network) -> SideBySide:
    """The same with the second-order model trained beside; warns if its second derivative seems wrong."""
    task, descent = found.task, found.descent
    check = check_second_derivative(network.copy(), expansion(network, task.train_inputs), task.train_inputs)
    if check.fails:
        warnings.warn(
            f"the second derivative vᵀH₀v differs from a difference quotient of the Jacobian by {check.error:.2g} "
            f"(tolerance {check.tolerance:.2g}), so that the second-order model may be that of another function: look "
            "for fused or hand-written functions, whose second derivative torch may get wrong",
            LabWarning,
            stacklevel=3,
        )
    model = QuadraticNetwork(network, track_weights=descent.optimizer is not None)
    quadratic = train_network(model, task, descent, found.learning_rate, found.objective)
    reasons = {"second_derivative_check": check.reason} if check.reason else {}
    return replace(
        found, quadratic=quadratic, second_derivative_check=check.error, reasons={**found.reasons, **reasons}
    )


def _sharpness(start: _Start, descent: Descent) -> tuple[float, dict[str, str]]:
    """λ_max of H₀^½ K₀ H₀^½, and why there is none; refused only where the descent's rate depends on it."""
    curvature = start.aim.curvature(start.outputs)
    missing = {} if start.spectrum is not None else {"lambda_min": _NOT_ASKED}
    if start.spectrum is not None and curvature is None:
        return start.spectrum.lambda_max, {}
    try:
        if start.kernel is None:
            assert start.jacobians is not None
            return jacobian_sharpness(start.jacobians[0], curvature), missing
        return sharpness(start.kernel, curvature), {}
    except LabError as error:
        if descent.critical_fraction is not None:
            raise
        return math.nan, {"lambda_max": error.came, **missing}


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

    aim: Objective
    outputs: Tensor
    kernel: Tensor | None
    spectrum: Spectrum | None
    test_outputs: Tensor | None
    test_kernel: Tensor | None
    cached: bool
    jacobians: tuple[Jacobian, Jacobian | None] | None

    @classmethod
    def of(cls, network: Network, task: Task, aim: Objective, *, cached: bool, with_kernel: bool) -> _Start:
        """Differentiate once; ``cached`` keeps the Jacobians for the linearized network in weight space."""
        jacobian = network.jacobian(task.train_inputs)
        test = None if task.test_inputs is None else network.jacobian(task.test_inputs)
        if cached:
            jacobian.keep()
            if test is not None:
                test.keep()
        kernel = jacobian.gram() if with_kernel else None
        return cls(
            aim=aim,
            outputs=jacobian.outputs,
            kernel=kernel,
            spectrum=None if kernel is None else Spectrum(kernel),
            test_outputs=None if test is None else test.outputs,
            test_kernel=None if test is None or not with_kernel else test.gram(jacobian),
            cached=cached,
            jacobians=(jacobian, test) if cached else None,
        )

    @property
    def units(self) -> dict[str, float]:
        """Units of the gap that come from the targets; none where these are not in output units."""
        if not self.aim.loss.in_output_units:
            return {}
        return gap_units(plain(self.aim.targets.flatten(1)), plain(self.outputs))

    @property
    def f0_share(self) -> float | None:
        """‖f₀‖²/‖y − f₀‖²; infinite where there is nothing to learn, 0 where f₀ is 0, None without such targets."""
        if not self.aim.loss.in_output_units:
            return None
        outputs = self.outputs.double()
        residual = self.aim.targets.flatten(1).double() - outputs
        start, size = (float(values.square().sum()) for values in (outputs, residual))
        return start / size if size else math.inf if start else 0.0

    def has_closed_form(self, descent: Descent) -> bool:
        """Whether the kernel regressor needs no recursion."""
        whole = descent.batch_size is None or descent.batch_size >= len(self.outputs)
        return whole and isinstance(self.aim.loss, Squared)

    def kernel_trajectory(self, descent: Descent, learning_rate: float) -> Trajectory | None:
        """The kernel regressor from f₀: in closed form, or by recursion; None without a kernel."""
        if self.kernel is None:
            return None
        if not self.has_closed_form(descent):
            return self.recursion(descent, learning_rate)
        test, targets = (self.test_kernel, self.test_outputs), self.aim.targets.flatten(1)
        regressor = KernelRegressor(self.kernel, self.outputs, targets, *test, spectrum=self.spectrum)
        return regressor.trajectory(descent, learning_rate)

    def recursion(self, descent: Descent, learning_rate: float) -> Trajectory:
        """The linear model on coefficients a."""
        assert self.kernel is not None
        test = self.test_kernel, self.test_outputs
        return recursion((self.kernel, self.outputs), test, self.aim, descent, learning_rate)

    def no_check(self, descent: Descent) -> dict[str, str]:
        """Why there is no kernel regressor, or no second computation of the linear curve."""
        if self.kernel is None or descent.optimizer is not None:
            return {"kernel": _NO_CLOSED_FORM if self.kernel is not None else _NOT_ASKED}
        is_one = not self.cached and not self.has_closed_form(descent)
        return {"linearized_kernel_disagreement": _ONE_COMPUTATION} if is_one else {}

    @property
    def lambda_min(self) -> float:
        """Smallest eigenvalue of K₀; NaN without a kernel."""
        return math.nan if self.spectrum is None else self.spectrum.lambda_min

    def release(self) -> None:
        """Drop the kept Jacobians: the network's training needs the memory."""
        self.jacobians = None


def _train_linearized(start: _Start, network: Network, descent: Descent, learning_rate: float | None) -> Trajectory:
    """In weight space on the kept Jacobians; without them on coefficients."""
    if start.jacobians is None:
        assert learning_rate is not None
        return start.recursion(descent, learning_rate)
    jacobian, test = start.jacobians
    model, test = linearize(jacobian, test, network.trained, descent)
    return train_linearized(model, test, start.aim, descent, learning_rate)


def _motion(origin: Origin, after: Network, inputs: Tensor, trajectory: Trajectory) -> Motion:
    if trajectory.diverged_at is not None:
        return no_motion(f"network diverged at step {trajectory.diverged_at}")
    return measure_motion(origin, after, inputs)
