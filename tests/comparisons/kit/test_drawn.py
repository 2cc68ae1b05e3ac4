"""Figures draw what there is, and name what is missing."""

import numpy as np
import pandas as pd
import pytest

from comparisons import kit
from lab.figures import style


def table(**columns):
    """Three seeds at widths 8, 16 and 32; the last seed diverged at width 16."""
    rows = pd.DataFrame([{"width": width, "seed": seed} for width in (8, 16, 32) for seed in range(3)])
    lost = (rows["width"] == 16) & (rows["seed"] == 2)
    values = 1 / rows["width"] * (1 + 0.1 * rows["seed"])
    return rows.assign(error=values.where(~lost), diverged=lost, **columns)


def axes():
    return style.panels(1)[1][0, 0]


def labels(ax):
    return ax.get_legend_handles_labels()[1]


def faint(ax):
    """Places and values of the single seeds, in the order of their places."""
    points = [line.get_xydata() for line in ax.lines if line.get_linestyle() == "None" and line.get_alpha() == 0.25]
    found = np.concatenate(points)
    return sorted(map(tuple, found[np.isfinite(found[:, 1])]))


def test_a_power_law_says_where_it_has_no_estimate_and_why_and_shows_the_other_seeds():
    ax, law = axes(), kit.power_law(table(), "error")
    kit.figures.power_law(ax, law, "black", "error")
    assert labels(ax) == ["error: slope −1\nno mean at 16 (1/3 diverged)"]
    expected = table().dropna()[["width", "error"]]
    assert faint(ax) == sorted(map(tuple, expected.to_numpy()))
    assert [text.get_text() for text in ax.get_xticklabels()] == ["8", "16", "32"]


def test_without_a_divergence_the_reason_is_that_there_is_no_value():
    assert kit.power_law(table().assign(diverged=False), "error").lost == ("16 (1/3 without a value)",)
    assert kit.power_law(table().drop(columns="diverged"), "error").lost == ("16 (1/3 without a value)",)
    assert kit.power_law(table().dropna(), "error").lost == ()  # a cell that is not there is no value that is missing
    assert kit.power_law(table().assign(error=1.0), "error").lost == ()


def test_a_band_names_the_places_without_a_mean_and_shows_the_other_seeds():
    ax = axes()
    kit.figures.band(ax, kit.along(table(), "error", "width", log=True), "black", "error", "m")
    assert labels(ax) == ["error (no mean at m = 16)"]
    assert faint(ax) == sorted(map(tuple, table().dropna().query("width == 16")[["width", "error"]].to_numpy()))
    kit.figures.band(other := axes(), kit.along(table().assign(error=0.5), "error", "width"), "black", "error", "m")
    assert labels(other) == ["error"]


def test_intervals_of_shares_stay_between_0_and_1_and_are_those_of_the_numbers():
    values = np.array([[0.0, 0.9, 0.02], [0.1, 1.0, 0.0], [0.0, 0.6, 0.01]])
    found = kit.curve([1, 2, 3], values, share=True)
    assert found.ends.min() >= 0
    assert found.ends.max() <= 1
    for place, column in enumerate(values.T):
        number = kit.Number.rate(column)
        assert (found.middle[place], *found.ends[:, place]) == pytest.approx((number.value, *number.interval))


def test_numbers_without_a_mean_say_how_many_seeds_diverged():
    ax, none = axes(), kit.Number.mean([0.2, 0.3, np.nan])
    seeds = {"a": np.array([0.2, 0.3]), "b": np.array([0.1, 0.1, 0.1])}
    numbers = {"a": none, "b": kit.Number.mean(seeds["b"])}
    names = dict.fromkeys("ab", "name")
    kit.figures.named_with_seeds(ax, numbers, seeds, names, dict.fromkeys("ab", "black"))
    assert [text.get_text() for text in ax.texts] == ["no mean: 1/3 diverged"]


def test_a_finding_is_a_sentence_of_the_verdict_or_what_is_drawn():
    verdict = "The gap falls to 0.5 (0.4 to 0.6). It is small. The width is 2.5."
    assert kit.finding(verdict, "gap", otherwise="none") == "The gap falls to 0.5 (0.4 to 0.6)"
    assert (
        kit.finding(verdict, "gap", "width", otherwise="none") == "The gap falls to 0.5 (0.4 to 0.6). The width is 2.5"
    )
    assert kit.finding(verdict, "drift", otherwise="none") == "none"
