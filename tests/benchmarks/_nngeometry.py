"""nngeometry's Gram matrix of an Elman network whose recurrent weights are one Linear layer, called at each step."""

import torch
from _ours import build, save  # noqa: F401  (the worker saves)
from nngeometry.gram import GramMatrix
from nngeometry.layercollection import LayerCollection


class Elman(torch.nn.Module):
    """The network of the problem, written in the layers that nngeometry knows."""

    def __init__(self, network):
        super().__init__()
        self.readout = network.readout
        for name in "WAB":
            weight = getattr(network, name)
            layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
            layer.weight = torch.nn.Parameter(weight.detach(), requires_grad=name == "W")
            setattr(self, name, layer)

    def forward(self, inputs):
        """Outputs (n, o)."""
        state, outputs = torch.relu(self.A(inputs[:, 0])), []
        for step in inputs.unbind(1)[1:]:
            state = torch.relu(self.A(step) + self.W(state))
            outputs.append(self.B(state))
        return torch.cat(outputs if self.readout == "all" else outputs[-1:], dim=1)


def prepare(spec, limit):
    """Gram matrix by hooks; it saves one input per layer, so it is asked for nothing that it refuses."""
    torch.set_num_threads(1)
    network, inputs = build(spec)
    module, layers = Elman(network), LayerCollection()
    layers.add_layer_from_model(module, module.W)
    data = torch.utils.data.TensorDataset(inputs, torch.zeros(len(inputs)))
    loader = torch.utils.data.DataLoader(data, batch_size=len(inputs))
    limit()

    def kernel():
        gram = GramMatrix(module, loader, function=lambda *batch: module(batch[0]), layer_collection=layers)
        return gram.to_torch().permute(1, 0, 3, 2)

    return {"kernel": kernel}
