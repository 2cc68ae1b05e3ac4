"""Random features: a network whose hidden weights stay as they were drawn, and whose output layer alone is trained.

Such a network is linear in what it learns, f(x) = B φ(x) with φ(x) the observed states, so that training is a least
squares problem: descent from B = 0 ends at its solution of smallest norm, descent stopped early resembles ridge
regression. It is the fourth learner beside network, linearization and kernel, and the one that moves no feature.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lab.errors import check_number, refuse
from lab.networks.elman import READOUTS, ElmanRNN


@torch.no_grad()
def hidden_features(network: ElmanRNN, inputs: Tensor) -> Tensor:
    """What the output layer sees, c_B Σ_t R_at h_t for each observed step a, one row for each sample and step.

    Parameters
    ----------
    network
        Its W, A and b are the random features; its B is not read.
    inputs
        Sequences (n, L, p).

    Returns
    -------
    Tensor
        Shape (n·s, m), float64 on the CPU: s = 1 for the readouts "last" and "mean", L − 1 for "all", sample first.
    """
    states = network.unroll(inputs).states.to("cpu", torch.float64)
    taps = network.multipliers["B"] * READOUTS[network.readout](len(states))
    return torch.einsum("st,tnm->nsm", taps, states).flatten(0, 1)


class RandomFeatures:
    """Least squares and ridge regression on fixed features, in closed form, in float64.

    One singular value decomposition Φ = U diag(s) Vᵀ answers for all penalties ρ: B = yᵀ U diag(s/(s² + ρ)) Vᵀ, at a
    cost of N r min(N, r). It is the ridge regressor of the kernel ΦΦᵀ, the tangent kernel of a network that trains B
    alone, in units of that kernel.

    Parameters
    ----------
    features
        Φ on the training set, shape (N, r), such as `hidden_features` gives.
    targets
        Shape (N, q) or (N,).

    Raises
    ------
    LabError
        Features that are no finite matrix, or another number of targets.

    References
    ----------
    Rahimi, Recht, "Random Features for Large-Scale Kernel Machines", NeurIPS 2007.
    Yehudai, Shamir, "On the Power and Limitations of Random Features", NeurIPS 2019 (what they cannot do).

    Examples
    --------
    >>> features = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    >>> learner = RandomFeatures(features, torch.tensor([1.0, 3.0, 5.0]))
    >>> [round(float(value), 9) for value in learner.readout()[0]]
    [1.0, 2.0]
    """

    def __init__(self, features: Tensor, targets: Tensor) -> None:
        self._features = _matrix("features", features)
        self._targets = _matrix("targets", targets[:, None] if targets.ndim == 1 else targets)
        if len(self._features) != len(self._targets):
            came = f"{len(self._targets)} rows for {len(self._features)} rows of features"
            refuse("targets", came, "one row for each row of features", "flatten samples and steps of both alike")
        self._left, self.singular_values, self._right = torch.linalg.svd(self._features, full_matrices=False)

    def readout(self, penalty: float = 0.0) -> Tensor:
        """B of shape (q, r) that minimises ‖ΦBᵀ − y‖² + ρ‖B‖²; for ρ = 0 the one of smallest norm.

        Parameters
        ----------
        penalty
            ρ ≥ 0, in units of s².
        """
        check_number("penalty", penalty, above=0, closed=True)
        s = self.singular_values
        live = s > s.max() * max(self._features.shape) * torch.finfo(s.dtype).eps
        filtered = torch.where(live, s / (s.square() + penalty).clamp(min=torch.finfo(s.dtype).tiny), 0.0)
        readout: Tensor = (self._targets.T @ self._left * filtered) @ self._right
        return readout

    def predict(self, features: Tensor, penalty: float = 0.0) -> Tensor:
        """ΦBᵀ at other features (N', r), shape (N', q)."""
        return _matrix("features", features) @ self.readout(penalty).T


def _matrix(name: str, values: Tensor) -> Tensor:
    if values.ndim != 2 or not values.numel() or not bool(torch.isfinite(values).all()):
        refuse(name, f"shape {tuple(values.shape)}", "a finite matrix with a row or more", "flatten samples and steps")
    return values.detach().to("cpu", torch.float64)
