import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import LabError
from lab.measures.thresholds import Threshold, first_passage, median_survival

TIMES = [0.0, 1.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("values", "place", "censored"),
    [
        ([0, 0.5, 1.5, 0.2], 2.0, None),  # the first passage counts, not the last
        ([0, 0.5, np.inf, np.inf], 3.0, None),
        ([0, np.nan, 0.1, 0.1], 1.0, None),
        ([0, 0.5, 0.9, 1.0], 4.0, "right"),  # at the level is not above it
        ([2, 0, 0, 0], 0.0, "left"),
    ],
)
def test_a_passage_is_the_first_time_above(values, place, censored):
    assert first_passage(TIMES, values, 1.0) == Threshold(place, censored)


def test_a_passage_hardly_depends_on_the_looks():
    fine = np.linspace(0, 10, 1001)
    coarse = fine[::50]
    assert first_passage(coarse, coarse**1.2, 3.3).value == pytest.approx(
        first_passage(fine, fine**1.2, 3.3).value, 1e-2
    )


def test_times_that_do_not_ascend_are_refused():
    for times in ([0, 1, 1, 2], [0, 1, 2]):
        with pytest.raises(LabError):
            first_passage(times, [0, 0, 0, 0], 1.0)


def product_limit(times, ended):
    """Kaplan and Meier's curve at each time, factor by factor."""
    survival, found = 1.0, []
    for time in sorted(set(times)):
        at_risk = sum(other >= time for other in times)
        events = sum(other == time and end for other, end in zip(times, ended, strict=True))
        survival *= 1 - events / at_risk
        found.append((time, survival))
    return found


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=12))
def test_the_median_is_where_the_product_limit_halves(runs):
    times, ended = zip(*runs, strict=True)
    expected = next((time for time, left in product_limit(times, ended) if left <= 0.5 + 1e-12), None)
    found = median_survival([Threshold(float(t), None if end else "right") for t, end in runs])
    assert found.value == expected
    assert (found.reason is None) == (expected is not None)


def test_without_censoring_it_is_the_median_with_an_interval_around_it():
    times = np.random.default_rng(0).exponential(size=41)
    found = median_survival([Threshold(time) for time in times])
    assert found.value == np.median(times)
    assert found.interval[0] < found.value < found.interval[1]


def test_more_than_half_that_never_come_have_no_median():
    seen, later = [Threshold(1.0), Threshold(2.0)], [Threshold(9.0, "right")] * 3
    assert median_survival(seen + later).reason == "only 2 of 5 came"
    assert median_survival(later).reason == "none of 3 came"
    assert median_survival(seen).value == 1.0
    with pytest.raises(LabError):
        median_survival([Threshold(1.0, "left")])
