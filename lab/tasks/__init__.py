"""What is learnt: tasks made here, tasks made of anyone's arrays or files, real series."""

from lab.tasks import models
from lab.tasks.classes import class_targets
from lab.tasks.curve import curve
from lab.tasks.digits import digits
from lab.tasks.files import archive, from_file
from lab.tasks.neuron import neuron_of_sequence
from lab.tasks.sequences import pairs, separable, single_index, teacher
from lab.tasks.series import templates
from lab.tasks.task import SequenceTask, Task, as_task

__all__ = [
    "SequenceTask",
    "Task",
    "archive",
    "as_task",
    "class_targets",
    "curve",
    "digits",
    "from_file",
    "models",
    "neuron_of_sequence",
    "pairs",
    "separable",
    "single_index",
    "teacher",
    "templates",
]
