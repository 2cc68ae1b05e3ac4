"""Legends, titles and axes are readable; and the checker sees where they are not."""

import itertools

import numpy as np
import pytest

from lab.figures import curves, estimates, style
from tests.figures import layout

WIDTHS = np.array([64.0, 128.0, 256.0])


def lines(ax, names, **labels):
    for place, name in enumerate(names):
        ax.plot([1, 2], [1, 2 + place], label=name)
    ax.set(**labels)


def legend_boxes(figure):
    return {name: box for name, box in layout.boxes(figure).items() if name.startswith("legend")}


@pytest.mark.parametrize("name", style.STYLES)
@pytest.mark.parametrize("label", ["width", r"$\rho=\sqrt{m}\,\|W-W_0\|_2$", r"$\sigma_w^2=m\cdot$variance"])
def test_a_legend_stands_below_the_name_of_the_axis_and_inside_the_figure(name, label):
    with style.use(name):
        figure, axes = style.panels(2)
        for ax in axes[0]:
            lines(ax, ["one", "another one"], xlabel=label)
            curves.log_axis(ax.xaxis)
            style.legend_below(ax, columns=3)
        assert layout.flaws(figure) == []


def test_a_legend_that_is_too_wide_for_its_panel_has_fewer_columns():
    figure, axes = style.panels(2)
    for ax in axes[0]:
        lines(ax, [f"a rather long name of curve {number}" for number in range(5)])
        style.legend_below(ax, columns=5)
    assert len(legend_boxes(figure)) == 2
    assert all(box.width < figure.bbox.width / 2 for box in legend_boxes(figure).values())
    assert layout.flaws(figure) == []


@pytest.mark.parametrize("same", [True, False])
def test_panels_share_a_legend_where_it_is_the_same(same):
    figure, axes = style.panels(2)
    lines(axes[0, 0], ["one", "two"])
    lines(axes[0, 1], ["one", "two" if same else "three"])
    style.legends_below(figure)
    assert [legend is not None for legend in (axes[0, 0].get_legend(), axes[0, 1].get_legend())] == [not same] * 2
    assert [[text.get_text() for text in legend.get_texts()] for legend in figure.legends] == [["one", "two"]] * same


def test_panels_without_names_have_no_legend():
    figure, axes = style.panels(2)
    lines(axes[0, 1], ["one"])
    style.legends_below(figure)
    assert axes[0, 0].get_legend() is None
    assert axes[0, 1].get_legend() is not None
    assert not figure.legends


@pytest.mark.parametrize("name", style.STYLES)
def test_long_titles_fit_and_keep_intervals_in_one_line(name):
    text = "From width 64 to 1024 the largest test gap goes from 37 % (26 to 51) to 12 % (9.8 to 16), as width^−0.36 "
    with style.use(name):
        figure, axes = style.panels(1)
        lines(axes[0, 0], ["one"])
        style.headline(figure, text + "(−0.49 to −0.23); slower than the theory's exponent −0.5")
        assert layout.flaws(figure) == []
        written = figure._suptitle.get_text()
    assert "width$^{-0.36}$\xa0(−0.49\xa0to\xa0−0.23);" in written
    assert "37\xa0%\xa0(26\xa0to\xa051)" in written
    assert all("(" not in line or ")" in line for line in written.splitlines())


def test_a_short_title_is_one_line_of_usual_size():
    figure, _ = style.panels(2)
    style.headline(figure, "Short")
    assert figure._suptitle.get_text() == "Short"
    assert figure._suptitle.get_fontsize() == pytest.approx(1.2 * 10)


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_shades_are_seen_on_white(count):
    assert min(map(style.contrast, style.shades(count))) >= 3
    assert len(set(style.shades(count))) == count


@pytest.mark.parametrize("place", [-1, -0.5, -0.01, 0, 0.01, 0.5, 1])
def test_diverging_colours_are_seen_on_white(place):
    assert style.contrast(style.diverging(place)) >= 3


def test_bundles_are_seen_on_white_and_have_whole_widths():
    figure, axes = style.panels(1)
    names = [f"n = {number}" for number in range(5)]
    ax = curves.bundles(axes[0, 0], {name: [(WIDTHS, WIDTHS + place)] for place, name in enumerate(names)})
    colors = [line.get_color() for line in ax.lines]
    assert min(map(style.contrast, colors)) >= 3
    assert layout.flaws(figure) == []
    ax.set_xlim(0.7, 1.4)
    assert layout.fractional_widths(figure) == []


def test_whiskers_of_several_curves_stand_at_different_places():
    axes = style.panels(1)[1]
    x = np.geomspace(0.5, 50, 200)
    for turn in (0.25, 0.75):
        ends = np.stack([0.5 * x, 2 * x])
        estimates.whiskers(axes[0, 0], x, x, ends, turn, color="black", label="one")
    places = [container.lines[2][0].get_segments() for container in axes[0, 0].containers]
    one, other = ([segment[0][0] for segment in segments] for segments in places)
    assert len(one) == len(other) == 4
    assert min(abs(np.log(a / b)) for a, b in itertools.product(one, other)) > 0.3
    assert [tuple(segment[:, 1]) for segment in places[0]] == [pytest.approx((0.5 * at, 2 * at)) for at in one]


def test_what_is_wrong_is_seen():
    figure, axes = style.panels(1)
    lines(axes[0, 0], ["a name"], xlabel="width m")
    axes[0, 0].set_xticks([1, 1.5, 2])
    assert layout.flaws(figure) == [
        "the width 1.0 is no integer",
        "the width 1.5 is no integer",
        "the width 2.0 is no integer",
    ]
    axes[0, 0].set_xticks([1, 2], labels=["1", "2"])
    assert layout.flaws(figure) == []
    axes[0, 0].legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), borderaxespad=0)
    assert any("legend 0" in flaw and "label of x0" in flaw for flaw in layout.flaws(figure))
    axes[0, 0].get_legend().remove()
    figure.suptitle("much too long " * 20)
    assert any("title of the figure" in flaw and "leaves the figure" in flaw for flaw in layout.flaws(figure))
