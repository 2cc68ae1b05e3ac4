"""Recurrent tangent kernels for Gaussian processes, support vector machines and whatever else takes a kernel."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.gaussian_process.kernels import Kernel
from torch import Tensor

from lab.arrays import as_array
from lab.errors import check_choice, refuse
from lab.estimators.learners import KERNELS, elman, kernel_of
from lab.estimators.series import flat, layout
from lab.networks.elman import ElmanRNN
from lab.networks.parametrization import Parametrization

Array = NDArray[np.float64]

_BLOCK = 32  # series whose kernel is formed for its diagonal


class TangentKernel(Kernel):  # type: ignore[misc]
    """Kernel of a recurrent network with one output, as scikit-learn's Gaussian processes know kernels.

    It has no hyperparameters of its own to optimize; ``ConstantKernel() * TangentKernel() + WhiteKernel()`` has. Being
    callable, it also serves as ``SVC(kernel=TangentKernel())`` and ``KernelRidge(kernel=TangentKernel())``.

    Parameters
    ----------
    kind
        "infinite", "nngp" or "empirical", as ``kernel`` of `TangentKernelRegressor`.
    width, activation, readout, trained, parametrization, random_state
        As for `TangentKernelRegressor`.
    length
        Time steps of series that come flattened, (n, L·p); Gaussian processes and SVC take no others.

    Raises
    ------
    LabError
        When called: parameters out of range, or X that is no array of series.

    References
    ----------
    Alemohammad et al., "The Recurrent Neural Tangent Kernel", ICLR 2021.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> X = np.random.default_rng(0).standard_normal((30, 5))
    >>> SVC(kernel=TangentKernel(), C=100).fit(X, X[:, 0] > 0).score(X, X[:, 0] > 0)
    1.0
    """

    def __init__(
        self,
        kind: str = "infinite",
        *,
        width: int = 256,
        activation: str = "relu",
        readout: str = "last",
        trained: Collection[str] | None = None,
        parametrization: str | Parametrization | None = None,
        length: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.kind, self.width, self.activation, self.readout = kind, width, activation, readout
        self.trained, self.parametrization, self.length, self.random_state = (
            trained,
            parametrization,
            length,
            random_state,
        )

    def __call__(self, X: ArrayLike, Y: ArrayLike | None = None, eval_gradient: bool = False) -> Any:
        """K(X, Y) of shape (n, n'), and with ``eval_gradient`` its (empty) gradient (n, n, 0) as well."""
        series = self._series(X)
        network = self._network(series)
        gram = _matrix(kernel_of(network, self.kind, series, None if Y is None else self._series(Y)))
        return (gram, np.empty((*gram.shape, 0))) if eval_gradient else gram

    def diag(self, X: ArrayLike) -> Array:
        """K(x, x) of each series, shape (n,)."""
        series = self._series(X)
        network = self._network(series)
        blocks = [np.diagonal(_matrix(kernel_of(network, self.kind, part))) for part in torch.split(series, _BLOCK)]
        return np.concatenate(blocks)

    def is_stationary(self) -> bool:
        """False: it depends on more than x − x'."""
        return False

    def _series(self, X: ArrayLike) -> Tensor:
        values, came = flat(X)
        array = as_array("X", values)
        if array.ndim != 2 or not array.size or not np.isfinite(array).all():
            fix = "pass finite series (n, L), (n, L, p), or (n, L·p) with length=L"
            refuse("X", f"shape {array.shape}, finite: {bool(np.isfinite(array).all())}", "finite series", fix)
        return torch.tensor(array).reshape(len(array), *layout(array.shape[1], self.length, came))

    def _network(self, series: Tensor) -> ElmanRNN:
        check_choice("kind", self.kind, KERNELS)
        return elman(self, series.shape[2], 1, "cpu" if self.kind == "empirical" else "meta")


def _matrix(gram: Tensor) -> Array:
    """(n, n') from either form of a kernel with one output."""
    return np.asarray(gram.detach().double().cpu().numpy().reshape(gram.shape[0], -1))
