"""Network, linearized network and tangent kernel as scikit-learn regressors and classifiers of series.

All six fit targets with outputs that start from 0 (`lab.Scaled`), so that none of them first has to forget its own f₀.
By the squared loss, targets lose their mean, and classes are ±1: one output for two classes, one per class for more. By
cross-entropy, classes are one-hot rows, neither centred nor scaled, with an output for each class, also for two.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d
from torch import Tensor

from lab.arrays import as_array
from lab.data.signs import sign_columns
from lab.errors import check_choice, check_integer, check_number, refuse
from lab.estimators.interpolation import BIAS, warn_unless_reproduced
from lab.estimators.logistic import descended, penalized
from lab.estimators.series import check_fit, check_predict
from lab.kernels.infinite import infinite_nngp, infinite_ntk
from lab.kernels.sharpness import jacobian_sharpness
from lab.kernels.spectrum import Spectrum, solve_definite
from lab.learners.descent import Descent, follow
from lab.learners.linearized import LinearizedNetwork
from lab.learners.network import descend
from lab.losses import LOSSES, Objective
from lab.networks.elman import ElmanRNN
from lab.networks.parametrization import Parametrization, parametrization
from lab.networks.scaled import Scaled
from lab.progress import bar

Array = NDArray[np.float64]

BIASED = Parametrization(style="ntk", sigma_b=BIAS)  #: what ``parametrization=None`` stands for

_CLASSIFYING = ("squared", "cross_entropy")  # losses of the classifiers
_ROWS = 256  # series answered at once, at most
_NUMBERS = 2**24  # of a kernel between them and the training series: 128 MiB


class _Series(BaseEstimator):  # type: ignore[misc]
    """What the estimators share: series in, targets in the unit of learning, answers in blocks."""

    series_shape_: tuple[int, int]
    intercept_: Array
    scale_: Array
    initial_: dict[str, Tensor]  # weights at initialization, where they are read

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit to series X, (n, L), (n, L, p) or flattened, and targets y; returns itself.

        Raises
        ------
        LabError
            Input that is no finite array of these shapes, parameters out of range, or training that diverged.
        """
        series, targets = self._checked(X, y)
        self.intercept_, self.scale_ = self._location(targets), self._scale(targets)
        self._learn(series, torch.from_numpy((targets - self.intercept_) / self.scale_))
        return self

    def _outputs(self, X: ArrayLike) -> Array:
        """Outputs (n, q)."""
        check_is_fitted(self)
        series = check_predict(self, X)
        blocks, outputs = torch.split(series, self._rows()), []
        with torch.no_grad(), bar(len(blocks), "prediction", unit="block") as counter:
            for block in blocks:
                outputs.append(self._respond(block).double().cpu().numpy())
                counter.update()
        return np.asarray(np.concatenate(outputs) * self.scale_ + self.intercept_)

    def _rows(self) -> int:
        """How many series are answered at once."""
        return _ROWS

    def _location(self, targets: Array) -> Array:
        """What is subtracted from targets, (q,)."""
        return np.asarray(targets.mean(0))

    def _scale(self, targets: Array) -> Array:
        """Units (q,) in which targets are learnt: a network's motion, unlike a linear model's, depends on them."""
        return np.ones(targets.shape[1])

    def _loss(self) -> str:
        """The name of the loss."""
        return "squared"

    def _aim(self, targets: Tensor) -> Objective:
        """The loss on targets (n, q)."""
        return Objective(LOSSES[self._loss()], targets, (targets.shape[1],))

    def _checked(self, X: ArrayLike, y: ArrayLike) -> tuple[Tensor, Array]:
        raise NotImplementedError

    def _learn(self, series: Tensor, targets: Tensor) -> None:
        raise NotImplementedError

    def _respond(self, series: Tensor) -> Tensor:
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _constant(targets: Array) -> NDArray[np.bool_]:
    """Which columns never change: their mean is rounded, and what that leaves is no spread."""
    return np.asarray((targets == targets[0]).all(0))


