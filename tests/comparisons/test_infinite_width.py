import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import lab
from comparisons import infinite_width
from comparisons.kit import networks
from lab.errors import LabError
from tests.comparisons.tables import numbers_of, power_law
from tests.tolerances import relative

SETTINGS = infinite_width.Settings(widths=(16,), seeds=1, kernel_time=10.0, samples=8, dtype="float64")


RATIO = infinite_width.RATIO
ERRORS = [name for name in infinite_width.EXPONENTS if name != RATIO]


def made_up(slope, ratio=None, **options):
    """Errors with this slope; the ratio ‖K−K∞‖₂/λ_min goes as ``ratio`` (level, slope), or as the errors do."""
    table = power_law(ERRORS, slope, kernel_time=50.0, f0_share=0.5, trained_too=True, **options)
    level, power = ratio or (1.0, slope)
    apart = table["kernel_error"] / table["width"] ** slope  # by seed
    return table.assign(**{RATIO: level * table["width"] ** power * apart})


@pytest.mark.parametrize(
    ("slope", "text"), [(-0.5, "compatible"), (-0.2, "slower"), (-1.0, "faster"), (0.0, "no trend"), (0.4, "increases")]
)
def test_the_verdict_follows_the_numbers(slope, text):
    conclusion = infinite_width.conclude(made_up(slope))
    assert conclusion.verdict.count(text) == 2
    assert numbers_of(conclusion)["exponent.kernel_error"].value == pytest.approx(slope, abs=0.05)


@pytest.mark.parametrize(
    ("ratio", "text", "key"),
    [
        ((3.2, -0.5), "in 90 % of the seeds from width ", (128, 512)),
        ((100.0, -0.5), "at no measured width; extrapolated, typically from width", None),
        ((0.1, -0.5), "at every measured width", None),
        ((100.0, 0.0), "at no measured width.", None),
    ],
)
def test_the_width_for_the_kernel(ratio, text, key):
    """3.2 m^(−½) passes ¼ at 164, 100 m^(−½) at 160,000."""
    conclusion = infinite_width.conclude(made_up(-0.5, ratio))
    assert text in conclusion.verdict
    found, further = (numbers_of(conclusion)[f"width_for_kernel{end}"] for end in ("", "_extrapolated"))
    assert (found.value is None) == (key is None)
    if key:
        assert key[0] < found.value < key[1]
        assert found.interval[0] <= found.value <= found.interval[1]
    if ratio == (100.0, -0.5):
        assert further.interval[0] < 160_000 < further.interval[1]
        assert found.reason == "right censored at 512"
    if ratio[1] == 0:
        assert further.value is None


def test_an_extrapolation_without_end_is_no_number():
    table = made_up(-0.5, (1e30, -0.03), spread=0.004)
    further = numbers_of(infinite_width.conclude(table))["width_for_kernel_extrapolated"]
    assert further.value is None
    assert "too slowly" in further.reason
    for slope, reason in ((-0.1, "its interval spans more than a factor of 10"), (-0.002, "does not lie below 0")):
        flat = infinite_width.conclude(made_up(-0.5, (100.0, slope), spread=0.02))
        further = numbers_of(flat)["width_for_kernel_extrapolated"]
        assert further.value is None
        assert reason in further.reason
        assert "extrapolated" not in flat.verdict


def test_the_width_for_the_kernel_without_some_rows():
    table = made_up(-0.5, (4.0, -0.5))
    assert numbers_of(infinite_width.conclude(table.iloc[2:-1]))["width_for_kernel"].value > 0
    conclusion = infinite_width.conclude(table.assign(**{RATIO: np.nan}, reasons=f"{RATIO}: λ_min(K∞) is 0"))
    assert numbers_of(conclusion)["width_for_kernel"].value is None
    assert numbers_of(conclusion)[f"exponent.{RATIO}"].reason == "λ_min(K∞) is 0"
    assert "is unknown (λ_min(K∞) is 0" in conclusion.verdict
    both = infinite_width.conclude(pd.concat([table, made_up(-0.5, (100.0, -0.5)).assign(readout="all")]))
    assert numbers_of(both)["width_for_kernel.all"].reason == "right censored at 512"
    assert numbers_of(both)["width_for_kernel"].value > 0


def test_the_verdict_names_what_is_missing():
    table = made_up(-0.5)
    table.loc[table["width"] > 64, "output_error"] = np.nan
    verdict = infinite_width.conclude(table).verdict
    assert "output deviates by an unknown amount (" in verdict
    assert "no exponent could be fitted (" in verdict


@pytest.mark.parametrize("readout", ["last", "all", "mean"])
def test_a_cell_compares_with_the_predictor_written_out(readout):
    """f₀(x) + K∞(x,X) K∞⁻¹ (I − (I − ηK∞)^t)(y − f₀(X)) by dense linear algebra."""
    cell = replace(infinite_width.cells(SETTINGS)[0], readout=readout)
    row, arrays = infinite_width.measure(cell)
    json.dumps(row, allow_nan=False)
    task, network = networks.build(cell)
    outputs = task.train_targets[0].numel()
    size = 8 * outputs
    K = lab.infinite_ntk(network, task.train_inputs).reshape(size, size).numpy()
    cross = lab.infinite_ntk(network, task.test_inputs, task.train_inputs).reshape(-1, size).numpy()
    with torch.no_grad():
        f0, test = (network(x).reshape(-1).numpy() for x in (task.train_inputs, task.test_inputs))
    residual = task.train_targets.reshape(-1).numpy() - f0
    rate = 2 * 0.5 / np.linalg.eigvalsh(K)[-1]
    learnt = residual - np.linalg.matrix_power(np.eye(size) - rate * K, 20) @ residual
    expected = test + cross @ np.linalg.lstsq(K, learnt, rcond=1e-13)[0]
    predicted = arrays["test"][2, -1].ravel()
    assert relative(predicted, expected) < 1e-5  # arrays are kept in float32
    distance = np.sqrt(np.mean((arrays["test"][0, -1].ravel() - expected) ** 2) / np.mean(residual**2))
    assert row["output_error"] == pytest.approx(distance, rel=1e-4)
    assert row["learning_rate"] == pytest.approx(rate)
    empirical = lab.empirical_ntk(network, task.train_inputs).reshape(size, size).detach().numpy()
    assert row["kernel_error"] == pytest.approx(np.linalg.norm(empirical - K) / np.linalg.norm(K))
    apart = np.abs(np.linalg.eigvalsh(empirical - K)).max() / np.linalg.eigvalsh(K)[0]
    assert row[RATIO] == pytest.approx(apart, rel=1e-6)


def test_a_singular_limit_has_no_ratio(monkeypatch):
    """Two equal sequences make λ_min(K∞) = 0."""
    cell = infinite_width.cells(SETTINGS)[0]
    task, network = networks.build(cell)
    inputs = task.train_inputs.clone()
    inputs[1] = inputs[0]
    twice = replace(task, train_inputs=inputs)
    monkeypatch.setattr(networks, "build", lambda *_: (twice, network))
    row, _ = infinite_width.measure(cell)
    assert row[RATIO] is None
    assert "up to rounding" in row["reasons"]


def test_bad_settings_name_themselves():
    with pytest.raises(LabError) as caught:
        infinite_width.Settings(kernel_time=0.0)
    assert caught.value.argument == "kernel_time"
