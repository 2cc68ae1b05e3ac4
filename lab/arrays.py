"""Whatever holds real numbers, as an array or a tensor; whatever does not, refused before anything is guessed."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.errors import LabError, first_line, refuse

_REAL = "biufO"  # kinds of dtype that NumPy turns into real numbers without a guess; objects are looked at one by one
_FIX = "convert labels to numbers first, as lab.Task.from_labels does; drop what is no number"


def as_array(name: str, values: Any) -> NDArray[np.float64]:
    """Any array-like of real numbers as a float64 array with memory of its own, on the CPU; NaN and inf pass.

    Raises
    ------
    LabError
        Text (also of digits), dates, complex numbers, records, masked values, sparse or meta tensors, ragged lists.
    """
    if isinstance(values, Tensor):
        dense = _check_tensor(name, values).detach().to("cpu", torch.float64, copy=True)
        return np.asarray(dense.resolve_neg().contiguous().numpy())
    if np.ma.is_masked(values):
        refuse(name, "an array with masked values", "a number everywhere", "fill or drop what is masked")
    try:
        array = np.asarray(values)
        if array.dtype.kind not in _REAL or (array.dtype.kind == "O" and any(map(_is_no_real, array.flat))):
            _refuse_kind(name, f"{type(values).__name__} of type {array.dtype}")
        with np.errstate(over="ignore"):
            return array.astype(np.float64, order="C")
    except LabError:
        raise
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        _refuse_kind(name, f"{type(values).__name__} ({first_line(error)})")


def as_tensor(name: str, values: Any) -> Tensor:
    """A real tensor as it is, on its device and with its graph; anything else as int64 or float64 on the CPU.

    Integers, which may be token ids, stay integers; everything else becomes what `as_array` makes of it.
    """
    if isinstance(values, Tensor):
        return _check_tensor(name, values)
    array = as_array(name, values)
    return torch.from_numpy(np.asarray(values).astype(np.int64) if _are_integers(values) else array)


def is_integral(values: Tensor) -> bool:
    """Whether a tensor holds integers, by its type; booleans are none."""
    return not (values.is_floating_point() or values.is_complex() or values.dtype == torch.bool)


def check_data(name: str, values: Tensor) -> Tensor:
    """The tensor itself; refused without a sample, or with NaN or infinite values."""
    if values.ndim == 0 or values.numel() == 0:
        refuse(name, f"shape {tuple(values.shape)}", "at least one sample", "check how the data were selected")
    bad = int((~torch.isfinite(values)).sum())
    if bad:
        refuse(name, f"{bad} NaN or infinite values of {values.numel()}", "finite numbers", "drop or impute them first")
    return values


def _check_tensor(name: str, values: Tensor) -> Tensor:
    if values.is_meta:
        refuse(name, "a tensor on the device 'meta'", "a tensor with values", "build it on the cpu or on cuda")
    if values.is_nested or values.is_quantized or values.layout != torch.strided:
        kind = "nested" if values.is_nested else "quantized" if values.is_quantized else str(values.layout)
        refuse(name, f"a tensor that is {kind}", "a dense tensor", "call .to_dense(), .dequantize(), or pad it")
    if values.is_complex():
        _refuse_kind(name, f"Tensor of type {values.dtype}")
    return values


def _are_integers(values: Any) -> bool:
    """Whether an array-like of real numbers is of an integer type that int64 holds."""
    return np.can_cast(np.asarray(values).dtype, np.int64) and np.asarray(values).dtype.kind in "iu"


def _is_no_real(value: object) -> bool:
    return value is None or isinstance(value, (str, bytes, complex, np.datetime64, np.timedelta64))


def _refuse_kind(name: str, came: str) -> NoReturn:
    refuse(name, came, "an array of numbers", _FIX)
