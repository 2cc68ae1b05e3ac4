"""What importing and using the library loads, and that ``import lazylab`` and ``import lab`` are one library.

All in one process that loaded nothing before, since torch takes seconds to load.
"""

import subprocess
import sys

PROGRAM = """
import sys
import lazylab, lab

lab.Watch
import lab.watch.tensorboard
training = {"lightning", "pytorch_lightning", "transformers", "accelerate", "tensorboard"}
assert not training & set(sys.modules), training & set(sys.modules)

import torch
torch.set_num_threads(2)
task = lab.tasks.digits(train=12, test=8)
module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(72, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
lab.side_by_side(module, task, lab.Descent(3))
assert "torch._dynamo" not in sys.modules, "counting products loads torch's compiler, which takes a second or two"

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


def test_nothing_needless_is_loaded_and_the_alias_is_the_library(tmp_path):
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
