"""The kernel along a descent, against paths that are recorded and cut by hand, autograd, NumPy and scikit-learn."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge

import lab
from lab.errors import LabError
from lab.measures.settling import SHARES, follow_kernel, held_out_errors, when_falling
from lab.measures.validation.learners import PENALTIES, hold_out, output_error, tangent_errors
from tests.tolerances import EXACT, relative

HELD = 6  # validation samples


@pytest.fixture(scope="module")
def task():
    return hold_out(lab.tasks.digits(train=18, test=14), HELD)


def network(task, seed=1, width=16):
    return lab.ElmanRNN.like(task, width, seed=seed, centred=True)


def probes(task):
    return [part[HELD : HELD + 8] for part in task.test_split]


def dense(net, inputs):
    """The Jacobian of one output in W, (n, m²), by autograd."""
    return torch.stack([torch.autograd.grad(net(x[None]).sum(), net.W)[0].flatten() for x in inputs]).numpy()


def kernel(net, inputs):
    jacobian = dense(net, inputs)
    return jacobian @ jacobian.T


def angle(one, other):
    return float(np.arccos((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum())))


def follow(net, task, fraction, *, goal=0.02, patience=20.0, spacing=2.0):
    pace = {"goal": goal, "patience": patience, "spacing": spacing}
    return follow_kernel(net, task, probes(task), critical_fraction=fraction, **pace)


def recorded(net, task, fraction, goal):
    """Errors over the first one and networks at every step, until the error is at the goal."""
    errors, networks, first = [], [], None
    for each in lab.descend(net, task, lab.Descent(5000, fraction, record="all")):
        first = first or each.loss
        errors.append(each.loss / first)
        networks.append(each.network.copy())
        if errors[-1] <= goal:
            return np.array(errors), networks
    raise AssertionError("the goal was not reached")


def by_hand(errors, goal):
    """Steps at which the error is first at each share, after the last step at which it is above 1."""
    risen = int(np.flatnonzero(errors > 1 + 1e-9)[-1]) if (errors > 1 + 1e-9).any() else 0
    return risen, [0, *(next(t for t in range(risen, len(errors)) if errors[t] <= share) for share in (*SHARES, goal))]


@pytest.mark.parametrize("fraction", [0.3, 2.5])
def test_phases_velocities_and_stages_are_those_of_a_recorded_path(task, fraction):
    errors, networks = recorded(network(task), task, fraction, 0.02)
    risen, steps = by_hand(errors, 0.02)
    assert (errors.max() > 2) == (risen > 0) == (fraction > 1)
    kernels = [kernel(networks[step], probes(task)[0]) for step in steps]
    found = follow(network(task), task, fraction)
    assert found.exit == "reached"
    assert [stage.step for stage in found.stages] == steps
    speeds = [
        angle(*ends) / (fraction * (end - start))
        for ends, (start, end) in zip(itertools.pairwise(kernels), itertools.pairwise(steps), strict=True)
    ]
    assert list(found.velocities().values()) == pytest.approx(speeds, rel=1e-6)
    assert found.peak == pytest.approx(errors.max())
    assert relative(found.risen.W, networks[risen].W) < EXACT
    row = found.summary()
    assert row["angle_half"] == pytest.approx(angle(kernels[2], kernels[0]), rel=1e-6)
    assert row["angle_after"] == pytest.approx(angle(kernels[3], kernels[0]), rel=1e-6)
    assert row["moved_half"] == pytest.approx(row["angle_half"] / row["angle_after"])
    assert row["kernel_time"] == pytest.approx(fraction * steps[-1])
    assert row["error"] == pytest.approx(errors[-1])
    assert row["reasons"] == ""
    places = np.round(found.kernel_time / fraction).astype(int)
    assert relative(found.error, errors[places]) < EXACT


def test_phases_begin_again_where_an_error_that_was_small_rises_above_the_first(task):
    errors, networks = recorded(network(task), task, 2.0, 0.02)
    risen, steps = by_hand(errors, 0.02)
    assert errors[:risen].min() < 0.5, "the error falls below a share before it rises"
    found = follow(network(task), task, 2.0)
    assert [stage.step for stage in found.stages] == steps
    half = networks[steps[2]]
    assert relative(found.named["half"].kernel.flatten(), kernel(half, probes(task)[0]).ravel()) < EXACT


def test_distances_are_taken_after_a_fixed_kernel_time(task):
    errors, networks = recorded(network(task), task, 0.3, 0.02)
    _, steps = by_hand(errors, 0.02)
    found = follow(network(task), task, 0.3, spacing=2.0).distances()
    for step, distance in zip(steps, found.values(), strict=False):
        one, other = (kernel(networks[place], probes(task)[0]) for place in (step, step + 7))  # 7 · 0.3 ≥ 2 > 6 · 0.3
        assert distance == pytest.approx(1 - np.cos(angle(one, other)), rel=1e-6)
    assert follow(network(task), task, 0.3, spacing=1e4).distances() == dict.fromkeys(found)


def test_the_kernel_settles_where_the_angle_stays_above_nine_tenths_of_its_last(task):
    found = follow(network(task), task, 0.3)
    settled = next(t for t in range(len(found.angle)) if (found.angle[t:] >= 0.9 * found.angle[-1]).all())
    assert 0 < settled < len(found.angle) - 1
    row = found.summary()
    assert row["settles_at"] == pytest.approx(found.error[settled])
    assert row["settles_within"] == pytest.approx(found.kernel_time[settled] / found.kernel_time[-1])


def test_alignment_is_that_of_centred_kernel_and_targets(task):
    net = network(task)
    found, targets = follow(net, task, 0.3), probes(task)[1].numpy()
    centre = np.eye(len(targets)) - 1 / len(targets)
    one, other = centre @ kernel(net, probes(task)[0]) @ centre, centre @ targets @ targets.T @ centre
    assert found.summary()["alignment_init"] == pytest.approx(np.cos(angle(one, other)))
    assert found.summary()["alignment_gain"] == pytest.approx(found.alignment[-1] - found.alignment[0])


@pytest.mark.parametrize(("fraction", "patience", "ended"), [(0.3, 0.2, "undecided"), (400.0, 20.0, "diverged")])
def test_a_descent_that_does_not_arrive_has_reasons_in_place_of_numbers(task, fraction, patience, ended):
    found = follow(network(task, width=4), task, fraction, patience=patience)
    row = {**found.summary(), **held_out_errors(found, task, HELD)}
    assert (row["exit"], row["diverged"]) == (ended, ended == "diverged")
    assert row["reasons"].startswith(ended)
    absent = ("velocity_late", "angle_after", "settles_at", "settles_within", "moved_half", "alignment_after")
    assert {row[name] for name in (*absent, "error_after", "plain_after", "error_network", "error_resumed")} == {None}
    assert row["error_init"] > 0


def test_values_are_read_where_the_error_falls_after_its_last_rise():
    error = np.array([1.0, 0.4, 3.0, 0.7, 0.8, 0.3, 0.05])
    levels = np.array([1.0, 0.75, 0.7, 0.5, 0.05])
    assert when_falling(error, np.arange(7.0), levels).tolist() == [3, 3, 3, 5, 6]
    assert when_falling(np.array([1.0, 0.5, 0.1]), np.arange(3.0), np.array([1.0, 0.1])).tolist() == [0, 2]


def test_validation_samples_are_taken_from_the_training_split():
    whole = lab.tasks.digits(train=18, test=14)
    found = hold_out(whole, HELD)
    assert torch.equal(found.train_inputs, whole.train_inputs[:12])
    assert torch.equal(found.test_inputs, torch.cat([whole.train_inputs[12:], whole.test_inputs]))
    assert torch.equal(found.test_targets, torch.cat([whole.train_targets[12:], whole.test_targets]))
    assert torch.equal(found.train_targets, whole.train_targets[:12])
    assert (found.name, found.classes) == (whole.name, whole.classes)
    for wrong in (0, 18):
        with pytest.raises(LabError, match="validation"):
            hold_out(whole, wrong)


def errors_by_scikit_learn(net, task, start=None):
    """Test errors of scikit-learn's KernelRidge: with the penalty that validation chooses, and with the smallest."""
    train, held_out = dense(net, task.train_inputs), dense(net, task.test_inputs)
    zero = [np.zeros((len(part), 1)) for part in (train, held_out)]
    parts = (task.train_inputs, task.test_inputs)
    first = zero if start is None else [start(part).detach().numpy() for part in parts]
    top, found = np.linalg.eigvalsh(train @ train.T)[-1], []
    for share in PENALTIES:
        ridge = KernelRidge(alpha=share * top, kernel="precomputed")
        ridge.fit(train @ train.T, task.train_targets.numpy() - first[0])
        squares = (first[1] + ridge.predict(held_out @ train.T) - task.test_targets.numpy()) ** 2
        found.append((squares[:HELD].mean(), squares[HELD:].mean()))
    return min(found)[1], found[0][1]


