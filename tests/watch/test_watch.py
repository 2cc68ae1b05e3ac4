import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, jvp
from torch.nn import functional

import lab
from lab.errors import LabError
from lab.measures.motion import Origin, measure_motion
from lab.watch.verdict import judge
from lab.watch.watch import COLUMNS
from tests.references import draw
from tests.tolerances import EXACT, relative


@pytest.fixture(scope="module")
def task():
    return lab.tasks.digits(train=24, test=12)


def convolutional(seed=0, **more):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Unflatten(1, (1, 8)), nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3),
        nn.Flatten(), nn.Linear(4 * 64, 3),
    ).double()  # fmt: skip


def perceptron(width=32, outputs=1, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs))


def images(n=20):
    return draw(n, 8, 8), torch.arange(n) % 3


def train(module, steps, look=None, every=5, optimizer=None):
    """A user's own loop: cross-entropy on random batches, Adam."""
    X, y = images()
    optimizer = optimizer or torch.optim.Adam(module.parameters(), 1e-2)
    losses = []
    for step in range(1, steps + 1):
        rows = torch.randperm(len(X))[:8]
        optimizer.zero_grad()
        loss = functional.cross_entropy(module(X[rows]), y[rows])
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        if look is not None and step % every == 0:
            look(step)
    return losses


@pytest.mark.parametrize("readout", ["last", "all"])
def test_an_elman_network_is_measured_as_by_the_labs_own_measures(task, readout):
    task = task.at_every_step() if readout == "all" else task
    network = lab.ElmanRNN.like(task, 32, trained=("W", "A"), centred=True)
    inputs = task.train_inputs
    jacobian = network.jacobian(inputs).keep()
    start = {name: value.detach().clone() for name, value in network.trained.items()}
    origin = Origin.of(network.copy(), inputs, jacobian.gram())
    path = lab.descend(network, task, lab.Descent(40, record=(0, 10, 40)), in_place=True)
    next(path)
    watch = lab.Watch(network, inputs, task.train_targets)
    for snapshot in path:
        row = watch.look(snapshot.step)
        motion = measure_motion(origin, network, inputs)
        for name in ("weight_motion", "relative_weight_motion", "kernel_drift", "gate_flips"):
            assert row[name] == pytest.approx(motion[name], rel=EXACT)
        moved = {name: value.detach() - start[name] for name, value in network.trained.items()}
        change = network(inputs).detach().flatten(1) - jacobian.outputs
        rest = change - jacobian.push(moved)
        assert row["nonlinearity"] == pytest.approx(float(rest.norm() / change.norm()), rel=1e-9)
        assert row["probe_loss"] == pytest.approx(snapshot.loss / len(inputs), rel=EXACT)


def test_training_with_looks_is_training_without_to_the_bit():
    runs = []
    for watched in (False, True):
        module = convolutional().train()
        module[6].bias.requires_grad_(False)
        module[1].weight.grad = torch.full_like(module[1].weight, 2.0)
        torch.manual_seed(5)
        X, y = images()
        watch = lab.Watch(module, X, y, loss="cross_entropy") if watched else None
        assert bool((module[1].weight.grad == 2).all())
        losses = train(module, 15, watch.look if watched else None)
        flags = [value.requires_grad for value in module.parameters()], [part.training for part in module.modules()]
        hooks = [len(part._forward_hooks) for part in module.modules()]
        state = {name: value.clone() for name, value in module.state_dict().items()}
        runs.append((losses, state, torch.random.get_rng_state(), flags, hooks))
    (plain, state, rng, flags, hooks), (looked, other, after, now, left) = runs
    assert plain == looked
    assert all(torch.equal(state[name], other[name]) for name in state)
    assert torch.equal(rng, after)
    assert (flags, hooks) == (now, left)


