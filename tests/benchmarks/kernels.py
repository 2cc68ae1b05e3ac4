"""Our tangent kernel against its peers, in one run and on one core.

    python -m tests.benchmarks.kernels [--quick] [--peers torch_func neural_tangents nngeometry] [--out FILE.csv]

Every contender computes the kernel of the same ReLU Elman network (weights of the paper's scale, W trained, float32)
in a process of its own, held to one core, with limits of time and memory. A peer and our kernel take turns, so that
whatever else the machine does slows both; medians over the turns are compared. Our own matrix products (the same ones,
recorded and done again on random numbers) take their turn in our process. Compilation and imports are not timed.

Columns: seconds, `ours` in the same turns, `ratio` of the two; `within`, our time over that of our own matrix products
alone; `memory`, the peak above weights and inputs in MB, and as a multiple of (W + one Gram matrix of all samples and
times); `error`, relative difference from our kernel. Some 1e-7 is rounding. Some 1e-3 is a ReLU gate or two, of
millions, whose pre-activation is zero to rounding, so that they open in one computation and stay shut in the other.
What differs by more than 1e-2 is no answer and counts for nothing.
"""

import csv
import itertools
import os
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tyro

from tests.benchmarks._turns import PACKAGES, Contender, Failed, interpreter

Peer = Literal["torch_func", "neural_tangents", "nngeometry"]
IMPLEMENTATIONS = ("jacobian_contraction", "ntk_vector_products", "structured_derivatives")
METHODS = {
    "torch_func": ("jacobian", "products"),
    "neural_tangents": tuple(f"{form} {way}" for form in ("scan", "loop") for way in IMPLEMENTATIONS),
    "nngeometry": ("hooks",),
}
AGREE = 1e-2
FEATURES = 8
COLUMNS = [
    "m",
    "n",
    "L",
    "readout",
    "contender",
    "seconds",
    "ours",
    "ratio",
    "within",
    "memory",
    "memory_ratio",
    "error",
    "note",
]


@dataclass(frozen=True)
class Settings:
    """What to time, against whom, and how long at most."""

    quick: bool = False
    """n=64, L=16, last readout only."""
    peers: tuple[Peer, ...] = ("torch_func", "neural_tangents", "nngeometry")
    """Whom to compare with."""
    widths: tuple[int, ...] = (256, 1024, 2048, 4096)
    samples: tuple[int, ...] = (64, 256)
    lengths: tuple[int, ...] = (8, 16, 64)
    readouts: tuple[Literal["last", "all"], ...] = ("last", "all")
    repeats: int = 7
    """Turns of each pair."""
    limit: float = 120.0
    """Seconds for getting ready (compiling included), for one computation, and for the turns of one peer."""
    memory: float = 10.0
    """GB that one process may hold."""
    core: int | None = None
    """The core to use; the last usable one by default."""
    venv: Path | None = None
    """Where the peers' environments are kept; a temporary directory by default."""
    out: Path | None = None
    """A CSV file for the table."""

    def grid(self):
        """(n, L, readout, m), width innermost."""
        widths = sorted(self.widths)  # what is over time or memory at one is not tried at a larger one
        if self.quick:
            return itertools.product((64,), (16,), ("last",), widths)
        return itertools.product(self.samples, self.lengths, self.readouts, widths)


@dataclass(frozen=True)
class Problem:
    """One network and its inputs, in a file that every contender reads."""

    path: Path
    m: int
    n: int
    L: int
    readout: str

    @property
    def columns(self):
        """Its sizes, for the table."""
        return {"m": self.m, "n": self.n, "L": self.L, "readout": self.readout}

    @property
    def measure_of_memory(self):
        """Bytes of W and of one product matrix of all samples and times."""
        return 4 * (self.m**2 + (self.n * (self.L - 1)) ** 2)


def write_problem(folder, n, length, readout, width):
    """Weights of the paper's scale, inputs on the unit sphere, float32."""
    generator, deviation = np.random.default_rng(0), np.sqrt(2 / width)
    inputs = generator.standard_normal((n, length, FEATURES), dtype=np.float32)
    inputs /= np.linalg.norm(inputs, axis=2, keepdims=True)
    shapes = {"W": (width, width, deviation), "A": (width, FEATURES, deviation), "B": (1, width, 1.0)}
    weights = {
        name: np.float32(scale) * generator.standard_normal((rows, columns), dtype=np.float32)
        for name, (rows, columns, scale) in shapes.items()
    }
    path = Path(folder) / "problem.npz"
    np.savez(path, x=inputs, **weights)
    return Problem(path, width, n, length, readout)


