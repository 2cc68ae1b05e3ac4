"""Where and how a run is computed: the options of the command, and keywords of `comparisons.run` (not `open`)."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import doc

from comparisons.runs.precision import Aim
from lab.errors import LabError, check_number, refuse
from lab.sweeps import Pool, Shard, usable_cores

Preset = Literal["fast", "default", "full"]
Executor = Literal["serial", "processes", "dask"]


@dataclass(frozen=True)
class RunOptions:
    """Where and how to run; none of these options changes a cell, and only ``precision`` how many there are."""

    preset: Annotated[Preset, doc("Named settings to start from.")] = "default"
    config: Annotated[Path | None, doc("TOML file with settings; it overrides the preset, and flags override it.")] = (
        None
    )
    out: Annotated[Path | None, doc("Run directory; runs/NAME, or runs/NAME-PRESET. An existing run is resumed.")] = (
        None
    )
    executor: Annotated[Executor, doc("How cells are computed.")] = "processes"
    workers: Annotated[
        int | None, doc("Number of cells at a time; by default one per usable core, or one on cuda.")
    ] = None
    scheduler: Annotated[str | None, doc("Address of a running Dask scheduler, for executor dask.")] = None
    shard: Annotated[str | None, doc("Run only shard i of N, written i/N with i from 1, as in a job array.")] = None
    device: Annotated[str, doc("Device: cpu, cuda or cuda:N.")] = "cpu"
    threads: Annotated[int, doc("Number of threads per cell.")] = 1
    precision: Annotated[
        float | None, doc("Half-width that the headline numbers should have: adds seeds, after a pilot.")
    ] = None
    minutes: Annotated[float | None, doc("At most so long on the clock, with --precision.")] = None
    progress: Annotated[bool, doc("Show a progress bar.")] = True
    dry_run: Annotated[bool, doc("Show what would run, with a forecast, and run nothing.")] = False
    open: Annotated[bool, doc("Open the first figure in the browser when the run is done.")] = False

    def pool(self) -> Pool:
        """The workers that these options define.

        Raises
        ------
        LabError
            An unknown device, workers beside a scheduler, numbers out of range.
        """
        check_device(self.device)
        if self.workers is not None and self.scheduler is not None:
            came = f"{self.workers} with a scheduler"
            raise LabError("workers", came, "one of the two", "drop `workers`: the cluster has them")
        workers = self.workers
        if workers is None:
            workers = 1 if self.device.startswith("cuda") else usable_cores()
        prepare = functools.partial(prepare_process, self.threads, self.device)
        return Pool(self.executor, workers, self.threads, self.device, prepare, self.scheduler)

    def share(self) -> Shard:
        """The shard of the cells that these options select."""
        if self.shard is None:
            return Shard(1, 1)
        try:
            return Shard.parse(self.shard)
        except LabError as error:
            fix = error.fix if "/" not in self.shard else "count the shards from 1, as 1/2 and 2/2"
            raise LabError("shard", repr(self.shard), "i/N with i from 1 to N", fix) from None

    def aim(self) -> Aim | None:
        """How precise the headline numbers should be; None where the settings say how many seeds there are.

        Raises
        ------
        LabError
            Numbers that are not positive; minutes without a precision; a precision for one shard.
        """
        for name in ("precision", "minutes"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), above=0)
        if self.precision is None:
            if self.minutes is not None:
                refuse(
                    "minutes", f"{self.minutes:g} without precision", "nothing", "set `precision`, or drop `minutes`"
                )
            return None
        if self.shard is not None:
            refuse("precision", f"{self.precision:g} with shard={self.shard}", "a run in one piece", "drop `shard`")
        return Aim(self.precision, self.minutes)

    def directory(self, title: str) -> Path:
        """The run directory of a comparison."""
        return self.out or Path("runs") / (title if self.preset == "default" else f"{title}-{self.preset}")


NAMES = tuple(entry.name for entry in fields(RunOptions))


def check_device(device: str) -> None:
    """Refuse a device that torch does not have; the processor is known without torch."""
    if device == "cpu":
        return
    kind, _, index = device.partition(":")
    if kind != "cuda" or (":" in device and not index.isdigit()):
        raise LabError("device", repr(device), "cpu, cuda or cuda:N", "leave `device` out for the processor")
    import torch

    if not torch.cuda.is_available() or int(index or 0) >= torch.cuda.device_count():
        allowed = f"a device that torch sees: cpu and {torch.cuda.device_count()} of cuda"
        raise LabError("device", repr(device), allowed, "use device='cpu', or install a torch with CUDA")


def prepare_process(threads: int, device: str) -> Callable[[], None]:
    """Prepare a process that measures, and return what undoes it: its threads, its device, full float32 products.

    Parameters
    ----------
    threads
        Threads of every numerical library here, which determine the order of sums and so the last bits.
    device
        Where torch puts new tensors.
    """
    import scipy.linalg  # noqa: F401 (loaded now, so that its linear algebra is limited too)
    import threadpoolctl  # type: ignore[import-untyped]
    import torch

    undo = contextlib.ExitStack()
    undo.callback(torch.set_num_threads, torch.get_num_threads())
    undo.enter_context(threadpoolctl.threadpool_limits(threads))
    torch.set_num_threads(threads)
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    undo.callback(setattr, products, "allow_tf32", products.allow_tf32)
    undo.callback(setattr, convolutions, "allow_tf32", convolutions.allow_tf32)
    products.allow_tf32 = convolutions.allow_tf32 = False
    if device != "cpu":
        undo.enter_context(torch.device(device))
    return undo.close
