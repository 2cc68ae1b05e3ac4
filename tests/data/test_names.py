"""The first row of a table: names are no sample, a sample is no row of names, and what may be either is refused."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.data.files import read
from lab.errors import LabError

SERIES = np.random.default_rng(0).normal(size=(8, 6)).round(3)
TEXT, NUMBERS = ["cat", "dog"] * 4, [1, 2] * 4
SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": " "}


def write(path, labels=TEXT, series=SERIES, head=None, separator=","):
    lines = [separator.join(map(str, [label, *row])) for label, row in zip(labels, series, strict=True)]
    path.write_text("\n".join([head.replace(",", separator)] * (head is not None) + lines) + "\n")
    return path


def is_whole(data, labels, series=SERIES):
    """Whether these samples were read, and nothing else."""
    names = [data.classes[index] for index in data.labels()]
    return names == list(map(str, labels)) and np.array_equal(data.series[..., 0], series)


NAMES = {
    "words": "label,t1,t2,t3,t4,t5,t6",
    "any words": "species,one,two,three,four,five,six",
    "counted": "label,0,1,2,3,4,5",
    "counted from 1": "class,1,2,3,4,5,6",
    "counted under another word": "species,0,1,2,3,4,5",
    "times": "label,0.0,0.1,0.2,0.3,0.4,0.5",
    "rounded times": "label,0.000,0.033,0.067,0.100,0.133,0.167",
    "times in float64": "label,0.0,0.1,0.2,0.30000000000000004,0.4,0.5",
    "times under another word": "species,0.0,0.1,0.2,0.3,0.4,0.5",
    "wave lengths": "label,400,402,404,406,408,410",
    "wave lengths under another word": "species,400,402,404,406,408,410",
    "uneven": "label,400,402,405,410,420,450",
    "logarithmic": "class,0.01,0.1,1,10,100,1e3",
    "decreasing": "Label,4000,3998,3996,3994,3992,3990",
    "pandas without a name": ",0,1,2,3,4,5",
    "pandas without any name": "0,1,2,3,4,5,6",
    "R": "V1,V2,V3,V4,V5,V6,V7",
    "some numbers": "label,0,1,mean,3,4,5",
    "a word for all": "label,value,value,value,value,value,value",
    "axes": "class,x,y,z,x2,y2,z2",
    "quoted": '"label","0","1","2","3","4","5"',
}


@pytest.mark.parametrize("suffix", SEPARATORS)
@pytest.mark.parametrize("labels", [TEXT, NUMBERS], ids=["text", "numbers"])
@pytest.mark.parametrize("head", NAMES.values(), ids=NAMES)
def test_names_are_no_sample(tmp_path, head, labels, suffix):
    if suffix == ".txt" and head.startswith(","):
        pytest.skip("a cell between blanks is not empty")
    path = write(tmp_path / f"a{suffix}", labels, head=head, separator=SEPARATORS[suffix])
    assert is_whole(read(path), labels)


UNCLEAR = {  # with labels of text, and with numbers: whether the names are beyond doubt there
    "uneven under another word": ("species,400,402,405,410,420,450", True),
    "decreasing and uneven under another word": ("species,9,8,6,5,2,1", True),
    "numbers in no order": ("label,3,1,2,6,4,5", False),
    "some numbers in no order": ("label,3,1,mean,6,4,5", False),
    "some words under another word": ("species,0,1,mean,3,4,5", True),
    "a word that stands for missing numbers": ("wolf,-,-,-,-,-,-", False),
    "words above which a label stands": ("cat,t1,t2,t3,t4,t5,t6", None),
    "numbered columns with a number for the label": ("1,0,2,3,4,5,mean", False),
    "numbers without a name": (",3,1,2,6,4,5", None),
    "whole numbers in no order": ("species,3,1,2,6,4,5", False),
    "whole numbers in no order under a label": ("cat,3,1,2,6,4,5", False),
}


@pytest.mark.parametrize(("head", "with_numbers"), UNCLEAR.values(), ids=UNCLEAR)
def test_what_may_be_names_or_a_sample_is_refused(tmp_path, head, with_numbers):
    with pytest.raises(LabError, match=r"may be names or a sample|without a label"):
        read(write(tmp_path / "a.csv", head=head))
    if with_numbers:
        assert is_whole(read(write(tmp_path / "a.csv", NUMBERS, head=head)), NUMBERS)
    elif with_numbers is False:
        with pytest.raises(LabError, match="may be names or a sample"):
            read(write(tmp_path / "a.csv", NUMBERS, head=head))


def test_numbers_under_a_number_are_names_only_above_text(tmp_path):
    assert is_whole(read(write(tmp_path / "a.csv", head="2,0,1,2,3,4,5")), TEXT)
    for head in ("2,0,1,2,3,4,5", "1,400,402,404,406,408,410", "9,0.0,0.5,0.7,1.0,1.1,1.5"):
        with pytest.raises(LabError, match="may be names or a sample: its numbers are in order"):
            read(write(tmp_path / "a.csv", NUMBERS, head=head))


ELSEWHERE = {
    "last": "t0,t1,t2,t3,t4,t5,label",
    "last, any word": "t0,t1,t2,t3,t4,t5,species",
    "last, after numbers": "0,1,2,3,4,5,species",
    "last, a target": "0,1,2,3,4,5,target",
    "second, after an index": ",label,0,1,2,3,4",
    "second, after an identifier": "id,class,t0,t1,t2,t3,t4",
    "upper case": "t0,t1,t2,t3,t4,t5,CLASS",
}


@pytest.mark.parametrize("head", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_label_that_is_not_first_is_refused_by_its_name(tmp_path, head):
    with pytest.raises(LabError, match=r"in column [27] of 7; allowed: the label in the first column"):
        read(write(tmp_path / "a.csv", NUMBERS, head=head))


def test_a_label_that_is_not_first_is_refused_without_names(tmp_path):
    frame = pd.DataFrame(SERIES)
    for place, labels in ((6, TEXT), (6, NUMBERS), (1, TEXT)):
        moved = frame.copy()
        moved.insert(place, "label", labels)
        moved.to_csv(tmp_path / "a.csv", index=False, header=False)
        with pytest.raises(LabError, match="column"):
            read(tmp_path / "a.csv")
    few = pd.DataFrame(np.hstack([np.where(SERIES[:, :1] > 0, 0.5, 1.5), SERIES])).assign(
        label=NUMBERS
    )  # the first column would be two classes
    few.to_csv(tmp_path / "a.csv", index=False, header=False)
    with pytest.raises(LabError, match="a few whole numbers in column 8 of 8 alone"):
        read(tmp_path / "a.csv")


@pytest.mark.parametrize("labels", [TEXT, NUMBERS], ids=["text", "numbers"])
@pytest.mark.parametrize("place", [0, 1, 6], ids=["first", "second", "last"])
@pytest.mark.parametrize("start", [0, 1, 7])
def test_an_index_of_pandas_is_refused(tmp_path, labels, place, start):
    frame = pd.DataFrame(SERIES, index=range(start, start + 8))
    frame.insert(place, "kind", labels)
    frame.to_csv(tmp_path / "a.csv")
    with pytest.raises(LabError):
        read(tmp_path / "a.csv")
    if start < 2 and labels is NUMBERS:
        for names in (
            ["", *range(7)],
            ["id", *map("t{}".format, range(7))],
            ["Unnamed: 0", *map("t{}".format, range(7))],
        ):
            frame.reset_index().to_csv(tmp_path / "a.csv", index=False, header=list(map(str, names)))
            with pytest.raises(LabError, match="row numbers in its first column"):
                read(tmp_path / "a.csv")


def test_an_index_of_labels_is_read(tmp_path):
    pd.DataFrame(SERIES, index=TEXT).to_csv(tmp_path / "a.csv")
    assert is_whole(read(tmp_path / "a.csv"), TEXT)


def test_names_stand_once(tmp_path):
    for head in ("label,t1,t2,t3,t4,t5,t6", "label,0,1,2,3,4,5"):
        path = write(tmp_path / "a.csv", NUMBERS, head=head)
        path.write_text(path.read_text() * 2)
        with pytest.raises(LabError):
            read(path)
    with pytest.raises(LabError, match="a second row of names"):
        read(write(tmp_path / "a.csv", NUMBERS, head="label,a,b,c,d,e,f\ntime,0.0,0.1,0.2,0.3,0.4,0.5"))


SAMPLES = {
    "a class that occurs again": ("cat,0.0,1.0,2.0,3.0,4.0,5.0", TEXT),
    "a label that counts": ("1,2,3,4,5,6,7.5", NUMBERS),
    "a label of numbers": ("1,400.0,402,404,406,409,410", NUMBERS),
    "numbers in no order": ("wolf,3.0,1,2,6,4,5", TEXT),
    "equal numbers": ("wolf,1.0,1,1,1,1,1", TEXT),
    "a number among text": ("1,3.0,1,2,6,4,5", TEXT),
}


@pytest.mark.parametrize(("first", "labels"), SAMPLES.values(), ids=SAMPLES)
def test_a_sample_is_no_row_of_names(tmp_path, first, labels):
    label, *cells = first.split(",")
    data = read(write(tmp_path / "a.csv", labels, head=first))
    assert is_whole(data, [label, *labels], np.vstack([np.array(cells, dtype=float), SERIES]))


def test_a_ramp_among_ramps_is_no_row_of_names_without_doubt(tmp_path):
    ramps = np.arange(6) * np.arange(1.0, 9.0)[:, None]
    with pytest.raises(LabError, match="may be names or a sample"):
        read(write(tmp_path / "a.csv", series=ramps, head="wolf,0,1,2,3,4,5"))
    assert is_whole(read(write(tmp_path / "a.csv", series=ramps, head="label,0,1,2,3,4,5")), TEXT, ramps)


COLUMNS = st.sampled_from(
    [
        list(range(6)),
        list(range(1, 7)),
        [0.1 * i for i in range(6)],
        [400 + 2 * i for i in range(6)],
        list("abcdef"),
        [f"t{i}" for i in range(6)],
        [1, 2, 4, 8, 16, 32],
        [5, 3, 1, 2, 9, 0],
        [0.5, "x", 1, "y", 2, 3],
        [1] * 6,
    ]
)
KINDS = st.sampled_from(["label", "class", "species", "y", "target", "", "0", "1", "id", "t0", "x"])


@given(
    COLUMNS, KINDS, st.sampled_from([TEXT, NUMBERS]), st.sampled_from([0, 1, 6]), st.booleans(), st.booleans(),
    st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 3]),
)  # fmt: skip
@settings(max_examples=300)
def test_what_pandas_writes_is_read_whole_or_refused(columns, kind, labels, place, index, header, seed, digits):
    series = np.random.default_rng(seed).normal(size=(8, 6)).round(digits) * 10
    frame = pd.DataFrame(series, columns=columns)
    frame.insert(place, kind, labels, allow_duplicates=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.csv")
        frame.to_csv(path, index=index, header=header)
        try:
            data = read(path)
        except LabError:
            assert index or place or header  # labels first and nothing else: there is nothing to refuse
            return
    assert not index
    if place == 0:
        assert is_whole(data, labels, series)
    else:  # whole numbers everywhere: nothing in the file says which column has the labels
        assert np.array_equal(series, series.round())
        assert labels is NUMBERS
