"""Whether a recurrent weight still looks random: its singular values against those of a matrix of independent draws."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lab.errors import refuse
from lab.networks.elman import ElmanRNN
from lab.networks.network import Network
from lab.networks.scaled import Scaled


@torch.no_grad()
def singular_values_over_edge(network: Network) -> Tensor:
    """Singular values of W over the edge 2σ√m of an m × m matrix with independent entries of deviation σ.

    At initialization they lie in [0, 1] up to fluctuations of order m^(−2/3), as m grows. Values well above 1 belong to
    directions that training added.

    Parameters
    ----------
    network
        An `ElmanRNN`, or a `Scaled` one: a scale of the outputs does not change W. σ is the deviation with which W was
        drawn; multipliers of the parametrization do not count.

    Returns
    -------
    Tensor
        Shape (m,), descending, float64.

    Raises
    ------
    LabError
        A network that is no `ElmanRNN`.

    References
    ----------
    Geman, "A limit theorem for the norm of random matrices", Annals of Probability 1980.
    """
    inner = network.network if isinstance(network, Scaled) else network
    if not isinstance(inner, ElmanRNN):
        refuse("network", type(inner).__name__, "an ElmanRNN", "pass lab.ElmanRNN, or lab.Scaled around one")
    edge = 2 * inner.scales["W"].deviation * math.sqrt(inner.width)
    values: Tensor = torch.linalg.svdvals(inner.W.detach().double())
    return values / edge
