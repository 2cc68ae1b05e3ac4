"""`lazylab list`: questions, and times by arithmetic from the speed of the machine."""

import json

import pytest

from comparisons.cli import catalogue
from comparisons.cli.command import main
from comparisons.cli.formats import roughly
from comparisons.runs.forecast import START_SECONDS
from lab.costs import Machine


@pytest.fixture
def slow(toy, monkeypatch):
    """The toy alone, on two cores that compute 100 flops in a millisecond."""
    monkeypatch.setattr(catalogue, "names", lambda: ["toy"])
    monkeypatch.setattr(catalogue, "usable_cores", lambda: 2)
    monkeypatch.setattr(catalogue, "glance", lambda dtype: Machine(1e5, 1.0))


def test_list_shows_question_and_time(slow, capsys, monkeypatch):
    monkeypatch.setattr("comparisons.toy.asked_by", "R1, R3 [Relu, R2D2]")
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("toy\n  Does the toy run?\n  asked by reviewer 1, reviewer 3 [Relu, R2D2]\n")
    # cells of widths 8 and 16, two seeds each: 2·(64 + 256)·1e6 flops at 1e5 a second on two cores are 53 minutes
    assert "\n  about 53 min for 4 cells (presets: fast 3 min, full 2 h)\n" in said
    assert "estimated for 2 free cores of this machine, from a short timing, within a factor of three" in said
    assert "flop" not in said


def test_list_as_json_has_every_preset(slow, capsys):
    assert main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cores"] == 2
    [toy] = found["comparisons"]
    assert (toy["name"], toy["question"], toy["version"]) == ("toy", "Does the toy run?", 1)
    seconds = START_SECONDS + 2 * (8**2 + 16**2) * 1e6 / 1e5 / 2
    assert toy["presets"]["default"] == {"cells": 4, "flops": 2 * (8**2 + 16**2) * 1e6, "seconds": seconds}
    assert set(toy["presets"]) == {"fast", "default", "full"}


def test_no_run_is_faster_than_its_longest_cell(slow, monkeypatch):
    monkeypatch.setattr(catalogue, "usable_cores", lambda: 64)
    [toy] = catalogue.read().comparisons
    assert toy.presets["full"].seconds == START_SECONDS + 16**2 * 1e6 / 1e5


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.1, "10 s"), (14, "10 s"), (16, "20 s"), (89, "90 s"), (91, "2 min"), (5399, "90 min"), (5400, "2 h"),
     (172799, "48 h"), (172800, "2 days")],
)  # fmt: skip
def test_estimates_have_one_unit(seconds, text):
    assert roughly(seconds) == text
