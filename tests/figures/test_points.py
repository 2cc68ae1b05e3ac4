"""What guides, censored points and levels put into the axes."""

import numpy as np
import pytest

from lab.figures import curves, estimates, style


def axes():
    _, found = style.panels(2, sharey=True)
    return found[0]


def test_a_guide_has_its_slope_and_lies_below_the_points():
    ax = axes()[0]
    curves.guide(ax, np.array([3.0, 3.0, 30.0, 300.0]), np.array([4.0, 2.0, 0.5, np.nan]), -1.0, "theory")
    x, y = ax.lines[0].get_data()
    assert x.tolist() == [3.0, 30.0]
    assert y == pytest.approx([1.0, 0.1])
    assert not curves.guide(axes()[0], np.array([1.0, 2.0]), np.array([1.0, 0.0]), -1.0, "theory").lines


def test_censored_points_are_open_triangles():
    ax = axes()[0]
    estimates.censored(ax, np.array([8.0, 16.0]), np.array([1.0, 5.0]), np.array([True, False]), color="k", shift=2.0)
    known, later = ax.lines
    assert (known.get_xdata().tolist(), known.get_ydata().tolist()) == ([16.0], [1.0])
    assert (later.get_xdata().tolist(), later.get_ydata().tolist()) == ([32.0], [5.0])
    assert (later.get_marker(), later.get_markerfacecolor()) == ("^", "none")


def test_levels_go_through_all_panels_and_are_named_at_their_left_ends():
    panels = axes()
    estimates.across(panels, [0.1, 0.05])
    assert [[line.get_ydata()[0] for line in ax.lines] for ax in panels] == [[0.1, 0.05]] * 2
    for ax in panels:
        assert [(text.get_text(), text.xy, text.get_ha()) for text in ax.texts] == [
            (" 0.1", (0.0, 0.1), "left"),
            (" 0.05", (0.0, 0.05), "left"),
        ]


def test_shades_are_different_and_darken():
    colors = style.shades(4)
    assert len(set(colors)) == 4
    light = [sum(int(color[i : i + 2], 16) for i in (1, 3, 5)) for color in colors]
    assert light == sorted(light, reverse=True)
    assert len(style.shades(1)) == 1
