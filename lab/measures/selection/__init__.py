"""Learners that choose one thing each, by validation, among the same number of candidates.

No learner has more choice than another. A candidate is a stopping time of gradient descent, a ridge penalty, or a
number of neighbours. All candidates learn the same training samples, once; some of the held-out samples choose among
them, and the others test what was chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.lazy import submodules

if TYPE_CHECKING:
    from lab.measures.selection import catalogue, choice, learners

__all__ = ["catalogue", "choice", "learners"]
__getattr__ = submodules(__name__)
