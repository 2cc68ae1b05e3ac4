"""A law is a line on its own scale, and passes through points that follow it."""

import numpy as np
import pytest

from lab.figures.curves import reference
from lab.figures.growth import Series, growth, on_both_scales
from lab.figures.style import panels

X = np.array([2.0, 4.0, 8.0])


@pytest.mark.parametrize("log", [False, True])
def test_the_line_of_a_law_passes_through_its_points(log):
    law = np.log(X) if log else X
    values = np.exp(0.5 * law + 1)
    series = Series("made up", X, values[None], values, exponential=(0.5, 1.0), power=(0.5, 1.0))
    ax = panels(1)[1][0, 0]
    growth(ax, series, log=log, color="black")
    x, y = ax.lines[-1].get_data()
    for place in (0, -1):
        assert (x[place], y[place]) == pytest.approx((X[place], values[place]))
    transformed = ax.transData.transform(np.column_stack([x, y]))
    assert np.allclose(np.diff(transformed[:, 1]) / np.diff(transformed[:, 0]), np.polyfit(*transformed.T, 1)[0])


def test_a_figure_has_both_scales_and_one_legend():
    series = Series("made up", X, X[None], X, np.stack([X / 2, 2 * X]))
    empty = Series("nothing", X[:0], X[None, :0], X[:0])
    figure = on_both_scales({"one": [series, empty], "two": [series]}, X, xlabel="d", title="growth")
    assert [ax.get_xscale() for ax in figure.axes] == ["linear", "log"] * 2
    assert all(ax.get_yscale() == "log" for ax in figure.axes)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["made up"]


def test_a_reference_stands_at_its_value():
    ax = panels(1)[1][0, 0]
    reference(ax, 0.3, "here")
    reference(ax, 0.7, "there", horizontal=True)
    assert ax.lines[0].get_xdata()[0] == 0.3
    assert ax.lines[1].get_ydata()[0] == 0.7
    assert [text.get_text() for text in ax.texts] == ["here", "there"]
