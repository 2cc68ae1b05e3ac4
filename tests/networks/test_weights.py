"""One seed is one network."""

import math

import pytest
import torch

from lab.errors import LabError
from lab.networks.elman import ElmanRNN
from lab.networks.parametrization import Parametrization, parametrization
from lab.networks.weights import BLOCK, draw_rows
from tests.tolerances import ROUNDING, SIGMAS, relative

ALL = {"trained": ("W", "A", "B", "b"), "parametrization": Parametrization(style="ntk", sigma_b=0.1)}
RECORDED = [0.06737150470534777, -1.1141227191702068, -0.8081848035989283]
NAMES = ("W", "A", "B", "b")
WIDTH = 2 * BLOCK + 7  # three blocks, the last one cut short


def test_the_draws_of_seed_0_stay_what_they_are():
    """Recorded once: a change here changes every result that was ever stored."""
    assert draw_rows(0, "W", 0, 1, 3)[0].tolist() == pytest.approx(RECORDED, abs=0, rel=ROUNDING)


@pytest.mark.parametrize("name", NAMES)
def test_float32_weights_are_the_float64_ones_rounded(name):
    exact, single = (ElmanRNN(WIDTH, 3, 2, seed=5, dtype=dtype, **ALL) for dtype in (torch.float64, torch.float32))
    assert torch.equal(getattr(exact, name).float(), getattr(single, name))


def test_what_is_trained_and_read_out_does_not_change_the_draws():
    first = ElmanRNN(WIDTH, 3, 2, seed=5, trained=("W",), parametrization="ntk")
    second = ElmanRNN(WIDTH, 3, 2, seed=5, readout="all", activation="tanh", **ALL)
    assert all(torch.equal(getattr(first, name), getattr(second, name)) for name in "WAB")


def test_the_number_of_threads_and_torchs_own_seed_do_not_change_the_draws():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    first = ElmanRNN(WIDTH, 3, seed=5)
    torch.set_num_threads(2)
    torch.manual_seed(1)
    assert torch.equal(ElmanRNN(WIDTH, 3, seed=5).W, first.W)


def correlation(first, second):
    first, second = first.flatten().double(), second.flatten().double()
    return abs(float(torch.corrcoef(torch.stack([first, second]))[0, 1])) * math.sqrt(len(first))


def test_seeds_names_and_blocks_are_independent():
    rows = draw_rows(1, "W", 0, 2 * BLOCK, 50)
    assert correlation(rows[:BLOCK], rows[BLOCK:]) < SIGMAS
    assert correlation(rows, draw_rows(2, "W", 0, 2 * BLOCK, 50)) < SIGMAS
    assert correlation(rows, draw_rows(1, "A", 0, 2 * BLOCK, 50)) < SIGMAS
    assert correlation(rows[:, :25], rows[:, 25:]) < SIGMAS
    assert not torch.equal(draw_rows(1, "W", 0, 3, 4), draw_rows(11, "W", 0, 3, 4))


RANGES = [
    (0, WIDTH),
    (0, 1),
    (BLOCK - 1, BLOCK + 1),
    (BLOCK, BLOCK + 3),
    (17, 2 * BLOCK + 5),
    (2 * BLOCK, WIDTH),
    (9, 9),
]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("style", ["paper", "ntk"])
@pytest.mark.parametrize(("start", "stop"), RANGES)
def test_initial_rows_come_back_after_training_and_without_weights(start, stop, style, dtype):
    settings = {"seed": 5, "dtype": dtype, **(ALL if style == "ntk" else {})}
    network, unborn = ElmanRNN(WIDTH, 3, 2, **settings), ElmanRNN(WIDTH, 3, 2, device="meta", **settings)
    assert unborn.W.is_meta
    for name in network.scales:
        weight = getattr(network, name)
        first, last = min(start, len(weight)), min(stop, len(weight))
        initial = weight.detach()[first:last].clone()
        with torch.no_grad():
            weight.zero_()
        for found in (network.initial_rows(name, first, last), unborn.initial_rows(name, first, last)):
            assert found.dtype == dtype
            assert torch.equal(found, initial)


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (3, 2), (0, 9)])
def test_rows_that_are_not_there_are_refused(start, stop):
    with pytest.raises(LabError, match=f"start, stop: got {start}, {stop}; allowed: .* 8"):
        ElmanRNN(8, 3).initial_rows("W", start, stop)


