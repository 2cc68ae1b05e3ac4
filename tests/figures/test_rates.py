"""Primitives of step sizes and phases draw the numbers that they are given."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from lab.figures import curves, estimates


def axes(rows=1):
    return Figure().subplots(rows, 1, squeeze=False)[:, 0]


def test_errors_are_drawn_against_kernel_time_without_step_zero():
    (ax,) = axes()
    network, linear = np.array([1.0, 0.5, 0.2]), np.array([1.0, 1e9, np.inf])
    curves.falling_errors(ax, [0.5, 2.0], [(network, linear), (network, linear)], 0.1)
    assert ax.lines[0].get_xdata().tolist() == [0.5, 1.0]
    assert ax.lines[2].get_xdata().tolist() == [2.0, 4.0]
    assert ax.lines[0].get_ydata().tolist() == [0.5, 0.2]
    assert ax.get_ylim() == (1e-2, 1e3)
    assert {text.get_text(): text.xy[0] for text in ax.texts[1:]} == {"c = 0.5": 1.0, "c = 2": 4.0}


def test_residuals_end_with_a_dot_and_share_one_axis_of_steps():
    (ax,) = axes()
    curves.residuals(ax, [np.array([1.0, 0.5]), np.array([1.0, 3.0, 0.4])], ["one", "two"], 0.5)
    assert ax.lines[1].get_xydata().tolist() == [[1, 0.5]]
    assert ax.lines[3].get_xydata().tolist() == [[2, 0.4]]
    assert ax.get_xlim() == (0, 2)


def test_one_dash_leaves_out_the_colour_of_what_is_missing():
    (ax,) = axes()
    line = (np.array([0.0, 1.0]), np.array([2.0, 3.0]))
    curves.dashed(ax, [line, None, line], "kernel", "--")
    colors = [drawn.get_color() for drawn in ax.lines]
    assert colors[:2] == [curves.shades(3)[0], curves.shades(3)[2]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["kernel"]


def test_a_span_is_named_in_its_middle_on_a_logarithmic_axis():
    both = axes(2)
    curves.span(both, 1.0, 100.0, "catapult")
    assert all(len(ax.patches) == 1 for ax in both)
    assert both[1].texts[0].xy == (10.0, 0.5)


@pytest.mark.parametrize("interval", [(0.5, 2.0), None])
def test_a_value_goes_through_all_panels_and_its_interval_is_in_the_first(interval):
    both = axes(2)
    estimates.through(both, 1.0, interval, text="limit", beside="left")
    assert [ax.lines[0].get_xdata() for ax in both] == [[1.0, 1.0]] * 2
    assert both[0].texts[0].get_ha() == "right"
    ends = [list(line.get_xdata()) for line in both[0].lines[1:]]
    assert ends == ([] if interval is None else [[0.5, 2.0]])
