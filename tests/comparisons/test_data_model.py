import json

import numpy as np
import pandas as pd
import pytest

import lab
from comparisons import _ladders, _models, data_model
from comparisons._words import plain
from lab.errors import LabError
from lab.kernels.spectrum import Spectrum
from lab.measures.thresholds import geometric_grid
from tests.tolerances import EXACT

SMALL = data_model.Settings(samples=8, test=6, length=3, features=3, seeds=1, widest=16, width=16, dtype="float64")
GRID = geometric_grid(2, 256, 2**0.25)


def made_up(ratios, seeds=6, notions=("train", "equal_time", "lazy")):
    """A table in which each model needs so many times the width of random labels, and half its complexity."""
    rows = []
    for seed in range(seeds):
        luck = np.exp(np.random.default_rng(seed).normal(0, 0.3))
        for model, ratio in {"random": 1.0, **ratios}.items():
            told = {"model": model, "seed": seed, "diverged": False}
            learnt = {"complexity": 0.5 * ratio * luck, "test_error": 0.3, "test_error_linearized": 0.4}
            rows.append({"notion": "model", **told, **learnt, "eigenvalue_floor": 1e-12, "lambda_min": 1.0})
            width = 20 * ratio * luck
            ends = {f"exit_{m}": "reached" if m >= width else "undecided" for m in GRID if width / 4 < m < 4 * width}
            rows += [{"notion": notion, **told, **ends} for notion in notions if notion in ("train", "equal_time")]
            rows.append({"notion": "lazy", **told, "width": width, "censored": None})
    return pd.DataFrame(rows).astype({"censored": object})


@pytest.mark.parametrize(("ratio", "text"), [(0.4, "less width"), (2.5, "more width"), (1.0, "no difference")])
def test_the_verdict_follows_the_ratios(ratio, text):
    conclusion = data_model.conclude(made_up({"additive": ratio}))
    for notion in ("train", "equal_time", "lazy"):
        found = conclusion.numbers[f"width_ratio.{notion}.additive"]
        assert found.value == pytest.approx(ratio, rel=0.15), notion
        assert found.interval[0] <= found.value <= found.interval[1]
    assert conclusion.verdict.count(text) == 3
    assert plain(conclusion.numbers["width_ratio.lazy.additive"].value) in conclusion.verdict


def test_the_verdict_tells_models_apart():
    told = data_model.conclude(made_up({"additive": 0.4, "neuron": 0.5, "parity": 2.5, "teacher": 1.0})).verdict
    assert "To stay lazy, less width is needed by additive and neuron, down to 0.4 times" in told
    assert "more width is needed by parity, up to 2.5 times, no difference is visible for the others" in told


def test_seeds_are_paired():
    """The luck of a seed, shared by its models, is in their widths and not in their ratios."""
    numbers = data_model.conclude(made_up({"teacher": 0.5})).numbers
    assert np.ptp(np.log(numbers["lazy.width.teacher"].interval)) > 0.3
    assert np.ptp(np.log(numbers["width_ratio.lazy.teacher"].interval)) < 1e-6


def test_keys_and_what_random_labels_have_not():
    numbers = data_model.conclude(made_up({"parity": 1.0})).numbers
    wanted = {"complexity.random", "complexity.parity", "test_error.parity", "train.width.random", "lazy.width.parity"}
    assert wanted | {"width_ratio.lazy.parity", "width_ratio.train.parity", "eigenvalue_floor"} <= set(numbers)
    assert not {"test_error.random", "width_ratio.lazy.random"} & set(numbers)


def test_censored_seeds_are_left_out_by_name_or_leave_no_ratio():
    table = made_up({"neuron": 0.5})
    lazy = table.index[(table["notion"] == "lazy") & (table["model"] == "neuron")]
    table.loc[lazy[0], ["width", "censored"]] = [2.0, "left"]
    found = data_model.conclude(table).numbers["width_ratio.lazy.neuron"]
    assert found.value == pytest.approx(0.5)
    assert found.seeds == 5
    assert "seeds 0" in found.reason
    table.loc[lazy, "censored"] = "left"
    conclusion = data_model.conclude(table)
    assert conclusion.numbers["width_ratio.lazy.neuron"].value is None
    assert "there is no ratio" in conclusion.verdict


def test_missing_rows_still_conclude():
    table = made_up({"neuron": 0.5, "parity": 1.0})
    numbers = data_model.conclude(table.sample(frac=0.6, random_state=0)).numbers
    assert numbers["width_ratio.lazy.neuron"].value == pytest.approx(0.5)
    alone = data_model.conclude(table[table["model"] == "parity"])
    assert alone.numbers["width_ratio.train.parity"].reason == "no seed has both"
    assert data_model.conclude(table[table["notion"] == "model"]).verdict.startswith("No width was compared")


