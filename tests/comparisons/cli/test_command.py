import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from comparisons.cli.command import main
from lab.sweeps import load

HERE = Path(__file__).parents[1]
ROOT = HERE.parents[1]


def run(*arguments):
    return main(["run", "toy", "--executor", "serial", "--out", "here", *arguments])


def summary(directory="here"):
    return json.loads((Path(directory) / "summary.json").read_text())


@pytest.fixture
def start(tmp_path):
    """Start the command in a process of its own, as where one file was added to the package."""
    house = tmp_path / "house"
    shutil.copytree(ROOT / "comparisons", house / "comparisons")
    shutil.copy(HERE / "toy.py", house / "comparisons")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(house), str(ROOT)])}
    started = []

    def start(*arguments):
        command = [sys.executable, "-m", "comparisons.cli.command", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, env=environment, cwd=tmp_path, start_new_session=True, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_run_leaves_everything_that_is_promised(toy, capsys):
    assert run("--widths", "32", "64", "--seeds", "3") == 0
    names = {str(path.relative_to("here")) for path in Path("here").rglob("*") if path.is_file()}
    others = {"settings.json", "table.csv", "summary.json", "figures/norms.png", "figures/norms.svg"}
    assert others == {name for name in names if not name.startswith("cells")}
    assert len(names - others) == 12
    table = pd.read_csv("here/table.csv")
    assert table["width"].tolist() == [32, 32, 32, 64, 64, 64]
    assert list(table.columns) == ["width", "seed", "norm", "diverged", "final", "seconds"]
    said = capsys.readouterr().out
    assert said.startswith("The toy runs.")
    assert said.splitlines()[-4:] == [
        "numbers  1 of 2; the others: lazylab show here --all",
        "files    here: table.csv, summary.json, figures/ (norms)",
        "see      here/figures/norms.png",
        "next     lazylab report here    one page; --open shows it",
    ]


def test_headline_numbers_come_first_and_the_others_on_request(toy, capsys):
    """The toy names no headline numbers, so these are the ones with an interval."""
    run()
    capsys.readouterr()
    assert main(["show", "here"]) == 0
    verdict, blank, heading, meaning, mean, *rest = capsys.readouterr().out.splitlines()
    assert (verdict, blank, meaning) == ("The toy runs.", "", "Mean norm.")
    assert heading.split() == ["number", "value", "95", "%", "interval", "seeds"]
    found = summary()["numbers"]["norm.mean"]
    low, high = (f"{end:.4g}" for end in found["interval"])
    assert mean.split() == ["norm.mean", f"{found['value']:.4g}", low, "to", high, "4"]
    assert not any("norm.none" in line for line in rest)
    assert main(["show", "here", "--all"]) == 0
    said = capsys.readouterr().out
    assert "  norm.none   none  nothing to see\n" in said
    assert "numbers  2 of 2\n" in said


def test_the_summary_has_the_promised_shape(toy):
    run()
    found = summary()
    assert list(found) == ["comparison", "settings", "numbers", "verdict", "cells", "seconds", "versions"]
    assert found["settings"] == {"widths": [8, 16], "seeds": 2, "scale": 1.0, "trouble": "none", "log": None}
    mean = found["numbers"]["norm.mean"]
    assert list(mean) == ["value", "interval", "seeds", "widths"]
    assert found["numbers"]["norm.none"] == {"value": None, "interval": None, "seeds": 0, "reason": "nothing to see"}
    assert found["cells"] == {"total": 4, "failed": 0, "missing": 0, "diverged": 0}


def test_the_default_place_is_named_after_the_comparison(toy):
    assert main(["run", "toy", "--executor", "serial", "--preset", "fast"]) == 0
    assert load("runs/toy-fast").table["width"].tolist() == [4, 4]


def test_diverged_cells_are_counted_and_empty(toy):
    assert run("--trouble", "diverge") == 0
    assert summary()["cells"]["diverged"] == 4
    assert pd.read_csv("here/table.csv")["final"].isna().all()


def test_preset_gives_way_to_file_and_file_to_flags(toy):
    Path("c.toml").write_text("widths = [2, 3]\nseeds = 5\nscale = 2\n")
    assert run("--preset", "full", "--config", "c.toml", "--seeds", "1") == 0
    assert summary()["settings"] == {"widths": [2, 3], "seeds": 1, "scale": 2.0, "trouble": "none", "log": None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("width = [2]", "unknown width"),
        ("out = 'x'", "unknown out"),
        ("widths = 2", "widths in c.toml"),
        ("widths = [2.5]", "widths in c.toml"),
        ("seeds = true", "seeds in c.toml"),
        ("seeds = 0", "seeds in c.toml: got 0"),
        ("seeds = [", "TOML"),
    ],
)
def test_a_bad_file_is_refused_before_any_work(toy, capsys, text, message):
    Path("c.toml").write_text(text)
    assert run("--config", "c.toml") == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert not Path("here").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "toys"], "one of"),
        (["run"], "NAME"),
        (["run", "toy", "--width", "2"], "--width"),
        (["run", "toy", "--widths", "two"], "two"),
        (["run", "toy", "--seeds", "0"], "seeds: got 0"),
        (["run", "toy", "--preset", "huge"], "huge"),
        (["run", "toy", "--config", "nowhere.toml"], "nowhere.toml"),
        (["run", "toy", "--workers", "0"], "workers"),
        (["run", "toy", "--threads", "0"], "threads"),
        (["run", "toy", "--device", "abacus"], "cpu, cuda"),
        (["run", "toy", "--executor", "cloud"], "cloud"),
        (["run", "toy", "--scheduler", "tcp://h:1"], "add --executor dask"),
        (["run", "toy", "--executor", "dask", "--scheduler", "tcp://h:1", "--workers", "2"], "drop --workers"),
        (["run", "toy", "--out", ""], "out: got an empty path"),
        (["run", "toy", "--out= "], "out: got an empty path"),
        (["show", "nowhere"], "a run directory"),
        (["show"], "Required"),
        (["status", "nowhere"], "a run directory"),
        (["run", "toy", "--shard", "3/2"], "shard: got '3/2'; allowed: i/N with i from 1 to N"),
        (["run", "toy", "--shard", "0/2"], "shard: got '0/2'; allowed: i/N with i from 1 to N"),
        (["run", "toy", "--shard", "half"], "i/N"),
        (["dance"], "dance"),
        ([], "list"),
    ],
)
def test_bad_arguments_are_refused_in_a_sentence(toy, capsys, arguments, message):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_a_terminal_without_these_characters_gets_question_marks(toy, monkeypatch):
    run()
    monkeypatch.setattr("comparisons.cli.messages.describe_run", lambda *_, **__: "width^−½ fits.")
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    assert main(["show", "here"]) == 0
    stream.flush()
    assert stream.buffer.getvalue().startswith(b"width^?? fits.")


