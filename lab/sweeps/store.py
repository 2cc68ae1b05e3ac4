"""A run directory: cells that are either whole or absent, the settings that asked for them, and the tables."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import platform
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import LabError, LabWarning
from lab.html import Facts
from lab.sweeps import signs
from lab.sweeps.cells import Cell, canonical, cell_key, label, matches, plain, pretty

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SETTINGS = "settings.json"
#: Error numbers of a full disk and of a spent quota.
FULL = (errno.ENOSPC, errno.EDQUOT)
#: Seconds after which a temporary file is no running writer's any more.
ABANDONED = 3600.0


@dataclass(frozen=True, repr=False)
class Results(Facts):
    """What a sweep measured, for conclusions and figures.

    Attributes
    ----------
    table
        Tidy, one row per cell that is there, in the order in which the cells were asked for.
    cells
        The cells behind the rows, in the same order.
    read
        Gives the arrays of one cell.
    """

    table: pd.DataFrame
    cells: tuple[Cell, ...]
    read: Callable[[Cell], dict[str, np.ndarray]]

    def __repr__(self) -> str:
        return f"Results({len(self.cells)} cells, columns {', '.join(self.table.columns)})"

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        texts = [{name: str(plain(value)) for name, value in cell.items()} for cell in self.cells]
        names = dict.fromkeys(name for cell in texts for name in cell)
        found = {name: dict.fromkeys(cell[name] for cell in texts if name in cell) for name in names}
        return f"{len(texts)} cells", {name: ", ".join(values) for name, values in found.items() if len(values) > 1}

    def arrays(self, **fields: Any) -> dict[str, np.ndarray]:
        """Arrays of the one cell that has these fields, as in ``results.arrays(width=64, seed=0)``.

        Raises
        ------
        LabError
            If no cell, or more than one, has them.
        """
        found = [cell for cell in self.cells if matches(cell, fields)]
        if len(found) != 1:
            fix = "name more fields of the cell" if found else "ask for fields of a cell that was measured"
            raise LabError("arrays", f"{label(fields)}, which {len(found)} cells have", "one cell", fix)
        return self.read(found[0])


class Store:
    """The directory of one run; writing is atomic, and damaged cells count as missing.

    Parameters
    ----------
    directory
        Where the run lives. Nothing is created before `claim`.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        self._manifest: dict[str, Any] | None = None
        self._records: dict[str, dict[str, Any]] = {}  # of cells that were found whole: read and hashed once

    @property
    def manifest(self) -> dict[str, Any]:
        """``{comparison, version, settings, cells}`` of this run directory.

        Raises
        ------
        LabError
            If the directory holds no run.
        """
        if self._manifest is None:
            self._manifest = self._read_manifest()
        if self._manifest is None:
            allowed = f"a run directory (with a {SETTINGS})"
            raise LabError("directory", f"{str(self.directory)!r}", allowed, self._runs_nearby())
        return self._manifest

    def _read_manifest(self) -> dict[str, Any] | None:
        path = self.directory / SETTINGS
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError:
            found = None
        kinds = {"comparison": str, "version": int, "settings": dict, "cells": list}
        if not isinstance(found, dict) or not all(isinstance(found.get(name), kind) for name, kind in kinds.items()):
            fix = "remove the file and run again: whole cells are kept"
            raise LabError(SETTINGS, f"an unreadable {str(path)!r}", "the JSON that a run wrote", fix)
        return found

    def _runs_nearby(self) -> str:
        homes = [self.directory, self.directory.parent, Path("runs")]
        found = sorted({str(path.parent) for home in homes for path in home.glob(f"*/{SETTINGS}")})
        return "choose one of " + ", ".join(found[:12]) if found else "make one by `lazylab run NAME --out DIR`"

    def claim(
        self,
        comparison: str,
        version: int,
        settings: Mapping[str, Any],
        grid: Iterable[str],
        cells: Sequence[Cell],
        *,
        source: str | None = None,
        precision: Mapping[str, Any] | None = None,
        write: bool = True,
    ) -> None:
        """Take the directory for a run, or join the run that is there.

        Parameters
        ----------
        comparison, version, settings
            What is run. Of an existing run only the settings named in ``grid`` may differ.
        grid
            Settings that only choose cells.
        cells
            Every cell that is asked for, in the order of the table.
        source
            Path of the file that the comparison is in, if it is no module of a package.
        precision
            What a run in two stages keeps of its aim and of its pilot.
        write
            False checks without touching the disk.

        Raises
        ------
        LabError
            If the directory holds another run; each difference is named with both values.
        """
        asked = plain({"comparison": comparison, "version": version, "settings": settings, "cells": cells})
        there = self._read_manifest()
        if there is not None:
            self._refuse_differences(there, asked, set(grid))
        more = {"source": source, "precision": None if precision is None else plain(precision)}
        self._manifest = asked | {name: value for name, value in more.items() if value is not None}
        self._records = {}
        if write:
            self._prepare()
            self.write(SETTINGS, pretty(self._manifest))

    def _refuse_differences(self, there: dict[str, Any], asked: dict[str, Any], grid: set[str]) -> None:
        pairs = {name: (there[name], asked[name]) for name in ("comparison", "version")}
        if there["comparison"] == asked["comparison"]:
            old, new = there["settings"], asked["settings"]
            pairs |= {name: (old.get(name), new.get(name)) for name in sorted({*old, *new} - grid)}
        differences = [f"{name} is {old!r} there and {new!r} here" for name, (old, new) in pairs.items() if old != new]
        if differences:
            came = f"{str(self.directory)!r}, which holds another run: " + "; ".join(differences)
            allowed = f"a new directory, or one whose run differs in {', '.join(sorted(grid)) or 'nothing'} alone"
            raise LabError("out", came, allowed, "choose another `out`")

    def _prepare(self) -> None:
        try:
            (self.directory / "cells").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if error.errno in FULL:
                raise
            raise LabError(
                "out", f"{str(self.directory)!r} ({error.strerror})", "a directory to write", "choose another `out`"
            ) from None
        for path in (self.directory / "cells").glob(".*.tmp"):
            _remove_abandoned(path)
        signs.sweep_up(self.directory)

    def for_workers(self) -> Store:
        """This store without settings and cells: small enough to travel with every task, enough to commit."""
        light = Store(self.directory.absolute())
        light._manifest = {**self.manifest, "settings": {}, "cells": []}
        return light

    def key(self, cell: Cell) -> str:
        """Name of a cell's files."""
        return cell_key(self.manifest["comparison"], self.manifest["version"], cell)

    def path(self, cell: Cell, suffix: str) -> Path:
        """Where a cell's ``npz`` or ``json`` lies."""
        return self.directory / "cells" / f"{self.key(cell)}.{suffix}"

    def commit(
        self,
        cell: Cell,
        row: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        *,
        seconds: float,
        threads: int,
        device: str,
        keep: bool = False,
    ) -> None:
        """Write one cell: arrays first, then the json whose presence says that the cell is whole.

        Parameters
        ----------
        row
            Scalars, the cell's line in the table.
        arrays
            NumPy arrays of any shape; objects are refused, there is no pickle.
        seconds, threads, device
            How the cell was measured.
        keep
            Leave a cell that is whole as it is: of two runs in one directory the first one commits, and a reader never
            finds the cell missing.
        """
        packed = _pack(arrays)
        record = {
            "comparison": self.manifest["comparison"],
            "version": self.manifest["version"],
            "cell": cell,
            "row": row,
        }
        record |= {"arrays": _fingerprint(packed), "seconds": seconds, "host": platform.node(), "threads": threads}
        text = pretty({**record, "device": device, "versions": versions()})
        if keep and self.whole(cell):
            return
        self.path(cell, "json").unlink(missing_ok=True)  # what replaces a damaged cell is never half old, half new
        _replace(self.path(cell, "npz"), packed)
        try:
            _replace(self.path(cell, "json"), text.encode())
        except OSError:
            self.path(cell, "npz").unlink(missing_ok=True)  # half a cell would only fill a disk that is full
            raise

    def whole(self, cell: Cell) -> bool:
        """Whether a cell is committed and undamaged, without a warning."""
        try:
            text = self.path(cell, "json").read_bytes()
        except OSError:
            return False
        return self._examine(cell, text)[1] is not None

    def record(self, cell: Cell) -> dict[str, Any] | None:
        """What was committed for a cell, or None. A damaged cell is named in a `LabWarning` and is None too.

        A cell that was found whole is not examined again by this object: committed cells do not change.
        """
        path, key = self.path(cell, "json"), self.key(cell)
        if key in self._records:
            return self._records[key]
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
        reason, record = self._examine(cell, text)
        if record is not None:
            self._records[key] = record
        if reason:
            warnings.warn(f"{path}: {reason}; the cell ({label(cell)}) counts as missing", LabWarning, stacklevel=2)
        return record

    def _examine(self, cell: Cell, text: bytes) -> tuple[str, dict[str, Any] | None]:
        try:
            record = json.loads(text)
            identity = [record[name] for name in ("comparison", "version", "cell")]
            fingerprint, row, _ = record["arrays"], dict(record["row"]), float(record["seconds"])
        except (ValueError, KeyError, TypeError):
            return "the json is damaged", None
        if canonical(identity) != canonical([self.manifest["comparison"], self.manifest["version"], cell]):
            return "the json belongs to another cell", None
        try:
            packed = self.path(cell, "npz").read_bytes()
        except OSError:
            return "the npz is not there", None
        whole = fingerprint == _fingerprint(packed)
        return ("", {**record, "row": row}) if whole else ("the npz is damaged", None)

    def missing(self, cells: Iterable[Cell]) -> list[Cell]:
        """Those of the cells that are not committed."""
        return [cell for cell in cells if self.record(cell) is None]

    def arrays(self, cell: Cell) -> dict[str, np.ndarray]:
        """Arrays of a committed cell, by name.

        Raises
        ------
        LabError
            If the cell is not committed.
        """
        import numpy as np

        if self.record(cell) is None:
            raise LabError("cell", label(cell), "a cell that is committed", "run the sweep again to fill it in")
        with np.load(self.path(cell, "npz"), allow_pickle=False) as packed:
            return {name: packed[name] for name in packed.files}

    def results(self, cells: Iterable[Cell]) -> Results:
        """Table and arrays of those of the cells that are committed, in their order."""
        pairs = [(cell, self.record(cell)) for cell in cells]
        there = [(cell, record) for cell, record in pairs if record is not None]
        return Results(_tabulate([record for _, record in there]), tuple(cell for cell, _ in there), self.arrays)

    def table(self, cells: Iterable[Cell]) -> pd.DataFrame:
        """Tidy table: one row per committed cell in the order asked for; the row's own names, then ``seconds``."""
        return self.results(cells).table

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file of the run directory atomically; ``name`` is relative to it."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, content.encode() if isinstance(content, str) else content)
        return path

    def write_table(self, table: pd.DataFrame) -> Path:
        """Write ``table.csv``; floats keep every digit, missing values are empty."""
        return self.write("table.csv", table.to_csv(index=False, lineterminator="\n"))


