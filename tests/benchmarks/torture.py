"""Kill a sweep and its workers at random moments, resume, and compare with a sweep that nobody disturbed.

``python -m tests.benchmarks.torture --kills 25`` takes a minute or two; ``--executor dask`` does the same on Dask.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lab.sweeps import Store
from tests.sweeps.drive import drive

ROOT = Path(__file__).parent.parent.parent
#: A sweep that is through before the next kill is checked, and a fresh one begins.
CELLS = 120


def torture(directory: Path, kills: int, seed: int, executor: str = "processes") -> dict[str, int]:
    """Kill (SIGKILL) parents and workers in turn of a seeded coin, resume each time, and check every finished table.

    Parameters
    ----------
    directory
        An empty place.
    kills, seed
        How many kills in all, and of the coin and the moments.
    executor
        "processes" or "dask".

    Returns
    -------
    dict
        ``parents`` and ``workers`` killed, ``sweeps`` begun, ``runs`` started, ``retried`` runs that reported failures.
    """
    drive(directory / "undisturbed" / "run", CELLS, "serial", 1, "quick")
    generator = random.Random(seed)
    counts = {"parents": 0, "workers": 0, "sweeps": 0, "runs": 0, "retried": 0}
    while counts["parents"] + counts["workers"] < kills:
        counts["sweeps"] += 1
        place = directory / str(counts["sweeps"]) / "run"
        _one_sweep(place, executor, kills, generator, counts)
        check(place, directory / "undisturbed" / "run")
    return counts


def _one_sweep(place: Path, executor: str, kills: int, generator: random.Random, counts: dict[str, int]) -> None:
    """Start and resume one sweep until it is whole, killing as long as there are kills left."""
    place.parent.mkdir(parents=True, exist_ok=True)
    while True:
        counts["runs"] += 1
        command = [sys.executable, "-m", "tests.sweeps.drive", str(place), str(CELLS), executor, "2"]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True)
        while counts["parents"] + counts["workers"] < kills and process.poll() is None:
            _strike(process, generator, counts)
        code = process.wait()
        _wait_for_orphans(process.pid)
        check_pairs(place)
        if code == 0:
            return
        counts["retried"] += code == 1


def _strike(process: subprocess.Popen[bytes], generator: random.Random, counts: dict[str, int]) -> None:
    """Wait until a worker is there and for a random moment more; kill the parent, or one of its workers."""
    limit = time.monotonic() + 30
    while not (workers := _workers(process.pid)) and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.01)
    time.sleep(generator.uniform(0.0, 2.0))
    workers = _workers(process.pid)
    if process.poll() is not None or not workers:
        return
    parent = generator.random() < 0.5
    try:
        os.kill(process.pid if parent else generator.choice(workers), signal.SIGKILL)
    except ProcessLookupError:
        return
    counts["parents" if parent else "workers"] += 1
    if parent:
        process.wait()


def _members(session: int) -> dict[int, str]:
    """Living processes of a session, with their command lines."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, at = (entry / "stat").read_text().rpartition(") ")[2].split()[:4]
            if int(at) == session and state != "Z":
                found[int(entry.name)] = (entry / "cmdline").read_text()
        except (OSError, ValueError):
            continue  # it ended while we looked
    return found


def _workers(session: int) -> list[int]:
    """Processes that measure cells: neither the parent nor the trackers that only tidy up after it."""
    return [
        process for process, line in _members(session).items() if process != session and "resource_tracker" not in line
    ]


def _wait_for_orphans(session: int) -> None:
    """Workers end by themselves when their parent was killed; whether they do is part of the test."""
    limit = time.monotonic() + 20
    while _workers(session):
        if time.monotonic() > limit:
            raise AssertionError(f"orphans live on: {_members(session)}")
        time.sleep(0.02)


def check_pairs(place: Path) -> None:
    """No json without its npz."""
    cells = place / "cells"
    lonely = [path.name for path in cells.glob("[!.]*.json") if not path.with_suffix(".npz").exists()]
    if lonely:
        raise AssertionError(f"json without npz: {lonely}")


def check(place: Path, reference: Path) -> None:
    """Same table to the bit but for columns that end in ``seconds``, and the same arrays, byte for byte."""
    here, there = (_bits(directory) for directory in (place, reference))
    if here != there:
        raise AssertionError(f"{place} differs from an undisturbed sweep")


def _bits(directory: Path) -> tuple[str, dict[str, bytes]]:
    store = Store(directory)
    table = store.table(store.manifest["cells"])
    kept = table[[name for name in table.columns if not name.endswith("seconds")]]
    arrays = {str(cell["number"]): store.path(cell, "npz").read_bytes() for cell in store.manifest["cells"]}
    return kept.to_csv(index=False), arrays


def main() -> None:
    """Print what was killed, and that the tables are the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--executor", choices=("processes", "dask"), default="processes")
    asked = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        counts = torture(Path(directory), asked.kills, asked.seed, asked.executor)
    killed = f"{counts['parents'] + counts['workers']} kills ({counts['parents']} parents, {counts['workers']} workers)"
    print(f"{asked.executor}: {killed} over {counts['runs']} runs of {counts['sweeps']} sweeps of {CELLS} cells")
    print(f"  {counts['retried']} runs told of cells that had died twice; the next run measured them")
    print("  every table and every npz is, to the bit, that of an undisturbed sweep; no json was without its npz")
    print(f"  {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
