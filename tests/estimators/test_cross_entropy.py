"""Classifiers by cross-entropy, beside plain autograd, torch.optim and scikit-learn's logistic regression."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

import lab
from lab.errors import LabError
from lab.estimators import (
    LinearizedRNNClassifier,
    RNNClassifier,
    RNNRegressor,
    TangentKernel,
    TangentKernelClassifier,
    TangentKernelRegressor,
    load,
    logistic,
    save,
)
from lab.estimators.learners import BIASED
from lab.losses import LOSSES
from tests.tolerances import EXACT, ROUNDING

N, LENGTH, FEATURES = 24, 4, 2
WIDTH, STEPS, FRACTION, SEED = 9, 25, 0.4, 3
SETTINGS = {"width": WIDTH, "steps": STEPS, "critical_fraction": FRACTION, "random_state": SEED}
X = np.random.default_rng(0).standard_normal((N + 6, LENGTH, FEATURES))
TRAIN = X[:N]
BY_DESCENT = [RNNClassifier, LinearizedRNNClassifier]
FITTED = [
    RNNClassifier(loss="cross_entropy", **SETTINGS),
    LinearizedRNNClassifier(loss="cross_entropy", **SETTINGS),
    TangentKernelClassifier(loss="cross_entropy", steps=STEPS),
    TangentKernelClassifier("nngp", loss="cross_entropy", penalty=0.1),
    TangentKernelClassifier("empirical", loss="cross_entropy", width=WIDTH, penalty=0.1),
]


def labels(classes):
    return (3 * X[:, 0, 0] + X[:, 2, 1] > 0).astype(int) if classes == 2 else np.arange(len(X)) % classes


def plain_network(classes):
    """The network of the estimators as weights and a function of them, without anything of the lab's descent."""
    network = lab.ElmanRNN(
        WIDTH, FEATURES, classes, seed=SEED, trained=("W", "A", "B", "b"), readout="last", parametrization=BIASED
    )
    weights = {name: value.detach().clone() for name, value in network.trained.items()}

    def outputs(at, inputs):
        return torch.func.functional_call(network, at, (inputs,)) - torch.func.functional_call(
            network, weights, (inputs,)
        )

    return weights, outputs


def taylor(weights, outputs):
    """f₀ + J₀ (θ − θ₀) with f₀ = 0, by forward-mode differentiation at θ₀."""

    def linear(at, inputs):
        motion = {name: at[name] - weights[name] for name in weights}
        return torch.func.jvp(lambda w: outputs(w, inputs), (weights,), (motion,))[1]

    return linear


def dense_rate(weights, outputs, inputs, targets, momentum):
    """2c(1 + β) over the largest eigenvalue of Jᵀ H J, J and H by autograd."""
    jacobian = torch.func.jacrev(outputs)(weights, inputs)
    J = torch.cat([part.flatten(2) for part in jacobian.values()], 2)
    loss = torch.nn.CrossEntropyLoss(reduction="sum")
    H = torch.stack(
        [torch.autograd.functional.hessian(lambda f, y=y: loss(f, y), torch.zeros(J.shape[1])) for y in targets]
    )
    hessian = torch.einsum("aip,aij,ajq->pq", J, H.double(), J)
    return 2 * FRACTION * (1 + momentum) / float(torch.linalg.eigvalsh(hessian)[-1])


def trained_plainly(kind, classes, momentum):
    """Logits on X and the last loss of torch.optim.SGD on the same network."""
    weights, outputs = plain_network(classes)
    inputs, targets = torch.from_numpy(TRAIN), torch.from_numpy(labels(classes)[:N])
    rate = dense_rate(weights, outputs, inputs, targets, momentum)
    model = outputs if kind is RNNClassifier else taylor(weights, outputs)
    parameters = {name: value.clone().requires_grad_() for name, value in weights.items()}
    optimizer = torch.optim.SGD(list(parameters.values()), lr=rate, momentum=momentum)
    loss = torch.nn.CrossEntropyLoss(reduction="sum")
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(model(parameters, inputs), targets).backward()
        optimizer.step()
    with torch.no_grad():
        return model(parameters, torch.from_numpy(X)).numpy(), float(loss(model(parameters, inputs), targets))


@pytest.mark.parametrize("momentum", [0.0, 0.8])
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("kind", BY_DESCENT)
def test_descent_is_that_of_torch(kind, classes, momentum):
    logits, loss = trained_plainly(kind, classes, momentum)
    model = kind(loss="cross_entropy", momentum=momentum, **SETTINGS).fit(TRAIN, labels(classes)[:N])
    np.testing.assert_allclose(model.predict_log_proba(X), log_softmax(logits, 1), rtol=0, atol=EXACT)
    scores = logits[:, 1] - logits[:, 0] if classes == 2 else logits
    np.testing.assert_allclose(model.decision_function(X), scores, rtol=0, atol=EXACT)
    assert model.loss_ == pytest.approx(loss, rel=EXACT)
    assert not np.allclose(
        model.decision_function(X),
        kind(momentum=momentum, **SETTINGS).fit(TRAIN, labels(classes)[:N]).decision_function(X),
    )


