"""What adapters share, without any training library."""

import pytest
import torch
from torch import nn

import lab
from lab.errors import LabError, LabWarning
from lab.watch.following import Follower, numbers, plain_rate
from lab.watch.tensorboard import add_look
from tests.references import draw


def perceptron(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1)).double()


def sgd(*groups, **options):
    return torch.optim.SGD(list(groups) or perceptron().parameters(), lr=0.1, **options)


def group(**options):
    return {"params": [nn.Parameter(torch.zeros(2))], **options}


class Sign(torch.optim.SGD):
    """A kind of SGD whose edge nothing is known of."""


@pytest.mark.parametrize(
    ("optimizers", "found"),
    [
        ([sgd()], (0.1, 0.0)),
        ([sgd(momentum=0.9, weight_decay=1e-4)], (0.1, 0.9)),
        ([sgd(group(), group(weight_decay=0.1))], (0.1, 0.0)),
        ([sgd(group(), group(lr=0.2))], (None, 0.0)),
        ([sgd(momentum=0.9, nesterov=True)], (None, 0.0)),
        ([sgd(momentum=0.9, dampening=0.5)], (None, 0.0)),
        ([sgd(group(lr=0.0))], (None, 0.0)),
        ([Sign(perceptron().parameters(), lr=0.1)], (None, 0.0)),
        ([torch.optim.Adam(perceptron().parameters())], (None, 0.0)),
        ([sgd(), sgd()], (None, 0.0)),
        ([], (None, 0.0)),
    ],
)
def test_only_plain_sgd_has_a_rate(optimizers, found):
    assert plain_rate(optimizers) == found


def test_a_loop_is_followed_from_the_step_that_it_begins_at():
    module, optimizer = perceptron(), sgd()
    follower = Follower(draw(8, 5), draw(8, 1), None, None)
    assert follower.look(3, [optimizer]) is None  # nothing has begun
    follower.begin(module, 1000)
    with torch.no_grad():
        module[0].weight.mul_(1.01)
    assert follower.look(1000, [optimizer]) is None
    assert follower.look(1010, [optimizer])["step"] == 10
    assert follower.look(1010, [optimizer]) is None
    assert follower.watch.table["critical_fraction"].notna().all()


def test_a_watch_that_can_look_no_more_ends_nobodys_training():
    module = perceptron()
    follower = Follower(draw(8, 5), None, None, None)
    follower.begin(module, 0)
    follower.look(1, [])
    with torch.no_grad():
        module[0].weight.fill_(float("nan"))
    with pytest.warns(LabWarning, match=r"looks no more, after step 1: .*not finite"):
        assert follower.look(2, []) is None
    assert follower.look(3, []) is None  # and says so once
    assert follower.watch.table["step"].tolist() == [1]


class Writer:
    def __init__(self):
        self.scalars, self.texts = {}, {}

    def add_scalar(self, name, value, step):
        self.scalars[name, step] = value

    def add_text(self, name, value, step):
        self.texts[name, step] = value


def test_a_writer_gets_the_columns_that_have_a_value():
    module, writer = perceptron(), Writer()
    watch = lab.Watch(module, draw(8, 5), draw(8, 1))
    with pytest.raises(LabError, match=r"watch: got a watch without looks"):
        add_look(writer, watch)
    row = watch.look(7)  # nothing has moved: the nonlinearity is NaN
    add_look(writer, watch)
    assert ("watch/nonlinearity", 7) not in writer.scalars
    assert ("watch/critical_fraction", 7) not in writer.scalars
    assert writer.scalars["watch/probe_loss", 7] == row["probe_loss"]
    assert writer.texts == {("watch/verdict", 7): watch.verdict()}
    assert len(writer.scalars) == len(numbers(row)) > 8
    add_look(writer, watch, step=2007, prefix="lazy")
    assert writer.scalars["lazy/probe_loss", 2007] == row["probe_loss"]
