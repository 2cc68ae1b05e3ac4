"""Threads follow the size of the products, never above the caller's number, which always comes back."""

import numpy as np
import pytest
import torch

import lab
from comparisons.runs.options import prepare_process
from lab import threads


@pytest.fixture
def two_threads():
    """The caller's own setting in these tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def task():
    return lab.tasks.digits(train=12, test=8)


class Counting(torch.nn.Module):
    """A linear network that notes on how many threads it runs."""

    def __init__(self, inputs):
        super().__init__()
        self.layer, self.seen = torch.nn.Linear(inputs, 1, dtype=torch.float64), None

    def forward(self, inputs):
        SEEN.append(torch.get_num_threads())
        return self.layer(inputs)


SEEN = []


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("worth", "expected"), [(1e12, 1), (1e-3, 2)])
def test_steps_take_as_many_threads_as_their_products_are_worth(monkeypatch, worth, expected):
    monkeypatch.setattr(threads, "_WORTH", worth)
    X, y = np.random.default_rng(0).normal(size=(6, 3)), np.ones(6)
    path = lab.descend(Counting(3), (X, y), lab.Descent(4, learning_rate=0.01, record=(0, 4)))
    next(path)
    SEEN.clear()
    next(path)
    assert set(SEEN) == {expected}
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_the_callers_number_comes_back_between_steps_and_after_errors(monkeypatch, task):
    monkeypatch.setattr(threads, "_WORTH", 1e12)
    for _ in lab.descend(lab.ElmanRNN.like(task, 8), task, lab.Descent(3)):
        assert torch.get_num_threads() == 2
    with pytest.raises(RuntimeError, match="on 1"), threads.limited(0):
        raise RuntimeError(f"on {torch.get_num_threads()}")
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("flops", "at_most", "expected"), [(0, 4, 1), (1e7, 4, 1), (2e7, 4, 2), (1e12, 4, 4), (1e12, 1, 1)]
)
def test_one_thread_for_each_ten_million_flops(flops, at_most, expected):
    assert threads.worthwhile(flops, at_most) == expected


@pytest.mark.usefixtures("two_threads")
def test_a_serial_run_leaves_the_process_as_it_was():
    import threadpoolctl

    pools = {each["filepath"]: each["num_threads"] for each in threadpoolctl.threadpool_info()}
    undo = prepare_process(1, "cpu")
    assert torch.get_num_threads() == 1
    undo()
    assert torch.get_num_threads() == 2
    after = {each["filepath"]: each["num_threads"] for each in threadpoolctl.threadpool_info()}
    assert {path: after[path] for path in pools} == pools
