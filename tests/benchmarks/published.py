"""Numbers that others published beside ours, each measured again in its own setting.

    python -m tests.benchmarks.published [--parts kernel linear mlp cnn gru limit] [--seeds 5] [--out rows.json]

*kernel*: how far a recurrent network's tangent kernel is from its limit (`_ntk4a`; Yang, "Tensor Programs II", 2020).
*linear*, *mlp*, *cnn*, *gru*: test accuracy on MNIST-1D (`_mnist1d`; Greydanus, "Scaling down deep learning", 2020).
Beside the MLP stands its linearization, trained in the same way; *limit* is least squares with the kernel of the lab's
Elman network at infinite width. For these two no numbers are published. All but *kernel* need ``pip install mnist1d``,
which computes the data, and are left out without it.

A published number *meets* ours if 0 lies in the 95 % interval of their difference, give or take half a unit of its
last digit: Welch's interval where the source has many seeds, that of one further seed of ours where it has one. Where
nothing differs one row in twenty does not meet.

Only what was read in a source is printed as published. Known from memory alone [M], and therefore left out: the window
of rates in which networks catapult (Lewkowycz et al. 2020) and the exponents that Lee et al. 2019 measured.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import lab
from lab.measures.exponents import fit_unpaired_exponent, mean_interval, slope_weights, unpaired_interval
from tests.benchmarks import _mnist1d, _ntk4a

PARTS = ("kernel", "linear", "mlp", "cnn", "gru", "limit")
SEEDS = {64: 1000, 128: 1000, 256: 1000, 512: 600, 1024: 300, 2048: 200, 4096: 100, 8192: 60}  # of kernels, by width
STAND_IN_WIDTH, STAND_IN_SEEDS = 256, 400
OWN = "none published"
MINUS = np.array([1.0, -1.0])


@dataclass(frozen=True)
class Row:
    """One published number beside ours."""

    source: str
    setting: str
    quantity: str
    theirs: str | None  # as published, with its digits
    ours: float
    interval: tuple[float, float] | None  # 95 %
    seeds: int
    difference: tuple[float, float] | None = None  # 95 %, ours − theirs

    @property
    def meets(self) -> bool | None:
        """Whether the difference may be 0, up to the rounding of the published number; None without one."""
        if self.theirs is None or self.difference is None:
            return None
        rounding = 0.5 * 10.0 ** -len(self.theirs.partition(".")[2])
        return self.difference[0] - rounding <= 0 <= self.difference[1] + rounding


def with_moments(mean: float, deviation: float, count: int = _ntk4a.COUNT) -> np.ndarray:
    """A sample (count,) of this mean and standard deviation, for intervals that read nothing else of it."""
    signs = np.resize([-1.0, 1.0], count)
    return mean + deviation * (signs - signs.mean()) / signs.std(ddof=1)


def log_of_mean(sample: np.ndarray) -> np.ndarray:
    """Values (n,) whose mean is the log of the sample's mean, and whose spread gives its interval (delta method)."""
    return np.log(sample.mean()) + sample / sample.mean() - 1


def beside_one_seed(theirs: str, sample: np.ndarray) -> tuple[float, float] | None:
    """95 % interval of ours − theirs for a number from one seed: mean − theirs ± t s √(1 + 1/n)."""
    mean, interval = mean_interval(sample)
    if interval is None:
        return None
    half, gap = (interval[1] - mean) * math.sqrt(len(sample) + 1), mean - float(theirs)
    return gap - half, gap + half


def kernel_rows(counts: dict[int, int]) -> list[Row]:
    """Mean distances from the limit and their exponent, for numbers of seeds by width; no seed is at two widths."""
    ends = itertools.accumulate(counts.values())
    seeds = [range(end - count, end) for count, end in zip(counts.values(), ends, strict=True)]
    pairs = zip(counts, seeds, strict=True)
    samples = {width: _ntk4a.distances(width, each, _ntk4a.pixels()) for width, each in pairs}
    rows = []
    for width, sample in samples.items():
        mean, deviation = _ntk4a.DISTANCES[width][:2]
        value, interval = mean_interval(sample)
        gap = unpaired_interval(MINUS, [sample, with_moments(mean, deviation)])[1]
        rows.append(_kernel_row(f"mean distance, width {width}", f"{mean:.4f}", value, interval, len(sample), gap))
    return rows + slope_rows(samples)


