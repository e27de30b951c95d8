"""Unsloth: ShareGPT conversations, and the `unsloth.yaml` that its command line trains on them with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from upcycle.report.exporters import recipe
from upcycle.report.exporters.format import Beside, Format
from upcycle.report.exporters.sharegpt import conversation
from upcycle.yamlfile import dump_yaml


def _beside(beside: Beside) -> Mapping[str, str]:
    trained = beside.data.get("train") or next(iter(beside.data.values()))
    config: dict[str, Any] = {
        "model": beside.base_model,
        "data": {"local_dataset": [trained], "format_type": "sharegpt"},
        "training": {
            "training_type": "lora",
            "max_seq_length": recipe.LENGTH,
            "num_epochs": recipe.EPOCHS,
            "learning_rate": recipe.LEARNING_RATE,
            "batch_size": recipe.BATCH,
            "gradient_accumulation_steps": 1,
            "random_seed": recipe.SEED,
            "train_on_completions": True,
            "output_dir": recipe.OUTPUT,
        },
        "lora": {"lora_r": recipe.LORA_RANK, "lora_alpha": recipe.LORA_ALPHA},
    }
    return {"unsloth.yaml": dump_yaml(config)}


def _use(beside: Beside) -> str:
    return "In this folder:\n\n```bash\nunsloth train --config unsloth.yaml\n```"


UNSLOTH = Format("unsloth", "Unsloth: ShareGPT conversations and unsloth.yaml", conversation, _use, beside=_beside)
