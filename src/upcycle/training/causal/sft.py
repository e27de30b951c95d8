"""Supervised fine-tuning of a causal language model: TRL's trainer and PEFT's LoRA.

Settings after DataTune (arXiv 2404.14361, appendix): AdamW, 3 epochs, rank 8, learning rate 5e-5 or 1e-4 and alpha 16
or 24, chosen by validation loss. The prompt's tokens are masked, the end-of-sequence token is learned. The decision:
the head, a fifth of the work of a small language model, is computed only where an output token is learned.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from upcycle.config import Training
from upcycle.errors import ConfigError, boundary
from upcycle.records import Example
from upcycle.training.bases import base_folder, is_causal, quiet
from upcycle.training.causal.model import CausalPredictor, backbone, context_of, open_tokenizer, with_adapter
from upcycle.training.causal.prompting import Encoded, Prompting, encode_all
from upcycle.training.legs import Leg, best_of, legs_of
from upcycle.training.predictor import Progress, Told
from upcycle.training.trainer import Course, careful, run
from upcycle.training.weights import weights_of

_RATE = 1e-4
_BATCH = 8
_CHUNK = 1024  # output tokens whose logits are held at once
# Configs that change logits behind the head; TRL's own head knows them all.
_SCALED = ("final_logit_softcapping", "logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling")


def fit_text(
    examples: Sequence[Example],
    settings: Training,
    *,
    student: str,
    validation: Sequence[Example],
    work: Path,
    seed: int,
    told: Told,
) -> CausalPredictor:
    """Fine-tune a causal language model.

    Args:
        student: "smollm2" or a Hugging Face folder.
        work: where checkpoints and finished legs lie; the caller removes it when the student is written.

    Raises:
        ConfigError: no such model, no example that fits it, weights that a causal model does not learn by.
    """
    if settings.weights == "dimp":
        raise ConfigError("the DIMP loss weighs labels; give training.kind: label, or weights: given")
    base = base_folder(student)
    if is_causal(str(base)) is False:
        raise ConfigError(
            f"student {student!r} is an encoder, which says no text of its own; give --student smollm2 or the folder of"
            " a causal language model, or --kind label if the outputs are labels"
        )
    prompting = _prompting(base, settings)
    rows, weights = _rows(prompting, examples, settings, told)
    judged, _ = _rows(prompting, validation, settings, told)
    legs = legs_of(settings, _RATE)
    best, done = best_of(
        legs,
        lambda leg, folder: _train(leg, folder, base, prompting, (rows, weights, judged), settings, seed, told),
        work, judged=bool(judged), told=told,
    )  # fmt: skip
    model = _open(base, best.folder / "adapter", merged=settings.merged)
    longest = max(len(row.completion) for row in rows)
    facts = {
        "student": student, "base": str(base), "examples": len(rows), "rank": settings.rank,
        "rate": best.leg.rate, "alpha": best.leg.alpha, **best.facts,
        "grid": [{"rate": one.leg.rate, "alpha": one.leg.alpha, "loss": one.facts["loss"]} for one in done],
    }  # fmt: skip
    # Hardly any answer is longer than the longest that was taught; what rambles on is cut.
    return CausalPredictor(model, prompting, longest + longest // 8 + 8, seed=seed, facts=facts)


def _prompting(base: Path, settings: Training) -> Prompting:
    from transformers import AutoConfig

    with quiet():
        config = AutoConfig.from_pretrained(base, local_files_only=True)
        return Prompting.of(open_tokenizer(base), context_of(config), settings.max_tokens)


def _rows(
    prompting: Prompting, examples: Sequence[Example], settings: Training, told: Told
) -> tuple[list[Encoded], list[float]]:
    found, notes = encode_all(prompting, [(one.input, one.output) for one in examples])
    for note in notes:
        told(Progress(text=note))
    both = [(row, one.weight) for row, one in zip(found, examples, strict=True) if row is not None]
    if examples and not both:
        raise ConfigError(f"no example fits the {prompting.longest} tokens of this student; give shorter ones")
    return [row for row, _ in both], weights_of([weight for _, weight in both], settings)


def _train(
    leg: Leg,
    folder: Path,
    base: Path,
    prompting: Prompting,
    data: tuple[list[Encoded], list[float], list[Encoded]],
    settings: Training,
    seed: int,
    told: Told,
) -> dict[str, Any]:
    rows, weights, judged = data
    course = Course(
        settings.epochs, settings.batch or _BATCH, leg.rate, [len(row) for row in rows], bool(judged),
        settings.patience, seed,
    )  # fmt: skip
    sets = (_dataset(rows, weights), _dataset(judged, [1.0] * len(judged)) if judged else None)

    def make(arguments: dict[str, Any]) -> Any:
        return _trainer(arguments, base, prompting, sets, _lora(settings, leg), settings)

    done = run(make, course, folder / "checkpoints", told)
    with boundary(str(folder)), quiet():
        done.trainer.model.save_pretrained(folder / "adapter")
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return {"loss": done.loss, "train_loss": done.train_loss, "steps": done.steps, "batch": done.batch,
            "notes": done.notes}  # fmt: skip


def _lora(settings: Training, leg: Leg) -> Any:
    from peft import LoraConfig, TaskType

    return LoraConfig(
        task_type=TaskType.CAUSAL_LM, r=settings.rank, lora_alpha=leg.alpha, lora_dropout=0.0,
        target_modules="all-linear",
    )  # fmt: skip


def _dataset(rows: Sequence[Encoded], weights: Sequence[float]) -> Any:
    from datasets import Dataset

    return Dataset.from_dict({
        "input_ids": [[*row.prompt, *row.completion] for row in rows],
        "labels": [[-100] * len(row.prompt) + row.completion for row in rows],
        "weight": list(weights),
    })  # fmt: skip


def _trainer(
    arguments: dict[str, Any], base: Path, prompting: Prompting, sets: tuple[Any, Any], lora: Any, settings: Training
) -> Any:
    import torch
    from trl import SFTConfig, SFTTrainer

    class Sparse(SFTTrainer):
        """TRL's trainer with the head at output tokens only, and a weight for each example."""

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            weights = inputs.pop("weight")
            losses = _losses(model, inputs)
            total = (losses * weights[:, None]).sum()
            wanted = (inputs["labels"][:, 1:] != -100).sum() if num_items_in_batch is None else num_items_in_batch
            return total / torch.as_tensor(wanted).clamp(min=1)

    pad = prompting.tokenizer.pad_token_id
    with quiet():
        torch.manual_seed(arguments["seed"])  # the adapter's first weights are drawn when it is laid over the base
        config = SFTConfig(
            **arguments, max_length=None, dataset_kwargs={"skip_prepare_dataset": True}, packing=False
        )  # fmt: skip
        return careful(Sparse)(
            model=_base(base, settings), args=config, train_dataset=sets[0], eval_dataset=sets[1], peft_config=lora,
            processing_class=prompting.tokenizer, data_collator=lambda rows: _padded(rows, pad),
        )  # fmt: skip


