"""What readers make of files, and what they refuse; nothing that is read may run."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from lab.data import files
from lab.data.files import digest, is_file_name, read
from lab.errors import LabError

X = np.arange(24.0).reshape(6, 4) / 7
Y = np.array(["cat", "dog"] * 3)


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def rows(path, series=X, labels=Y, separator=",", head=""):
    lines = [
        separator.join([str(label), *map(repr, map(float, row))]) for row, label in zip(series, labels, strict=True)
    ]
    path.write_text(head + "\n".join(lines) + "\n")
    return path


def test_an_npz_is_read_as_it_was_written(tmp_path):
    data = read(npz(tmp_path / "mine.npz", X=X, y=Y))
    assert np.array_equal(data.series, X[:, :, None])
    assert data.targets.ravel().tolist() == [-1, 1] * 3
    assert (data.classes, data.train, data.has_split, data.name) == (("cat", "dog"), 6, False, "mine")


@pytest.mark.parametrize("labels", [Y, Y.astype("S3"), np.array([1, 2] * 3), np.array([1.0, 2.0] * 3), X[:, 0] % 2 < 1])
def test_labels_of_any_plain_type_are_classes(tmp_path, labels):
    data = read(npz(tmp_path / "mine.npz", X=X, y=labels))
    assert len(data.classes) == 2
    assert set(data.targets.ravel().tolist()) == {-1.0, 1.0}


def test_an_npz_keeps_its_split_and_its_numbers(tmp_path):
    series = np.random.default_rng(0).normal(size=(6, 4, 3))
    arrays = {"train_inputs": series[:4], "test_inputs": series[4:]}
    data = read(npz(tmp_path / "a.npz", **arrays, train_labels=Y[:4], test_labels=Y[4:]))
    assert (data.train, data.has_split) == (4, True)
    assert np.array_equal(data.series, series)
    data = read(npz(tmp_path / "b.npz", **arrays, train_targets=X[:4, :2], test_targets=X[4:, :2]))
    assert np.array_equal(data.targets, X[:, :2])
    assert data.classes is None


@pytest.mark.parametrize(
    ("name", "separator", "head"),
    [
        ("a.csv", ",", ""),
        ("a.csv", ",", "label,t0,t1,t2,t3\n"),
        ("a.csv", ",", "label,0,1,2,3\n"),
        ("a.csv", ";", "\ufeff"),
        ("a.tsv", "\t", ""),
        ("a.txt", "  ", ""),
        ("a.txt", ",", ""),
    ],
)
def test_rows_are_a_label_and_numbers(tmp_path, name, separator, head):
    data = read(rows(tmp_path / name, separator=separator, head=head))
    assert np.array_equal(data.series, X[:, :, None])
    assert data.targets.ravel().tolist() == [-1, 1] * 3


def test_a_test_file_beside_it_is_the_test_split(tmp_path):
    for train in ("set_TRAIN.tsv", "other.tsv"):
        path = rows(tmp_path / train, separator="\t")
        before = digest(path)
        rows(tmp_path / (train.removesuffix(".tsv").removesuffix("_TRAIN") + "_TEST.tsv"), X[:2] + 1, Y[:2], "\t")
        data = read(path)
        assert (data.train, len(data.series)) == (6, 8)
        assert np.array_equal(data.series[6:, :, 0], X[:2] + 1)
        assert digest(path) != before


def test_a_ramp_is_a_sample_and_no_row_of_names(tmp_path):
    (tmp_path / "a.csv").write_text("up,0,1,2\ndown,2,1,0\nup,0,2,4\ndown,4,2,0\n")
    assert len(read(tmp_path / "a.csv").series) == 4


def test_numbers_as_labels_have_one_spelling_and_the_order_of_their_values(tmp_path):
    data = read(rows(tmp_path / "a.txt", labels=["1.0000000e+01", "2", "10", "2.0", "-1", "-1"], separator=" "))
    assert data.classes == ("-1", "2", "10")
    assert (data.targets > 0).argmax(1).tolist() == [2, 1, 2, 1, 0, 0]
    assert (data.targets.sum(1) == -1).all()


def test_nan_at_the_end_of_an_archive_row_is_a_shorter_series(tmp_path):
    series = X.copy()
    series[2, 3:] = np.nan
    data = read(rows(tmp_path / "a.tsv", series, separator="\t"))
    assert np.isnan(data.series[2, :1]).all()
    assert np.array_equal(data.series[2, 1:, 0], X[2, :3])
    with pytest.raises(LabError, match="1 missing or infinite values in sample 3"):
        read(rows(tmp_path / "a.csv", series))
    series[2] = [0, np.nan, 1, 2]
    with pytest.raises(LabError, match="missing"):
        read(rows(tmp_path / "b.tsv", series, separator="\t"))


def test_changed_content_is_read_again(tmp_path):
    path = rows(tmp_path / "a.csv")
    first = read(path)
    assert read(path) is first
    rows(path, X + 1)
    assert np.array_equal(read(path).series, first.series + 1)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def objects(path):
    np.savez(path, X=X, y=np.array([Bomb()] * 6, dtype=object))


def pickled(path):
    path.write_bytes(pickle.dumps(Bomb()))


def sneaky(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../X.npy", b"")


def twice(path):
    buffer = io.BytesIO()
    np.save(buffer, X)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", buffer.getvalue())
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("X.npy", buffer.getvalue())


def cut(path):
    np.savez(path, X=X, y=Y)
    path.write_bytes(path.read_bytes()[:200])


def member(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", b"no array at all")
        archive.writestr("y.npy", b"")


@pytest.mark.parametrize("write", [objects, pickled, sneaky, twice, cut, member])
def test_an_npz_that_is_no_plain_archive_is_refused_and_runs_nothing(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.npz")
    with pytest.raises(LabError, match="path: got"):
        read("a.npz")
    assert not (tmp_path / "exploded").exists()


def test_what_unpacks_to_too_much_is_refused_unread(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", X=np.zeros((1000, 1000)), y=np.zeros(1000))
    monkeypatch.setattr(files, "MOST_BYTES", 10**6)
    assert (tmp_path / "a.npz").stat().st_size < 10**5
    with pytest.raises(LabError, match="unpacks to 8,"):
        read(tmp_path / "a.npz")
    with pytest.raises(LabError, match="bytes; allowed"):
        read(rows(tmp_path / "a.csv", np.zeros((1000, 1000)), ["a", "b"] * 500))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": X}, "with X; allowed: X and y"),
        ({"inputs": X, "labels": Y}, "with inputs, labels"),
        ({"X": X, "y": Y[:5]}, r"labels of shape \(5,\)"),
        ({"X": X[0], "y": Y}, r"inputs of shape \(4,\)"),
        ({"X": X.astype(str), "y": Y}, "type <U"),
        ({"X": X * np.nan, "y": Y}, "missing or infinite values in sample 1"),
        ({"X": X, "y": np.arange(6)}, "6 different labels on 6 training samples"),
        ({"X": X, "y": np.ones(6)}, "1 different labels"),
        ({"X": X, "y": np.full(6, np.nan)}, "without a label"),
        ({"train_inputs": X}, "both or neither of train_labels"),
        ({"train_inputs": X, "train_targets": Y}, "targets of type"),
        ({"train_inputs": X, "train_targets": np.full(6, np.inf)}, "infinite targets"),
        ({"test_inputs": X, "test_labels": Y}, "with test_inputs, test_labels"),
        ({"train_inputs": X, "train_labels": Y, "test_inputs": X, "test_targets": X}, "labels for one split"),
        (
            {"train_inputs": X, "train_labels": Y, "test_inputs": X[:2], "test_labels": Y[:2] + "s"},
            "no training sample",
        ),
        (
            {"train_inputs": X, "train_labels": Y, "test_inputs": X[:2, :, None].repeat(2, 2), "test_labels": Y[:2]},
            "shape",
        ),
    ],
)
def test_arrays_that_make_no_task_are_refused(tmp_path, arrays, message):
    with pytest.raises(LabError, match=message):
        read(npz(tmp_path / "a.npz", **arrays))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "a,1,2\nb,1,x\n", r"'x' in row 2, column 3"),
        ("a.csv", "a,1,2\nb,1,2,3\n", "readable .csv"),
        ("a.csv", "a,5,2\nb,1\n", "missing"),
        ("a.csv", "a,5,2\nb,,3\n", "missing"),
        ("a.csv", "a,5,2\n,2,3\n", "without a label"),
        ("a.csv", "", "readable .csv"),
        ("a.csv", "a\nb\n", "a label and numbers"),
        ("a.csv", "a,1,inf\nb,2,3\n", "infinite"),
        ("a.csv", "label,one,two\n", "a label and numbers"),
        ("a.csv", b"a,1,2\n\xff\xfe,2,3\n", "readable .csv"),
        ("a.txt", "a 1 2\nb 1 x\n", "'x'"),
        ("a.tsv", "1\tNaN\tNaN\n2\t1\t2\n", "missing"),
        ("a.json", "{}", "a file ending in .npz"),
        ("a.pkl", "", "a file ending in"),
    ],
)
def test_rows_that_make_no_task_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(LabError, match=message):
        read(tmp_path / name)


@pytest.mark.parametrize("name", ["none.csv", "folder.csv", "pipe.csv"])
def test_only_files_are_opened(tmp_path, name):
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(LabError, match="a file that is there"):
        read(tmp_path / name)


def test_addresses_are_no_files():
    with pytest.raises(LabError, match="a file that is there"):
        read("http://example.org/a.csv")


@pytest.mark.parametrize(
    ("name", "meant"), [("a.csv", True), ("x/digit", True), ("a.TS", True), ("digits", False), ("GunPoint", False)]
)
def test_a_name_with_a_suffix_or_a_folder_is_a_file(name, meant):
    assert is_file_name(name) == meant
