"""What holds for every comparison: its shape, its settings and cells, and that its numbers are all defined."""

import ast
import dataclasses
import inspect
import json
from pathlib import Path

import matplotlib.figure
import pytest

import comparisons
from comparisons import kit
from comparisons.kit.cells import from_json, to_json
from comparisons.kit.comparison import captions, headlines, matching
from comparisons.kit.keys import Quantity
from comparisons.kit.settings import as_json, choosing, help_of, with_values
from comparisons.kit.values import hints_of
from comparisons.runs.options import NAMES
from comparisons.runs.outputs import draw
from comparisons.runs.registry import find, names
from lab.figures.style import STYLES
from lab.sweeps.cells import canonical
from tests.figures import layout

PACKAGE = Path(comparisons.__file__).parent
MOST = 260  # lines of a file

each = pytest.mark.parametrize("name", names())


@each
def test_a_question_has_everything_that_the_protocol_names(name):
    module = find(name)
    assert module.question.endswith("?")
    assert inspect.getdoc(module).splitlines()[0].endswith("?")
    assert module.asked_by
    assert isinstance(module.version, int)
    assert list(module.PRESETS) == ["fast", "default", "full"]
    for method in ("cells", "cost", "measure", "conclude", "draw"):
        wanted = inspect.signature(getattr(kit.Comparison, method))
        assert len(inspect.signature(getattr(module, method)).parameters) == len(wanted.parameters) - 1


@each
def test_settings_are_checked_explained_and_no_run_option(name):
    Settings = find(name).Settings
    assert issubclass(Settings, kit.Settings)
    assert Settings.__dataclass_params__.frozen
    hints = hints_of(Settings)
    assert not set(hints) & set(NAMES)
    assert all(help_of(hint).endswith(".") for hint in hints.values())
    assert set(choosing(Settings)) <= set(hints)
    for preset in find(name).PRESETS.values():
        assert type(preset) is Settings
        assert with_values(Settings(), json.loads(json.dumps(as_json(preset))), "") == preset


@each
def test_cells_are_typed_different_and_survive_json(name):
    module = find(name)
    cells = list(module.cells(module.PRESETS["fast"]))
    assert all(isinstance(cell, kit.Cell) for cell in cells)
    texts = [canonical(to_json(cell)) for cell in cells]
    assert len(set(texts)) == len(cells) > 0
    assert [from_json(module.Cell, json.loads(text)) for text in texts] == cells
    costs = [module.cost(cell) for cell in cells]
    assert all(cost.work >= 1 and cost.bytes >= 0 for cost in costs)


def quantities(value):
    """Every quantity that a module declares, also inside dictionaries and tuples."""
    if isinstance(value, Quantity):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ()
    return [found for entry in inner for found in quantities(entry)]


def flaws_of(found, look):
    """What is unreadable in figures in one style: texts that overlap or leave the figure, widths that are broken."""
    figures = found.figures if look == "default" else draw(found, look)
    for figure in figures.values():
        figure.fit()
    return {name: flaws for name, figure in figures.items() if (flaws := layout.flaws(figure))}


@each
def test_every_number_is_defined_and_every_definition_is_used(name, small_run):
    found = small_run(name)
    assert found.counts["failed"] == found.counts["missing"] == 0
    keys = list(found.conclusion.numbers)
    assert len({str(key) for key in keys}) == len(keys)
    assert all(key.meaning.strip() for key in keys)
    declared = [quantity for value in vars(find(name)).values() for quantity in quantities(value)]
    assert declared
    used = {key.meaning for key in keys}
    assert [quantity.parts for quantity in declared if quantity.meaning not in used] == []
    begins = [quantity.parts for quantity in declared]
    assert all(any(key.parts[: len(parts)] == parts for parts in begins) for key in keys)
    assert found.verdict.endswith(".")
    assert all(isinstance(figure, matplotlib.figure.Figure) for figure in found.figures.values())
    assert list(captions(find(name))) == list(found.figures)
    assert [pattern for pattern in find(name).HEADLINES if not matching(pattern, keys)] == []
    assert 2 <= len(headlines(find(name), found.conclusion.numbers)) <= 10
    others, place = [look for look in STYLES if look != "default"], names().index(name)
    looks = ("default", *([] if place % 6 else [others[place // 6 % len(others)]]))  # fitting to a page takes time
    assert [flaws_of(found, look) for look in looks] == [{}] * len(looks)
    json.loads((found.directory / "summary.json").read_text())


def imported(path):
    """Full names of everything of this package that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_a_question_imports_the_kit_alone_and_is_imported_by_nothing():
    questions = {f"comparisons.{name}" for name in names()}
    for path in PACKAGE.rglob("*.py"):
        of_ours = [name for name in imported(path) if name.startswith("comparisons.")]
        assert not [name for name in of_ours if ".".join(name.split(".")[:2]) in questions], path
        if path.parent == PACKAGE and path.stem in names():
            assert all(name.startswith("comparisons.kit") for name in of_ours), path


def test_no_file_is_long():
    lines = {path.relative_to(PACKAGE): len(path.read_text("utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {str(path): count for path, count in lines.items() if count > MOST} == {}


def served():
    """The questions that each module of the kit serves, directly or through another module of the kit."""
    entry = ast.parse((PACKAGE / "kit" / "__init__.py").read_text(encoding="utf-8"))
    homes = {}
    for node in ast.walk(entry):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("comparisons.kit"):
            inner = node.module.removeprefix("comparisons.kit").lstrip(".")
            homes |= {alias.name: inner or alias.name for alias in node.names}
    questions = {name: ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8")) for name in names()}
    uses = {name: {homes[part] for part in names_of_kit(tree) if part in homes} for name, tree in questions.items()}
    modules = {path.stem for path in (PACKAGE / "kit").glob("*.py")} - {"__init__"}
    imports = {module: imported_from_kit(PACKAGE / "kit" / f"{module}.py") & modules for module in modules}
    found = {}
    for question, reached in uses.items():
        while more := {inner for module in reached for inner in imports[module]} - reached:
            reached |= more
        found[question] = reached
    return {module: {question for question, reached in found.items() if module in reached} for module in modules}


def names_of_kit(tree):
    """``x`` of every ``kit.x`` in a module, and names that it imports from a module of the kit."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "kit":
            yield node.attr
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("comparisons.kit"):
            yield from (alias.name for alias in node.names)


def imported_from_kit(path):
    """Modules of the kit that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("comparisons.kit"):
            inner = node.module.removeprefix("comparisons.kit").lstrip(".")
            found |= {inner} if inner else {alias.name for alias in node.names}
    return found


def test_every_module_of_the_kit_serves_two_questions():
    assert {module: sorted(questions) for module, questions in served().items() if len(questions) < 2} == {}


def test_cells_are_no_dictionaries_inside():
    for name in names():
        kinds = getattr(find(name).Cell, "__args__", (find(name).Cell,))
        assert all(dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen for kind in kinds)
