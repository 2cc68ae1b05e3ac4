import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import lab
from comparisons import step_size
from comparisons.kit.networks import build
from lab.errors import LabError
from tests.comparisons.tables import numbers_of
from tests.tolerances import EXACT, relative

SETTINGS = step_size.Settings(widths=(16,), seeds=1, samples=8, dtype="float64", kernel_time=10.0, least_steps=20)
CELL = step_size.cells(SETTINGS)[0]
C = [0.1 * 2 ** (k / 2) for k in range(13)]  # up to 6.4


def seed_rows(seed, width=64, tracking=0.8, linear=1.0, network=3.2, returns=(), **changes):
    """Rows of one seed with these limits; motion grows as √c, and the critical step as 1/m."""
    rows = []
    for c in C:
        reached = c <= network * 1.01 or any(abs(c - other) < 0.01 * c for other in returns)
        rows.append({
            "readout": "last", "width": width, "seed": seed, "fraction": c,
            "outcome": "reached" if reached else "diverged",
            "outcome_second_order": None if c < 0.5 else "reached" if c < 1.5 else "diverged",
            "diverged": False if reached else 3,
            "gap_test": np.nan if c > 3 else 0.2 if c <= tracking * 1.01 else 0.5,
            "linear_diverges": c > linear,
            "motion": np.sqrt(c) if reached else np.nan,
            "sharpness": 0.5 if reached else np.nan,
            "live_gates": 0.4 if reached else np.nan,
            "live_gates_start": 0.5,
            "peak_mse": 20.0 if reached else np.nan,
            "critical_step_times_width": 0.01 * (1 + 0.001 * seed),
            "critical_step_infinite": 0.02,
            "linear_noise": 1e-6 if 0.5 <= c < 1 else np.nan,
            "f0_share": 0.0,
        } | changes)  # fmt: skip
    return rows


def table(seeds=5, widths=(64, 128), **changes):
    return pd.DataFrame([row for m in widths for seed in range(seeds) for row in seed_rows(seed, m, **changes)])


def test_the_three_limits_are_read_off_the_grid():
    numbers = numbers_of(step_size.conclude(table()))
    for key in ("tracking_limit", "tracking_limit.64"):
        assert numbers[key].value == pytest.approx(0.8)
    assert numbers["linear_limit.128"].value == pytest.approx(0.8 * 2**0.5)
    assert numbers["network_limit"].value == pytest.approx(3.2)
    assert numbers["weight_motion_ratio"].value == pytest.approx(np.sqrt(0.8 * 3.2 / 0.25))
    assert numbers["sharpness_after_catapult"].value == pytest.approx(0.5)
    assert numbers["nonmonotone_seeds"].value == 0
    assert numbers["noise_floor"].value == 1e-6
    assert numbers["critical_step_times_width.infinite"].value == pytest.approx(0.02, rel=EXACT)
    assert numbers["exponent.critical_step_times_width"].value == pytest.approx(0, abs=EXACT)


def test_limits_are_averaged_in_logs():
    made = pd.DataFrame(seed_rows(0, network=1.6) + seed_rows(1, network=6.4 / 2) + seed_rows(2, network=0.8))
    assert numbers_of(step_size.conclude(made))["network_limit"].value == pytest.approx((1.6 * 3.2 * 0.8) ** (1 / 3))


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        (
            {},
            [
                "up to 0.8",
                "diverges from 1.13",
                "trains at up to 3.2",
                "rises by a factor of 20",
                "compatible with the theorem's 1/width",
            ],
        ),
        ({"tracking": 0.2}, ["Tracking breaks at 0.2", "well before the linear model"]),
        (
            {"tracking": 3.0, "linear": 99.0},
            ["linear model does not diverge at any step of this grid."],
        ),
        ({"network": 0.8}, ["diverges from 1.13 on; the network's limit is not above it."]),
        ({"network": 99.0}, ["not inside this grid", "right censored at 6.4"]),
        ({"network": 0.01}, ["not inside this grid", "left censored at 0.1"]),
    ],
)
def test_the_verdict_follows_the_numbers(changes, texts):
    verdict = step_size.conclude(table(**changes)).verdict
    for text in texts:
        assert text in verdict, verdict


