"""The page as text: what is in it, what is refused, and what the explorer is given. How it behaves: test_page.py."""

import base64
import gzip
import json
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from comparisons.cli.command import main, understand
from comparisons.kit.keys import Quantity
from comparisons.kit.numbers import Number
from comparisons.kit.settings import as_json
from comparisons.report.glossary import GLOSSARY
from comparisons.report.runs import background, command, digits, grouped, in_words
from comparisons.report.trajectories import OUTPUTS, STEPS, choices, evenly, explore, explore_all, follows, thin
from comparisons.runs.options import RunOptions
from comparisons.runs.plan import make, settings_of
from comparisons.runs.registry import find as load
from comparisons.runs.registry import names
from lab.sweeps import Results
from lab.sweeps.cells import plain


def run(*arguments, out="here"):
    return main(["run", "toy", "--executor", "serial", "--out", out, *arguments])


def report(*directories, out="page.html"):
    status = main(["report", *directories, "--out", out])
    assert status == 0
    return Path(out).read_text(encoding="utf-8")


# What numbers mean ------------------------------------------------------------------------------------------------

EXPLAINED = SimpleNamespace(
    __doc__="""Does it?

    First paragraph with `code`,
    in two lines.

        y = x

    Last.
    """
)


def test_the_background_is_what_follows_the_question():
    assert background(EXPLAINED) == ["First paragraph with code, in two lines.", "    y = x", "Last."]
    assert background(SimpleNamespace(__doc__="Only a question?")) == []
    assert background(SimpleNamespace(__doc__=None)) == []


def test_numbers_stand_under_their_definitions():
    slope, level = Quantity("slope", meaning="Of the line."), Quantity("level", meaning="Of the sea.")
    numbers = {
        slope("b"): Number(-2.5e-7, (-1.0, 2.0), 3),
        level(0.5, arm="all"): Number(1.0, None, 1, details={"at": [np.float64(0.5)]}),
        slope("a"): Number.none("why"),
    }
    (first, rows), (second, others) = grouped(numbers)
    assert (first, [row.key for row in rows]) == ("Of the line.", ["slope.b", "slope.a"])
    assert (second, [row.key for row in others]) == ("Of the sea.", ["level.0.5.all"])
    assert others[0].notes == "at: 0.5"
    assert (rows[0].value, rows[0].interval, rows[0].seeds) == ("−2.5×10⁻⁷", "−1 to 2", 3)
    assert (rows[1].value, rows[1].interval, rows[1].notes) == ("none", "", "why")


def test_values_are_written_as_people_do():
    assert [digits(value) for value in (0.5, -3.0, 123456.0, 1e-12, None, float("inf"))] == [
        "0.5",
        "−3",
        "1.235×10⁵",
        "1×10⁻¹²",
        "none",
        "none",
    ]
    assert in_words([1, None, True, 0.1, 0.123456]) == "1, none, yes, 0.1, 0.123456"
    assert in_words({"a": [1, 0.123456]}, exact=False) == "a 1, 0.1235"


# The command that repeats a run -----------------------------------------------------------------------------------


def again(name, settings, records=()):
    manifest = {"comparison": name, "settings": plain(as_json(settings))}
    return command(load(name), manifest, "a place/with 'quotes'", records)


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("preset", ["fast", "default", "full"])
def test_the_command_of_a_preset_names_it(name, preset):
    settings = load(name).PRESETS[preset]
    words = shlex.split(again(name, settings))
    assert words[:3] == ["lazylab", "run", name]
    assert as_json(understand(words[1:]).settings) == as_json(settings)
    assert len(words) <= 7


CHANGES = [
    {"samples": 12, "widths": (7,), "critical_fraction": 1e-05},
    {"readouts": ("all", "mean"), "task": "separable", "trained": ("W", "B"), "dtype": "float64"},
]


@pytest.mark.parametrize("changes", CHANGES)
def test_the_command_gives_the_same_settings(changes):
    settings = replace(load("width").PRESETS["fast"], **changes)
    asked = understand(shlex.split(again("width", settings))[1:])
    assert as_json(asked.settings) == as_json(settings)
    assert str(asked.options.out) == "a place/with 'quotes'"


def test_the_command_names_threads_and_device_that_cells_agree_on():
    settings = load("width").PRESETS["default"]
    usual, other = {"device": "cpu", "threads": 1}, {"device": "cuda", "threads": 4}
    assert again("width", settings, [usual, usual]) == again("width", settings)
    assert "--device cuda --threads 4" in again("width", settings, [other])
    assert "--device" not in again("width", settings, [usual, other])


