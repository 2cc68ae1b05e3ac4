"""Any torch.nn.Module as a network of the lab."""

from __future__ import annotations

import copy
from typing import Self

import torch
from torch import Tensor

from lab.errors import refuse
from lab.jacobians.autodiff import AutodiffJacobian
from lab.jacobians.jacobian import Jacobian
from lab.networks.network import Network

_NOISY = (torch.nn.modules.dropout._DropoutNd, torch.nn.modules.batchnorm._BatchNorm)
_WITH_DROPOUT = (torch.nn.RNNBase, torch.nn.MultiheadAttention)  # they drop out by a number of their own


class ModuleNetwork:
    """A torch.nn.Module with the methods of a `Network`; its Jacobian is `AutodiffJacobian`.

    Parameters
    ----------
    module
        Samples first in and out, each sample treated on its own. Parameters that require gradients are trained.

    Raises
    ------
    LabError
        If it is no module, if nothing is trained, or if dropout or batch norm is in training mode (outputs would be no
        function of one sample and the weights).
    """

    def __init__(self, module: torch.nn.Module) -> None:
        _check_module(module)
        self.module = module

    @property
    def trained(self) -> dict[str, Tensor]:
        """Parameters that require gradients, by the module's own names, live."""
        return {name: value for name, value in self.module.named_parameters() if value.requires_grad}

    def __call__(self, inputs: Tensor) -> Tensor:
        """The module's outputs."""
        outputs: Tensor = self.module(self._cast(inputs))
        return outputs

    def jacobian(self, inputs: Tensor) -> AutodiffJacobian:
        """Jacobian of the outputs, flattened to (n, o), by torch.func."""
        return AutodiffJacobian(self.module, self.trained, self._cast(inputs))

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
        return torch.as_tensor(inputs).to(weight)


def as_network(module: torch.nn.Module | Network) -> Network:
    """The network itself, or a `ModuleNetwork` around any other torch.nn.Module; `LabError` for anything else."""
    return module if isinstance(module, Network) else ModuleNetwork(module)


def _check_module(module: object) -> None:
    if not isinstance(module, torch.nn.Module):
        fix = "pass ElmanRNN(...) or your module"
        refuse("network", type(module).__name__, "a lab network or a torch.nn.Module", fix)
    noisy = [name or type(part).__name__ for name, part in module.named_modules() if part.training and _is_noisy(part)]
    if noisy:
        fix = "call module.eval() first; then dropout is off and batch norm uses its running statistics"
        came = f"a module in training mode with {', '.join(noisy)}"
        refuse("network", came, "no dropout or batch norm in training mode", fix)
    if not any(value.requires_grad for value in module.parameters()):
        fix = "call module.requires_grad_(True)"
        refuse("network", "a module without trained parameters", "parameters that require gradients", fix)


def _is_noisy(part: torch.nn.Module) -> bool:
    return isinstance(part, _NOISY) or (isinstance(part, _WITH_DROPOUT) and part.dropout > 0)
