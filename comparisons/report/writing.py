"""What self-contained html files are made with: templates, files that are put inside, and the file itself."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from lab.errors import LabError, refuse
from lab.sweeps import Store


def check_out(out: Path) -> None:
    """Refuse a folder, or a file in a folder that is not there."""
    if out.is_dir() or not out.name:
        refuse("out", f"{str(out)!r}, which is a folder", "a file", f"write --out {out / 'page.html'}")
    if not out.parent.is_dir():
        refuse("out", f"{str(out)!r}", "a file in a folder that is there", f"make the folder {str(out.parent)!r} first")


def static(package: str, name: str) -> str:
    """A style sheet or script from the folder ``static`` of a package, as text."""
    return resources.files(package).joinpath("static", name).read_text(encoding="utf-8")


def fill(package: str, template: str, **values: Any) -> str:
    """A template from the folder ``templates`` of a package, filled in. A value that is missing is an error.

    Pages share the frame of this package.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package), jinja2.PackageLoader("comparisons.report")]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(**values)


def write(out: Path, page: str) -> int:
    """Write a page at once when it is whole; returns its size in bytes. `LabError` where it must not be written."""
    content = page.encode()
    try:
        Store(out.parent).write(out.name, content)
    except PermissionError as error:
        raise LabError("out", f"{str(out)!r} ({error.strerror})", "a file to write", "choose another --out") from None
    return len(content)
