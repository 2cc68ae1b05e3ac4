"""The command line that measures a run again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from comparisons.kit.comparison import Comparison
from comparisons.runs.presets import as_flags, nearest


def command(
    comparison: Comparison, manifest: Mapping[str, Any], directory: str, records: Sequence[Mapping[str, Any]] = ()
) -> str:
    """The command line that measures a run again: the nearest preset, and a flag for each setting that differs."""
    preset, changes = nearest(comparison, manifest["settings"])
    name = manifest.get("source") or manifest["comparison"]
    words = ["lazylab", "run", name, *([] if preset == "default" else ["--preset", preset]), *as_flags(changes)]
    for option, usual in (("device", "cpu"), ("threads", 1)):
        used = {record.get(option) for record in records}
        words += [f"--{option}", str(*used)] if len(used) == 1 and used != {usual} else []
    return shlex.join([*words, "--out", directory])