@pytest.mark.parametrize("classes", [2, 4])
def test_early_stopping_of_the_kernel_is_descent_of_the_linearized_network(classes):
    y = labels(classes)[:N]
    linear = LinearizedRNNClassifier(loss="cross_entropy", **SETTINGS).fit(TRAIN, y)
    kernel = TangentKernelClassifier("empirical", loss="cross_entropy", **SETTINGS).fit(TRAIN, y)
    np.testing.assert_allclose(kernel.decision_function(X), linear.decision_function(X), rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("kind", ["infinite", "nngp"])
def test_early_stopping_with_a_shared_kernel_is_descent_on_logistic_regression(kind, classes):
    """torch.optim.SGD on features Φ with K = ΦΦᵀ, at the rate of the whole Hessian in the weights."""
    K, y = TangentKernel(kind)(X), torch.from_numpy(labels(classes)[:N])
    features = torch.linalg.cholesky(torch.from_numpy(K))
    H = (torch.eye(classes, dtype=torch.float64) - 1 / classes) / classes
    hessian = torch.kron(features[:N].T @ features[:N], H)
    weights = torch.zeros(len(X), classes, dtype=torch.float64, requires_grad=True)
    rate = 2 * FRACTION / float(torch.linalg.eigvalsh(hessian)[-1])
    optimizer, loss = torch.optim.SGD([weights], lr=rate), torch.nn.CrossEntropyLoss(reduction="sum")
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(features[:N] @ weights, y).backward()
        optimizer.step()
    model = TangentKernelClassifier(kind, steps=STEPS, critical_fraction=FRACTION, loss="cross_entropy")
    expected = softmax((features @ weights).detach().numpy(), 1)
    np.testing.assert_allclose(model.fit(TRAIN, y.numpy()).predict_proba(X), expected, rtol=0, atol=EXACT)


def optimality(model, K, y):
    """|g(Ka) + ρa| at its largest, beside the largest |ρa|, for the kernel (n, q, n, q)."""
    a = model.dual_coef_
    g = softmax(np.einsum("aibj,bj->ai", K, a), 1) - np.eye(a.shape[1])[y]
    return np.abs(g + model.penalty * a).max(), np.abs(model.penalty * a).max()


@pytest.mark.parametrize("penalty", [1e-3, 0.1, 10.0, 1e4])
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("kind", ["infinite", "nngp", "empirical"])
def test_a_penalty_gives_the_minimum(kind, classes, penalty):
    y = labels(classes)[:N]
    model = TangentKernelClassifier(kind, penalty, loss="cross_entropy", width=WIDTH).fit(TRAIN, y)
    if kind == "empirical":
        K = model.network_.jacobian(torch.from_numpy(TRAIN)).gram().numpy()
    else:
        K = np.einsum("ab,ij->aibj", TangentKernel(kind)(TRAIN), np.eye(classes))
    miss, size = optimality(model, K, y)
    assert miss < EXACT
    assert size > 1e-4


@pytest.mark.parametrize("penalty", [0.1, 10.0])
@pytest.mark.parametrize("classes", [2, 4])
def test_a_penalty_is_the_logistic_regression_of_scikit_learn(classes, penalty):
    y = labels(classes)
    features = np.linalg.cholesky(TangentKernel()(X))
    strength = (
        2 if classes == 2 else 1
    ) / penalty  # of two opposite outputs, the one that scikit-learn has is twice each
    regression = LogisticRegression(C=strength, fit_intercept=False, solver="newton-cg", tol=1e-12, max_iter=1000)
    expected = regression.fit(features[:N], y[:N]).predict_proba(features)
    model = TangentKernelClassifier(penalty=penalty, loss="cross_entropy").fit(TRAIN, y[:N])
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=0, atol=1e-8)  # as near as newton-cg comes


def test_equal_samples_with_different_labels_have_a_minimum_too():
    """A singular kernel, and classes that cannot be separated."""
    doubled, y = np.concatenate([TRAIN, TRAIN[:3]]), np.concatenate([labels(4)[:N], (labels(4)[:3] + 1) % 4])
    model = TangentKernelClassifier(penalty=0.1, loss="cross_entropy").fit(doubled, y)
    K = np.einsum("ab,ij->aibj", TangentKernel()(doubled), np.eye(4))
    assert optimality(model, K, y)[0] < 1e-8  # 1e-12 of a gradient that a penalty so far below λ_max amplifies
    np.testing.assert_allclose(model.predict_proba(doubled[:3]), model.predict_proba(doubled[N:]), rtol=1e-9)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("estimator", FITTED, ids=repr)
