"""LLaMA-Factory: messages, the `dataset_info.json` that names them, the `llama_factory.yaml` that trains on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from upcycle.report.exporters import recipe
from upcycle.report.exporters.format import Beside, Format
from upcycle.report.exporters.trl import messages
from upcycle.yamlfile import dump_yaml

_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}


def _beside(beside: Beside) -> Mapping[str, str]:
    info = {
        f"{beside.name}_{split}": {
            "file_name": file,
            "formatting": "sharegpt",
            "columns": {"messages": "messages"},
            "tags": _TAGS,
        }
        for split, file in beside.data.items()
    }
    trained = "train" if "train" in beside.data else next(iter(beside.data))
    config: dict[str, Any] = {
        "model_name_or_path": beside.base_model,
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": recipe.LORA_RANK,
        "lora_alpha": recipe.LORA_ALPHA,
        "lora_target": "all",
        "dataset_dir": ".",
        "dataset": f"{beside.name}_{trained}",
        "template": "default",
        "cutoff_len": recipe.LENGTH,
        "per_device_train_batch_size": recipe.BATCH,
        "gradient_accumulation_steps": 1,
        "learning_rate": recipe.LEARNING_RATE,
        "num_train_epochs": recipe.EPOCHS,
        "lr_scheduler_type": "cosine",
        "bf16": True,
        "seed": recipe.SEED,
        "output_dir": recipe.OUTPUT,
    }
    if "validation" in beside.data and trained != "validation":
        config |= {"eval_dataset": f"{beside.name}_validation", "eval_strategy": "epoch"}
    return {
        "dataset_info.json": orjson.dumps(info, option=orjson.OPT_INDENT_2).decode() + "\n",
        "llama_factory.yaml": dump_yaml(config),
    }


def _use(beside: Beside) -> str:
    return (
        "In this folder, after setting `template` to the one of your model:\n\n"
        "```bash\nllamafactory-cli train llama_factory.yaml\n```"
    )


LLAMA_FACTORY = Format(
    "llama-factory", "LLaMA-Factory: messages, dataset_info.json and llama_factory.yaml", messages, _use, beside=_beside
)
