"""Alpaca's shape: instruction, input, output, in one JSON array.

With `--instruction` the task's sentence is the instruction and the example's input the input; without it the input is
the instruction and `input` is empty, which is how the format writes a request that stands alone.
"""

from __future__ import annotations

from typing import Any

from upcycle.records import Example
from upcycle.report.exporters.format import Beside, Format
from upcycle.report.exporters.template import Template


def _row(example: Example, template: Template) -> dict[str, Any]:
    asked = (template.instruction, example.input) if template.instruction else (example.input, "")
    return {"instruction": asked[0], "input": asked[1], "output": template.completion(example)}


def _use(beside: Beside) -> str:
    files = ", ".join(f"`{file}`" for file in beside.data.values())
    return f"Give {files} to any trainer that reads Alpaca's instruction, input and output."


ALPACA = Format("alpaca", "Alpaca's instruction, input, output", _row, _use, kind="json")
