"""What results show of themselves: one line as text, a small table in Jupyter; every cited name resolves."""

import base64
import re
from pathlib import Path

import numpy as np
import pytest

import lab
from lab.html import Facts
from lab.sweeps.store import Results

pytestmark = pytest.mark.filterwarnings("ignore::lab.errors.ScaleWarning")


@pytest.fixture(scope="module")
def results():
    """One of each kind of result, by name."""
    import pandas as pd

    task = lab.tasks.digits(train=12, test=8)
    network = lab.ElmanRNN.like(task, 16)
    together = lab.side_by_side(network, task, lab.Descent(steps=5))
    linear = lab.KernelRegressor.at(network, task)
    table = pd.DataFrame({"width": [8, 16], "seed": [0, 0], "gap": [0.2, 0.1]})
    cells = ({"width": 8, "seed": 0}, {"width": 16, "seed": 0})
    return {
        "task": task,
        "side by side": together,
        "trajectory": together.network,
        "motion": together.motion,
        "regressor": linear,
        "spectrum": linear.spectrum,
        "exponent": lab.fit_exponent([8, 16, 32], np.array([[4.0, 2.0, 1.0]] * 3)),
        "arrival": lab.arrive(network, task, lab.Descent(5), 1e-9),
        "equal error": lab.at_equal_error(network, task, 0.5),
        "ensemble": lab.ensemble(lambda seed: lab.ElmanRNN.like(task, 8, seed=seed), task, lab.Descent(2), seeds=2),
        "sweep": Results(table, cells, lambda cell: {}),
    }


NAMES = (
    *("task", "side by side", "trajectory", "motion", "regressor", "spectrum", "exponent", "arrival", "equal error"),
    *("ensemble", "sweep"),
)


@pytest.mark.parametrize("name", NAMES)
def test_every_result_is_one_line_and_a_table(results, name):
    found = results[name]
    assert isinstance(found, Facts)
    page = found._repr_html_()
    assert page.count("<table>") == page.count("</table>") == 1
    assert page.count("<tr>") > (0 if name == "sweep" else 2)
    assert "None" not in page
    if name not in ("motion", "exponent"):  # small dataclasses: their fields are the line
        assert "\n" not in repr(found)
        assert len(repr(found)) < 200


def test_numbers_of_the_table_are_those_of_the_result(results):
    page, found = results["trajectory"]._repr_html_(), results["trajectory"]
    assert f"{found.loss[0]:.4g}" in page
    assert "<td>12 × 1</td>" in page
    assert "<th>width</th><td>8, 16</td>" in results["sweep"]._repr_html_()
    assert "seed" not in results["sweep"]._repr_html_()


def test_names_of_the_user_cannot_write_the_page():
    task = lab.Task(np.ones((2, 1)), np.ones(2), name="<script>")
    assert "<script>" not in task._repr_html_()


ROOT = Path(__file__).parents[1]
ADAPTERS = {".watch.lightning", ".watch.transformers"}  # need these libraries; `.ci/slow adapters` tests them


def test_what_the_pages_cite_resolves_after_import_lab():
    pages = ("README.md", "comparisons/README.md", "lab/README.md", "tests/benchmarks/README.md")
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in pages)
    names = sorted(set(re.findall(r"`lab((?:\.[A-Za-z_]+)+)", text)))
    assert len(names) > 5
    for name in names:
        if name in ADAPTERS:
            assert (ROOT / f"lab{name.replace('.', '/')}.py").is_file()
            continue
        found = lab
        for part in name.strip(".").split("."):
            found = getattr(found, part)


def test_figures_show_themselves(results):
    from lab.figures.architecture import architecture_figure

    for figure in (results["side by side"].plot(), architecture_figure(length=3)):
        data, _ = figure._repr_mimebundle_()
        assert base64.b64decode(data["image/png"])[:8] == b"\x89PNG\r\n\x1a\n"
