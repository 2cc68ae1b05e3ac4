"""A smooth function of one number, given as sequences: predictions can be drawn against that number."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab.arrays import as_array
from lab.errors import check_integer, check_number, refuse
from lab.tasks.task import SequenceTask, Task, split

Array = NDArray[np.float64]


def curve(
    points: int = 4,
    test: int = 101,
    length: int = 3,
    *,
    reach: float = 2.0,
    function: Callable[[Array], ArrayLike] | None = None,
) -> SequenceTask:
    """Sequences that show a number z at their first step, and a function of z as target.

    x_1 = (z, 1) and x_t = (0, 1) afterwards: the second feature is a constant, so that outputs need not be odd in z.

    Parameters
    ----------
    points
        Training samples, with z equally spaced from −1 to 1.
    test
        Test samples, with z equally spaced from −reach to reach.
    length
        Time steps L.
    reach
        How far the test inputs go; beyond 1 they lie outside the training points.
    function
        From z of all samples (n + n',) to their targets (n + n',); sin(πz) if not given.

    Raises
    ------
    LabError
        Fewer than two samples or less than one time step, a reach that is not positive, a function whose values do not
        fit.

    Examples
    --------
    >>> task = curve(points=3, length=2)
    >>> task.train_inputs[0].tolist(), task.train_targets[:, 0].round(decimals=9).abs().tolist()
    ([[-1.0, 1.0], [0.0, 1.0]], [0.0, 0.0, 0.0])
    """
    for name, value, least in (("points", points, 2), ("test", test, 2), ("length", length, 1)):
        check_integer(name, value, least)
    check_number("reach", reach, above=0)
    target = (lambda z: np.sin(math.pi * z)) if function is None else function
    z = np.concatenate([np.linspace(-1, 1, points), np.linspace(-reach, reach, test)])
    return split(_sequences(z, length), _values(target, z), points, "curve")


def coordinate(task: Task) -> tuple[Array, Array | None] | None:
    """The one number that inputs differ in, (n,) and (n',): the only entry of a sample that is not constant.

    It is None where inputs of the two splits differ in more than one entry, or in none.
    """
    splits = [inputs for inputs in (task.train_inputs, task.test_inputs) if inputs is not None]
    rows = [np.asarray(inputs.flatten(1).double().numpy()) for inputs in splits]
    every = np.concatenate(rows)
    (varying,) = np.nonzero(np.ptp(every, axis=0))
    if len(varying) != 1:
        return None
    found = [values[:, varying[0]] for values in rows]
    return found[0], found[1] if len(found) == 2 else None


def _sequences(z: Array, length: int) -> Array:
    inputs = np.zeros((len(z), length, 2))
    inputs[:, 0, 0], inputs[:, :, 1] = z, 1.0
    return inputs


def _values(function: Callable[[Array], ArrayLike], z: Array) -> Array:
    values = as_array("function", function(z))
    if values.shape != z.shape:
        refuse("function", f"values of shape {values.shape}", f"{z.shape}", "give one number for each z")
    return values
