"""One run as a section of the page: numbers in groups, figures as data, settings, the command that repeats it."""

from __future__ import annotations

import base64
import inspect
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from comparisons.kit.comparison import Comparison
from comparisons.kit.keys import Key
from comparisons.kit.numbers import Number
from comparisons.kit.settings import as_json
from comparisons.report.trajectories import Explored
from comparisons.runs.outputs import Run, pictures
from lab.sweeps import Store, signs
from lab.sweeps.cells import canonical, label, plain, varying

#: An svg of more bytes than this gives way to the png.
LARGE = 400_000
#: Failed cells that are listed.
LISTED = 12


@dataclass(frozen=True)
class Row:
    """A number as text: key, value, interval, seeds, and notes (the reason where there is no value, and details)."""

    key: str
    value: str
    interval: str
    seeds: int
    notes: str


@dataclass(frozen=True)
class Picture:
    """A figure as a data URI, its width in CSS pixels, and its alternative text."""

    name: str
    source: str
    width: int
    alternative: str


@dataclass(frozen=True)
class Section:
    """Everything that the page shows of one run, as plain text that the template escapes.

    Attributes
    ----------
    groups
        Pairs of a definition and the numbers that have it, in the order of the conclusion.
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
    groups: Sequence[tuple[str, Sequence[Row]]]
    pictures: Sequence[Picture]
    counts: Mapping[str, int]
    state: str
    failures: Sequence[str]
    settings: Sequence[tuple[str, str]]
    measured: Sequence[tuple[str, str]]
    command: str
    explored: Explored | None


def gather(run: Run, explored: Explored | None, style: str) -> Section:
    """Draw a run and put it into words.

    Parameters
    ----------
    run
        What the cells of a directory say.
    explored
        The part of its trajectories that the page shows.
    style
        Of the figures.
    """
    manifest, comparison = run.store.manifest, run.comparison
    records = [record for cell in run.results.cells if (record := run.store.record(cell)) is not None]
    return Section(
        name=manifest["comparison"],
        directory=str(run.directory),
        question=comparison.question,
        asked_by=comparison.asked_by,
        version=comparison.version,
        verdict=run.verdict,
        background=background(comparison),
        groups=grouped(run.conclusion.numbers),
        pictures=_pictures(run, style),
        counts=run.counts,
        state=_state(run.counts),
        failures=_failures(run.store),
        settings=[(name, in_words(value)) for name, value in manifest["settings"].items()],
        measured=_measured(records),
        command=command(comparison, manifest, str(run.directory), records),
        explored=explored,
    )


def background(comparison: object) -> list[str]:
    """Paragraphs of a module's docstring after its first line; a formula, which is indented, keeps its lines."""
    paragraphs = inspect.cleandoc(getattr(comparison, "__doc__", None) or "").split("\n\n")[1:]
    return [each if each.startswith("    ") else _without_marks(" ".join(each.split())) for each in paragraphs]


def _without_marks(text: str) -> str:
    """Text without the marks of code."""
    return text.replace("`", "")


def grouped(numbers: Mapping[Key, Number]) -> list[tuple[str, list[Row]]]:
    """Numbers under their definitions, both in the order in which they first come."""
    groups: dict[str, list[Row]] = {}
    for key, number in numbers.items():
        groups.setdefault(key.meaning, []).append(_row(str(key), number))
    return list(groups.items())


def _row(key: str, number: Number) -> Row:
    known = number.value is not None and math.isfinite(number.value)
    notes = [
        f"{name.replace('_', ' ')}: {in_words(plain(value), exact=False)}" for name, value in number.details.items()
    ]
    if not known:
        notes.insert(0, number.reason or "no reason given")
    ends = number.interval if known and number.interval is not None else ()
    interval = " to ".join(digits(end) for end in ends) if all(math.isfinite(end) for end in ends) else ""
    return Row(key, digits(number.value) if known else "none", interval, number.seeds, "; ".join(notes))


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
    """Cells that failed, with the kind of their error: its message may hold paths of the machine."""
    cells = store.manifest["cells"]
    fields, failed = varying(cells), []
    for cell in cells:
        error = signs.failure(store.directory, store.key(cell))
        if error is not None and not store.whole(cell):
            shown = label({name: cell[name] for name in fields if name in cell})
            failed.append(f"{shown}: {error.partition(':')[0]}".lstrip(": "))
    more = [f"and {len(failed) - LISTED} more"] if len(failed) > LISTED else []
    return failed[:LISTED] + more


def _pictures(run: Run, style: str) -> list[Picture]:
    question, verdict = run.comparison.question, run.verdict
    return [
        Picture(name, *_source(files), f"{question} Figure “{name}”. {verdict}")
        for name, files in pictures(run, style, outlines=True).items()
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
    measured = [(name, " and ".join(values)) for name, values in found.items()]
    return [*measured, ("seconds in all cells", digits(seconds))]


def command(
    comparison: Comparison, manifest: Mapping[str, Any], directory: str, records: Sequence[Mapping[str, Any]] = ()
) -> str:
    """The command line that measures a run again: the nearest preset, and a flag for each setting that differs."""
    settings = manifest["settings"]
    presets = {name: plain(as_json(preset)) for name, preset in comparison.PRESETS.items()}
    ordered = sorted(presets, key=lambda name: name != "default")
    preset = min(ordered, key=lambda name: len(_flags(settings, presets[name])))
    words = [
        "lazylab",
        "run",
        manifest.get("source") or manifest["comparison"],
        *([] if preset == "default" else ["--preset", preset]),
    ]
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
