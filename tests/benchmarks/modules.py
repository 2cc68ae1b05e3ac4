"""Jacobians of torch modules in factors beside torch.func's two ways and neural-tangents, on one core, in turns.

    python -m tests.benchmarks.modules [--only gru lstm] [--repeats 5] [--limit 20] [--no-whole]
                                       [--peers PEERS/python] [--memory 8] [--without contraction] [--device cuda]

Rows are modules on 48 sequences of length 8 (transformers: 16) with 9 features, 48 vectors with 64, or 24 images,
float32, one output, all parameters trained. Seconds are processor time; on a GPU they are wall time, from idle to idle.

Columns: milliseconds of a tangent kernel in factors, and how many times as long others take: torch.func's Jacobian
contraction as in its tutorial, eight samples at a time, all rows held at once; the two routes of
`lab.jacobians.autodiff`, contraction and NTK-vector products, in bounded memory; and neural-tangents by the fastest of
its methods, which is named. The first three differentiate loops in the place of fused layers, which vmap refuses.
neural-tangents runs where ``--peers`` names the interpreter of an environment with the packages of
`_turns.PACKAGES["neural_tangents"]`, in a process of its own on the same core and weights; compiling is not timed.
Then the largest relative difference of these kernels from ours, and the same for one step of the linearized network, Jv
and Jᵀr, in reduced coordinates or not, against jvp and vjp, with the matrix products' flops beside it, those of jvp and
vjp over ours; how long forming the factors for that takes; and a training step against ``loss.backward()`` and
``torch.optim.SGD`` on the same module. ≈: a single call that took longer than the limit of seconds. A dash: no answer,
or left out by ``--without``; of the tutorial, its rows and their copy exceed ``--memory``.

Then ``side_by_side`` of a GRU of width 256 and 300 steps against a script after torch.func's tutorials, in parts.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import functools
import statistics
import time
import warnings

import torch
from torch import nn
from torch.func import functional_call, jvp, vjp

import lab
from lab.jacobians.unfused import unfused
from lab.networks.network import evaluator
from tests.benchmarks._fastest import METHODS, fastest
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


def timed(work, device):
    """Seconds of one call: of processor time, since one thread computes and waiting for others does not count.

    Of wall time on a GPU, which is idle before and after.
    """
    clock, wait = (time.process_time, lambda: None) if device == "cpu" else (time.perf_counter, torch.cuda.synchronize)
    wait()
    start = clock()
    work()
    wait()
    return clock() - start


def in_turns(stopwatches, repeats, limit):
    """Median seconds of each, one after the other, and whether they are those of a single call, beyond the limit."""
    first = {name: stopwatch() for name, stopwatch in stopwatches.items()}
    found = {name: [] for name, seconds in first.items() if seconds <= limit}
    for _ in range(repeats):
        for name, seconds in found.items():
            seconds.append(stopwatches[name]())
    medians = {name: statistics.median(seconds) for name, seconds in found.items()}
    return first | medians, first.keys() - medians.keys()


def works_in_turns(works, options, repeats=None):
    """The same of functions that are timed here."""
    stopwatches = {name: functools.partial(timed, work, options.device) for name, work in works.items()}
    return in_turns(stopwatches, repeats or options.repeats, options.limit)


def flops(work):
    with Products() as counted:
        work()
    return counted.flops


def ratio(found, name, reference):
    seconds, single = found
    if name not in seconds:
        return "—"
    return ("≈" if name in single else "") + f"{seconds[name] / seconds[reference]:.1f}"


def difference(kernel, reference):
    return float((kernel - reference).abs().max() / reference.abs().max())


def kernels(name, network, inputs, options):
    """Milliseconds of the kernel, the ratios, the peer's method, and the largest relative difference from others."""
    script, device = Script(network.module, inputs, None, 0), options.device
    works = {
        route: lambda route=route: network.jacobian(inputs).gram(route=route)
        for route in ("factors", "contraction", "vector_products")
        if route not in options.without
    }
    if "tutorial" not in options.without and 2 * script.bytes_of_rows() <= 1e9 * options.memory:
        works["tutorial"] = script.kernel
    ours = works["factors"]().flatten(0, 1).flatten(1)
    peer = contextlib.nullcontext((None, None, None))
    if options.peers:
        kind, memory = name.split()[0].strip(","), 1e9 * options.memory
        peer = fastest(options.peers, kind, network.module, inputs, memory, options.methods)
    with peer as (stopwatch, method, theirs):
        stopwatches = {route: functools.partial(timed, work, device) for route, work in works.items()}
        found = in_turns(stopwatches | ({"peer": stopwatch} if method else {}), options.repeats, options.limit)
    references = [works["tutorial"]()] if "tutorial" in works else []
    references += [theirs.to(ours.device)] if method else []
    error = f"{max(difference(ours, kernel) for kernel in references):.0e}" if references else "—"
    ratios = [ratio(found, name, "factors") for name in ("tutorial", "contraction", "vector_products", "peer")]
    return [f"{1e3 * found[0]['factors']:.1f}", *ratios, method or "—", error]


