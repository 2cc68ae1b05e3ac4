"""The page as text: what is in it, and what is refused. How it behaves: test_page.py."""

import base64
import gzip
import html
import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from comparisons.cli.command import main, understand
from comparisons.kit.keys import Quantity
from comparisons.kit.numbers import Number
from comparisons.kit.settings import as_json, with_values
from comparisons.report.figures import alternative
from comparisons.report.glossary import GLOSSARY
from comparisons.report.numbers import digits, grouped, in_words
from comparisons.report.repeat import command
from comparisons.report.runs import background
from comparisons.runs.options import RunOptions
from comparisons.runs.plan import make, settings_of
from comparisons.runs.registry import find as load
from comparisons.runs.registry import names
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


def test_an_alternative_text_says_what_is_seen_and_what_was_found():
    said = alternative("gap", "Gaps at all widths", "Gap against width.", "It falls.")
    assert said == "Figure “gap”. Gaps at all widths. Gap against width. Result: It falls."
    assert alternative("gap", "It falls", "", "It falls. Slowly.") == "Figure “gap”. Result: It falls. Slowly."


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
    settings = with_values(load("width").PRESETS["fast"], changes, "")
    asked = understand(shlex.split(again("width", settings))[1:])
    assert as_json(asked.settings) == as_json(settings)
    assert str(asked.options.out) == "a place/with 'quotes'"


def test_the_command_names_threads_and_device_that_cells_agree_on():
    settings = load("width").PRESETS["default"]
    usual, other = {"device": "cpu", "threads": 1}, {"device": "cuda", "threads": 4}
    assert again("width", settings, [usual, usual]) == again("width", settings)
    assert "--device cuda --threads 4" in again("width", settings, [other])
    assert "--device" not in again("width", settings, [usual, other])


# The page ---------------------------------------------------------------------------------------------------------


