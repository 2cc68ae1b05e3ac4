"""A training step beside its own matrix products, torch's autograd and `nn.RNN`, and the linearized step beside it.

Run as ``python -m tests.benchmarks.steps [--threads 1] [--widths 64 256 1024 2048 4096]``. All take turns in one
process, medians are compared; float32, W alone is trained, last-step readout.

floor       the products of a step alone, into memory that is there: forward, backward, one fat product for the gradient
autograd    the same recurrence written by hand, backward() and an in-place update
nn.RNN      torch's own layer and a linear readout, with only its recurrent weight trained
linearized  a step on kept factors (push and pull); push and pull without keeping: torch.func's jvp and vjp
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

import lab
from lab.learners.linearized import LinearizedNetwork

RATE = 1e-9  # the weights hardly move, so that every turn does the same work
SAMPLES, LENGTH = 48, 16


def ours(network, X, y):
    """A step of the lab."""

    def step():
        jacobian = network.jacobian(X)
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
    """A step of the Taylor model on kept factors."""
    model = LinearizedNetwork(network.jacobian(X).keep(), network.trained)

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


def seconds(steps, turns):
    """Median seconds of each step, all taking turns."""
    taken = {name: [] for name in steps}
    for turn in range(turns + 1):
        for name, step in steps.items():
            begin = time.perf_counter()
            step()
            if turn:  # the first one warms up
                taken[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in taken.items()}


def main():
    """Print a line for each width."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 256, 1024, 2048, 4096])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    task = lab.tasks.separable(samples=SAMPLES, length=LENGTH)
    print("width  step (ms)  over floor  autograd/step  nn.RNN/step  step/linearized  jvp+vjp/linearized", flush=True)
    for width in options.widths:
        network = lab.ElmanRNN.like(task, width, dtype=torch.float32)
        X, y = task.train_inputs.float(), task.train_targets.float()
        steps = {f.__name__: f(network, X, y) for f in (ours, autograd, layer, linearized, products)}
        found = seconds(steps | {"floor": floor(width)}, turns=max(7, min(100, 20_000 // width)))
        step, line = found["ours"], found["linearized"]
        ratios = (step / found["floor"], found["autograd"] / step, found["layer"] / step, step / line)
        text = "  ".join(f"{ratio:10.2f}" for ratio in (*ratios, found["products"] / line))
        print(f"{width:5d}  {1e3 * step:9.2f}  {text}", flush=True)


if __name__ == "__main__":
    main()
