"""Every comparison makes its tensors on the device of its network, never on torch's default one by accident.

Networks are built on torch's default device, which ``--device cuda`` sets. Here the default device is "meta", whose
tensors have no values, while comparisons are given the processor as the default: a tensor that is made without a device
has no values then, and the measurement fails.
"""

import numpy as np
import pytest
import torch

from comparisons.kit.settings import with_values
from comparisons.runs.registry import find, names
from tests.comparisons.small import SMALL

pytestmark = pytest.mark.filterwarnings("ignore::lab.errors.ScaleWarning")  # as a run does


FIELDS = ("part", "notion", "learner", "arm", "batch", "network", "model", "readout")


@pytest.fixture
def elsewhere(monkeypatch):
    """A default device that holds no values, which nothing should use."""
    monkeypatch.setattr(torch, "get_default_device", lambda: torch.device("cpu"))
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)


def kinds(name):
    """One small cell of each kind: of each class, part, notion, learner, arm, batch, network, model and readout."""
    module = find(name)
    found = {}
    for cell in module.cells(with_values(module.PRESETS["fast"], SMALL[name], "")):
        parts = [vars(cell).get(field) for field in FIELDS]
        found.setdefault((type(cell), *parts), cell)
    return list(found.values())


CELLS = [(name, place) for name in names() for place in range(len(kinds(name)))]


@pytest.mark.parametrize(("name", "place"), CELLS)
def test_a_cell_does_not_depend_on_the_default_device(name, place, elsewhere):
    module, cell = find(name), kinds(name)[place]
    row, arrays = module.measure(cell)
    torch.set_default_device(None)
    wanted, others = module.measure(cell)
    assert row == wanted or {k: v for k, v in row.items() if v == v} == {k: v for k, v in wanted.items() if v == v}
    assert all(np.array_equal(arrays[key], others[key], equal_nan=others[key].dtype.kind == "f") for key in others)
