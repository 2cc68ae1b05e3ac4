"""Which samples are chosen: shares of the classes, splits kept apart, one seed one choice."""

import numpy as np
import pytest

from lab.data.labelled import Part, join
from lab.errors import LabError

LABELS = ["a"] * 10 + ["b"] * 20 + ["c"] * 30


def made(counts=(60,), labels=LABELS):
    parts, start = [], 0
    for count in counts:
        parts.append(Part([np.full((2, 1), float(start + i)) for i in range(count)], labels[start : start + count]))
        start += count
    return join(parts, "made")


@pytest.mark.parametrize(("train", "test"), [(12, 12), (30, 30), (24, 0), (6, 54)])
def test_every_stretch_has_the_classes_at_their_share(train, test):
    data = made()
    rows = data.choose(train, test, seed=3)
    assert len(set(rows.tolist())) == train + test
    for part in (rows[:train], rows[train:]):
        counts = np.bincount(data.labels()[part], minlength=3)
        assert np.abs(counts - len(part) * np.array([1, 2, 3]) / 6).max() <= 1


def test_one_seed_is_one_choice():
    data = made()
    first, again, other = (data.choose(12, 12, seed).tolist() for seed in (0, 0, 1))
    assert first == again
    assert set(first) != set(other)


def test_splits_stay_apart_unless_pooled():
    mixed = [label for i in range(20) for label in ("a", "b", "c")]
    data = made((40, 20), mixed)
    assert data.most == 40
    rows = data.choose(30, 20, seed=1)
    assert rows[:30].max() < 40 <= rows[30:].min()
    pooled = data.choose(30, 20, seed=1, pool=True)
    assert pooled[:30].max() >= 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((2, 0), "train: got 2"), ((61, 0), r"train \+ test: got 61"), ((4.5, 1), "train"), ((10, -1), "test: got -1")],
)
def test_counts_out_of_range_are_refused(arguments, message):
    with pytest.raises(LabError, match=message):
        made().choose(*arguments, seed=0)


def test_each_split_has_its_own_limit():
    data = made((40, 20), ["a", "b", "c"] * 20)
    for counts, name in (((41, 0), "train: got 41"), ((20, 21), "test: got 21")):
        with pytest.raises(LabError, match=name):
            data.choose(*counts, seed=0)
    assert len(data.choose(40, 20, seed=0, pool=True)) == 60
