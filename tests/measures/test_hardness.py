"""What random features pay, against the fits themselves and against samples."""

import numpy as np
import pytest

from lab.errors import LabError
from lab.measures.hardness.catalogue import THEOREM, Setting, cases, neuron, read_cases, wave
from lab.measures.hardness.prices import Study, price, study, target
from lab.measures.population import PopulationFit, random_neurons, single_neuron


def fitted(dimension, count=48):
    return PopulationFit(random_neurons(count, dimension, seed=0), single_neuron(dimension))


def test_the_cases_of_both_targets():
    assert [case.name for case in cases("neuron", (0.2, 0.125))] == ["neuron_20", "neuron_12p5", "theorem"]
    assert [case.name for case in cases("wave", (0.2, 0.1))] == ["wave"]
    assert "12.5 %" in neuron(0.125).label
    with pytest.raises(LabError, match="target"):
        cases("parity", (0.2,))
    with pytest.raises(LabError, match="tolerances"):
        cases("neuron", (0.2, 0.20000001))


@pytest.mark.parametrize("tolerance", [0.2, 0.125, 1 / 3, 1e-7, 0.9])
def test_cases_are_read_back_from_the_columns_that_they_write(tolerance):
    written = [neuron(tolerance), neuron(0.5), THEOREM, wave(1.0)]
    columns = ["part", *(case.column(name) for case in reversed(written) for name in ("product", "features"))]
    found = read_cases(columns, "features")
    assert [(case.name, case.label) for case in found] == [(written[k].name, written[k].label) for k in (1, 0, 2, 3)]


def test_a_relative_case_costs_the_first_fit_below_the_tolerance():
    fit = fitted(2)
    found = price(fit, neuron(0.1))
    errors = fit.errors / fit.target.affine_error
    assert errors[found.features - 1] <= 0.1 < errors[found.features - 2]
    assert found.product == pytest.approx(found.features * np.abs(fit.coefficients(found.features)).max())
    small = fit.small_coefficients(0.1 * fit.target.affine_error)
    assert found.wide_product == pytest.approx(48 * np.abs(small).max())


def test_the_theorems_accuracy_is_absolute():
    """Of d² relu(x_1), to 1/50: as of relu(x_1), to 1/(50 d⁴), with coefficients d² times as large."""
    fit = fitted(2)
    found = price(fit, THEOREM)
    assert fit.errors[found.features - 1] <= 1 / (50 * 2**4) < fit.errors[found.features - 2]
    assert found.product == pytest.approx(found.features * 4 * np.abs(fit.coefficients(found.features)).max())
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((200_000, 2))
    neurons, u = fit.neurons(inputs)[:, : found.features], 4 * fit.coefficients(found.features)
    error = np.mean((4 * single_neuron(2)(inputs) - neurons @ u) ** 2)
    assert error == pytest.approx(16 * fit.errors[found.features - 1], rel=0.1)


def test_what_is_out_of_reach_has_no_price():
    fit = fitted(12)
    assert price(fit, wave(1e-6)) is None
    row = Study(fit, [neuron(0.9), wave(1e-6)]).summary()
    assert row["wide_product_neuron_90"] == price(fit, neuron(0.9)).wide_product
    assert (row["features_wave"], row["product_wave"]) == (None, None)
    assert row["reasons"] == "features_wave: right censored at 48"


def test_kinks_of_the_wave_come_closer_with_the_dimension():
    x = np.linspace(-2, 2, 41)
    for d in (4, 16):
        inputs = np.column_stack([x, np.zeros((41, d - 1))])
        spacing = 2.0 / np.sqrt(d)
        expected = np.abs((x / spacing + 1) % 2 - 1)  # 0 at even multiples of the spacing, 1 at odd ones
        found = target("wave", d, spacing=2.0)(inputs)
        assert np.allclose(found, expected) or np.allclose(found, 1 - expected)


def test_a_study_has_the_errors_of_its_fit_and_the_prices_of_its_cases():
    found, fit = study(Setting(target="neuron", dimension=2, seed=0, features=48, tolerances=(0.2, 0.1))), fitted(2)
    row, arrays = found.summary(), found.arrays()
    assert row["features_neuron_10"] == price(fit, neuron(0.1)).features
    assert (row["limit"], row["error_at_limit"], row["reasons"]) == (48, arrays["errors"][-1], "")
    assert arrays["errors"] == pytest.approx(fit.errors[arrays["counts"] - 1] / fit.target.affine_error)
