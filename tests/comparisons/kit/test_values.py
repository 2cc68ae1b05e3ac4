"""One reader of annotations: what it accepts, converts and refuses, in words."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pytest
from annotated_types import Ge, Gt, Interval, Le, MultipleOf, doc

from comparisons.kit.cells import Cell, from_json, grid, optional, pick, to_json
from comparisons.kit.settings import CHOOSES, Choices, Settings, choosing, help_of, with_values
from comparisons.kit.values import Count, Distinct, OneOf, constraints, describe, fit, hints_of
from lab.errors import LabError

Half = Annotated[float, Interval(gt=0, le=0.5)]
Names = Annotated[tuple[Annotated[str, OneOf("a", "b")], ...], Distinct()]


@pytest.mark.parametrize(
    ("value", "hint", "wanted"),
    [
        (3, int, 3),
        (np.int64(3), Count, 3),
        (3, float, 3.0),
        (np.float32(0.5), Half, 0.5),
        ([1, 2], tuple[Count, ...], (1, 2)),
        (np.array([1, 2]), tuple[int, ...], (1, 2)),
        (range(2), tuple[int, ...], (0, 1)),
        (("a", "b"), Names, ("a", "b")),
        ((), Annotated[tuple[int, ...], Distinct(0)], ()),
        (None, int | None, None),
        (4, Count | None, 4),
        (True, bool, True),
        ("x", Literal["x", "y"], "x"),
        ([1, None], tuple[int | None, ...], (1, None)),
    ],
)
def test_values_come_out_as_their_type(value, hint, wanted):
    found = fit("x", value, hint)
    assert found == wanted
    assert type(found) is type(wanted)
    assert not isinstance(found, tuple) or [type(each) for each in found] == [type(each) for each in wanted]


@pytest.mark.parametrize(
    ("value", "hint", "allowed"),
    [
        (0, Count, "an integer of at least 1"),
        (1.0, Count, "an integer of at least 1"),
        (True, int, "an integer"),
        ("1", float, "a finite number"),
        (float("nan"), float, "a finite number"),
        (float("inf"), Half, "a finite number above 0 and at most 0.5"),
        (0.6, Half, "a finite number above 0 and at most 0.5"),
        (0, Annotated[float, Gt(0)], "above 0"),
        (3, Annotated[int, Ge(1), Le(2)], "of at least 1 and at most 2"),
        (9, Annotated[int, Ge(2), MultipleOf(2)], "an integer of at least 2 and a multiple of 2"),
        (None, Count, "an integer of at least 1"),
        ("c", Annotated[str, OneOf("b", "a")], "one of a, b"),
        (1, str, "text"),
        ("ab", Names, "a list of values, each one of a, b"),
        (("a", "c"), Names, "one of a, b"),
        (("a", "a"), Names, "one or more different values"),
        ((), Names, "one or more different values"),
        ((1,), tuple[int, int], "a list of values"),
        ("yes", bool, "true or false"),
        (2.5, int | None, "an integer"),
        ("z", Literal["x", "y"], "one of x, y"),
        ({"a": 1}, tuple[int, ...], "a list"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(value, hint, allowed):
    with pytest.raises(LabError) as caught:
        fit("the argument", value, hint)
    assert caught.value.argument == "the argument"
    assert allowed in caught.value.allowed
    assert caught.value.fix
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["file.csv", "data/a", "A.NPZ"])
def test_a_file_is_refused_where_texts_are_listed(value):
    with pytest.raises(LabError, match=r"one of a, b\. Fix: choose one of these: this setting takes no file\."):
        fit("task", value, Annotated[str, OneOf("a", "b")])


def test_a_misspelt_choice_or_setting_names_the_similar_one():
    with pytest.raises(LabError, match="did you mean 'lazy'"):
        fit("notions", ["train", "lasy"], tuple[Annotated[str, OneOf("train", "lazy")], ...])
    with pytest.raises(LabError, match="did you mean 'width'"):
        with_values(Base(), {"widht": 4}, "")


@pytest.mark.parametrize(
    ("value", "hint", "fix"),
    [
        ([], Choices[Count], "give one or more values"),
        ([2], Annotated[tuple[int, ...], Distinct(2)], "give 2 or more values"),
        ([1, 1], Choices[Count], "name each value once"),
        (["32"], Choices[Count], "write 32 as a number, without quotes"),
        ("0.5", Half, "write 0.5 as a number, without quotes"),
        ("none", Count | None, "give a whole number, such as 1, or None"),
        (float("nan"), Count, "give a whole number, such as 1"),
        (2.5, Annotated[int, Gt(0)], "give a whole number"),
        (float("nan"), Half, "give a finite number"),
        (0, Count, "use 1 or more"),
        ([0], Choices[Count], "use 1 or more"),
        (9, Annotated[int, Ge(2), MultipleOf(2)], "stay within the bounds"),
        (0.7, Half, "stay within the bounds"),
        (3, tuple[int, ...], "write a list, such as [3]"),
        ("yes", bool, "give true or false"),
        (1, str, "give text"),
    ],
)
def test_the_fix_fits_the_mistake(value, hint, fix):
    with pytest.raises(LabError) as caught:
        fit("name", value, hint)
    assert caught.value.fix == fix


def test_where_none_is_allowed_the_message_says_so():
    with pytest.raises(LabError, match="samples: got 'none'; allowed: an integer of at least 1 or None"):
        fit("samples", "none", Count | None)
    with pytest.raises(LabError, match="got 'x'; allowed: an integer or None"):
        fit("samples", ["x"], tuple[int | None, ...])


def test_an_annotation_is_described_in_words():
    assert describe(Annotated[float, Interval(ge=0, lt=1)]) == "a finite number at least 0 and below 1"
    assert describe(int | None) == "an integer or None"


@dataclass(frozen=True)
class Base(Settings):
    """Two settings."""

    width: Annotated[Count, doc("Hidden units.")] = 4
    rates: Annotated[tuple[Annotated[float, Gt(0)], ...], Distinct(), CHOOSES, doc("Rates.")] = (0.5,)


@dataclass(frozen=True)
class Derived(Base):
    """Another default, and a rule."""

    width: int = 8
    most: Annotated[int, doc("Largest width.")] = 100

    def check(self):
        if self.width > self.most:
            raise LabError("width", str(self.width), f"at most {self.most}", "lower it")


def test_a_default_that_changes_keeps_the_constraints_and_the_help():
    assert Derived().width == 8
    assert help_of(hints_of(Derived)["width"]) == "Hidden units."
    assert choosing(Derived) == ("rates",)
    with pytest.raises(LabError, match="width: got 0"):
        Derived(width=0)


def test_choices_are_different_values_that_choose_cells():
    hint = Choices[Count]
    assert fit("widths", [1, 2], hint) == (1, 2)
    assert CHOOSES in constraints(hint)[1]
    for wrong in ([], [1, 1], [0]):
        with pytest.raises(LabError, match="widths"):
            fit("widths", wrong, hint)


def test_rules_between_fields_come_after_those_of_single_fields():
    with pytest.raises(LabError, match="at most 100"):
        Derived(width=101)
    with pytest.raises(LabError, match="rates: got -1"):
        Derived(width=101, rates=(-1,))


def test_values_from_a_file_name_the_file():
    assert with_values(Base(), {"rates": [1, 2]}, "f.toml") == Base(rates=(1.0, 2.0))
    with pytest.raises(LabError, match=r"width in f.toml: got 'x'"):
        with_values(Base(), {"width": "x"}, "f.toml")
    with pytest.raises(LabError, match="unknown depth"):
        with_values(Base(), {"depth": 1}, "f.toml")
    with pytest.raises(LabError, match="width: got 0"):
        with_values(Base(), {"width": 0}, "")


@dataclass(frozen=True, kw_only=True)
class First(Cell):
    """A cell with a field that may be absent."""

    part: Literal["first"] = "first"
    width: int
    rates: tuple[float, ...]
    note: str | None = optional()


@dataclass(frozen=True, kw_only=True)
class Second(Cell):
    """Another cell."""

    part: Literal["second"] = "second"
    width: int


def test_a_grid_takes_axes_and_fields_of_the_settings():
    cells = grid(First, Base(), width=(1, 2), rates=((0.5,), (1.0,)))
    assert [(cell.width, cell.rates) for cell in cells] == [(1, (0.5,)), (1, (1.0,)), (2, (0.5,)), (2, (1.0,))]
    assert grid(Second, Base(width=7)) == [Second(width=7)]
    assert pick(cells[0], "width", "part") == {"width": 1, "part": "first"}


def test_cells_go_to_json_and_back():
    cells = [First(width=1, rates=(0.5,)), First(width=1, rates=(), note="n"), Second(width=3)]
    assert to_json(cells[0]) == {"part": "first", "width": 1, "rates": [0.5]}
    assert [from_json(First | Second, to_json(cell)) for cell in cells] == cells
    assert from_json(Second, {"width": 3}) == cells[2]
    with pytest.raises(LabError, match="cell"):
        from_json(First | Second, {"part": "third", "width": 3})
    with pytest.raises(LabError, match="the fields of Second"):
        from_json(Second, {"width": 3, "depth": 1})
