"""Docstrings as Sphinx takes them: |x|, (n, *shape) and names_… are notation in them, and no markup."""

from __future__ import annotations

import re
from typing import Any

OURS = ("comparisons", "lab")
_CODE = re.compile(r"(``.+?``|`.+?`)", re.DOTALL)


def escape(app: object, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Escape what is notation in a docstring; examples and literal blocks stay as they are."""
    paragraphs = "\n".join(lines).split("\n\n")
    for place, text in enumerate(paragraphs):
        literal = place and paragraphs[place - 1].endswith("::")
        if not literal and not text.lstrip().startswith(">>>"):
            paragraphs[place] = _escaped(_each_alone(text))
    lines[:] = "\n\n".join(paragraphs).split("\n")


def _each_alone(text: str) -> str:
    """Attributes that share a description, as in ``low, high``, with one each: Sphinx takes one name at a time."""
    if not text.startswith("Attributes\n---"):
        return text
    return re.sub(r"(?m)^(\w+(?:, \w+)+)$((?:\n    .*)+)", _repeated, text)


def _repeated(found: re.Match[str]) -> str:
    return "\n".join(f"{name}{found[2]}" for name in found[1].split(", "))


def _escaped(text: str) -> str:
    """A paragraph with stars and bars escaped outside of code, and code that ends inside a word ended there."""
    parts = _CODE.split(text)
    for place, part in enumerate(parts):
        if place % 2:
            parts[place] += "\\ " if parts[place + 1][:1].isalnum() else ""
        else:
            parts[place] = re.sub(r"([*|]|_(?=…))", r"\\\1", part)
    return "".join(parts)


def skip(app: object, what: str, name: str, value: Any, skipped: bool, options: object) -> bool | None:
    """Leave out what other libraries add to our classes, such as the metadata routing of scikit-learn."""
    home = (getattr(value, "__module__", None) or OURS[0]).partition(".")[0]
    return True if what == "class" and home not in OURS else None