# What the explorer is given ---------------------------------------------------------------------------------------


def made_up(length=60, samples=5, outputs=2, seed=0, **more):
    generator = np.random.default_rng(seed)
    arrays = {
        "steps": np.arange(length) ** 2,
        "learners": np.array(["network", "linearized", "third"]),
        "test": generator.standard_normal((3, length, samples, outputs)),
        "test_targets": generator.standard_normal((samples, outputs)),
        "loss": generator.random((3, length)),
        "gap_test": generator.random(length),
    }
    return {name: array for name, array in {**arrays, **more}.items() if array is not None}


def unpacked(cell):
    """Outputs (learners, shown outputs, steps)."""
    return cell["unit"] * np.cumsum(np.array(cell["outputs"], dtype=float), axis=2)


def test_outputs_come_back_to_four_digits_sorted_by_the_linearized():
    arrays = made_up()
    cell = thin(arrays).data
    at = [list(arrays["steps"]).index(step) for step in cell["steps"]]
    assert len(at) == STEPS
    assert (at[0], at[-1]) == (0, 59)
    order = [int(s) * 2 + int(o) - 3 for s, o in (re.findall(r"\d+", name)[:2] for name in cell["names"])]
    true = arrays["test"].reshape(3, 60, 10)[:, at][:, :, order].swapaxes(1, 2)
    assert np.abs(unpacked(cell) - true).max() <= cell["unit"] / 2 * 1.000001
    assert cell["unit"] == 1e-3
    assert sorted(true[1, :, -1]) == list(true[1, :, -1])
    assert cell["targets"] == pytest.approx(arrays["test_targets"].reshape(-1)[order], rel=1e-3)
    assert np.array(cell["loss"]) == pytest.approx(arrays["loss"][:, at], rel=1e-3)
    assert cell["gap"] == pytest.approx(arrays["gap_test"][at], rel=1e-3)
    assert cell["trained"]
    assert cell["measured"]


def test_without_loss_and_gap_both_come_from_the_test_outputs():
    arrays = made_up(loss=None, gap_test=None, length=4)
    cell = thin(arrays).data
    test, targets = arrays["test"], arrays["test_targets"]
    assert np.array(cell["loss"]) == pytest.approx(((test - targets) ** 2).mean((2, 3)), rel=1e-3)
    apart = np.sqrt(((test[0] - test[1]) ** 2).mean((1, 2))) / targets.std()
    assert cell["gap"] == pytest.approx(apart, rel=1e-3)
    assert not cell["trained"]
    assert not cell["measured"]
    others = thin(made_up(gap_test=None, learners=np.array(["a", "b", "c"]))).data
    assert others["gap"] is None


def test_what_diverged_is_left_out_and_does_not_set_the_scale():
    arrays = made_up(length=6)
    arrays["test"][0, 3] = 1e200
    arrays["test"][0, 4:] = np.nan
    arrays["loss"][0, 4:] = np.inf
    cell = thin(arrays).data
    assert cell["loss"][0][4:] == [None, None]
    assert all(curve[4:] == [None, None] for curve in cell["outputs"][0])
    assert cell["unit"] <= 0.1
    json.dumps(cell, allow_nan=False)


REFUSED = [
    {"steps": np.arange(5)},
    {"learners": np.array(["one"])},
    {"test_targets": np.zeros(5)},
    {"test": np.zeros((3, 60, 10)), "test_targets": np.zeros(10)},
    {"loss": np.zeros(3)},
    {"gap_test": np.zeros(3)},
    {"test": None},
]


@pytest.mark.parametrize("change", REFUSED)
def test_other_arrays_are_not_taken_for_trajectories(change):
    assert follows(made_up())
    assert not follows(made_up(**change))


def results(cells, arrays):
    return Results(pd.DataFrame(cells), tuple(cells), arrays)


