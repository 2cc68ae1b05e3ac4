"""The one error of the lab, and the few checks that raise it."""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Collection, Iterable
from typing import NoReturn


class LabError(ValueError):
    """Refused input: which argument, what came, what is allowed, and the usual fix.

    Parameters
    ----------
    argument, came, allowed, fix
        Four short texts. They are kept as ``args``, so the error travels between processes.
    """

    def __init__(self, argument: str, came: str, allowed: str, fix: str) -> None:
        super().__init__(argument, came, allowed, fix)
        self.argument, self.came, self.allowed, self.fix = argument, came, allowed, fix

    def __str__(self) -> str:
        return f"{self.argument}: got {self.came}; allowed: {self.allowed}. Fix: {self.fix}."


class LabWarning(UserWarning):
    """Something worth a reader's attention that does not stop the work."""


class ScaleWarning(LabWarning):
    """Outputs or inputs of a size at which a small gap does not mean lazy training."""


def first_line(error: BaseException) -> str:
    """The first line of an exception's message; the name of its type where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def refuse(argument: str, came: object, allowed: str, fix: str) -> NoReturn:
    """Raise `LabError`; text is quoted as it came, everything else by its ``repr``."""
    raise LabError(argument, came if isinstance(came, str) else repr(came), allowed, fix)


def check_choice(argument: str, value: object, options: Collection[str]) -> None:
    """Refuse ``value`` unless it is one of ``options``."""
    if not isinstance(value, str) or value not in options:
        refuse(argument, repr(value), "one of " + ", ".join(sorted(options)), spelling(value, options))


def spelling(value: object, options: Iterable[str]) -> str:
    """The fix for a value that is none of these texts: it names the most similar one, whatever the case of letters."""
    by_lower = {option.lower(): option for option in options}
    similar = difflib.get_close_matches(str(value).lower(), by_lower, n=1)
    return f"check the spelling (did you mean {by_lower[similar[0]]!r}?)" if similar else "check the spelling"


def check_seed(argument: str, value: object) -> None:
    """Refuse ``value`` unless it is an integer from 0 to 2³² − 1: what every generator in use here takes."""
    check_integer(argument, value, 0)
    if operator.index(value) >= 2**32:  # type: ignore[arg-type]
        refuse(argument, repr(value), "an integer below 2**32", f"pass a small {argument}, such as {argument}=0")


def check_integer(argument: str, value: object, at_least: int) -> None:
    """Refuse ``value`` unless it is an integer (no bool) of at least ``at_least``."""
    try:
        whole = None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        whole = None
    if whole is None or whole < at_least:
        fix = f"pass {argument}={at_least} or more"
        refuse(argument, repr(value), f"an integer of at least {at_least}", fix)


def check_number(
    argument: str, value: object, above: float = -math.inf, below: float = math.inf, *, closed: bool = False
) -> None:
    """Refuse ``value`` unless it is a finite number between two bounds (``closed`` lets the lower one in)."""
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError, OverflowError):
        number = math.nan
    inside = math.isfinite(number) and number < below and (number > above or (closed and number == above))
    if not inside:
        lower = f"{'at least' if closed else 'above'} {above:g}" if math.isfinite(above) else ""
        upper = f"below {below:g}" if math.isfinite(below) else ""
        bounds = " and ".join(bound for bound in (lower, upper) if bound)
        refuse(argument, repr(value), f"a finite number {bounds}".rstrip(), f"choose {argument} inside the bounds")
