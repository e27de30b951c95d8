"""The loop under every student of torch: Hugging Face's Trainer, made careful.

What comes in is a function that builds a trainer; what goes out is that trainer, done, with what happened on the way.
Killed training goes on from its last whole checkpoint; out of memory halves the batch and goes on; a loss that is not a
number stops, and the last good checkpoint is kept. The decision: batches are drawn by (seed, epoch) alone, longest
examples together, so that a run that was killed takes the same steps as one that was not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import orjson

from upcycle.errors import ConfigError, UpcycleError, boundary
from upcycle.training.bases import quiet
from upcycle.training.memory import give_back, is_out_of_memory
from upcycle.training.predictor import Progress, Told

SAVE_EVERY = 60.0
"""Seconds between two checkpoints inside an epoch: the most that a kill can cost."""

TOKENS_AT_ONCE = {"cpu": 2048, "cuda": 32_768}
"""Tokens of one pass forward and back, filling included."""

_GROUP = 50  # batches among which examples are sorted by length


class DivergedError(UpcycleError):
    """The loss was not a number; caught where the last good checkpoint is taken back."""


@dataclass(frozen=True, slots=True)
class Course:
    """What a training run is to do.

    Attributes:
        epochs: passes over the examples.
        batch: examples a step.
        rate: of AdamW, at its highest.
        lengths: of the training examples in tokens, in their order.
        judged: whether there is a validation set to stop early and to choose a checkpoint by.
        patience: epochs without a better validation loss before it stops; 0 for none.
        seed: of the order of the examples, of dropout and of new weights.
        decay: AdamW's weight decay.
    """

    epochs: float
    batch: int
    rate: float
    lengths: Sequence[int]
    judged: bool
    patience: int
    seed: int
    decay: float = 0.0


@dataclass(slots=True)
class Finished:
    """A trainer that is done.

    Attributes:
        loss: on the validation set, of the weights that are kept; None without one.
        train_loss: over the last logged steps.
        batch: examples a step in the end.
        notes: sentences for the user.
    """

    trainer: Any
    loss: float | None
    train_loss: float | None
    steps: int
    batch: int
    notes: list[str]


def run(make: Callable[[dict[str, Any]], Any], course: Course, folder: Path, told: Told) -> Finished:
    """Train to the end, whatever it takes.

    Args:
        make: builds a trainer of fresh weights from arguments of `TrainingArguments`.
        folder: where checkpoints lie; those of an earlier process are gone on from.

    Raises:
        ConfigError: one example at a time is too much for memory, or the loss was never a number.
        DiskError: no room for a checkpoint.
    """
    notes: list[str] = []
    batch, frugal = at_once(course)
    while True:
        trainer = _with_callbacks(make(arguments(course, folder, batch, frugal=frugal)), course, told)
        last = last_checkpoint(folder)
        if last is not None:
            told(Progress(text=f"going on at step {last.name.removeprefix('checkpoint-')}"))
        try:
            with quiet(), boundary(str(folder)):
                trainer.train(resume_from_checkpoint=str(last) if last else None)
            break
        except DivergedError as error:
            notes.append(_back_to_good(trainer, folder, str(error), course.rate))
            told(Progress(text=notes[-1]))
            break
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if batch == 1 and frugal:
                raise ConfigError(
                    "out of memory with one example at once; give a smaller student, or fewer --max-tokens"
                ) from None
            batch, frugal = max(1, batch // 2), frugal or batch == 1
            del trainer
            more = ", computing a part of it twice" if frugal else ""
            notes.append(f"out of memory; it goes on with {batch} examples at once{more}")
            told(Progress(text=notes[-1]))
        give_back()
    return Finished(trainer, _validation_loss(trainer), _last(trainer, "loss"), trainer.state.global_step, batch, notes)


def at_once(course: Course) -> tuple[int, bool]:
    """How many examples of a step are held at once, and whether even one is so long that memory must be spared.

    What is kept for the way back grows with the tokens: some 2 MB each for a model of 135 M parameters.
    """
    import torch

    tokens = TOKENS_AT_ONCE["cuda" if torch.cuda.is_available() else "cpu"]
    longest = max(course.lengths)
    return max(1, min(course.batch, len(course.lengths), tokens // longest)), longest > tokens


def arguments(course: Course, folder: Path, batch: int, *, frugal: bool = False) -> dict[str, Any]:
    """Arguments of `TrainingArguments`; a step always holds `course.batch` examples, `batch` of them at once.

    Args:
        frugal: keep only each layer's input for the way back, and compute the rest again.
    """
    import torch

    whole = min(course.batch, len(course.lengths))
    turns = -(-whole // batch)
    steps = max(1, -(-len(course.lengths) // (batch * turns)))
    total = max(1, round(steps * course.epochs))
    found: dict[str, Any] = {
        "output_dir": str(folder), "num_train_epochs": course.epochs, "learning_rate": course.rate,
        "per_device_train_batch_size": batch, "gradient_accumulation_steps": turns,
        "per_device_eval_batch_size": batch, "prediction_loss_only": True, "weight_decay": course.decay,
        "lr_scheduler_type": "linear", "warmup_steps": max(1, total // 20), "optim": "adamw_torch",
        "seed": course.seed, "data_seed": course.seed, "logging_steps": max(1, total // 50), "disable_tqdm": True,
        "report_to": [], "remove_unused_columns": False, "dataloader_pin_memory": torch.cuda.is_available(),
        "bf16": torch.cuda.is_available() and torch.cuda.is_bf16_supported(), "activation_checkpointing": frugal,
        "save_strategy": "epoch", "save_total_limit": 2, "eval_strategy": "epoch" if course.judged else "no",
        "load_best_model_at_end": course.judged, "metric_for_best_model": "loss" if course.judged else None,
        "logging_nan_inf_filter": False, "restore_callback_states_from_checkpoint": True,
    }  # fmt: skip
    return found


def careful(kind: type) -> Any:
    """A Trainer that stops when its loss is no number, and draws its batches by seed and epoch."""
    import torch

    class Careful(kind):
        def training_step(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().training_step(*args, **kwargs)
            if not torch.isfinite(loss).all():
                raise DivergedError(f"the loss is not a number at step {self.state.global_step + 1}")
            return loss

        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            batch = self.args.train_batch_size * self.args.gradient_accumulation_steps
            return Batches(self.lengths, batch, self.args.seed)

    return Careful


class Batches:
    """The order of the examples in each epoch: shuffled, then sorted by length within groups of batches.

    Examples of one length in a batch need no padding; the order of the batches stays random.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self._lengths, self._batch, self._seed, self._epoch = lengths, batch, seed, 0

    def __len__(self) -> int:
        return len(self._lengths)

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        draw = Random(f"{self._seed} {self._epoch}")
        order = list(range(len(self._lengths)))
        draw.shuffle(order)
        whole: list[list[int]] = []
        rest: list[int] = []
        for start in range(0, len(order), _GROUP * self._batch):
            group = sorted(order[start : start + _GROUP * self._batch], key=lambda one: -self._lengths[one])
            batches = [group[at : at + self._batch] for at in range(0, len(group), self._batch)]
            rest = batches.pop() if len(batches[-1]) < self._batch else rest
            whole.extend(batches)
        draw.shuffle(whole)
        for one in [*whole, rest]:  # a batch that is not full comes last, or the others would not stay whole
            yield from one


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written whole (its state is written last)."""
    found: list[tuple[int, Path]] = []
    for path in folder.glob("checkpoint-*"):
        try:
            found.append((int(orjson.loads((path / "trainer_state.json").read_bytes())["global_step"]), path))
        except (OSError, ValueError, KeyError):
            continue
    return max(found)[1] if found else None


def _with_callbacks(trainer: Any, course: Course, told: Told) -> Any:
    from transformers import EarlyStoppingCallback, PrinterCallback, TrainerCallback

    started, saved = time.monotonic(), time.monotonic()
    first: int | None = None

    class Telling(TrainerCallback):
        """Says how far it is, and has a checkpoint written once a minute."""

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            nonlocal first, saved
            now = time.monotonic()
            first = state.global_step - 1 if first is None else first
            left = (now - started) / (state.global_step - first) * (state.max_steps - state.global_step)
            loss = next((entry["loss"] for entry in reversed(state.log_history) if "loss" in entry), None)
            told(Progress(state.global_step, state.max_steps, state.epoch or 0.0, loss, left))
            if now - saved > SAVE_EVERY:
                saved = now
                control.should_save = True

    trainer.lengths = course.lengths
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Telling())
    if course.judged and course.patience:
        trainer.add_callback(EarlyStoppingCallback(course.patience))
    return trainer


def _back_to_good(trainer: Any, folder: Path, why: str, rate: float) -> str:
    last = last_checkpoint(folder)
    if last is None:
        raise ConfigError(f"{why}, before the first checkpoint; give a learning rate below {rate:g}") from None
    with quiet():
        trainer._load_from_checkpoint(str(last))
    step = last.name.removeprefix("checkpoint-")
    return f"{why}, so training stopped; what is kept is the checkpoint of step {step}. Give a lower learning rate"


def _validation_loss(trainer: Any) -> float | None:
    best = trainer.state.best_metric
    return float(best) if best is not None else _last(trainer, "eval_loss")


def _last(trainer: Any, name: str) -> float | None:
    found = [entry[name] for entry in trainer.state.log_history if name in entry]
    return float(found[-1]) if found else None
