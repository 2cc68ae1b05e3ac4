"""Tangent kernels: the empirical one of a network, and what an eigen-decomposition makes of any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.lazy import submodules

if TYPE_CHECKING:
    from lab.kernels import empirical, expectations, infinite, singular, spectrum

__all__ = ["empirical", "expectations", "infinite", "singular", "spectrum"]
__getattr__ = submodules(__name__)
