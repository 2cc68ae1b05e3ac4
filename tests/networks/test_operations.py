"""Operations that modules are made of: the kernel through each of them, by both routes, against plain autograd.

torch's rules for batched passes are not all right: ``cdist`` gave wrong gradients without an error, and so did
``linalg.solve`` under ``no_grad`` (torch 2.13). Numbers of samples, channels and outputs are equal here, so that a rule
that mixes them up cannot fail by their sizes.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import lab
from lab.errors import LabWarning
from lab.jacobians import autodiff, unfused
from tests.networks.kinds import plain_kernel
from tests.references import draw
from tests.tolerances import EXACT, relative


class Apply(nn.Module):
    """A function between two linear layers."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, inputs):
        return self.function(inputs)


def outer(x):
    """I + x xᵀ / 10 for each sample: symmetric, well-conditioned."""
    return torch.eye(4, dtype=x.dtype) + 0.1 * x[:, :, None] * x[:, None, :]


LEVELS = torch.diag(torch.arange(4, dtype=torch.float64))

VECTOR_OPERATIONS = {
    "elu": F.elu,
    "hardswish": F.hardswish,
    "leaky relu": F.leaky_relu,
    "prelu, one slope": nn.PReLU(),
    "prelu, several slopes": nn.PReLU(4),
    "relu in place": lambda x: (2 * x).relu_(),
    "rrelu": nn.RReLU().eval(),
    "selu": F.selu,
    "gelu": F.gelu,
    "mish": F.mish,
    "softshrink": F.softshrink,
    "threshold": nn.Threshold(0.1, 0.2),
    "clamp": lambda x: x.clamp(-0.5, 0.5),
    "where": lambda x: torch.where(x > 0, x, 0.3 * x),
    "glu": lambda x: F.glu(torch.cat([x, x.flip(1)], 1)),
    "softmax": lambda x: F.softmax(x, 1),
    "log softmax": lambda x: F.log_softmax(x, 1),
    "logsumexp": lambda x: x.logsumexp(1, keepdim=True) * x,
    "layer norm": nn.LayerNorm(4),
    "rms norm": nn.RMSNorm(4),
    "batch norm": nn.BatchNorm1d(4).eval(),
    "response norm": lambda x: F.local_response_norm(x[:, :, None], 2)[:, :, 0],
    "normalize": F.normalize,
    "norm": lambda x: x.norm(dim=1, keepdim=True) * x,
    "std": lambda x: x.std(1, keepdim=True) * x,
    "prod": lambda x: x.prod(1, keepdim=True) + x,
    "cumsum": lambda x: x.cumsum(1),
    "cumprod": lambda x: x.cumprod(1),
    "cummax": lambda x: x.cummax(1)[0],
    "logcumsumexp": lambda x: torch.logcumsumexp(x, 1),
    "sort": lambda x: x.sort(1)[0],
    "topk": lambda x: x.topk(2, 1)[0].repeat(1, 2),
    "median": lambda x: x.median(1, keepdim=True)[0] + x,
    "max": lambda x: x.max(1, keepdim=True)[0] * x,
    "gather": lambda x: x.gather(1, x.argsort(1)),
    "scatter": lambda x: x.scatter(1, x.argsort(1), 2 * x),
    "index": lambda x: x[:, torch.tensor([1, 1, 2, 3])],
    "roll": lambda x: x.roll(1, 1) * x,
    "masked fill": lambda x: x.masked_fill(x < 0, 0.5),
    "einsum": lambda x: torch.einsum("ni,nj->ni", x, x),
    "cosine similarity": lambda x: F.cosine_similarity(x, x.flip(1), dim=1)[:, None] * x,
    "cdist": lambda x: torch.cdist(x[:, None], 2 * x[:, None] + 1)[:, 0] + x,
    "cdist, p = 1": lambda x: torch.cdist(x[:, :, None], 2 * x[:, :, None] + 1, p=1.0).sum(2),
    "solve": lambda x: torch.linalg.solve(outer(x), x[:, :, None])[:, :, 0],
    "det": lambda x: torch.linalg.det(outer(x))[:, None] * x,
    "eigenvalues": lambda x: torch.linalg.eigvalsh(outer(x) + LEVELS),
    "matrix exponential": lambda x: torch.matrix_exp(outer(x)).sum(2),
    "fft": lambda x: torch.fft.fft(x).abs(),
    "i0": torch.special.i0,
    "attention": lambda x: F.scaled_dot_product_attention(*[x[:, None, :, None]] * 3)[:, 0, :, 0],
}
IMAGE_OPERATIONS = {
    "max pooling": nn.MaxPool2d(2),
    "max unpooling": lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
    "average pooling": nn.AvgPool2d(2),
    "adaptive max pooling": nn.AdaptiveMaxPool2d(2),
    "power pooling": lambda x: F.lp_pool2d(F.softplus(x), 2, 2),
    "bilinear upsampling": nn.Upsample(scale_factor=2, mode="bilinear"),
    "bicubic upsampling": nn.Upsample(scale_factor=2, mode="bicubic"),
    "reflection padding": nn.ReflectionPad2d(1),
    "circular padding": nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
    "depthwise convolution": nn.Conv2d(4, 4, 3, groups=4),
    "transposed convolution": nn.ConvTranspose2d(4, 4, 3, groups=2),
    "weight-normed convolution": nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 3)),
    "pixel shuffle": nn.PixelShuffle(2),
    "channel shuffle": nn.ChannelShuffle(2),
    "group norm": nn.GroupNorm(2, 4),
    "instance norm": nn.InstanceNorm2d(4, affine=True),
    "prelu, several slopes": nn.PReLU(4),
    "unfold": nn.Unfold(2),
    "grid sample": lambda x: F.grid_sample(x, torch.tanh(x[:, :2].permute(0, 2, 3, 1)), align_corners=False),
}


