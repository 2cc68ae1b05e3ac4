"""How results show themselves: in one line, as a table, and in Jupyter."""

import base64

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter

import lab
from lab.figures import style

TASK = lab.tasks.digits(train=12, test=8)
RESULT = lab.side_by_side(lab.ElmanRNN.like(TASK, 16, centred=True), TASK, lab.Descent(5))


def test_each_is_one_line():
    assert repr(TASK) == "SequenceTask('digits 3/8', 12 training and 8 test samples, inputs (8, 9), targets (1,))"
    assert repr(lab.Task(np.ones((3, 2)), np.ones(3))) == (
        "Task('task', 3 training samples, inputs (2,), targets (1,))"
    )
    for shown in (RESULT, RESULT.network):
        assert "\n" not in repr(shown)
    assert "6 recorded steps from 0 to 5, 12 training samples, 8 for testing" in repr(RESULT.network)


def test_a_trajectory_is_a_tidy_table():
    table, outputs = RESULT.network.to_frame(), RESULT.network
    assert len(table) == outputs.train.size + outputs.test.size
    row = table[(table["split"] == "test") & (table["step"] == 3) & (table["sample"] == 5)]
    assert row["value"].item() == outputs.test[3, 5, 0]
    assert row["loss"].item() == outputs.loss[3]


@pytest.mark.parametrize("figure", [RESULT.plot(), style.panels(2)[0]])
def test_jupyter_shows_figures(figure):
    data, _ = DisplayFormatter().format(figure)
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")


def test_jupyter_shows_the_numbers_of_a_result():
    data, _ = DisplayFormatter().format(RESULT)
    gap = RESULT.gap("test").max()
    assert "digits 3/8, width 16, 5 steps" in data["text/html"]
    assert f"{gap:.4g}" in data["text/html"]
    assert "gap_initial_test" in data["text/html"]


def test_what_the_readme_names_is_there_after_import_lab():
    assert {"costs", "measures", "figures"} <= set(dir(lab))
    assert lab.costs.Cost
    assert lab.measures.hitting.kernel_time
    assert lab.figures.architecture
