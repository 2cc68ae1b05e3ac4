import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import lab
from comparisons import output_scale
from lab.errors import LabError
from tests.comparisons.tables import numbers_of
from tests.tolerances import EXACT, relative

SMALL = output_scale.Settings(alphas=(1.0,), seeds=1, width=64, channels=8, test=20, target=0.3)


def cell(network="relu", data="digits", **changes):
    found = next(c for c in output_scale.cells(SMALL) if (c.network, c.data) == (network, data))
    return replace(found, **changes)


ARMS = [("relu", "digits"), ("erf", "digits"), ("cnn", "digits"), ("relu", "teacher"), ("erf", "teacher")]


@pytest.mark.parametrize(("network", "data"), ARMS)
def test_a_cell_trains_to_the_error_that_is_asked(network, data):
    row, arrays = output_scale.measure(cell(network, data))
    json.dumps(row, allow_nan=False)
    assert row["exit"] == "reached"
    assert arrays["mse"][-1] == row["mse"] <= 0.3 * arrays["mse"][0]
    assert (arrays["mse"][:-1] > 0.3 * arrays["mse"][0]).all()
    assert arrays["gap_test"].max() == row["gap_test"] > 0
    assert (row["gate_flips"] is None) == (network != "relu")


@pytest.mark.parametrize(("network", "data"), ARMS)
def test_the_linear_limit_is_one(network, data):
    row, _ = output_scale.measure(cell(network, data, alpha=1e7))
    assert row["gap_test"] < 1e-6
    assert row["test_error"] / row["test_error_linear"] == pytest.approx(1, abs=1e-6)


def test_a_smooth_network_has_the_slopes_of_perturbation_theory():
    near, far = (output_scale.measure(cell("erf", alpha=alpha))[0] for alpha in (1e3, 1e4))
    for name in ("gap_test", "weight_motion", "kernel_drift", "kappa"):
        assert np.log10(far[name] / near[name]) == pytest.approx(-1, abs=0.02), name


@pytest.mark.parametrize("network", ["relu", "cnn"])
def test_gap_motion_and_error_are_those_of_the_learners_side_by_side(network):
    asked = cell(network, alpha=2.0)
    row, arrays = output_scale.measure(asked)
    task, scaled = output_scale._build(asked)
    steps = np.rint(arrays["kernel_time"] / row["critical_fraction"]).astype(int)
    descent = lab.Descent(row["steps"], row["critical_fraction"], record=steps)
    result = lab.side_by_side(scaled, task, descent)
    assert relative(arrays["gap_test"], result.gap("test")) < 1e-8  # two computations of the linear learner
    for name in ("weight_motion", "kernel_drift"):
        assert row[name] == pytest.approx(result.motion[name], rel=EXACT)
    targets = task.test_targets.numpy()
    expected = ((result.network.test[-1] - targets) ** 2).mean() / (targets**2).mean()
    assert row["test_error"] == pytest.approx(expected, rel=EXACT)


def test_steps_grow_smaller_until_descent_arrives():
    row, _ = output_scale.measure(cell("erf", alpha=0.1, trained=("W", "B"), seed=5))  # the first try does not arrive
    tries = [one.split() for one in row["tries"].split("; ")]
    assert [float(c) for c, _ in tries] == [0.5 / 4**k for k in range(len(tries))]
    assert [ended for _, ended in tries][-1] == "reached"
    assert len(tries) > 1
    assert row["critical_fraction"] == float(tries[-1][0])


def test_a_run_that_diverges_is_empty_and_says_so():
    row, arrays = output_scale.measure(cell(alpha=1e-3, fallbacks=0))
    assert row["exit"] == "diverged"
    assert row["diverged"] is True
    assert row["gap_test"] is row["test_error"] is row["steps"] is None
    assert row["reasons"]
    assert not arrays


def test_a_run_out_of_patience_is_undecided():
    row, _ = output_scale.measure(cell(alpha=10.0, patience=0.1, fallbacks=1))
    assert (row["exit"], row["diverged"]) == ("undecided", False)
    assert row["tries"] == "0.5 undecided; 0.125 undecided"


