"""Real data: one protocol for all learners, verdicts that follow their numbers, sets that are not there."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

import lab
from comparisons import _learners, practice
from lab.data import archive, digits
from lab.errors import LabError
from lab.sweeps import Results
from tests.tolerances import EXACT, relative

SMALL = practice.Settings(sets=("digits",), samples=(24,), width=16, kernel_time=20.0, seeds=1, test=40)
NAMES = list(practice.LEARNERS)


def cell(learner, **fields):
    return {**next(each for each in practice.cells(SMALL) if each["learner"] == learner), **fields}


def split(samples=20, outputs=1, length=4):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(samples, length, 3, dtype=torch.float64, generator=generator)
    labels = torch.arange(samples) % max(outputs, 2)
    targets = 2.0 * labels[:, None].double() - 1 if outputs == 1 else 2.0 * torch.eye(outputs)[labels].double() - 1
    return _learners.Data(inputs, targets, samples // 2)


# what a cell measures


@pytest.mark.parametrize("learner", NAMES)
def test_every_learner_chooses_among_eight_and_counts_its_mistakes(learner):
    row, arrays = practice.measure(cell(learner, width=48))
    json.dumps(row, allow_nan=False)
    assert len(arrays["values"]) == len(arrays["test"]) == len(arrays["validation"]) == 8
    assert row["mistakes"] in arrays["test"]
    assert row["error"] == row["mistakes"] / 40
    assert row["validation_error"] == arrays["validation"].min() / 6
    assert not row["diverged"]


def test_names_are_those_of_the_learners_there_are():
    assert list(_learners.LEARNERS) == NAMES


def test_the_choice_is_by_validation_then_by_squares():
    assert practice._choose(np.array([3, 1, 1, 2]), np.array([0.1, 0.9, 0.5, 0.0])) == 2
    assert practice._choose(np.array([1, 1]), np.array([np.nan, 0.5])) == 1


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_linearized_learner_is_that_of_the_lab(outputs):
    data, fields = split(outputs=outputs), {"width": 12, "seed": 1, "kernel_time": 30.0, "momentum": 0.5}
    found = _learners.candidates("linearized", data, fields)
    network = lab.ElmanRNN(12, 3, outputs, trained=("W", "A", "B"), seed=1)
    task = lab.SequenceTask(*data.learnt, data.held_out, data.targets[data.fit :])
    result = lab.side_by_side(lab.Scaled(network, 1.0), task, _learners.descent(fields, 0.25))
    steps = {step: place for place, step in enumerate(result.linearized.steps.tolist())}
    expected = result.linearized.test[[steps[step] for step in result.descent.record]]
    assert relative(found.outputs, expected) < 1e-4  # the kernel there is of a network in float32


def test_the_network_is_that_of_the_lab_at_equal_kernel_times():
    data, fields = split(), {"width": 12, "seed": 1, "kernel_time": 30.0, "momentum": 0.5}
    small, large = (_learners.candidates(name, data, fields) for name in ("network", "network_large_step"))
    assert small.values[-1] == pytest.approx(30, abs=0.375)  # half a step of c(1 + β)/(1 − β) = 0.75
    assert large.values[-1] == pytest.approx(30, abs=3)
    network = lab.Scaled(lab.ElmanRNN(12, 3, 1, trained=("W", "A", "B"), seed=1, dtype=torch.float32), 1.0)
    task = lab.SequenceTask(*data.learnt, data.held_out, data.targets[data.fit :])
    result = lab.side_by_side(network, task, _learners.descent(fields, 0.25))
    assert relative(small.outputs[-1], result.network.test[-1]) < 1e-5


@pytest.mark.parametrize("outputs", [1, 3])
def test_ridges_solve_their_normal_equations(outputs):
    data = split(outputs=outputs)
    fields = {"width": 12, "seed": 1, "kernel_time": 30.0, "momentum": 0.5}
    network = lab.ElmanRNN(12, 3, 1, trained=("B",), seed=1)
    states = network.unroll(data.inputs).states[-1]
    flat = torch.cat([data.inputs.flatten(1), torch.ones(20, 1, dtype=torch.float64)], 1)
    for name, features in (("features", states), ("ridge", flat)):
        found = _learners.candidates(name, data, fields)
        known, asked = features[: data.fit], features[data.fit :]
        largest = torch.linalg.matrix_norm(known, 2) ** 2
        for penalty, outputs_there in zip(found.values, found.outputs, strict=True):
            ridge = penalty * largest * torch.eye(features.shape[1], dtype=torch.float64)
            weights = torch.linalg.solve(known.T @ known + ridge, known.T @ data.learnt[1])
            assert relative(outputs_there, asked @ weights) < 1e-6, (name, penalty)


def test_infinite_width_needs_one_kernel_for_all_outputs():
    data, fields = split(outputs=3), {"width": 12, "seed": 1, "kernel_time": 30.0, "momentum": 0.5}
    found = _learners.candidates("kernel_ridge", data, fields)
    network = lab.ElmanRNN(12, 3, 3, trained=("W", "A", "B"))
    kernel, cross = (lab.infinite_ntk(network, x, data.learnt[0]) for x in (data.learnt[0], data.held_out))
    start = torch.zeros(10, 3)
    whole = lab.KernelRegressor(kernel, start, data.learnt[1], cross, start)
    expected = whole.ridge(whole.spectrum.lambda_max * 1e-3)[1]
    assert relative(found.outputs[3], expected) < EXACT


def test_neighbours_vote():
    data = split()
    found = _learners.candidates("neighbours", data, {})
    flat = data.inputs.flatten(1)
    distance = torch.cdist(flat[10:], flat[:10])
    assert found.values == [1, 3, 5, 7, 9, 10, 10, 10]
    for place, k in ((0, 1), (1, 3)):
        nearest = distance.argsort(1)[:, :k]
        assert relative(found.outputs[place], data.targets[nearest].mean(1)) < EXACT


def test_a_run_that_diverges_has_no_error(monkeypatch):
    lost = np.full((8, 46, 10), np.nan)
    gone = _learners.Candidates([1.0] * 8, lost, "kernel time", diverged_at=3)
    monkeypatch.setitem(_learners.LEARNERS, "network", lambda data, cell: gone)
    row, _ = practice.measure(cell("network"))
    assert row["diverged"]
    assert (row["error"], row["chosen"], row["reasons"]) == (None, None, "diverged at step 3")
    json.dumps(row, allow_nan=False)


def test_a_network_that_diverges_says_so():
    fields = {"width": 12, "seed": 1, "kernel_time": 4000.0, "momentum": 0.9}
    found = _learners._network(split(), fields, 40.0)
    assert found.diverged_at is not None
    assert np.isnan(found.outputs).all()


def test_seeds_are_resamples_that_all_learners_share():
    seen = {}

    def spy(data, cell):
        seen.setdefault(cell["seed"], []).append(data.inputs)
        return _learners.Candidates([1.0] * 8, np.zeros((8, 46, 10)), "none")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("network", "ridge"):
            patch.setitem(_learners.LEARNERS, name, spy)
            for seed in (0, 1):
                practice.measure(cell(name, seed=seed))
    assert torch.equal(*seen[0])
    assert not torch.equal(seen[0][0], seen[1][0])


# cells and settings


def test_cells_are_json_and_the_first_set_has_the_curve(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, X=np.random.default_rng(0).normal(size=(50, 5)), y=np.arange(50) % 2)
    settings = practice.Settings(sets=("digits", str(path)), samples=(24, 48), seeds=2)
    cells = practice.cells(settings)
    assert json.loads(json.dumps(cells)) == cells
    assert len(cells) == (2 + 1) * len(NAMES) * 2
    assert {each["samples"] for each in cells if each["task"] != "digits"} == {25}
    assert all(practice.cost(each).flops > 0 for each in cells)
    row, _ = practice.measure({**cells[-1], "width": 8})
    assert (row["set"], row["classes"], row["tested"]) == ("mine", 2, 25)


def test_without_aeon_its_sets_are_named_and_nothing_else_is_lost(monkeypatch):
    monkeypatch.setattr(archive, "is_installed", lambda: False)
    cells = practice.cells(practice.Settings(sets=("digits", "GunPoint"), samples=(24,), seeds=1))
    row, _ = practice.measure(cells[-1])
    assert practice.cost(cells[-1]).flops > 0
    assert "lazylab[data]" in row["skipped"]
    table = pd.concat([made_up({}), pd.DataFrame([row])])
    verdict = practice.conclude(table).verdict
    assert "Left out: GunPoint needs pip install" in verdict
    assert practice.conclude(pd.DataFrame([row])).verdict.startswith("Nothing was measured")


def test_numbers_to_regress_on_are_refused(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, train_inputs=np.random.default_rng(0).normal(size=(50, 5)), train_targets=np.arange(50.0))
    with pytest.raises(LabError, match="sets with classes"):
        practice.cells(practice.Settings(sets=(str(path),)))


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"sets": ()}, "sets"),
        ({"sets": ("digits", "digits")}, "sets"),
        ({"sets": ("separable",)}, "sets"),
        ({"sets": ("Coffee",)}, "task"),
        ({"samples": (19,)}, "samples"),
        ({"samples": ()}, "samples"),
        ({"others": 10}, "others"),
        ({"test": 0}, "test"),
        ({"longest": 1}, "longest"),
        ({"width": 0}, "width"),
        ({"seeds": 0}, "seeds"),
        ({"kernel_time": 0.0}, "kernel_time"),
        ({"momentum": 1.0}, "momentum"),
    ],
)
def test_bad_settings_name_themselves(settings, name):
    with pytest.raises(LabError) as caught:
        practice.Settings(**settings)
    assert caught.value.argument == name


def test_shortening_averages_over_neighbouring_steps():
    from lab.data.labelled import shorten

    series = np.arange(12.0).reshape(1, 12, 1)
    assert shorten(series, 4)[0, :, 0].tolist() == [1, 4, 7, 10]
    assert shorten(series, 12) is series
    series[0, :4] = np.nan
    short = shorten(series, 4)[0, :, 0]
    assert np.isnan(short[0])
    assert short[1:].tolist() == [4.5, 7, 10]
    assert shorten(np.ones((2, 7, 3)), 3).shape == (2, 3, 3)


def test_the_digits_are_those_of_scikit_learn():
    data = digits.load()
    assert data.series.shape == (practice.DIGITS, 8, 8)
    assert data.classes == tuple("0123456789")


# verdicts


def made_up(errors, sizes=(24, 48, 96), seeds=5, sets=("digits",), slope=-0.5):
    """Error 0.2 for everyone unless ``errors`` says otherwise at the largest n; a power law below it."""
    noise = np.random.default_rng(0).normal(0, 0.004, (len(NAMES), seeds))
    rows = []
    for name in sets:
        for n in sizes if name == sets[0] else sizes[-1:]:
            for place, learner in enumerate(NAMES):
                for seed in range(seeds):
                    error = (errors.get(learner, 0.2) + noise[place, seed]) * (n / sizes[-1]) ** slope
                    rows.append({"set": name, "samples": n, "learner": learner, "seed": seed, "classes": 10})
                    rows[-1] |= {"error": error, "mistakes": 300 * error, "diverged": False, "skipped": None}
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("errors", "text"),
    [
        (
            {"network_small_scale": 0.1},
            "A network does better than its infinite-width kernel, whose test error on digits is 20 %",
        ),
        ({"network_small_scale": 0.1}, ", on digits (network, small α)"),
        ({"network": 0.3}, "worse on digits (network, c = 0.25)"),
        ({"network": 0.3}, "No network does visibly better"),
        ({}, "not told apart in 3 cases"),
        ({"linearized": 0.4}, "better on digits (network, c = 0.25), digits (network, c = 2) and 1 more"),
        ({"network_large_step": 0.4}, "nowhere visibly better, worse on digits (network, c = 2)"),
        ({}, "nowhere visibly better"),
    ],
)
def test_the_verdict_follows_the_numbers(errors, text):
    verdict = practice.conclude(made_up(errors)).verdict
    assert text in verdict, verdict


def test_numbers_are_paired_and_keyed_by_learner_and_set():
    conclusion = practice.conclude(made_up({"network": 0.3, "linearized": 0.45}, sets=("digits", "GunPoint")))
    numbers = conclusion.numbers
    for name in ("digits", "GunPoint"):
        assert {f"error.{learner}.{name}" for learner in NAMES} <= set(numbers)
        assert numbers[f"error.network.{name}"].value == pytest.approx(0.3, abs=0.01)
        assert numbers[f"difference.network.{name}"].value == pytest.approx(0.1, abs=0.02)
        assert numbers[f"gain.network.{name}"].value == pytest.approx(0.15, abs=0.02)
        assert numbers[f"samples.{name}"].value == 96
    assert "difference.kernel.digits" not in numbers
    assert numbers["learning_exponent.kernel"].value == pytest.approx(-0.5, abs=0.05)
    assert numbers["learning_exponent.kernel"].details["sizes"] == [24, 48, 96]
    assert "fall as n^−0.5" in conclusion.verdict


def test_pairing_beats_the_spread_of_resamples():
    table = made_up({"network": 0.21})
    hard = np.linspace(-0.15, 0.15, 5)
    table["error"] += hard[table["seed"]]
    numbers = practice.conclude(table).numbers
    assert numbers["error.network.digits"].interval[0] < 0.15
    assert numbers["difference.network.digits"].interval[0] > 0


def test_many_pairs_are_judged_together():
    table = made_up({}, sets=("digits", "A", "B", "C"))
    gaps = np.array([-0.01, -0.02, -0.03, -0.04, -0.05])  # 95 % interval below 0 on its own, not as one of twelve
    lost = (table["set"] == "A") & (table["learner"] == "network")
    base = table.loc[(table["set"] == "A") & (table["learner"] == "kernel"), "error"].to_numpy()
    table.loc[lost, "error"] = base + gaps
    conclusion = practice.conclude(table)
    assert conclusion.numbers["difference.network.A"].interval[1] < 0
    assert conclusion.numbers["difference.network.A"].details["joint_interval"][1] > 0
    assert "No network does visibly better" in conclusion.verdict
    assert "(1 more if judged one at a time)" in conclusion.verdict
    alone = practice.conclude(table[table["set"] == "A"].assign(samples=96))
    assert "A network does better" in alone.verdict
    assert ", on A (network, c = 0.25)" in alone.verdict


def test_too_few_mistakes_have_no_exponent():
    table = made_up({})
    table.loc[(table["learner"] == "kernel") & (table["samples"] == 96), "mistakes"] = 4
    table.loc[(table["learner"] == "ridge") & (table["samples"] == 48) & (table["seed"] == 0), "mistakes"] = 0
    numbers = practice.conclude(table).numbers
    assert numbers["learning_exponent.kernel"].reason == "mistakes cannot be counted at n = 96"
    assert numbers["learning_exponent.ridge"].reason == "mistakes cannot be counted at n = 48"
    assert numbers["learning_exponent.network"].value is not None
    assert "fall as" not in practice.conclude(table).verdict


def test_a_diverged_run_enters_no_mean():
    table = made_up({})
    lost = (table["learner"] == "network_large_step") & (table["seed"] == 1)
    table.loc[lost, ["error", "mistakes"]] = np.nan
    table.loc[lost, "diverged"] = True
    conclusion = practice.conclude(table)
    assert conclusion.numbers["error.network_large_step.digits"].value is None
    assert conclusion.numbers["difference.network_large_step.digits"].value is None
    assert "without interval on digits (network, c = 2)" in conclusion.verdict


def test_rows_may_be_missing():
    table = made_up({"network": 0.3})
    seedless = table.drop(table[(table["learner"] == "network") & (table["seed"] == 2)].index)
    numbers = practice.conclude(seedless).numbers
    assert numbers["error.network.digits"].seeds == 4
    assert numbers["difference.network.digits"].seeds == 4
    for gone in ("kernel", "linearized"):
        conclusion = practice.conclude(table[table["learner"] != gone])
        assert conclusion.verdict
        assert f"error.{gone}.digits" not in conclusion.numbers
    assert practice.conclude(table[table["seed"] < 2]).numbers["error.network.digits"].interval is None


def test_figures_show_every_set_and_the_curve():
    table = made_up({"network": 0.3}, sets=("digits", "GunPoint"))
    lost = (table["learner"] == "network_large_step") & (table["set"] == "GunPoint")
    table.loc[lost, ["error", "mistakes"]] = np.nan
    table.loc[lost, "diverged"] = True
    figures = practice.draw(Results(table, (), None), practice.conclude(table))
    assert set(figures) == {"errors", "learning"}
    assert all(isinstance(figure, Figure) for figure in figures.values())
    errors = figures["errors"].axes
    assert [ax.get_title().split(":")[0] for ax in errors] == ["digits", "GunPoint"]
    assert "none" in [text.get_text() for text in errors[1].texts]
    nothing = pd.DataFrame([{"set": "GunPoint", "skipped": "GunPoint needs more", "diverged": False}])
    assert practice.draw(Results(nothing, (), None), practice.conclude(nothing)) == {}
