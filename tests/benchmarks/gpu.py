"""The whole check on a GPU: parity with the processor, what a step costs, how wide a network fits.

    python -m tests.benchmarks.gpu [--device cuda] [--out summary.json] [--minutes 8]

It needs torch, numpy, scipy, scikit-learn, pandas, psutil, threadpoolctl and tqdm, and that `lab` can be imported: in a
bare checkout ``pip install --no-deps -e .`` suffices. TF32 is off. With ``--device cpu`` the same code runs at small
sizes, where no number but the parity of float32 means anything.

card      rate of a product of two square float32 matrices, and of a copy in memory
parity    every learner, loss and kind of network (`_parity`), in float64 and float32, against the processor in float64
waits     how often the host waited for the device in 96 steps, by torch's profiler; at most once in 32 and at the end
step      seconds of a step of `lab.descend` between two records (48 sequences of 16 steps, float32, W alone trained),
          its ratio to those of its own matrix products done alone, of 48 rows each and replayed from a CUDA graph as
          the step is (``over_floor``), and to what these would take at the card's rate (``over_rate``); then seconds
          without a graph, and when the host also looks at the loss in every step
ladder    `lab.side_by_side(..., in_place=True)`, 24 sequences of 8 steps, 20 steps, at widths up to what memory holds

The exit status is 1 if a parity is not within its tolerance, steps wait for the device, or a part fails.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import sys
import time
import traceback
from pathlib import Path
from unittest import mock

import torch

import lab
from tests.benchmarks import _parity
from tests.benchmarks.steps import LENGTH, RATE, SAMPLES, floor

SIZES = {
    "cuda": {"square": 8192, "widths": [1024, 4096, 16384, 65536], "ladder": [2**k for k in range(12, 18)]},
    "cpu": {"square": 256, "widths": [32], "ladder": [32, 64]},
}
LADDER_STEPS = 20
WAITS = ("cudaStreamSynchronize", "cudaEventSynchronize", "aten::_local_scalar_dense")
KINDS = {
    "Elman": lambda device: (_parity.elman(device, torch.float32), {}),
    "Elman, batches": lambda device: (_parity.elman(device, torch.float32), {"batch_size": 5}),
    "GRU": lambda device: (_parity.gru(device, torch.float32), {}),
}
STEPS, ALLOWED = 96, 4  # in which the host may look so often
TURN = 0.5  # seconds that are timed at once


def main(arguments=None):
    """Print what is found, write the summary, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--out", type=Path, help="where the summary goes, as JSON")
    parser.add_argument(
        "--minutes", type=float, default=8.0, help="widths that would take longer than that are left out"
    )
    parser.add_argument("--cases", nargs="*", default=list(_parity.CASES), choices=list(_parity.CASES), metavar="CASE")
    for name, what in {"widths": "steps", "ladder": "ladder"}.items():
        parser.add_argument(f"--{name}", type=int, nargs="*", help=f"widths of the {what}")
    options = parser.parse_args(arguments)
    end = time.perf_counter() + 60 * options.minutes
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    sizes = SIZES[options.device] | {name: given for name, given in vars(options).items() if given is not None}
    found = {"card": shown("card", card(options.device, sizes["square"]))}
    rate = found["card"]["product_flops_per_second"]
    found["parity"] = [attempt("parity", parity, {"case": case}, options.device) for case in options.cases]
    found["waits"] = [attempt("waits", waits, {"kind": kind}, options.device) for kind in KINDS]
    found["steps"] = [attempt("step", step, {"width": m}, options.device, rate) for m in sizes["widths"]]
    found["ladder"] = list(ladder(sizes["ladder"], options.device, end))
    found["failures"] = shown("failures", failures(found))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 1 if found["failures"] else 0


def shown(what, row):
    """Print a row, and return it."""
    values = row.items() if isinstance(row, dict) else enumerate(row)
    text = ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in values)
    print(f"{what:9s} {text or 'none'}", flush=True)
    return row


