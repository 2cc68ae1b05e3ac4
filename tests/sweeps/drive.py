"""A toy sweep in a process of its own: ``python -m tests.sweeps.drive DIR COUNT EXECUTOR WORKERS [TROUBLE]``."""

import sys
from pathlib import Path

from lab.sweeps import Pool, run_cells
from tests.sweeps.toys import claimed, costs, make_cells, measure


def drive(directory, count, executor, workers, trouble="slow"):
    """Run or resume, write the table, and return how many cells failed."""
    directory = Path(directory)
    cells = make_cells(directory.parent / "log", count, **{trouble: range(count)})
    store = claimed(directory, cells)
    outcome = run_cells(measure, cells, costs(cells), store, Pool(executor, workers), progress=False)
    store.write_table(store.table(cells))
    return len(outcome.failed)


if __name__ == "__main__":
    directory, count, executor, workers, *trouble = sys.argv[1:]
    sys.exit(1 if drive(directory, int(count), executor, int(workers), *trouble) else 0)
