import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import lab
from comparisons import phases
from comparisons.kit.networks import build
from lab.errors import LabError
from tests.comparisons.tables import numbers_of

PHASES = {"phase_one": (0.1, 0.4, 1.6), "residuals": (0.8, 0.5), "phase_two_steps": 300}
SETTINGS = phases.Settings(widths=(16,), seeds=2, samples=8, dtype="float64", **PHASES)
CELL = next(c for c in phases.cells(SETTINGS) if (c.seed, c.first, c.residual) == (1, 0.4, 0.5))
CELL = replace(CELL, seed=9)  # both rates reach ½, the small one alone with phase two cut short


def made_up(seeds=5, large=0.3, control=0.3, frozen=0.6, least=0.5, residuals=(0.8, 0.5, 0.2), **changes):
    """Rows in which the kernel of W_k leaves these gaps after c₁ = 3 and 0.1, and that of W₀ ``frozen``."""
    rows = []
    for seed in range(seeds):
        for first in (0.1, 3.0):
            for residual in residuals:
                spread = 1 + 0.02 * (seed - seeds // 2) * (1 if first > 1 else -1)
                rows.append({
                    "readout": "last", "width": 256, "seed": seed, "first": first, "residual": residual,
                    "outcome": "reached", "diverged": False,
                    "gap_from_init": frozen * spread,
                    "gap_from_phase_one": (large if first > 1 else control) * spread / (2 * residual),
                    "kernel_distance": 0.05 * spread, "capped": 0.0, "phase_one_length": 20, "noise": np.nan,
                    "lambda_min_init": 1.0, "lambda_max_init": 100.0, "gradient_ratio_init": 20.0,
                    "lambda_min_phase_one": least * spread if first > 1 else 1.0,
                    "lambda_max_phase_one": 30.0, "gradient_ratio_phase_one": 5.0,
                    "spectrum_kept": 1.0, "spectrum_top": 1.01, "f0_share": 0.0,
                } | changes)  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        (
            {},
            [
                "relinearizing helps",
                "30 % (29",
                "by 60 % (58",
                "30 % (29 to 31); no difference is visible",
                "lower bound is 50 % (48",
            ],
        ),
        (
            {"large": 0.6},
            ["60 % (58 to 62); no difference is visible", "30 % (29 to 31); it deviates more after large steps"],
        ),
        ({"large": 0.9}, ["relinearizing makes it worse"]),
        ({"large": 0.2}, ["30 % (29 to 31); it deviates less after large steps"]),
        ({"least": 2.0}, ["lower bound is 200 %"]),
        ({"least": 1.0}, ["of that at initialization: no difference is visible"]),
        ({"lambda_min_phase_one": 0.0}, ["lower bound is unknown (some seed has no positive value)."]),
        ({"seeds": 2}, ["not judged: fewer than three seeds"]),
    ],
)
def test_the_verdict_follows_the_numbers(changes, texts):
    verdict = phases.conclude(made_up(**changes)).verdict
    for text in texts:
        assert text in verdict, verdict


def test_numbers_are_quoted_at_the_middle_residual_and_named_at_the_others():
    numbers = numbers_of(phases.conclude(made_up(control=0.2)))
    assert numbers["gap_from_phase_one.3"].value == pytest.approx(0.3, rel=1e-3)
    assert numbers["gap_from_phase_one.3.at.0.2"].value == pytest.approx(0.75, rel=1e-3)
    assert numbers["gap_small_step_control.phase_one"].value == pytest.approx(0.2, rel=1e-3)
    assert numbers["gap_small_step_control.init"].value == pytest.approx(0.6, rel=1e-3)
    assert numbers["gap_ratio.3"].value == pytest.approx(0.5)
    assert numbers["gap_over_control.3"].value == pytest.approx(1.5, rel=0.01)
    assert numbers["lambda_min_kept.3"].value == pytest.approx(0.5, rel=0.01)
    assert numbers["gradient_ratio_phase_one.3"].value == pytest.approx(5.0)


def without_phase_two(table, seeds):
    gone = (table["first"] > 1) & table["seed"].isin(seeds)
    table.loc[gone, ["gap_from_init", "gap_from_phase_one", "kernel_distance", "phase_one_length"]] = np.nan
    table.loc[gone, "outcome"] = "undecided"
    return table