def test_complexity_is_a_solve():
    generator = np.random.default_rng(0)
    factor, y = generator.standard_normal((6, 9)), generator.standard_normal(6)
    kernel = factor @ factor.T
    assert data_model.complexity(Spectrum(kernel), -y) == pytest.approx(y @ np.linalg.solve(kernel, y) / 6, rel=EXACT)


def test_complexity_leaves_out_what_the_kernel_does_not_see():
    assert data_model.complexity(Spectrum(np.diag([2.0, 0.0])), np.array([3.0, 5.0])) == pytest.approx(9 / 2 / 2)


def cell(**fields):
    return {**data_model.cells(SMALL)[0], **fields}


@pytest.mark.parametrize("model", _models.MODELS)
def test_models_share_sequences_and_have_variance_one(model):
    task, other = _models.build(cell(model=model)), _models.build(cell(model="random"))
    assert (task.train_inputs == other.train_inputs).all()
    assert (task.test_inputs == other.test_inputs).all()
    assert float(task.train_targets.mean()) == pytest.approx(0, abs=EXACT)
    assert float(task.train_targets.var(correction=0)) == pytest.approx(1)
    assert (_models.build(cell(model=model, seed=3)).train_targets != task.train_targets).any()
    again = _models.build(cell(model=model))
    assert (again.train_targets == task.train_targets).all()


def test_models_are_what_they_are_called():
    inputs = np.random.default_rng(1).standard_normal((50, 3, 2))
    parity = _models.targets("parity", inputs, 0)
    flipped = inputs.copy()
    steps = _models._projections(inputs, np.random.default_rng([0, 1]))
    assert (parity == (-1.0) ** (steps <= 0).sum(1)).all()
    assert (_models.targets("neuron", inputs, 0) >= 0).all()
    # a sum over time steps: what one step adds does not depend on the others
    flipped[:, 0] = inputs[::-1, 0]
    both = _models.targets("additive", flipped, 0) - _models.targets("additive", inputs, 0)
    moved = np.tanh(2 * steps[::-1, 0]) - np.tanh(2 * steps[:, 0])
    np.testing.assert_allclose(both, moved, atol=EXACT)


def test_digits_have_their_own_labels_too():
    settings = data_model.Settings(task="digits", samples=10, test=6, seeds=1)
    assert "labels" in {c["model"] for c in data_model.cells(settings)}
    task = _models.build({**data_model.cells(settings)[0], "model": "labels"})
    assert len(task.train_targets.unique()) == 2


@pytest.mark.parametrize("notion", data_model.NOTIONS)
def test_every_notion_measures_what_it_asks(notion):
    asked = cell(notion=notion, model="neuron")
    row, arrays = data_model.measure(asked)
    json.dumps(row, allow_nan=False)
    assert data_model.cost(asked).flops > 0
    own = _ladders.linear_steps(_models.build(asked), 0.1, 0.5)
    clock = _ladders.linear_steps(_models.build({**asked, "model": "random"}), 0.1, 0.5)
    assert row["linear_steps"] == (clock if notion == "equal_time" else own)
    if notion == "model":
        assert arrays["energy"].sum() == pytest.approx(1)
        assert row["complexity"] == pytest.approx((arrays["energy"] / arrays["eigenvalues"]).sum())


def test_the_test_error_is_that_of_the_centred_network():
    row, _ = data_model.measure(cell(model="additive"))
    task = _models.build(cell(model="additive"))
    network = lab.Scaled(_ladders.network(task, 16, seed=0), 1.0)
    result = lab.side_by_side(network, task, lab.Descent(10 * row["linear_steps"], 0.5))
    goal = task.test_targets.numpy()
    expected = ((result.network.test[-1] - goal) ** 2).mean() / goal.var()
    assert row["test_error"] == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"task": "digit"}, "task"),
        ({"models": ("parity",)}, "models"),
        ({"models": ("random", "sum")}, "models"),
        ({"samples": 1}, "samples"),
        ({"task": "digits", "samples": 400}, "samples"),
        ({"accuracy": 1.0}, "accuracy"),
        ({"critical_fraction": 1.0}, "critical_fraction"),
        ({"budget": 0.0}, "budget"),
        ({"level": -1.0}, "level"),
        ({"widest": 1}, "widest"),
        ({"width": 0}, "width"),
        ({"seeds": 0}, "seeds"),
        ({"dtype": "half"}, "dtype"),
    ],
)
def test_bad_settings_name_themselves(settings, name):
    with pytest.raises(LabError) as caught:
        data_model.Settings(**settings)
    assert caught.value.argument == name