def test_tracking_that_may_last_to_the_edge_does_not_break_well_before():
    early = pd.DataFrame([row for seed, c in enumerate((0.2, 0.8, 0.4)) for row in seed_rows(seed, tracking=c)])
    assert "well before" not in step_size.conclude(early).verdict


def test_a_law_that_the_seeds_do_not_show_is_not_claimed():
    made = table()
    made["critical_step_times_width"] *= np.where(made["width"] == 128, 4.0 ** (made["seed"] - 2), 1.0)
    assert "too wide to test the theorem's 1/width" in step_size.conclude(made).verdict
    steep = table()
    steep["critical_step_times_width"] *= steep["width"] ** -0.5
    assert "faster than the theorem's 1/width" in step_size.conclude(steep).verdict


def test_training_again_beyond_the_limit_is_counted():
    made = pd.DataFrame([row for seed in range(3) for row in seed_rows(seed, returns=(6.4,) if seed else ())])
    numbers = numbers_of(step_size.conclude(made))
    assert numbers["nonmonotone_seeds"].value == 2
    assert numbers["network_limit"].value == pytest.approx(3.2)


def test_missing_rows_and_diverged_grids_are_no_accident():
    made = table()
    fewer = numbers_of(step_size.conclude(made.drop(made.index[::7])))
    assert fewer["linear_limit"].value is not None
    nothing = made.assign(outcome="diverged", motion=np.nan, sharpness=np.nan, gap_test=np.nan)
    numbers = numbers_of(step_size.conclude(nothing))
    assert numbers["network_limit"].reason == "5 of 5 seeds left censored at 0.1"
    assert numbers["tracking_limit"].value is None
    assert numbers["sharpness_after_catapult"].value is None
    json.dumps({key: number.as_json() for key, number in numbers.items()}, allow_nan=False)


def test_a_kernel_without_a_closed_form_has_a_reason():
    found = numbers_of(step_size.conclude(table(critical_step_infinite=None)))["critical_step_times_width.infinite"]
    assert found.value is None
    assert "no closed form" in found.reason


def test_a_second_readout_has_keys_of_its_own():
    both = pd.concat([table(), table(network=1.6).assign(readout="all")])
    numbers = numbers_of(step_size.conclude(both))
    assert numbers["network_limit.64"].value == pytest.approx(3.2)
    assert numbers["network_limit.64.all"].value == pytest.approx(1.6)


@pytest.mark.parametrize("fraction", [0.4, 1.6])
def test_a_cell_is_side_by_side_with_an_exit(fraction):
    """Gap and errors against the three learners of the lab, sharpness against autograd's kernel of the end."""
    cell = replace(CELL, fraction=fraction)
    row, arrays = step_size.measure(cell)
    json.dumps(row, allow_nan=False)
    task, network = build(cell)
    window = int(np.ceil(10 / fraction))
    result = lab.side_by_side(network, task, lab.Descent(window, fraction))
    assert row["learning_rate"] == pytest.approx(result.learning_rate)
    assert row["gap_test"] == pytest.approx(result.gap("test").max(), rel=1e-9)
    assert relative(arrays["mse"][result.network.steps], result.network.loss / result.network.loss[0]) < EXACT
    shown = result.linearized.steps[:8]
    assert relative(arrays["mse_linearized"][shown], (result.linearized.loss / result.linearized.loss[0])[:8]) < 1e-8
    assert row["outcome"] == "reached"
    assert arrays["mse"][-1] < 0.1
    assert row["steps"] == len(arrays["mse"]) - 1 >= max(window, 20)
    trained = list(lab.descend(network, task, lab.Descent(row["steps"], fraction)))[-1].network
    gradients = []
    for x in task.train_inputs:
        (gradient,) = torch.autograd.grad(trained(x[None]).sum(), trained.trained.values())
        gradients.append(gradient.flatten())
    top = torch.linalg.matrix_norm(torch.stack(gradients), ord=2) ** 2
    assert row["sharpness"] == pytest.approx(float(row["learning_rate"] * top / 2), rel=1e-8)
    limit = lab.infinite_ntk(network, task.train_inputs).reshape(8, 8).numpy()
    assert row["critical_step_infinite"] == pytest.approx(2 * 16 / np.linalg.eigvalsh(limit)[-1])
    assert row["live_gates"] == pytest.approx(float(trained.gates(task.train_inputs).double().mean()))


