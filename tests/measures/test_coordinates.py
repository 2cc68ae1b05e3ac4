"""What each weight's motion adds at the last time step, against numpy and against moving one weight alone."""

import numpy as np
import pytest
import torch

import lab
from lab.errors import LabError
from lab.measures.coordinates import coordinate_changes
from tests.references import draw, plain_outputs, plain_states
from tests.tolerances import EXACT

ALL = ("W", "A", "B", "b")
BIASED = lab.Parametrization(style="ntk", sigma_b=0.5)


def pair(moved, *, readout="last", activation="tanh"):
    """A network and the same after a motion of some weights by random numbers."""
    choices = {"readout": readout, "activation": activation, "trained": ALL, "parametrization": BIASED}
    start = lab.ElmanRNN(7, 3, 2, seed=1, **choices)
    now = start.copy()
    with torch.no_grad():
        for place, name in enumerate(moved):
            weight = getattr(now, name)
            weight += 0.3 * draw(*weight.shape, seed=place)
    return start, now


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


@pytest.mark.parametrize("readout", ["last", "all", "mean"])
def test_every_number_is_the_rms_of_its_product_in_numpy(readout):
    (start, now), inputs = pair(ALL, readout=readout, activation="relu"), draw(5, 4, 3)
    (_, before), (_, after) = plain_states(start, inputs), plain_states(now, inputs)
    moved = {name: (getattr(now, name) - getattr(start, name)).detach().numpy() for name in ALL}
    scale = {name: part.multiplier for name, part in now.scales.items()}
    expected = {
        "h": rms(after[:, -1] - before[:, -1]),
        "f": rms(plain_outputs(now, inputs) - plain_outputs(start, inputs)),
        "W": scale["W"] * rms(after[:, -2] @ moved["W"].T),
        "A": scale["A"] * rms(inputs[:, -1].numpy() @ moved["A"].T),
        "B": scale["B"] * rms(after[:, -1] @ moved["B"].T),
        "b": scale["b"] * rms(moved["b"]),
    }
    assert coordinate_changes(start, now, inputs) == pytest.approx(expected, rel=EXACT)
    expected |= {"f": 3 * expected["f"], "B": 3 * expected["B"]}
    scaled = [lab.Scaled(network, 3.0, centred=False) for network in (start, now)]
    assert coordinate_changes(*scaled, inputs) == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize("name", ["A", "b", "B"])
def test_alone_and_in_one_step_it_is_the_whole_change(name):
    """h_0 = 0, so that W does nothing in one step, and what one of the others adds is Δg_1, or Δf."""
    (start, now), inputs = pair([name]), draw(5, 1, 3)
    found = coordinate_changes(start, now, inputs)
    whole = rms(plain_states(now, inputs)[0] - plain_states(start, inputs)[0]) if name != "B" else found["f"]
    assert found[name] == pytest.approx(whole, rel=EXACT)
    assert {other for other, value in found.items() if value} == ({"B", "f"} if name == "B" else {name, "h", "f"})


def test_what_is_no_pair_of_elman_networks_is_refused():
    _, now = pair(ALL)
    module = lab.as_network(torch.nn.Linear(3, 1))
    with pytest.raises(LabError, match="Elman"):
        coordinate_changes(module, module, draw(2, 3))
    with pytest.raises(LabError, match="now: got width 7, trained W"):
        coordinate_changes(lab.ElmanRNN(8, 3), now, draw(2, 4, 3))
