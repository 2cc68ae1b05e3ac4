"""torch.func's two ways to a tangent kernel, as its tutorial on the subject does them, with the best chunks that fit.

Jacobian contraction: vmap of jacrev over samples, then one contraction; half of a symmetric kernel where blocks of
samples are needed. NTK-vector products: for every pair of samples, vjp and jvp, mapped over both.
"""

import time

import torch
from _ours import build, save  # noqa: F401  (the worker saves)
from torch.func import functional_call, jacrev, jvp, vjp, vmap

SLOW = 15.0  # seconds of one way of chunking after which no other is tried
SIZES = {  # samples in a block and samples mapped over at once
    "jacobian": [(64, 4), (64, None), (256, 4), (32, 4), (8, None), (2, None)],
    "products": [(8, None), (64, None), (1, None)],
}


def prepare(spec, limit):
    """The method with its fastest (samples in a block, samples in a chunk)."""
    torch.set_num_threads(1)
    network, inputs = build(spec)
    fixed = {name: getattr(network, name).detach() for name in "AB"}

    def one(weight, sample):
        return functional_call(network, {"W": weight, **fixed}, (sample[None],)).reshape(-1)

    way, point = {"jacobian": by_jacobians, "products": by_products}[spec["method"]], network.W.detach()
    limit()
    best = fastest(lambda *sizes: way(one, point, inputs, *sizes), SIZES[spec["method"]])
    return {"kernel": lambda: way(one, point, inputs, *best)}


def fastest(work, candidates):
    """The sizes with which the work is done soonest; those that do not fit in memory are passed over."""
    seconds = {}
    for sizes in candidates:
        start = time.perf_counter()
        try:
            work(*sizes)
        except RuntimeError as error:
            if "memory" not in str(error):
                raise
            continue
        seconds[sizes] = time.perf_counter() - start
        if seconds[sizes] > SLOW:
            break
    if not seconds:
        raise MemoryError("no way of chunking fits")
    return min(seconds, key=seconds.get)


def by_jacobians(one, point, inputs, block, chunk):
    """Jacobians of blocks of samples, contracted with each other; formed again for every pair of blocks."""
    jacobian = vmap(jacrev(one), (None, 0), chunk_size=chunk)
    blocks = inputs.split(block)
    if len(blocks) == 1:
        return contract(rows := jacobian(point, inputs).flatten(2), rows)
    parts = [[None] * len(blocks) for _ in blocks]
    for i, first in enumerate(blocks):
        rows = jacobian(point, first).flatten(2)
        for j, second in enumerate(blocks[: i + 1]):
            parts[i][j] = contract(rows, rows if i == j else jacobian(point, second).flatten(2))
            parts[j][i] = parts[i][j].permute(2, 3, 0, 1)
    return torch.cat([torch.cat(row, dim=2) for row in parts])


def contract(left, right):
    """Σ_p J_iap J'_jbp."""
    return torch.einsum("iap,jbp->iajb", left, right)


def by_products(one, point, inputs, block, chunk):
    """J J'ᵀ applied to unit vectors, for every pair of samples, a block of first samples at a time."""

    def pair(first, second):
        outputs, pull = vjp(lambda weight: one(weight, first), point)

        def column(unit):
            return jvp(lambda weight: one(weight, second), (point,), pull(unit))[1]

        return vmap(column)(torch.eye(outputs.numel()))

    both = vmap(vmap(pair, (None, 0)), (0, None), chunk_size=chunk)
    parts = [both(first, inputs) for first in inputs.split(block)]
    return torch.cat(parts).permute(0, 2, 1, 3)
