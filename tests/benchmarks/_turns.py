"""Contenders in processes of their own, with limits of time and memory, told in turns to compute."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from queue import Empty, Queue

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
NO_MEMORY = ("allocate memory", "out of memory", "resource_exhausted", "bad_alloc", "memoryerror")


def limits(threads):
    """Environment variables that hold numerical libraries to so many threads."""
    eigen = "true" if threads > 1 else "false"
    return {
        **{f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "MKL", "OPENBLAS")},
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={eigen} intra_op_parallelism_threads={threads}",
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


class Failed(Exception):
    """Why a contender gave no answer: "over time", "over memory", or its own last words."""


class Contender:
    """A process that computes one thing by one method whenever it is told to, with a thread for each of its cores.

    Parameters
    ----------
    python
        The interpreter of its environment.
    spec
        What `_worker` reads: module, cores, memory (bytes), and what the module wants to know besides.
    limit
        Seconds for getting ready, and for each call.
    """

    def __init__(self, python, spec, limit):
        self.limit, self.memory = limit, spec["memory"]
        self.folder = tempfile.TemporaryDirectory()
        path, self.errors = Path(self.folder.name) / "spec.json", Path(self.folder.name) / "errors"
        path.write_text(json.dumps(spec))
        environment = {**os.environ, **limits(len(spec["cores"])), "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [str(python), str(HERE / "_worker.py"), str(path)],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors.open("w"), text=True,
        )  # fmt: skip
        self.lines = Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self):
        try:
            self._answer()
        except Failed:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def call(self, name="kernel", save=""):
        """Seconds and peak memory in bytes of one computation, whose result may be saved."""
        try:
            self.process.stdin.write(f"{name} {save}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failed(self._last_words()) from None
        return self._answer()

    def _listen(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def _answer(self):
        end = time.monotonic() + self.limit
        while time.monotonic() < end:
            try:
                line = self.lines.get(timeout=0.05)
            except Empty:
                if self._resident() > self.memory:
                    raise Failed("over memory") from None
                continue
            if line is None:
                raise Failed(self._last_words())
            return json.loads(line)
        raise Failed("over time")

    def _resident(self):
        try:
            lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)

    def _last_words(self):
        words = self.errors.read_text().strip()
        if any(sign in words.lower() for sign in NO_MEMORY) or self.process.wait() == -9:
            return "over memory"
        lines = [line for line in words.splitlines() if not line.startswith(("For simplicity, JAX", "I0000"))]
        return (lines or ["no answer"])[-1][:120]


def interpreter(name, folder):
    """The Python of an environment for these packages, made in ``folder`` where it is not there yet."""
    home = Path(folder) / name
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    finished = home / "finished"
    if not finished.exists():
        print(f"making an environment for {name}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES[name]], check=True)
        if name in SHARING:
            _share_packages(python)
        finished.touch()
    return python


PACKAGES = {
    "neural_tangents": ["neural-tangents==0.6.5", "jax==0.4.30", "jaxlib==0.4.30", "numpy<2", "scipy<1.13"],
    "jax_scan": ["jax==0.10.2", "jaxlib==0.10.2"],
    "nngeometry": ["--no-deps", "nngeometry==0.4"],
}
SHARING = ("nngeometry",)  # peers that run on the same torch as we do


def _share_packages(python):
    """Let an environment also see the packages of the one that runs this."""
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    theirs = subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    ours = [path for path in sys.path if path.endswith("site-packages")]
    (Path(theirs) / "shared.pth").write_text("\n".join(ours) + "\n")