@pytest.mark.parametrize("restarted", [False, True])
def test_kernel_regression_is_scikit_learns_kernel_ridge(task, restarted):
    net, start = network(task), network(task, seed=2)
    with torch.no_grad():
        start.W += 0.1 * torch.randn(16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    given = (start,) if restarted else ()
    expected = errors_by_scikit_learn(net, task, *given)
    assert tangent_errors(net, task, HELD, *given) == pytest.approx(expected, rel=1e-6)
    assert expected[0] != pytest.approx(expected[1], rel=1e-3), "the choice makes a difference"


def test_errors_of_a_course_are_those_of_its_kernels_and_of_the_network(task):
    found = follow(network(task), task, 2.5)
    row = held_out_errors(found, task, HELD)
    targets = task.test_targets[HELD:].numpy()
    unit = ((targets - targets.mean()) ** 2).mean()
    _, networks = recorded(network(task), task, 2.5, 0.02)
    half, end = networks[found.stages[2].step], networks[-1]
    for name, net in {"init": networks[0], "half": half, "after": end}.items():
        expected = [error / unit for error in errors_by_scikit_learn(net, task)]
        assert [row[f"error_{name}"], row[f"plain_{name}"]] == pytest.approx(expected, rel=1e-6)
    risen = networks[int(np.flatnonzero(recorded(network(task), task, 2.5, 0.02)[0] > 1)[-1])]
    resumed = [error / unit for error in errors_by_scikit_learn(end, task, risen)]
    assert [row["error_resumed"], row["plain_resumed"]] == pytest.approx(resumed, rel=1e-6)
    own = ((end(task.test_inputs).detach()[HELD:].numpy() - targets) ** 2).mean()
    assert row["error_network"] == row["plain_network"] == pytest.approx(own / unit)
    assert output_error(end, task, HELD) == pytest.approx(own)
