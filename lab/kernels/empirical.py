"""The empirical neural tangent kernel of any network of the lab."""

from __future__ import annotations

import torch
from torch import Tensor

from lab.arrays import as_tensor, check_data
from lab.networks.modules import as_network
from lab.networks.network import Network
from lab.progress import shown


def empirical_ntk(
    network: torch.nn.Module | Network, X: Tensor, X2: Tensor | None = None, *, progress: bool = True
) -> Tensor:
    """K = J(X) J(X2)ᵀ at the network's present weights, in output units, for its trained parameters.

    Parameters
    ----------
    network
        A network of the lab, or any torch.nn.Module.
    X, X2
        Inputs (n, …) and (n', …); without ``X2`` the symmetric kernel of X, of which only half is computed. Integers,
        such as token ids, stay integers.
    progress
        Whether a progress bar appears when it takes longer than about two seconds.

    Returns
    -------
    Tensor
        Shape (n, o, n', o'), in the network's dtype on its device.

    Raises
    ------
    LabError
        Inputs that are empty, not finite or do not fit the network, or a module that `lab.as_network` refuses.

    References
    ----------
    Jacot, Gabriel, Hongler, "Neural Tangent Kernel", NeurIPS 2018.
    """
    network = as_network(network)
    jacobian = network.jacobian(check_data("X", as_tensor("X", X)))
    with shown(progress):
        if X2 is None:
            return jacobian.gram()
        return jacobian.gram(network.jacobian(check_data("X2", as_tensor("X2", X2))))
