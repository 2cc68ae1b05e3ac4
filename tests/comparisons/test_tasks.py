"""Tasks by name and by file: sizes before torch is loaded, cells that know their file."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from comparisons import _tasks, width
from comparisons._command import main
from lab.data import archive
from lab.errors import LabError
from lab.sweeps.cells import cell_key


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A file of 30 labelled series in the folder one stands in."""
    monkeypatch.chdir(tmp_path)
    return write(0)


def write(seed):
    generator = np.random.default_rng(seed)
    lines = [",".join(["yes" if i % 2 else "no", *map(str, generator.normal(size=6))]) for i in range(30)]
    with open("mine.csv", "w") as file:
        file.write("\n".join(lines))
    return "mine.csv"


@pytest.mark.parametrize("name", ["digits", "separable", "templates"])
@pytest.mark.parametrize("samples", [None, 10])
def test_sizes_are_those_of_the_task(name, samples):
    cell = {"task": name, "samples": samples, "data_seed": 1}
    _tasks.check_task(name, samples)
    size, task = _tasks.size(cell), _tasks.build(cell)
    assert (size.samples, size.length, size.features) == tuple(task.train_inputs.shape)
    assert size.test == len(task.test_inputs)
    assert _tasks.stamped(cell) == cell


def test_a_file_is_a_task_and_its_cell_knows_its_content(mine):
    _tasks.check_task(mine, 12)
    cell = _tasks.stamped({"task": mine, "samples": 12, "data_seed": 1})
    assert _tasks.stamped(cell) == cell
    assert json.loads(json.dumps(cell)) == cell
    task, plain = _tasks.build(cell), _tasks.build({"task": mine, "samples": 12, "data_seed": 1})
    assert torch.equal(task.train_inputs, plain.train_inputs)
    size = _tasks.size(cell)
    assert (size.samples, size.length, size.features, size.test) == (*task.train_inputs.shape, len(task.test_inputs))
    assert size == _tasks.size({"task": mine, "samples": 12})
    write(1)
    changed = _tasks.stamped({"task": mine, "samples": 12, "data_seed": 1})
    assert cell_key("width", 2, changed) != cell_key("width", 2, cell)
    with pytest.raises(LabError, match="another content"):
        _tasks.build(cell)
    assert _tasks.size(cell) == size  # costs of a run need no file


def test_sizes_of_a_file_need_no_torch(mine):
    code = f"""
import sys
from comparisons import _tasks
quiet = {{"torch", "pandas", "matplotlib", "scipy", "aeon"}}
assert not quiet & set(sys.modules), quiet & set(sys.modules)
_tasks.check_task({mine!r}, 12)
print(_tasks.size(_tasks.stamped({{"task": {mine!r}, "samples": None}})))
assert not {{"torch", "matplotlib", "aeon"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "samples=15, test=15, length=6, features=2, most=30" in done.stdout


@pytest.mark.parametrize(
    ("name", "samples", "message"),
    [
        ("digit", None, "task: got 'digit'"),
        ("nowhere.csv", None, "a file that is there"),
        ("mine.json", None, "task: got"),
        ("mine.csv", 16, "samples: got 16; allowed: at most 15"),
        ("mine.csv", 1, "samples: got 1"),
        ("GunPoint", 51, "samples: got 51; allowed: at most 50"),
        (3, None, "task: got 3"),
    ],
)
def test_bad_tasks_are_refused(mine, name, samples, message):
    with pytest.raises(LabError, match=message):
        _tasks.check_task(name, samples)


def test_the_command_takes_a_file(mine, capsys):
    flags = ["--widths", "4", "--seeds", "1", "--steps", "2", "--readouts", "last", "--executor", "serial"]
    command = ["run", "width", "--task", mine, *flags, "--out", "here"]
    assert main(command) == 0
    assert main([*command, "--dry-run"]) == 0
    assert "1, of which 1 are committed" in capsys.readouterr().out
    write(1)
    assert main([*command, "--dry-run"]) == 0
    assert "1, of which 0 are committed" in capsys.readouterr().out
    assert main(["run", "width", "--task", "nowhere.csv", "--out", "there"]) == 2
    assert "nowhere.csv" in capsys.readouterr().err


def test_without_aeon_a_set_is_refused_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(archive.importlib.util, "find_spec", lambda name: None)
    width.Settings(task="GunPoint")  # settings may name it: presets are made where it is not installed
    assert main(["run", "width", "--task", "GunPoint", "--out", "here"]) == 2
    assert "lazylab[data]" in capsys.readouterr().err
    assert not (tmp_path / "here").exists()


def test_a_set_of_the_archives_is_a_task():
    pytest.importorskip("aeon")
    cell = _tasks.stamped({"task": "ItalyPowerDemand", "samples": None, "data_seed": 0})
    task, size = _tasks.build(cell), _tasks.size(cell)
    assert (size.samples, size.length, size.features) == tuple(task.train_inputs.shape) == (48, 24, 2)
