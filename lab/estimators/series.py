"""What scikit-learn hands over, as series: arrays (n, L), (n, L, p), or flattened (n, L·p) with ``length=L``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data
from torch import Tensor

from lab.arrays import as_array
from lab.errors import LabError, check_integer, refuse

_ALLOWED = "finite numbers of shape (n, L), (n, L, p), or (n, L·p) with length=L"
_FIX = "fill or drop what is missing; series go in as (samples, time steps, features)"


def flat(X: Any) -> tuple[Any, tuple[int, int] | None]:
    """X with all but its first axis flattened if it has three, and then its (L, p); anything else as it came."""
    X = _door(X)
    if getattr(X, "ndim", 0) != 3:
        return X, None
    array = np.asarray(X)
    return array.reshape(len(array), array.shape[1] * array.shape[2]), (array.shape[1], array.shape[2])


def layout(features: int, length: int | None, came: tuple[int, int] | None) -> tuple[int, int]:
    """(L, p) of series with L·p numbers: as they came in three axes, else as ``length`` says, else p = 1.

    Raises
    ------
    LabError
        A ``length`` that does not divide the number of features, or contradicts three axes.
    """
    if length is None:
        return came or (features, 1)
    check_integer("length", length, 1)
    if came is not None and came[0] != length:
        refuse("length", f"{length} for series of {came[0]} steps", "None, or the same number", "leave length out")
    if features % length:
        refuse("length", f"{length} for {features} numbers per sample", "a divisor of these", "pass X as (n, L, p)")
    return length, features // length


def check_fit(estimator: BaseEstimator, X: Any, y: Any, **options: Any) -> tuple[Tensor, NDArray[Any]]:
    """Series (n, L, p), float64, and targets as scikit-learn validates them; remembers their shape in the estimator."""
    values, came = flat(X)
    values, targets = _validated(lambda: validate_data(estimator, values, y, dtype=np.float64, **options))
    shape = layout(values.shape[1], getattr(estimator, "length", None), came)
    estimator.series_shape_ = shape
    return torch.tensor(np.ascontiguousarray(values)).reshape(len(values), *shape), targets


def check_predict(estimator: Any, X: Any) -> Tensor:
    """Series (n, L, p), float64, of the shape that the estimator was fitted on."""
    values, came = flat(X)
    shape: tuple[int, int] = estimator.series_shape_
    if came is not None and came != shape and came[0] * came[1] == shape[0] * shape[1]:
        refuse("X", f"series of shape {came}", f"{shape}, as in fit", "put time before features")
    values = _validated(lambda: validate_data(estimator, values, reset=False, dtype=np.float64))
    return torch.tensor(np.ascontiguousarray(values)).reshape(len(values), *shape)


def _door(X: Any) -> Any:
    """What scikit-learn would misread: tensors and lists as arrays, masked values and dates refused."""
    if isinstance(X, Tensor):
        return as_array("X", X)
    if np.ma.is_masked(X) or getattr(getattr(X, "dtype", None), "kind", "f") in "mM":
        as_array("X", X)
    return _from_list(X) if isinstance(X, (list, tuple)) else X


def _from_list(X: Any) -> Any:
    """A nested list as an array; one that is ragged is left for scikit-learn to explain."""
    try:
        return np.asarray(X)
    except ValueError:
        return X


def _validated(validate: Callable[[], Any]) -> Any:
    """scikit-learn's own words, in one line, inside the lab's error."""
    try:
        return validate()
    except LabError:
        raise
    except (ValueError, TypeError, OverflowError) as error:
        kind = _KindError if isinstance(error, TypeError) else LabError
        raise kind("X or y", " ".join(str(error).split()).rstrip("."), _ALLOWED, _FIX) from None


class _KindError(LabError, TypeError):
    """A refusal where scikit-learn's conventions want a TypeError: objects that are no numbers, sparse matrices."""
