"""The evolution of the kernel: cells against the lab's own descent, conclusions against made-up tables."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch

import lab
from comparisons import kernel_evolution
from lab.errors import LabError
from tests.comparisons.tables import numbers_of

SMALL = kernel_evolution.Settings(widths=(16, 24), seeds=2, samples=16, goal=0.03, patience=20.0, dtype="float64")


def cell(rate, **changes):
    found = kernel_evolution.cells(kernel_evolution.Settings(**{**vars(SMALL), **changes}))
    return next(each for each in found if each.critical_fraction == rate and each.seed == 1)


def test_every_width_and_seed_draws_samples_of_its_own_and_both_rates_share_them():
    cells = kernel_evolution.cells(kernel_evolution.Settings(widths=(16, 24), seeds=3, data_seed=7))
    assert len(cells) == 2 * 3 * 2
    assert len({each.draw for each in cells}) == len({(each.width, each.seed) for each in cells}) == 2 * 3
    assert len({(each.width, each.seed, each.draw, each.network_seed) for each in cells}) == 2 * 3
    assert len({(each.width, each.seed, each.critical_fraction) for each in cells}) == len(cells)


def test_costs_grow_with_the_width_and_fall_with_the_rate():
    cost = {(m, c): kernel_evolution.cost(cell(c, widths=(m,))).flops for m in (64, 512) for c in (0.25, 2.0)}
    assert cost[512, 0.25] > 10 * cost[64, 0.25]
    assert 4 < cost[512, 0.25] / cost[512, 2.0] < 8.1


@pytest.mark.parametrize("rate", [0.25, 2.0])
def test_a_cell_is_a_descent_on_three_quarters_of_the_labelled_samples(rate):
    asked = cell(rate)
    row, arrays = kernel_evolution.measure(asked)
    whole = lab.tasks.digits(train=16, test=16, seed=asked.draw)
    task = lab.Task(whole.train_inputs[:12], whole.train_targets[:12], whole.test_inputs, whole.test_targets)
    network = lab.ElmanRNN.like(whole, 16, seed=asked.network_seed, centred=True)
    first, errors = None, []
    for each in lab.descend(network, task, lab.Descent(5000, rate, record="all")):
        first = first or each.loss
        errors.append(each.loss / first)
        if errors[-1] <= 0.03:
            break
    assert row["kernel_time"] == pytest.approx(rate * (len(errors) - 1))
    assert row["peak"] == pytest.approx(max(errors))
    assert arrays["mse"][-1] == pytest.approx(2 * each.loss / 12)
    outputs, targets = each.network(task.test_inputs).detach(), whole.test_targets
    own = float((outputs - targets).square().mean() / (targets - targets.mean()).square().mean())
    assert row["error_network"] == pytest.approx(own)
    ends = [net.jacobian(whole.test_inputs).gram().flatten().numpy() for net in (network, each.network)]
    cos = ends[0] @ ends[1] / np.linalg.norm(ends[0]) / np.linalg.norm(ends[1])
    assert row["angle_after"] == pytest.approx(np.arccos(cos), rel=1e-6)
    assert len({len(values) for values in arrays.values()}) == 1


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"goal": 0.1}, "goal"), ({"large_fraction": 1.0}, "large_fraction"), ({"critical_fraction": 1.0}, "critical")],
)
def test_settings_without_a_meaning_are_refused(settings, named):
    with pytest.raises(LabError, match=named):
        kernel_evolution.Settings(**settings)


# Conclusions from made-up tables ---------------------------------------------------------------------------------

COLUMNS = [
    *(f"{kind}_{name}" for kind, keys in kernel_evolution.FAMILIES.items() for name in keys),
    *(f"alignment_{name}" for name in kernel_evolution.ALIGNMENTS),
    *kernel_evolution.SETTLING,
]


def made_up(seeds=5, **changes):
    """Angles and velocities fall as m^−½; settling at 0.05 and 3 of the error, after 0.1 and 0.02 of the time."""
    noise, rows = np.random.default_rng(0).normal(0, 0.02, (2, 3, seeds)), []
    noise -= noise.mean(-1, keepdims=True)  # means at each width are exact
    for place, rate in enumerate((0.25, 2.0)):
        for m, each in zip((64, 128, 256), noise[place], strict=True):
            for seed in range(seeds):
                off = np.exp(each[seed])
                row = dict.fromkeys(COLUMNS, off)
                law = [name for name in COLUMNS if name.startswith(("velocity", "angle"))]
                row |= dict.fromkeys(law, off * m**-0.5)
                row |= {"settles_at": (0.05, 3.0)[place] * off, "settles_within": (0.1, 0.02)[place] * off}
                row |= {"error_init": 0.4, "error_half": 0.3, "error_after": 0.3 * off, "alignment_gain": -0.1 * off}
                row |= {"error_network": (0.3, 0.6)[place], "error_resumed": (0.3, 0.6)[place] * off}
                row |= {name: (value(seed, rate, m) if callable(value) else value) for name, value in changes.items()}
                row = {"critical_fraction": rate, "width": m, "seed": seed, "exit": "reached", "noise": 1e-9, **row}
                rows.append({"readout": "last", **row})
    return pd.DataFrame(rows)


def test_numbers_are_those_of_the_table():
    numbers = numbers_of(kernel_evolution.conclude(made_up()))
    for arm in ("", ".large"):
        for name in ("angle_after", "velocity_early", "velocity_middle", "velocity_late"):
            found = numbers[f"exponent.{name}{arm}"]
            assert found.value == pytest.approx(-0.5, abs=1e-9)
        assert numbers[f"angle.after{arm}"].value == pytest.approx(256**-0.5, rel=0.05)
        assert numbers[f"ratio.half{arm}"].value == pytest.approx(0.75)
        assert numbers[f"ratio.half.128{arm}"].value == pytest.approx(0.75)
    assert numbers["settles_at.64"].value == pytest.approx(0.05, rel=0.05)
    assert numbers["settles_at.256.large"].value == pytest.approx(3, rel=0.05)
    assert numbers["settles_within.256.large"].value == pytest.approx(0.02, rel=0.05)
    assert numbers["ratio.network_over_after"].value == pytest.approx(1, rel=0.05)
    assert numbers["ratio.network_over_after.large"].value == pytest.approx(2, rel=0.05)
    assert numbers["ratio.network_over_resumed.large"].value == pytest.approx(1, rel=0.05)
    assert numbers["alignment.gain"].value == pytest.approx(-0.1, rel=0.05)
    assert numbers["reached"].value == 1
    assert numbers["noise_floor"].value == 1e-9


def test_ratios_over_all_widths_are_means_of_independent_means_of_logs():
    table = made_up()
    table["error_after"] = np.exp(np.random.default_rng(3).normal(size=len(table)))
    table = table[(table["width"] < 256) | (table["seed"] < 4)]  # a seed fewer at the largest width
    small = table[table["critical_fraction"] == 0.25]
    groups = np.log(small["error_after"] / 0.4).groupby(small["width"])
    parts, spare = groups.var() / groups.size() / 9, groups.size() - 1  # of a mean over three widths
    freedom = parts.sum() ** 2 / (parts**2 / spare).sum()
    middle, half = groups.mean().mean(), scipy.stats.t.isf(0.025, freedom) * np.sqrt(parts.sum())
    found = numbers_of(kernel_evolution.conclude(table))["ratio.after"]
    assert found.value == pytest.approx(np.exp(middle))
    assert found.interval == pytest.approx((np.exp(middle - half), np.exp(middle + half)))
    assert found.seeds == 4


def test_shares_of_the_time_and_their_intervals_stay_below_one():
    table = made_up(settles_within=lambda seed, *_: (0.02, 0.1, 0.5, 0.9, 1.0)[seed])
    found = numbers_of(kernel_evolution.conclude(table))["settles_within.64"]
    assert 0 < found.interval[0] < found.value < found.interval[1] <= 1


def spread(seed, *_):
    return 0.1 * 4.0 ** (seed - 2)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "With small steps, c = 0.25, at width 256, the kernel turns by 0.06"),
        ({}, "of the first (late: below a tenth), after 10 %"),
        ({}, "of the first (early: above a tenth), after 2 %"),
        ({}, "of the training time (early: in the first half)"),
        ({"settles_within": 0.9}, "(late: in the second half)"),
        ({"settles_at": spread}, "(neither early nor late)"),
        ({"error_after": lambda seed, *_: 0.2 + 0.001 * seed}, "times that of K₀ (better)"),
        ({"error_after": lambda seed, *_: 0.8 + 0.001 * seed}, "times that of K₀ (worse)"),
        ({"error_after": lambda seed, *_: 4 * spread(seed)}, "times that of K₀ (no difference is visible)"),
        ({}, "That of the network is 2 (1.98 to 2.02) times that of the last kernel (worse)"),
        ({}, "times that of it from the outputs after the error rose (no difference is visible)"),
        ({}, "The angle scales as width^−0.5"),
    ],
)
def test_the_verdict_says_what_the_numbers_say(changes, text):
    assert text in kernel_evolution.conclude(made_up(**changes)).verdict


def lost(table, many):
    """The table with runs of the large rate that did not arrive: the first so many seeds."""
    gone = (table["critical_fraction"] == 2.0) & (table["seed"] < many)
    late = [name for name in table if name.endswith(("_after", "_network", "_resumed", "_late")) or "settles" in name]
    table.loc[gone, late], table.loc[gone, "exit"] = np.nan, "undecided"
    return table


def test_runs_that_did_not_arrive_are_counted_and_most_of_them_leave_no_number():
    few = kernel_evolution.conclude(lost(made_up(), 1))
    assert numbers_of(few)["settles_at.256.large"].seeds == 4
    assert few.verdict.endswith("90 % of the runs reached the last training error.")
    assert "With large steps" in few.verdict
    most = kernel_evolution.conclude(lost(made_up(), 3))
    assert numbers_of(most)["settles_at.256.large"].value is None
    assert "2 of 5 seeds got there" in numbers_of(most)["ratio.after.large"].reason
    assert "With large steps" not in most.verdict
    assert numbers_of(most)["ratio.half.large"].value == pytest.approx(0.75)


def test_seeds_enter_the_ratio_over_all_widths_only_with_every_width():
    table = made_up()
    table.loc[(table["seed"] == 0) & (table["width"] == 64), "error_after"] = np.nan
    numbers = numbers_of(kernel_evolution.conclude(table))
    assert (numbers["ratio.after"].seeds, numbers["ratio.after.64"].seeds, numbers["ratio.after.128"].seeds) == (
        4,
        4,
        5,
    )


def test_tables_of_one_rate_or_from_a_file_conclude_as_well(tmp_path):
    table = made_up()
    table.to_csv(tmp_path / "table.csv", index=False)
    assert (
        kernel_evolution.conclude(pd.read_csv(tmp_path / "table.csv")).verdict
        == kernel_evolution.conclude(table).verdict
    )
    narrow = kernel_evolution.conclude(table[table["width"] == 64])
    assert "angle scales" not in narrow.verdict
    assert numbers_of(narrow)["exponent.angle_after"].value is None
    one = kernel_evolution.conclude(table[table["critical_fraction"] == 0.25])
    assert "large" not in one.verdict
    assert one.verdict.endswith(").")


def test_all_time_steps_are_an_arm_of_their_own():
    both = pd.concat([made_up(), made_up().assign(readout="all")])
    numbers = numbers_of(kernel_evolution.conclude(both))
    assert {"angle.after", "angle.after.large", "angle.after.all", "angle.after.all.large"} <= set(numbers)


def test_a_cell_with_an_output_at_every_time_step_has_errors_of_all_outputs():
    row, _ = kernel_evolution.measure(cell(0.25, readouts=("all",), samples=8, widths=(96,), goal=0.09))
    assert row["exit"] == "reached"
    assert torch.isfinite(torch.tensor([row[f"error_{name}"] for name in kernel_evolution.LEARNERS])).all()
