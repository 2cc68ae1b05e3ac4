"""A callback for Lightning that watches whether the training is lazy; needs ``pip install lazylab[lightning]``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from lab.errors import check_integer, refuse
from lab.losses import Loss, LossFunction
from lab.watch.following import Follower, numbers
from lab.watch.probe import Row
from lab.watch.twin import Readout
from lab.watch.watch import Watch


class WatchCallback(Callback):  # type: ignore[misc]  # Lightning need not be installed where types are checked
    """Makes a `lab.Watch` when training starts, looks every few steps or epochs, and logs what it sees.

    ::

        watching = WatchCallback(X[:64], y[:64], loss="cross_entropy", every_n_steps=50)
        Trainer(callbacks=[watching]).fit(model, loader)
        print(watching.watch.verdict())

    The columns of a look are logged by ``pl_module.log_dict`` as ``watch/nonlinearity`` and so on, except empty ones.
    Loggers draw only the steps that the trainer logs, so take a multiple of its ``log_every_n_steps``. One more look
    at the end of training is in the table alone. Learning rate and momentum come from a plain `torch.optim.SGD`; for
    other optimizers there is no ``critical_fraction``.

    In distributed training the first process looks, at the module without its wrappers. Strategies that shard the
    weights (FSDP, DeepSpeed) are not supported.

    Parameters
    ----------
    probe_inputs, probe_targets, outputs, loss
        As for `lab.Watch`. A watch calls ``forward``, not ``training_step``.
    every_n_steps
        Optimizer steps between looks.
    every_n_epochs
        Epochs between looks, in the place of steps.
    module
        A function from the LightningModule to the part of it to watch, such as ``lambda model: model.backbone``; the
        whole of it if not given.

    Attributes
    ----------
    watch
        The `lab.Watch` of the last fit; None before. Its steps are the trainer's, counted from the start of that fit.
        A resumed training starts at the weights of the checkpoint.

    Raises
    ------
    LabError
        Numbers of steps or epochs below 1, or both; when training starts, what `lab.Watch` refuses.

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
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        outputs: Readout | None = None,
        loss: str | Loss | LossFunction | None = None,
        module: Callable[[Any], torch.nn.Module] | None = None,
    ) -> None:
        super().__init__()
        if every_n_steps is not None and every_n_epochs is not None:
            refuse("every_n_steps", "steps and epochs", "one of them", "leave one of the two out")
        steps = 100 if every_n_steps is None and every_n_epochs is None else every_n_steps
        for name, value in (("every_n_steps", steps), ("every_n_epochs", every_n_epochs)):
            if value is not None:
                check_integer(name, value, 1)
        self._steps, self._epochs, self._module = steps, every_n_epochs, module
        self._follower = Follower(probe_inputs, probe_targets, outputs, loss)

    @property
    def watch(self) -> Watch | None:
        """The watch of the last fit; None before."""
        return self._follower.watch

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the watch, at the weights that training starts from."""
        if trainer.is_global_zero:
            self._follower.begin(pl_module if self._module is None else self._module(pl_module), trainer.global_step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Look, if the trainer has just made a step at which it is time."""
        if self._steps is not None and trainer.global_step % self._steps == 0 and (row := self._look(trainer)):
            pl_module.log_dict(_named(row), on_step=True, on_epoch=False, rank_zero_only=True)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look, if it is time after this epoch."""
        is_time = self._epochs is not None and (trainer.current_epoch + 1) % self._epochs == 0
        if is_time and (row := self._look(trainer)):
            pl_module.log_dict(_named(row), on_step=False, on_epoch=True, rank_zero_only=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at where training ended."""
        self._look(trainer)

    def _look(self, trainer: Trainer) -> Row | None:
        return self._follower.look(trainer.global_step, trainer.optimizers) if trainer.is_global_zero else None


def _named(row: Row) -> dict[str, float]:
    return {f"watch/{name}": value for name, value in numbers(row).items()}
