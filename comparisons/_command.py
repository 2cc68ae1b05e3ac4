"""The command ``lazylab``. Help, version and list do without torch, so imports that need it stay inside functions."""

from __future__ import annotations

import functools
import io
import itertools
import os
import sys
import tomllib
import typing
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from comparisons import _tasks
from comparisons._forecast import Forecast, advice, foresee, quantity, room
from comparisons._shape import Comparison, as_json, load, names, with_values
from comparisons._status import duration
from lab.costs import Cost
from lab.errors import LabError
from lab.sweeps import (
    FULL,
    Cell,
    Crew,
    Outcome,
    Shard,
    Store,
    run_cells,
    termination_interrupts,
    usable_cores,
    versions,
)
from lab.sweeps.cells import label

DONE, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130
EVERY = "all"  # stands for every comparison's name
DESCRIPTION = "Full recurrent network, its linearization and its tangent-kernel regressor, side by side."


@dataclass(frozen=True)
class RunOptions:
    """Where and how to run; none of these changes a number of the result.

    Attributes
    ----------
    preset
        Settings to start from.
    config
        TOML file with settings; it goes before the preset, and flags go before it.
    out
        Run directory, runs/NAME if not given. A run that is there is resumed.
    executor
        Where cells are computed.
    workers
        Cells at a time. One per usable core if not given, one on cuda.
    scheduler
        Address of a running Dask scheduler, for the executor dask; its workers are used, however many.
    shard
        Run share i of N alone, as i/N counted from 1; the shares of a job array go into one directory.
    device
        cpu or cuda.
    threads
        Threads of one cell.
    dry_run
        Tell what would be run, and run nothing.
    """

    preset: Literal["fast", "default", "full"] = "default"
    config: Path | None = None
    out: Path | None = None
    executor: Literal["serial", "processes", "dask"] = "processes"
    workers: int | None = None
    scheduler: str | None = None
    shard: str | None = None
    device: str = "cpu"
    threads: int = 1
    dry_run: bool = False


@dataclass(frozen=True)
class List:
    """Every comparison, its question, its cost."""

    def __call__(self) -> int:
        """Print the list."""
        for name in names():
            comparison = load(name)
            print(f"{name}\n  {comparison.question}\n  asked by {comparison.asked_by}")
            print("  cost: " + ", ".join(_preset_cost(comparison, preset) for preset in comparison.PRESETS))
        return DONE


@dataclass(frozen=True)
class Run:
    """Run or resume a comparison. NAME comes first; `lazylab run NAME --help` tells its settings."""

    name: tyro.conf.Positional[str]
    settings: Any = None
    options: RunOptions = field(default_factory=RunOptions)

    def __call__(self) -> int:
        """Run, then write and print what came of it."""
        return _run(_plan(self.name, load(self.name), self.settings, self.options), self.options.dry_run)


@dataclass(frozen=True)
class RunAll:
    """Every comparison in one preset, each in a directory of its own; what is there already is resumed."""

    options: RunOptions

    def __call__(self) -> int:
        """Refuse first, for all of them, then run one after the other; a failed cell does not stop the others."""
        plans = [_plan(name, load(name), self._settings(name), self._at(name)) for name in names()]
        for plan in plans:
            plan.claim(write=False)
        statuses = []
        for plan in plans:
            print(f"\n{plan.name}: {plan.comparison.question}", flush=True)
            statuses.append(_run(plan, self.options.dry_run))
            if statuses[-1] == INTERRUPTED:
                break
        if self.options.dry_run:
            print(f"\nall of them: {duration(sum(_forecast(plan).seconds for plan in plans))} here")
        return max(statuses)

    def _settings(self, name: str) -> Any:
        return load(name).PRESETS[self.options.preset]

    def _at(self, name: str) -> RunOptions:
        return replace(self.options, out=(self.options.out or Path("runs")) / name)


@dataclass(frozen=True)
class Show:
    """Numbers and figures again, from the cells of a run directory, without training.

    Attributes
    ----------
    directory
        A run directory.
    style
        Style of the figures, such as lecture.
    """

    directory: tyro.conf.Positional[Path]
    style: str = "default"

    def __call__(self) -> int:
        """Write and print."""
        return _show(Store(self.directory), self.style)


@dataclass(frozen=True)
class Status:
    """How far a run is, also one that runs elsewhere, from its files alone.

    Attributes
    ----------
    directory
        A run directory.
    """

    directory: tyro.conf.Positional[Path]

    def __call__(self) -> int:
        """Print."""
        from comparisons._status import describe

        print(describe(Store(self.directory)))
        return DONE