def slope_rows(samples: dict[int, np.ndarray]) -> list[Row]:
    """Slopes on log(width) of the log of the mean distance, and of the mean log; theirs over the same widths."""
    widths = np.array(list(samples), dtype=float)
    weights, published = slope_weights(np.log(widths)), [_ntk4a.DISTANCES[width] for width in samples]
    exponent = fit_unpaired_exponent(widths, list(samples.values()))
    logs = [log_of_mean(sample) for sample in samples.values()], [np.log(sample) for sample in samples.values()]
    others = (
        [log_of_mean(with_moments(*each[:2])) for each in published],
        [with_moments(*each[2:]) for each in published],
    )
    found = unpaired_interval(weights, logs[0]), (exponent.value, exponent.interval)
    names, rows = ("slope of log(mean distance)", "slope of mean log(distance)"), []
    for name, ours, theirs, (value, interval) in zip(names, logs, others, found, strict=True):
        printed = f"{unpaired_interval(weights, theirs)[0]:.3f}"
        gap = unpaired_interval(np.concatenate([weights, -weights]), [*ours, *theirs])[1]
        rows.append(_kernel_row(name, printed, value, interval, sum(map(len, ours)), gap))
    return rows


def _kernel_row(*values) -> Row:
    return Row(_ntk4a.SOURCE, _ntk4a.SETTING, *values)


def accuracy_rows(name: str, task: lab.Task, seeds: int, steps: int = _mnist1d.STEPS) -> list[Row]:
    """Test accuracies in percent of a model beside the published ones, and of its linearization."""
    samples = _mnist1d.accuracies(name, task, range(seeds), steps)
    setting = f"MNIST-1D, Adam {_mnist1d.RATE}, batches of {_mnist1d.BATCH}, {steps} steps, cross-entropy"
    rows, ours = [], mean_interval(samples["network"])
    for page, theirs in zip(_mnist1d.PAGES, _mnist1d.ACCURACIES[name], strict=True):
        gap = beside_one_seed(theirs, samples["network"])
        rows.append(Row(f"{_mnist1d.SOURCE}, {page}", setting, f"{name}, accuracy", theirs, *ours, seeds, gap))
    if "linearized" in samples:
        linearized = mean_interval(samples["linearized"])
        rows.append(Row(OWN, setting, f"{name}, linearized, accuracy", None, *linearized, seeds))
    return rows


def limit_row(task: lab.Task) -> Row:
    """Test accuracy of the kernel of infinite width."""
    setting = f"MNIST-1D, least squares on ±1, ridge {_mnist1d.RIDGE}"
    return Row(OWN, setting, "Elman, kernel of infinite width, accuracy", None, _mnist1d.limit_accuracy(task), None, 0)


def stand_in_lines(seeds: int) -> list[str]:
    """How the level depends on the inputs: the mean distance for others over that for the pixels."""
    every = {"pixels": _ntk4a.pixels(), **_ntk4a.stand_ins()}
    starts = itertools.count(step=seeds)
    logs = {
        name: log_of_mean(_ntk4a.distances(STAND_IN_WIDTH, range(start, start + seeds), inputs))
        for start, (name, inputs) in zip(starts, every.items(), strict=False)
    }
    base, lines = logs.pop("pixels"), []
    for name, found in logs.items():
        value, interval = unpaired_interval(MINUS, [found, base])
        low, high = (math.exp(end) for end in interval)
        lines.append(f"{name}: {math.exp(value):.2f} ({low:.2f} to {high:.2f})")
    return lines


def table(rows: list[Row]) -> str:
    """Rows as Markdown, with a heading line for each setting."""
    lines = []
    for setting, group in itertools.groupby(rows, key=lambda row: row.setting):
        lines += ["", setting, "", "| source | quantity | theirs | ours | 95 % | seeds | meets |", "|---" * 7 + "|"]
        for row in group:
            interval = "" if row.interval is None else f"{row.interval[0]:.4g} to {row.interval[1]:.4g}"
            words = {True: "yes", False: "no", None: ""}[row.meets]
            cells = row.source, row.quantity, row.theirs or "", f"{row.ours:.4g}", interval, row.seeds or "", words
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Print the table, and what is left out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--seeds", type=int, default=5, help="of each classifier")
    parser.add_argument("--out", type=Path, help="write the rows as JSON")
    options = parser.parse_args(arguments)
    rows, classifiers = [], [part for part in options.parts if part != "kernel"]
    task = _mnist1d.load() if classifiers else None
    if "kernel" in options.parts:
        rows += kernel_rows(SEEDS)
    for name in classifiers if task is not None else ():
        rows += [limit_row(task)] if name == "limit" else accuracy_rows(name, task, options.seeds)
    print(table(rows))
    if "kernel" in options.parts:
        print(f"\nMean distance at width {STAND_IN_WIDTH} with other inputs, over that with theirs:")
        print("\n".join(stand_in_lines(STAND_IN_SEEDS)))
    if classifiers and task is None:
        print(f"\nblocked: {', '.join(classifiers)}, which need the data of MNIST-1D (pip install mnist1d)")
    if options.out is not None:
        options.out.write_text(json.dumps([{**asdict(row), "meets": row.meets} for row in rows], indent=1))


if __name__ == "__main__":
    main()
