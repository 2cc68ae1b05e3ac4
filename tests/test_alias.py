"""``import lazylab`` and ``import lab`` are one library."""

import subprocess
import sys

PROGRAM = """
import lazylab, lab
from lazylab import ElmanRNN
from lazylab.tasks.task import Task
import lazylab.measures.hitting
import lab.tasks.task
assert lazylab is lab
assert Task is lab.tasks.task.Task and ElmanRNN is lab.ElmanRNN
assert lazylab.measures.hitting is lab.measures.hitting
assert lab.tasks.task.__spec__.name == "lab.tasks.task" == lab.tasks.task.__name__
try:
    import lazylab.nothing
except ModuleNotFoundError as error:
    assert "lab.nothing" in str(error)
else:
    raise AssertionError("a module that does not exist was imported")
"""


def test_the_alias_is_the_library(tmp_path):
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
