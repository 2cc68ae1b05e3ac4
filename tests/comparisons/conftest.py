"""The toy, for tests of everything around comparisons."""

import shutil
import sys
from pathlib import Path

import pytest

import comparisons

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
