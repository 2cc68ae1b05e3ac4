"""What a look costs, and how the nonlinearity of a path compares with the gap of side_by_side.

Run as ``python -m tests.benchmarks.watch [--device cpu]``; one thread. A GRU of 256 units on 64 sequences of length 8
trains by Adam with full batches; every 100 steps a `lab.Watch` looks at 64 probes. Printed are milliseconds of 100
steps and of a look, medians of 5 pairs in turns, their ratio, and whether both trainings end at the same weights. Then,
for the Elman network over widths, the nonlinearity of the path at the end and the final gap on the same samples.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import nn

import lab

WIDTHS, SEEDS, PAIRS, STEPS = (64, 128, 256, 512, 1024), 3, 5, 100


class Reader(nn.Module):
    """A GRU that is read at the last step."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.core, self.head = nn.GRU(9, width, batch_first=True), nn.Linear(width, 1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(self.core(inputs)[0][:, -1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    overhead(options.device)
    print("width   nonlinearity   gap (final, training set)   ratio   (means over 3 seeds)")
    for width in WIDTHS:
        pairs = [nonlinearity_and_gap(width, seed) for seed in range(SEEDS)]
        path, gap = (statistics.mean(values) for values in zip(*pairs, strict=True))
        print(f"{width:5d}   {path:.3f}          {gap:.3f}                       {path / gap:.2f}")


def overhead(device: str) -> None:
    """Print what looks add to a training."""
    task = lab.tasks.digits(train=64, test=0)
    inputs, targets = (values.float().to(device) for values in (task.train_inputs, task.train_targets))
    steps, looks, ends = [], [], []
    for _ in range(PAIRS):
        for is_watched in (False, True):
            torch.manual_seed(0)
            module = Reader(256).to(device)
            optimizer = torch.optim.Adam(module.parameters(), 1e-3)
            watch = lab.Watch(module, inputs, targets) if is_watched else None
            for step in range(1, 2 * STEPS + 1):
                if step == STEPS + 1:  # the first hundred warm up
                    wait(device)
                    start = time.perf_counter()
                optimizer.zero_grad()
                (0.5 * (module(inputs) - targets).square().sum(1)).mean().backward()
                optimizer.step()
                if watch is not None and step == STEPS:
                    watch.look(step)  # the first look checks the module as well
            wait(device)
            steps.append(time.perf_counter() - start)
            if watch is not None:
                looks.append(watch.look(2 * STEPS)["seconds"])
            ends.append(torch.cat([value.detach().flatten() for value in module.parameters()]))
    step, look = statistics.median(steps), statistics.median(looks)
    same = all(torch.equal(end, ends[0]) for end in ends)
    times = f"100 steps {1e3 * step:.0f} ms, a look {1e3 * look:.0f} ms"
    print(f"{times}: {100 * look / step:.1f} %; weights equal: {same}")


def wait(device: str) -> None:
    """Until the device has finished."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def nonlinearity_and_gap(width: int, seed: int) -> tuple[float, float]:
    """Of one Elman network, trained by half the critical rate for 300 steps."""
    task = lab.tasks.digits()
    network = lab.ElmanRNN.like(task, width, centred=True, seed=seed)
    result = lab.side_by_side(network, task, lab.Descent(300))
    watch = lab.Watch(network, task.train_inputs, task.train_targets)
    watch.point_at(result.trained_network)
    return watch.look(300)["nonlinearity"], float(result.gap("train")[-1])


if __name__ == "__main__":
    main()
