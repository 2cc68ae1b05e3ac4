"""Errors say what came, what is allowed and what to do; and they travel."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch

from lab.errors import LabError, check_choice, check_integer, check_number, refuse


def test_the_text_names_argument_value_range_and_fix():
    with pytest.raises(LabError) as caught:
        refuse("width", -3, "an integer of at least 1", "pass width=1 or more")
    assert str(caught.value) == "width: got -3; allowed: an integer of at least 1. Fix: pass width=1 or more."
    assert (caught.value.argument, caught.value.came) == ("width", "-3")


def test_text_is_quoted_as_it_came_and_values_by_their_repr():
    for came, said in (("shape (2,)", "got shape (2,);"), (["relu"], "got ['relu'];")):
        with pytest.raises(LabError) as caught:
            refuse("x", came, "y", "z")
        assert said in str(caught.value)


def test_it_is_a_value_error():
    assert issubclass(LabError, ValueError)


@pytest.mark.parametrize("travel", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_it_survives_the_way_between_processes(travel):
    error = LabError("seed", "-1", "an integer of at least 0", "pass seed=0")
    arrived = travel(error)
    assert type(arrived) is LabError
    assert str(arrived) == str(error)
    assert (arrived.argument, arrived.came, arrived.allowed, arrived.fix) == error.args


@pytest.mark.parametrize("value", ["relux", "", None, 3, ["relu"]])
def test_choices_are_listed(value):
    check_choice("activation", "relu", {"relu": 0, "erf": 1})
    with pytest.raises(LabError, match=r"activation: got .*one of erf, relu"):
        check_choice("activation", value, {"relu": 0, "erf": 1})


@pytest.mark.parametrize(
    ("value", "meant"),
    [("rleu", "relu"), ("ReLU", "relu"), ("erff", "erf"), ("sigmoid", None), (None, None), (3, None)],
)
def test_a_misspelt_choice_names_the_similar_one(value, meant):
    fix = "check the spelling" if meant is None else f"check the spelling (did you mean {meant!r}?)"
    with pytest.raises(LabError) as caught:
        check_choice("activation", value, ("relu", "erf"))
    assert caught.value.fix == fix


@pytest.mark.parametrize("value", [2, 10**30, np.int64(2), torch.tensor(2)])
def test_integers_of_any_make_pass(value):
    check_integer("width", value, 2)


@pytest.mark.parametrize(
    "value", [1, -5, True, 2.0, "2", None, math.nan, np.float64(2), torch.tensor(2.5), np.arange(2)]
)
def test_what_is_no_integer_of_that_size_is_refused(value):
    with pytest.raises(LabError, match=r"width: got .*integer of at least 2"):
        check_integer("width", value, 2)


@pytest.mark.parametrize("value", [0.5, 1, np.float32(0.5), torch.tensor(0.5)])
def test_numbers_between_the_bounds_pass(value):
    check_number("rate", value, above=0, below=2)


@pytest.mark.parametrize(
    "value", [0, 2, -1, math.nan, math.inf, -math.inf, "1", True, None, [1.0], 10**400, torch.tensor([0.5, 0.5])]
)
def test_what_is_no_number_between_the_bounds_is_refused(value):
    with pytest.raises(LabError, match=r"rate: got .*finite number above 0 and below 2"):
        check_number("rate", value, above=0, below=2)


def test_the_lower_bound_can_be_let_in_and_the_upper_cannot():
    check_number("rate", 0, above=0, below=2, closed=True)
    with pytest.raises(LabError, match="at least 0 and below 2"):
        check_number("rate", 2, above=0, below=2, closed=True)
    with pytest.raises(LabError, match=r"a finite number\. Fix"):
        check_number("rate", math.inf)
