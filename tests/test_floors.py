"""The house: which file may import which, and how long functions are. Docstrings and annotations are ruff's."""

import ast
import statistics
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
FILES = sorted(path for package in ("lab", "comparisons") for path in (ROOT / package).rglob("*.py"))
LAB = [path for path in FILES if path.is_relative_to(ROOT / "lab") and path != ROOT / "lab" / "__init__.py"]
LONGEST, SHORT = 35, 10  # lines without docstring; half of the functions have no more than the second

Function = ast.FunctionDef | ast.AsyncFunctionDef


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def test_every_file_keeps_to_its_floor(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert status == 0, capsys.readouterr().out


def root_imports(tree):
    """Lines that import the root package `lab` itself and not one of its modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(alias.name == "lab" for alias in node.names):
            yield node.lineno
        if isinstance(node, ast.ImportFrom) and node.module == "lab" and not node.level:
            yield node.lineno  # also `from lab import tasks`, a name of the root


def relative_to_root(tree, depth):
    """Lines that reach the root by dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is None and node.level > depth:
            yield node.lineno


def test_nothing_inside_lab_imports_the_root():
    found = {}
    for path in LAB:
        tree, depth = parse(path), len(path.relative_to(ROOT / "lab").parts) - 1
        found[str(path)] = [*root_imports(tree), *relative_to_root(tree, depth)]
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import lab", 1),
        ("import lab as l", 1),
        ("from lab import ElmanRNN", 1),
        ("from lab import tasks", 1),
        ("def f():\n    import lab", 1),
        ("import lab.errors", 0),
        ("from lab.errors import LabError", 0),
        ("import laboratory", 0),
    ],
)
def test_root_imports_are_found(code, found):
    assert len(list(root_imports(ast.parse(code)))) == found


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def lines(function):
    """Lines of a function, decorators and docstring left out."""
    whole = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is None:
        return whole
    return whole - (function.body[0].end_lineno - function.body[0].lineno + 1)


def test_no_function_is_long():
    sizes = {f"{path.name}:{node.name}": lines(node) for path in FILES for node in functions(parse(path))}
    assert {name: size for name, size in sizes.items() if size > LONGEST} == {}


def test_half_of_the_functions_are_short():
    sizes = [lines(node) for path in FILES for node in functions(parse(path))]
    assert statistics.median(sizes) <= SHORT


def test_lines_are_counted_without_the_docstring():
    (function,) = functions(ast.parse('def f():\n    """One.\n\n    Two.\n    """\n    x = 1\n    return x'))
    assert lines(function) == 3
