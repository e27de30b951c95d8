"""TRL's two shapes for supervised fine-tuning: prompt-completion as plain text, and messages.

TRL joins prompt and completion as they are and learns the completion only, so the plain prompt ends with a newline;
without one the answer would be glued to the last word of the question.
"""

from __future__ import annotations

from typing import Any

from upcycle.records import Example
from upcycle.report.exporters.format import Beside, Format
from upcycle.report.exporters.template import Template


def prompt_completion(example: Example, template: Template) -> dict[str, Any]:
    """{"prompt": ..., "completion": ...}: for any causal model, with or without a chat template."""
    return {"prompt": f"{template.prompt(example)}\n", "completion": template.completion(example)}


def messages(example: Example, template: Template) -> dict[str, Any]:
    """{"messages": [{"role": ..., "content": ...}, ...]}: for a model with a chat template."""
    return {"messages": template.turns(example)}


def _use(beside: Beside) -> str:
    files = ", ".join(f'"{split}": "{file}"' for split, file in beside.data.items())
    return f"""```python
from datasets import load_dataset
from trl import SFTConfig, SFTTrainer

rows = load_dataset("json", data_files={{{files}}})
SFTTrainer("{beside.base_model}", train_dataset=rows["{next(iter(beside.data))}"], args=SFTConfig("model")).train()
```"""


TRL = Format("trl", "TRL's prompt and completion, as plain text", prompt_completion, _use)
TRL_MESSAGES = Format("trl-messages", "TRL's messages, for models with a chat template", messages, _use)
