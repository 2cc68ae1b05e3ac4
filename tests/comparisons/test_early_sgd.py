import functools
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import lab
from comparisons import early_sgd
from comparisons.kit import networks
from comparisons.kit.seeds import at
from lab.errors import LabError
from tests.comparisons.tables import numbers_of
from tests.tolerances import EXACT

SMALL = early_sgd.Settings(widths=(48,), seeds=1, samples=8, kernel_time=6.0, dtype="float64")


def cell(batch="1", momentum=0.0, **changes):
    found = next(c for c in early_sgd.cells(SMALL) if (c.batch, c.momentum) == (batch, momentum))
    return replace(found, **changes)


ARMS = [(batch, momentum) for batch in ("1", "4", "full") for momentum in (0.0, 0.9)]


@pytest.mark.parametrize(("batch", "momentum"), ARMS)
def test_every_arm_runs_to_the_same_kernel_time(batch, momentum):
    row, arrays = early_sgd.measure(cell(batch, momentum))
    json.dumps(row, allow_nan=False)
    assert row["kernel_time"] == pytest.approx(6.0)
    assert row["gap_at_10"] is None  # the run ends before
    before = arrays["kernel_time"] <= 1 + 1e-9
    assert row["gap_at_1"] == arrays["gap_test"][before].max()
    share = 1 if batch == "full" else int(batch) / 8
    assert row["learning_rate"] == pytest.approx(2 * 0.5 * (1 - momentum) / row["lambda_max"])
    assert np.diff(arrays["kernel_time"]).max() <= 0.12 + 0.5 * share + 1e-9


@pytest.mark.parametrize(("batch", "momentum"), ARMS)
def test_a_network_that_is_linear_in_what_it_trains_never_leaves(batch, momentum):
    """B alone is trained: both learners are one model, if they get the same batches."""
    row, arrays = early_sgd.measure(cell(batch, momentum, trained=("B",)))
    assert arrays["gap_test"].max() < EXACT
    assert (row["leaves_0.05"], row["censored_0.05"]) == (pytest.approx(6.0), "right")
    assert row["mse_0.1"] is None
    assert arrays["mse"][0, -1] < 0.9 * arrays["mse"][0, 0]


@pytest.mark.parametrize("batch", ["4", "full"])
def test_the_gap_is_that_of_the_linear_network_in_weight_space(batch):
    asked = cell(batch, 0.9)
    row, arrays = early_sgd.measure(asked)
    task, network = networks.build(asked)
    per_step = 0.5 * (1 if batch == "full" else int(batch) / 8)
    steps = np.rint(arrays["kernel_time"] / per_step).astype(int)
    size = None if batch == "full" else int(batch)
    rate = {"learning_rate": row["learning_rate"], "momentum": 0.9, "batch_size": size, "seed": asked.network_seed}
    result = lab.side_by_side(network, task, lab.Descent(int(steps[-1]), record=steps, **rate))
    assert result.linearized_in == "weights"
    np.testing.assert_allclose(arrays["gap_test"], result.gap("test"), atol=EXACT)
    after = int(np.argmax(arrays["gap_test"] > 0.05))
    assert arrays["kernel_time"][after - 1] <= row["leaves_0.05"] <= arrays["kernel_time"][after]


def test_a_diverged_run_is_empty():
    row, _ = early_sgd.measure(cell("full", critical_fraction=40.0, width=4))
    json.dumps(row, allow_nan=False)
    assert row["diverged"]
    assert row["gap_at_1"] is row["leaves_0.1"] is row["censored_0.1"] is row["mse_0.1"] is None


def test_looks_are_in_kernel_time_and_end_with_the_run():
    looks = np.array(cell("1", kernel_time=50.0).looks())
    times = looks * 0.5 / 8
    assert times[-1] == pytest.approx(50)
    assert np.diff(times[times <= 5]).max() <= 0.1 + 0.5 / 8
    assert len(looks) < 200


def test_the_default_preset_has_every_arm():
    settings = early_sgd.PRESETS["default"]
    assert len(early_sgd.cells(settings)) == 2 * 3 * sum(at(settings.widths, settings.seeds).values())
    assert early_sgd.cost(cell("1")).flops > early_sgd.cost(cell("4")).flops / 2 > 0


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"batches": ("5",)}, "batches"),
        ({"batches": ("24",)}, "batches"),
        ({"batches": ("0",)}, "batches"),
        ({"batches": ("-1",)}, "batches"),
        ({"batches": ("all",)}, "batches"),
        ({"batches": ("04",)}, "batches"),
        ({"batches": ("1", "1")}, "batches"),
        ({"batches": ()}, "batches"),
        ({"momenta": (1.0,)}, "momenta"),
        ({"momenta": ()}, "momenta"),
        ({"kernel_time": 0.0}, "kernel_time"),
        ({"widths": (0,)}, "widths"),
    ],
)
def test_bad_settings_name_themselves(settings, name):
    with pytest.raises(LabError) as caught:
        early_sgd.Settings(**settings)
    assert caught.value.argument == name


