"""Ensembles: the closed form against formulas, recursions and samples; finite networks against the closed form."""

import json

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor

import lab
from lab.ensembles import INFINITE
from lab.errors import LabError
from lab.estimators import TangentKernel
from lab.figures import ensembles
from lab.learners.gaussian import GaussianTraining
from lab.learners.moments import RunningMoments
from tests.networks.test_kinds import check_unchanged, held
from tests.tolerances import EXACT, SIGMAS, relative

TASK = lab.tasks.curve(points=4, test=9, length=2)
SMOOTH = {"activation": "erf", "parametrization": "ntk"}
RECORD = (0, 5, 40)


def maker(width=16, task=TASK, **choices):
    return lambda seed: lab.ElmanRNN.like(task, width, seed=seed, **{**SMOOTH, **choices})


def several_outputs(readout):
    """A task with two outputs at each observed step, and a network on it."""
    generator = np.random.default_rng(0)
    (X, x), shape = (generator.standard_normal((n, 4, 3)) for n in (4, 5)), (3, 2) if readout == "all" else (2,)
    y, aims = (generator.standard_normal((n, *shape)) for n in (4, 5))
    task = lab.SequenceTask(X, y, x, aims)
    return task, maker(8, task, readout=readout, trained=("W", "A", "B"))(0)


def whole(kernel, network, task):
    """A kernel on both splits together, with a row for each output of each sample, training samples first."""
    found = kernel(network, torch.cat([task.train_inputs, task.test_inputs]))
    return found.reshape(len(found) * found.shape[1], -1).numpy()


def relations(task, network, steps, learning_rate):
    """Mean and covariance on both splits by the formula of Lee et al. 2019, with (I − ηΘ)^t for exp(−ηΘt)."""
    y = task.train_targets.numpy().ravel()
    n, kernel, prior = len(y), whole(lab.infinite_ntk, network, task), whole(lab.infinite_nngp, network, task)
    power = np.linalg.matrix_power(np.eye(n) - learning_rate * kernel[:n, :n], steps)
    map_ = kernel[:, :n] @ np.linalg.inv(kernel[:n, :n]) @ (np.eye(n) - power)
    mixed = map_ @ prior[:n]
    covariance = prior + map_ @ prior[:n, :n] @ map_.T - mixed - mixed.T
    return map_ @ y, covariance.diagonal().copy()


def both(moments, what, row):
    """Mean or variance on both splits, (N,)."""
    return np.concatenate([getattr(moments[split], what)[row].ravel() for split in ("train", "test")])


@pytest.mark.parametrize("readout", ["last", "all", "mean"])
def test_the_closed_form_is_that_of_the_paper(readout):
    task, network = several_outputs(readout)
    limit, n = GaussianTraining.at(network, task), task.train_targets.numel()
    lambda_max = np.linalg.eigvalsh(whole(lab.infinite_ntk, network, task)[:n, :n])[-1]
    for fraction in (0.5, 0.99):
        descent = lab.Descent(40, fraction, record=RECORD)
        found, rate = limit.moments(descent), limit.learning_rate(descent)
        assert rate == pytest.approx(2 * fraction / lambda_max, rel=EXACT)
        for row, steps in enumerate(RECORD):
            mean, variance = relations(task, network, steps, rate)
            assert relative(both(found, "mean", row) + 1, mean + 1) < EXACT  # the mean is 0 at the start
            assert relative(both(found, "variance", row), variance) < EXACT


@pytest.mark.parametrize("choices", [{}, {"momentum": 0.8}, {"momentum": 0.5, "batch_size": 2, "seed": 3}])
def test_the_closed_form_is_the_distribution_of_trained_samples(choices):
    network, samples = maker(trained=("W", "A"))(0), 4000
    kernel, prior = (whole(kernel, network, TASK) for kernel in (lab.infinite_ntk, lab.infinite_nngp))
    descent, limit = lab.Descent(40, 0.5, record=RECORD, **choices), GaussianTraining.at(network, TASK)
    found, rate = limit.moments(descent), limit.learning_rate(descent)
    values, vectors = np.linalg.eigh(prior)
    normals = np.random.default_rng(0).standard_normal((len(prior), samples))
    outputs = vectors @ (np.sqrt(np.maximum(values, 0))[:, None] * normals)
    y, velocity, batches = TASK.train_targets.numpy(), np.zeros_like(outputs), descent.batches(4)
    for step in range(41):
        if step in RECORD:
            row = RECORD.index(step)
            mean, variance = both(found, "mean", row), both(found, "variance", row)
            error = np.sqrt(variance / samples) + 1e-9
            assert (np.abs(outputs.mean(1) - mean) < SIGMAS * error).all()
            assert (np.abs(outputs.var(1) / variance - 1) < SIGMAS * np.sqrt(2 / samples)).all()
        batch = next(batches)
        chosen = slice(None) if batch is None else batch
        columns = kernel[:, :4][:, chosen]
        velocity = descent.momentum * velocity - rate * columns @ (outputs[:4] - y)[chosen]
        outputs = outputs + velocity


