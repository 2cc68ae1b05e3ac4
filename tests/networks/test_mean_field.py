"""The "mean_field" parametrization is "ntk" with α₀/√m in front of the outputs, centred."""

import math

import numpy as np
import pytest
import torch

import lab
from lab.errors import LabError
from lab.kernels.infinite import infinite_nngp, infinite_ntk
from tests.references import draw
from tests.tolerances import EXACT, OUTPUTS, relative

WIDTH = 24
TASK = lab.tasks.digits(train=12, test=8)
SCALES = {"sigma_w": 1.2, "sigma_u": 0.9, "sigma_v": 0.8, "sigma_b": 0.5}
KINDS = {
    "W": {},
    "all, erf": {"activation": "erf", "trained": ("W", "A", "B")},
    "all steps": {"readout": "all", "trained": ("A",)},
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def task_of(kind):
    return TASK.at_every_step() if KINDS[kind].get("readout") == "all" else TASK


def three(kind, width=WIDTH):
    """The parametrization by name, the same written out, and by the class method."""
    task = task_of(kind)
    named, *inner = (
        lab.ElmanRNN.like(task, width, seed=3, parametrization=style, **KINDS[kind])
        for style in ("mean_field", "ntk", "ntk")
    )
    return named, lab.Scaled(inner[0], 2 * width**-0.5), lab.Scaled.mean_field(inner[1], width)


@torch.no_grad()
def move(network):
    for place, weight in enumerate(network.trained.values()):
        weight += 0.1 * draw(*weight.shape, seed=place)


@each_kind
def test_it_is_the_scaled_network_of_the_ntk_parametrization(kind):
    inputs, networks = task_of(kind).train_inputs, three(kind)
    for network in networks:
        assert network.jacobian(inputs).outputs.abs().max() < OUTPUTS
        move(network)
    named, *others = networks
    for other in others:
        assert relative(named(inputs).detach(), other(inputs).detach()) < OUTPUTS
        ours, theirs = named.jacobian(inputs), other.jacobian(inputs)
        assert relative(ours.gram(), theirs.gram()) < EXACT
        assert relative(ours.pull(ours.outputs), theirs.pull(theirs.outputs)) < EXACT


@pytest.mark.parametrize("kind", ["all, erf", "all steps"])
def test_it_trains_as_the_scaled_network_does(kind):
    named, *others = (lab.side_by_side(each, task_of(kind), lab.Descent(10)) for each in three(kind))
    for other in others:
        assert named.learning_rate == pytest.approx(other.learning_rate, rel=EXACT)
        for name, learner in named.learners.items():
            assert relative(learner.test, getattr(other, name).test) < EXACT
        assert named.motion.weight_motion == pytest.approx(other.motion.weight_motion, rel=EXACT)


def test_kernels_of_infinite_width_are_those_of_ntk_times_the_square_of_the_scale():
    alpha = 3.0
    styles = [
        lab.Parametrization(style="mean_field", alpha=alpha, **SCALES),
        lab.Parametrization(style="ntk", **SCALES),
    ]
    scaled, plain = (
        lab.ElmanRNN(50, 3, 2, parametrization=each, trained=("W", "A", "B", "b"), device="meta") for each in styles
    )
    for kernel in (infinite_ntk, infinite_nngp):
        ours, theirs = (kernel(network, draw(3, 4, 3)) for network in (scaled, plain))
        assert relative(ours, alpha**2 / 50 * theirs) < EXACT


def test_the_empirical_kernel_tends_to_the_infinite_one():
    inputs, seeds = draw(3, 4, 3), range(8)
    networks = [lab.ElmanRNN(400, 3, parametrization="mean_field", seed=seed) for seed in seeds]
    mean = sum(lab.empirical_ntk(network, inputs) for network in networks) / len(seeds)
    assert relative(mean, infinite_ntk(networks[0], inputs)) < 3 / math.sqrt(400 * len(seeds))


def test_it_is_centred_unless_it_is_told_otherwise():
    centred = {
        (style, choice): lab.ElmanRNN(4, 3, parametrization=style, centred=choice).centred
        for style in ("paper", "ntk", "mean_field")
        for choice in (None, False, True)
    }
    expected = {key: key[1] if key[1] is not None else key[0] == "mean_field" for key in centred}
    assert centred == expected
    uncentred = lab.ElmanRNN(WIDTH, 9, parametrization="mean_field", centred=False, seed=3)
    plain = lab.ElmanRNN(WIDTH, 9, parametrization="ntk", seed=3)
    outputs = [network(TASK.train_inputs).detach() for network in (uncentred, plain)]
    assert relative(outputs[0], 2 * WIDTH**-0.5 * outputs[1]) < OUTPUTS
    assert not uncentred.copy().centred
    assert lab.ElmanRNN(4, 3, parametrization="mean_field").copy().centred


def test_the_scale_is_printed():
    network = lab.ElmanRNN(WIDTH, 9, parametrization=lab.Parametrization(style="mean_field", alpha=0.5))
    scaled = lab.Scaled.mean_field(lab.ElmanRNN(WIDTH, 9, parametrization="ntk"), WIDTH, alpha=0.5)
    assert "parametrization='mean_field' (alpha=0.5)" in repr(network)
    assert "alpha=0.102062 (mean-field limit with α₀ = 0.5), centred=True" in repr(scaled)
    for each in (network, scaled, scaled.copy()):
        result = lab.side_by_side(each, TASK, lab.Descent(1))
        assert "mean-field limit with α₀ = 0.5" in repr(result)
        assert "mean-field limit with α₀ = 0.5" in result._repr_html_()
    assert "limit" not in repr(lab.side_by_side(lab.ElmanRNN(WIDTH, 9), TASK, lab.Descent(1)))


def test_scales_from_numpy_and_torch_keep_all_digits():
    for alpha in (np.float32(2), torch.tensor(2.0)):
        found = lab.Parametrization(style="mean_field", alpha=alpha, sigma_w=alpha)
        assert {type(found.alpha), type(found.sigma_w)} == {float}
        assert lab.ElmanRNN(7, 3, parametrization=found).multipliers["B"] == 2 / math.sqrt(7) / math.sqrt(7)
        assert lab.Scaled.mean_field(lab.ElmanRNN(7, 3), 7, alpha).alpha == 2 / math.sqrt(7)


def test_any_module_has_the_limit_too():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(5, WIDTH), torch.nn.Tanh(), torch.nn.Linear(WIDTH, 1)).double()
    kernel = lab.empirical_ntk(lab.Scaled.mean_field(lab.as_network(module), WIDTH, 3.0), draw(4, 5))
    assert relative(kernel, 9 / WIDTH * lab.empirical_ntk(module, draw(4, 5))) < EXACT


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lab.Parametrization(style="ntk", alpha=2.0), "alpha: got .*None in style='ntk'.*lab.Scaled"),
        (lambda: lab.Parametrization(alpha=2.0), "alpha: got"),
        (lambda: lab.Parametrization(style="mean_field", alpha=0), "alpha: got"),
        (lambda: lab.Scaled.mean_field(lab.ElmanRNN(4, 3), 0), "width: got"),
        (lambda: lab.Scaled.mean_field(lab.ElmanRNN(4, 3), 4, alpha=-1), "alpha: got"),
        (lambda: lab.ElmanRNN(4, 3, parametrization="mean-field"), "parametrization: got 'mean-field'"),
    ],
)
def test_bad_scales_are_refused(make, message):
    with pytest.raises(LabError, match=message):
        make()


def test_estimators_take_it_and_keep_it_in_files(tmp_path):
    from lab.estimators import RNNRegressor, load, save

    X = draw(10, 8).numpy()
    own = lab.Parametrization(style="mean_field", alpha=1.5, sigma_b=0.3)
    fitted = RNNRegressor(length=4, width=WIDTH, steps=5, parametrization=own, random_state=0).fit(X, np.sin(X.sum(1)))
    restored = load(save(fitted, tmp_path / "file.npz"))
    assert restored.parametrization == own
    assert np.array_equal(restored.predict(X), fitted.predict(X))
