"""Readers of anyone's series: ``.npz``, ``.csv``, and the UCR/UEA archives' ``.tsv``, ``.txt`` and ``.ts``.

Nothing that is read here runs code: no pickles, no expressions, no downloads; paths are local files.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.data.labelled import Labelled, Part, join
from lab.data.npz import read_npz
from lab.data.rows import read_rows
from lab.data.ts import read_ts
from lab.errors import refuse

MOST_BYTES = 2**30  # unpacked: larger files are no set that a tangent kernel could be made of


def read(path: str | Path) -> Labelled:
    """Series and labels of a file, and of its test split beside it.

    Parameters
    ----------
    path
        By suffix:

        ``.npz`` : ``X`` (n, L) or (n, L, p) with labels ``y`` (n,); or ``train_inputs`` with ``train_labels`` (n,), and
        maybe ``test_inputs`` with ``test_labels``. Labels are numbers or text. For a regression, ``train_targets``
        and ``test_targets`` (n,) or (n, q) instead of labels. Objects (pickles) are refused.

        ``.csv`` : one row for each sample, its label first and then L numbers, one for each step (a single feature).
        Every row has the same length, and so have the rows of a test file.

        ``.tsv``, ``.txt`` : the same, as the UCR archive has them. NaN at the end of a row is the archive's way to
        write a shorter series; NaN anywhere else is a missing value.

        ``.ts`` : the UEA archive's format, also with several features and unequal lengths. ``@classLabel true`` gives
        classes and ``@targetLabel true`` a regression. Time stamps are refused.

        Beside ``NAME_TRAIN.suffix`` or ``NAME.suffix``, a file ``NAME_TEST.suffix`` is the test split (not for .npz).

    Returns
    -------
    Labelled
        Two classes become targets ∓1, more classes ±1 in a column each; see there.

    Raises
    ------
    LabError
        No such file, another suffix, a file that cannot be read, holds objects, unpacks to more than 1 GiB, has holes,
        rows of unequal length where the format has none, labels that are no classes, or whatever may mean two things.

    Notes
    -----
    *Labels.* Two labels are one class if they are the same number, compared exactly (``1.0000000e+00``, ``+1``, ``01``
    and ``1``), or the same text without the blanks around it. Upper and lower case differ; ``1_1``, ``0x10`` and digits
    of other scripts are text. Empty labels, ``?``, ``NA``, ``NaN``, ``null`` and infinite numbers are refused, as are
    floating labels of an .npz file that are too large to differ by 1.

    *Tables* (``.csv``, ``.tsv``, ``.txt``). Cells are separated by commas, semicolons, tabs or blanks, whichever fits.
    Numbers have decimal points, or decimal commas where another separator or quotes leave no doubt; thousands
    separators are refused. Text is UTF-8, or UTF-16 with a byte order mark. Blank lines, lines that begin with ``#``,
    and empty columns at the end are left out.

    *Column names.* The first row is skipped where it plainly names the columns: where its cells after the first are
    words; or where they are numbers in increasing or decreasing order and the first cell cannot be a label. It cannot
    if it is ``label`` or ``class``, or text above numbers, or a number above text; nor if it occurs once, while the
    numbers are evenly spaced and those of no other row are. A first row that may be names or a sample is refused, and
    so are row numbers and a label column that is not the first, where the file shows it.
    """
    sizes = tuple(each.stat().st_size for each in _files(_checked(path)))
    return _read(str(path), digest(path), sizes)


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
def _read(path: str, _: str, __: tuple[int, ...]) -> Labelled:
    """The data of a path whose files have this digest and these sizes: lines may move from one file to the other."""
    files = _files(_checked(path))
    name = files[0].stem.removesuffix("_TRAIN")
    suffix = files[0].suffix.lower()
    parts = [part for each in files for part in READERS[suffix](each)]
    if suffix != ".ts":
        _check_lengths(path, parts)
    return join(parts, name)


def _check_lengths(path: str, parts: Sequence[Part]) -> None:
    """Refuse two splits of which each has series of one length, and not the same."""
    lengths = [{len(each) for each in part.series} for part in parts]
    if len(parts) == 2 and all(len(each) == 1 for each in lengths) and lengths[0] != lengths[1]:
        came = f"{path} with {min(lengths[0])} steps in the training samples and {min(lengths[1])} in the test samples"
        refuse(
            "path", came, "the same number in both splits", "check both for a column that is no step, or cut the longer"
        )


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


def _read_npz(path: Path) -> list[Part]:
    return read_npz(path, MOST_BYTES)


READERS: dict[str, Callable[[Path], list[Part]]] = {
    ".npz": _read_npz,
    ".csv": read_rows,
    ".tsv": read_rows,
    ".txt": read_rows,
    ".ts": read_ts,
}
