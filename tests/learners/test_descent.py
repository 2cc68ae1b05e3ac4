import numpy as np
import pytest
import torch

from lab.errors import LabError
from lab.learners.descent import Descent, Divergence


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
