"""Calls of a module with other tensors in the place of its own; the module is left exactly as it was.

``torch.func.functional_call`` writes each name of a tensor, so that a layer that is used under two names is written
twice and restored wrongly; and whatever a forward pass stores in the module stays there. Here each place of a tensor is
written once, and every attribute of every submodule is put back at the end, also after an error or an interrupt.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from lab.errors import first_line, refuse

#: The usual fix for a module whose weights are used through something that cannot be copied or replaced.
HOLD_NO_WEIGHTS = "keep objects, lambdas, partial functions and bound methods that hold weights out of its attributes"

_CONTAINERS = (dict, list, set)
_OWN = ("_parameters", "_buffers", "_modules")  # of torch, which hold what is registered


def call(
    module: torch.nn.Module, values: Mapping[str, Tensor], inputs: Tensor, held: Mapping[str, Tensor] | None = None
) -> object:
    """``module(inputs)`` with some tensors in the place of the module's own, by the names of `tensors_of`.

    A tensor is replaced wherever the module holds it: under several names, in a layer that is used twice, in a list.
    ``held`` spares looking for them where `tensors_of` has just been called.
    """
    with Untouched(module):
        if values:
            found = tensors_of(module) if held is None else held
            _replace(module, {id(tensor): values[name] for name, tensor in found.items() if name in values})
        return module(inputs)


def tensors_of(module: torch.nn.Module) -> dict[str, Tensor]:
    """Every tensor that a module holds, once, by its first name: parameters, buffers, then tensors in attributes.

    Those in attributes are looked for in the attributes themselves and in nested lists, tuples and dicts there.
    """
    found = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    seen = {id(tensor) for tensor in found.values()}
    for path, part in module.named_modules():
        for name, tensor in _in_attributes(part):
            if id(tensor) not in seen:
                seen.add(id(tensor))
                found[f"{path}.{name}" if path else name] = tensor
    return found


def copied(module: torch.nn.Module) -> torch.nn.Module:
    """A deep copy with tensors of its own; those that carry a graph, which torch does not copy, come without it.

    Raises `LabError` for a module that Python cannot copy.
    """
    try:
        twin = copy.deepcopy(module, {id(tensor): _copied(tensor) for tensor in tensors_of(module).values()})
    except (TypeError, RuntimeError, NotImplementedError, AttributeError) as error:
        fix = "keep generators, locks, open files and the like out of its attributes"
        refuse("network", f"a module that cannot be copied ({first_line(error)})", "one that copy.deepcopy copies", fix)
    for part in twin.modules():
        if isinstance(part, torch.nn.RNNBase):
            part.flatten_parameters()  # one piece of memory again, without which cuDNN copies them at each call
    return twin


def refuse_shared(leaves: Iterable[Tensor], originals: Iterable[Tensor]) -> None:
    """Raise `LabError` if a copy computes with tensors of its original: they would not move with its own."""
    if {id(leaf) for leaf in leaves} & {id(value) for value in originals}:
        came = "a module whose deep copy still computes with weights of the original"
        refuse("network", came, "a module that copy.deepcopy copies whole", HOLD_NO_WEIGHTS)


class Untouched:
    """A context after which a module is what it was before: each attribute of each submodule is the same object.

    Lists, dicts and sets in attributes get their entries back. What a forward pass writes into a tensor itself, or into
    an object of another type, is not undone.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        self._module = module

    def __enter__(self) -> None:
        self._attributes = [vars(part) for part in self._module.modules()]
        inside = [value for held in self._attributes for value in held.values() if isinstance(value, _CONTAINERS)]
        self._dicts = [*self._attributes, *(value for value in inside if isinstance(value, dict))]
        self._others = [value for value in inside if not isinstance(value, dict)]
        self._entries = [dict(each) for each in self._dicts]
        self._members = [copy.copy(each) for each in self._others]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # one call of C code, in which no interrupt is raised: the tensors are back before anything else happens
        deque(map(dict.update, self._dicts, self._entries), maxlen=0)
        for found, entries in zip(self._dicts, self._entries, strict=True):
            if list(found) != list(entries):
                found.clear()
                found.update(entries)
        for held, members in zip(self._others, self._members, strict=True):
            held.clear()
            (held.extend if isinstance(held, list) else held.update)(members)


def foreign_leaves(outputs: Tensor, own: Iterable[Tensor]) -> list[Tensor]:
    """Tensors whose gradients the graph of these outputs would accumulate, and which are not among ``own``."""
    known = {id(tensor) for tensor in own}
    return [leaf for leaf in leaves_behind(outputs) if id(leaf) not in known]


def leaves_behind(value: Tensor) -> list[Tensor]:
    """The leaves that a tensor was computed from, through autograd's graph; none for a leaf itself."""
    left, leaves = [value.grad_fn], []
    seen: set[Any] = set()
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None) if type(node).__name__ == "AccumulateGrad" else None
        if isinstance(leaf, Tensor):
            leaves.append(leaf)
        left += [following for following, _ in node.next_functions]
    return leaves


def _in_attributes(part: torch.nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, value in _attributes(part):
        yield from _inside(name, value, ())


def _attributes(part: torch.nn.Module) -> list[tuple[str, Any]]:
    """Attributes that may hold tensors beside the registered ones: tensors, and containers that are not empty."""
    return [
        (name, value)
        for name, value in vars(part).items()
        if (isinstance(value, Tensor) or (isinstance(value, (list, tuple, dict)) and value)) and name not in _OWN
    ]


def _inside(name: str, value: object, around: tuple[int, ...]) -> Iterator[tuple[str, Tensor]]:
    """Tensors in nested lists, tuples and dicts, named as Python would reach them."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, (list, tuple, dict)) and id(value) not in around:
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for key, entry in entries:
            yield from _inside(f"{name}[{key!r}]", entry, (*around, id(value)))


def _replace(module: torch.nn.Module, replacements: Mapping[int, Tensor]) -> None:
    """Write replacements wherever a tensor with that identity is held; lists, tuples and dicts around it are new."""
    for part in module.modules():
        registries: tuple[dict[str, Any], ...] = (part._parameters, part._buffers)
        for registry in registries:
            registry.update({k: replacements[id(v)] for k, v in registry.items() if id(v) in replacements})
        for name, value in _attributes(part):
            vars(part)[name] = _rebuilt(value, replacements, ())


def _rebuilt(value: Any, replacements: Mapping[int, Tensor], around: tuple[int, ...]) -> Any:
    """The value itself, or a container of its type around replacements."""
    if isinstance(value, Tensor):
        return replacements.get(id(value), value)
    if not isinstance(value, (list, tuple, dict)) or id(value) in around:
        return value
    inside = value.values() if isinstance(value, dict) else value
    new = [_rebuilt(entry, replacements, (*around, id(value))) for entry in inside]
    if all(one is other for one, other in zip(new, inside, strict=True)):
        return value
    if isinstance(value, dict):
        rebuilt = copy.copy(value)
        rebuilt.update(zip(value, new, strict=True))
        return rebuilt
    return getattr(type(value), "_make", type(value))(new)  # _make: named tuples


def _copied(value: Tensor) -> Tensor:
    """A copy of a tensor, of the same kind."""
    fresh = value.detach().clone()
    if isinstance(value, torch.nn.Parameter):
        return torch.nn.Parameter(fresh, value.requires_grad)
    return fresh.requires_grad_(value.requires_grad and value.is_leaf)
