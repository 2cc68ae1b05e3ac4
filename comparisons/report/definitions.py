"""What the numbers of a comparison mean, read from where it is written: the docstring of its module.

There a section "Numbers" lists keys, several of them separated by commas, each followed by an indented text. A part in
angle brackets stands for anything (``exponent.<quantity>``), parts joined by ``|`` for one of them. What is said in
parentheses in the heading holds for all of them, and behind a key it is a remark for readers. A key that nothing fits
is taken for a further arm of the key without its last part.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import ModuleType

_HEADING = re.compile(r"^(\S.*)\n-{3,}$", re.MULTILINE)
_MARKS = (re.compile(r"`{1,2}([^`]+)`{1,2}"), re.compile(r"(?<![\w)*])\*{1,2}(?=[^\s*])([^*]*[^\s*])\*{1,2}(?![\w*])"))
_PART = re.compile(r"<[^>]*>|\b\w+(?:\|\w+)+\b")


@dataclass(frozen=True)
class Definition:
    """Meaning of one or more keys, and the patterns that these match, as regular expressions."""

    patterns: tuple[str, ...]
    text: str

    def fit(self, key: str) -> int:
        """Length of the longest pattern that matches the whole key without its free parts; −1 if none does."""
        fitting = [pattern for pattern in self.patterns if re.fullmatch(pattern, key)]
        return max((len(pattern.replace(_ANYTHING, "")) for pattern in fitting), default=-1)


_ANYTHING = "(.+)"


def background(module: ModuleType | object) -> list[str]:
    """Paragraphs of a module's docstring between its first line, the question, and its first section."""
    text = _docstring(module)
    heading = _HEADING.search(text)
    before = text[: heading.start()] if heading else text
    paragraphs = re.split(r"\n[ ]*\n", before.strip("\n"))[1:]
    return [_unwrapped(paragraph) for paragraph in paragraphs if paragraph.strip()]


def definitions(module: ModuleType | object) -> list[Definition]:
    """The section "Numbers" of a module's docstring, in its order."""
    return list(_entries(_numbers(module)[1]))


def remark(module: ModuleType | object) -> str:
    """What the heading of the section "Numbers" says in parentheses, as a sentence; empty if it says nothing."""
    said = _numbers(module)[0].removeprefix("Numbers").strip(" ()")
    return f"{said[0].upper()}{said[1:]}." if said else ""


def _numbers(module: ModuleType | object) -> tuple[str, str]:
    """Heading and text of the section "Numbers"; both are empty if there is none."""
    text = _docstring(module)
    headings = list(_HEADING.finditer(text))
    for heading, following in zip(headings, [*headings[1:], None], strict=False):
        if re.match(r"Numbers\b", heading[1]):
            return heading[1], text[heading.end() : following.start() if following else len(text)]
    return "", ""


def meaning(key: str, known: Sequence[Definition]) -> Definition | None:
    """The definition that fits a key most closely."""
    best = max(known, key=lambda definition: definition.fit(key), default=None)
    if best is not None and best.fit(key) >= 0:
        return best
    shorter, dot, _ = key.rpartition(".")
    return meaning(shorter, known) if dot else None


def _docstring(module: ModuleType | object) -> str:
    return inspect.cleandoc(getattr(module, "__doc__", None) or "")


def _unwrapped(paragraph: str) -> str:
    """One line of a paragraph of text; a formula, which is indented, keeps its lines."""
    return paragraph if paragraph.startswith("    ") else _spoken(" ".join(paragraph.split()))


def _spoken(text: str) -> str:
    """Text without the marks of code and of emphasis."""
    for mark in _MARKS:
        text = mark.sub(r"\1", text)
    return text


def _entries(section: str) -> Iterable[Definition]:
    for entry in re.finditer(r"^(?P<keys>\S.*(?:,\n\S.*)*)\n(?P<text>(?:[ ]+.*(?:\n|$)|\n)+)", section, re.MULTILINE):
        keys = [key.strip().strip("`") for key in re.sub(r"\([^)]*\)", "", entry["keys"]).split(",")]
        yield Definition(tuple(_pattern(key) for key in keys if key), _spoken(" ".join(entry["text"].split())))


def _pattern(key: str) -> str:
    """A key with its free and alternative parts as a regular expression."""
    pattern, end = "", 0
    for part in _PART.finditer(key):
        pattern += re.escape(key[end : part.start()])
        pattern += _ANYTHING if part[0].startswith("<") else f"(?:{part[0]})"
        end = part.end()
    return pattern + re.escape(key[end:])