def test_what_a_bounded_network_cannot_reach_is_not_tried():
    asked = cell("erf", alpha=0.05)
    row, _ = output_scale.measure(asked)
    assert row["exit"] == "undecided"
    assert "out of reach" in row["reasons"]


def test_the_cnn_reads_no_sequences_of_a_teacher():
    cells = output_scale.cells(output_scale.PRESETS["default"])
    assert {(c.network, c.data) for c in cells} == set(ARMS)
    assert all(output_scale.cost(c).flops > 0 for c in cells)


def test_the_convolutional_network_stays_small():
    _, network = output_scale._build(cell("cnn", channels=22))
    assert sum(value.numel() for value in network.trained.values()) <= 5000


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"networks": ("mlp",)}, "networks"),
        ({"data": ("separable",)}, "data"),
        ({"data": ("teacher",), "networks": ("cnn",)}, "data"),
        ({"alphas": (0.0,)}, "alphas"),
        ({"alphas": (1.0, 1.0)}, "alphas"),
        ({"trained": ("C",)}, "trained"),
        ({"seeds": 0}, "seeds"),
        ({"channels": 23}, "channels"),
        ({"test": 310}, "test"),
        ({"target": 1.0}, "target"),
        ({"critical_fraction": 1.0}, "critical_fraction"),
        ({"patience": 0.0}, "patience"),
        ({"fallbacks": -1}, "fallbacks"),
        ({"data_seed": -1}, "data_seed"),
    ],
)
def test_bad_settings_name_themselves(settings, name):
    with pytest.raises(LabError) as caught:
        output_scale.Settings(**settings)
    assert caught.value.argument == name


def made_up(slope=-1.0, cost=0.1, seeds=5, networks=("erf",), spread=0.01, noise=0.0, data="digits"):
    """Power laws in α with this slope, and a test error that grows by ``cost`` from α = 0.1 to 100."""
    generator, rows = np.random.default_rng(0), []
    for net in networks:
        for seed in range(seeds):
            own, error = slope + spread * generator.standard_normal(), 0.2 + spread * generator.standard_normal()
            for alpha in (0.1, 1.0, 3.0, 10.0, 30.0, 100.0):
                values = dict.fromkeys(output_scale.SLOPES, 0.7 * alpha**own)
                place = (np.log10(alpha) + 1) / 3
                row = {"network": net, "data": data, "alpha": alpha, "seed": seed, "exit": "reached", "reasons": ""}
                rows.append({**row, **values, "noise": noise, "test_error": error + cost * place, "diverged": False})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("slope", "text"),
    [
        (-1.0, "compatible with the theory"),
        (-0.5, "slower than the theory"),
        (-1.5, "faster than the theory"),
        (0.0, "no trend is visible"),
        (0.5, "it increases in this range"),
    ],
)
def test_the_verdict_follows_the_slopes(slope, text):
    conclusion = output_scale.conclude(made_up(slope))
    assert text in conclusion.verdict
    found = numbers_of(conclusion)["slope.gap_test.erf"]
    assert found.value == pytest.approx(slope, abs=0.02)
    assert found.details["alphas"] == [3, 10, 30, 100]
    assert len(found.details["local_slopes"]) == 3


@pytest.mark.parametrize(
    ("cost", "text"),
    [(0.1, "changes by 0.1 for the erf RNN (higher)"), (-0.1, "changes by −0.1 for the erf RNN (lower)")],
)
def test_the_verdict_follows_the_price(cost, text):
    conclusion = output_scale.conclude(made_up(cost=cost))
    assert text in conclusion.verdict
    assert numbers_of(conclusion)["test_error.lazy_minus_rich.erf"].value == pytest.approx(cost)
    assert numbers_of(conclusion)["test_error.lazy_minus_standard.erf"].value == pytest.approx(2 / 3 * cost)


