"""The reference: a page for each public name of the library and each public module, which autodoc fills."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import lab
from comparisons import kit

FOLDER = "api"
#: Modules that packages do not name among what they offer; the adapters' libraries need not be here.
MORE = {
    "lab.watch": ("lightning", "transformers", "tensorboard"),
    "comparisons.kit": tuple(module.name for module in pkgutil.iter_modules(kit.__path__)),
}
_INTRODUCTION = """Made of the docstrings, whose examples the tests run. Begin with the names of ``lab``. The other
packages are for those who look for one quantity, figure or kernel; ``comparisons.kit`` is for new comparisons."""


def pages() -> dict[str, str | bytes]:
    """The pages of the reference, in reStructuredText as docstrings are."""
    packages = [f"lab.{name}" for name in lab.__all__ if inspect.ismodule(getattr(lab, name))]
    packages += ["lab.watch", "comparisons", "comparisons.kit"]
    made = {name: _title(name) + _directive(name, value) for name, value in _top().items()}
    made |= {name: _module(name) for package in packages for name in _walk(package)}
    made["lab"] = _title("lab") + ".. automodule:: lab\n\n" + _listed(list(_top()))
    made["index"] = _title("Reference") + f"{_INTRODUCTION}\n\n" + _listed(["lab", *packages])
    return {f"{FOLDER}/{name}.rst": text for name, text in made.items()}


def _top() -> dict[str, Any]:
    """Classes and functions of ``lab`` itself, by the names under which they are documented."""
    found = {f"lab.{name}": getattr(lab, name) for name in lab.__all__}
    return {name: value for name, value in found.items() if not inspect.ismodule(value)}


def _walk(name: str) -> Iterator[str]:
    """A module and the public modules inside it."""
    yield name
    for inner in _inside(name):
        yield from _walk(inner)


def _inside(name: str) -> list[str]:
    """The modules that a package offers; none of a module that must not be imported."""
    if name.startswith("lab.watch."):
        return []
    module = importlib.import_module(name)
    offered = [each for each in getattr(module, "__all__", []) if inspect.ismodule(getattr(module, each))]
    return [f"{name}.{each}" for each in (*offered, *MORE.get(name, ()))]


def _module(name: str) -> str:
    """The page of a module with all that is public in it, or of a package with what it offers."""
    heading = f"{_title(name)}.. automodule:: {name}\n"
    if name.startswith("lab.watch."):
        return f"{heading}   :members:\n"
    module = importlib.import_module(name)
    package, inside = hasattr(module, "__path__"), _inside(name)
    names = getattr(module, "__all__", () if package else vars(module))
    values = {each: getattr(module, each) for each in names if f"{name}.{each}" not in inside}
    if package:
        own = [_directive(f"{name}.{each}", value) for each, value in values.items() if not _page_of(value)]
        return "\n".join([heading, _elsewhere(values.values()), *own, _listed(inside)])
    there = [each for each, value in values.items() if _page_of(value) and value.__module__ == name]
    left_out = f"   :exclude-members: {', '.join(there)}\n" if there else ""
    return f"{heading}   :members:\n{left_out}\n" + _elsewhere(values[each] for each in there)


def _page_of(value: object) -> str:
    """The page of an object that has one of its own, else nothing."""
    return next((name for name, each in _top().items() if each is value), "")


def _elsewhere(values: Iterable[object]) -> str:
    """Links to those objects that have pages of their own."""
    links = [f":py:obj:`{page}`" for value in values if (page := _page_of(value))]
    return f"On pages of their own: {', '.join(links)}.\n" if links else ""


def _directive(name: str, value: object) -> str:
    """What makes autodoc document a class or a function under this name; constants stand where they are used."""
    if inspect.isclass(value):
        return f".. autoclass:: {name}\n   :members:\n"
    return f".. autofunction:: {name}\n" if inspect.isroutine(value) else ""


def _title(name: str) -> str:
    return f"{name}\n{'=' * len(name)}\n\n"


def _listed(names: Sequence[str]) -> str:
    """Names with the first lines of their docstrings, and their pages in the contents."""
    lines = "".join(f"   {name}\n" for name in names)
    table = f".. py:currentmodule:: None\n\n.. autosummary::\n   :nosignatures:\n\n{lines}\n"
    return f"{table}.. toctree::\n   :hidden:\n\n{lines}" if names else ""
