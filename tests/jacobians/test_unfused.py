"""torch's recurrent layers and attention as elementary operations: the same numbers, and every transform passes."""

from itertools import product

import pytest
import torch
from torch import nn
from torch.func import functional_call, jvp
from torch.utils._pytree import tree_leaves

from lab.jacobians.unfused import unfused
from tests.references import draw
from tests.tolerances import OUTPUTS, relative

LAYERS = {
    "tanh": (nn.RNN, {}),
    "relu": (nn.RNN, {"nonlinearity": "relu"}),
    "gru": (nn.GRU, {}),
    "lstm": (nn.LSTM, {}),
    "lstm projected": (nn.LSTM, {"proj_size": 2}),
}
CELLS = {"tanh": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}
OPTIONS = [
    dict(zip(("num_layers", "bidirectional", "bias", "batch_first"), values, strict=True))
    for values in product((1, 3), (False, True), (False, True), (False, True))
]


def both(module, *inputs):
    """What a module returns, as a list of tensors: torch's own, and from elementary operations."""
    torch_own = module(*inputs)
    with unfused():
        results = torch_own, module(*inputs)
    return ([leaf for leaf in tree_leaves(each) if leaf is not None] for each in results)


def check(module, *inputs):
    for expected, found in zip(*both(module, *inputs), strict=True):
        assert relative(found, expected) <= OUTPUTS


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(map(str, options.values())))
def test_layers_return_the_same(name, options):
    torch.manual_seed(0)
    kind, settings = LAYERS[name]
    layer = kind(3, 4, **settings, **options).double()
    check(layer, draw(2, 5, 3))
    check(layer, draw(5, 3))  # one sequence, without an axis of samples


@pytest.mark.parametrize("name", LAYERS)
def test_initial_states_are_used(name):
    kind, settings = LAYERS[name]
    layer = kind(3, 4, batch_first=True, **settings).double()
    start = draw(1, 2, settings.get("proj_size", 4), seed=1)
    check(layer, draw(2, 5, 3), (start, draw(1, 2, 4, seed=2)) if kind is nn.LSTM else start)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("bias", [False, True])
def test_cells_return_the_same(name, bias):
    check(CELLS[name](3, 4, bias=bias).double(), draw(2, 3))


def test_packed_sequences_and_dropout_are_left_to_torch():
    layer = nn.GRU(3, 4, 2, batch_first=True, dropout=0.5).double()
    packed = nn.utils.rnn.pack_padded_sequence(draw(2, 5, 3), [5, 2], batch_first=True)
    check(layer.eval(), packed)
    layer.train()
    with unfused():
        assert not torch.equal(layer(draw(2, 5, 3))[0], layer(draw(2, 5, 3))[0])


@pytest.mark.parametrize("norm_first", [False, True])
def test_attention_has_a_forward_mode(norm_first):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, norm_first=norm_first).double().eval()
    x, point = draw(3, 5, 4), {name: value.detach() for name, value in layer.named_parameters()}
    with torch.no_grad():
        check(layer, x)
        with unfused():
            jvp(lambda weights: functional_call(layer, weights, (x,)), (point,), (point,))


def test_the_module_is_left_alone():
    layer, x = nn.GRU(3, 4).double(), draw(2, 5, 3)
    before, attributes = layer(x)[0], set(vars(layer))
    with unfused(), pytest.raises(ZeroDivisionError):
        raise ZeroDivisionError
    assert torch.equal(layer(x)[0], before)
    assert set(vars(layer)) == attributes


PADDING = torch.tensor([[False] * 5, [False, False, False, True, True], [False] * 4 + [True]])
CAUSAL = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
MASKS = {
    "none": {},
    "padding": {"key_padding_mask": PADDING},
    "boolean mask": {"attn_mask": CAUSAL < 0},
    "causal": {"attn_mask": CAUSAL, "is_causal": True, "need_weights": False},
    "one mask per head": {"attn_mask": draw(6, 5, 5, seed=3)},
    "both": {"key_padding_mask": PADDING.double() * -1e9, "attn_mask": CAUSAL},
    "weights of each head": {"average_attn_weights": False},
}
HEADS = {
    "plain": {},
    "no bias": {"bias": False},
    "other sizes of keys and values": {"kdim": 3, "vdim": 2},
    "added biases and zeros": {"add_bias_kv": True, "add_zero_attn": True},
}


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", HEADS)
def test_attention_returns_the_same(name, mask, batch_first):
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(4, 2, batch_first=batch_first, **HEADS[name]).double()
    inputs = [draw(3, 5, size, seed=size) for size in (4, HEADS[name].get("kdim", 4), HEADS[name].get("vdim", 4))]
    if not batch_first:
        inputs = [each.transpose(0, 1) for each in inputs]
    check(lambda *given: layer(*given, **MASKS[mask]), *inputs)
    if HEADS[name].get("kdim", 4) == 4:
        check(lambda given: layer(given, given, given, **MASKS[mask]), inputs[0])


def test_attention_on_one_sample():
    layer = nn.MultiheadAttention(4, 2).double()
    check(lambda given: layer(given, given, given, key_padding_mask=PADDING[1]), draw(5, 4))
