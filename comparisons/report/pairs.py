"""Runs of one comparison beside each other: the settings in which they differ, and their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from comparisons.kit.keys import Key
from comparisons.kit.numbers import Number
from comparisons.report.numbers import digits, in_words, interval
from comparisons.report.runs import name_of
from comparisons.runs.outputs import Run
from lab.sweeps.cells import varying

Line = tuple[str, Sequence[str]]  #: a name, and its value in each run


@dataclass(frozen=True)
class Beside:
    """Two or more runs of one comparison.

    Attributes
    ----------
    places
        Places of the runs on the page, from 1.
    settings
        Settings in which they differ, with the value of each run.
    main, numbers
        Pairs of a definition and the numbers that have it, with the value and interval of each run: of those that one
        of the verdicts states, and of all.
    """

    name: str
    places: Sequence[int]
    directories: Sequence[str]
    settings: Sequence[Line]
    main: Sequence[tuple[str, Sequence[Line]]]
    numbers: Sequence[tuple[str, Sequence[Line]]]


def beside(runs: Sequence[Run]) -> list[Beside]:
    """One entry for every comparison that has several of the runs, which are in the order of the page."""
    groups: dict[str, list[int]] = {}
    for place, run in enumerate(runs):
        groups.setdefault(name_of(run), []).append(place)
    return [_compare(name, places, [runs[place] for place in places]) for name, places in groups.items() if places[1:]]


def _compare(name: str, places: Sequence[int], runs: Sequence[Run]) -> Beside:
    numbers = [run.conclusion.numbers for run in runs]
    main = dict.fromkeys(key for run in runs for key in run.headlines)
    settings = [run.settings for run in runs]
    return Beside(
        name=name,
        places=[place + 1 for place in places],
        directories=[str(run.directory) for run in runs],
        settings=[(field, [in_words(each.get(field)) for each in settings]) for field in varying(settings)],
        main=_lines(main, numbers),
        numbers=_lines(dict.fromkeys(key for each in numbers for key in each), numbers),
    )


def _lines(keys: Mapping[Key, None], numbers: Sequence[Mapping[Key, Number]]) -> list[tuple[str, list[Line]]]:
    """Values of these numbers in each run, under their definitions."""
    groups: dict[str, list[Line]] = {}
    for key in keys:
        groups.setdefault(key.meaning, []).append((str(key), [_value(each.get(key)) for each in numbers]))
    return list(groups.items())


def _value(number: Number | None) -> str:
    """A number with its interval; a dash where a run does not have it."""
    if number is None:
        return "–"
    ends = interval(number)
    return digits(number.value) + (f" ({ends})" if ends else "")