class Bench:
    """The contenders of one command, and what they failed at."""

    def __init__(self, settings, folder):
        self.settings, self.folder = settings, Path(folder)
        self.core = max(os.sched_getaffinity(0)) if settings.core is None else settings.core
        home = settings.venv or self.folder
        own = [peer for peer in settings.peers if peer in PACKAGES]
        self.pythons = {peer: interpreter(peer, home) for peer in own}
        self.given_up = {}

    def contender(self, problem, module, method=""):
        """A process for one method on one problem."""
        spec = {
            "module": f"_{module}", "method": method, "problem": str(problem.path), "readout": problem.readout,
            "cores": [self.core], "memory": self.settings.memory * 1e9,
        }  # fmt: skip
        return Contender(self.pythons.get(module, sys.executable), spec, self.settings.limit)

    def rows(self, problem):
        """Our row, then one for each method of each peer."""
        with self.contender(problem, "ours") as ours:
            first = ours.call(save=self.folder / "ours.npy")
            yield self._our_row(problem, ours, first["peak"])
            for peer in self.settings.peers:
                for method in METHODS[peer]:
                    values = self._peer(problem, ours, peer, method)
                    yield {**problem.columns, "contender": f"{peer} {method}", **values}

    def _our_row(self, problem, ours, peak):
        turns = [(ours.call()["seconds"], ours.call("products")["seconds"]) for _ in range(3 * self.settings.repeats)]
        times, products = zip(*turns, strict=True)
        within = statistics.median(times) / statistics.median(products)
        values = {"contender": "ours", "seconds": statistics.median(times), "within": within}
        return {**problem.columns, **values, **_memory(problem, peak)}

    def _peer(self, problem, ours, peer, method):
        place = (peer, method, problem.n, problem.L, problem.readout)
        if place in self.given_up:
            return {"note": self.given_up[place]}
        try:
            return self._turns(problem, ours, peer, method)
        except Failed as failure:
            if str(failure).startswith("over"):
                self.given_up[place] = f"{failure} (from m={problem.m} on)"
            return {"note": str(failure)}

    def _turns(self, problem, ours, peer, method):
        """A first call, whose kernel is checked, and turns with ours while there is time."""
        result = self.folder / "theirs.npy"
        with self.contender(problem, peer, method) as other:
            first = other.call(save=result)
            error = _difference(np.load(result), np.load(self.folder / "ours.npy"))
            values = {"error": error, **_memory(problem, first["peak"])}
            if not error <= AGREE:
                return {**values, "note": "not the kernel"}
            count = max(min(self.settings.repeats, int(self.settings.limit / first["seconds"] / 2)), 1)
            turns = [(ours.call()["seconds"], other.call()["seconds"]) for _ in range(count)]
        mine, theirs = (statistics.median(times) for times in zip(*turns, strict=True))
        return {"seconds": theirs, "ours": mine, "ratio": theirs / mine, **values}


def _memory(problem, peak):
    return {"memory": peak / 1e6, "memory_ratio": peak / problem.measure_of_memory}


def _difference(kernel, reference):
    if kernel.shape != reference.shape:
        return float("inf")
    return float(np.linalg.norm(kernel - reference) / np.linalg.norm(reference))


def show(row):
    """One aligned line."""
    print("  ".join(_cell(row.get(name)).rjust(_width(name)) for name in COLUMNS).rstrip(), flush=True)


def _width(name):
    return {"contender": 42, "readout": 7, "error": 8, "memory_ratio": 12, "seconds": 9, "ours": 9}.get(name, 6)


def _cell(value):
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def conclude(rows):
    """One line per problem: the best peer, our products, our memory."""
    for sizes, group in itertools.groupby(rows, key=lambda row: [row[name] for name in COLUMNS[:4]]):
        ours, *others = group
        answers = [row for row in others if "ratio" in row]
        best = min(answers, key=lambda row: row["ratio"], default={"ratio": float("nan"), "contender": "nobody"})
        m, n, length, readout = sizes
        print(
            f"m={m} n={n} L={length} {readout}: {best['ratio']:.1f} times the best peer ({best['contender']}), "
            f"{ours['within']:.2f} times our own products, memory {ours['memory_ratio']:.2f} times (W + one Gram)"
        )


def write(rows, path):
    """The table as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(rows)


def main(settings):
    """Time the whole grid; every row is printed when it is there, and the file is complete after each problem."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(settings, folder)
        show({name: name for name in COLUMNS})
        for n, length, readout, width in settings.grid():
            for row in bench.rows(write_problem(folder, n, length, readout, width)):
                rows.append(row)
                show(row)
            if settings.out:
                write(rows, settings.out)
    conclude(rows)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