def test_one_seed_in_five_may_fail_and_no_more():
    one = numbers_of(phases.conclude(without_phase_two(made_up(), [0])))["gap_from_phase_one.3"]
    assert (one.seeds, one.reason) == (4, None)
    conclusion = phases.conclude(without_phase_two(made_up(), [0, 1]))
    numbers = numbers_of(conclusion)
    assert "2 of 5 seeds" in numbers["gap_from_phase_one.3"].reason
    assert "no phase two after large steps" in conclusion.verdict
    json.dumps({key: number.as_json() for key, number in numbers.items()}, allow_nan=False)


def test_missing_rows_leave_the_rest():
    table = made_up()
    fewer = table.drop(table.index[(table["seed"] == 4) & (table["first"] == 0.1)])
    numbers = numbers_of(phases.conclude(fewer))
    assert numbers["gap_over_control.3"].seeds == 4
    assert numbers["gap_from_init.3"].seeds == 5


def test_further_readouts_and_widths_have_keys_of_their_own():
    table = pd.concat([made_up(), made_up(large=0.9).assign(readout="all")])
    assert numbers_of(phases.conclude(table))["gap_from_phase_one.3.all"].value == pytest.approx(0.9, rel=1e-3)
    wider = made_up().assign(width=1024)
    wider["gap_from_phase_one"] /= 2
    numbers = numbers_of(phases.conclude(pd.concat([made_up(), wider])))
    assert numbers["exponent.gap_from_phase_one.3"].value == pytest.approx(-0.5)
    assert numbers["gap_from_phase_one.3"].value == pytest.approx(0.15, rel=1e-3)


def dense(network, inputs):
    """Outputs (n,) and Jacobian in W (n, m²) by autograd."""
    rows = [torch.autograd.grad(network(x[None]).sum(), network.trained.values())[0].flatten() for x in inputs]
    return network(inputs).detach().flatten().numpy(), torch.stack(rows).numpy()


@pytest.mark.parametrize(("first", "capped"), [(0.4, 1.0), (1.6, 0.0)])
def test_a_cell_is_both_phases_written_out(first, capped):
    """Phase one by lab.descend, phase two by plain steps beside dense linear models from autograd."""
    row, arrays = phases.measure(replace(CELL, first=first))
    json.dumps(row, allow_nan=False)
    task, network = build(CELL)
    y, test = task.train_targets.flatten().numpy(), task.test_inputs
    f0, J0 = dense(network, task.train_inputs)
    _, J0_test = dense(network, test)
    top = np.linalg.eigvalsh(J0 @ J0.T)[-1]
    steps = list(lab.descend(network, task, lab.Descent(row["phase_one_length"], learning_rate=2 * first / top)))
    caught = steps[-1].network
    fk, Jk = dense(caught, task.train_inputs)
    fk_test, Jk_test = dense(caught, test)
    assert arrays["path"][row["phase_one_length"]] == pytest.approx(np.linalg.norm(fk - y) / np.linalg.norm(f0 - y))
    rate = 0.5 / max(top, np.linalg.eigvalsh(Jk @ Jk.T)[-1])
    assert row["small_step"] == pytest.approx(rate)
    length, scale = row["phase_two_length"], np.sqrt(np.mean((fk - y) ** 2))
    after, gaps = caught.copy(), {"init": [0.0], "phase_one": [0.0]}
    residual, f_test = dict.fromkeys(gaps, fk - y), dict.fromkeys(gaps, fk_test)
    models = {"init": (J0, J0_test), "phase_one": (Jk, Jk_test)}
    recorded = set(lab.Descent(length).recorded().tolist())
    for step in range(1, length + 1):
        jacobian = after.jacobian(task.train_inputs)
        after.descend(jacobian, jacobian.outputs - task.train_targets.flatten(1), rate)
        for name, (J, J_test) in models.items():
            f_test[name] = f_test[name] - rate * J_test @ (J.T @ residual[name])
            residual[name] = residual[name] - rate * J @ (J.T @ residual[name])
            if step in recorded:
                now = after(test).detach().flatten().numpy()
                gaps[name].append(np.sqrt(np.mean((now - f_test[name]) ** 2)) / scale)
    assert row["gap_from_init"] == pytest.approx(max(gaps["init"]), rel=1e-7)
    assert row["gap_from_phase_one"] == pytest.approx(max(gaps["phase_one"]), rel=1e-7)
    assert row["capped"] == capped
    assert (np.mean(residual["phase_one"] ** 2) < 1e-2 * scale**2) == (not capped)


