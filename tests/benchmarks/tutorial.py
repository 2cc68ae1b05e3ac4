"""The main job beside the script that one writes from torch.func's tutorials, at the same settings.

Run as ``python -m tests.benchmarks.tutorial [--widths 64 256 1024] [--seeds 1] [--repeats 1]``. The cells of
``lazylab run width`` are computed by the lab and by the script in turns, in one process on one core. The script trains
the network by autograd, has its kernels from ``vmap(jacrev)`` (tutorial "Neural Tangent Kernels"), takes a ``jvp`` and
a ``vjp`` for every step of the linearized network, and iterates the kernel regressor. The last columns are the largest
differences between both in the recorded test outputs of each learner, relative to their root mean square, and in
the motion of weights and kernel.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import statistics
import time

import numpy as np
import torch
from torch.func import jacrev, jvp, vjp, vmap

import lab
from comparisons import width
from comparisons.kit import networks
from comparisons.runs.options import prepare_process


class Script:
    """The tutorials' way, for one cell."""

    def __init__(self, cell):
        self.task, network = networks.build(cell)
        self.W, self.A, self.B = (value.detach().clone() for value in (network.W, network.A, network.B))
        self.X, self.y = self.task.train_inputs.to(self.W), self.task.train_targets.to(self.W).flatten(1)
        self.test, self.every = self.task.test_inputs.to(self.W), cell.readout == "all"
        self.steps, self.recorded = cell.steps, set(lab.Descent(cell.steps).recorded().tolist())

    def outputs(self, W, inputs):
        """The network, as one writes it."""
        state, states = torch.zeros(len(inputs), len(W), dtype=W.dtype), []
        for x in inputs.unbind(1):
            state = torch.relu(state @ W.T + x @ self.A.T)
            states.append(state)
        if self.every:
            return torch.cat([state @ self.B.T for state in states[1:]], 1)
        return state @ self.B.T

    def jacobian(self, W, inputs):
        """One row for each sample and output."""
        single = vmap(jacrev(lambda W, x: self.outputs(W, x[None])[0]), (None, 0))
        return single(W, inputs).flatten(2).flatten(0, 1)

    def run(self):
        """Train the three learners: test outputs at the recorded steps, and how far weights and kernel moved."""
        J, J_test = self.jacobian(self.W, self.X), self.jacobian(self.W, self.test)
        K, K_test = J @ J.T, J_test @ J.T
        del J, J_test
        rate = 1 / float(torch.linalg.eigvalsh(K)[-1])
        found = {"kernel": self.regress(K, K_test, rate), "linearized": self.linearized(rate)}
        W, found["network"] = self.network(rate)
        J = self.jacobian(W, self.X)
        moved = W - self.W
        numbers = torch.linalg.matrix_norm(J @ J.T - K) / torch.linalg.matrix_norm(K), moved.norm()
        return found, [*map(float, numbers), float(torch.linalg.matrix_norm(moved, 2))]

    @torch.no_grad()
    def regress(self, K, K_test, rate):
        """Gradient descent on the kernel regressor, step by step."""
        train, test, found = self.outputs(self.W, self.X), self.outputs(self.W, self.test), []
        for step in range(self.steps + 1):
            if step in self.recorded:
                found.append(test)
            residual = (train - self.y).flatten()
            train = train - rate * (K @ residual).view_as(train)
            test = test - rate * (K_test @ residual).view_as(test)
        return torch.stack(found)

    @torch.no_grad()
    def linearized(self, rate):
        """A derivative forwards and one backwards for every step."""
        motion, found = torch.zeros_like(self.W), []
        for step in range(self.steps + 1):
            train, change = jvp(lambda W: self.outputs(W, self.X), (self.W,), (motion,))
            if step in self.recorded:
                test, test_change = jvp(lambda W: self.outputs(W, self.test), (self.W,), (motion,))
                found.append(test + test_change)
            _, pull = vjp(lambda W: self.outputs(W, self.X), self.W)
            motion = motion - rate * pull(train + change - self.y)[0]
        return torch.stack(found)

    def network(self, rate):
        """Autograd and an optimizer."""
        W, found = self.W.clone().requires_grad_(), []
        optimizer = torch.optim.SGD([W], lr=rate)
        for step in range(self.steps + 1):
            train = self.outputs(W, self.X)
            if step in self.recorded:
                with torch.no_grad():
                    found.append(self.outputs(W, self.test))
            if step < self.steps:
                optimizer.zero_grad()
                (0.5 * (train - self.y).square().sum()).backward()
                optimizer.step()
        return W.detach(), torch.stack(found)


def clocked(work):
    """Seconds, and what came."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def differences(arrays, found):
    """Largest differences of test outputs, relative to their root mean square: network, linearized, kernel."""
    ours = dict(zip(arrays["learners"], arrays["test"], strict=True))
    for name in ("network", "linearized", "kernel"):
        theirs = found[name].numpy()
        yield np.abs(ours[name] - theirs).max() / np.sqrt(np.square(theirs).mean())


def main():
    """Print a line for each cell and one for all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 128, 256, 512, 1024])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    options = parser.parse_args()
    prepare_process(1, "cpu")
    settings = width.Settings(widths=tuple(options.widths), seeds=options.seeds, dtype=options.dtype)
    print("width  readout  lazylab (s)  script (s)  ratio  network  linearized    kernel   moved", flush=True)
    total = np.zeros(2)
    for cell in width.cells(settings):
        width.measure(dataclasses.replace(cell, steps=2))
        ways = (functools.partial(width.measure, cell), Script(cell).run)
        turns = [tuple(map(clocked, ways)) for _ in range(options.repeats)]
        seconds = [statistics.median(turn[i][0] for turn in turns) for i in range(2)]
        (row, arrays), (found, moved) = (answer for _, answer in turns[-1])
        ours = [row[name] for name in ("kernel_drift", "weight_motion", "spectral_motion")]
        apart = [*differences(arrays, found), max(abs(a / b - 1) for a, b in zip(ours, moved, strict=True))]
        total += seconds
        tell(cell.width, cell.readout, seconds, apart)
    tell("all", "", total, [])


def tell(width, readout, seconds, apart):
    """Print one line."""
    ours, script = seconds
    ends = "".join(f"{value:10.1e}" for value in apart)
    print(f"{width!s:>5}  {readout:7s}  {ours:11.2f}  {script:10.2f}  {script / ours:5.1f}{ends}", flush=True)


if __name__ == "__main__":
    main()
