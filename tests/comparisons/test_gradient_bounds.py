import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from comparisons import gradient_bounds as gb
from comparisons.kit import networks
from lab.errors import LabError
from tests.comparisons.tables import numbers_of
from tests.references import dense_jacobian, product
from tests.tolerances import EXACT

SMALL = {"widths": (24,), "seeds": 1, "samples": 4, "radii": (0.03, 0.1, 0.3, 1.0, 4.0, 16.0), "searches": 2}
SETTINGS = gb.Settings(**SMALL, readouts=("last",))


def made_up(kept=0.8, ratio=0.0, radius=0.5, motion=0.0, level=2.0, rate=0.9, seeds=4):
    """Power laws in m: of the lower ratio, the radius and the motion, the last two equal to level and 1 at m = 64."""
    noise, rows = np.random.default_rng(0).normal(0, 0.02, seeds), []
    for m in (64, 128, 256, 512):
        for seed in range(seeds):
            x, wobble = m / 64, np.exp(noise[seed])
            row = {"readout": "last", "width": m, "seed": seed, "exit": "reached", "f0_share": 0.9, "ratio_kept": kept}
            row |= {"ratio_min": 3 * x ** (ratio + noise[seed]), "ratio_max": 90 * wobble, "path_ratio_min": 4.0}
            row |= {"path_ratio_max": 60.0, "rate_over_prediction": rate * wobble, "rate_over_linear": 0.8 * wobble}
            row |= {"motion": x**motion * wobble, "radius_of_validity": level * x**radius * wobble**2}
            row |= {f"flips_{name}": 0.1 * x ** (-0.5 + noise[seed]) for name in gb.FLIPS}
            row |= {f"slope_{name}": 2.0 + noise[seed] for name in gb.PARTS}
            row |= {f"radius_{name}": level * x**radius for name in gb.DIRECTIONS}
            row |= {f"censored_{name}": None for name in (*gb.DIRECTIONS, "of_validity")}
            rows.append({**row, "motion_over_valid": row["motion"] / row["radius_of_validity"]})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"ratio": 0.0}, "constant is 80 % of the initial one; it has no visible trend in the width: exponent"),
        ({"ratio": 0.5}, "rises as width^0.5"),
        ({"ratio": -0.5}, "falls as width^−0.49"),
        ({"radius": 0.5, "level": 0.5}, "descent ends at a smaller distance, 1"),
        ({"level": 1e-3}, "descent ends at a larger distance, 1"),
        ({"level": 1.0, "radius": 0.0}, "descent ends at about the same distance, 1"),
        ({"level": 5.0}, "distance of 14.2 ("),
        ({"seeds": 2}, "its trend in the width is not judged: fewer than three seeds"),
        ({"seeds": 2}, "descent ends at 1/√width."),
        ({"rate": 2.0}, "falls at 2.01 ("),
    ],
)
def test_the_verdict_follows_the_numbers(change, text):
    verdict = gb.conclude(made_up(**change)).verdict
    assert text in verdict, verdict


def test_exponents_and_crossings_are_found():
    numbers = numbers_of(gb.conclude(made_up(radius=0.5, level=0.5)))
    assert numbers["exponent.radius_of_validity"].value == pytest.approx(0.5, abs=0.02)
    assert numbers["exponent.flips"] == numbers["exponent.flips.gd"]
    assert numbers["exponent.flips.adversarial"].value == pytest.approx(-0.5, abs=0.05)
    assert numbers["motion_within_from"].value == pytest.approx(256, rel=0.1)
    assert numbers["exponent.motion"].value == pytest.approx(0, abs=EXACT)
    assert numbers["radius_of_validity.256"].value == pytest.approx(1.0, rel=0.1)
    assert numbers["reached"].value == 1.0


def test_a_censored_radius_is_no_number_and_leaves_its_width_out():
    table = made_up()
    outside = (table["width"] == 512) & (table["seed"] < 2)
    table.loc[outside, "censored_of_validity"] = "right"
    numbers = numbers_of(gb.conclude(table))
    assert numbers["radius_of_validity.512"].value is None
    assert "2 of 4 seeds" in numbers["radius_of_validity.512"].reason
    assert numbers["exponent.radius_of_validity"].details["widths"] == [64, 128, 256]
    assert "512" in numbers["exponent.radius_of_validity"].reason
    table["censored_of_validity"] = "right"
    conclusion = gb.conclude(table)
    assert numbers_of(conclusion)["exponent.radius_of_validity"].value is None
    assert "is unknown (4 of 4 seeds right censored" in conclusion.verdict


def test_a_diverged_run_enters_no_mean_and_missing_rows_do_no_harm():
    table = made_up()
    gone = table.index[-1]
    table.loc[gone, ["exit", "readout"]] = ["diverged", "last"]
    table.loc[gone, ["ratio_kept", "ratio_min", "motion", "motion_over_valid", "flips_gd"]] = np.nan
    numbers = numbers_of(gb.conclude(table))
    assert numbers["ratio_min.512"].seeds == 3
    assert numbers["reached"].value == pytest.approx(15 / 16)
    assert numbers_of(gb.conclude(table[table["width"] != 128]))["ratio_min.64"].value is not None
    everything = table.assign(exit="diverged", ratio_kept=np.nan, motion=np.nan, motion_over_valid=np.nan)
    assert "along descent is unknown" in gb.conclude(everything).verdict


