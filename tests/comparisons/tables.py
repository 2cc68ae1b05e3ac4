"""Made-up tables, and the numbers of a conclusion by the text of their keys."""

import numpy as np
import pandas as pd


def power_law(quantities, slope, *, seeds=5, spread=0.02, level=1.0, **context):
    """One row per width and seed, in which all quantities are power laws with this slope, a little apart by seed."""
    noise = np.random.default_rng(0).normal(0, spread, seeds)
    rows = [
        {"readout": "last", "width": m, "seed": seed, **dict.fromkeys(quantities, level * m ** (slope + noise[seed]))}
        for m in (64, 128, 256, 512)
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows).assign(variant="centred", **context)


def numbers_of(conclusion):
    """The numbers by text, as the summary has them."""
    return {str(key): number for key, number in conclusion.numbers.items()}
