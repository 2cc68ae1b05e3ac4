import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import lab
from comparisons import kit, width
from comparisons.kit import networks
from comparisons.kit.cells import from_json, to_json
from lab.errors import LabError
from tests.comparisons.tables import numbers_of, power_law

pytestmark = pytest.mark.filterwarnings("ignore::lab.errors.ScaleWarning")  # as a run does

CELL = width.cells(width.Settings(widths=(16,), seeds=1, steps=20, samples=8))[0]


CONTEXT = {"final_mse_linearized": 0.01, "kernel_time": 50.0, "f0_share": 0.5}
CONTEXT |= {"linearized_in": "weights", "linearized_kernel_disagreement": 1e-6}


def made_up(slope, **options):
    return power_law(width.EXPONENTS, slope, **CONTEXT, **options)


@pytest.mark.parametrize(
    ("slope", "text"),
    [
        (-0.5, "compatible with the bound m^−0.5 (Lee et al.\xa02019)."),
        (-0.2, "slower than the bound m^−0.5"),
        (-1.0, "faster than the bound m^−0.5"),
        (0.0, "no trend is visible"),
        (0.4, "it increases in this range"),
    ],
)
def test_the_verdict_follows_the_numbers(slope, text):
    conclusion = width.conclude(made_up(slope))
    assert text in conclusion.verdict
    assert "perturbation" not in conclusion.verdict
    assert "mean-field" not in conclusion.verdict
    assert numbers_of(conclusion)["exponent.gap_test"].value == pytest.approx(slope, abs=0.05)


@pytest.mark.parametrize(
    ("slope", "text"),
    [
        (-1.0, "faster than the bound m^−0.5 (Lee et al.\xa02019) and compatible with 1/m, the order in perturbation"),
        (-0.5, "compatible with the bound m^−0.5 (Lee et al.\xa02019) and slower than 1/m"),
        (
            -1.5,
            "and faster than 1/m, the order in perturbation theory of smooth networks (Dyer, Gur-Ari 2020; Huang, Yau",
        ),
        (0.0, "; no trend is visible at this size."),
    ],
)
def test_a_smooth_network_is_compared_with_perturbation_theory_too(slope, text):
    smooth = made_up(slope).assign(activation="erf", alpha=None)
    assert text in width.conclude(smooth).verdict
    beside = width.conclude(pd.concat([made_up(-0.2).assign(activation="relu"), smooth.assign(variant="erf")])).verdict
    assert text in beside.split("With erf it goes from")[1]
    title = kit.finding(beside, "largest test gap", otherwise="")
    assert title.endswith("slower than the bound m^−0.5 (Lee et al.\xa02019)")


@pytest.mark.parametrize("bend", [-0.2, 0.3, 0.0])
def test_a_curve_that_is_no_power_law_is_told_by_its_widest_octaves(bend):
    table = made_up(-0.3)
    octaves = np.log2(table["width"] / 64)
    scatter = np.exp(np.random.default_rng(0).normal(0, 0.02, len(table)))
    conclusion = width.conclude(table.assign(gap_test=table["gap_test"] * 2 ** (bend / 2 * octaves**2) * scatter))
    details = numbers_of(conclusion)["exponent.gap_test"].details
    assert details["curvature"]["value"] == pytest.approx(bend, abs=0.03)
    assert details["widest"]["value"] == pytest.approx(-0.3 + 2 * bend, abs=0.05)  # at the middle of 128, 256 and 512
    told = "; it is no power law, and over the widest two octaves goes as width^"
    assert (told in conclusion.verdict) == (bend != 0)
    if bend == -0.2:
        assert f"{told}−0.7" in conclusion.verdict


def bent(slope, widest):
    """A law with another exponent over the widest two octaves, 128 to 512."""
    table = made_up(slope)
    ends = table["width"].clip(lower=128) / 128
    return table.assign(gap_test=table["gap_test"] * ends ** (widest - slope), activation="erf", alpha=2.0)


