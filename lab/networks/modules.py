"""Any torch.nn.Module as a network of the lab."""

from __future__ import annotations

import warnings
from typing import Self

import torch
from torch import Tensor

from lab.arrays import as_tensor, is_integral
from lab.errors import LabWarning
from lab.jacobians.autodiff import AutodiffJacobian, real_view
from lab.jacobians.jacobian import Jacobian
from lab.jacobians.module_expansion import ModuleExpansion
from lab.jacobians.recorded import Findings, RecordedJacobian
from lab.jacobians.substitution import call, copied, tensors_of
from lab.networks.network import Evaluator, Network, chosen
from lab.networks.scaled import Scaled
from lab.networks.screening import check_module, check_samples, explained, look


class ModuleNetwork:
    """A torch.nn.Module with the methods of a `Network`; its Jacobian is a `RecordedJacobian`.

    Anything torch can differentiate: perceptrons, convolutions, ``nn.RNN``, ``nn.GRU`` and ``nn.LSTM`` with any number
    of layers, embeddings, transformers. torch's recurrent layers and attention have the samples second unless they are
    built with ``batch_first=True``.

    The module is only read: after each call its attributes are the objects that they were before, also when the call
    fails. `descend` alone writes, into the trained parameters.

    Parameters
    ----------
    module
        Samples first in and out, each sample treated on its own. Parameters that require gradients are trained.
        Floating inputs are cast to the dtype of the first of them. Integers, such as token ids, stay integers (int64)
        if the module takes them, and are cast otherwise.

    Attributes
    ----------
    takes_integers
        Whether the module takes integers as they are; None before the first ones came.

    Raises
    ------
    LabError
        If it is no module, if nothing is trained, if parameters are lazy and not initialized yet, if dropout, or batch
        norm by the statistics of the batch, is at work (outputs would be no function of one sample and the weights), or
        if it is wrapped for parallel work or compiled. At the first call: if its forward pass writes its own tensors.
        At the first Jacobian: if the outputs are no tensor with one row per sample, or if the last sample alone gets
        other outputs than among the others (noise, or a module that mixes samples). When copied: if it cannot be.

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
        check_module(module)
        self.module = module
        self._originals: tuple[Tensor, ...] = ()  # parameters of the module that this one was copied from
        self._is_seen = self._is_checked = False
        self._findings = Findings()  # of its Jacobians
        self.takes_integers: bool | None = None  # not known before the first integers come

    @property
    def trained(self) -> dict[str, Tensor]:
        """Parameters that require gradients, by the module's own names, live.

        A complex one is given as its real and imaginary parts, in a last axis of 2 and in the same memory.
        """
        own = {name: value for name, value in self.module.named_parameters() if value.requires_grad}
        return {name: real_view(value) if value.is_complex() else value for name, value in own.items()}

    def __call__(self, inputs: Tensor) -> Tensor:
        """The module's outputs; (n,) as (n, 1), as targets are taken."""
        inputs = self.cast(inputs)
        with explained(inputs):
            self._look(inputs)
            outputs = call(self.module, {}, inputs)
        return outputs[:, None] if isinstance(outputs, Tensor) and outputs.ndim == 1 else outputs  # type: ignore[return-value]

    def jacobian(self, inputs: Tensor) -> RecordedJacobian:
        """Jacobian of the outputs, flattened to (n, o), in factors as far as the parameters are used in known ways."""
        return self._jacobian(self.cast(inputs))

    def evaluator(self, inputs: Tensor) -> Evaluator:
        """The network on inputs that stay the same, for training: the pass that evaluates it is the one to go back."""
        inputs, trained, held = self.cast(inputs), self.trained, tensors_of(self.module)
        return lambda batch=None: self._jacobian(chosen(inputs, batch), trained, held)

    def _jacobian(
        self, inputs: Tensor, trained: dict[str, Tensor] | None = None, held: dict[str, Tensor] | None = None
    ) -> RecordedJacobian:
        """The Jacobian; for training with the parameters and tensors of the module, which are found once."""
        with explained(inputs):
            self._look(inputs)
            places = (self.module, self.trained if trained is None else trained, inputs, self._findings)
            jacobian = RecordedJacobian(*places, held=held, graph=held is not None)
        if not self._is_checked:
            check_samples(self.module, inputs, jacobian.outputs)
            self._is_checked = True
        return jacobian

    def expansion(self, inputs: Tensor) -> ModuleExpansion:
        """The second-order expansion by torch.func around a copy of the module; kinks have no second derivative."""
        inputs = self.cast(inputs)
        with explained(inputs):
            self._look(inputs)
            return ModuleExpansion(AutodiffJacobian(self.module, self.trained, inputs).keep())

    def gates(self, inputs: Tensor) -> Tensor | None:
        """None: the lab does not look for gates inside a foreign module."""
        return None

    def copy(self) -> Self:
        """A deep copy; raises `LabError` for a module that Python cannot copy."""
        twin = type(self)(copied(self.module))
        twin._originals = tuple(self.module.parameters())
        twin._is_checked, twin.takes_integers = self._is_checked, self.takes_integers
        twin._findings = self._findings
        return twin

    def descend(self, jacobian: Jacobian, cotangent: Tensor, learning_rate: float) -> None:
        """θ −= η Jᵀr in place."""
        jacobian.add_pull(self.trained, cotangent, -learning_rate)

    def _look(self, inputs: Tensor) -> None:
        """Look at the module once, at the first inputs that have values (those of a transform have none)."""
        if not self._is_seen and not torch._C._functorch.is_functorch_wrapped_tensor(inputs):
            look(self.module, inputs, self._originals)
            self._is_seen, self._originals = True, ()

    def cast(self, inputs: Tensor) -> Tensor:
        """Inputs on the module's device: integers as int64 if the module takes them, else in the module's dtype."""
        inputs, weight = as_tensor("inputs", inputs), next(iter(self.trained.values()))
        if is_integral(inputs):
            whole = inputs.to(weight.device, torch.int64)
            if self.takes_integers is None:
                self.takes_integers = _takes(self.module, whole)
            if self.takes_integers:
                return whole
        cast = inputs.to(weight)
        _warn_of_rounded_integers(inputs, cast)
        return cast


