"""Lists of names in sentences, and phrases for numbers without an interval."""

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
