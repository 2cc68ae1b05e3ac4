"""The book: every notebook and comparison has its page, and recipes do what they say. `.ci/slow book` builds it."""

import doctest
import os
import re
import shlex
import sys

import numpy as np
import pytest

import lab
from comparisons.cli.command import main, understand
from comparisons.kit.comparison import captions
from comparisons.report.glossary import GLOSSARY
from comparisons.runs.registry import find, names
from lab.sweeps.cells import plain
from tests.notebooks.machinery import FOLDER, SCRIPTS
from tests.notebooks.test_notebooks import kept_runs, table

RECIPES = sorted((FOLDER / "recipes").glob("[!i]*.md"))
ROOT = FOLDER.parent
each_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)


@pytest.fixture(scope="module")
def hook():
    """The Sphinx extension, which needs no Sphinx to make pages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER / "_extensions"))
        import book

        yield book
    for name in [name for name in sys.modules if name.partition(".")[0] == "book"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def pages(hook):
    return hook.pages(FOLDER)


def contents(page):
    """The documents that a page lists in its tables of contents."""
    trees = re.findall(r"```\{toctree\}\n(.*?)```", page, re.DOTALL)
    return [line for tree in trees for line in tree.splitlines() if line and line[0] != ":"]


def test_every_notebook_and_page_is_in_the_contents(pages):
    listed = contents((FOLDER / "index.md").read_text(encoding="utf-8"))
    assert [name for name in listed if name[0].isdigit()] == [script.stem for script in SCRIPTS]
    inside = {f"pages/{name.partition('.')[0]}" for name in pages if "/" not in name}
    inside |= {"pages/comparisons/index", "pages/api/index", "recipes/index"}
    assert inside == set(listed) - {script.stem for script in SCRIPTS}
    assert sorted(contents((FOLDER / "recipes" / "index.md").read_text(encoding="utf-8"))) == [r.stem for r in RECIPES]
    assert contents(pages["comparisons/index.md"]) == names()


@pytest.mark.parametrize("name", names())
def test_the_page_of_a_comparison_has_all_that_its_module_says(name, pages):
    page, comparison = pages[f"comparisons/{name}.md"], find(name)
    assert page.startswith(f"# {name}\n\n**{comparison.question}**")
    assert f"lazylab run {name}\n" in page
    assert all(f"\n`{figure}`\n: " in page for figure in captions(comparison))
    usual = comparison.PRESETS["default"]
    assert all(f"\n| `{field}`" in page for field in plain(vars(usual)))


@pytest.mark.parametrize("run", [run for script in SCRIPTS for run in kept_runs(script)], ids=lambda r: r["comparison"])
def test_every_key_of_a_run_is_defined(run, hook):
    comparison = find(run["comparison"])
    defined = hook.comparison_pages.definitions(comparison)
    keys = comparison.conclude(table(run["table"])).numbers
    assert {key.meaning for key in keys} <= set(defined.values())
    assert all(any(f"{key}.".startswith(f"{name}.") for name in defined) for key in keys)


def test_kept_pictures_are_on_their_pages(pages):
    kept = [name for name in names() if f"comparisons/{name}.png" in pages]
    assert len(kept) >= 5
    for name in kept:
        assert pages[f"comparisons/{name}.png"].startswith(b"\x89PNG")
        assert f"![{name}]({name}.png)" in pages[f"comparisons/{name}.md"]


def test_the_glossary_is_the_one_source(pages):
    assert all(f"{term}\n  {meaning}\n" in pages["glossary.md"] for term, meaning in GLOSSARY.items())


def test_every_public_name_has_its_place_in_the_reference(pages):
    reference = "".join(text for name, text in pages.items() if name.startswith("api/"))
    for name in (*lab.__all__, "watch"):
        kind = "automodule" if f"automodule:: lab.{name}\n" in reference else "auto(class|function)"
        assert re.search(rf"^\.\. {kind}:: lab\.{name}$", reference, re.MULTILINE), name


def test_links_lead_to_pages(pages):
    written = {f"pages/{name}": text for name, text in pages.items() if name.endswith(".md")}
    for name, text in written.items():
        for place in re.findall(r"\]\((/[^)#]+)", text):
            path = place.lstrip("/")
            assert path in written or path.removeprefix("pages/") in pages or (FOLDER / path).is_file(), (name, place)


@pytest.mark.parametrize(
    ("link", "leads"),
    [
        ("[x](../README.md#glossary)", "[x](/pages/glossary.md)"),
        ("[x](../README.md#references)", "[x](/pages/overview.md#references)"),
        ("[x](../lab/README.md)", "[x](/pages/library.md)"),
        ("[x](pictures/width.png)", "[x](/pictures/width.png)"),
        ("[x](#here)", "[x](#here)"),
        ("[x](https://a.org/README.md)", "[x](https://a.org/README.md)"),
    ],
)
def test_links_of_the_repository_become_links_of_the_book(link, leads, hook):
    assert hook.project_pages.relinked(link, FOLDER, ROOT) == leads


def test_notation_in_docstrings_is_no_markup(hook):
    lines = ["Loss |r| of (n, *shape), ``a``², `b|c`.", "", "Attributes", "----------", "low, high", "    Ends.", ""]
    lines += [">>> x | y", "", "As::", "", "    |z|"]
    hook.docstrings.escape(None, "class", "x", None, None, lines)
    assert lines[0] == r"Loss \|r\| of (n, \*shape), ``a``\ ², `b|c`."
    assert lines[4:8] == ["low", "    Ends.", "high", "    Ends."]
    assert lines[9:] == [">>> x | y", "", "As::", "", "    |z|"]


def test_there_are_ten_recipes():
    assert len(RECIPES) == 10


@each_recipe
def test_a_recipe_prints_what_it_shows(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = doctest.testfile(str(recipe), module_relative=False, encoding="utf-8")
    text = recipe.read_text(encoding="utf-8")
    assert not found.failed
    assert found.attempted == text.count("\n>>> ")
    assert found.attempted or "```sh" in text or "{include}" in text
    assert "```python" not in text


def commands(text):
    """The lines of a page's shell scripts that run the lab, as words."""
    scripts = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for script in scripts for line in script.splitlines() if line.startswith("lazylab ")]
    return [shlex.split(os.path.expandvars(line))[1:] for line in lines]


@each_recipe
def test_runs_of_a_recipe_are_foreseen_and_its_other_commands_understood(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "8")
    np.savez("series.npz", X=np.arange(96.0).reshape(8, 6, 2), y=["up", "down"] * 4)
    for words in commands(recipe.read_text(encoding="utf-8")):
        if words[0] == "run":
            assert main([*words, *([] if "--dry-run" in words else ["--dry-run"])]) == 0
        else:
            assert callable(understand(words))
