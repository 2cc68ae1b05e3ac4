"""Primitives draw the numbers that they are given."""

import numpy as np
from matplotlib.figure import Figure

from lab.figures import curves


def axes():
    return Figure().subplots()


def test_ticks_keep_apart():
    ax = curves.ticks_at(axes(), [10.0, 1.0, 1.2, 2.0, 2.0, 400.25])
    assert ax.get_xticks().tolist() == [1.0, 2.0, 10.0, 400.25]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2", "10", "400"]


def test_a_law_crosses_the_axes_and_leaves_their_limits():
    ax = axes()
    ax.set(xscale="log", yscale="log", xlim=(4, 64))
    curves.law(ax, np.sqrt, "square root")
    assert ax.get_xlim() == (4, 64)
    assert ax.lines[0].get_ydata().tolist() == [2, 8]


def test_bundles_have_one_name_and_one_colour_each():
    x, names = np.array([2.0, 4.0]), ["n = 8", "n = 16"]
    ax = curves.bundles(axes(), {name: [(x, x), (x, 2 * x)] for name in names}, level=3.0, log=True)
    *drawn, level = ax.lines
    assert [text.get_text() for text in ax.get_legend().get_texts()] == names
    assert drawn[0].get_color() == drawn[1].get_color() != drawn[2].get_color()
    assert level.get_ydata() == [3.0, 3.0]
    one = curves.bundles(axes(), {"n = 8": [(x, x)]})
    assert one.lines[0].get_color() == drawn[0].get_color(), "the same in every panel"
