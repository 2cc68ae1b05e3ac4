"""Pages of the repository as pages of the book: links lead inside the book, and the glossary has a page of its own."""

from __future__ import annotations

import os
import re
from pathlib import Path

from comparisons.report.glossary import GLOSSARY

#: File in the repository: page in the book.
PLACES = {
    "README.md": "overview.md",
    "comparisons/README.md": "command.md",
    "lab/README.md": "library.md",
    "tests/benchmarks/README.md": "benchmarks.md",
    "CHANGELOG.md": "changes.md",
}
GLOSSARY_PAGE = "glossary.md"
_TITLES = {"README.md": "Overview", "comparisons/README.md": "The command"}  # where the first line is another
_ELSEWHERE = ("Glossary", "Notebooks", "More")  # sections of the README that the book has as pages
_LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(#[^)\s]*)?\)")


def pages(root: Path) -> dict[str, str | bytes]:
    """The pages that are made of files of the repository, and the glossary."""
    made: dict[str, str | bytes] = {GLOSSARY_PAGE: glossary()}
    for file, page in PLACES.items():
        text = (root / file).read_text(encoding="utf-8")
        if file in _TITLES:
            text = re.sub(r"\A# .*", f"# {_TITLES[file]}", _without(text, _ELSEWHERE))
        made[page] = relinked(text, (root / file).parent, root)
    return made


def glossary() -> str:
    """The terms of the lab as a page whose entries can be linked to."""
    entries = [f"{term}\n  {meaning}\n" for term, meaning in GLOSSARY.items()]
    return "\n".join(["# Glossary", "", "```{glossary}", *entries, "```", ""])


def relinked(text: str, folder: Path, root: Path) -> str:
    """Markdown with its links between files turned into links between pages; sessions end without a blank line.

    Parameters
    ----------
    text
        Markdown, or the JSON of a notebook.
    folder
        Where the file lies: its links start from there.
    root
        Of the repository.
    """
    text = re.sub(r"(?s)(```pycon\n.*?\n)\n(```)", r"\1\2", text)
    return _LINK.sub(lambda link: f"]({_target(link[1], link[2] or '', folder, root)})", text)


def _target(place: str, anchor: str, folder: Path, root: Path) -> str:
    """Where a link leads in the book; links to anything but pages and notebooks stay as they are."""
    file = Path(os.path.normpath(folder / place)).relative_to(root).as_posix() if place else ""
    if anchor == "#glossary" and file in ("README.md", ""):
        return f"/pages/{GLOSSARY_PAGE}"
    if file == "notebooks/README.md":  # about the sources of the book
        return "/index.md"
    if file in PLACES:
        return f"/pages/{PLACES[file]}{anchor}"
    return file.removeprefix("notebooks") + anchor if file.startswith("notebooks/") else place + anchor


def _without(text: str, headings: tuple[str, ...]) -> str:
    """A page without its sections of these names."""
    first, *sections = re.split(r"(?m)^(?=## )", text)
    return first + "".join(each for each in sections if each.splitlines()[0].removeprefix("## ") not in headings)
