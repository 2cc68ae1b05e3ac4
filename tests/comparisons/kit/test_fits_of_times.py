"""Medians of censored times and ratios paired by seed."""

import numpy as np
import pandas as pd
import pytest

from comparisons import kit


def times(values, censored=(), width=64):
    marks = ["right" if place in censored else None for place in range(len(values))]
    return pd.DataFrame({"width": width, "seed": range(len(values)), "time": values, "mark": marks})


def test_the_median_counts_runs_that_never_came_as_later():
    rows = pd.concat([times([1.0, 2.0, 3.0, 9.0, 9.0], censored=(3, 4)), times([5.0, 6.0, 7.0], width=128)])
    found = kit.median_time(rows, "time", "mark")
    assert (found.value, found.seeds) == (6.0, 3)
    assert found.details == {"width": 128, "medians": {"64": 3.0, "128": 6.0}}
    assert kit.median_time(times([1.0, 9.0, 9.0], censored=(1, 2)), "time", "mark").value is None


def test_the_median_leaves_out_what_diverged():
    rows = pd.concat([times([1.0, 2.0, np.nan]), times([np.nan] * 3, width=128)])
    assert "largest width diverged" in kit.median_time(rows, "time", "mark").reason
    assert kit.median_time(rows[rows["width"] == 64], "time", "mark").seeds == 2


def test_ratios_are_paired_whatever_the_order_of_the_rows():
    rows = pd.DataFrame({"width": 8, "seed": [0, 1, 2, 3], "gap": [1.0, 2.0, 3.0, np.nan]})
    unit = pd.DataFrame({"width": 8, "seed": [2, 1, 0, 3, 4], "gap": [1.5, 1.0, 0.5, 1.0, 1.0]})
    found = kit.paired_ratio(rows, unit, "gap", ("width", "seed"))
    assert found.value == pytest.approx(2.0)
    assert found.seeds == 3
    assert kit.paired_ratio(rows, unit[unit["seed"] > 2], "gap", ("width", "seed")).value is None
