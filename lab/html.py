"""What a result shows of itself in Jupyter: a title and a small table of facts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from html import escape


class Facts(ABC):
    """A result that Jupyter shows as a title and a table with two columns."""

    __slots__ = ()

    @abstractmethod
    def _facts(self) -> tuple[str, Mapping[str, object]]:
        """The title, and what stands in the table by name; entries that are None are left out."""

    def _repr_html_(self) -> str:
        title, facts = self._facts()
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(_text(value))}</td></tr>"
            for name, value in facts.items()
            if value is not None
        )
        return f"<b>{escape(title)}</b><table>{rows}</table>"


def _text(value: object) -> str:
    """Numbers with four digits, shapes as m × n, everything else as it prints."""
    if isinstance(value, bool | int | str):
        return str(value)
    if isinstance(value, tuple):
        joint = " × " if all(isinstance(entry, int) for entry in value) else " to "
        return joint.join(map(_text, value))
    try:
        return f"{value:.4g}"
    except (TypeError, ValueError):
        return str(value)
