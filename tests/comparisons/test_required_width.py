import functools
import json

import numpy as np
import pandas as pd
import pytest
import torch

import lab
from comparisons import kit, required_width
from comparisons.kit import ladders
from comparisons.kit.cells import from_json, to_json
from comparisons.required_width import DEGREES, NOISE_FLOOR, WIDTHS
from lab.errors import LabError
from lab.measures.thresholds import geometric_grid
from tests.tolerances import EXACT

SMALL = required_width.Settings(
    samples=(4, 6), lazy_samples=(4,), lengths=(2, 3), lengths_all=(2,), separations=(0.5,), lazy_separations=(),
    accuracies=(0.3,), base_samples=4, base_length=3, features=3, seeds=1, lazy_seeds=1, widest=16, lazy_widest=16,
    dtype="float64",
)  # fmt: skip
GRID = geometric_grid(2, 512, 2**0.25)
VALUES = {
    "samples": (8, 16, 32, 64),
    "length": (2, 4, 8),
    "separation": (0.25, 0.5, 1.0),
    "accuracy": (0.1, 0.03, 0.01),
}
BASE = {"samples": 8, "length": 4, "separation": None, "accuracy": 0.1}


def made_up(degrees, seeds=6, level=6.0, spread=0.1, notions=("train", "lazy")):
    """A table in which the width of every seed is level · x^degree, a little apart by seed."""
    rows = []
    for notion in notions:
        for arm, values in VALUES.items():
            smallest = {"separation": 1.0, "accuracy": 10.0}.get(arm, values[0])
            for value in values:
                x = 1 / value if arm in ("separation", "accuracy") else value
                for seed in range(seeds):
                    noise = np.random.default_rng([seed, int(1000 * x)]).normal(0, spread)
                    width = level * np.exp(noise) * (x / smallest) ** degrees[arm]
                    row = {"notion": notion, "arm": arm, "readout": "last", **BASE, arm: value, "seed": seed}
                    row |= {"narrowest": 2, "widest": 512}
                    rows.append(row | filled(notion, width))
    return pd.DataFrame(rows).astype({"censored": object} if "lazy" in notions else {})


def filled(notion, width):
    if notion == "lazy":
        return {"width": width, "censored": None, "noise_floor": 1e-6, "diverged": False}
    ends = {
        kit.widths.exit_column(m): "reached" if m >= width else "undecided" for m in GRID if width / 4 < m < 4 * width
    }
    return {**ends, "diverged": False}


TRUE = {"samples": 0.5, "length": 1.0, "separation": 0.7, "accuracy": 0.0}


@functools.cache
def concluded(degree):
    """What 24 seeds say of widths that grow as samples^degree."""
    return required_width.conclude(made_up({**TRUE, "samples": degree}, seeds=24))


@pytest.mark.parametrize("notion", ["train", "lazy"])
def test_degrees_are_those_of_the_table(notion):
    numbers = concluded(TRUE["samples"]).numbers
    for name in ("n", "length", "separation", "accuracy"):
        degree, true = numbers[DEGREES[notion][name]()], TRUE[required_width.ARGUMENTS[name].field]
        assert degree.value == pytest.approx(true, abs=0.12), name
        assert degree.interval[0] < true + 0.05
        assert degree.interval[1] > true - 0.05
    assert numbers[WIDTHS[notion]["n"](8)].value == pytest.approx(6.0, rel=0.3)
    assert {f"{notion}.degree.log_accuracy", f"{notion}.width.separation.0.25"} <= set(map(str, numbers))


@pytest.mark.parametrize(
    ("degree", "text"), [(0.5, "compatible with the ½"), (1.0, "above the ½"), (0.0, "below the ½")]
)
def test_the_verdict_compares_with_counting_weights(degree, text):
    said = concluded(degree).verdict
    assert text in said
    assert "n^24" in said


def test_the_verdict_says_what_is_not_visible():
    said = required_width.conclude(made_up(TRUE)).verdict
    assert said.count("no dependence on 1/ε is visible at this size") == 2
    assert said.count("(1/ε)^") == 2, "what is not visible has its precision beside it"


