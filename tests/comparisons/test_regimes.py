"""The plane of width and scale: cells against the lab's own learners, conclusions against made-up planes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import comparisons
import lab
from comparisons import kit, regimes
from lab.errors import LabError
from tests.comparisons.tables import numbers_of
from tests.tolerances import EXACT, relative

SMALL = regimes.Settings(widths=(16,), alphas=(4.0,), seeds=1, test=20, target=0.3)


def cell(**changes):
    found = next(each for each in regimes.cells(SMALL) if (each.activation, each.alpha) == ("erf", 1.0))
    return replace(found, **changes)


def test_every_width_is_on_both_lines_and_small_ones_in_the_plane():
    settings = regimes.Settings(widths=(16, 64, 1024), plane_up_to=64, alphas=(0.25, 8.0), seeds=2)
    scales = {}
    for each in regimes.cells(settings):
        scales.setdefault((each.activation, each.data, each.width, each.seed), []).append(each.alpha)
    for activation in ("erf", "relu"):
        for seed in (0, 1):
            assert scales[activation, "teacher", 16, seed] == [0.25, 0.5, 1.0, 8.0]
            assert scales[activation, "teacher", 64, seed] == [0.25, 1.0, 8.0]  # the line is in the grid there
            assert scales[activation, "teacher", 1024, seed] == scales[activation, "digits", 1024, seed] == [1 / 16, 1]
    assert len(scales) == 2 * 2 * 4


def test_costs_grow_with_the_width():
    small, large = (regimes.cost(cell(width=m)) for m in (64, 1024))
    assert 50 < large.flops / small.flops < 300  # between m and m²: the projection of inputs counts at small widths
    assert 10 * 8 * 1024**2 > large.bytes > 3 * 8 * 1024**2


@pytest.mark.parametrize(("activation", "alpha"), [("erf", 1.0), ("relu", 0.5)])
def test_a_row_has_what_the_learners_side_by_side_have(activation, alpha):
    asked = cell(activation=activation, alpha=alpha)
    row, arrays = regimes.measure(asked)
    task = lab.tasks.single_index(64, 20, 3, seed=asked.draw)
    choices = {"activation": activation, "parametrization": "ntk", "trained": ("W", "A", "B")}
    start = lab.ElmanRNN.like(task, 16, seed=asked.network_seed, **choices)
    steps = tuple(np.rint(arrays["kernel_time"] / row["critical_fraction"]).astype(int).tolist())
    result = lab.side_by_side(
        lab.Scaled(start, alpha), task, lab.Descent(steps[-1], row["critical_fraction"], record=steps)
    )
    end = result.trained_network.network
    assert row["exit"] == "reached"
    assert relative(arrays["gap_test"], result.gap("test")) < 1e-8  # two computations of the linear learner
    assert row["gap_test"] == pytest.approx(result.gap("test").max(), rel=1e-8)
    assert row["kernel_drift"] == pytest.approx(result.motion.kernel_drift, rel=EXACT)
    states = [net.unroll(task.train_inputs).states for net in (start, end)]
    assert row["feature_change"] == pytest.approx(
        float((states[1][-1] - states[0][-1]).square().mean().sqrt()), rel=EXACT
    )
    moved = (end.W - start.W).detach() * (2 / 16) ** 0.5
    assert row["change_W"] == pytest.approx(float((states[1][-2] @ moved.T).square().mean().sqrt()), rel=EXACT)
    assert (row["ntk"], row["mean_field"]) == (alpha == 1.0, alpha == 0.5)
    along, target, outputs, linear = arrays["samples"].T
    assert outputs == pytest.approx(result.network.test[-1, :, 0], rel=1e-5)
    assert linear == pytest.approx(result.linearized.test[-1, :, 0], rel=1e-5)
    standard = (np.maximum(along, 0) - 1 / np.sqrt(2 * np.pi)) / np.sqrt(0.5 - 1 / (2 * np.pi))
    assert target == pytest.approx(standard, abs=1e-5)
    rows = end.A.detach().numpy()[:, :32]
    u = lab.tasks.sequences.index_direction().numpy()
    assert arrays["alignment"][:, 1] == pytest.approx(rows @ u / np.linalg.norm(rows, axis=1), abs=1e-6)


def test_untrained_matrices_do_not_move_and_digits_have_no_direction():
    row, arrays = regimes.measure(cell(data="digits", trained=("W",)))
    assert row["change_A"] is row["change_B"] is None
    assert row["change_W"] > 0
    assert "samples" not in arrays
    assert torch.get_default_dtype() == torch.float32


def test_a_run_that_does_not_arrive_says_why():
    row, arrays = regimes.measure(cell(patience=0.01, fallbacks=0))
    assert (row["exit"], row["diverged"], row["gap_test"], row["feature_change"]) == ("undecided", False, None, None)
    assert not arrays


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"activations": ("softplus",)}, "activations"),
        ({"data": ("separable",)}, "data"),
        ({"alphas": (0.0,)}, "alphas"),
        ({"mean_field_scale": 0.0}, "mean_field_scale"),
        ({"trained": ()}, "trained"),
        ({"plane_up_to": 0}, "plane_up_to"),
    ],
)
def test_bad_settings_name_themselves(settings, name):
    with pytest.raises(LabError) as caught:
        regimes.Settings(**settings)
    assert caught.value.argument == name


# Conclusions from made-up planes ---------------------------------------------------------------------------------


def made_up(gap, activations=("erf",), seeds=5, spread=0.01, price=-0.1, change=lambda m, alpha: 0.3 / alpha / m**0.5):
    """The gap of a function of width and scale, times a factor by seed; features change by 0.3/(α√m)."""
    noise, rows = np.random.default_rng(0).normal(0, spread, (4, seeds)), []
    settings = regimes.Settings(widths=(16, 64, 256, 1024), seeds=seeds, activations=activations)
    for each in regimes.cells(settings):
        line = each.alpha == 2 * each.width**-0.5
        off = np.exp(noise[:3, each.seed] @ [1, np.log(each.width), np.log(each.alpha)])
        height = gap(each.activation, each.width, each.alpha) * off
        error = 0.5 + noise[3, each.seed] + (price * (1 + noise[0, each.seed]) if line else 0)
        row = dict.fromkeys((*regimes.DRAWN, "kernel_drift"), change(each.width, each.alpha) * off)
        row |= {
            "gap_test": height,
            "test_error": error,
            "error_rate": error / 5,
            "exit": "reached",
            "ntk": each.alpha == 1,
            "mean_field": line,
        }
        rows.append(kit.pick(each, *regimes.PLACE) | row)
    return pd.DataFrame(rows)


def terms(a, b):
    return lambda activation, m, alpha: (a / alpha + b / alpha**2) / m


@pytest.mark.parametrize(("a", "b", "slope", "text"), [(8, 0, -1, "faster than m^−0.5"), (0, 3, -0.5, "compatible")])
def test_the_boundary_of_one_term_is_its_power_law(a, b, slope, text):
    found = regimes.conclude(made_up(terms(a, b)))
    numbers = numbers_of(found)
    assert numbers["exponent.boundary.erf"].value == pytest.approx(slope, abs=0.03)
    assert numbers["exponent.two_term"].value == pytest.approx(slope, abs=0.03)
    assert numbers["boundary.64"].value == pytest.approx(a / 6.4 + (b / 6.4) ** 0.5, rel=0.03)
    assert numbers["two_term.a"].value == pytest.approx(a, rel=0.1, abs=0.1)
    assert numbers["two_term.b"].value == pytest.approx(b, rel=0.1, abs=0.1)
    assert text in found.verdict.split(" Two orders")[0]
    assert "boundary.1024" not in numbers  # the two lines alone are no grid


def test_the_exponents_along_the_lines_are_those_of_the_table():
    numbers = numbers_of(regimes.conclude(made_up(terms(2.0, 0.0))))
    assert numbers["exponent.gap.ntk"].value == pytest.approx(-1, abs=0.02)
    assert numbers["slope.gap.mean_field"].value == pytest.approx(-0.5, abs=0.02)
    assert numbers["slope.gap.mean_field"].details["widths"] == [256, 1024]
    assert numbers["exponent.feature_change.ntk"].value == pytest.approx(-0.5, abs=0.02)
    assert numbers["exponent.feature_change.mean_field"].value == pytest.approx(0, abs=0.02)
    assert numbers["gap.ntk"].value == pytest.approx(2 / 1024, rel=0.1)
    assert "exponent.gap.mean_field" not in numbers


def constant(_, m, alpha):
    """Constant along the mean-field line: a function of α√m."""
    return 2 / (alpha * m**0.5)


SAID = {
    "a gap that is constant in mean field": (
        constant,
        "for the erf network (it does not vanish). Its slope over the two largest octaves of width is",
        "for the erf network (no trend is visible). Along α = 2/√m the change of features tends",
        "(slower than the 1/m of smooth networks)",
    ),
    "one that falls as 1/√m there": (lambda _, m, alpha: 2 / m**0.5, "for the erf network (it falls)"),
    "one that falls as 1/m there": (lambda _, m, alpha: 2 / m, "for the erf network (it is below 0)"),
    "the first order alone": (
        terms(2.0, 0.0),
        "Along α = 1, over all widths, it goes as width^−",
        "(compatible with the 1/m of smooth networks)",
        "(compatible with 1/α). Along α = 1",
    ),
    "the second order alone": (terms(0.0, 2.0), "(faster than 1/α). Along α = 1"),
    "rich networks alone": (
        lambda _, m, alpha: 5.0,
        "No exponent of the boundary α* could be fitted.",
        "Along α = 1, over all widths, the test gap goes as",
    ),
}


@pytest.mark.parametrize("case", SAID)
def test_the_verdict_says_what_the_numbers_say(case):
    gap, *texts = SAID[case]
    said = regimes.conclude(made_up(gap)).verdict
    assert [text for text in texts if text not in said] == []


def test_what_two_widths_say_names_its_subject():
    table = made_up(constant)
    said = regimes.conclude(table[table["width"] < 100]).verdict
    assert "tends to" not in said
    assert "Along α = 2/√m the slope of the gap over the two largest octaves of width is" in said


def test_a_limit_within_its_interval_may_be_0():
    said = regimes.conclude(made_up(lambda _, m, alpha: 2 / m**0.5, spread=0.2)).verdict
    assert "for the erf network (0 is not excluded)" in said


@pytest.mark.parametrize(("price", "text"), [(-0.1, "lower"), (0.1, "higher"), (0.0, "no difference is visible")])
def test_the_lower_test_error_is_named(price, text):
    found = regimes.conclude(made_up(constant, price=price))
    numbers = numbers_of(found)
    assert numbers["test_error.mean_field_minus_ntk.digits"].value == pytest.approx(price, abs=0.01)
    assert numbers["error_rate.mean_field_minus_ntk.digits"].value == pytest.approx(price / 5, abs=0.002)
    assert numbers["test_error.ntk.teacher"].value == pytest.approx(0.5, abs=0.02)
    assert numbers["test_error.mean_field.teacher"].value == pytest.approx(0.5 + price, abs=0.02)
    assert f"({text})." in found.verdict.split("digits by")[1]


@pytest.mark.parametrize(
    ("power", "text"),
    [(0.5, "(it falls more slowly)"), (1.5, "(it falls faster)"), (1.0, "(no difference is visible)")],
)
def test_activations_are_compared_seed_by_seed(power, text):
    def gap(activation, m, alpha):
        return 2 / alpha / m ** (power if activation == "relu" else 1.0)

    table = made_up(gap, ("erf", "relu"))
    table.loc[table["activation"] == "relu", "gap_test"] *= np.random.default_rng(1).lognormal(0, 0.01, len(table) // 2)
    found = regimes.conclude(table)
    numbers = numbers_of(found)
    assert numbers["lazy_exponent.difference.relu"].value == pytest.approx(1 - power, abs=0.02)
    assert numbers["lazy_exponent.width.relu"].value == pytest.approx(-power, abs=0.02)
    assert numbers["lazy_exponent.alpha.relu"].value == pytest.approx(-1, abs=0.02)
    assert text in found.verdict
    assert {"exponent.boundary.erf", "exponent.boundary.relu", "exponent.gap.ntk.relu"} <= set(numbers_of(found))
    assert "two_term.a.relu" not in numbers_of(found)


def lost(table, rows, end):
    table.loc[rows, ["gap_test", "test_error", "error_rate", *regimes.DRAWN, "kernel_drift"]] = np.nan
    return table.assign(exit=table["exit"].mask(rows, end))


def test_runs_that_did_not_arrive_are_counted_and_enter_nothing(tmp_path):
    table = made_up(constant)
    gone = (table["alpha"] == 0.25) & (table["seed"] == 0) & (table["width"] == 16)
    found = regimes.conclude(lost(table, gone, "diverged"))
    assert numbers_of(found)["reached"].value == 1 - 1 / len(table)
    assert numbers_of(found)["boundary.16"].value == pytest.approx(5, rel=0.1)
    said = f"1 of {len(table)} runs did not reach the training error, all of them at α ≤ 0.25; 1 of them diverged."
    assert found.verdict.endswith(said)
    table.to_csv(tmp_path / "table.csv", index=False)
    again = lost(pd.read_csv(tmp_path / "table.csv"), gone, "diverged")
    assert regimes.conclude(again).verdict == found.verdict


def test_nothing_that_arrived_is_no_conclusion():
    table = made_up(constant, seeds=3)
    found = regimes.conclude(lost(table, table["alpha"] > 0, "undecided"))
    assert all(number.value is None for key, number in numbers_of(found).items() if key != "reached")
    assert all(number.reason for key, number in numbers_of(found).items() if key != "reached")
    assert found.verdict.startswith("No exponent")
    assert found.verdict.endswith("none of them diverged.")


def test_matrices_that_are_not_trained_are_not_drawn():
    table = made_up(constant, seeds=2).assign(change_A=None, change_B=np.nan)
    _, axes = lab.figures.style.panels(1)
    rows = table.query("ntk and data == 'teacher'")
    regimes._draw_changes(axes[0, 0], kit.split(rows, "activation", regimes.NAMES)[0])
    labels = [label.split(":")[0] for label in axes[0, 0].get_legend_handles_labels()[1]]
    assert labels == ["h", "W"]
    assert not axes[0, 0].texts


def test_figures_are_drawn_where_nothing_arrived(tmp_path):
    hopeless = {"widths": (4,), "plane_up_to": 1, "seeds": 1, "activations": ("erf",), "data": ("teacher",)}
    hopeless |= {"test": 5, "target": 0.001, "fallbacks": 0, "patience": 0.1}
    run = comparisons.run("regimes", out=tmp_path, executor="serial", progress=False, **hopeless)
    assert set(run.table["exit"]) == {"undecided"}
    assert list(run.figures) == ["plane", "coordinates"]
