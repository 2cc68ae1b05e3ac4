"""The house: who may import whom, how long functions are, and that everything public says what it is."""

import ast
import statistics
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
FILES = sorted(path for package in ("lab", "comparisons") for path in (ROOT / package).rglob("*.py"))
LAB = [path for path in FILES if path.is_relative_to(ROOT / "lab") and path != ROOT / "lab" / "__init__.py"]
LONGEST, SHORT = 80, 10  # lines without docstring; the second is what half of the functions keep to

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
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
            yield node.lineno  # also `from lab import tasks`: it asks the root for a name


def relative_to_root(tree, depth):
    """Lines that reach the root by dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is None and node.level > depth:
            yield node.lineno


@pytest.mark.parametrize("path", LAB, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_inside_lab_imports_the_root(path):
    tree, depth = parse(path), len(path.relative_to(ROOT / "lab").parts) - 1
    assert not [*root_imports(tree), *relative_to_root(tree, depth)]


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


@each_file
def test_no_function_is_long(path):
    long = {node.name: lines(node) for node in functions(parse(path)) if lines(node) > LONGEST}
    assert not long


def test_half_of_the_functions_are_short():
    sizes = [lines(node) for path in FILES for node in functions(parse(path))]
    assert statistics.median(sizes) <= SHORT


def test_lines_are_counted_without_the_docstring():
    (function,) = functions(ast.parse('def f():\n    """One.\n\n    Two.\n    """\n    x = 1\n    return x'))
    assert lines(function) == 3


def public(tree):
    """Public classes, functions and methods as (dotted name, node)."""
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, *Function.__args__)) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                yield from ((f"{node.name}.{name}", part) for name, part in public(node))


def constructors(tree):
    """The `__init__` of each public class: no docstring asked, annotations are."""
    for name, node in public(tree):
        if isinstance(node, ast.ClassDef):
            yield from ((f"{name}.__init__", part) for part in functions(node) if part.name == "__init__")


def unannotated(function, method):
    """Names of the arguments without annotation, and "return" where that is missing."""
    a = function.args
    arguments = [*a.posonlyargs, *a.args, *a.kwonlyargs, *(each for each in (a.vararg, a.kwarg) if each)]
    static = any(isinstance(each, ast.Name) and each.id == "staticmethod" for each in function.decorator_list)
    arguments = arguments[1:] if method and not static else arguments
    return [each.arg for each in arguments if each.annotation is None] + ["return"] * (function.returns is None)


@each_file
def test_everything_public_has_a_docstring(path):
    tree = parse(path)
    assert not [name for name, node in public(tree) if not ast.get_docstring(node)]
    assert ast.get_docstring(tree) or not tree.body


@each_file
def test_every_public_signature_is_annotated(path):
    tree = parse(path)
    signatures = [(name, node) for name, node in (*public(tree), *constructors(tree)) if isinstance(node, Function)]
    missing = {name: unannotated(node, method="." in name) for name, node in signatures}
    assert not {name: names for name, names in missing.items() if names}


def test_what_is_missing_is_found():
    tree = ast.parse(
        "class A:\n    def __init__(self, x): ...\n    def f(self, y: int, *z): ...\n    def _g(self, w): ..."
    )
    assert [name for name, node in public(tree) if not ast.get_docstring(node)] == ["A", "A.f"]
    (constructor,) = constructors(tree)
    assert unannotated(constructor[1], method=True) == ["x", "return"]
    assert unannotated(dict(public(tree))["A.f"], method=True) == ["z", "return"]
