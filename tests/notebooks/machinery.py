"""The notebooks: percent scripts in ``notebooks/*.py`` are the source, ``*.ipynb`` the same cells with their outputs.

    python -m tests.notebooks.machinery            execute all, and write the .ipynb files with their outputs
    python -m tests.notebooks.machinery 02 04      only those whose names begin so
    python -m tests.notebooks.machinery --dry 02   execute and report, but write nothing; --fast in the fast mode

A slider needs a running kernel, so its output is not kept: the panels above it are.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

from lab.figures.notebook import FAST

FOLDER = Path(__file__).parents[2] / "notebooks"
SCRIPTS = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
_WIDGET = "application/vnd.jupyter.widget-view+json"
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_CPU = "import time as _time\nprint(_time.process_time())"


def read(script):
    """The notebook of a percent script, without outputs; its cells are numbered, so that equal sources are equal."""
    notebook = jupytext.read(script)
    for place, cell in enumerate(notebook.cells):
        cell.id = f"cell-{place}"
    return notebook


def execute(notebook, *, fast, more=()):
    """Run a notebook in a kernel of its own on one thread, and cells with the sources ``more`` after it.

    Outputs are put into its cells; the CPU seconds of the kernel are returned.
    """
    extra = [nbformat.v4.new_code_cell(source, id=f"more-{i}") for i, source in enumerate([*more, _CPU])]
    whole = nbformat.v4.new_notebook(metadata=notebook.metadata, cells=[*notebook.cells, *extra])
    quiet = {"PYTHONWARNINGS": "ignore", "TQDM_DISABLE": "1"}  # bars of a slow day are no output
    environment = {**os.environ, **_ONE_THREAD, FAST: "1" if fast else "0", **quiet}
    client = NotebookClient(
        whole, timeout=600, kernel_name="python3", record_timing=False, store_widget_state=False,
        resources={"metadata": {"path": str(FOLDER)}},
    )  # fmt: skip
    client.execute(env=environment)
    return float(whole.cells[-1].outputs[0].text)


def solutions(notebook):
    """Sources of the Python blocks inside folded solutions, in order."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    folded = re.findall(r"<details>(.*?)</details>", text, re.DOTALL)
    return [block for part in folded for block in re.findall(r"```python\n(.*?)```", part, re.DOTALL)]


def keep(notebook, path):
    """Write the notebook with what a page can show of its outputs."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if _WIDGET not in output.get("data", {})]
    notebook.metadata.pop("widgets", None)
    notebook.metadata.pop("language_info", None)  # holds the version of Python
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


def main():
    """Execute notebooks, one after another."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", help="beginnings of names; all notebooks without any")
    parser.add_argument("--fast", action="store_true", help="small widths, few steps; nothing is written")
    parser.add_argument("--dry", action="store_true", help="write nothing")
    asked = parser.parse_args()
    for script in SCRIPTS:
        if asked.names and not script.name.startswith(tuple(asked.names)):
            continue
        notebook, start = read(script), time.perf_counter()
        seconds = execute(notebook, fast=asked.fast)
        print(f"{script.stem}: {seconds:.1f} s CPU, {time.perf_counter() - start:.1f} s", flush=True)
        if not (asked.fast or asked.dry):
            keep(notebook, script.with_suffix(".ipynb"))


if __name__ == "__main__":
    main()
