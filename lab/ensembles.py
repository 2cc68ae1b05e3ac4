"""Mean and variance over initializations: of trained networks, of their linear learners, and at infinite width."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.errors import check_integer, check_seed, refuse
from lab.html import Facts
from lab.learners.descent import Descent, check_descent
from lab.learners.gaussian import GaussianTraining
from lab.learners.moments import Moments, RunningMoments
from lab.learners.network import objective
from lab.learners.trajectory import Trajectory
from lab.losses import Squared
from lab.measures.gap import rms
from lab.networks.elman import ElmanRNN
from lab.networks.modules import as_network
from lab.networks.network import Network
from lab.progress import bar, shown
from lab.tasks.curve import coordinate
from lab.tasks.task import Task, as_task
from lab.together import side_by_side

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Make = Callable[[int], "torch.nn.Module | Network"]

INFINITE = "infinite"  #: the key of infinite width among the learners


@dataclass(frozen=True, eq=False, repr=False)
class Ensemble(Facts):
    """Mean and variance of each learner over initializations.

    Attributes
    ----------
    steps
        Recorded steps (T,).
    train, test
        `Moments` by learner: "network", "linearized", "kernel", and "infinite" for infinite width in closed form;
        ``test`` is None without a test split.
    count
        Members that entered.
    seeds, diverged
        The seeds that were asked for, and those of members of which some learner diverged: they are left out of all.
    learning_rate
        η of infinite width, in which finite members descend too unless each has its own; None without a limit, unless
        the descent names a rate.
    task, descent
        What was asked.
    reasons
        Why there is no kernel learner or no infinite width, by name.
    """

    steps: NDArray[np.int64]
    train: Mapping[str, Moments]
    test: Mapping[str, Moments] | None
    count: int
    seeds: tuple[int, ...]
    diverged: tuple[int, ...]
    learning_rate: float | None
    task: Task
    descent: Descent
    reasons: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        lost = f", {len(self.diverged)} diverged" if self.diverged else ""
        return f"Ensemble({self.task.name!r}, {self.count} members{lost}, learners: {', '.join(self.train)})"

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        found = self.summary()
        return f"Ensemble on {self.task.name}", {n: v for n, v in found.items() if n != "reasons"}

    @property
    def mean(self) -> dict[str, Array]:
        """Mean by learner, (T, n', o), on the test inputs; on the training inputs where there is no test split."""
        return {name: moments.mean for name, moments in self._shown.items()}

    @property
    def variance(self) -> dict[str, Array]:
        """Variance by learner, of the same shape: unbiased for finite networks (ddof = 1), exact at infinite width."""
        return {name: moments.variance for name, moments in self._shown.items()}

    def summary(self) -> dict[str, Any]:
        """One flat row of JSON values, at the last recorded step and on the inputs of `mean`.

        ``deviation_…``: RMS over samples and outputs of the standard deviation of each learner. With infinite width,
        ``mean_error_…``: RMS(mean − mean at infinite width) in units of the RMS deviation there, which sampling alone
        makes about 1/√count. None with a reason where a learner has no value.
        """
        numbers = {f"deviation_{name}": _size(moments.variance[-1]) for name, moments in self._shown.items()}
        if (limit := self._shown.get(INFINITE)) is not None:
            unit = _size(limit.variance[-1]) or np.nan
            finite = {name: moments for name, moments in self._shown.items() if name != INFINITE}
            numbers |= {f"mean_error_{n}": float(rms(m.mean[-1] - limit.mean[-1])) / unit for n, m in finite.items()}
        known = {name: value if np.isfinite(value) else None for name, value in numbers.items()}
        missing = dict.fromkeys((name for name, value in known.items() if value is None), self._missing())
        counts = {"count": self.count, "diverged": len(self.diverged), "learning_rate": self.learning_rate}
        return {**counts, **known, "reasons": {**self.reasons, **missing}}

    def plot(self, step: int = -1, output: int = 0) -> Figure:
        """A panel for each learner with mean ± 2 standard deviations, infinite width in all of them.

        Against the input where samples differ in one number alone (see `lab.tasks.curve`), else sample by sample.

        Parameters
        ----------
        step
            A recorded step; −1 is the last one.
        output
            Which of the outputs of a sample.

        Raises
        ------
        LabError
            A step that was not recorded, an output that there is not.
        """
        from lab.figures import ensembles, style

        row, places = self._row(step), coordinate(self.task)
        spreads = self._spreads(row, output)
        infinite = spreads.pop(INFINITE, None)
        with style.use():
            figure, axes = style.panels(len(spreads), sharey=True)
            for ax, (learner, spread) in zip(axes[0], spreads.items(), strict=True):
                if places is None:
                    ensembles.bars(ax, {learner: spread}, infinite)
                else:
                    x = places[0] if places[1] is None else places[1]
                    ensembles.bands(ax, x, {learner: spread}, infinite)
                    if self.descent.criterion.in_output_units:
                        targets = self.task.train_targets.flatten(1)[:, output]
                        ensembles.training_points(ax, places[0], targets.numpy())
                    ax.set_xlabel("input")
                    style.legend_below(ax, columns=2)
                ax.set_title(learner)
            for ax in axes[0, 1:]:
                ax.set_ylabel("")
            members = f"{self.count} of {len(self.seeds)}" if self.diverged else f"{self.count}"
            style.headline(figure, f"{self.task.name}, {members} networks after {self.steps[row]:,} steps")
        return figure

    @property
    def _shown(self) -> Mapping[str, Moments]:
        return self.train if self.test is None else self.test

    def _row(self, step: int) -> int:
        check_integer("step", step, -1)
        rows = np.flatnonzero(self.steps == (self.steps[-1] if step == -1 else step))
        if not len(rows):
            nearest = int(self.steps[np.abs(self.steps - step).argmin()])
            refuse("step", repr(step), "a recorded step, or −1 for the last", f"the nearest one is {nearest}")
        return int(rows[0])

    def _spreads(self, row: int, output: int) -> dict[str, tuple[Array, Array]]:
        """Mean and standard deviation (n',) of one output by learner."""
        outputs = self.mean["network"].shape[2]
        check_integer("output", output, 0)
        if output >= outputs:
            refuse("output", repr(output), f"0 to {outputs - 1}", "pass output=0")
        every = self._shown.items()
        return {name: (each.mean[row, :, output], each.deviation[row, :, output]) for name, each in every}

    def _missing(self) -> str:
        return f"{len(self.diverged)} of {len(self.seeds)} members diverged" if self.diverged else "not finite"


def ensemble(
    make: Make,
    task: Task | tuple[Any, Any],
    descent: Descent,
    *,
    seeds: int | Sequence[int] = 50,
    same_rate: bool = True,
    progress: bool = True,
) -> Ensemble:
    """Mean and variance over initializations of the three learners, and of the network of infinite width.

    Each member is trained by `lab.side_by_side`, and only running means and squares are kept: one member is in memory
    at a time. Infinite width is computed in closed form from its NNGP and tangent kernels, see
    `lab.learners.gaussian.GaussianTraining`: for an `ElmanRNN` that is not centred, in the "ntk" parametrization, with
    the squared loss and without an optimizer of torch.optim. Its kernel is that of the parameters that ``make`` trains.

    Only where the readout B alone is trained does the variance at infinite width tend to that of a Gaussian-process
    posterior, and stay at or below the prior's. Otherwise it may exceed the prior.

    Parameters
    ----------
    make
        From a seed to a network or torch.nn.Module at initialization. torch's random numbers are seeded by it during
        the call, and restored afterwards, so that modules that draw from torch alone need not do so.
    task
        A `Task`, or a pair (X, y) without a test split.
    descent
        See `Descent`. What it records is recorded of all.
    seeds
        How many members, with seeds 0, 1, …; or the seeds themselves. At least two.
    same_rate
        Whether finite members descend at the learning rate of infinite width, 2c(1 + momentum)/λ_max of its kernel, so
        that a step is the same for all. False, or no limit: each at its own critical fraction. A narrow network whose
        λ_max is far above the limit's may diverge at the common rate.
    progress
        Whether a progress bar appears when the work takes longer than about two seconds.

    Raises
    ------
    LabError
        Fewer than two seeds, or one twice; a ``make`` that is no function or gives equal networks for two seeds; and
        what `side_by_side` refuses.

    Examples
    --------
    >>> import lab
    >>> task = lab.tasks.curve()
    >>> def make(seed):
    ...     return lab.ElmanRNN.like(task, 64, seed=seed, activation="erf", parametrization="ntk")
    >>> found = ensemble(make, task, lab.Descent(20), seeds=3)
    >>> found.mean["network"].shape, list(found.variance)
    ((21, 101, 1), ['network', 'linearized', 'kernel', 'infinite'])

    References
    ----------
    Lee et al., "Wide neural networks of any depth evolve as linear models under gradient descent", NeurIPS 2019.
    """
    task, chosen = as_task(task), _seeds(seeds)
    check_descent(descent)
    first = _first(make, chosen, lambda network: objective(as_network(network), task, descent.loss))
    with shown(progress):
        limit, reason = _limit(first, task, descent)
        rate = descent.learning_rate if limit is None else limit.learning_rate(descent)
        infinite = None if limit is None else limit.moments(descent, rate)
        del first
        common = limit is not None and same_rate
        each = replace(descent, critical_fraction=None, learning_rate=rate) if common else descent
        finite = _collect(make, task, each, chosen)
    splits = {split: _by_learner(finite, infinite, split) for split in ("train", "test")}
    return Ensemble(
        steps=descent.recorded(),
        train=splits["train"],
        test=splits["test"] if task.has_test else None,
        count=len(chosen) - len(finite.diverged),
        seeds=chosen,
        diverged=tuple(finite.diverged),
        learning_rate=rate,
        task=task,
        descent=descent,
        reasons=finite.reasons | ({} if reason is None else {INFINITE: reason}),
    )


@dataclass
class _Finite:
    """What is kept of the members: running moments by learner and split, seeds that diverged, reasons."""

    running: dict[tuple[str, str], RunningMoments] = field(default_factory=dict)
    diverged: list[int] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)

    def add(self, seed: int, learners: Mapping[str, Trajectory]) -> None:
        """Take a member into account, unless one of its learners diverged."""
        counts = all(each.diverged_at is None for each in learners.values())
        for name, learner in learners.items():
            for split, values in (("train", learner.train), ("test", learner.test)):
                if values is not None:
                    running = self.running.setdefault((name, split), RunningMoments(values.shape))
                    if counts:
                        running.add(values)
        self.diverged += [] if counts else [seed]


