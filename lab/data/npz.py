"""Arrays of ``.npz`` files, without anything that could run."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lab.data.labelled import Part
from lab.data.text import unreadable
from lab.errors import refuse

_LAYOUT = "X and y; or train_inputs with train_labels or train_targets, and the same for test_"
_SPLIT = frozenset(f"{split}_{what}" for split in ("train", "test") for what in ("inputs", "labels", "targets"))


def read_npz(path: Path, most_bytes: int) -> list[Part]:
    """Series with labels or targets of one or two splits, as `lab.data.files.read` describes them.

    Raises
    ------
    LabError
        A damaged archive, objects, more than ``most_bytes`` unpacked, other arrays than described, or labels that are
        no text, no whole numbers and no numbers small enough to differ.
    """
    _check_archive(path, most_bytes)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # whatever damaged bytes make of zipfile and NumPy
        unreadable(path, error)
    strange = [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]
    if strange:
        unreadable(path, ValueError(f"{strange[0]} is no array"))
    _check_names(path, set(arrays))
    if {"X", "y"} <= set(arrays):
        return [_part(path, arrays["X"], labels=arrays["y"])]
    parts = [_split(path, arrays, split) for split in ("train", "test") if f"{split}_inputs" in arrays]
    if not parts or "train_inputs" not in arrays:
        refuse("path", f"{path} with " + (", ".join(sorted(arrays)) or "nothing"), _LAYOUT, "name the arrays so")
    if len({part.labels is None for part in parts}) > 1:
        refuse(
            "path", f"{path} with labels for one split and targets for the other", _LAYOUT, "give both splits the same"
        )
    return parts


def _check_names(path: Path, names: set[str]) -> None:
    """Refuse arrays of a split that no reader would use: a test split under another name, or inputs in two layouts."""
    unused = [name for name in names - _SPLIT if "train" in name.lower() or "test" in name.lower()]
    for split in ("train", "test"):
        if f"{split}_inputs" not in names or {"X", "y"} <= names:
            unused += [name for name in names & _SPLIT if name.startswith(split)]
    if unused:
        came = f"{path} with {', '.join(sorted(names))}, of which {', '.join(sorted(unused))} would not be used"
        refuse("path", came, _LAYOUT, "name the arrays so, and leave out what is neither series nor labels")


def _check_archive(path: Path, most_bytes: int) -> None:
    """Refuse, before anything is unpacked, what is no plain archive of arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except Exception as error:  # the same
        unreadable(path, error)
    names = [member.filename for member in members]
    odd = [name for name in names if not name.removesuffix(".npy").isidentifier() or not name.endswith(".npy")]
    if odd or len(set(names)) < len(names):
        came = f"{path} with {ascii(odd[0]) if odd else 'one name twice'} inside"
        refuse("path", came, "arrays under plain names alone", "write it by numpy.savez")
    size = sum(member.file_size for member in members)
    if size > most_bytes:
        refuse(
            "path",
            f"{path}, which unpacks to {size:,} bytes",
            f"at most {most_bytes:,}",
            "leave out what is not needed",
        )


def _split(path: Path, arrays: dict[str, np.ndarray], split: str) -> Part:
    inputs, labels, targets = (arrays.get(f"{split}_{what}") for what in ("inputs", "labels", "targets"))
    if (labels is None) == (targets is None):
        came = f"{path} with " + (f"both or neither of {split}_labels and {split}_targets")
        refuse("path", came, _LAYOUT, "give classes as labels, numbers as targets")
    assert inputs is not None
    return _part(path, inputs, labels=labels, targets=targets)


def _part(path: Path, inputs: np.ndarray, labels: np.ndarray | None = None, targets: np.ndarray | None = None) -> Part:
    if inputs.ndim not in (2, 3) or inputs.dtype.kind not in "fiub":
        came = f"{path} with inputs of shape {inputs.shape} and type {inputs.dtype}"
        refuse("path", came, "numbers of shape (n, L) or (n, L, p)", "for unequal lengths write a .ts file")
    series = inputs[:, :, None] if inputs.ndim == 2 else inputs
    values = labels if labels is not None else targets
    assert values is not None
    if values.shape[:1] != inputs.shape[:1] or values.ndim > (1 if targets is None else 2):
        came = f"{path} with {'labels' if targets is None else 'targets'} of shape {values.shape}"
        refuse("path", came, f"one for each of {len(inputs)} samples", "put samples on the first axis of both")
    if targets is not None:
        if targets.dtype.kind not in "fiub":
            refuse("path", f"{path} with targets of type {targets.dtype}", "numbers", "give classes as labels")
        return Part(list(series), None, targets)
    return Part(list(series), _texts(path, values))


def _texts(path: Path, labels: NDArray[np.generic]) -> list[str]:
    """Labels as text, of which no two different ones are alike."""
    kind, allowed, fix = labels.dtype.kind, "labels that are text or whole numbers", "save them as text or integers"
    if kind not in "biufSU":
        refuse("path", f"{path} with labels of type {labels.dtype}", allowed, fix)
    if kind == "S":
        try:
            return [value.decode() for value in labels.tolist()]
        except UnicodeDecodeError:
            refuse("path", f"{path} with labels in bytes that are no UTF-8", allowed, "save them as text")
    if kind != "f":
        return [str(value) for value in labels.tolist()]
    largest = np.abs(labels[np.isfinite(labels)]).max(initial=0)
    if np.spacing(largest) > 1:
        came = f"{path} with labels of type {labels.dtype} up to {largest:.9g}, where neighbouring numbers are one"
        refuse("path", came, allowed, fix)
    return [str(int(value)) if value.is_integer() else str(value) for value in labels]
