"""The shape that all comparisons have, and how they are found. A new question is one new public module here."""

from __future__ import annotations

import importlib
import math
import pkgutil
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol

import comparisons
from lab.costs import Cost
from lab.errors import LabError
from lab.sweeps import Cell, Results

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Number:
    """One number of a conclusion.

    Attributes
    ----------
    value
        Mean over seeds, or None.
    interval
        95 % interval over seeds, or None (fewer than three seeds).
    seeds
        How many seeds entered.
    reason
        Why there is no value.
    details
        More keys for the summary, such as the widths that entered.
    """

    value: float | None
    interval: tuple[float, float] | None
    seeds: int
    reason: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def mean(cls, values: Any) -> Number:
        """Mean over seeds (n,) with its t interval; without a value where some seed has none."""
        from lab.measures.exponents import mean_interval

        sample = [float("nan") if value is None else float(value) for value in values]
        if not sample or not all(math.isfinite(value) for value in sample):
            return cls(None, None, len(sample), "some seed has no finite value (it diverged?)")
        return cls(*mean_interval(sample), len(sample))

    @classmethod
    def geometric(cls, values: Any) -> Number:
        """Geometric mean over seeds (n,) with the t interval of the logs; without a value unless all are positive."""
        sample = [float("nan") if value is None else float(value) for value in values]
        if not all(value > 0 for value in sample):
            return cls(None, None, len(sample), "some seed has no positive value")
        logs = cls.mean([math.log(value) for value in sample])
        if logs.value is None:
            return logs
        ends = None if logs.interval is None else (math.exp(logs.interval[0]), math.exp(logs.interval[1]))
        return cls(math.exp(logs.value), ends, logs.seeds)

    @classmethod
    def none(cls, reason: str, seeds: int = 0) -> Number:
        """A number that there is not, and why."""
        return cls(None, None, seeds, reason)

    def __str__(self) -> str:
        """``value (low to high)`` to three digits, or the reason why there is none."""
        if self.value is None:
            return f"none: {self.reason}"
        interval = "" if self.interval is None else f" ({self.interval[0]:.3g} to {self.interval[1]:.3g})"
        return f"{self.value:.3g}{interval}"

    def as_json(self) -> dict[str, Any]:
        """``{value, interval, seeds}``, a reason if there is one, and the details; what is not finite is null."""
        finite = self.interval is not None and all(math.isfinite(end) for end in self.interval)
        interval = list(self.interval) if self.interval is not None and finite else None
        gone = self.reason is None and self.value is not None and not math.isfinite(self.value)
        reason = {} if self.reason is None and not gone else {"reason": self.reason or "not finite"}
        return {"value": self.value, "interval": interval, "seeds": self.seeds} | reason | dict(self.details)


@dataclass(frozen=True)
class Conclusion:
    """What a comparison found.

    Attributes
    ----------
    numbers
        Keyed ``<what>.<which>``, such as ``exponent.gap_test``.
    verdict
        The answer to the question, in a sentence or two.
    """

    numbers: Mapping[str, Number]
    verdict: str


class Comparison(Protocol):
    """A module that asks one question.

    Attributes
    ----------
    question
        One sentence with a question mark.
    asked_by
        Who raises it: a theorem, a paper, a section.
    version
        Goes up whenever a cell would come out differently; it is part of every cell's key.
    GRID
        Settings that only choose cells and may change within a run directory.
    Settings
        Frozen dataclass of flat fields; its ``__post_init__`` refuses bad values by `LabError`.
    PRESETS
        Settings named fast, default and full.
    """

    question: str
    asked_by: str
    version: int
    GRID: tuple[str, ...]
    Settings: type[Any]
    PRESETS: Mapping[str, Any]

    def cells(self, settings: Any) -> Sequence[dict[str, Any]]:
        """Every measurement that these settings ask for, as JSON values, in the order of the table."""
        ...

    def cost(self, cell: Cell) -> Cost:
        """What a cell costs, by arithmetic."""
        ...

    def measure(self, cell: Cell) -> tuple[Mapping[str, Any], Mapping[str, np.ndarray]]:
        """One cell: its line in the table (``diverged`` true or a step where it diverged) and its arrays."""
        ...

    def conclude(self, table: pd.DataFrame) -> Conclusion:
        """The answer, from the table alone; rows may be missing."""
        ...

    def draw(self, results: Results, conclusion: Conclusion) -> Mapping[str, Figure]:
        """The figures, by file name; nothing is trained."""
        ...


