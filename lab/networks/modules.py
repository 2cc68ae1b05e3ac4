"""Any torch.nn.Module as a network of the lab."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from lab.arrays import as_tensor
from lab.errors import LabError, refuse
from lab.jacobians.autodiff import AutodiffJacobian
from lab.jacobians.jacobian import Jacobian
from lab.networks.network import Network

_WITH_DROPOUT = (torch.nn.RNNBase, torch.nn.MultiheadAttention)  # they drop out by a number of their own


class ModuleNetwork:
    """A torch.nn.Module with the methods of a `Network`; its Jacobian is `AutodiffJacobian`.

    Anything torch can differentiate: perceptrons, convolutions, ``nn.RNN``, ``nn.GRU`` and ``nn.LSTM`` with any number
    of layers, transformers. torch's recurrent layers and attention have the samples second unless they are built with
    ``batch_first=True``.

    Parameters
    ----------
    module
        Samples first in and out, each sample treated on its own. Parameters that require gradients are trained. Inputs
        are cast to the dtype of the first of them, so a module that wants integers casts them itself.

    Raises
    ------
    LabError
        If it is no module, if nothing is trained, if parameters are lazy and not initialized yet, or if dropout, or
        batch norm by the statistics of the batch, is at work (outputs would be no function of one sample and the
        weights). At the first Jacobian: if the outputs are no tensor with one row per sample, or if the last sample
        alone gets other outputs than among the others (noise, or a module that mixes samples).

    Examples
    --------
    >>> class Reader(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.core, self.head = torch.nn.GRU(9, 16, batch_first=True), torch.nn.Linear(16, 1)
    ...     def forward(self, inputs):
    ...         outputs, last_state = self.core(inputs)
    ...         return self.head(outputs[:, -1])
    >>> tuple(ModuleNetwork(Reader()).jacobian(torch.ones(4, 8, 9)).gram().shape)
    (4, 1, 4, 1)
    """

    def __init__(self, module: torch.nn.Module) -> None:
        _check_module(module)
        self.module = module
        self._is_checked = False

    @property
    def trained(self) -> dict[str, Tensor]:
        """Parameters that require gradients, by the module's own names, live."""
        return {name: value for name, value in self.module.named_parameters() if value.requires_grad}

    def __call__(self, inputs: Tensor) -> Tensor:
        """The module's outputs; (n,) as (n, 1), as targets are taken."""
        inputs = self._cast(inputs)
        with _explained(inputs):
            outputs: Tensor = self.module(inputs)
        return outputs[:, None] if isinstance(outputs, Tensor) and outputs.ndim == 1 else outputs

    def jacobian(self, inputs: Tensor) -> AutodiffJacobian:
        """Jacobian of the outputs, flattened to (n, o), by torch.func."""
        inputs = self._cast(inputs)
        with _explained(inputs):
            jacobian = AutodiffJacobian(self.module, self.trained, inputs)
        if not self._is_checked:
            _check_samples(self.module, inputs, jacobian.outputs)
            self._is_checked = True
        return jacobian

    def gates(self, inputs: Tensor) -> Tensor | None:
        """None: the lab does not look for gates inside a foreign module."""
        return None

    def copy(self) -> Self:
        """A deep copy."""
        return type(self)(copy.deepcopy(self.module))

    def descend(self, jacobian: Jacobian, cotangent: Tensor, learning_rate: float) -> None:
        """θ −= η Jᵀr in place."""
        jacobian.add_pull(self.trained, cotangent, -learning_rate)

    def _cast(self, inputs: Tensor) -> Tensor:
        weight = next(iter(self.trained.values()))
        return as_tensor("inputs", inputs).to(weight)


def as_network(module: torch.nn.Module | Network) -> Network:
    """The network itself, or a `ModuleNetwork` around any other torch.nn.Module; `LabError` for anything else."""
    return module if isinstance(module, Network) else ModuleNetwork(module)


def _check_module(module: object) -> None:
    if not isinstance(module, torch.nn.Module):
        fix = "pass ElmanRNN(...) or your module"
        refuse("network", type(module).__name__, "a lab network or a torch.nn.Module", fix)
    noisy = [name or type(part).__name__ for name, part in module.named_modules() if _is_noisy(part)]
    if noisy:
        fix = "call module.eval() first; then dropout is off and batch norm uses its running statistics"
        came = f"a module in training mode, or without running statistics, with {', '.join(noisy)}"
        refuse("network", came, "no dropout at work, no batch norm by the statistics of the batch", fix)
    if any(is_lazy(value) for value in (*module.parameters(), *module.buffers())):
        fix = "call module(inputs[:1]) once, which gives them their shapes"
        refuse("network", "a module with lazy parameters", "initialized parameters", fix)
    if not any(value.requires_grad for value in module.parameters()):
        fix = "call module.requires_grad_(True)"
        refuse("network", "a module without trained parameters", "parameters that require gradients", fix)


@contextmanager
def _explained(inputs: Tensor) -> Iterator[None]:
    """What a module raises inside, as a refusal that says on which inputs; a lack of memory stays what it is."""
    try:
        yield
    except (LabError, torch.OutOfMemoryError):
        raise
    except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        came = f"a module that fails on inputs of shape {tuple(inputs.shape)} ({reason})"
        refuse("network", came, "a module that takes them, samples first", "check what module(X) itself says")


def _is_noisy(part: torch.nn.Module) -> bool:
    """Whether outputs depend on chance or on other samples: dropout at work, batch norm by the batch."""
    if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
        return part.training or part.running_mean is None
    if isinstance(part, torch.nn.modules.dropout._DropoutNd):
        return part.training and part.p > 0
    return part.training and isinstance(part, _WITH_DROPOUT) and part.dropout > 0


@torch.no_grad()
def _check_samples(module: torch.nn.Module, inputs: Tensor, outputs: Tensor) -> None:
    """Refuse a module for which the last sample alone has other outputs than among the others, (n, o)."""
    alone, among = module(inputs[-1:]).reshape(1, -1), outputs[-1:]
    tolerance = torch.finfo(outputs.dtype).eps ** 0.25  # other batch sizes take other algorithms, TF32 on a GPU
    if alone.shape != among.shape or float((alone - among).abs().max()) > tolerance * float(outputs.abs().max()):
        fix = (
            "build recurrent layers and attention with batch_first=True; call module.eval() if it draws random numbers"
        )
        came = "a module whose outputs for one sample depend on the other samples, or on chance"
        refuse("network", came, "a module that treats each sample on its own, samples first", fix)