@pytest.mark.parametrize(
    ("slope", "widest", "text"),
    [
        (0.0, 0.0, "no decay is visible there, and theory has none in the mean-field limit (α₀ = 2)."),
        (-0.4, 0.0, "no decay is visible there"),
        (0.0, -0.4, "it falls there, although theory has no decay in the mean-field limit (α₀ = 2)."),
        (-0.4, 0.3, "it grows there, and theory has no decay in the mean-field limit (α₀ = 2)."),
    ],
)
def test_in_the_mean_field_limit_the_widest_octaves_decide(slope, widest, text):
    conclusion = width.conclude(bent(slope, widest))
    assert text in conclusion.verdict
    assert "and from width 128 on as width^" in conclusion.verdict
    assert "bound" not in conclusion.verdict
    assert numbers_of(conclusion)["exponent.gap_test_widest"].value == pytest.approx(widest, abs=0.05)


def test_the_lazy_control_stands_beside_the_mean_field_limit():
    control = made_up(-0.5).assign(variant="paper", activation="relu", alpha=np.nan)
    smooth = bent(0.0, -0.4).assign(variant="erf", alpha=1.5)
    conclusion = width.conclude(pd.concat([bent(0.0, 0.0), smooth, control]))
    assert "although theory has no decay in the mean-field limit (α₀ = 1.5). In the ntk" in conclusion.verdict
    assert "In the ntk parametrization, not centred, it goes from" in conclusion.verdict
    assert "compatible with the bound" in conclusion.verdict
    assert "The paper's network" not in conclusion.verdict
    assert "exponent.gap_test_widest.paper" not in numbers_of(conclusion)
    few = width.conclude(bent(0.0, 0.0)[lambda rows: rows["seed"] < 2]).verdict
    assert "not judged: fewer than three seeds; theory has no decay in the mean-field limit (α₀ = 2)." in few
    unfit = bent(0.0, 0.0).assign(gap_test=np.nan)
    assert width.conclude(unfit).verdict.endswith("This is the mean-field limit (α₀ = 2).")


def test_a_sentence_is_about_the_widths_of_its_fit():
    table = bent(0.0, 0.0)
    table.loc[(table["width"] == 64) & (table["seed"] == 1), "gap_test"] = np.nan
    smooth = table.assign(variant="erf")
    conclusion = width.conclude(pd.concat([bent(0.0, 0.0), smooth]))
    assert "From width 64 to 512 the largest" in conclusion.verdict
    assert " at width 128 to " in conclusion.verdict.split("With erf it goes from ")[1]
    alone = width.conclude(table).verdict
    assert alone.startswith("From width 128 to 512 (at 64 some seed has no finite gap) the largest test gap")
    assert "unknown" not in alone
    assert "on as width^" not in alone  # the widest octaves are the whole fit
    assert ": no decay is visible there" in alone
    assert "gap_test.64" in numbers_of(width.conclude(table))


def test_mean_field_cells_are_in_that_limit_but_for_the_control():
    settings = width.Settings(
        widths=(8,), seeds=1, parametrization="mean_field", steps=4, samples=6, readouts=("last",), draws=1
    )
    cells = {cell.variant: cell for cell in width.cells(settings)}
    found = {name: (cell.activation, cell.parametrization, cell.centred) for name, cell in cells.items()}
    assert found == {
        "centred": ("relu", "mean_field", True),
        "erf": ("erf", "mean_field", True),
        "paper": ("relu", "ntk", False),
        "draws": ("relu", "mean_field", True),
    }
    rows = {name: width.measure(cell)[0] for name, cell in cells.items()}
    assert {name: (row["alpha"], row["activation"]) for name, row in rows.items()} == {
        "centred": (2.0, "relu"),
        "erf": (2.0, "erf"),
        "paper": (None, "relu"),
        "draws": (2.0, "relu"),
    }
    task, _ = networks.build(cells["erf"])
    shape = {"parametrization": "ntk", "activation": "erf", "dtype": torch.float32}
    scaled = lab.Scaled.mean_field(lab.ElmanRNN.like(task, 8, seed=cells["erf"].network_seed, **shape), 8)
    rate = lab.side_by_side(scaled, task, lab.Descent(4)).learning_rate
    assert rows["erf"]["learning_rate"] == pytest.approx(rate, rel=1e-4)


