"""Curves are named at their ends where that is possible, and in legends where it is not."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from lab.figures import labels, style
from tests.figures import layout

X = np.arange(1.0, 6.0)


def axes():
    return Figure().subplots()


def panels(*drawn, look="default", rows=1, **size):
    """A figure with a panel for each list of (x, y, name), whose curves are named."""
    with style.use(look):
        figure, axes = style.panels(len(drawn) // rows, rows, **size)
        for ax, curves in zip(axes.flat, drawn, strict=True):
            for x, y, name in curves:
                ax.plot(x, y, label=name)
        labels.name_curves(figure)
        assert layout.flaws(figure) == []
    return figure


def names(ax):
    return [text.get_text() for text in ax.texts]


def legends(figure):
    found = [ax.get_legend() for ax in figure.axes] + figure.legends
    return [[text.get_text() for text in legend.get_texts()] for legend in found if legend is not None]


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
    labels.label_curves(ax, shown, floor=0.05)
    places = {text.get_text().strip(): (text.xy, text.get_ha()) for text in ax.texts}
    assert places["falls"] == ((3.0, 0.01), "left")
    assert places["steep"] == ((2.0, 0.01), "right")
    [flat] = [text for text in ax.texts if text.get_text() == "flat"]
    assert flat.get_position()[0] > 1, "beside the axes"
    assert flat.xy == (4.0, 1.0), "a line leads to the end of the curve"
    assert "no" not in places


def test_names_stand_at_the_heights_of_their_ends():
    ax = axes()
    ax.set_yscale("log")
    for height in (1.0, 1e-2, 1e-6):
        ax.plot([0, 1], [1.0, height])
    ends = [labels.End(1, y, text, "k") for y, text in ((1.0, "high"), (1e-2, "middle"), (1e-6, "low"))]
    labels.label_ends(ax, ends)
    heights = {text.get_text(): text.get_position()[1] for text in ax.texts}
    assert 0 < heights["low"] < 0.1 < 0.6 < heights["middle"] < 0.7 < 0.9 < heights["high"] < 1


def test_names_are_beside_the_ends_in_their_colours_and_do_not_overlap():
    figure = panels([(X, X, "one"), (X, X + 0.01, "two"), (X, -X, "three")])
    (ax,) = figure.axes
    assert sorted(names(ax)) == ["one", "three", "two"]
    assert not legends(figure)
    for text in ax.texts:
        line = next(line for line in ax.lines if line.get_label() == text.get_text())
        assert text.xy == (5.0, line.get_ydata()[-1])
        assert text.get_color() == style.text_color(to_hex(line.get_color()))
    boxes = sorted((Text.get_window_extent(text) for text in ax.texts), key=lambda box: box.y0)
    assert all(low.y1 <= high.y0 for low, high in itertools.pairwise(boxes))


def test_the_right_end_of_an_inverted_axis_is_its_smallest_place():
    ax = axes()
    ax.plot(X, X, label="one")
    ax.invert_xaxis()
    assert [(end.x, end.y) for end in labels.ends_of(ax)] == [(1.0, 1.0)]


def test_panels_with_the_same_names_have_them_once_in_each_row():
    curves = [(X, X, "one"), (X, -X, "two")]
    figure = panels(*[curves] * 4, rows=2)
    assert [len(ax.texts) for ax in figure.axes] == [0, 2, 0, 2]
    with style.use():
        figure, axes = style.panels(2, 2)
        for ax in axes.flat[:3]:
            for x, y, name in curves:
                ax.plot(x, y, label=name)
        axes[1, 1].remove()
        labels.name_curves(figure)
    assert [len(ax.texts) for ax in figure.axes] == [0, 2, 2], "the last row is not full"
    other = [(X, X, "one"), (X, -X, "three")]
    assert [len(ax.texts) for ax in panels(curves, other).axes] == [2, 2]


@pytest.mark.parametrize(
    "curves",
    [
        pytest.param([(X, X, "one"), (X[:2], X[:2], "short")], id="one ends elsewhere"),
        pytest.param([(X, X, "one"), (X, X, "same")], id="all end in one place"),
        pytest.param([(X, X, "one"), ([], [], "key")], id="one is no curve"),
        pytest.param([(X, k * X, f"{k} {'long ' * 13}name") for k in range(8)], id="no room"),
    ],
)
def test_where_curves_cannot_be_named_beside_the_axes_there_are_legends(curves):
    figure = panels(curves, [(X, X, "alone"), (X, -X, "free")], size=(7.0, 4.0))
    assert [len(ax.texts) for ax in figure.axes] == [0, 0]
    assert legends(figure) == [[name for *_, name in curves], ["alone", "free"]]


def test_a_curve_without_a_point_is_named_at_the_bottom_without_a_line():
    figure = panels([(X, X, "one"), (X, X * np.nan, "none")])
    found = {text.get_text(): text for text in figure.axes[0].texts}
    assert found["none"].get_position()[1] < 0.1
    assert found["none"].arrow_patch is None
    assert found["one"].arrow_patch is not None


def test_estimates_are_named_where_they_run_along_the_axis_but_not_in_rows():
    ax = axes()
    ax.errorbar([1, 2], [3, 4], yerr=[1, 1], label="along", fmt="o")
    assert [end.text for end in labels.ends_of(ax)] == ["along"]
    ax = axes()
    ax.errorbar([1, 2], [0, 1], xerr=[1, 1], label="rows", fmt="o")
    assert labels.ends_of(ax) == []


def test_names_break_after_a_colon_and_keep_intervals_whole():
    figure = panels([(X, X, "a quantity: slope −0.50 (−0.61 to −0.39)"), (X, -X, "short")], size=(5.0, 4.0))
    assert names(figure.axes[0])[1] == "a quantity:\nslope −0.50\n(−0.61\xa0to\xa0−0.39)"


def test_a_slide_with_two_rows_leaves_out_what_has_no_room():
    curves = [
        (X, k * X, f"quantity {k}: slope −0.50 (−0.61 to −0.39)\nno mean at 64 (8/24 diverged)") for k in (1, 2, 3)
    ]
    slide = panels(*[curves] * 4, look="lecture", rows=2)
    assert [sorted(names(ax)) for ax in slide.axes] == [[], ["quantity 1", "quantity 2", "quantity 3"]] * 2
    one_row = panels(*[curves] * 2, look="lecture")
    assert all("slope" in name and "no mean" in name for name in names(one_row.axes[1]))


@pytest.mark.parametrize("look", ["paper", "lecture"])
def test_names_fit_a_page(look):
    curves = [(X, (k + 1) * X, f"quantity {k}: slope −0.50 (−0.61 to −0.39)") for k in range(3)]
    figure = panels(curves, [(x, 1 / y, name.title()) for x, y, name in curves], look=look)
    figure.fit()
    assert [len(ax.texts) for ax in figure.axes] == [3, 3]
    assert layout.flaws(figure) == []


def test_names_in_place_stand_at_the_ends_and_above_where_a_curve_leaves():
    ax = axes()
    ax.set(xlim=(0, 10), ylim=(0, 10))
    shown = [(X, X, "a", "k"), (X[:3], X[:3], "b", "k"), (X, 4 * X, "leaves", "k")]
    labels.label_in_place(ax, shown)
    places = {text.get_text(): (text.xy[0], text.get_ha()) for text in ax.texts}
    assert places == {"a": (5.0, "left"), "b": (3.0, "left"), "leaves": (3.0, "center")}
