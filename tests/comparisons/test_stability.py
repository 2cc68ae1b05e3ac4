import json
import math

import numpy as np
import pandas as pd
import pytest

from comparisons import stability
from lab.errors import LabError

SETTINGS = stability.Settings(variances=(1.0, 2.0, 4.0), widths=(16, 64), seeds=2, samples=4, length=12)
FACTORS = (1, 3, 10, 30, 99)


def made_up(*, critical=2.0, power=0.5, bend=0.0, kept=(1e-3, 0.1, 0.3), seeds=5, widths=(64, 512), spread=0.01):
    """Growth rates ½ log(c/critical), products k^power, shares kept at c = 1, 2, 4; seeds a little apart."""
    noise = np.random.default_rng(0).normal(0, spread, seeds)
    rows = []
    for width in widths:
        for c, share in zip((1.0, 2.0, 4.0), kept, strict=True):
            for seed in range(seeds):
                rate = 0.5 * math.log(c / critical) + noise[seed]
                row = {"width": width, "variance": c, "seed": seed, "length": 100, "diverged": False}
                row |= {"growth_rate": rate, "forward_growth": rate, "state_growth": max(rate, 0.0)}
                row |= {"log_separation_kept": math.log(share) * (1 + noise[seed]), "log_distance_kept": 1.0}
                row |= {"separation_limit": share if c > 1 else None}
                if c == 2:
                    row |= {f"product_norm_{k}": 2 * k ** (power + noise[seed]) * math.exp(bend * k) for k in FACTORS}
                rows.append(row)
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("table", "texts"),
    [
        ({}, ["of 2 (1.98 to 2.02) / width, compatible with the theory's 2", "forward signals at 2 (1.98"]),
        ({}, ["length^0.5 (", "a power within", "At 2, inputs", "less at 1, more at 4"]),
        ({"critical": 1.5}, ["of 1.5 (1.48 to 1.51) / width, below the theory's 2"]),
        ({"critical": 3.0}, ["of 3 (2.97 to 3.03) / width, above the theory's 2"]),
        ({"critical": 16.0}, ["no size on this grid (right censored at 4"]),
        ({"bend": 0.05}, ["bends upwards", "no pure power"]),
        ({"kept": (0.5, 0.1, 0.02)}, ["keep 10 % (", "more at 1, less at 4"]),
        ({"kept": (0.1, 0.1, 0.1)}, [", as much at 1, as much at 4"]),
        ({"seeds": 2}, ["without an interval", "about as much at 1"]),
    ],
)
def test_the_verdict_follows_the_numbers(table, texts):
    verdict = stability.conclude(made_up(**table)).verdict
    for text in texts:
        assert text in verdict, verdict


def test_numbers_are_the_made_up_ones():
    numbers = stability.conclude(made_up(spread=0.0)).numbers
    assert numbers["growth_rate.4"].value == pytest.approx(0.5 * math.log(2))
    assert numbers["critical_c"].value == pytest.approx(2)
    assert numbers["critical_c_forward.m64"].value == pytest.approx(2)
    assert numbers["exponent.product_norm"].value == pytest.approx(0.5)
    assert numbers["exponent.product_norm"].details["factors"] == list(FACTORS)
    assert numbers["separation_kept.2"].value == pytest.approx(0.1)
    assert numbers["separation_ratio.4"].value == pytest.approx(3)
    assert numbers["separation_limit.1"].value is None
    assert "rounding" in numbers["separation_limit.1"].reason


def test_missing_and_lost_cells_leave_the_rest():
    table = made_up(critical=2.5)
    table.loc[(table["variance"] == 4) & (table["seed"] == 0), ["growth_rate", "log_separation_kept"]] = np.nan
    numbers = stability.conclude(table).numbers
    assert numbers["growth_rate.4"].value is None
    assert "no finite value" in numbers["growth_rate.4"].reason
    assert "censored" in numbers["critical_c"].reason  # that seed's grid ends at 2
    assert numbers["growth_rate.1"].value is not None
    without = stability.conclude(made_up()[lambda t: t["variance"] != 2])
    assert without.numbers["exponent.product_norm"].value is None
    assert "not measured" in without.verdict
    assert "no exponent" in without.verdict
    few = stability.conclude(made_up().iloc[:1])
    assert few.numbers["critical_c"].value is None


def test_a_cell_has_the_columns_of_the_table_and_paired_seeds():
    cells = stability.cells(SETTINGS)
    assert len(cells) == 2 * 3 * 2
    assert json.loads(json.dumps(cells)) == cells
    cell = next(cell for cell in cells if cell["variance"] == 2 and cell["width"] == 64)
    row, arrays = stability.measure(cell)
    json.dumps(row, allow_nan=False)
    assert set(made_up()) - {f"product_norm_{k}" for k in FACTORS} <= set(row)
    assert {name for name in row if name.startswith("product_norm_")} == {
        f"product_norm_{k}" for k in stability._factors(12)
    }
    assert arrays["growth_rate"].shape == (11,)
    assert row["log_separation_kept"] == pytest.approx(arrays["separation_kept"][-1] - arrays["separation_kept"][0])
    four, _ = stability.measure({**cell, "variance": 4.0})
    assert four["forward_growth"] - row["forward_growth"] == pytest.approx(0.5 * math.log(2))
    assert stability.cost({**cell, "width": 256}).flops > 8 * stability.cost({**cell, "width": 64}).flops


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
