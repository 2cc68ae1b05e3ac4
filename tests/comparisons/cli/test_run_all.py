import shutil
from pathlib import Path

import pytest

from comparisons.cli import command, commands
from comparisons.cli.command import main
from comparisons.runs import registry
from lab.sweeps import load


@pytest.fixture
def two(toy, monkeypatch):
    """Two toys and nothing else."""
    shutil.copy(toy / "more" / "toy.py", toy / "more" / "toy_again.py")
    for module in (command, commands):
        monkeypatch.setattr(module, "names", lambda: ["toy", "toy_again"])
    return toy


def run_all(*arguments):
    return main(["run", "all", "--executor", "serial", "--preset", "fast", *arguments])


def test_each_comparison_has_a_directory_of_its_own(two, capsys):
    assert run_all() == 0
    said = capsys.readouterr().out
    for name in ("toy", "toy_again"):
        assert load(f"runs/{name}-fast").table["width"].tolist() == [4, 4]
        assert f"{name}: Does the toy run?" in said
    assert said.count("lazylab report") == 1
    assert "next     lazylab report runs/toy-fast runs/toy_again-fast " in said


def test_what_is_there_is_resumed(two):
    assert run_all("--out", "here") == 0
    before = {path: path.stat().st_mtime_ns for path in Path("here").rglob("cells/*.npz")}
    assert len(before) == 4
    assert run_all("--out", "here") == 0
    assert before == {path: path.stat().st_mtime_ns for path in Path("here").rglob("cells/*.npz")}


def test_one_refused_directory_stops_all_before_any_work(two, capsys):
    assert main(["run", "toy_again", "--executor", "serial", "--scale", "2", "--out", "runs/toy_again-fast"]) == 0
    assert run_all() == 2
    assert "scale" in capsys.readouterr().err
    assert not Path("runs/toy-fast").exists()


def test_a_failed_cell_does_not_stop_the_others(two, monkeypatch):
    import comparisons.toy as toy

    monkeypatch.setitem(toy.PRESETS, "fast", toy.Settings(widths=(13,), trouble="raise"))
    assert run_all() == 1
    assert load("runs/toy_again-fast").table["width"].tolist() == [4, 4]


def test_a_dry_run_writes_nothing(two, capsys):
    assert run_all("--dry-run") == 0
    said = capsys.readouterr().out
    assert said.count("cells      2") == 2
    assert "\nall of them: 16 s here\n" in said  # loading and figures alone
    assert "lazylab report" not in said
    assert not Path("runs").exists()


@pytest.mark.parametrize("flag", [["--config", "some.toml"], ["--widths", "8"], ["--shard", "3/2"]])
def test_settings_belong_to_one_comparison(two, flag, capsys):
    assert run_all(*flag) == 2
    assert flag[0].strip("-") in capsys.readouterr().err


def test_all_is_no_comparison():
    assert "all" not in registry.names()
