"""Variance components against the F distribution, and by simulation."""

import numpy as np
import pytest
import scipy.stats

from lab.errors import LabError
from lab.measures.components import group_share
from tests.benchmarks.coverage import ERRORS, shares


def test_the_share_follows_from_the_variance_ratio():
    table = np.random.default_rng(0).normal(size=(6, 3)) + np.random.default_rng(1).normal(size=(6, 1))
    ratio = scipy.stats.f_oneway(*table).statistic
    found = group_share(table)
    assert found.value == pytest.approx((ratio - 1) / (ratio + 2))
    low, high = found.interval
    # F/(1 + 3 s/(1 − s)) has the F distribution: the ends are where its tails are 2.5 %
    for share, tail in ((low, 0.025), (high, 0.975)):
        scaled = ratio / (1 + 3 * share / (1 - share))
        assert scipy.stats.f.sf(scaled, 5, 12) == pytest.approx(tail)


def test_intervals_hold_the_share_as_often_as_they_say():
    assert shares(0.2, ERRORS["normal"], 1000) == pytest.approx(0.95, abs=0.02)  # three standard errors


def test_extremes_and_bad_input():
    assert group_share([[1.0, 1.0], [2.0, 2.0]]).value == 1.0
    assert group_share(np.ones((3, 2))).reason == "nothing varies"
    alike = group_share([[0.0, 1.0], [1.0, 0.0], [0.5, 0.4]])
    assert (alike.value, alike.interval[0]) == (0.0, 0.0)
    for bad in ([[1.0], [2.0]], [[1.0, np.nan], [1.0, 2.0]], [1.0, 2.0]):
        with pytest.raises(LabError, match="values: got"):
            group_share(bad)
