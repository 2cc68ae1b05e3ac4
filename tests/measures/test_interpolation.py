import math

import numpy as np
import pytest

from lab.errors import LabError
from lab.measures.interpolation import nearest_in_logs, octaves, ratio_in_logs, value_at_last_fall
from tests.tolerances import EXACT


def test_an_exponential_error_gives_the_value_at_the_very_time():
    """errors e^(−t) and values 3t + 1: below 0.1 from t = log 10 on."""
    steps = np.arange(6.0)
    found = value_at_last_fall(np.exp(-steps), 3 * steps + 1, 0.1)
    assert found == pytest.approx(3 * math.log(10) + 1, rel=EXACT)


def test_it_is_the_last_fall_that_counts_and_an_error_of_zero_is_far_below():
    assert value_at_last_fall([1, 0.01, 1, 0.01], [0, 1, 2, 3], 0.1) == pytest.approx(2.5)
    assert value_at_last_fall([1, 0.0], [0, 1], 0.1) == pytest.approx(1 / 300)
    assert value_at_last_fall([0.1, 0.01], [4, 5], 0.1) == 4


@pytest.mark.parametrize("errors", [[1.0, 0.5], [0.05, 0.01], [1.0, np.nan], [1.0], []])
def test_an_error_that_never_falls_through_has_no_value(errors):
    assert value_at_last_fall(errors, np.zeros(len(errors)), 0.1) is None


@pytest.mark.parametrize("power", [0.5, -2.0])
def test_the_ratio_of_a_power_law_is_that_of_the_places(power):
    places = np.geomspace(0.1, 10, 8)
    found = ratio_in_logs(places, 7 * places**power, 3.3, 0.25)
    assert found == pytest.approx((3.3 / 0.25) ** power, rel=EXACT)


def test_between_points_it_is_linear_in_both_logs():
    assert ratio_in_logs([1, 4], [1, 16], 2, 1) == pytest.approx(4)
    assert ratio_in_logs([1, 4, 16], [1, 16, 16], 8, 2) == pytest.approx(4)


@pytest.mark.parametrize(
    ("places", "values", "above", "below"),
    [([1, 2], [1, 1], 3, 1), ([1, 2], [1, 1], 2, 0.5), ([1, 2], [1, np.nan], 2, 1), ([], [], 2, 1)],
)
def test_outside_the_grid_there_is_no_ratio(places, values, above, below):
    assert ratio_in_logs(places, values, above, below) is None


def test_pairs_that_do_not_match_are_refused():
    with pytest.raises(LabError, match="places"):
        ratio_in_logs([1, 2], [1], 2, 1)
    with pytest.raises(LabError, match="errors"):
        value_at_last_fall([1, 2], [1], 0.1)
    with pytest.raises(LabError, match="level"):
        value_at_last_fall([1, 2], [1, 2], 0.0)


@pytest.mark.parametrize(
    ("ends", "per_octave", "count"), [((0.05, 64.0), 2, 21), ((1.0, 8.0), 1, 4), ((0.1, 0.15), 2, 2)]
)
def test_octaves_go_from_the_start_to_the_end_in_equal_ratios(ends, per_octave, count):
    places = octaves(*ends, per_octave)
    assert (len(places), places[0]) == (count, ends[0])
    assert places[-1] <= ends[1] * 1.001 < places[-1] * 2 ** (1.01 / per_octave)
    assert np.diff(np.log2(places)) == pytest.approx(1 / per_octave, abs=1e-3)


def test_the_nearest_places_are_nearest_in_ratio_and_named_once():
    assert nearest_in_logs([1, 10, 100], [4, 3, 31, 32, 1000]) == [1, 10, 100]
    assert nearest_in_logs([1, 10, 100], [3, 0.1]) == [1]
    assert nearest_in_logs([], [3]) == []
