"""A function of one number, as sequences."""

import numpy as np
import pytest

import lab
from lab.errors import LabError
from lab.tasks.curve import coordinate


def test_the_number_stands_at_the_first_step_and_the_target_is_a_function_of_it():
    task = lab.tasks.curve(points=5, test=7, length=3, reach=1.5, function=np.cos)
    z = np.linspace(-1, 1, 5)
    np.testing.assert_array_equal(task.train_inputs[:, 0, 0], z)
    np.testing.assert_array_equal(task.train_inputs[:, :, 1], np.ones((5, 3)))
    assert not task.train_inputs[:, 1:, 0].any()
    np.testing.assert_allclose(task.train_targets[:, 0], np.cos(z))
    np.testing.assert_allclose(task.test_targets[:, 0], np.cos(np.linspace(-1.5, 1.5, 7)))


def test_the_coordinate_is_the_only_entry_that_varies():
    task = lab.tasks.curve(points=3, test=5)
    train, test = coordinate(task)
    np.testing.assert_array_equal(train, [-1, 0, 1])
    np.testing.assert_array_equal(test, np.linspace(-2, 2, 5))
    assert coordinate(lab.tasks.digits()) is None
    found = coordinate(lab.Task(np.arange(3.0)[:, None], np.ones(3)))
    np.testing.assert_array_equal(found[0], [0, 1, 2])
    assert found[1] is None
    assert coordinate(lab.Task(np.ones((3, 2)), np.ones(3))) is None


@pytest.mark.parametrize(
    ("choices", "named"),
    [
        ({"points": 1}, "points"),
        ({"test": 0}, "test"),
        ({"length": 0}, "length"),
        ({"reach": 0}, "reach"),
        ({"function": lambda z: 1.0}, "function"),
        ({"function": lambda z: z / 0}, "targets"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_no_curve_is_refused(choices, named):
    with pytest.raises(LabError, match=named):
        lab.tasks.curve(**choices)
