"""Do two versions of the comparisons give the same numbers? Records runs and compares them to the bit.

    git worktree add ../old 39e6810
    PYTHONPATH=../old python -m tests.benchmarks.unchanged record old
    python -m tests.benchmarks.unchanged record new
    python -m tests.benchmarks.unchanged compare old new

``record`` runs every comparison in its fast preset and ``width`` in its default one, with whichever version Python
imports. ``compare`` reads ``table.csv`` as text, columns ending in "seconds" left out, and the values, intervals, seeds
and details of every key in ``summary.json``; reasons and verdicts are prose, and changes there are only listed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd

DEFAULT = "width-default"


def record(directory: Path, names: list[str]) -> int:
    """Run everything into a directory, or the named comparisons alone; resumes what is there."""
    place = "comparisons.cli.command" if importlib.util.find_spec("comparisons.cli") else "comparisons._command"
    main = importlib.import_module(place).main
    fast = directory / "fast"
    runs = [["run", name, "--preset", "fast", "--out", str(fast / name)] for name in names]
    if not names:
        runs.append(["run", "all", "--preset", "fast", "--out", str(fast)])
        runs.append(["run", "width", "--out", str(directory / DEFAULT)])
    return max(main(arguments) for arguments in runs)


def compare(old: Path, new: Path, names: list[str]) -> int:
    """Print every difference; 1 if there is one that counts."""
    runs = sorted(path.parent.relative_to(old) for path in old.rglob("summary.json"))
    runs = [run for run in runs if not names or run.name in names]
    found = {str(run): [*_tables(old / run, new / run), *_numbers(old / run, new / run)] for run in runs}
    for run, differences in found.items():
        print(f"{run}: {'; '.join(differences[:8]) or 'the same'}")
        for line in _prose(old / run, new / run):
            print(f"    {line}")
    return int(any(found.values()))


def _tables(old: Path, new: Path) -> list[str]:
    if not (new / "table.csv").exists():
        return ["there is no new run"]
    tables = [pd.read_csv(place / "table.csv", dtype=str, keep_default_na=False) for place in (old, new)]
    kept = [table[[name for name in table if not name.endswith("seconds")]] for table in tables]
    if list(kept[0]) != list(kept[1]):
        return [f"columns: {list(kept[0])} and {list(kept[1])}"]
    if len(kept[0]) != len(kept[1]):
        return [f"rows: {len(kept[0])} and {len(kept[1])}"]
    return [f"column {name}" for name in kept[0] if not kept[0][name].equals(kept[1][name])]


def _summary(place: Path) -> dict[str, Any]:
    path = place / "summary.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"numbers": {}, "verdict": ""}


def _numbers(old: Path, new: Path) -> list[str]:
    one, other = (_summary(place)["numbers"] for place in (old, new))
    keys = [f"key {key} is in one run alone" for key in sorted(set(one) ^ set(other))]
    return keys + [f"number {key}" for key in one if key in other and _bare(one[key]) != _bare(other[key])]


def _bare(number: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in number.items() if name != "reason"}


def _prose(old: Path, new: Path) -> list[str]:
    one, other = _summary(old), _summary(new)
    shared = [key for key in one["numbers"] if key in other["numbers"]]
    texts = {key: [run["numbers"][key].get("reason") for run in (one, other)] for key in shared}
    texts["verdict"] = [one["verdict"], other["verdict"]]
    return [f"{key}: {was!r} -> {now!r}" for key, (was, now) in texts.items() if was != now]


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=["record", "compare"])
    parser.add_argument("directories", nargs="+", type=Path, help="one to record, two to compare")
    parser.add_argument("--only", nargs="*", default=[], help="names of comparisons")
    asked = parser.parse_args()
    jobs = {"record": (record, 1), "compare": (compare, 2)}
    job, wanted = jobs[asked.job]
    if len(asked.directories) != wanted:
        parser.error(f"{asked.job} takes {wanted} directories")
    return job(*asked.directories, asked.only)


if __name__ == "__main__":
    sys.exit(main())
