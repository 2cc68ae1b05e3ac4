"""The second-order learner against one with explicit arrays that autograd and torch.optim train."""

import numpy as np
import pytest
import torch
from torch.func import functional_call, hessian, jacrev

import lab
from lab.learners.network import train_network
from lab.measures.derivative import check_second_derivative
from tests.references import draw
from tests.tolerances import EXACT, relative

TASK = lab.SequenceTask(draw(6, 4, 3), draw(6, 2, seed=1), draw(3, 4, 3, seed=2), draw(3, 2, seed=3), "small")
CLASSES = lab.SequenceTask(TASK.train_inputs, torch.tensor([0, 1, 1, 0, 1, 0]), name="classes")


def build(**settings):
    choices = {"activation": "erf", "parametrization": "ntk", "trained": ("W", "B"), "seed": 2, **settings}
    return lab.ElmanRNN(4, 3, 2, **choices)


class Explicit(torch.nn.Module):
    """f₀ + Jv + ½vᵀHv in the weights θ, with arrays of J and H."""

    def __init__(self, network, inputs):
        super().__init__()
        self.names, self.sizes = list(network.trained), [value.shape for value in network.trained.values()]
        start = torch.cat([value.detach().flatten() for value in network.trained.values()])

        def outputs(flat):
            pieces = flat.split([size.numel() for size in self.sizes])
            values = {name: each.view(size) for name, each, size in zip(self.names, pieces, self.sizes, strict=True)}
            return functional_call(network, values, (inputs,)).flatten(1)

        self.point, self.origin = torch.nn.Parameter(start.clone()), start
        self.outputs, self.first, self.second = outputs(start).detach(), jacrev(outputs)(start), hessian(outputs)(start)

    def forward(self, batch):
        v = self.point - self.origin
        return (self.outputs + self.first @ v + (self.second @ v) @ v / 2)[batch]


def losses_of(model, targets, loss, optimizer, batches):
    """The loss on all samples before each step of a torch.optim optimizer."""
    found, everything = [], torch.arange(len(targets))
    for batch in batches:
        found.append(loss(model(everything), targets).item())
        optimizer.zero_grad()
        loss(model(batch), targets[batch]).backward()
        optimizer.step()
    return np.array([*found, loss(model(everything), targets).item()])


def half_square(outputs, targets):
    return (outputs - targets).square().sum() / 2


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("batch_size", [None, 4])
@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_descends_as_explicit_arrays_do(loss, batch_size, momentum):
    network, task = build(), TASK if loss == "squared" else CLASSES
    reference = half_square if loss == "squared" else torch.nn.CrossEntropyLoss(reduction="sum")
    descent = lab.Descent(
        40, learning_rate=0.02, momentum=momentum, batch_size=batch_size, record="all", loss=loss, seed=5
    )
    found = train_network(lab.QuadraticNetwork(network), task, descent, 0.02)
    model = Explicit(network, task.train_inputs)
    optimizer = torch.optim.SGD([model.point], lr=0.02, momentum=momentum)
    every = zip(range(descent.steps), descent.batches(6), strict=False)
    batches = [torch.arange(6) if batch is None else torch.from_numpy(batch) for _, batch in every]
    targets = task.train_targets if loss == "squared" else task.train_targets.flatten().long()
    expected = losses_of(model, targets, reference, optimizer, batches)
    assert relative(found.loss, expected) < EXACT
    assert found.loss[-1] < 0.9 * found.loss[0]


def test_an_optimizer_sees_the_weights_themselves():
    def adam(parameters):
        return torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.5)

    network = build()
    result = lab.side_by_side(network, TASK, lab.Descent(20, optimizer=adam, record="all"), order=2)
    model = Explicit(network, TASK.train_inputs)
    expected = losses_of(model, TASK.train_targets, half_square, adam([model.point]), [torch.arange(6)] * 20)
    assert relative(result.quadratic.loss, expected) < EXACT


def test_side_by_side_adds_it_when_asked():
    network, descent = build(centred=True), lab.Descent(30)
    before = {name: value.clone() for name, value in network.trained.items()}
    plain, result = lab.side_by_side(network, TASK, descent), lab.side_by_side(network, TASK, descent, order=2)
    assert plain.quadratic is None
    assert "gap_quadratic_test" not in plain.summary()
    assert all(torch.equal(value, before[name]) for name, value in network.trained.items())
    for name in plain.learners:
        assert np.array_equal(plain.learners[name].train, result.learners[name].train)
    difference = result.network.test - result.quadratic.test
    unit = TASK.train_targets.sub(TASK.train_targets.mean(0)).square().mean().sqrt()
    gaps = np.sqrt((difference**2).mean((1, 2))) / float(unit)
    assert relative(result.gap("test", learner="quadratic"), gaps) < EXACT
    summary = result.summary()
    assert summary["gap_quadratic_test"] == gaps.max()
    assert summary["final_loss_quadratic"] == result.quadratic.loss[-1]
    assert summary["second_derivative_check"] < 1e-6
    result.plot()


