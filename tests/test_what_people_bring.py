"""Situations from public bug reports of this field, each with the right value. Files are in tests/data."""

import re
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import lab
from lab.errors import LabError, LabWarning, ScaleWarning
from tests.networks.kinds import plain_kernel
from tests.references import draw
from tests.tolerances import EXACT, relative

IDS = torch.tensor([[301, 303], [305, 301], [303, 303]])
X, Y = draw(12, 6), draw(12, 1, seed=1)


class Tok(nn.Module):
    """An embedding that casts its ids itself, as many do."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head = nn.Embedding(400, 4), nn.Linear(8, 1)

    def forward(self, ids):
        return self.head(torch.tanh(self.embed(ids.long())).flatten(1))


# --- integers (rows 8 and 9) ---


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: x.int(), lambda x: x.numpy(), lambda x: x.tolist()])
def test_token_ids_stay_integers_whatever_the_precision(dtype, wrap):
    module = Tok().to(dtype)
    network = lab.as_network(module)
    assert torch.equal(network(wrap(IDS)), module(IDS))
    pulled = network.jacobian(wrap(IDS)).pull(torch.ones(3, 1))["embed.weight"]
    assert pulled.any(1).nonzero().flatten().tolist() == [301, 303, 305]


def test_an_embedding_is_trained_side_by_side():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Embedding(7, 3), nn.Flatten(), nn.Linear(6, 1)).double()
    ids = torch.tensor([[0, 1], [2, 3], [4, 5], [6, 6]])
    assert relative(lab.empirical_ntk(module, ids), plain_kernel(module, ids)) < EXACT
    task = lab.Task(ids, [[1.0], [-1.0], [1.0], [-1.0]], ids.numpy()[:2], [1, -1])
    assert task.train_inputs.dtype == task.test_inputs.dtype == torch.int64
    result = lab.side_by_side(module, task, lab.Descent(50))
    assert result.disagreement() < 1e-9
    assert result.network.loss[-1] < 0.1 * result.network.loss[0]


def test_integers_that_a_module_does_not_take_are_numbers():
    module, values = nn.Linear(3, 2).double(), np.arange(12).reshape(4, 3)
    expected = lab.empirical_ntk(module, values.astype(float))
    for each in (values, torch.from_numpy(values), values.tolist(), torch.from_numpy(values).to(torch.uint8)):
        assert torch.equal(lab.empirical_ntk(module, each), expected)
    network = lab.ElmanRNN(8, 3)
    sequences = torch.from_numpy(values.reshape(2, 2, 3))
    assert torch.equal(lab.empirical_ntk(network, sequences), lab.empirical_ntk(network, sequences.double()))


def test_a_task_of_two_types_of_inputs_has_numbers_in_both():
    task = lab.Task(np.eye(3, dtype=int), np.ones(3), np.full((2, 3), 0.5), np.ones(2))
    assert task.train_inputs.dtype == task.test_inputs.dtype == torch.float64


def test_ids_that_a_precision_does_not_hold_are_named():
    with pytest.warns(LabWarning, match="whole numbers up to 305 were rounded to torch.bfloat16"):
        lab.as_network(Tok().bfloat16())(IDS.double())
    with warnings.catch_warnings():
        warnings.simplefilter("error", LabWarning)
        lab.as_network(Tok().bfloat16())((IDS - 100).double())  # bfloat16 holds integers up to 256


def test_floats_for_an_embedding_are_refused_with_the_fix():
    module = nn.Sequential(nn.Embedding(7, 3), nn.Flatten(), nn.Linear(6, 1)).double()
    with pytest.raises(LabError, match=r"float64 inputs of shape .* Fix: pass token ids as integers"):
        lab.empirical_ntk(module, torch.ones(2, 2, dtype=torch.float64))
    with pytest.raises(LabError, match=r"int64 inputs of shape .*index out of range"):
        lab.empirical_ntk(module, torch.full((2, 2), 7))


# --- modules that hide from torch.func (row 13) ---


def scripted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(nn.Linear(3, 2))


class Counting(nn.Module):
    """Writes a buffer in every pass."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, inputs):
        self.calls += 1
        return self.layer(inputs)


class Growing(nn.Module):
    """Writes a parameter in every pass."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, inputs):
        with torch.no_grad():
            self.layer.weight.mul_(1.01)
        return self.layer(inputs)


class Hidden(nn.Module):
    """Computes with its own parameter through a function that holds it."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        weight = self.layer.weight
        self.apply_weight = lambda inputs: inputs @ weight.T

    def forward(self, inputs):
        return self.apply_weight(inputs)