def test_cells_are_chosen_by_what_tells_them_apart():
    cells = [
        {"width": m, "seed": s, "steps": 10 * m, "task": "digits", "rate": c, "budget": c * 2}
        for m in (8, 64)
        for s in (0, 1)
        for c in (0.5, 2.0)
    ]
    assert choices(cells) == ("width", "seed", "rate")
    assert choices(cells[:1]) == ()
    found = explore(results(cells, lambda cell: made_up(seed=cell["width"]))).data
    assert [field["name"] for field in found["fields"]] == ["width", "seed", "rate"]
    assert [field["values"] for field in found["fields"]] == [["8", "64"], ["0", "1"], ["0.5", "2.0"]]
    assert [cell["at"] for cell in found["cells"]][:3] == [[0, 0, 0], [0, 0, 1], [0, 1, 0]]


def test_a_large_run_is_thinned_and_says_so():
    cells = [{"width": m, "seed": s} for m in (8, 16) for s in range(10)]
    arrays = made_up(length=100, samples=40, outputs=4)
    found = explore(results(cells, lambda _: arrays), budget=4 * 3 * STEPS * OUTPUTS)
    assert [field["values"] for field in found.data["fields"]] == [["8", "16"], ["0", "1"]]
    assert "48 of up to 100 recorded steps, 48 of up to 160 test outputs of a cell and 4 of 20 cells" in found.note
    tight = explore(results(cells, lambda _: arrays), budget=1)
    assert len(tight.data["cells"]) == 1
    whole = explore(results(cells, lambda _: made_up(length=8)))
    assert "To keep" not in whole.note


def test_runs_share_the_room_of_a_page(monkeypatch):
    cells = [{"width": 8, "seed": s} for s in range(6)]
    monkeypatch.setattr("comparisons.report.trajectories.IN_ALL", 6 * 3 * 4 * 10)
    one, nothing = results(cells, lambda _: made_up(length=4)), results(cells, lambda _: {})
    assert [len(found.data["cells"]) for found in explore_all([one, one])] == [3, 3]
    alone, none = explore_all([one, nothing])
    assert len(alone.data["cells"]) == 6
    assert none is None


def test_nothing_to_explore():
    assert explore(results([{"width": 8}], lambda _: {"matrix": np.eye(2)})) is None
    assert explore(results([], dict)) is None


def test_thinning_keeps_both_ends():
    assert evenly(3, 48).tolist() == [0, 1, 2]
    assert evenly(1, 48).tolist() == [0]
    spread = evenly(1000, 48)
    assert (spread[0], spread[-1], len(spread)) == (0, 999, 48)


# The page ---------------------------------------------------------------------------------------------------------


