"""Several runs in one directory, shares of a run, a disk that is full, small cells in groups."""

import errno
import json
import os
import platform
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import LabError
from lab.costs import Cost
from lab.sweeps import Pool, Shard, Store, load, run_cells, signs
from lab.sweeps.executors import Serial
from tests.sweeps.toys import claimed, costs, make_cells, measure, measured

ROOT = Path(__file__).parent.parent.parent


def run(store, cells, **pool):
    return run_cells(measure, cells, costs(cells), store, Pool(**pool), progress=False)


def test_two_processes_share_a_directory(tmp_path):
    command = [sys.executable, "-m", "tests.sweeps.drive", str(tmp_path / "run"), "60", "processes", "2"]
    running = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    assert [process.wait(timeout=60) for process in running] == [0, 0]
    store = Store(tmp_path / "run")
    table = load(store.directory).table
    assert table["number"].tolist() == list(range(60))
    names = sorted(path.name for path in (store.directory / "cells").iterdir())
    assert len(names) == 120, "something was left behind"
    begun = Counter(measured(tmp_path / "log"))
    assert sum(begun.values()) <= 60 + 20, "too much was measured twice"
    print(f"{sum(begun.values()) - 60} of 60 cells were measured twice")
    assert (
        load(store.directory).table.to_csv(index=False, lineterminator="\n") == (tmp_path / "run/table.csv").read_text()
    )


def test_a_cell_that_another_run_has_begun_comes_last(tmp_path):
    cells = make_cells(tmp_path / "log", count=5)
    store = claimed(tmp_path / "run", cells)
    with signs.at_work(store.directory, store.key(cells[4])):
        run(store, cells)
    assert measured(tmp_path / "log") == [3, 2, 1, 0, 4]


def test_a_cell_that_appears_meanwhile_is_not_measured_again(tmp_path):
    cells = make_cells(tmp_path / "log", count=3)
    other, store = claimed(tmp_path / "run", cells), claimed(tmp_path / "run", cells)
    missing = store.missing(cells)
    run(other, cells)
    store.missing = lambda _: missing  # as it was when this run looked
    assert run(store, cells).done == 3
    assert len(measured(tmp_path / "log")) == 3


def test_signs_of_the_dead_are_not_believed(tmp_path):
    cells = make_cells(tmp_path / "log", count=1)
    store = claimed(tmp_path / "run", cells)
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    sign = tmp_path / "run" / "cells" / f".{store.key(cells[0])}.begun"
    for content in (f'["{platform.node()}", {gone.pid}]', "[", "3"):
        sign.write_text(content)
        assert signs.begun(store.directory, store.key(cells[0])) is None
    sign.write_text(f'["elsewhere", {gone.pid}]')
    assert signs.begun(store.directory, store.key(cells[0])).host == "elsewhere"
    sign.write_text("[")
    claimed(tmp_path / "run", cells)
    assert not sign.exists()


@pytest.fixture
def full_disk(monkeypatch):
    """A disk on which two cells find room, and half of a third; calling it frees the disk."""
    written = []

    def fsync(handle, true=os.fsync):
        name = os.readlink(f"/proc/self/fd/{handle}")
        written.append(name)
        if sum(".json." in name for name in written) > 3:  # the settings, two cells, half of the third
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        true(handle)

    monkeypatch.setattr("lab.sweeps.store.os.fsync", fsync)
    return written.clear


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="asks /proc which file is flushed")
def test_a_full_disk_ends_the_run_and_leaves_it_clean(tmp_path, full_disk):
    cells = make_cells(tmp_path / "log", count=6)
    store = claimed(tmp_path / "run", cells)
    with pytest.raises(OSError, match="No space left") as refusal:
        run(store, cells)
    assert refusal.value.errno == errno.ENOSPC
    assert measured(tmp_path / "log") == [5, 4, 3], "nothing is measured that cannot be kept"
    assert len(list((tmp_path / "run" / "cells").iterdir())) == 4
    for cell in cells[:4]:
        full_disk()
        run(store, [cell])
    assert store.missing(cells) == []


@given(st.lists(st.floats(0, 1e15), max_size=40), st.integers(1, 9))
def test_shares_are_disjoint_and_balanced(flops, of):
    prices = [Cost(value, 0.0) for value in flops]
    shares = [Shard(number, of).chosen(prices) for number in range(1, of + 1)]
    assert sorted(position for share in shares for position in share) == list(range(len(flops)))
    loads = [sum(max(flops[position], 1.0) for position in share) for share in shares]
    assert max(loads) - min(loads) <= max([1.0, *flops]) * (1 + 1e-9)
    assert all(share == sorted(share) for share in shares)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1/0", "-1/2", "1", "a/b", "1/2/3", "1.5/2", ""])
def test_a_share_that_is_none_is_refused(text):
    with pytest.raises(LabError, match="shard"):
        Shard.parse(text)


def test_small_cells_travel_together(tmp_path, monkeypatch):
    cells = make_cells(tmp_path / "log", count=40)
    sizes = []

    true = Serial.submit

    def submit(self, fn, task):
        sizes.append(len(task.cells))
        return true(self, fn, task)

    monkeypatch.setattr("lab.sweeps.executors.Serial.submit", submit)
    run(claimed(tmp_path / "run", cells), cells)
    assert sum(sizes) == 40
    assert sizes[0] == 1, "how long they take is not known yet"
    assert max(sizes) > 4
    assert measured(tmp_path / "log") == list(range(39, -1, -1))


def test_slow_cells_travel_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("lab.sweeps.runner.GROUP_SECONDS", 1e-9)
    cells = make_cells(tmp_path / "log", count=6)
    assert run(claimed(tmp_path / "run", cells), cells).done == 6


def test_a_death_in_a_group_costs_one_retry_each(tmp_path, monkeypatch):
    monkeypatch.setattr("lab.sweeps.runner._Run._group_size", lambda self: 4)
    cells = make_cells(tmp_path / "log", count=12, dies_once=[9], dies=[2], raises=[5])
    store = claimed(tmp_path / "run", cells)
    outcome = run(store, cells, executor="processes", workers=2)
    assert sorted(failure.cell["number"] for failure in outcome.failed) == [2, 5]
    begun = Counter(measured(tmp_path / "log"))
    in_company = 2  # 9 and 2 die once each beside other cells; then 2 is alone
    assert begun.pop(5) <= 2 + in_company, "each such death may take the word with it that 5 has raised"
    assert (begun[2], begun[9], max(begun.values())) == (2, 2, 2)
    assert json.loads(store.path(cells[9], "json").read_text())["row"]["number"] == 9
    assert "RuntimeError" in signs.failure(store.directory, store.key(cells[5]))
