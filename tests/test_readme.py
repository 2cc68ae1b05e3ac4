"""What the README shows is what happens."""

import doctest
import importlib
import os
import pkgutil
import re
from pathlib import Path

import matplotlib.image
import pytest

import lab

ROOT = Path(__file__).parent.parent


def test_the_example_runs(tmp_path, capsys):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        exec(compile(block, "README.md", "exec"), {})
    finally:
        os.chdir(before)
    printed = capsys.readouterr().out
    assert 0 < float(re.search(r"largest test gap: (.*)", printed)[1]) < 1
    assert float(re.search(r"differ by (.*)", printed)[1]) < 1e-9
    assert matplotlib.image.imread(tmp_path / "side_by_side.png").std() > 0.05  # something was drawn


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
