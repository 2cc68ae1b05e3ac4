"""From the cells of a run directory to the conclusion, the table, the summary and the figures."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comparisons.kit.comparison import Arrays, Comparison, Conclusion, headlines
from comparisons.kit.keys import Key
from comparisons.kit.numbers import Number
from comparisons.runs import precision
from comparisons.runs.registry import find, returned, typed
from lab.errors import check_choice, refuse
from lab.sweeps import Cell, Results, Store, signs, versions
from lab.sweeps.cells import matches, pretty

#: Of a picture, by suffix: nothing that differs between equal figures.
_UNDATED: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A run directory and what its committed cells say; nothing is trained here. Jupyter shows it as a page.

    Attributes
    ----------
    comparison, store
        The module of the comparison, and the directory.
    results
        Table and arrays of the committed cells.
    conclusion
        Numbers by key, and the verdict.
    counts
        Cells by status: total, failed (tried, and an error is known), missing (absent for any other reason), diverged.
    """

    comparison: Comparison
    store: Store
    results: Results
    conclusion: Conclusion
    counts: Mapping[str, int]
    _drawn: dict[str, dict[str, Figure]] = field(default_factory=dict, init=False)  # by style

    @property
    def directory(self) -> Path:
        """Where the cells are."""
        return self.store.directory

    @property
    def settings(self) -> dict[str, Any]:
        """Settings by name, as JSON."""
        return dict(self.store.manifest["settings"])

    @property
    def numbers(self) -> dict[str, Number]:
        """The numbers by the text of their keys, such as ``exponent.gap_test``."""
        return {str(key): number for key, number in self.conclusion.numbers.items()}

    @property
    def headlines(self) -> dict[Key, Number]:
        """The numbers that answer the question, by key, in the order in which a reader wants them."""
        numbers = self.conclusion.numbers
        return {key: numbers[key] for key in headlines(self.comparison, numbers)}

    @property
    def verdict(self) -> str:
        """The answer to the question, in a sentence or two."""
        return self.conclusion.verdict

    @property
    def table(self) -> pd.DataFrame:
        """One row per committed cell."""
        return self.results.table

    @property
    def figures(self) -> dict[str, Figure]:
        """The figures by name, in the style in use (`lab.figures.style.use`)."""
        return draw(self)

    def arrays(self, **fields: Any) -> list[tuple[Any, Arrays]]:
        """Pairs of cell and arrays of every committed cell that has these fields, as in ``run.arrays(width=64)``.

        Raises
        ------
        LabError
            A field that no cell has.
        """
        known = sorted({name for cell in self.results.cells for name in cell})
        for name in fields if known else ():
            check_choice("arrays", name, known)
        found = [cell for cell in self.results.cells if matches(cell, fields)]
        return [(typed(self.comparison, cell), self.results.read(cell)) for cell in found]

    def __repr__(self) -> str:
        counts = self.counts
        done = f"{len(self.results.cells)} of {counts['total']} cells"
        return f"Run({self.comparison.question!r}, {done}, {self.directory})"

    def _repr_html_(self) -> str:
        """Question, verdict, headline numbers, all numbers folded, and the figures."""
        from comparisons.runs.notebook import as_html

        return as_html(self)


def comparison_of(store: Store) -> Comparison:
    """The comparison that a run directory belongs to.

    Raises
    ------
    LabError
        If the directory holds no run, or one of a comparison or version that is not here.
    """
    manifest = store.manifest
    comparison = find(source_of(store))
    if manifest["version"] != comparison.version:
        came = f"cells of version {manifest['version']} of {manifest['comparison']}"
        refuse("directory", came, f"version {comparison.version}", "run it again with another `out`")
    return comparison


def source_of(store: Store) -> str:
    """Name or file of the comparison of a directory; a file that has moved is looked for here and around the run.

    Raises
    ------
    LabError
        If the directory holds no run, or the file is not found.
    """
    source = store.manifest.get("source")
    if source is None:
        return str(store.manifest["comparison"])
    name = Path(source).name
    places = [Path(source), Path(name), *(parent / name for parent in store.directory.resolve().parents)]
    found = [str(place) for place in places if place.is_file()]
    if not found:
        came = f"{str(store.directory)!r}, whose comparison {source!r} is not there"
        fix = f"put {name} into this folder or beside the run directory"
        refuse("directory", came, "the file of the comparison under its name", fix)
    return found[0]


