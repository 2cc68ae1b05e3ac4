"""Seeds of each width: which cells there are, what a seed draws, and slopes from unequal numbers of seeds."""

from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch

import comparisons
import lab
from comparisons import regimes, width
from comparisons.cli.command import main
from comparisons.kit import networks, powers, scaled
from comparisons.kit.seeds import Drawn
from comparisons.kit.settings import with_values
from comparisons.runs.registry import find, names
from lab.errors import LabError
from lab.measures.exponents import fit_unpaired_exponent
from tests.comparisons.small import SMALL
from tests.comparisons.tables import numbers_of
from tests.tolerances import EXACT

WITH_WIDTHS = [name for name in names() if hasattr(find(name).PRESETS["fast"], "data_seeds")]
WITH_WIDTHS = [name for name in WITH_WIDTHS if hasattr(find(name).PRESETS["fast"], "widths")]


def asked_for(cell):
    """Whether a cell is one of the setting ``seeds``, not of others, such as repeated draws or kernels alone."""
    parts = getattr(cell, "part", "planted"), getattr(cell, "trained_too", True), getattr(cell, "sample", None)
    return parts == ("planted", True, None)


@pytest.mark.parametrize("name", WITH_WIDTHS)
def test_there_are_as_many_cells_at_each_width_as_it_has_seeds(name):
    module = find(name)
    settings = with_values(module.PRESETS["fast"], {**SMALL[name], "widths": (8, 16), "seeds": (3, 2)}, "")
    cells = list(filter(asked_for, module.cells(settings)))
    assert {(cell.width, cell.seed) for cell in cells} == {(8, 0), (8, 1), (8, 2), (16, 0), (16, 1)}
    assert len(set(cells)) == len(cells)
    equal = list(filter(asked_for, module.cells(with_values(settings, {"seeds": 3}, ""))))
    assert {(cell.width, cell.seed) for cell in equal} == {(m, seed) for m in (8, 16) for seed in range(3)}
    assert set(cells) < set(equal)  # what is measured stays, whatever the numbers


@pytest.mark.parametrize(
    ("widths", "seeds"), [((16, 4096, 200, 45), (9, 3, 3, 5)), ((23, 90, 1), (9, 5, 9)), ((64, 50), 5)]
)
def test_other_widths_have_the_seeds_of_the_nearest_in_octaves(widths, seeds):
    settings = width.Settings(widths=(16, 64, 256), seeds=(9, 5, 3))
    assert with_values(settings, {"widths": widths}, "").seeds == seeds
    assert with_values(settings, {"widths": widths, "seeds": 4}, "").seeds == 4
    assert with_values(width.Settings(seeds=7), {"widths": widths}, "").seeds == 7


