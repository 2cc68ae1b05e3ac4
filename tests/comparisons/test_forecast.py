"""What a run is foretold to take: sums over cells and workers, and the memory that is free."""

import psutil
import pytest

from comparisons import _forecast
from comparisons._command import main
from comparisons._forecast import Forecast, advice, foresee, free_memory, look, room
from lab.costs import Cost, Machine
from lab.sweeps import Crew

CELLS = [{"dtype": "float32"}, {"dtype": "float32"}, {}]  # a cell that names no precision computes in float64
COSTS = [Cost(30.0, 100.0), Cost(10.0, 500.0, operations=2), Cost(5.0, 200.0)]
SPEEDS = {"float32": Machine(10.0, 0.5), "float64": Machine(5.0, 0.5)}


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr(_forecast, "look", lambda dtype, device, threads: SPEEDS[dtype])
    monkeypatch.setattr(_forecast, "free_memory", lambda device: 1e9)


@pytest.mark.parametrize(("workers", "seconds"), [(1, 3 + 2 + 1), (2, 3.0), (8, 3.0)])
def test_seconds_are_shared_by_the_workers_but_for_the_longest_cell(machine, workers, seconds):
    crew = Crew("processes", workers)
    assert foresee(CELLS, COSTS, crew) == Forecast(seconds, *room(COSTS, crew))


@pytest.mark.parametrize(
    ("crew", "held"),
    [(Crew("serial", 8), 500), (Crew("processes", 2), 700), (Crew("processes", 8), 800)],
    ids=["serial", "two", "eight"],
)
def test_the_largest_cells_may_meet(machine, crew, held):
    processes = min(3, 1 if crew.executor == "serial" else crew.workers)
    assert room(COSTS, crew) == (held + processes * _forecast.PROCESS_BYTES, 1e9)
    assert room([], crew) == (0, 1e9)


def test_advice_comes_where_memory_is_short():
    assert advice(2e9, 2e9) is None
    assert "3 GB at a time, and 2 GB are free: take fewer workers" in advice(3e9, 2e9)


def test_free_memory_is_what_the_system_and_the_container_leave(monkeypatch, tmp_path):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(_forecast, "LIMITS", (str(limit), str(tmp_path / "absent")))
    available = free_memory("cpu")
    assert 0 < available <= psutil.virtual_memory().total
    limit.write_text("max\n")
    assert free_memory("cpu") > 1e6
    limit.write_text("1000\n")
    assert free_memory("cpu") == 1000


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_look_finds_a_machine_that_computes(dtype):
    machine = look(dtype)
    assert 1e8 < machine.flops_per_second < 1e14
    assert 1e-8 < machine.seconds_per_operation < 1e-2


def test_an_impossible_run_is_told_before_it_begins(capsys, tmp_path):
    sizes = ["--task", "separable", "--samples", "500", "--widths", "16777216", "--seeds", "1"]
    assert main(["run", "width", *sizes, "--dry-run", "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr()
    assert "forecast" in said.out
    assert "lazylab: warning: these cells need about" in said.err
    assert not (tmp_path / "run").exists()
