"""Notebooks run, their outputs are those of their sources and of today's code, and they keep to one manner."""

import ast
import json
import re
import subprocess
import sys
from importlib.metadata import version

import nbformat
import pandas as pd
import pytest

from comparisons.kit.comparison import captions
from comparisons.runs.registry import find, names
from tests.notebooks.compare import differences
from tests.notebooks.machinery import FOLDER, KEPT, SCRIPTS, execute, printed, read, report, solutions, stream, tags
from tests.notebooks.small import SMALL

LONGEST = 20  # lines of a helper
LARGEST = 1_000_000  # bytes of a notebook with its pictures
EXERCISES = 3

each = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)


def code(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")


def text(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def outdated(script):
    return f"regenerate with: python -m tests.notebooks.machinery {script.name[:2]}"


def assigned(source):
    """The names that a cell assigns."""
    return {
        node.id
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def table(columns):
    """A table as the store makes it: a column of nulls alone is one of numbers."""
    made = pd.DataFrame(columns)
    return made.astype({name: float for name in made if made[name].isna().all()})


def kept_runs(script):
    """The comparisons that a notebook shows: name, version, and the table of its cells."""
    path = KEPT / f"{script.stem}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def kept_texts(script):
    """What the code cells of the kept notebook show, without the bullets of lists."""
    kept = nbformat.read(script.with_suffix(".ipynb"), 4)
    return [printed(cell).replace("\n* ", " ") for cell in kept.cells if cell.cell_type == "code"]


def outdated_verdicts(runs, texts):
    """The comparisons whose verdict, made again from its table, stands in none of the texts."""
    found = []
    for run in runs:
        comparison = find(run["comparison"])
        verdict = comparison.conclude(table(run["table"])).verdict
        if run["version"] != comparison.version or not any(verdict in each for each in texts):
            found.append(run["comparison"])
    return found


def test_there_are_eight():
    assert [script.stem[:2] for script in SCRIPTS] == [f"0{k}" for k in range(1, 9)]
    assert set(SMALL) == {script.stem for script in SCRIPTS}


@each
def test_it_runs_in_the_fast_mode_with_its_solutions_and_prints_what_is_kept(script):
    notebook = read(script, fast=True)
    sources = solutions(notebook)
    seconds, solved = execute(notebook, more=sources)
    assert seconds < 60
    assert [cell.source for cell in solved] == sources
    assert all(cell.execution_count and stream([cell], "stdout") for cell in solved)
    assert stream(notebook.cells, "stderr") == ""
    for cell in solved:
        assert ("The lab warns" in cell.source) == ("Warning" in stream([cell], "stderr"))
    if has_pinned_versions():  # others draw and round other numbers
        kept = (KEPT / f"{script.stem}.txt").read_text(encoding="utf-8")
        assert differences(kept, report(notebook)) == [], outdated(script)


def has_pinned_versions():
    """Whether numbers come from the versions that constraints.txt pins, with which outputs are kept."""
    pins = dict(re.findall(r"^([\w-]+)==(\S+)$", (FOLDER.parent / "constraints.txt").read_text(), re.MULTILINE))
    return all(version(name).split("+")[0] == pins[name] for name in ("torch", "numpy", "scipy", "scikit-learn"))


@each
def test_kept_verdicts_are_those_of_the_code(script):
    assert ("comparisons.run(" in code(read(script))) == bool(kept_runs(script))
    assert outdated_verdicts(kept_runs(script), kept_texts(script)) == [], outdated(script)


def test_the_reviewers_story_is_kept_with_its_captions_and_links_every_other_question():
    (script,) = (script for script in SCRIPTS if script.stem.startswith("06"))
    asked = re.findall(r'^answer\("(\w+)", "(\w+)"', code(read(script)), re.MULTILINE)
    assert [run["comparison"] for run in kept_runs(script)] == [name for name, _ in asked] == list(dict(asked))
    assert {name for name, _ in asked} == set(SMALL[script.stem]["SETTINGS"])
    assert len(asked) >= 5
    shown = "".join(kept_texts(script))
    for name, figure in asked:
        assert f"*{captions(find(name))[figure]}*" in shown, outdated(script)
    for name in set(names()) - dict(asked).keys():
        assert f"lazylab run {name}" in shown, outdated(script)
        assert find(name).question in shown, outdated(script)


def test_another_wording_of_a_verdict_is_noticed(monkeypatch):
    runs = next(runs for runs in map(kept_runs, SCRIPTS) if runs)
    comparison = find(runs[0]["comparison"])
    texts = [comparison.conclude(table(runs[0]["table"])).verdict]
    assert outdated_verdicts(runs[:1], texts) == []
    monkeypatch.setattr(comparison, "version", comparison.version + 1)
    assert outdated_verdicts(runs[:1], texts) == [runs[0]["comparison"]]
    assert outdated_verdicts(runs[:1], [texts[0].replace("width", "breadth")]) == [runs[0]["comparison"]]


@each
def test_fast_mode_sets_sizes_that_the_notebook_has(script):
    (cell,) = (cell for cell in read(script).cells if "parameters" in tags(cell))
    assert set(SMALL[script.stem]) <= assigned(cell.source)


@pytest.mark.parametrize(
    ("kept", "found", "count"),
    [
        ("slope −0.59 (−0.81 to −0.38)", "slope −0.60 (−0.80  to\n−0.38)", 0),
        ("slope −0.59", "slope 0.59", 1),
        ("falls by 12 %", "rises by 12 %", 1),
        ("gap 0.24", "gap 0.30", 1),
        ("65,536 weights", "65,536 weights", 0),
        ("differ by 1e-14", "differ by 3e-15", 0),
        ("differ by 1e-04", "differ by 3e-04", 1),
        ("nothing", "nothing more", 1),
        ("one sentence.", "", 2),
    ],
)
def test_words_are_equal_and_numbers_nearly_so(kept, found, count):
    assert len(differences(kept, found)) == count


@each
def test_the_notebook_is_the_script_with_its_outputs(script):
    source, kept = read(script), nbformat.read(script.with_suffix(".ipynb"), 4)
    nbformat.validate(kept)
    assert [(cell.cell_type, cell.source) for cell in kept.cells] == [(c.cell_type, c.source) for c in source.cells]
    outputs = [output for cell in kept.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2
    assert script.with_suffix(".ipynb").stat().st_size < LARGEST


@each
def test_it_opens_with_its_aims_and_ends_with_exercises(script):
    words = text(read(script))
    assert "At the end you can" in words[:400]
    assert words.count("<details>") == words.count("</details>") == EXERCISES
    assert len(solutions(read(script))) == EXERCISES


@each
def test_every_picture_follows_a_prediction(script):
    words = ""
    for cell in nbformat.read(script.with_suffix(".ipynb"), 4).cells:
        words += cell.source if cell.cell_type == "markdown" else ""
        if any("image/" in kind for output in cell.get("outputs", []) for kind in output.get("data", {})):
            assert "**Your prediction:**" in words, cell.source
            words = ""


@each
def test_helpers_are_short(script):
    functions = [node for node in ast.walk(ast.parse(code(read(script)))) if isinstance(node, ast.FunctionDef)]
    assert all(node.end_lineno - node.lineno < LONGEST for node in functions)


@each
def test_nothing_of_a_machine_is_kept(script):
    kept = script.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert not re.search(r"/(home|root|tmp|work|Users)/|site-packages", kept)


def test_a_slider_moves_the_picture(tmp_path):
    program = """
from lab.figures import notebook
drawn = []
box = notebook.slider(lambda value, ax: drawn.append(value) or ax.plot([0, value]), "x", [1.0, 2.0, 3.0], 1.0)
control, image = box.children
before = image.value
control.value = 3.0
assert drawn == [1.0, 3.0] and image.value != before and image.value[:4] == b"\\x89PNG"
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)


def test_pictures_of_the_readme_stay_small():
    assert all(path.stat().st_size < 200_000 for path in (FOLDER / "pictures").iterdir())