def _collect(make: Make, task: Task, descent: Descent, seeds: tuple[int, ...]) -> _Finite:
    found = _Finite()
    with bar(len(seeds), "ensemble", "network") as counter:
        for seed in seeds:
            learners, reasons = _member(make, seed, task, descent)
            found.add(seed, learners)
            found.reasons |= {name: reason for name, reason in reasons.items() if name == "kernel"}
            counter.update()
    return found


def _member(make: Make, seed: int, task: Task, descent: Descent) -> tuple[dict[str, Trajectory], Mapping[str, str]]:
    """One member's trajectories; its networks are given up on return, before the next one is made."""
    result = side_by_side(_made(make, seed), task, descent, progress=False)
    return result.learners, result.reasons


def _made(make: Make, seed: int) -> Any:
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        return make(seed)


def _first(make: Make, seeds: tuple[int, ...], check: Callable[[Any], object]) -> Any:
    """The first network, once it passes a check and differs from the second."""
    fix = "pass a function such as lambda seed: lab.ElmanRNN.like(task, 256, seed=seed, parametrization='ntk')"
    if not callable(make) or isinstance(make, torch.nn.Module):
        refuse("make", type(make).__name__, "a function from a seed to a network", fix)
    check(first := _made(make, seeds[0]))
    pairs = zip(_weights(first), _weights(_made(make, seeds[1])), strict=False)
    if all(one.shape == other.shape and torch.equal(one, other) for one, other in pairs):
        refuse("make", f"equal weights for seeds {seeds[0]} and {seeds[1]}", "another network for each seed", fix)
    return first


