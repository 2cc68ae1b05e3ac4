"""Every public function that takes numbers, with every array that people have."""

import functools

import numpy as np
import pytest
import torch

import lab
from tests.fuzz.arrays import NO_NUMBERS, NOT_FINITE, OTHER_NUMBERS, SAME_NUMBERS, X, Y
from tests.fuzz.cases import Handled, Refused, table

pytestmark = pytest.mark.filterwarnings("ignore::lab.errors.ScaleWarning")  # numbers of any size come here

DESCENT = lab.Descent(3)
NETWORK = lab.ElmanRNN(8, 3, trained=("W", "A", "B"))
LIMIT = lab.ElmanRNN(8, 3, device="meta")


class Reader(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.core = torch.nn.GRU(3, 4, batch_first=True, dtype=torch.float64)
        self.head = torch.nn.Linear(4, 1, dtype=torch.float64)

    def forward(self, inputs):
        return self.head(self.core(inputs)[0][:, -1])


MODULE = Reader()


def three(result):
    return {name: (t.train, t.loss) for name, t in result.learners.items()}


def fitted(kind, **parameters):
    return lambda X: kind(**parameters).fit(X, Y).predict(X)


@functools.cache
def ready():
    return lab.estimators.TangentKernelRegressor(penalty=0.1).fit(X, Y)


small = {"width": 4, "steps": 3}
E = lab.estimators

#: name -> (function of inputs, what a refusal calls them)
INPUTS = {
    "Task.train_inputs": (lambda X: lab.Task(X, Y).train_inputs, "train_inputs"),
    "Task.test_inputs": (lambda X_: lab.Task(X, Y, X_, Y).test_inputs, "test_inputs"),
    "SequenceTask": (lambda X: lab.SequenceTask(X, Y).train_inputs, "train_inputs"),
    "as_task": (lambda X: lab.tasks.as_task((X, Y)).train_inputs, "train_inputs"),
    "ElmanRNN.like": (lambda X: lab.ElmanRNN.like((X, Y), 4).W, "train_inputs"),
    "side_by_side": (lambda X: three(lab.side_by_side(NETWORK, (X, Y), DESCENT)), "train_inputs"),
    "side_by_side of a module": (lambda X: three(lab.side_by_side(MODULE, (X, Y), DESCENT)), "train_inputs"),
    "descend": (lambda X: [s.loss for s in lab.descend(NETWORK, (X, Y), DESCENT)], "train_inputs"),
    "empirical_ntk": (lambda X: lab.empirical_ntk(NETWORK, X), "X"),
    "empirical_ntk, second": (lambda X_: lab.empirical_ntk(NETWORK, X, X_), "X2"),
    "empirical_ntk of a module": (lambda X: lab.empirical_ntk(MODULE, X), "X"),
    "infinite_ntk": (lambda X: lab.infinite_ntk(LIMIT, X), "X"),
    "infinite_ntk, second": (lambda X_: lab.infinite_ntk(LIMIT, X, X_), "X2"),
    "infinite_nngp": (lambda X: lab.infinite_nngp(LIMIT, X), "X"),
    "RNNRegressor": (fitted(E.RNNRegressor, **small), "X"),
    "LinearizedRNNClassifier": (fitted(E.LinearizedRNNClassifier, **small), "X"),
    "TangentKernelRegressor": (fitted(E.TangentKernelRegressor, penalty=0.1), "X"),
    "TangentKernelRegressor.predict": (lambda X: ready().predict(X), "X"),
    "TangentKernel": (lambda X: E.TangentKernel()(X), "X"),
}
#: the same for what torch users call themselves: NaN goes in and out there, as everywhere in torch
FORWARD = {
    "network(X)": (lambda X: NETWORK(X), "inputs"),
    "network.jacobian": (lambda X: NETWORK.jacobian(X).gram(), "inputs"),
    "network.gates": (lambda X: NETWORK.gates(X), "inputs"),
    "Scaled": (lambda X: lab.Scaled(NETWORK, 2.0).jacobian(X).gram(), "inputs"),
    "as_network": (lambda X: lab.as_network(MODULE)(X), "inputs"),
    "as_network.jacobian": (lambda X: lab.as_network(MODULE).jacobian(X).gram(), "inputs"),
}
#: name -> (function of targets of shape (6,), their name)
TARGETS = {
    "Task.train_targets": (lambda y: lab.Task(X, y).train_targets, "train_targets"),
    "Task.test_targets": (lambda y: lab.Task(X, Y, X, y).test_targets, "test_targets"),
    "side_by_side": (lambda y: three(lab.side_by_side(NETWORK, (X, y), DESCENT)), "train_targets"),
    "descend": (lambda y: [s.loss for s in lab.descend(MODULE, (X, y), DESCENT)], "train_targets"),
    "teacher": (lambda y: lab.tasks.teacher(lambda inputs: y, 6, 0, 4, 3).train_targets, "targets"),
    "RNNRegressor": (lambda y: E.RNNRegressor(**small).fit(X, y).predict(X), "y"),
    "fit_exponent": (lambda y: fit(y), "values"),
}


def fit(values):
    """The exponent of made-up positive values; what holds no numbers goes through as it is."""
    found = lab.fit_exponent(np.arange(1, 7), values)
    return len(found.widths), found.seeds


def clean(values):
    """The contiguous float64 copy."""
    if isinstance(values, torch.Tensor):
        return values.detach().resolve_neg().double().numpy().copy()
    return np.array(values, dtype=np.float64, order="C")


#: estimators follow scikit-learn, which reads digits written as text
TEXT = np.array(X, dtype=str)


def same(function, make, base):
    return Handled(lambda: function(make(base)), lambda: function(clean(make(base))))


def is_own_business(name, kind):
    """Combinations that are no case: arguments where None means something else, or the array makes no sense."""
    return (kind == "None" and ("second" in name or ".test_" in name)) or (
        name == "fit_exponent" and kind in ("one NaN", "None inside")
    )


#: One entry for each gatekeeper that arrays pass: all kinds of arrays go through these.
GATES = {"Task.train_inputs", "empirical_ntk", "network.jacobian", "TangentKernelRegressor"}
GATES |= {"Task.train_targets", "fit_exponent", "RNNRegressor"}
#: Everything else shares a gatekeeper with one of them: a few kinds show that it is used.
FEW = {"nested lists", "tensor float32", "objects that are fractions", "int64", "None", "complex", "words", "one NaN"}


def kinds(entries, name):
    """The kinds of arrays that go through an entry."""
    return {kind: made for kind, made in entries.items() if name in GATES or kind in FEW}


CASES = {}
for entries, base in ((INPUTS | FORWARD, X), (TARGETS, Y)):
    role = "targets" if base is Y else "inputs"
    for name, (function, argument) in entries.items():
        for kind, make in kinds(SAME_NUMBERS | OTHER_NUMBERS, name).items():
            CASES[f"{role} of {name}: {kind}"] = same(function, make, base)
        for kind, (make, says) in kinds(NO_NUMBERS, name).items():
            if not is_own_business(name, kind):
                CASES[f"{role} of {name}: {kind}"] = Refused(
                    functools.partial(lambda f, m, b: f(m(b)), function, make, base), argument, says
                )
        for kind, make in kinds(NOT_FINITE, name).items():
            if name not in (*FORWARD, "fit_exponent"):
                CASES[f"{role} of {name}: {kind}"] = Refused(
                    functools.partial(lambda f, m, b: f(m(b)), function, make, base), argument
                )
for name, (function, argument) in (INPUTS | FORWARD).items():
    if hasattr(E, name.split(".")[0]) and name != "TangentKernel":
        CASES[f"{name}: digits as text"] = Handled(functools.partial(function, TEXT), functools.partial(function, X))
    else:
        CASES[f"{name}: digits as text"] = Refused(functools.partial(function, TEXT), argument)


@table(CASES)
def test_arrays(case):
    case.check()