def made_up(growth=1.0, gap=-0.5, noise=1.0, *, seeds=5, level=1.0, end=50.0, spread=0.02, momenta=(0.0, 0.9)):
    """Times that grow as m^growth, gaps as m^gap; with batches of 1 the gap is ``noise`` times the full one."""
    generator, rows = np.random.default_rng(0), []
    for momentum in momenta:
        for batch in ("1", "4", "full"):
            for width in (64, 128, 256, 512):
                for seed in range(seeds):
                    own = np.exp(spread * generator.standard_normal())
                    time = level * (width / 64) ** growth * own
                    row = {"readout": "last", "momentum": momentum, "batch": batch, "width": width, "seed": seed}
                    for threshold, factor in (("0.1", 1.0), ("0.05", 0.5)):
                        late = factor * time > end
                        row[f"leaves_{threshold}"] = min(factor * time, end)
                        row[f"censored_{threshold}"] = "right" if late else None
                        row[f"mse_{threshold}"] = None if late else 0.2
                    size = 0.3 * (width / 64) ** gap * own * (noise if batch == "1" else 1.0)
                    rows.append({**row, **{f"gap_at_{tau}": size for tau in (1, 10, 50)}, "diverged": False})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "; it increases."),
        ({"growth": -0.5}, "; it decreases."),
        ({"seeds": 2}, "three seeds"),
        ({}, "Relative to its initial value, the training error is then 20 % with batches of 1,"),
        ({"level": 1000.0}, "No exponent of the time could be fitted: fewer than three widths"),
        ({"growth": 0.0}, "no trend is visible at this size"),
        ({}, "compatible with the theory"),
        ({"gap": -1.0}, "faster than the theory"),
        ({"gap": 0.0}, "no trend is visible"),
        ({"noise": 2.0}, "SGD noise increases it"),
        ({"noise": 0.5}, "SGD noise decreases it"),
        ({}, "no difference is visible"),
        ({"level": 1000.0}, "unknown (none of 5 came)"),
    ],
)
def test_the_verdict_follows_the_numbers(options, text):
    assert text in verdict(**options)


@functools.cache
def verdict(**options):
    return early_sgd.conclude(made_up(**options, momenta=(0.0,))).verdict


def test_keys_are_those_that_the_question_names():
    numbers = numbers_of(early_sgd.conclude(made_up()))
    for end in ("1", "4", "full", "1.momentum_0.9", "4.momentum_0.9", "full.momentum_0.9"):
        names = ["time_to_leave", "time_to_leave.0.05", "exponent.time_to_leave", "exponent.time_to_leave.0.05"]
        names += ["mse_when_leaving", *(f"gap_at_tau.{tau}" for tau in (1, 10, 50))]
        assert {f"{name}.{end}" for name in names} <= set(numbers)
        assert ("gap_over_full.10." + end in numbers) == ("full" not in end)
    assert {f"exponent.gap_at_tau.{tau}{end}" for tau in (1, 10, 50) for end in ("", ".4", ".full")} <= set(numbers)
    assert numbers["time_to_leave.1"].value == pytest.approx(8, rel=0.05)
    assert numbers["time_to_leave.1"].details["medians"]["64"] == pytest.approx(1, rel=0.05)
    assert numbers["exponent.time_to_leave.1"].value == pytest.approx(1, abs=0.05)
    assert numbers["exponent.gap_at_tau.10"].value == pytest.approx(-0.5, abs=0.05)
    assert numbers["mse_when_leaving.full"].value == pytest.approx(0.2)


def test_widths_that_mostly_never_leave_enter_no_exponent():
    numbers = numbers_of(early_sgd.conclude(made_up(level=10.0)))  # 10, 20, 40, 80
    assert "512" in numbers["exponent.time_to_leave.1"].reason
    assert numbers["exponent.time_to_leave.1"].details["widths"] == [64, 128, 256]
    assert numbers["time_to_leave.1"].value is None
    assert numbers["time_to_leave.0.05.1"].value == pytest.approx(40, rel=0.05)
    assert numbers["mse_when_leaving.1"].value is None
    assert "fewer than three" in numbers_of(early_sgd.conclude(made_up(level=30.0)))["exponent.time_to_leave.1"].reason


def test_missing_and_diverged_rows_are_left_out():
    table = made_up()
    diverged = (table["batch"] == "1") & (table["width"] == 512)
    table.loc[diverged, [name for name in table if name.startswith(("leaves", "gap", "mse"))]] = np.nan
    conclusion = early_sgd.conclude(table)
    assert numbers_of(conclusion)["time_to_leave.1"].reason == "every run at the largest width diverged"
    assert numbers_of(conclusion)["exponent.time_to_leave.1"].value == pytest.approx(1, abs=0.05)
    assert numbers_of(conclusion)["gap_over_full.10.1"].value is None
    assert "every run at the largest width diverged" in conclusion.verdict
    few = early_sgd.conclude(made_up()[lambda rows: (rows["batch"] != "full") & (rows["width"] == 64)])
    assert numbers_of(few)["gap_over_full.10.1"].value is None
    assert few.verdict


def test_times_that_the_runs_did_not_see_say_so():
    table = made_up().assign(gap_at_50=np.nan)
    found = numbers_of(early_sgd.conclude(table))
    assert "no run reached this kernel time" in found["exponent.gap_at_tau.50"].reason
    assert "no run reached this kernel time" in found["gap_at_tau.50.4"].reason
    assert numbers_of(early_sgd.conclude(made_up(seeds=2)))["exponent.gap_at_tau.10"].interval is None


def test_a_table_read_from_a_file_gives_the_same_numbers(tmp_path):
    table = made_up()[lambda rows: rows["batch"] != "full"]
    table.to_csv(tmp_path / "table.csv", index=False)
    again = early_sgd.conclude(pd.read_csv(tmp_path / "table.csv"))
    assert again.verdict == early_sgd.conclude(table).verdict
