"""Runs in one self-contained html file: style, script, data and plotly are inside."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from comparisons.report.explorer import explore_all, styles
from comparisons.report.glossary import GLOSSARY
from comparisons.report.pairs import Beside, beside
from comparisons.report.runs import Section, gather, ordered
from comparisons.report.writing import check_out, fill, static, write
from comparisons.runs.outputs import Run
from comparisons.runs.run import load
from lab.errors import refuse
from lab.sweeps import versions

HOME = "comparisons.report"


def write_report(
    directories: Sequence[Path],
    out: Path,
    style: str = "default",
    leave_out: Callable[[Path, Exception], None] | None = None,
) -> str:
    """Write one page about some runs.

    Parameters
    ----------
    directories
        Run directories; several of one comparison may be among them, and a repeated one is shown once.
    out
        The file to write. It is replaced at once when the page is whole.
    style
        Of the figures.
    leave_out
        Called with each directory that cannot be read, and its error; the page is about the others.

    Returns
    -------
    str
        What was written, in a few lines.

    Raises
    ------
    LabError
        If there is no directory, one holds no run or a run of another version (with ``leave_out``: all of them do),
        ``out`` cannot be a file, or there is no such style. Nothing has been written then.
    """
    from lab.figures.style import chosen

    if not directories:
        refuse("directories", "none", "one or more run directories", "name some, as in `lazylab report runs/*`")
    chosen(style)
    check_out(out)
    runs = ordered(_load(_distinct(directories), leave_out))
    explored = explore_all([run.results for run in runs])
    sections = [gather(run, shown, style) for run, shown in zip(runs, explored, strict=True)]
    return _described(out, sections, write(out, render(sections, beside(runs))))


def _load(directories: Sequence[Path], leave_out: Callable[[Path, Exception], None] | None) -> list[Run]:
    """The runs that can be read; the last error is raised if there are none."""
    runs: list[Run] = []
    for directory in directories:
        try:
            runs.append(load(directory))
        except Exception as error:
            if leave_out is None or (directory == directories[-1] and not runs):
                raise
            leave_out(directory, error)
    return runs


def _distinct(directories: Sequence[Path]) -> list[Path]:
    found: dict[Path, Path] = {}
    for directory in directories:
        found.setdefault(directory.resolve(), directory)
    return list(found.values())


def _described(out: Path, runs: Sequence[Section], size: int) -> str:
    explored = sum(run.explored is not None for run in runs)
    lines = [f"{out}: {_count(len(runs), 'run')}, {explored} with trajectories to explore, {size / 1e6:.1f} MB"]
    lines += [f"  {run.directory} ({run.name}) is {run.state}" for run in runs if run.state != "whole"]
    return "\n".join(lines)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def render(runs: Sequence[Section], pairs: Sequence[Beside]) -> str:
    """The page as text: equal runs give equal pages under equal versions. ``pairs`` are runs of one comparison."""
    explorer = _explorer(runs)
    return fill(
        HOME,
        "page.html",
        groups=_groups(runs, pairs),
        count=len(runs),
        theme=static(HOME, "theme.js"),
        glossary=GLOSSARY,
        css=static(HOME, "page.css"),
        script=static(HOME, "explorer.js") if explorer else "",
        data=_pack(json.dumps(explorer, ensure_ascii=False, separators=(",", ":")).encode()) if explorer else "",
        plotly=_plotly() if explorer else "",
        version=versions()["lazylab"] or "(not installed)",
    )


def _groups(runs: Sequence[Section], pairs: Sequence[Beside]) -> list[dict[str, Any]]:
    """Runs of one comparison with their places on the page, and what compares them."""
    groups: dict[str, list[tuple[int, Section]]] = {}
    for place, run in enumerate(runs, 1):
        groups.setdefault(run.name, []).append((place, run))
    compared = {pair.name: pair for pair in pairs}
    return [{"name": name, "runs": found, "beside": compared.get(name)} for name, found in groups.items()]


def _explorer(runs: Sequence[Section]) -> dict[str, Any] | None:
    """What the script reads, or None where no run has trajectories."""
    shown = [(place, run, run.explored) for place, run in enumerate(runs, 1) if run.explored is not None]
    if not shown:
        return None
    return {
        "styles": styles(dict.fromkeys(name for _, _, explored in shown for name in explored.curves)),
        "runs": [
            {
                "id": f"run-{place}",
                "directory": run.directory,
                "title": f"{run.name} ({run.directory})",
                "note": explored.note,
                **explored.data,
            }
            for place, run, explored in shown
        ],
    }


def _plotly() -> str:
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

    return _pack(get_plotlyjs().encode())


def _pack(content: bytes) -> str:
    """Gzip in base64, which the page's script unpacks: two fifths of the size, and no text that html could mistake."""
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode("ascii")
