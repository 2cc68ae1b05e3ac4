"""One torch thread, and property tests that try the same cases on every machine."""

import pytest
import torch
from hypothesis import HealthCheck, settings

settings.register_profile(
    "lab", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("lab")
torch.set_num_threads(1)  # two processes of two threads each crawl; fixtures of a module begin before those of a test


@pytest.fixture(autouse=True)
def _one_thread():
    """Start every test on one torch thread; what a test sets is undone."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
