"""Source2Synth's scripted writers as one: whatever a prompt is about, it is answered by rule.

Tables, documents and both shipped recipes are written about, and an `<input>` is answered as a served intermediate
model would: what these writers asked they can answer, three draws in four. `python -m upcycle.testing serve
--questions` serves it.
"""

from __future__ import annotations

import re
from random import Random

from upcycle.llm.model import Request
from upcycle.sources.documents import Document, Passage, make_document
from upcycle.testing.questions import solve, write_question
from upcycle.testing.recipe_questions import cited_for, function_for, write_recipe
from upcycle.testing.table_questions import statement_for, write_table_question

_OPEN = re.compile(r"<input>\nContext: (.*)\nQuestion: (.*)\n</input>", re.DOTALL)
_LOST = 0.25  # share of draws at a temperature that come to nothing

UNKNOWN = "I cannot tell."


def write(request: Request, *, plain: bool = False) -> str:
    """The reply to one prompt; `plain` as in `questions.write_question`."""
    prompt = request.messages[-1]["content"]
    if (asked := _OPEN.search(prompt)) is not None:
        lost = request.temperature > 0 and Random(f"{prompt}{request.sample}").random() < _LOST
        return UNKNOWN if lost else answer(asked[2], asked[1])
    if "<table>" in prompt:
        return write_table_question(request)
    if "<unit>" in prompt:
        return write_recipe(request)
    return write_question(request, plain=plain)


def answer(question: str, context: str) -> str:
    """What is said to a question these writers wrote, from what it is shown with; prose to any other."""
    if (function := function_for(question)) is not None:
        return f"```python\n{function}\n```"
    if (statement := statement_for(question, context)) is not None:
        return statement
    if (cited := cited_for(question, context)) is not None:
        return cited
    said = solve(question, [_document(*part.split(": ", 1)) for part in context.split("\n\n") if ": " in part])
    return f"Answer: {said}" if said else UNKNOWN


def _document(title: str, text: str) -> Document:
    return make_document(title, title, [Passage(text)])
