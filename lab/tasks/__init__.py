"""What is learnt: tasks made here, tasks made of anyone's arrays."""

from lab.tasks.digits import digits
from lab.tasks.sequences import pairs, separable, teacher
from lab.tasks.task import SequenceTask, Task, as_task

__all__ = ["SequenceTask", "Task", "as_task", "digits", "pairs", "separable", "teacher"]
