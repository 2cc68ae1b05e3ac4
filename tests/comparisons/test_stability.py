import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from comparisons import stability
from comparisons.kit import cells as store
from lab.errors import LabError

SETTINGS = stability.Settings(variances=(1.0, 2.0, 4.0), widths=(16, 64), seeds=2, samples=4, length=12)
COLUMNS = stability.product_columns(100)


def made_up(*, critical=2.0, power=0.5, bend=0.0, kept=(1e-3, 0.1, 0.3), seeds=5, widths=(64, 512), spread=0.01):
    """Growth rates ½ log(σ_w²/critical), products k^power, shares kept at σ_w² = 1, 2, 4; seeds a little apart."""
    noise = np.random.default_rng(0).normal(0, spread, seeds)
    rows = []
    for width in widths:
        for variance, share in zip((1.0, 2.0, 4.0), kept, strict=True):
            for seed in range(seeds):
                rate = 0.5 * math.log(variance / critical) + noise[seed]
                row = {"width": width, "variance": variance, "seed": seed, "length": 100, "diverged": False}
                row |= {"growth_rate": rate, "forward_growth": rate, "state_growth": max(rate, 0.0)}
                row |= {"log_separation_kept": math.log(share) * (1 + noise[seed]), "log_distance_kept": 1.0}
                row |= {"separation_limit": share if variance > 1 else None}
                if variance == 2:
                    norms = {k: 2 * k ** (power + noise[seed]) * math.exp(bend * k) for k in COLUMNS}
                    row |= {column: norms[k] for k, column in COLUMNS.items()}
                rows.append(row)
    return pd.DataFrame(rows)


def numbers_of(table):
    return {str(key): number for key, number in stability.conclude(table).numbers.items()}


@pytest.mark.parametrize(
    ("table", "texts"),
    [
        ({}, ["with σ_w² = 2 (1.98 to 2.02), compatible with the theory's 2", "forward signals at σ_w² = 2 (1.98"]),
        (
            {},
            [
                "is 10 % (9.9 to 10) at σ_w² = 2, 0.00998 (",
                "times as much at σ_w² = 1, 3 (2.98 to 3.02) times as much at σ_w² = 4",
                "length^0.5 (",
            ],
        ),
        ({"critical": 1.5}, ["with σ_w² = 1.5 (1.48 to 1.51), below the theory's 2"]),
        ({"critical": 3.0}, ["with σ_w² = 3 (2.97 to 3.03), above the theory's 2"]),
        ({"critical": 16.0}, ["with σ_w² = unknown (5 of 5 seeds right censored at 4)"]),
        ({"bend": 0.05}, ["and faster over the last factors"]),
        ({"kept": (0.5, 0.1, 0.1)}, [", 5 (4.96 to 5.05) times as much at σ_w² = 1", ", 1 times as much at σ_w² = 4"]),
        ({"seeds": 2}, ["with σ_w² = 2, not compared with the theory's 2"]),
    ],
)
def test_the_verdict_follows_the_numbers(table, texts):
    verdict = stability.conclude(made_up(**table)).verdict
    for text in texts:
        assert text in verdict, verdict


def test_a_power_law_does_not_bend():
    assert "faster" not in stability.conclude(made_up()).verdict


def test_numbers_are_the_made_up_ones():
    numbers = numbers_of(made_up(spread=0.0))
    assert numbers["growth_rate.4"].value == pytest.approx(0.5 * math.log(2))
    assert numbers["critical_variance"].value == pytest.approx(2)
    assert numbers["critical_variance_forward.m64"].value == pytest.approx(2)
    assert numbers["exponent.product_norm"].value == pytest.approx(0.5)
    assert numbers["exponent.product_norm"].details["factors"] == list(COLUMNS)
    assert numbers["late_exponent.product_norm.m64"].details["factors"] == list(COLUMNS)[-2:]
    assert numbers["separation_kept.2"].value == pytest.approx(0.1)
    assert numbers["separation_ratio.4"].value == pytest.approx(3)
    assert "separation_ratio.2" not in numbers
    assert (numbers["separation_limit.1"].value, numbers["separation_limit.1"].reason) == (None, "lost in rounding")
    assert numbers["separation_limit.4"].value == pytest.approx(0.3)
    assert numbers["separation_limit.4"].seeds == numbers["separation_kept.4"].seeds


def test_missing_and_lost_cells_leave_the_rest():
    table = made_up(critical=2.5)
    table.loc[(table["variance"] == 4) & (table["seed"] == 0), ["growth_rate", "log_separation_kept"]] = np.nan
    numbers = numbers_of(table)
    assert numbers["growth_rate.4"].value is None
    assert "no finite value" in numbers["growth_rate.4"].reason
    assert "censored" in numbers["critical_variance"].reason  # that seed's grid ends at 2
    assert numbers["growth_rate.1"].value is not None
    without = made_up()[lambda t: t["variance"] != 2]
    assert numbers_of(without)["exponent.product_norm"].value is None
    verdict = stability.conclude(without).verdict
    assert "kept is unknown (not measured) at σ_w² = 2" in verdict
    assert "worst direction has no exponent (" in verdict
    assert numbers_of(made_up().iloc[:1])["critical_variance"].value is None


def test_a_cell_has_the_columns_of_the_table_and_paired_seeds():
    cells = stability.cells(SETTINGS)
    assert len(cells) == 2 * 3 * 2
    assert [store.from_json(stability.Cell, store.to_json(cell)) for cell in cells] == cells
    cell = next(cell for cell in cells if cell.variance == 2 and cell.width == 64)
    row, arrays = stability.measure(cell)
    json.dumps(row, allow_nan=False)
    assert set(made_up()) - set(COLUMNS.values()) <= set(row)
    assert set(stability.product_columns(12).values()) <= set(row)
    assert arrays["growth_rate"].shape == (11,)
    assert row["log_separation_kept"] == pytest.approx(arrays["separation_kept"][-1] - arrays["separation_kept"][0])
    four, _ = stability.measure(replace(cell, variance=4.0))
    assert not set(stability.product_columns(12).values()) & set(four)
    assert four["forward_growth"] - row["forward_growth"] == pytest.approx(0.5 * math.log(2))
    assert stability.cost(replace(cell, width=256)).flops > 8 * stability.cost(replace(cell, width=64)).flops


def test_directions_at_large_width_keep_what_the_limit_says():
    settings = stability.Settings(variances=(2.0,), widths=(1024,), seeds=4, length=6)
    rows = [stability.measure(cell)[0] for cell in stability.cells(settings)]
    kept = np.exp([row["log_separation_kept"] for row in rows])
    assert np.mean(kept) == pytest.approx(rows[0]["separation_limit"], rel=0.05)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"variances": ()}, "variances"),
        ({"variances": (0.0,)}, "variances"),
        ({"variances": (1.0, 1.0)}, "variances"),
        ({"widths": (0,)}, "widths"),
        ({"widths": (8, 8)}, "widths"),
        ({"seeds": 0}, "seeds"),
        ({"samples": 3}, "samples"),
        ({"samples": 0}, "samples"),
        ({"separation": 0.0}, "separation"),
        ({"separation": 2.5}, "separation"),
        ({"length": 2}, "length"),
        ({"features": 1}, "features"),
        ({"data_seed": -1}, "data_seed"),
    ],
)
def test_bad_settings_name_themselves(settings, name):
    with pytest.raises(LabError) as caught:
        stability.Settings(**settings)
    assert caught.value.argument == name
