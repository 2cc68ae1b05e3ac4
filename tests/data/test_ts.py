"""The archives' format: the numbers that aeon reads, and labels and targets as they are written."""

import sys
from pathlib import Path

import numpy as np
import pytest

from lab.data import archive
from lab.data.files import read
from lab.data.ts import read_ts
from lab.errors import LabError
from lab.tasks import from_file

TS = """@problemName made
@timeStamps false
@missing false
@univariate false
@dimension 2
@equalLength false
@classLabel true One two
@data
1,2,3:4,5,6:One
1,2:4,5:two
3,2,1:6,5,4:One
2,1:5,4:two
"""


def written(path, content, encoding="utf-8"):
    path.write_text(content, encoding=encoding)
    return path


def shipped():
    """The files that aeon ships."""
    if not archive.is_installed():
        return []
    return sorted(archive.path("GunPoint").parents[1].glob("*/*.ts"))


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_numbers_labels_and_targets_are_those_of_aeon(path):
    datasets = pytest.importorskip("aeon.datasets")
    if "TimeStamps" in path.name:
        with pytest.raises(LabError, match="with time stamps"):
            read_ts(path)
        return
    series, ends = datasets.load_from_ts_file(str(path))
    (part,) = read_ts(path)
    assert len(part.series) == len(series)
    assert all(np.array_equal(mine, each.T) for mine, each in zip(part.series, series, strict=True))
    if part.labels is None:
        assert np.array_equal(part.targets, ends)
    else:
        assert [label.lower() for label in part.labels] == ends.tolist()
        assert all(f":{label}" in path.read_text() for label in set(part.labels))


def test_unequal_series_of_several_features_need_no_aeon(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "aeon", None)
    monkeypatch.setitem(sys.modules, "aeon.datasets", None)
    data = read(written(tmp_path / "made_TRAIN.ts", TS))
    assert data.series.shape == (4, 3, 2)
    assert data.series[0].tolist() == [[1, 4], [2, 5], [3, 6]]
    assert np.isnan(data.series[1, 0]).all()
    assert data.series[1, 1:].tolist() == [[1, 4], [2, 5]]
    assert data.classes == ("One", "two")
    assert data.name == "made"


def test_labels_are_kept_as_written(tmp_path):
    labels = ["A", "a", "Banana", "nan?", "What?", "Ünder way", "1_0"]
    rows = "".join(f"{i},{i * i}:{label}\n" for i, label in enumerate(labels * 2))
    head = "@univariate true\n@equalLength true\n@classLabel true x\n@data\n"
    data = read(written(tmp_path / "a.ts", head + rows))
    assert [data.classes[index] for index in data.labels()] == labels * 2


