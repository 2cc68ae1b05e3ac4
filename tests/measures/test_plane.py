"""Laws of the gap over width and output scale, from values that obey them."""

import numpy as np
import pytest
import torch

from lab.errors import LabError
from lab.measures.plane import TwoTermGap, unit_alignment, width_limits

WIDTHS, ALPHAS = (each.flatten() for each in np.meshgrid([16.0, 64.0, 256.0], [0.5, 2.0, 8.0]))


@pytest.mark.parametrize(("a", "b"), [(3.0, 0.7), (3.0, 0.0), (0.0, 0.7)])
def test_a_fit_finds_the_two_terms(a, b):
    law = TwoTermGap.fit(WIDTHS, ALPHAS, (a / ALPHAS + b / ALPHAS**2) / WIDTHS)
    assert (law.a, law.b) == pytest.approx((a, b), abs=1e-9)


def test_a_term_is_never_negative():
    gaps = (3.0 / ALPHAS - 0.2 / ALPHAS**2) / WIDTHS
    assert TwoTermGap.fit(WIDTHS, ALPHAS, gaps).b == 0


@pytest.mark.parametrize(("a", "b", "slope"), [(3.0, 0.0, -1.0), (0.0, 0.7, -0.5)])
def test_one_term_alone_has_a_power_law_as_its_boundary(a, b, slope):
    places = TwoTermGap(a, b).boundary([16, 256], 0.1)
    assert np.log(places[1] / places[0]) / np.log(16) == pytest.approx(slope)


def test_the_gap_has_its_level_at_the_boundary():
    law = TwoTermGap(3.0, 0.7)
    assert law(WIDTHS, law.boundary(WIDTHS, 0.05)) == pytest.approx(np.full(len(WIDTHS), 0.05))


def test_limits_are_found_seed_by_seed():
    m = np.array([16.0, 64.0, 256.0, 1024.0])
    values = np.stack([0.8 + 2 * m**-0.5, 1.3 - 3 * m**-0.5])
    assert width_limits(m, values) == pytest.approx([0.8, 1.3])


REFUSED = [
    (TwoTermGap.fit, ([16.0], [1.0], [0.1])),
    (TwoTermGap.fit, ([16.0, 32.0], [1.0, 2.0], [0.1, 0.0])),
    (TwoTermGap.fit, ([16.0, 32.0], [1.0], [0.1, 0.2])),
    (TwoTermGap(1.0, 1.0).boundary, ([16.0], 0.0)),
    (width_limits, ([16.0, 32.0], [[1.0, 1.0]])),
    (width_limits, ([16.0, 32.0, 64.0], [[1.0, np.nan, 1.0]])),
]


@pytest.mark.parametrize(("function", "arguments"), REFUSED)
def test_what_has_no_law_is_refused(function, arguments):
    with pytest.raises(LabError):
        function(*arguments)


def test_alignments_are_cosines_without_the_further_inputs():
    weights = torch.tensor([[3.0, 4.0, 100.0], [0.0, -2.0, 1.0]])
    assert unit_alignment(weights, torch.tensor([0.0, 5.0])).tolist() == pytest.approx([0.8, -1.0])
