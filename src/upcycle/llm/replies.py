"""Replies as values: the JSON in a reply is found, checked against the request's schema, and asked for again if wrong.

`ask(model, request)` is what stages call. Nothing unchecked leaves it. Rescue by json-repair happens only to text that
looks like JSON, only before the check, and is reported (`Reply.repaired`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from upcycle.errors import RowError, RowKind
from upcycle.llm.model import Completion, Model, Request
from upcycle.llm.schemas import in_words, problem

Check = Callable[[Any], str | None]
"""A further check of a value: what is wrong with it, or None."""

FENCE = re.compile(r"^[ \t]*(```+|~~~+)[^\n`]*\n(.*?)(?:\n[ \t]*\1|\Z)", re.DOTALL | re.MULTILINE)
_THOUGHT = re.compile(r"^\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
STARTS = 64  # a reply with more openings than this is not an answer with some prose around it
_LONGEST = 4  # a cut reply may be asked for again with so many times the tokens


@dataclass(frozen=True, slots=True)
class Reply:
    """A checked reply.

    Attributes:
        value: the JSON value, or the text where the request has no schema.
        completion: the call that brought it.
        repaired: json-repair had to mend it.
        calls: keys of all calls it took.
    """

    value: Any
    completion: Completion
    repaired: bool
    calls: tuple[str, ...]
    cost_micro: int
    tokens: int


async def ask(model: Model, request: Request, *, check: Check | None = None, tries: int = 4) -> Reply:
    """Ask until the reply satisfies the schema and the check.

    Asking again is another sample of the same request; from the third try on (from the second where the temperature
    is 0 and the same words would bring the same reply) it says what was wrong. A reply cut by `max_tokens` is asked
    for again with twice as many.

    Raises:
        RowError: no try brought a valid reply (unparseable), or the server's filter withheld it (api-fatal).
    """
    calls: list[str] = []
    cost = tokens = 0
    asked = request
    for attempt in range(1, tries + 1):
        completion = await model.complete(asked)
        calls.append(completion.key)
        cost += completion.cost_micro
        tokens += completion.usage.total
        if completion.finish == "filter":
            raise RowError(RowKind.API_FATAL, "the server's content filter withheld the reply")
        read = read_reply(completion, request.schema, check)
        if read.problem is None:
            return Reply(read.value, completion, read.repaired, tuple(calls), cost, tokens)
        if attempt == tries:
            began = repr(completion.text[:80])
            told = f"{read.problem} ({tries} tries; the last reply began {began})"
            raise RowError(RowKind.UNPARSEABLE, told, calls=tuple(calls))
        cut = asked.max_tokens if completion.finish == "length" else 0
        asked = _again(request, attempt, read.problem, cut=cut)
    raise ValueError("tries must be at least 1")


def _again(request: Request, attempt: int, wrong: str, *, cut: int) -> Request:
    room = min(cut * 2, request.max_tokens * _LONGEST) if cut else request.max_tokens
    asked = replace(request, sample=request.sample + 1000 * attempt, max_tokens=room)
    if attempt < 2 and request.temperature > 0:
        return asked
    note = f"(An earlier reply could not be used: {wrong}.)"
    if request.schema is not None:
        note = f"{note}\n{in_words(request.schema)}"
    last = request.messages[-1]
    return replace(asked, messages=(*request.messages[:-1], {**last, "content": f"{last['content']}\n\n{note}"}))


@dataclass(frozen=True, slots=True)
class Read:
    """A reply as read: a value, or what is wrong with it."""

    value: Any = None
    problem: str | None = None
    repaired: bool = False


def read_reply(completion: Completion, schema: dict[str, Any] | None, check: Check | None = None) -> Read:
    """Read one reply; the first value in it that satisfies schema and check."""
    text = said(completion)
    if completion.finish == "length":
        return Read(problem="the reply was cut off before its end")
    if not text:
        return Read(problem="the reply was empty")
    if schema is None:
        return Read(text, problem=check(text) if check else None)
    first: str | None = None
    for value in find_json(text):
        wrong = problem(value, schema) or (check(value) if check else None)
        if wrong is None:
            return Read(value)
        first = first or wrong
    mended = mend(text) if first is None else None
    if mended is None:
        return Read(problem=first or "the reply holds no JSON")
    return Read(mended, problem=problem(mended, schema) or (check(mended) if check else None), repaired=True)


def said(completion: Completion) -> str:
    """A reply's words without the thoughts before them."""
    return _THOUGHT.sub("", completion.text).strip()


def find_json(text: str) -> Iterator[Any]:
    """JSON values in a reply: the whole of it, else what is fenced, else what stands between the words."""
    try:
        yield _DECODER.decode(text)
        return
    except (ValueError, RecursionError):
        pass
    for fence in FENCE.finditer(text):
        try:
            yield _DECODER.decode(fence[2].strip())
        except (ValueError, RecursionError):
            continue
    position = starts = 0
    while starts < STARTS and (start := next_opening(text, position)) >= 0:
        starts += 1
        try:
            # The decoder knows strings, so braces inside them neither open nor close anything.
            value, position = _DECODER.raw_decode(text, start)
            yield value
        except (ValueError, RecursionError):
            position = start + 1


def next_opening(text: str, position: int) -> int:
    """Where the next object or list opens, or -1."""
    found = [at for at in (text.find("{", position), text.find("[", position)) if at >= 0]
    return min(found, default=-1)


def mend(text: str) -> Any:
    """The object or list a text nearly is, or None; what was never closed is not closed here."""
    start = next_opening(text, 0)
    if start < 0:
        return None
    fenced = FENCE.search(text)
    body = fenced[2] if fenced else text[start:]
    end = max(body.rfind("}"), body.rfind("]"))
    if end < 0:
        # Nothing was closed: the end is missing, and closing it here would pass half a sentence for a whole one.
        return None
    import json_repair

    value = json_repair.loads(body[: end + 1])
    # Prose comes back as '' or as a list of its brackets; only a whole object or list is taken for a mended one.
    return value if isinstance(value, dict | list) and value else None


def no_constant(name: str) -> Any:
    """Refuses what Python's decoder takes beyond JSON: NaN and the infinities."""
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=no_constant)
