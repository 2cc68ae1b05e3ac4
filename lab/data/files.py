"""Readers of anyone's series: ``.npz``, ``.csv``, and the UCR/UEA archives' ``.tsv``, ``.txt`` and ``.ts``.

Nothing that is read here runs code: no pickles, no expressions, no downloads; paths are local files.
"""

from __future__ import annotations

import functools
import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lab.data.labelled import Labelled, Part, join
from lab.errors import refuse

if TYPE_CHECKING:
    import pandas as pd

MOST_BYTES = 2**30  # unpacked: larger files are no set that a tangent kernel could be made of

_NPZ = "X and y; or train_inputs with train_labels or train_targets, and the same for test_"
_FIX = "write the label first, then one number for each time step"
_MISSING = frozenset({"", "?", "na", "nan", "null", "none"})


def read(path: str | Path) -> Labelled:
    """Series and labels of a file, and of its test split beside it.

    Parameters
    ----------
    path
        By suffix:

        ``.npz`` : ``X`` (n, L) or (n, L, p) with labels ``y`` (n,); or ``train_inputs`` with ``train_labels`` (n,), and
        maybe ``test_inputs`` with ``test_labels``. Labels are numbers or text. For a regression, ``train_targets``
        and ``test_targets`` (n,) or (n, q) instead of labels. Objects (pickles) are refused.

        ``.csv`` : one row for each sample, its label first and then L numbers, one for each step (a single feature). A
        first row of column names is skipped. Every row has the same length.

        ``.tsv``, ``.txt`` : the same without names, as the UCR archive has them, separated by tabs, commas or blanks.
        NaN at the end of a row is the archive's way to write a shorter series; NaN anywhere else is a missing value.

        ``.ts`` : the UEA archive's format, also with several features and unequal lengths (read by aeon, extra
        ``[data]``).

        Beside ``NAME_TRAIN.suffix`` or ``NAME.suffix``, a file ``NAME_TEST.suffix`` is the test split (not for .npz).

    Returns
    -------
    Labelled
        Two classes become targets ∓1, more classes ±1 in a column each; see there.

    Raises
    ------
    LabError
        No such file, another suffix, a file that cannot be read, holds objects, unpacks to more than 1 GiB, has holes,
        rows of unequal length where the format has none, or labels that are no classes.
    """
    return _read(str(path), digest(path))


def digest(path: str | Path) -> str:
    """SHA-256 of a file and of its test split beside it: it distinguishes two contents of one path."""
    found = hashlib.sha256()
    for each in _files(_checked(path)):
        found.update(each.read_bytes())
    return found.hexdigest()


def is_file_name(name: str) -> bool:
    """Whether a task is meant as a file: it ends like one, or has a folder in front."""
    return Path(name).suffix.lower() in READERS or "/" in name or "\\" in name


@functools.lru_cache(maxsize=8)
def _read(path: str, _: str) -> Labelled:
    files = _files(_checked(path))
    name = files[0].stem.removesuffix("_TRAIN")
    reader = READERS[files[0].suffix.lower()]
    return join([part for each in files for part in reader(each)], name)


