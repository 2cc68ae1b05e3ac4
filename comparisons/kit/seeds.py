"""Seeds: how many there are at each width, and what a seed draws.

Widths have seeds of their own: seed k at width m draws a network, batches and, unless all share one draw, data that no
other width has. So widths may have different numbers of seeds; slopes in the width then are contrasts of independent
means (`lab.measures.exponents.fit_unpaired_exponent`). Arms at one width share seeds and are compared in pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import numpy as np
from annotated_types import BaseMetadata

from comparisons.kit.settings import ADDED, CHOOSES, Count, OneOf, Seed, Settings, doc
from comparisons.kit.values import constraints, fit, hints_of
from lab.errors import refuse

SEEDS = "Seeds of each width: one number, or one for each of the widths. Every width has seeds of its own."
DATA_SEEDS = "own: every seed has a draw of the data; one: all share that of the data seed."


@dataclass(frozen=True)
class CountsSeeds(BaseMetadata):
    """Marks a setting that counts seeds: `lazylab run --precision` increases it."""


COUNTS_SEEDS: Final = CountsSeeds()
SeedCount = Annotated[Count, CHOOSES, COUNTS_SEEDS]
Seeds = Annotated[Count | tuple[Count, ...], CHOOSES, COUNTS_SEEDS, doc(SEEDS)]
DataSeeds = Annotated[str, OneOf("own", "one"), ADDED, doc(DATA_SEEDS)]

_NETWORK, _DATA = 0, 1  # what is drawn


def at(widths: Sequence[int], seeds: int | Sequence[int]) -> dict[int, int]:
    """The number of seeds at each width."""
    return dict.fromkeys(widths, seeds) if isinstance(seeds, int) else dict(zip(widths, seeds, strict=True))


@dataclass(frozen=True)
class SeedSettings(Settings):
    """Seeds of a comparison that has the setting ``widths``; further settings may be annotated as `Seeds`."""

    seeds: Seeds = 5
    data_seed: Annotated[Seed, doc("Where the draws of the data start.")] = 0
    data_seeds: DataSeeds = "own"

    def check(self) -> None:
        """Refuse numbers of seeds that are not one for each width."""
        super().check()
        count = len(self._widths)
        for name, each in self._numbers().items():
            if len(each) != count:
                fix = f"write one number for all widths, or {count}"
                refuse(name, f"{len(each)} numbers for {count} widths", "one number, or one for each width", fix)

    def implied(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Seeds for other widths: where each width has its own number, that of the nearest width in octaves."""
        if "widths" not in values:
            return {}
        widths, known = fit("widths", values["widths"], hints_of(type(self))["widths"]), np.log2(self._widths)
        places = [int(np.abs(known - np.log2(width)).argmin()) for width in widths]
        found = {name: tuple(each[place] for place in places) for name, each in self._numbers().items()}
        return {name: each[0] if len(set(each)) == 1 else each for name, each in found.items()}

    @property
    def _widths(self) -> tuple[int, ...]:
        return tuple(getattr(self, "widths", ()))

    def _numbers(self) -> dict[str, tuple[int, ...]]:
        """Settings that have a number for each width."""
        names = (name for name, hint in hints_of(type(self)).items() if COUNTS_SEEDS in constraints(hint)[1])
        found = {name: getattr(self, name) for name in names}
        return {name: each for name, each in found.items() if isinstance(each, tuple)}


class Drawn:
    """What is drawn for a cell with a width and a seed: mixed into the dataclasses of cells."""

    width: int
    seed: int
    data_seed: int
    data_seeds: str
    sample: int | None = None

    @property
    def network_seed(self) -> int:
        """The seed of the network and of its batches: another one at every width."""
        return _hashed(_NETWORK, self.width, self.seed)

    @property
    def draw(self) -> int:
        """The seed of the data: one for each width and seed, or ``sample`` in its place, unless all share one draw."""
        sample = self.seed if self.sample is None else self.sample
        return self.data_seed if self.data_seeds == "one" else _hashed(_DATA, self.data_seed, self.width, sample)


def _hashed(*parts: int) -> int:
    """32 bits that differ, as independent draws do, where a part differs."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
