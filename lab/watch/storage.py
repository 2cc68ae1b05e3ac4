"""A watch in one file without pickle: arrays, and a line of JSON."""

from __future__ import annotations

import io
import json
import os
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.errors import LabError, first_line, refuse
from lab.losses import LOSSES, Loss, LossFunction
from lab.networks.network import Network
from lab.watch.twin import Readout
from lab.watch.watch import Point, Watch

FORMAT, VERSION = "lazylab watch", 1

Arrays = dict[str, NDArray[Any]]


def save(watch: Watch, path: str | PathLike[str]) -> Path:
    """Write a watch to one npz file, whole or not at all; returns its path."""
    arrays: dict[str, Any] = {"inputs": _array(watch._probe.twin.inputs)}
    if watch._probe.targets is not None:
        arrays["targets"] = _array(watch._probe.targets)
    for place, point in (("first", watch._first), ("last", watch._last)):
        arrays[f"{place} kernel"] = _array(point.kernel)
        arrays |= {f"{place} parameter {name}": _array(value) for name, value in point.parameters.items()}
    arrays |= {f"state {name}": _array(value) for name, value in watch._state.items()}
    loss = watch._loss.name if LOSSES.get(watch._loss.name) is watch._loss else None
    meta = {"format": FORMAT, "version": VERSION, "rows": watch._rows, "each": watch._each, "loss": loss}
    meta |= {"steps": [watch._first.step, watch._last.step]}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, meta=np.array(json.dumps(meta)))  # older numpys would store allow_pickle as an array
    target = Path(path)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    partial.write_bytes(buffer.getvalue())
    partial.replace(target)
    return target


def load(
    path: str | PathLike[str],
    module: torch.nn.Module | Network,
    outputs: Readout | None,
    loss: str | Loss | LossFunction | None,
) -> Watch:
    """The watch of a file that `save` wrote, on a module of the same architecture."""
    arrays, meta = _read(path)
    known = meta["loss"] if loss is None else loss
    if known is None and "targets" in arrays:
        refuse("loss", "None for a watch with a loss of its own", "that loss", "pass it as it was passed to Watch")
    watch = Watch(module, torch.from_numpy(arrays["inputs"]), arrays.get("targets"), outputs=outputs, loss=known)
    first, last = (
        _point(watch, arrays, place, step) for place, step in zip(("first", "last"), meta["steps"], strict=True)
    )
    state = {name: torch.from_numpy(arrays[f"state {name}"]).to(value) for name, value in watch._state.items()}
    watch.restart(first, last, state)
    watch._rows, watch._each = meta["rows"], meta["each"]
    return watch


def _read(path: str | PathLike[str]) -> tuple[Arrays, dict[str, Any]]:
    fix = "pass a file that Watch.save wrote"
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: Arrays = {name: file[name] for name in file.files}
        meta = json.loads(str(arrays.pop("meta")))
    except (OSError, ValueError, KeyError, EOFError) as error:
        refuse("path", f"{path} ({first_line(error)})", "a saved watch", fix)
    if not isinstance(meta, dict) or (meta.get("format"), meta.get("version")) != (FORMAT, VERSION):
        refuse("path", f"{path}, which holds something else", f"{FORMAT}, version {VERSION}", fix)
    return arrays, meta


def _point(watch: Watch, arrays: Arrays, place: str, step: float) -> Point:
    like, parameters = watch._first.parameters, {}
    for name, value in like.items():
        found = arrays.get(f"{place} parameter {name}")
        if found is None or found.shape != tuple(value.shape):
            came = f"another architecture: parameter {name!r} is {'missing' if found is None else found.shape}"
            raise LabError("module", came, "the module that was watched", "build it by the same function")
        parameters[name] = torch.from_numpy(found).to(value)
    return Point(step, parameters, torch.from_numpy(arrays[f"{place} kernel"]).to(watch._first.kernel))


def _array(values: Tensor) -> NDArray[Any]:
    return values.detach().cpu().numpy()
