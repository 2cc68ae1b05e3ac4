import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from comparisons import kit

ROWS = pd.DataFrame({"seed": [0, 1, 2] * 2, "c": [3.0] * 3 + [0.5] * 3, "gap": [1.0, 2.0, 4.0, np.nan, 5.0, -1.0]})


def test_groups_leave_out_what_is_missing_and_average_the_rest():
    found = kit.groups(ROWS, "gap", "c")
    assert list(found) == ["0.5", "3"]
    assert found["0.5"].values.tolist() == [5, -1]
    assert found["3"].average.value == pytest.approx(7 / 3)
    assert found["3"].average.interval is not None
    assert found["0.5"].average.interval is None


def test_logs_need_positive_values_and_a_unit_divides():
    found = kit.groups(ROWS, "gap", "c", log=True, unit=0.5)
    assert found["0.5"].values.tolist() == [10]
    assert found["3"].average.value == pytest.approx(4)
    assert kit.groups(ROWS.assign(gap=None), "gap", "c")["3"].average.value is None


def test_a_curve_along_a_column_has_a_hole_where_a_seed_is_missing():
    found = kit.along(ROWS, "gap", "c", log=True)
    assert found.x.tolist() == [0.5, 3]
    assert np.isnan(found.middle[0])
    assert found.middle[1] == pytest.approx(2)


def test_bands_have_their_names_and_different_colours():
    ax = Figure().subplots()
    curve = kit.along(ROWS, "gap", "c")
    kit.figures.bands(ax, [("one", curve), ("other", curve)], marker="o")
    assert [line.get_label() for line in ax.lines] == ["one", "other"]
    assert ax.lines[0].get_color() != ax.lines[1].get_color()
    assert {line.get_marker() for line in ax.lines} == {"o"}


def test_numbers_are_drawn_where_they_have_a_value():
    ax = Figure().subplots()
    kit.figures.grouped(ax, kit.groups(ROWS, "gap", "c"), "red", label="gap")
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0.5", "3"]
    kit.figures.through([ax], kit.Number.none("outside the grid"), "limit")
    assert not ax.texts
    kit.figures.through([ax], kit.Number.exact(1.0), "limit")
    assert ax.texts[0].get_text() == "limit"
    kit.figures.cloud(ax, kit.along(ROWS, "gap", "c"), "red")
