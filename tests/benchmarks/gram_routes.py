"""Both routes to a Gram matrix, predicted by `lab.costs` and measured, and the constants of the model fitted again.

    python -m tests.benchmarks.gram_routes [--quick] [--out FILE.csv]

For random factors of each size both routes are timed in turns, on one core, by the processor time of the best turn.
A prediction in flops becomes seconds by one factor for the whole table, the least-squares one. The model has two
constants, and one thing to be right about: which route is cheaper, hence the ratio of the two

    gram         2 m D + 2 d P + ELEMENTWISE · D            D pairs of deltas, P pairs of features
    per_sample   forming + contracting + STORING · S        S numbers formed

The fit is the least-squares one in the logarithm of this ratio. A residual counts less the farther the measured ratio
is from 1, where no model can choose wrongly.
"""

import csv
import itertools
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from scipy.optimize import least_squares

from lab import costs
from lab.jacobians.gram import ROUTES, contract

PRICES = {"gram": costs.gram_route_flops, "per_sample": costs.per_sample_route_flops}


@dataclass(frozen=True)
class Settings:
    """Which sizes are timed."""

    samples: tuple[int, ...] = (8, 32, 128)
    lengths: tuple[int, ...] = (4, 8, 16, 32, 64, 128)
    widths: tuple[int, ...] = (64, 256, 1024)
    outputs: tuple[int, ...] = (1, 4)
    quick: bool = False
    """The small part of the grid."""
    repeats: int = 5
    least: float = 1e7
    """Sizes at which the cheaper route is priced at fewer flops than this are left out: there, calls are what costs."""
    most: float = 3e10
    """Sizes at which the dearer route is priced at more flops than this are left out."""
    core: int | None = None
    """The core to use; the last usable one by default."""
    out: Path | None = None
    """A CSV file for the table."""

    def sizes(self):
        """(n, o, T, m), but for the dear ones and the tiny ones."""
        most = self.most / 30 if self.quick else self.most
        for n, o, length, width in itertools.product(self.samples, self.outputs, self.lengths, self.widths):
            prices = [price(n, n, o, length, width, width) for price in PRICES.values()]
            if min(prices) >= self.least and max(prices) <= most:
                yield n, o, length, width


def measure(n, o, length, width, repeats):
    """Least processor seconds of each route, in turns, in float32; factors are stored time first."""
    deltas = torch.randn(length, o, n, width).permute(2, 1, 0, 3)
    features = torch.randn(length, n, width).transpose(0, 1)
    seconds = {route: [] for route in ROUTES}
    for turn in range(repeats + 1):
        for route in ROUTES:
            start = time.process_time()
            contract(deltas, features, route=route)
            if turn:  # the first turn warms up
                seconds[route].append(time.process_time() - start)
    return {route: min(times) for route, times in seconds.items()}


def terms(route, n, o, length, width):
    """Flops of matrix products, pairs of deltas, and numbers formed: what 1, ELEMENTWISE and STORING multiply."""
    deltas, formed = (n * o * length) ** 2, 2 * n * o * width**2
    if route == "gram":
        return [2.0 * width * (deltas + (n * length) ** 2), deltas, 0.0]
    return [2.0 * length * formed + 2.0 * (n * o) ** 2 * width**2, 0.0, formed]


def fit(rows):
    """ELEMENTWISE and STORING with the least squares of differences in log(gram / per_sample), as weighed above."""
    measured = np.log([row["gram"] / row["per_sample"] for row in rows])

    def residuals(logarithms):
        predicted = [_log_ratio(row, np.exp(logarithms)) for row in rows]
        return (predicted - measured) / np.sqrt(1 + measured**2)

    found = least_squares(residuals, np.log([costs.ELEMENTWISE, costs.STORING]))
    return tuple(float(value) for value in np.exp(found.x))


def _log_ratio(row, constants):
    gram, per_sample = (np.dot(terms(route, *row["sizes"]), (1.0, *constants)) for route in ROUTES)
    return np.log(gram / per_sample)


def choose(row, constants):
    """The route that the model with these constants takes."""
    return min(ROUTES, key=lambda route: np.dot(terms(route, *row["sizes"]), (1.0, *constants)))


def judge(rows, constants):
    """How often the cheaper route is taken, and the worst and mean loss where it is not."""
    losses = [row[choose(row, constants)] / min(row[route] for route in ROUTES) for row in rows]
    right = sum(loss == 1 for loss in losses)
    return f"right {right} of {len(rows)} times, worst loss {max(losses):.2f}, mean {statistics.fmean(losses):.3f}"


def show(rows, rate):
    """Predicted and measured milliseconds of both routes."""
    print(f"{'n':>5}{'o':>4}{'T':>5}{'m':>6}" + "".join(f"{route + ' ' + what:>22}" for route in ROUTES
          for what in ("ms", "predicted")) + f"{'gram/per_sample':>18}{'predicted':>11}  taken")  # fmt: skip
    for row in rows:
        predicted = {route: rate * PRICES[route](row["n"], row["n"], *row["sizes"][1:], row["m"]) for route in ROUTES}
        cells = "".join(f"{1e3 * value:22.3f}" for route in ROUTES for value in (row[route], predicted[route]))
        ratios = f"{row['gram'] / row['per_sample']:18.2f}{predicted['gram'] / predicted['per_sample']:11.2f}"
        taken = min(ROUTES, key=predicted.get)
        print(f"{row['n']:5}{row['o']:4}{row['T']:5}{row['m']:6}{cells}{ratios}  {taken}")


def main(settings):
    """Time all sizes, print the table, fit, and judge the model as it is and as fitted."""
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0)) if settings.core is None else settings.core})
    rows = []
    for sizes in settings.sizes():
        rows.append({**dict(zip("noTm", sizes, strict=True)), "sizes": sizes, **measure(*sizes, settings.repeats)})
    now = (costs.ELEMENTWISE, costs.STORING)
    spent = [(row[route], np.dot(terms(route, *row["sizes"]), (1.0, *now))) for row in rows for route in ROUTES]
    show(rows, sum(price / seconds for seconds, price in spent) / sum((price / t) ** 2 for t, price in spent))
    fitted = fit(rows)
    for name, constants in (("lab.costs", now), ("fitted", fitted)):
        print(f"{name}: ELEMENTWISE {constants[0]:.1f}, STORING {constants[1]:.1f}: {judge(rows, constants)}")
    if settings.out:
        _write(rows, settings.out)


def _write(rows, path):
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [*"noTm", *ROUTES], extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