def test_seeds_outside_the_ladder_drop_their_setting_by_name():
    table = made_up(TRUE)
    wide = (table["arm"] == "samples") & (table["samples"] == 64)
    table.loc[wide & (table["notion"] == "lazy"), ["width", "censored"]] = [1024.0, "right"]
    ends = [name for name in table if name.startswith("exit_")]
    lost = table.loc[wide & (table["notion"] == "train"), ends]
    table.loc[lost.index, ends] = lost.where(lost.isna(), "undecided")
    numbers = required_width.conclude(table).numbers
    for notion in ("train", "lazy"):
        degree = numbers[DEGREES[notion]["n"]()]
        assert degree.details["settings"] == [8, 16, 32]
        assert "n = 64 (100%)" in degree.reason
        assert degree.value == pytest.approx(0.5, abs=0.15)
        assert "right censored" in numbers[WIDTHS[notion]["n"](64)].reason


def test_one_censored_seed_of_six_stays_and_counts_as_censored():
    table = made_up({**TRUE, "samples": 1.0}, spread=0.02, notions=("lazy",))
    one = table.index[(table["arm"] == "samples") & (table["samples"] == 64)][0]
    table.loc[one, ["width", "censored"]] = [20.0, "right"]  # true: 48
    degree = required_width.conclude(table).numbers[DEGREES["lazy"]["n"]()]
    assert degree.reason is None
    assert degree.value == pytest.approx(1.0, abs=0.05)


def test_without_three_settings_there_is_no_degree():
    table = made_up(TRUE)
    conclusion = required_width.conclude(table[(table["arm"] != "samples") | (table["samples"] < 32)])
    assert conclusion.numbers[DEGREES["train"]["n"]()].value is None
    assert "fewer than 3 settings" in conclusion.verdict
    assert "n^24" not in conclusion.verdict, "there is nothing to compare with"
    table["censored"] = table["censored"].mask(table["notion"] == "lazy", "left")
    conclusion = required_width.conclude(table[table["notion"] == "lazy"])
    assert all(number.value is None for key, number in conclusion.numbers.items() if key != NOISE_FLOOR())


def test_a_diverged_run_is_no_success():
    table = made_up(TRUE, notions=("train",))
    ends = [name for name in table if name.startswith("exit_")]
    gone = table.copy()
    gone[ends] = gone[ends].replace("undecided", "diverged")
    assert required_width.conclude(gone) == required_width.conclude(table)


def test_missing_rows_and_one_notion_alone_still_conclude():
    table = made_up(TRUE).sample(frac=0.7, random_state=0)
    assert required_width.conclude(table).numbers[DEGREES["lazy"]["n"]()].value == pytest.approx(0.5, abs=0.15)
    said = required_width.conclude(table[table["notion"] == "lazy"]).verdict
    assert "stay lazy" in said
    assert "9 of 10" not in said
    two = required_width.conclude(made_up(TRUE, seeds=2))
    assert two.numbers[DEGREES["train"]["n"]()].interval is None
    assert "not compared (fewer than three seeds) with the ½" in two.verdict


@pytest.fixture
def task():
    return lab.tasks.separable(4, 4, 3, 3, seed=1)


def network(task, width, seed=0):
    return lab.ElmanRNN.like(task, width, seed=seed, centred=True)


@pytest.mark.parametrize(("width", "seed"), [(4, 0), (8, 1), (16, 2), (32, 3)])
def test_a_run_ends_as_autograd_says(task, width, seed):
    """Centred by a second network and trained by torch's own gradients, at η = 2c/λ_max(K₀)."""
    net = lab.ElmanRNN.like(task, width, seed=seed)
    jacobian = torch.func.jacrev(lambda W: torch.func.functional_call(net, {"W": W}, task.train_inputs))(net.W)
    rows = jacobian.detach().reshape(4, -1)
    rate, start = 1 / float(torch.linalg.eigvalsh(rows @ rows.T)[-1]), net(task.train_inputs).detach()
    optimizer, arrived = torch.optim.SGD([net.W], lr=rate), None
    for step in range(31):
        residual = net(task.train_inputs) - start - task.train_targets
        if arrived is None and float((residual.detach() ** 2).mean()) < 0.1:
            arrived = step
        optimizer.zero_grad()
        (0.5 * residual.square().sum()).backward()
        optimizer.step()
    ends = [ladders.train(network(task, width, seed), task, steps, 0.1, 0.5) for steps in range(1, 31)]
    assert ends == ["reached" if arrived is not None and arrived <= steps else "undecided" for steps in range(1, 31)]


