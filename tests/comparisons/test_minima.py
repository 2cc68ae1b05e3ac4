import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from comparisons import minima
from comparisons.kit.cells import from_json, to_json
from lab.errors import LabError
from tests.comparisons.tables import numbers_of
from tests.tolerances import EXACT

SMALL = {"widths": (24,), "seeds": 1, "samples": 4, "readouts": ("last",), "points": 5, "searches": 2}
SMALL |= {"success_widths": (2, 16), "success_seeds": 2}
SETTINGS = minima.Settings(**SMALL)


def planted_rows(gradient=0.0, ratio=0.5, needed=-0.5, level=2.0, seeds=4):
    """Power laws in m: distance ratio and needed motion, which is level times the radius at m = 64."""
    noise, rows = np.random.default_rng(0).normal(0, 0.02, seeds), []
    for m in (64, 128, 256, 512):
        for seed in range(seeds):
            x, wobble = m / 64, np.exp(noise[seed])
            row = {"part": "planted", "readout": "last", "width": m, "seed": seed, "exit": "reached"}
            row |= {"planted_gradient": gradient, "planted_loss": 1.2 * wobble, "descent_loss": 1e-3 * wobble}
            row |= {"distance_ratio": 10 * x ** (ratio + noise[seed]), "planted_distance": 7.0 * wobble}
            row |= {"planted_over_initial": 2.5 * wobble, "descent_distance": 0.7 * x**-ratio, "valid": 0.2 * wobble}
            row |= {"valid_censored": None, "needed": 0.2 * level * x ** (needed + noise[seed])}
            row |= {f"barrier_{name}": 0.1 for name in minima.LINES}
            row |= dict.fromkeys(("needed_over_valid", "needed_over_valid_spectral"), row["needed"] / row["valid"])
            rows.append(row)
    return rows


def success_rows(exits):
    """Twenty seeds at each width, with how many of them end in which way."""
    return [
        {"part": "success", "readout": "last", "width": width, "seed": seed, "exit": name}
        for width, counts in exits.items()
        for seed, name in enumerate(name for name, count in counts.items() for _ in range(count))
    ]


GOOD = {2: {"stuck": 20}, 4: {"success": 10, "stuck": 6, "slow": 4}, 8: {"success": 19, "diverged": 1}}
GOOD |= {16: {"success": 20}}


def table(exits=GOOD, **change):
    return pd.DataFrame([*planted_rows(**change), *success_rows(exits)])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, "(gradient exactly 0)"),
        ({"gradient": 1e-12}, "at most 1e-12, not 0"),
        (
            {"ratio": 0.5},
            "28.5 (27.9 to 29.1) times as far from W₀ as the weights after training, growing as width^0.5",
        ),
        ({"ratio": 0.0}, "times as far from W₀ as the weights after training. The motion"),
        ({"level": 2.0}, "below the radius with λ_min(K) ≥ λ_min(K₀)/4 from width 2"),
        ({"level": 0.5}, "from an unknown width on (left censored at 64)"),
        ({"needed": -0.1, "level": 5.0}, "from an unknown width on (right censored at 512)"),
        ({"needed": 0.0, "level": 5.0}, "from an unknown width on (it does not fall)"),
        ({}, "100 % (84 to 100) stop making progress at width 2, none above width 4"),
        (
            {"exits": {2: {"stuck": 20}, 4: {"stuck": 5, "slow": 15}}},
            "100 % (84 to 100) stop making progress at width 2, 25 % (11 to 47) at width 4.",
        ),
        ({"exits": {2: {"slow": 20}, 4: {"slow": 20}}}, "from an unknown width on (right censored at 4)"),
        ({"exits": {2: {"slow": 20}, 4: {"slow": 20}}}, "none stops making progress"),
        (
            {"exits": {2: {"slow": 20}, 4: {"stuck": 5, "slow": 15}}},
            "; 25 % (11 to 47) stop making progress at width 4.",
        ),
    ],
)
def test_the_verdict_follows_the_numbers(change, text):
    verdict = minima.conclude(table(**change)).verdict
    assert text in verdict, verdict


def test_keys_and_values():
    numbers = numbers_of(minima.conclude(table()))
    assert numbers["exponent.distance_ratio"].value == pytest.approx(0.5, abs=0.05)
    assert numbers["exponent.needed"].value == pytest.approx(-0.5, abs=0.05)
    assert numbers["exponent.valid"].value == pytest.approx(0.0, abs=EXACT)
    assert numbers["needed_over_valid.64"].value == pytest.approx(2.0, rel=0.1)
    assert numbers["needed_is_valid_from"].value == pytest.approx(256, rel=0.15)
    assert {"barrier.descent.512", "barrier.between.64", "planted_over_initial.128"} <= set(numbers)
    assert [numbers[f"{name}.4"].value for name in minima.EXITS] == [0.5, 0.2, 0.3, 0.0]
    assert 4 < numbers["width_for_90_percent"].value < 16


def test_each_part_may_be_missing_and_so_may_rows():
    assert "networks succeed" not in minima.conclude(pd.DataFrame(planted_rows())).verdict
    assert "worse minimum" not in minima.conclude(pd.DataFrame(success_rows(GOOD))).verdict
    rows = table()
    assert numbers_of(minima.conclude(rows[rows["width"] != 512]))["distance_ratio.256"].value is not None


