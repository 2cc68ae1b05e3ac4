"""Which labels are one class: the same number, compared exactly, or the same text; and what a class is called."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lab.data.files import read
from lab.data.labelled import Part, join
from lab.data.numerals import order, plain
from lab.errors import LabError

SERIES = np.random.default_rng(0).normal(size=(12, 4))


def csv(path, labels):
    """A file in which these labels come in turn."""
    lines = [f"{labels[i % len(labels)]}," + ",".join(map(str, row)) for i, row in enumerate(SERIES)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def ts(path, labels):
    lines = [",".join(map(str, row)) + f":{labels[i % len(labels)]}" for i, row in enumerate(SERIES)]
    path.write_text("@univariate true\n@classLabel true x\n@data\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def npz(path, labels):
    np.savez(path, X=SERIES, y=np.array([labels[i % len(labels)] for i in range(12)]))
    return path


DISTINCT = {
    "numbers of seven digits": ["1000001", "1000002", "2000000"],
    "dates": ["20230101", "20230102"],
    "eighteen digits": ["123456789012345678", "123456789012345679"],
    "forty digits": ["1" * 40, "1" * 39 + "2"],
    "fractions beyond float64": ["0.1", "0.1000000000000000000001"],
    "beyond the range of float64": ["1e400", "1e401", "-1e400"],
    "below the range of float64": ["1e-400", "2e-400", "0"],
    "an underscore": ["1_1", "11"],
    "another script": ["٣", "3"],
    "full-width digits": ["３", "3"],
    "a superscript": ["m²", "m2"],
    "hexadecimal": ["0x10", "16"],
    "cases": ["A", "a", "Banana", "banana"],
    "booleans": ["True", "true", "1"],
    "None is a name": ["None", "mild", "severe"],
    "words of numbers": ["infinite", "nano", "e5", "1e", "."],
    "exponents out of any range": ["1e" + "9" * 30, "1e" + "9" * 31],
}


@pytest.mark.parametrize("write", [csv, ts, npz], ids=["csv", "ts", "npz"])
@pytest.mark.parametrize("labels", DISTINCT.values(), ids=DISTINCT)
def test_distinct_labels_stay_distinct(tmp_path, write, labels):
    data = read(write(tmp_path / f"a.{write.__name__}", labels))
    assert len(data.classes) == len(labels)
    assert [data.classes[index] for index in data.labels()] == [plain(labels[i % len(labels)]) for i in range(12)]


SAME = {
    "1": ["1", "1.0000000e+00", "+1", "01", "1.", "10e-1", "0.1E1", " 1 "],
    "0": ["0", "-0", "0.0", "-0.000e5", "0e999999999"],
    "7": ["7", "007", "7.0"],
    "-1": ["-1", "-1.0", "-1e0"],
    "0.5": ["0.5", ".5", "5e-1", "0.50"],
    "1000000": ["1000000", "1e6", "1.0e+06"],
    "0.00001": ["0.00001", "1e-05"],
    "20230101": ["20230101", "20230101.0", "2.0230101e7"],
    "1e+400": ["1e400", "10e399", "1e+0400"],
    "cat": ["cat", " cat", "cat\t"],
}


@pytest.mark.parametrize(("name", "labels"), SAME.items(), ids=SAME)
def test_one_class_has_one_plain_name(tmp_path, name, labels):
    assert {plain(label) for label in labels} == {name}
    data = read(csv(tmp_path / "a.csv", [*labels, "other"]))
    assert set(data.classes) == {name, "other"}


@st.composite
def spelled(draw):
    """A number as a fraction, and one of its spellings."""
    digits, exponent = draw(st.integers(-(10**20), 10**20)), draw(st.integers(-30, 30))
    zeros = draw(st.integers(0, 3))
    text = (
        draw(st.sampled_from(["", "0", "00"])) + str(abs(digits) * 10**zeros) + draw(st.sampled_from(["", ".", ".0"]))
    )
    sign = "-" if digits < 0 else draw(st.sampled_from(["", "+"]))
    return Fraction(digits) * Fraction(10) ** (exponent), f"{sign}{text}e{exponent - zeros:+d}"


@given(spelled(), spelled())
@example((Fraction(1), "1"), (Fraction(1), "1.0"))
def test_numbers_are_one_class_exactly_if_they_are_equal(first, second):
    (value, text), (other, again) = first, second
    assert Fraction(plain(text)) == value
    assert (plain(text) == plain(again)) == (value == other)
    assert (order(plain(text)) < order(plain(again))) == (value < other)
    assert plain(plain(text)) == plain(text)


@given(st.text(max_size=6), st.text(max_size=6))
def test_other_text_is_kept_as_written(first, second):
    for text in (first, second):
        if not any(letter in "0123456789" for letter in text):
            assert plain(text) == text.strip()


ARRAYS = {
    "int64": (np.array([2**53, 2**53 + 1]), ("9007199254740992", "9007199254740993")),
    "uint64": (np.array([2**64 - 1, 2**64 - 2], np.uint64), ("18446744073709551614", "18446744073709551615")),
    "int8": (np.array([-1, 1], np.int8), ("-1", "1")),
    "float64": (np.array([1.0, 2.0]), ("1", "2")),
    "float32": (np.array([0.1, 20230.0], np.float32), ("0.1", "20230")),
    "float32 whole": (np.array([2**24, 2**24 - 1], np.float32), None),
    "float32 dates": (np.array([20230101, 20230102], np.float32), None),
    "float16": (np.array([2047, 2046], np.float16), ("2046", "2047")),
    "float64 beyond": (np.array([2.0**53 + 2, 1.0]), None),
    "bool": (np.array([True, False]), ("False", "True")),
    "bytes": (np.array([b"cat", b"dog"]), ("cat", "dog")),
    "bytes of numbers": (np.array([b"1.0", b"2"]), ("1", "2")),
    "bytes in UTF-8": (np.array(["é".encode(), b"e"]), ("e", "é")),
    "bytes in Latin-1": (np.array([b"\xe9", b"\xe8"]), None),
    "text": (np.array(["1e0", "1_0"]), ("1", "1_0")),
    "NaN": (np.array([1.0, np.nan]), None),
    "inf": (np.array([1.0, np.inf]), None),
    "NaN as text": (np.array(["a", np.nan]), None),
    "blank": (np.array(["a", "  "]), None),
    "complex": (np.array([1j, 2j]), None),
    "dates": (np.array(["2023-01-01", "2023-01-02"], "datetime64[D]"), None),
    "structured": (np.array([(1, 2), (3, 4)], "i4,i4"), None),
}


@pytest.mark.parametrize(("labels", "classes"), ARRAYS.values(), ids=ARRAYS)
def test_labels_of_any_type_are_exact_or_refused(tmp_path, labels, classes):
    np.savez(tmp_path / "a.npz", X=SERIES, y=np.tile(labels, 6))
    if classes is None:
        with pytest.raises(LabError, match="label"):
            read(tmp_path / "a.npz")
        return
    data = read(tmp_path / "a.npz")
    assert data.classes == classes
    assert len(set(data.labels()[::2])) == len(set(data.labels()[1::2])) == 1


def test_splits_of_other_types_have_the_same_classes(tmp_path):
    arrays = {"train_inputs": SERIES[:8], "test_inputs": SERIES[8:]}
    for train, test in (([1.0, 2.0], [2, 1]), ([True, False], ["True", "False"]), (["1", "2"], [1.0, 2.0])):
        labels = {"train_labels": np.tile(train, 4), "test_labels": np.tile(test, 2)}
        np.savez(tmp_path / "a.npz", **arrays, **labels)
        data = read(tmp_path / "a.npz")
        assert [data.classes[index] for index in data.labels()] == [
            plain(str(each)) for each in [*train * 4, *test * 2]
        ]
    floats = {"train_labels": np.tile(np.float32([0.1, 0.2]), 4), "test_labels": np.tile([0.2, 0.1], 2)}
    np.savez(tmp_path / "a.npz", **arrays, **floats)
    assert read(tmp_path / "a.npz").classes == ("0.1", "0.2")


@pytest.mark.parametrize("label", ["", " ", "?", "nan", "NaN", "-nan", "NA", "n/a", "<NA>", "null"])
def test_a_missing_label_is_refused_in_either_split(label):
    for labels in (["a", "b", label, "b"], ["a", "b", "a", label]):
        parts = [Part(list(SERIES[:3, :, None]), labels[:3]), Part(list(SERIES[3:4, :, None]), labels[3:])]
        with pytest.raises(LabError, match="1 samples without a label"):
            join(parts, "made")


@pytest.mark.parametrize("label", ["inf", "-Inf", "+infinity", "INFINITY"])
def test_an_infinite_label_is_refused(label):
    with pytest.raises(LabError, match="infinite label"):
        join([Part(list(SERIES[:4, :, None]), ["a", label, "a", label])], "made")


@pytest.mark.parametrize(
    "pair", [("é", "e\u0301"), ("a b", "a\xa0b"), ("a b", "a  b"), ("ab", "a\u200bb"), ("c", "c\xad")]
)
def test_labels_that_look_the_same_are_refused(pair):
    with pytest.raises(LabError, match="look the same"):
        join([Part(list(SERIES[:4, :, None]), [*pair, *pair])], "made")


def test_each_split_has_a_label_for_each_series():
    series = list(SERIES[:, :, None])
    with pytest.raises(LabError, match="5 labels for 6 series"):  # and seven for six: as many in all
        join([Part(series[:6], list("ababa")), Part(series[6:], list("abababa"))], "made")
    with pytest.raises(LabError, match="labels for one split and targets for the other"):
        join([Part(series[:6], list("ababab")), Part(series[6:], None, np.ones(6))], "made")


def test_row_numbers_are_named_as_such():
    for start in (0, 1):
        with pytest.raises(LabError, match="which number the rows"):
            join([Part(list(SERIES[:, :, None]), [str(start + i) for i in range(12)])], "made")
    with pytest.raises(LabError) as caught:
        join([Part(list(SERIES[:, :, None]), [str(7 * i) for i in range(12)])], "made")
    assert "number the rows" not in str(caught.value)
