import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import LabError
from lab.sweeps import cell_key
from lab.sweeps.cells import canonical, distinguishing, label, plain, varying

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(JSON)
def test_canonical_text_says_the_value(value):
    assert json.loads(canonical(value)) == value


def test_key_knows_no_order_of_fields_and_no_tuples():
    assert cell_key("width", 1, {"a": 1, "b": (1, 2)}) == cell_key("width", 1, {"b": [1, 2], "a": 1})


@pytest.mark.parametrize("other", [("width", 2, {"a": 1}), ("depth", 1, {"a": 1}), ("width", 1, {"a": 1.5})])
def test_key_changes_with_comparison_version_and_cell(other):
    assert cell_key(*other) != cell_key("width", 1, {"a": 1})


def test_key_is_the_same_in_every_release():
    text = b'{"cell":{"seed":0,"width":64},"comparison":"width","version":1}'
    assert cell_key("width", 1, {"width": 64, "seed": 0}) == hashlib.sha256(text).hexdigest()[:32]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float64("nan"), np.array(-np.inf)])
def test_what_is_not_finite_is_null(value):
    assert plain({"x": (value,)}) == {"x": [None]}


def test_numpy_scalars_become_numbers():
    assert plain([np.int64(3), np.float32(0.5), np.bool_(True)]) == [3, 0.5, True]


@pytest.mark.parametrize("value", [np.zeros(2), object(), {1: 2}])
def test_what_is_no_json_is_refused(value):
    with pytest.raises(LabError, match="Fix"):
        plain(value)


def test_varying_fields_are_those_that_tell_cells_apart():
    assert varying([{"m": 1, "task": "a", "s": 0}, {"m": 1, "task": "a", "s": 1}]) == ("s",)


def test_a_label_has_words_and_no_empty_fields():
    cell = {"task": "data/waves.csv", "critical_fraction": 0.25, "centred": True, "noise": False, "trained": ["W", "A"]}
    words = "task waves.csv, critical fraction 0.25, centred, not noise, trained W A"
    assert label(cell) == label({**cell, "log": None, "trouble": "", "radii": []}) == words
    assert label({"width": 64, "seed": 1, "batch": "full"}, ("width", "batch")) == "width 64, batch full"
    assert label({"width": 64}, distinguishing([{"width": 64}])) == "the only cell"


def test_fields_for_people_leave_out_what_follows_from_others():
    """A file's digest and sizes follow from its name, the matrices and the scale from the arm."""
    files = [
        {"task": task, "task_digest": digest, "task_sizes": [48, length], "seed": seed}
        for task, digest, length in (("a.csv", "760ffbf403b5ade7", 2), ("b.csv", "0e0ffbf403b5ade7", 3))
        for seed in (0, 1)
    ]
    assert distinguishing(files) == ("task", "seed")
    arms = [("W", ["W"], 1.0), ("A", ["A"], 1.0), ("both", ["W", "A"], 2.0)]
    cells = [{"trained": trained, "scale": scale, "arm": arm, "width": 8} for arm, trained, scale in arms]
    assert distinguishing(cells) == ("arm",)
    paired = [{"seed": seed, "data_seed": seed + 10} for seed in range(3)]
    assert distinguishing(paired) == ("seed",)


def test_fields_for_people_identify_every_cell():
    cells = [{"a": a, "b": b, "c": a ^ b, "name": "xy"[a]} for a in (0, 1) for b in (0, 1)]
    fields = distinguishing(cells)
    assert len(fields) == 2
    assert len({label(cell, fields) for cell in cells}) == len(cells)
