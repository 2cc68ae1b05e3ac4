"""Lines of two laws against numpy's, and what is missing."""

import numpy as np
import pytest

from lab.measures.growth import fit_growth, fit_where_known

PLACES = np.array([2.0, 3.0, 4.0, 6.0])
VALUES = np.exp(np.random.default_rng(0).normal(size=(5, 4)))


@pytest.mark.parametrize("log", [False, True])
def test_lines_are_those_of_the_geometric_mean(log):
    x = np.log(PLACES) if log else PLACES
    expected = np.polyfit(x, np.log(VALUES).mean(0), 1)
    assert fit_growth(PLACES, VALUES).line(log=log) == pytest.approx(tuple(expected))


def test_places_that_some_seed_lacks_are_left_out():
    table = VALUES.copy()
    table[3, 1] = np.nan
    found = fit_where_known(PLACES, table)
    assert (found.places.tolist(), found.left_out.tolist()) == ([2, 4, 6], [3])
    assert np.array_equal(found.values, VALUES[:, [0, 2, 3]])
    assert found.fit.power == pytest.approx(fit_growth(PLACES[[0, 2, 3]], VALUES[:, [0, 2, 3]]).power)
    assert found.reason == "left out: 3"
    assert fit_where_known(PLACES, VALUES).reason is None
    table[0, 0] = np.nan
    assert "has a value: 4, 6" in fit_where_known(PLACES, table).reason
    assert fit_where_known(PLACES, table).fit is None
