"""Settings in terms of the presets: the nearest one, and what differs from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comparisons.kit.comparison import Comparison
from comparisons.kit.settings import as_json, with_values
from lab.sweeps.cells import plain, varying


def nearest(comparison: Comparison, settings: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The preset from which the fewest of ``settings`` (as JSON) differ, and those; "default" among equals."""
    changes = {}
    for name in sorted(comparison.PRESETS, key=lambda name: name != "default"):
        fields = varying([settings, plain(as_json(comparison.PRESETS[name]))])
        changes[name] = {field: settings[field] for field in fields if field in settings}
    name = min(changes, key=lambda name: len(changes[name]))
    asked = with_values(comparison.PRESETS[name], changes[name], "")  # some settings change others that are not given
    implied = varying([settings, plain(as_json(asked))])
    return name, changes[name] | {field: settings[field] for field in implied if field in settings}


def as_flags(settings: Mapping[str, Any]) -> list[str]:
    """The words of the command line that set these settings."""
    return [word for name, value in settings.items() for word in _flag(name.replace("_", "-"), value)]


def _flag(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    values = value if isinstance(value, list) else [value]
    return [f"--{name}", *map(str, values)]
