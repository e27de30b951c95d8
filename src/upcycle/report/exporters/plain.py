"""The dataset's own columns, as JSON lines or as CSV (lists as JSON); nothing is put around them."""

from __future__ import annotations

from typing import Any

from upcycle.records import Example
from upcycle.report.exporters.format import Beside, Format
from upcycle.report.exporters.template import Template


def columns(example: Example, template: Template) -> dict[str, Any]:
    """id, input, output, rationale, choices, method, source, weight."""
    return {
        "id": example.id,
        "input": template.prompt(example),
        "output": example.output,
        "rationale": example.rationale,
        "choices": list(example.choices) if example.choices else None,
        "method": example.origin.method,
        "source": example.origin.source,
        "weight": example.weight,
    }


def _use(beside: Beside) -> str:
    kind = "csv" if next(iter(beside.data.values())).endswith(".csv") else "json"
    files = ", ".join(f'"{split}": "{file}"' for split, file in beside.data.items())
    return f"""```python
from datasets import load_dataset

rows = load_dataset("{kind}", data_files={{{files}}})
```"""


JSONL = Format("jsonl", "the columns as they are, one JSON object a line", columns, _use)
CSV = Format("csv", "the columns as they are, as CSV", columns, _use, kind="csv")
