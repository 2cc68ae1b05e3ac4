"""Primitives draw the numbers that they are given."""

import numpy as np
from matplotlib.figure import Figure

from lab.figures import curves, style


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


def test_curves_are_named_at_their_ends_or_where_they_leave():
    x = np.arange(1.0, 5.0)
    falling, steeper = np.array([1.0, 0.1, 0.01, 0.001]), np.array([1.0, 0.01, 1e-4, 1e-6])
    ax = axes()
    ax.set_yscale("log")
    shown = [
        (x, np.ones(4), "flat", "k"),
        (x, falling, "falls", "b"),
        (x, steeper, "steep", "r"),
        (x, x * np.nan, "no", "g"),
    ]
    curves.label_curves(ax, shown, floor=0.05)
    places = {text.get_text().strip(): (text.xy, text.get_ha()) for text in ax.texts}
    assert places["falls"] == ((3.0, 0.01), "left")
    assert places["steep"] == ((2.0, 0.01), "right")
    assert places["flat"][0][0] > 1, "beside the axes"
    assert "no" not in places


def test_names_stand_at_the_heights_of_their_ends():
    ax = axes()
    ax.set_yscale("log")
    for height in (1.0, 1e-2, 1e-6):
        ax.plot([0, 1], [1.0, height])
    curves.label_ends(ax, [(1, 1.0, "high", "k"), (1, 1e-2, "middle", "k"), (1, 1e-6, "low", "k")])
    heights = {text.get_text(): text.xy[1] for text in ax.texts}
    assert 0 < heights["low"] < 0.1 < 0.6 < heights["middle"] < 0.7 < 0.9 < heights["high"] < 1


def test_departures_are_paths_and_lines_without_the_start():
    path, line = (np.array([0.0, 0.1, 0.2]), np.array([3.0, 2.0, 1.0])), (np.array([0.5, 1.0]), np.array([3.0, 4.0]))
    ax = curves.departures(axes(), [path, path], [line, line], ("path", "end", "line", "other"))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["path", "end", "line", "other"]
    assert ax.lines[0].get_xdata().tolist() == [0.1, 0.2]
    assert [ax.lines[k].get_xdata().tolist() for k in (1, 3)] == [[0.2], [1.0]]


def test_diverging_colours_have_black_in_the_middle():
    assert style.diverging(0) == "#000000"
    assert len({style.diverging(place) for place in (-1, -0.5, 0, 0.5, 1)}) == 5
    assert style.diverging(3) == style.diverging(1)
