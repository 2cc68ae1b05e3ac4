import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import lab
from comparisons import frozen_layers
from comparisons.kit import cells as store
from lab.errors import LabError
from tests.tolerances import EXACT, ROUNDING, relative

SETTINGS = frozen_layers.Settings(widths=(16,), seeds=1, samples=8, kernel_time=5.0, dtype="float64")


def made_up(*, loss=None, init=9.0, end=0.01, least=0.5, slope=-1.0, seeds=5, spread=0.02, widths=(64, 128, 256)):
    """Arms W, A and WAB fit and B does not; traces 3 : 1 : 0.01; distances fall as width^slope."""
    noise = np.random.default_rng(0).normal(0, spread, seeds)
    losses = {"W": 0.01, "A": 0.02, "B": 0.4, "WAB": 0.01} | (loss or {})
    traces = {"W": 3.0, "A": 1.0, "B": 0.01, "WAB": 4.01}
    rows = []
    for width in widths:
        for labels in ("task", "random"):
            for seed in range(seeds):
                head = {"readout": "last", "width": width, "seed": seed, "labels": labels, "diverged": False}
                factor = math.exp(noise[seed])
                for arm, share in losses.items():
                    mse = share * factor
                    row = {"arm": arm, "loss": mse, "reached": mse < 0.05, "linear_time": 1 / share, "gap_test": 0.1}
                    row |= {"motion_over_prediction": factor, "trace": traces[arm], "trace_limit": traces[arm]}
                    row |= {"lambda_min": least + noise[seed], "lambda_min_limit": least}
                    rows.append(head | row)
                far = width**slope * factor * (2 if labels == "random" else 1)
                start = {"arm": "start", "loss_init": init * factor, "loss_random": init * factor}
                rows.append(head | start | {"loss_end": end * factor, "distance_over_random": far})
    return pd.DataFrame(rows)


def numbers_of(table):
    return {str(key): number for key, number in frozen_layers.conclude(table).numbers.items()}


@pytest.mark.parametrize(
    ("table", "texts"),
    [
        (
            {},
            [
                "kernel's trace is 75 % for W, 25 % for A and 0.25 % for B.",
                "is 100 % (57 to 100) for W, 100 % (57 to 100) for A and 0 % (0 to 43) for B.",
            ],
        ),
        ({}, ["moves W by 0.39 % (", "error from 9", "to 0.01", "; the error decreases."]),
        ({"loss": {"A": 0.05}}, ["100 % (57 to 100) for W, 40 % (12 to 77) for A"]),
        ({"slope": 0.0}, ["moves W by 100 %"]),
        ({"init": 0.5, "end": 0.5}, ["no difference in error is visible"]),
        ({"seeds": 2}, ["not judged: fewer than three seeds"]),
    ],
)
def test_the_verdict_follows_the_numbers(table, texts):
    verdict = frozen_layers.conclude(made_up(**table)).verdict
    for text in texts:
        assert text in verdict, verdict


def test_numbers_are_the_made_up_ones():
    numbers = numbers_of(made_up(spread=0.0))
    assert numbers["loss.B"].value == pytest.approx(0.4)
    assert numbers["gap.B"].value == pytest.approx(0.1)
    assert numbers["reached.B.random"].value == 0
    assert numbers["trace_share.A"].value == pytest.approx(1 / 4.01)
    assert numbers["trace_share_limit.A"].seeds == numbers["trace_share.A"].seeds
    assert numbers["lambda_min.WAB"].value == pytest.approx(0.5)
    assert numbers["distance_over_random.random"].value == pytest.approx(2 / 256)
    assert numbers["exponent.distance_over_random"].value == pytest.approx(-1)
    assert numbers["motion_over_prediction.W"].value == pytest.approx(1)


def test_a_loss_is_a_median_between_its_extremes():
    losses = made_up()[lambda t: (t["arm"] == "B") & (t["labels"] == "task") & (t["width"] == 256)]["loss"]
    number = numbers_of(made_up())["loss.B"]
    assert number.value == pytest.approx(np.median(losses))
    assert number.details == {"lowest": losses.min(), "highest": losses.max()}


def test_diverged_and_missing_cells_leave_the_rest():
    table = made_up()
    lost = (table["arm"] == "W") & (table["seed"] == 0)
    table.loc[lost, ["loss", "gap_test", "motion_over_prediction"]] = np.nan
    table.loc[lost, ["diverged", "reached"]] = [True, False]
    numbers = numbers_of(table)
    assert numbers["loss.W"].value is None
    assert "1 of 5 seeds diverged" in numbers["loss.W"].reason
    assert numbers["reached.W"].value == pytest.approx(0.8)
    assert "80 % (38 to 96) for W" in frozen_layers.conclude(table).verdict
    alone = made_up()[lambda t: t["arm"] == "B"]
    assert "trace_share.B" not in numbers_of(alone)
    assert "0 % (0 to 43) for B" in frozen_layers.conclude(alone).verdict
    starts = made_up()[lambda t: t["arm"] == "start"]
    assert "loss.W" not in numbers_of(starts)
    assert "Training moves W by 0.39 % (" in frozen_layers.conclude(starts).verdict


