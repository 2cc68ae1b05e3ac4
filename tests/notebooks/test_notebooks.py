"""Notebooks run, their outputs belong to their sources, and they keep to the manner of all of them."""

import ast
import re
import subprocess
import sys

import nbformat
import pytest

from tests.notebooks.machinery import FOLDER, SCRIPTS, execute, read, solutions

LONGEST = 20  # lines of a helper
LARGEST = 1_000_000  # bytes of a notebook with its pictures
EXERCISES = 3

each = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)


def code(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")


def text(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def test_there_are_seven():
    assert [script.stem[:2] for script in SCRIPTS] == [f"0{k}" for k in range(1, 8)]


@each
def test_it_runs_in_the_fast_mode(script):
    assert execute(read(script), fast=True) < 60


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
def test_helpers_are_short_and_solutions_are_python(script):
    notebook = read(script)
    functions = [node for node in ast.walk(ast.parse(code(notebook))) if isinstance(node, ast.FunctionDef)]
    assert all(node.end_lineno - node.lineno < LONGEST for node in functions)
    for solution in solutions(notebook):
        ast.parse("\n".join(line.removeprefix("# ") for line in solution.splitlines()))


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