def test_training_the_readout_alone_is_bayesian_inference_with_the_nngp():
    descent = lab.Descent(10**6, 0.9, record=(0, 1, 10, 10**6))
    found = GaussianTraining.at(maker(trained=("B",))(0), TASK).moments(descent)["test"]
    kernel = TangentKernel("nngp", activation="erf", parametrization="ntk", length=2)
    posterior = GaussianProcessRegressor(kernel, alpha=1e-12, optimizer=None)
    X, x = (inputs.flatten(1).numpy() for inputs in (TASK.train_inputs, TASK.test_inputs))
    posterior.fit(X, TASK.train_targets[:, 0].numpy())
    mean, deviation = posterior.predict(x, return_std=True)
    assert relative(found.mean[-1, :, 0], mean) < 1e-7
    assert np.abs(found.variance[-1, :, 0] - deviation**2).max() < 1e-9
    assert relative(found.variance[0, :, 0], kernel.diag(x)) < EXACT
    assert (found.variance >= 0).all()
    assert (np.diff(found.variance, axis=0) <= 1e-15).all()


def test_with_another_kernel_the_variance_may_exceed_the_prior():
    one = torch.ones(1, 1, dtype=torch.float64)  # f₀(x) is independent of f₀(X), but learns as much from the residual
    limit = GaussianTraining(one, one, one, one, 0 * one, one[0])
    found = limit.moments(lab.Descent(40, learning_rate=0.1, record=RECORD))["test"]
    learnt = 1 - 0.9 ** np.array(RECORD)
    np.testing.assert_allclose(found.mean[:, 0, 0], learnt, rtol=EXACT)
    np.testing.assert_allclose(found.variance[:, 0, 0], 1 + learnt**2, rtol=EXACT)


@pytest.fixture(scope="module")
def finite():
    """Ensembles of 40 networks by trained set and width."""
    descent = lab.Descent(40, record=RECORD)
    cases = [(("W", "A", "B"), 16), (("W", "A", "B"), 128), (("B",), 128)]
    return {case: lab.ensemble(maker(case[1], trained=case[0]), TASK, descent, seeds=40) for case in cases}


def scores(moments, limit, count):
    """RMS distance (T,) of means from those of the limit, in standard errors."""
    return np.sqrt(((moments.mean - limit.mean) ** 2 / (limit.variance / count)).mean((1, 2)))


def test_wide_networks_have_the_mean_and_variance_of_infinite_width(finite):
    readout, all_weights = finite[("B",), 128], finite[("W", "A", "B"), 128]
    limit = readout.test[INFINITE]
    for learner in ("network", "linearized", "kernel"):
        moments = readout.test[learner]
        assert scores(moments, limit, 40).max() < 3
        ratio = moments.variance.mean((1, 2)) / limit.variance.mean((1, 2))
        assert (np.abs(ratio - 1) < 3 * np.sqrt(2 / 39)).all()
        assert scores(moments, all_weights.test[INFINITE], 40)[-1] > SIGMAS  # the limit of another trained set


@pytest.mark.parametrize("learner", ["network", "linearized"])
def test_the_distance_to_infinite_width_falls_with_the_width(finite, learner):
    far, near = (
        scores(each.test[learner], each.test[INFINITE], 40)[-1]
        for each in (finite[("W", "A", "B"), width] for width in (16, 128))
    )
    assert near < far / 2  # in theory by the factor √8 of 1/√m, until sampling is all that is left


