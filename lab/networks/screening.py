"""What is looked at before a torch.nn.Module becomes a network of the lab: its parts, then one sample through it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import NoReturn

import torch
from torch import Tensor
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.nn.parameter import is_lazy

from lab.errors import LabError, LabWarning, first_line, refuse
from lab.jacobians.jacobian import version_of
from lab.jacobians.substitution import HOLD_NO_WEIGHTS, call, foreign_leaves, refuse_shared, tensors_of

_WITH_DROPOUT = (torch.nn.RNNBase, torch.nn.MultiheadAttention)  # they drop out by a number of their own
_SOME = 16  # samples that are evaluated again: enough for chance to show
_LOOKUPS = (torch.nn.Embedding, torch.nn.EmbeddingBag)

#: Parts that cannot be differentiated sample by sample: what they are, and the usual fix.
_UNFIT: tuple[tuple[Callable[[torch.nn.Module], bool], str, str], ...] = (
    (lambda part: isinstance(part, DataParallel | DistributedDataParallel), "in parallel", "pass its .module"),
    (
        lambda part: isinstance(part, torch.jit.ScriptModule),
        "compiled by torch.jit",
        "pass the module it was made from",
    ),
    (lambda part: hasattr(part, "_orig_mod"), "compiled by torch.compile", "pass its ._orig_mod"),
    (
        lambda part: isinstance(part, _LOOKUPS) and part.max_norm is not None,
        "with max_norm, which rewrites its weight in every forward pass",
        "build it without max_norm",
    ),
    (
        lambda part: isinstance(part, _LOOKUPS) and part.scale_grad_by_freq,
        "with scale_grad_by_freq, whose gradient is not the derivative",
        "build it with scale_grad_by_freq=False",
    ),
)


def check_module(module: object) -> None:
    """Refuse what is no module, trains nothing, has no shapes, is random, or cannot be differentiated by torch.func."""
    if not isinstance(module, torch.nn.Module):
        fix = "pass ElmanRNN(...) or your module"
        refuse("network", type(module).__name__, "a lab network or a torch.nn.Module", fix)
    _check_parts(module)
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


def look(module: torch.nn.Module, inputs: Tensor, originals: Collection[Tensor] = ()) -> None:
    """Run one sample through the module with copies of its tensors, so that nothing of it can be written.

    Parameters
    ----------
    module, inputs
        The module and its inputs (n, …), of which the last sample is used.
    originals
        Parameters of the module that this one is a copy of.

    Raises
    ------
    LabError
        If the forward pass writes tensors of the module, or if it computes with ``originals``.

    Warns
    -----
    LabWarning
        If it computes with parameters that are not registered, which nothing trains.
    """
    held = tensors_of(module)
    copies = {name: value.detach().clone().requires_grad_(value.requires_grad) for name, value in held.items()}
    with torch.enable_grad():
        outputs = call(module, copies, inputs[-1:])
    written = [name for name, value in copies.items() if version_of(value)]
    if written:
        came = f"a module whose forward pass writes {', '.join(written)}"
        refuse("network", came, "a function of inputs and weights", "call module.eval(), or keep such state outside")
    if isinstance(outputs, Tensor):
        leaves = [leaf for leaf in foreign_leaves(outputs, copies.values()) if leaf is not inputs]
        _check_leaves(leaves, tuple(module.parameters()), originals)


@torch.no_grad()
def check_samples(module: torch.nn.Module, inputs: Tensor, outputs: Tensor) -> None:
    """Refuse a module for which the last sample alone, or the first ones, have other outputs than among all, (n, o)."""
    tolerance = torch.finfo(outputs.dtype).eps ** 0.25  # other batch sizes take other algorithms, TF32 on a GPU
    for some in (slice(-1, None), slice(0, _SOME)):
        again, among = call(module, {}, inputs[some]), outputs[some]
        assert isinstance(again, Tensor)
        again = again.reshape(len(among), -1)
        if again.shape == among.shape and not bool((again - among).abs().max() > tolerance * outputs.abs().max()):
            continue
        fix = (
            "build recurrent layers and attention with batch_first=True; call module.eval() if it draws random numbers"
        )
        came = "a module whose outputs for one sample depend on the other samples, or on chance"
        refuse("network", came, "a module that treats each sample on its own, samples first", fix)


@contextmanager
def explained(inputs: Tensor) -> Iterator[None]:
    """What a module raises inside, as a refusal that says on which inputs; a lack of memory stays what it is."""
    try:
        yield
    except (LabError, torch.OutOfMemoryError):
        raise
    except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as error:
        _refuse_inputs(inputs, error)


def _refuse_inputs(inputs: Tensor, error: Exception) -> NoReturn:
    reason = first_line(error)
    kind = str(inputs.dtype).removeprefix("torch.")
    came = f"a module that fails on {kind} inputs of shape {tuple(inputs.shape)} ({reason})"
    wants_integers = inputs.is_floating_point() and ("Long" in reason or "indices" in reason)
    fix = "pass token ids as integers" if wants_integers else "check what module(X) itself says"
    refuse("network", came, "a module that takes them, samples first", fix)


def _check_parts(module: torch.nn.Module) -> None:
    for name, part in module.named_modules():
        for is_unfit, what, fix in _UNFIT:
            if is_unfit(part):
                came = f"a {type(part).__name__}{f' ({name})' if name else ''} {what}"
                refuse("network", came, "plain modules, which torch.func can differentiate", fix)


def _check_leaves(leaves: list[Tensor], own: Collection[Tensor], originals: Collection[Tensor]) -> None:
    """Tensors in the graph that were not replaced: held out of reach, those of the original, or never registered."""
    refuse_shared(leaves, originals)
    if {id(leaf) for leaf in leaves} & {id(value) for value in own}:
        came = "a module that computes with its parameters through an object in which they cannot be replaced"
        refuse("network", came, "parameters in attributes, lists, tuples and dicts", HOLD_NO_WEIGHTS)
    if leaves:
        shapes = ", ".join(str(tuple(leaf.shape)) for leaf in leaves[:3])
        warnings.warn(
            f"the module computes with {len(leaves)} tensors that require gradients but are not registered "
            f"(shapes {shapes}); nothing trains them. Register them with nn.Parameter, nn.ModuleList or "
            "nn.ParameterList.",
            LabWarning,
            stacklevel=2,
        )


def _is_noisy(part: torch.nn.Module) -> bool:
    """Whether outputs depend on chance or on other samples: dropout at work, batch norm by the batch."""
    if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
        return part.training or part.running_mean is None
    if isinstance(part, torch.nn.modules.dropout._DropoutNd):
        return part.training and part.p > 0
    return part.training and isinstance(part, _WITH_DROPOUT) and part.dropout > 0
