"""The numbers that answer a question: which of a run's numbers the patterns of a comparison select."""

from types import SimpleNamespace

import pytest

from comparisons.kit.comparison import headlines
from comparisons.kit.keys import Quantity
from comparisons.kit.numbers import Number
from lab import LabError

GAP, SLOPE = Quantity("gap_test", meaning="The gap."), Quantity("exponent", "gap_test", meaning="Its slope.")
KEYS = [GAP(64), GAP(1024), GAP(512, arm="erf"), GAP(0.5), SLOPE(), SLOPE(arm="erf")]
NUMBERS = {key: Number(1.0, (0.5, 2.0), 5) for key in KEYS} | {GAP("none"): Number.none("nothing was measured")}


def selected(*patterns):
    return [str(key) for key in headlines(SimpleNamespace(HEADLINES=patterns), NUMBERS)]


def test_patterns_select_in_their_own_order_and_each_number_once():
    assert selected("exponent.gap_test", "gap_test.64", "*.erf") == [
        "exponent.gap_test", "gap_test.64", "gap_test.512.erf", "exponent.gap_test.erf",
    ]  # fmt: skip
    assert selected("gap_test.*[0-9]", "gap_test.64") == ["gap_test.64", "gap_test.1024", "gap_test.0.5"]
    assert selected("nothing.*", "nothing.#") == []


def test_the_sign_for_the_largest_number_compares_numbers_and_not_texts():
    assert selected("gap_test.#") == ["gap_test.1024"]
    assert selected("gap_test.#.erf") == ["gap_test.512.erf"]


def test_without_patterns_every_number_with_an_interval_counts():
    assert headlines(SimpleNamespace(), NUMBERS) == KEYS


@pytest.mark.parametrize("patterns", ["gap_test.64", ["gap_test.64"], (64,)])
def test_what_is_no_tuple_of_texts_is_refused(patterns):
    with pytest.raises(LabError, match="HEADLINES"):
        headlines(SimpleNamespace(HEADLINES=patterns), NUMBERS)