def test_moments_are_those_of_the_members(finite):
    found, make = finite[("W", "A", "B"), 16], maker(16, trained=("W", "A", "B"))
    descent = lab.Descent(40, learning_rate=found.learning_rate, record=RECORD)
    every = [lab.side_by_side(make(seed), TASK, descent) for seed in range(40)]
    for learner in ("network", "linearized", "kernel"):
        for split in ("train", "test"):
            outputs = np.array([getattr(getattr(result, learner), split) for result in every])
            moments = getattr(found, split)[learner]
            assert relative(moments.mean, outputs.mean(0)) < EXACT
            assert relative(moments.variance, outputs.var(0, ddof=1)) < EXACT
    assert found.mean["network"] is found.test["network"].mean


def test_the_running_variance_is_accurate_beside_a_large_mean():
    values = 1e9 + np.random.default_rng(0).standard_normal((50, 3))
    running = RunningMoments((3,))
    for each in values:
        running.add(each)
    assert relative(running.moments().variance, (values - 1e9).var(0, ddof=1)) < 1e-6  # squares would lose all digits
    assert np.isnan(RunningMoments((3,)).moments().mean).all()


@pytest.mark.filterwarnings("ignore::lab.errors.ScaleWarning")
def test_members_that_diverge_are_left_out_of_all_learners_and_counted():
    scales = {0: 1.0, 1: 1.0, 2: 1e4}  # output scales: the last network is far beyond its edge

    def make(seed):
        return lab.Scaled(maker()(seed), scales[seed], centred=False)

    task = (TASK.train_inputs, TASK.train_targets)
    found = lab.ensemble(make, task, lab.Descent(20, learning_rate=0.1), seeds=3)
    assert (found.count, found.diverged, found.test) == (2, (2,), None)
    assert np.isfinite(found.variance["network"]).all()
    assert "1 diverged" in repr(found)
    assert "2 of 3 networks" in found.plot().get_suptitle()
    lost = lab.ensemble(make, task, lab.Descent(20, learning_rate=1e6), seeds=2)
    summary = lost.summary()
    json.dumps(summary, allow_nan=False)
    assert summary["deviation_network"] is None
    assert summary["reasons"]["deviation_network"] == "2 of 2 members diverged"


@pytest.mark.parametrize(
    ("choices", "descent", "reason"),
    [
        ({"centred": True}, {}, "starts from 0"),
        ({"parametrization": "paper", "activation": "relu"}, {}, "'paper'"),
        ({}, {"loss": "huber"}, "huber"),
        ({}, {"optimizer": lambda p: torch.optim.SGD(p, lr=0.1)}, "optimizer"),
    ],
)
def test_infinite_width_is_left_out_with_a_reason(choices, descent, reason):
    found = lab.ensemble(maker(**choices), TASK, lab.Descent(3, **descent), seeds=2)
    assert INFINITE not in found.mean
    assert reason in found.reasons[INFINITE]
    assert ("kernel" in found.mean) == ("optimizer" not in descent)
    json.dumps(found.summary(), allow_nan=False)
    assert reason == "optimizer" or found.count == 2


def test_each_member_may_have_its_own_rate():
    own, shared = (lab.ensemble(maker(), TASK, lab.Descent(3), seeds=2, same_rate=same) for same in (False, True))
    first = [lab.side_by_side(maker()(seed), TASK, lab.Descent(3)) for seed in (0, 1)]
    outputs = np.mean([result.network.test for result in first], axis=0)
    assert relative(own.mean["network"], outputs) < EXACT
    assert relative(shared.mean["network"], outputs) > 1e-3
    assert own.learning_rate == shared.learning_rate  # that of infinite width
    assert relative(own.variance[INFINITE], shared.variance[INFINITE]) == 0


def test_modules_and_random_numbers_are_untouched():
    made = [torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3), torch.nn.Linear(3, 1)) for _ in range(2)]
    before, state = [held(module) for module in made], torch.random.get_rng_state()
    lab.ensemble(lambda seed: made[seed], TASK, lab.Descent(3), seeds=2)
    for module, was in zip(made, before, strict=True):
        check_unchanged(module, was)
    drawn = [lab.ensemble(lambda seed: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 1)), TASK,
                          lab.Descent(3), seeds=[4, 7]) for _ in range(2)]  # fmt: skip
    assert torch.equal(torch.random.get_rng_state(), state)
    assert relative(drawn[0].mean["network"], drawn[1].mean["network"]) == 0  # torch was seeded by the seed
    assert "Sequential" in drawn[0].reasons[INFINITE]


