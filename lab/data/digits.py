"""scikit-learn's 8×8 digits as labelled series of 8 rows."""

from __future__ import annotations

import functools

from sklearn.datasets import load_digits

from lab.data.labelled import Labelled, Part, join


@functools.cache
def load() -> Labelled:
    """All 1,797 digits of ten classes: each picture is 8 steps of 8 pixels, from 0 to 16."""
    images, labels = load_digits(return_X_y=True)
    return join([Part(list(images.reshape(-1, 8, 8)), [str(label) for label in labels])], "digits")
