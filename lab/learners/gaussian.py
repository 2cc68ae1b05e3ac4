"""Gradient descent at infinite width: mean and variance of the outputs over initializations, in closed form.

As the width grows, the initial outputs f₀ become a Gaussian process with covariance 𝒦 (the NNGP kernel). The tangent
kernel Θ becomes deterministic, and stays what it is. Training then is the linear map of `KernelRegressor`,

    f_t(X) = y + D_t (f₀(X) − y),        f_t(x) = f₀(x) + D_t(x) (f₀(X) − y),

the same for all initializations. Outputs stay Gaussian, and only the map D is needed for their mean and covariance. For
full batches without momentum D_t = (I − ηΘ)^t and D_t(x) = −Θ(x, X) Θ⁻¹ (I − (I − ηΘ)^t).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.errors import refuse
from lab.kernels.infinite import infinite_nngp, infinite_ntk
from lab.kernels.spectrum import Spectrum
from lab.learners.descent import Descent
from lab.learners.kernel import KernelRegressor
from lab.learners.moments import Moments
from lab.losses import Squared
from lab.networks.elman import ElmanRNN
from lab.tasks.task import Task

Array = NDArray[np.float64]

_BLOCK = 32  # samples whose prior covariance is formed for its diagonal


@dataclass(frozen=True, eq=False)
class GaussianTraining:
    """Descent on the squared loss from f₀ ~ N(0, 𝒦), with a constant tangent kernel Θ.

    At t = 0 the variance is the prior 𝒦(x, x). Where only the readout B is trained, Θ is proportional to 𝒦. Below the
    critical rate and without momentum the variance then falls from step to step, never exceeds the prior, and tends to
    that of Bayesian inference with the prior 𝒦 and no noise. For any other Θ it tends to no posterior, and may exceed
    the prior.

    Attributes
    ----------
    ntk, nngp
        Θ and 𝒦 on the training set, shared by the outputs: (n, n), or (n, s, n, s) for s observed time steps.
    targets
        y, (n, o), time first.
    test_ntk, test_nngp
        Θ(x, X) and 𝒦(x, X), (n', n) or (n', s, n, s); None without a test split.
    test_prior
        𝒦(x, x), (n',) or (n', s).

    References
    ----------
    Lee et al., "Wide neural networks of any depth evolve as linear models under gradient descent", NeurIPS 2019
    (there for gradient flow).
    """

    ntk: Tensor
    nngp: Tensor
    targets: Tensor
    test_ntk: Tensor | None = None
    test_nngp: Tensor | None = None
    test_prior: Tensor | None = None

    @classmethod
    def at(cls, network: ElmanRNN, task: Task) -> GaussianTraining:
        """The limit of a network's own architecture, readout and trained set; its weights are not read."""
        X, x = task.train_inputs, task.test_inputs
        ntk, nngp = (kernel(network, X, shared=True) for kernel in (infinite_ntk, infinite_nngp))
        targets = task.train_targets.flatten(1)
        if x is None:
            return cls(ntk, nngp, targets)
        cross = [kernel(network, x, X, shared=True) for kernel in (infinite_ntk, infinite_nngp)]
        own = [_diagonal(infinite_nngp(network, part, shared=True)) for part in torch.split(x, _BLOCK)]
        return cls(ntk, nngp, targets, cross[0], cross[1], torch.cat(own))

    @cached_property
    def spectrum(self) -> Spectrum:
        """Of Θ on the training set."""
        return Spectrum(self.ntk)

    def learning_rate(self, descent: Descent) -> float:
        """η of this descent: its own, or its critical fraction of 2(1 + momentum)/λ_max(Θ)."""
        _check(descent)
        rate = descent.rate(self.spectrum.lambda_max)
        assert rate is not None
        return rate

    def moments(self, descent: Descent, learning_rate: float | None = None) -> dict[str, Moments]:
        """Mean and variance at the recorded steps, for the splits "train" and "test" that there are.

        Momentum and mini-batches are exact, as for `KernelRegressor`: for the given order of batches. With T recorded
        steps and n' test samples it takes memory for T n (n + n') numbers.

        Raises
        ------
        LabError
            A loss other than the squared one, or an optimizer of torch.optim.
        """
        rate = self.learning_rate(descent) if learning_rate is None else learning_rate
        response = self._response(descent, rate)
        rows, aims = self.spectrum.vectors.shape[0], _double(self.targets)
        prior = _double(self.nngp).reshape(rows, rows)
        y = aims.reshape(rows, -1)
        left = response["train"]  # D_t
        found = {"train": self._shaped(y - left @ y, ((left @ prior) * left).sum(2))}
        if self.test_nngp is not None and self.test_prior is not None:
            change, cross = response["test"], _double(self.test_nngp).reshape(-1, rows)  # D_t(x), 𝒦(x, X)
            own = _double(self.test_prior).reshape(-1)
            found["test"] = self._shaped(-change @ y, own + (change * (2 * cross + change @ prior)).sum(2))
        return found

    def _response(self, descent: Descent, learning_rate: float) -> Mapping[str, Array]:
        """D_t (T, n·s, n·s) and D_t(x) (T, n'·s, n·s): what becomes of a unit of each initial output, with y = 0.

        Each unit vector counts as one more output that shares the kernel, and all are trained at once.
        """
        _check(descent)
        samples, rows = len(self.targets), self.spectrum.vectors.shape[0]
        units = torch.eye(rows, dtype=torch.float64).reshape(samples, -1)
        held_out = None if self.test_ntk is None else units.new_zeros(len(self.test_ntk), units.shape[1])
        start = units, torch.zeros_like(units), self.test_ntk, held_out
        trained = KernelRegressor(self.ntk, *start, spectrum=self.spectrum).trajectory(descent, learning_rate)
        splits = {"train": trained.train, "test": trained.test}
        return {name: each.reshape(len(each), -1, rows) for name, each in splits.items() if each is not None}

    def _shaped(self, mean: Array, variance: Array) -> Moments:
        """From means (T, n·s, q) and variances (T, n·s), cut off at 0, to (T, n, s·q); q outputs share a variance."""
        steps, o = len(mean), self.targets.shape[1]
        spread = np.repeat(np.maximum(variance, 0.0)[..., None], mean.shape[-1], axis=-1)
        return Moments(mean.reshape(steps, -1, o), spread.reshape(steps, -1, o))


def _diagonal(kernel: Tensor) -> Tensor:
    """𝒦(x, x) from a shared kernel: (n,) from (n, n), (n, s) from (n, s, n, s)."""
    rows = kernel.shape[: kernel.ndim // 2]
    return kernel.reshape(rows.numel(), rows.numel()).diagonal().reshape(rows)


def _double(values: Tensor) -> Array:
    return np.asarray(values.detach().to("cpu", torch.float64).numpy())


def _check(descent: Descent) -> None:
    """Refuse what is not linear in the outputs."""
    if descent.optimizer is not None:
        refuse("descent", "an optimizer of torch.optim", "plain descent or momentum", "give it a critical fraction")
    if not isinstance(descent.criterion, Squared):
        came = f"loss={descent.criterion.name!r}"
        refuse("descent", came, "the squared loss, under which outputs stay Gaussian", "leave the loss out")
