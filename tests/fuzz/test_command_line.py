"""Every wrong command line: refused in words, status 2, and nothing left behind."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from comparisons.cli.command import main
from comparisons.runs.registry import names
from tests.fuzz.cases import COUNTS


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


class Harm:
    def __reduce__(self):
        return (open, ("harmed", "w"))


def outside():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("../../harmed.npy", b"x")
    return buffer.getvalue()


ROWS = "\n".join(f"{k % 2},{k},{k * k % 7},1.5" for k in range(30))
#: name -> bytes of a file that is no task
FILES = {
    "empty.csv": b"",
    "text.csv": b"hello\nworld\n",
    "ragged.csv": b"label,a,b\n1,2\n1,2,3,4\n",
    "missing.csv": b"label,a,b\n1,2,\n2,3,4\n",
    "words.csv": b"label,a,b\n1,x,y\n2,z,w\n",
    "one_class.csv": b"1,2,3\n1,4,5\n1,6,7\n1,8,9\n",
    "infinite.csv": b"1,inf,3\n2,4,5\n",
    "binary.csv": bytes(range(256)),
    "empty.npz": b"",
    "text.npz": b"hello",
    "objects.npz": npz(X=np.array([Harm()], dtype=object), y=np.ones(1)),
    "no_y.npz": npz(X=np.ones((6, 3))),
    "unknown.npz": npz(data=np.ones((6, 3))),
    "flat.npz": npz(X=np.ones(6), y=np.ones(6)),
    "unpaired.npz": npz(X=np.ones((6, 3)), y=np.ones(5)),
    "nan.npz": npz(X=np.full((6, 3), np.nan), y=np.arange(6)),
    "complex.npz": npz(X=np.ones((6, 3)) * 1j, y=np.arange(6)),
    "outside.npz": outside(),
    "pickle.pkl": b"cos\nsystem\n(S'touch harmed'\ntR.",
    "series.xlsx": b"PK",
    "series.ts": b"@problemName x\n@data\n1,2,3",
    "no_suffix": ROWS.encode(),
}
TOML = {
    "broken.toml": "widths = [",
    "unknown.toml": "depth = 3",
    "type.toml": 'widths = "wide"',
    "bool.toml": "seeds = true",
    "float.toml": "seeds = 2.5",
    "nested.toml": "[widths]\na = 1",
    "option.toml": 'out = "here"',
}
FLAGS = [
    ["--widths", "0"],
    ["--widths", "-4"],
    ["--widths", "8", "8"],
    ["--widths", "eight"],
    ["--widths", "1e3"],
    ["--widths"],
    ["--width", "8"],
    ["--seeds", "0"],
    ["--seeds", "1.5"],
    ["--seeds", "nan"],
    ["--steps", "0"],
    ["--steps", "-1"],
    ["--critical-fraction", "0"],
    ["--critical-fraction", "-0.5"],
    ["--critical-fraction", "nan"],
    ["--critical-fraction", "inf"],
    ["--critical-fraction", "half"],
    ["--data-seed", "-1"],
    ["--data-seed", "99999999999999999999"],
    ["--dtype", "float16"],
    ["--dtype", "double"],
    ["--activation", "swish"],
    ["--activation", "softplus"],
    ["--parametrization", "mup"],
    ["--trained", "Q"],
    ["--trained", "W", "W"],
    ["--readouts", "first"],
    ["--readouts", "last", "last"],
    ["--network", "transformer"],
    ["--network", "gru", "--trained", "A"],
    ["--network", "lstm", "--activation", "erf"],
    ["--network", "mlp", "--readouts", "mean"],
    ["--task", "digit"],
    ["--task", ""],
    ["--task", "/nowhere/series.csv"],
    ["--task", "."],
    ["--samples", "1"],
    ["--samples", "1000000"],
    ["--preset", "quick"],
    ["--executor", "threads"],
    ["--workers", "0"],
    ["--workers", "-2"],
    ["--threads", "0"],
    ["--device", "tpu"],
    ["--device", "cuda:x"],
    ["--shard", "0/3"],
    ["--shard", "4/3"],
    ["--shard", "a/b"],
    ["--shard", "1"],
    ["--out", ""],
    ["--config", ""],
    ["--config", "nowhere.toml"],
    ["--scheduler", "tcp://host:1", "--workers", "2"],
    ["--unknown", "1"],
    ["--dry_run", "maybe"],
    ["extra"],
]
COMMANDS = [
    [],
    ["train"],
    ["run"],
    ["run", "--preset", "fast"],
    ["run", "widths"],
    ["run", ""],
    ["run", "../width"],
    ["run", "width.py"],
    ["run", "_shape"],
    ["run", "all", "--widths", "8"],
    ["run", "all", "--config", "some.toml"],
    ["show"],
    ["show", "nowhere"],
    ["show", "file.txt"],
    ["show", "empty"],
    ["show", "empty", "--style", "baroque"],
    ["show", "broken"],
    ["show", "other"],
    ["status"],
    ["status", "nowhere"],
    ["status", "empty"],
    ["status", "broken"],
    ["report"],
    ["report", "nowhere"],
    ["report", "empty"],
    ["report", "broken"],
    ["report", "other"],
    ["report", "empty", "--out", "nowhere/page.html"],
    ["report", "empty", "--out", ""],
    ["list", "width"],
    ["--versions"],
]
CASES = {f"width {' '.join(map(repr, flags))}": ["run", "width", *flags] for flags in FLAGS}
CASES |= {f"task {name}": ["run", "width", "--task", name] for name in FILES}
CASES |= {f"config {name}": ["run", "width", "--config", name] for name in TOML}
CASES |= {" ".join(map(repr, command)) or "nothing": command for command in COMMANDS}
CASES |= {f"{name}: an unknown setting": ["run", name, "--colour", "blue"] for name in names()}
CASES |= {f"{name}: no seeds": ["run", name, "--seeds", "0"] for name in names()}
CASES |= {f"{name}: an unknown preset": ["run", name, "--preset", "quick"] for name in names()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with bad files, an empty directory, a directory whose manifest is broken, and one of another tool."""
    place = tmp_path_factory.mktemp("bad")
    for name, content in FILES.items():
        (place / name).write_bytes(content)
    for name, content in TOML.items():
        (place / name).write_text(content)
    (place / "file.txt").write_text("no directory")
    for name, manifest in {"empty": None, "broken": "{", "other": json.dumps({"comparison": "../x"})}.items():
        (place / name).mkdir()
        if manifest is not None:
            (place / name / "settings.json").write_text(manifest)
    return place


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_in_words(name, folder, monkeypatch, capfd):
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    assert main(CASES[name]) == 2
    said = capfd.readouterr()
    assert said.err.strip() or said.out.strip()
    assert "Traceback" not in said.err + said.out
    assert sorted(folder.rglob("*")) == before
    assert not Path("harmed").exists()
    COUNTS["command lines"] += 1


def test_there_are_many():
    assert len(CASES) > 150
