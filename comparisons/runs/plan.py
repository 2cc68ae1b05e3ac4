"""A plan: every cell that is asked for, those of this share, what they cost, and the directory that takes them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from comparisons.kit.cells import to_json
from comparisons.kit.comparison import Comparison
from comparisons.kit.settings import Settings, as_json, choosing, with_values
from comparisons.kit.tasks import stamped
from comparisons.runs import precision
from comparisons.runs.options import RunOptions
from comparisons.runs.registry import Measure, address, find, identity, is_file, returned, title
from lab.costs import Cost
from lab.errors import LabError, check_choice
from lab.sweeps import Cell, Outcome, Pool, Shard, Store, run_cells


@dataclass(frozen=True)
class Plan:
    """A run that is ready to begin.

    Attributes
    ----------
    name
        Of the comparison: a name, or the path of a file.
    cells, mine
        All cells that are asked for, and those of this share, as JSON.
    costs
        Of ``mine``.
    options
        Where and how it is run.
    stage
        What the directory keeps of a pilot, if this is the second stage of a run with a precision.
    """

    name: str
    comparison: Comparison
    settings: Settings
    store: Store
    pool: Pool
    shard: Shard
    cells: Sequence[Cell]
    mine: Sequence[Cell]
    costs: Sequence[Cost]
    options: RunOptions
    stage: Mapping[str, Any] | None = None

    def claim(self, write: bool = True) -> None:
        """Take the run directory, or refuse one that holds another run; without ``write`` only look."""
        settings, grid = as_json(self.settings), choosing(type(self.settings))
        source = address(self.name) if is_file(self.name) else None
        given = (title(self.name), self.comparison.version, settings, grid, self.cells)
        self.store.claim(*given, source=source, precision=self.stage, write=write)

    def to_do(self) -> tuple[list[Cell], list[Cost]]:
        """The cells of this share that are not committed yet, and what they cost."""
        missing = {id(cell) for cell in self.store.missing(self.mine)}
        left = [(cell, cost) for cell, cost in zip(self.mine, self.costs, strict=True) if id(cell) in missing]
        return [cell for cell, _ in left], [cost for _, cost in left]

    def measure(self, progress: bool) -> Outcome:
        """Measure what is missing of this share."""
        work = Measure(address(self.name), identity(self.comparison))
        return run_cells(work, self.mine, self.costs, self.store, self.pool, progress=progress)

    def second_stage(self) -> Plan:
        """The plan with as many seeds as the pilot, which this one is, asks for; itself without a precision."""
        aim = self.options.aim()
        if aim is None:
            return self
        results = self.store.results(self.cells)
        if not len(results.table):
            return self
        seconds = float(results.table["seconds"].sum()) / self.pool.workers
        spreads = precision.spreads(self.comparison, self.comparison.conclude(results.table))
        whole = precision.times_as_many(self.settings, precision.factor(spreads, aim, seconds))
        kept = precision.stored(aim, self.cells, precision.growth(self.settings, whole))
        return replace(_make(self.name, whole, self.options), stage=kept)


def make(name: str, settings: Settings, options: RunOptions) -> Plan:
    """The plan of one comparison with these settings; with a precision that of its pilot, see `Plan.second_stage`.

    Raises
    ------
    LabError
        Options that are refused, or data that are not there.
    """
    return _make(name, settings if options.aim() is None else precision.times_as_many(settings), options)


def _make(name: str, settings: Settings, options: RunOptions) -> Plan:
    comparison, pool, shard = find(name), options.pool(), options.share()
    asked = [stamped(cell) for cell in comparison.cells(settings)]
    costs = [returned("cost", comparison.cost(cell), Cost, "a kit.Cost") for cell in asked]
    cells, places = [to_json(cell) for cell in asked], shard.chosen(costs)
    mine = [cells[i] for i in places], [costs[i] for i in places]
    return Plan(name, comparison, settings, Store(options.directory(title(name))), pool, shard, cells, *mine, options)


def settings_of(comparison: Comparison, options: RunOptions, values: dict[str, Any]) -> Settings:
    """Settings of a preset, overridden by the configuration file, and that by ``values``."""
    check_choice("preset", options.preset, comparison.PRESETS)
    start: Settings = comparison.PRESETS[options.preset]
    if options.config is not None:
        start = with_values(start, read_toml(options.config), str(options.config))
    return with_values(start, values, "")


def read_toml(path: Path) -> dict[str, Any]:
    """Settings in a TOML file.

    Raises
    ------
    LabError
        A file that cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LabError("config", f"{str(path)!r} ({error.strerror})", "a TOML file", "check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LabError("config", f"{str(path)!r} ({error})", "TOML, such as widths = [64, 128]", "correct it") from None
