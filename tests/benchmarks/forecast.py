"""Predicted seconds and bytes of cells beside those that they take.

Run as ``python -m tests.benchmarks.forecast [NAMES] [--preset default] [--cells 5]``. Of every comparison some cells
are measured, one at a time on one thread, spread evenly over the cells in the order of their predicted seconds; a
process of its own each, for the memory. The last columns are measured over predicted.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time

from comparisons.kit.tasks import stamped
from comparisons.runs.forecast import look
from comparisons.runs.options import prepare_process
from comparisons.runs.registry import find, names


def measure(name, cell, answer):
    """Seconds of a cell and the bytes by which it let the process grow."""
    prepare_process(1, "cpu")
    module = find(name)
    module.measure(module.cells(module.PRESETS["fast"])[0])  # what a first call loads belongs to no cell
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    module.measure(cell)
    seconds = time.perf_counter() - start
    answer.send((seconds, 1024.0 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)))


def apart(name, cell):
    """The same, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=measure, args=(name, cell, there))
    process.start()
    there.close()
    answer = here.recv()
    process.join()
    return answer


def chosen(comparison, preset, count):
    """Cells with their costs, evenly spread in the order of predicted work."""
    cells = [stamped(cell) for cell in comparison.cells(comparison.PRESETS[preset])]
    ordered = sorted(cells, key=lambda cell: comparison.cost(cell).work)
    places = {round((index + 0.5) / count * (len(ordered) - 1)) for index in range(count)}
    return [(ordered[place], comparison.cost(ordered[place])) for place in sorted(places)]


def main():
    """Print a line for each cell and one for each comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=names())
    parser.add_argument("--preset", default="default")
    parser.add_argument("--cells", type=int, default=5)
    options = parser.parse_args()
    print(f"{'':34s}predicted          measured          measured/predicted", flush=True)
    for name in options.names:
        comparison, rows = find(name), []
        for cell, cost in chosen(comparison, options.preset, options.cells):
            predicted = cost.seconds(look(getattr(cell, "dtype", "float64")))
            rows.append((predicted, cost.bytes, *apart(name, cell)))
            tell(name, rows[-1])
        seconds, held, taken, grown = zip(*rows, strict=True)
        tell(f"{name}, all", (sum(seconds), max(held), sum(taken), max(grown)))


def tell(name, row):
    """Print one line."""
    seconds, held, taken, grown = row
    print(
        f"{name:24s}{seconds:9.3f} s {held / 1e6:7.0f} MB {taken:9.3f} s {grown / 1e6:7.0f} MB"
        f" {taken / seconds:8.2f} {grown / max(held, 1.0):8.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
