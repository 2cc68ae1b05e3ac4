"""Sets that aeon ships: found without importing it, refused with the fix."""

import sys

import numpy as np
import pytest

from lab.data import archive
from lab.errors import LabError


def test_the_files_of_a_set_lie_where_aeon_is(tmp_path, monkeypatch):
    place = tmp_path / "aeon" / "datasets" / "data" / "GunPoint"
    place.mkdir(parents=True)
    (tmp_path / "aeon" / "__init__.py").write_text("raise SystemExit('it was imported')")
    (place / "GunPoint_TRAIN.ts").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "aeon", raising=False)
    assert archive.is_installed()
    assert archive.missing("GunPoint") is None
    assert archive.path("GunPoint") == place / "GunPoint_TRAIN.ts"
    with pytest.raises(LabError, match="a set that the installed aeon ships"):
        archive.path("ArrowHead")


def test_without_aeon_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(archive.importlib.util, "find_spec", lambda name: None)
    assert not archive.is_installed()
    assert archive.missing("GunPoint") == "GunPoint needs pip install 'lazylab[data]'"
    assert archive.missing("digits") is None
    with pytest.raises(LabError, match=r"aeon is not installed. Fix: pip install 'lazylab\[data\]'"):
        archive.path("GunPoint")


@pytest.mark.parametrize("name", ["Coffee", "../GunPoint", "", "gunpoint"])
def test_sets_that_would_have_to_be_downloaded_are_refused(name):
    with pytest.raises(LabError, match="one of ACSF1, ArrowHead"):
        archive.path(name)


@pytest.mark.parametrize("name", archive.BUNDLED)
def test_the_sizes_are_those_of_the_files(name):
    pytest.importorskip("aeon")
    data = archive.load(name)
    shape = archive.BUNDLED[name]
    assert (data.train, len(data.series) - data.train, *data.series.shape[1:]) == (
        shape.train,
        shape.test,
        shape.length,
        shape.features,
    )
    assert len(data.classes) == shape.classes
    assert np.isnan(data.series).any() == (name in ("JapaneseVowels", "PickupGestureWiimoteZ"))