def test_unknown_names_are_refused():
    with pytest.raises(LabError, match="name: got 'b'; allowed: one of A, B, W"):
        ElmanRNN(8, 3).initial_rows("b", 0, 1)


SIGMA = {"sigma_w": 1.3, "sigma_u": 0.7, "sigma_v": 1.6}
M, P, Q = 400, 50, 30
DEVIATIONS = {
    "paper": {"W": math.sqrt(2 / M), "A": math.sqrt(2 / M), "B": math.sqrt(1 / Q)},
    "ntk": {"W": 1.0, "A": 1.0, "B": 1.0},
    "own paper": {"W": 1.3 / math.sqrt(M), "A": 0.7 / math.sqrt(M), "B": 1.6 / math.sqrt(Q)},
    "own ntk": {"W": 1.0, "A": 1.0, "B": 1.0, "b": 1.0},
}
MULTIPLIERS = {
    "paper": {"W": 1.0, "A": 1.0, "B": 1.0},
    "ntk": {"W": math.sqrt(2 / M), "A": math.sqrt(2 / P), "B": math.sqrt(1 / M)},
    "own paper": {"W": 1.0, "A": 1.0, "B": 1.0},
    "own ntk": {"W": 1.3 / math.sqrt(M), "A": 0.7 / math.sqrt(P), "B": 1.6 / math.sqrt(M), "b": 0.2},
}
CHOICES = {
    "paper": "paper",
    "ntk": "ntk",
    "own paper": Parametrization(style="paper", **SIGMA),
    "own ntk": Parametrization(style="ntk", sigma_b=0.2, **SIGMA),
}


@pytest.mark.parametrize("choice", CHOICES)
def test_entries_have_the_variance_and_multiplier_of_their_parametrization(choice):
    network = ElmanRNN(M, P, Q, parametrization=CHOICES[choice], seed=2)
    assert network.multipliers == pytest.approx(MULTIPLIERS[choice], rel=ROUNDING)
    assert (network.b is None) == ("b" not in DEVIATIONS[choice])
    for name, deviation in DEVIATIONS[choice].items():
        entries = getattr(network, name).detach().flatten() / deviation
        count = len(entries)
        assert abs(float(entries.mean())) < SIGMAS / math.sqrt(count)
        assert abs(float(entries.square().mean()) - 1) < SIGMAS * math.sqrt(2 / count)
        assert abs(float(entries.pow(4).mean()) - 3) < SIGMAS * math.sqrt(96 / count)  # as of a normal variable


def test_two_styles_with_equal_scales_are_one_function():
    """N(0, σ²/m) without a multiplier, or N(0, 1) behind σ/√m: the same draws give the same states of W and A."""
    paper = ElmanRNN(M, P, 1, parametrization=Parametrization(sigma_u=1.0), seed=3)
    ntk = ElmanRNN(M, P, 1, parametrization=Parametrization(style="ntk", sigma_u=math.sqrt(P / M)), seed=3)
    x = torch.ones(2, 3, P, dtype=torch.float64)
    assert relative(paper.unroll(x).states, ntk.unroll(x).states) < 1e-13
    assert relative(paper(x), math.sqrt(M) * ntk(x)) < 1e-13


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"style": "mup"}, "parametrization: got 'mup'; allowed: one of mean_field, ntk, paper"),
        ({"sigma_w": 0}, "sigma_w: got 0"),
        ({"sigma_u": -1}, "sigma_u: got -1"),
        ({"sigma_v": math.inf}, "sigma_v: got inf"),
        ({"style": "ntk", "sigma_b": -0.1}, "sigma_b: got -0.1"),
        ({"style": "paper", "sigma_b": 0.1}, "sigma_b: got 0.1; allowed: 0 in the paper's style"),
    ],
)
def test_scales_out_of_range_are_refused(settings, message):
    with pytest.raises(LabError, match=message):
        Parametrization(**settings)


def test_parametrization_by_name_or_itself():
    own = Parametrization(style="ntk", sigma_w=1.0)
    assert parametrization(own) is own
    assert parametrization("ntk") == Parametrization(style="ntk")
    with pytest.raises(LabError, match="parametrization: got None"):
        parametrization(None)
