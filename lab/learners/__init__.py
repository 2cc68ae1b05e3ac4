"""The three learners: the full network, its linearization, the kernel regressor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.lazy import submodules

if TYPE_CHECKING:
    from lab.learners import arrival, descent, features, kernel, linearized, network, quadratic, trajectory

__all__ = ["arrival", "descent", "features", "kernel", "linearized", "network", "quadratic", "trajectory"]
__getattr__ = submodules(__name__)