def test_it_is_the_linear_model_where_outputs_are_linear_in_the_weights():
    result = lab.side_by_side(build(trained=("B",)), TASK, lab.Descent(30), order=2)
    assert relative(result.quadratic.test, result.linearized.test) < EXACT


def test_divergence_is_recorded():
    result = lab.side_by_side(build(), TASK, lab.Descent(200, 40.0, record="all"), order=2)
    end = result.quadratic.diverged_at
    assert end is not None
    assert np.isfinite(result.quadratic.loss[:end]).all()
    assert np.isnan(result.quadratic.train[end + 1 :]).all()
    assert np.isinf(result.gap("train", learner="quadratic")[end:]).all()
    assert result.summary()["gap_quadratic_train"] is None


def test_it_arrives_and_is_copied_as_other_networks_are():
    model = lab.QuadraticNetwork(build())
    found = lab.arrive(model, TASK, lab.Descent(5000, 0.9, record="all"), 0.05)
    assert found.exit == "reached"
    assert not any(bool(value.any()) for value in model.trained.values())  # a copy descended
    assert model(TASK.test_inputs).shape == (3, 2)


class Wrong(torch.autograd.Function):
    """x² with a first derivative that is right and a second one that is not."""

    @staticmethod
    def forward(context, inputs):
        context.save_for_backward(inputs)
        return inputs.square()

    @staticmethod
    def backward(context, gradient):
        return 2 * context.saved_tensors[0].detach() * gradient


def test_a_wrong_second_derivative_is_noticed():
    class Squares(torch.nn.Module):
        def __init__(self, function):
            super().__init__()
            self.inner, self.function = torch.nn.Linear(4, 3).double(), function

        def forward(self, inputs):
            return self.function(self.inner(inputs))

    inputs, targets = draw(5, 4), draw(5, 3)
    for function, is_wrong in ((torch.square, False), (Wrong.apply, True)):
        network = lab.as_network(Squares(function))
        assert check_second_derivative(network, network.expansion(inputs), inputs).fails == is_wrong
    with pytest.warns(lab.LabWarning, match="second derivative"):
        lab.side_by_side(network, (inputs, targets), lab.Descent(2), order=2)


def test_outputs_linear_in_the_weights_have_no_second_derivative_to_check(recwarn):
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2)).double()
    for network in (module, lab.as_network(module, centred=True), build(trained=("B",))):
        assert lab.side_by_side(network, TASK, lab.Descent(2), order=2).second_derivative_check < 1e-3
    assert not [warning for warning in recwarn if isinstance(warning.message, lab.LabWarning)]


def test_the_model_is_a_network_whose_weights_start_at_zero():
    network, descent = build(), lab.Descent(10)
    beside = lab.side_by_side(network, TASK, descent, order=2)
    result = lab.side_by_side(lab.QuadraticNetwork(network), TASK, descent)
    assert relative(result.network.test, beside.quadratic.test) < EXACT
    assert result.motion.relative_weight_motion is None
    assert result.summary()["reasons"]["relative_weight_motion"] == "all trained parameters start at 0"


REFUSED = {"got 3": {"order": 3}, "in_place": {"order": 2, "in_place": True}, "'2'": {"order": "2"}}


@pytest.mark.parametrize("came", REFUSED)
def test_what_is_refused(came):
    with pytest.raises(lab.LabError, match=f"order: .*{came}"):
        lab.side_by_side(build(), TASK, lab.Descent(2), **REFUSED[came])


def test_a_network_without_an_expansion_is_named_before_it_trains(monkeypatch):
    task, network = lab.tasks.digits(), lab.GateFrozen(lab.ElmanRNN(8, 9, centred=True))
    monkeypatch.setattr("lab.together._train", lambda *_: pytest.fail("it trained"))
    for each in (network, lab.Scaled(network, 0.5)):
        with pytest.raises(lab.LabError, match="GateFrozen, which has no second-order expansion"):
            lab.side_by_side(each, task, lab.Descent(2), order=2)
