"""Seeds until a precision is reached: Stein's two stages, from a pilot on."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

import comparisons
from comparisons.cli.command import main
from comparisons.kit.numbers import Number
from comparisons.runs.precision import Aim, factor, growth, times_as_many
from comparisons.runs.registry import find
from lab.errors import LabError

QUIET = {"executor": "serial", "progress": False}
AIM = 0.4


@pytest.fixture
def spread(toy, monkeypatch):
    """The toy with a headline number that has a t interval."""
    comparison = find("toy")

    def conclude(table):
        from comparisons import kit

        return kit.Conclusion({comparison.MEAN(): Number.mean(table["norm"])}, "The toy runs.")

    monkeypatch.setattr(comparison, "conclude", conclude)
    return toy


def test_a_pilot_says_how_many_seeds_it_takes(spread):
    found = comparisons.run("toy", out="here", **QUIET, precision=AIM, widths=[8])
    pilot = found.table["norm"].to_numpy()[:5]
    half = scipy.stats.t.ppf(0.975, 4) * pilot.std(ddof=1) / math.sqrt(5)
    count = math.ceil(5 * (half / AIM) ** 2)
    assert found.settings["seeds"] == len(found.table) == count > 5
    number = found.numbers["norm.mean"]
    assert number.value == pytest.approx(found.table["norm"].mean())
    low, high = number.details["two_stage_interval"]
    assert (high - low) / 2 == pytest.approx(half * math.sqrt(5 / count))
    assert (high - low) / 2 <= AIM
    assert f"reached for all 1 headline numbers with {count / 5:.2g}" in found.verdict
    assert comparisons.load("here").numbers == found.numbers
    again = comparisons.run("toy", out="here", **QUIET, precision=AIM, widths=[8])
    assert again.settings == found.settings
    assert again.verdict == found.verdict


def test_time_that_is_spent_ends_it_and_the_verdict_says_what_was_reached(spread):
    found = comparisons.run("toy", out="here", **QUIET, precision=1e-3, minutes=1e-9, widths=[8])
    assert len(found.table) == 5
    assert "was asked for and reached for 0 of 1 headline numbers with the seeds of the pilot; it is" in found.verdict


def test_a_dry_run_foretells_the_pilot_and_then_all_of_it(spread, capsys):
    flags = ["run", "toy", "--out", "here", "--precision", str(AIM), "--widths", "8", "--executor", "serial"]
    assert main([*flags, "--dry-run"]) == 0
    assert "cells      5," in capsys.readouterr().out
    comparisons.run("toy", out="here", **QUIET, seeds=5, widths=[8])
    assert main([*flags, "--dry-run"]) == 0
    foretold = capsys.readouterr().out
    assert main([*flags, "--no-progress"]) == 0
    count = len(json.loads(Path("here/settings.json").read_text())["cells"])
    assert f"cells      {count}, of which 5 are committed" in foretold
    assert "was asked for" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minutes": 3.0}, "minutes: got 3 without precision"),
        ({"precision": 0.1, "shard": "1/2"}, "precision: got 0.1 with shard=1/2"),
        ({"precision": -1.0}, "precision: got -1.0"),
    ],
)
def test_options_that_do_not_go_together_are_refused(toy, options, message):
    with pytest.raises(LabError, match=message):
        comparisons.run("toy", **QUIET, **options)
    assert not Path("runs").exists()


def test_every_setting_that_counts_seeds_grows_alike():
    minima = find("minima").PRESETS["default"]
    more = times_as_many(minima, 2.0)
    assert more.success_seeds == 2 * minima.success_seeds
    assert more.seeds == tuple(2 * max(count, 5) for count in minima.seeds)
    assert growth(times_as_many(minima), times_as_many(minima, 1.3)) >= 1.3
    assert dataclasses.replace(more, seeds=minima.seeds, success_seeds=minima.success_seeds) == minima


def test_how_much_is_needed_is_a_matter_of_squares_and_of_time():
    widths = {"a": 0.3, "b": 0.1}
    assert factor(widths, Aim(0.1), 60.0) == pytest.approx(9.0)
    assert factor(widths, Aim(0.1, minutes=4.0), 60.0) == pytest.approx(4.0)
    assert factor(widths, Aim(0.5), 60.0) == 1.0
    assert factor({}, Aim(0.1), 60.0) == 1.0


def test_half_widths_are_on_the_scale_of_the_number():
    sample = np.array([1.0, 2.0, 4.0, 3.0])
    half = scipy.stats.t.ppf(0.975, 3) * scipy.stats.sem(np.log(sample))
    number = Number.geometric(sample)
    assert number.half_width == pytest.approx(half)
    assert number.around(half) == pytest.approx(number.interval)
    plain = Number.mean(sample)
    assert plain.half_width == pytest.approx((plain.interval[1] - plain.interval[0]) / 2)
    share = Number.share([1, 1, 0, 1, 1, 0, 1, 1])
    low, high = (math.log(end / (1 - end)) for end in share.interval)
    assert share.half_width == pytest.approx((high - low) / 2)
    assert Number.share([1, 1, 1]).half_width == math.inf
    assert Number.exact(1.0).half_width is None
