"""How often a 95 % interval of an exponent holds it, by simulation.

    python -m tests.benchmarks.coverage [--replicates 4000]

Logs of a quantity at five widths scatter about a power law (or a parabola, for the curvature) by spreads that fall with
the width as those of the gap do, with numbers of seeds that fall, too, or are few. Errors are normal, heavy-tailed
(Student's t with 5 degrees of freedom) or skewed (a centred exponential), each of the stated standard deviation.
"""

from __future__ import annotations

import argparse

import numpy as np

from lab.measures.exponents import fit_exponent, fit_unpaired_exponent

WIDTHS = np.array([64, 128, 256, 512, 1024], dtype=float)
SPREADS = {"falling": (0.3, 0.22, 0.17, 0.13, 0.1), "equal": (0.2,) * 5, "rising": (0.1, 0.13, 0.17, 0.22, 0.3)}
COUNTS = {
    "24 to 5": (24, 16, 10, 7, 5),
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


def main():
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=4000)
    replicates = parser.parse_args().replicates
    rows = [(spread, count, error, fit_unpaired_exponent) for spread in SPREADS for count in COUNTS for error in ERRORS]
    rows += [("falling", "5", error, fit_exponent) for error in ERRORS]
    print("| spreads | seeds at the widths | errors | slope | widest | curvature |\n|---|---|---|---|---|---|")
    for spread, count, error, fit in rows:
        shares = coverage(SPREADS[spread], COUNTS[count], ERRORS[error], replicates, fit=fit)
        same = ", the same at each" if fit is fit_exponent else ""
        print(f"| {spread} | {count}{same} | {error} | " + " | ".join(f"{share:.1%}" for share in shares) + " |")


if __name__ == "__main__":
    main()
