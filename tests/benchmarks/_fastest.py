"""neural-tangents' kernel of a torch module by whichever of its methods is fastest, in a process of its own."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import tempfile
from pathlib import Path

import numpy as np
import torch

from tests.benchmarks._turns import Contender, Failed

METHODS = ("jacobian_contraction", "ntk_vector_products", "structured_derivatives")
PATIENCE = 300.0  # seconds for compiling, and for one call
TRIES = 3


def specifications(kind, path, memory, methods):
    """What `_worker` reads, one for each of these methods; recurrences go as a scan and as a loop."""
    forms = ("scan", "loop") if kind in ("gru", "lstm") else ("",)
    common = {"module": "_jax_modules", "kind": kind, "problem": str(path), "memory": memory}
    common["cores"] = [max(os.sched_getaffinity(0))]
    return [{**common, "recurrence": form, "method": method} for form, method in itertools.product(forms, methods)]


def least(contender, best):
    """The least of a few calls' seconds of processor time; fails early where a call takes far longer than the best."""
    contender.limit = min(PATIENCE, 5 * best + 1)
    first = contender.call()["processor"]
    return min([first, *(contender.call()["processor"] for _ in range(TRIES if first < 1 else 0))])


def choose(python, specs):
    """The specification of the fastest method, or None where none answers in its memory and `PATIENCE`."""
    best, fastest_one = math.inf, None
    for spec in specs:
        with contextlib.suppress(Failed), Contender(python, spec, PATIENCE) as contender:
            seconds = least(contender, best)
            if seconds < best:
                best, fastest_one = seconds, spec
    return fastest_one


@contextlib.contextmanager
def fastest(python, kind, module, inputs, memory, methods=METHODS):
    """A function that computes the kernel and returns its seconds, the method's name, and the kernel (n, n).

    Three times None where no method answers. Weights and inputs go through a file that the other process reads.
    """
    with tempfile.TemporaryDirectory() as folder:
        path, result = Path(folder) / "problem.npz", Path(folder) / "kernel.npy"
        weights = {name: value.detach().cpu().numpy() for name, value in module.named_parameters()}
        np.savez(path, inputs=inputs.cpu().numpy(), **weights)
        spec = choose(python, specifications(kind, path, memory, methods))
        if spec is None:
            yield None, None, None
            return
        with Contender(python, spec, PATIENCE) as contender:
            contender.call(save=result)
            kernel = torch.from_numpy(np.load(result)).flatten(0, 1).flatten(1)
            method = f"{spec['method']} {spec['recurrence']}".strip().replace("_", " ")
            yield lambda: contender.call()["processor"], method, kernel
