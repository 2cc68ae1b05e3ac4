"""How sharp the headline numbers of two runs of all comparisons are for their time.

    python -m tests.benchmarks.evidence BEFORE AFTER

Both are folders with one run directory for each comparison, as `lazylab run all --out` makes them. For every headline
number: half the length of its interval, on the scale of the number (absolute, of the log, or of the logit), before and
after; the seconds of its comparison; and (half-width)² · seconds, after over before, which does not change if more
seeds are run. Since machines are shared, cells from before are priced like the cells of the second run that differ
from them in nothing but seeds and data, where there are some.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import warnings
from pathlib import Path

import comparisons
from comparisons.kit.numbers import Number

DRAWN = ("seed", "data_seed", "data_seeds", "sample")  # fields of a cell that do not change its price


def records(directory):
    """Pairs of cell and seconds of what a run directory was asked for last."""
    asked = {kind(cell, ()) for cell in json.loads((directory / "settings.json").read_text())["cells"]}
    found = (json.loads(path.read_text()) for path in sorted((directory / "cells").glob("*.json")))
    return [(each["cell"], each["seconds"]) for each in found if kind(each["cell"], ()) in asked]


def kind(cell, without=DRAWN):
    """What determines the price of a cell, as text."""
    return json.dumps({name: value for name, value in cell.items() if name not in without}, sort_keys=True)


def priced(before, after):
    """Seconds of some cells, at the mean price of the other ones of the same kind, or at their own."""
    prices = {}
    for cell, seconds in after:
        prices.setdefault(kind(cell), []).append(seconds)
    return sum(statistics.fmean(prices.get(kind(cell), [seconds])) for cell, seconds in before)


def half_width(entry, scale):
    """Half the length of the interval of a number in a summary, on a scale; None without one."""
    interval = None if entry is None else entry.get("interval")
    if interval is None:
        return None
    found = Number(entry["value"], tuple(interval), entry["seeds"], scale=scale).half_width
    return found if found is not None and math.isfinite(found) else None


def rows(before, after):
    """Key, half-widths and seconds before and after, and the ratio of both together, of every headline number."""
    run = comparisons.load(after)
    old = json.loads((before / "summary.json").read_text())["numbers"]
    cells = records(after)
    paid, seconds = priced(records(before), cells), sum(seconds for _, seconds in cells)
    for key, number in run.headlines.items():
        widths = half_width(old.get(str(key)), number.scale), number.half_width
        known = all(width is not None and math.isfinite(width) and width > 0 for width in widths)
        yield str(key), *widths, paid, seconds, (widths[1] / widths[0]) ** 2 * seconds / paid if known else None


def text(value):
    """A number in the table."""
    return "" if value is None else f"{value:.2g}"


def main():
    """Print a table, and averages of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| comparison | number | half-width | after | seconds | after | half-width² · seconds |\n" + 7 * "|---" + "|")
    every = []
    for directory in sorted(path.parent for path in given.after.glob("*/summary.json")):
        if not (given.before / directory.name / "summary.json").exists():
            continue
        for key, old, new, paid, seconds, ratio in rows(given.before / directory.name, directory):
            ends = f"{text(old)} | {text(new)} | {paid:.0f} | {seconds:.0f} | {text(ratio)}"
            print(f"| {directory.name} | `{key}` | {ends} |")
            every += [ratio] if ratio else []
    if every:
        middle = f"geometric mean {statistics.geometric_mean(every):.2f}, median {statistics.median(every):.2f}"
        print(f"\n{len(every)} headline numbers; of the last column: {middle}")


if __name__ == "__main__":
    main()
