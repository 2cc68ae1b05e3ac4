"""The numbers of a conclusion, each a mean over seeds with its interval, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from comparisons.kit.keys import Key

if TYPE_CHECKING:
    from lab.measures.estimate import Estimate

Interval = tuple[float, float]
Scale = Literal["linear", "log", "logit"]

NOTHING, DIVERGED = "nothing was measured", "some seed has no finite value (it diverged?)"


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
        How many seeds entered; 0 for a value that does not depend on seeds.
    reason
        Why there is no value, or what was left out.
    details
        More entries for the summary, such as the widths that entered.
    scale
        On which the interval is symmetric, or nearly so: log for positive quantities, logit for shares.
    """

    value: float | None
    interval: Interval | None
    seeds: int
    reason: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    scale: Scale = "linear"

    @classmethod
    def mean(cls, values: Iterable[Any], together: int = 1) -> Self:
        """Mean over seeds (n,) with its t interval; no value where some seed has none.

        If several means are judged ``together``, "joint_interval" in the details holds for all at once (Bonferroni).
        """
        from lab.measures.exponents import mean_interval

        sample = _floats(values)
        if reason := _lost(sample):
            return cls(None, None, len(sample), reason)
        joint = mean_interval(sample, 1 - 0.05 / together)[1] if together > 1 else None
        return cls(*mean_interval(sample), len(sample), details={"joint_interval": list(joint)} if joint else {})

    @classmethod
    def geometric(cls, values: Iterable[Any]) -> Self:
        """Geometric mean over seeds (n,) with the t interval of the logs; no value unless all are positive."""
        sample = _floats(values)
        reason = _lost(sample) or (None if min(sample) > 0 else "some seed has no positive value")
        return cls(None, None, len(sample), reason) if reason else cls.mean([math.log(value) for value in sample]).exp()

    @classmethod
    def estimated(
        cls, found: Estimate, seeds: int, reason: str | None = None, scale: Scale = "linear", **details: Any
    ) -> Self:
        """What a fit found; ``reason`` stands in where the fit gives none."""
        return cls(found.value, found.interval, seeds, found.reason or reason, details, scale)

    @classmethod
    def exact(cls, value: float | None, seeds: int = 0) -> Self:
        """A value without an interval: a maximum, a share, a count, a closed form."""
        return cls(value, None, seeds)

    @classmethod
    def share(cls, holds: Iterable[Any]) -> Self:
        """Share of the seeds for which something is true (n,), with its Wilson interval; none if a value is missing."""
        from scipy.stats import binomtest

        sample = _floats(holds)
        if reason := _lost(sample):
            return cls(None, None, len(sample), reason)
        found = binomtest(round(sum(sample)), len(sample)).proportion_ci(method="wilson")
        return cls(sum(sample) / len(sample), (float(found.low), float(found.high)), len(sample), scale="logit")

    @classmethod
    def rate(cls, values: Iterable[Any]) -> Self:
        """Average over seeds of shares from 0 to 1 (n,), taken on the scale of arcsin √p, with its t interval.

        That scale is defined at 0 and 1, where the logit is not, and spreads alike everywhere; no interval leaves 0…1.
        """
        sample = _floats(values)
        if reason := _lost(sample):
            return cls(None, None, len(sample), reason)
        if not all(0 <= value <= 1 for value in sample):
            return cls(None, None, len(sample), "a value is no share from 0 to 1")
        angles = cls.mean([math.asin(math.sqrt(value)) for value in sample])
        assert angles.value is not None
        ends = None if angles.interval is None else [min(max(end, 0.0), math.pi / 2) for end in angles.interval]
        share = [math.sin(angle) ** 2 for angle in (angles.value, *(ends or ()))]
        return cls(share[0], None if ends is None else (share[1], share[2]), angles.seeds, scale="logit")

    @classmethod
    def median(cls, values: Iterable[Any]) -> Self:
        """Median over seeds (n,) with the extremes in the details; no value where some seed has none."""
        sample = _floats(values)
        lost = sum(not math.isfinite(value) for value in sample)
        if lost or not sample:
            return cls(None, None, len(sample), f"{lost} of {len(sample)} seeds diverged" if sample else NOTHING)
        return cls(float(np.median(sample)), None, len(sample), None, {"lowest": min(sample), "highest": max(sample)})

    @classmethod
    def none(cls, reason: str, seeds: int = 0) -> Self:
        """No value, and why."""
        return cls(None, None, seeds, reason)

    @property
    def half_width(self) -> float | None:
        """Half the length of the interval on the number's scale; None without one, infinite where an end is."""
        if self.value is None or self.interval is None:
            return None
        low, high = (_onto(end, self.scale) for end in self.interval)
        return (high - low) / 2

    def around(self, half_width: float) -> Interval | None:
        """The interval of this half-width about the value, on the number's scale."""
        if self.value is None:
            return None
        middle = _onto(self.value, self.scale)
        return _back(middle - half_width, self.scale), _back(middle + half_width, self.scale)

    @property
    def joint(self) -> Self:
        """The same with the interval that holds for all numbers that are judged together; see `mean`."""
        return replace(self, interval=self.details.get("joint_interval"))

    def exp(self) -> Self:
        """The same for exp(x), of a number x."""
        if self.value is None:
            return self
        ends = None if self.interval is None else (math.exp(self.interval[0]), math.exp(self.interval[1]))
        return replace(self, value=math.exp(self.value), interval=ends, scale="log")

    @property
    def complement(self) -> Self:
        """1 − the number: what a ratio leaves."""
        if self.value is None:
            return self
        ends = None if self.interval is None else (1 - self.interval[1], 1 - self.interval[0])
        return replace(self, value=1 - self.value, interval=ends)

    def __str__(self) -> str:
        """``value (low to high)`` to three digits, or the reason why there is none."""
        if self.value is None:
            return f"none: {self.reason}"
        interval = "" if self.interval is None else f" ({self.interval[0]:.3g} to {self.interval[1]:.3g})"
        return f"{self.value:.3g}{interval}"

    def as_json(self) -> dict[str, Any]:
        """``{value, interval, seeds}``, a reason if there is one, and the details; what is not finite is null."""
        bounded = self.interval is not None and all(math.isfinite(end) for end in self.interval)
        interval = list(self.interval) if self.interval is not None and bounded else None
        infinite = self.reason is None and self.value is not None and not math.isfinite(self.value)
        reason = {} if self.reason is None and not infinite else {"reason": self.reason or "not finite"}
        return {"value": finite(self.value), "interval": interval, "seeds": self.seeds} | reason | dict(self.details)


