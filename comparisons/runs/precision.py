"""Seeds until the headline numbers are precise enough, in two stages (Stein 1945).

A pilot with few seeds says how much each headline number varies. From that alone follows how many seeds are needed, so
that when the run stops does not depend on where the numbers are. The interval of a headline number is then that of the
pilot, shortened by the root of how many times as many seeds there are, about the value over all seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from comparisons.kit.comparison import Comparison, Conclusion, headlines
from comparisons.kit.keys import Key
from comparisons.kit.numbers import Number
from comparisons.kit.seeds import COUNTS_SEEDS
from comparisons.kit.settings import Settings
from comparisons.kit.values import constraints, hints_of
from comparisons.kit.wording import first_few, format_value

if TYPE_CHECKING:
    import pandas as pd

PILOT = 5  #: seeds of a pilot, at least
MOST = 400.0  #: times as many seeds as the pilot has
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Aim:
    """How precise the headline numbers should be.

    Attributes
    ----------
    half_width
        Of their intervals: absolute for slopes and differences, of the log for positive quantities, of the logit for
        shares.
    minutes
        On the clock for the whole run; None for as long as it takes.
    """

    half_width: float
    minutes: float | None = None


def seed_counts(settings: Settings) -> dict[str, tuple[int, ...]]:
    """The settings that count seeds, by name."""
    hints = hints_of(type(settings))
    names = [entry.name for entry in fields(settings) if COUNTS_SEEDS in constraints(hints[entry.name])[1]]
    found = {name: getattr(settings, name) for name in names}
    return {name: each if isinstance(each, tuple) else (each,) for name, each in found.items()}


def times_as_many(settings: Settings, factor: float = 1.0) -> Settings:
    """Settings with so many times as many seeds, rounded up, and with `PILOT` of each or more."""
    changes: dict[str, Any] = {}
    for name, counts in seed_counts(settings).items():
        more = tuple(math.ceil(max(count, PILOT) * factor - _ROUNDING) for count in counts)
        changes[name] = more if isinstance(getattr(settings, name), tuple) else more[0]
    return replace(settings, **changes)


def spreads(comparison: Comparison, pilot: Conclusion) -> dict[Key, float]:
    """Half the length of the interval of each headline number that a pilot bounds, on the scale of the number."""
    widths = {key: pilot.numbers[key].half_width for key in headlines(comparison, pilot.numbers)}
    return {key: width for key, width in widths.items() if width is not None}


def factor(half_widths: Mapping[Key, float], aim: Aim, seconds: float) -> float:
    """How many times as many seeds as the pilot, which took so many ``seconds`` on the clock, the aim takes."""
    wanted = max([1.0, *((width / aim.half_width) ** 2 for width in half_widths.values())])
    affordable = math.inf if aim.minutes is None else 60 * aim.minutes / seconds if seconds else math.inf
    return min(wanted, max(affordable, 1.0), MOST)


def growth(pilot: Settings, whole: Settings) -> float:
    """By which factor the seeds have become more, where that is least."""
    before, after = seed_counts(pilot), seed_counts(whole)
    ratios = [new / old for name in before for old, new in zip(before[name], after[name], strict=True)]
    return min(ratios, default=1.0)


def after_pilot(comparison: Comparison, whole: Conclusion, pilot: pd.DataFrame, stage: Mapping[str, Any]) -> Conclusion:
    """A conclusion whose headline numbers have the ``two_stage_interval``, and whose verdict says what was reached.

    ``pilot`` is the table of the pilot, ``stage`` is what `stored` gave.
    """
    if not len(pilot):
        return whole
    aim, grown = Aim(stage["half_width"], stage["minutes"]), float(stage["growth"])
    half_widths = spreads(comparison, comparison.conclude(pilot))
    reached = {key: width / math.sqrt(grown) for key, width in half_widths.items() if key in whole.numbers}
    numbers = {key: _with_interval(number, reached.get(key)) for key, number in whole.numbers.items()}
    return replace(whole, numbers=numbers, verdict=f"{whole.verdict} {_sentence(reached, aim, grown)}")


def _with_interval(number: Number, half_width: float | None) -> Number:
    ends = None if half_width is None else number.around(half_width)
    return number if ends is None else replace(number, details={**number.details, "two_stage_interval": list(ends)})


def _sentence(reached: Mapping[Key, float], aim: Aim, grown: float) -> str:
    """What was asked for, and how much of it was reached."""
    asked = f"A half-width of {format_value(aim.half_width)} was asked for"
    if not reached:
        return f"{asked}; the pilot bounds no headline number."
    short = {str(key): width for key, width in reached.items() if width > aim.half_width * (1 + _ROUNDING)}
    seeds = f"with {format_value(grown)} times the seeds of the pilot" if grown > 1 else "with the seeds of the pilot"
    if not short:
        return f"{asked} and reached for all {len(reached)} headline numbers {seeds}."
    named = first_few([f"{format_value(width)} for {key}" for key, width in short.items()])
    count = f"{len(reached) - len(short)} of {len(reached)} headline numbers"
    return f"{asked} and reached for {count} {seeds}; it is {named}."


def stored(aim: Aim, pilot: Sequence[Any], grown: float) -> dict[str, Any]:
    """What the run directory keeps: the aim, the cells of the pilot as JSON, and how many times as many seeds."""
    return {"half_width": aim.half_width, "minutes": aim.minutes, "pilot": list(pilot), "growth": grown}
