"""Hidden features of a module, and which of its ReLU gates are open, from one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

Result = TypeVar("Result")

_RECTIFIERS = (torch.relu, torch.relu_, torch.nn.functional.relu, Tensor.relu, Tensor.relu_)


@dataclass(frozen=True)
class Seen:
    """What one forward pass shows.

    Attributes
    ----------
    features
        Outputs of the layers by name, any shape.
    gates
        Open gates, booleans of any shape; None where there are none.
    """

    features: Mapping[str, Tensor]
    gates: Tensor | None


class _Gates(TorchFunctionMode):
    """Notes where the argument of each ReLU is positive."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[Tensor] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in _RECTIFIERS and args and isinstance(args[0], Tensor):
            self.open.append((args[0] > 0).flatten())
        return func(*args, **(kwargs or {}))


def observed(module: torch.nn.Module, run: Callable[[], Result]) -> tuple[Result, Seen]:
    """What ``run`` returns, and features and gates of the module that it runs once; hooks are taken away again.

    Features are those of its parts without parts of their own, except the last one that runs, which is the output.
    """
    found: dict[str, list[Tensor]] = {}

    def note(name: str) -> Callable[[torch.nn.Module, Any, Any], None]:
        def hook(part: torch.nn.Module, inputs: Any, outputs: Any) -> None:
            first = outputs[0] if isinstance(outputs, tuple) and outputs else outputs
            if isinstance(first, Tensor) and first.is_floating_point():
                found.setdefault(name, []).append(first.detach().flatten())

        return hook

    leaves = [(name, part) for name, part in module.named_modules() if name and not list(part.children())]
    hooks = [part.register_forward_hook(note(name)) for name, part in leaves]
    try:
        with _Gates() as gates:
            result = run()
    finally:
        for hook in hooks:
            hook.remove()
    features = {name: torch.cat(values) for name, values in found.items()}
    if len(features) > 1:
        features.popitem()
    return result, Seen(features, torch.cat(gates.open) if gates.open else None)


def changes(now: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> dict[str, float]:
    """RMS change of each feature over its RMS before, by name; features that were 0 before are left out."""
    found = {}
    for name, values in now.items():
        start = before.get(name)
        if start is None or start.shape != values.shape:
            continue
        size = float(start.double().square().mean().sqrt())
        if size > 0:
            found[name] = float((values.double() - start.double()).square().mean().sqrt()) / size
    return found
