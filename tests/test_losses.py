import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch.nn import functional

from lab.errors import LabError
from lab.losses import LOSSES, CrossEntropy, Custom, Huber, Objective, as_loss
from tests.references import draw
from tests.tolerances import DIFFERENCE_STEP, DIFFERENCES, EXACT, relative

SHAPES = [(1,), (3,), (4, 2)]
BUILT_IN = ["squared", "logistic", "cross_entropy", "huber"]


def quartic(outputs, targets):
    return (outputs - targets).pow(4).flatten(1).sum(1) + outputs.flatten(1).prod(1)


def some_targets(name, n, shape):
    values = draw(n, *shape, seed=1)
    if name == "logistic":
        return values.sign()
    return values.softmax(-1) if name == "cross_entropy" else values


def objective(name, shape, n=5):
    loss = Custom(quartic) if name == "custom" else as_loss(name)
    return Objective(loss, some_targets(name, n, shape), shape)


def pairs():
    every = [(name, shape) for name in (*BUILT_IN, "custom") for shape in SHAPES]
    return [pair for pair in every if pair != ("cross_entropy", (1,))]


@pytest.mark.parametrize(("name", "shape"), pairs())
def test_gradient_and_curvature_are_differences_of_value_and_gradient(name, shape):
    aim, outputs = objective(name, shape), 0.7 * draw(5, int(np.prod(shape)))
    curvature, (_, gradient) = aim.curvature(outputs), aim(outputs)
    o = outputs.shape[1]
    curvature = torch.eye(o).double().expand(5, o, o) if curvature is None else curvature
    for place in range(o):
        step = torch.zeros_like(outputs)
        step[:, place] = DIFFERENCE_STEP
        (above, up), (below, down) = aim(outputs + step), aim(outputs - step)
        slope = (above - below) / (2 * DIFFERENCE_STEP)
        assert abs(slope - float(gradient[:, place].sum())) < DIFFERENCES * max(1, abs(slope))
        if name != "huber":  # whose curvature is a bound
            assert relative(curvature[:, place], (up - down) / (2 * DIFFERENCE_STEP)) < DIFFERENCES


def test_values_are_those_of_torch_and_scikit_learn():
    outputs, signs = 3 * draw(20, 1), draw(20, 1, seed=2).sign()
    bits = (signs + 1) / 2
    binary = functional.binary_cross_entropy_with_logits(outputs, bits, reduction="sum")
    assert abs(Objective(as_loss("logistic"), signs, (1,))(outputs)[0] - float(binary)) < EXACT
    logits, places = 3 * draw(20, 4), torch.arange(20) % 4
    aim = Objective(CrossEntropy(), CrossEntropy().encode(places.double(), (4,)), (4,))
    expected = log_loss(places.numpy(), logits.softmax(1).numpy(), normalize=False)
    assert abs(aim(logits)[0] - expected) < EXACT * expected
    delta = Huber(0.5)
    expected = functional.huber_loss(outputs, signs, reduction="sum", delta=0.5)
    assert abs(Objective(delta, signs, (1,))(outputs)[0] - float(expected)) < EXACT


def test_cross_entropy_does_not_see_a_shift_of_the_logits():
    aim, outputs = objective("cross_entropy", (4, 2)), draw(5, 8)
    shifted = outputs + draw(5, 4, seed=4).repeat_interleave(2, 1)
    assert relative(aim(shifted)[0], aim(outputs)[0]) < EXACT
    assert relative(aim.centred(shifted), aim.centred(outputs)) < EXACT
    assert relative(aim.centred(shifted), shifted) > 0.1


def test_curvature_of_equal_logits():
    aim = objective("cross_entropy", (3,))
    expected = (torch.eye(3).double() - 1 / 3) / 3
    assert relative(aim.curvature(torch.ones(5, 3).double()), expected.expand(5, 3, 3)) < EXACT


