"""The toy, for tests of everything around comparisons, and small runs of all comparisons."""

import functools
import os
import shutil
import sys
from pathlib import Path

import pytest

import comparisons
from tests.comparisons.small import SMALL

HERE = Path(__file__).parent


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The toy among the comparisons of this process, and an empty current folder."""
    (tmp_path / "more").mkdir()
    shutil.copy(HERE / "toy.py", tmp_path / "more")
    monkeypatch.setattr(comparisons, "__path__", [*comparisons.__path__, str(tmp_path / "more")])
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    if sys.modules.pop("comparisons.toy", None):
        del comparisons.toy


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """The run of a comparison with its SMALL settings: cells are measured once for all processes of a session."""
    home = tmp_path_factory.getbasetemp()
    home = home.parent if "PYTEST_XDIST_WORKER" in os.environ else home

    @functools.cache
    def run(name):
        place = home / "small" / name
        if (place / "summary.json").exists():  # another process was first
            return comparisons.load(place)
        return comparisons.run(name, "fast", place, executor="serial", progress=False, **SMALL[name])

    return run
