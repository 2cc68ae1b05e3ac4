import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from comparisons import random_features
from lab.errors import LabError
from tests.comparisons.tables import numbers_of

SMALL = random_features.Settings(
    dimensions=(2, 4), seeds=1, features=48, length=2, samples=24, test=30, width=12, steps=20
)  # fmt: skip
DIMENSIONS = (2, 4, 8, 16)
LIMIT = 1024
LAWS = {"power": lambda d: 3 * d**2.0, "exponential": lambda d: 3 * np.exp(0.4 * d), "neither": lambda d: 3 * d**2.0}
ERRORS = {"features": 1.2, "features_infinite": 0.3, "kernel": 0.45, "network_w": 0.9, "network_wb": 0.4}


def made_up(law="power", *, seeds=5, spread=0.02, network=0.1, reach=16, hard=4, errors=ERRORS):
    """One neuron by this law up to ``reach``, theorem and wave exponential up to ``hard``; all errors by name."""
    generator, rows = np.random.default_rng(0), []
    for seed in range(seeds):
        for target in ("neuron", "wave"):
            for d in DIMENSIONS:
                row = {"part": "population", "target": target, "dimension": d, "seed": seed, "limit": LIMIT}
                noise = np.exp(generator.normal(0, 1.0 if law == "neither" else spread))
                cases = ["wave"] if target == "wave" else ["neuron_20", "neuron_10", "theorem"]
                for case in cases:
                    hard_one = case in ("wave", "theorem")
                    size = (np.exp(0.9 * d) if hard_one else LAWS[law](d)) * noise
                    there = d <= (hard if hard_one else reach)
                    row |= {
                        f"{name}_{case}": size if there else None for name in ("features", "product", "wide_product")
                    }
                rows.append({**row, "diverged": False, "reasons": ""})
        made = {
            name: error * np.exp(generator.normal(0, 0.1)) for name, error in {**errors, "network": network}.items()
        }
        motion = {f"motion_{name}": 0.2 for name in random_features.NETWORKS}
        rows.append(
            {"part": "samples", "target": "neuron", "dimension": 16, "seed": seed, "diverged": False, "reasons": ""}
            | {f"error_{name}": value for name, value in made.items()} | motion
        )  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("table", "texts"),
    [
        (
            {},
            [
                "as d^2 (1.98 to 2.01), not exponentially",
                "times (better) that of the tangent kernel",
                "times (better) that of infinitely many",
            ],
        ),
        (
            {"law": "exponential"},
            ["For one neuron of d inputs", "exponentially, with rate 0.399 (0.398 to 0.401) per input"],
        ),
        ({"law": "neither"}, ["per input; the fits do not tell which"]),
        ({"network": 2.0}, ["times (worse) that of the tangent kernel"]),
        ({"network": 0.45}, ["times (no difference is visible) that of the tangent kernel"]),
        (
            {"seeds": 2},
            [
                "per input; not judged: fewer than three seeds",
                "times (not judged: fewer than three seeds) that of the tangent kernel",
            ],
        ),
        ({"reach": 4}, ["largest coefficient) grows by an unknown law (fewer than 3 places"]),
        ({"hard": 8}, ["For a wave of shifted ReLUs it grows exponentially, with rate 0.9"]),
        ({"hard": 0}, ["out of reach from d = 2 on"]),
        ({}, ["out of reach from d = 8 on", "wave of shifted ReLUs it grows by an unknown law"]),
    ],
)
def test_the_verdict_follows_the_numbers(table, texts):
    said = random_features.conclude(made_up(**table)).verdict
    for text in texts:
        assert text in said, said


def test_slopes_and_their_keys():
    numbers = numbers_of(random_features.conclude(made_up(hard=8)))
    assert numbers["log_coefficient_slope.log_d"].value == pytest.approx(2, abs=0.05)
    assert numbers["wide_coefficient_slope.log_d"].value == pytest.approx(2, abs=0.05)
    assert numbers["log_coefficient_slope.d.wave"].value == pytest.approx(0.9, abs=0.05)
    assert numbers["log_coefficient_slope.d.theorem"].details == {"dimensions": [2, 4, 8]}
    assert numbers["log_coefficient_slope.d.theorem"].reason == "left out: 16"
    assert numbers["wide_aic_difference"].interval[1] < 0 < numbers["aic_difference.wave"].interval[0]
    assert numbers["features.4"].value == pytest.approx(48, rel=0.05)
    assert numbers["features.16.wave"].value is None
    assert "5 of 5 seeds right censored at 1024" in numbers["features.16.wave"].reason
    assert {"features.2.neuron_10", "aic_difference.theorem", "motion.network"} <= set(numbers)
    assert {f"error.{name}" for name in random_features.LEARNERS} <= set(numbers)


