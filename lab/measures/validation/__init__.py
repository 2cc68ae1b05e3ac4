"""Learners that choose one thing by validation, a ridge penalty or when to stop, and what they cost.

The test split of a task holds both kinds of samples: the first ``validation`` of them choose, the others test. All
errors are mean squares over samples and outputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.lazy import submodules

if TYPE_CHECKING:
    from lab.measures.validation import catalogue, learners

__all__ = ["catalogue", "learners"]
__getattr__ = submodules(__name__)
