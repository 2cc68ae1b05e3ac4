"""Jacobians of torch modules in factors beside torch.func's two ways, in one process on one core, in turns.

Run as ``python -m tests.benchmarks.modules [--only gru lstm] [--repeats 5] [--limit 20] [--no-whole]``. Rows are
modules on 48 sequences of length 8 (transformers: 16) with 9 features, 48 vectors with 64, or 24 images, float32, one
output, all parameters trained.

Columns: milliseconds of a tangent kernel in factors, and how many times as long others take: torch.func's Jacobian
contraction as in its tutorial, eight samples at a time, all rows held at once; and the two routes of
`lab.jacobians.autodiff`, contraction and NTK-vector products, in bounded memory. All differentiate loops in the place
of fused layers, which vmap refuses. Then the same for one step of the linearized network, Jv and Jᵀr, in reduced
coordinates or not, against jvp and vjp, with the matrix products' flops beside it, those of jvp and vjp over ours; how
long forming the factors for that takes; a training step against ``loss.backward()`` and ``torch.optim.SGD`` on the same
module; and the largest relative difference of the kernels. A dash: a single call exceeds the limit of seconds.

Then ``side_by_side`` of a GRU of width 256 and 300 steps against a script after torch.func's tutorials, in parts.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
import warnings

import torch
from torch import nn
from torch.func import functional_call, jvp, vjp

import lab
from lab.jacobians.unfused import unfused
from lab.networks.network import evaluator
from tests.references import Products

WIDTHS, FEATURES, LENGTH, SAMPLES = (64, 256, 512, 1024), 9, 8, 48


class Last(nn.Module):
    """A recurrent core, read at the last step."""

    def __init__(self, core, size):
        super().__init__()
        self.core, self.head = core, nn.Linear(size, 1)

    def forward(self, inputs):
        return self.head(self.core(inputs)[0][:, -1])


def recurrent(kind, width, **options):
    directions = 2 if options.get("bidirectional") else 1
    return Last(kind(FEATURES, width, batch_first=True, **options), width * directions)


def perceptron(width):
    return nn.Sequential(
        nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
        nn.Linear(width, 1),
    )  # fmt: skip


def convolutional(channels):
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1),
    )  # fmt: skip


def transformer(size):
    layer = nn.TransformerEncoderLayer(size, 4, 4 * size, 0.0, batch_first=True)
    return nn.Sequential(
        nn.Linear(FEATURES, size), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Flatten(),
        nn.Linear(16 * size, 1),
    )  # fmt: skip


SEQUENCES, VECTORS = (SAMPLES, LENGTH, FEATURES), (SAMPLES, 64)
CASES = {
    **{f"gru {m}": (lambda m=m: recurrent(nn.GRU, m), SEQUENCES) for m in WIDTHS},
    **{f"lstm {m}": (lambda m=m: recurrent(nn.LSTM, m), SEQUENCES) for m in WIDTHS},
    **{f"gru, two layers {m}": (lambda m=m: recurrent(nn.GRU, m, num_layers=2), SEQUENCES) for m in WIDTHS},
    **{f"lstm, both ways {m}": (lambda m=m: recurrent(nn.LSTM, m, bidirectional=True), SEQUENCES) for m in WIDTHS},
    **{f"mlp {m}": (lambda m=m: perceptron(m), VECTORS) for m in (256, 1024, 4096)},
    **{f"cnn 8×8, {c}": (lambda c=c: convolutional(c), (24, 1, 8, 8)) for c in (16, 64)},
    **{f"cnn 28×28, {c}": (lambda c=c: convolutional(c), (24, 1, 28, 28)) for c in (16, 64)},
    **{f"transformer {d}": (lambda d=d: transformer(d), (SAMPLES, 16, FEATURES)) for d in (64, 128, 256)},
}


def timed(work):
    """Seconds of processor time of one call; one thread computes, and waiting for other processes does not count."""
    start = time.process_time()
    work()
    return time.process_time() - start


def in_turns(works, repeats, limit):
    """Median seconds of each, called one after the other; None for what takes longer than the limit at once."""
    first = {name: timed(work) for name, work in works.items()}
    alive = [name for name, seconds in first.items() if seconds <= limit]
    found = {name: [] for name in works}
    for _ in range(repeats):
        for name in alive:
            found[name].append(timed(works[name]))
    return {name: statistics.median(seconds) if seconds else None for name, seconds in found.items()}


def flops(work):
    with Products() as counted:
        work()
    return counted.flops


def ratio(found, name, reference):
    return "—" if found[name] is None else f"{found[name] / found[reference]:.1f}"


def kernels(network, inputs, options):
    """Milliseconds of the kernel, the three ratios, and the largest relative difference from the tutorial's."""
    script = Script(network.module, inputs, None, 0)
    routes = ("factors", "contraction", "vector_products")
    works = {route: lambda route=route: network.jacobian(inputs).gram(route=route) for route in routes}
    works["tutorial"] = script.kernel
    found = in_turns(works, options.repeats, options.limit)
    ours, theirs = works["factors"]().flatten(0, 1).flatten(1), script.kernel()
    error = f"{float((ours - theirs).abs().max() / theirs.abs().max()):.0e}"
    ratios = [ratio(found, name, "factors") for name in ("tutorial", "contraction", "vector_products")]
    return [f"{1e3 * found['factors']:.1f}", *ratios, error]