@pytest.mark.parametrize(
    ("flags", "cells"),
    [([], 24 + 5), (["--seeds", "3"], 6), (["--seeds", "4", "3"], 7), (["--preset", "fast"], 12 + 4)],
)
def test_so_they_have_on_the_command_line(flags, cells, tmp_path, monkeypatch, capsys):
    """The default preset has 24 seeds at width 128 and 5 at 1024; fast has 12 at its smallest and 4 at its largest."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(width.PRESETS, "default", width.Settings(widths=(64, 128, 1024), seeds=(48, 24, 5)))
    monkeypatch.setitem(width.PRESETS, "fast", width.Settings(widths=(100, 1000), seeds=(12, 4)))
    plain = ["--readouts", "last", "--variants", "centred", "--draws", "0", "--out", "here"]
    assert main(["run", "width", "--widths", "100", "1000", *flags, *plain, "--dry-run"]) == 0
    assert f"cells      {cells}, of which 0 are committed" in capsys.readouterr().out
    assert main(["run", "width", "--widths", "100", "1000", "--seeds", "4", "3", "2", *plain, "--dry-run"]) == 2
    assert "seeds: got 3 numbers for 2 widths" in capsys.readouterr().err


@pytest.mark.parametrize("seeds", [(3, 2, 1), (3,), (), (3, 0), (3, -1), 0])
def test_wrong_numbers_of_seeds_are_refused(seeds):
    with pytest.raises(LabError, match="seeds: ") as caught:
        width.Settings(widths=(8, 16), seeds=seeds)
    assert caught.value.argument == "seeds"


@pytest.mark.parametrize("name", [*WITH_WIDTHS, "output_scale"])
def test_widths_and_seeds_share_no_draw_and_arms_do(name):
    networks_of, draws_of = defaultdict(set), defaultdict(set)
    for cell in find(name).cells(find(name).PRESETS["default"]):
        assert isinstance(cell, Drawn)
        sample = getattr(cell, "sample", None)
        networks_of[cell.width, cell.seed].add(cell.network_seed)
        draws_of[cell.width, cell.seed if sample is None else sample].add(cell.draw)
    for found in (networks_of, draws_of):
        assert {len(each) for each in found.values()} == {1}
        assert len(set().union(*found.values())) == len(found)


def built(**settings):
    cells = width.cells(width.Settings(widths=(8, 16), seeds=2, samples=6, dtype="float64", **settings))
    return {(cell.variant, cell.width, cell.seed): networks.build(cell) for cell in cells}


def test_networks_and_data_differ_where_their_seeds_do():
    found = built(readouts=("last",), draws=0)
    for (variant, m, seed), (task, network) in found.items():
        main_task, main_network = found["centred", m, seed]
        assert torch.equal(task.train_inputs, main_task.train_inputs)
        scale, unit = (net.multipliers["W"] for net in (network, main_network))
        torch.testing.assert_close(scale * network.W, unit * main_network.W, rtol=EXACT, atol=0)
        for (_, width_too, seed_too), (other_task, other) in found.items():
            if (width_too, seed_too) != (m, seed):
                assert not torch.equal(task.train_inputs, other_task.train_inputs)
                few = min(m, width_too)
                entries = [
                    (net.multipliers["W"] * net.width**0.5 * net.W).detach()[:few, :few] for net in (network, other)
                ]
                assert not torch.isclose(*entries, rtol=1e-6).any(), variant


def test_all_may_share_one_draw_of_the_data():
    found = built(readouts=("last",), variants=("centred",), data_seeds="one", data_seed=7)
    assert len(found) == 4  # without repeated draws
    wanted = lab.tasks.digits(train=6, test=6, seed=7)
    assert all(torch.equal(task.test_inputs, wanted.test_inputs) for task, _ in found.values())
    assert len({float(network.W.detach()[0, 0]) for _, network in found.values()}) == 4
    cells = regimes.cells(regimes.Settings(widths=(8, 16), seeds=2, data_seeds="one", data=("teacher",)))
    inputs = [scaled.data("teacher", cell).train_inputs for cell in cells[:: len(cells) // 3]]
    assert all(torch.equal(each, inputs[0]) for each in inputs)


def by_hand(samples):
    """Slope of mean logs on log(width), and Satterthwaite's interval, from samples by width."""
    x = np.log(list(samples))
    logs = [np.log(each) for each in samples.values()]
    slope = np.polyfit(x, [each.mean() for each in logs], 1)[0]
    pull = [np.polyfit(x, unit, 1)[0] for unit in np.eye(len(x))]  # the slope is linear in the means
    parts = np.array([w**2 * scipy.stats.sem(each) ** 2 for w, each in zip(pull, logs, strict=True)])
    freedom = parts.sum() ** 2 / sum(part**2 / (len(each) - 1) for part, each in zip(parts, logs, strict=True))
    return slope, scipy.stats.t.interval(0.95, freedom, slope, np.sqrt(parts.sum()))


