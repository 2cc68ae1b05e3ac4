"""Modules of the kinds that people bring, with inputs that fit them: name -> (maker, inputs)."""

import math
import warnings
from types import SimpleNamespace

import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize
from torch.utils.checkpoint import checkpoint

from tests.references import draw

TOKENS = torch.randint(0, 7, (5, 4), generator=torch.Generator().manual_seed(0))


class Shared(nn.Module):
    """Whatever is built from one layer used under several names, or several times."""

    def __init__(self, layer, names):
        super().__init__()
        for name in names:
            setattr(self, name, layer)
        self.names, self.head = list(names), nn.Linear(4, 2)

    def forward(self, inputs):
        for name in self.names:
            inputs = torch.tanh(getattr(self, name)(inputs))
        return self.head(inputs)


class Aliases(nn.Module):
    """Layers under their own names, in a ModuleList and in a plain list."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 2)
        self.layers = nn.ModuleList([self.a, self.b, self.a])
        self.plain, self.weights = [self.a, self.b], (self.a.weight, {"b": self.b.bias})

    def forward(self, inputs):
        hidden = torch.tanh(self.layers[2](torch.tanh(self.plain[0](inputs))) @ self.weights[0])
        return self.layers[1](hidden) + self.weights[1]["b"]


class Siamese(nn.Module):
    """Two halves of an input through one branch."""

    def __init__(self):
        super().__init__()
        self.branch, self.head = nn.Sequential(nn.Linear(2, 3), nn.PReLU(), nn.Linear(3, 3)), nn.Bilinear(3, 3, 2)
        self.left = self.right = self.branch

    def forward(self, inputs):
        return self.head(self.left(inputs[:, :2]), self.right(inputs[:, 2:]))


class Tied(nn.Module):
    """An autoencoder whose decoder is its encoder transposed."""

    def __init__(self):
        super().__init__()
        self.weight, self.bias = nn.Parameter(draw(3, 4, seed=1)), nn.Parameter(draw(4, seed=2))

    def forward(self, inputs):
        return torch.tanh(inputs @ self.weight.T) @ self.weight + self.bias


class Spectral(nn.Module):
    """A layer of complex weights between a Fourier transform and its inverse."""

    def __init__(self, pairs=False):
        super().__init__()
        weight = torch.complex(draw(3, 3, seed=3), draw(3, 3, seed=4))
        if pairs:
            self.real, self.imaginary = nn.Parameter(weight.real.clone()), nn.Parameter(weight.imag.clone())
        else:
            self.weight = nn.Parameter(weight)
        self.head, self.pairs = nn.Linear(4, 2), pairs

    def forward(self, inputs):
        weight = torch.complex(self.real, self.imaginary) if self.pairs else self.weight
        return self.head(torch.tanh(torch.fft.irfft(torch.fft.rfft(inputs) @ weight, n=4)))


class Reader(nn.Module):
    """A recurrent layer, or cell, and a linear one on its last outputs."""

    def __init__(self, core, size):
        super().__init__()
        self.core, self.head = core, nn.Linear(size, 2)

    def forward(self, inputs):
        return self.head(torch.tanh(self.core(inputs)[0][:, -1]))


class Cells(nn.Module):
    """A loop over a cell, by hand."""

    def __init__(self, cell):
        super().__init__()
        self.cell, self.head = cell, nn.Linear(4, 2)

    def forward(self, inputs):
        state = None
        for step in inputs.unbind(1):
            state = self.cell(step, state)
        return self.head(state[0] if isinstance(state, tuple) else state)


class SelfAttention(nn.Module):
    """Attention of a sequence on itself."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, inputs):
        return self.attention(inputs, inputs, inputs, need_weights=False)[0].mean(1)


class Remembering(nn.Module):
    """Keeps what it computed: in an attribute, in a list, in a dict."""

    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 2)
        self.last, self.history, self.record, self.calls = None, [], {}, 0

    def forward(self, inputs):
        self.last = torch.tanh(self.layer(inputs))
        self.history.append(self.last)
        self.record[self.calls] = self.last
        self.calls += 1
        return self.head(self.last)


class Lists(nn.Module):
    """Parameters in a list and in a dict of torch's."""

    def __init__(self):
        super().__init__()
        self.weights = nn.ParameterList([draw(4, 4, seed=1), draw(4, 4, seed=2)])
        self.heads = nn.ParameterDict({"one": draw(4, 2, seed=3)})

    def forward(self, inputs):
        for weight in self.weights:
            inputs = torch.tanh(torch.einsum("ni,io->no", inputs, weight))
        return inputs @ self.heads["one"]


