"""The second-order Taylor model of a network around fixed weights: a network itself, which descends as others do."""

from __future__ import annotations

from copy import copy
from typing import Self

import torch
from torch import Tensor

from lab.arrays import as_tensor
from lab.jacobians.expansion import Expansion
from lab.jacobians.jacobian import Jacobian, Tangent
from lab.networks.modules import as_network
from lab.networks.network import Evaluator, Network, expansion
from lab.networks.start import Remembered


class QuadraticNetwork:
    """f₀ + J₀v + ½ vᵀH₀v with v = θ − θ₀, itself a `Network`; no array of H₀ is formed.

    Its tangent kernel moves as it descends, which that of the linearized network cannot: it may catapult. Its trained
    parameters are v, which begins at 0. For ReLU, H₀ is what torch's derivatives see: the multilinear part, weights
    being multiplied with each other, and not the kinks. `lab.GateFrozen` has all orders of that part.

    Parameters
    ----------
    network
        An ElmanRNN, a `lab.Scaled` one, any torch.nn.Module, or another network with an ``expansion``. It is copied.
    track_weights
        Take θ for the trained parameters in place of v: for optimizers that look at the weights (weight decay).

    Raises
    ------
    LabError
        What `lab.as_network` refuses; at the first inputs, a network without an expansion.

    Notes
    -----
    Outputs are no differentiable torch: derivatives are those of ``jacobian``. A step takes at most four times the
    matrix products of a step of an ElmanRNN; a module's goes through torch.func.

    References
    ----------
    Bai, Krause, Wang, Xiong, Socher, "Taylorized Training: Towards Better Approximation of Neural Network Training at
    Finite Width", 2020.

    Examples
    --------
    >>> import lab
    >>> task = lab.tasks.digits()
    >>> model = QuadraticNetwork(lab.ElmanRNN.like(task, 64))
    >>> lab.arrive(model, task, lab.Descent(500, record="all"), 0.5).exit
    'reached'
    """

    def __init__(self, network: torch.nn.Module | Network, *, track_weights: bool = False) -> None:
        self._origin, self._tracks = as_network(network).copy(), track_weights
        start = {name: value.detach() for name, value in self._origin.trained.items()}
        self._point = {name: v.clone() if track_weights else torch.zeros_like(v) for name, v in start.items()}
        self._known: Remembered[Expansion] = Remembered()
        self._shapes: dict[torch.Size, torch.Size] = {}  # of a sample's outputs by that of its inputs

    def __repr__(self) -> str:
        return f"QuadraticNetwork({self._origin!r}, track_weights={self._tracks})"

    @property
    def trained(self) -> Tangent:
        """The motion v by the names of the weights, or the weights θ where they are tracked; live."""
        return self._point

    @property
    def motion(self) -> Tangent:
        """v = θ − θ₀."""
        if not self._tracks:
            return self._point
        return {name: value - self._origin.trained[name].detach() for name, value in self._point.items()}

    @torch.no_grad()
    def __call__(self, inputs: Tensor) -> Tensor:
        """Outputs in the shape of the network's, without a graph."""
        inputs = as_tensor("inputs", inputs)
        if inputs.shape[1:] not in self._shapes:
            self._shapes[inputs.shape[1:]] = self._origin(inputs[:1]).shape[1:]
        return self.jacobian(inputs).outputs.view(-1, *self._shapes[inputs.shape[1:]])

    @torch.no_grad()
    def jacobian(self, inputs: Tensor) -> Jacobian:
        """The Jacobian J₀ + vᵀH₀ with the outputs (n, o)."""
        return self._expansion(inputs).at(self.motion)

    @torch.no_grad()
    def evaluator(self, inputs: Tensor) -> Evaluator:
        """The Jacobian on these inputs, around which the network is expanded once."""
        around = self._expansion(inputs)

        @torch.no_grad()
        def evaluate(batch: Tensor | None = None) -> Jacobian:
            return (around if batch is None else around.select(batch)).at(self.motion)

        return evaluate

    def gates(self, inputs: Tensor) -> Tensor | None:
        """None: the model is a polynomial."""
        return None

    def copy(self) -> Self:
        """An independent copy around the same weights."""
        twin = copy(self)  # the weights around which it is expanded stay, and so does what is known of them
        twin._point = {name: value.clone() for name, value in self._point.items()}
        return twin

    def descend(self, jacobian: Jacobian, cotangent: Tensor, learning_rate: float) -> None:
        """V −= η (J₀ + vᵀH₀)ᵀr in place."""
        jacobian.add_pull(self._point, cotangent, -learning_rate)

    def _expansion(self, inputs: Tensor) -> Expansion:
        """The expansion on these inputs, which is found again as long as they are unchanged."""
        inputs = as_tensor("inputs", inputs)
        found = self._known.find(inputs)
        return self._known.remember(inputs, expansion(self._origin, inputs)) if found is None else found
