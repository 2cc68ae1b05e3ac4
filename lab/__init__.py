"""lazylab: the full recurrent network, its linearization and its tangent-kernel regressor, side by side.

Names are imported when they are first used, so that ``import lab`` is quick and does not load torch.
"""

from __future__ import annotations

import importlib
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab import (
        costs,
        data,
        estimators,
        figures,
        jacobians,
        kernels,
        learners,
        losses,
        measures,
        networks,
        sweeps,
        tasks,
    )
    from lab.animations import animate_kernel, animate_widths
    from lab.coordinates import CoordinateCheck, coordinate_check
    from lab.ensembles import Ensemble, ensemble
    from lab.equal_error import EqualError, at_equal_error
    from lab.errors import LabError, LabWarning
    from lab.kernels.empirical import empirical_ntk
    from lab.kernels.infinite import infinite_nngp, infinite_ntk
    from lab.learners.arrival import Arrival, arrive
    from lab.learners.descent import Descent
    from lab.learners.kernel import KernelRegressor
    from lab.learners.linearized import LinearizedNetwork
    from lab.learners.network import Snapshot, descend
    from lab.learners.quadratic import QuadraticNetwork
    from lab.learners.trajectory import Trajectory
    from lab.measures.exponents import Exponent, fit_exponent
    from lab.measures.motion import Motion
    from lab.networks.elman import ElmanRNN
    from lab.networks.gate_frozen import GateFrozen
    from lab.networks.modules import as_network
    from lab.networks.parametrization import Parametrization
    from lab.networks.scaled import Scaled
    from lab.tasks.task import SequenceTask, Task
    from lab.together import SideBySide, side_by_side
    from lab.watch.diagnosis import diagnose
    from lab.watch.watch import Watch

_HOMES = {
    "animate_kernel": "lab.animations",
    "animate_widths": "lab.animations",
    "CoordinateCheck": "lab.coordinates",
    "coordinate_check": "lab.coordinates",
    "Ensemble": "lab.ensembles",
    "ensemble": "lab.ensembles",
    "EqualError": "lab.equal_error",
    "at_equal_error": "lab.equal_error",
    "LabError": "lab.errors",
    "LabWarning": "lab.errors",
    "empirical_ntk": "lab.kernels.empirical",
    "infinite_nngp": "lab.kernels.infinite",
    "infinite_ntk": "lab.kernels.infinite",
    "Arrival": "lab.learners.arrival",
    "arrive": "lab.learners.arrival",
    "Descent": "lab.learners.descent",
    "KernelRegressor": "lab.learners.kernel",
    "LinearizedNetwork": "lab.learners.linearized",
    "Snapshot": "lab.learners.network",
    "descend": "lab.learners.network",
    "QuadraticNetwork": "lab.learners.quadratic",
    "Trajectory": "lab.learners.trajectory",
    "Exponent": "lab.measures.exponents",
    "fit_exponent": "lab.measures.exponents",
    "Motion": "lab.measures.motion",
    "ElmanRNN": "lab.networks.elman",
    "GateFrozen": "lab.networks.gate_frozen",
    "as_network": "lab.networks.modules",
    "Parametrization": "lab.networks.parametrization",
    "Scaled": "lab.networks.scaled",
    "SideBySide": "lab.together",
    "side_by_side": "lab.together",
    "SequenceTask": "lab.tasks.task",
    "Task": "lab.tasks.task",
    "diagnose": "lab.watch.diagnosis",
    "Watch": "lab.watch.watch",
}
_ROOMS = (
    "costs",
    "data",
    "estimators",
    "figures",
    "jacobians",
    "kernels",
    "learners",
    "losses",
    "measures",
    "networks",
    "sweeps",
    "tasks",
)

__version__ = _version("lazylab")
__all__ = [
    "Arrival",
    "CoordinateCheck",
    "Descent",
    "ElmanRNN",
    "Ensemble",
    "EqualError",
    "Exponent",
    "GateFrozen",
    "KernelRegressor",
    "LabError",
    "LabWarning",
    "LinearizedNetwork",
    "Motion",
    "Parametrization",
    "QuadraticNetwork",
    "Scaled",
    "SequenceTask",
    "SideBySide",
    "Snapshot",
    "Task",
    "Trajectory",
    "Watch",
    "animate_kernel",
    "animate_widths",
    "arrive",
    "as_network",
    "at_equal_error",
    "coordinate_check",
    "costs",
    "data",
    "descend",
    "diagnose",
    "empirical_ntk",
    "ensemble",
    "estimators",
    "figures",
    "fit_exponent",
    "infinite_nngp",
    "infinite_ntk",
    "jacobians",
    "kernels",
    "learners",
    "losses",
    "measures",
    "networks",
    "side_by_side",
    "sweeps",
    "tasks",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"lab.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'lab' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
