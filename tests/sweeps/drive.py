"""A toy sweep in a process of its own: ``python -m tests.sweeps.drive DIR COUNT EXECUTOR WORKERS [TROUBLE]``."""

import sys
from pathlib import Path

from lab.sweeps import Crew, run_cells
from tests.sweeps.toys import REFERENCE, claimed, costs, make_cells


def drive(directory, count, executor, workers, trouble="slow"):
    """Run or resume, write the table, and return how many cells failed."""
    directory = Path(directory)
    cells = make_cells(directory.parent / "log", count, **{trouble: range(count)})
    store = claimed(directory, cells)
    outcome = run_cells(REFERENCE, cells, costs(cells), store, Crew(executor, workers), progress=False)
    store.write_table(store.table(cells))
    return len(outcome.failed)


if __name__ == "__main__":
    directory, count, executor, workers, *trouble = sys.argv[1:]
    sys.exit(1 if drive(directory, int(count), executor, int(workers), *trouble) else 0)
