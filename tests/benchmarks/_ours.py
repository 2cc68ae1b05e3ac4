"""Our kernel, and its own matrix products alone."""

import math

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import lab

PRODUCTS = {"mm": 0, "bmm": 0, "addmm_": 1, "addmm": 1}  # name -> which argument is the first factor


def prepare(spec, limit):
    """The kernel, and a replay of the products that it consists of."""
    torch.set_num_threads(1)
    network, inputs = build(spec)
    lab.empirical_ntk(lab.ElmanRNN(64, inputs.shape[2], dtype=torch.float32), inputs[:8])  # libraries set themselves up
    limit()
    replay = []

    def products():
        replay[:] = replay or Recording(lambda: lab.empirical_ntk(network, inputs)).replay()
        for product in replay:
            product()

    return {"kernel": lambda: lab.empirical_ntk(network, inputs), "products": products}


def build(spec):
    """The network of the problem, with its weights, and the inputs."""
    problem = np.load(spec["problem"])
    inputs, (width, features) = torch.from_numpy(problem["x"]), problem["A"].shape
    network = lab.ElmanRNN(width, features, readout=spec["readout"], dtype=torch.float32, device="meta")
    for name in "WAB":
        network.register_parameter(name, torch.nn.Parameter(torch.from_numpy(problem[name]), requires_grad=name == "W"))
    return network, inputs


def save(path, kernel):
    """Write a kernel (n, o, n, o)."""
    np.save(path, kernel.detach().numpy())


class Recording(TorchDispatchMode):
    """All matrix products of a computation: shapes, strides, and which memory they read and write."""

    def __init__(self, work):
        super().__init__()
        self.calls, self.storages = [], {}
        with self:
            work()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        name = function.name().removeprefix("aten::").split(".")[0]
        if name in PRODUCTS:
            first = PRODUCTS[name]
            operands = [self._place(tensor) for tensor in (result, args[first], args[first + 1])]
            self.calls.append((operands, name.startswith("addmm") and kwargs.get("beta", 1) != 0))
        return result

    def _place(self, tensor):
        storage = tensor.untyped_storage()
        key, size = storage.data_ptr(), storage.nbytes() // tensor.element_size()
        self.storages[key] = max(self.storages.get(key, 0), size)
        return key, tensor.shape, tensor.stride(), tensor.storage_offset()

    def replay(self):
        """Functions that do the same products in the same order on random numbers that lie in the same way."""
        # of this size numbers neither grow nor fade from product to product: tiny ones would be slow
        scale = 1 / math.sqrt(max(operand[1][-1] for operands, _ in self.calls for operand in operands))
        memory = {key: scale * torch.randn(size) for key, size in self.storages.items()}
        return [self._product(memory, *call) for call in self.calls]

    @staticmethod
    def _product(memory, operands, adds):
        target, left, right = (memory[key].as_strided(*place) for key, *place in operands)
        if target.ndim == 3:
            return lambda: torch.bmm(left, right, out=target)
        if adds:
            return lambda: target.addmm_(left, right)
        return lambda: torch.mm(left, right, out=target)