def test_a_network_that_cannot_move_is_undecided(task):
    net = network(task, 8)
    with torch.no_grad():
        net.B.zero_()
    assert ladders.train(net, task, 5, 0.1, 0.5) == "undecided"


def test_a_run_that_blows_up_has_diverged(task):
    assert ladders.train(network(task, 64), task, 300, 1e-9, 40.0) == "diverged"


def test_the_gap_is_that_of_the_centred_network(task):
    net = network(task, 16)
    gap, floor = ladders.largest_gap(net, task, 10, 0.5)
    plain = lab.ElmanRNN.like(task, 16)
    result = lab.side_by_side(lab.Scaled(plain, 1.0), task, lab.Descent(10, 0.5))
    assert gap == pytest.approx(result.gap("test").max(), rel=EXACT)
    assert floor < EXACT


@pytest.mark.parametrize("cell", required_width.cells(SMALL), ids=lambda cell: f"{cell.notion}-{cell.arm}")
def test_every_cell_measures_what_its_notion_asks(cell):
    row, arrays = required_width.measure(cell)
    json.dumps(row, allow_nan=False)
    assert row[row["arm"]] == getattr(cell, cell.arm)
    read = kit.widths.Ladders.read(
        pd.DataFrame([row]), cell.lazy, ladders.widths_of(cell.lazy, row["narrowest"], row["widest"])
    )
    if cell.lazy:
        below = arrays["gaps"] < cell.level
        assert (row["censored"] == "left") == (row["width"] == arrays["widths"][0] and below[0])
        assert arrays["widths"].min() <= row["width"] <= arrays["widths"].max()
        assert read.runs.empty
    else:
        written = {name: end for name, end in row.items() if end in ("reached", "diverged", "undecided")}
        assert list(written) == [kit.widths.exit_column(width) for width in read.runs["width"]], "all columns are read"
        assert [end == "reached" for end in written.values()] == read.runs["won"].tolist()
        assert set(read.runs["width"]) <= set(geometric_grid(cell.narrowest, cell.widest, 2**0.25))
    assert required_width.cost(cell).flops > 0


def test_two_time_steps_have_one_loss():
    last, every = (
        next(c for c in required_width.cells(SMALL) if c.arm == "length" and (c.length, c.readout) == (2, r))
        for r in ("last", "all")
    )
    both = [{**required_width.measure(cell)[0], "readout": None} for cell in (last, every)]
    assert both[0] == both[1]


def test_digits_vary_samples_and_accuracy():
    cells = required_width.cells(required_width.Settings(task="digits"))
    assert {cell.arm for cell in cells} == {"samples", "accuracy"}
    assert [from_json(required_width.Cell, json.loads(json.dumps(to_json(cell)))) for cell in cells] == cells
    settings = required_width.Settings(
        task="digits", samples=(6,), accuracies=(), notions=("train",), seeds=1, widest=8
    )
    assert required_width.measure(required_width.cells(settings)[0])[0]["linear_steps"] > 0


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"task": "digit"}, "task"),
        ({"notions": ("lasy",)}, "notions"),
        ({"samples": (1,)}, "samples"),
        ({"task": "digits", "samples": (500,)}, "samples"),
        ({"task": "digits", "lazy_samples": (8, 500)}, "lazy_samples"),
        ({"lengths": (1,)}, "lengths"),
        ({"lengths": (4, 4)}, "lengths"),
        ({"separations": (1.5,)}, "separations"),
        ({"accuracies": (0.0,)}, "accuracies"),
        ({"base_samples": 9}, "base_samples"),
        ({"base_accuracy": 1.0}, "base_accuracy"),
        ({"widest": 1}, "widest"),
        ({"lazy_widest": 2}, "lazy_widest"),
        ({"critical_fraction": 1.0}, "critical_fraction"),
        ({"budget": 0.0}, "budget"),
        ({"level": 0.0}, "level"),
        ({"seeds": 0}, "seeds"),
        ({"dtype": "float16"}, "dtype"),
    ],
)
def test_bad_settings_name_themselves(settings, name):
    with pytest.raises(LabError) as caught:
        required_width.Settings(**settings)
    assert caught.value.argument == name
