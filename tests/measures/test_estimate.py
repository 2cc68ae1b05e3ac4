"""Estimates on another scale."""

import numpy as np
import pytest

from lab.measures.estimate import Estimate


def test_the_exponential_of_an_estimate():
    found = Estimate(0.0, (-1.0, 2.0), "left out: 3").exp()
    assert (found.value, found.reason) == (1.0, "left out: 3")
    assert found.interval == pytest.approx((np.exp(-1), np.exp(2)))


def test_what_is_missing_stays_missing():
    assert Estimate(None, None, "none").exp() == Estimate(None, None, "none")