def _checked(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix.lower() not in READERS:
        refuse("path", str(path), "a file ending in " + ", ".join(READERS), "save the series in one of these formats")
    if not path.is_file():
        refuse("path", str(path), "a file that is there", "check the spelling and the folder")
    return path


def _files(path: Path) -> list[Path]:
    """The file, and its test split if there is one beside it."""
    test = path.with_name(path.stem.removesuffix("_TRAIN") + "_TEST" + path.suffix)
    paired = path.suffix.lower() != ".npz" and not path.stem.endswith("_TEST") and test.is_file()
    files = [path, test] if paired else [path]
    size = sum(each.stat().st_size for each in files)
    if size > MOST_BYTES:
        refuse("path", f"{path} of {size:,} bytes", f"at most {MOST_BYTES:,}", "cut it to the samples that you need")
    return files


def _unreadable(path: Path, error: Exception) -> Any:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    fix = f"save it again as {path.suffix}; `lab.data.files.read` describes the layout"
    refuse("path", f"{path} ({reason})", f"a readable {path.suffix} file", fix)


def _read_npz(path: Path) -> list[Part]:
    _check_archive(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # whatever damaged bytes make of zipfile and NumPy
        _unreadable(path, error)
    strange = [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]
    if strange:
        _unreadable(path, ValueError(f"{strange[0]} is no array"))
    if {"X", "y"} <= set(arrays):
        return [_part(path, arrays["X"], labels=arrays["y"])]
    parts = [_split(path, arrays, split) for split in ("train", "test") if f"{split}_inputs" in arrays]
    if not parts or "train_inputs" not in arrays:
        refuse("path", f"{path} with " + (", ".join(sorted(arrays)) or "nothing"), _NPZ, "name the arrays so")
    if len({part.labels is None for part in parts}) > 1:
        refuse("path", f"{path} with labels for one split and targets for the other", _NPZ, "give both splits the same")
    return parts


def _check_archive(path: Path) -> None:
    """Refuse, before anything is unpacked, what is no plain archive of arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except Exception as error:  # the same
        _unreadable(path, error)
    names = [member.filename for member in members]
    odd = [name for name in names if not name.removesuffix(".npy").isidentifier() or not name.endswith(".npy")]
    if odd or len(set(names)) < len(names):
        came = f"{path} with {ascii(odd[0]) if odd else 'one name twice'} inside"
        refuse("path", came, "arrays under plain names alone", "write it by numpy.savez")
    size = sum(member.file_size for member in members)
    if size > MOST_BYTES:
        refuse(
            "path",
            f"{path}, which unpacks to {size:,} bytes",
            f"at most {MOST_BYTES:,}",
            "leave out what is not needed",
        )


def _split(path: Path, arrays: dict[str, np.ndarray], split: str) -> Part:
    inputs, labels, targets = (arrays.get(f"{split}_{what}") for what in ("inputs", "labels", "targets"))
    if (labels is None) == (targets is None):
        came = f"{path} with " + (f"both or neither of {split}_labels and {split}_targets")
        refuse("path", came, _NPZ, "give classes as labels, numbers as targets")
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
    texts = [value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in values.tolist()]
    return Part(list(series), texts)


def _read_rows(path: Path) -> list[Part]:
    """Rows of a label and numbers."""
    table = _table(path)
    cells = table.iloc[:, 1:]
    holes = cells.apply(lambda column: column.str.strip().str.lower().isin(_MISSING)).to_numpy()
    numbers = _numbers(path, cells, holes)
    steps, empty = numbers.shape[1], (~holes[:, ::-1]).argmax(1)  # cells without a number at the end of each row
    ends = np.full(len(numbers), steps) if path.suffix.lower() == ".csv" else steps - empty
    return [Part([row[:end, None] for row, end in zip(numbers, ends, strict=True)], table[0].tolist())]


def _table(path: Path) -> pd.DataFrame:
    """All cells as text, without a row of names; empty ones are ""."""
    import pandas as pd

    try:
        with path.open(encoding="utf-8-sig") as file:
            first = file.readline()
        separator = "," if "," in first else ";" if ";" in first else "\t" if "\t" in first.strip() else r"\s+"
        options: dict[str, Any] = {"header": None, "dtype": str, "keep_default_na": False, "na_filter": False}
        table: pd.DataFrame = pd.read_csv(path, sep=separator, encoding="utf-8-sig", compression=None, **options)
    except (OSError, ValueError, MemoryError) as error:  # pandas' own errors are ValueErrors
        _unreadable(path, error)
    table = table.fillna("")  # what a short row lacks
    if path.suffix.lower() == ".csv" and _are_names(table.iloc[0, 1:].tolist(), (table[0] == table[0][0]).sum() == 1):
        table = table.iloc[1:]
    if table.shape[1] < 2 or not len(table):
        refuse(
            "path", f"{path} with {table.shape[0]} rows of {table.shape[1]}", "a label and numbers in each row", _FIX
        )
    return table


def _numbers(path: Path, cells: pd.DataFrame, holes: np.ndarray) -> np.ndarray:
    """The cells as numbers, to the last digit; NaN where there is none."""
    texts = np.where(holes, "nan", cells.to_numpy(object))
    odd = np.argwhere([[_number(text) is None for text in row] for row in texts.tolist()])
    if len(odd):
        row, column = odd[0]
        came = f"{path} with {texts[row, column][:40]!r} in row {cells.index[row] + 1}, column {column + 2}"
        refuse("path", came, "numbers after the label", _FIX)
    numbers: np.ndarray = texts.astype(np.float64)
    return numbers


def _are_names(cells: list[str], alone: bool) -> bool:
    """Whether a first row names columns: no cell is a number; or they count from 0 or 1 and its label is ``alone``."""
    numbers = [_number(cell) for cell in cells]
    counted = [list(map(float, range(start, start + len(cells)))) for start in (0, 1)]
    return all(number is None for number in numbers) or (alone and len(cells) > 1 and numbers in counted)


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _read_ts(path: Path) -> list[Part]:
    """The UEA format by aeon's reader, which gives (features, length) for each sample."""
    try:
        from aeon.datasets import load_from_ts_file
    except ImportError:
        fix = "pip install 'lazylab[data]', or save the series as .npz or .csv"
        refuse("path", str(path), ".npz, .csv, .tsv or .txt where aeon is not installed", fix)
    try:
        series, labels = load_from_ts_file(str(path))
    except Exception as error:  # a foreign parser: any error means that the file is not valid
        _unreadable(path, error)
    if labels is None or not len(labels):
        refuse("path", f"{path} without labels", "a file with classes", "name them by @classLabel true")
    return [Part([np.asarray(each, dtype=np.float64).T for each in series], [str(label) for label in labels])]


READERS: dict[str, Callable[[Path], list[Part]]] = {
    ".npz": _read_npz,
    ".csv": _read_rows,
    ".tsv": _read_rows,
    ".txt": _read_rows,
    ".ts": _read_ts,
}