Numbers = dict[Key, Number]


def _onto(value: float, scale: Scale) -> float:
    """A value on a scale."""
    if scale == "linear":
        return value
    if value <= 0:
        return -math.inf
    if scale == "log":
        return math.log(value)
    return math.log(value / (1 - value)) if value < 1 else math.inf


def _back(value: float, scale: Scale) -> float:
    """The value behind one on a scale."""
    return value if scale == "linear" else math.exp(value) if scale == "log" else 1 / (1 + math.exp(-value))


def finite(value: float | None) -> float | None:
    """The value, or None where a table has an empty cell: a value that is not finite."""
    return value if value is not None and np.isfinite(value) else None


def ratio(value: float | None, unit: float | None) -> float | None:
    """The value over the unit; None where either is missing, or where that is not finite."""
    return finite(value / unit) if value is not None and unit else None


def over_finite(values: Iterable[Any], average: Callable[[Iterable[float]], Number] = Number.geometric) -> Number:
    """Average over the runs whose value is finite; the number of those that diverged is its reason."""
    sample = _floats(values)
    kept = [value for value in sample if math.isfinite(value)]
    if not kept:
        return Number.none("no run, or none that did not diverge", len(sample))
    lost = f"without {len(sample) - len(kept)} diverged runs" if len(kept) < len(sample) else None
    found = average(kept)
    return replace(found, reason=found.reason or lost)


def of_most(values: Iterable[Any], verb: str) -> Number:
    """Geometric mean over the seeds that have a value; none, and how many do what ``verb`` says, unless most have."""
    sample = _floats(values)
    kept = [value for value in sample if not math.isnan(value)]
    return (
        Number.geometric(kept)
        if 2 * len(kept) > len(sample)
        else Number.none(f"{len(kept)} of {len(sample)} seeds {verb}", len(kept))
    )


def _floats(values: Iterable[Any]) -> list[float]:
    return [float("nan") if value is None else float(value) for value in values]


def _lost(sample: list[float]) -> str | None:
    """Why these seeds have no average, if so."""
    return None if sample and all(map(math.isfinite, sample)) else DIVERGED if sample else NOTHING
