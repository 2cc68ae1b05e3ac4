"""A callback for the Trainer of Hugging Face that watches whether the training is lazy; needs
``pip install lazylab[transformers]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.utils import extract_model_from_parallel
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from lab.errors import check_integer
from lab.losses import Loss, LossFunction
from lab.watch.following import Follower
from lab.watch.twin import Readout
from lab.watch.watch import Watch


def logits(result: Any) -> Tensor:
    """The ``logits`` of a ``ModelOutput``."""
    return result.logits  # type: ignore[no-any-return]


class WatchCallback(TrainerCallback):  # type: ignore[misc]  # transformers need not be installed where types are checked
    """Makes a `lab.Watch` when training starts, and looks every few steps and at the end.

    ::

        watching = WatchCallback(token_ids[:64], labels[:64], loss="cross_entropy", every_n_steps=50)
        Trainer(model, arguments, train_dataset=data, callbacks=[watching]).train()
        print(watching.watch.verdict())

    Learning rate and momentum come from a plain `torch.optim.SGD`; for other optimizers there is no
    ``critical_fraction``. Under mixed precision the probes are evaluated in the precision of the weights.

    In distributed training the first process looks, at the model without its wrappers. Weights in shards (FSDP,
    DeepSpeed) are not supported.

    Parameters
    ----------
    probe_inputs
        Token ids (n, length) of one length, without padding, or whatever the model takes as its first argument.
    probe_targets, loss
        As for `lab.Watch`.
    outputs
        As for `lab.Watch`; the logits if not given. Of a language model take one position, such as
        ``lambda result: result.logits[:, -1]``.
    every_n_steps
        Optimizer steps between looks.
    report
        Called with the watch after each look, as by ``lambda watch: add_look(writer, watch)`` of
        `lab.watch.tensorboard`.

    Attributes
    ----------
    watch
        The `lab.Watch` of the last training; None before. Its steps are the trainer's, counted from the start of that
        training. A resumed training starts at the weights of the checkpoint.

    Raises
    ------
    LabError
        A number of steps below 1; when training starts, what `lab.Watch` refuses.

    Warns
    -----
    LabWarning
        If a look is refused later on, as at weights that are not finite; training goes on without further looks.
    """

    def __init__(
        self,
        probe_inputs: Any,
        probe_targets: Any = None,
        *,
        every_n_steps: int = 100,
        outputs: Readout | None = logits,
        loss: str | Loss | LossFunction | None = None,
        report: Callable[[Watch], object] | None = None,
    ) -> None:
        check_integer("every_n_steps", every_n_steps, 1)
        self._steps, self._report = every_n_steps, report
        self._follower = Follower(probe_inputs, probe_targets, outputs, loss)

    @property
    def watch(self) -> Watch | None:
        """The watch of the last training; None before."""
        return self._follower.watch

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        """Make the watch, at the weights that training starts from."""
        if state.is_world_process_zero:
            module = extract_model_from_parallel(more["model"], keep_torch_compile=False)
            with _in_its_own_precision(module):
                self._follower.begin(module, state.global_step)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Look, if it is time."""
        if state.global_step % self._steps == 0:
            self._look(state, more)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Look at where training ended."""
        self._look(state, more)

    def _look(self, state: TrainerState, more: dict[str, Any]) -> None:
        optimizer = more.get("optimizer")
        optimizer = getattr(optimizer, "optimizer", optimizer)  # accelerate's wrapper holds it
        row = self._follower.look(state.global_step, [optimizer] if optimizer is not None else [])
        if row is not None and self._report is not None and self.watch is not None:
            self._report(self.watch)


@contextmanager
def _in_its_own_precision(module: torch.nn.Module) -> Iterator[None]:
    """Take away, for a moment, the forward pass under autocast that accelerate gives to one object.

    It is a function around the original's weights, so that a copy of the module would compute with those.
    """
    own = vars(module)
    wrapped = own.pop("forward", None) if "_original_forward" in own else None
    try:
        yield
    finally:
        if wrapped is not None:
            own["forward"] = wrapped
