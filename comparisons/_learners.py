"""Learners of one choice each: the same number of candidates for everyone, to be chosen from by validation.

Every function takes the data and a cell, and returns outputs on the held-out samples for each candidate: a stopping
time of gradient descent, a ridge penalty, a number of neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lab.kernels.empirical import empirical_ntk
from lab.kernels.infinite import infinite_ntk
from lab.kernels.spectrum import Spectrum
from lab.learners.descent import Descent
from lab.learners.kernel import KernelRegressor
from lab.learners.network import descend
from lab.networks.elman import ElmanRNN
from lab.networks.parametrization import Parametrization
from lab.networks.scaled import Scaled

CANDIDATES = 8
TRAINED = ("W", "A", "B")
ALPHAS = (0.3, 0.1)  # of the network with a small output scale: half of the stopping times for each
SMALL, LARGE = 0.25, 2.0  # critical fractions c


@dataclass(frozen=True)
class Data:
    """Inputs (n, L, p) and targets (n, q): the first ``fit`` samples are learnt, the rest is held out."""

    inputs: Tensor
    targets: Tensor
    fit: int

    @property
    def learnt(self) -> tuple[Tensor, Tensor]:
        """Inputs and targets that are learnt."""
        return self.inputs[: self.fit], self.targets[: self.fit]

    @property
    def held_out(self) -> Tensor:
        """The other inputs."""
        return self.inputs[self.fit :]


@dataclass(frozen=True)
class Candidates:
    """What the candidates answer.

    Attributes
    ----------
    values
        The one choice of each, (k,).
    outputs
        On the held-out samples, (k, n', q).
    choice
        What the values are: "kernel time", "penalty" or "neighbours".
    diverged_at
        Gradient step at which descent diverged, if it did.
    """

    values: Sequence[float]
    outputs: np.ndarray
    choice: str
    diverged_at: int | None = None


def candidates(name: str, data: Data, cell: Mapping[str, Any]) -> Candidates:
    """All candidates of the learner of this name; a cell says width, seed, kernel time and momentum."""
    return LEARNERS[name](data, cell)


def descent(cell: Mapping[str, Any], critical_fraction: float, every: slice = slice(None)) -> Descent:
    """Gradient descent that is looked at where its kernel time comes next to one of the stopping times."""
    times = np.geomspace(cell["kernel_time"] / 32, cell["kernel_time"], CANDIDATES)[every]
    steps = np.maximum(np.rint(times / _pace(cell, critical_fraction)), 1).astype(int).tolist()
    return Descent(steps[-1], critical_fraction, momentum=cell["momentum"], record=tuple(steps))


def _pace(cell: Mapping[str, Any], critical_fraction: float) -> float:
    """Kernel time of one step: ηλ_max/2 over 1 − β, with η = 2c(1 + β)/λ_max."""
    return critical_fraction * (1 + cell["momentum"]) / (1 - cell["momentum"])


def _at_each(descent: Descent, found: Mapping[int, np.ndarray]) -> np.ndarray:
    """Outputs (k, n', q) at all recorded steps, of which some may come twice."""
    assert isinstance(descent.record, tuple)
    return np.stack([found[step] for step in descent.record])


def _elman(data: Data, cell: Mapping[str, Any], outputs: int, **settings: Any) -> ElmanRNN:
    choices = {"trained": TRAINED, "seed": cell["seed"], **settings}
    return ElmanRNN(cell["width"], data.inputs.shape[2], outputs, **choices)


def _network(
    data: Data, cell: Mapping[str, Any], critical_fraction: float, alpha: float = 1.0, every: slice = slice(None)
) -> Candidates:
    """The network itself, centred at initialization, along gradient descent."""
    network = Scaled(_elman(data, cell, data.targets.shape[1], dtype=torch.float32), alpha)
    plan, held_out = descent(cell, critical_fraction, every), data.held_out.float()
    lost = np.full((len(held_out), data.targets.shape[1]), np.nan)
    found = dict.fromkeys(plan.recorded().tolist(), lost)
    path = descend(network, data.learnt, plan)
    for snapshot in path:
        with torch.no_grad():
            found[snapshot.step] = snapshot.network(held_out).double().numpy()
    if path.diverged_at is not None:  # also what came before does not count
        found = dict.fromkeys(found, lost)
    return Candidates(_times(cell, plan), _at_each(plan, found), "kernel time", path.diverged_at)


def _times(cell: Mapping[str, Any], plan: Descent) -> list[float]:
    """Kernel times of the recorded steps."""
    assert isinstance(plan.record, tuple)
    assert plan.critical_fraction is not None
    return [step * _pace(cell, plan.critical_fraction) for step in plan.record]


def _small_scale(data: Data, cell: Mapping[str, Any]) -> Candidates:
    """One network for each α; they have diverged together only if no one is left."""
    arms = [_network(data, cell, SMALL, alpha, slice(1, None, 2)) for alpha in ALPHAS]
    values = [value for arm in arms for value in arm.values]
    ends = [arm.diverged_at for arm in arms if arm.diverged_at is not None]
    outputs = np.concatenate([arm.outputs for arm in arms])
    return Candidates(values, outputs, "kernel time", ends[0] if len(ends) == len(arms) else None)


def _linearized(data: Data, cell: Mapping[str, Any]) -> Candidates:
    network = _elman(data, cell, data.targets.shape[1], dtype=torch.float32)
    inputs = data.learnt[0]
    return _stopped(data, cell, empirical_ntk(network, inputs), empirical_ntk(network, data.held_out, inputs))


def _kernel(data: Data, cell: Mapping[str, Any], *, ridge: bool = False) -> Candidates:
    one = Parametrization(sigma_v=data.targets.shape[1] ** -0.5)  # outputs are alike, each with Var B = 1/q
    network, inputs = _elman(data, cell, 1, device="meta", parametrization=one), data.learnt[0]
    pair = infinite_ntk(network, inputs), infinite_ntk(network, data.held_out, inputs)
    return _ridges(data, *pair) if ridge else _stopped(data, cell, *pair)


def _features(data: Data, cell: Mapping[str, Any]) -> Candidates:
    network, inputs = _elman(data, cell, 1, trained=("B",)), data.learnt[0]
    return _ridges(data, empirical_ntk(network, inputs), empirical_ntk(network, data.held_out, inputs))


def _linear(data: Data, cell: Mapping[str, Any]) -> Candidates:
    flat = data.inputs.flatten(1)
    gram = flat @ flat[: data.fit].T + 1.0
    return _ridges(data, gram[: data.fit, None, :, None], gram[data.fit :, None, :, None])


def _neighbours(data: Data, cell: Mapping[str, Any]) -> Candidates:
    flat = data.inputs.flatten(1)
    counts = [min(2 * place + 1, data.fit) for place in range(CANDIDATES)]
    nearest = torch.cdist(flat[data.fit :], flat[: data.fit]).topk(counts[-1], largest=False).indices
    votes = data.targets[nearest].cumsum(1)
    return Candidates(counts, np.stack([(votes[:, k - 1] / k).numpy() for k in counts]), "neighbours")


def _stopped(data: Data, cell: Mapping[str, Any], kernel: Tensor, cross: Tensor) -> Candidates:
    """Gradient descent with a kernel, stopped at the stopping times."""
    spectrum, plan = Spectrum(kernel), descent(cell, SMALL)
    rate = plan.rate(spectrum.lambda_max)
    assert rate is not None
    parts = [each.trajectory(plan, rate) for each in _regressors(data, kernel, cross, spectrum)]
    whole = np.concatenate([part.test for part in parts], axis=2)
    found = dict(zip(parts[0].steps.tolist(), whole, strict=True))
    return Candidates(_times(cell, plan), _at_each(plan, found), "kernel time")


def _ridges(data: Data, kernel: Tensor, cross: Tensor) -> Candidates:
    """Ridge regression with penalties λ_max, λ_max/10, …, in units of the kernel's largest eigenvalue."""
    spectrum = Spectrum(kernel)
    penalties = 10.0 ** -np.arange(CANDIDATES)
    regressors = _regressors(data, kernel, cross, spectrum)
    found = [[each.ridge(spectrum.lambda_max * penalty)[1] for each in regressors] for penalty in penalties]
    return Candidates(penalties.tolist(), np.stack([np.concatenate(columns, axis=1) for columns in found]), "penalty")


def _regressors(data: Data, kernel: Tensor, cross: Tensor, spectrum: Spectrum) -> list[KernelRegressor]:
    """One regressor for all outputs, or one for each where the kernel (n, 1, n, 1) is the same for all of them."""
    targets = data.learnt[1]
    parts = targets.split(kernel.shape[1], dim=1)
    start = torch.zeros(len(data.held_out), kernel.shape[1])
    return [KernelRegressor(kernel, torch.zeros_like(part), part, cross, start, spectrum=spectrum) for part in parts]


LEARNERS: dict[str, Callable[[Data, Mapping[str, Any]], Candidates]] = {
    "network": lambda data, cell: _network(data, cell, SMALL),
    "network_large_step": lambda data, cell: _network(data, cell, LARGE),
    "network_small_scale": _small_scale,
    "linearized": _linearized,
    "kernel": _kernel,
    "kernel_ridge": lambda data, cell: _kernel(data, cell, ridge=True),
    "features": _features,
    "ridge": _linear,
    "neighbours": _neighbours,
}
