import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import LabError
from lab.sweeps import cell_key
from lab.sweeps.cells import canonical, plain, varying

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