@pytest.mark.parametrize(
    ("targets", "shape", "rows"),
    [
        ([[0.0], [2.0], [1.0]], (3,), [[1, 0, 0], [0, 0, 1], [0, 1, 0]]),
        ([[-1.0], [1.0], [1.0]], (2,), [[1, 0], [0, 1], [0, 1]]),
        ([[0.0], [1.0], [0.0]], (2,), [[1, 0], [0, 1], [1, 0]]),
        ([[1.0, -1, -1], [-1, -1, 1], [-1, 1, -1]], (3,), [[1, 0, 0], [0, 0, 1], [0, 1, 0]]),
        ([[0.25, 0.75], [1, 0], [0, 1]], (2,), [[0.25, 0.75], [1, 0], [0, 1]]),
        ([[[0.0], [1.0]], [[1.0], [1.0]]], (2, 2), [[[1, 0], [0, 1]], [[0, 1], [0, 1]]]),
    ],
)
def test_classes_in_every_notation_are_the_same_probabilities(targets, shape, rows):
    assert CrossEntropy().encode(torch.tensor(targets).double(), shape).tolist() == rows


@pytest.mark.parametrize(
    ("loss", "targets", "shape", "said"),
    [
        ("cross_entropy", [[0.0], [3.0]], (3,), "got 3 among class indices; allowed: class indices from 0 to 2"),
        ("cross_entropy", [[0.0], [0.5]], (3,), "got 0.5 among class indices"),
        ("cross_entropy", [[-2.0], [0.0]], (3,), "got -2 among class indices"),
        ("cross_entropy", [[-1.0], [1.0]], (3,), "got ±1 for a network of 3 outputs"),
        ("cross_entropy", [[1.0, 1.0], [0.0, 1.0]], (2,), "one sums to 2"),
        ("cross_entropy", [[1.5, -0.5], [0.0, 1.0]], (2,), "the least entry is -0.5"),
        ("cross_entropy", [[1.0, 1.0, -1.0], [-1.0, 1.0, -1.0]], (3,), "1 rows of ±1 without exactly one"),
        ("cross_entropy", [[0.0], [1.0]], (1,), "loss: got 'cross_entropy' for a network of one output"),
        ("cross_entropy", [[0.0, 1.0], [1.0, 0.0]], (3,), r"targets of shape \(2,\) per sample"),
        ("logistic", [[0.0], [-1.0]], (1,), "values such as 0; allowed: ±1"),
        ("logistic", [[0.5], [1.0]], (1,), "values such as 0.5"),
    ],
)
def test_targets_that_mean_nothing_to_a_loss_are_refused(loss, targets, shape, said):
    with pytest.raises(LabError, match=said):
        LOSSES[loss].encode(torch.tensor(targets).double(), shape)


@pytest.mark.parametrize("loss", ["hinge", 3, None, Huber])
def test_other_losses_are_refused(loss):
    with pytest.raises(LabError, match="loss: got"):
        as_loss(loss)


@pytest.mark.parametrize("delta", [0, -1.0, float("nan")])
def test_a_huber_loss_without_a_width_is_refused(delta):
    with pytest.raises(LabError, match="delta"):
        Huber(delta)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda f, y: (f - y).square().mean(), r"returns \(\)"),
        (lambda f, y: (f - y).square(), r"returns \(2, 3\)"),
        (lambda f, y: (f - y).square().sum(1) - f.mean(), "depends on other samples"),
        (lambda f, y: (f.detach() - y).square().sum(1), "fails"),
        (lambda f, y: functional.cross_entropy(f, y, weight=torch.ones(7)), "fails"),
        (lambda f, y: (f - f - 1).sqrt().sum(1), "not finite"),
        (lambda f, y: (f - y).square().sum(1).numpy(), "fails"),
    ],
)
def test_functions_that_are_no_losses_of_single_samples_are_refused(function, said):
    with pytest.raises(LabError, match=said):
        Custom(function).check(draw(2, 3), draw(2, 3, seed=1))


@pytest.mark.parametrize("gap", [1.0, 20.0, 60.0, 300.0])
def test_the_curvature_of_sure_logits_is_no_difference_of_ones(gap):
    """Two classes: p(1 − p)(1, −1; −1, 1), which is exp(−gap) far from the middle."""
    aim = objective("cross_entropy", (2,), 1)
    found = aim.curvature(torch.tensor([[gap, 0.0]]).double())[0]
    expected = 1 / (np.exp(gap / 2) + np.exp(-gap / 2)) ** 2
    assert np.allclose(found, expected * np.array([[1, -1], [-1, 1]]), rtol=1e-12, atol=0)
