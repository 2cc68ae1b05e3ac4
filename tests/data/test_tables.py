"""Text tables as spreadsheets, locales and scripts write them: the same numbers whatever the separators and marks."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.data.files import read
from lab.errors import LabError

X = np.array([[0.5, -1.25, 3.0], [2.0, 0.125, -7.5], [1e-3, 12.5, 1e4], [4.0, 5.5, 6.25]])
Y = ["cat", "dog", "cat", "dog"]
LINES = [",".join([label, *map(str, row)]) for label, row in zip(Y, X.tolist(), strict=True)]
PLAIN = "\n".join(LINES) + "\n"
GERMAN = PLAIN.replace(",", ";").replace(".", ",")


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def is_plain(data):
    """Whether these are the samples above, to the last digit."""
    return (
        data.classes == ("cat", "dog")
        and data.labels().tolist() == [0, 1, 0, 1]
        and np.array_equal(data.series[..., 0], X)
    )


SAME = {
    "as it is": PLAIN,
    "no line end": PLAIN.rstrip(),
    "Windows": PLAIN.replace("\n", "\r\n"),
    "old Mac": PLAIN.replace("\n", "\r"),
    "blank lines": "\n\n" + PLAIN.replace("\n", "\n  \n") + "\n \n\t\n",
    "rows of separators": PLAIN + ",,,\n,,,\n",
    "a separator at each end": PLAIN.replace("\n", ",\n"),
    "three at each end": PLAIN.replace("\n", ",,,\n"),
    "one at some ends": PLAIN.replace("5\n", "5,\n"),
    "a blank after each": PLAIN.replace(",", ", "),
    "blanks around": "  " + PLAIN.replace(",", " , ").replace("\n", "  \n"),
    "tabs after commas": PLAIN.replace(",", ",\t"),
    "semicolons": PLAIN.replace(",", ";"),
    "tabs": PLAIN.replace(",", "\t"),
    "blanks": PLAIN.replace(",", " "),
    "columns of blanks": PLAIN.replace(",", "     "),
    "tabs and blanks": PLAIN.replace(",", "\t", 5).replace(",", "  "),
    "tabs with blanks": PLAIN.replace(",", " \t "),
    "decimal commas": GERMAN,
    "decimal commas and tabs": GERMAN.replace(";", "\t"),
    "decimal commas and blanks": GERMAN.replace(";", "  "),
    "decimal commas at each end": GERMAN.replace("\n", ";\n"),
    "decimal commas in quotes": "\n".join(",".join(f'"{cell}"' for cell in line.split(";")) for line in GERMAN.split()),
    "quotes": "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in LINES),
    "quotes between blanks": "\n".join(" ".join(f'"{cell}"' for cell in line.split(",")) for line in LINES),
    "quoted labels": PLAIN.replace("cat", '"cat"').replace("dog", ' "dog"'),
    "Excel's first line": "sep=;\r\n" + PLAIN.replace(",", ";"),
    "Excel's first line in quotes": '"sep=,"\n' + PLAIN,
    "a byte order mark": b"\xef\xbb\xbf" + PLAIN.encode(),
    "two marked files in one": b"\xef\xbb\xbf" + LINES[0].encode() + b"\n\xef\xbb\xbf" + "\n".join(LINES[1:]).encode(),
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + PLAIN.encode("utf-16-be"),
    "UTF-32": PLAIN.encode("utf-32"),
    "comments": "# made by hand\n#\n" + PLAIN.replace("dog", "# the next one\ndog") + "# end",
    "names behind #": "# label,0,1,2\n" + PLAIN,
    "names in words behind #": "#label,a,b,c\n" + PLAIN,
    "signs": PLAIN.replace(",0", ",+0"),
    "exponents": PLAIN.replace("10000.0", "1.0E+04"),
}


@pytest.mark.parametrize("suffix", ["csv", "tsv", "txt"])
@pytest.mark.parametrize("content", SAME.values(), ids=SAME)
def test_one_table_in_many_spellings(tmp_path, content, suffix):
    assert is_plain(read(written(tmp_path / f"a.{suffix}", content)))


@pytest.mark.parametrize("head", ["label;0,0;0,1;0,2", "label;t0;t1;t2", ";0;1;2"])
def test_names_above_decimal_commas(tmp_path, head):
    assert is_plain(read(written(tmp_path / "a.csv", head + "\n" + GERMAN)))


def test_labels_keep_separators_and_quotes_inside(tmp_path):
    labels = ['a, b; "c"', "#1", "5,5", "x\ty"]
    frame = pd.DataFrame(np.vstack([X, X]))
    frame.insert(0, "label", labels * 2)
    for separator in (",", ";"):
        frame.to_csv(tmp_path / "a.csv", index=False, sep=separator, quoting=2)
        data = read(tmp_path / "a.csv")
        assert [data.classes[index] for index in data.labels()] == labels * 2
        assert np.array_equal(data.series[:4, :, 0], X)


@st.composite
def tables(draw):
    """Labels and numbers, and how they are written."""
    numbers = st.floats(-1e6, 1e6).filter(lambda number: number == 0 or abs(number) > 1e-6)
    length = draw(st.integers(2, 5))
    rows = draw(st.lists(st.lists(numbers, min_size=length, max_size=length), min_size=4, max_size=8))
    return np.array(rows), draw(st.sampled_from([",", ";", "\t"])), draw(st.sampled_from([".", ","]))


@given(tables(), st.booleans(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
@settings(max_examples=200)
def test_what_pandas_writes_in_any_locale_is_read_to_the_last_digit_or_refused(table, header, encoding):
    rows, separator, decimal = table
    labels = ["é", "b c"] * 4
    frame = pd.DataFrame(rows, columns=[f"t{i}" for i in range(rows.shape[1])])
    frame.insert(0, "label", labels[: len(rows)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.csv")
        frame.to_csv(path, index=False, sep=separator, decimal=decimal, header=header, encoding=encoding)
        try:
            data = read(path)
        except LabError:  # every comma stands before three digits
            assert decimal == ","
            assert all(len(str(number).split(".")[1]) == 3 for number in rows.ravel())
            return
    assert data.labels().tolist() == [1, 0, 1, 0, 1, 0, 1, 0][: len(rows)]
    assert np.array_equal(data.series[..., 0], rows)


def test_numpy_writes_names_behind_its_comment_sign(tmp_path):
    table = np.column_stack([[0, 1, 0, 1], X])
    for suffix, separator in ((".csv", ","), (".tsv", "\t"), (".txt", " ")):
        for head in ("label 0 1 2", "label t0 t1 t2", ""):
            np.savetxt(tmp_path / f"a{suffix}", table, delimiter=separator, header=head.replace(" ", separator))
            data = read(tmp_path / f"a{suffix}")
            assert data.classes == ("0", "1")
            assert np.array_equal(data.series[..., 0], X)


def test_splits_have_equally_many_columns(tmp_path):
    for suffix, separator in (("csv", ","), ("tsv", "\t"), ("txt", " ")):
        written(tmp_path / f"a.{suffix}", PLAIN.replace(",", separator))
        for other in ("cat,1,2.5\n", "cat,1,2.5,0,7\n"):
            written(tmp_path / f"a_TEST.{suffix}", other.replace(",", separator))
            with pytest.raises(LabError, match="3 steps in the training samples"):
                read(tmp_path / f"a.{suffix}")
    written(tmp_path / "a_TEST.tsv", "cat\t1\tNaN\tNaN\tNaN\ndog\t1\t2.5\t1\t0\n")  # the archive's unequal lengths
    assert read(tmp_path / "a.tsv").series.shape == (6, 4, 1)
    np.savez(tmp_path / "a.npz", train_inputs=X, train_labels=Y, test_inputs=X[:, :2], test_labels=Y)
    with pytest.raises(LabError, match="and 2 in the test samples"):
        read(tmp_path / "a.npz")


def test_a_line_that_moves_from_one_split_to_the_other_is_noticed(tmp_path):
    """Their contents one after the other stay the same."""
    for split in (3, 2):
        written(tmp_path / "a.csv", "\n".join(LINES[:split]) + "\n")
        written(tmp_path / "a_TEST.csv", "\n".join(LINES[split:]) + "\n")
        assert read(tmp_path / "a.csv").train == split
