"""The rule by which published numbers meet ours, and their settings, against formulas written out here."""

import json
import sys

import numpy as np
import pytest
import scipy.stats
import torch

import lab
from lab.measures.exponents import unpaired_interval
from lab.networks.parametrization import Parametrization
from tests.benchmarks import _mnist1d, _ntk4a, published
from tests.benchmarks.published import Row, beside_one_seed, with_moments
from tests.tolerances import EXACT, relative


def row(theirs, difference):
    return Row("source", "setting", "quantity", theirs, 1.0, (0.9, 1.1), 5, difference)


def test_a_number_meets_ours_up_to_its_rounding():
    assert row("31.5", (-0.2, 0.1)).meets
    assert row("31.5", (0.04, 0.2)).meets
    assert not row("31.5", (0.06, 0.2)).meets
    assert row("32", (0.06, 0.2)).meets
    assert not row("32", (-0.9, -0.6)).meets
    assert row(None, None).meets is None
    assert row("32", None).meets is None


def test_many_seeds_are_compared_by_welchs_test():
    found = set()
    for shift in np.linspace(0, 2, 21):
        sample = np.random.default_rng(0).normal(shift, 1, 25)
        low, high = unpaired_interval(published.MINUS, [sample, with_moments(0.0, 1.5, 40)])[1]
        test = scipy.stats.ttest_ind_from_stats(sample.mean(), sample.std(ddof=1), 25, 0.0, 1.5, 40, equal_var=False)
        assert (low <= 0 <= high) == (test.pvalue >= 0.05)
        found.add(low <= 0 <= high)
    assert found == {True, False}


def test_one_seed_is_compared_with_a_further_one_of_ours():
    sample = np.array([30.0, 31.0, 33.0, 34.0])
    pooled = np.sqrt(sample.var(ddof=1) * (1 / 4 + 1))  # Student's test of two samples, of which one has a single value
    half = scipy.stats.t.ppf(0.975, 3) * pooled
    assert beside_one_seed("31.5", sample) == pytest.approx((0.5 - half, 0.5 + half))
    assert beside_one_seed("31.5", sample[:2]) is None


def test_their_own_distances_fall_by_their_exponent():
    widths = np.log(list(_ntk4a.DISTANCES))
    means = [np.log(each[0]) for each in _ntk4a.DISTANCES.values()]
    assert np.polyfit(widths, means, 1)[0] == pytest.approx(-0.497, abs=5e-4)
    rng = np.random.default_rng(0)
    exact = {width: np.exp(rng.normal(each[2], each[3], 50)) for width, each in _ntk4a.DISTANCES.items()}
    rows = published.slope_rows(exact)
    assert [each.theirs for each in rows] == ["-0.497", "-0.492"]
    assert all(each.meets for each in rows)
    other = {width: sample * width**0.2 for width, sample in exact.items()}
    assert not any(each.meets for each in published.slope_rows(other))


def theirs(inputs, W, U, b, v):
    """The notebook's network on one sequence (5, 3), by its formula."""
    m, state, total = len(W), 0.0, 0.0
    for step in inputs:
        state = torch.erf(step @ U / 3**0.5 + b + state)
        total = total + state
        state = state @ W / m**0.5
    return (total / 5) @ v / m**0.5


def test_the_kernel_is_that_of_the_notebooks_network():
    network, inputs = _ntk4a.network(12, seed=3), _ntk4a.pixels()
    weights = [value.detach().requires_grad_() for value in (network.W.T, network.A.T, network.b, network.B[0])]
    outputs = [theirs(each, *weights) for each in inputs]
    rows = [torch.cat([part.flatten() for part in torch.autograd.grad(each, weights)]) for each in outputs]
    kernel = torch.stack(rows) @ torch.stack(rows).T
    assert relative(network(inputs)[:, 0], torch.stack(outputs)) < EXACT
    assert relative(lab.empirical_ntk(network, inputs)[:, 0, :, 0], kernel) < EXACT
    variances = {name: float(value.detach().var()) for name, value in _ntk4a.network(1000).trained.items()}
    assert variances == pytest.approx({"W": 1, "A": 2, "B": 1, "b": 0.2}, rel=0.15)


def test_its_limit_is_that_of_the_parts():
    """Θ = Θ_W + Θ_U/2 + Θ_b/0.2 + Θ_v, with the scales in front of the weights."""
    scales = Parametrization(style="ntk", sigma_w=1, sigma_u=2**0.5, sigma_v=1, sigma_b=0.2**0.5)
    settings = {"activation": "erf", "readout": "mean", "parametrization": scales, "device": "meta"}
    inputs = _ntk4a.pixels()
    parts = {name: lab.infinite_ntk(lab.ElmanRNN(8, 3, trained=(name,), **settings), inputs) for name in "WABb"}
    whole = lab.infinite_ntk(_ntk4a.network(8, device="meta"), inputs)
    assert relative(whole, parts["W"] + parts["A"] / 2 + parts["b"] / 0.2 + parts["B"]) < EXACT


def toy():
    """Series whose class is the place of their peak."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 260)
    series = 0.1 * rng.standard_normal((260, 40))
    series[np.arange(260), 4 * labels] += 3
    return lab.Task(series[:200], labels[:200], series[200:], labels[200:])


def test_their_models_have_their_sizes():
    sizes = {"linear": 410, "mlp": 15210, "cnn": 5210, "gru": 5134}  # as the notebooks print them
    for name, size in sizes.items():
        network = _mnist1d.drawn(name, 0)
        assert sum(each.numel() for each in network.parameters()) == size
        assert network(torch.zeros(2, 40)).shape == (2, 10)


def test_the_table_and_what_is_left_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(published, "SEEDS", {64: 6, 128: 5})
    monkeypatch.setattr(published, "STAND_IN_SEEDS", 4)
    monkeypatch.setitem(sys.modules, "mnist1d.data", None)
    published.main(["--out", str(tmp_path / "rows.json")])
    printed, rows = capsys.readouterr().out, json.loads((tmp_path / "rows.json").read_text())
    assert [each["seeds"] for each in rows] == [6, 5, 11, 11]
    assert [each["theirs"] for each in rows[:2]] == ["0.2201", "0.1544"]
    assert all(isinstance(each["meets"], bool) for each in rows)
    assert "blocked: linear, mlp, cnn, gru, limit" in printed
    assert not any(word in printed for word in ("31.5", "65.1"))
    assert printed.count("(") >= 4 + len(_ntk4a.stand_ins())


def test_rows_of_classifiers():
    task = toy()
    linear = published.accuracy_rows("linear", task, 3, 30)
    assert [each.theirs for each in linear] == ["31.5", "31.5", "32"]
    assert all(each.ours > 80 and not each.meets for each in linear)
    mlp = published.accuracy_rows("mlp", task, 1, 30)
    assert [(each.theirs, each.meets) for each in mlp] == [("65.1", None), ("64.6", None), ("68", None), (None, None)]
    assert mlp[-1].quantity == "mlp, linearized, accuracy"
    assert all(each.ours > 80 for each in mlp)
    assert published.limit_row(task).ours > 50
