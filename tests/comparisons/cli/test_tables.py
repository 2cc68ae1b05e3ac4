"""Text and tables fit the terminal, and lose neither a number nor a definition."""

import pytest

from comparisons.cli.numbers import describe_numbers, paragraph
from comparisons.kit.keys import Quantity
from comparisons.kit.numbers import Number

GAP = Quantity("gap_test", meaning=" ".join(["The largest gap on the test set in units of the targets;"] * 3))
LIMIT = Quantity("limit", meaning="The largest rate.")
NUMBERS = {
    GAP(64): Number(0.36812, (0.29, 0.45), 5),
    LIMIT(): Number.none("2 of 3 seeds are left censored at 0.1, which is the smallest rate of all that were tried"),
    GAP(1024): Number(-3e-7, None, 12),
}


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_table_is_no_wider_than_the_terminal(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = describe_numbers(NUMBERS)
    assert max(map(len, lines)) <= columns
    rows = [" ".join(line.split()) for line in lines if line.startswith("  ")]
    assert rows[:3] == [
        "number value 95 % interval seeds",
        "gap_test.64 0.3681 0.29 to 0.45 5",
        "gap_test.1024 −3×10⁻⁷ 12",
    ]
    assert rows[3].startswith("limit none 2 of 3 seeds are left")
    definition = " ".join(" ".join(lines[1:-4]).split())
    assert definition == GAP.meaning  # once, though two numbers that are apart have it


def test_columns_of_a_table_stand_below_each_other(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    heading, *lines = describe_numbers(NUMBERS)
    one, other = (line for line in lines if "gap_test" in line)
    assert {len(heading), len(one), len(other)} == {len(heading)}
    assert one.index("0.29 to") == heading.index("95 %")


def test_a_paragraph_keeps_numbers_with_their_percent_and_paths_whole(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    text = "It falls to about 12 % of a/very/long/path-with-hyphens/in/it.png."
    lines = paragraph(text).splitlines()
    assert lines == ["It falls to about", "12 % of", "a/very/long/path-with-hyphens/in/it.png."]
    assert paragraph("one two three four five", 4).splitlines() == ["one two three four", "    five"]
