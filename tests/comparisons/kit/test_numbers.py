"""Keys, numbers, arms and fits: against plain arithmetic."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from comparisons.kit.arms import split
from comparisons.kit.fits import (
    at_each,
    curve,
    read_thresholds,
    threshold,
    threshold_degree,
)
from comparisons.kit.keys import Key, Quantity, family
from comparisons.kit.numbers import Number, finite, over_finite
from comparisons.kit.powers import exponent, fit_seeds, power_law
from comparisons.kit.wording import compare, compare_with_theory, format_number, format_value, joined, position


def test_a_key_becomes_text_with_its_parts_and_its_arm():
    gap = Quantity("exponent", "gap", meaning="Slope.")
    assert str(gap()) == "exponent.gap"
    assert str(gap(64, arm="all")) == "exponent.gap.64.all"
    assert str(gap(np.int64(1048576), 0.30000000000000004, "x")) == "exponent.gap.1048576.0.3.x"
    assert gap("a") == Key(("exponent", "gap", "a"), "", "another meaning")
    assert gap("a").meaning == "Slope."
    assert gap("a") != gap(arm="a"), "an arm is no part, though both have one text"
    assert family("slope", meanings={"a": "one", "b": "two"}, template="Of {}.")["b"].meaning == "Of two."


def test_means_and_geometric_means_have_students_intervals():
    values = np.array([1.0, 2.0, 4.0, 9.0])
    low, high = scipy.stats.t.interval(0.95, 3, values.mean(), scipy.stats.sem(values))
    number = Number.mean(values)
    assert (number.value, number.seeds) == (4.0, 4)
    assert number.interval == pytest.approx((low, high))
    assert Number.geometric(values).value == pytest.approx(scipy.stats.gmean(values))
    assert Number.mean(values[:2]).interval is None
    joint = Number.mean(values, together=5)
    assert (joint.interval, joint.value) == (number.interval, number.value)
    assert joint.joint.interval == pytest.approx(
        scipy.stats.t.interval(0.99, 3, values.mean(), scipy.stats.sem(values))
    )
    assert number.joint.interval is None
    assert Number.mean([1.0, None]).value is None
    assert Number.geometric([1.0, 0.0]).reason == "some seed has no positive value"
    assert Number.geometric([math.nan, 2.0, 0.0]).reason == "some seed has no finite value (it diverged?)"


@pytest.mark.parametrize("average", [Number.mean, Number.geometric, Number.median, Number.share])
def test_an_average_of_nothing_says_so(average):
    assert average([]) == Number.none("nothing was measured")


def test_medians_and_constants_have_no_interval_and_shares_have_wilsons():
    median = Number.median([3.0, 1.0, 7.0, 4.0])
    assert (median.value, median.interval, median.details) == (3.5, None, {"lowest": 1.0, "highest": 7.0})
    assert Number.median([3.0, None]).reason == "1 of 2 seeds diverged"
    share = Number.share([True, False, False, True, True])
    assert (share.value, share.seeds) == (0.6, 5)
    z, n, p = 1.959963984540054, 5, 0.6
    middle, half = (
        (p + z**2 / (2 * n)) / (1 + z**2 / n),
        z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5,
    )
    assert share.interval == pytest.approx((middle - half, middle + half))
    assert Number.share([True, None]) == Number.none("some seed has no finite value (it diverged?)", 2)


def test_an_average_over_runs_that_did_not_diverge_counts_the_others():
    number = over_finite([1.0, None, 4.0, math.inf])
    assert (number.value, number.seeds, number.reason) == (pytest.approx(2), 2, "without 2 diverged runs")
    assert over_finite([1.0, 4.0], Number.mean) == Number.exact(2.5, 2)
    assert over_finite([1.0, -4.0, None]).reason == "some seed has no positive value"
    assert (over_finite([None, None]).value, over_finite([None, None]).seeds) == (None, 2)


def test_nothing_measured_is_no_power_law():
    law = fit_seeds([], np.empty((0, 0)))
    assert (law.line, law.exponent.value, law.exponent.seeds) == (None, None, 0)
    assert law.exponent.reason == "nothing was measured"
    assert law.curve.x.shape == (0,)


def test_numbers_at_each_value_of_a_column():
    rows = pd.DataFrame({"arm": ["b", "b", "a", "a"], "gap": [1.0, 3.0, 5.0, 5.0], "left": [1.0, 4.0, 9.0, 1.0]})
    quantities = family("slope", meanings={"gap": "Gap.", "left": "Left."})
    found = at_each(rows, "arm", quantities, "all", Number.geometric)
    assert [str(key) for key in found] == ["slope.gap.b.all", "slope.gap.a.all", "slope.left.b.all", "slope.left.a.all"]
    assert found[quantities["left"]("b", arm="all")].value == pytest.approx(2)
    assert at_each(rows, "arm", {"gap": quantities["gap"]})[quantities["gap"]("b")].value == 2


def test_numbers_that_are_not_finite_are_null_with_a_reason():
    assert Number(math.inf, None, 3).as_json()["reason"] == "not finite"
    assert [Number.exact(value).as_json()["value"] for value in (math.nan, math.inf)] == [None, None]
    assert Number(1.0, (0.5, math.inf), 3).as_json()["interval"] is None
    assert Number.none("why").as_json() == {"value": None, "interval": None, "seeds": 0, "reason": "why"}
    assert Number(1.0, None, 2, details={"widths": [8]}).as_json()["widths"] == [8]
    assert [finite(value) for value in (1.0, math.nan, math.inf, None)] == [1.0, None, None, None]


def test_arms_have_the_suffix_of_their_value_but_for_the_first():
    table = pd.DataFrame({"readout": ["last", "all", "last"], "labels": ["task", "random", "random"]})
    main, other = split(table, "readout", {"all": "every step"})
    assert [(arm.name, arm.label, len(arm.rows)) for arm in (main, other)] == [
        ("", "last", 2),
        ("all", "every step", 1),
    ]
    assert [arm.name for arm in main.split("labels")] == ["", "random"]
    again = split(pd.concat([table, table.assign(readout="all")]), "readout")[1]
    assert [arm.name for arm in again.split("labels", suffix=lambda value: f"with_{value}")] == ["all", "all.with_task"]


def test_a_curve_is_the_mean_with_its_interval_and_holes():
    values = np.array([[1.0, 2.0, np.inf], [3.0, 4.0, 1.0], [8.0, 6.0, 1.0]])
    plain, logs = curve([1, 2, 3], values), curve([1, 2, 3], values, log=True)
    assert plain.middle[:2] == pytest.approx([4.0, 4.0])
    assert logs.middle[:2] == pytest.approx(scipy.stats.gmean(values[:, :2]))
    assert np.isnan(plain.middle[2])
    low, high = scipy.stats.t.interval(0.95, 2, 4.0, scipy.stats.sem(values[:, 0]))
    assert plain.ends[:, 0] == pytest.approx([low, high])
    assert curve([1], values[:2, :1]).ends is None


def made_up(slope=-0.5, **columns):
    rows = [{"seed": s, "width": m, "y": (1 + s) * m**slope} for s in range(4) for m in (8, 16, 32)]
    return pd.DataFrame(rows).assign(**columns)


def test_a_power_law_keeps_seeds_line_and_exponent_together():
    law = power_law(made_up(), "y")
    assert law.exponent.value == pytest.approx(-0.5)
    assert law.line[0] == law.exponent.value
    assert np.exp(law.line[1]) == pytest.approx(scipy.stats.gmean([1, 2, 3, 4]))
    assert law.curve.values.shape == (4, 3)
    assert law.exponent.details["widths"] == [8, 16, 32]
    table = made_up()
    table.loc[(table["seed"] == 1) & (table["width"] == 8), "y"] = np.inf
    left = power_law(table, "y", name="sizes")
    assert left.curve.x.tolist() == [16, 32]
    assert left.x.tolist() == [8, 16, 32]
    assert left.exponent.details["sizes"] == [16, 32]


def test_a_column_without_values_gives_the_cells_reason():
    table = made_up(y=np.nan, reasons="y: no gates; z: other")
    assert exponent(table, "y").reason == "no gates"


def test_thresholds_off_the_grid_leave_no_number():
    inside = read_thresholds([2.0, 8.0], [None, np.nan])
    assert threshold(inside).value == pytest.approx(4.0)
    outside = threshold(read_thresholds([2.0, 8.0], [None, "right"]))
    assert outside.value is None
    assert outside.reason == "1 of 2 seeds right censored at 8"
    assert threshold([]).reason == "no seed has one"


def test_a_degree_leaves_out_what_is_mostly_censored():
    table = made_up(1.0, mark=None)
    assert threshold_degree(table, "y", "mark").value == pytest.approx(1.0)
    table.loc[table["width"] == 32, "mark"] = "right"
    assert "left out: 32" in threshold_degree(table, "y", "mark").reason


@pytest.mark.parametrize(
    ("ends", "place", "phrase"),
    [
        ((-0.6, -0.4), "around", "compatible with the theory's exponent −0.5"),
        ((-0.3, -0.2), "above", "slower than the theory's exponent −0.5"),
        ((-0.9, -0.8), "below", "faster than the theory's exponent −0.5"),
        ((-0.4, 0.1), "above", "no trend is visible at this size"),
        ((0.1, 0.4), "above", "it increases in this range"),
        (None, None, "not judged: fewer than three seeds"),
    ],
)
def test_what_an_interval_says(ends, place, phrase):
    number = Number(-0.5, ends, 5)
    assert position(number, -0.5) == place
    assert phrase in compare_with_theory(number, -0.5)
    assert (
        compare(number, -0.5, below="less", above="more")
        == {
            "below": "less",
            "above": "more",
            "around": "no difference is visible",
            None: compare_with_theory(Number(1.0, None, 2), 0.0),
        }[place]
    )


def test_numbers_are_written_with_the_digits_that_their_interval_supports():
    assert format_number(Number(0.1234, (0.12, 0.13), 5)) == "0.123 (0.12 to 0.13)"
    assert format_number(Number(0.1234, (0.05, 0.2), 5)) == "0.12 (0.05 to 0.2)"
    assert format_number(Number(0.5, (0.4, math.inf), 5)) == "0.5 (0.4 or more)"
    assert format_number(Number(0.5, (-math.inf, 0.6), 5)) == "0.5 (0.6 or less)"
    assert format_number(Number(0.5, (-math.inf, math.inf), 5)) == "0.5 (not bounded)"
    assert format_number(Number(math.inf, (0.4, math.inf), 5)) == "∞ (0.4 or more)"
    assert [format_value(value) for value in (math.inf, -math.inf, math.nan)] == ["∞", "−∞", "undefined"]
    assert format_number(Number.none("why")) == "unknown (why)"
    assert [format_value(value) for value in (1e-16, 123456.0, -0.5, 1.234)] == ["0", "1.2e5", "−0.5", "1.23"]
    assert [joined(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


def test_rates_stay_between_0_and_1_and_are_means_of_angles():
    angles = np.array([0.2, 0.3, 0.55, 0.35])
    rate = Number.rate(np.sin(angles) ** 2)
    plain = Number.mean(angles)
    assert rate.value == pytest.approx(np.sin(plain.value) ** 2)
    assert rate.interval == pytest.approx(tuple(np.sin(plain.interval) ** 2))
    for sample in ([0.0, 0.0, 0.1], [1.0, 0.97, 1.0], [0.0, 1.0, 0.5], [0.0, 0.0, 0.0]):
        low, high = Number.rate(sample).interval
        assert 0 <= low <= Number.rate(sample).value <= high <= 1
    assert Number.rate([0.2, 0.3]).interval is None
    assert Number.rate([0.2, 1.2]).reason == "a value is no share from 0 to 1"
    assert Number.rate([0.2, None]).value is None