def test_batch_norm_is_judged_by_its_weights_and_its_buffers_apart():
    module, (X, y) = convolutional().train(), images()
    start = {name: value.detach().clone() for name, value in module.state_dict().items()}
    names = [name for name, _ in module.named_parameters()]
    watch = lab.Watch(module, X, y, loss="cross_entropy")
    train(module, 5)
    row = watch.look(5)
    now = {name: value.detach().clone() for name, value in module.state_dict().items()}
    frozen = convolutional().eval()
    buffers = {name: value for name, value in now.items() if name not in names}

    def f(parameters, extra):
        return functional_call(frozen, {**parameters, **extra}, (X,)).detach()

    def of(parameters):
        return functional_call(frozen, {**parameters, **buffers}, (X,))

    first, last = ({name: state[name] for name in names} for state in (start, now))
    base, along = jvp(of, (first,), ({name: last[name] - first[name] for name in names},))
    change = f(last, buffers) - base
    assert row["nonlinearity"] == pytest.approx(float((change - along).norm() / change.norm()), rel=1e-8)
    old = {name: value for name, value in start.items() if name not in names}
    effect = float((base - f(first, old)).norm() / change.norm())
    assert row["buffer_effect"] == pytest.approx(effect, rel=1e-8)
    loss = float(functional.cross_entropy(f(last, buffers), y))
    assert row["probe_loss"] == pytest.approx(loss, rel=EXACT)


def test_a_second_look_at_the_same_buffers_compares_with_kernels_under_them():
    """The stored kernels are those under the first buffers; buffers that have moved since move them."""
    module, (X, y) = convolutional().train(), images()
    watch = lab.Watch(module, X, y, loss="cross_entropy")
    train(module, 5)
    module.eval()
    watch.look(5)
    with torch.no_grad():
        module[6].weight.mul_(1.01)
    row = watch.look(6)
    reference = lab.Watch(copy.deepcopy(module), X)._first.kernel
    start = convolutional().eval()
    start.load_state_dict({**module.state_dict(), **dict(start.named_parameters())})
    expected = lab.Watch(start, X)._first.kernel
    assert row["kernel_drift"] == pytest.approx(float((reference - expected).norm() / expected.norm()), rel=1e-8)


def test_gates_and_features_are_those_of_the_layers():
    module, X = perceptron().double(), draw(16, 5)
    watch = lab.Watch(module, X)
    before = [module[:depth](X).detach() for depth in (1, 3)]
    hidden = {str(depth): module[: depth + 1](X).detach() for depth in range(4)}
    with torch.no_grad():
        for value in module.parameters():
            value.add_(0.1 * draw(*value.shape, seed=3))
    row = watch.look(1)
    after = [module[:depth](X).detach() for depth in (1, 3)]
    flips = torch.cat([((one > 0) != (other > 0)).flatten() for one, other in zip(before, after, strict=True)])
    assert row["gate_flips"] == float(flips.double().mean())
    for name, start in hidden.items():
        change = module[: int(name) + 1](X).detach() - start
        assert watch.features[name].iloc[0] == pytest.approx(float(change.norm() / start.norm()), rel=EXACT)
    assert row["feature_change"] == pytest.approx(float(watch.features.iloc[0].mean()), rel=EXACT)
    assert list(watch.parameters) == [name for name, _ in module.named_parameters()]


def test_gates_inside_a_fused_recurrent_layer_are_seen():
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.core, self.head = nn.RNN(3, 6, batch_first=True, nonlinearity="relu"), nn.Linear(6, 1)

        def forward(self, inputs):
            return self.head(self.core(inputs)[0][:, -1])

    module, X = Reader().double(), draw(5, 4, 3)
    watch = lab.Watch(module, X)
    states = module.core(X)[0].detach() > 0
    with torch.no_grad():
        module.core.weight_hh_l0.mul_(-1)
    expected = (states != (module.core(X)[0].detach() > 0)).double().mean()
    assert watch.look(1)["gate_flips"] == float(expected)


@pytest.mark.parametrize(("alpha", "regime"), [(1e3, "lazy"), (0.1, "rich")])
def test_large_scales_are_lazy_and_small_ones_rich(task, alpha, regime):
    network = lab.Scaled(lab.ElmanRNN.like(task, 64, parametrization="ntk", trained=("W", "A", "B")), alpha)
    watch = lab.Watch(network, task.train_inputs, task.train_targets)
    found = lab.arrive(network, task, lab.Descent(5000, 0.05, record="all"), 0.05, in_place=True)
    assert found.exit == "reached"
    watch.look(found.step)
    assert watch.regime == regime
    assert ("lazy" if regime == "lazy" else "learns features") in watch.verdict()