@dataclass(frozen=True)
class Report:
    """One self-contained page about some runs, with an explorer of their trajectories; it works without a network.

    Attributes
    ----------
    directories
        Run directories; several of one comparison may be among them.
    out
        The file to write.
    style
        Style of the figures, such as lecture.
    """

    directories: tyro.conf.Positional[tuple[Path, ...]]
    out: Path = Path("page.html")
    style: str = "default"

    def __call__(self) -> int:
        """Write the page and tell where it is."""
        from comparisons._report.page import write_report

        print(write_report(self.directories, self.out, self.style))
        return DONE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv
        Arguments without the program's name; those of the process if None.

    Returns
    -------
    int
        0 done, 1 some cells failed, 2 refused input, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _spare_unwritable_signs()
    warnings.filterwarnings("ignore", "A worker was restarted", UserWarning)  # loky does so where memory grows: fine
    try:
        with termination_interrupts():
            return _understand(arguments)()
    except LabError as error:
        print(f"lazylab: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("lazylab: interrupted", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            print(
                f"lazylab: {error.strerror or error}: {error.filename or 'files'} (check the run directory)",
                file=sys.stderr,
            )
            return REFUSED
        # the reader left (`lazylab list | head`): nothing is lost, nobody is there to be told
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except SystemExit as stop:  # help, or a usage error that the parser explained
        return stop.code if isinstance(stop.code, int) else DONE if stop.code is None else REFUSED


def _understand(arguments: list[str]) -> Callable[[], int]:
    """The command that the arguments ask for, ready to be called."""
    _refuse_blank_paths(arguments)
    if arguments[:1] == ["--version"]:
        return _print_version
    if arguments[:2] == ["run", EVERY]:
        return _understand_all(arguments)
    if arguments[:1] == ["run"] and len(arguments) > 1 and not arguments[1].startswith("-"):
        return _understand_run(arguments)
    if arguments[:1] == ["run"] and len(arguments) > 1 and arguments[1] not in ("-h", "--help"):
        fix = "write `lazylab run width --preset fast`"
        raise LabError("NAME", repr(arguments[1]), "a comparison right after `run`, options behind it", fix)
    command: Callable[[], int] = _parse(arguments, _run_type(None, [EVERY, *names()]))
    return command


def _refuse_blank_paths(arguments: Sequence[str]) -> None:
    """Refuse ``--out ""``, which is what an unset variable in a script leaves: as a path it would mean right here."""
    joined = (argument.partition("=")[::2] for argument in arguments if "=" in argument)
    for name, value in [*itertools.pairwise(arguments), *joined]:
        if name in ("--out", "--config") and not value.strip():
            fix = f"name one, or leave {name} away; `{name} .` is the folder that you are in"
            raise LabError(name.lstrip("-"), "an empty path", "a path", fix)


def _understand_run(arguments: list[str]) -> Run:
    """Read the flags twice: preset and file, which they name, are the defaults of the settings."""
    comparison = load(arguments[1])

    def parse(defaults: Any) -> Any:
        return _parse(arguments, _run_type(defaults, [arguments[1]]))

    options = parse(comparison.PRESETS["default"]).run
    start = comparison.PRESETS[options.preset]
    if options.config is not None:
        start = with_values(start, _read_toml(options.config), str(options.config))
    asked = parse(start)
    settings = type(start)(**_values(asked.settings))  # here, not in the parser, bad values are refused
    return Run(asked.name, settings, asked.run)


def _understand_all(arguments: list[str]) -> RunAll:
    """Run options alone: settings belong to one comparison."""
    options = _parse(arguments, _run_type(None, [EVERY])).run
    if options.config is not None:
        fix = "run that comparison by its name"
        raise LabError("config", f"{str(options.config)!r} for all comparisons", "a preset", fix)
    return RunAll(options)


def _parse(arguments: list[str], run: type[Any]) -> Any:
    """One of the commands. A further one is a dataclass that can be called, and an entry here."""
    commands = {"list": List, "run": run, "show": Show, "status": Status, "report": Report}
    choices = [Annotated[kind, tyro.conf.subcommand(name=name)] for name, kind in commands.items()]
    flat = (tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes)
    union: Any = typing.Union[tuple(choices)]  # noqa: UP007 (built from a list)
    return tyro.cli(union, prog="lazylab", description=DESCRIPTION, args=arguments, config=flat)


def _run_type(settings: Any, choices: Sequence[str]) -> type[Any]:
    """Arguments of `run`, with the settings of one comparison as flags if they are known."""
    entries: list[Any] = [("name", tyro.conf.Positional[Annotated[str, _named(choices)]])]
    if settings is not None:
        default = _unchecked(settings)
        entries.append(("settings", type(default), field(default=default)))
    entries.append(("run", RunOptions, field(default_factory=RunOptions)))
    made = make_dataclass("Run", entries, frozen=True)
    made.__doc__ = Run.__doc__
    return made


def _named(choices: Sequence[str]) -> Any:
    return tyro.conf.arg(metavar="NAME", help=f"{'One of ' if len(choices) > 1 else ''}{', '.join(choices)}.")


