"""Two checkpoints of somebody's network, and whether the training between them was lazy (`lab.diagnose`)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comparisons.cli.formats import aligned
from lab.errors import first_line, refuse

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn


@dataclass(frozen=True)
class Diagnosis:
    """What was found: a word, the sentence, and the columns of `lab.Watch.table` that have a value."""

    regime: str
    verdict: str
    numbers: Mapping[str, float]
    projection: str | None

    def __str__(self) -> str:
        rows = [(name, f"{value:.4g}") for name, value in self.numbers.items()]
        note = [f"Projected: {self.projection}."] if self.projection else []
        return "\n".join([self.verdict, "", *aligned(rows), *note])


def read(
    target: str, start: Path, now: Path, probe: Path, loss: str | None = None, outputs: str | None = None
) -> Diagnosis:
    """Build the module twice, load both checkpoints, and compare them on the probes.

    Parameters
    ----------
    target
        ``package.module:factory``, a function without arguments that returns the module, or a class.
    start, now
        Files of state dicts, read with ``weights_only=True``.
    probe
        An npz file with ``inputs`` and maybe ``targets``.
    loss, outputs
        As for `lab.Watch`; ``outputs`` as ``package.module:function``.

    Raises
    ------
    LabError
        What cannot be imported, read or loaded; what `lab.Watch` refuses.
    """
    import lab

    arrays = _probes(probe)
    factory = _imported(target, "target")
    before, after = (_loaded(factory, target, path, name) for path, name in ((start, "start"), (now, "now")))
    readout = None if outputs is None else _imported(outputs, "outputs")
    watch = lab.diagnose(before, after, arrays["inputs"], arrays.get("targets"), outputs=readout, loss=loss)
    row = watch.table.drop(columns=["step", "seconds", "kernel_velocity", "nonlinearity_since_last"]).iloc[0].dropna()
    numbers = {str(name): float(value) for name, value in row.items()}
    return Diagnosis(watch.regime, watch.verdict(), numbers, watch.projection)


def _probes(path: Path) -> dict[str, np.ndarray]:
    import numpy as np

    fix = "write it by numpy.savez(path, inputs=..., targets=...)"
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError) as error:
        refuse("probe", f"{path} ({first_line(error)})", "an npz file of arrays", fix)
    if "inputs" not in arrays or set(arrays) - {"inputs", "targets"}:
        refuse("probe", f"{path} with {', '.join(list(arrays)[:4]) or 'nothing'}", "inputs, and maybe targets", fix)
    return arrays


def _imported(name: str, argument: str) -> Callable[..., Any]:
    """What ``package.module:name`` names, looked for in the current folder as well."""
    place, _, attribute = name.partition(":")
    fix = "write package.module:name, and run the command where `import package.module` works"
    if not place or not attribute:
        refuse(argument, name, "package.module:name", fix)
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(place), attribute)
    except Exception as error:  # whatever a user's module raises while it is imported
        refuse(argument, f"{name}, which cannot be imported ({first_line(error)})", "what Python can import", fix)
    finally:
        sys.path.remove(str(Path.cwd()))
    if not callable(found):
        refuse(argument, f"{name}, which is {type(found).__name__}", "a function", fix)
    return found  # type: ignore[no-any-return]


def _loaded(factory: Callable[..., Any], target: str, path: Path, argument: str) -> nn.Module:
    import torch

    try:
        module = factory()
    except Exception as error:
        fix = "give it defaults, or write a function without arguments that builds it"
        refuse("target", f"{target}, which fails ({first_line(error)})", "a factory without arguments", fix)
    if not isinstance(module, torch.nn.Module):
        refuse("target", f"{target}, which returns {type(module).__name__}", "a torch.nn.Module", "return the module")
    try:
        module.load_state_dict(_state(path, argument))
    except RuntimeError as error:
        came = f"{path}, which does not fit ({' '.join(str(error).split())[:200]})"
        refuse(argument, came, f"a state dict of {target}", "save it by torch.save(module.state_dict(), path)")
    return module.eval()


def _state(path: Path, argument: str) -> Mapping[str, Tensor]:
    """A state dict; of a Lightning checkpoint the one inside."""
    import torch

    fix = "save it by torch.save(module.state_dict(), path)"
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for files of other kinds
        refuse(argument, f"{path} ({first_line(error)})", "a file of tensors alone", fix)
    state = found.get("state_dict", found) if isinstance(found, Mapping) else None
    if not isinstance(state, Mapping):
        refuse(argument, f"{path}, which holds {type(found).__name__}", "a state dict", fix)
    return state
