import pickle
import subprocess
import sys
from functools import partial

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import lab
from lab.errors import LabError
from lab.estimators import (
    LinearizedRNNClassifier,
    LinearizedRNNRegressor,
    RNNClassifier,
    RNNRegressor,
    TangentKernelClassifier,
    TangentKernelRegressor,
)
from lab.jacobians.factored import FactoredJacobian
from lab.kernels import sharpness
from tests.tolerances import EXACT, OUTPUTS

SMALL = {"width": 48, "steps": 150}
BIASED = {"parametrization": lab.Parametrization(style="ntk", sigma_b=0.3), "trained": ("W", "A", "B", "b")}
CHECKED = [
    RNNRegressor(**SMALL),
    RNNClassifier(**SMALL),
    LinearizedRNNRegressor(**SMALL),
    LinearizedRNNClassifier(**SMALL),
    TangentKernelRegressor(),
    TangentKernelRegressor("empirical", width=48),
    TangentKernelRegressor(steps=200),
    TangentKernelClassifier(),
    TangentKernelClassifier("nngp", penalty=1e-3),
    TangentKernelClassifier("empirical", width=48, steps=200),
    RNNClassifier(loss="cross_entropy", width=32, steps=80),
    LinearizedRNNClassifier(loss="cross_entropy", width=32, steps=80),
    TangentKernelClassifier(loss="cross_entropy", steps=100),
    TangentKernelClassifier("nngp", loss="cross_entropy", penalty=0.1),
]
REGRESSORS = [RNNRegressor, LinearizedRNNRegressor, TangentKernelRegressor]
CLASSIFIERS = [RNNClassifier, LinearizedRNNClassifier, TangentKernelClassifier]


def small(kind):
    return kind() if issubclass(kind, (TangentKernelRegressor, TangentKernelClassifier)) else kind(**SMALL)


@pytest.fixture
def series():
    generator = np.random.default_rng(0)
    X = generator.standard_normal((36, 5, 2))
    return X, X[:, 0, 0] + np.maximum(X[:, 1, 1], 0)


@pytest.mark.filterwarnings("ignore:TangentKernel.* does not reproduce")  # some checks have data far from 0
@parametrize_with_checks(CHECKED)
def test_scikit_learn_is_content(estimator, check):
    """Nothing is expected to fail: series in three axes are an offer, flat ones are taken as well."""
    check(estimator)


@pytest.mark.parametrize("kind", REGRESSORS)
def test_series_come_flat_or_not(kind, series):
    X, y = series
    model = small(kind).fit(X, y)
    flat = clone(model).set_params(length=5).fit(X.reshape(36, 10), y)
    np.testing.assert_array_equal(model.predict(X), flat.predict(X.reshape(36, 10)))
    np.testing.assert_array_equal(model.predict(X), model.predict(torch.tensor(X)))
    assert model.series_shape_ == (5, 2)
    univariate = clone(model).fit(X[:, :, 0], y)
    np.testing.assert_array_equal(univariate.predict(X[:, :, 0]), univariate.predict(X[:, :, :1]))


def standardised(y):
    return torch.from_numpy((y - y.mean()) / y.std())[:, None]


def test_the_network_is_that_of_the_lab(series):
    X, y = series
    model = RNNRegressor(width=32, steps=60, momentum=0.5, batch_size=10, random_state=3).fit(X[:24], y[:24])
    targets = standardised(y[:24])
    task = lab.SequenceTask(torch.from_numpy(X[:24]), targets, torch.from_numpy(X[24:]), torch.zeros(12, 1), "series")
    network = lab.ElmanRNN.like(task, 32, seed=3, **BIASED)
    descent = lab.Descent(60, 0.25, momentum=0.5, batch_size=10, seed=3)
    result = lab.side_by_side(lab.Scaled(network, 1.0), task, descent)
    expected = result.network.test[-1, :, 0] * y[:24].std() + y[:24].mean()
    np.testing.assert_allclose(model.predict(X[24:]), expected, rtol=EXACT, atol=EXACT)
    linear = LinearizedRNNRegressor(width=32, steps=60, momentum=0.5, batch_size=10, random_state=3)
    expected = result.linearized.test[-1, :, 0] * y[:24].std() + y[:24].mean()
    np.testing.assert_allclose(linear.fit(X[:24], y[:24]).predict(X[24:]), expected, rtol=EXACT, atol=EXACT)