def compare(module, inputs):
    module = module.double()
    with torch.no_grad():
        module(inputs)  # lazy layers get their shapes
    expected, network = plain_kernel(module, inputs), lab.as_network(module)
    for route in autodiff.ROUTES:
        assert relative(network.jacobian(inputs).gram(route=route), expected) < EXACT, route


def module_of(operation):
    return operation if isinstance(operation, nn.Module) else Apply(operation)


@pytest.mark.parametrize("name", VECTOR_OPERATIONS)
def test_operations_on_vectors(name):
    torch.manual_seed(0)
    compare(nn.Sequential(nn.Linear(4, 4), module_of(VECTOR_OPERATIONS[name]), nn.Linear(4, 4)), draw(4, 4))


@pytest.mark.parametrize("name", IMAGE_OPERATIONS)
def test_operations_on_images(name):
    torch.manual_seed(0)
    layers = nn.Conv2d(4, 4, 3), module_of(IMAGE_OPERATIONS[name]), nn.Flatten(), nn.LazyLinear(4)
    compare(nn.Sequential(*layers), draw(4, 4, 8, 8))


def test_a_wrong_rule_of_vmap_is_noticed_and_avoided(monkeypatch):
    """Without the plain formula rows differ from plain passes, and the slow way is taken."""
    monkeypatch.delitem(unfused._PLAIN, torch.cdist)
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 4), module_of(VECTOR_OPERATIONS["cdist"]), nn.Linear(4, 4)).double()
    jacobian = lab.as_network(module).jacobian(draw(4, 4))
    with pytest.warns(LabWarning, match="backward pass under vmap is wrong for this module"):
        kernel = jacobian.gram(route="contraction")
    assert relative(kernel, plain_kernel(module, draw(4, 4))) < EXACT


@pytest.mark.filterwarnings("ignore:torch's backward pass under vmap:lab.errors.LabWarning")
def test_what_has_no_second_derivative_is_refused_along_directions_and_has_a_kernel(monkeypatch):
    monkeypatch.delitem(unfused._PLAIN, torch.cdist)
    module = nn.Sequential(nn.Linear(4, 4), module_of(VECTOR_OPERATIONS["cdist"]), nn.Linear(4, 4)).double()
    jacobian = lab.as_network(module).jacobian(draw(4, 4))
    with pytest.raises(lab.LabError, match="cannot differentiate along a direction"):
        jacobian.gram(route="vector_products")