SPELLINGS = {
    "blank lines and comments": lambda text: "# made\n%\n\n" + text.replace("\n1,2:", "\n\n# next\n1,2:") + "\n  \n\n",
    "Windows": lambda text: text.replace("\n", "\r\n"),
    "a byte order mark": lambda text: "\ufeff" + text,
    "no line end": lambda text: text.rstrip(),
    "blanks": lambda text: text.replace(",", ", ").replace(":", " : ").replace("@data", "@data  "),
    "other cases": lambda text: text.replace("@timeStamps false", "@TIMESTAMPS False").replace("@data", "@DATA"),
    "tags that nobody needs": lambda text: text.replace("@missing false\n", "@seriesLength 3\n@author me\n@x\n"),
    "dimensions": lambda text: text.replace("@dimension 2", "@dimensions 2"),
    "no dimensions": lambda text: text.replace("@dimension 2\n", ""),
    "exponents": lambda text: text.replace("4,5:", "4.0E0,+50e-1:"),
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_one_file_in_many_spellings(tmp_path, spell, encoding):
    data = read(written(tmp_path / "a.ts", TS))
    again = read(written(tmp_path / "b.ts", spell(TS), encoding))
    assert np.array_equal(data.series, again.series, equal_nan=True)
    assert data.classes == again.classes
    assert np.array_equal(data.targets, again.targets)


def test_targets_are_numbers_to_regress_on(tmp_path):
    targets = ["0.5", "-1e-1", "3", "+.25"]
    text = TS.replace("@classLabel true One two", "@targetLabel true")
    head, *rows = text.replace("One", "two").split(":two\n")
    text = "".join(f"{row}:{target}\n" for row, target in zip([head, *rows], targets, strict=False))
    data = read(written(tmp_path / "a.ts", text))
    assert data.classes is None
    assert data.targets.tolist() == [[0.5], [-0.1], [3.0], [0.25]]
    task = from_file(tmp_path / "a.ts", 2, 2)
    assert set(task.train_targets.ravel().tolist() + task.test_targets.ravel().tolist()) == {0.5, -0.1, 3.0, 0.25}


@pytest.mark.parametrize("name", ["Covid3Month", "CardanoSentiment"])
def test_a_regression_of_the_archives_is_a_task(name):
    path = next((path for path in shipped() if path.stem == f"{name}_TRAIN"), None)
    if path is None:
        pytest.skip("aeon is not installed")
    task = from_file(path, 30, 20)
    assert len(task.train_targets.unique()) > 10
    assert task.train_targets.shape == (30, 1)


def replaced(old, new):
    assert old in TS
    return TS.replace(old, new)


REFUSED = {
    "no format": ("no such format", "without a line @data"),
    "data alone": (TS.split("@data\n")[1], "without a line @data"),
    "a word behind @data": (replaced("@data", "@data 4"), "without a line @data"),
    "a sample before @data": (replaced("@data\n", "1,2,3:4,5,6:One\n@data\n"), "line 8 before @data is no tag"),
    "no samples": (TS.split("@data\n")[0] + "@data\n", "0 samples"),
    "time stamps": (replaced("@timeStamps false", "@timeStamps true"), "with time stamps"),
    "time stamps unannounced": (replaced("1,2,3:", "(0,1),(1,2),(2,3):"), "with time stamps"),
    "a tag without a value": (replaced("@timeStamps false", "@timeStamps"), "@timestamps says neither"),
    "a tag with another value": (replaced("@equalLength false", "@equalLength maybe"), "@equallength says neither"),
    "dimensions in words": (replaced("@dimension 2", "@dimension two"), "@dimensions is no number"),
    "no labels": (replaced("@classLabel true One two", "@classLabel false"), "without labels"),
    "labels unannounced": (replaced("@classLabel true One two\n", ""), "without labels"),
    "labels and targets": (replaced("@missing false", "@targetLabel true"), "both @classLabel and @targetLabel"),
    "targets in words": (replaced("@classLabel true One two", "@targetLabel true"), "the target 'One' in line 9"),
    "more dimensions than announced": (replaced("@dimension 2", "@dimension 1"), "2 dimensions and a label in line 9"),
    "one dimension announced": (
        replaced("@univariate false", "@univariate true"),
        "2 dimensions and a label in line 9",
    ),
    "a dimension less": (replaced("@dimension 2\n", "").replace("1,2:4,5:two", "1,2:two"), "1 dimensions in line 9"),
    "dimensions of unequal length": (replaced("1,2:4,5:two", "1,2:4,5,6:two"), "unequal length in line 10"),
    "unequal lengths unannounced": (replaced("@equalLength false", "@equalLength true"), "2 steps in line 10"),
    "a word": (replaced("4,5:", "4,x:"), "'x' in line 10 is no number"),
    "an underscore": (replaced("4,5:", "4,1_0:"), "'1_0' in line 10"),
    "another script": (replaced("4,5:", "4,٣:"), "in line 10 is no number"),
    "a separator at the end": (replaced("4,5:", "4,5,:"), "'' in line 10 is no number"),
    "a colon at the end": (replaced("4,5:two", "4,5:two:"), "line 10"),
    "no label behind the last colon": (replaced("4,5:two", "4,5:"), "1 samples without a label"),
    "a missing label": (replaced("4,5:two", "4,5:?"), "1 samples without a label"),
    "a missing value": (replaced("4,5:two", "4,?:two"), "1 missing or infinite values in sample 2"),
    "NaN": (replaced("4,5:two", "4,NaN:two"), "1 missing or infinite values in sample 2"),
    "an infinite value": (replaced("4,5:two", "4,1e999:two"), "1 missing or infinite values in sample 2"),
    "one class": (replaced(":two", ":One"), "1 different labels"),
    "zero bytes": (replaced("4,5:two", "4,5:t\0wo"), "zero bytes"),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_the_header_is_refused(tmp_path, content, message):
    with pytest.raises(LabError, match=message):
        read(written(tmp_path / "a.ts", content))


def test_the_encoding_is_named(tmp_path):
    with pytest.raises(LabError, match="in another encoding"):
        read(written(tmp_path / "a.ts", TS.replace("One", "Ünder"), "latin-1"))


def test_splits_have_the_same_kind(tmp_path):
    written(tmp_path / "a_TRAIN.ts", TS)
    written(tmp_path / "a_TEST.ts", TS.replace("@classLabel true One two", "@targetLabel true").replace("One", "1"))
    with pytest.raises(LabError, match="the target 'two'"):
        read(tmp_path / "a_TRAIN.ts")
    text = TS.replace("@classLabel true One two", "@targetLabel true").replace("One", "1").replace("two", "2")
    written(tmp_path / "a_TEST.ts", text)
    with pytest.raises(LabError, match="labels for one split and targets for the other"):
        read(tmp_path / "a_TRAIN.ts")


def test_shipped_files_are_found():
    if archive.is_installed():
        assert len(shipped()) > 20
        assert all(isinstance(path, Path) for path in shipped())
