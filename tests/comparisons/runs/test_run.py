"""`comparisons.run` and `comparisons.load`: what a notebook gets, and that the command says the same."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

import comparisons
from comparisons.cli.command import main
from comparisons.kit.cells import to_json
from comparisons.runs.forecast import Forecast
from comparisons.runs.options import NAMES
from comparisons.runs.outputs import write
from comparisons.runs.registry import Measure, find, identity
from lab.errors import LabError, LabWarning

HERE = Path(__file__).parents[1]
QUIET = {"executor": "serial", "progress": False}


def test_a_run_has_numbers_verdict_table_figures_and_arrays(toy):
    found = comparisons.run("toy", out="here", **QUIET, widths=[8, 16], seeds=3)
    assert found.verdict == "The toy runs."
    assert found.numbers["norm.mean"].seeds == 6
    assert found.numbers["norm.none"].reason == "nothing to see"
    assert found.table["width"].tolist() == [8, 8, 8, 16, 16, 16]
    assert list(found.figures) == ["norms"]
    pairs = found.arrays(width=16)
    assert [(cell.width, cell.seed) for cell, _ in pairs] == [(16, 0), (16, 1), (16, 2)]
    assert all(arrays["matrix"].shape == (16, 16) for _, arrays in pairs)
    assert found.settings["widths"] == [8, 16]
    assert found.counts == {"total": 6, "failed": 0, "missing": 0, "diverged": 0}


def test_a_run_shows_itself_in_jupyter(toy):
    page = comparisons.run("toy", out="here", **QUIET)._repr_html_()
    for text in ("Does the toy run?", "The toy runs.", "nothing to see", "<div><svg"):
        assert text in page
    headlines, folded = page.split("<details>")
    assert "Mean norm." in headlines
    assert "norm.none" not in headlines
    assert folded.startswith("<summary>all 2 numbers</summary>")
    assert "norm.none" in folded


def test_the_command_and_the_function_write_the_same_files(toy):
    comparisons.run("toy", "fast", "one", **QUIET, seeds=3)
    assert main(["run", "toy", "--preset", "fast", "--seeds", "3", "--executor", "serial", "--out", "two"]) == 0
    one, two = (pd.read_csv(Path(place) / "table.csv").drop(columns="seconds") for place in ("one", "two"))
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    one, two = (json.loads((Path(place) / "summary.json").read_text()) for place in ("one", "two"))
    assert one["numbers"] == two["numbers"]
    assert one["settings"] == two["settings"]
    assert {path.name for path in Path("one/cells").iterdir()} == {path.name for path in Path("two/cells").iterdir()}


def test_presets_have_directories_of_their_own_and_a_run_resumes(toy):
    assert comparisons.run("toy", **QUIET, log="log").directory == Path("runs/toy")
    assert comparisons.run("toy", "fast", **QUIET).directory == Path("runs/toy-fast")
    begun = Path("log").read_text()
    assert comparisons.run("toy", **QUIET, log="log").counts["total"] == 4
    assert Path("log").read_text() == begun


def test_settings_go_before_the_file_and_the_file_before_the_preset(toy):
    Path("c.toml").write_text("seeds = 3\nscale = 2\n")
    found = comparisons.run("toy", "full", "here", config="c.toml", **QUIET, scale=3)
    assert (found.settings["seeds"], found.settings["scale"]) == (3, 3.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "nothing"}, "comparison: got 'nothing'"),
        ({"name": "toy", "preset": "huge"}, "preset: got 'huge'"),
        ({"name": "toy", "widths": 8}, "widths: got 8"),
        ({"name": "toy", "depth": 8}, "unknown depth"),
        ({"name": "toy", "device": "abacus"}, "cpu, cuda"),
        ({"name": "toy", "workers": 0}, "workers"),
        ({"name": "toy", "executor": "cloud"}, "cloud"),
        ({"name": "toy", "out": " "}, "out: got ' '; allowed: a name or a path"),
        ({"name": None}, "name: got None; allowed: a name or a path"),
        ({"name": "toy", "config": 3}, "config: got 3"),
        ({"name": "nowhere.py"}, "a Python file that is there"),
        ({"name": "broken.py"}, "without asked_by"),
    ],
)
def test_bad_arguments_are_refused_before_any_work(toy, arguments, message):
    Path("broken.py").write_text("question = 'What?'\n")
    with pytest.raises(LabError, match=message):
        comparisons.run(**{"out": "here", "progress": False, **arguments})
    assert not Path("here").exists()


def test_failed_cells_are_warned_of_and_the_others_are_there(toy):
    with pytest.warns(LabWarning, match="2 of 4 cells failed, such as width 13, seed 0: "):
        found = comparisons.run("toy", out="here", **QUIET, widths=(8, 13), trouble="raise")
    assert found.counts["failed"] == 2
    assert found.table["width"].tolist() == [8, 8]
    assert "thirteen" in Path("here/failures.txt").read_text()


def test_load_reads_what_is_there_and_writes_nothing(toy):
    first = comparisons.run("toy", out="here", **QUIET)
    before = {path: path.stat().st_mtime_ns for path in Path("here").rglob("*")}
    again = comparisons.load("here")
    assert again.numbers == first.numbers
    with pytest.raises(LabError, match="widht"):
        again.arrays(widht=4)
    pd.testing.assert_frame_equal(again.table, first.table)
    assert list(again.figures) == ["norms"]
    assert {path: path.stat().st_mtime_ns for path in Path("here").rglob("*")} == before
    with pytest.raises(LabError, match="a run directory"):
        comparisons.load("nowhere")


@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_a_comparison_in_a_file_runs_and_is_found_again(tmp_path, monkeypatch, executor):
    monkeypatch.chdir(tmp_path)
    shutil.copy(HERE / "toy.py", tmp_path / "mine.py")
    found = comparisons.run("mine.py", executor=executor, workers=2, progress=False, widths=(4, 5))
    assert found.directory == Path("runs/mine")
    assert found.table["width"].tolist() == [4, 4, 5, 5]
    assert comparisons.load("runs/mine").numbers == found.numbers
    assert main(["status", "runs/mine"]) == 0
    assert main(["show", "runs/mine"]) == 0
    assert main(["run", "--seeds", "2", "./mine.py", "--dry-run"]) == 0
    assert main(["run", "./mine.py", "--widths", "4", "5", "--dry-run"]) == 0


TOY = (HERE / "toy.py").read_text(encoding="utf-8")
FROZEN = "@dataclass(frozen=True)\n"


def test_an_edited_file_is_loaded_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(TOY, encoding="utf-8")
    comparisons.run("mine.py", **QUIET)
    Path("mine.py").write_text(TOY.replace("Does the toy run?", "Does it still run?"), encoding="utf-8")
    assert comparisons.load("runs/mine").comparison.question == "Does it still run?"
    Path("mine.py").write_text("def", encoding="utf-8")
    assert main(["status", "runs/mine"]) == 0  # which needs no more than the files of the directory
    Path("mine.py").write_text(TOY.replace("version = 1", "version = 2"), encoding="utf-8")
    with pytest.raises(LabError, match="version is 1 there"):
        comparisons.run("mine.py", **QUIET)


def test_a_file_that_changes_during_a_run_fails_its_cells(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(TOY, encoding="utf-8")
    measure = Measure("mine.py", identity(find("mine.py")))
    [cell, *_] = find("mine.py").cells(find("mine.py").PRESETS["fast"])
    assert measure(to_json(cell))[0]["width"] == 4
    Path("mine.py").write_text(TOY + "\n", encoding="utf-8")
    with pytest.raises(LabError, match="changed since the run began"):
        measure(to_json(cell))


def test_a_file_that_has_moved_with_its_run_is_found(tmp_path, monkeypatch):
    (tmp_path / "first").mkdir()
    monkeypatch.chdir(tmp_path / "first")
    Path("mine.py").write_text(TOY, encoding="utf-8")
    numbers = comparisons.run("mine.py", **QUIET).numbers
    monkeypatch.chdir(tmp_path)
    Path("first").rename("second")
    assert comparisons.load("second/runs/mine").numbers == numbers
    Path("second/mine.py").unlink()
    with pytest.raises(LabError, match=r"put mine\.py into this folder or beside the run directory"):
        comparisons.load("second/runs/mine")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version = 1": 'version = "1"'}, "with version = '1'; allowed: an integer"),
        ({"def conclude(": "def deduce("}, "without conclude"),
        ({"class Settings(kit.Settings)": "class Settings"}, "a subclass of kit.Settings"),
        ({f"{FROZEN}class Settings": "class Settings", "widths=(4,)": "", "seeds=4": ""}, "write @dataclass"),
        ({"scale: Annotated[float,": "threads: Annotated[float,"}, "with the settings threads"),
        ({'"fast": ': '"quick": '}, "without Settings for fast in PRESETS"),
        ({"import os\n": "import os_of_nowhere\n"}, "line 5 .ModuleNotFoundError"),
        ({"import os\n": "import os(\n"}, "SyntaxError"),
    ],
)
def test_a_file_that_is_no_comparison_is_refused(tmp_path, monkeypatch, changes, message):
    monkeypatch.chdir(tmp_path)
    text = TOY
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    Path("mine.py").write_text(text, encoding="utf-8")
    with pytest.raises(LabError, match=message):
        comparisons.run("mine.py", **QUIET)
    assert not Path("runs").exists()


@pytest.mark.filterwarnings("error::lab.errors.LabWarning")
@pytest.mark.parametrize(
    ("function", "value", "message"),
    [
        ("cost", "None", "a kit.Cost"),
        ("conclude", '({}, "yes")', "a kit.Conclusion"),
        ("draw", "[1]", "a dictionary of figures"),
        ("measure", "{}", "cells failed, .* a pair of dictionaries"),
        ("measure", "({}, {}, {})", "cells failed, .* a tuple of 3 returned"),
    ],
)
def test_what_a_function_of_a_file_returns_is_checked(tmp_path, monkeypatch, function, value, message):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(f"{TOY}\n\ndef {function}(*_):\n    return {value}\n", encoding="utf-8")
    with pytest.raises((LabError, LabWarning), match=message):
        comparisons.run("mine.py", **QUIET)


def test_a_share_concludes_only_with_the_others(toy):
    assert comparisons.run("toy", out="here", **QUIET, shard="1/2").counts["missing"] == 2
    assert not Path("here/summary.json").exists()
    assert comparisons.run("toy", out="here", **QUIET, shard="2/2").counts["missing"] == 0
    assert Path("here/summary.json").exists()


def test_keywords_have_the_names_of_the_options():
    import inspect

    keywords = set(inspect.signature(comparisons.run).parameters) - {"name", "settings"}
    assert keywords == set(NAMES) - {"open"}


def test_a_dry_run_returns_the_forecast_of_what_is_left_and_writes_nothing(toy):
    comparisons.run("toy", out="here", **QUIET, widths=(8,))
    before = {path: path.stat().st_mtime_ns for path in Path("here").rglob("*")}
    found = comparisons.run("toy", out="here", **QUIET, widths=(8, 16, 32), dry_run=True)
    assert isinstance(found, Forecast)
    assert found.cells == 4
    assert repr(found).startswith("Forecast(4 cells, about ")
    assert 0 < found.seconds < 60
    assert found.bytes > 8 * 32
    assert {path: path.stat().st_mtime_ns for path in Path("here").rglob("*")} == before
    with pytest.raises(LabError, match=r"scale is 1\.0 there and 2\.0 here"):
        comparisons.run("toy", out="here", **QUIET, scale=2.0, dry_run=True)


def test_errors_speak_of_settings_and_not_of_flags(toy):
    comparisons.run("toy", out="here", **QUIET)
    for refused in (
        {"scale": 2.0},
        {"device": "tpu"},
        {"executor": "serial", "scheduler": "tcp://h:1"},
        {"shard": "x"},
    ):
        with pytest.raises(LabError) as error:
            comparisons.run(**{"name": "toy", "out": "here", **QUIET, **refused})
        assert "--" not in str(error.value)


def test_a_figure_that_is_drawn_no_more_is_removed(toy):
    found = comparisons.run("toy", out="here", **QUIET)
    figures = Path("here/figures")
    for name in ("gone.png", "gone.svg", "mine.png", "notes.txt"):
        (figures / name).write_text("old")
    assert write(found) == [figures / "norms.png"]
    assert {path.name for path in figures.iterdir()} == {"norms.png", "norms.svg", "mine.png", "notes.txt"}