def uneven(counts):
    generator = np.random.default_rng(5)
    rows = [{"width": m, "seed": seed} for m, count in counts.items() for seed in range(count)]
    table = pd.DataFrame(rows)
    return table.assign(y=3 * table["width"] ** -0.5 * np.exp(0.3 * generator.standard_normal(len(table))))


def test_a_power_law_of_unequal_numbers_of_seeds_is_a_contrast_of_independent_means():
    table = uneven({16: 9, 32: 5, 128: 4, 512: 6})
    samples = {m: rows["y"].to_numpy() for m, rows in table.groupby("width")}
    law = powers.power_law(table.sample(frac=1, random_state=1), "y")
    slope, ends = by_hand(samples)
    assert law.exponent.value == law.line[0] == pytest.approx(slope, rel=EXACT)
    assert law.exponent.interval == pytest.approx(ends, rel=EXACT)
    assert (law.exponent.seeds, law.exponent.details["seeds_at_each"]) == (4, [9, 5, 4, 6])
    wanted = fit_unpaired_exponent(list(samples), list(samples.values()))
    assert law.exponent.value == pytest.approx(wanted.value, rel=EXACT)
    assert law.exponent.interval == pytest.approx(wanted.interval, rel=EXACT)
    assert law.curve.middle == pytest.approx([scipy.stats.gmean(each) for each in samples.values()], rel=EXACT)
    low = np.log(samples[32])
    ends = np.exp(scipy.stats.t.interval(0.95, 4, low.mean(), scipy.stats.sem(low)))
    assert law.curve.ends[:, 1] == pytest.approx(ends, rel=EXACT)


def test_a_power_law_of_the_same_seeds_everywhere_is_the_mean_of_their_slopes():
    table = uneven({16: 5, 32: 5, 128: 5})
    grid = np.log(table.pivot(index="seed", columns="width", values="y").to_numpy())
    slopes = np.polyfit(np.log([16, 32, 128]), grid.T, 1)[0]
    found = powers.exponent(table, "y")
    assert found.value == pytest.approx(slopes.mean(), rel=EXACT)
    ends = scipy.stats.t.interval(0.95, 4, slopes.mean(), scipy.stats.sem(slopes))
    assert found.interval == pytest.approx(ends, rel=EXACT)
    assert by_hand({m: rows["y"].to_numpy() for m, rows in table.groupby("width")})[0] == pytest.approx(found.value)


def test_a_cell_that_is_not_there_leaves_no_hole_and_one_without_a_value_does():
    table = uneven({16: 6, 32: 5, 128: 5})
    gone = table.drop(index=6)
    slope, ends = by_hand({m: rows["y"].to_numpy() for m, rows in gone.groupby("width")})
    found = powers.exponent(gone, "y")
    assert (found.value, *found.interval) == pytest.approx((slope, *ends), rel=EXACT)
    table.loc[6, "y"] = np.nan
    found = powers.exponent(table, "y")
    assert found.details["widths"] == [16, 128]
    slope, ends = by_hand({m: rows["y"].to_numpy() for m, rows in table.groupby("width") if m != 32})
    assert (found.value, *found.interval) == pytest.approx((slope, *ends), rel=EXACT)


def test_a_run_has_its_own_number_of_seeds_at_each_width(small_run):
    found = small_run("width")
    main = found.table[(found.table["variant"] == "centred") & (found.table["readout"] == "last")]
    assert found.counts["failed"] == found.counts["missing"] == 0
    assert main.groupby("width").size().to_dict() == {8: 6, 16: 4}
    numbers = numbers_of(found.conclusion)
    slope, ends = by_hand({m: rows["gap_test"].to_numpy() for m, rows in main.groupby("width")})
    number = numbers["exponent.gap_test"]
    assert (number.value, *number.interval) == pytest.approx((slope, *ends), rel=1e-9)
    assert (number.seeds, numbers["gap_test.8"].seeds, numbers["gap_test.16"].seeds) == (4, 6, 4)
    assert comparisons.load(found.directory).settings["seeds"] == [6, 4]
