"""A list of files that people bring by mistake: each is refused with its cause, or read as it was meant; none silently.

What is written in words must stand in the refusal. What is written as samples, `label: numbers`, must be read so.
"""

import io

import numpy as np
import pytest

from lab.data.files import read
from lab.errors import LabError
from tests.fuzz.cases import check_refusal


class Read(str):
    """Samples as they must be read; any other text must stand in the refusal."""

    __slots__ = ()

    def named(self, **names):
        """The same samples of other classes."""
        return Read(", ".join(names.get(sample[0], sample[0]) + sample[1:] for sample in self.split(", ")))

    def samples(self):
        """Labels and numbers."""
        pairs = [sample.split(": ") for sample in self.split(", ")]
        return [label for label, _ in pairs], [[float(number) for number in numbers.split()] for _, numbers in pairs]


UNCLEAR, FIRST, NUMBER = "may be names or a sample", "the label in the first column", "numbers after the label"
AB = Read("a: 1.5 5, b: 2.5 7, a: 3 1")
ROWS = "a,1.5,5\nb,2.5,7\na,3,1\n"
NUMBERED = "1,1.5,5\n2,2.5,7\n1,3,1\n"
RAGGED = "with equally many cells in each row"

TABLES = {
    # rows of names
    "a header of times": ("label,0.0,0.1\n" + ROWS, AB),
    "a header of wave lengths": ("label,400,402\n" + ROWS, AB),
    "a header above numbers": ("label,400,402\n" + NUMBERED, AB.named(a="1", b="2")),
    "a header in words": ("anything,t1,t2\n" + ROWS, AB),
    "a header of two numbers under a word": ("anything,400,402\n" + ROWS, UNCLEAR),
    "a header in no order": ("label,7,3\n" + NUMBERED, AB.named(a="1", b="2")),
    "a header of three in no order": ("label,7,3,9\na,1.5,5,1\nb,2,1,1\n", UNCLEAR),
    "a header half in words": ("wave,7,x\n" + ROWS, UNCLEAR),
    "a header of numbers alone": ("0,1,2\n" + ROWS, UNCLEAR),
    "a longer header of numbers alone": ("0,1,2,3\na,1.5,5,0\nb,2.5,7,1\n", Read("a: 1.5 5 0, b: 2.5 7 1")),
    "an index without a name": (",0,1,2\n0,1,1.5,5\n1,2,2.5,7\n2,1,3,1\n", "row numbers in its first column"),
    "an index with a name": ("id,t0,t1\n0,1.5,5\n1,2.5,7\n2,3,1\n", "row numbers in its first column"),
    "an index without names": ("0,1,5.5,1\n1,2,7.5,3\n2,1,1.5,2\n3,2,1,1\n", "which number the rows"),
    "an index before the label": (",label,t0\n0,1,1\n1,2,2\n", FIRST),
    "an index before text": ("0,a,1\n1,b,2\n2,a,3\n", "where no row has a number"),
    "a header with the label last": ("t0,t1,label\n1.5,5,1\n2.5,7,2\n", FIRST),
    "a header with any label last": ("x1,x2,x3,kind\n1.5,5,3,1\n2.5,7,4,2\n", FIRST),
    "a header with the target last": ("a,b,target\n1.5,5,1\n2.5,7,2\n", FIRST),
    "text last": ("1.5,5,a\n2.5,7,b\n", "where no row has a number"),
    "numbers last": ("1.5,5.5,1\n2.5,7.5,2\n1.5,2.5,1\n2.5,1.5,2\n", FIRST),
    "a header alone": ("label,t0,t1\n", "column names and no samples"),
    "a header of numbers and nothing else": ("label,0,1\n", "column names and no samples"),
    "a header twice": ("label,0,1\n" + ROWS + "label,0,1\n" + ROWS, "more than once"),
    "a header in words twice": ("label,t,u\n" + ROWS + "label,t,u\n" + ROWS, NUMBER),
    "two rows of names": ("label,t,u\ntime,0.0,0.1\n" + NUMBERED, "a second row of names"),
    "units below names": ("label,t,u\n,s,s\n" + ROWS, NUMBER),
    "a header shorter by one": ("t0,t1\n" + ROWS, RAGGED),
    "a header longer by one": ("label,t0,t1,t2\n" + ROWS, RAGGED),
    "a header in quotes": ('"label","0","1"\n' + ROWS, AB),
    # decimal marks and separators
    "decimal commas": ("a;1,5;5\nb;2,5;7\na;3;1\n", AB),
    "decimal commas between tabs": ("a\t1,5\t5\nb\t2,5\t7\na\t3\t1\n", AB),
    "decimal commas between blanks": ("a 1,5 5\nb 2,5 7\na 3 1\n", AB),
    "decimal commas between commas": ("a,1,05,5,1\nb,2,25,7,0\n", "for decimals"),
    "decimal commas in quotes": ('a,"1,5","5,0"\nb,"2,5","7,0"\na,"3,0","1,0"\n', AB),
    "a comma of two meanings": ("a 1,5\nb 2,5\n", "may separate cells or decimals"),
    "commas before three digits": ("a;1,500;5,000\nb;2,500;7,000\n", "separate thousands"),
    "thousands in quotes": ('a,"1,500","2,000"\nb,"2,500","7,000"\n', "separate thousands"),
    "millions in quotes": ('a,1,5\nb,"1,234,567",7\n', "without thousands separators"),
    "thousands and decimals": ("a;1;5\nb;1.234,5;7\n", "without thousands separators"),
    "thousands with blanks": ("a,1,5\nb,1 234,7\n", "without thousands separators"),
    "thousands with apostrophes": ("a,1,5\nb,1'234,7\n", "without thousands separators"),
    "points and commas": ("a;1,5;5\nb;2.5;7\n", "decimal points and commas"),
    "a cell of two numbers": ("a,1,5\nb,2 5,7\n", NUMBER),
    "bars": ("a|1.5|5\nb|2.5|7\n", "one cell in each row"),
    "colons": ("a:1.5:5\nb:2.5:7\n", "one cell in each row"),
    "rows in quotes": ('"a,1.5,5"\n"b,2.5,7"\n', "one cell in each row"),
    "a separator at each end": (ROWS.replace("\n", ",\n"), AB),
    "empty columns at the end": (ROWS.replace("\n", ",,,,\r\n") + ",,,,,,\r\n", AB),
    "an empty column in front": ("," + ROWS[:-1].replace("\n", "\n,") + "\n", NUMBER),
    "an empty column between": (ROWS.replace(",", ",,", 1).replace("b,", "b,,").replace("a,3", "a,,3"), "missing"),
    "Excel's first line": ("sep=;\r\n" + ROWS.replace(",", ";"), AB),
    # lines
    "blank lines": ("\n\n" + ROWS.replace("\n", "\n\n") + "\n \n", AB),
    "Windows line ends": (ROWS.replace("\n", "\r\n"), AB),
    "old line ends": (ROWS.replace("\n", "\r"), AB),
    "comments": ("# mine\n" + ROWS + "# end\n", AB),
    "a sample as a comment": (ROWS + "# b,1,7\n", "with a sample behind # in line 4"),
    "labels that begin with #": (ROWS.replace("a", "#a"), "with a sample behind # in line 1"),
    "nothing but comments": ("# a,1,2\n# b,1,2\n", "comments alone"),
    "an empty file": ("", "is empty"),
    "blank lines alone": ("\n \n\t\n", "is empty"),
    "separators alone": (",,,\n,,,\n", "is empty"),
    "one sample": ("a,1.5,5\n", "1 samples"),
    "a row cut off": (ROWS[:-3], "(1 missing)"),
    "a row too long": (ROWS[:-1] + ",3\n", RAGGED),
    "an open quotation mark": (ROWS.replace("b", '"b'), "quotation mark"),
    "a cell over two lines": (ROWS.replace("b", '"b\nb"'), "quoted cell over several lines"),
    "text behind a quotation": (ROWS.replace("b", '"b" c'), "quotation mark"),
    # numbers
    "a word": (ROWS.replace("2.5", "x"), "'x' in row 2, column 2"),
    "a word in the first row": (ROWS.replace("1.5", "x"), UNCLEAR),
    "an underscore": (ROWS.replace("7", "7_0"), "'7_0' in row 2, column 3"),
    "another script": (ROWS.replace("7", "٧"), NUMBER),
    "a minus sign of typesetters": (ROWS.replace("7", "−7"), NUMBER),
    "hexadecimal": (ROWS.replace("7", "0x7"), NUMBER),
    "percent": (ROWS.replace("7", "7%"), NUMBER),
    "a unit": (ROWS.replace("7", "7mV"), NUMBER),
    "a time": (ROWS.replace("7", "07:00"), NUMBER),
    "a date": (ROWS.replace("7", "2023-01-01"), NUMBER),
    "an error of Excel": (ROWS.replace("7", "#DIV/0!"), NUMBER),
    "a complex number": (ROWS.replace("7", "7j"), NUMBER),
    "a missing value": (ROWS.replace("2.5", ""), "missing"),
    "a missing value at the end": (ROWS.replace("7", ""), "missing"),
    "NaN": (ROWS.replace("7", "NaN"), "missing"),
    "NA": (ROWS.replace("7", "NA"), "missing"),
    "a first row without numbers": ("a,,\n" + ROWS, "missing"),
    "a first row of dashes": ("c,-,-\n" + ROWS, UNCLEAR),
    "an infinite value": (ROWS.replace("7", "-inf"), "infinite"),
    "a value beyond float64": (ROWS.replace("7", "1e400"), "infinite"),
    # labels
    "no label": (ROWS.replace("b", ""), "without a label"),
    "a blank label": (ROWS.replace("b", "  "), "without a label"),
    "a label NaN": (ROWS.replace("b", "NaN"), "without a label"),
    "an infinite label": (ROWS.replace("b", "inf"), "infinite label"),
    "a label for each sample": (NUMBERED.replace("1,3", "3,3"), "which number the rows"),
    "one class": (ROWS.replace("b", "a"), "1 different labels"),
    "labels that differ in case": (ROWS.replace("b", "A"), AB.named(b="A")),
    "labels that differ in the seventh digit": (
        ROWS.replace("a", "1000001").replace("b", "1000002"),
        AB.named(a="1000001", b="1000002"),
    ),
    "labels with an underscore": (ROWS.replace("a", "1_1").replace("b", "11"), AB.named(a="1_1", b="11")),
    "one number spelled twice": ("1,1.5,5\n2,2.5,7\n1.0e0,3,1\n", AB.named(a="1", b="2")),
    "labels that look the same": (ROWS.replace("a", "é", 1).replace("b", "e\u0301"), "look the same"),
    # bytes
    "UTF-16": (ROWS.encode("utf-16"), AB),
    "UTF-16 without a mark": (ROWS.encode("utf-16-le"), "zero bytes"),
    "a byte order mark": (b"\xef\xbb\xbf" + ROWS.encode(), AB),
    "Latin-1": (ROWS.replace("b", "é").encode("latin-1"), "another encoding"),
    "a spreadsheet": (b"PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00!\x00", "zero bytes"),
    "gzip": (b"\x1f\x8b\x08\x08\x00\x00\xff\xff", "another encoding"),
    "a page": ("<!doctype html>\n<html><body>404, not found</body></html>\n", "path: got"),
    "JSON": ('{"X": [[1, 2], [3, 4]], "y": ["a", "b"]}\n', "path: got"),
}


