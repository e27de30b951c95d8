"""A scripted writer for the two shipped recipes: functions over a table, and answers with their passage, by rule.

It reads what a prompt shows and nothing else. One function in five reads a column that is not there, and one quotation
in five is not the document's own words, as a model's are; the recipes' executors have to find that out.
"""

from __future__ import annotations

import json
import re
from random import Random

from upcycle.llm.model import Request
from upcycle.testing.table_questions import columns_of

_UNIT = re.compile(r"<unit>\n(.*?)\n</unit>", re.DOTALL)
_METRICS = re.compile(r"one of these metrics: ([^.]+)\.")
_STATEMENT = re.compile(r"the (.+?) of the column (\w+)", re.IGNORECASE)
_WISH = re.compile(r'^Wish: What is missing \(____\) from "(.*)"\?$', re.MULTILINE)
_SPAN = re.compile(r"\b\d[\d,.]*\d(?: [a-z]+)?|\b\d(?: [a-z]+)?|(?<!^)(?<![.!?] )\b[A-Z][\w'-]+(?: [A-Z][\w'-]+)*")
_WRONG = 0.2
_GAP = "____"
_BODIES = {
    "minimum": "min(v)", "maximum": "max(v)", "average": "sum(v) / len(v)", "sum": "sum(v)", "range": "max(v) - min(v)",
    "median": "(sorted(v)[(len(v) - 1) // 2] + sorted(v)[len(v) // 2]) / 2",
    "number of different values": "len(set(v))",
    "standard deviation": "(sum((x - sum(v) / len(v)) ** 2 for x in v) / len(v)) ** 0.5",
}  # fmt: skip

NOTHING = "There is nothing to ask here."


def write_recipe(request: Request) -> str:
    """The reply to one prompt of either recipe; prose where there is nothing to ask, as models do."""
    prompt = request.messages[-1]["content"]
    unit, draw = _UNIT.search(prompt), Random(f"{prompt}{request.sample}")
    if unit is None:
        return NOTHING
    if request.schema is None:
        return _metric(prompt, unit[1], draw) if _METRICS.search(prompt) else _wish(unit[1], draw)
    made = _function(prompt, draw) if "function" in request.schema["properties"] else _citation(prompt, unit[1], draw)
    return json.dumps(made) if made else NOTHING


def function_for(question: str) -> str | None:
    """The function that computes what "Compute the maximum of the column price." asks; None for anything else."""
    found = _STATEMENT.search(question)
    if found is None or found[1].lower() not in _BODIES:
        return None
    values = f"[one for one in table[{found[2]!r}] if one is not None]"
    return f"def f(table):\n    v = {values}\n    return {_BODIES[found[1].lower()]}"


def cited_for(question: str, text: str) -> str | None:
    """The answer to a question about a gap, with its passage, out of a text; None where that does not tell it."""
    found = re.search(rf'from "(.*{_GAP}.*)"\?', question)
    if found is None:
        return None
    before, _, after = found[1].partition(_GAP)
    told = re.search(rf"{re.escape(before)}(.+?){re.escape(after)}", text)
    return f'Answer: {told[1]}\nSource: the document: "{told[0]}"' if told else None


def _metric(prompt: str, table: str, draw: Random) -> str:
    named = _METRICS.search(prompt)
    known = [one for one in (named[1].split(", ") if named else ()) if one in _BODIES]
    numbers = columns_of(table).numbers
    if not known or not numbers:
        return NOTHING
    return f"It would be interesting to know the {draw.choice(known)} of the column {draw.choice(numbers)}."


def _function(prompt: str, draw: Random) -> dict[str, str] | None:
    found = _STATEMENT.search(prompt.rpartition("Statement: ")[2])
    if found is None:
        return None
    question = f"Compute the {found[1]} of the column {found[2]}."
    code = function_for(question) or ""
    return {
        "question": question,
        "function": code.replace("table[", "table['x_' + ") if draw.random() < _WRONG else code,
    }


def _wish(document: str, draw: Random) -> str:
    told = [one for line in document.splitlines()[1:] for one in re.split(r"(?<=[.!?]) ", line)]
    told = [one for one in told if 5 <= len(one.split()) <= 40 and '"' not in one and _SPAN.search(one)]
    if not told:
        return NOTHING
    sentence = draw.choice(told)
    span = draw.choice(list(_SPAN.finditer(sentence)))
    return f'What is missing ({_GAP}) from "{sentence[: span.start()]}{_GAP}{sentence[span.end() :]}"?'


def _citation(prompt: str, document: str, draw: Random) -> dict[str, str] | None:
    wish = _WISH.search(prompt)
    if wish is None:
        return None
    before, _, after = wish[1].partition(_GAP)
    told = re.search(rf"{re.escape(before)}(.+?){re.escape(after)}", document)
    if told is None:
        return None
    quote = f"It is said that {told[0]}" if draw.random() < _WRONG else told[0]
    return {"question": f'What is missing ({_GAP}) from "{wish[1]}"?', "answer": told[1], "quote": quote}
