"""The check of a GPU, at small sizes on the processor: ``python -m tests.benchmarks.gpu`` has the card."""

import json

import numpy as np
import pytest
import torch

from tests.benchmarks import _parity, gpu

SMALL = ["--device", "cpu", "--widths", "16", "--ladder", "16", "--minutes", "1"]


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(gpu, "TURN", 0.005)
    monkeypatch.setattr(gpu, "STEPS", 8)
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    yield
    products.allow_tf32, convolutions.allow_tf32 = before


def test_the_whole_check_runs_on_the_processor(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu, "KINDS", {"Elman": gpu.KINDS["Elman"]})
    cases = ["scaled", "in place", "arrive", "watch"]
    assert gpu.main([*SMALL, "--cases", *cases, "--out", str(tmp_path / "summary.json")]) == 0
    found = json.loads((tmp_path / "summary.json").read_text())
    assert [row["case"] for row in found["parity"]] == cases
    assert all(0 < row["float32"] < 2e-4 and row["float64"] == 0 for row in found["parity"])
    assert found["steps"][0]["flops"] == 2 * 48 * 16**2 * (15 + 14 + 15)  # products with W, forward and backward
    assert found["steps"][0]["step"] > 0
    assert found["ladder"][0]["width"] == 16
    assert "failures  none" in capsys.readouterr().out


def test_what_is_wrong_is_a_failure(monkeypatch):
    other = lambda device, dtype: {"mse": np.array([1.0 + 1e-3 * (dtype == torch.float32)])}  # noqa: E731
    monkeypatch.setattr(_parity, "CASES", {"arrive": other, "watch": lambda *_: 1 / 0})
    monkeypatch.setattr(gpu, "KINDS", {})
    monkeypatch.setattr(gpu, "SIZES", {"cpu": {"square": 64}})
    assert gpu.main(["--device", "cpu", "--cases", "arrive", "watch", "--widths", "--ladder"]) == 1


def test_a_width_that_takes_too_long_is_left_out():
    (row,) = gpu.ladder([16], "cpu", end=-1.0)
    assert "it would take about" in row["left_out"]


@pytest.mark.parametrize(
    ("found", "reference", "expected"),
    [
        ([1.0, 2.2], [1.0, 2.0], 0.1),
        ([np.nan], [1.0], np.inf),
        ([1.0], [1.0, 2.0], np.inf),
        (None, 3, np.inf),
        (4, 4, 0),
    ],
)
def test_differences(found, reference, expected):
    assert _parity.difference(found, reference) == pytest.approx(expected)
