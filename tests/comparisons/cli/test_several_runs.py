"""`runs`, `compare` and `report` of several directories; JSON; the browser."""

import json
import webbrowser
from pathlib import Path

import pytest

import comparisons
from comparisons.cli import compare
from comparisons.cli.command import main
from comparisons.cli.inventory import first_sentence

QUIET = {"executor": "serial", "progress": False}


@pytest.fixture
def three(toy):
    """Toys in runs: a fast one, one with other settings and failed cells, one without a conclusion."""
    comparisons.run("toy", "fast", **QUIET)
    main(["run", "toy", "--widths", "8", "13", "--trouble", "raise", "--out", "runs/some", "--executor", "serial"])
    comparisons.run("toy", "full", **QUIET, shard="1/2")
    return toy


def said_as_json(capsys, *words):
    capsys.readouterr()
    status = main([*words, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_runs_shows_what_is_there(three, capsys):
    capsys.readouterr()
    assert main(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[::4] == ["runs/some", "runs/toy-fast", "runs/toy-full"]
    settings = ["--preset default --widths 8 13 --trouble raise", "--preset fast", "--preset full"]
    assert lines[1::4] == [f"  toy {words}" for words in settings]
    assert [line.partition(", last at 20")[0] for line in lines[2::4]] == [
        "  2 of 4 cells, 2 failed", "  2 of 2 cells", "  4 of 8 cells",
    ]  # fmt: skip
    assert lines[3] == lines[7] == "  The toy runs."
    assert lines[11].startswith("  no conclusion yet; `lazylab show runs/toy-full`")


def test_runs_as_json(three, capsys):
    status, found = said_as_json(capsys, "runs")
    assert status == 0
    some = found["runs"][0]
    assert (some["preset"], some["changes"]) == ("default", {"widths": [8, 13], "trouble": "raise"})
    assert some["cells"] == {"total": 4, "done": 2, "in_progress": 0, "failed": 2, "to_do": 0}
    assert some["verdict"] == "The toy runs."
    newest = max(path.stat().st_mtime for path in Path("runs/some/cells").glob("*.json"))
    assert some["last_commit"] == newest
    assert found["runs"][2]["verdict"] is None


def test_runs_of_a_run_directory_is_that_run(three, capsys):
    _, found = said_as_json(capsys, "runs", "runs/some")
    assert [run["directory"] for run in found["runs"]] == ["runs/some"]


def test_a_conclusion_from_other_settings_does_not_count(three, capsys):
    path = Path("runs/some/settings.json")
    path.write_text(path.read_text().replace('"scale": 1.0', '"scale": 2.0'))
    _, found = said_as_json(capsys, "runs", "runs/some")
    assert found["runs"][0]["verdict"] is None


def test_a_run_that_cannot_be_read_does_not_hide_the_others(three, capsys):
    Path("runs/some/settings.json").write_text("{}")
    gone = Path("runs/toy-fast/settings.json")
    gone.write_text(gone.read_text().replace('"toy"', '"gone"'))
    capsys.readouterr()
    assert main(["runs"]) == 1
    said = capsys.readouterr()
    assert "runs/toy-fast\n  gone, a comparison that is not here\n" in said.out
    assert "runs/toy-full" in said.out
    assert said.err.startswith("lazylab: runs/some is left out: settings.json: got an unreadable")


def test_where_there_is_no_run_the_way_to_one_is_shown(toy, capsys):
    assert main(["runs"]) == 0
    assert capsys.readouterr().out == "no run in runs; `lazylab run NAME` makes one\n"


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("It falls as m^−0.5 (−0.6 to −0.4). With erf it is faster.", "It falls as m^−0.5 (−0.6 to −0.4)."),
        ("At width 8 it is 3.5 times, i.e. more. No?", "At width 8 it is 3.5 times, i.e. more."),
        ("One sentence", "One sentence"),
        ("", ""),
    ],
)
def test_the_first_sentence(text, first):
    assert first_sentence(text) == first


def test_compare_sets_two_runs_side_by_side(toy, capsys):
    comparisons.run("toy", "fast", "a", **QUIET)
    comparisons.run("toy", "fast", "b", **QUIET, scale=5.0, seeds=3)
    assert main(["compare", "a", "b"]) == 0
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    numbers = [comparisons.load(name).numbers["norm.mean"] for name in "ab"]
    assert ["A:", "a", "B:", "b"] in said
    assert ["cells", "2", "of", "2", "3", "of", "3"] in said
    assert ["seeds", "2", "3"] in said
    assert ["scale", "1.0", "5.0"] in said
    assert not [line for line in said if line[:1] == ["widths"]]
    assert ["norm.mean", *str(numbers[0]).split(), *str(numbers[1]).split(), "apart"] in said
    assert ["norm.none", "none", "none"] in said
    assert "Intervals apart: 1 of 1." in " ".join(said[-1])


def test_compare_as_json(toy, capsys):
    comparisons.run("toy", "fast", "a", **QUIET)
    comparisons.run("toy", "fast", "b", **QUIET, widths=(4, 5))
    status, found = said_as_json(capsys, "compare", "a", "b")
    assert status == 0
    assert found["settings"] == {"widths": [[4], [4, 5]]}
    summaries = [json.loads(Path(name, "summary.json").read_text()) for name in "ab"]
    ours, theirs = (summary["numbers"]["norm.mean"] for summary in summaries)
    assert found["numbers"]["norm.mean"] == {"a": ours, "b": theirs, "intervals": "overlap"}
    assert found["cells"] == [summary["cells"] for summary in summaries]
    _, same = said_as_json(capsys, "compare", "a", "a")
    assert same["settings"] == {}
    assert same["numbers"]["norm.mean"]["intervals"] == "same"


@pytest.mark.parametrize(
    ("a", "b", "intervals"),
    [
        ((0, 1), (2, 3), "apart"),
        ((2, 3), (0, 1), "apart"),
        ((0, 1), (1, 2), "overlap"),
        ((0, 9), (4, 5), "overlap"),
        ((0, 1), (0, 1), "same"),
        (None, (0, 1), None),
        (None, None, None),
    ],
)
def test_intervals_are_compared_only_where_both_are_known(toy, a, b, intervals):
    for name, interval in (("a", a), ("b", b)):
        comparisons.run("toy", "fast", name, **QUIET)
        path = Path(name, "summary.json")
        found = json.loads(path.read_text())
        middle = sum(interval) / 2 if interval else float(name == "b")
        found["numbers"] = {"x": {"value": middle, "interval": interval and list(interval), "seeds": 3}}
        path.write_text(json.dumps(found))
    assert compare.read(Path("a"), Path("b")).numbers["x"].intervals == intervals


def test_a_number_of_one_run_alone_stands_alone(toy):
    comparisons.run("toy", "fast", "a", **QUIET)
    comparisons.run("toy", "fast", "b", **QUIET)
    path = Path("b", "summary.json")
    path.write_text(path.read_text().replace('"norm.mean"', '"norm.other"'))
    numbers = compare.read(Path("a"), Path("b")).numbers
    assert list(numbers) == ["norm.mean", "norm.none", "norm.other"]
    assert (numbers["norm.mean"].b, numbers["norm.other"].a) == (None, None)


def test_runs_of_two_comparisons_are_refused(toy, capsys):
    (toy / "other.py").write_text((toy / "more" / "toy.py").read_text())
    comparisons.run("toy", "fast", "a", **QUIET)
    comparisons.run("other.py", "fast", "b", **QUIET)
    capsys.readouterr()
    assert main(["compare", "a", "b"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "got runs of two comparisons, toy in a and other in b; allowed: two runs of one comparison" in said.err


def test_a_run_without_conclusion_is_not_compared(three, capsys):
    capsys.readouterr()
    assert main(["compare", "runs/toy-fast", "runs/toy-full"]) == 2
    assert "`lazylab show runs/toy-full` concludes" in capsys.readouterr().err
    assert main(["show", "runs/toy-full"]) == 0
    assert main(["compare", "runs/toy-fast", "runs/toy-full"]) == 0


def test_show_and_status_as_json(three, capsys):
    status, found = said_as_json(capsys, "show", "runs/some")
    assert status == 1  # cells have failed
    assert found.pop("figures") == ["runs/some/figures/norms.png"]
    assert found == json.loads(Path("runs/some/summary.json").read_text())
    status, found = said_as_json(capsys, "status", "runs/some")
    assert status == 1
    assert (found["comparison"], found["cells"]["failed"], found["running"]) == ("toy", 2, [])
    assert [failure["cell"]["width"] for failure in found["failures"]] == [13, 13]
    assert found["work_done"] == pytest.approx(64 / (64 + 169))
    assert said_as_json(capsys, "status", "runs/toy-fast")[0] == 0


@pytest.mark.parametrize("damage", ["json", "npz", "no npz", "other json"])
def test_status_counts_no_damaged_cell(toy, capsys, damage):
    comparisons.run("toy", "fast", "here", **QUIET)
    first, second = sorted(Path("here/cells").glob("*.json"))
    if damage == "json":
        first.write_text(first.read_text()[:-30])
    elif damage == "npz":
        first.with_suffix(".npz").write_bytes(b"half of it")
    elif damage == "no npz":
        first.with_suffix(".npz").unlink()
    else:
        first.write_text(second.read_text())
    _, found = said_as_json(capsys, "status", "here")
    assert found["cells"] == {"total": 2, "done": 1, "in_progress": 0, "failed": 0, "to_do": 1}


@pytest.fixture
def opened(monkeypatch):
    """What the browser was given; there is one."""
    found = []
    monkeypatch.setattr(webbrowser, "open", lambda address: found.append(address) is None)
    return found


def test_open_shows_the_first_figure_or_the_page(toy, opened):
    figure = Path("here/figures/norms.png").resolve().as_uri()
    assert main(["run", "toy", "--executor", "serial", "--out", "here", "--open"]) == 0
    assert main(["show", "here", "--open"]) == 0
    assert main(["report", "here", "--open"]) == 0
    assert opened == [figure, figure, Path("page.html").resolve().as_uri()]
    assert main(["show", "here"]) == 0
    assert len(opened) == 3


def test_without_a_browser_nothing_fails(toy, monkeypatch, capsys):
    def fail(address):
        raise webbrowser.Error("could not locate runnable browser")

    for no_browser in (fail, lambda address: False):
        monkeypatch.setattr(webbrowser, "open", no_browser)
        assert main(["run", "toy", "--executor", "serial", "--out", "here", "--open"]) == 0
        assert "no browser was found to open here/figures/norms.png\n" in capsys.readouterr().err


def test_a_bad_directory_does_not_stop_the_report(three, capsys):
    Path("runs/some/settings.json").write_text("{}")
    Path("runs/notes.txt").write_text("no run")
    capsys.readouterr()
    assert main(["report", *map(str, sorted(Path("runs").iterdir()))]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("page.html: 2 runs")
    assert [line.partition(":")[2].split(" is left out")[0] for line in said.err.splitlines()] == [
        " runs/notes.txt", " runs/some",
    ]  # fmt: skip
    assert "runs/toy-fast" in Path("page.html").read_text(encoding="utf-8")


def test_a_report_without_any_good_directory_is_refused(three, capsys):
    assert main(["report", "nowhere", "runs"]) == 2
    assert not Path("page.html").exists()
