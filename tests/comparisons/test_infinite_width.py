import json

import numpy as np
import pytest
import torch

import lab
from comparisons import infinite_width
from comparisons._settings import build
from lab.errors import LabError
from tests.comparisons.tables import power_law
from tests.tolerances import relative

SETTINGS = infinite_width.Settings(widths=(16,), seeds=1, kernel_time=10.0, samples=8, dtype="float64")


def made_up(slope, **options):
    return power_law(infinite_width.QUANTITIES, slope, kernel_time=50.0, f0_share=0.5, **options)


@pytest.mark.parametrize(
    ("slope", "text"), [(-0.5, "compatible"), (-0.2, "slower"), (-1.0, "faster"), (0.0, "no trend"), (0.4, "grows")]
)
def test_the_verdict_follows_the_numbers(slope, text):
    conclusion = infinite_width.conclude(made_up(slope))
    assert conclusion.verdict.count(text) == 2
    assert conclusion.numbers["exponent.kernel_error"].value == pytest.approx(slope, abs=0.05)


def test_the_verdict_names_what_is_missing():
    table = made_up(-0.5)
    table.loc[table["width"] > 64, "output_error"] = np.nan
    assert "output has no exponent" in infinite_width.conclude(table).verdict


@pytest.mark.parametrize("readout", ["last", "all", "mean"])
def test_a_cell_compares_with_the_predictor_written_out(readout):
    """f₀(x) + K∞(x,X) K∞⁻¹ (I − (I − ηK∞)^t)(y − f₀(X)) by dense linear algebra."""
    cell = {**infinite_width.cells(SETTINGS)[0], "readout": readout}
    row, arrays = infinite_width.measure(cell)
    json.dumps(row, allow_nan=False)
    task, network = build(cell)
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


def test_bad_settings_name_themselves():
    with pytest.raises(LabError) as caught:
        infinite_width.Settings(kernel_time=0.0)
    assert caught.value.argument == "kernel_time"
