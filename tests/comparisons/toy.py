"""A comparison in miniature: the command's tests put it among the comparisons."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from comparisons._shape import Conclusion, Number
from lab.costs import Cost
from lab.errors import check_choice, check_integer

question = "Does the toy run?"
asked_by = "the tests"
version = 1
GRID = ("widths", "seeds")


@dataclass(frozen=True)
class Settings:
    """Settings of the toy.

    Attributes
    ----------
    widths
        Hidden widths.
    seeds
        How many seeds.
    scale
        Factor of every number.
    trouble
        What goes wrong at width 13.
    """

    widths: tuple[int, ...] = (8, 16)
    seeds: int = 2
    scale: float = 1.0
    trouble: str = "none"
    log: str | None = None

    def __post_init__(self):
        check_integer("seeds", self.seeds, 1)
        check_choice("trouble", self.trouble, ("none", "raise", "die", "die once", "sleep", "diverge"))


PRESETS = {"fast": Settings(widths=(4,)), "default": Settings(), "full": Settings(seeds=4)}


def cells(settings):
    shared = {"scale": settings.scale, "trouble": settings.trouble, "log": settings.log}
    return [{"width": m, "seed": s, **shared} for m in settings.widths for s in range(settings.seeds)]


def cost(cell):
    return Cost(1e6 * cell["width"] ** 2, 8.0 * cell["width"])


def measure(cell):
    if cell["log"]:
        with Path(cell["log"]).open("a") as log:
            log.write(f"{cell['width']} {cell['seed']} {os.getpid()}\n")
    if cell["width"] == 13:
        _stumble(cell)
    generator = np.random.default_rng(cell["seed"])
    matrix = generator.standard_normal((cell["width"], cell["width"]))
    row = {"width": cell["width"], "seed": cell["seed"], "norm": cell["scale"] * np.linalg.norm(matrix, 2)}
    diverged = 3 if cell["trouble"] == "diverge" else None
    return {**row, "diverged": diverged, "final": float("nan") if diverged else 1.0}, {"matrix": matrix}


def _stumble(cell):
    match cell["trouble"]:
        case "raise":
            raise RuntimeError("thirteen")
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "die once" if cell["seed"] == 0 and Path(cell["log"]).read_text().count("13 0 ") == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        case "sleep":
            time.sleep(60)


def conclude(table):
    norms = table["norm"]
    nothing = Number(None, None, 0, reason="nothing to see")
    numbers = {"norm.mean": Number(norms.mean(), (norms.min(), norms.max()), len(norms), details={"widths": [8]})}
    return Conclusion({**numbers, "norm.none": nothing}, "The toy runs.")


def draw(results, conclusion):
    from matplotlib.figure import Figure

    figure = Figure()
    first = results.arrays(width=int(results.table["width"][0]), seed=0)
    figure.subplots().plot(first["matrix"][0])
    return {"norms": figure}
