"""One browser for the tests of the playground."""

import pytest

from tests.comparisons.report.test_page import CHROMIUM, QUIET


@pytest.fixture(scope="package")
def browser():
    """A Chromium without a window."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium), nothing to run the playground in")
    api = pytest.importorskip("playwright.sync_api", reason="playwright comes with the extra [test]")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()