def test_the_verdict_names_what_is_missing():
    assert "three seeds" in width.conclude(made_up(-0.5, seeds=2)).verdict
    table = made_up(-0.5)
    table.loc[table["width"] > 64, "gap_test"] = np.nan
    conclusion = width.conclude(table)
    assert numbers_of(conclusion)["exponent.gap_test"].value is None
    assert "No exponent of the test gap could be fitted" in conclusion.verdict


def test_other_variants_have_keys_and_sentences_of_their_own():
    smooth = made_up(-0.8, level=2.0).assign(variant="erf")
    paper = made_up(-0.3, level=3.0).assign(variant="paper", f0_share=0.8)
    paper["gap_initial_test"] /= 4
    conclusion = width.conclude(pd.concat([made_up(-0.5), made_up(-0.6).assign(readout="all"), smooth, paper]))
    numbers = numbers_of(conclusion)
    for name, slope in {"": -0.5, ".all": -0.6, ".erf": -0.8, ".paper": -0.3}.items():
        assert numbers[f"exponent.gap_test{name}"].value == pytest.approx(slope, abs=0.05)
    ratio = numbers["gap_test.512.paper"].value / numbers["gap_initial_test.512.paper"].value
    assert ratio == pytest.approx(4)
    assert numbers["f0_share.paper"].value == 0.8
    assert "With erf it goes from" in conclusion.verdict
    assert "random initial output makes up 80 % of the initial residual" in conclusion.verdict


def test_another_readout_of_the_main_variant_is_no_other_variant():
    for variant in ("erf", "paper"):
        first, second = (made_up(-0.5).assign(variant=variant, readout=readout) for readout in ("last", "all"))
        verdict = width.conclude(pd.concat([first, second])).verdict
        assert "With erf" not in verdict
        assert "The paper's network" not in verdict


def test_a_diverged_cell_enters_no_fit():
    table = made_up(-0.5)
    table.loc[table.index[-1], list(width.EXPONENTS)] = np.nan
    numbers = numbers_of(width.conclude(table))
    assert numbers["exponent.gap_test"].details["widths"] == [64, 128, 256]
    assert "512" in numbers["exponent.gap_test"].reason
    assert numbers["gap_test.512"].value is None


def test_a_second_readout_has_keys_of_its_own():
    table = pd.concat([made_up(-0.5), made_up(-0.9).assign(readout="all")])
    numbers = numbers_of(width.conclude(table))
    assert numbers["exponent.gap_test.all"].value == pytest.approx(-0.9, abs=0.05)
    assert numbers["exponent.gap_test"].value == pytest.approx(-0.5, abs=0.05)


@pytest.mark.parametrize("readout", ["last", "all", "mean"])
def test_a_cell_measures_what_the_contract_names(readout):
    row, arrays = width.measure(replace(CELL, readout=readout))
    contract = {"width", "seed", "final_loss_network", "final_loss_linearized", "linearized_kernel_disagreement"}
    contract |= {"learning_rate", "lambda_max", "lambda_min", *width.EXPONENTS}
    assert contract <= set(row)
    json.dumps(row, allow_nan=False)
    assert row["kernel_time"] == pytest.approx(0.5 * 20)
    assert row["gap_test"] == arrays["gap_test"].max()
    outputs = 7 if readout == "all" else 1
    assert arrays["test"].shape == (3, len(arrays["steps"]), 8, outputs)


FOREIGN = [(network, readout) for network in ("rnn", "gru", "lstm") for readout in ("last", "all", "mean")]
FOREIGN += [(network, readout) for network in ("mlp", "cnn") for readout in ("last", "all")]