def load(directory: str | os.PathLike[str]) -> Results:
    """Results of a run directory, whole or still growing.

    ``load(directory).table`` has one row per cell; ``load(directory).arrays(width=64, seed=0)`` the trajectories
    of one. One line each for other tools (pandas needs pyarrow and xarray for these):

    * ``load(directory).table.to_parquet("cells.parquet")``
    * ``load(directory).table.set_index(["width", "seed"]).to_xarray()``, with the fields that identify a cell

    Raises
    ------
    LabError
        If the directory holds no run.
    """
    store = Store(directory)
    return store.results(store.manifest["cells"])


@cache
def versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that decide the numbers; null for what is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in ("lazylab", "torch", "numpy", "scipy", "pandas"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def _tabulate(records: Sequence[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    rows = [{**record["row"], "seconds": record["seconds"]} for record in records]
    names = dict.fromkeys(name for row in rows for name in row if name != "seconds")
    table = pd.DataFrame(rows, columns=[*names, "seconds"])
    empty = [name for name in table.columns if table[name].isna().all()]
    return table.astype(dict.fromkeys(empty, float))  # a column of nulls alone is still one of numbers


def _pack(arrays: Mapping[str, np.ndarray]) -> bytes:
    import numpy as np

    objects = [name for name, array in arrays.items() if np.asarray(array).dtype.hasobject]
    if objects:
        raise LabError("arrays", f"objects in {', '.join(objects)}", "numbers and text", "convert them to numbers")
    buffer = io.BytesIO()
    np.savez(buffer, **{name: np.asarray(array) for name, array in arrays.items()})  # type: ignore[arg-type]
    return buffer.getvalue()


def _fingerprint(packed: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(packed).hexdigest(), "bytes": len(packed)}


def _replace(path: Path, content: bytes) -> None:
    """Put a whole file in place, or leave what was there: write aside, flush to the disk, rename."""
    writer = f"{platform.node()}.{os.getpid()}.{threading.get_ident()}"
    aside = path.with_name(f".{path.name}.{writer}.tmp")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    _flush_directory(path.parent)


def _flush_directory(directory: Path) -> None:
    """Make a rename survive a power cut, where the system lets directories be opened."""
    if os.name != "posix":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_abandoned(path: Path) -> None:
    try:
        if time.time() - path.stat().st_mtime > ABANDONED:
            path.unlink()
    except FileNotFoundError:
        pass  # its writer finished, or another run was faster
