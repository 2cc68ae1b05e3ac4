"""Progress bars of work that turns out to take longer than about two seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

PATIENCE = 2.0  # seconds before a bar appears

_is_shown: ContextVar[bool] = ContextVar("progress", default=True)


@contextmanager
def shown(progress: bool) -> Iterator[None]:
    """While this context is open, bars appear or not; it never shows a bar that a surrounding context hides."""
    token = _is_shown.set(_is_shown.get() and progress)
    try:
        yield
    finally:
        _is_shown.reset(token)


def bar(total: int, what: str, unit: str = "it") -> tqdm[Any]:
    """A bar of ``total`` units for a ``with`` statement; it appears after two seconds and disappears at the end.

    The environment variable ``TQDM_DISABLE=1`` hides all of them.

    Examples
    --------
    >>> with shown(False), bar(2, "kernel") as counter:
    ...     for _ in range(2):
    ...         _ = counter.update()
    >>> counter.disable
    True
    """
    from tqdm import tqdm

    # a bar that is not hidden here has no "disable", so that the variable TQDM_DISABLE can set it
    hidden: dict[str, Any] = {} if _is_shown.get() else {"disable": True}
    found: tqdm[Any] = tqdm(total=total, desc=what, unit=unit, delay=PATIENCE, leave=False, **hidden)
    return found
