"""What the explorer is given: which arrays are trajectories, and what is kept of them. How it behaves: test_page.py."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from comparisons.report.explorer import choices, explore, explore_all, styles
from comparisons.report.packing import evenly, places
from comparisons.report.trajectories import CHARTS, OUTPUTS, STEPS, follows, thin
from comparisons.runs.registry import names
from lab.figures.style import LEARNERS
from lab.sweeps import Results


def made_up(length=60, samples=5, outputs=2, seed=0, **more):
    """Arrays of a cell with outputs, loss and gap; None leaves an array out."""
    generator = np.random.default_rng(seed)
    arrays = {
        "steps": np.arange(length) ** 2,
        "learners": np.array(["network", "linearized", "third"]),
        "test": generator.standard_normal((3, length, samples, outputs)),
        "test_targets": generator.standard_normal((samples, outputs)),
        "loss": generator.random((3, length)),
        "gap_test": generator.random(length),
    }
    return {name: array for name, array in {**arrays, **more}.items() if array is not None}


def curves_only(length=20, **more):
    """Arrays of a cell that kept no outputs."""
    arrays = {"kernel_time": np.linspace(0, 5, length) ** 2, "mse": np.exp(-np.arange(length) / 3.0)}
    return {**arrays, **more}


def unpacked(outputs):
    """Outputs (learners, shown outputs, times)."""
    return outputs["unit"] * np.cumsum(np.array(outputs["curves"], dtype=float), axis=2)


def chart(cell, key):
    [found] = [each for each in cell["charts"] if each["key"] == key]
    return found


# Outputs ----------------------------------------------------------------------------------------------------------


def test_outputs_come_back_to_four_digits_sorted_by_the_linearized():
    arrays = made_up()
    cell = thin(arrays).data
    shown, loss, gap = cell["outputs"], chart(cell, "error"), chart(cell, "gap")
    at = [list(arrays["steps"]).index(step) for step in shown["times"]]
    assert len(at) == STEPS
    assert (at[0], at[-1]) == (0, 59)
    order = [int(s) * 2 + int(o) - 3 for s, o in (re.findall(r"\d+", name)[:2] for name in shown["names"])]
    true = arrays["test"].reshape(3, 60, 10)[:, at][:, :, order].swapaxes(1, 2)
    assert np.abs(unpacked(shown) - true).max() <= shown["unit"] / 2 * 1.000001
    assert shown["unit"] == 1e-3
    assert sorted(true[1, :, -1]) == list(true[1, :, -1])
    assert shown["targets"] == pytest.approx(arrays["test_targets"].reshape(-1)[order], rel=1e-3)
    assert loss["times"] == gap["times"] == shown["times"]
    assert list(loss["curves"]) == shown["learners"] == ["network", "linearized", "third"]
    assert np.array(list(loss["curves"].values())) == pytest.approx(arrays["loss"][:, at], rel=1e-3)
    assert gap["curves"] == {"gap, test set": pytest.approx(arrays["gap_test"][at], rel=1e-3)}
    assert (loss["title"], gap["axis"]) == ("Training loss", "gap / RMS of the targets")
    assert (loss["log"], gap["log"]) == (True, False)


def test_without_loss_and_gap_both_come_from_the_test_outputs():
    arrays = made_up(loss=None, gap_test=None, length=4)
    cell = thin(arrays).data
    error, gap = chart(cell, "error"), chart(cell, "gap")
    test, targets = arrays["test"], arrays["test_targets"]
    expected = ((test - targets) ** 2).mean((2, 3))
    assert np.array(list(error["curves"].values())) == pytest.approx(expected, rel=1e-3)
    apart = np.sqrt(((test[0] - test[1]) ** 2).mean((1, 2))) / targets.std()
    assert gap["curves"]["gap, test set"] == pytest.approx(apart, rel=1e-3)
    assert error["title"] == "Test error (no training loss was kept)"
    assert gap["axis"] == "gap / RMS of the test targets"
    others = thin(made_up(gap_test=None, learners=np.array(["a", "b", "c"]))).data
    assert [each["key"] for each in others["charts"]] == ["error"]


def test_what_diverged_is_left_out_and_does_not_set_the_scale():
    arrays = made_up(length=6)
    arrays["test"][0, 3] = 1e200
    arrays["test"][0, 4:] = np.nan
    arrays["loss"][0, 4:] = np.inf
    cell = thin(arrays).data
    assert chart(cell, "error")["curves"]["network"][4:] == [None, None]
    assert all(curve[4:] == [None, None] for curve in cell["outputs"]["curves"][0])
    assert cell["outputs"]["unit"] <= 0.1
    json.dumps(cell, allow_nan=False)


# Curves without outputs -------------------------------------------------------------------------------------------


def test_curves_alone_are_trajectories_too():
    arrays = curves_only(mse_linearized=np.ones(20), gap_train=np.zeros(20), lambda_min=np.arange(1, 21.0))
    assert follows(arrays)
    cell = thin(arrays).data
    assert cell["outputs"] is None
    assert cell["time"] == "kernel time τ"
    assert [each["key"] for each in cell["charts"]] == ["error", "gap", "lambda_min"]
    assert list(chart(cell, "error")["curves"]) == ["network", "linearized"]
    assert list(chart(cell, "gap")["curves"]) == ["gap, training set"]
    assert chart(cell, "lambda_min")["title"] == "lambda min"
    assert chart(cell, "lambda_min")["log"]
    assert not thin(curves_only(change=np.linspace(-1, 1, 20))).data["charts"][-1]["log"]


def test_rows_without_names_are_network_and_linearized_or_the_models_of_the_gaps():
    two, three = np.ones((2, 20)), np.ones((3, 20))
    assert list(chart(thin(curves_only(mse=two)).data, "error")["curves"]) == ["network", "linearized"]
    assert not follows({"time": np.arange(20.0), "losses": three})
    gaps = {"gap_init": np.ones(20), "gap_late_model": np.ones(20)}
    assert list(chart(thin({"time": np.arange(20.0), "losses": three, **gaps}).data, "error")["curves"]) == [
        "network",
        "model, init",
        "model, late model",
    ]
    named = {"time": np.arange(20.0), "losses": three, "learners": np.array(["a", "b", "c"])}
    assert list(chart(thin(named).data, "error")["curves"]) == ["a", "b", "c"]


def test_a_value_at_every_step_has_its_own_times():
    cell = thin({"steps": np.array([0, 1, 5, 20]), "gap_test": np.ones(4), "mse": np.arange(1.0, 502)}).data
    error = chart(cell, "error")
    assert chart(cell, "gap")["times"] == [0, 1, 5, 20]
    assert len(error["times"]) <= STEPS
    assert (error["times"][:3], error["times"][-1]) == ([0, 1, 2], 500)
    assert error["curves"]["network"] == pytest.approx([step + 1 for step in error["times"]], rel=1e-3)


def test_long_steps_keep_their_digits():
    steps = np.array([0.0, 123457.0])  # some comparisons keep steps as floats
    assert chart(thin({"steps": steps, "mse": np.ones(2)}).data, "error")["times"] == [0, 123457]


def test_at_most_a_few_charts_are_shown():
    many = {f"quantity_{place}": np.ones(20) for place in range(CHARTS + 3)}
    assert len(thin(curves_only(**many)).data["charts"]) == CHARTS


REFUSED = [
    made_up(length=3, steps=np.arange(5)),
    made_up(steps=None),
    {"matrix": np.eye(2)},
    {"steps": np.arange(4), "names": np.array(["a", "b", "c", "d"])},
    {"steps": np.arange(4), "cube": np.ones((2, 2, 4))},
    {},
]


@pytest.mark.parametrize("arrays", REFUSED)
def test_other_arrays_are_not_taken_for_trajectories(arrays):
    assert follows(made_up())
    assert not follows(arrays)


OTHER_SHAPES = [({"learners": np.array(["one"])}, ["gap"]), ({"test_targets": np.zeros(5)}, ["error", "gap"])]


@pytest.mark.parametrize(("change", "charts"), OTHER_SHAPES)
def test_outputs_of_other_shapes_are_left_out(change, charts):
    cell = thin(made_up(**change)).data
    assert cell["outputs"] is None
    assert [each["key"] for each in cell["charts"]] == charts


KEEP = {  # what each comparison that trains along a time keeps, and its number of charts
    "early_sgd": ("kernel time τ", False, 2),
    "frozen_layers": ("kernel time τ", False, 1),
    "gradient_bounds": ("gradient step", False, 4),
    "infinite_width": ("gradient step", True, 2),
    "kernel_evolution": ("kernel time τ", False, 3),
    "loss_function": ("kernel time τ", False, 4),
    "output_scale": ("kernel time τ", False, 2),
    "phases": ("kernel time τ", False, 2),
    "regimes": ("kernel time τ", False, 2),
    "second_order": ("gradient step", True, 2),
    "step_size": ("gradient step", False, 3),
    "width": ("gradient step", True, 2),
}
KEEP_NONE = {"data_model", "minima", "practice", "random_features", "required_width", "stability"}


def test_every_comparison_is_known_to_keep_trajectories_or_not():
    assert {*KEEP, *KEEP_NONE} == set(names())


@pytest.mark.parametrize("name", sorted(KEEP))
def test_the_explorer_has_every_comparison_that_keeps_trajectories(name, small_run):
    [found] = explore_all([small_run(name).results])
    time, outputs, charts = KEEP[name]
    cells = found.data["cells"]
    assert {cell["time"] for cell in cells} == {time}
    assert all((cell["outputs"] is not None) == outputs for cell in cells)
    assert max(len(cell["charts"]) for cell in cells) == charts
    assert "network" in found.curves
    assert all(0 in each["times"] for cell in cells for each in cell["charts"])


# Cells ------------------------------------------------------------------------------------------------------------


def results(cells, arrays):
    return Results(pd.DataFrame(cells), tuple(cells), arrays)


def test_cells_are_chosen_by_what_tells_them_apart():
    cells = [
        {"width": m, "seed": s, "steps": 10 * m, "task": "digits", "rate": c, "budget": c * 2}
        for m in (8, 64)
        for s in (0, 1)
        for c in (0.5, 2.0)
    ]
    assert choices(cells) == ("width", "seed", "rate")
    assert choices(cells[:1]) == ()
    found = explore(results(cells, lambda cell: made_up(seed=cell["width"]))).data
    assert [field["name"] for field in found["fields"]] == ["width", "seed", "rate"]
    assert [field["values"] for field in found["fields"]] == [["8", "64"], ["0", "1"], ["0.5", "2.0"]]
    assert [cell["at"] for cell in found["cells"]][:3] == [[0, 0, 0], [0, 0, 1], [0, 1, 0]]


def test_one_field_is_preferred_to_two():
    pairs = [("relu", True, "centred"), ("erf", True, "erf"), ("relu", False, "paper")]
    cells = [{"activation": a, "centred": c, "variant": v, "seed": s} for a, c, v in pairs for s in (0, 1)]
    assert choices(cells) == ("variant", "seed")


def test_cells_without_trajectories_add_no_choice():
    cells = [{"width": 8, "arm": arm} for arm in ("W", "A", "start")]
    kept = explore(results(cells, lambda cell: {} if cell["arm"] == "start" else curves_only()))
    assert [field["values"] for field in kept.data["fields"]] == [["W", "A"]]
    [late] = explore_all([results(cells[::-1], lambda cell: {} if cell["arm"] == "start" else curves_only())])
    assert len(late.data["cells"]) == 2  # also where the first cell has none


def test_a_large_run_is_thinned_and_says_so():
    cells = [{"width": m, "seed": s} for m in (8, 16) for s in range(10)]
    arrays = made_up(length=100, samples=40, outputs=4)
    found = explore(results(cells, lambda _: arrays), budget=4 * 3 * STEPS * (OUTPUTS + 2))
    assert [field["values"] for field in found.data["fields"]] == [["8", "16"], ["0", "1"]]
    assert "48 of up to 100 recorded steps, 48 of up to 160 test outputs of a cell and 4 of 20 cells" in found.note
    tight = explore(results(cells, lambda _: arrays), budget=1)
    assert len(tight.data["cells"]) == 1
    whole = explore(results(cells, lambda _: made_up(length=8)))
    assert "To keep" not in whole.note


def test_runs_share_the_room_of_a_page(monkeypatch):
    cells = [{"width": 8, "seed": s} for s in range(6)]
    size = thin(made_up(length=4)).numbers
    monkeypatch.setattr("comparisons.report.explorer.IN_ALL", 6 * size)
    one, nothing = results(cells, lambda _: made_up(length=4)), results(cells, lambda _: {})
    assert [len(found.data["cells"]) for found in explore_all([one, one])] == [3, 3]
    alone, none = explore_all([one, nothing])
    assert len(alone.data["cells"]) == 6
    assert none is None


def test_nothing_to_explore():
    assert explore(results([{"width": 8}], lambda _: {"matrix": np.eye(2)})) is None
    assert explore(results([], dict)) is None


def test_thinning_keeps_both_ends():
    assert evenly(3, 48).tolist() == [0, 1, 2]
    assert evenly(1, 48).tolist() == [0]
    spread = evenly(1000, 48)
    assert (spread[0], spread[-1], len(spread)) == (0, 999, 48)
    dense = places(np.arange(1000), 48)
    assert (dense[:4].tolist(), dense[-1]) == ([0, 1, 2, 3], 999)
    assert len(dense) <= 48
    assert places(np.arange(1000) ** 2, 48).tolist() == spread.tolist()


def test_curves_look_as_in_the_figures_and_differ():
    found = styles([*LEARNERS, "gap, test set", "gap, training set", "force"])
    assert {name: look["color"] for name, look in found.items() if name in LEARNERS} == {
        name: line.color for name, line in LEARNERS.items()
    }
    assert len({(look["color"], look["dash"]) for look in found.values()}) == len(found)