def test_cuda_is_refused_where_there_is_none(toy, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert run("--device", "cuda") == 2
    assert "use --device cpu" in capsys.readouterr().err


def test_the_grid_may_grow_and_nothing_else(toy, capsys):
    assert run("--widths", "8", "--log", "log") == 0
    assert run("--widths", "8", "16", "--log", "log") == 0
    assert [line.split()[:2] for line in Path("log").read_text().splitlines()].count(["8", "0"]) == 1
    assert summary()["cells"]["total"] == 4
    assert run("--widths", "8", "--log", "log", "--scale", "3") == 2
    assert "scale is 1.0 there and 3.0 here" in capsys.readouterr().err
    assert run("--widths", "16", "--log", "log") == 0
    assert pd.read_csv("here/table.csv")["width"].tolist() == [16, 16]


def test_a_dry_run_touches_nothing(toy, capsys):
    assert run("--dry-run") == 0
    said = capsys.readouterr().out
    assert not Path("here").exists()
    run("--widths", "8")
    capsys.readouterr()
    assert run("--dry-run") == 0
    assert "4, of which 0 are committed" in said
    assert "640 Mflop" in said
    assert "128 B" in said
    assert "4, of which 2 are committed" in capsys.readouterr().out
    assert len(json.loads(Path("here/settings.json").read_text())["cells"]) == 2


def test_a_failing_cell_is_reported_and_the_others_are_there(toy, capsys):
    assert run("--widths", "8", "13", "--trouble", "raise") == 1
    said = capsys.readouterr().err
    assert "2 of 4 cells failed" in said
    assert "  width 13, seed 1: RuntimeError: thirteen" in said
    assert "RuntimeError: thirteen" in said
    assert "Traceback" not in said
    assert "_stumble" in Path("here/failures.txt").read_text()
    assert pd.read_csv("here/table.csv")["width"].tolist() == [8, 8]
    assert summary()["cells"] == {"total": 4, "failed": 2, "missing": 0, "diverged": 0}


def test_failures_are_reported_even_if_there_is_no_conclusion(toy, capsys, monkeypatch):
    def conclude(table):
        raise KeyError("width 13")

    monkeypatch.setattr("comparisons.toy.conclude", conclude)
    assert run("--widths", "8", "13", "--trouble", "raise") == 1
    said = capsys.readouterr().err
    assert "2 of 4 cells failed" in said
    assert "KeyError" in said
    assert "Traceback" not in said


def test_show_needs_no_training(toy, capsys):
    run("--log", "log")
    before = {name: Path("here", name).read_bytes() for name in ("table.csv", "summary.json", "figures/norms.svg")}
    for name in before:
        Path("here", name).unlink()
    trained = Path("log").read_text()
    assert main(["show", "here"]) == 0
    assert {name: Path("here", name).read_bytes() for name in before} == before
    assert Path("log").read_text() == trained
    assert main(["show", "here", "--style", "lecture"]) == 0
    assert Path("here/figures/norms.svg").read_bytes() != before["figures/norms.svg"]
    assert main(["show", "here", "--style", "paper"]) == 0
    assert Path("here/figures/norms.pdf").read_bytes().startswith(b"%PDF")
    assert main(["show", "here"]) == 0
    assert not Path("here/figures/norms.pdf").exists()  # it might show earlier numbers
    assert main(["show", "here", "--style", "baroque"]) == 2


def test_show_counts_missing_and_failed_cells(toy, capsys):
    assert run("--widths", "8", "13", "--trouble", "raise") == 1
    (lost,) = [path for path in Path("here/cells").glob("*.json") if json.loads(path.read_text())["cell"]["seed"] == 1]
    lost.unlink()
    assert main(["show", "here"]) == 1
    assert "of 4 cells, 1 missing and 2 failed" in capsys.readouterr().err
    assert summary()["cells"] == {"total": 4, "failed": 2, "missing": 1, "diverged": 0}


def test_show_refuses_cells_of_another_version(toy, capsys):
    run()
    text = Path("here/settings.json").read_text()
    Path("here/settings.json").write_text(text.replace('"version": 1', '"version": 0'))
    assert main(["show", "here"]) == 2
    assert "cells of version 0" in capsys.readouterr().err


def test_shares_of_a_job_array_conclude_when_the_last_is_through(toy, capsys):
    assert run("--shard", "1/2", "--seeds", "3", "--dry-run") == 0
    assert "2 (shard 1/2 of 6)" in capsys.readouterr().out
    assert run("--shard", "1/2", "--seeds", "3") == 0
    assert "4 of 6 cells are left" in capsys.readouterr().out
    assert not Path("here/table.csv").exists()
    assert run("--shard", "2/2", "--seeds", "3") == 0
    assert "The toy runs." in capsys.readouterr().out
    assert len(pd.read_csv("here/table.csv")) == 6
    assert run("--seeds", "3", "--widths", "13", "--trouble", "raise", "--out", "there", "--shard", "2/3") == 1
    assert Path("there/failures.2of3.txt").exists()


def test_a_full_disk_is_reported_in_a_sentence(toy, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("lab.sweeps.store.os.fsync", full)
        assert run() == 1
        assert "No space left on device in here; 0 of 4 cells are kept" in capsys.readouterr().err
    assert [path for path in Path("here").rglob("*") if path.is_file()] == []
    assert run() == 0
    with monkeypatch.context() as patch:
        patch.setattr("lab.sweeps.store.os.fsync", full)
        assert run("--widths", "8", "16", "32") == 1
    said = capsys.readouterr().err
    assert "4 of 6 cells are kept" in said
    assert "Traceback" not in said
    assert not list(Path("here").rglob("*.tmp"))


def test_status_shows_counts_work_and_failures(toy, capsys):
    assert run("--widths", "8", "13", "--trouble", "raise") == 1
    capsys.readouterr()
    assert main(["status", "here"]) == 1
    said = capsys.readouterr().out
    assert "here: toy, version 1" in said
    assert "2 of 4 done, 0 in progress, 2 failed, 0 to do" in said
    assert f"{64 / (64 + 169):.1%}" in said
    assert "cells a minute" in said
    assert "no process is known to be running" in said
    assert "width 13, seed 1: RuntimeError: thirteen" in said


def test_status_of_a_comparison_that_is_not_here(toy, capsys):
    run()
    text = Path("here/settings.json").read_text()
    Path("here/settings.json").write_text(text.replace('"comparison": "toy"', '"comparison": "gone"'))
    assert main(["status", "here"]) == 0
    assert "0 of 4 done" in capsys.readouterr().out


def test_help_names_settings_with_the_defaults_of_the_preset(toy, capsys):
    assert main(["run", "toy", "--preset", "full", "--help"]) == 0
    said = capsys.readouterr().out
    assert "usage: lazylab run toy" in said
    assert "Hidden widths." in said
    assert "--scale" in said


@pytest.mark.parametrize("wrong", [["--seeds", "x"], ["--scael", "1"], ["--threads", "x"], ["--seeds"]])
def test_a_usage_error_points_to_the_help_that_shows_the_settings(toy, capsys, wrong):
    assert main(["run", "toy", *wrong]) == 2
    said = capsys.readouterr().err
    assert "lazylab run toy --help" in said
    assert "lazylab --help" not in said


@pytest.mark.parametrize(
    "text", ["--trained {W,A,B} [...]", "--widths INT [...]", "--samples INT|None", "--out PATH|None"]
)
def test_help_says_how_many_values_a_flag_takes(capsys, text):
    assert main(["run", "width", "--help"]) == 0
    assert text in capsys.readouterr().out


def test_one_of_a_kind_is_no_plural(toy, capsys):
    assert run("--widths", "8", "--seeds", "1") == 0
    assert "1 of 1 cell " in capsys.readouterr().err
    assert run("--widths", "8", "--seeds", "1", "--dry-run") == 0
    assert "1 thread per cell" in capsys.readouterr().out


QUIET = """
import sys
from comparisons.cli.command import main
code = main(sys.argv[1:])
loaded = {"torch", "pandas", "matplotlib", "scipy"} & set(sys.modules)
sys.exit(f"loaded {loaded}" if loaded else code)
"""


ASKED = """
import contextlib, io, json, sys
from comparisons.cli.command import main
for arguments in json.loads(sys.argv[1]):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = main(arguments)
    loaded = {"torch", "pandas", "matplotlib", "scipy"} & set(sys.modules)
    if code or loaded or not said.getvalue():
        sys.exit(f"{arguments}: exit status {code}, loaded {loaded}, said {said.getvalue()!r}")
"""
ASKING = [
    ["--help"], ["--version"], ["list"], ["list", "--json"],
    ["run", "width", "--help"], ["run", "--preset", "fast", "-h"],
    ["status", "--help"], ["runs"], ["compare", "--help"],
]  # fmt: skip


def test_asking_does_not_load_torch():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", ASKED, json.dumps(ASKING)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_processes_and_serial_write_the_same_table(start, toy):
    settings = ["--widths", "8", "100", "200"]
    process = start("run", "toy", "--executor", "processes", "--out", "there", *settings)
    assert run(*settings) == 0
    _, said = process.communicate()
    assert process.returncode == 0, said
    here, there = (pd.read_csv(toy / out / "table.csv").drop(columns="seconds") for out in ("here", "there"))
    pd.testing.assert_frame_equal(here, there, check_exact=True)


def test_cells_of_a_worker_that_dies_once_are_retried(start, tmp_path):
    process = start(
        "run", "toy", "--workers", "1", "--widths", "8", "13", "--trouble", "die once", "--log", tmp_path / "log"
    )
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert len(load(tmp_path / "runs" / "toy").table) == 4


INTERRUPTS = [
    ("processes", os.killpg, signal.SIGINT),
    ("processes", os.kill, signal.SIGINT),
    ("processes", os.kill, signal.SIGTERM),
    ("dask", os.killpg, signal.SIGINT),
]


@pytest.mark.parametrize(("executor", "send", "sent"), INTERRUPTS)
def test_an_interrupt_keeps_what_is_done(start, tmp_path, executor, send, sent):
    if executor == "dask":
        pytest.importorskip("distributed")
    log = tmp_path / "log"
    pool = ["--executor", executor, "--workers", "2"]
    process = start("run", "toy", "--widths", "13", "20", "--trouble", "sleep", *pool, "--log", log)
    _until(lambda: log.exists() and log.read_text().count("13 ") == 2)
    interrupted = time.perf_counter()
    send(process.pid, sent)
    _, said = process.communicate()
    took = time.perf_counter() - interrupted
    print(f"{executor} ended {took:.2f} s after {sent.name}")
    assert took < 30  # two seconds on a machine that is not shared; the cells would take 60
    assert process.returncode == 130, said
    assert "2 of 4 cells are kept" in said
    assert "Traceback" not in said
    assert load(tmp_path / "runs" / "toy").table["width"].tolist() == [20, 20]
    workers = {int(line.split()[2]) for line in log.read_text().splitlines()}
    _until(lambda: not any(_lives(worker) for worker in workers))


def test_status_of_a_run_elsewhere_whose_workers_end_when_it_is_killed(start, tmp_path):
    """The status is told without torch."""
    log = tmp_path / "log"
    process = start("run", "toy", "--widths", "13", "20", "--trouble", "sleep", "--workers", "2", "--log", log)
    _until(lambda: log.exists() and log.read_text().count("13 ") == 2)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "house"), str(ROOT)])}
    command = [sys.executable, "-c", QUIET, "status", "runs/toy"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 of 4 done, 2 in progress, 0 failed, 0 to do" in done.stdout
    assert "now        width 13, seed 0, on" in done.stdout
    assert "estimate" in done.stdout
    process.kill()
    workers = {int(line.split()[2]) for line in log.read_text().splitlines()}
    _until(lambda: not any(_lives(worker) for worker in workers), seconds=10)


def _lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def _until(true, seconds=30):
    limit = time.perf_counter() + seconds
    while not true():
        assert time.perf_counter() < limit, "it did not happen in time"
        time.sleep(0.02)


def test_a_reader_that_leaves_is_no_error():
    command = [sys.executable, "-m", "comparisons.cli.command", "list"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()  # before the first line can be written: Python alone takes longer to start
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 0


@pytest.mark.parametrize(
    "arguments",
    [["run", "--preset", "fast", "widht"], ["run", "--dry-run", "widht"], ["run", "width", "--threads", "9999"]],
)
def test_what_cannot_be_meant_is_one_line(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ['{"comparison": "width", "version": 1, "settings": 5, "cells": 5}', "[]", None])
def test_a_run_directory_of_something_else_is_one_line(content, capsys, tmp_path):
    if content is None:
        (tmp_path / "settings.json").mkdir()
    else:
        (tmp_path / "settings.json").write_text(content)
    for command in (["show", str(tmp_path)], ["status", str(tmp_path)], ["run", "width", "--out", str(tmp_path)]):
        assert main(command) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