def test_adam_is_judged_by_its_path_alone():
    """No rate, no second training: small steps are lazy for Adam too, large ones are not."""
    regimes = []
    for rate, steps in ((1e-5, 60), (3e-2, 200)):
        module, X = perceptron(512).double(), draw(32, 5)
        y = torch.sin(X[:, :1])
        watch = lab.Watch(module, X)
        optimizer = torch.optim.Adam(module.parameters(), rate)
        for _ in range(steps):
            optimizer.zero_grad()
            (module(X) - y).square().mean().backward()
            optimizer.step()
        assert watch.look(steps)["critical_fraction"] is None
        regimes.append(watch.regime)
    assert regimes == ["lazy", "rich"]
    assert "early" not in watch.verdict()


def test_the_edge_is_that_of_the_hessian_of_the_mean_loss():
    module, X, y = perceptron(16, 3).double(), draw(12, 5), torch.arange(12) % 3
    watch = lab.Watch(module, X, y, loss="cross_entropy")
    row = watch.look(1, 0.3, momentum=0.9)
    kernel, logits = watch._first.kernel.reshape(36, 36), module(X).detach()
    p = logits.softmax(1)
    curvature = torch.block_diag(*(torch.diag(each) - torch.outer(each, each) for each in p))
    top = float(torch.linalg.eigvals(kernel @ curvature).real.max())
    assert row["lambda_max"] == pytest.approx(top, rel=1e-9)
    assert row["critical_fraction"] == pytest.approx(0.3 * top / (12 * 2 * 1.9), rel=1e-9)


class Answer(nn.Module):
    """Returns a dictionary, as many libraries' modules do."""

    def __init__(self):
        super().__init__()
        self.inner = perceptron(16, 2).double()

    def forward(self, inputs):
        return {"logits": self.inner(inputs), "hidden": inputs}


def test_a_function_takes_the_outputs_out_of_what_a_module_returns():
    module, X = Answer(), draw(10, 5)
    with pytest.raises(LabError, match=r"outputs: got a module that returns dict.*outputs=lambda"):
        lab.Watch(module, X)
    watch = lab.Watch(module, X, torch.arange(10) % 2, outputs=lambda found: found["logits"], loss="cross_entropy")
    with torch.no_grad():
        module.inner[0].weight.mul_(1.1)
    row, (plain,) = watch.look(1), (lab.Watch(module.inner, X),)
    assert relative(watch._last.kernel, plain._first.kernel) < EXACT
    assert row["relative_weight_motion"] > 0


def test_many_outputs_are_projected_by_one_fixed_matrix():
    module, X = perceptron(24, 40).double(), draw(32, 5)
    watch = lab.Watch(module, X, draw(32, 40))
    assert "40 outputs by a fixed Gaussian matrix to 16" in watch.projection
    assert watch._first.kernel.shape == (32, 16, 32, 16)
    with torch.no_grad():
        module[0].weight.add_(0.05 * draw(24, 5, seed=8))
    row, exact = watch.look(1), lab.Watch(perceptron(24, 40).double(), X[:12])
    exact.point_at(module)
    assert exact.projection is None
    assert row["nonlinearity"] == pytest.approx(exact.look(1)["nonlinearity"], rel=0.4)
    assert row["probe_loss"] == pytest.approx(
        float(0.5 * (module(X).detach() - draw(32, 40)).square().sum(1).mean()), rel=EXACT
    )
    assert row["lambda_max"] is None


def test_nothing_can_be_said_of_a_network_that_has_not_moved():
    watch = lab.Watch(perceptron().double(), draw(8, 5))
    row = watch.look(1)
    assert math.isnan(row["nonlinearity"])
    assert row["kernel_distance"] < 1e-12
    assert watch.regime == "nothing yet"


def test_a_watch_is_saved_and_goes_on(tmp_path):
    module, (X, y) = convolutional().train(), images()
    watch = lab.Watch(module, X, y, loss="cross_entropy")
    train(module, 5, watch.look)
    path = watch.save(tmp_path / "watch.npz")
    again = lab.Watch.load(path, module)
    train(module, 5)
    one, other = watch.look(10), again.look(10)
    for name in COLUMNS:
        if name != "seconds" and one[name] is not None:
            assert other[name] == pytest.approx(one[name], rel=1e-9, nan_ok=True)
    assert watch.verdict() == again.verdict()
    assert len(again.table) == 2
    assert b"pickle" not in path.read_bytes()
    with pytest.raises(LabError, match="module: got another architecture"):
        lab.Watch.load(path, nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).double())
    (tmp_path / "other.npz").write_bytes(b"hello")
    with pytest.raises(LabError, match="path: got"):
        lab.Watch.load(tmp_path / "other.npz", module)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda watch: watch.look(0), "step: got 0"),
        (lambda watch: watch.look(1, learning_rate=-1.0), "learning_rate"),
        (lambda watch: watch.look(1, 0.1, momentum=1.0), "momentum"),
        (lambda watch: watch.point_at(perceptron(8).double()), "trained parameters that differ"),
    ],
)
def test_wrong_looks_are_refused(call, said):
    watch = lab.Watch(perceptron().double(), draw(8, 5))
    with pytest.raises(LabError, match=said):
        call(watch)
    assert len(watch.table) == 0