def test_the_motion_at_equal_residual_lies_between_two_steps():
    row, arrays = step_size.measure(replace(CELL, fraction=0.4))
    task, network = build(CELL)
    descent = lab.Descent(row["steps"], 0.4, record="all")
    start = network.W.detach().clone()
    moved = [float((s.network.W - start).detach().norm()) for s in lab.descend(network, task, descent)]
    after = int(np.argmax(arrays["mse"] < 0.1))
    assert moved[after - 1] < row["motion"] <= moved[after]
    logs = np.log(arrays["mse"][[after, after - 1]])
    assert row["motion"] == pytest.approx(np.interp(np.log(0.1), logs, [moved[after], moved[after - 1]]), rel=1e-8)


def test_the_second_order_model_trains_beside_it_from_half_the_critical_step_on():
    row, arrays = step_size.measure(replace(CELL, fraction=0.4, patience=0.1))
    assert row["outcome_second_order"] is None
    assert "quadratic" not in arrays
    row, arrays = step_size.measure(replace(CELL, fraction=0.9, patience=0.1))
    task, network = build(CELL)
    steps = len(arrays["quadratic"]) - 1
    result = lab.side_by_side(network, task, lab.Descent(steps, 0.9, record="all"), order=2)
    assert relative(arrays["quadratic"], result.quadratic.loss / result.quadratic.loss[0]) < 1e-9
    ends = {True: "diverged", False: "reached" if arrays["quadratic"][-1] < 0.1 else "undecided"}
    assert row["outcome_second_order"] == ends[result.quadratic.diverged_at is not None]


def test_the_linear_model_diverges_beyond_the_edge_alone():
    below, above = (step_size.measure(replace(CELL, fraction=c, patience=0.1))[0] for c in (0.98, 1.02))
    assert (below["linear_diverges"], above["linear_diverges"]) == (False, True)
    assert below["linear_noise"] < 1e-9


def test_a_run_without_end_is_undecided_and_one_that_explodes_diverged():
    short = replace(CELL, fraction=0.4, kernel_time=0.5, least_steps=1, patience=1e-3)
    row, _ = step_size.measure(short)
    assert (row["outcome"], row["diverged"], row["motion"]) == ("undecided", False, None)
    wild, _ = step_size.measure(replace(CELL, fraction=500.0))
    assert wild["outcome"] == "diverged"
    assert wild["reasons"] == f"network diverged at step {wild['diverged']}"
    assert wild["diverged"] == wild["steps"] >= 1
    assert (wild["sharpness"], wild["final_mse"], wild["motion"]) == (None, None, None)
    json.dumps(wild, allow_nan=False)


def test_cells_are_the_whole_grid():
    cells = step_size.cells(step_size.Settings(widths=(8, 16), seeds=2))
    assert len(cells) == 2 * 2 * 21
    fractions = [cell.fraction for cell in cells if (cell.width, cell.seed) == (8, 0)]
    assert len(fractions) == 21
    assert (fractions[0], cells[0].width, cells[-1].width, cells[-1].seed) == (0.05, 8, 16, 1)
    assert np.diff(np.log2(fractions)) == pytest.approx(0.5, abs=1e-3)
    slow, quick = (step_size.cost(replace(CELL, fraction=fraction)).flops for fraction in (0.05, 0.5))
    assert slow > quick


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"critical_fraction": 1.0}, "critical_fraction"),
        ({"smallest_fraction": 1.5}, "smallest_fraction"),
        ({"largest_fraction": 0.5}, "largest_fraction"),
        ({"per_octave": 0}, "per_octave"),
        ({"kernel_time": 0.0}, "kernel_time"),
        ({"patience": -1.0}, "patience"),
        ({"least_steps": 0}, "least_steps"),
        ({"widths": ()}, "widths"),
    ],
)
def test_bad_settings_name_themselves(settings, name):
    with pytest.raises(LabError) as caught:
        step_size.Settings(**settings)
    assert caught.value.argument == name