def _weights(network: Any) -> list[Tensor]:
    """All parameters and buffers of a module; of another network of the lab what it trains."""
    if not isinstance(network, torch.nn.Module):
        return list(as_network(network).trained.values())
    return [*network.parameters(), *network.buffers()]


def _seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    if not isinstance(seeds, (Sequence, np.ndarray)) or isinstance(seeds, str):
        check_integer("seeds", seeds, 2)
        return tuple(range(operator.index(seeds)))
    for seed in seeds:
        check_seed("seeds", seed)
    if len(seeds) < 2 or len(set(seeds)) < len(seeds):
        refuse("seeds", repr(seeds), "at least two different seeds", "pass seeds=50, or range(50)")
    return tuple(operator.index(seed) for seed in seeds)


def _limit(network: Any, task: Task, descent: Descent) -> tuple[GaussianTraining | None, str | None]:
    """Infinite width, or why there is none."""
    if (reason := _no_limit(network, descent)) is not None:
        return None, reason
    return GaussianTraining.at(network, task), None


def _no_limit(network: Any, descent: Descent) -> str | None:
    if not isinstance(network, ElmanRNN):
        return f"the kernels of {type(network).__name__} at infinite width are not known here, only those of ElmanRNN"
    if network.centred:
        return "a centred network starts from 0: at infinite width its outputs do not vary"
    if (style := network.parametrization.style) != "ntk":
        return f"the closed form is that of parametrization='ntk', not {style!r}"
    if descent.optimizer is not None:
        return "an optimizer of torch.optim has no closed form"
    if not isinstance(descent.criterion, Squared):
        return f"outputs do not stay Gaussian under loss={descent.criterion.name!r}"
    return None


def _by_learner(finite: _Finite, infinite: Mapping[str, Moments] | None, split: str) -> dict[str, Moments]:
    found = {name: running.moments() for (name, each), running in finite.running.items() if each == split}
    return found if infinite is None or split not in infinite else {**found, INFINITE: infinite[split]}


def _size(variance: Array) -> float:
    """RMS of the standard deviation."""
    return float(np.sqrt(variance.mean()))
