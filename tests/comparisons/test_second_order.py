"""Rows against the learners themselves; numbers and verdicts from made-up tables whose answers are known."""

import json

import numpy as np
import pandas as pd
import pytest

import lab
from comparisons import second_order
from comparisons.kit import networks
from lab.errors import LabError
from lab.learners.network import train_network
from tests.comparisons.tables import numbers_of

TINY = {"widths": (8, 16), "seeds": 1, "samples": 8, "steps": 12, "rates_at": 16, "per_octave": 1, "patience": 1.0}
SETTINGS = second_order.Settings(**TINY, largest_fraction=5.0, least_steps=5)
CELLS = {(cell.activation, cell.width): cell for cell in second_order.cells(SETTINGS)}


@pytest.mark.parametrize("activation", ["erf", "relu"])
def test_a_row_has_the_gaps_of_every_model_and_the_rates_that_each_stands(activation, monkeypatch):
    monkeypatch.setattr(second_order, "LONGEST", 400)
    cell = CELLS[activation, 16]
    row, arrays = second_order.measure(cell)
    json.dumps(row, allow_nan=False)
    task, network = networks.build(cell)
    result = lab.side_by_side(network, task, lab.Descent(12, 0.25), order=2)
    others = {"linear": result.linearized, "quadratic": result.quadratic}
    if activation == "relu":
        others["frozen"] = train_network(lab.GateFrozen(network), task, result.descent, result.learning_rate)
    targets = task.train_targets.numpy()
    for name, learner in others.items():
        gap = np.sqrt(((result.network.test - learner.test) ** 2).mean((1, 2))).max() / targets.std()
        assert row[f"gap_{name}"] == pytest.approx(gap, rel=1e-9)
    assert ("gap_frozen" in row) == (activation == "relu")
    for name, model in (("network", network), ("quadratic", lab.QuadraticNetwork(network))):
        for c, peak in zip(arrays["fractions"], arrays[f"peak_{name}"], strict=True):
            run = lab.arrive(model, task, lab.Descent(400, float(c), record="all"), lambda snapshot: False)
            assert (run.exit == "diverged") == (not np.isfinite(peak)), (name, c)
    assert cell.fractions == (0.5, 1.0, 2.0, 4.0)
    assert row["limit_linear"] <= 1.0


def test_narrower_networks_keep_their_gaps_alone():
    row, arrays = second_order.measure(CELLS["erf", 8])
    assert "limit_network" not in row
    assert "curves" not in arrays


def made_up(*, linear=-0.5, second=-1.0, limit=2.0, frozen=1.0, censored=None, seeds=5):
    """Gaps as these powers of the width, equal at 64; frozen gates leave this share of the linear gap."""
    generator, rows = np.random.default_rng(0), []
    for activation in ("erf", "relu"):
        for width in (64, 128, 256):
            for seed in range(seeds):
                noise, other = np.exp(0.02 * generator.standard_normal(2))
                gaps = {"linear": noise * (width / 64) ** linear, "quadratic": other * (width / 64) ** second}
                if activation == "relu":
                    gaps["frozen"] = gaps["linear"] * frozen * other
                row = {"readout": "last", "activation": activation, "width": width, "seed": seed, "diverged": False}
                row |= {f"gap_{name}": gap for name, gap in gaps.items()}
                row |= {f"ratio_{name}": gap / gaps["linear"] for name, gap in gaps.items() if name != "linear"}
                if width == 128:
                    places = {"network": 6.0, "linear": 1.0, "quadratic": limit * noise, "frozen": 3.0}
                    if activation == "erf":
                        del places["frozen"]
                    for name, place in places.items():
                        row |= {
                            f"limit_{name}": place,
                            f"limit_{name}_censored": censored if name == "network" else None,
                        }
                        row |= {f"survives_{name}": place, f"survives_{name}_censored": None, f"peak_{name}": 3.0}
                    row |= {f"sharpness_ratio_{name}": 0.7 for name in places if name != "linear"}
                rows.append(row)
    return pd.DataFrame(rows)


def test_exponents_shares_and_limits_are_those_of_the_table():
    numbers = numbers_of(second_order.conclude(made_up()))
    assert numbers["exponent.gap_linear.erf"].value == pytest.approx(-0.5, abs=0.03)
    assert numbers["exponent.gap_quadratic.relu"].value == pytest.approx(-1.0, abs=0.03)
    difference = numbers["exponent.difference.erf"]
    assert difference.value == pytest.approx(-0.5, abs=0.05)
    assert difference.interval[0] < -0.5 < difference.interval[1]
    share = numbers["share.quadratic.erf.256"]
    assert share.value == pytest.approx(0.5, abs=0.03)
    assert share.interval[0] < share.value < share.interval[1]
    assert numbers["limit.quadratic.relu"].value == pytest.approx(2.0, rel=0.05)
    assert numbers["limit.linear.erf"].value == 1.0
    assert numbers["limit.frozen.relu"].value == pytest.approx(3.0)
    assert "limit.frozen.erf" not in numbers
    assert "sharpness_ratio.linear.erf" not in numbers


def test_verdict_says_what_the_second_order_explains_and_where_it_fails():
    verdict = second_order.conclude(made_up(frozen=0.4)).verdict
    assert "With erf the largest test gap at width 256 is 49" in verdict or "is 50" in verdict
    assert "the second-order model explains a part: it explains 5" in verdict
    assert "the gate-frozen network explains a part: it explains 6" in verdict
    assert "the second-order model catapults, too." in verdict
    other = second_order.conclude(made_up(second=0.0, limit=0.7, frozen=2.0)).verdict
    assert "the second-order model is farther off" in other
    assert "the gate-frozen network is farther off" in other
    assert "the second-order model fails before the edge." in other
    even = second_order.conclude(made_up(second=-0.5, limit=1.0)).verdict
    assert "the second-order model makes no visible difference" in even
    assert "the second-order model is not seen to pass the edge." in even


def test_limits_outside_the_grid_and_lost_gaps_are_named():
    table = made_up(censored="right")
    verdict = second_order.conclude(table).verdict
    assert "the largest c that trains is above all tried for the network" in verdict
    some = made_up().astype({"limit_network_censored": object})
    some.loc[some["seed"] == 0, "limit_network_censored"] = "right"
    assert "unknown (1 of 5 seeds right censored at 6) for the network" in second_order.conclude(some).verdict
    for mark, text in (("right", "catapults, too"), ("left", "fails before the edge")):
        verdict = second_order.conclude(made_up().assign(limit_quadratic_censored=mark)).verdict
        assert f"the second-order model {text}." in verdict
        assert {"right": "above", "left": "below"}[mark] + " all tried for the second-order model" in verdict
    table.loc[table["width"] == 256, ["gap_quadratic", "ratio_quadratic"]] = None
    lost = second_order.conclude(table)
    assert numbers_of(lost)["gap.quadratic.erf"].value is None
    assert "unknown" in lost.verdict


def test_what_a_small_run_cannot_say_is_left_out():
    one, few = (second_order.conclude(rows).verdict for rows in (made_up().query("width == 128"), made_up(seeds=2)))
    assert "scale as" not in one
    assert "; they scale as width^−0." in few
    assert "the second-order model is not judged for want of three seeds: it explains 5" in few


def test_one_activation_is_set_by_the_list():
    with pytest.raises(LabError, match="activation"):
        second_order.Settings(activation="tanh")
    assert {cell.activation for cell in second_order.cells(second_order.Settings(activations=("tanh",)))} == {"tanh"}