def test_a_second_readout_has_keys_of_its_own():
    table = pd.concat([made_up(), made_up(radius=1.0).assign(readout="all")], ignore_index=True)
    numbers = numbers_of(gb.conclude(table))
    assert numbers["exponent.radius_of_validity.all"].value == pytest.approx(1.0, abs=0.05)
    assert numbers["exponent.radius_of_validity"].value == pytest.approx(0.5, abs=0.05)
    assert {"ratio_min.64", "ratio_min.64.all"} <= set(numbers)


@pytest.fixture(scope="module", params=["last", "all"])
def measured(request):
    cell = gb.cells(gb.Settings(**SMALL, readouts=(request.param,), accuracy=1e-2))[0]
    return cell, *gb.measure(cell)


def test_a_cell_is_json_and_has_every_column(measured):
    cell, row, arrays = measured
    json.dumps(row, allow_nan=False)
    assert set(made_up().columns) <= set(row)
    assert row["exit"] == "reached"
    assert arrays["shares"].shape == (4, len(cell.radii))
    assert arrays["mse"][-1] < cell.accuracy <= arrays["mse"][-2]


def test_the_path_is_inside_the_band_of_its_kernels(measured):
    cell, row, arrays = measured
    task, network = networks.build(cell)
    K = product(dense_jacobian(network, task.train_inputs)["W"])
    values = np.linalg.eigvalsh(K.reshape(-1, int(K.numel() ** 0.5)).numpy())
    assert arrays["lambda_min"][0] == pytest.approx(values[0], rel=1e-6)
    assert arrays["lambda_max"][0] == pytest.approx(values[-1], rel=1e-8)
    leaf = network.copy()
    residual = leaf(task.train_inputs).flatten(1) - task.train_targets.flatten(1)
    (0.5 * residual.square().sum()).backward()
    force = float(leaf.W.grad.square().sum()) / (0.5 * float(residual.detach().square().sum()))
    assert arrays["force"][0] == pytest.approx(force, rel=1e-8)
    assert row["ratio_min"] <= row["path_ratio_min"] <= row["path_ratio_max"] <= row["ratio_max"]


def test_the_worst_radius_is_the_smallest_and_the_search_beats_the_gaussian(measured):
    _, row, arrays = measured
    inside = [row[f"radius_{name}"] for name in gb.DIRECTIONS if row[f"censored_{name}"] != "right"]
    assert row["radius_of_validity"] == min(inside)
    shares = dict(zip(gb.DIRECTIONS, arrays["shares"], strict=True))
    seen = np.isfinite(shares["adversarial"])
    assert (shares["adversarial"][seen] < shares["gaussian"][seen]).all()
    assert row["slope_multilinear"] == pytest.approx(2, abs=0.1)


def test_a_diverged_descent_leaves_empty_cells():
    cell = replace(gb.cells(SETTINGS)[0], critical_fraction=200.0)
    row, arrays = gb.measure(cell)
    json.dumps(row, allow_nan=False)
    assert row["diverged"]
    assert all(row[name] is None for name in ("ratio_min", "motion", "flips_gd", "slope_total", "rate_over_prediction"))
    assert row["flips_gaussian"] is not None
    assert np.isnan(arrays["shares"][list(gb.DIRECTIONS).index("gd")]).all()


def test_without_a_closed_form_hitting_time_there_is_still_a_budget():
    cell = replace(gb.cells(SETTINGS)[0], critical_fraction=1.5)
    assert gb.measure(cell)[0]["exit"] in ("reached", "diverged", "undecided")


def test_figures_are_drawn_from_made_up_results():
    cells = gb.cells(SETTINGS)
    rows, arrays = zip(*(gb.measure(replace(cell, width=m)) for cell in cells for m in (16, 24)), strict=True)

    class Results:
        table = pd.DataFrame(rows)
        cells = ({"flip_radius": 1.0},)

        @staticmethod
        def arrays(width, **_):
            return arrays[(16, 24).index(width)]

    figures = gb.draw(Results, gb.conclude(Results.table))
    assert set(figures) == {"spheres", "radius", "band", "flips", "rate"}


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"accuracy": 0.0}, "accuracy"),
        ({"patience": -1.0}, "patience"),
        ({"radii": (1.0,)}, "radii"),
        ({"radii": (2.0, 1.0)}, "radii"),
        ({"radii": (0.0, 1.0)}, "radii"),
        ({"searches": 0}, "searches"),
        ({"flip_radius": 0.0}, "flip_radius"),
        ({"activation": "tanh"}, "activation"),
        ({"parametrization": "ntk"}, "parametrization"),
        ({"trained": ("W", "B")}, "trained"),
    ],
)
def test_bad_settings_name_themselves(settings, name):
    with pytest.raises(LabError) as caught:
        gb.Settings(**settings)
    assert caught.value.argument == name


def test_cost_grows_with_the_width():
    cell = gb.cells(SETTINGS)[0]
    assert gb.cost(replace(cell, width=128)).flops > 6 * gb.cost(replace(cell, width=32)).flops


def test_digits_will_do_too():
    cell = gb.cells(gb.Settings(**{**SMALL, "samples": 4}, task="digits", readouts=("last",)))[0]
    assert gb.measure(cell)[0]["radius_of_validity"] > 0
