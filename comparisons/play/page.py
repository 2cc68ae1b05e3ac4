"""The playground as one self-contained html file: engine, worker, drawings and stories are inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from comparisons.play.words import WORDS
from comparisons.report.writing import check_out, fill, static, write
from lab.sweeps import versions

HOME = "comparisons.play"
LABELS = {"network": "network", "linearized": "linear model", "kernel": "kernel regressor"}
# As in the figures, but the dots are further apart: kernel and linear model always lie on each other here.
DASHES: dict[str, list[float]] = {"network": [], "linearized": [10, 4], "kernel": [2, 5]}


def write_playground(out: Path) -> str:
    """Write the playground.

    Parameters
    ----------
    out
        The file to write. It is replaced at once when the page is whole.

    Returns
    -------
    str
        What was written, in one line.

    Raises
    ------
    LabError
        If ``out`` cannot be a file.
    """
    check_out(out)
    size = write(out, render())
    return f"{out}: the playground, {size / 1e3:.0f} kB; open it in any browser, also offline"


def render() -> str:
    """The page as text."""
    scripts = ("engine", "tasks", "worker", "words", "stories", "views", "page")
    return fill(
        HOME,
        "play.html",
        css=static("comparisons.report", "page.css") + static(HOME, "play.css"),
        theme=static("comparisons.report", "theme.js"),
        scripts={name: static(HOME, f"{name}.js") for name in scripts},
        learners=learners(),
        learners_json=json.dumps(learners()),
        words=WORDS,
        version=versions()["lazylab"] or "(not installed)",
    )


def learners() -> dict[str, dict[str, Any]]:
    """Label, colour, dash (in pixels) and width of each learner: colours are those of the figures of the lab."""
    from lab.figures.style import LEARNERS

    lines = {name: LEARNERS[name] for name in LABELS}
    return {
        name: {"label": LABELS[name], "color": line.color, "dash": DASHES[name], "width": line.linewidth}
        for name, line in lines.items()
    }