class SelfHolding(nn.Module):
    """A lambda that holds the module: its deep copy computes with the original's weights."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.function = lambda inputs: self.layer(inputs)

    def forward(self, inputs):
        return self.function(inputs)


class Unregistered(nn.Module):
    """Layers in a plain list, which torch does not find."""

    def __init__(self):
        super().__init__()
        self.head, self.layers = nn.Linear(3, 2), [nn.Linear(3, 3)]

    def forward(self, inputs):
        return self.head(self.layers[0](inputs))


class Locked(nn.Linear):
    """Holds what Python cannot copy."""

    def __init__(self):
        super().__init__(3, 2)
        self.values = (value for value in range(3))


REFUSED = {
    "DataParallel": (lambda: nn.DataParallel(nn.Linear(3, 2)), r"DataParallel in parallel.*pass its \.module"),
    "DataParallel inside": (lambda: nn.Sequential(nn.DataParallel(nn.Linear(3, 2))), r"DataParallel \(0\) in parallel"),
    "scripted": (scripted, "compiled by torch.jit.*the module it was made from"),
    "torch.compile": (lambda: torch.compile(nn.Linear(3, 2)), r"compiled by torch.compile.*pass its \._orig_mod"),
    "renormed embedding": (lambda: nn.Embedding(3, 2, max_norm=1.0), "with max_norm.*without max_norm"),
    "scaled gradients": (lambda: nn.Embedding(3, 2, scale_grad_by_freq=True), "is not the derivative"),
    "writes a buffer": (Counting, "forward pass writes calls"),
    "writes a parameter": (Growing, "forward pass writes layer.weight"),
    "hidden parameter": (Hidden, "through an object in which they cannot be replaced"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_modules_that_cannot_be_differentiated_are_refused_and_left_alone(name):
    make, message = REFUSED[name]
    module = make().double()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    for entry in (lambda: lab.empirical_ntk(module, draw(4, 3)), lambda: lab.as_network(module)(draw(4, 3))):
        with pytest.raises(LabError, match=re.compile(f"network: got.*{message}", re.S)):
            entry()
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_a_copy_that_computes_with_the_original_is_refused():
    module = SelfHolding().double()
    assert relative(lab.empirical_ntk(module, draw(4, 3)), plain_kernel(module, draw(4, 3))) < EXACT
    with pytest.raises(LabError, match="deep copy still computes with weights of the original"):
        lab.side_by_side(module, (draw(4, 3), np.ones((4, 2))), lab.Descent(3))


def test_a_module_that_cannot_be_copied_is_refused_where_a_copy_is_needed():
    module = Locked().double()
    assert relative(lab.empirical_ntk(module, draw(4, 3)), plain_kernel(module, draw(4, 3))) < EXACT
    with pytest.raises(LabError, match=r"cannot be copied .*keep generators, locks"):
        lab.side_by_side(module, (draw(4, 3), np.ones((4, 2))), lab.Descent(3))


def test_parameters_that_are_not_registered_are_named():
    module = Unregistered().double()
    module.layers[0].double()
    with pytest.warns(LabWarning, match=r"2 tensors that require gradients but are not registered \(shapes"):
        lab.empirical_ntk(module, draw(4, 3))


def test_complex_outputs_are_refused_with_the_fix():
    class Transform(nn.Linear):
        def forward(self, inputs):
            return torch.fft.fft(super().forward(inputs))

    with pytest.raises(LabError, match=r"outputs of type torch.complex128.*view_as_real"):
        lab.empirical_ntk(Transform(3, 2).double(), draw(4, 3))


# --- scales (rows 7 and 12) ---


def images(scale):
    """Digits as pictures with one channel, 0…16 times a scale, and a CNN for them."""
    from sklearn.datasets import load_digits

    pictures, labels = load_digits(return_X_y=True)
    rows = np.flatnonzero(np.isin(labels, (3, 8)))[:24]
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 1)
    )
    with torch.no_grad():
        for value in module.parameters():
            value.mul_(3.0)  # about He's scale, at which deep ReLU networks keep the size of their inputs
    return module.double(), (scale * pictures[rows].reshape(-1, 1, 8, 8), lab.tasks.class_targets(labels[rows]))


@pytest.mark.parametrize(("scale", "outputs"), [(1.0, False), (255 / 16, True)], ids=["0 to 16", "0 to 255"])
def test_raw_pixels_are_named(scale, outputs):
    module, task = images(scale)
    with pytest.warns(ScaleWarning) as found:
        result = lab.side_by_side(module, task, lab.Descent(3))
    (warning,) = (each for each in found if issubclass(each.category, ScaleWarning))
    text = str(warning.message)
    assert ("the initial outputs" in text) == ("centred=True" in text) == outputs
    assert "the inputs are far from unit scale" in text
    assert "standardise" in text
    start = result.linearized.train[0]
    share = (start**2).sum() / ((start - task[1]) ** 2).sum()
    assert result.summary()["f0_share"] == pytest.approx(share)


def test_standardised_and_centred_data_raise_no_warning():
    module, (pictures, targets) = images(1 / 16)
    centred = lab.Scaled(lab.as_network(module), 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", LabWarning)
        result = lab.side_by_side(centred, (pictures, targets), lab.Descent(3))
    assert result.summary()["f0_share"] == 0


def test_tiny_inputs_and_large_outputs_are_named_each_on_its_own():
    with pytest.warns(ScaleWarning, match="^the inputs are far from unit scale"):
        lab.side_by_side(nn.Linear(6, 1).double(), (1e-4 * X, Y), lab.Descent(3))
    torch.manual_seed(0)
    large = nn.Linear(6, 1).double()
    with torch.no_grad():
        large.weight.mul_(100)
    with pytest.warns(ScaleWarning, match=r"^the initial outputs \(RMS .*larger than the targets[^;]*; centre[^;]*$"):
        lab.side_by_side(large, (X, Y), lab.Descent(3))


OPTIMIZERS = {
    "Adam": (lambda p: torch.optim.Adam(p, lr=1e-3), True),
    "AdamW": (lambda p: torch.optim.AdamW(p, lr=1e-3), True),
    "RMSprop": (lambda p: torch.optim.RMSprop(p, lr=1e-3), True),
    "Adagrad": (lambda p: torch.optim.Adagrad(p, lr=1e-3), True),
    "Rprop": (lambda p: torch.optim.Rprop(p, lr=1e-3), True),
    "SGD": (lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.5), False),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_output_scale_with_steps_that_do_not_depend_on_it_is_named(name):
    factory, adaptive = OPTIMIZERS[name]
    network, descent = lab.Scaled(lab.as_network(nn.Linear(6, 1).double()), 10.0), lab.Descent(3, optimizer=factory)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        lab.side_by_side(network, (X, Y), descent)
        lab.side_by_side(lab.Scaled(network.network, 1.0), (X, Y), descent)
    texts = [str(each.message) for each in found if "output scale α = 10" in str(each.message)]
    assert len(texts) == adaptive


# --- classes (row 15) ---


def test_class_indices_for_several_outputs_are_named_with_the_helper():
    module, labels = nn.Linear(6, 3).double(), np.arange(12) % 3
    with pytest.raises(LabError, match=r"class indices up to 2 in one column.*lab\.tasks\.class_targets\(labels\)"):
        lab.side_by_side(module, (X, labels), lab.Descent(3))
    targets = lab.tasks.class_targets(labels)
    assert np.array_equal(targets, 2.0 * np.eye(3)[labels] - 1)
    assert lab.side_by_side(module, (X, targets), lab.Descent(3)).network.train.shape[2] == 3
    with pytest.raises(LabError, match="outputs of shape"):  # numbers that are no indices
        lab.side_by_side(module, (X, Y), lab.Descent(3))


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([0, 1, 3], [0, 1], r"label .*3.*one of 0, 1.*np\.unique"),
        ([1, 1], None, "two or more different classes"),
        ([[0], [1]], None, r"shape \(2, 1\)"),
        ([], None, r"shape \(0,\)"),
        ([0, 1], [0, 0], "two or more different classes"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels, classes, message):
    with pytest.raises(LabError, match=message):
        lab.tasks.class_targets(labels, classes)


def test_classes_keep_their_columns_in_a_test_split():
    labels = torch.tensor([2, 0, 1, 2])
    assert np.array_equal(lab.tasks.class_targets(labels[:1], [0, 1, 2]), lab.tasks.class_targets(labels)[:1])


# --- progress (row 16) ---


def test_bars_appear_when_work_takes_long_and_not_when_told_otherwise(monkeypatch, capsys):
    monkeypatch.setattr("lab.progress.PATIENCE", 0.0)
    network, task, descent = lab.ElmanRNN(8, 3), (draw(4, 5, 3), np.ones((4, 1))), lab.Descent(30)
    module, long = nn.Linear(6, 1).double(), lab.Descent(30, momentum=0.5)
    calls = {
        "network": lambda **o: lab.side_by_side(network, task, descent, **o),
        "linearized network": lambda **o: lab.side_by_side(network, task, descent, **o),
        "tangent kernel": lambda **o: lab.empirical_ntk(network, task[0], **o),
        "blocks of a module": lambda **o: lab.empirical_ntk(module, X, **o),
        "descend": lambda **o: list(lab.descend(network, task, descent, **o)),
        "arrive": lambda **o: lab.arrive(network, task, descent, 1e-12, **o),
        "momentum": lambda **o: lab.side_by_side(network, task, long, **o),
        "infinite width": lambda **o: lab.infinite_ntk(network, task[0], **o),
    }
    words = {
        "blocks of a module": "tangent kernel",
        "descend": "network",
        "arrive": "network",
        "momentum": "kernel regressor",
    }
    for name, call in calls.items():
        call()
        assert words.get(name, name) in capsys.readouterr().err, name
        call(progress=False)
        assert not capsys.readouterr().err, name


def test_workers_are_quiet(monkeypatch, capsys, tmp_path):
    from lab.sweeps import Store, worker

    monkeypatch.setattr("lab.progress.PATIENCE", 0.0)

    def measure(cell):
        lab.empirical_ntk(lab.ElmanRNN(8, 3), draw(4, 5, 3))
        return {"value": 1}, {}

    store, cells = Store(tmp_path), ({"number": 1},)
    store.claim("toy", 1, {}, (), cells)
    group = worker.Group(measure, store, 1, "cpu", cells, skip_begun=False)
    assert worker.measure_group(group)[1][0].error is None
    assert not capsys.readouterr().err
