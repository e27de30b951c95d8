"""Axolotl: messages, and the `axolotl.yaml` that trains on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from upcycle.report.exporters import recipe
from upcycle.report.exporters.format import Beside, Format
from upcycle.report.exporters.trl import messages
from upcycle.yamlfile import dump_yaml


def _dataset(file: str) -> dict[str, Any]:
    return {
        "path": file,
        "ds_type": "json",
        "split": "train",  # a local file has one split, whatever its name
        "type": "chat_template",
        "field_messages": "messages",
        "message_property_mappings": {"role": "role", "content": "content"},
        "roles_to_train": ["assistant"],
    }


def _beside(beside: Beside) -> Mapping[str, str]:
    config: dict[str, Any] = {
        "base_model": beside.base_model,
        "chat_template": "tokenizer_default_fallback_chatml",
        "datasets": [_dataset(beside.data.get("train") or next(iter(beside.data.values())))],
        "val_set_size": 0,
    }
    if "validation" in beside.data:
        config["test_datasets"] = [_dataset(beside.data["validation"])]
        config["evals_per_epoch"] = 1
    config |= {
        "adapter": "lora",
        "lora_r": recipe.LORA_RANK,
        "lora_alpha": recipe.LORA_ALPHA,
        "lora_target_linear": True,
        "sequence_len": recipe.LENGTH,
        "micro_batch_size": recipe.BATCH,
        "gradient_accumulation_steps": 1,
        "num_epochs": recipe.EPOCHS,
        "optimizer": "adamw_torch",
        "lr_scheduler": "cosine",
        "learning_rate": recipe.LEARNING_RATE,
        "bf16": "auto",
        "seed": recipe.SEED,
        "output_dir": f"./{recipe.OUTPUT}",
    }
    return {"axolotl.yaml": dump_yaml(config)}


def _use(beside: Beside) -> str:
    return "In this folder:\n\n```bash\naxolotl train axolotl.yaml\n```"


AXOLOTL = Format("axolotl", "Axolotl: messages and axolotl.yaml", messages, _use, beside=_beside)
