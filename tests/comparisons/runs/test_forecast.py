"""Forecasts: sums over cells and workers, and the memory that is free."""

import psutil
import pytest

from comparisons.cli.command import main
from comparisons.runs import forecast
from comparisons.runs.forecast import Forecast, advice, foresee, free_memory, glance, look, room
from lab.costs import Cost, Machine
from lab.sweeps import Pool

CELLS = [{"dtype": "float32"}, {"dtype": "float32"}, {}]  # a cell that names no precision computes in float64
COSTS = [Cost(30.0, 100.0), Cost(10.0, 500.0, operations=2), Cost(5.0, 200.0)]
SPEEDS = {"float32": Machine(10.0, 0.5), "float64": Machine(5.0, 0.5)}


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr(forecast, "look", lambda dtype, device, threads: SPEEDS[dtype])
    monkeypatch.setattr(forecast, "free_memory", lambda device: 1e9)


@pytest.mark.parametrize(("workers", "seconds"), [(1, 3 + 2 + 1), (2, 3.0), (8, 3.0)])
def test_seconds_are_shared_by_the_workers_but_for_the_longest_cell(machine, workers, seconds):
    pool = Pool("processes", workers)
    assert foresee(CELLS, COSTS, pool) == Forecast(forecast.START_SECONDS + seconds, *room(COSTS, pool), cells=3)
    assert foresee([], [], pool).seconds == 0


@pytest.mark.parametrize(
    ("pool", "held"),
    [(Pool("serial", 8), 500), (Pool("processes", 2), 700), (Pool("processes", 8), 800)],
    ids=["serial", "two", "eight"],
)
def test_the_largest_cells_may_run_together(machine, pool, held):
    processes = min(3, 1 if pool.executor == "serial" else pool.workers)
    assert room(COSTS, pool) == (held + processes * forecast.PROCESS_BYTES, 1e9)
    assert room([], pool) == (0, 1e9)


def test_advice_comes_where_memory_is_short():
    assert advice(2e9, 2e9) is None
    assert "3 GB at a time, and 2 GB are free: take fewer workers" in advice(3e9, 2e9)


def test_free_memory_is_what_the_system_and_the_container_leave(monkeypatch, tmp_path):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(forecast, "LIMITS", (str(limit), str(tmp_path / "absent")))
    available = free_memory("cpu")
    assert 0 < available <= psutil.virtual_memory().total
    limit.write_text("max\n")
    assert free_memory("cpu") > 1e6
    limit.write_text("1000\n")
    assert free_memory("cpu") == 1000


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_timing_finds_a_machine_that_computes(dtype):
    machine = look(dtype)
    assert 1e8 < machine.flops_per_second < 1e14
    assert 1e-8 < machine.seconds_per_operation < 1e-2


def test_a_glance_without_torch_finds_about_what_a_look_with_it_does():
    here, there = glance("float32"), look("float32")
    assert 0.2 < here.flops_per_second / there.flops_per_second < 5
    assert 0.2 < here.seconds_per_operation / there.seconds_per_operation < 5


def test_a_run_that_does_not_fit_is_warned_of_before_it_begins(capsys, tmp_path):
    sizes = ["--task", "separable", "--samples", "500", "--widths", "16777216", "--seeds", "1"]
    assert main(["run", "width", *sizes, "--dry-run", "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr()
    assert "forecast" in said.out
    assert "lazylab: warning: these cells need about" in said.err
    assert not (tmp_path / "run").exists()
