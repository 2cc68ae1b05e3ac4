"""Networks: the Elman network of the paper, any module, and scaled ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.lazy import submodules

if TYPE_CHECKING:
    from lab.networks import elman, gate_frozen, modules, network, parametrization, scaled, weights

__all__ = ["elman", "gate_frozen", "modules", "network", "parametrization", "scaled", "weights"]
__getattr__ = submodules(__name__)
