"""Training an encoder with a head, whatever the head says: what classifiers and span finders have in common.

In: features (token numbers, targets, a weight), a function that opens the model and one that gives the loss of each
row. Out: the folder of the leg that was chosen, with whole weights. The decision: encoders are small, so all their
weights are trained, and no adapter is needed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from upcycle.config import Training
from upcycle.errors import ConfigError, boundary
from upcycle.training.bases import quiet
from upcycle.training.legs import Leg, Trained, best_of, legs_of
from upcycle.training.predictor import Told
from upcycle.training.trainer import Course, careful, run

_RATE = 5e-5
_BATCH = 16
_DECAY = 0.01
_INPUTS = ("input_ids", "token_type_ids", "attention_mask")

Feature = Mapping[str, Any]
"""One row: lists of token numbers under transformers' names, targets as numbers, and a `weight`."""


class Study(NamedTuple):
    """What an encoder learns from.

    Attributes:
        open: gives the model with fresh weights of its head, drawn with a seed.
        losses: loss in nats of each row of a batch, from the model's outputs and the batch.
        pad: token number that fills short rows.
    """

    features: Sequence[Feature]
    judged: Sequence[Feature]
    open: Callable[[int], Any]
    losses: Callable[[Any, Mapping[str, Any]], Any]
    pad: int


def train_encoder(study: Study, settings: Training, *, work: Path, seed: int, told: Told) -> tuple[Trained, Path]:
    """Train, and choose among learning rates where there are several.

    Returns:
        The chosen leg, and the folder of its weights.
    """
    legs = list(dict.fromkeys(Leg(leg.rate, 0) for leg in legs_of(settings, _RATE)))
    best, _ = best_of(
        legs, lambda leg, folder: _train(study, leg, folder, settings, seed, told), work,
        judged=bool(study.judged), told=told,
    )  # fmt: skip
    return best, best.folder / "weights"


def _train(study: Study, leg: Leg, folder: Path, settings: Training, seed: int, told: Told) -> dict[str, Any]:
    lengths = [len(one["input_ids"]) for one in study.features]
    course = Course(
        settings.epochs, settings.batch or _BATCH, leg.rate, lengths, bool(study.judged), settings.patience, seed,
        decay=_DECAY,
    )  # fmt: skip
    done = run(lambda arguments: _trainer(study, arguments, settings.layers), course, folder / "checkpoints", told)
    with boundary(str(folder)), quiet():
        done.trainer.model.save_pretrained(folder / "weights")
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return {"loss": done.loss, "train_loss": done.train_loss, "steps": done.steps, "batch": done.batch,
            "notes": done.notes}  # fmt: skip


def hold(model: Any, layers: int) -> None:
    """Let only the last layers learn, with what stands above them; the rest stays as the base has it.

    The last layers carry most of what a task teaches (arXiv 1911.03090). What stays is not dropped out either: it could
    not learn to do without, and dropout costs time.

    Raises:
        ConfigError: it has fewer layers.
    """
    from torch.nn import Dropout, ModuleList

    body = model.base_model
    stack = max((one for one in body.modules() if isinstance(one, ModuleList)), key=len)
    if layers > len(stack):
        raise ConfigError(f"layers is {layers}, and this encoder has {len(stack)}")
    words = getattr(body, "embeddings", model.get_input_embeddings())
    for part in (words, *stack[: len(stack) - layers]):
        part.requires_grad_(False)
        for one in part.modules():
            if isinstance(one, Dropout):
                one.p = 0.0


def _trainer(study: Study, arguments: dict[str, Any], layers: int | None) -> Any:
    from transformers import Trainer, TrainingArguments

    class Weighted(Trainer):
        """A trainer whose rows have weights."""

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            outputs = model(**{name: inputs[name] for name in _INPUTS if name in inputs})
            return (study.losses(outputs, inputs) * inputs["weight"]).mean()

        def prediction_step(self, model: Any, inputs: Any, *_: Any, **__: Any) -> Any:
            import torch

            inputs = self._prepare_inputs(inputs)
            with torch.no_grad():
                return self.compute_loss(model, inputs).detach(), None, None

    model = study.open(arguments["seed"])
    if layers is not None:
        hold(model, layers)
    with quiet():
        return careful(Weighted)(
            model=model, args=TrainingArguments(**arguments, label_names=["weight"]),
            train_dataset=list(study.features), eval_dataset=list(study.judged) or None,
            data_collator=lambda rows: padded(rows, study.pad),
        )  # fmt: skip


def padded(rows: Sequence[Feature], pad: int) -> dict[str, Any]:
    """A batch as tensors: lists filled up to the longest, numbers side by side."""
    import torch

    width = max(len(row["input_ids"]) for row in rows)
    batch: dict[str, Any] = {}
    for name, first in rows[0].items():
        if isinstance(first, list):
            filler = pad if name == "input_ids" else 0
            batch[name] = torch.tensor([[*row[name], *[filler] * (width - len(row[name]))] for row in rows])
        else:
            batch[name] = torch.tensor([row[name] for row in rows])
    return batch


def open_encoder(folder: Path, kind: str, **more: Any) -> Any:
    """A model of transformers with the head that `kind` names, e.g. "SequenceClassification"."""
    import transformers

    opener = getattr(transformers, f"AutoModelFor{kind}")
    try:
        with quiet():
            return opener.from_pretrained(folder, local_files_only=True, **more)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"{folder} cannot be opened as an encoder: {why}") from None


def to_device(model: Any) -> Any:
    """The model on the GPU where there is one."""
    import torch

    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def states(model: Any, features: Sequence[Feature], pad: int) -> Any:
    """The model's outputs for a few features."""
    import torch

    batch = padded([{name: row[name] for name in _INPUTS if name in row} for row in features], pad)
    with torch.inference_mode():
        return model(**{name: value.to(model.device) for name, value in batch.items()})