def read(comparison: Comparison, store: Store, cells: Sequence[Cell]) -> Run:
    """Read the committed ones of ``cells``, count the others, and conclude."""
    results = store.results(cells)
    table = results.table
    empty = Conclusion({}, "There is no measurement to conclude from.")
    conclusion = comparison.conclude(table) if len(table) else empty
    returned("conclude", conclusion, Conclusion, "a kit.Conclusion")
    if stage := store.manifest.get("precision"):
        conclusion = precision.after_pilot(comparison, conclusion, store.results(stage["pilot"]).table, stage)
    return Run(comparison, store, results, conclusion, _count(store, cells, results))


def _count(store: Store, cells: Sequence[Cell], results: Results) -> dict[str, int]:
    there = {store.key(cell) for cell in results.cells}
    absent = [key for key in map(store.key, cells) if key not in there]
    failed = sum(signs.failure(store.directory, key) is not None for key in absent)
    column = results.table["diverged"].dropna() if "diverged" in results.table else ()
    diverged = sum(bool(value) for value in column)
    return {"total": len(cells), "failed": failed, "missing": len(absent) - failed, "diverged": diverged}


def write(run: Run, style: str = "default") -> list[Path]:
    """Write ``table.csv``, ``summary.json`` and ``figures/`` into the run directory; returned are the png figures.

    A figure of an earlier run that is drawn no more, a png beside an svg, is removed; so is the pdf of a figure that is
    drawn in a style without one, which would show earlier numbers.

    Raises
    ------
    LabError
        If there is no such style.
    """
    from lab.figures import style as styles

    styles.chosen(style)
    run.store.write_table(run.table)
    run.store.write("summary.json", pretty(summary(run)))
    drawn = pictures(run, style)
    for name, files in drawn.items():
        for suffix, content in files.items():
            run.store.write(f"figures/{name}.{suffix}", content)
    place = run.directory / "figures"
    for path in place.glob("*.png"):
        if path.with_suffix(".svg").exists():
            for suffix in {"png", "svg", "pdf"} - set(drawn.get(path.stem, ())):
                path.with_suffix(f".{suffix}").unlink(missing_ok=True)
    return [place / f"{name}.png" for name in drawn]


def read_summary(store: Store) -> dict[str, Any] | None:
    """The ``summary.json`` of a run directory; None where there is none, or it was written for other settings."""
    try:
        found = json.loads((store.directory / "summary.json").read_text(encoding="utf-8"))
        return dict(found) if found["settings"] == store.manifest["settings"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def summary(run: Run) -> dict[str, Any]:
    """Content of ``summary.json``; ``seconds`` adds up the cells."""
    manifest = run.store.manifest
    return {
        "comparison": manifest["comparison"],
        "settings": manifest["settings"],
        "numbers": {name: number.as_json() for name, number in run.numbers.items()},
        "verdict": run.verdict,
        "cells": dict(run.counts),
        "seconds": float(run.table["seconds"].sum()),
        "versions": versions(),
    }


def pictures(run: Run, style: str = "default") -> dict[str, dict[str, bytes]]:
    """The figures as files: bytes by suffix (png, svg, in a style for papers pdf), by name; none without cells."""
    from lab.figures import style as styles

    figures = draw(run, style)
    suffixes = ("png", "svg", "pdf") if style in styles.PAPERS else ("png", "svg")
    return {name: {suffix: render(figure, suffix, style) for suffix in suffixes} for name, figure in figures.items()}


def draw(run: Run, style: str | None = None) -> dict[str, Figure]:
    """The figures of a run in a style, or the one in use, drawn once; no display is needed, and none is opened."""
    from lab.figures import style as styles

    name = styles.chosen(style)
    if name not in run._drawn:
        with styles.use(name):
            figures = run.comparison.draw(run.results, run.conclusion) if run.results.cells else {}
        run._drawn[name] = dict(returned("draw", figures, Mapping, "a dictionary of figures by name"))
    return run._drawn[name]


def render(figure: Figure, suffix: str, style: str = "default", *, outlines: bool = False) -> bytes:
    """Bytes of a picture; equal figures give equal files, without dates or random names inside.

    ``outlines`` draws the text of an svg as shapes: larger, but the same where the fonts are not installed.
    """
    import matplotlib as mpl

    from lab.figures import style as styles

    buffer = io.BytesIO()
    options = {"svg.hashsalt": "lazylab", **({"svg.fonttype": "path"} if outlines else {})}
    with styles.use(style), mpl.rc_context(options):
        figure.savefig(buffer, format=suffix, metadata=_UNDATED.get(suffix))
    return buffer.getvalue()