def foreign_cell(network, readout, **settings):
    options = {"widths": (6,), "seeds": 1, "steps": 4, "samples": 6, **settings}
    return width.cells(width.Settings(network=network, readouts=(readout,), **options))[0]


@pytest.mark.parametrize(("network", "readout"), FOREIGN)
def test_other_networks_are_measured_as_the_elman_network_is(network, readout):
    row, arrays = width.measure(foreign_cell(network, readout, dtype="float64"))
    assert set(width.measure(replace(CELL, readout=readout, steps=4))[0]) == set(row)
    json.dumps(row, allow_nan=False)
    assert row["linearized_kernel_disagreement"] < 1e-9
    assert "spectral_motion" in row["reasons"]
    assert arrays["test"].shape[2:] == (6, 7 if readout == "all" else 1)


@pytest.mark.parametrize("network", ["rnn", "mlp"])
def test_a_seed_is_one_network_in_every_dtype(network):
    double, single, other = (
        networks.build(replace(foreign_cell(network, "last", dtype=dtype), seed=seed), network)[1].trained
        for dtype, seed in (("float64", 0), ("float32", 0), ("float64", 1))
    )
    assert all(torch.equal(value.float(), single[name]) for name, value in double.items())
    assert not all(torch.equal(value, other[name]) for name, value in double.items())


def test_cells_keep_only_the_settings_that_their_network_has():
    assert {"activation", "parametrization", "trained"} <= set(to_json(CELL))
    assert not {"activation", "parametrization", "trained"} & set(to_json(foreign_cell("gru", "last")))
    assert "activation" in to_json(foreign_cell("mlp", "last", activation="tanh"))
    for network in networks.NAMES:
        narrow, wide = (foreign_cell(network, "all", widths=(m,)) for m in (64, 256))
        assert width.cost(wide).flops > 6 * width.cost(narrow).flops, network


def test_cells_are_all_combinations_and_json():
    settings = width.Settings(widths=(8, 16), seeds=3, draws=2)
    cells = width.cells(settings)
    assert len(cells) == 2 * 3 * (2 + 1 + 1 + 1) + 2 * 3  # both readouts of the first variant, one of the others; draws
    assert {(cell.variant, cell.readout) for cell in cells} == {
        ("centred", "last"),
        ("centred", "all"),
        ("erf", "last"),
        ("paper", "last"),
        ("leading", "last"),
        ("draws", "last"),
    }
    assert {(cell.variant, cell.centred, cell.activation, cell.parametrization) for cell in cells} == {
        ("centred", True, "relu", "paper"),
        ("erf", True, "erf", "ntk"),
        ("paper", False, "relu", "paper"),
        ("leading", True, "relu", "paper"),
        ("draws", True, "relu", "paper"),
    }
    assert {cell.variant for cell in width.cells(replace(settings, network="gru"))} == {"centred", "paper", "draws"}
    assert [from_json(width.Cell, json.loads(json.dumps(to_json(cell)))) for cell in cells] == cells
    assert width.cost(replace(CELL, width=64)).flops > 8 * width.cost(CELL).flops


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"task": "digit"}, "task"),
        ({"widths": (0,)}, "widths"),
        ({"widths": ()}, "widths"),
        ({"widths": (8, 8)}, "widths"),
        ({"seeds": 0}, "seeds"),
        ({"steps": 0}, "steps"),
        ({"critical_fraction": 0.0}, "critical_fraction"),
        ({"activation": "gelu"}, "activation"),
        ({"activation": "softplus"}, "activation"),
        ({"readouts": ("first",)}, "readouts"),
        ({"trained": ("C",)}, "trained"),
        ({"dtype": "float16"}, "dtype"),
        ({"samples": 1}, "samples"),
        ({"samples": 179}, "samples"),
        ({"data_seed": 2**32}, "data_seed"),
        ({"network": "perceptron"}, "network"),
        ({"parametrization": "mean-field"}, "parametrization"),
        ({"network": "gru", "parametrization": "ntk"}, "parametrization"),
        ({"network": "mlp", "trained": ("W", "B")}, "trained"),
        ({"network": "lstm", "activation": "tanh"}, "activation"),
        ({"network": "rnn", "activation": "erf"}, "activation"),
        ({"network": "cnn", "readouts": ("mean",)}, "readouts"),
        ({"network": "gru", "variants": ("erf", "centred")}, "variants"),
        ({"variants": ("smooth",)}, "variants"),
    ],
)
def test_bad_settings_name_themselves(settings, name):
    with pytest.raises(LabError) as caught:
        width.Settings(**settings)
    assert caught.value.argument == name


