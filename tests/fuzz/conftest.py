"""How many inputs this suite tried, printed at the end."""

from collections import Counter

import pytest

from tests.fuzz.cases import COUNTS


@pytest.fixture(autouse=True)
def _counted(record_property):
    """Send what a test tried along with its report: it may run in another process."""
    before = COUNTS.copy()
    yield
    for name, count in (COUNTS - before).items():
        record_property(name, count)


def pytest_terminal_summary(terminalreporter):
    """One line with the sums."""
    reports = [report for group in terminalreporter.stats.values() for report in group if is_ours(report)]
    tried = Counter()
    for report in reports:
        if report.when == "teardown":
            tried.update(dict(report.user_properties))
    if tried:
        failed = sum(report.failed for report in reports)
        counts = ", ".join(f"{count} {name}" for name, count in sorted(tried.items()))
        terminalreporter.write_line(f"bad inputs: {counts}; {failed} tests of them failed")


def is_ours(report):
    """Whether this is the report of a test in this folder."""
    return "tests/fuzz/" in getattr(report, "nodeid", "") and hasattr(report, "when")
