"""A training step beside its own matrix products, torch's autograd and `nn.RNN`, and the linearized step beside it.

Run as ``python -m tests.benchmarks.steps [--threads 1] [--widths 64 256 1024 2048 4096] [--venv FOLDER]``. All take
turns of some steps in a row, on the same cores, and medians are compared; float32, W alone is trained, last-step
readout.

floor       the products of a step alone, into memory that is there: forward, backward, one fat product for the gradient
autograd    the same recurrence written by hand, backward() and an in-place update
nn.RNN      torch's own layer and a linear readout, with only its recurrent weight trained
JAX         a scan, gradient and update compiled into one function, in a process and an environment of its own
linearized  a step on kept factors (push and pull); push and pull without keeping: torch.func's jvp and vjp

With ``--descents`` it times steps of whole descents instead: `lab.arrive` at a number, and at the same number by a
function that is given a snapshot with its Jacobian at every step; batches of 4, and the floor of the whole set.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import lab
from lab.learners.linearized import linearize
from tests.benchmarks._turns import Contender, interpreter

RATE = 1e-9  # the weights hardly move, so that every turn does the same work
SAMPLES, LENGTH = 48, 16


def ours(network, X, y):
    """A step of the lab."""

    evaluate = network.evaluator(X)

    def step():
        jacobian = evaluate()
        network.descend(jacobian, jacobian.outputs - y, RATE)

    return step


def floor(width):
    """The matrix products of a step and nothing else."""
    W, gradient = 0.01 * torch.randn(width, width), torch.zeros(width, width)
    states, deltas = torch.randn(LENGTH, SAMPLES, width), torch.randn(LENGTH, SAMPLES, width)
    out = torch.empty(SAMPLES, width)

    def step():
        for state in states[:-1]:
            torch.mm(state, W.T, out=out)
        for delta in deltas[2:]:
            torch.mm(delta, W, out=out)
        gradient.addmm_(deltas[1:].flatten(0, 1).T, states[:-1].flatten(0, 1), alpha=RATE)

    return step


def autograd(network, X, y):
    """What one writes with torch alone."""
    W, A, B = (value.detach().clone() for value in (network.W, network.A, network.B))
    W.requires_grad_()

    def step():
        state = torch.zeros(len(X), len(W))
        for x in X.unbind(1):
            state = torch.relu(state @ W.T + x @ A.T)
        (0.5 * ((state @ B.T - y) ** 2).sum()).backward()
        with torch.no_grad():
            W.sub_(RATE * W.grad)
        W.grad = None

    return step


def layer(network, X, y):
    """torch's own recurrent layer, with the network's weights."""
    core = torch.nn.RNN(X.shape[2], network.width, nonlinearity="relu", bias=False, batch_first=True)
    with torch.no_grad():
        core.weight_hh_l0.copy_(network.W)
        core.weight_ih_l0.copy_(network.A)
    core.weight_ih_l0.requires_grad_(False)
    B = network.B.detach().clone()

    def step():
        states, _ = core(X)
        (0.5 * ((states[:, -1] @ B.T - y) ** 2).sum()).backward()
        with torch.no_grad():
            core.weight_hh_l0.sub_(RATE * core.weight_hh_l0.grad)
        core.weight_hh_l0.grad = None

    return step


def linearized(network, X, y):
    """A step of the Taylor model on kept factors, in as few coordinates as a long descent has."""
    model, _ = linearize(network.jacobian(X).keep(), None, network.trained, lab.Descent(300))

    def step():
        outputs, jacobian = model.evaluate(None)
        jacobian.add_pull(model.parameters, outputs - y, -RATE)

    return step


def products(network, X, y):
    """A step of the Taylor model by torch.func: a derivative each way, every time."""
    start = {"W": network.W.detach()}
    motion = {"W": torch.zeros_like(network.W.detach())}

    def model(weights):
        return torch.func.functional_call(network, weights, (X,))

    def step():
        outputs, change = torch.func.jvp(model, (start,), (motion,))
        _, pull = torch.func.vjp(model, start)
        motion["W"].sub_(RATE * pull(outputs + change - y)[0]["W"])

    return step


def scan(python, network, X, y, cores, folder, repeats):
    """JAX, ready to step in a process of its own."""
    problem = Path(folder) / "problem.npz"
    weights = {name: getattr(network, name).detach().numpy() for name in "WAB"}
    np.savez(problem, X=X.numpy(), y=y.numpy(), **weights)
    spec = {"module": "_jax_scan", "problem": str(problem), "rate": RATE, "repeats": repeats}
    return Contender(python, spec | {"cores": cores, "memory": 16e9}, limit=300.0)


def descents(task, width, steps):
    """Descents of so many steps, all with the same rate: functions that take none of their own."""

    def arriving(until):
        network = lab.ElmanRNN.like(task, width, dtype=torch.float32, centred=True)
        descent = lab.Descent(steps, learning_rate=RATE, record="all")
        return lambda: lab.arrive(network, task, descent, until, in_place=True, progress=False)

    def small_batches():
        network = lab.ElmanRNN.like(task, width, dtype=torch.float32, centred=True)
        descent = lab.Descent(steps, learning_rate=RATE, batch_size=4, record=(0, steps))
        return lambda: list(lab.descend(network, task, descent, in_place=True, progress=False))

    each_snapshot = arriving(lambda snapshot: snapshot.loss < 0)
    return {"number": arriving(1e-12), "snapshots": each_snapshot, "batches": small_batches()}


def time_descents(task, widths):
    """Print microseconds of a step for each width."""
    print("width    number  snapshots    batches      floor   (µs of processor time per step)", flush=True)
    for width in widths:
        steps = max(20, 60_000 // width)
        runs = descents(task, width, steps)
        turns = {name: clocked(run, 1, time.process_time) for name, run in runs.items()}
        found = {name: taken / steps for name, taken in seconds(turns, 5).items()}
        found |= seconds({"floor": clocked(floor(width), steps, time.process_time)}, 5)
        print(f"{width:5d} " + " ".join(f"{1e6 * taken:10.0f}" for taken in found.values()), flush=True)


def clocked(step, repeats, clock=time.perf_counter):
    """A function that takes so many steps and returns the seconds of one."""

    def turn():
        begin = clock()
        for _ in range(repeats):
            step()
        return (clock() - begin) / repeats

    return turn


def seconds(turns, count):
    """Median seconds of each, all taking turns."""
    taken = [{name: turn() for name, turn in turns.items()} for _ in range(count + 1)][1:]  # the first one warms up
    return {name: statistics.median(times[name] for times in taken) for name in turns}


def main():
    """Time steps, or steps of whole descents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 256, 1024, 2048, 4096])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--venv", type=Path, help="where JAX is kept; a temporary directory by default")
    parser.add_argument("--descents", action="store_true", help="time steps of whole descents instead")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cores = sorted(os.sched_getaffinity(0))[-options.threads :]
    os.sched_setaffinity(0, cores)
    task = lab.tasks.separable(samples=SAMPLES, length=LENGTH)
    if options.descents:
        time_descents(task, options.widths)
    else:
        time_steps(task, options, cores)


