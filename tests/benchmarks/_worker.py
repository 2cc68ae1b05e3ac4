"""One contender in a process of its own, on cores of its own: prepares a problem, then computes when it is told to.

Called as ``python _worker.py SPEC.json``. Talks in lines of JSON: says that it is ready, reads a name, calls what has
this name, answers with seconds, those of the processor, and peak memory. Needs nothing but the standard library and
NumPy: it runs in the environments of the peers too.
"""

import contextlib
import ctypes
import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path

HEADROOM = 2**29  # an allocation fails a little before the watchdog would end the process


def status(field):
    """A memory field of /proc/self/status in bytes, or None where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":")), None)


def forget_peak():
    """Give back what is free and let the peak of memory start again from here, where the system can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak():
    """The most memory ever held since `forget_peak`."""
    return status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def limit_memory(most):
    """Let allocations fail when the process would come to hold about ``most`` bytes."""
    if status("VmSize"):
        allowed = int(status("VmSize") + max(most - status("VmRSS") - HEADROOM, HEADROOM))
        resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))


def main():
    """Prepare, then answer until the input ends."""
    spec = json.loads(Path(sys.argv[1]).read_text())
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, spec["cores"])
    say, sys.stdout = sys.stdout, sys.stderr  # libraries may print
    contender = importlib.import_module(spec["module"])
    functions = contender.prepare(spec, lambda: limit_memory(spec["memory"]))
    forget_peak()
    before = status("VmRSS") or peak()
    print(json.dumps({"ready": True}), file=say, flush=True)
    for line in sys.stdin:
        name, _, save = line.strip().partition(" ")
        start, busy = time.perf_counter(), time.process_time()
        result = functions[name]()
        seconds = {"seconds": time.perf_counter() - start, "processor": time.process_time() - busy}
        answer = {**seconds, "peak": peak() - before}
        if save:
            contender.save(save, result)
        print(json.dumps(answer), file=say, flush=True)


if __name__ == "__main__":
    main()