def _far(statistic: Callable[..., Array], values: Array) -> Array:
    """Mean or standard deviation of columns (q,), wherever they lie: squares of 1e200 are no numbers."""
    exponents = np.frexp(np.abs(values).max(0))[1]  # powers of two change no digit
    return np.asarray(np.ldexp(statistic(np.ldexp(values, -exponents), axis=0), exponents))


class _Regression(MultiOutputMixin, RegressorMixin, _Series):  # type: ignore[misc]
    """Targets (n,) or (n, q), learnt in units of their standard deviations."""

    def predict(self, X: ArrayLike) -> Array:
        """Predictions for series X, shaped as the targets were: (n,) or (n, q)."""
        outputs = self._outputs(X)
        return outputs if self.several_ else outputs[:, 0]

    def _checked(self, X: ArrayLike, y: ArrayLike) -> tuple[Tensor, Array]:
        its_own = y is None or getattr(getattr(y, "dtype", None), "kind", "") == "c"  # what scikit-learn refuses itself
        numbers = y if its_own else as_array("y", y)
        series, targets = check_fit(self, X, numbers, multi_output=True, y_numeric=True)
        self.several_ = targets.ndim == 2
        return series, targets.reshape(len(targets), -1).astype(np.float64)

    def _location(self, targets: Array) -> Array:
        return np.where(_constant(targets), targets[0], _far(np.mean, targets))

    def _scale(self, targets: Array) -> Array:
        spread = _far(np.std, targets)
        return np.where(_constant(targets) | (spread == 0), 1.0, spread)


def _has_probabilities(estimator: Any) -> bool:
    """Whether outputs are logits; raises what scikit-learn shows where they are not."""
    if estimator.loss != "cross_entropy":
        raise AttributeError(f"probabilities need loss='cross_entropy', and this has loss={estimator.loss!r}")
    return True