def test_weights_that_are_not_finite_are_refused_and_the_rows_are_kept():
    module = perceptron().double()
    watch = lab.Watch(module, draw(8, 5))
    watch.look(1)
    with torch.no_grad():
        module[0].weight.fill_(math.nan)
    with pytest.raises(LabError, match=r"weights that are not finite, in 0\.weight"):
        watch.look(2)
    assert len(watch.table) == 1


@pytest.mark.parametrize(
    ("targets", "loss", "said"),
    [
        (torch.ones(7, 1), None, "7 targets for 8 probes"),
        (torch.ones(8, 2), None, r"targets of shape \(2,\) per sample for outputs of shape \(1,\)"),
        (torch.arange(8), "cross_entropy", "one output"),
        (torch.full((8, 1), math.nan), None, "NaN"),
    ],
)
def test_wrong_targets_are_refused(targets, loss, said):
    with pytest.raises(LabError, match=said):
        lab.Watch(perceptron().double(), draw(8, 5), targets, loss=loss)


def numbers(nonlinearity, distance, loss):
    return {"nonlinearity": nonlinearity, "kernel_distance": distance, "probe_loss": loss}


@pytest.mark.parametrize(
    ("now", "regime"),
    [
        (numbers(0.09, 0.04, 0.79), "lazy"),
        (numbers(0.09, 0.04, 0.81), "too early"),
        (numbers(0.09, 0.04, 1.5), "too early"),
        (numbers(0.11, 0.04, 0.1), "leaving"),
        (numbers(0.09, 0.06, 0.1), "leaving"),
        (numbers(0.51, 0.04, 0.9), "rich"),
        (numbers(0.09, 0.31, 0.1), "rich"),
        (numbers(math.nan, 0.0, 1.0), "nothing yet"),
        (numbers(0.09, 0.04, None), "lazy"),
        ({}, "nothing yet"),
    ],
)
def test_the_verdict_follows_its_thresholds(now, regime):
    start = {"probe_loss": None if now.get("probe_loss") is None else 1.0}
    found, sentence = judge(start, now)
    assert found == regime
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert ("beginning" in sentence) == (now.get("probe_loss", 0) is None)


def test_two_checkpoints_are_diagnosed():
    start, now = perceptron(64, 2).double(), perceptron(64, 2).double()
    X, y = draw(16, 5), torch.arange(16) % 2
    with torch.no_grad():
        for value in now.parameters():
            value.add_(1e-3 * draw(*value.shape, seed=4))
    states = [{name: value.clone() for name, value in each.state_dict().items()} for each in (start, now)]
    found = lab.diagnose(start, now, X, y, loss="cross_entropy")
    assert found.regime in ("too early", "lazy")
    assert len(found.table) == 1
    by_hand = math.sqrt(
        sum(float((b - a).square().sum()) for a, b in zip(start.parameters(), now.parameters(), strict=True))
    )
    assert found.table["weight_motion"].iloc[0] == pytest.approx(by_hand, rel=EXACT)
    for module, state in zip((start, now), states, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    with pytest.raises(LabError, match="module_now: got trained parameters that differ"):
        lab.diagnose(start, perceptron(32, 2).double(), X)


def test_the_table_has_its_columns_in_order_and_the_figure_four_panels():
    module = perceptron().double()
    watch = lab.Watch(module, draw(8, 5), draw(8, 1))
    for step in (1, 2, 3):
        with torch.no_grad():
            module[0].weight.add_(0.01 * draw(*module[0].weight.shape, seed=step))
        watch.look(step)
    assert tuple(watch.table) == COLUMNS
    assert np.isfinite(watch.table[["nonlinearity", "kernel_velocity", "probe_loss"]]).all().all()
    assert len(watch.plot().axes) == 4
    assert "verdict" in watch._repr_html_()
    assert 0 < watch.share_of_time <= 1