def as_network(module: torch.nn.Module | Network, *, centred: bool = False) -> Network:
    """The network itself, or a `ModuleNetwork` around any other torch.nn.Module.

    Parameters
    ----------
    module
        Any module, or a network of the lab.
    centred
        Outputs are f(θ) − f(θ₀), θ₀ being the present weights, of which a copy is kept: `lab.Scaled` with α = 1.

    Raises
    ------
    LabError
        For anything else, and for modules that `ModuleNetwork` refuses.
    """
    network = module if isinstance(module, Network) else ModuleNetwork(module)
    return Scaled(network, 1.0) if centred else network


@torch.no_grad()
def _takes(module: torch.nn.Module, inputs: Tensor) -> bool:
    """Whether a module takes these integers as they are; an index that is out of range is one that it took."""
    try:
        call(module, {}, inputs[:1])
    except IndexError:
        return True
    except (RuntimeError, ValueError, TypeError, NotImplementedError):
        return False
    return True


def _warn_of_rounded_integers(inputs: Tensor, cast: Tensor) -> None:
    """Whole numbers that a small floating-point type does not hold may be token ids: then they are other ones now."""
    if torch.finfo(cast.dtype).bits >= 32 or inputs.dtype == cast.dtype:
        return
    values = inputs.double()
    if bool((values == values.round()).all()) and not torch.equal(values, cast.double()):
        warnings.warn(
            f"whole numbers up to {values.abs().max():.0f} were rounded to {cast.dtype}; if they are token ids, pass "
            "them as integers to a module that does not cast them itself",
            LabWarning,
            stacklevel=4,
        )
