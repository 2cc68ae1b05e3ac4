"""Sphinx hook of the book: it writes the pages that are made of the code, and has formulas without a script."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from book import comparison_pages, docstrings, project_pages, reference_pages

if TYPE_CHECKING:
    from docutils.nodes import math, math_block
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

PAGES = "pages"  # the folder of everything that is made here; git ignores it

#: The name of a function before its argument, which the converter sets without a space, as in log x.
_NAME = re.compile(r"(<mi>[a-z]{3,}</mi>)(?=<m(?:i|row|sub|sup|subsup|text)\b)")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the hook to a build."""
    app.connect("builder-inited", lambda app: write_pages(Path(app.srcdir)), priority=100)
    app.connect("source-read", _relink)
    app.connect("autodoc-process-docstring", docstrings.escape, priority=100)  # before napoleon
    app.connect("autodoc-skip-member", docstrings.skip)
    app.add_html_math_renderer("mathml", (_formula, None), (_formula, None))
    return {"parallel_read_safe": True}


def pages(folder: Path) -> dict[str, str | bytes]:
    """Every page that is made of the code or of another file of the repository, by its path in the book.

    Parameters
    ----------
    folder
        The sources of the book, ``notebooks``.
    """
    root = folder.parent
    return {
        **project_pages.pages(root),
        **comparison_pages.pages(root),
        **reference_pages.pages(),
    }


def write_pages(folder: Path) -> None:
    """Write what has changed, and remove pages of an earlier build that are made no more."""
    made = {folder / PAGES / name: text for name, text in pages(folder).items()}
    for path in (folder / PAGES).rglob("*"):
        if path.is_file() and path not in made:
            path.unlink()
    for path, content in made.items():
        data = content if isinstance(content, bytes) else content.encode()
        if not path.exists() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def _relink(app: Sphinx, name: str, source: list[str]) -> None:
    """Links from notebooks and pages beside them to files of the repository lead to the pages made of these files."""
    if not name.startswith(f"{PAGES}/"):
        path = Path(app.env.doc2path(name))
        source[0] = project_pages.relinked(source[0], path.parent, Path(app.srcdir).parent)


def _formula(translator: HTML5Translator, node: math | math_block) -> None:
    """A formula as MathML, which browsers draw by themselves."""
    from docutils.nodes import SkipNode
    from latex2mathml.converter import convert

    block = node.tagname == "math_block"
    text = convert(node.astext(), display="block" if block else "inline")
    text = _NAME.sub(r'\1<mspace width="0.17em"/>', text)
    translator.body.append(f'<div class="math">{text}</div>' if block else text)
    raise SkipNode
