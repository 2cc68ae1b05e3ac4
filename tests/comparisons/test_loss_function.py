"""Rows against `lab.side_by_side`; numbers and verdicts from made-up tables whose answers are known."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import comparisons
import lab
from comparisons import loss_function
from comparisons.kit import networks
from comparisons.kit.seeds import at
from lab.errors import LabError
from lab.measures.trainable import try_rates
from tests.comparisons.tables import numbers_of
from tests.tolerances import relative

TINY = {"widths": (24, 32), "seeds": 1, "samples": 8, "kernel_time": 60.0, "dtype": "float64", "rates_up_to": 24}
SETTINGS = loss_function.Settings(**TINY, largest_fraction=4.0, per_octave=1, patience=2.0)
CELLS = {(cell.loss, cell.width): cell for cell in loss_function.cells(SETTINGS)}


@pytest.mark.parametrize("loss", loss_function.LOSSES)
def test_a_row_is_that_of_the_three_learners_and_of_the_rates(loss):
    cell = CELLS[loss, 24]
    row, arrays = loss_function.measure(cell)
    json.dumps(row, allow_nan=False)
    task, network = networks.build(cell)
    for when, time in (("50", 50.0), ("accuracy", row["accurate_at"])):
        result = lab.side_by_side(network, task, lab.Descent(round(2 * time), 0.5, loss=loss, record="all"))
        gaps = result.gap("test", unit="change")[np.isin(np.arange(2 * time + 1), 2 * arrays["kernel_time"])]
        assert row[f"gap_test_{when}"] == pytest.approx(np.nanmax(gaps), rel=1e-8)
        assert row[f"motion_{when}"] == pytest.approx(result.motion["weight_motion"], rel=1e-8)
        assert result.linearized.accuracy[-1] == 1
    assert result.linearized.accuracy[1:-1].max(initial=0) < 1, "it is the first one"
    rates = try_rates(
        network, task, loss, fractions=cell.fractions, goal=0.1, least_steps=60, patience=2.0, reference=0.5
    )
    assert relative(arrays["trains"].astype(float), rates.trains.astype(float)) == 0
    assert {name: row[name] for name in rates.summary()} == rates.summary()


def test_wide_networks_are_not_trained_at_many_rates():
    row, arrays = loss_function.measure(CELLS["squared", 32])
    assert "network_limit" not in row
    assert "peaks" not in arrays
    assert CELLS["squared", 24].fractions == (0.4, 0.8, 1.6, 3.2)


def made_up(*, gap=-0.5, growth=0.5, level=0.05, squared=1.0, limit=8.0, seeds=5, losses=loss_function.LOSSES):
    """Gaps as m^gap, twice as large with other losses; outputs at leaving as m^growth, times as their exponentials.

    With the squared loss outputs stop at ``squared``: networks whose outputs at leaving lie beyond never leave.
    """
    generator, rows = np.random.default_rng(0), []
    for loss in losses:
        for width in (64, 128, 256, 512):
            for seed in range(seeds):
                noise = np.exp(0.02 * generator.standard_normal())
                own = (1 if loss == "squared" else 2) * noise * width**gap
                output = level * width**growth * noise
                last = squared if loss == "squared" else 100.0
                row = {"readout": "last", "loss": loss, "width": width, "seed": seed, "diverged": False}
                row |= {f"{name}_{when}": own for name in ("gap_test", "motion") for when in loss_function.WHEN}
                row |= {f"size_{when}": 1.0 for when in loss_function.WHEN}
                row |= {"size_at_leaving": min(output, last), "leaves": np.exp(min(output, last))}
                row |= {"censored": "right" if output > last else None, "sharpness": 0.5, "linear_noise": 1e-6 * width}
                row |= {"accurate_at": 3.0 * noise, "accurate_censored": None}
                if width <= 128:
                    free = loss != "squared"
                    row |= {"network_limit": limit * noise, "network_limit_censored": None, "network_peak": 9.0}
                    row |= {"linear_limit": 200.0 if free else 0.8, "linear_limit_censored": "right" if free else None}
                    row |= {"linear_peak": 300.0 if free else 1.0, "sharpness_at_limit": 0.7}
                rows.append(row)
    return pd.DataFrame(rows)


def test_exponents_and_ratios_are_those_of_the_table():
    conclusion = loss_function.conclude(made_up())
    numbers = numbers_of(conclusion)
    for loss in loss_function.LOSSES:
        for when in loss_function.WHEN:
            assert numbers[f"exponent.gap_test.{loss}.{when}"].value == pytest.approx(-0.5, abs=0.02)
            assert numbers[f"exponent.weight_motion.{loss}.{when}"].value == pytest.approx(-0.5, abs=0.02)
    assert numbers["exponent.output_at_leaving.logistic"].value == pytest.approx(0.5, abs=0.02)
    assert numbers["output_at_leaving.logistic"].value == pytest.approx(0.05 * 512**0.5, rel=0.05)
    assert numbers["gap_over_squared.logistic.50"].value == pytest.approx(2, rel=0.05)
    assert "gap_over_squared.squared.50" not in numbers
    assert numbers["network_limit.logistic"].value == numbers["network_limit.logistic.128"].value
    assert numbers["network_limit.logistic"].value == pytest.approx(8, rel=0.05)
    assert numbers["linear_limit.squared"].value == pytest.approx(0.8)
    assert numbers["linear_limit.logistic"].value is None
    assert "right censored at 200" in numbers["linear_limit.logistic"].reason
    assert numbers["noise_floor"].value == pytest.approx(512e-6)
    assert "beyond every rate tried with logistic loss" in conclusion.verdict
    assert "At width 128 the largest trainable rate" in conclusion.verdict
    assert not any(key.startswith("exponent.time") for key in numbers)


def test_those_that_never_leave_are_censored():
    """Outputs at leaving are 0.4, 0.57, 0.8, 1.13: with the squared loss the widest networks stop at 1 before."""
    conclusion = loss_function.conclude(made_up())
    numbers = numbers_of(conclusion)
    assert numbers["output_at_leaving.squared"].value is None
    assert "more than they ever have with squared loss" in conclusion.verdict
    assert numbers["time_to_leave.squared"].details["never"] == {"64": 0, "128": 0, "256": 0, "512": 1}
    assert "left out: 512" in numbers["exponent.output_at_leaving.squared"].reason
    assert numbers["exponent.output_at_leaving.squared"].value == pytest.approx(0.5, abs=0.05)
    slopes = numbers["time_to_leave.logistic"].details["local_slopes"]
    assert slopes == sorted(slopes)
    assert slopes[1] == pytest.approx((0.8 - 0.566) / np.log(2), rel=0.15)


def test_what_is_missing_has_a_reason_and_no_sentence():
    alone = loss_function.conclude(made_up(losses=("logistic",), seeds=2))
    numbers = numbers_of(alone)
    assert numbers["gap_over_squared.logistic.50"].value is None
    assert "ratio" not in alone.verdict
    assert numbers["exponent.gap_test.logistic.50"].interval is None
    narrow = made_up().drop(columns=[name for name in made_up() if "limit" in name or "peak" in name])
    assert "trainable rate" not in loss_function.conclude(narrow).verdict
    died = made_up().assign(leaves=np.nan, size_at_leaving=np.nan, gap_test_50=np.nan)
    numbers = numbers_of(loss_function.conclude(died))
    assert numbers["time_to_leave.squared"].reason == "every run at the largest width diverged"
    assert numbers["gap_test.squared.50"].value is None


def test_a_censored_limit_is_no_number():
    table = made_up().astype({"network_limit_censored": object})
    first = (table["loss"] == "logistic") & (table["seed"] == 0)
    table.loc[first, "network_limit_censored"] = "right"
    numbers = numbers_of(loss_function.conclude(table))
    assert numbers["network_limit.logistic"].value is None
    assert numbers["network_limit.squared"].value is not None


def test_a_table_read_from_a_file_gives_the_same_verdict(tmp_path):
    table = made_up()
    table.to_csv(tmp_path / "table.csv", index=False)
    assert loss_function.conclude(pd.read_csv(tmp_path / "table.csv")).verdict == loss_function.conclude(table).verdict


def test_a_run_without_rates_is_drawn(tmp_path):
    settings = {**TINY, "rates_up_to": 8, "kernel_time": 4.0, "losses": ("squared", "huber")}
    run = comparisons.run("loss_function", "fast", tmp_path / "run", executor="serial", progress=False, **settings)
    assert list(run.figures) == list(loss_function.CAPTIONS)
    assert "trainable rate" not in run.verdict


def test_cells_and_costs():
    settings = loss_function.PRESETS["default"]
    cells = loss_function.cells(settings)
    assert len(cells) == 3 * sum(at(settings.widths, settings.seeds).values())
    assert {cell.width for cell in cells if cell.fractions} == {64, 128, 256}
    cell = next(cell for cell in cells if cell.fractions)
    assert loss_function.cost(cell).flops > loss_function.cost(replace(cell, fractions=())).flops > 0
    assert loss_function.cost(replace(cell, kernel_time=800.0)).flops > loss_function.cost(cell).flops


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"losses": ("hinge",)}, "losses"),
        ({"losses": ()}, "losses"),
        ({"critical_fraction": 1.5}, "critical_fraction"),
        ({"smallest_fraction": 1.0}, "smallest_fraction"),
        ({"largest_fraction": 1.0}, "largest_fraction"),
        ({"kernel_time": 0.0}, "kernel_time"),
        ({"per_octave": 0}, "per_octave"),
    ],
)
def test_bad_settings_name_themselves(settings, name):
    with pytest.raises(LabError) as caught:
        loss_function.Settings(**settings)
    assert caught.value.argument == name


def test_losses_of_classes_are_refused_on_targets_that_are_numbers(tmp_path):
    series = np.random.default_rng(0).standard_normal((12, 4, 2))
    np.savez(tmp_path / "numbers.npz", train_inputs=series, train_targets=series[:, -1, :1])
    file = str(tmp_path / "numbers.npz")
    with pytest.raises(LabError, match="logistic"):
        loss_function.Settings(task=file, samples=4)
    assert loss_function.Settings(task=file, samples=4, losses=("squared", "huber")).task == file