class Outline(HTMLParser):
    """Ids, headings, links and pictures of a page."""

    def __init__(self, page):
        super().__init__()
        self.ids, self.headings, self.links, self.pictures, self.tags, self.folds = [], [], [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.headings += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []
        self.links += [given[name] for name in ("href", "src", "data", "action") if name in given]
        self.pictures += [given] if tag == "img" else []
        self.folds += [given] if tag == "details" else []


@pytest.fixture(scope="module")
def width(tmp_path_factory):
    """A small run of a real comparison."""
    out = tmp_path_factory.mktemp("runs") / "width"
    settings = ["--readouts", "last", "--widths", "16", "32", "--seeds", "3", "--steps", "12", "--samples", "8"]
    settings += ["--variants", "centred", "--draws", "0"]
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
    for text in (comparison.question, "--readouts last --widths 16 32", *summary["numbers"]):
        assert text in page
    assert "Asked by reviewer 1, reviewer 3" in page
    assert not re.search(r"\bR[123]\b", page.split("</style>")[1].split('<script type="text/plain"')[0])
    assert summary["verdict"].replace(" %", "\u00a0%") in page
    assert all(str(found) in page for found in summary["versions"].values())
    assert [picture["alt"].split("“")[1].split("”")[0] for picture in outline.pictures] == ["gap", "motion", "outputs"]
    assert all(summary["verdict"] in picture["alt"] for picture in outline.pictures)
    assert "Slope on log(width) of the log of the largest gap on the training set." in page
    assert all(term in page for term in GLOSSARY)


def test_the_verdict_and_its_figure_come_first_and_the_table_is_folded(width, page):
    outline, verdict = Outline(page), json.loads((width / "summary.json").read_text())["verdict"]
    places = [
        page.index(text)
        for text in (
            f'class="verdict">{verdict[:20]}',
            "Figure 1.1: gap",
            "Main numbers",
            "Figure 1.2",
            "<details",
            "Repeat",
        )
    ]
    assert places == sorted(places)
    assert all("open" not in fold for fold in outline.folds)
    table, folded = page[page.index("Main numbers") :].split("<details", 1)
    stated = re.findall(r"<code>([^<]*)</code>", table)
    assert stated[:3] == ["gap_test.16", "gap_test.32", "exponent.gap_test"]
    assert len(stated) < len(re.findall(r"<code>", folded.split("</details>")[0]))


def test_every_figure_has_its_caption_and_an_alternative_text(width, page):
    captions = load("width").CAPTIONS
    for place, (name, picture) in enumerate(zip(captions, Outline(page).pictures, strict=True), 1):
        caption = f"<figcaption><strong>Figure 1.{place}: {name}.</strong> {captions[name]}</figcaption>"
        assert caption in html.unescape(page)
        assert captions[name] in picture["alt"]


def test_captions_are_optional_and_of_text(toy, monkeypatch):
    run()
    assert "<figcaption><strong>Figure 1.1: norms.</strong> </figcaption>" in report("here")
    monkeypatch.setattr("comparisons.toy.CAPTIONS", {"norms": "First row of a <matrix>."}, raising=False)
    page = report("here")
    assert "<strong>Figure 1.1: norms.</strong> First row of a &lt;matrix&gt;.</figcaption>" in page
    monkeypatch.setattr("comparisons.toy.CAPTIONS", ["First row."])
    assert main(["report", "here"]) == 2


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
    assert [len(run["cells"]) for run in json.loads(packed(page, "data"))["runs"]] == [6]
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
    assert page.count("<article") == 2
    assert page.index("--out first") < page.index("--out second")
    assert "--seeds 1" in page
    assert "--seeds 3" in page


def rows(text):
    """Rows of the tables in a text, each a list of the texts of its cells."""
    found = re.findall(r"<tr[^>]*>(.*?)</tr>", text, re.DOTALL)
    return [[re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in found]


def test_runs_of_one_comparison_are_compared(toy):
    run("--seeds", "2", out="first")
    run("--seeds", "3", "--scale", "2", out="second")
    run("--seeds", "3", "--scale", "2", out="third")
    values = [json.loads(Path(out, "summary.json").read_text())["numbers"]["norm.mean"] for out in ("first", "second")]
    page = report("first", "second")
    compared = page[page.index("2 runs side by side</h2>") :].split("</section>")[0]
    assert rows(compared)[:3] == [["setting", "first", "second"], ["seeds", "2", "3"], ["scale", "1", "2"]]
    texts = [f"{digits(each['value'])} ({' to '.join(map(digits, each['interval']))})" for each in values]
    assert ["norm.mean", *texts] in rows(compared)
    assert texts[0] != texts[1]
    assert 'href="#run-1">first</a>' in compared
    assert page.count("Compare it with the other run of toy") == 2
    equal = report("second", "third")
    assert "All settings are equal." in equal
    assert "side by side</h2>" not in report("first")


def test_the_main_comparison_comes_first_and_runs_of_one_stand_together(toy, width):
    run("--seeds", "1", out="first")
    run("--seeds", "2", out="second")
    page = report("first", str(width), "second")
    assert re.findall(r"<article id=.run-(\d)", page) == ["1", "2", "3"]
    titles = re.findall(r'<h2 id="run-\d-title">(\w+) <span class="place">([^<]*)<', page)
    assert titles == [("width", str(width)), ("toy", "first"), ("toy", "second")]
    short = page[page.index("The other questions in short</h2>") :]
    assert (
        page.index("run-1-title")
        < page.index("explorer-title")
        < page.index("answers-title")
        < page.index("run-2-title")
    )
    assert short.split("</section>")[0].count("Does the toy run?") == 2


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
    assert "width 13, seed 0: RuntimeError" in page
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


def test_a_directory_without_a_run_is_left_out(toy, capsys):
    run("--seeds", "1")
    assert main(["report", "here", "nowhere"]) == 1
    assert Path("page.html").read_text().count("<article") == 1
    assert "nowhere is left out" in capsys.readouterr().err


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