def test_ratios_are_paired():
    table = made_up()
    scale = np.exp(np.random.default_rng(1).normal(0, 2, 5))
    for name in random_features.LEARNERS:
        table.loc[table["part"] == "samples", f"error_{name}"] *= scale  # hard and easy draws, alike for all
    numbers = numbers_of(random_features.conclude(table))
    assert numbers["error_ratio.kernel"].interval[1] < 0.5
    assert numbers["error.network"].interval[1] > 0.5


def test_a_diverged_run_enters_no_mean():
    table = made_up()
    last = table.index[-1]
    table.loc[last, ["error_network", "motion_network"]] = np.nan
    table.loc[last, "diverged"] = True
    numbers = numbers_of(random_features.conclude(table))
    assert (numbers["error.network"].seeds, numbers["error.kernel"].seeds) == (4, 5)
    assert numbers["error.network"].reason == "without 1 diverged runs"
    assert numbers["error_ratio.kernel"].seeds == 4
    table.loc[table["part"] == "samples", "error_network"] = np.nan
    conclusion = random_features.conclude(table)
    assert numbers_of(conclusion)["error.network"].value is None
    assert "has no test error" in conclusion.verdict


def test_rows_may_be_missing():
    table = made_up()
    whole = random_features.conclude(table.drop(index=[0, len(table) - 1]))
    assert numbers_of(whole)["features.2"].seeds == 4
    assert numbers_of(whole)["log_coefficient_slope.log_d"].details == {"dimensions": [4, 8, 16]}
    assert "has no test error" in random_features.conclude(table[table["part"] == "population"]).verdict
    assert "Nothing was fitted" in random_features.conclude(
        table[table["part"] == "samples"].dropna(axis=1, how="all")
    ).verdict  # fmt: skip


@pytest.fixture(scope="module")
def measured():
    return [random_features.measure(cell) for cell in random_features.cells(SMALL)]


def test_cells_measure_what_the_contract_names(measured):
    for row, _ in measured:
        json.dumps(row, allow_nan=False)
    (neuron, arrays), (sampled, curves) = measured[0], measured[-1]
    assert arrays["errors"][-1] == pytest.approx(neuron["error_at_limit"])
    assert neuron["features_neuron_20"] <= neuron["features_neuron_10"] <= neuron["features_theorem"]
    assert set(curves) == set(random_features.NETWORKS)
    assert {f"error_{name}" for name in random_features.LEARNERS} <= set(sampled)
    conclusion = random_features.conclude(pd.DataFrame([row for row, _ in measured]))
    assert "fewer than three seeds" not in conclusion.verdict.split(":")[0]


def test_what_is_out_of_reach_has_a_reason():
    cell = replace(random_features.cells(SMALL)[2], dimension=12)
    row, _ = random_features.measure(cell)
    assert row["features_wave"] is None
    assert row["reasons"] == "features_wave: right censored at 48"


def test_a_diverging_network_has_a_reason():
    cell = replace(random_features.cells(SMALL)[-1], critical_fraction=50.0)
    row, _ = random_features.measure(cell)
    json.dumps(row, allow_nan=False)
    assert row["diverged"]
    assert row["error_network"] is None
    assert "error_network: diverged" in row["reasons"]
    assert row["error_kernel"] > 0


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"tolerances": (0.2, 0.20000001)}, "tolerances"),
        ({"dimensions": (1,)}, "dimensions"),
        ({"dimensions": (4, 4)}, "dimensions"),
        ({"dimensions": (4, 7)}, "length"),
        ({"tolerances": (1.5,)}, "tolerances"),
        ({"tolerances": (0.2, 0.2)}, "tolerances"),
        ({"samples": 16}, "samples"),
        ({"features": 0}, "features"),
        ({"bias_spread": -1.0}, "bias_spread"),
        ({"wave_spacing": 0.0}, "wave_spacing"),
        ({"alpha": 0.0}, "alpha"),
        ({"seeds": 0}, "seeds"),
        ({"bias": float("nan")}, "bias"),
    ],
)
def test_bad_settings_name_themselves(settings, name):
    with pytest.raises(LabError) as caught:
        random_features.Settings(**settings)
    assert caught.value.argument == name


def test_cost_grows_with_features_and_width():
    first, last = random_features.cells(SMALL)[0], random_features.cells(SMALL)[-1]
    assert random_features.cost(replace(first, features=960)).flops > 400 * random_features.cost(first).flops
    assert random_features.cost(replace(last, width=120)).flops > 40 * random_features.cost(last).flops
