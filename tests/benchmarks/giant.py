"""Memory and time of `lab.side_by_side(..., in_place=True)` per width.

    python -m tests.benchmarks.giant --widths 1024 2048 4096 8192

Each width runs in a process of its own. Memory is the process's own peak beyond what torch, scipy and a small run
before took, in copies of W; DESIGN's goal is at most 1.3 at m = 8192. On a GPU (``--device cuda``) it is torch's own
peak of allocated bytes.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from dataclasses import dataclass

import tyro


@dataclass(frozen=True)
class Options:
    """Which widths, how many gradient steps, where."""

    widths: tuple[int, ...] = (1024, 2048, 4096, 8192)
    steps: int = 20
    device: str = "cpu"


def main() -> None:
    """Print one row per width."""
    options = tyro.cli(Options)
    print("width   W (MB)   init (s)   three learners (s)   peak (copies of W)   gap")
    for width in options.widths:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(pool.apply(_row, (width, options)), flush=True)


def _row(width: int, options: Options) -> str:
    import torch

    import lab

    torch.set_num_threads(1)
    task = lab.tasks.separable()
    settings = {"dtype": torch.float32, "device": options.device}
    lab.side_by_side(lab.ElmanRNN.like(task, 512, **settings), task, lab.Descent(3), in_place=True)
    before, begun = _peak(options.device), time.perf_counter()
    network = lab.ElmanRNN.like(task, width, **settings)
    drawn = time.perf_counter()
    result = lab.side_by_side(network, task, lab.Descent(options.steps), in_place=True)
    size, peak = network.W.nbytes, _peak(options.device) - before
    seconds = f"{drawn - begun:10.1f} {time.perf_counter() - drawn:20.1f}"
    return f"{width:5d} {size / 1e6:8.0f} {seconds} {peak / size:20.2f} {result.gap().max():9.4f}"


def _peak(device: str) -> int:
    """Largest memory of this process so far, in bytes."""
    if device != "cpu":
        import torch

        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