def test_a_diverged_descent_enters_no_mean():
    rows = table()
    gone = (rows["part"] == "planted") & (rows["width"] == 512) & (rows["seed"] == 0)
    rows.loc[gone, "exit"] = "diverged"
    rows.loc[gone, ["distance_ratio", "descent_loss", "barrier_descent"]] = np.nan
    numbers = numbers_of(minima.conclude(rows))
    assert numbers["distance_ratio.512"].seeds == 3
    assert numbers["descent_loss"].value == pytest.approx(1e-3, rel=0.1)


def test_a_censored_radius_is_no_number():
    rows = table()
    rows["valid_censored"] = "right"
    numbers = numbers_of(minima.conclude(rows))
    assert numbers["valid.64"].value is None
    assert numbers["exponent.valid"].value is None


@pytest.fixture(scope="module")
def planted():
    return minima.measure(replace(minima.cells(SETTINGS)[0], accuracy=1e-2, seed=2))  # it gets there


def test_a_planted_cell_has_every_column(planted):
    row, arrays = planted
    json.dumps(row, allow_nan=False)
    assert set(pd.DataFrame(planted_rows()).columns) <= set(row)
    assert (row["part"], row["exit"], row["diverged"]) == ("planted", "reached", False)
    assert row["planted_gradient"] == 0.0
    assert row["descent_loss"] < 0.05 < row["planted_loss"]
    assert row["needed_over_valid"] == row["needed"] / row["valid"]
    assert arrays["losses"].shape == (len(minima.LINES), SETTINGS.points)
    assert arrays["losses"][1:, -1] == pytest.approx(row["planted_loss"], rel=EXACT)


def test_a_diverged_descent_leaves_empty_cells():
    row, _ = minima.measure(replace(minima.cells(SETTINGS)[0], critical_fraction=200.0))
    json.dumps(row, allow_nan=False)
    assert row["diverged"]
    assert all(row[name] is None for name in ("distance_ratio", "descent_loss", "barrier_descent", "barrier_between"))
    assert row["planted_gradient"] == 0.0
    assert row["needed"] > 0


def narrow_cell(**change):
    return replace(next(cell for cell in minima.cells(SETTINGS) if cell.part == "success"), **change)


@pytest.mark.parametrize(
    ("change", "exit_name"),
    [
        ({"width": 48}, "success"),
        ({"width": 48, "critical_fraction": 200.0}, "diverged"),
        ({"width": 48, "accuracy": 1e-8, "patience": 1.0}, "slow"),
        ({"width": 1}, "stuck"),
    ],
)
def test_narrow_networks_end_in_four_ways(change, exit_name):
    row, arrays = minima.measure(narrow_cell(**change))
    json.dumps(row, allow_nan=False)
    assert (row["part"], row["exit"], row["diverged"]) == ("success", exit_name, exit_name == "diverged")
    assert {"budget", "steps", "final_mse", "pace"} <= set(row)
    assert arrays == {}


def test_cells_keep_only_the_settings_of_their_part():
    cells = minima.cells(SETTINGS)
    assert len(cells) == 1 + 2 * 2
    planted, narrow = cells[0], cells[-1]
    assert (planted.centred, narrow.centred) == (False, True)
    assert (planted.accuracy, narrow.accuracy) == (1e-3, 1e-2)
    assert (planted.patience, narrow.patience) == (4.0, 100.0)
    texts = [to_json(cell) for cell in cells]
    assert "radii" not in texts[-1]
    assert not {"success_widths", "success_seeds", "success_patience"} & (set(texts[0]) | set(texts[-1]))
    assert [from_json(minima.Cell, json.loads(json.dumps(text))) for text in texts] == cells
    assert minima.cost(replace(planted, width=128)).flops > 6 * minima.cost(replace(planted, width=32)).flops


def test_radii_are_sorted_into_cells():
    cell = minima.cells(minima.Settings(**SMALL, radii=(1.0, 0.1, 4.0)))[0]
    assert cell.radii == (0.1, 1.0, 4.0)


def test_figures_are_drawn_from_measured_results():
    cells = [replace(cell, width=m) for cell in minima.cells(SETTINGS)[:1] for m in (16, 24)]
    cells += minima.cells(SETTINGS)[1:]
    rows, arrays = zip(*(minima.measure(cell) for cell in cells), strict=True)

    class Results:
        table = pd.DataFrame(rows)

        @staticmethod
        def arrays(width, **_):
            return arrays[(16, 24).index(width)]

    figures = minima.draw(Results, minima.conclude(Results.table))
    assert set(figures) == {"intuition", "distance", "lines", "success"}


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"accuracy": 0.0}, "accuracy"),
        ({"success_accuracy": 0.0}, "success_accuracy"),
        ({"patience": 0.0}, "patience"),
        ({"success_patience": 0.0}, "success_patience"),
        ({"success_widths": (0,)}, "success_widths"),
        ({"success_widths": (4, 4)}, "success_widths"),
        ({"success_seeds": 0}, "success_seeds"),
        ({"success_readouts": ("first",)}, "success_readouts"),
        ({"points": 2}, "points"),
        ({"searches": 0}, "searches"),
        ({"radii": ()}, "radii"),
        ({"radii": (-1.0,)}, "radii"),
        ({"activation": "erf"}, "activation"),
        ({"trained": ("A",)}, "trained"),
    ],
)
def test_bad_settings_name_themselves(settings, name):
    with pytest.raises(LabError) as caught:
        minima.Settings(**settings)
    assert caught.value.argument == name
