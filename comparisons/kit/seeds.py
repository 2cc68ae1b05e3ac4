"""Seeds: how many there are at each width, and what a seed draws.

Widths have seeds of their own: seed k at width m draws a network, batches and, unless all share one draw, data that no
other width has. So widths may have different numbers of seeds, and slopes in the width are contrasts of independent
means (`lab.measures.exponents.fit_unpaired_exponent`). Arms at one width share seeds and are compared in pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from comparisons.kit.settings import ADDED, CHOOSES, Count, OneOf, Seed, Settings, doc
from comparisons.kit.values import fit, hints_of
from lab.errors import refuse

SEEDS = "Seeds of each width: one number, or one for each of the widths. Every width has seeds of its own."
DATA_SEEDS = "own: every seed has a draw of the data; one: all share that of the data seed."
Seeds = Annotated[Count | tuple[Count, ...], CHOOSES, doc(SEEDS)]
DataSeeds = Annotated[str, OneOf("own", "one"), ADDED, doc(DATA_SEEDS)]

_NETWORK, _DATA = 0, 1  # what is drawn


def at(widths: Sequence[int], seeds: int | Sequence[int]) -> dict[int, int]:
    """The number of seeds at each width."""
    return dict.fromkeys(widths, seeds) if isinstance(seeds, int) else dict(zip(widths, seeds, strict=True))


@dataclass(frozen=True)
class SeedSettings(Settings):
    """Seeds of a comparison that has the setting ``widths``."""

    seeds: Seeds = 5
    data_seed: Annotated[Seed, doc("Where the draws of the data start.")] = 0
    data_seeds: DataSeeds = "own"

    def check(self) -> None:
        """Refuse numbers of seeds that are not one for each width."""
        super().check()
        if not isinstance(self.seeds, int) and len(self.seeds) != (count := len(self._widths)):
            came = f"{len(self.seeds)} numbers for {count} widths"
            refuse("seeds", came, "one number, or one for each width", f"write one number for all widths, or {count}")

    @property
    def _widths(self) -> tuple[int, ...]:
        return tuple(getattr(self, "widths", ()))

    def implied(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Seeds for other widths: where each width has its own number, that of the nearest width in octaves."""
        if "widths" not in values or isinstance(self.seeds, int):
            return {}
        widths, known = fit("widths", values["widths"], hints_of(type(self))["widths"]), at(self._widths, self.seeds)
        return {"seeds": tuple(known[min(known, key=lambda m: max(m, width) / min(m, width))] for width in widths)}


class Drawn:
    """What is drawn for a cell with a width and a seed: mixed into the dataclasses of cells."""

    width: int
    seed: int
    data_seed: int
    data_seeds: str

    @property
    def network_seed(self) -> int:
        """The seed of the network and of its batches: another one at every width."""
        return _hashed(_NETWORK, self.width, self.seed)

    @property
    def draw(self) -> int:
        """The seed of the data: one for each seed and width, unless all share one draw."""
        return self.data_seed if self.data_seeds == "one" else _hashed(_DATA, self.data_seed, self.width, self.seed)


def _hashed(*parts: int) -> int:
    """32 bits that differ, as independent draws do, where a part differs."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