class Outline(HTMLParser):
    """Ids, headings, links and pictures of a page."""

    def __init__(self, page):
        super().__init__()
        self.ids, self.headings, self.links, self.pictures, self.tags = [], [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.headings += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []
        self.links += [given[name] for name in ("href", "src", "data", "action") if name in given]
        self.pictures += [given] if tag == "img" else []


@pytest.fixture(scope="module")
def width(tmp_path_factory):
    """A small run of a real comparison."""
    out = tmp_path_factory.mktemp("runs") / "width"
    settings = ["--readouts", "last", "--widths", "4", "8", "--seeds", "1", "--steps", "12", "--samples", "8"]
    settings += ["--variants", "centred"]
    assert main(["run", "width", "--executor", "serial", "--out", str(out), *settings]) == 0
    return out


@pytest.fixture(scope="module")
def page(width):
    """The page about it, twice named."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(width.parent)
        return report("width", str(width))


def test_a_page_has_everything_of_a_real_run(width, page):
    outline, summary = Outline(page), json.loads((width / "summary.json").read_text())
    comparison = load("width")
    for text in (comparison.question, comparison.asked_by, "--readouts last --widths 4 8", *summary["numbers"]):
        assert text in page
    assert summary["verdict"].replace(" %", "\u00a0%") in page
    assert all(str(found) in page for found in summary["versions"].values())
    assert [picture["alt"].split("“")[1].split("”")[0] for picture in outline.pictures] == ["gap", "motion", "outputs"]
    assert all(summary["verdict"] in picture["alt"] for picture in outline.pictures)
    assert "Slope on log(width) of the log of the largest gap on the training set." in page
    assert all(term in page for term in GLOSSARY)


def test_a_page_is_well_built_and_asks_for_nothing(page):
    outline = Outline(page)
    assert len(set(outline.ids)) == len(outline.ids)
    assert outline.headings[0] == 1
    assert max(np.diff(outline.headings)) <= 1
    assert {"main", "nav", "header"} <= set(outline.tags)
    inside = [link[1:] for link in outline.links if link.startswith("#")]
    assert set(inside) <= set(outline.ids)
    assert all(link.startswith(("#", "data:")) for link in outline.links)


def packed(page, name):
    found = re.search(rf'id="packed-{name}">([^<]*)<', page)
    return gzip.decompress(base64.b64decode(found[1])).decode() if found else None


def test_plotly_is_there_once_and_only_where_needed(page, toy):
    assert "plotly.js" in packed(page, "plotly")[:200]
    assert page.count('id="packed-plotly"') == 1
    assert [len(run["cells"]) for run in json.loads(packed(page, "data"))["runs"]] == [2]
    run()
    without = report("here")
    assert packed(without, "plotly") is None
    assert "Explorer" not in without
    assert len(without) < 200_000


def test_equal_runs_give_equal_pages_without_places(width, page, tmp_path, monkeypatch):
    monkeypatch.chdir(width.parent)
    assert report("width", out=str(tmp_path / "again.html")) == page
    everything = page + packed(page, "data") + str(_svgs(page))
    assert str(width.parent) not in everything
    assert str(Path.home()) not in everything
    record = json.loads(next((width / "cells").glob("*.json")).read_text())
    assert f">{record['host']}<" not in everything


def _svgs(page):
    return [base64.b64decode(text) for text in re.findall(r"data:image/svg\+xml;base64,([^\"]*)", page)]


def test_several_runs_of_one_comparison_are_told_apart(toy):
    run("--seeds", "1", out="first")
    run("--seeds", "3", out="second")
    page = report("first", "second", "first/../first")
    assert page.count('class="run"') == 2
    assert page.index("--out first") < page.index("--out second")
    assert "--seeds 1" in page
    assert "--seeds 3" in page


NASTY = "<script>alert('&')</script>"


def test_what_users_wrote_is_escaped(toy):
    Path("a<b>&").mkdir()
    assert run("--log", NASTY.replace("/", "|"), out="a<b>&/c") == 0
    page = report("a<b>&/c")
    assert "<b>" not in page
    assert "alert" in page
    assert "<script>alert" not in page
    assert "a&lt;b&gt;&amp;/c" in page


def test_unfinished_empty_and_failed_runs_are_shown_as_such(toy, capsys):
    assert run("--widths", "8", "13", "--trouble", "raise") == 1
    page = report("here")
    assert "2 of 4 cells" in page
    assert "2 measured, 2 failed." in page
    assert "This run is unfinished." in page
    assert "width=13 seed=0: RuntimeError" in page
    assert "thirteen" not in page
    options = RunOptions(out=Path("empty"))
    make("toy", settings_of(load("toy"), options, {}), options).claim()
    page = report("empty", "here")
    assert "empty: 0 of 4 cells" in page
    assert "There is no measurement to conclude from." in page
    said = capsys.readouterr().out
    assert "empty (toy) is empty" in said
    assert "here (toy) is unfinished" in said


REFUSALS = [
    (["nowhere"], "a run directory"),
    (["here", "nowhere"], "a run directory"),
    (["here/cells"], "a run directory"),
    (["."], "a run directory"),
    ([], "one or more run directories"),
    (["here", "--style", "baroque"], "style: got 'baroque'"),
    (["here", "--out", "missing/page.html"], "a folder that is there"),
    (["here", "--out", "here"], "which is a folder"),
    (["here", "--out", ""], "an empty path"),
    (["here", "--out="], "an empty path"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSALS)
def test_what_is_refused_writes_nothing(toy, capsys, arguments, message):
    run("--seeds", "1", "--widths", "8")
    Path("page.html").write_text("as it was")
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    capsys.readouterr()
    assert main(["report", *arguments]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.startswith("lazylab: ")
    assert len(said.err.splitlines()) == 1
    assert said.out == ""
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before


def test_cells_of_another_version_are_refused(toy, capsys):
    run()
    text = Path("here/settings.json").read_text()
    Path("here/settings.json").write_text(text.replace('"version": 1', '"version": 0'))
    assert main(["report", "here"]) == 2
    assert "cells of version 0" in capsys.readouterr().err
    assert not Path("page.html").exists()


def test_a_report_leaves_the_run_as_it_is(toy):
    run()
    before = {path: path.read_bytes() for path in Path("here").rglob("*") if path.is_file()}
    report("here", out="here/page.html")
    Path("here/page.html").unlink()
    assert {path: path.read_bytes() for path in Path("here").rglob("*") if path.is_file()} == before
