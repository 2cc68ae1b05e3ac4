import json

import numpy as np
import pytest
import torch
from torch import nn

import lab
from comparisons.cli.command import main
from tests.references import draw

MODULE = """
import torch
from torch import nn

class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(5, 2)

    def forward(self, inputs):
        return self.inner(inputs), inputs

def build():
    return nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Linear(32, 2))

def first(result):
    return result[0]

def wants(width):
    return nn.Linear(5, width)

number = 3
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a user's module, two state dicts, and probes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "their_models.py").write_text(MODULE)
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Linear(32, 2))
    torch.save(module.state_dict(), "start.pt")
    with torch.no_grad():
        for value in module.parameters():
            value.add_(0.3 * draw(*value.shape, dtype=torch.float32))
    torch.save({"state_dict": module.state_dict()}, "now.pt")
    np.savez("probes.npz", inputs=draw(20, 5).numpy(), targets=np.arange(20) % 2)
    return tmp_path


FILES = ("start.pt", "now.pt", "--probe", "probes.npz")


def test_two_checkpoints_in_files_are_diagnosed_as_in_python(place, capsys):
    assert main(["diagnose", "their_models:build", *FILES, "--loss", "cross_entropy", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    modules = []
    for name in ("start.pt", "now.pt"):
        module = nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Linear(32, 2))
        state = torch.load(name, weights_only=True)
        module.load_state_dict(state.get("state_dict", state))
        modules.append(module)
    watch = lab.diagnose(*modules, draw(20, 5), torch.arange(20) % 2, loss="cross_entropy")
    assert found["regime"] == watch.regime
    assert found["verdict"] == watch.verdict()
    for name in ("nonlinearity", "kernel_distance", "gate_flips", "probe_loss"):
        assert found["numbers"][name] == pytest.approx(float(watch.table[name].iloc[0]), rel=1e-6)
    assert main(["diagnose", "their_models:build", *FILES, "--loss", "cross_entropy"]) == 0
    assert watch.verdict() in capsys.readouterr().out


def test_a_function_takes_outputs_out_of_what_a_module_returns(place, capsys):
    torch.save({f"inner.{name}": value for name, value in nn.Linear(5, 2).state_dict().items()}, "start.pt")
    torch.save({f"inner.{name}": 2 * value for name, value in nn.Linear(5, 2).state_dict().items()}, "now.pt")
    flags = ["--loss", "cross_entropy", "--outputs", "their_models:first"]
    assert main(["diagnose", "their_models:Pair", *FILES, *flags]) == 0
    assert "nonlinearity" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["their_models", *FILES], "target: got their_models; allowed: package.module:name"),
        (["nowhere:build", *FILES], "cannot be imported"),
        (["their_models:number", *FILES], "which is int"),
        (["their_models:wants", *FILES], "which fails (wants() missing"),
        (["their_models:first", *FILES], "which fails"),
        (["their_models:Pair", *FILES], "does not fit"),
        (["their_models:build", "none.pt", *FILES[1:]], "start: got none.pt"),
        (["their_models:build", "probes.npz", *FILES[1:]], "a file of tensors alone"),
        (["their_models:build", "start.pt", "now.pt", "--probe", "start.pt"], "inputs, and maybe targets"),
        (["their_models:build", *FILES], "for class indices pass --loss cross_entropy"),
        (["their_models:build", *FILES, "--loss", "hinge"], "loss: got 'hinge'"),
    ],
)
def test_what_cannot_be_diagnosed_is_refused_in_one_line(place, capsys, arguments, said):
    assert main(["diagnose", *arguments]) == 2
    assert said in capsys.readouterr().err.replace("\n", " ")


def test_code_in_a_checkpoint_is_not_run(place, capsys):
    class Harm:
        def __reduce__(self):
            return (open, ("harmed", "w"))

    torch.save(Harm(), "now.pt")
    assert main(["diagnose", "their_models:build", *FILES, "--loss", "cross_entropy"]) == 2
    assert not (place / "harmed").exists()
