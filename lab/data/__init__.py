"""What files hold: labelled series as NumPy arrays. No torch here, so that sizes are known before it is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.lazy import submodules

if TYPE_CHECKING:
    from lab.data import archive, digits, files, labelled, sets

__all__ = ["archive", "digits", "files", "labelled", "sets"]
__getattr__ = submodules(__name__)
