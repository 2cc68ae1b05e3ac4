"""Fitted estimators in a file without pickle: arrays and a line of JSON, so that reading one runs no code."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from lab.errors import LabError, refuse
from lab.estimators import learners
from lab.networks.parametrization import Parametrization
from lab.networks.scaled import Scaled

FORMAT, VERSION = "lazylab estimator", 1
NAMES = [
    f"{learner}{task}" for learner in ("RNN", "LinearizedRNN", "TangentKernel") for task in ("Regressor", "Classifier")
]
_NUMBERS = ("n_features_in_", "series_shape_", "several_", "loss_", "n_iter_")
_ARRAYS = ("intercept_", "scale_", "dual_coef_", "classes_")
_FIX = "pass a file that lab.estimators.save wrote"


def save(estimator: Any, path: str | os.PathLike[str]) -> Path:
    """Write a fitted estimator of the lab to one file (npz, versioned), whole or not at all; returns its path.

    Raises
    ------
    LabError
        An estimator that is not of the lab, or parameters or labels that JSON and NumPy cannot hold without pickle.
    NotFittedError
        One that is not fitted.
    """
    if type(estimator).__name__ not in NAMES or type(estimator).__module__ != learners.__name__:
        refuse("estimator", type(estimator).__name__, "one of " + ", ".join(NAMES), "save the step of the pipeline")
    check_is_fitted(estimator)
    meta = {"format": FORMAT, "version": VERSION, "estimator": type(estimator).__name__}
    meta |= {"parameters": _parameters(estimator), "numbers": _numbers(estimator)}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **_arrays(estimator), meta=np.array(json.dumps(meta)))
    target = Path(path)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    partial.write_bytes(buffer.getvalue())
    partial.replace(target)
    return target


def load(path: str | os.PathLike[str]) -> Any:
    """The estimator that `save` wrote, with identical predictions; no code in the file is ever run.

    Raises
    ------
    LabError
        A file that cannot be read, that is no such file, or that a later version wrote.
    """
    try:
        with np.load(Path(path), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        meta = json.loads(str(arrays.pop("meta")))
        return _restored(meta, arrays)
    except LabError:
        raise
    except OSError as error:
        refuse("path", f"{str(path)!r} ({error.strerror or error})", "a file that can be read", "check the path")
    except Exception as error:  # whatever damaged bytes make of zipfile, NumPy, json and the constructors
        refuse("path", f"{str(path)!r}, which is no estimator of the lab ({error})", "a file of lab.estimators", _FIX)


def _parameters(estimator: Any) -> dict[str, Any]:
    found = {}
    for name, value in estimator.get_params(deep=False).items():
        value = {"Parametrization": asdict(value)} if isinstance(value, Parametrization) else value
        found[name] = sorted(value) if isinstance(value, (set, frozenset)) else value
    try:
        return dict(json.loads(json.dumps(found, default=_plain)))
    except TypeError as error:
        refuse("estimator", f"a parameter that is no plain value ({error})", "numbers, texts, tuples", "set it again")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__}")


def _numbers(estimator: Any) -> dict[str, Any]:
    return {name: getattr(estimator, name) for name in _NUMBERS if hasattr(estimator, name)}


def _arrays(estimator: Any) -> dict[str, NDArray[Any]]:
    arrays = {name: np.asarray(getattr(estimator, name)) for name in _ARRAYS if hasattr(estimator, name)}
    if "classes_" in arrays and arrays["classes_"].dtype == object:
        if not all(isinstance(label, str) for label in arrays["classes_"]):
            refuse("estimator", "labels that are neither numbers nor texts", "labels of one plain type", "encode them")
        arrays["classes_"] = arrays["classes_"].astype(str)
    tensors = {f"initial.{name}": value for name, value in estimator.initial_.items()}
    if hasattr(estimator, "X_fit_"):
        tensors["X_fit_"] = estimator.X_fit_
    elif hasattr(estimator, "motion_"):
        tensors |= {f"motion.{name}": value for name, value in estimator.motion_.items()}
    else:
        tensors |= {f"trained.{name}": value for name, value in estimator.network_.trained.items()}
    return arrays | {name: value.detach().numpy() for name, value in tensors.items()}


def _restored(meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Any:
    if meta["format"] != FORMAT or meta["estimator"] not in NAMES:
        refuse("path", f"{meta['format']!r} of {meta['estimator']!r}", FORMAT, _FIX)
    if meta["version"] != VERSION:
        fix = "read it with the version of lazylab that wrote it"
        refuse("path", f"version {meta['version']!r}", f"version {VERSION}", fix)
    estimator = getattr(learners, meta["estimator"])(**_typed(meta["parameters"]))
    for name, value in meta["numbers"].items():
        if name in _NUMBERS:
            setattr(estimator, name, tuple(value) if isinstance(value, list) else value)
    for name in set(_ARRAYS) & set(arrays):
        setattr(estimator, name, arrays[name])
    _give_network(estimator, arrays)
    return estimator


def _typed(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Lists as tuples, and a parametrization as what it was."""
    found: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in parameters.items()}
    if isinstance(found.get("parametrization"), dict):
        found["parametrization"] = Parametrization(**found["parametrization"]["Parametrization"])
    return found


def _give_network(estimator: Any, arrays: Mapping[str, NDArray[Any]]) -> None:
    def group(prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): torch.tensor(v) for name, v in arrays.items() if name.startswith(prefix)}

    estimator.initial_, features = group("initial."), estimator.series_shape_[1]
    network = learners.elman(estimator, features, len(estimator.intercept_), "cpu" if estimator.initial_ else "meta")
    if estimator.initial_:
        learners.set_weights(network, estimator.initial_)
    if "X_fit_" in arrays:
        estimator.network_, estimator.X_fit_ = network, torch.tensor(arrays["X_fit_"])
        return
    estimator.network_ = Scaled(network, estimator.output_scale)
    if motion := group("motion."):
        estimator.motion_ = motion
    else:
        learners.set_weights(network, estimator.initial_ | group("trained."))
