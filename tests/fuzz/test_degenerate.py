"""Data that are right and odd: samples twice, targets that never change, nothing to tell apart."""

import numpy as np
import pytest

import lab
from lab import estimators as E
from lab.errors import LabError
from tests.fuzz.arrays import X, Y, draw
from tests.fuzz.cases import check_refusal
from tests.tolerances import EXACT, relative

TWICE = np.concatenate([X, X]), np.concatenate([Y, Y])
REGRESSORS = (E.RNNRegressor, E.LinearizedRNNRegressor, E.TangentKernelRegressor)
CLASSIFIERS = (E.RNNClassifier, E.LinearizedRNNClassifier, E.TangentKernelClassifier)
small = {"width": 6, "random_state": 0}


def network():
    return lab.Scaled(lab.ElmanRNN(6, 3, trained=("W", "A")), 1.0)


def refused(work, argument):
    with pytest.raises(LabError) as caught:
        work()
    check_refusal(caught.value, argument)


@pytest.mark.parametrize("batch", [None, 12])
def test_samples_twice_are_the_same_descent(batch):
    """The singular kernel has twice the largest eigenvalue, hence half the step, for twice the gradient."""
    once = lab.side_by_side(network(), (X, Y), lab.Descent(20))
    twice = lab.side_by_side(network(), TWICE, lab.Descent(20, batch_size=batch))
    assert twice.lambda_min <= EXACT * twice.lambda_max
    for name, learner in twice.learners.items():
        reference = once.learners[name].train
        assert relative(learner.train[:, :6], reference) <= EXACT
        assert relative(learner.train[:, 6:], reference) <= EXACT
        assert relative(learner.loss, 2 * once.learners[name].loss) <= EXACT


@pytest.mark.filterwarnings("ignore:TangentKernel.* does not reproduce")
@pytest.mark.parametrize("kind", REGRESSORS)
def test_equal_samples_with_other_targets_get_their_mean(kind):
    """No function can tell them apart, and squared errors want the mean."""
    fitted = kind(**small).fit(TWICE[0], np.concatenate([Y + 1, Y - 1]))
    wanted = kind(**small).fit(*TWICE)
    found, mean = fitted.predict(X), wanted.predict(X)
    assert np.isfinite(found).all()
    if kind is E.TangentKernelRegressor:  # the others fit steps, whose number is the same and whose scale is not
        assert relative(found, mean) <= 1e-6


@pytest.mark.parametrize("kind", REGRESSORS)
@pytest.mark.parametrize("value", [0.0, 0.1, -1e200, 1e308, 5e-324])
def test_targets_that_never_change_are_what_is_predicted(kind, value):
    assert np.array_equal(kind(**small).fit(X, np.full(6, value)).predict(draw(4, 4, 3, seed=5)), np.full(4, value))


@pytest.mark.parametrize("kind", REGRESSORS)
@pytest.mark.parametrize("exponent", [-1000, -600, 600, 1000])
def test_targets_anywhere_are_learnt_as_near_ones_to_the_bit(kind, exponent):
    near, far = (kind(**small).fit(X, scale * Y).predict(X) for scale in (1.0, 2.0**exponent))
    assert np.array_equal(far, 2.0**exponent * near)


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_one_class_is_refused(kind):
    refused(lambda: kind(**small).fit(X, np.ones(6)), "y")


@pytest.mark.filterwarnings("ignore:TangentKernel.* does not reproduce")
@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_equal_samples_of_two_classes_are_of_either(kind):
    fitted = kind(**small).fit(np.concatenate([X[:1], X[:1]]), ["up", "down"])
    assert fitted.predict(X[:1])[0] in ("up", "down")


def test_nothing_to_learn_is_learned_at_once():
    """Centred outputs start at 0, where the targets are."""
    result = lab.side_by_side(network(), (X, 0 * Y), lab.Descent(5))
    for learner in result.learners.values():
        assert not learner.train.any()
        assert not learner.loss.any()


def test_inputs_without_a_signal_are_refused():
    refused(lambda: lab.side_by_side(network(), (0 * X, Y), lab.Descent(5)), "kernel")


@pytest.mark.parametrize("shape", [(1, 2, 1), (1, 1, 3), (2, 1, 1), (1, 40, 1), (40, 2, 1)])
@pytest.mark.parametrize("width", [1, 7])
def test_the_smallest_problems_have_three_equal_answers_in_the_linear_limit(shape, width):
    inputs, targets = draw(*shape, seed=3) + 3.0, draw(shape[0], seed=4) + 0.125
    net = lab.ElmanRNN(width, shape[2], activation="tanh", parametrization="ntk", trained=("W", "A", "B"))
    result = lab.side_by_side(lab.Scaled(net, 1e6), (inputs, targets), lab.Descent(8))
    assert relative(result.linearized.train, result.kernel.train) <= EXACT
    assert relative(result.network.train, result.kernel.train) <= 1e-3
