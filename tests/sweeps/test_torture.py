"""A few kills here; ``python -m tests.benchmarks.torture --kills 25`` for more."""

from pathlib import Path

import pytest

from tests.benchmarks.torture import torture


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="asks /proc which workers live")
def test_kills_at_random_moments_change_nothing(tmp_path):
    counts = torture(tmp_path, kills=4, seed=1)
    assert counts["parents"] + counts["workers"] == 4
