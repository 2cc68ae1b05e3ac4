"""What the README shows is what happens."""

import doctest
import importlib
import os
import pkgutil
import re
import sys
from pathlib import Path

import matplotlib.image
import pytest

import comparisons
import lab
from comparisons.cli.command import main
from comparisons.report.glossary import GLOSSARY
from comparisons.runs.registry import names
from lab.sweeps import load

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLE, NEW_QUESTION = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_example_runs(tmp_path, capsys):
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        exec(compile(EXAMPLE, "README.md", "exec"), {})
    finally:
        os.chdir(before)
    printed = capsys.readouterr().out
    assert 0 < float(re.search(r"largest test gap: (.*)", printed)[1]) < 1
    assert float(re.search(r"differ by (.*)", printed)[1]) < 1e-9
    assert matplotlib.image.imread(tmp_path / "side_by_side.png").std() > 0.05  # something was drawn


def test_the_comparison_of_the_readme_runs_as_a_file(tmp_path, monkeypatch, capsys):
    name = re.search(r"Save this as `(\w+)\.py`", README)[1]
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


def test_the_comparison_of_the_readme_runs_among_the_others(tmp_path, monkeypatch, capsys):
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


def test_the_sessions_are_what_is_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = doctest.testfile(str(ROOT / "README.md"), module_relative=False, encoding="utf-8")
    assert found.attempted > 4
    assert not found.failed


def test_every_comparison_has_its_line():
    assert set(re.findall(r"\| `lazylab run (\w+)` \|", README)) == set(names())


def test_pictures_and_links_of_the_readme_are_there():
    places = re.findall(r"\]\(([^)]+)\)", README)
    local = [place for place in places if not place.startswith("http")]
    assert len(local) >= 2
    assert all((ROOT / place).is_file() for place in local)


MODULES = [module.name for module in pkgutil.walk_packages(lab.__path__, "lab.")]


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
