import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import lab
from comparisons import data_model, kit
from comparisons.data_model import RATIOS, WIDTHS
from lab.errors import LabError
from lab.measures.hitting import limit_hitting_steps
from lab.measures.thresholds import geometric_grid
from tests.tolerances import EXACT

SMALL = data_model.Settings(samples=8, test=6, length=3, features=3, seeds=1, widest=16, width=16, dtype="float64")
GRID = geometric_grid(2, 256, 2**0.25)


def made_up(ratios, seeds=6):
    """A table in which each model needs so many times the width of random labels, and half its complexity."""
    rows = []
    for seed in range(seeds):
        luck = np.exp(np.random.default_rng(seed).normal(0, 0.3))
        for model, ratio in {"random": 1.0, **ratios}.items():
            told = {"model": model, "seed": seed, "diverged": False}
            learnt = {"complexity": 0.5 * ratio * luck, "test_error": 0.3, "test_error_linearized": 0.4}
            rows.append({"notion": "model", **told, **learnt, "eigenvalue_floor": 1e-12, "lambda_min": 1.0})
            width = 20 * ratio * luck
            ends = {
                kit.widths.exit_column(m): "reached" if m >= width else "undecided"
                for m in GRID
                if width / 4 < m < 4 * width
            }
            rows.append({"notion": "train", **told, **ends})
            rows += [] if model == "random" else [{"notion": "equal_time", **told, **ends}]
            rows.append({"notion": "lazy", **told, "width": width, "censored": None})
    return pd.DataFrame(rows).astype({"censored": object})


@pytest.mark.parametrize(("ratio", "text"), [(0.4, "less width"), (2.5, "more width"), (1.0, "no difference")])
def test_the_verdict_follows_the_ratios(ratio, text):
    conclusion = data_model.conclude(made_up({"additive": ratio}))
    for notion in ("train", "equal_time", "lazy"):
        found = conclusion.numbers[RATIOS[notion]("additive")]
        assert found.value == pytest.approx(ratio, rel=0.15), notion
        assert found.interval[0] <= found.value <= found.interval[1]
    assert conclusion.verdict.count(text) == 3
    assert kit.format_number(conclusion.numbers[RATIOS["lazy"]("additive")]) in conclusion.verdict


def test_the_verdict_tells_models_apart():
    told = data_model.conclude(made_up({"additive": 0.4, "neuron": 0.5, "parity": 2.5, "teacher": 1.0})).verdict
    less = "less width is needed than for random labels: 0.4 times for additive and 0.5 times for neuron"
    assert f"To stay lazy, {less};" in told
    assert "more width is needed than for random labels: 2.5 times for parity; no difference is visible: " in told


def test_seeds_are_paired():
    """The luck of a seed, shared by its models, is in their widths and not in their ratios."""
    numbers = data_model.conclude(made_up({"teacher": 0.5})).numbers
    assert np.ptp(np.log(numbers[WIDTHS["lazy"]("teacher")].interval)) > 0.3
    assert np.ptp(np.log(numbers[RATIOS["lazy"]("teacher")].interval)) < 1e-6


def test_keys_and_what_random_labels_have_not():
    numbers = set(map(str, data_model.conclude(made_up({"parity": 1.0})).numbers))
    wanted = {"complexity.random", "complexity.parity", "test_error.parity", "train.width.random", "lazy.width.parity"}
    assert wanted | {"width_ratio.lazy.parity", "width_ratio.train.parity", "eigenvalue_floor"} <= numbers
    assert not {"test_error.random", "width_ratio.lazy.random", "equal_time.width.random"} & numbers


def test_censored_seeds_are_left_out_by_name_or_leave_no_ratio():
    table = made_up({"neuron": 0.5})
    lazy = table.index[(table["notion"] == "lazy") & (table["model"] == "neuron")]
    table.loc[lazy[0], ["width", "censored"]] = [2.0, "left"]
    found = data_model.conclude(table).numbers[RATIOS["lazy"]("neuron")]
    assert found.value == pytest.approx(0.5)
    assert found.seeds == 5
    assert "seeds 0" in found.reason
    table.loc[lazy, "censored"] = "left"
    conclusion = data_model.conclude(table)
    assert conclusion.numbers[RATIOS["lazy"]("neuron")].value is None
    assert "no ratio is known for neuron" in conclusion.verdict


