"""Colours of the figures can be seen and read on white."""

import pytest

from lab.figures import style


def test_contrast_is_that_of_the_definition():
    assert style.contrast("#ffffff") == pytest.approx(1)
    assert style.contrast("#000000") == pytest.approx(21)
    assert style.contrast("#767676") == pytest.approx(4.54, abs=0.01)  # the lightest grey for text, as WCAG gives it


@pytest.mark.parametrize("color", [*style.QUANTITIES, *(line.color for line in style.LEARNERS.values()), style.GREY])
def test_lines_are_seen_and_text_is_read(color):
    assert style.contrast(color) >= 3
    assert style.contrast(style.text_color(color)) >= 4.5


def test_text_keeps_a_colour_that_is_dark_enough():
    assert style.text_color(style.NETWORK.color) == style.NETWORK.color
    assert style.text_color("#C08400") != "#C08400"


def test_markers_differ_and_begin_again():
    assert len({style.marker(place) for place in range(6)}) == 6
    assert [style.marker(place) for place in (6, 7)] == [style.marker(place) for place in (0, 1)]
