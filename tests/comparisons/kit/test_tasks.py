"""Tasks by name and by file: sizes before torch is loaded, cells that know their file."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from comparisons import width
from comparisons.cli.command import main
from comparisons.kit.cells import from_json, to_json
from comparisons.kit.tasks import TaskCell, build, check_task, size, size_of, stamped
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
    cell = TaskCell(task=name, samples=samples)
    check_task(name, samples)
    found, task = size_of(cell), build(cell, 1)
    assert (found.samples, found.length, found.features) == tuple(task.train_inputs.shape)
    assert found.test == len(task.test_inputs)
    assert found == size(name, samples)
    assert stamped(cell) == cell


def test_a_file_is_a_task_and_its_cell_has_its_digest(mine):
    check_task(mine, 12)
    cell = stamped(TaskCell(task=mine, samples=12))
    assert stamped(cell) == cell
    assert from_json(TaskCell, json.loads(json.dumps(to_json(cell)))) == cell
    task, plain = build(cell, 1), build(TaskCell(task=mine, samples=12), 1)
    assert torch.equal(task.train_inputs, plain.train_inputs)
    found = size_of(cell)
    assert (found.samples, found.length, found.features, found.test) == (
        *task.train_inputs.shape,
        len(task.test_inputs),
    )
    assert found == size(mine, 12)
    write(1)
    changed = stamped(TaskCell(task=mine, samples=12))
    assert cell_key("width", 2, to_json(changed)) != cell_key("width", 2, to_json(cell))
    with pytest.raises(LabError, match="another content"):
        build(cell, 1)
    assert size_of(cell) == found  # costs of a run need no file


def test_sizes_of_a_file_need_no_torch(mine):
    code = f"""
import sys
from comparisons.kit.tasks import TaskCell, check_task, size_of, stamped
loaded = {{"torch", "pandas", "matplotlib", "scipy", "aeon"}}
assert not loaded & set(sys.modules), loaded & set(sys.modules)
check_task({mine!r}, 12)
print(size_of(stamped(TaskCell(task={mine!r}, samples=None))))
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
        check_task(name, samples)


def test_test_samples_of_their_own_leave_others_for_training():
    check_task("digits", 300, test=57)
    with pytest.raises(LabError, match="samples: got 301; allowed: at most 300 for digits: 57 more are for testing"):
        check_task("digits", 301, test=57)
    check_task("separable", 301, test=10**6)


def test_the_command_takes_a_file(mine, capsys):
    flags = ["--widths", "4", "--seeds", "1", "--steps", "2", "--readouts", "last", "--executor", "serial"]
    flags += ["--variants", "centred", "--draws", "0"]
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
    cell = stamped(TaskCell(task="ItalyPowerDemand", samples=None))
    task, found = build(cell, 0), size_of(cell)
    assert (found.samples, found.length, found.features) == tuple(task.train_inputs.shape) == (48, 24, 2)
