"""The notebooks: percent scripts in ``notebooks/*.py`` are the source, ``*.ipynb`` the same cells with their outputs.

    python -m tests.notebooks.machinery            execute all, and keep what comes out
    python -m tests.notebooks.machinery 02 04      only those whose names begin so
    python -m tests.notebooks.machinery --dry 02   write nothing, but say how what is printed differs from what is kept;
                                                   --fast does so with small sizes

Sizes stand in the cell with the tag "parameters"; fast mode appends those of ``small.py`` to it, as papermill does. One
command keeps, from one state of the code, the ``.ipynb`` with its outputs at full size, and in ``kept/`` the text that
fast mode printed and the tables that the verdicts in the notebook were made from. The tests run fast mode again and
compare the text, and make the verdicts again from their tables.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import re
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from PIL import Image

from tests.notebooks.compare import differences
from tests.notebooks.small import SMALL

FOLDER = Path(__file__).parents[2] / "notebooks"
KEPT = Path(__file__).parent / "kept"
SCRIPTS = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
_WIDGET = "application/vnd.jupyter.widget-view+json"
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_CPU = "import time as _time\nprint(_time.process_time())"
_RUNS = """
import json as _json
import comparisons as _comparisons
from lab.sweeps.cells import plain as _plain
_values = [value for name, value in list(globals().items()) if name[0] != "_"]
_values = [each for value in _values for each in (value.values() if isinstance(value, dict) else [value])]
_runs = {id(each): each for each in _values if isinstance(each, _comparisons.Run)}.values()
print(_json.dumps([_plain({"comparison": run.store.manifest["comparison"], "version": run.store.manifest["version"],
                           "table": run.table.to_dict("list")}) for run in _runs]))
"""


def read(script, *, fast=False):
    """The notebook of a percent script, without outputs; its cells are numbered, so that equal sources are equal."""
    notebook = jupytext.read(script)
    for place, cell in enumerate(notebook.cells):
        cell.id = f"cell-{place}"
    if fast and (sizes := SMALL.get(script.stem)):
        (cell,) = (cell for cell in notebook.cells if "parameters" in tags(cell))
        cell.source += "".join(f"\n{name} = {value!r}" for name, value in sizes.items())
    return notebook


def tags(cell):
    """The tags of a cell: "parameters" for sizes, "varies" where what is printed depends on the machine."""
    return cell.metadata.get("tags", [])


def execute(notebook, *, more=()):
    """Run a notebook in a kernel of its own on one thread, and cells with the sources ``more`` after it.

    Outputs are put into its cells. Returned are the CPU seconds of the kernel, and the cells of ``more``.
    """
    extra = [nbformat.v4.new_code_cell(source, id=f"more-{i}") for i, source in enumerate([*more, _CPU])]
    whole = nbformat.v4.new_notebook(metadata=notebook.metadata, cells=[*notebook.cells, *extra])
    environment = {**os.environ, **_ONE_THREAD, "TQDM_DISABLE": "1"}  # bars of a slow day are no output
    environment.pop("PYTHONWARNINGS", None)  # what warns here warns a reader, too
    client = NotebookClient(
        whole, timeout=600, kernel_name="python3", record_timing=False, store_widget_state=False,
        resources={"metadata": {"path": str(FOLDER)}},
    )  # fmt: skip
    client.execute(env=environment)
    return float(whole.cells[-1].outputs[0].text), whole.cells[len(notebook.cells) : -1]


def stream(cells, name):
    """What the cells wrote to "stdout" or "stderr"."""
    return "".join(output.text for cell in cells for output in cell.get("outputs", []) if output.get("name") == name)


def printed(cell):
    """The text that a code cell shows: what it printed, Markdown, and the plain text of everything but pictures."""
    parts = []
    for output in cell.outputs:
        data = output.get("data", {})
        if output.get("name") == "stdout":
            parts.append(output.text)
        elif data and _WIDGET not in data and not any(kind.startswith("image/") for kind in data):
            parts.append(data.get("text/markdown") or data.get("text/plain", ""))
    return "\n".join(parts).strip()


def report(notebook):
    """The text of all cells that does not depend on the machine, each under its number."""
    chosen = [(i, cell) for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    texts = [(i, printed(cell)) for i, cell in chosen if "varies" not in tags(cell)]
    return "\n\n".join(f"[{i}]\n{text}" for i, text in texts if text) + "\n"


def solutions(notebook):
    """Sources of the Python blocks inside folded solutions, in order."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    folded = re.findall(r"<details>(.*?)</details>", text, re.DOTALL)
    return [block for part in folded for block in re.findall(r"```python\n(.*?)```", part, re.DOTALL)]


def keep(notebook, path):
    """Write the notebook with what a page can show of its outputs; a slider needs a running kernel and is left out."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if _WIDGET not in output.get("data", {})]
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = _small(output.data["image/png"])
                width = output.metadata["image/png"]["width"]  # where the book looks for it
                cell.metadata["mystnb"] = {"image": {"width": f"{width}px"}}
    notebook.metadata.pop("widgets", None)
    notebook.metadata.pop("language_info", None)  # holds the version of Python
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


def _small(encoded):
    """A png with a palette of 256 colours: a third of the size."""
    small = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    return base64.b64encode(small.getvalue()).decode("ascii")


def regenerate(script):
    """Execute at full size and in fast mode, and keep notebook, tables and text; returns the CPU seconds of both."""
    notebook, small = read(script), read(script, fast=True)
    seconds, (runs,) = execute(notebook, more=[_RUNS])
    fast, _ = execute(small)
    KEPT.mkdir(exist_ok=True)
    keep(notebook, script.with_suffix(".ipynb"))
    (KEPT / f"{script.stem}.txt").write_text(report(small), encoding="utf-8")
    if found := json.loads(runs.outputs[0].text):
        lines = ",\n".join(json.dumps(run) for run in found)
        (KEPT / f"{script.stem}.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    return seconds, fast


def check(script, *, fast):
    """Execute, and print the words and numbers that differ from what is kept; returns the CPU seconds."""
    notebook = read(script, fast=fast)
    seconds, _ = execute(notebook)
    if fast:
        kept = (KEPT / f"{script.stem}.txt").read_text(encoding="utf-8")
    else:
        kept = report(nbformat.read(script.with_suffix(".ipynb"), 4))
    for old, new in differences(kept, report(notebook)):
        print(f"{script.stem}: kept is {old!r}, now {new!r}")
    return (seconds,)


def main():
    """Execute notebooks, one after another."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", help="beginnings of names; all notebooks without any")
    parser.add_argument("--fast", action="store_true", help="small sizes; nothing is written")
    parser.add_argument("--dry", action="store_true", help="write nothing")
    asked = parser.parse_args()
    for script in SCRIPTS:
        if asked.names and not script.name.startswith(tuple(asked.names)):
            continue
        start = time.perf_counter()
        seconds = check(script, fast=asked.fast) if asked.fast or asked.dry else regenerate(script)
        spent = " and ".join(f"{each:.1f}" for each in seconds)
        print(f"{script.stem}: {spent} s CPU, {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
