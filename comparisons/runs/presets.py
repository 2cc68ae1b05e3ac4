"""Settings in terms of the presets: the nearest one, and what differs from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comparisons.kit.comparison import Comparison
from comparisons.kit.settings import as_json
from lab.sweeps.cells import canonical, plain


def nearest(comparison: Comparison, settings: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The preset from which the fewest of ``settings`` (as JSON) differ, and those; "default" among equals."""
    changes = {
        name: differing(settings, plain(as_json(preset)))
        for name, preset in sorted(comparison.PRESETS.items(), key=lambda entry: entry[0] != "default")
    }
    name = min(changes, key=lambda preset: len(changes[preset]))
    return name, changes[name]


def differing(settings: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``settings`` (as JSON) that have another value in ``others``, or none."""
    return {
        name: value
        for name, value in settings.items()
        if name not in others or canonical(value) != canonical(others[name])
    }


def as_flags(settings: Mapping[str, Any]) -> list[str]:
    """The words of the command line that set these settings."""
    return [word for name, value in settings.items() for word in _flag(name.replace("_", "-"), value)]


def _flag(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    values = value if isinstance(value, list) else [value]
    return [f"--{name}", *map(str, values)]
