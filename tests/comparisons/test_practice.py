"""Real data: one protocol for all learners, verdicts that follow their numbers, sets that are not there."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from comparisons import practice
from comparisons.kit.cells import from_json, to_json
from lab.data import archive
from lab.errors import LabError
from lab.measures.selection import learners
from lab.sweeps import Results
from tests.comparisons.tables import numbers_of

SMALL = practice.Settings(sets=("digits",), samples=(24,), width=16, kernel_time=20.0, seeds=1, test=40)
NAMES = list(practice.LEARNERS)


def cell(learner, **fields):
    return replace(next(each for each in practice.cells(SMALL) if each.learner == learner), **fields)


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


def spy(monkeypatch, learner, found):
    """The tasks that a learner is given; it answers ``found`` for every one."""
    seen = []
    monkeypatch.setitem(learners.LEARNERS, learner, lambda task, budget: seen.append(task) or found)
    return seen


def test_a_run_that_diverges_has_no_error(monkeypatch):
    lost = np.full((8, 46, 10), np.nan)
    spy(monkeypatch, "network", learners.Candidates([1.0] * 8, lost, "kernel time", diverged_at=3))
    row, _ = practice.measure(cell("network"))
    assert row["diverged"]
    assert (row["error"], row["chosen"], row["reasons"]) == (None, None, "diverged at step 3")
    json.dumps(row, allow_nan=False)


def test_seeds_are_resamples_that_all_learners_share(monkeypatch):
    found = learners.Candidates([1.0] * 8, np.zeros((8, 46, 10)), "none")
    seen = [spy(monkeypatch, name, found) for name in ("network", "ridge")]
    for name in ("network", "ridge"):
        for seed in (0, 1):
            practice.measure(cell(name, seed=seed))
    (one, other), (again, _) = seen
    assert torch.equal(one.train_inputs, again.train_inputs)
    assert not torch.equal(one.train_inputs, other.train_inputs)


# cells and settings


def test_the_first_set_has_the_curve_and_a_file_is_a_set(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, X=np.random.default_rng(0).normal(size=(50, 5)), y=np.arange(50) % 2)
    settings = practice.Settings(sets=("digits", str(path)), samples=(24, 48), seeds=2)
    cells = practice.cells(settings)
    assert len(cells) == (2 + 1) * len(NAMES) * 2
    assert {each.samples for each in cells if each.task != "digits"} == {25}
    assert all(practice.cost(each).flops > 0 for each in cells)
    row, _ = practice.measure(replace(cells[-1], width=8))
    assert (row["set"], row["classes"], row["tested"]) == ("mine", 2, 25)


def test_without_aeon_its_sets_are_named_and_nothing_else_is_lost(monkeypatch):
    monkeypatch.setattr(archive, "is_installed", lambda: False)
    cells = practice.cells(practice.Settings(sets=("digits", "GunPoint"), samples=(24,), seeds=1))
    assert from_json(practice.Cell, to_json(cells[-1])) == cells[-1]
    row, _ = practice.measure(cells[-1])
    assert practice.cost(cells[-1]).flops > 0
    assert "lazylab[data]" in row["skipped"]
    table = pd.concat([made_up({}), pd.DataFrame([row])])
    verdict = practice.conclude(table).verdict
    assert "Left out: GunPoint needs pip install" in verdict
    assert practice.conclude(pd.DataFrame([row])).verdict.startswith("Nothing was measured")


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"sets": ()}, "sets"),
        ({"sets": ("digits", "digits")}, "sets"),
        ({"sets": ("separable",)}, "sets"),
        ({"sets": ("Coffee",)}, "sets"),
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
        ({"network_small_scale": 0.1}, "infinite-width kernel, whose test error on digits is 20 %"),
        ({"network_small_scale": 0.1}, "networks are better on digits (network, small α); "),
        ({"network": 0.3}, "better on no set; worse on digits (network, c = 0.25)"),
        ({}, "networks are better on no set; not visibly different on digits (network, c = 0.25),"),
        ({"linearized": 0.4}, "linearizations, networks are better on digits (network, c = 0.25), digits (network, c"),
        ({"network_large_step": 0.4}, "linearizations, networks are better on no set; worse on digits (network, c = 2"),
    ],
)
def test_the_verdict_follows_the_numbers(errors, text):
    verdict = practice.conclude(made_up(errors)).verdict
    assert text in verdict, verdict


def test_numbers_are_paired_and_keyed_by_learner_and_set():
    conclusion = practice.conclude(made_up({"network": 0.3, "linearized": 0.45}, sets=("digits", "GunPoint")))
    numbers = numbers_of(conclusion)
    for name in ("digits", "GunPoint"):
        assert {f"error.{learner}.{name}" for learner in NAMES} <= set(numbers)
        assert numbers[f"error.network.{name}"].value == pytest.approx(0.3, abs=0.01)
        assert numbers[f"difference.network.{name}"].value == pytest.approx(0.1, abs=0.02)
        assert numbers[f"gain.network.{name}"].value == pytest.approx(0.15, abs=0.02)
        assert numbers[f"samples.{name}"].value == 96
    assert "difference.kernel.digits" not in numbers
    assert numbers["learning_exponent.kernel"].value == pytest.approx(-0.5, abs=0.05)
    assert numbers["learning_exponent.kernel"].details["sizes"] == [24, 48, 96]
    assert "errors scale as n^−0.5" in conclusion.verdict


def test_pairing_beats_the_spread_of_resamples():
    table = made_up({"network": 0.21})
    hard = np.linspace(-0.15, 0.15, 5)
    table["error"] += hard[table["seed"]]
    numbers = numbers_of(practice.conclude(table))
    assert numbers["error.network.digits"].interval[0] < 0.15
    assert numbers["difference.network.digits"].interval[0] > 0


def test_many_pairs_are_judged_together():
    table = made_up({}, sets=("digits", "A", "B", "C"))
    gaps = np.array([-0.01, -0.02, -0.03, -0.04, -0.05])  # 95 % interval below 0 on its own, not as one of twelve
    lost = (table["set"] == "A") & (table["learner"] == "network")
    base = table.loc[(table["set"] == "A") & (table["learner"] == "kernel"), "error"].to_numpy()
    table.loc[lost, "error"] = base + gaps
    conclusion = practice.conclude(table)
    assert numbers_of(conclusion)["difference.network.A"].interval[1] < 0
    assert numbers_of(conclusion)["difference.network.A"].details["joint_interval"][1] > 0
    assert conclusion.verdict.count("networks are better on no set") == 2
    alone = practice.conclude(table[table["set"] == "A"].assign(samples=96))
    assert "networks are better on A (network, c = 0.25)" in alone.verdict


def test_too_few_mistakes_have_no_exponent():
    table = made_up({})
    table.loc[(table["learner"] == "kernel") & (table["samples"] == 96), "mistakes"] = 4
    table.loc[(table["learner"] == "ridge") & (table["samples"] == 48) & (table["seed"] == 0), "mistakes"] = 0
    numbers = numbers_of(practice.conclude(table))
    assert numbers["learning_exponent.kernel"].reason == "mistakes cannot be counted at n = 96"
    assert numbers["learning_exponent.ridge"].reason == "mistakes cannot be counted at n = 48"
    assert numbers["learning_exponent.network"].value is not None
    assert "errors scale as" not in practice.conclude(table).verdict


def test_a_diverged_run_enters_no_mean():
    table = made_up({})
    lost = (table["learner"] == "network_large_step") & (table["seed"] == 1)
    table.loc[lost, ["error", "mistakes"]] = np.nan
    table.loc[lost, "diverged"] = True
    conclusion = practice.conclude(table)
    assert numbers_of(conclusion)["error.network_large_step.digits"].value is None
    assert numbers_of(conclusion)["difference.network_large_step.digits"].value is None
    assert "not known (some seed has no error) on digits (network, c = 2)" in conclusion.verdict


def test_rows_may_be_missing():
    table = made_up({"network": 0.3})
    seedless = table.drop(table[(table["learner"] == "network") & (table["seed"] == 2)].index)
    numbers = numbers_of(practice.conclude(seedless))
    assert numbers["error.network.digits"].seeds == 4
    assert numbers["difference.network.digits"].seeds == 4
    for gone in ("kernel", "linearized"):
        conclusion = practice.conclude(table[table["learner"] != gone])
        assert conclusion.verdict
        assert f"error.{gone}.digits" not in numbers_of(conclusion)
    two = practice.conclude(table[table["seed"] < 2])
    assert numbers_of(two)["error.network.digits"].interval is None
    assert "networks are not judged (fewer than three seeds) on digits" in two.verdict
    assert "±" not in two.verdict


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
    assert "no mean: 5/5 diverged" in [text.get_text() for text in errors[1].texts]
    nothing = pd.DataFrame([{"set": "GunPoint", "skipped": "GunPoint needs more", "diverged": False}])
    assert practice.draw(Results(nothing, (), None), practice.conclude(nothing)) == {}
