"""Lists of names in sentences, and phrases for numbers without an interval."""

from comparisons import kit
from comparisons.kit.numbers import Number
from comparisons.kit.wording import clauses, compare, fill, for_each


def test_a_template_takes_names_and_is_empty_without_any():
    assert fill("errors go as {}", ["n^−1", "n^−2", "n^−3"]) == "errors go as n^−1, n^−2 and n^−3"
    assert fill("{} is higher", ["{}"]) == "{} is higher"
    assert fill("errors go as {}", []) == ""


def test_numbers_with_a_value_are_written_and_judged_for_each_name():
    numbers = {"first": Number(2.0, None, 2), "second": Number.none("it diverged"), "third": Number(3.0, None, 2)}
    found = for_each(
        numbers, lambda number: f"{number.value:g}", lambda number: "large" if number.value > 2 else "small"
    )
    assert found == ["2 for the first (small)", "3 for the third (large)"]


def test_clauses_make_one_sentence_of_what_there_is():
    assert clauses("To train", ["m goes as n", "", "L does not matter"]) == "To train, m goes as n; L does not matter."
    assert clauses("To train", ["", ""]) == clauses("To train", []) == ""


def test_a_missing_value_has_a_phrase_of_its_own():
    phrases = {"below": "less", "above": "more", "unknown": "few"}
    assert compare(Number.none("censored"), 1.0, **phrases) == "few"
    assert compare(Number.none("censored"), 1.0, **phrases, missing="none") == "none"
    assert compare(Number(1.0, None, 2), 1.0, **phrases, missing="none") == "few"
    assert compare(Number(1.0, (0.5, 0.8), 5), 1.0, **phrases, missing="none") == "less"


def test_powers_are_told_by_name_where_they_have_a_value():
    slope = kit.Quantity("exponent", meaning="A slope.")
    numbers = {slope("gap"): Number(-0.5, (-0.6, -0.4), 4), slope("drift"): Number.none("too few seeds")}
    keys = {"the gap": slope("gap"), "the drift": slope("drift"), "the motion": slope("motion")}
    assert kit.scalings(numbers, keys) == ["the gap as width^−0.5 (−0.6 to −0.4)"]
    assert kit.scalings(numbers, keys, "n") == ["the gap as n^−0.5 (−0.6 to −0.4)"]


def test_numbers_are_grouped_by_what_their_intervals_say():
    numbers = {
        "one": Number(2.0, (1.5, 2.5), 4),
        "two": Number(3.0, (2.5, 3.5), 4),
        "three": Number(1.0, (0.5, 1.5), 4),
        "four": Number(0.5, None, 2),
        "five": Number.none("diverged"),
    }
    phrases = {"above": "rises by {}", "below": "falls by {}", "around": "as before: {}"}
    assert kit.by_phrase(numbers, 1.0, phrases, lambda number: f"{number.value:g}") == [
        "rises by 2 for one and 3 for two",
        "as before: 1 for three",
        "not judged: fewer than three seeds",
    ]
    known = kit.by_phrase(numbers, 1.0, phrases | {"missing": "unknown {}"}, lambda number: f"{number.value:g}")
    assert known[-2:] == ["unknown for five", "not judged: fewer than three seeds"]
