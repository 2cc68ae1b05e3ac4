"""How often 95 % intervals hold what they should, by simulation: exponents, places, and runs that stop at a precision.

    python -m tests.benchmarks.coverage [--replicates 4000]

Logs of a quantity at five widths scatter about a power law (or a parabola, for the curvature) by spreads that fall with
the width as those of the gap do, with numbers of seeds that fall, too, or are few. Errors are normal, heavy-tailed
(Student's t with 5 degrees of freedom) or skewed (a centred exponential), each of the stated standard deviation.

The second table is about runs in two stages: a pilot says how many times as many seeds bring the half-width of the
exponent below 0.05; the interval is that of the pilot, shortened, or the usual one of all seeds. The third one has the
share of the variance between twelve draws of the data with three networks each.
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np

from lab.measures.components import group_share
from lab.measures.exponents import fit_exponent, fit_unpaired_exponent, unpaired_place

WIDTHS = np.array([64, 128, 256, 512, 1024], dtype=float)
SPREADS = {"falling": (0.3, 0.22, 0.17, 0.13, 0.1), "equal": (0.2,) * 5, "rising": (0.1, 0.13, 0.17, 0.22, 0.3)}
COUNTS = {
    "24 to 5": (24, 16, 10, 7, 5),
    "48 to 5": (48, 24, 4, 8, 5),
    "5": (5,) * 5,
    "4": (4,) * 5,
    "3": (3,) * 5,
    "12, 4 … 4, 12": (12, 4, 4, 4, 12),
}
ERRORS = {
    "normal": lambda generator, size: generator.standard_normal(size),
    "heavy tails": lambda generator, size: generator.standard_t(5, size) * np.sqrt(3 / 5),
    "skewed": lambda generator, size: generator.exponential(size=size) - 1,
}
SLOPE, BEND = -0.4, -0.1  # the exponent, and its change per octave


def coverage(spreads, counts, errors, replicates, seed=0, fit=fit_unpaired_exponent):
    """Shares of replicates in which the intervals of slope, widest slope and curvature hold the true ones, (3,)."""
    generator, x = np.random.default_rng(seed), np.log(WIDTHS)
    middle = x - x.mean()
    line = SLOPE * middle + BEND / (2 * np.log(2)) * (middle**2 - np.mean(middle**2))
    truth = fit_exponent(WIDTHS, np.exp(line)[None])
    wanted = (truth.value, truth.widest.value, truth.curvature.value)
    held = np.zeros(3)
    for _ in range(replicates):
        samples = [
            np.exp(mean + spread * errors(generator, count))
            for mean, spread, count in zip(line, spreads, counts, strict=True)
        ]
        found = fit(WIDTHS, samples if fit is fit_unpaired_exponent else np.array(samples).T)
        intervals = (found.interval, found.widest.interval, found.curvature.interval)
        held += [low <= value <= high for (low, high), value in zip(intervals, wanted, strict=True)]
    return held / replicates


def places(spreads, counts, errors, replicates, seed=0):
    """Share of replicates in which the interval of the width at which a power law passes a level holds it."""
    generator, logs, held = np.random.default_rng(seed), SLOPE * np.log(WIDTHS), 0
    level, passes = np.exp(SLOPE * np.log(300.0)), 300.0
    for _ in range(replicates):
        drawn = zip(logs, spreads, counts, strict=True)
        samples = [np.exp(mean + spread * errors(generator, count)) for mean, spread, count in drawn]
        found = unpaired_place(WIDTHS, samples, level)
        held += found.interval is None or found.interval[0] <= passes <= found.interval[1]
    return held / replicates


def two_stages(spreads, counts, errors, replicates, seed=0, half_width=0.05):
    """Coverage of the two-stage interval and of the usual one, and the mean number of times as many seeds, (3,)."""
    generator, logs, found = np.random.default_rng(seed), SLOPE * np.log(WIDTHS), np.zeros(3)

    def draw(count, place):
        return np.exp(logs[place] + spreads[place] * errors(generator, count))

    for _ in range(replicates):
        pilot = [draw(count, place) for place, count in enumerate(counts)]
        low, high = fit_unpaired_exponent(WIDTHS, pilot).interval
        factor = max(1.0, ((high - low) / 2 / half_width) ** 2)
        more = [int(np.ceil(count * factor)) - count for count in counts]
        grown = min((count + extra) / count for count, extra in zip(counts, more, strict=True))
        whole = [np.append(pilot[place], draw(extra, place)) for place, extra in enumerate(more)]
        final = fit_unpaired_exponent(WIDTHS, whole)
        stein = abs(final.value - SLOPE) <= (high - low) / 2 / np.sqrt(grown)
        found += stein, final.interval[0] <= SLOPE <= final.interval[1], factor
    return found / replicates


def shares(share, errors, replicates, seed=0):
    """Share of replicates in which the interval of a share of the variance between draws holds it."""
    generator, held = np.random.default_rng(seed), 0
    for _ in range(replicates):
        draws, networks = errors(generator, (12, 1)), errors(generator, (12, 3))
        low, high = group_share(np.sqrt(share) * draws + np.sqrt(1 - share) * networks).interval
        held += low <= share <= high
    return held / replicates


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=4000)
    replicates = parser.parse_args().replicates
    rows = [(spread, count, error, fit_unpaired_exponent) for spread in SPREADS for count in COUNTS for error in ERRORS]
    rows += [("falling", "5", error, fit_exponent) for error in ERRORS]
    print("| spreads | seeds at the widths | errors | slope | widest | curvature | place |\n" + 7 * "|---" + "|")
    for spread, count, error, fit in rows:
        design = SPREADS[spread], COUNTS[count], ERRORS[error], replicates
        held = [f"{share:.1%}" for share in coverage(*design, fit=fit)]
        held.append("" if fit is fit_exponent else f"{places(*design):.1%}")
        same = ", the same at each" if fit is fit_exponent else ""
        print(f"| {spread} | {count}{same} | {error} | " + " | ".join(held) + " |", flush=True)
    print("\n| spreads | seeds of the pilot | errors | two stages | usual | times the seeds |\n" + 6 * "|---" + "|")
    for spread, count, error in itertools.product(SPREADS, ("5", "24 to 5"), ERRORS):
        stein, usual, factor = two_stages(SPREADS[spread], COUNTS[count], ERRORS[error], replicates)
        print(f"| {spread} | {count} | {error} | {stein:.1%} | {usual:.1%} | {factor:.1f} |", flush=True)
    print("\n| share of the variance | errors | holds it |\n" + 3 * "|---" + "|")
    for share, error in itertools.product((0.0, 0.2, 0.5), ERRORS):
        print(f"| {share} | {error} | {shares(share, ERRORS[error], replicates):.1%} |", flush=True)


if __name__ == "__main__":
    main()
