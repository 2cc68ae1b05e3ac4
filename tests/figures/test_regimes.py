"""The picture of the plane: laws, crosses, and what is left out."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from lab.figures import regimes, style


def axes():
    return style.panels(1)[1][0, 0]


def test_a_line_of_a_slope_passes_through_the_middle_of_the_points():
    ax = axes()
    regimes.slope_line(ax, {16: 4.0, 64: 1.0}, -0.5, np.array([16, 1024]), "slope")
    x, y = ax.lines[0].get_data()
    assert x.tolist() == [16, 1024]
    assert y[1] / y[0] == pytest.approx(1 / 8)
    assert np.exp(np.interp(np.log(32), np.log(x), np.log(y))) == pytest.approx(2)
    assert not regimes.slope_line(axes(), {}, -0.5, np.array([16, 64]), "slope").lines


def test_places_without_a_gap_have_a_cross_and_no_square():
    ax = axes()
    places = np.array([16.0, 16.0, 64.0]), np.array([0.5, 2.0, 2.0])
    gaps, complete = np.array([np.nan, 1.0, 0.01]), np.array([False, False, True])
    regimes.plane(ax, places, gaps, complete, limits=(0.01, 1.0), label="gap")
    assert ax.collections[0].get_offsets().tolist() == [[16, 2], [64, 2]]
    assert [line.get_ydata().tolist() for line in ax.lines] == [[0.5, 2.0]] * 2
    ax.collections[0].update_scalarmappable()
    rich, lazy = map(to_hex, ax.collections[0].get_facecolors())
    assert style.contrast(rich) > style.contrast(lazy)


def test_a_limit_is_a_line_behind_the_squares():
    ax = axes()
    regimes.limit(ax, np.array([16, 64]), np.array([0.5, 0.25]), "here")
    assert ax.lines[0].get_ydata().tolist() == [0.5, 0.25]
    assert ax.lines[0].get_zorder() < 1
    assert [text.get_text() for text in ax.texts] == ["here"]
