"""Anyone's class labels as targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lab.data.signs import sign_columns
from lab.errors import refuse

_SAME = "give both splits the classes of the training split, as in class_targets(test, np.unique(train))"


def class_targets(labels: Any, classes: Sequence[Any] | None = None) -> NDArray[np.float64]:
    """Targets for class labels: −1 and +1 in one column for two classes, a column of ±1 each for more.

    Parameters
    ----------
    labels
        Array-like (n,) of class indices, other numbers, or text.
    classes
        The classes in the order of the columns; by default those that occur, sorted. For a test split, pass those of
        the training split.

    Returns
    -------
    ndarray
        Shape (n, 1) for two classes, −1 being the first, or (n, classes): +1 for a sample's own class, −1 elsewhere.

    Raises
    ------
    LabError
        Labels that are not one for each sample, fewer than two classes, or a label that is not among ``classes``.

    Examples
    --------
    >>> class_targets([0, 2, 1]).tolist()
    [[1.0, -1.0, -1.0], [-1.0, -1.0, 1.0], [-1.0, 1.0, -1.0]]
    >>> class_targets(["cat", "dog"]).tolist()
    [[-1.0], [1.0]]
    """
    values = _one_each(labels)
    names = class_names(labels) if classes is None else np.asarray(list(classes))
    if len(names) < 2 or len(np.unique(names)) < len(names):
        came = ", ".join(map(str, names)) or "none"
        refuse("classes", came, "two or more different classes", "add samples of another class, or name the classes")
    matches = values[:, None] == names
    if not matches.any(1).all():
        came = f"label {values[~matches.any(1)][0]!r}"
        refuse("labels", came, "one of " + ", ".join(map(str, names[:9])), _SAME)
    return sign_columns(matches.argmax(1), len(names))


def class_names(labels: Any) -> list[Any]:
    """The labels (n,) that occur, sorted, each once."""
    return list(np.unique(_one_each(labels)))


def _one_each(labels: Any) -> NDArray[Any]:
    values = np.asarray(labels.detach().cpu() if isinstance(labels, Tensor) else labels)
    if values.ndim != 1 or not len(values):
        refuse("labels", f"shape {values.shape}", "one label for each sample, (n,)", "drop further axes")
    return values
