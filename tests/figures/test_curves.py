"""Primitives draw the numbers that they are given."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from lab.figures import curves, style


def axes():
    return Figure().subplots()


def test_ticks_keep_apart():
    ax = curves.ticks_at(axes(), [10.0, 1.0, 1.2, 2.0, 2.0, 400.0])
    assert ax.get_xscale() == "log"
    assert ax.get_xticks().tolist() == [1.0, 2.0, 10.0, 400.0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2", "10", "400"]


def labels_between(ax, low, high):
    ax.set_xlim(low, high)
    ax.figure.canvas.draw()
    return [
        text.get_text() for tick, text in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True) if low <= tick <= high
    ]


def test_ticks_stand_at_round_numbers_where_places_are_none():
    ax = curves.ticks_at(axes(), [1 / 0.3, 10.0, 1 / 0.03])
    assert labels_between(ax, 3, 40) == ["5", "10", "20"]


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.29, 0.71, ["0.3", "0.4", "0.5", "0.6", "0.7"]),
        (0.9, 60, ["1", "2", "5", "10", "20", "50"]),
        (0.001, 1e4, ["0.001", "0.01", "0.1", "1", "10", "100", "1000", "10000"]),
        (1e-6, 1, [f"$10^{{{power}}}$" for power in range(-6, 1)]),
        (2e4, 6e5, [r"$2\cdot10^{4}$", r"$5\cdot10^{4}$", "$10^{5}$", r"$2\cdot10^{5}$", r"$5\cdot10^{5}$"]),
    ],
)
def test_logarithmic_axes_have_plain_decimals_or_powers_alone(low, high, labels):
    ax = axes()
    curves.log_axis(ax.xaxis)
    assert labels_between(ax, low, high) == labels


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
    assert ax.get_legend_handles_labels()[1] == names
    assert drawn[0].get_color() == drawn[1].get_color() != drawn[2].get_color()
    assert level.get_ydata() == [3.0, 3.0]
    one = curves.bundles(axes(), {"n = 8": [(x, x)]})
    assert one.lines[0].get_color() == drawn[0].get_color(), "the same in every panel"


def test_departures_are_paths_and_lines_without_the_start():
    path, line = (np.array([0.0, 0.1, 0.2]), np.array([3.0, 2.0, 1.0])), (np.array([0.5, 1.0]), np.array([3.0, 4.0]))
    ax = curves.departures(axes(), [path, path], [line, line], ("path", "end", "line", "other"))
    assert ax.get_legend_handles_labels()[1] == ["path", "end", "line", "other"]
    assert ax.lines[0].get_xdata().tolist() == [0.1, 0.2]
    assert [ax.lines[k].get_xdata().tolist() for k in (1, 3)] == [[0.2], [1.0]]


def test_diverging_colours_have_black_in_the_middle():
    assert style.diverging(0) == "#000000"
    assert len({style.diverging(place) for place in (-1, -0.5, 0, 0.5, 1)}) == 5
    assert style.diverging(3) == style.diverging(1)