def linearized(_, network, inputs, options):
    """Milliseconds of a step in factors, jvp and vjp over it, also in flops of products, and forming the factors."""
    live = network.jacobian(inputs)
    kept = network.jacobian(inputs).keep()
    forming = timed(lambda: network.jacobian(inputs).keep().reduced(None), options.device)
    ours, _ = kept.reduced(None)
    motion, theirs = ours.pull(ours.outputs), live.pull(live.outputs)
    works = {
        "factors": lambda: (ours.push(motion), ours.add_pull(motion, ours.outputs, 1e-9)),
        "passes": lambda: (live.push(theirs), live.pull(live.outputs)),
    }
    found = works_in_turns(works, options)
    products = flops(works["passes"]) / max(flops(works["factors"]), 1)
    return [
        f"{1e3 * found[0]['factors']:.2f}",
        ratio(found, "passes", "factors"),
        f"{products:.1f}",
        f"{1e3 * forming:.0f}",
    ]


def training(_, network, inputs, options):
    """A training step over that of the user's own loop."""
    own, targets = copy.deepcopy(network.module), inputs.new_ones(len(inputs), 1)
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

    seconds, _ = works_in_turns({"loop": loop, "ours": ours}, options, 3 * options.repeats)
    return [f"{seconds['ours'] / seconds['loop']:.2f}"]


class Script:
    """Three learners as one writes them after torch.func's tutorials, for a module that is built from loops."""

    def __init__(self, module, inputs, targets, steps):
        self.module, self.inputs, self.targets, self.steps = module, inputs, targets, steps
        self.point = {name: value.detach() for name, value in module.named_parameters()}

    def outputs(self, point):
        with unfused():
            return functional_call(self.module, point, (self.inputs,))

    def bytes_of_rows(self):
        return 4 * len(self.inputs) * sum(value.numel() for value in self.point.values())

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
    module, inputs = recurrent(nn.GRU, 256).to(options.device), torch.randn(SEQUENCES).to(options.device)
    targets, steps = torch.sign(torch.randn(SAMPLES, 1)).to(options.device), 300
    script, seconds = Script(module, inputs, targets, steps), functools.partial(timed, device=options.device)
    result = lab.side_by_side(module, (inputs, targets), lab.Descent(steps))
    ours = statistics.median(
        seconds(lambda: lab.side_by_side(module, (inputs, targets), lab.Descent(steps)))
        for _ in range(max(options.repeats // 2, 1))
    )
    network = seconds(
        lambda: list(lab.descend(module, (inputs, targets), lab.Descent(steps, learning_rate=result.learning_rate)))
    )
    kernel = script.kernel()
    parts = {
        "kernel": seconds(script.kernel),
        "kernel regressor": seconds(lambda: script.regress(kernel, result.learning_rate)),
        "linearized network": seconds(lambda: script.linearize(result.learning_rate)),
        "network": seconds(lambda: script.train(result.learning_rate)),
    }
    total = sum(parts.values())
    print(f"side_by_side of a GRU of width 256, {steps} steps: {ours:.2f} s, of which the network {network:.2f} s")
    print("script: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in parts.items()))
    print(f"ratio {total / ours:.1f} whole, {(total - parts['network']) / (ours - network):.1f} without the network")


HEADINGS = (
    "module", "kernel, ms", "torch.func's tutorial", "contraction", "vector products", "neural-tangents", "its method",
    "difference", "step, ms", "jvp + vjp", "flops", "factors, ms", "training step",
)  # fmt: skip


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[""], help="beginnings of names of modules")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--limit", type=float, default=20.0, help="seconds beyond which one call is enough")
    parser.add_argument("--without", nargs="*", default=[], choices=("tutorial", "contraction", "vector_products"))
    parser.add_argument("--no-whole", action="store_true", help="leave side_by_side out")
    parser.add_argument("--peers", help="the Python of an environment with neural-tangents")
    parser.add_argument("--methods", nargs="*", default=METHODS, choices=METHODS, help="of neural-tangents")
    parser.add_argument("--memory", type=float, default=8.0, help="GB that the tutorial's rows or the peer may take")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    if options.peers and options.device != "cpu":
        parser.error("--peers runs on the CPU. Leave out --peers or --device")
    return options


def main():
    options = parsed()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print("| " + " | ".join(HEADINGS) + " |\n" + "|---" * len(HEADINGS) + "|")
    for name, (maker, sizes) in CASES.items():
        if name.startswith(tuple(options.only)):
            torch.manual_seed(0)
            network, inputs = lab.as_network(maker().to(options.device)), torch.randn(sizes).to(options.device)
            parts = (kernels, linearized, training)
            cells = [measured for part in parts for measured in part(name, network, inputs, options)]
            print("| " + " | ".join([name, *cells]) + " |", flush=True)
    if not options.no_whole:
        whole(options)


if __name__ == "__main__":
    main()
