import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import lab.learners.descent as descent_module
from lab.errors import LabError
from lab.learners.descent import Descent, Divergence
from lab.learners.linearized import taylor_trajectory
from lab.learners.network import NetworkModel, descend
from lab.losses import Objective
from lab.networks.elman import ElmanRNN
from lab.networks.modules import as_network
from lab.tasks import separable


def test_log_record_has_every_early_step_and_the_last():
    steps = Descent(300).recorded()
    assert list(steps[:11]) == list(range(11))
    assert steps[-1] == 300
    assert len(steps) <= 11 + 64
    assert (np.diff(steps) > 0).all()


@pytest.mark.parametrize(
    ("record", "expected"),
    [([0, 2], [0, 2]), (range(3), [0, 1, 2]), ("all", [0, 1, 2, 3]), ((3, 0, 3), [0, 3]), ("log", [0, 1, 2, 3])],
)
def test_records(record, expected):
    assert Descent(3, record=record).recorded().tolist() == expected


def test_half_the_critical_rate_is_the_default():
    assert Descent(5).critical_fraction == 0.5
    assert Descent(5).rate(lambda_max=4.0) == 0.25
    assert Descent(5, learning_rate=0.1).rate(4.0) == 0.1
    assert Descent(5, 1.0, momentum=0.5).rate(4.0) == pytest.approx(2 * 1.5 / 4)


def test_an_epoch_is_a_permutation():
    batches = Descent(9, batch_size=4, seed=3).batches(10)
    epoch = [next(batches) for _ in range(3)]
    assert [len(batch) for batch in epoch] == [4, 4, 2]
    assert sorted(np.concatenate(epoch)) == list(range(10))
    assert not np.array_equal(np.concatenate(epoch), np.concatenate([next(batches) for _ in range(3)]))


def test_a_batch_as_large_as_the_set_is_the_full_batch():
    assert next(Descent(9, batch_size=10).batches(10)) is None


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"steps": 0}, "steps"),
        ({"steps": 2.5}, "steps"),
        ({"steps": True}, "steps"),
        ({"critical_fraction": 0.5, "learning_rate": 0.1}, "learning_rate"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": -1}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"critical_fraction": -0.5}, "critical_fraction"),
        ({"critical_fraction": "0.5"}, "critical_fraction"),
        ({"momentum": 1.0}, "momentum"),
        ({"batch_size": 0}, "batch_size"),
        ({"record": "every"}, "record"),
        ({"record": ()}, "record"),
        ({"record": (0, 99)}, "record"),
        ({"record": [0, 0.5]}, "record"),
        ({"record": {0, 1}}, "record"),
        ({"optimizer": "adam"}, "optimizer"),
        ({"seed": 2**32}, "seed"),
        ({"optimizer": torch.optim.Adam, "learning_rate": 0.1}, "optimizer"),
        ({"optimizer": torch.optim.Adam, "momentum": 0.1}, "optimizer"),
    ],
)
def test_bad_settings_name_themselves(arguments, name):
    with pytest.raises(LabError) as caught:
        Descent(**{"steps": 10, **arguments})
    assert caught.value.argument == name


def test_the_divergence_limit_looks_at_targets_too():
    rule = Divergence.from_start(1e-3, 2.0)
    assert rule.limit == 2e6
    assert not rule.reached(2e6)
    assert rule.reached(2.1e6)
    assert rule.reached(float("nan"))
    assert rule.reached(float("inf"))


def looks_of(monkeypatch, every):
    """How many losses are read at once, in descents that look at them as seldom as on a GPU."""
    looks, look = [], descent_module._Losses.look
    monkeypatch.setattr(descent_module, "_steps_between_looks", lambda device: every)
    monkeypatch.setattr(descent_module._Losses, "look", lambda self: looks.append(len(self._values)) or look(self))
    return looks


@pytest.mark.parametrize(("batch_size", "fraction"), [(None, 1.1), (4, 2.2), (4, 0.5)])
@pytest.mark.parametrize("record", ["log", (0, 90), (5, 40, 90)])
def test_seldom_looks_at_the_loss_change_no_result(monkeypatch, record, batch_size, fraction):
    task = separable(samples=6, length=3)
    network = ElmanRNN.like(task, 16)
    rate = fraction * 2 / float(torch.linalg.eigvalsh(network.jacobian(task.train_inputs).gram().view(6, 6))[-1])
    descent = Descent(90, learning_rate=rate, record=record, batch_size=batch_size)
    expected = taylor_trajectory(network, task, descent, rate)
    assert (expected.diverged_at is None) == (fraction < 1)
    looks = looks_of(monkeypatch, 32)
    found = taylor_trajectory(network, task, descent, rate)
    assert found.diverged_at == expected.diverged_at
    for one, other in ((found.train, expected.train), (found.test, expected.test), (found.loss, expected.loss)):
        np.testing.assert_array_equal(one, other)
    assert max(looks) == 32 if record == (0, 90) else max(looks) > 1


class Reads(TorchDispatchMode):
    """Counts numbers that Python reads from tensors: on a GPU each waits until it has done its work."""

    count = 0

    @classmethod
    def _should_skip_dynamo(cls):
        return False  # torch asks, and would load its whole compiler to skip it

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("settings", [{}, {"batch_size": 4}, {"loss": "logistic"}, {"momentum": 0.5}])
def test_steps_between_looks_read_no_number(monkeypatch, settings):
    task = separable(samples=6, length=3)
    looks = looks_of(monkeypatch, 32)
    path = descend(ElmanRNN.like(task, 16), task, Descent(100, learning_rate=1e-3, record=(0, 100), **settings))
    next(path)
    with Reads() as reads:
        next(path)
    assert reads.count == 0
    assert sum(looks) >= 101
    assert len(looks) == 5


def step_of(model, objective, update):
    """What a graph would replay."""

    def step():
        outputs, jacobian = model.evaluate(None)
        loss, gradient = objective.on_device(outputs)
        update(jacobian, gradient)
        return loss

    return step


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.5}, {"loss": "logistic"}, {"learning_rate": 1e3}])
def test_replayed_steps_change_no_result(monkeypatch, settings):
    task, graphs = separable(samples=6, length=3), []
    network, descent = ElmanRNN.like(task, 16), Descent(90, record=(0, 7, 90), **settings)

    def numbers():
        path = descend(network, task, descent)
        linear = taylor_trajectory(network, task, descent, 1.1 * descent.rate(2.0))
        seen = [(each.step, each.loss, each.network.W.tolist()) for each in path]
        return (
            seen,
            path.diverged_at,
            linear.diverged_at,
            linear.train[linear.steps <= (linear.diverged_at or 90)].tolist(),
        )

    expected = numbers()
    monkeypatch.setattr(descent_module, "_is_replayable", lambda model, *_: model.replayable)
    monkeypatch.setattr(descent_module, "_graph_of", lambda *step: graphs.append(step) or step_of(*step))
    assert numbers() == expected
    assert len(graphs) == 2
    assert (expected[1] is not None and expected[2] is not None) == ("learning_rate" in settings)


def test_modules_and_other_losses_are_not_replayed():
    task = separable(samples=6, length=3)
    module = as_network(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(task.train_inputs[0].numel(), 1)))
    aim = Objective.squared(task.train_targets)
    assert not NetworkModel(module, module.evaluator(task.train_inputs)).replayable
    assert not descent_module._is_replayable(NetworkModel(ElmanRNN.like(task, 16), None), aim, Descent(5))
