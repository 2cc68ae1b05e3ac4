import os
import subprocess
import sys
import threading
import time

import pytest

from lab import LabError
from lab.sweeps import Pool, run_cells, runner
from tests.sweeps.toys import claimed, costs, make_cells, measure, measured

distributed = pytest.importorskip("distributed")


def run(store, cells, **pool):
    return run_cells(measure, cells, costs(cells), store, Pool("dask", **pool), progress=False)


def test_dask_gives_the_same_bits(tmp_path):
    cells = make_cells(tmp_path / "log", count=6)
    here, there = (claimed(tmp_path / name, cells) for name in ("serial", "dask"))
    run_cells(measure, cells, costs(cells), here, Pool(), progress=False)
    assert run(there, cells, workers=2).done == 6
    assert here.table(cells).drop(columns="seconds").to_csv() == there.table(cells).drop(columns="seconds").to_csv()
    assert all(here.path(cell, "npz").read_bytes() == there.path(cell, "npz").read_bytes() for cell in cells)


def test_workers_that_die_cost_one_retry_each(tmp_path):
    cells = make_cells(tmp_path / "log", count=8, dies_once=[6], dies=[4], raises=[0])
    store = claimed(tmp_path / "run", cells)
    outcome = run(store, cells, workers=2)
    assert sorted(failure.cell["number"] for failure in outcome.failed) == [0, 4]
    assert store.missing(cells) == [cells[0], cells[4]]
    begun = measured(tmp_path / "log")
    assert (begun.count(4), begun.count(6), begun.count(0)) == (2, 2, 2)


def _fail_to_start():
    raise RuntimeError("no such device")


def test_workers_that_cannot_start_are_one_error(tmp_path):
    cells = make_cells(tmp_path / "log")
    with pytest.raises(LabError, match=r"died while they started.*no such device"):
        run(claimed(tmp_path / "run", cells), cells, initializer=_fail_to_start)


@pytest.fixture
def scheduler(tmp_path):
    """A cluster that somebody else runs: a scheduler and one worker of two threads, in processes of their own."""
    place = tmp_path / "scheduler.json"
    parts = [["scheduler", "--port", "0", "--no-dashboard"], ["worker", "--nthreads", "2", "--no-dashboard"]]
    command = [sys.executable, "-m", "dask"]
    more = ["--scheduler-file", str(place)]
    running = [subprocess.Popen([*command, *part, *more], stderr=subprocess.DEVNULL, cwd=tmp_path) for part in parts]
    with distributed.Client(scheduler_file=str(place), timeout=20, set_as_default=False) as client:
        client.wait_for_workers(1, timeout=20)
        yield client.scheduler.address
    for process in running[::-1]:
        process.terminate()
        process.wait()


def test_a_running_scheduler(tmp_path, scheduler):
    cells = make_cells(tmp_path / "log", count=8, dies_once=[6], dies=[4])
    store = claimed(tmp_path / "run", cells)
    executor = Pool("dask", scheduler=scheduler).open()
    assert executor.places == 2
    sleeping = [executor.submit(time.sleep, 60) for _ in range(2)]
    time.sleep(1)  # until both are at it
    before = time.perf_counter()
    executor.shutdown(cancel_futures=True)  # cells end, the cluster stays
    assert time.perf_counter() - before < 5
    assert not any(future.done() and future.exception() is None for future in sleeping if not future.cancelled())
    outcome = run(store, cells, scheduler=scheduler)
    assert [failure.cell["number"] for failure in outcome.failed] == [4]
    assert measured(tmp_path / "log").count(4) == 2
    assert str(os.getpid()) not in {line.split()[1] for line in (tmp_path / "log").read_text().splitlines()}


def test_the_bar_says_that_no_worker_has_joined(tmp_path, monkeypatch):
    cells = make_cells(tmp_path / "log", count=2)
    said, show = [], runner._Run._show

    def show_and_note(run, *now, **work):
        show(run, *now, **work)
        said.append(f"{run.bar.desc}, {run.bar.postfix}")

    monkeypatch.setattr(runner, "TICK", 0.05)
    monkeypatch.setattr(runner._Run, "_show", show_and_note)
    with distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as cluster:
        address = cluster.scheduler_address
        threading.Timer(0.5, cluster.scale, (1,)).start()
        pool = Pool("dask", scheduler=address)
        run_cells(measure, cells, costs(cells), claimed(tmp_path / "run", cells), pool)
    waiting = f"0 of 2 cells, waiting for workers (none has joined {address})"
    assert waiting in said[:3]
    assert said[-1].startswith("2 of 2 cells, ")
    assert "waiting" not in said[-1]


@pytest.mark.parametrize("pool", [{"executor": "dask", "scheduler": "tcp://127.0.0.1:9"}, {"scheduler": "tcp://h:1"}])
def test_an_impossible_scheduler_is_refused(pool, monkeypatch):
    monkeypatch.setattr("lab.sweeps.cluster.PATIENCE", 0.5)
    with pytest.raises(LabError, match="scheduler"):
        Pool(**pool).open()


def test_without_the_extra_the_fix_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "lab.sweeps.cluster", raising=False)
    with pytest.raises(LabError, match=r"pip install 'lazylab\[dask\]'"):
        Pool("dask").open()
