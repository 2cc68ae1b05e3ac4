"""Callbacks with the real libraries, which `.ci/slow adapters` installs; where one is missing its tests are skipped."""

import logging
import warnings

import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional

import lab
from lab.errors import LabError, LabWarning
from lab.watch.tensorboard import add_look
from tests.references import draw
from tests.tolerances import EXACT

STEPS, BATCH, RATE = 12, 8, 0.05
X = draw(48, 5, dtype=torch.float32)
LABELS = (X[:, 0] > 0).long() + (X[:, 1] > 0).long()
TOKENS = torch.randint(0, 50, (48, 6), generator=torch.Generator().manual_seed(0))
KINDS = (TOKENS[:, 0] > 25).long()


@pytest.fixture(autouse=True)
def _quiet():
    """Warnings of the libraries about workers, versions and the like are theirs; the lab's stay errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", LabWarning)
        yield


def equal(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def same(watch, other):
    """Two tables agree but for times."""
    left, right = (each.table.drop(columns="seconds") for each in (watch, other))
    pd.testing.assert_frame_equal(left, right, rtol=EXACT, atol=0)


# Lightning


@pytest.fixture
def lightning():
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    return pytest.importorskip("lightning.pytorch")


@pytest.fixture
def module_of(lightning):
    """A function that builds a LightningModule, and a trainer that has fitted it with callbacks."""

    class Classifier(lightning.LightningModule):
        def __init__(self, dropout, optimizer):
            super().__init__()
            self.net = nn.Sequential(
                nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 3)
            )
            self.made = optimizer

        def forward(self, inputs):
            return self.net(inputs)

        def training_step(self, batch, index):
            loss = functional.cross_entropy(self(batch[0]), batch[1])
            self.log("loss", loss)
            return loss

        def configure_optimizers(self):
            return self.made(self.parameters())

    def fit(*callbacks, dropout=0.2, optimizer=torch.optim.Adam, shuffle=True, path=None, **options):
        lightning.seed_everything(0, verbose=False)
        module = Classifier(dropout, optimizer)
        data = torch.utils.data.TensorDataset(X, LABELS)
        loader = torch.utils.data.DataLoader(data, BATCH, shuffle=shuffle)
        options = {"max_epochs": 2, "logger": False, "enable_checkpointing": False, **options}
        bars = {"enable_progress_bar": False, "enable_model_summary": False}
        trainer = lightning.Trainer(accelerator="cpu", devices=1, callbacks=list(callbacks), **bars, **options)
        trainer.fit(module, loader, ckpt_path=path)
        return module, trainer

    return fit


def lightning_callback(**options):
    from lab.watch.lightning import WatchCallback

    return WatchCallback(X[:32], LABELS[:32], loss="cross_entropy", **options)


def plain_sgd(parameters):
    return torch.optim.SGD(parameters, RATE, momentum=0.9)


@pytest.mark.parametrize("options", [{}, {"precision": "bf16-mixed"}, {"strategy": "ddp"}], ids=str)
def test_lightning_trains_with_the_callback_as_without_to_the_bit(module_of, options):
    states = []
    callback = lightning_callback(every_n_steps=4)
    for callbacks in ((), (callback,)):
        module, trainer = module_of(*callbacks, **options)
        states.append(({**module.state_dict(), "rng": torch.random.get_rng_state()}, trainer.callback_metrics["loss"]))
        assert not any(part._forward_hooks for part in module.modules())
    (plain, loss), (watched, other) = states
    equal(plain, watched)
    assert torch.equal(loss, other)
    assert callback.watch.table["step"].tolist() == [4, 8, 12]
    assert callback.watch.table["critical_fraction"].isna().all()


def test_lightning_rows_are_those_of_a_loop_by_hand(module_of, lightning):
    callback = lightning_callback(every_n_steps=5)
    options = {"dropout": 0.0, "optimizer": plain_sgd, "shuffle": False}
    module, trainer = module_of(callback, **options)
    start, _ = module_of(max_epochs=0, **options)
    start.train()
    optimizer = plain_sgd(start.parameters())
    watch = lab.Watch(start, X[:32], LABELS[:32], loss="cross_entropy")
    for step in range(1, STEPS + 1):
        rows = slice(BATCH * ((step - 1) % 6), BATCH * ((step - 1) % 6) + BATCH)
        optimizer.zero_grad()
        functional.cross_entropy(start(X[rows]), LABELS[rows]).backward()
        optimizer.step()
        if step in (5, 10, 12):
            watch.look(step, RATE, momentum=0.9)
    equal(module.state_dict(), start.state_dict())
    same(callback.watch, watch)
    assert callback.watch.table["critical_fraction"].notna().all()
    logged = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("watch/")}
    row = callback.watch.table.iloc[1]  # the look after the last step is not logged
    assert set(logged) == {f"watch/{name}" for name in row.dropna().index} - {"watch/step"}
    assert logged == pytest.approx({name: row[name.removeprefix("watch/")] for name in logged}, rel=1e-6)


def test_lightning_looks_after_epochs_at_the_part_asked_for(module_of):
    callback = lightning_callback(every_n_epochs=2, module=lambda model: model.net)
    _, trainer = module_of(callback, max_epochs=5)
    assert callback.watch.table["step"].tolist() == [12, 24, 30]
    assert "0.weight" in callback.watch.parameters
    assert trainer.callback_metrics["watch/kernel_distance"] > 0


def test_lightning_counts_optimizer_steps(module_of):
    callback = lightning_callback(every_n_steps=2)
    module_of(callback, accumulate_grad_batches=3)
    assert callback.watch.table["step"].tolist() == [2, 4]


def test_lightning_is_followed_from_a_checkpoint(module_of, tmp_path):
    module, trainer = module_of(lightning_callback())
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    callback = lightning_callback(every_n_epochs=1)
    again, _ = module_of(callback, max_epochs=4, path=tmp_path / "model.ckpt")
    assert callback.watch.table["step"].tolist() == [6, 12]
    moved = sum((a - b).square().sum() for a, b in zip(again.parameters(), module.parameters(), strict=True)).sqrt()
    assert callback.watch.table["weight_motion"].iloc[-1] == pytest.approx(float(moved), rel=1e-6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"every_n_steps": 0}, "every_n_steps: got 0"),
        ({"every_n_epochs": 0}, "every_n_epochs: got 0"),
        ({"every_n_steps": 1, "every_n_epochs": 1}, "steps and epochs"),
    ],
)
def test_lightning_refuses_what_it_cannot_count(lightning, options, said):
    with pytest.raises(LabError, match=said):
        lightning_callback(**options)


# Hugging Face


@pytest.fixture
def transformers(monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")  # which a training with bf16 leaves behind
    found = pytest.importorskip("transformers")
    found.logging.set_verbosity_error()
    return found


@pytest.fixture
def trained(transformers, tmp_path):
    """A function that trains a small BERT in the order of the data, and returns it with its trainer."""

    class InOrder(transformers.Trainer):
        def get_train_dataloader(self):
            loader = torch.utils.data.DataLoader(self.train_dataset, BATCH, collate_fn=self.data_collator)
            return self.accelerator.prepare(loader)

    def train(*callbacks, dropout=0.1, steps=STEPS, optimizer=None, **options):
        transformers.set_seed(0)
        sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
        chances = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
        config = transformers.BertConfig(vocab_size=50, max_position_embeddings=8, num_labels=2, **sizes, **chances)
        model = transformers.BertForSequenceClassification(config)
        still = {"report_to": [], "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True}
        arguments = transformers.TrainingArguments(
            str(tmp_path),
            max_steps=max(steps, 1),
            learning_rate=1e-2,
            use_cpu=True,
            max_grad_norm=0.0,
            **still,
            **options,
        )
        rows = [{"input_ids": ids, "labels": label} for ids, label in zip(TOKENS, KINDS, strict=True)]
        optimizers = (None, None)
        if optimizer is not None:
            made = optimizer(model.parameters())
            optimizers = (made, torch.optim.lr_scheduler.ConstantLR(made, 1.0))
        trainer = InOrder(model, arguments, train_dataset=rows, callbacks=list(callbacks), optimizers=optimizers)
        if steps:
            trainer.train()
        return model, trainer

    return train


def transformers_callback(**options):
    from lab.watch.transformers import WatchCallback

    return WatchCallback(TOKENS[:24], KINDS[:24], loss="cross_entropy", **options)


@pytest.mark.parametrize("options", [{}, {"bf16": True}, {"gradient_accumulation_steps": 2}], ids=str)
def test_transformers_train_with_the_callback_as_without_to_the_bit(trained, options):
    states, callback = [], transformers_callback(every_n_steps=5)
    for callbacks in ((), (callback,)):
        model, trainer = trained(*callbacks, **options)
        states.append({**model.state_dict(), "rng": torch.random.get_rng_state()})
        assert ("forward" in vars(model)) == ("bf16" in options)  # accelerate's autocast stays
    equal(*states)
    assert callback.watch.table["step"].tolist() == [5, 10, 12]
    assert callback.watch.table["critical_fraction"].isna().all()
    assert trainer.state.global_step == STEPS


def test_transformers_rows_are_those_of_a_loop_by_hand(trained):
    callback = transformers_callback(every_n_steps=5)
    model, _ = trained(callback, dropout=0.0, optimizer=plain_sgd)
    start, _ = trained(dropout=0.0, steps=0)
    start.train()
    optimizer = plain_sgd(start.parameters())
    watch = lab.Watch(start, TOKENS[:24], KINDS[:24], outputs=lambda result: result.logits, loss="cross_entropy")
    for step in range(1, STEPS + 1):
        rows = slice(BATCH * ((step - 1) % 6), BATCH * ((step - 1) % 6) + BATCH)
        optimizer.zero_grad()
        start(input_ids=TOKENS[rows], labels=KINDS[rows]).loss.backward()
        optimizer.step()
        if step in (5, 10, 12):
            watch.look(step, RATE, momentum=0.9)
    equal(model.state_dict(), start.state_dict())
    same(callback.watch, watch)
    assert callback.watch.table["critical_fraction"].notna().all()


def test_transformers_are_unwrapped(trained):
    callback = transformers_callback()
    model, trainer = trained(steps=0)
    wrapped = nn.DataParallel(model)
    callback.on_train_begin(trainer.args, trainer.state, trainer.control, model=wrapped)
    assert callback.watch.module is model


def test_transformers_refuse_a_number_of_steps_below_one(transformers):
    with pytest.raises(LabError, match="every_n_steps: got 0"):
        transformers_callback(every_n_steps=0)


# TensorBoard


def test_looks_are_read_back_from_tensorboard(trained, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "events")) as writer:
        callback = transformers_callback(every_n_steps=5, report=lambda watch: add_look(writer, watch))
        trained(callback)
    events, table = EventAccumulator(str(tmp_path / "events")).Reload(), callback.watch.table.set_index("step")
    drawn = table.dropna(axis=1, how="all").columns
    assert set(events.Tags()["scalars"]) == {f"watch/{name}" for name in drawn}
    for name in drawn:
        found = {event.step: event.value for event in events.Scalars(f"watch/{name}")}
        assert found == pytest.approx(table[name].to_dict(), rel=1e-6)
    (text, *_) = events.Tags()["tensors"]
    assert callback.watch.verdict().encode() in events.Tensors(text)[-1].tensor_proto.string_val[0]