def time_steps(task, options, cores):
    """Print a line for each width: a step beside what others take for one."""
    with tempfile.TemporaryDirectory() as folder:
        python = interpreter("jax_scan", options.venv or folder)
        print("width  step (ms)    " + "  ".join(HEADS), flush=True)
        for width in options.widths:
            network = lab.ElmanRNN.like(task, width, dtype=torch.float32)
            X, y = task.train_inputs.float(), task.train_targets.float()
            steps = {f.__name__: f(network, X, y) for f in (ours, autograd, layer, linearized, products)}
            row = max(1, 2000 // width)  # a descent takes one step after the other, so a turn does too
            turns = {name: clocked(step, row) for name, step in (steps | {"floor": floor(width)}).items()}
            with scan(python, network, X, y, cores, folder, row) as other:
                turns["scan"] = lambda other=other, row=row: other.call("steps")["seconds"] / row
                tell(width, seconds(turns, max(7, min(50, 20_000 // width))))


HEADS = ("over floor", "autograd/step", "nn.RNN/step", "JAX/step", "step/linearized", "jvp+vjp/linearized")


def tell(width, found):
    """Print one line."""
    step, line = found["ours"], found["linearized"]
    peers = [found[name] / step for name in ("autograd", "layer", "scan")]
    ratios = (step / found["floor"], *peers, step / line, found["products"] / line)
    text = "  ".join(f"{ratio:{len(head)}.2f}" for head, ratio in zip(HEADS, ratios, strict=True))
    print(f"{width:5d}  {1e3 * step:9.2f}    {text}", flush=True)


if __name__ == "__main__":
    main()
