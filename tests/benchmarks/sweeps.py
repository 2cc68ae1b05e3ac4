"""What the sweep itself costs per cell, and what a second worker gains: ``python -m tests.benchmarks.sweeps``."""

from __future__ import annotations

import argparse
import functools
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from comparisons import width
from comparisons.kit.cells import to_json
from comparisons.kit.settings import as_json, choosing
from comparisons.runs.options import prepare_process
from comparisons.runs.registry import Measure
from lab.sweeps import Pool, Store, run_cells
from tests.sweeps.toys import claimed, costs, make_cells, measure

#: The executors that are compared, with how many workers.
POOLS = (("serial", 1), ("processes", 1), ("processes", 2), ("dask", 1), ("dask", 2))


def overhead(directory: Path, executor: str, workers: int, count: int) -> float:
    """Milliseconds that one cell costs beyond its measurement, from the second cell on (without starting workers)."""
    directory.mkdir(parents=True)
    cells = make_cells(directory / "log", count)
    store = claimed(directory / "run", cells)
    run_cells(measure, cells, costs(cells), store, Pool(executor, workers), progress=False)
    times = sorted(store.path(cell, "json").stat().st_mtime for cell in cells)
    measuring = store.table(cells)["seconds"].sum() / workers
    return 1e3 * max(0.0, times[-1] - times[0] - measuring) / (count - 1)


def real_sweep(directory: Path, executor: str, workers: int, settings: width.Settings) -> tuple[float, pd.DataFrame]:
    """Seconds of a sweep of the comparison `width`, with the start of its workers, and its table."""
    asked = width.cells(settings)
    cells, prices = [to_json(cell) for cell in asked], [width.cost(cell) for cell in asked]
    store = Store(directory)
    store.claim("width", width.version, as_json(settings), choosing(type(settings)), cells)
    pool = Pool(executor, workers, initializer=functools.partial(prepare_process, 1, "cpu"))
    outcome = run_cells(Measure("width", "comparisons.width"), cells, prices, store, pool, progress=False)
    return outcome.seconds, store.table(cells)


def _tell_overhead(directory: Path, count: int) -> None:
    for executor, workers in POOLS:
        spent = overhead(directory / f"{executor}{workers}", executor, workers, count)
        print(f"overhead   {executor:<9} {workers} workers  {spent:6.2f} ms per cell ({count} cells)")


def _tell_speed(directory: Path, widths: Sequence[int], seeds: int) -> None:
    settings = width.Settings(widths=tuple(widths), seeds=seeds)
    tables, seconds = [], {}
    for executor, workers in POOLS:
        seconds[executor, workers], table = real_sweep(directory / f"{executor}{workers}", executor, workers, settings)
        tables.append(table[[name for name in table.columns if not name.endswith("seconds")]].to_csv())
        work = table["seconds"].sum()
        print(f"width      {executor:<9} {workers} workers  {seconds[executor, workers]:6.1f} s (cells: {work:.1f} s)")
    print(f"           tables equal to the bit: {len(set(tables)) == 1}")
    for executor in ("processes", "dask"):
        print(
            f"           {executor}: 2 workers are {seconds[executor, 1] / seconds[executor, 2]:.2f} times as fast as 1"
        )


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=500)
    parser.add_argument("--widths", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        _tell_overhead(Path(directory) / "toys", asked.cells)
        _tell_speed(Path(directory) / "width", asked.widths, asked.seeds)
    print(f"           {time.perf_counter() - started:.0f} s in all")


if __name__ == "__main__":
    main()
