"""One browser and one page for the tests of the playground."""

import re

import pytest

from comparisons.cli.command import main
from comparisons.play.page import HOME
from comparisons.report.writing import static
from tests.comparisons.report.test_page import CHROMIUM, QUIET, offline


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


@pytest.fixture(scope="package")
def engine(browser):
    """An empty page with the engine, the tasks and the stories."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.add_script_tag(content="\n".join(static(HOME, f"{name}.js") for name in ("engine", "tasks", "stories")))
    yield page
    context.close()


@pytest.fixture(scope="package")
def file(tmp_path_factory):
    """The page, written by the command."""
    out = tmp_path_factory.mktemp("play") / "play.html"
    assert main(["play", "--out", str(out)]) == 0
    return out


@pytest.fixture
def visit(browser, file):
    """Open the playground `offline`."""
    with offline(browser, file, "body[data-frames]", "blob:") as opener:
        yield opener


def at(tab, number):
    """Wait for this step."""
    tab.locator("#step", has_text=re.compile(rf"^step {number}$")).wait_for()