class _Classification(ClassifierMixin, _Series):  # type: ignore[misc]
    """Labels of any kind, as one-hot rows or ±1 in a column for each class; ±1 for two classes is one column."""

    loss: str

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Labels (n,) of the largest output."""
        scores = self.decision_function(X)
        places = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(1)
        return np.asarray(self.classes_[places])

    def decision_function(self, X: ArrayLike) -> Array:
        """Outputs (n, classes); for two classes (n,), positive for the second of ``classes_``: f₂ − f₁ of logits."""
        outputs = self._outputs(X)
        if len(self.classes_) > 2:
            return outputs
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs[:, 1] - outputs[:, 0]

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: ArrayLike) -> Array:
        """Softmax of the outputs, (n, classes), in the order of ``classes_``; only with loss="cross_entropy".

        Rows sum to 1. Calibration is not claimed: a class may be right more or less often than its number says, and
        the longer training takes, or the smaller the penalty is, the nearer the largest one comes to 1.
        """
        return np.asarray(softmax(self._outputs(X), axis=1))

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: ArrayLike) -> Array:
        """Logarithms of `predict_proba`, (n, classes), finite even where that rounds to 0."""
        return np.asarray(log_softmax(self._outputs(X), axis=1))

    def _loss(self) -> str:
        return self.loss

    def _location(self, targets: Array) -> Array:
        return super()._location(targets) if self.loss == "squared" else np.zeros(targets.shape[1])

    def _checked(self, X: ArrayLike, y: ArrayLike) -> tuple[Tensor, Array]:
        check_choice("loss", self.loss, _CLASSIFYING)
        series, labels = check_fit(self, X, y)
        check_classification_targets(labels)
        self.classes_, places = np.unique(column_or_1d(labels, warn=True), return_inverse=True)
        classes = len(self.classes_)
        if classes < 2:
            refuse("y", f"one class, {self.classes_[0]!r}", "labels of at least two classes", "add samples of another")
        return series, sign_columns(places, classes) if self.loss == "squared" else np.eye(classes)[places]


class _Descending(_Series):
    """Learners that descend step by step."""

    def __init__(
        self,
        width: int = 256,
        steps: int = 300,
        critical_fraction: float = 0.25,
        *,
        momentum: float = 0.0,
        batch_size: int | None = None,
        output_scale: float = 1.0,
        activation: str = "relu",
        readout: str = "last",
        trained: Collection[str] | None = None,
        parametrization: str | Parametrization | None = None,
        length: int | None = None,
        random_state: Any = 0,
    ) -> None:
        self.width, self.steps, self.critical_fraction = width, steps, critical_fraction
        self.momentum, self.batch_size, self.output_scale = momentum, batch_size, output_scale
        self.activation, self.readout, self.trained = activation, readout, trained
        self.parametrization, self.length, self.random_state = parametrization, length, random_state

    def _start(self, series: Tensor, targets: Tensor) -> tuple[Scaled, Descent]:
        """The centred network at initialization, and the descent at its critical fraction."""
        network = elman(self, series.shape[2], targets.shape[1])
        self.initial_ = weights_of(network)
        descent = Descent(
            self.steps,
            self.critical_fraction,
            momentum=self.momentum,
            batch_size=self.batch_size,
            seed=network.seed,
            record=(self.steps,),
            loss=self._loss(),
        )
        return Scaled(network, self.output_scale), descent

    def _check_reached(self, diverged_at: int | None) -> None:
        self.n_iter_ = self.steps
        if diverged_at is not None:
            came = f"{self.critical_fraction} with which training diverged at step {diverged_at}"
            refuse("critical_fraction", came, "a step at which descent converges", "lower it, or scale X and y down")


class _Full(_Descending):
    """The full network."""

    def _learn(self, series: Tensor, targets: Tensor) -> None:
        network, descent = self._start(series, targets)
        jacobian = network.jacobian(series)
        rate = descent.rate(jacobian_sharpness(jacobian, self._aim(targets).curvature(jacobian.outputs)))
        descent = replace(descent, critical_fraction=None, learning_rate=rate)
        path = descend(network, (series, targets), descent, in_place=True)
        for snapshot in path:
            self.loss_ = snapshot.loss
        self._check_reached(path.diverged_at)
        self.network_ = network

    def _respond(self, series: Tensor) -> Tensor:
        return self.network_(series)


class _Linearized(_Descending):
    """The first-order Taylor model of the network around its initialization."""

    def _learn(self, series: Tensor, targets: Tensor) -> None:
        network, descent = self._start(series, targets)
        jacobian, aim = network.jacobian(series), self._aim(targets)
        rate = descent.rate(jacobian_sharpness(jacobian, aim.curvature(jacobian.outputs)))
        model = LinearizedNetwork(jacobian.keep(), network.trained)
        visits = follow(model, aim, descent, rate)
        for visit in visits:
            self.loss_ = visit.loss
        self._check_reached(visits.diverged_at)
        self.network_, self.motion_ = network, dict(model.motion)

    def _respond(self, series: Tensor) -> Tensor:
        jacobian = self.network_.jacobian(series)
        return jacobian.outputs + jacobian.push(self.motion_)


class _Kernel(_Series):
    """A tangent kernel: the whole of training in closed form, or by cross-entropy in function space."""

    def __init__(
        self,
        kernel: str = "infinite",
        penalty: float = 0.0,
        steps: int | None = None,
        critical_fraction: float = 0.5,
        *,
        width: int = 256,
        activation: str = "relu",
        readout: str = "last",
        trained: Collection[str] | None = None,
        parametrization: str | Parametrization | None = None,
        length: int | None = None,
        random_state: Any = 0,
    ) -> None:
        self.kernel, self.penalty, self.steps, self.critical_fraction = kernel, penalty, steps, critical_fraction
        self.width, self.activation, self.readout, self.trained = width, activation, readout, trained
        self.parametrization, self.length, self.random_state = parametrization, length, random_state

    def _learn(self, series: Tensor, targets: Tensor) -> None:
        self._check_parameters()
        device = "cpu" if self.kernel == "empirical" else "meta"
        self.network_ = elman(self, series.shape[2], targets.shape[1], device)
        self.initial_ = {} if self.kernel != "empirical" else weights_of(self.network_)
        self.X_fit_ = series
        with torch.no_grad(), bar(2, "kernel, coefficients", unit="part") as counter:
            gram = self._gram(series)
            counter.update()
            solve = self._coefficients if self._loss() == "squared" else self._logistic
            self.dual_coef_ = solve(gram, targets)
            counter.update()

    def _check_parameters(self) -> None:
        check_choice("kernel", self.kernel, KERNELS)
        check_number("penalty", self.penalty, above=0, closed=True)
        if self.steps is None:
            if self._loss() != "squared" and not self.penalty:
                came = "0 with steps=None for loss='cross_entropy', which need not have a minimum"
                fix = "set penalty=1.0 for kernel logistic regression, or steps=300 for early stopping"
                refuse("penalty", came, "a penalty above 0, or a number of steps", fix)
            return
        if self.penalty:
            came = f"{self.steps} beside penalty={self.penalty}"
            refuse("steps", came, "one of the two", "leave out steps for ridge, penalty for early stopping")
        check_integer("steps", self.steps, 1)
        check_number("critical_fraction", self.critical_fraction, above=0, below=1)

    def _coefficients(self, gram: Tensor, values: Tensor) -> Array:
        """Dual coefficients (n, q), in the memory of the kernel: of early stopping, of ridge, or of neither."""
        targets: Array = values.numpy()
        rows = targets.reshape(len(gram) if gram.ndim == 2 else targets.size, -1)
        found = solve_definite(gram, rows, self.penalty) if self.steps is None else None
        if found is None:
            spectrum = Spectrum(gram, overwrite=True)
            if self.steps is None and not self.penalty:
                name = type(self).__name__
                warn_unless_reproduced(name, spectrum, self.X_fit_, targets, self.network_, stacklevel=4)
            found = spectrum.vectors @ (self._filter(spectrum)[:, None] * (spectrum.vectors.T @ rows))
        return np.asarray(found).reshape(targets.shape)

    def _logistic(self, gram: Tensor, targets: Tensor) -> Array:
        """The same by cross-entropy: of early stopping, or of a penalty."""
        if self.steps is None:
            return penalized(gram.double(), targets, self.penalty)
        return descended(gram.double(), targets, self.steps, self.critical_fraction)

    def _filter(self, spectrum: Spectrum) -> Array:
        if self.steps is None:
            return spectrum.ridge(self.penalty) if self.penalty else spectrum.limit()
        rate = 2 * self.critical_fraction / spectrum.lambda_max
        filters: Array = spectrum.descent(rate, np.array([self.steps]))[0]
        return filters

    def _rows(self) -> int:
        shared = 1 if self.kernel != "empirical" else self.dual_coef_.shape[1] ** 2
        return max(1, min(_ROWS, _NUMBERS // (len(self.X_fit_) * shared)))

    def _gram(self, series: Tensor, other: Tensor | None = None) -> Tensor:
        """(n, n') if all outputs share one kernel, as at infinite width, else (n, q, n', q)."""
        return kernel_of(self.network_, self.kernel, series, other)

    def _respond(self, series: Tensor) -> Tensor:
        gram, dual = self._gram(series, self.X_fit_).double(), torch.from_numpy(self.dual_coef_)
        return gram @ dual if gram.ndim == 2 else torch.einsum("aibj,bj->ai", gram, dual)


KERNELS = ("empirical", "infinite", "nngp")


def kernel_of(network: ElmanRNN, kind: str, series: Tensor, other: Tensor | None = None) -> Tensor:
    """Kernel between series (n, L, p) and (n', L, p), in output units, float64.

    Parameters
    ----------
    network
        Its weights are read for "empirical" alone.
    kind
        "empirical" (n, q, n', q); "infinite" or "nngp" (n, n'), which all outputs share.
    """
    if kind == "empirical":
        jacobian = network.jacobian(series)
        return jacobian.gram() if other is None else jacobian.gram(network.jacobian(other))
    limit = infinite_ntk if kind == "infinite" else infinite_nngp
    return limit(network, series, other, shared=True)


def elman(parameters: Any, inputs: int, outputs: int, device: str = "cpu") -> ElmanRNN:
    """The Elman network at initialization that the parameters of an estimator or of a `TangentKernel` describe."""
    check_choice("readout", parameters.readout, ("last", "mean"))
    scales = BIASED if parameters.parametrization is None else parametrization(parameters.parametrization)
    every = ("W", "A", "B", "b") if scales.sigma_b else ("W", "A", "B")
    choices = {"readout": parameters.readout, "activation": parameters.activation, "parametrization": scales}
    choices["trained"] = every if parameters.trained is None else parameters.trained
    return ElmanRNN(parameters.width, inputs, outputs, seed=_seed(parameters.random_state), device=device, **choices)


def weights_of(network: ElmanRNN) -> dict[str, Tensor]:
    """A copy of all weights by name."""
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def set_weights(network: ElmanRNN, weights: Mapping[str, Tensor]) -> None:
    """Write weights (of the same names and shapes) into a network."""
    with torch.no_grad():
        for name, value in network.named_parameters():
            value.copy_(weights[name])


def _seed(random_state: Any) -> int:
    """The number itself; a number drawn from a generator; a random one for None."""
    if isinstance(random_state, (int, np.integer)) and not isinstance(random_state, bool):
        return int(random_state)
    try:
        return int(check_random_state(random_state).randint(2**31))
    except ValueError:
        allowed = "an integer, a numpy.random.RandomState or None"
        refuse("random_state", repr(random_state), allowed, "pass random_state=0 for the same network every time")


class RNNRegressor(_Regression, _Full):
    """Full Elman network under gradient descent; targets (n,) or (n, q) are learnt in units of their deviations.

    Parameters
    ----------
    width
        Hidden units m.
    steps
        Gradient steps on ½Σ(f − y)².
    critical_fraction
        c in η = c · 2(1 + momentum)/λ_max of the tangent kernel at initialization. Narrow networks on many samples ask
        for a small one.
    momentum, batch_size
        Heavy ball; None for full batches.
    output_scale
        α: large ones make training lazy (Chizat, Oyallon, Bach 2019).
    activation, readout
        As for `lab.ElmanRNN`, but the readout is "last" or "mean".
    trained
        As for `lab.ElmanRNN`; None trains everything, b included where there is a bias.
    parametrization
        As for `lab.ElmanRNN`; None is "ntk" with a bias, ``lab.Parametrization(style="ntk", sigma_b=0.3)``. Without a
        bias a ReLU network is homogeneous, f(c·x) = c·f(x) for c > 0: of a single number x it learns one slope for
        x > 0 and one for x < 0, and nothing else.
    length
        Time steps of series that come flattened, (n, L·p), time first; None for (n, L) and (n, L, p).
    random_state
        Draws the network and the batches. An integer is the seed of `lab.ElmanRNN`.

    Attributes
    ----------
    network_
        The `lab.Scaled` network after ``fit``.
    loss_, n_iter_
        ½Σ(f − y)² on the training set at the end, in the unit of learning, and steps taken.
    intercept_, scale_, series_shape_, n_features_in_
        Mean targets (q,), their unit (q,), (L, p), and L·p.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((40, 6))
    >>> RNNRegressor(width=64).fit(X, X[:, 0]).score(X, X[:, 0]) > 0.9
    True
    """


class _DescendingClassification(_Classification, _Descending):
    """Classifiers that descend step by step, on a loss of choice."""

    def __init__(
        self,
        width: int = 256,
        steps: int = 300,
        critical_fraction: float = 0.25,
        *,
        loss: str = "squared",
        momentum: float = 0.0,
        batch_size: int | None = None,
        output_scale: float = 1.0,
        activation: str = "relu",
        readout: str = "last",
        trained: Collection[str] | None = None,
        parametrization: str | Parametrization | None = None,
        length: int | None = None,
        random_state: Any = 0,
    ) -> None:
        super().__init__(
            width,
            steps,
            critical_fraction,
            momentum=momentum,
            batch_size=batch_size,
            output_scale=output_scale,
            activation=activation,
            readout=readout,
            trained=trained,
            parametrization=parametrization,
            length=length,
            random_state=random_state,
        )
        self.loss = loss


class RNNClassifier(_DescendingClassification, _Full):
    """Full Elman network under gradient descent, for any number of classes: on ±1, or by cross-entropy.

    Parameters
    ----------
    loss
        "squared": ½Σ(f − y)² with targets ±1. "cross_entropy": −Σ log softmax(f) of the right class, with an output for
        each class; then there is `predict_proba`.
    critical_fraction
        c in η = c · 2(1 + momentum)/λ_max(H₀^½ K₀ H₀^½), with K₀ the tangent kernel and H₀ the loss's curvature in the
        outputs at initialization: the identity for "squared", (1/q)(I − 11ᵀ/q) for "cross_entropy" with q classes.
    width, steps, momentum, batch_size, output_scale, activation, readout, trained, parametrization
        As for `RNNRegressor`.
    length, random_state
        As for `RNNRegressor`.

    Attributes
    ----------
    classes_
        The labels, sorted.
    loss_
        The loss on the training set at the end, summed over samples.
    network_, n_iter_, intercept_, scale_, series_shape_, n_features_in_
        As for `RNNRegressor`; with "cross_entropy" the intercept is 0 and the scale 1, (q,).

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((40, 6))
    >>> model = RNNClassifier(width=64, loss="cross_entropy").fit(X, X[:, 0] > 0)
    >>> model.predict_proba(X).shape, model.score(X, X[:, 0] > 0) > 0.9
    ((40, 2), True)
    """


class LinearizedRNNRegressor(_Regression, _Linearized):
    """First-order Taylor model of the Elman network around its initialization, under gradient descent.

    Parameters and attributes are those of `RNNRegressor`, but ``network_`` stays at θ₀, and ``motion_`` is θ − θ₀ by
    name.
    """


class LinearizedRNNClassifier(_DescendingClassification, _Linearized):
    """First-order Taylor model of the Elman network, for any number of classes: on ±1, or by cross-entropy.

    Parameters and attributes are those of `RNNClassifier`, but ``network_`` stays at θ₀, and ``motion_`` is θ − θ₀ by
    name.
    """


class TangentKernelRegressor(_Regression, _Kernel):
    """Regression with a recurrent tangent kernel: interpolation, ridge or early-stopped descent, in closed form.

    Parameters
    ----------
    kernel
        "infinite": tangent kernel of the infinitely wide network. "nngp": covariance of its outputs at initialization,
        as if the last layer alone were trained. "empirical": tangent kernel of a network of this width.
    penalty
        ρ ≥ 0 in K(K + ρ)⁻¹, in units of the kernel. 0 with ``steps=None`` is the limit of descent: it interpolates
        where the rank of the kernel is the number of distinct samples, and equal samples have equal targets. Elsewhere
        it is the nearest that the kernel comes to the targets, and a `LabWarning` says how near, why, and what helps.
    steps
        Early stopping: that many steps of gradient descent, exactly; then there is no penalty.
    critical_fraction
        c < 1 in η = 2c/λ_max, for ``steps``.
    width
        Of the empirical kernel.
    activation, readout, trained, parametrization, length, random_state
        As for `RNNRegressor`.

    Attributes
    ----------
    dual_coef_
        c (n, q) in f(x) = K(x, X) c.
    X_fit_
        Training series (n, L, p).
    intercept_, scale_, series_shape_, n_features_in_
        As for `RNNRegressor`.

    Notes
    -----
    At infinite width all q outputs share one kernel. A fit then takes memory for n² float64 numbers, twice that with
    ``steps`` or a singular kernel, and O(n²L + n³/3) time: a Cholesky factorization where the kernel is safely positive
    definite, else an eigen-decomposition, which takes about ten times as long. The empirical kernel has (n·q)² numbers.
    Predictions are made in blocks of at most 256 series and 128 MiB of kernel. Both show a progress bar where they take
    longer than two seconds.

    References
    ----------
    Alemohammad et al., "The Recurrent Neural Tangent Kernel", ICLR 2021.

    Examples
    --------
    >>> x = np.linspace(-3, 3, 40)
    >>> y = np.sin(x) + np.sin(2 * x)
    >>> round(TangentKernelRegressor().fit(x[:, None], y).score(x[:, None], y), 6)
    1.0
    """


class TangentKernelClassifier(_Classification, _Kernel):
    """Classification with a recurrent tangent kernel, for any number of classes: on ±1, or by cross-entropy.

    Parameters
    ----------
    loss
        "squared": least squares on ±1, in closed form as for `TangentKernelRegressor`. "cross_entropy": with an output
        for each class, and `predict_proba`. It needs a penalty or a number of steps, since on classes that can be
        separated it has no minimum: outputs grow without bound.
    penalty
        ρ ≥ 0, in units of the kernel. With "cross_entropy", ρ > 0 is kernel logistic regression, the minimum over a of
        Σ cross-entropy(K a) + ρ/2 tr(aᵀ K a). With K = ΦΦᵀ it is that of sklearn.linear_model.LogisticRegression on
        features Φ, with C = 1/ρ and no intercept; with two classes, whose outputs are opposite, C = 2/ρ. The gradient
        in Φᵀa is at most 1e-10 of the penalty's own, where float64 allows; ρ below 1e-12 λ_max(K) is refused.
    steps
        Early stopping: that many steps of gradient descent from a = 0. With "cross_entropy" each is taken, as
        a ← a − η g(K a) with g = softmax(f) − y.
    critical_fraction
        c < 1 in η = 2c/λ_max(H₀^½ K H₀^½), for ``steps``. H₀ is the loss's curvature in the outputs at the start: the
        identity for "squared", (1/q)(I − 11ᵀ/q) for "cross_entropy" with q classes, so that λ_max is that of a kernel
        which all outputs share, over q.
    kernel, width, activation, readout, trained, parametrization, length, random_state
        As for `TangentKernelRegressor`.

    Attributes
    ----------
    classes_
        The labels, sorted.
    dual_coef_, X_fit_, intercept_, scale_, series_shape_, n_features_in_
        As for `TangentKernelRegressor`; with "cross_entropy" the intercept is 0 and the scale 1, (q,).

    Notes
    -----
    Memory and time with "squared" are those of `TangentKernelRegressor`. With "cross_entropy" a kernel that all outputs
    share stays one of n² numbers. A step takes O(n²q) time; a penalty an eigen-decomposition, the memory of two more
    such kernels, and some hundred products of O(n²q).

    References
    ----------
    Alemohammad et al., "The Recurrent Neural Tangent Kernel", ICLR 2021.
    Zhu, Hastie, "Kernel Logistic Regression and the Import Vector Machine", JCGS 14, 2005.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((40, 6))
    >>> model = TangentKernelClassifier(loss="cross_entropy", penalty=0.1).fit(X, X[:, 0] > 0)
    >>> model.predict_proba(X).shape, model.score(X, X[:, 0] > 0)
    ((40, 2), 1.0)
    """

    def __init__(
        self,
        kernel: str = "infinite",
        penalty: float = 0.0,
        steps: int | None = None,
        critical_fraction: float = 0.5,
        *,
        loss: str = "squared",
        width: int = 256,
        activation: str = "relu",
        readout: str = "last",
        trained: Collection[str] | None = None,
        parametrization: str | Parametrization | None = None,
        length: int | None = None,
        random_state: Any = 0,
    ) -> None:
        super().__init__(
            kernel,
            penalty,
            steps,
            critical_fraction,
            width=width,
            activation=activation,
            readout=readout,
            trained=trained,
            parametrization=parametrization,
            length=length,
            random_state=random_state,
        )
        self.loss = loss
