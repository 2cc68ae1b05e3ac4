import hashlib
import json

import numpy as np
import pytest

from lab import LabError, LabWarning
from lab.sweeps import Store, load
from tests.sweeps.toys import claimed, make_cells, measure


@pytest.fixture
def cells(tmp_path):
    return make_cells(tmp_path / "log")


@pytest.fixture
def store(tmp_path, cells):
    store = claimed(tmp_path / "run", cells)
    for cell in cells[:3]:
        store.commit(cell, *measure(cell), seconds=0.5, threads=1, device="cpu")
    return store


def test_a_cell_says_what_it_is_and_how_it_was_measured(store, cells):
    record = json.loads(store.path(cells[0], "json").read_text())
    names = "comparison version cell row arrays seconds host threads device versions"
    assert sorted(record) == sorted(names.split())
    assert record["cell"] == cells[0]
    assert record["row"]["gone"] is None
    assert record["arrays"]["bytes"] == store.path(cells[0], "npz").stat().st_size


def test_arrays_come_back_exactly(store, cells):
    arrays = store.arrays(cells[1])
    np.testing.assert_array_equal(arrays["noise"], measure(cells[1])[1]["noise"])
    assert arrays["name"].tolist() == ["a", "b"]


def test_arrays_of_a_cell_that_is_not_there_are_refused(store, cells):
    with pytest.raises(LabError, match="number 3"):
        store.arrays(cells[3])


def test_objects_are_refused_and_leave_nothing(store, cells):
    with pytest.raises(LabError, match="objects in bad"):
        store.commit(cells[3], {}, {"bad": np.array([object()])}, seconds=0, threads=1, device="cpu")
    assert store.missing(cells) == [cells[3]]
    assert not list(store.directory.rglob("*.tmp"))


def test_cells_without_arrays_are_whole(store, cells):
    store.commit(cells[3], {"number": 3}, {}, seconds=0, threads=1, device="cpu")
    assert store.arrays(cells[3]) == {}
    assert store.missing(cells) == []


def test_table_has_one_row_per_cell_in_the_order_asked(store, cells):
    table = store.table(cells[::-1])
    assert table["number"].tolist() == [2, 1, 0]
    assert list(table.columns) == ["number", "norm", "odd", "gone", "seconds"]
    assert table["gone"].dtype == float


def test_table_of_nothing_is_empty(store, cells):
    assert len(store.table(cells[3:])) == 0


def test_equal_cells_are_equal_files(store, cells):
    before = store.path(cells[0], "npz").read_bytes()
    store.commit(cells[0], *measure(cells[0]), seconds=0.5, threads=1, device="cpu")
    assert store.path(cells[0], "npz").read_bytes() == before


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("suffix", ["json", "npz"])
@pytest.mark.parametrize("damage", [_truncate, lambda path: path.write_bytes(b"")])
def test_a_damaged_cell_is_named_and_missing(store, cells, suffix, damage):
    damage(store.path(cells[1], suffix))
    with pytest.warns(LabWarning, match=r"damaged.*number 1"):
        assert store.missing(cells) == [cells[1], cells[3]]


def test_one_flipped_bit_is_damage(store, cells):
    _flip(store.path(cells[1], "npz"))
    with pytest.warns(LabWarning, match="npz is damaged"):
        assert store.record(cells[1]) is None


def test_json_without_npz_is_damage(store, cells):
    store.path(cells[1], "npz").unlink()
    with pytest.warns(LabWarning, match="npz is not there"):
        assert store.record(cells[1]) is None


def test_json_of_another_cell_is_damage(store, cells):
    for suffix in ("npz", "json"):
        store.path(cells[0], suffix).replace(store.path(cells[1], suffix))
    with pytest.warns(LabWarning, match="another cell"):
        assert store.record(cells[1]) is None


def test_npz_without_json_is_simply_missing(store, cells):
    store.path(cells[1], "json").unlink()
    assert store.missing(cells) == [cells[1], cells[3]]


def test_a_crash_between_the_two_files_commits_nothing(store, cells, monkeypatch):
    def crash(*_):
        raise OSError("no space left")

    monkeypatch.setattr("lab.sweeps.store.os.fsync", crash)
    with pytest.raises(OSError, match="no space"):
        store.commit(cells[1], *measure(cells[1]), seconds=0.5, threads=1, device="cpu")
    assert store.missing(cells) == [cells[1], cells[3]]
    assert not list(store.directory.rglob("*.tmp"))


def test_grid_fields_may_change(store, cells):
    more = make_cells(cells[0]["log"], count=6)
    again = claimed(store.directory, more)
    assert len(again.missing(more)) == 3
    assert Store(store.directory).manifest["settings"]["count"] == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": 2.0}, "scale is 1.0 there and 2.0 here"),
        ({"version": 2}, "version is 1 there and 2 here"),
        ({"extra": 1}, "extra is None there and 1 here"),
    ],
)
def test_any_other_difference_is_refused_and_named(store, cells, change, message):
    before = (store.directory / "settings.json").read_bytes()
    with pytest.raises(LabError, match=message) as refusal:
        claimed(store.directory, cells, **change)
    assert "choose another `out`" in str(refusal.value)
    assert (store.directory / "settings.json").read_bytes() == before


def test_another_comparison_is_refused(store, cells):
    with pytest.raises(LabError, match="comparison is 'toys' there and 'depth' here"):
        Store(store.directory).claim("depth", 1, {}, (), cells)


def test_a_file_in_the_way_is_refused(tmp_path, cells):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(LabError, match="a directory to write"):
        claimed(tmp_path / "file", cells)


def test_load_gives_table_and_arrays(store):
    results = load(store.directory)
    assert results.table["number"].tolist() == [0, 1, 2]
    assert results.arrays(number=2)["noise"].shape == (40, 40)


@pytest.mark.parametrize(("fields", "count"), [({"number": 7}, 0), ({"trouble": ""}, 3), ({"nothing": 1}, 0)])
def test_fields_of_no_cell_or_of_many_are_refused(store, fields, count):
    with pytest.raises(LabError, match=f"which {count} cells have"):
        load(store.directory).arrays(**fields)


def test_what_is_no_run_is_refused_with_the_runs_nearby(store):
    with pytest.raises(LabError, match=f"choose one of.*{store.directory.name}"):
        load(store.directory.parent)


def test_a_whole_cell_is_hashed_once_by_one_store(store, cells, monkeypatch):
    hashed = []
    true = hashlib.sha256
    monkeypatch.setattr("lab.sweeps.store.hashlib.sha256", lambda content: hashed.append(len(content)) or true(content))
    again = claimed(store.directory, cells)
    for _ in range(2):
        assert len(again.missing(cells)) == 1
        assert again.results(cells).read(cells[0])["noise"].shape == (40, 40)
    assert sum(size > 10_000 for size in hashed) == 3  # one for each committed cell; keys are short
