"""Signs that a sweep leaves beside its cells: which were begun, by which process, and which failed.

They are hints: for `lazylab status`, for a second run in the same directory, and to find the cells in progress when a
worker dies. No number depends on one: a sign may be missing, or outlive a process that was killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Seconds after which a sign from another machine, whose processes are not known here, counts as left over.
FORGOTTEN = 7 * 86400.0


@dataclass(frozen=True)
class Begun:
    """The process that measures a cell: host, process number, and since when (seconds since the epoch)."""

    host: str
    process: int
    since: float

    @property
    def alive(self) -> bool:
        """Whether the process may still be running; on another machine that is not known, so it may."""
        if self.host != platform.node():
            return time.time() - self.since < FORGOTTEN
        return _lives(self.process)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True


def _begun(directory: Path, key: str) -> Path:
    return directory / "cells" / f".{key}.begun"


def _failed(directory: Path, key: str) -> Path:
    return directory / "cells" / f".{key}.failed"


@contextlib.contextmanager
def at_work(directory: Path, key: str) -> Iterator[None]:
    """Within, the cell counts as begun by this process. A failure to write the sign does not stop the work."""
    path = _begun(directory, key)
    with contextlib.suppress(OSError):
        _failed(directory, key).unlink(missing_ok=True)
        path.write_text(json.dumps([platform.node(), os.getpid()]))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def begun(directory: Path, key: str) -> Begun | None:
    """Which process is measuring a cell now, if it left a sign."""
    path = _begun(directory, key)
    try:
        host, process = json.loads(path.read_text())
        found = Begun(str(host), int(process), path.stat().st_mtime)
    except (OSError, ValueError, TypeError):
        return None  # no sign, or one that is being written
    return found if found.alive else None


def take_back(directory: Path, key: str) -> bool:
    """Remove the sign of a dead process; whether there was one, so whether it was measuring the cell."""
    try:
        _begun(directory, key).unlink()
    except OSError:
        return False
    return True


def note_failure(directory: Path, key: str, error: str) -> None:
    """Note that a cell failed twice; the note goes when the cell is begun again."""
    with contextlib.suppress(OSError):
        _failed(directory, key).write_text(error)


def failure(directory: Path, key: str) -> str | None:
    """The error with which a cell failed last, unless it was begun again since."""
    try:
        return _failed(directory, key).read_text()
    except OSError:
        return None


def sweep_up(directory: Path) -> None:
    """Remove the signs of processes that are gone."""
    for path in (directory / "cells").glob(".*.begun"):
        if begun(directory, path.name.removeprefix(".").removesuffix(".begun")) is None:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