def test_probabilities_belong_to_the_predictions(estimator, classes):
    names = np.array(["b", "a", "c"])[labels(classes)]
    model = clone(estimator).fit(TRAIN, names[:N])
    probabilities = model.predict_proba(X)
    assert probabilities.shape == (len(X), classes)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=ROUNDING)
    np.testing.assert_array_equal(model.classes_[probabilities.argmax(1)], model.predict(X))
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), probabilities, rtol=1e-12)
    assert len(np.unique(model.predict(X))) == classes
    scores = model.decision_function(X)
    assert scores.shape == ((len(X),) if classes == 2 else (len(X), classes))
    if classes == 2:
        np.testing.assert_allclose(scores, np.log(probabilities[:, 1] / probabilities[:, 0]), rtol=1e-8)
    assert (model.intercept_ == 0).all()
    assert (model.scale_ == 1).all()
    assert len(model.intercept_) == classes


def test_only_cross_entropy_has_probabilities():
    for kind in (RNNClassifier, LinearizedRNNClassifier, TangentKernelClassifier):
        assert not hasattr(kind(), "predict_proba")
        assert not hasattr(kind(), "predict_log_proba")
        assert hasattr(kind(loss="cross_entropy"), "predict_proba")
    for kind in (RNNRegressor, TangentKernelRegressor):
        assert "loss" not in kind().get_params()


@pytest.mark.parametrize("kind", [*BY_DESCENT, TangentKernelClassifier])
@pytest.mark.parametrize("loss", ["logistic", "cross-entropy", None, LOSSES["cross_entropy"]])
def test_other_losses_are_refused(kind, loss):
    with pytest.raises(LabError, match="loss"):
        kind(loss=loss, steps=2).fit(TRAIN, labels(2)[:N])


def test_without_a_penalty_or_steps_there_is_no_minimum_and_both_fixes_work():
    model = TangentKernelClassifier(loss="cross_entropy")
    with pytest.raises(LabError, match=r"penalty=1\.0.*steps=300"):
        model.fit(TRAIN, labels(2)[:N])
    for fix in ({"penalty": 1.0}, {"steps": 300}):
        assert clone(model).set_params(**fix).fit(TRAIN, labels(2)[:N]).score(TRAIN, labels(2)[:N]) > 0.9


def test_a_penalty_that_float64_cannot_resolve_is_refused():
    with pytest.raises(LabError, match=r"does not resolve.*at least"):
        TangentKernelClassifier(penalty=1e-200, loss="cross_entropy").fit(TRAIN, labels(2)[:N])


def test_a_gradient_that_is_left_is_refused(monkeypatch):
    monkeypatch.setattr(logistic, "_RESOLVED", 0.0)
    with pytest.raises(LabError, match="does not resolve"):
        TangentKernelClassifier(penalty=0.1, loss="cross_entropy").fit(TRAIN, labels(2)[:N])


@pytest.mark.parametrize("penalty", [1e-6, 1e-3, 1.0])
def test_labels_without_a_pattern_have_their_minimum_too(penalty):
    """Many small eigenvalues are needed, among them for equal samples of different classes."""
    generator = np.random.default_rng(1)
    inputs, y = generator.standard_normal((60, 4)), generator.integers(0, 5, 120)
    K = TangentKernel()(np.concatenate([inputs, inputs]))
    ratio = penalty * float(np.linalg.eigvalsh(K)[-1])
    model = TangentKernelClassifier(penalty=ratio, loss="cross_entropy").fit(np.concatenate([inputs, inputs]), y)
    miss, size = optimality(model, np.einsum("ab,ij->aibj", K, np.eye(5)), y)
    assert miss < 1e-7 * size


@pytest.mark.parametrize("kind", [*BY_DESCENT, TangentKernelClassifier])
def test_the_loss_is_a_parameter_like_any_other(kind):
    y = np.where(labels(2) > 0, "up", "down")
    search = GridSearchCV(kind(steps=STEPS), {"loss": ["squared", "cross_entropy"]}, cv=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert clone(kind(loss="cross_entropy")).get_params()["loss"] == "cross_entropy"


@pytest.mark.parametrize("estimator", FITTED, ids=repr)
def test_what_is_loaded_has_the_same_probabilities(estimator, tmp_path):
    fitted = clone(estimator).fit(TRAIN, labels(2)[:N])
    again = load(save(fitted, tmp_path / "model.npz"))
    assert again.get_params() == fitted.get_params()
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
