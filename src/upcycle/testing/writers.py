"""Source2Synth's scripted writers as one: whatever a prompt is about, tables or documents, is answered by rule."""

from __future__ import annotations

from upcycle.llm.model import Request
from upcycle.testing.questions import write_question
from upcycle.testing.table_questions import write_table_question


def write(request: Request, *, plain: bool = False) -> str:
    """The reply to one prompt of either application; `plain` as in `questions.write_question`."""
    if "<table>" in request.messages[-1]["content"]:
        return write_table_question(request)
    return write_question(request, plain=plain)
