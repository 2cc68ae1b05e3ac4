"""Conditions of `lab.arrive`: against the snapshots of `lab.descend`, written out."""

import numpy as np
import pytest

import lab
from lab.measures.conditions import AfterPeak, Passage
from tests.tolerances import EXACT, relative


def path_of(network, task, descent):
    """Errors, distances in W and test outputs of every step."""
    start, rows = network.network.W.detach().clone(), []
    for snapshot in lab.descend(network, task, descent):
        moved = float((snapshot.network.network.W - start).detach().norm())
        rows.append((snapshot.loss, moved, snapshot.network(task.test_inputs).detach().numpy()))
    return [np.array(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("earliest", [1, 60])
def test_a_passage_stops_where_the_error_is_small_and_late_enough(network, task, earliest):
    descent = lab.Descent(400, 0.5, record="all")
    losses, moved, outputs = path_of(network, task, descent)
    small = np.flatnonzero(losses / losses[0] < 0.1)
    wanted = int(small[small >= earliest][0])
    watch = Passage(network, task, 2 * losses[0] / 8, 0.1, earliest, np.array([0, 3, 5, 399]))
    found = lab.arrive(network, task, descent, watch)
    assert (found.exit, found.step) == ("reached", wanted)
    assert relative(np.array(watch.motion), moved[: wanted + 1]) < EXACT
    assert relative(watch.test[:3], outputs[[0, 3, 5]]) < EXACT
    assert np.isnan(watch.test[3]).all()


def residuals(network, task, descent):
    losses = path_of(network, task, descent)[0]
    return np.sqrt(losses / losses[0]), float(losses[0])


def test_below_the_edge_the_first_passage_stops(network, task):
    descent = lab.Descent(400, 0.5, record="all")
    left, first = residuals(network, task, descent)
    watch = AfterPeak(first, 0.4, at_once=True)
    found = lab.arrive(network, task, descent, watch)
    assert (found.exit, watch.step) == ("reached", int(np.argmax(left <= 0.4)))
    before = watch.network.network.W.detach().clone()
    assert relative(before, found.network.network.W) == 0
    found.network.network.W.data.zero_()
    assert relative(watch.network.network.W, before) == 0, "what is kept is a copy"


def test_what_passes_before_a_peak_is_dropped(network, task):
    """Beyond the edge: the residual dips below the share, rises above its first value, and comes back."""
    descent = lab.Descent(300, 1.6, record="all")
    left, first = residuals(network, task, descent)
    peak = int(left.argmax())
    assert left[peak] > 1.1
    share = float(left[: peak + 1].min()) * (1 + 1e-9)
    assert (left[:peak] <= share).any()
    watch = AfterPeak(first, share, at_once=False)
    found = lab.arrive(network, task, descent, watch)
    assert found.exit == "undecided", "the whole descent is watched"
    assert watch.step == peak + int(np.argmax(left[peak:] <= share))


def test_a_descent_that_never_comes_down_keeps_nothing(network, task):
    watch = AfterPeak(residuals(network, task, lab.Descent(1))[1], 0.4, at_once=True)
    assert lab.arrive(network, task, lab.Descent(3, 0.01, record="all"), watch).exit == "undecided"
    assert (watch.step, watch.network) == (None, None)
