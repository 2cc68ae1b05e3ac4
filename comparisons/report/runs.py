"""One run as its section of the page shows it: numbers in groups, figures as data, settings, the command to repeat."""

from __future__ import annotations

import base64
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comparisons._outputs import Derived, comparison_of, draw_pictures
from comparisons._report.definitions import background, definitions, meaning, remark
from comparisons._report.trajectories import Explored
from comparisons._shape import Comparison, Number, as_json
from lab.sweeps import Store, signs
from lab.sweeps.cells import canonical, label, plain, varying

#: An svg of more bytes than this gives way to the png.
LARGE = 400_000
#: Failed cells that are told one by one.
TOLD = 12


@dataclass(frozen=True)
class Row:
    """A number as text: its key, value, interval, seeds, and what else is known of it (with the reason, if none)."""

    key: str
    value: str
    interval: str
    seeds: int
    notes: str


@dataclass(frozen=True)
class Picture:
    """A figure as a data URI, its width in CSS pixels, and the text for those who do not see it."""

    name: str
    source: str
    width: int
    alternative: str


@dataclass(frozen=True)
class Run:
    """Everything that the page tells of one run; all of it is plain text that the template escapes.

    Attributes
    ----------
    groups
        Pairs of a definition (or None) and the numbers that it defines, in the order of the conclusion; ``remark``
        holds for all of them.
    state
        "whole", "unfinished" or "empty".
    measured
        Pairs of what was the same for all cells (versions, device, seconds) and its values.
    """

    name: str
    directory: str
    question: str
    asked_by: str
    version: int
    verdict: str
    background: Sequence[str]
    groups: Sequence[tuple[str | None, Sequence[Row]]]
    remark: str
    pictures: Sequence[Picture]
    counts: Mapping[str, int]
    state: str
    failures: Sequence[str]
    settings: Sequence[tuple[str, str]]
    measured: Sequence[tuple[str, str]]
    command: str
    explored: Explored | None


def check(directory: Path) -> tuple[Store, Comparison]:
    """A run directory and its comparison.

    Raises
    ------
    LabError
        If the directory holds no run, or one of a comparison or version that is not here.
    """
    store = Store(directory)
    return store, comparison_of(store)


def gather(store: Store, comparison: Comparison, derived: Derived, explored: Explored | None, style: str) -> Run:
    """Draw what was derived from a run, and put it into words.

    Parameters
    ----------
    store, comparison
        As `check` gives them.
    derived, explored
        What the cells say, and what of their trajectories the page shows.
    style
        Of the figures.
    """
    manifest = store.manifest
    records = [record for cell in derived.results.cells if (record := store.record(cell)) is not None]
    return Run(
        name=manifest["comparison"],
        directory=str(store.directory),
        question=comparison.question,
        asked_by=comparison.asked_by,
        version=comparison.version,
        verdict=derived.conclusion.verdict,
        background=background(comparison),
        groups=list(grouped(derived.conclusion.numbers, comparison)),
        remark=remark(comparison),
        pictures=_pictures(comparison, derived, style),
        counts=derived.counts,
        state=_state(derived.counts),
        failures=_failures(store),
        settings=[(name, in_words(value)) for name, value in manifest["settings"].items()],
        measured=_measured(records),
        command=command(comparison, manifest, str(store.directory), records),
        explored=explored,
    )


def grouped(numbers: Mapping[str, Number], comparison: Comparison) -> Iterable[tuple[str | None, list[Row]]]:
    """Numbers under what they mean, both in the order in which they first come; what is nowhere defined is last."""
    known = definitions(comparison)
    groups: dict[str | None, list[Row]] = {}
    for key, number in numbers.items():
        found = meaning(key, known)
        groups.setdefault(None if found is None else found.text, []).append(_row(key, number))
    yield from sorted(groups.items(), key=lambda group: group[0] is None)


def _row(key: str, number: Number) -> Row:
    there = number.value is not None and math.isfinite(number.value)
    notes = [
        f"{name.replace('_', ' ')}: {in_words(plain(value), exact=False)}" for name, value in number.details.items()
    ]
    if not there:
        notes.insert(0, number.reason or "no reason given")
    ends = number.interval if there and number.interval is not None else ()
    interval = " to ".join(digits(end) for end in ends) if all(math.isfinite(end) for end in ends) else ""
    return Row(key, digits(number.value) if there else "none", interval, number.seeds, "; ".join(notes))


