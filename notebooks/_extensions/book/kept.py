"""What the kept notebooks show of a comparison: the outputs of the cell that ran it."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Kept:
    """A picture of a comparison, and the text beside it, in one cell of a notebook.

    Attributes
    ----------
    notebook
        Its file name.
    title
        Its first heading.
    picture
        Png.
    text
        Markdown: caption and verdict.
    """

    notebook: str
    title: str
    picture: bytes
    text: str


def find_kept(folder: Path, captions: Collection[str]) -> Kept | None:
    """The first cell of the notebooks in a folder that shows a picture with one of these captions."""
    for notebook, title, outputs in _shown(folder):
        text = "\n\n".join(_text(each.get("text/markdown")) for each in outputs).strip()
        pictures = [encoded for each in outputs if (encoded := _text(each.get("image/png")))]
        if pictures and any(caption in text for caption in captions):
            return Kept(notebook, title, base64.b64decode(pictures[0]), text)
    return None


@cache
def _shown(folder: Path) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """File name, title and outputs by media type of every code cell."""
    return [found for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")) for found in _cells(path)]


def _cells(path: Path) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    title = _text(cells[0]["source"]).splitlines()[0].lstrip("# ")
    for cell in cells:
        yield path.name, title, [output.get("data", {}) for output in cell.get("outputs", [])]


def _text(source: str | list[str] | None) -> str:
    """The text of a field of a notebook, which may be a list of lines."""
    return source if isinstance(source, str) else "".join(source or [])
