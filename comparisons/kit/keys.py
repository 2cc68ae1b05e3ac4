"""Keys of numbers as data: quantity, instance, arm. They become text in one place, `Key.__str__`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Key:
    """The name of one number.

    Attributes
    ----------
    parts
        What is measured and of which thing, such as ("exponent", "gap_test").
    arm
        Name of the arm, such as "all"; empty for the main one.
    meaning
        Definition in one line; not used in comparisons of keys.
    """

    parts: tuple[str, ...]
    arm: str = ""
    meaning: str = field(default="", compare=False)

    def __str__(self) -> str:
        """``what.which[.arm]``."""
        return ".".join((*self.parts, self.arm) if self.arm else self.parts)


@dataclass(frozen=True)
class Quantity:
    """A kind of number: the first parts of its keys, and its meaning.

    Called with the values that identify a number, it returns its key: ``GAP(64, arm="all")`` is ``gap_test.64.all`` for
    ``GAP = Quantity("gap_test", meaning="…")``. Floats are written to six digits at most.

    Attributes
    ----------
    parts
        First parts of the keys.
    meaning
        Definition in one line, with its unit and source; the page shows it above the numbers.
    """

    parts: tuple[str, ...]
    meaning: str

    def __init__(self, *parts: str, meaning: str) -> None:
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "meaning", meaning)

    def __call__(self, *which: str | float, arm: str = "") -> Key:
        """The key of one number."""
        return Key((*self.parts, *map(_text, which)), arm, self.meaning)


def family(*parts: str, meanings: Mapping[str, str], template: str = "{}") -> dict[str, Quantity]:
    """One quantity for each name: ``parts`` and the name begin its keys, its text in the template is its meaning."""
    return {name: Quantity(*parts, name, meaning=template.format(text)) for name, text in meanings.items()}


def _text(part: str | float) -> str:
    return f"{part:g}" if isinstance(part, float) else str(part)