def test_missing_rows_still_conclude():
    table = made_up({"neuron": 0.5, "parity": 1.0})
    numbers = data_model.conclude(table.sample(frac=0.6, random_state=1)).numbers
    assert numbers[RATIOS["lazy"]("neuron")].value == pytest.approx(0.5)
    alone = data_model.conclude(table[table["model"] == "parity"])
    assert alone.numbers[RATIOS["train"]("parity")].reason == "no seed has both"
    assert data_model.conclude(table[table["notion"] == "model"]).verdict.startswith("No width was compared")


def cell(**fields):
    return replace(data_model.cells(SMALL)[0], **fields)


def build(model, **fields):
    return data_model.build_task(cell(**fields), model)


@pytest.mark.parametrize("model", data_model.MODELS)
def test_models_share_sequences_and_have_variance_one(model):
    task, other = build(model), build("random")
    assert (task.train_inputs == other.train_inputs).all()
    assert (task.test_inputs == other.test_inputs).all()
    assert float(task.train_targets.mean()) == pytest.approx(0, abs=EXACT)
    assert float(task.train_targets.var(correction=0)) == pytest.approx(1)
    assert (build(model, seed=3).train_targets != task.train_targets).any()
    assert (build(model).train_targets == task.train_targets).all()


def test_the_teacher_is_an_elman_network_of_another_seed():
    task = build("teacher", seed=3)
    wide = lab.ElmanRNN(512, 3, seed=2**31 + 3)(task.train_inputs).detach()
    np.testing.assert_allclose(task.train_targets, (wide - wide.mean()) / wide.std(correction=0), rtol=1e-9)


def test_digits_have_their_own_labels_too():
    settings = data_model.Settings(task="digits", samples=10, test=6, seeds=1)
    cells = data_model.cells(settings)
    assert "labels" in {each.model for each in cells}
    task = data_model.build_task(cells[0], "labels")
    assert len(task.train_targets.unique()) == 2


@pytest.mark.parametrize("notion", ["model", *data_model.LADDERS])
def test_every_notion_measures_what_it_asks(notion):
    asked = cell(notion=notion, model="neuron")
    row, arrays = data_model.measure(asked)
    json.dumps(row, allow_nan=False)
    assert data_model.cost(asked).flops > 0
    own, clock = (limit_hitting_steps(build(model), 0.1, 0.5) for model in ("neuron", "random"))
    assert row["linear_steps"] == (clock if notion == "equal_time" else own)
    if notion == "model":
        assert arrays["energy"].sum() == pytest.approx(1)
        assert row["complexity"] == pytest.approx((arrays["energy"] / arrays["eigenvalues"]).sum())


def test_the_test_error_is_that_of_the_centred_network():
    row, _ = data_model.measure(cell(model="additive"))
    task = build("additive")
    network = lab.Scaled(lab.ElmanRNN.like(task, 16, seed=0), 1.0)
    result = lab.side_by_side(network, task, lab.Descent(10 * row["linear_steps"], 0.5))
    goal = task.test_targets.numpy()
    expected = ((result.network.test[-1] - goal) ** 2).mean() / goal.var()
    assert row["test_error"] == pytest.approx(expected, rel=1e-8)


def test_any_lower_end_of_a_ladder_is_read():
    """The table has no column for the ends of the ladders: whatever widths there are must be found."""
    row, _ = data_model.measure(cell(notion="train", model="neuron", narrowest=3, widest=40))
    rows = pd.DataFrame([row])
    read = kit.widths.Ladders.read(rows, False, range(1, data_model.WIDEST + 1))
    assert len(read.runs) == sum(rows.loc[0].isin(["reached", "diverged", "undecided"]))


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
        ({"widest": 2**17}, "widest"),
        ({"width": 0}, "width"),
        ({"seeds": 0}, "seeds"),
        ({"dtype": "half"}, "dtype"),
    ],
)
def test_bad_settings_name_themselves(settings, name):
    with pytest.raises(LabError) as caught:
        data_model.Settings(**settings)
    assert caught.value.argument == name