def check(path, expected):
    """Whether a file is read as these samples, or refused with these words and in four parts."""
    if isinstance(expected, Read):
        labels, numbers = expected.samples()
        data = read(path)
        assert [data.classes[index] for index in data.labels()] == labels
        assert data.series[..., 0].tolist() == numbers
        return
    with pytest.raises(LabError) as caught:
        read(path)
    check_refusal(caught.value, "")
    assert expected in str(caught.value)


@pytest.mark.parametrize(("content", "expected"), TABLES.values(), ids=TABLES)
def test_no_table_is_read_wrongly(tmp_path, content, expected):
    path = tmp_path / "a.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    check(path, expected)


X, Y = np.array([[1.5, 5], [2.5, 7], [3, 1]]), np.array(["a", "b", "a"])
ARRAYS = {
    "labels in another type": ({"X": X, "y": Y.astype("S")}, AB),
    "whole labels beyond float64": (
        {"X": X, "y": np.array([2**60 + 1, 2**60, 2**60 + 1])},
        AB.named(a=f"{2**60 + 1}", b=f"{2**60}"),
    ),
    "labels rounded to float32": (
        {"X": X, "y": np.float32([20230101, 20230102, 20230101])},
        "neighbouring numbers are one",
    ),
    "labels in Latin-1": ({"X": X, "y": np.array([b"\xe9", b"\xe8", b"\xe9"])}, "no UTF-8"),
    "labels as complex numbers": ({"X": X, "y": np.array([1j, 2j, 1j])}, "labels of type complex128"),
    "labels as dates": (
        {"X": X, "y": np.array(["2023", "2024", "2023"], "datetime64[Y]")},
        "labels of type datetime64",
    ),
    "labels as objects": ({"X": X, "y": Y.astype(object)}, "Object arrays cannot be loaded"),
    "a column of labels": ({"X": X, "y": Y[:, None]}, "labels of shape (3, 1)"),
    "labels one too few": ({"X": X, "y": Y[:2]}, "labels of shape (2,)"),
    "a missing label": ({"X": X, "y": np.array([1, np.nan, 1])}, "without a label"),
    "a test split of other names": ({"X": X, "y": Y, "X_test": X, "y_test": Y}, "X_test, y_test would not be used"),
    "scikit-learn's names": (
        {"X_train": X, "y_train": Y, "X_test": X, "y_test": Y},
        "allowed: X and y; or train_inputs",
    ),
    "a test split misspelled": (
        {"train_inputs": X, "train_labels": Y, "test_input": X, "test_labels": Y},
        "would not be used",
    ),
    "test labels without inputs": (
        {"train_inputs": X, "train_labels": Y, "test_labels": Y},
        "test_labels would not be used",
    ),
    "two layouts": ({"X": X, "y": Y, "train_inputs": X, "train_labels": Y}, "would not be used"),
    "splits of unequal length": (
        {"train_inputs": X, "train_labels": Y, "test_inputs": X[:, :1], "test_labels": Y},
        "1 in the test samples",
    ),
    "numbers as text": ({"X": X.astype(str), "y": Y}, "type <U"),
    "one array": ({"X": X}, "with X;"),
}


@pytest.mark.parametrize(("arrays", "expected"), ARRAYS.values(), ids=ARRAYS)
def test_no_archive_is_read_wrongly(tmp_path, arrays, expected):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    (tmp_path / "a.npz").write_bytes(buffer.getvalue())
    check(tmp_path / "a.npz", expected)


def test_how_many_were_tried():
    assert len(TABLES) + len(ARRAYS) == 124