def test_a_price_within_its_interval_is_none():
    table = made_up(cost=0.0)
    table["test_error"] += 0.01 * np.random.default_rng(1).standard_normal(len(table))
    assert "(no difference is visible)" in output_scale.conclude(table).verdict


def test_keys_are_those_that_the_question_names():
    table = pd.concat([made_up(networks=("relu", "erf", "cnn")), made_up(data="teacher")])
    numbers = numbers_of(output_scale.conclude(table))
    for end in ("relu", "erf", "cnn", "erf.teacher"):
        names = [f"slope.{name}" for name in ("gap_test", "weight_motion", "kernel_drift", "kappa", "gate_flips")]
        names += [
            f"test_error.{name}" for name in ("rich", "standard", "lazy", "lazy_minus_rich", "lazy_minus_standard")
        ]
        assert {f"{name}.{end}" for name in (*names, "kappa", "alpha_lazy", "reached")} <= set(numbers)
    assert numbers["alpha_lazy.erf"].value == pytest.approx(7, rel=0.1)
    assert numbers["kappa.erf"].value == pytest.approx(0.7)


def test_rounding_noise_enters_no_slope():
    table = made_up()
    table["noise"] = 2e-4 * table["alpha"]  # gaps 0.007 at α = 100 and 0.023 at α = 30
    found = numbers_of(output_scale.conclude(table))
    assert found["slope.gap_test.erf"].details["alphas"] == [3, 10]
    assert found["slope.kernel_drift.erf"].details["alphas"] == [3, 10, 30, 100]


def without(table, rows, reason=""):
    table = table.copy()
    names = [*output_scale.SLOPES, "test_error"]
    table.loc[rows, names] = np.nan
    table.loc[rows, "exit"], table.loc[rows, "reasons"] = "undecided", reason
    return table


def test_the_rich_end_is_the_smallest_scale_that_all_seeds_reached():
    table = made_up()
    one = without(table, (table["alpha"] == 0.1) & (table["seed"] == 0))
    numbers = numbers_of(output_scale.conclude(one))
    assert numbers["test_error.rich.erf"].details == {"alpha": 1.0}
    assert numbers["reached.erf"].value == pytest.approx(29 / 30)
    assert "never" not in output_scale.conclude(one).verdict
    bounded = without(table, table["alpha"] == 0.1, "out of reach: bounded")
    assert (
        "The erf RNN never reached the training error at α = 0.1 (out of reach: bounded)."
        in output_scale.conclude(bounded).verdict
    )


def test_nothing_that_arrived_is_no_conclusion():
    table = made_up()
    conclusion = output_scale.conclude(without(table, table["alpha"] > 0))
    assert all(
        number.value is None for name, number in numbers_of(conclusion).items() if not name.startswith("reached")
    )
    assert all(number.reason for name, number in numbers_of(conclusion).items() if not name.startswith("reached"))
    assert "No slope" in conclusion.verdict
    assert output_scale.conclude(table[table["alpha"] == 100.0]).verdict.startswith("No slope of the test gap")
    assert numbers_of(output_scale.conclude(made_up(seeds=2)))["slope.gap_test.erf"].interval is None


def test_each_network_is_compared_with_the_theory():
    table = pd.concat([made_up(-0.5, networks=("relu",)), made_up(-1.0, networks=("erf",))])
    verdict = output_scale.conclude(table).verdict
    assert "for the ReLU RNN (slower than the theory)" in verdict
    assert "for the erf RNN (compatible with the theory)" in verdict
    assert "holds for smooth networks" in verdict


def test_one_scale_beside_the_rest_has_no_price():
    numbers = numbers_of(output_scale.conclude(made_up()[lambda rows: rows["alpha"] <= 1]))
    assert numbers["test_error.lazy.erf"].details == numbers["test_error.standard.erf"].details == {"alpha": 1.0}
    assert numbers["test_error.lazy_minus_standard.erf"].value is None
    assert numbers["test_error.lazy_minus_rich.erf"].value is not None
