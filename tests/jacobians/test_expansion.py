"""Second-order expansions against explicit Hessians, difference quotients, and what they cost."""

import pytest
import torch
from torch.func import functional_call, hessian, jacrev

import lab
from lab.jacobians.elementary import elementary
from lab.networks.modules import ModuleNetwork
from tests.networks.kinds import KINDS, make
from tests.references import Products, draw
from tests.tolerances import EXACT, relative

CASES = {  # activation, style, readout, trained, centred
    "relu": ("relu", "paper", "last", ("W",), False),
    "relu, all": ("relu", "ntk", "all", ("W", "A", "B", "b"), False),
    "erf": ("erf", "ntk", "all", ("W", "A", "B", "b"), True),
    "tanh": ("tanh", "ntk", "mean", ("W", "B"), False),
    "softplus": ("softplus", "ntk", "last", ("A", "b"), False),
    "mean field": ("erf", "mean_field", "last", ("W", "A"), True),
}
INPUTS = draw(3, 4, 3)


def build(case):
    activation, style, readout, trained, centred = CASES[case]
    scales = lab.Parametrization(style="ntk", sigma_b=0.3) if style == "ntk" else style
    settings = {"readout": readout, "trained": trained, "centred": centred, "seed": 1}
    return lab.ElmanRNN(5, 3, 2, activation=activation, parametrization=scales, **settings)


def explicit(network, motion):
    """f₀ + Jv + ½vᵀHv and J + vᵀH, with arrays of both derivatives by torch.func."""
    names = list(network.trained)
    sizes = [network.trained[name].shape for name in names]

    def outputs(flat):
        pieces = flat.split([size.numel() for size in sizes])
        values = {name: piece.view(size) for name, piece, size in zip(names, pieces, sizes, strict=True)}
        return functional_call(network, values, (INPUTS,)).flatten()

    start = torch.cat([network.trained[name].detach().flatten() for name in names])
    v = torch.cat([motion[name].flatten() for name in names])
    first, second = jacrev(outputs)(start), hessian(outputs)(start)
    bent = torch.einsum("iab,b->ia", second, v)
    return outputs(start).detach() + first @ v + bent @ v / 2, first + bent


def along(network, size=0.5):
    places = enumerate(network.trained.items())
    return {name: size * draw(value.numel(), seed=place).view(value.shape) for place, (name, value) in places}


@pytest.mark.parametrize("wrap", [lambda network: network, ModuleNetwork], ids=["recurrence", "torch.func"])
@pytest.mark.parametrize("case", CASES)
def test_value_and_gradient_are_those_of_an_explicit_hessian(case, wrap):
    network = build(case)
    motion = along(network)
    outputs, rows = explicit(network, motion)
    at = wrap(network).expansion(INPUTS).at(motion)
    assert relative(at.outputs.flatten(), outputs) < EXACT
    assert relative(at.gram().flatten(2).flatten(0, 1), rows @ rows.T) < EXACT
    other = along(network, 2.0)
    flat = torch.cat([value.flatten() for value in other.values()])
    assert relative(at.push(other).flatten(), rows @ flat) < EXACT
    residual = draw(*at.outputs.shape)
    pulled = torch.cat([value.flatten() for value in at.pull(residual).values()])
    assert relative(pulled, rows.T @ residual.flatten()) < EXACT


def test_samples_can_be_selected_and_scaled():
    network = build("erf")
    motion, some = along(network), torch.tensor([2, 0])
    whole = lab.Scaled(network, 3.0).expansion(INPUTS)
    expected = 3 * (network.expansion(INPUTS).at(motion).outputs - network(INPUTS).flatten(1))[some]
    assert relative(whole.select(some).at(motion).outputs, expected) < EXACT
    residual = draw(2, expected.shape[1])
    picked = torch.zeros(3, expected.shape[1], dtype=torch.float64).index_copy(0, some, residual)
    for left, right in zip(
        whole.select(some).at(motion).pull(residual).values(), whole.at(motion).pull(picked).values(), strict=True
    ):
        assert relative(left, right) < EXACT


def test_remainder_is_of_third_order():
    network = build("erf")
    around, motion = network.expansion(INPUTS), along(network, 1.0)
    sizes, errors = [0.02, 0.01, 0.005], []
    for size in sizes:
        moved, small = network.copy(), {name: size * value for name, value in motion.items()}
        with torch.no_grad():
            for name, value in moved.trained.items():
                value.add_(small[name])
            errors.append(float((moved(INPUTS).flatten(1) - around.at(small).outputs).norm()))
    slopes = torch.tensor(errors).log().diff() / torch.tensor(sizes).log().diff()
    assert bool((abs(slopes - 3) < 0.1).all())


@pytest.mark.parametrize("name", [name for name in KINDS if name != "embedding with padding"])  # its row is constant
def test_modules_agree_with_second_differences(name):
    module, inputs = make(name)
    network = ModuleNetwork(module)
    motion, step = along(network, 0.1), 3e-4

    def moved(size):
        twin = network.copy()
        with torch.no_grad():
            for key, value in twin.trained.items():
                value.add_(size * motion[key])
            return twin(inputs).flatten(1)

    start, ahead, behind = moved(0), moved(step), moved(-step)
    expected = start + (ahead - behind) / (2 * step) + (ahead - 2 * start + behind) / (2 * step**2)
    at = network.expansion(inputs).at(motion)
    assert relative(at.outputs, expected) < 1e-6  # third and fourth derivatives times h²
    residual, other = draw(*at.outputs.shape), along(network, 0.2)
    pulled = at.pull(residual)
    expected = sum(float((pulled[key] * other[key]).sum()) for key in pulled)
    assert float((at.push(other) * residual).sum()) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_norms_written_out_are_torch_s_own():
    vectors = draw(6, 4)
    for module in (torch.nn.LayerNorm(4), torch.nn.LayerNorm((4,), elementwise_affine=False)):
        module.double()
        with elementary():
            written = module(vectors)
        assert relative(written, module(vectors)) < EXACT
    for dim in (0, 1, -1):
        length = torch.ones(()) if dim == -1 else torch.rand([6, 1] if dim == 0 else [1, 4], dtype=torch.float64)
        with elementary():
            written = torch._weight_norm(vectors, length, dim)
        assert relative(written, torch._weight_norm(vectors, length, dim)) < EXACT


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_a_step_takes_at_most_four_times_the_products_of_the_network(activation):
    network = lab.ElmanRNN(32, 3, activation=activation, parametrization="ntk")
    model, inputs = lab.QuadraticNetwork(network), draw(6, 8, 3)
    evaluators = network.evaluator(inputs), model.evaluator(inputs)
    flops = []
    for each, evaluate in zip((network, model), evaluators, strict=True):
        with Products() as products:
            each.descend(evaluate(), draw(6, 1), 1e-3)
        flops.append(products.flops)
    assert flops[1] <= 4 * flops[0]


def test_a_written_motion_is_noticed_unless_it_is_kept():
    network = build("relu")
    motion = along(network)
    live, kept = (network.expansion(INPUTS).at(motion) for _ in range(2))
    kept.keep()
    before = kept.pull(torch.ones_like(kept.outputs))["W"]
    motion["W"].add_(1)
    with pytest.raises(lab.LabError, match="moved"):
        live.pull(torch.ones_like(live.outputs))
    assert torch.equal(kept.pull(torch.ones_like(kept.outputs))["W"], before)