def attempt(what, measure, row, *options):
    """Print and return what is measured for a row, or how that failed."""
    try:
        row |= measure(*row.values(), *options)
    except Exception as error:  # what comes after it is worth having all the same
        traceback.print_exc()
        row["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
    return shown(what, row)


def failures(found):
    """What is not as it should be, in words."""
    rows = [row for part in ("parity", "waits", "steps", "ladder") for row in found[part]]
    wrong = [f"{next(iter(row.values()))}: {row['error']}" for row in rows if "error" in row]
    wrong += [f"parity of {row['case']}" for row in found["parity"] if not row.get("passed", True)]
    wrong += [f"{row['kind']} waits for the device" for row in found["waits"] if row.get("waits", 0) > ALLOWED]
    if found["card"]["tf32"] or found["card"]["product_error"] > 1e-5:
        wrong.append("products are not those of float32")
    return wrong


def card(device, size):
    """What it is, and what it does: a product of two square float32 matrices, a copy of one."""
    on_gpu = device == "cuda"
    one, other = (torch.randn(2, size, size).to(device)).unbind()
    error = one[:64] @ other - (one[:64].double() @ other.double()).float()
    product = seconds(lambda: torch.mm(one, other), device)
    copy = seconds(lambda: one.copy_(other), device)
    return {
        "name": torch.cuda.get_device_name() if on_gpu else platform.processor() or platform.machine(),
        "memory": torch.cuda.mem_get_info()[1] if on_gpu else None,
        "torch": torch.__version__,
        "tf32": torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32,
        "product_error": float(error.norm() / (one[:64].double() @ other.double()).norm()),
        "product_flops_per_second": 2 * size**3 / product,
        "copy_bytes_per_second": 2 * one.nbytes / copy,
    }


def parity(case, device):
    """The largest differences of a case from the processor in float64, in both precisions."""
    reference, row = _parity.CASES[case]("cpu", torch.float64), {"passed": True}
    for dtype, tolerance in _parity.TOLERANCES.items():
        found = _parity.differences(case, device, dtype, reference)
        worst, name = max(found, key=found.get), str(dtype).removeprefix("torch.")
        row |= {name: found[worst], f"{name} in": worst}
        row["passed"] &= found[worst] <= tolerance
    return row


def waits(kind, device):
    """How often the host waits for the device while a descent steps from one record to the next."""
    network, settings = KINDS[kind](device)
    descent = lab.Descent(STEPS, learning_rate=RATE, record=(0, STEPS), **settings)
    path = lab.descend(network, _parity.sequences(), descent, progress=False)
    next(path)
    synchronize(device)
    with torch.profiler.profile() as profile:
        next(path)
    counts = {each.key: each.count for each in profile.key_averages() if each.key in WAITS}
    return {"steps": STEPS, "waits": sum(counts.values()), "allowed": ALLOWED, **counts}


def step(width, device, rate):
    """Seconds of a step in a descent, and of its products alone."""
    task = lab.tasks.separable(samples=SAMPLES, length=LENGTH)
    network = lab.ElmanRNN.like(task, width, dtype=torch.float32, device=device)
    found = {"step": descending(network, task, device)}
    with mock.patch("lab.learners.descent._is_replayable", return_value=False):
        found["without_graph"] = descending(network, task, device)
        with mock.patch("lab.learners.descent._steps_between_looks", return_value=1):
            found["with_looks"] = descending(network, task, device)
    del network
    release(device)
    with torch.device(device):
        found["floor"] = seconds(replayed(floor(width), device), device)
    release(device)
    flops = 2 * SAMPLES * width**2 * (3 * LENGTH - 4)  # forward and backward past the first step, and one fat product
    ratios = {"over_floor": found["step"] / found["floor"], "over_rate": found["step"] * rate / flops}
    return {**found, **ratios, "flops": flops}


def descending(network, task, device):
    """Seconds of a step between two records of a descent, median of three; the weights hardly move."""

    def run(steps):
        settings = lab.Descent(steps, learning_rate=RATE, record=(0, steps))
        path = lab.descend(network, task, settings, in_place=True, progress=False)
        next(path)
        return timed(lambda: next(path), device) / steps

    run(2)  # warms up
    steps = max(3, min(500, int(TURN / run(3))))
    return statistics.median(run(steps) for _ in range(3))


def replayed(work, device):
    """What replays the work from a CUDA graph; on the processor the work itself."""
    if device == "cpu":
        return work
    side, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    with torch.cuda.stream(side):
        work()
    side.synchronize()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


def ladder(widths, device, end):
    """A row for each width, or why it was left out."""
    last = 0.0
    for width in widths:
        row, needed = {"width": width}, 4 * width**2
        release(device)
        if device == "cuda" and 1.05 * needed > (free := torch.cuda.mem_get_info()[0]):
            row["left_out"] = f"W takes {needed / 2**30:.0f} GiB of {free / 2**30:.0f} GiB"
        elif 4.5 * last > end - time.perf_counter():
            row["left_out"] = f"it would take about {4.5 * last:.0f} s"
        else:
            begin = time.perf_counter()
            yield attempt("ladder", rung, row, device)
            last = time.perf_counter() - begin
            continue
        yield shown("ladder", row)


def rung(width, device):
    """Seconds and memory of the three learners in place, and what they find."""
    task, begin = lab.tasks.separable(), time.perf_counter()
    network = lab.ElmanRNN.like(task, width, dtype=torch.float32, device=device)
    drawn = time.perf_counter() - begin
    before = torch.cuda.memory_allocated() - network.W.nbytes if device == "cuda" else 0
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    result = lab.side_by_side(network, task, lab.Descent(LADDER_STEPS), in_place=True, progress=False)
    row = {"drawing_seconds": drawn, "learners_seconds": time.perf_counter() - begin - drawn}
    if device == "cuda":
        row["peak_over_weights"] = (torch.cuda.max_memory_allocated() - before) / network.W.nbytes
    motion = {name: result.motion[name] for name in ("relative_weight_motion", "spectral_motion", "kernel_drift")}
    return {**row, "gap_test": float(result.gap("test").max()), **motion}


def timed(work, device):
    """Seconds of one call, until the device has done its work."""
    synchronize(device)
    begin = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - begin


def seconds(work, device):
    """Seconds of one of many calls in a row, median of five turns."""
    work()
    count = max(1, min(1000, int(TURN / 5 / timed(work, device))))
    return statistics.median(timed(lambda: [work() for _ in range(count)], device) / count for _ in range(5))


def release(device):
    """Give back what torch keeps of the memory that is free."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


def synchronize(device):
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    sys.exit(main())
