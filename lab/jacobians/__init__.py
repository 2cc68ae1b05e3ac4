"""Jacobians: the protocol, the factored one, and the torch.func reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.lazy import submodules

if TYPE_CHECKING:
    from lab.jacobians import autodiff, dual, factored, factors, gram, jacobian, scaled, unfused, workspace

__all__ = ["autodiff", "dual", "factored", "factors", "gram", "jacobian", "scaled", "unfused", "workspace"]
__getattr__ = submodules(__name__)