def _base(base: Path, settings: Training) -> Any:
    from importlib.util import find_spec

    import torch
    from transformers import AutoModelForCausalLM

    cuda = torch.cuda.is_available()
    held = precision(settings, cuda=cuda, quantises=find_spec("bitsandbytes") is not None)
    if held != "nf4":
        return AutoModelForCausalLM.from_pretrained(base, local_files_only=True, dtype=getattr(torch, held))
    from transformers import BitsAndBytesConfig

    quantised = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )  # fmt: skip
    return AutoModelForCausalLM.from_pretrained(
        base, local_files_only=True, quantization_config=quantised, device_map={"": 0 if cuda else "cpu"}
    )


def precision(settings: Training, *, cuda: bool, quantises: bool) -> str:
    """How the base's weights are held: "nf4" (QLoRA, arXiv 2305.14314), or torch's "bfloat16" or "float32".

    Args:
        cuda: whether there is a CUDA GPU.
        quantises: whether bitsandbytes is installed.

    Raises:
        ConfigError: 4 bits were asked for, and bitsandbytes is not there.
    """
    if settings.four_bit and not quantises:
        raise ConfigError("four_bit needs bitsandbytes; run `pip install 'upcycle[train-4bit]'`, or leave it out")
    # On a CPU 4 bits only save memory and cost time, so there they have to be asked for.
    if cuda and quantises if settings.four_bit is None else settings.four_bit:
        return "nf4"
    return "bfloat16" if cuda else "float32"


def _padded(rows: Sequence[dict[str, Any]], pad: int) -> dict[str, Any]:
    import torch

    width = max(len(row["input_ids"]) for row in rows)

    def stacked(name: str, filler: int) -> Any:
        return torch.tensor([[*row[name], *[filler] * (width - len(row[name]))] for row in rows])

    lengths = torch.tensor([len(row["input_ids"]) for row in rows])
    return {
        "input_ids": stacked("input_ids", pad),
        "labels": stacked("labels", -100),
        "attention_mask": (torch.arange(width)[None, :] < lengths[:, None]).long(),
        "weight": torch.tensor([row["weight"] for row in rows], dtype=torch.float32),
    }


def _losses(model: Any, inputs: dict[str, Any]) -> Any:
    """Negative log-likelihood in nats of each next token, zero where it is not learned; rows by places - 1."""
    import torch

    inner = model.module if hasattr(model, "module") else model
    if any(getattr(inner.config.get_text_config(), name, None) for name in _SCALED):
        return -inner(**inputs, fused_lm_head=True).log_probs
    states = backbone(inner)(
        input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False
    )[0][:, :-1]  # fmt: skip
    labels = inputs["labels"][:, 1:]
    learned = labels != -100
    values = _head_losses(inner.get_output_embeddings(), states[learned], labels[learned])
    return torch.zeros_like(labels, dtype=values.dtype).masked_scatter(learned, values)


def _head_losses(head: Any, states: Any, wanted: Any) -> Any:
    import torch
    from torch.nn.functional import cross_entropy
    from torch.utils.checkpoint import checkpoint

    def part(some: Any, labels: Any) -> Any:
        return cross_entropy(head(some).float(), labels, reduction="none")

    if len(wanted) <= _CHUNK:
        return part(states, wanted)
    # Long outputs: the logits of one chunk at a time, computed again on the way back.
    parts = zip(states.split(_CHUNK), wanted.split(_CHUNK), strict=True)
    return torch.cat([checkpoint(part, some, labels, use_reentrant=False) for some, labels in parts])


def _open(base: Path, adapter: Path, *, merged: bool) -> Any:
    import torch

    with quiet():
        model = with_adapter(base, adapter)
        if merged:
            model = model.merge_and_unload()
        return model.to("cuda" if torch.cuda.is_available() else "cpu")