def test_a_giant_cell_holds_one_copy_of_its_weights(monkeypatch):
    small, _ = width.measure(CELL)
    monkeypatch.setattr(width, "IN_PLACE_FROM", CELL.width)
    giant, _ = width.measure(CELL)
    assert (small["linearized_in"], giant["linearized_in"]) == ("weights", "coefficients")
    assert giant["gap_test"] == pytest.approx(small["gap_test"], rel=1e-3)  # float32
    big = replace(CELL, width=8192)
    assert width.cost(big).bytes < 2 * 4 * 8192**2


def test_the_limit_of_samples_is_how_many_there_are():
    lab.tasks.digits(train=178, test=178)
    assert width.Settings(samples=178).samples == 178
    with pytest.raises(LabError, match="at most 357"):
        lab.tasks.digits(train=179, test=179)


def test_a_gap_of_rounding_errors_is_no_gap():
    table = made_up(-0.5, level=1e-6)
    assert "below 10 times the numerical noise" in width.conclude(table).verdict


def test_a_quantity_without_values_says_why():
    reasons = "gate_flips: this network has no on/off gates; gap_x: y"
    table = made_up(-0.5).assign(gate_flips=np.nan, reasons=reasons)
    assert numbers_of(width.conclude(table))["exponent.gate_flips"].reason == "this network has no on/off gates"


def test_leading_targets_are_what_large_eigenvalues_leave():
    settings = width.Settings(widths=(8,), seeds=1, samples=12, steps=4, variants=("centred", "leading"), draws=0)
    cells = {cell.variant: cell for cell in width.cells(settings) if cell.readout == "last"}
    (whole, network), (task, same) = (kit.variants.build(cells[name]) for name in ("centred", "leading"))
    assert torch.equal(network.W, same.W)
    assert torch.equal(whole.train_inputs, task.train_inputs)
    kernel = lab.infinite_ntk(lab.ElmanRNN.like(whole, 8), whole.train_inputs, shared=True).numpy()
    values, vectors = np.linalg.eigh(kernel)
    shares = vectors.T @ whole.train_targets[:, 0].double().numpy()
    kept = vectors @ np.where(values >= values[-1] / 30, shares, 0.0)
    np.testing.assert_allclose(task.train_targets[:, 0].numpy(), kept, atol=1e-6)
    assert 0 < np.linalg.norm(kept) < np.linalg.norm(whole.train_targets.numpy())


@pytest.mark.parametrize("changes", [{"network": "gru"}, {"loss": "logistic"}, {"parametrization": "mean_field"}])
def test_leading_targets_belong_to_the_squared_loss_and_the_kernel_of_the_elman_network(changes):
    assert "leading" not in {cell.variant for cell in width.cells(width.Settings(**changes))}


@pytest.mark.parametrize(("slope", "said"), [(-0.5, True), (-0.3, False)])
def test_small_eigenvalues_are_named_where_the_gap_falls_faster_without_them(slope, said):
    table = pd.concat([made_up(-0.3), made_up(slope).assign(variant="leading")])
    conclusion = width.conclude(table)
    assert ("So small eigenvalues, which are fitted late, slow its fall" in conclusion.verdict) == said
    both = numbers_of(conclusion)
    difference = both["exponent.gap_test"].value - both["exponent.gap_test.leading"].value
    assert both["exponent.gap_over_leading"].value == pytest.approx(difference)