def test_early_stopping_of_the_kernel_is_descent_of_the_linearized_network(series):
    X, y = series
    shape = {"width": 40, "steps": 70, "critical_fraction": 0.3}
    linear = LinearizedRNNRegressor(**shape).fit(X[:20], y[:20])
    kernel = TangentKernelRegressor("empirical", **shape).fit(X[:20], y[:20])
    np.testing.assert_allclose(kernel.predict(X), linear.predict(X), rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize("kind", [RNNRegressor, TangentKernelRegressor])
def test_without_a_choice_there_is_a_bias_and_everything_is_trained(kind, series):
    X, y = series
    default, spelled = (small(kind).set_params(**choice).fit(X, y) for choice in ({}, BIASED))
    np.testing.assert_array_equal(default.predict(X), spelled.predict(X))
    plain = small(kind).set_params(parametrization="ntk").fit(X, y)
    spelled = small(kind).set_params(parametrization="ntk", trained=("W", "A", "B")).fit(X, y)
    np.testing.assert_array_equal(plain.predict(X), spelled.predict(X))
    assert not np.allclose(plain.predict(X + 1), default.predict(X + 1), atol=1e-3)


@pytest.mark.parametrize("kind", ["infinite", "nngp", "empirical"])
def test_ridge_is_that_of_scikit_learn(kind, series):
    X, y = series
    model = TangentKernelRegressor(kind, penalty=0.3, width=40).fit(X[:20], y[:20])
    gram = lab.estimators.TangentKernel(kind, width=40)
    ridge = KernelRidge(alpha=0.3, kernel="precomputed").fit(gram(X[:20]), y[:20] - y[:20].mean())
    expected = ridge.predict(gram(X, X[:20])) + y[:20].mean()
    np.testing.assert_allclose(model.predict(X), expected, rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize("kind", REGRESSORS)
def test_several_targets_are_learnt_at_once(kind, series):
    X, y = series
    model = small(kind).fit(X, np.stack([y, 1e3 * y**2], 1))
    assert model.predict(X).shape == (36, 2)
    assert model.score(X, np.stack([y, 1e3 * y**2], 1)) > 0.5


@pytest.mark.parametrize("kind", CLASSIFIERS)
@pytest.mark.parametrize("labels", [["no", "yes"], [3, 5, 9], ["a", "b", "c", "d"]])
def test_labels_of_any_kind_and_number(kind, labels, series):
    X, _ = series
    places = np.arange(36) % len(labels)
    X, y = X + 3.0 * np.eye(10)[places].reshape(36, 5, 2), np.array(labels)[places]
    model = small(kind).fit(X, y)
    assert set(model.predict(X)) <= set(labels)
    assert model.score(X, y) > 0.8
    scores = model.decision_function(X)
    assert scores.shape == ((36,) if len(labels) == 2 else (36, len(labels)))


@pytest.mark.parametrize("kind", [*REGRESSORS, *CLASSIFIERS])
def test_at_home_in_the_ecosystem(kind, series):
    X, y = series
    y = y if kind in REGRESSORS else np.where(y > 0, "up", "down")
    flat = X.reshape(36, 10)
    pipeline = make_pipeline(StandardScaler(), small(kind).set_params(length=5))
    name = pipeline.steps[-1][0]
    search = GridSearchCV(
        pipeline, {f"{name}__readout": ["last", "mean"], f"{name}__activation": ["relu", "erf"]}, cv=2
    )
    assert search.fit(flat, y).best_params_
    assert np.isfinite(cross_val_score(clone(pipeline), flat, y, cv=3)).all()
    fitted = clone(small(kind)).fit(X, y)
    together = joblib.Parallel(n_jobs=2)(joblib.delayed(fitted.predict)(X[k::2]) for k in (0, 1))
    alone = fitted.predict(X[1::2])
    equal = np.testing.assert_array_equal if kind in CLASSIFIERS else partial(np.testing.assert_allclose, atol=OUTPUTS)
    equal(together[1], alone)  # workers have fewer threads, and sum in another order
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(X), fitted.predict(X))


def test_a_generator_or_none_draws_a_network(series):
    X, y = series
    one, other = (RNNRegressor(width=16, steps=5, random_state=state).fit(X, y).predict(X) for state in (None, None))
    assert not np.array_equal(one, other)
    again = [RNNRegressor(width=16, steps=5, random_state=np.random.RandomState(1)).fit(X, y).predict(X) for _ in "ab"]
    np.testing.assert_array_equal(*again)


BAD = [
    (RNNRegressor(width=0), "width"),
    (RNNRegressor(readout="all"), "readout"),
    (RNNRegressor(steps=-1), "steps"),
    (RNNRegressor(trained=("Q",)), "trained"),
    (RNNRegressor(width=8, critical_fraction=50.0), "critical_fraction"),
    (RNNRegressor(length=3), "length"),
    (LinearizedRNNRegressor(critical_fraction=1.5), "critical_fraction"),
    (TangentKernelRegressor("rbf"), "kernel"),
    (TangentKernelRegressor(penalty=-1.0), "penalty"),
    (TangentKernelRegressor(penalty=1.0, steps=3), "steps"),
    (TangentKernelRegressor(steps=3, critical_fraction=1.0), "critical_fraction"),
    (TangentKernelRegressor(steps=2.5), "steps"),
]


@pytest.mark.parametrize(("estimator", "argument"), BAD)
def test_bad_parameters_are_refused_at_fit(estimator, argument, series):
    with pytest.raises(LabError, match=argument):
        estimator.fit(series[0].reshape(36, 10), series[1])


def test_bad_data_are_refused(series):
    X, y = series
    model = TangentKernelRegressor().fit(X, y)
    with pytest.raises(LabError, match="NaN"):
        model.predict(np.full_like(X, np.nan))
    with pytest.raises(LabError, match="series of shape"):
        model.predict(X.transpose(0, 2, 1))
    with pytest.raises(LabError, match="features"):
        model.predict(X[:, :4])
    with pytest.raises(LabError, match="one class"):
        TangentKernelClassifier().fit(X, np.ones(36, int))
    with pytest.raises(LabError, match="length"):
        TangentKernelRegressor(length=4).fit(X, y)


def test_blocks_of_predictions_change_nothing(series, monkeypatch):
    X, y = series
    for kind in ("infinite", "empirical"):
        model = TangentKernelRegressor(kind, width=24).fit(X, np.stack([y, y**2], 1))
        whole = model.predict(X)
        with monkeypatch.context() as patch:
            patch.setattr("lab.estimators.learners._NUMBERS", 5 * 36)
            assert model._rows() == (5 if kind == "infinite" else 1)
            np.testing.assert_allclose(model.predict(X), whole, rtol=EXACT, atol=EXACT)


def test_long_work_shows_a_bar(series, monkeypatch, capsys):
    X, y = series
    model = TangentKernelClassifier().fit(X, y > 0)
    model.predict(X)
    assert not capsys.readouterr().err
    monkeypatch.setattr("lab.progress.PATIENCE", 0.0)
    model.fit(X, y > 0).predict(X)
    shown = capsys.readouterr().err
    assert all(what in shown for what in ("infinite width", "kernel, coefficients", "prediction"))


MEASURED = """
import numpy as np, resource
from lab.estimators import TangentKernelClassifier
from lab.kernels import infinite
infinite.BLOCK = 2**12
X, y = np.random.default_rng(0).standard_normal((300, 6)), np.arange(300) % 10
settings = [{}, {"steps": 50}, {"loss": "cross_entropy", "penalty": 1e5}, {"loss": "cross_entropy", "steps": 5}]
models = [TangentKernelClassifier(**setting) for setting in settings]
for model in models:
    model.fit(X[:40], y[:40]).predict(X[:40])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for model in models:
    model.fit(X, y).predict(X)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def test_ten_classes_need_the_memory_of_one_kernel():
    """300² numbers take 0.7 MB, (10·300)² take 72 MB."""
    done = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 30e6


@pytest.mark.parametrize("kind", [RNNClassifier, LinearizedRNNClassifier])
def test_the_largest_eigenvalue_of_many_classes_needs_no_kernel(kind, series, monkeypatch):
    """Beyond a few rows Lanczos replaces the kernel of (n·q)² numbers: the same learner up to rounding."""
    X, _ = series
    y, shape = np.arange(36) % 4, (36, 5, 2)
    X = X + 3.0 * np.eye(10)[y].reshape(shape)
    dense = kind(**SMALL).fit(X, y)
    monkeypatch.setattr(sharpness, "_DENSE", 0)
    monkeypatch.setattr(FactoredJacobian, "gram", lambda *_: pytest.fail("the kernel was formed"))
    lanczos = kind(**SMALL).fit(X, y)
    np.testing.assert_allclose(lanczos.decision_function(X), dense.decision_function(X), rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize("rows", [0, 512])
def test_a_network_that_cannot_move_is_refused_whatever_the_way(rows, series, monkeypatch):
    X, y = series
    monkeypatch.setattr(sharpness, "_DENSE", rows)
    with pytest.raises(LabError, match="λ_max = 0"):
        RNNRegressor(width=8, trained=("W",), parametrization="ntk").fit(X[:, :1], y)  # W acts from step 2 on