def _unchecked(settings: Any) -> Any:
    """Twin of settings that checks nothing, so that a refusal comes later and in our words, not the parser's."""
    kind = type(settings)
    twin = type(kind.__name__, (kind,), {"__post_init__": lambda self: None, "__doc__": kind.__doc__})
    return twin(**_values(settings))


def _values(settings: Any) -> dict[str, Any]:
    return {entry.name: getattr(settings, entry.name) for entry in fields(settings)}


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LabError("config", f"{str(path)!r} ({error.strerror})", "a TOML file", "check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LabError("config", f"{str(path)!r} ({error})", "TOML, such as widths = [64, 128]", "mend it") from None


def _print_version() -> int:
    print(f"lazylab {versions()['lazylab'] or '(not installed)'}")
    return DONE


@dataclass(frozen=True)
class _Plan:
    """A run that is ready to begin: all cells that are asked for, those of this shard, and what these cost."""

    name: str
    comparison: Comparison
    settings: Any
    store: Store
    crew: Crew
    shard: Shard
    cells: Sequence[Cell]
    mine: Sequence[Cell]
    costs: Sequence[Cost]

    def claim(self, write: bool = True) -> None:
        """Take the run directory, or refuse one that holds another run; without ``write`` only look."""
        name, version, settings = self.name, self.comparison.version, as_json(self.settings)
        self.store.claim(name, version, settings, self.comparison.GRID, self.cells, write=write)


def _plan(name: str, comparison: Comparison, settings: Any, options: RunOptions) -> _Plan:
    crew = _crew(options)
    shard = Shard.parse(options.shard) if options.shard is not None else Shard(1, 1)
    cells = [_tasks.stamped(cell) for cell in comparison.cells(settings)]
    costs = [comparison.cost(cell) for cell in cells]
    store, mine = Store(options.out or Path("runs") / name), shard.chosen(costs)
    chosen = [cells[i] for i in mine], [costs[i] for i in mine]
    return _Plan(name, comparison, settings, store, crew, shard, cells, *chosen)


def _run(plan: _Plan, dry_run: bool) -> int:
    if dry_run:
        plan.claim(write=False)
        return _tell_plan(plan)
    try:
        plan.claim()
        return _carry_out(plan)
    except OSError as error:
        if error.errno not in FULL:
            raise
        return _tell_full(plan.store, plan.cells, error)


def _carry_out(plan: _Plan) -> int:
    if plan.crew.scheduler is None:
        _warn(advice(*room(_to_do(plan)[1], plan.crew)))
    try:
        outcome = run_cells(f"comparisons.{plan.name}", plan.mine, plan.costs, plan.store, plan.crew)
    except KeyboardInterrupt:
        return _tell_interrupted(plan.store, plan.cells)
    if plan.shard.of > 1:
        left = len(plan.store.missing(plan.cells))
        if left:
            status = _tell_failures(plan, outcome)
            print(
                f"shard {plan.shard} is through; {left} of {len(plan.cells)} cells are left in {plan.store.directory}"
            )
            return status
    return _finish(plan, outcome)


def _crew(options: RunOptions) -> Crew:
    _check_device(options.device)
    workers = options.workers
    if workers is not None and options.scheduler is not None:
        raise LabError(
            "workers", f"{workers} with a scheduler", "one of the two", "drop --workers: the cluster has them"
        )
    if workers is None:
        workers = 1 if options.device.startswith("cuda") else usable_cores()
    prepare = functools.partial(prepare_process, options.threads, options.device)
    return Crew(options.executor, workers, options.threads, options.device, prepare, options.scheduler)


def _check_device(device: str) -> None:
    if device == "cpu":
        return
    kind, _, index = device.partition(":")
    if kind != "cuda" or (":" in device and not index.isdigit()):
        raise LabError("device", repr(device), "cpu, cuda or cuda:N", "leave --device away for the processor")
    import torch

    if not torch.cuda.is_available() or int(index or 0) >= torch.cuda.device_count():
        allowed = f"a device that torch sees: cpu and {torch.cuda.device_count()} of cuda"
        raise LabError("device", repr(device), allowed, "use --device cpu, or install a torch with CUDA")


def _spare_unwritable_signs() -> None:
    """Print a question mark for what the terminal's encoding lacks, such as a minus sign in the C locale."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def prepare_process(threads: int, device: str) -> None:
    """Make a process ready to measure: its threads, its device, full float32 products.

    Parameters
    ----------
    threads
        Threads of every numerical library here, which decide the order of sums and so the last bits.
    device
        Where torch puts new tensors.
    """
    import scipy.linalg  # noqa: F401 (loaded now, so that its linear algebra is limited too)
    import threadpoolctl  # type: ignore[import-untyped]
    import torch

    threadpoolctl.threadpool_limits(threads)
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    if device != "cpu":
        torch.set_default_device(device)


def _finish(plan: _Plan, outcome: Outcome) -> int:
    from comparisons._outputs import describe, write_outputs

    status = _tell_failures(plan, outcome)
    try:
        print(describe(write_outputs(plan.comparison, plan.store, plan.cells), plan.store))
    except Exception as error:
        if status == DONE:
            raise
        print(f"lazylab: nothing concluded without them ({type(error).__name__}: {error})", file=sys.stderr)
    return status


def _tell_failures(plan: _Plan, outcome: Outcome) -> int:
    name = "failures.txt" if plan.shard.of == 1 else f"failures.{plan.shard.number}of{plan.shard.of}.txt"
    log = plan.store.directory / name
    log.unlink(missing_ok=True)
    if not outcome.failed:
        return DONE
    plan.store.write(name, "\n".join(f"{label(f.cell)}\n{f.traceback or f.error}\n" for f in outcome.failed))
    print(f"lazylab: {len(outcome.failed)} of {len(plan.mine)} cells failed (tracebacks: {log}):", file=sys.stderr)
    for failure in outcome.failed:
        print(f"  {label(failure.cell)}: {failure.error}", file=sys.stderr)
    return FAILED


def _tell_full(store: Store, cells: Sequence[Cell], error: OSError) -> int:
    kept = sum(store.whole(cell) for cell in cells)
    print(f"lazylab: {error.strerror} in {store.directory}; {kept} of {len(cells)} cells are kept.", file=sys.stderr)
    print("Free some space, then the same command goes on from there.", file=sys.stderr)
    return FAILED


def _tell_interrupted(store: Store, cells: Sequence[Cell]) -> int:
    done = len(cells) - len(store.missing(cells))
    message = f"lazylab: interrupted; {done} of {len(cells)} cells are kept in {store.directory}."
    print(f"{message} The same command goes on from there.", file=sys.stderr)
    return INTERRUPTED


def _tell_plan(plan: _Plan) -> int:
    cells, costs, crew = plan.mine, plan.costs, plan.crew
    missing, to_do = _to_do(plan)
    left = sum(cost.flops for cost in to_do)
    flops, peak = sum(cost.flops for cost in costs), max((cost.bytes for cost in costs), default=0.0)
    share = f" (shard {plan.shard} of {len(plan.cells)})" if plan.shard.of > 1 else ""
    print(
        f"cells      {len(cells)}{share}, of which {len(cells) - len(missing)} are committed in {plan.store.directory}"
    )
    print(f"work       {quantity(flops, 'flop')}, of which {quantity(left, 'flop')} to do")
    places = f"{crew.workers} at a time" if crew.scheduler is None else "as many at a time as there are workers"
    print(f"memory     {quantity(peak, 'B')} at most per cell, {places}")
    print(f"executor   {crew.executor} on {crew.device}, {crew.threads} threads per cell")
    if missing:
        _tell_forecast(_forecast(plan), crew)
    return DONE


def _forecast(plan: _Plan) -> Forecast:
    return foresee(*_to_do(plan), plan.crew)


def _tell_forecast(expected: Forecast, crew: Crew) -> None:
    where = "here" if crew.scheduler is None else "with workers as fast as this machine"
    print(f"forecast   {duration(expected.seconds)} {where}, within a factor of two or three")
    if crew.scheduler is None:
        print(f"           {quantity(expected.bytes, 'B')} of memory, of {quantity(expected.free, 'B')} that are free")
        _warn(advice(expected.bytes, expected.free))


def _to_do(plan: _Plan) -> tuple[list[Cell], list[Cost]]:
    """The cells that are not committed yet, and what they cost."""
    missing = {id(cell) for cell in plan.store.missing(plan.mine)}
    left = [(cell, cost) for cell, cost in zip(plan.mine, plan.costs, strict=True) if id(cell) in missing]
    return [cell for cell, _ in left], [cost for _, cost in left]


def _warn(advice: str | None) -> None:
    if advice is not None:
        print(f"lazylab: warning: {advice}", file=sys.stderr)


def _preset_cost(comparison: Comparison, preset: str) -> str:
    cells = comparison.cells(comparison.PRESETS[preset])
    return f"{preset} {quantity(sum(comparison.cost(cell).flops for cell in cells), 'flop')} in {len(cells)} cells"


def _show(store: Store, style: str) -> int:
    from comparisons._outputs import comparison_of, describe, write_outputs

    written = write_outputs(comparison_of(store), store, store.manifest["cells"], style)
    print(describe(written, store))
    counts = written.counts
    if counts["missing"] or counts["failed"]:
        told = f"of {counts['total']} cells {counts['missing']} are missing and {counts['failed']} failed"
        print(f"lazylab: {told}", file=sys.stderr)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
