import os

import pandas as pd
import pytest

from lab import LabError, LabWarning
from lab.sweeps import Pool, Store, run_cells
from tests.sweeps.toys import claimed, costs, make_cells, measure, measured


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def run(store, cells, **pool):
    return run_cells(measure, cells, costs(cells), store, Pool(**pool), progress=False)


def settle(tmp_path, cells, **pool):
    store = claimed(tmp_path / "run", cells)
    return store, run(store, cells, **pool)


def test_largest_first_and_every_cell_once(tmp_path, log):
    cells = make_cells(log)
    store, outcome = settle(tmp_path, cells)
    assert measured(log) == [3, 2, 1, 0]
    assert (outcome.done, outcome.skipped, outcome.failed) == (4, 0, ())
    assert store.missing(cells) == []


def test_resuming_measures_what_is_missing(tmp_path, log):
    cells = make_cells(log, count=5)
    store, _ = settle(tmp_path, cells[:3])
    log.unlink()
    outcome = run(store, cells)
    assert measured(log) == [4, 3]
    assert (outcome.done, outcome.skipped) == (2, 3)


def test_nothing_missing_starts_no_worker(tmp_path, log):
    cells = make_cells(log)
    store, _ = settle(tmp_path, cells)
    assert run(store, cells, initializer=lambda: pytest.fail("a worker was started")).done == 0


def test_a_damaged_cell_is_measured_again(tmp_path, log):
    cells = make_cells(log)
    store, _ = settle(tmp_path, cells)
    before = store.table(cells)
    store.path(cells[2], "npz").write_bytes(b"no zip")
    log.unlink()
    store = claimed(tmp_path / "run", cells)  # as the next command does
    with pytest.warns(LabWarning, match="npz is damaged"):
        run(store, cells)
    assert measured(log) == [2]
    pd.testing.assert_frame_equal(store.table(cells).drop(columns="seconds"), before.drop(columns="seconds"))


def test_a_cell_that_raises_is_tried_twice_and_the_rest_goes_on(tmp_path, log):
    cells = make_cells(log, raises=[2], raises_once=[3])
    store, outcome = settle(tmp_path, cells)
    assert sorted(measured(log)) == [0, 1, 2, 2, 3, 3]
    [failure] = outcome.failed
    assert failure.cell == cells[2]
    assert failure.error == "RuntimeError: a cell that raises"
    assert "_stumble" in failure.traceback
    assert store.missing(cells) == [cells[2]]


def test_failed_cells_are_tried_again_by_the_next_run(tmp_path, log):
    cells = make_cells(log, raises=[2])
    store, _ = settle(tmp_path, cells)
    log.unlink()
    assert len(run(store, cells).failed) == 1
    assert measured(log) == [2, 2]


def test_an_interrupt_keeps_what_is_done(tmp_path, log):
    cells = make_cells(log, interrupts=[1])
    store = claimed(tmp_path / "run", cells)
    with pytest.raises(KeyboardInterrupt):
        run(store, cells)
    assert store.missing(cells) == cells[:2]
    run(store, cells)
    assert store.missing(cells) == []


def test_executors_give_the_same_bits(tmp_path, log):
    cells = make_cells(log, count=6)
    stores = [claimed(tmp_path / name, cells) for name in ("serial", "processes")]
    for store in stores:
        run(store, cells, executor=store.directory.name, workers=2)
    here, there = (store.table(cells).drop(columns="seconds").to_csv() for store in stores)
    assert here == there
    for cell in cells:
        assert stores[0].path(cell, "npz").read_bytes() == stores[1].path(cell, "npz").read_bytes()


def test_workers_are_other_processes(tmp_path, log):
    settle(tmp_path, make_cells(log), executor="processes", workers=2)
    assert str(os.getpid()) not in {line.split()[1] for line in log.read_text().splitlines()}


def test_a_worker_that_dies_costs_a_retry(tmp_path, log):
    cells = make_cells(log, count=6, dies_once=[4])
    store, outcome = settle(tmp_path, cells, executor="processes", workers=2)
    assert outcome.failed == ()
    assert measured(log).count(4) == 2
    assert store.missing(cells) == []


def test_a_cell_that_kills_twice_fails_alone(tmp_path, log):
    cells = make_cells(log, count=6, dies=[4, 5], raises=[0])
    store, outcome = settle(tmp_path, cells, executor="processes", workers=2)
    assert sorted(failure.cell["number"] for failure in outcome.failed) == [0, 4, 5]
    assert "worker died" in next(f.error for f in outcome.failed if f.cell["number"] == 4)
    assert store.missing(cells) == [cells[0], cells[4], cells[5]]


def _fail_to_start():
    raise RuntimeError("no such device")


def test_workers_that_cannot_start_are_one_error(tmp_path, log):
    cells = make_cells(log)
    store = claimed(tmp_path / "run", cells)
    with pytest.raises(LabError, match="died while they started"):
        run(store, cells, executor="processes", workers=2, initializer=_fail_to_start)


def test_every_json_has_its_npz(tmp_path, log):
    store, _ = settle(tmp_path, make_cells(log, count=6, dies=[5]), executor="processes", workers=2)
    files = {path.name for path in (store.directory / "cells").glob("[!.]*")}  # a killed worker may leave a hidden one
    assert len(files) == 10
    assert all(name.replace(".json", ".npz") in files for name in files)


@pytest.mark.parametrize("pool", [{"executor": "cloud"}, {"workers": 0}, {"threads": 0}])
def test_an_impossible_pool_is_refused(pool):
    with pytest.raises(LabError, match=next(iter(pool))):
        Pool(**pool)


def test_threads_and_device_are_recorded(tmp_path, log):
    cells = make_cells(log, count=1)
    store, _ = settle(tmp_path, cells, threads=2, device="cuda")
    record = Store(store.directory).record(cells[0])
    assert (record["threads"], record["device"]) == (2, "cuda")


def test_the_bar_counts_work(tmp_path, log, capsys):
    cells = make_cells(log, raises=[0])
    run_cells(measure, cells, costs(cells), claimed(tmp_path / "run", cells), Pool())
    shown = capsys.readouterr().err.replace("\n", "\r").split("\r")
    assert "100% |" in shown[-2]
    assert shown[-2].rstrip().endswith("3 of 4 cells, 1 failed")
    assert "0 of 4 cells, starting" in shown[1]
    assert shown[2].endswith("0 of 4 cells, measuring number 3")  # the largest