def test_kernels_at_both_ends_are_autograds():
    row, _ = phases.measure(CELL)
    task, network = build(CELL)
    y, m = task.train_targets.flatten().numpy(), 16
    caught = list(lab.descend(network, task, lab.Descent(row["phase_one_length"], 0.4)))[-1].network
    kernels = []
    for where, net in (("init", network), ("phase_one", caught)):
        f, J = dense(net, task.train_inputs)
        kernels.append(J @ J.T)
        values = np.linalg.eigvalsh(kernels[-1]) / m
        assert (row[f"lambda_min_{where}"], row[f"lambda_max_{where}"]) == pytest.approx((values[0], values[-1]))
        gradient, loss = J.T @ (f - y), 0.5 * np.sum((f - y) ** 2)
        assert row[f"gradient_ratio_{where}"] == pytest.approx(gradient @ gradient / (m * loss))
        assert 2 * values[0] <= row[f"gradient_ratio_{where}"] <= 2 * values[-1]
    one, other = kernels
    distance = 1 - np.sum(one * other) / (np.linalg.norm(one) * np.linalg.norm(other))
    assert row["kernel_distance"] == pytest.approx(distance)
    singular = np.linalg.svd(caught.W.detach().numpy())[1] / (2 * math.sqrt(2))
    assert row["spectrum_top"] == pytest.approx(singular[0])
    assert row["spectrum_kept"] == pytest.approx(np.mean(singular <= 1.1))


def test_what_is_caught_comes_after_the_peak():
    """The residual passes ρ on the way to the peak of a catapult, too: that does not count."""
    row, arrays = phases.measure(replace(CELL, first=1.6, seed=6))
    path, length = arrays["path"], row["phase_one_length"]
    assert row["peak"] == pytest.approx(path.max())
    assert path.max() > 2
    assert length > path.argmax()
    assert path[length] <= 0.5
    assert (path[path.argmax() : length] > 0.5).all()


def test_phases_that_do_not_end_say_so():
    slow, _ = phases.measure(replace(CELL, first=0.001, phase_one_time=0.05))
    assert (slow["outcome"], slow["diverged"], slow["gap_from_init"]) == ("undecided", False, None)
    assert "undecided at step" in slow["reasons"]
    wild, _ = phases.measure(replace(CELL, first=500.0))
    assert (wild["outcome"], wild["diverged"], wild["peak"]) == ("diverged", True, None)
    short, _ = phases.measure(replace(CELL, phase_two_steps=2))
    assert (short["capped"], short["phase_two_length"]) == (1.0, 2)
    json.dumps([slow, wild, short], allow_nan=False)


def test_the_noise_floor_comes_from_the_control():
    cells = phases.cells(SETTINGS)
    assert [cell.noise for cell in cells].count(True) == 2  # one for each seed
    chosen = next(cell for cell in cells if cell.noise)
    assert (chosen.first, chosen.residual) == (0.1, 0.8)
    assert phases.measure(chosen)[0]["noise"] < 1e-9


def test_cells_are_all_combinations():
    cells = phases.cells(phases.Settings(widths=(8, 16), seeds=2))
    assert len(cells) == 2 * 2 * 4 * 3
    wide, narrow = (phases.cost(replace(CELL, width=width)).flops for width in (64, 16))
    assert wide > 8 * narrow


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"phase_one": ()}, "phase_one"),
        ({"phase_one": (0.1, 0.1)}, "phase_one"),
        ({"phase_one": (1.5, 3.0)}, "phase_one"),
        ({"phase_one": (0.1, -1.0)}, "phase_one"),
        ({"residuals": (1.2,)}, "residuals"),
        ({"residuals": ()}, "residuals"),
        ({"critical_fraction": 1.5}, "critical_fraction"),
        ({"phase_one_time": 0.0}, "phase_one_time"),
        ({"phase_two_steps": 0}, "phase_two_steps"),
    ],
)
def test_bad_settings_name_themselves(settings, name):
    with pytest.raises(LabError) as caught:
        phases.Settings(**settings)
    assert caught.value.argument == name