def never(seed):
    raise AssertionError("a network was made although the request is refused")


NETWORK = maker()(0)


@pytest.mark.parametrize(
    ("arguments", "choices", "named"),
    [
        ((NETWORK, TASK, lab.Descent(3)), {}, "make: got ElmanRNN"),
        ((lambda seed: NETWORK, TASK, lab.Descent(3)), {}, "make: got equal weights for seeds 0 and 1"),
        ((lambda seed: None, TASK, lab.Descent(3)), {}, "NoneType"),
        ((never, TASK, 3), {}, "descent"),
        ((never, "curve", lab.Descent(3)), {}, "task"),
        ((never, TASK, lab.Descent(3)), {"seeds": 1}, "seeds: got 1; allowed: an integer of at least 2"),
        ((never, TASK, lab.Descent(3)), {"seeds": [0, 0]}, "seeds"),
        ((never, TASK, lab.Descent(3)), {"seeds": [0, -1]}, "seeds"),
        ((never, TASK, lab.Descent(3)), {"seeds": 2.5}, "seeds"),
        ((maker(outputs=3), TASK, lab.Descent(3)), {}, "targets"),
    ],
)
def test_what_makes_no_ensemble_is_refused_before_any_training(monkeypatch, arguments, choices, named):
    monkeypatch.setattr("lab.ensembles.side_by_side", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(LabError, match="Fix") as caught:
        lab.ensemble(*arguments, **choices)
    assert named in str(caught.value)


def test_the_closed_form_refuses_what_is_not_linear():
    limit = GaussianTraining.at(NETWORK, TASK)
    for choices in ({"loss": "huber"}, {"optimizer": lambda p: torch.optim.Adam(p)}):
        with pytest.raises(LabError, match="descent"):
            limit.moments(lab.Descent(3, **choices), 0.1)


def test_the_picture_has_the_bands_of_all_learners(finite):
    found = finite[("B",), 128]
    figure = found.plot(step=5)
    assert [ax.get_title() for ax in figure.axes] == ["network", "linearized", "kernel"]
    assert "after 5 steps" in figure.get_suptitle()
    mean, deviation = (getattr(found.test["network"], what)[1, :, 0] for what in ("mean", "deviation"))
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    np.testing.assert_allclose(lines["network"].get_xdata(), TASK.test_inputs[:, 0, 0])
    np.testing.assert_allclose(lines["network"].get_ydata(), mean)
    np.testing.assert_allclose(lines["infinite width"].get_ydata(), found.mean[INFINITE][1, :, 0])
    (band,) = figure.axes[0].collections
    top = band.get_paths()[0].vertices[:, 1].max()
    assert top == pytest.approx((mean + ensembles.TIMES * deviation).max())
    styles = {(line.get_color(), str(line.get_linestyle())) for ax in figure.axes for line in ax.get_lines()[:1]}
    assert len(styles) == 3
    with pytest.raises(LabError, match="nearest one is 5"):
        found.plot(step=6)
    with pytest.raises(LabError, match="output"):
        found.plot(output=1)
    with pytest.raises(LabError, match="step"):
        found.plot(step="last")


def test_logits_are_drawn_for_each_class_and_without_class_numbers_as_targets():
    task = lab.Task(TASK.train_inputs, torch.arange(len(TASK.train_inputs)) % 3)
    found = lab.ensemble(maker(8, outputs=3), task, lab.Descent(2, loss="cross_entropy"), seeds=2)
    panels = found.plot(output=2).axes
    np.testing.assert_allclose(panels[0].get_lines()[0].get_ydata(), found.mean["network"][-1, :, 2])
    assert panels[0].get_legend_handles_labels()[1] == ["network"]


def test_samples_without_a_coordinate_are_drawn_one_by_one():
    task, _ = several_outputs("last")
    figure = lab.ensemble(maker(8, task), task, lab.Descent(3), seeds=2).plot(output=1)
    assert all(ax.get_xlabel() == "sample, sorted" for ax in figure.axes)
    (handles, labels) = figure.axes[0].get_legend_handles_labels()
    assert labels == ["network", "infinite width"]
    assert len(handles[0].lines[0].get_ydata()) == 5
