"""Settings of a comparison: a frozen dataclass whose annotations hold constraints, help texts and `CHOOSES`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Final, TypeVar

from annotated_types import BaseMetadata, doc

from comparisons.kit.values import (
    Count,
    Distinct,
    Momentum,
    OneOf,
    Positive,
    Precision,
    Seed,
    Share,
    constraints,
    fit,
    hints_of,
)
from lab.errors import LabError, spelling

__all__ = [
    "ADDED",
    "CHOOSES",
    "Choices",
    "Count",
    "Distinct",
    "Momentum",
    "OneOf",
    "Positive",
    "Precision",
    "Seed",
    "Settings",
    "Share",
    "choosing",
    "doc",
    "help_of",
    "with_values",
]


@dataclass(frozen=True)
class Chooses(BaseMetadata):
    """Marks a setting that only selects cells: it may change in a run directory, all others may not."""


CHOOSES: Final = Chooses()


@dataclass(frozen=True)
class Added(BaseMetadata):
    """Marks a setting that is absent from JSON while it has its default: directories from before it can be resumed."""


ADDED: Final = Added()

Value = TypeVar("Value")
Choices = Annotated[tuple[Value, ...], Distinct(), CHOOSES]  #: one or more different values, each with cells of its own


@dataclass(frozen=True)
class Settings:
    """Base of the settings of all comparisons.

    A field is annotated with its type and constraints (`comparisons.kit.values`), with its help text in `doc`, and with
    `CHOOSES` if it only chooses cells. Values are brought to their types and checked when an instance is made.

    Raises
    ------
    LabError
        For a field that is out of range, by its name; for fields that do not go together.
    """

    def __post_init__(self) -> None:
        for name, hint in hints_of(type(self)).items():
            object.__setattr__(self, name, fit(name, getattr(self, name), hint))
        self.check()

    def check(self) -> None:
        """Refuse fields that do not go together; called once each field is in range."""

    def implied(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Fields that change with ``values``, which replace others, unless they are among them; see `with_values`."""
        return {}


Kind = TypeVar("Kind", bound=Settings)


def choosing(kind: type[Settings]) -> tuple[str, ...]:
    """Names of the settings that only choose cells."""
    return tuple(name for name, hint in hints_of(kind).items() if CHOOSES in constraints(hint)[1])


def help_of(hint: object) -> str:
    """The help text in an annotation, the outermost one if there are several; empty without one."""
    found = [str(getattr(each, "documentation", "")) for each in constraints(hint)[1] if _documents(each)]
    return found[-1] if found else ""


def _documents(metadata: object) -> bool:
    return hasattr(metadata, "documentation")


def as_json(settings: Settings) -> dict[str, Any]:
    """Settings by name; those that are `ADDED` are absent while they have their default."""
    added = {name for name, hint in hints_of(type(settings)).items() if ADDED in constraints(hint)[1]}
    usual = {entry.name: entry.default for entry in fields(settings) if entry.name in added}
    return {name: value for name, value in asdict(settings).items() if name not in usual or value != usual[name]}


def with_values(settings: Kind, values: Mapping[str, Any], source: str) -> Kind:
    """Copy of ``settings`` in which ``values`` (as JSON, TOML or Python give them) replace fields.

    Parameters
    ----------
    settings
        The settings to start from.
    values
        By field name.
    source
        Where the values come from, for the message; empty where the field name is enough.

    Raises
    ------
    LabError
        If a name is no field, or a value is refused.
    """
    known = [entry.name for entry in fields(settings)]
    _refuse_unknown(values, known, source)
    given = {**{name: getattr(settings, name) for name in known}, **settings.implied(values), **values}
    try:
        return type(settings)(**given)
    except LabError as error:
        if not source or error.argument not in values:
            raise
        raise LabError(f"{error.argument} in {source}", error.came, error.allowed, error.fix) from None


def _refuse_unknown(values: Iterable[str], known: Sequence[str], source: str) -> None:
    unknown = [name for name in values if name not in known]
    if unknown:
        fix = f"{spelling(unknown[0], known)}; run options such as `out` are no settings"
        raise LabError(source or "settings", "unknown " + ", ".join(unknown), ", ".join(known), fix)