def digits(value: float | None) -> str:
    """A number to four digits, with a proper minus sign and powers of ten."""
    if value is None or not math.isfinite(value):
        return "none"
    text = f"{value:.4g}"
    mantissa, _, exponent = text.partition("e")
    power = f"×10{str(int(exponent)).translate(_RAISED)}" if exponent else ""
    return mantissa.replace("-", "−") + power


_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def in_words(value: Any, *, exact: bool = True) -> str:
    """A JSON value as people write it; floats in full if ``exact``, else to four digits."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        short = not exact or float(f"{value:.4g}") == value
        return digits(value) if short else repr(value).replace("-", "−")
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {in_words(entry, exact=exact)}" for name, entry in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(in_words(entry, exact=exact) for entry in value)
    return str(value)


def _state(counts: Mapping[str, int]) -> str:
    absent = counts["missing"] + counts["failed"]
    if not absent:
        return "whole"
    return "empty" if absent == counts["total"] else "unfinished"


def _failures(store: Store) -> list[str]:
    """Cells that failed, with the kind of their error; its words may name places of the machine."""
    cells = store.manifest["cells"]
    telling, told = varying(cells), []
    for cell in cells:
        error = signs.failure(store.directory, store.key(cell))
        if error is not None and not store.whole(cell):
            shown = label({name: cell[name] for name in telling if name in cell})
            told.append(f"{shown}: {error.partition(':')[0]}".lstrip(": "))
    more = [f"and {len(told) - TOLD} more"] if len(told) > TOLD else []
    return told[:TOLD] + more


def _pictures(comparison: Comparison, derived: Derived, style: str) -> list[Picture]:
    drawn = draw_pictures(comparison, derived, style, outlines=True)
    return [
        Picture(name, *_source(files), f"{comparison.question} Figure “{name}”. {derived.conclusion.verdict}")
        for name, files in drawn.items()
    ]


def _source(files: Mapping[str, bytes]) -> tuple[str, int]:
    """Data URI of the svg, or of the png if that is much smaller, and the width that the svg asks for in pixels."""
    width = re.search(rb'<svg[^>]*?\swidth="([0-9.]+)pt"', files["svg"])
    kind, suffix = ("image/png", "png") if len(files["svg"]) > LARGE else ("image/svg+xml", "svg")
    packed = base64.b64encode(files[suffix]).decode("ascii")
    return f"data:{kind};base64,{packed}", round(float(width[1]) * 96 / 72) if width else 800


def _measured(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Versions, device and threads that cells were measured with; several where they differ."""
    if not records:
        return []
    found: dict[str, dict[str, None]] = {}
    for record in records:
        facts = {**(record.get("versions") or {}), "device": record.get("device"), "threads": record.get("threads")}
        for name, value in facts.items():
            found.setdefault(name, {})[in_words(value)] = None
    seconds = sum(float(record["seconds"]) for record in records)
    told = [(name, " and ".join(values)) for name, values in found.items()]
    return [*told, ("seconds in all cells", digits(seconds))]


def command(
    comparison: Comparison, manifest: Mapping[str, Any], directory: str, records: Sequence[Mapping[str, Any]] = ()
) -> str:
    """The command line that measures a run again: the nearest preset, and a flag for each setting that differs."""
    settings = manifest["settings"]
    presets = {name: plain(as_json(preset)) for name, preset in comparison.PRESETS.items()}
    ordered = sorted(presets, key=lambda name: name != "default")
    preset = min(ordered, key=lambda name: len(_flags(settings, presets[name])))
    words = ["lazylab", "run", manifest["comparison"], *([] if preset == "default" else ["--preset", preset])]
    words += [word for flag in _flags(settings, presets[preset]) for word in flag]
    for name, usual in (("device", "cpu"), ("threads", 1)):
        used = {record.get(name) for record in records}
        words += [f"--{name}", str(*used)] if len(used) == 1 and used != {usual} else []
    return shlex.join([*words, "--out", directory])


def _flags(settings: Mapping[str, Any], preset: Mapping[str, Any]) -> list[list[str]]:
    """Words of each flag that turns a preset into these settings."""
    differing = [name for name, value in settings.items() if canonical(preset.get(name)) != canonical(value)]
    return [_flag(name.replace("_", "-"), settings[name]) for name in differing]


def _flag(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    values = value if isinstance(value, list) else [value]
    return [f"--{name}", *map(str, values)]
