"""Made-up tables, and the numbers of a conclusion by the text of their keys."""

import numpy as np
import pandas as pd


def power_law(quantities, slope, *, seeds=5, spread=0.02, level=1.0, widths=(64, 128, 256, 512), **context):
    """One row per width and seed, in which all quantities are power laws with this slope, apart from noise.

    Widths have seeds of their own, so the noise is independent by width and seed. ``spread`` is the standard deviation
    of the slope that one seed at each width gives.
    """
    noise = np.random.default_rng(0).normal(0, spread * np.log(widths).std() * len(widths) ** 0.5, (len(widths), seeds))
    rows = [
        {"readout": "last", "width": m, "seed": seed, **dict.fromkeys(quantities, level * m**slope * np.exp(apart))}
        for m, each in zip(widths, noise, strict=True)
        for seed, apart in enumerate(each)
    ]
    return pd.DataFrame(rows).assign(variant="centred", **context)


def numbers_of(conclusion):
    """The numbers by text, as the summary has them."""
    return {str(key): number for key, number in conclusion.numbers.items()}
