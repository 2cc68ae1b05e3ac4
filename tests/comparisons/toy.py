"""A comparison in miniature: the tests put it among the comparisons."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from comparisons import kit

question = "Does the toy run?"
asked_by = "the tests"
version = 1

MEAN = kit.Quantity("norm", "mean", meaning="Mean norm.")
NONE = kit.Quantity("norm", "none", meaning="No norm.")
TROUBLE = ("none", "raise", "die", "die once", "sleep", "diverge")


@dataclass(frozen=True)
class Settings(kit.Settings):
    """Settings of the toy."""

    widths: Annotated[tuple[kit.Count, ...], kit.CHOOSES, kit.doc("Hidden widths.")] = (8, 16)
    seeds: Annotated[kit.SeedCount, kit.doc("How many seeds.")] = 2
    scale: Annotated[float, kit.doc("Factor of every number.")] = 1.0
    trouble: Annotated[str, kit.OneOf(*TROUBLE), kit.doc("What goes wrong at width 13.")] = "none"
    log: Annotated[str | None, kit.doc("File that lists the cells that were begun.")] = None


@dataclass(frozen=True, kw_only=True)
class Cell(kit.Cell):
    """One matrix."""

    width: int
    seed: int
    scale: float
    trouble: str
    log: str | None


PRESETS = {"fast": Settings(widths=(4,)), "default": Settings(), "full": Settings(seeds=4)}


def cells(settings: Settings) -> list[Cell]:
    return kit.grid(Cell, settings, width=settings.widths, seed=range(settings.seeds))


def cost(cell: Cell) -> kit.Cost:
    return kit.Cost(1e6 * cell.width**2, 8.0 * cell.width)


def measure(cell: Cell) -> kit.Measured:
    if cell.log:
        with Path(cell.log).open("a") as log:
            log.write(f"{cell.width} {cell.seed} {os.getpid()}\n")
    if cell.width == 13:
        _stumble(cell)
    generator = np.random.default_rng(cell.seed)
    matrix = generator.standard_normal((cell.width, cell.width))
    row = {"width": cell.width, "seed": cell.seed, "norm": cell.scale * np.linalg.norm(matrix, 2)}
    diverged = 3 if cell.trouble == "diverge" else None
    return {**row, "diverged": diverged, "final": float("nan") if diverged else 1.0}, {"matrix": matrix}


def _stumble(cell: Cell) -> None:
    match cell.trouble:
        case "raise":
            raise RuntimeError("thirteen")
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "die once" if cell.seed == 0 and Path(cell.log).read_text().count("13 0 ") == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        case "sleep":
            time.sleep(60)


def conclude(table: kit.Table) -> kit.Conclusion:
    norms = table["norm"]
    mean = kit.Number(norms.mean(), (norms.min(), norms.max()), len(norms), details={"widths": [8]})
    return kit.Conclusion({MEAN(): mean, NONE(): kit.Number.none("nothing to see")}, "The toy runs.")


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    from matplotlib.figure import Figure

    figure = Figure()
    first = results.arrays(width=int(results.table["width"][0]), seed=0)
    figure.subplots().plot(first["matrix"][0])
    return {"norms": figure}
