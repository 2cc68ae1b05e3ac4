"""What the README and the pages behind it show is what happens."""

import doctest
import importlib
import os
import pkgutil
import re
import shlex
import sys
from pathlib import Path

import matplotlib.image
import pytest

import comparisons
import lab
from comparisons.cli.command import main, understand
from comparisons.cli.commands import COMMANDS
from comparisons.report.glossary import GLOSSARY
from comparisons.runs.registry import find, names
from lab.sweeps import load

ROOT = Path(__file__).parent.parent
PAGES = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "comparisons/README.md", "lab/README.md", "tests/benchmarks/README.md")
}
README = PAGES["README.md"]
[EXAMPLE] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
[PRINTED] = re.findall(r"```text\n(.*?)```", README, re.DOTALL)
[NEW_QUESTION] = re.findall(r"```python\n(.*?)```", PAGES["comparisons/README.md"], re.DOTALL)


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150
    assert README.count("![") == 3


def test_the_example_prints_what_the_readme_says(tmp_path, capsys):
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        exec(compile(EXAMPLE, "README.md", "exec"), {})
    finally:
        os.chdir(before)
    assert len([line for line in EXAMPLE.splitlines() if line]) == 10
    (*said, rounding), (*shown, also_rounding) = (text.splitlines() for text in (capsys.readouterr().out, PRINTED))
    assert said == shown
    words, differences = zip(*(line.split(" by ") for line in (rounding, also_rounding)), strict=True)
    assert len(set(words)) == 1
    assert all(float(difference) < 1e-12 for difference in differences)
    assert matplotlib.image.imread(tmp_path / "side_by_side.png").std() > 0.05  # something was drawn


def test_the_comparison_of_the_page_runs_as_a_file(tmp_path, monkeypatch, capsys):
    name = re.search(r"Save this as `(\w+)\.py`", PAGES["comparisons/README.md"])[1]
    (tmp_path / f"{name}.py").write_text(NEW_QUESTION, encoding="utf-8")
    assert len(NEW_QUESTION.splitlines()) <= 40
    monkeypatch.chdir(tmp_path)
    small = ["--widths", "8", "16", "--seeds", "3", "--samples", "8", "--activations", "relu", "erf", "tanh"]
    assert main(["run", f"{name}.py", "--executor", "serial", "--out", "here", *small]) == 0
    assert "gap_test.tanh" in capsys.readouterr().out
    assert len(load("here").table) == 18
    assert matplotlib.image.imread(tmp_path / "here" / "figures" / "gap.png").std() > 0.05
    assert main(["run", f"{name}.py", "--activations", "relu", "relu", "--out", "there"]) == 2
    assert main(["report", "here"]) == 0


def test_the_comparison_of_the_page_runs_among_the_others(tmp_path, monkeypatch, capsys):
    (tmp_path / "smooth.py").write_text(NEW_QUESTION, encoding="utf-8")
    monkeypatch.setattr(comparisons, "__path__", [*comparisons.__path__, str(tmp_path)])
    try:
        assert main(["list"]) == 0
    finally:
        sys.modules.pop("comparisons.smooth", None)
    assert "smooth\n  Is the gap smaller" in capsys.readouterr().out


def test_the_glossary_is_that_of_the_page():
    section = README.split("## Glossary")[1].split("\n## ")[0]
    entries = [" ".join(entry.split()) for entry in re.split(r"^\* ", section, flags=re.MULTILINE)[1:]]
    assert entries == [f"**{term}**: {meaning}" for term, meaning in GLOSSARY.items()]


@pytest.mark.parametrize("name", PAGES)
def test_sessions_are_what_is_printed(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = doctest.testfile(str(ROOT / name), module_relative=False, encoding="utf-8")
    assert not found.failed
    assert found.attempted == PAGES[name].count("\n>>> ")


def test_there_are_sessions():
    assert [name for name, page in PAGES.items() if "```pycon" in page] == ["comparisons/README.md", "lab/README.md"]


def test_every_comparison_has_its_line():
    assert sorted(re.findall(r"\| `lazylab run (\w+)` \|", README)) == names()
    assert all(find(name).HEADLINES for name in names())  # the numbers of the line


def test_every_benchmark_has_its_line():
    scripts = {path.stem for path in (ROOT / "tests" / "benchmarks").glob("[a-z]*.py")}
    page = PAGES["tests/benchmarks/README.md"]
    assert scripts == set(re.findall(r"`python -m tests\.benchmarks\.(\w+)", page))


def commands(page):
    """What a page has after `lazylab`: in backticks, or in lines of indented code up to two blanks."""
    code = re.findall(r"`lazylab ([^`]+)`", page) + re.findall(r"^    (?:.*&& )?lazylab (.+?)(?:   |$)", page, re.M)
    return [" ".join(each.split()) for each in code]


def test_commands_are_understood(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smooth.py").write_text(NEW_QUESTION, encoding="utf-8")
    (tmp_path / "series.csv").write_text("label,x\n" + "0,1\n1,2\n" * 4, encoding="utf-8")
    names_for = {"NAME": "width", "DIR…": "runs/width", "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT": "1/8"}
    found = [each for page in PAGES.values() for each in commands(page)]
    assert len(found) > 25
    for each in found:
        for placeholder, value in names_for.items():
            each = each.replace(placeholder, value)
        if " " not in each:
            assert each in COMMANDS  # the name alone, in a sentence
        elif "--help" not in each:
            assert callable(understand(shlex.split(each))), each


def anchors(page):
    """Where links into a page lead: its headings as GitHub and others name them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_pictures_and_links_are_there(name):
    places = [place.partition("#") for place in re.findall(r"\]\(([^)]+)\)", PAGES[name]) if "://" not in place]
    assert places
    for place, _, anchor in places:
        target = (ROOT / name).parent / place if place else ROOT / name
        assert target.is_file(), place
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), (place, anchor)


def test_every_page_is_linked_from_the_readme():
    assert all(f"]({name})" in README for name in PAGES if name != "README.md")


def test_the_picture_is_small():
    assert all(picture.stat().st_size < 200_000 for picture in (ROOT / "notebooks" / "pictures").glob("*.png"))


ADAPTERS = {"lab.watch.lightning", "lab.watch.transformers"}  # need these libraries; `.ci/slow adapters` tests them
MODULES = [module.name for module in pkgutil.walk_packages(lab.__path__, "lab.") if module.name not in ADAPTERS]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    results = doctest.testmod(
        importlib.import_module(name), globs=None, extraglobs={"torch": importlib.import_module("torch")}
    )
    assert results.failed == 0


def test_there_are_docstring_examples():
    finder = doctest.DocTestFinder()
    assert sum(len(t.examples) for name in MODULES for t in finder.find(importlib.import_module(name))) > 5


def test_every_public_name_is_there():
    for name in lab.__all__:
        assert getattr(lab, name) is not None
    assert set(lab.__all__) <= set(dir(lab))
    with pytest.raises(AttributeError):
        _ = lab.nonsense
