"""A watch on somebody's own training: how linear its path is, and how far weights, kernel and features have moved."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from lab.arrays import as_tensor, check_data
from lab.errors import LabWarning, check_number, refuse
from lab.html import Facts
from lab.jacobians.jacobian import Tangent
from lab.losses import Loss, LossFunction, as_loss
from lab.measures.motion import gate_flips
from lab.networks.network import Network
from lab.watch import probe as measures
from lab.watch.features import changes
from lab.watch.probe import Nonlinearity, Probe, Row
from lab.watch.twin import Readout, Twin, undisturbed
from lab.watch.verdict import LAZY, RICH, judge

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

#: Columns of `Watch.table`, in this order.
COLUMNS = (
    *("step", "nonlinearity", "nonlinearity_since_last", "relative_weight_motion", "weight_motion", "kernel_distance"),
    *("kernel_velocity", "kernel_norm_ratio", "kernel_drift", "alignment", "effective_rank", "lambda_max"),
    *("critical_fraction", "gate_flips", "feature_change", "buffer_effect", "probe_loss", "seconds"),
)


@dataclass(frozen=True)
class Point:
    """A point of the path that later ones are compared with: parameters, and the kernel of the probes there."""

    step: float
    parameters: Tangent
    kernel: Tensor


class _Look(NamedTuple):
    """What one look finds: a row of the table, the motions by name, and the point for later looks."""

    row: Row
    parameters: dict[str, float]
    features: dict[str, float]
    point: Point


class Watch(Facts):
    """Measures on a few probe samples what a training does to a network, without a second training.

    Make it at any moment of your own training loop, at the start as a rule, and call `look` now and then. It holds for
    any optimizer, loss, schedule and data, since it looks at the path of the weights alone.

    Parameters
    ----------
    module
        The module that you train (or a network of the lab). It is only read, in any mode; measurements run on a copy in
        evaluation mode, so that dropout is off and batch norm uses its running statistics; weights of half precision
        are float32 there. Training with looks equals training without, to the bit. Parameters that require gradients
        now are judged, so freeze what stays frozen before.
    probe_inputs
        Samples (n, …) to look at, 32 to 256 as a rule. Samples times outputs above 512 are projected: see
        ``projection``.
    probe_targets
        Their targets, as the loss takes them; for the probe loss, the alignment, and judging when it is too early.
    outputs
        A function of what the module returns that gives one tensor, samples first: for modules that return tuples,
        dicts or objects, such as ``lambda result: result.logits``.
    loss
        As in `lab.Descent`: the loss of a sample that your training averages over a batch. "squared", ½Σ(f − y)², if
        not given.

    Attributes
    ----------
    start
        The columns of the table that have a value before training, by name.
    noise
        Noise floors by column: what differs when the probes are evaluated in the opposite order. ``nonlinearity`` is
        NaN while the outputs have changed by less than ten times theirs.
    projection
        None, or in words how the outputs were projected.

    Raises
    ------
    LabError
        Modules that `lab.as_network` refuses in evaluation mode, and that cannot be copied; outputs that are no tensor
        with one row for each probe; targets that the loss does not take.

    References
    ----------
    Fort et al., "Deep learning versus kernel learning", NeurIPS 2020 (kernel distance). Chizat, Oyallon, Bach, "On Lazy
    Training in Differentiable Programming", NeurIPS 2019.

    Examples
    --------
    >>> module = torch.nn.Sequential(torch.nn.Linear(4, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1))
    >>> X = torch.linspace(-1, 1, 64).view(16, 4)
    >>> watch, optimizer = Watch(module, X, X[:, :1]), torch.optim.SGD(module.parameters(), lr=0.01)
    >>> for step in range(1, 101):
    ...     optimizer.zero_grad()
    ...     (0.5 * (module(X) - X[:, :1]).square().sum(1)).mean().backward()
    ...     optimizer.step()
    >>> row = watch.look(100)
    >>> 0 < row["nonlinearity"] < 1, len(watch.table)
    (True, 1)
    """

    def __init__(
        self,
        module: torch.nn.Module | Network,
        probe_inputs: Any,
        probe_targets: Any = None,
        *,
        outputs: Readout | None = None,
        loss: str | Loss | LossFunction | None = None,
    ) -> None:
        started = time.perf_counter()
        inputs = check_data("probe_inputs", as_tensor("probe_inputs", probe_inputs)).detach().clone()
        inputs = inputs.float() if inputs.dtype in (torch.float16, torch.bfloat16) else inputs
        self._loss = as_loss("squared" if loss is None else loss)
        with undisturbed(module):
            twin = Twin.of(module, inputs, outputs)
            self._probe = Probe.of(twin, probe_targets, self._loss)
            self.projection = twin.project()
            twin.jacobian()  # which looks at the module in further passes, the first time
            jacobian, self._features = twin.observe()
            kernel, self._state = jacobian.gram(), twin.state()
            self._first = self._last = Point(0, twin.read(), kernel)
            self.noise = self._probe.noise(kernel)
            self.start = self._probe.alone(kernel, jacobian.outputs, None)
        self._rows: list[Row] = []
        self._each: dict[str, list[dict[str, float]]] = {"parameters": [], "features": []}
        self._began, self._looking = started, time.perf_counter() - started

    @property
    def module(self) -> torch.nn.Module | Network:
        """The module that is watched."""
        return self._probe.twin.original

    @property
    def table(self) -> pd.DataFrame:
        """One row for each look; the columns are described at `look`."""
        import pandas as pd

        return pd.DataFrame(self._rows, columns=list(COLUMNS), dtype=float)

    @property
    def parameters(self) -> pd.DataFrame:
        """‖θ_t − θ₀‖/‖θ₀‖ of each trained parameter, a row for each look."""
        return self._by_name("parameters")

    @property
    def features(self) -> pd.DataFrame:
        """Relative RMS change of the output of each hidden layer on the probes, a row for each look."""
        return self._by_name("features")

    @property
    def share_of_time(self) -> float:
        """Share of the time since the watch was made that its own work took."""
        return self._looking / (time.perf_counter() - self._began)

    def look(self, step: float, learning_rate: float | None = None, *, momentum: float = 0.0) -> Row:
        """Measure where training is, add a row to the table, and return it.

        Parameters
        ----------
        step
            Of your training, above that of the last look; steps are counted from when the watch was made.
        learning_rate, momentum
            Of plain SGD at this step, for ``critical_fraction``. Leave them out for adaptive optimizers.

        Returns
        -------
        dict
            ``step``; ``nonlinearity``, ‖f_t − f₀ − J₀(θ_t − θ₀)‖/‖f_t − f₀‖ on the probes: 0 on a linear path, tends to
            0 for any network early on, may exceed 1, NaN while nothing has changed; ``nonlinearity_since_last``, the
            same from the last look; ``relative_weight_motion`` ‖θ_t − θ₀‖/‖θ₀‖ and ``weight_motion``;
            ``kernel_distance``, 1 − cos of the angle between the tangent kernels K₀ and K_t; ``kernel_velocity``, the
            angle between this look's and the last one's, in radians per step; ``kernel_norm_ratio`` and
            ``kernel_drift``, ‖K_t‖/‖K₀‖ and ‖K_t − K₀‖/‖K₀‖; ``alignment`` of the kernel with the targets and
            ``effective_rank`` (see `lab.measures.evolution`); ``lambda_max`` of H^½ K_t H^½, H being the loss's
            curvature at today's outputs; ``critical_fraction``, η·λ_max/(n·2(1 + β)) for a loss that is averaged over
            the n samples, 1 at the edge of stability; ``gate_flips``, share of ReLU gates that differ from the start;
            ``feature_change``, relative RMS change of hidden layers' outputs, mean over layers; ``buffer_effect``,
            ‖f(θ₀, b_t) − f(θ₀, b₀)‖/‖f_t − f₀‖ of buffers such as those of batch norm, which all else leaves out;
            ``probe_loss``, per sample; ``seconds``. What has no value is None.

        Raises
        ------
        LabError
            A step that is not above the last one, weights that are not finite, a rate that is not positive, a module
            whose parameters have been replaced by others.

        Warns
        -----
        LabWarning
            If parameters are trained that were frozen when the watch was made.
        """
        self._check(step, learning_rate, momentum)
        started = time.perf_counter()
        twin = self._probe.twin
        _warn_of_unfrozen(twin.newly_trained())
        with undisturbed(twin.original), torch.no_grad():
            found = self._measure(step, None if learning_rate is None else learning_rate / (1 + momentum))
        seconds = time.perf_counter() - started
        row = {**found.row, "seconds": seconds}
        self._rows.append({name: row[name] for name in COLUMNS})
        self._each["parameters"].append(found.parameters)
        self._each["features"].append(found.features)
        self._last, self._looking = found.point, self._looking + seconds
        return dict(self._rows[-1])

    def point_at(self, module: torch.nn.Module | Network) -> None:
        """Watch another copy of the network from now on, such as one that was loaded again.

        Raises `LabError` if its parameters differ in name or shape.
        """
        self._probe.twin.point_at(module)

    def restart(self, first: Point, last: Point, state: Mapping[str, Tensor]) -> None:
        """Count from another start: where a saved watch was made, and where it last looked."""
        twin = self._probe.twin
        self._first, self._last, self._state = first, first if last.step == first.step else last, dict(state)
        with undisturbed(twin.original), torch.no_grad():
            twin.put(first.parameters, self._state)
            self._features = twin.observe()[1]
            self.noise = self._probe.noise(first.kernel)
            self.start = self._probe.alone(first.kernel, self._probe.outputs(), None)

    def plot(self) -> Figure:
        """One figure: how linear the path is, how far kernel, weights and features moved, the probe loss."""
        from lab.figures.watch import watch

        return watch(self.table, LAZY, RICH)

    def save(self, path: str | PathLike[str]) -> Path:
        """Write everything but the module to one npz file, without pickle; returns its path. See `load`."""
        from lab.watch.storage import save

        return save(self, path)

    @staticmethod
    def load(
        path: str | PathLike[str],
        module: torch.nn.Module | Network,
        *,
        outputs: Readout | None = None,
        loss: str | Loss | LossFunction | None = None,
    ) -> Watch:
        """The watch that `save` wrote, on a module of the same architecture; it goes on where it was.

        Functions are not stored: pass ``outputs``, and a ``loss`` that has no name, again. Raises `LabError` for
        another file, or another architecture.
        """
        from lab.watch.storage import load

        return load(path, module, outputs, loss)

    def verdict(self) -> str:
        """A sentence on whether training is lazy so far, with the numbers and thresholds it rests on."""
        return judge(self.start, self._rows[-1] if self._rows else {})[1]

    @property
    def regime(self) -> str:
        """The verdict in a word or two: "nothing yet", "too early", "lazy", "leaving" or "rich"."""
        return judge(self.start, self._rows[-1] if self._rows else {})[0]

    def _check(self, step: float, learning_rate: float | None, momentum: float) -> None:
        check_number("step", step, above=self._last.step)
        if learning_rate is not None:
            check_number("learning_rate", learning_rate, above=0)
        check_number("momentum", momentum, above=0, below=1, closed=True)

    def _measure(self, step: float, rate: float | None) -> _Look:
        probe, twin = self._probe, self._probe.twin
        today = twin.read()
        _check_finite(today)
        twin.refresh()
        has_new_state = twin.differs(self._state)
        twin.put(today)
        jacobian, seen = twin.observe()
        outputs, kernel = jacobian.outputs.double(), jacobian.gram()
        alone = probe.alone(kernel, outputs, rate)
        noise = self.noise["outputs"]
        by_last = probe.nonlinearity(outputs, today, self._last.parameters, noise)
        last = twin.jacobian().gram() if has_new_state else self._last.kernel
        by_first, first = by_last, last
        if self._last is not self._first:
            by_first = probe.nonlinearity(outputs, today, self._first.parameters, noise)
            first = twin.jacobian().gram() if has_new_state else self._first.kernel
        features = twin.observe()[1] if has_new_state else self._features
        buffers = self._effect_of_buffers(by_first) if has_new_state else None
        motion, each = measures.weights(today, self._first.parameters)
        layers = changes(seen.features, features.features)
        row: Row = {"step": float(step), "nonlinearity": by_first.ratio, **motion}
        row["nonlinearity_since_last"] = by_last.ratio
        row |= measures.kernels(kernel, first, last, step - self._last.step)
        row |= {"gate_flips": gate_flips(features.gates, seen.gates), "feature_change": measures.mean(layers)}
        row |= {"buffer_effect": buffers, **alone}
        return _Look(row, each, layers, Point(step, today, kernel))

    def _effect_of_buffers(self, start: Nonlinearity) -> float:
        """‖f(θ₀, b_t) − f(θ₀, b₀)‖/‖f_t − f₀‖; the twin holds θ₀ and today's buffers before and after."""
        twin = self._probe.twin
        today = twin.state()
        twin.put(self._first.parameters, self._state)
        effect = float((start.base - self._probe.outputs()).norm())
        twin.put(self._first.parameters, today)
        return measures.ratio(effect, start.change)

    def _by_name(self, what: str) -> pd.DataFrame:
        import pandas as pd

        steps = pd.Index([row["step"] for row in self._rows], name="step")
        return pd.DataFrame(self._each[what], index=steps)

    def __repr__(self) -> str:
        probes = f"{len(self._probe.twin.inputs)} probes, {len(self._rows)} looks"
        return f"Watch({type(self.module).__name__}, {probes}: {self.regime})"

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        last = {name: value for name, value in self._rows[-1].items() if name != "seconds"} if self._rows else {}
        share = f"{100 * self.share_of_time:.2g} %"
        facts = {**last, "verdict": self.verdict(), "projection": self.projection, "share of time": share}
        return f"Watch on {type(self.module).__name__}, {len(self._probe.twin.inputs)} probes", facts


def _warn_of_unfrozen(names: list[str]) -> None:
    if names:
        warnings.warn(
            f"{', '.join(names[:3])} did not require gradients when the watch was made; their motion counts as one of "
            "buffers. Make a new Watch where you unfreeze parameters.",
            LabWarning,
            stacklevel=3,
        )


def _check_finite(parameters: Tangent) -> None:
    broken = [name for name, value in parameters.items() if not bool(torch.isfinite(value).all())]
    if broken:
        fix = "look before training diverges; the rows so far are kept"
        refuse("module", f"weights that are not finite, in {', '.join(broken[:3])}", "finite weights", fix)
