"""How equal is equal: every tolerance of the tests, and the one comparison that they are meant for."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch

ROUNDING = 1e-14  # float64, a few operations apart
OUTPUTS = 1e-13  # float64, one forward pass in another order
EXACT = 1e-10  # float64, two derivations of one number (DESIGN, section 3)
DIFFERENCES = 1e-7  # float64, central differences with the step below: truncation h² and rounding ε/h
DIFFERENCE_STEP = 1e-5
KINK_MARGIN = 5e-4  # how far from 0 a ReLU's pre-activation must be for differences to make sense
SINGLE = 2e-5  # float32, a few passes apart
SIGMAS = 5.0  # how many standard errors a statistic may be off
SLOPE = 0.2  # how far a Monte-Carlo rate, seen at three widths, may be from -1/2


def flat(value: object) -> torch.Tensor:
    """Any numbers as one float64 vector; a tangent in the order of its sorted names."""
    if isinstance(value, Mapping):
        return torch.cat([flat(value[name]) for name in sorted(value)])
    return torch.as_tensor(np.asarray(torch.as_tensor(value).detach(), dtype=np.float64)).reshape(-1)


def shape(value: object) -> object:
    """What two compared things must agree in before their numbers do."""
    if isinstance(value, Mapping):
        return {name: shape(part) for name, part in value.items()}
    return tuple(torch.as_tensor(value).shape)


def relative(value: object, reference: object) -> float:
    """‖value − reference‖ / ‖reference‖; infinite where the shapes differ or only the reference is zero."""
    if shape(value) != shape(reference):
        return math.inf
    error, size = (float(part.norm()) for part in (flat(value) - flat(reference), flat(reference)))
    return error / size if size else (math.inf if error else 0.0)