class Adapted(nn.Module):
    """A frozen layer with a trained update of rank one (LoRA)."""

    def __init__(self):
        super().__init__()
        self.base = nn.Linear(4, 4).requires_grad_(False)
        self.down, self.up = nn.Parameter(draw(1, 4, seed=1)), nn.Parameter(draw(4, 1, seed=2))

    def forward(self, inputs):
        return torch.tanh(self.base(inputs) + inputs @ self.down.T @ self.up.T)


class Generated(nn.Module):
    """Weights that another layer computes from the input."""

    def __init__(self):
        super().__init__()
        self.maker = nn.Linear(4, 8)

    def forward(self, inputs):
        return torch.einsum("ni,nio->no", inputs, self.maker(inputs).view(-1, 4, 2))


class Checkpointed(nn.Module):
    """Activations that are computed again in the backward pass."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Sequential(nn.Linear(4, 4), nn.Tanh()), nn.Linear(4, 2)

    def forward(self, inputs):
        return self.head(checkpoint(self.inner, inputs, use_reentrant=False))


class Scales(nn.Module):
    """A scalar parameter, a Python attribute and a tensor that is no buffer."""

    def __init__(self):
        super().__init__()
        self.gain, self.layer = nn.Parameter(torch.tensor(0.7)), nn.Linear(4, 2)
        self.shift, self.options = torch.ones(2, dtype=torch.float64), SimpleNamespace(power=2)

    def forward(self, inputs):
        return (self.gain * self.layer(inputs) + self.shift) ** self.options.power


class Symmetric(nn.Module):
    """A parametrization of a square weight."""

    def forward(self, weight):
        return weight.triu() + weight.triu(1).T


def hooked():
    """Outputs that a forward hook changes, inputs that a pre-hook changes."""
    module = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))
    module[0].register_forward_hook(lambda part, inputs, outputs: 2 * outputs)
    module[2].register_forward_pre_hook(lambda part, inputs: (inputs[0].square(),))
    return module


def parametrized():
    layer = nn.Linear(4, 4)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    return nn.Sequential(layer, nn.Tanh(), nn.Linear(4, 2))


def old_weight_norm():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 4)), nn.Tanh(), nn.Linear(4, 2))


def traced():
    return torch.fx.symbolic_trace(nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)))


def twice(layer):
    return nn.Sequential(layer, nn.Tanh(), layer, nn.Tanh(), nn.Linear(4, 2))


def batch_norm():
    norm = nn.BatchNorm1d(4)
    norm.running_mean += 0.3
    return twice(norm).eval()


def images(*layers):
    return nn.Sequential(nn.Unflatten(1, (2, -1)), *layers, nn.Flatten(), nn.LazyLinear(2))


VECTORS, SEQUENCES, IMAGES, VOLUMES = draw(5, 4), draw(5, 3, 4), draw(5, 8, 4), draw(3, 8, 4, 4)


def embedded(layer):
    return nn.Sequential(layer, nn.Tanh(), nn.Flatten(), nn.LazyLinear(2))


KINDS = {
    "linear": (lambda: nn.Linear(4, 2), VECTORS),
    "perceptron": (lambda: nn.Sequential(nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 2)), VECTORS),
    "a layer twice": (lambda: twice(nn.Linear(4, 4)), VECTORS),
    "a layer under two names": (lambda: Shared(nn.Linear(4, 4), "ab"), VECTORS),
    "aliases": (Aliases, VECTORS),
    "siamese branches": (Siamese, VECTORS),
    "shared PReLU": (lambda: Shared(nn.Sequential(nn.Linear(4, 4), nn.PReLU(4)), "abc"), VECTORS),
    "shared batch norm": (batch_norm, VECTORS),
    "transposed tie": (Tied, VECTORS),
    "convolution 1d": (lambda: images(nn.Conv1d(2, 3, 2, stride=2), nn.Tanh()), draw(5, 8)),
    "convolution 2d, groups and dilation": (
        lambda: images(nn.Conv2d(2, 4, 2, groups=2, dilation=2, padding=1), nn.Softplus(), nn.MaxPool2d(2)),
        IMAGES,
    ),
    "convolution 3d": (lambda: images(nn.Conv3d(2, 2, 2), nn.SiLU()), VOLUMES),
    "transposed convolution": (lambda: images(nn.ConvTranspose1d(2, 3, 2, stride=2), nn.Tanh()), draw(5, 8)),
    "layer norm": (lambda: nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 2)), VECTORS),
    "group norm": (lambda: images(nn.Conv1d(2, 4, 1), nn.GroupNorm(2, 4), nn.Tanh()), draw(5, 8)),
    "instance norm": (lambda: images(nn.InstanceNorm1d(2, affine=True), nn.Tanh()), draw(5, 8)),
    "gated linear unit": (lambda: nn.Sequential(nn.Linear(4, 8), nn.GLU(), nn.Linear(4, 2)), VECTORS),
    "rnn": (lambda: Reader(nn.RNN(4, 3, batch_first=True), 3), SEQUENCES),
    "gru, two layers": (lambda: Reader(nn.GRU(4, 3, 2, batch_first=True), 3), SEQUENCES),
    "lstm, both directions": (lambda: Reader(nn.LSTM(4, 3, bidirectional=True, batch_first=True), 6), SEQUENCES),
    "lstm with projection": (lambda: Reader(nn.LSTM(4, 3, proj_size=2, batch_first=True), 2), SEQUENCES),
    "gru cell": (lambda: Cells(nn.GRUCell(4, 4)), SEQUENCES),
    "lstm cell": (lambda: Cells(nn.LSTMCell(4, 4)), SEQUENCES),
    "attention": (SelfAttention, SEQUENCES),
    "transformer": (
        lambda: nn.Sequential(nn.TransformerEncoderLayer(4, 2, 6, dropout=0.1, batch_first=True), nn.Flatten()).eval(),
        SEQUENCES,
    ),
    "embedding": (lambda: embedded(nn.Embedding(7, 3)), TOKENS),
    "embedding with padding": (lambda: embedded(nn.Embedding(7, 3, padding_idx=int(TOKENS[0, 0]))), TOKENS),
    "sparse embedding": (lambda: embedded(nn.Embedding(7, 3, sparse=True)), TOKENS),
    "embedding bag": (lambda: embedded(nn.EmbeddingBag(7, 3)), TOKENS),
    "embedding bag, sparse sum": (lambda: embedded(nn.EmbeddingBag(7, 3, mode="sum", sparse=True)), TOKENS),
    "embedding bag, maximum with padding": (lambda: embedded(nn.EmbeddingBag(7, 3, mode="max", padding_idx=1)), TOKENS),
    "weight norm": (lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 4)), nn.Tanh()), VECTORS),
    "weight norm of old": (old_weight_norm, VECTORS),
    "spectral norm": (
        lambda: nn.Sequential(parametrizations.spectral_norm(nn.Linear(4, 2)), nn.Tanh()).eval(),
        VECTORS,
    ),
    "orthogonal": (lambda: nn.Sequential(parametrizations.orthogonal(nn.Linear(4, 4)), nn.Tanh()), VECTORS),
    "symmetric": (parametrized, VECTORS),
    "complex weights": (Spectral, VECTORS),
    "parameter lists and einsum": (Lists, VECTORS),
    "low-rank adapter": (Adapted, VECTORS),
    "generated weights": (Generated, VECTORS),
    "checkpointed": (Checkpointed, VECTORS),
    "scalar parameter": (Scales, VECTORS),
    "hooks": (hooked, VECTORS),
    "keeps what it computed": (Remembering, VECTORS),
    "torch.fx": (traced, VECTORS),
}


def make(name):
    """The module in float64 with weights that do not depend on the order of tests, and its inputs."""
    maker, inputs = KINDS[name]
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(len(name))
            module = maker()
            module(inputs)  # lazy layers get their shapes
            for value in module.parameters():
                if value.ndim == 1:
                    value.add_(0.1 * torch.randn(value.shape))
    finally:
        torch.set_default_dtype(default)
    return module, inputs


def plain_kernel(module, inputs):
    """Σ over parameters of per-sample gradients, by plain autograd: no transform, no batch; complex as pairs."""
    parameters = [value for value in module.parameters() if value.requires_grad]
    rows = []
    for sample in inputs:
        outputs = module(sample[None]).flatten()
        for output in outputs:
            gradients = torch.autograd.grad(output, parameters, retain_graph=True, allow_unused=True)
            pieces = [
                torch.zeros_like(p) if g is None else g.to_dense() for p, g in zip(parameters, gradients, strict=True)
            ]
            rows.append(torch.cat([(torch.view_as_real(p) if p.is_complex() else p).flatten() for p in pieces]))
    jacobian, size = torch.stack(rows), math.prod(outputs.shape)
    return (jacobian @ jacobian.T).view(len(inputs), size, len(inputs), size)
