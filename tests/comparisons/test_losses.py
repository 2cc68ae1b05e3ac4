"""The four questions that take a loss: the squared one as it was, others against `lab.side_by_side`, texts that fit."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import comparisons
import lab
from comparisons import early_sgd, practice, step_size, width
from comparisons.kit import losses, networks, records
from comparisons.kit.cells import to_json
from comparisons.kit.settings import as_json
from comparisons.runs.registry import find
from lab.errors import LabError
from lab.sweeps.cells import cell_key
from tests.comparisons.small import SMALL
from tests.comparisons.tables import numbers_of
from tests.figures import layout
from tests.tolerances import EXACT, relative

pytestmark = pytest.mark.filterwarnings("ignore::lab.errors.ScaleWarning")  # as a run does

QUESTIONS = ("width", "practice", "early_sgd", "step_size")
#: Settings, and sha256 of the keys of their cells (of any version), since widths have seeds of their own
KEYS = {
    "width": ({"widths": (8, 16), "seeds": (3, 2), "draws": 1, "variants": ("centred",)}, "71b422fd4ef7dc18"),
    "practice": ({"seeds": 2}, "605fd9d652c5e085"),
    "early_sgd": ({"widths": (8, 16), "seeds": (3, 2)}, "ed5a1cf0386e4bbd"),
    "step_size": ({"widths": (8, 16), "seeds": (3, 2)}, "1f9161a77fee354d"),
}
SOME = ("squared", "huber")
OTHERS = ("huber", "logistic", "cross_entropy")


@pytest.mark.parametrize("name", QUESTIONS)
def test_cells_of_the_squared_loss_are_what_they_were(name):
    """So are settings in files: a directory from before can be resumed."""
    module, (chosen, digest) = find(name), KEYS[name]
    small = module.Settings(**chosen)
    squared, changed = ([to_json(cell) for cell in module.cells(replace(small, loss=loss))] for loss in SOME)
    assert [{**cell, "loss": "huber"} for cell in squared] == changed
    keys = sorted(cell_key(name, 0, cell) for cell in squared)
    assert hashlib.sha256("".join(keys).encode()).hexdigest()[:16] == digest
    for settings in module.PRESETS.values():
        assert "loss" not in as_json(settings)
        other = replace(settings, loss="huber")
        assert as_json(other)["loss"] == "huber"
        assert {to_json(cell)["loss"] for cell in module.cells(other)} == {"huber"}


RUNS = [("early_sgd", "squared"), ("early_sgd", "huber"), ("step_size", "logistic")]
RUNS += [("width", "cross_entropy"), ("practice", "cross_entropy")]


@pytest.mark.parametrize(("name", "loss"), RUNS)
def test_every_number_and_text_is_there_under_every_loss(name, loss, tmp_path, small_run):
    fewer = {
        "step_size": {"readouts": ("last",), "samples": 6, "smallest_fraction": 0.4, "patience": 0.5},
        "width": {"readouts": ("last",), "variants": ("centred", "paper")},
    }
    small = SMALL[name] | fewer.get(name, {})
    if loss == "squared":
        found = small_run(name)
    else:
        found = comparisons.run(name, "fast", tmp_path, executor="serial", progress=False, loss=loss, **small)
    assert found.counts["failed"] == found.counts["missing"] == 0
    assert found.verdict.endswith(".")
    squared = ("of the targets", "what there is to learn", "mean squared error")
    texts = [found.verdict, *(ax.get_ylabel() for figure in found.figures.values() for ax in figure.axes)]
    assert any(part in text for part in squared for text in texts) == (loss == "squared" and name != "practice")
    assert ("loss" in found.table) == (loss != "squared")
    columns = [*found.table, *numbers_of(found.conclusion)]
    assert any("mse" in column for column in columns) == (loss == "squared" and name != "practice")
    assert [flaw for figure in found.figures.values() for flaw in layout.flaws(figure)] == []
    if loss in losses.CLASSES and name in ("width", "step_size"):
        number = numbers_of(found.conclusion)["f0_share"]
        assert (number.value, number.reason) == (None, losses.NO_VALUES)


@pytest.mark.parametrize(
    ("module", "settings"),
    [
        (width, {"loss": "hinge"}),
        (step_size, {"loss": "Huber"}),
        (early_sgd, {"loss": ""}),
        (practice, {"loss": "cross-entropy"}),
    ],
)
def test_an_unknown_loss_is_refused(module, settings):
    with pytest.raises(LabError) as caught:
        module.Settings(**settings)
    assert caught.value.argument == "loss"


@pytest.mark.parametrize("module", [width, step_size, early_sgd])
def test_classes_are_not_learnt_from_numbers(module, tmp_path):
    path = tmp_path / "mine.npz"
    rng = np.random.default_rng(0)
    np.savez(path, train_inputs=rng.normal(size=(12, 5, 2)), train_targets=rng.normal(size=(12, 1)))
    asked = {"task": str(path), "samples": 4, **({"batches": ("1",)} if module is early_sgd else {})}
    for loss in losses.CLASSES:
        with pytest.raises(LabError, match="whose targets are numbers") as caught:
            module.Settings(**asked, loss=loss)
        assert caught.value.argument == "loss"
    assert module.Settings(**asked, loss="huber").loss == "huber"


# width


def width_cell(**settings):
    options = {"widths": (16,), "seeds": 1, "steps": 20, "samples": 8, "dtype": "float64", **settings}
    return width.cells(width.Settings(**options))[0]


@pytest.mark.parametrize("loss", OTHERS)
@pytest.mark.parametrize("readout", ["last", "all"])
def test_the_gap_over_widths_is_that_of_side_by_side(loss, readout):
    cell = width_cell(loss=loss, readouts=(readout,))
    row, arrays = width.measure(cell)
    json.dumps(row, allow_nan=False)
    task = lab.tasks.digits(train=8, test=8, seed=cell.draw)
    task = task.at_every_step() if readout == "all" else task
    shape = {"outputs": 2 if loss == "cross_entropy" else 1, "centred": True}
    network = lab.ElmanRNN.like(task, 16, seed=cell.network_seed, **shape)
    result = lab.side_by_side(network, task, lab.Descent(20, 0.5, loss=loss))
    assert row["gap_test"] == pytest.approx(np.nanmax(result.gap("test")), rel=1e-9)
    assert arrays["gap_train"] == pytest.approx(result.gap("train"), rel=1e-9, nan_ok=True)
    assert row["final_loss_per_sample_linearized"] == pytest.approx(result.linearized.loss[-1] / 8, rel=1e-9)
    assert row["kernel_time"] == pytest.approx(result.kernel_time[-1])
    shown = result.network.test
    if loss == "cross_entropy":
        pairs = shown.reshape(*shown.shape[:2], -1, 2)
        shown = (pairs - pairs.mean(-1, keepdims=True)).reshape(shown.shape)
    assert relative(arrays["test"][0], shown) < 1e-6  # stored in float32
    assert arrays["test_targets"].shape == arrays["test"].shape[2:]
    if loss != "huber":
        assert row["gap_initial_test"] is row["f0_share"] is None
        assert f"gap_initial_test: {losses.NO_VALUES}" in row["reasons"]


@pytest.mark.parametrize("network", ["rnn", "gru", "lstm", "mlp", "cnn"])
@pytest.mark.parametrize("readout", ["last", "all"])
def test_other_networks_have_an_output_for_each_class(network, readout):
    cell = width_cell(network=network, readouts=(readout,), widths=(6,), steps=4, samples=6, loss="cross_entropy")
    row, arrays = width.measure(cell)
    json.dumps(row, allow_nan=False)
    assert row["linearized_kernel_disagreement"] < 1e-9
    assert arrays["test"].shape[2:] == (6, 14 if readout == "all" else 2)
    assert width.cost(cell).flops > width.cost(replace(cell, loss="squared")).flops


def test_a_seed_is_one_network_whatever_the_loss():
    one, other = (networks.build(width_cell(loss=loss))[1] for loss in ("squared", "logistic"))
    assert relative(one.W.detach(), other.W.detach()) == 0


# step_size


STEP = replace(
    step_size.cells(step_size.Settings(widths=(16,), seeds=1, samples=8, dtype="float64"))[0],
    kernel_time=10.0,
    least_steps=20,
)


@pytest.mark.parametrize("loss", OTHERS)
@pytest.mark.parametrize("fraction", [0.4, 1.6])
def test_a_step_is_side_by_side_with_an_exit(loss, fraction):
    cell = replace(STEP, fraction=fraction, loss=loss)
    row, arrays = step_size.measure(cell)
    json.dumps(row, allow_nan=False)
    task, network = networks.build(cell)
    result = lab.side_by_side(network, task, lab.Descent(int(np.ceil(10 / fraction)), fraction, loss=loss))
    assert row["learning_rate"] == pytest.approx(result.learning_rate)
    assert row["gap_test"] == pytest.approx(np.nanmax(result.gap("test")), rel=1e-8)
    ours, linear = losses.courses(arrays)[:2]
    steps = result.linearized.steps
    assert relative(ours[steps], result.network.loss / result.network.loss[0]) < EXACT
    assert relative(linear[steps], result.linearized.loss / result.linearized.loss[0]) < 1e-8
    assert row["critical_step_times_width"] == pytest.approx(2 * 16 / result.lambda_max)


def test_the_limit_of_the_critical_step_is_what_wide_networks_have():
    """λ_max(H₀) is ¼ for logistic; ½ for two equal logits, of a network whose B ~ N(0, ½) then halves its kernel."""
    found = {}
    for loss in ("squared", *OTHERS):
        row, _ = step_size.measure(replace(STEP, fraction=0.4, loss=loss, patience=0.1))
        found[loss] = row["critical_step_infinite"]
    for loss, factor in (("huber", 1), ("logistic", 4), ("cross_entropy", 4)):
        assert found[loss] == pytest.approx(factor * found["squared"], rel=1e-9)
    row, _ = step_size.measure(replace(STEP, fraction=0.4, loss="logistic", patience=0.1, centred=False))
    assert row["critical_step_infinite"] is None
    wide = replace(STEP, fraction=0.4, loss="cross_entropy", width=2048, patience=0.01)
    task, network = networks.build(wide)
    top = lab.side_by_side(network, task, lab.Descent(1, loss="cross_entropy")).lambda_max
    assert 2 * 2048 / top == pytest.approx(found["cross_entropy"], rel=0.2)


def test_a_linear_model_that_never_diverges_is_said_to():
    rows = []
    for seed in range(3):
        for c in (0.1, 0.4, 1.6, 6.4, 25.6):
            row = {"readout": "last", "width": 64, "seed": seed, "fraction": c, "loss": "cross_entropy"}
            row |= {"outcome": "reached" if c < 10 else "undecided", "diverged": False, "motion": c, "sharpness": 0.5}
            row |= {"gap_test": 0.2 if c < 1 else 0.9, "linear_diverges": False, "live_gates": 0.4}
            row |= {
                "live_gates_start": 0.5,
                "peak_loss_per_sample": 3.0,
                "critical_step_times_width": 0.01 + seed / 1e5,
            }
            rows.append({**row, "critical_step_infinite": 0.02, "linear_noise": 1e-6, "f0_share": None})
    found = step_size.conclude(pd.DataFrame(rows))
    assert "the linear model does not diverge at any step of this grid." in found.verdict
    assert "trains at up to 6.4 times the critical step 2/λ_max of H₀^½K₀H₀^½" in found.verdict
    assert numbers_of(found)["catapult_peak"].value == pytest.approx(3)
    assert numbers_of(found)["linear_limit"].reason == "3 of 3 seeds right censored at 25.6"
    assert numbers_of(found)["f0_share"].reason == losses.NO_VALUES
    some = pd.DataFrame(rows).assign(linear_diverges=[row["fraction"] > 10 for row in rows])
    assert "the linear model has ten times its first error from 25.6 on" not in step_size.conclude(some).verdict
    assert "has ten times its first error from 26 on" in step_size.conclude(some).verdict


# early_sgd


@pytest.mark.parametrize("loss", OTHERS)
@pytest.mark.parametrize("batch", ["4", "full"])
def test_the_gap_of_early_sgd_is_that_of_the_linear_network_in_weight_space(loss, batch):
    small = early_sgd.Settings(widths=(48,), seeds=1, samples=8, kernel_time=6.0, dtype="float64", loss=loss)
    cell = next(each for each in early_sgd.cells(small) if (each.batch, each.momentum) == (batch, 0.9))
    row, arrays = early_sgd.measure(cell)
    json.dumps(row, allow_nan=False)
    task, network = networks.build(cell)
    rate = {"learning_rate": row["learning_rate"], "momentum": 0.9, "batch_size": None if batch == "full" else 4}
    descent = lab.Descent(cell.looks()[-1], record=cell.looks(), loss=loss, seed=cell.network_seed, **rate)
    result = lab.side_by_side(network, task, descent)
    assert result.linearized_in == "weights"
    np.testing.assert_allclose(arrays["gap_test"], result.gap("test"), rtol=1e-6)
    assert relative(arrays["losses"][0], result.network.loss / 8) < EXACT
    assert row["final_loss_per_sample_network"] == pytest.approx(result.network.loss[-1] / 8)
    gap = np.nan_to_num(arrays["gap_test"])
    after = int(np.argmax(gap > 0.05))
    assert arrays["kernel_time"][after - 1] <= row["leaves_0.05"] <= arrays["kernel_time"][after]
    assert row["gap_at_1"] == gap[arrays["kernel_time"] <= 1 + 1e-9].max()


def test_the_page_does_not_call_another_loss_squared():
    from comparisons.report.trajectories import thin

    _, arrays = width.measure(width_cell(loss="cross_entropy"))
    charts = {chart["key"]: chart for chart in thin(arrays).data["charts"]}
    assert (charts["error"]["axis"], charts["gap"]["axis"]) == (
        "sum over samples",
        "gap / change of the linear learner",
    )
    _, arrays = width.measure(width_cell())
    charts = {chart["key"]: chart for chart in thin(arrays).data["charts"]}
    assert (charts["error"]["axis"], charts["gap"]["axis"]) == ("½ Σ (f − y)²", "gap / RMS of the targets")
    assert "loss_name" not in arrays


def test_rows_of_two_losses_have_words_of_their_own():
    table = pd.DataFrame({"seed": [0, 1], "f0_share": [0.1, 0.3]})
    assert losses.words_of(table).is_squared
    assert records.of_values(table, "f0_share").value == pytest.approx(0.2)
    assert losses.words_of(table.assign(loss=[np.nan, "logistic"])).error == "logistic loss per sample"
    assert {losses.words(name).name for name in losses.NAMES} == set(losses.NAMES)