def names() -> list[str]:
    """Every comparison: the public modules of this package."""
    return sorted(module.name for module in pkgutil.iter_modules(comparisons.__path__) if module.name[0] != "_")


def load(name: str) -> Comparison:
    """The comparison of this name.

    Raises
    ------
    LabError
        If there is none.
    """
    if name not in names():
        fix = "check the spelling; `lazylab list` tells what they ask"
        raise LabError("comparison", repr(name), "one of " + (", ".join(names()) or "none, there are none yet"), fix)
    return typing.cast(Comparison, importlib.import_module(f"comparisons.{name}"))


def as_json(settings: Any) -> dict[str, Any]:
    """Settings by name."""
    return asdict(settings)


def with_values(settings: Any, values: Mapping[str, Any], source: str) -> Any:
    """Copy of ``settings`` in which ``values`` (as JSON or TOML gives them) replace fields.

    Parameters
    ----------
    settings
        An instance of a comparison's Settings.
    values
        By field name.
    source
        Where the values come from, for the message.

    Raises
    ------
    LabError
        If a name is no field, if a value is not of its field's type, or if Settings itself refuses.
    """
    hints = typing.get_type_hints(type(settings))
    known = [entry.name for entry in fields(settings)]
    _refuse_unknown(values, known, source)
    typed = {name: _fit(f"{name} in {source}", value, hints[name]) for name, value in values.items()}
    return type(settings)(**{**{name: getattr(settings, name) for name in known}, **typed})


def _refuse_unknown(values: Iterable[str], known: Sequence[str], source: str) -> None:
    unknown = [name for name in values if name not in known]
    if unknown:
        fix = "check the spelling; run options such as --out are flags alone"
        raise LabError(source, "unknown " + ", ".join(unknown), ", ".join(known), fix)


def _fit(argument: str, value: Any, hint: Any) -> Any:
    """``value`` as the type that a field declares: lists become tuples, whole numbers floats where floats are asked."""
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _fit(argument, value, options[0])
    if origin in (typing.Union, types.UnionType):
        return _fit_one_of(argument, value, options)
    if origin is tuple and isinstance(value, (list, tuple)):
        return _fit_tuple(argument, value, options)
    if origin is typing.Literal:
        fits = any(value == option and type(value) is type(option) for option in options)
    else:
        fits = hint is Any or (value is None if hint is type(None) else _is_a(value, hint))
    if hint is float and type(value) is int:
        return float(value)
    if not fits:
        wanted = str(hint) if origin else getattr(hint, "__name__", str(hint))
        raise LabError(argument, repr(value), f"a value of type {wanted}", "write it as the preset has it")
    return value


def _is_a(value: Any, hint: Any) -> bool:
    return type(value) is hint or (isinstance(hint, type) and isinstance(value, hint) and not isinstance(value, bool))


def _fit_one_of(argument: str, value: Any, options: Sequence[Any]) -> Any:
    for option in options[:-1]:
        try:
            return _fit(argument, value, option)
        except LabError:
            continue
    return _fit(argument, value, options[-1])


def _fit_tuple(argument: str, value: Sequence[Any], options: Sequence[Any]) -> tuple[Any, ...]:
    hints = [options[0]] * len(value) if options[-1] is ... else options
    if len(hints) != len(value):
        raise LabError(argument, repr(value), f"{len(hints)} values", "give as many as the preset has")
    return tuple(_fit(argument, entry, hint) for entry, hint in zip(value, hints, strict=True))
