"""Slow, dense, obviously right versions of what the lab computes, and a watch on what torch allocates."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.func import functional_call, jacrev
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.tolerances import DIFFERENCE_STEP

FUNCTIONS = {
    "relu": lambda g: np.maximum(g, 0),
    "tanh": np.tanh,
    "erf": np.vectorize(math.erf),
    "softplus": lambda g: np.log1p(np.exp(g)),
}


def draw(*sizes, seed=0, dtype=torch.float64):
    """Standard normal numbers."""
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def plain_states(network, inputs):
    """Pre-activations and states (n, L, m) of an Elman network, sample by sample, unit by unit, in numpy."""
    scale = {name: part.multiplier for name, part in network.scales.items()}
    weights = {name: getattr(network, name).detach().numpy() for name in scale}
    bias = scale.get("b", 0.0) * weights.get("b", np.zeros(network.width))
    preactivations, states = [], []
    for sequence in inputs.numpy():
        h = np.zeros(network.width)
        for x in sequence:
            recurrent = [sum(weights["W"][i, j] * h[j] for j in range(len(h))) for i in range(len(h))]
            projected = [sum(weights["A"][i, k] * x[k] for k in range(len(x))) for i in range(len(h))]
            g = scale["W"] * np.array(recurrent) + scale["A"] * np.array(projected) + bias
            h = FUNCTIONS[network.activation.name](g)
            preactivations.append(g)
            states.append(h)
    shape = (*inputs.shape[:2], network.width)
    return np.reshape(preactivations, shape), np.reshape(states, shape)


def plain_outputs(network, inputs):
    """Outputs of an Elman network from `plain_states`."""
    read = network.scales["B"].multiplier * plain_states(network, inputs)[1] @ network.B.detach().numpy().T
    return {"last": read[:, -1], "all": read[:, 1:], "mean": read.mean(1)}[network.readout]


def dense_jacobian(module, inputs):
    """∂f/∂θ of the parameters that require gradients by torch.func, name -> (n, o, P)."""
    live = {name: value.detach() for name, value in module.named_parameters() if value.requires_grad}

    def outputs(point):
        return functional_call(module, point, (inputs,)).reshape(len(inputs), -1)

    return {name: value.flatten(2) for name, value in jacrev(outputs)(live).items()}


@torch.no_grad()
def difference_jacobian(module, inputs):
    """∂f/∂θ by central differences of the module itself, entry by entry, name -> (n, o, P)."""
    columns = {}
    for name, weight in module.named_parameters():
        if weight.requires_grad:
            parts = [_difference(module, inputs, weight.view(-1)[i]) for i in range(weight.numel())]
            columns[name] = torch.stack(parts, dim=2)
    return columns


def _difference(module, inputs, entry):
    start, sides = entry.clone(), []
    for sign in (1, -1):
        entry.copy_(start + sign * DIFFERENCE_STEP)
        sides.append(module(inputs).reshape(len(inputs), -1))
    entry.copy_(start)
    return (sides[0] - sides[1]) / (2 * DIFFERENCE_STEP)


def pulled_jacobian(jacobian):
    """J (n, o, P), one pull of a unit cotangent per row, parameters in their own order."""
    n, o = jacobian.outputs.shape
    rows = []
    for unit in torch.eye(n * o, dtype=jacobian.outputs.dtype):
        tangent = jacobian.pull(unit.view(n, o))
        rows.append(torch.cat([value.reshape(-1) for value in tangent.values()]))
    return torch.stack(rows).view(n, o, -1)


def joined(jacobian, names):
    """The named blocks of a dense Jacobian side by side, (n, o, P)."""
    return torch.cat([jacobian[name] for name in names], dim=2)


def product(left, right=None):
    """J J'ᵀ (n, o, n', o') of dense Jacobians (n, o, P)."""
    return torch.einsum("iap,jbp->iajb", left, left if right is None else right)


def parts(network, vector):
    """A vector of all trained parameters as a tangent."""
    sizes = [value.numel() for value in network.trained.values()]
    return {
        name: part.view(value.shape)
        for (name, value), part in zip(network.trained.items(), vector.split(sizes), strict=True)
    }


class Allocations(TorchDispatchMode):
    """Records the sizes in bytes of all storages that operations return, but for those of given tensors."""

    def __init__(self, *known):
        super().__init__()
        self.known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self.bytes = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        inputs = {_storage(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)}
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor) and _storage(leaf) not in inputs | self.known:
                self.bytes.append(leaf.untyped_storage().nbytes())
        return result

    @property
    def largest(self):
        """The largest of them."""
        return max(self.bytes, default=0)


class Products(TorchDispatchMode):
    """Counts the flops of matrix products, those in place included (torch's own counter leaves these out)."""

    def __init__(self):
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        name = function.name().removeprefix("aten::").split(".")[0]
        if name in ("mm", "bmm"):
            self.flops += 2 * result.numel() * args[0].shape[-1]
        elif name in ("addmm", "addmm_"):
            self.flops += 2 * result.numel() * args[1].shape[-1]
        return result


def _storage(tensor):
    return tensor.untyped_storage().data_ptr()