def cell(arm, **changes):
    return replace(next(each for each in frozen_layers.cells(SETTINGS) if each.arm == arm), **changes)


def test_a_cell_has_the_columns_of_the_table():
    cells = frozen_layers.cells(SETTINGS)
    assert len(cells) == 2 * (7 + 1)
    assert [store.from_json(frozen_layers.Cell, store.to_json(each)) for each in cells] == cells
    assert {each.trained for each in cells if each.arm == "WA"} == {("W", "A")}
    assert {(each.trained, each.centred) for each in cells if each.arm == "start"} == {(("W",), False)}
    rows = [frozen_layers.measure(cell(arm))[0] for arm in ("WA", "start")]
    json.dumps(rows, allow_nan=False)
    assert set(made_up()) <= set(rows[0]) | set(rows[1])
    assert frozen_layers.cost(cell("W", width=512)).flops > 8 * frozen_layers.cost(cell("W", width=128)).flops


def test_the_kernel_of_all_is_the_sum_of_its_blocks():
    task = lab.tasks.separable(8, 4, 5, 6)
    networks = {arm: lab.ElmanRNN.like(task, 12, trained=tuple(arm)) for arm in ("W", "A", "B", "WAB")}
    kernels = {arm: lab.empirical_ntk(network, task.train_inputs) for arm, network in networks.items()}
    assert relative(kernels["W"] + kernels["A"] + kernels["B"], kernels["WAB"]) < EXACT
    rows = {arm: frozen_layers.measure(cell(arm))[0] for arm in ("W", "A", "B", "WAB")}
    for name in ("trace", "trace_limit"):
        assert sum(rows[arm][name] for arm in "WAB") == pytest.approx(rows["WAB"][name], rel=EXACT)


def test_b_alone_is_linear():
    row, arrays = frozen_layers.measure(cell("B"))
    assert row["gap_test"] < 100 * ROUNDING  # exactly 0 but for rounding: f − f₀ is B's motion times fixed states
    assert relative(arrays["network"], arrays["linearized"]) < 100 * ROUNDING
    assert row["motion_over_prediction"] == pytest.approx(1, rel=EXACT)
    assert frozen_layers.measure(cell("W"))[0]["gap_test"] > 1e-3


@torch.no_grad()
def test_the_path_starts_at_the_random_weights_and_the_line_ends_at_others():
    asked = cell("start")
    row, arrays = frozen_layers.measure(asked)
    task = lab.tasks.digits(train=8, test=8, seed=asked.draw)
    network = lab.ElmanRNN.like(task, 16, seed=asked.network_seed)
    start = float((network(task.train_inputs) - task.train_targets).square().mean())
    assert row["loss_init"] == arrays["mse"][0] == pytest.approx(start, rel=EXACT)
    assert arrays["distance"][0] == 0
    assert row["distance_over_random"] == arrays["distance"][-1] > 0
    other = lab.ElmanRNN.like(task, 16, seed=asked.network_seed ^ frozen_layers.OTHER_DRAW)
    unit = float((other.W - network.W).norm())
    network.W.copy_(other.W)
    end = float((network(task.train_inputs) - task.train_targets).square().mean())
    assert row["loss_random"] == arrays["line_mse"][-1] == pytest.approx(end, rel=EXACT)
    assert unit == pytest.approx(2 * math.sqrt(16), rel=0.2)  # two draws of variance 2/m are 2√m apart


def test_random_labels_are_coin_flips_on_the_same_inputs():
    task = lab.tasks.digits().at_every_step()
    flipped = task.with_random_labels(3)
    assert torch.equal(flipped.train_inputs, task.train_inputs)
    for targets in (flipped.train_targets, flipped.test_targets):
        assert set(targets.unique().tolist()) == {-1.0, 1.0}
        assert torch.equal(targets, targets[:, :1].expand_as(targets))
    assert torch.equal(flipped.train_targets, task.with_random_labels(3).train_targets)
    assert not torch.equal(flipped.train_targets, task.with_random_labels(4).train_targets)
    a, b = (frozen_layers.measure(cell("A", labels=labels))[0] for labels in ("task", "random"))
    assert a["loss"] != b["loss"]
    assert a["trace"] == b["trace"]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"arms": ()}, "arms"),
        ({"arms": ("AW",)}, "arms"),
        ({"arms": ("W", "W")}, "arms"),
        ({"labels": ("true",)}, "labels"),
        ({"kernel_time": 0.0}, "kernel_time"),
        ({"target": 1.0}, "target"),
        ({"trained": ("A",)}, "trained"),
        ({"seeds": 0}, "seeds"),
    ],
)
def test_bad_settings_name_themselves(settings, name):
    with pytest.raises(LabError) as caught:
        frozen_layers.Settings(**settings)
    assert caught.value.argument == name