def linearized(network, inputs, options):
    """Milliseconds of a step in factors, jvp and vjp over it, also in flops of products, and forming the factors."""
    live = network.jacobian(inputs)
    kept = network.jacobian(inputs).keep()
    forming = timed(lambda: network.jacobian(inputs).keep().reduced(None))
    ours, _ = kept.reduced(None)
    motion, theirs = ours.pull(ours.outputs), live.pull(live.outputs)
    works = {
        "factors": lambda: (ours.push(motion), ours.add_pull(motion, ours.outputs, 1e-9)),
        "passes": lambda: (live.push(theirs), live.pull(live.outputs)),
    }
    found = in_turns(works, options.repeats, options.limit)
    products = flops(works["passes"]) / max(flops(works["factors"]), 1)
    return [
        f"{1e3 * found['factors']:.2f}",
        ratio(found, "passes", "factors"),
        f"{products:.1f}",
        f"{1e3 * forming:.0f}",
    ]


def training(network, inputs, options):
    """A training step over that of the user's own loop."""
    own, targets = copy.deepcopy(network.module), torch.ones(len(inputs), 1)
    optimizer = torch.optim.SGD(own.parameters(), lr=1e-9)
    evaluate = evaluator(network, inputs)

    def loop():
        optimizer.zero_grad()
        (0.5 * (own(inputs) - targets).square().sum()).backward()
        optimizer.step()

    @torch.no_grad()
    def ours():
        jacobian = evaluate()
        residual = jacobian.outputs - targets
        float(residual.square().sum())
        jacobian.add_pull(network.trained, residual, -1e-9)

    found = in_turns({"loop": loop, "ours": ours}, 3 * options.repeats, options.limit)
    return [f"{found['ours'] / found['loop']:.2f}"]


class Script:
    """Three learners as one writes them after torch.func's tutorials, for a module that is built from loops."""

    def __init__(self, module, inputs, targets, steps):
        self.module, self.inputs, self.targets, self.steps = module, inputs, targets, steps
        self.point = {name: value.detach() for name, value in module.named_parameters()}

    def outputs(self, point):
        with unfused():
            return functional_call(self.module, point, (self.inputs,))

    def kernel(self):
        from torch.func import jacrev, vmap

        def one(point, sample):
            with unfused():
                return functional_call(self.module, point, (sample[None],))[0]

        blocks = [vmap(jacrev(one), (None, 0))(self.point, part) for part in self.inputs.split(8)]
        rows = [{name: torch.cat([block[name] for block in blocks]).flatten(1) for name in self.point}]
        return sum(value @ value.T for value in rows[0].values())

    def regress(self, kernel, rate):
        found = torch.zeros_like(self.targets)
        for _ in range(self.steps):
            found = found - rate * kernel @ (found - self.targets)
        return found

    def linearize(self, rate):
        with torch.no_grad():
            start = self.outputs(self.point)
        motion = {name: torch.zeros_like(value) for name, value in self.point.items()}
        _, pull = vjp(self.outputs, self.point)
        for _ in range(self.steps):
            residual = start + jvp(self.outputs, (self.point,), (motion,))[1] - self.targets
            motion = {name: motion[name] - rate * value for name, value in pull(residual)[0].items()}
        return motion

    def train(self, rate):
        own = copy.deepcopy(self.module)
        optimizer = torch.optim.SGD(own.parameters(), lr=rate)
        for _ in range(self.steps):
            optimizer.zero_grad()
            (0.5 * (own(self.inputs) - self.targets).square().sum()).backward()
            optimizer.step()


def whole(options):
    """A GRU of width 256 side by side: the lab, and the script with its parts."""
    torch.manual_seed(0)
    module, inputs = recurrent(nn.GRU, 256), torch.randn(SEQUENCES)
    targets, steps = torch.sign(torch.randn(SAMPLES, 1)), 300
    script = Script(module, inputs, targets, steps)
    result = lab.side_by_side(module, (inputs, targets), lab.Descent(steps))
    ours = statistics.median(
        timed(lambda: lab.side_by_side(module, (inputs, targets), lab.Descent(steps)))
        for _ in range(max(options.repeats // 2, 1))
    )
    network = timed(
        lambda: list(lab.descend(module, (inputs, targets), lab.Descent(steps, learning_rate=result.learning_rate)))
    )
    kernel = script.kernel()
    parts = {
        "kernel": timed(script.kernel),
        "kernel regressor": timed(lambda: script.regress(kernel, result.learning_rate)),
        "linearized network": timed(lambda: script.linearize(result.learning_rate)),
        "network": timed(lambda: script.train(result.learning_rate)),
    }
    total = sum(parts.values())
    print(f"side_by_side of a GRU of width 256, {steps} steps: {ours:.2f} s, of which the network {network:.2f} s")
    print("script: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in parts.items()))
    print(f"ratio {total / ours:.1f} whole, {(total - parts['network']) / (ours - network):.1f} without the network")


HEADINGS = (
    "module", "kernel, ms", "torch.func's tutorial", "contraction", "vector products", "difference", "step, ms",
    "jvp + vjp", "flops", "factors, ms", "training step",
)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[""], help="beginnings of names of modules")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--limit", type=float, default=20.0)
    parser.add_argument("--no-whole", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print("| " + " | ".join(HEADINGS) + " |\n" + "|---" * len(HEADINGS) + "|")
    for name, (maker, sizes) in CASES.items():
        if name.startswith(tuple(options.only)):
            torch.manual_seed(0)
            network, inputs = lab.as_network(maker()), torch.randn(sizes)
            cells = [
                measured for part in (kernels, linearized, training) for measured in part(network, inputs, options)
            ]
            print("| " + " | ".join([name, *cells]) + " |", flush=True)
    if not options.no_whole:
        whole(options)


if __name__ == "__main__":
    main()
