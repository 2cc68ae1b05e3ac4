"""The coordinate check, against hand-made laws, single trainings, and the exact first step."""

import math

import numpy as np
import pandas as pd
import pytest

import lab
from lab.coordinates import QUANTITIES, CoordinateCheck
from lab.errors import LabError
from lab.measures.coordinates import coordinate_changes
from tests.tolerances import EXACT

TASK = lab.tasks.digits(train=12, test=8)
BIASED = {"sigma_b": 0.4, "sigma_v": 0.9}
ALL = {"trained": ("W", "A", "B", "b"), "activation": "erf", "centred": True}
STEP = lab.Descent(1)


def made_up(**slopes):
    """A check with power laws, slopes by quantity and seeds a little apart."""
    rows = [
        {"width": m, "seed": seed, "learning_rate": 3.0 / m, "loss": 0.1, "diverged_at": None}
        | {name: 0.5 * m ** (slope + 0.02 * (seed - 1)) for name, slope in slopes.items()}
        for m in (32, 64, 128)
        for seed in range(3)
    ]
    return CoordinateCheck(pd.DataFrame(rows), "a task")


def text_of(figure):
    return " ".join(figure._suptitle.get_text().split())


@pytest.mark.parametrize(
    ("slope", "words"), [(-0.5, "falls as width"), (0.0, "shows no trend in the width, width"), (0.4, "grows as width")]
)
def test_slopes_and_titles_follow_the_table(slope, words):
    check = made_up(h=slope, W=-0.25, f=0.0)
    found = check.slopes()
    assert list(found) == ["h", "W", "f", "learning_rate"]
    assert [each.value for each in found.values()] == pytest.approx([slope, -0.25, 0.0, -1.0])
    half = 4.302653 * 0.02 / math.sqrt(3)  # Student's t, two degrees of freedom
    assert found["h"].interval == pytest.approx((slope - half, slope + half))
    assert words in text_of(check.plot())
    assert "Δh as width^" in repr(check)
    assert "Change per coordinate" in check._repr_html_()


def test_every_quantity_has_a_colour_and_a_dash_of_its_own():
    axes = made_up(**dict.fromkeys(QUANTITIES, -0.5)).plot().axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 50]
    assert len(lines) == len(QUANTITIES)
    assert len({line.get_color() for line in lines}) == len({str(line._unscaled_dash_pattern) for line in lines}) == 6
    assert len(axes.get_legend().get_texts()) == len(QUANTITIES)


def test_a_row_is_what_one_training_did():
    descent = lab.Descent(6, 0.4, momentum=0.5)
    check = lab.coordinate_check(TASK, (8, 12), descent, seeds=2, parametrization="mean_field", trained=("W", "B"))
    assert list(zip(check.table["width"], check.table["seed"], strict=True)) == [(8, 0), (8, 1), (12, 0), (12, 1)]
    network = lab.ElmanRNN.like(TASK, 12, seed=1, parametrization="mean_field", trained=("W", "B"))
    *_, last = lab.descend(network, TASK, descent)
    row = check.table.iloc[3]
    assert dict(row[["h", "f", "W", "B"]]) == pytest.approx(
        coordinate_changes(network, last.network, TASK.train_inputs), rel=EXACT
    )
    result = lab.side_by_side(network, TASK, descent)
    assert row["learning_rate"] == pytest.approx(result.learning_rate, rel=EXACT)
    assert row["loss"] == pytest.approx(result.network.loss[-1] / result.network.loss[0], rel=EXACT)
    assert "mean-field limit with α₀ = 2, 6 steps" in repr(check)


def test_the_first_step_of_the_two_limits_differs_by_the_scale_alone():
    """With f = 0 at first, η α in "mean_field" is η/α of "ntk": weights move 1/α = √m/α₀ as far."""
    styles = (lab.Parametrization(style="ntk", **BIASED), lab.Parametrization(style="mean_field", alpha=3.0, **BIASED))
    lazy, rich = (lab.coordinate_check(TASK, (8, 32), STEP, seeds=1, parametrization=each, **ALL) for each in styles)
    ratio = rich.table[["A", "b", "learning_rate"]] / lazy.table[["A", "b", "learning_rate"]]
    width = rich.table["width"]
    for name in ("A", "b"):
        assert ratio[name].to_numpy() == pytest.approx(np.sqrt(width) / 3, rel=EXACT)
    assert ratio["learning_rate"].to_numpy() == pytest.approx(width / 9, rel=EXACT)


def test_a_function_builds_the_networks():
    def build(width, seed):
        inner = lab.ElmanRNN.like(TASK, width, seed=seed, parametrization="ntk")
        return lab.Scaled.mean_field(inner, width)

    named = lab.coordinate_check(TASK, (8, 16), lab.Descent(3), seeds=1, parametrization="mean_field")
    built = lab.coordinate_check(TASK, (8, 16), lab.Descent(3), seeds=1, build=build)
    assert built.table[["h", "f", "W"]].to_numpy() == pytest.approx(named.table[["h", "f", "W"]].to_numpy(), rel=1e-8)
    assert built.title == named.title
    twice = lab.coordinate_check(
        TASK, (8, 16), STEP, seeds=1, build=lambda *which: lab.Scaled(lab.Scaled(build(*which), 0.5), 3.0)
    )
    assert "times" in twice.title


def test_a_divergence_has_no_values():
    check = lab.coordinate_check(TASK, (8, 16), lab.Descent(60, learning_rate=1e4), seeds=1, activation="softplus",
                                 parametrization="ntk")  # fmt: skip
    assert check.table["diverged_at"].notna().all()
    assert check.table[["h", "f", "W"]].isna().all(axis=None)
    assert check.slopes()["h"].value is None
    assert "No power law" in text_of(check.plot())


def test_without_a_rate_there_is_no_slope_of_it():
    table = made_up(h=-0.5).table.assign(learning_rate=None)
    assert list(CoordinateCheck(table, "Adam").slopes()) == ["h"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (8,)}, "widths: got"),
        ({"widths": (8, 8)}, "widths: got"),
        ({"widths": (0, 8)}, "widths: got"),
        ({"widths": 64}, "widths: got 64"),
        ({"seed": 3}, "settings: got a seed"),
        ({"build": lambda width, seed: "net"}, "build: got str"),
        ({"build": lambda width, seed: lab.GateFrozen(lab.ElmanRNN.like(TASK, width))}, "build: got GateFrozen"),
        ({"seeds": 0}, "seeds: got"),
        ({"build": lambda width, seed: None, "activation": "erf"}, "settings: got activation"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(LabError, match=message):
        lab.coordinate_check(TASK, descent=STEP, **{"widths": (8, 16), **options})
