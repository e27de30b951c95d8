"""Several items in one call: each is keyed by a short id, checked alone, and asked again alone when it was wrong.

`ask_together(model, items, request, check=...)` is `ask` for many. The ids are the places 1..k of the items in their
call, so they never grow, and a schema exists once per number of items. The reply is asked for as a mapping of id to
value: there a server that holds replies to a schema can neither leave an id out nor name it twice. What models write
instead is read too: a list of objects with `id`, either of them under "rows", one object a line, a bare value where one
item was asked for, and whatever stood complete before a reply was cut.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from upcycle.errors import RowError, RowKind
from upcycle.llm.model import Completion, Model, Request
from upcycle.llm.replies import FENCE, STARTS, mend, next_opening, no_constant, said
from upcycle.llm.schemas import in_words, problem

T = TypeVar("T")

_ROOM = 4  # cut replies are asked for again with up to so many times the tokens
_TOLD = 200  # characters of what was wrong with one item, as the model is told


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one item.

    Attributes:
        value: the checked JSON value; None where `error` is set.
        error: why there is none (unparseable, api-fatal, api-transient). Its `calls` are those to forget so that the
            item is asked afresh: the ones that asked for it alone, which disturbs no other item; where an unusable
            reply was never about it alone, all of them.
        calls: keys of all calls the item was in.
        tries: calls the item was in, those that brought no reply counted too; more than 1 means asked again.
        wrong: what was wrong with the last reply about it; "" where there is a value.
        cost_micro: its share of what those calls cost. The shares of a call add up to its cost exactly.
        tokens: its share of their tokens, likewise.
    """

    value: Any
    error: RowError | None
    calls: tuple[str, ...]
    tries: int
    cost_micro: int
    tokens: int
    wrong: str = ""


async def ask_together(
    model: Model,
    items: Sequence[T],
    request: Callable[[Sequence[tuple[str, T]]], Request],
    *,
    check: Callable[[T, Any], str | None] | None = None,
    tries: int = 4,
    wrong: Sequence[str] = (),
) -> list[Answer]:
    """Ask for all items in one call, then again only for those that are missing or wrong.

    What is left of a call is asked for again in halves, and in the last try one item a call; the calls of one try are
    made side by side. Every item is in at most `tries` calls, and a try makes at most one call per item left; so k
    items cost at most 1 + (tries - 1) k calls and `tries` times their own prompts and replies, which is never more
    than k times `ask` with as many tries. A try follows from the replies of the one before alone, so the same replies
    lead to the same requests, and a journal can replay them.

    Args:
        request: the request for some items with their ids. Its schema is that of *one* item's value (no member of
            it may be called "id"); the schema of all of them is made here. Its `max_tokens` must do for all.
        check: a further check of one item's value: what is wrong with it, or None.
        wrong: of items that were asked before, in one call each with others, what was wrong with the reply about
            each; their first try was that call.

    Returns:
        One answer per item, in their order. No `RowError` is raised.

    Raises:
        ProviderError: and whatever else is no single row's failure, after the calls under way have ended.
    """
    if tries < 1:
        raise ValueError("tries must be at least 1")
    known = wrong or [""] * len(items)
    first = 2 if wrong else 1
    states = [_State(item, wrong=told, tries=first - 1) for item, told in zip(items, known, strict=True)]
    groups = [_Group(states)] if states else []
    for attempt in range(first, tries + 1):
        work = [_try(model, group, request, check, attempt) for group in groups]
        # A task each is for several; most often there is one.
        ended = [await work[0]] if len(work) == 1 else await asyncio.gather(*work, return_exceptions=True)
        if fatal := next((one for one in ended if isinstance(one, BaseException)), None):
            raise fatal
        left = [one for one in ended if isinstance(one, _Group) and one.states]
        groups = [part for group in left for part in _split(group, last=attempt + 1 == tries)]
    return [state.answer() for state in states]


def together(schema: dict[str, Any], ids: Sequence[str]) -> dict[str, Any]:
    """The schema of a reply with one value per id, each satisfying `schema`."""
    value = {"$ref": "#/$defs/row"}
    return {
        "type": "object",
        "properties": dict.fromkeys(ids, value),
        "required": list(ids),
        "additionalProperties": False,
        "$defs": {"row": schema},
    }


@dataclass(slots=True)
class _State(Generic[T]):
    """One item while it is asked for."""

    item: T
    value: Any = None
    open: bool = True  # not answered, and may be asked for again
    kind: RowKind | None = RowKind.UNPARSEABLE
    wrong: str = ""
    began: str = ""
    calls: list[str] = field(default_factory=list)
    alone: list[str] = field(default_factory=list)
    tries: int = 0
    cost_micro: int = 0
    tokens: int = 0

    def answer(self) -> Answer:
        error = None
        if self.kind is not None:
            tried = f"{self.tries} {'try' if self.tries == 1 else 'tries'}"
            told = f"{self.wrong} ({tried}; the last reply began {self.began!r})" if self.open else self.wrong
            shared = self.calls if self.kind == RowKind.UNPARSEABLE else ()
            error = RowError(self.kind, told, calls=tuple(self.alone or shared))
        wrong = self.wrong if error is not None else ""
        return Answer(self.value, error, tuple(self.calls), self.tries, self.cost_micro, self.tokens, wrong)


@dataclass(slots=True)
class _Group(Generic[T]):
    """Items of one call; `room` times the tokens are allowed after replies that were cut."""

    states: list[_State[T]]
    room: int = 1


def _split(group: _Group[T], *, last: bool) -> Iterator[_Group[T]]:
    size = 1 if last else (len(group.states) + 1) // 2
    for start in range(0, len(group.states), size):
        yield _Group(group.states[start : start + size], group.room)


async def _try(
    model: Model,
    group: _Group[T],
    request: Callable[[Sequence[tuple[str, T]]], Request],
    check: Callable[[T, Any], str | None] | None,
    attempt: int,
) -> _Group[T]:
    """Ask once for a group; what is left of it."""
    numbered = {str(number): state for number, state in enumerate(group.states, 1)}
    base = request([(key, state.item) for key, state in numbered.items()])
    if base.schema is None:
        raise ValueError("a request for several items needs the schema of one item's value")
    for state in group.states:
        state.tries += 1
    try:
        completion = await model.complete(_asked(base, base.schema, numbered, attempt, group.room))
    except RowError as error:
        return _refused(group, error)
    _share(group.states, completion)
    if completion.finish == "filter":
        return _refused(group, RowError(RowKind.API_FATAL, "the server's content filter withheld the reply"))
    found = read_items(completion, list(numbered))
    cut = completion.finish == "length"
    missing = "the reply was cut off before its end" if cut else "the reply leaves it out"
    for key, state in numbered.items():
        state.began = completion.text[:80]
        _settle(state, found[key], base.schema, check, missing)
    left = [state for state in group.states if state.open]
    return _Group(left, min(_ROOM, group.room * 2) if cut else group.room)


def _asked(base: Request, one: dict[str, Any], numbered: dict[str, _State[T]], attempt: int, room: int) -> Request:
    schema = together(one, list(numbered))
    sample = base.sample + 1000 * (attempt - 1)
    asked = replace(base, schema=schema, max_tokens=base.max_tokens * room, sample=sample)
    # As in `ask`: the second try says what was wrong only where the same words would bring the same reply.
    if attempt == 1 or (attempt == 2 and base.temperature > 0):
        return asked
    reasons: dict[str, list[str]] = {}
    for key, state in numbered.items():
        # On one line and short: part of it may be a reply's own words, and those may have been a record's.
        reasons.setdefault(" ".join(state.wrong.split())[:_TOLD], []).append(key)
    wrong = "; ".join(f"{', '.join(keys)}: {reason}" for reason, keys in reasons.items())
    note = f"(Earlier replies could not be used. {wrong}.)"
    if len(numbered) == 1 and attempt > 2:
        note = f"{note}\n{in_words(schema)}"
    last = base.messages[-1]
    return replace(asked, messages=(*base.messages[:-1], {**last, "content": f"{last['content']}\n\n{note}"}))


def _refused(group: _Group[T], error: RowError) -> _Group[T]:
    # What one item did (too long, filtered) the others of its call must not suffer; a server in trouble, though, is
    # not asked more often for it.
    over = error.kind != RowKind.API_FATAL or len(group.states) == 1
    for state in group.states:
        state.kind, state.wrong, state.open = error.kind, str(error), not over
    return _Group([] if over else group.states, group.room)


def _share(states: Sequence[_State[T]], completion: Completion) -> None:
    count = len(states)
    for place, state in enumerate(states):
        state.calls.append(completion.key)
        if count == 1:
            state.alone.append(completion.key)
        first = place == 0
        state.cost_micro += completion.cost_micro // count + (completion.cost_micro % count if first else 0)
        state.tokens += completion.usage.total // count + (completion.usage.total % count if first else 0)


def _settle(
    state: _State[T],
    candidates: Sequence[Any],
    schema: dict[str, Any],
    check: Callable[[T, Any], str | None] | None,
    missing: str,
) -> None:
    state.kind, state.wrong = RowKind.UNPARSEABLE, ""
    for candidate in candidates:
        value, wrong = _shaped(candidate, schema)
        wrong = wrong or (check(state.item, value) if check else None)
        if wrong is None:
            state.value, state.kind, state.open = value, None, False
            return
        state.wrong = state.wrong or wrong
    state.wrong = state.wrong or missing


def _shaped(value: Any, schema: dict[str, Any]) -> tuple[Any, str | None]:
    wrong = problem(value, schema)
    if wrong is None or not isinstance(value, dict):
        return value, wrong
    # Models fill in what may be left out, with nothing.
    filled = {name: part for name, part in value.items() if part not in (None, "")}
    return (filled, None) if problem(filled, schema) is None else (value, wrong)


# -- reading -----------------------------------------------------------------------------------------------------------

_UNCLOSED = re.compile(r"\s*<think(?:ing)?>")
_MEMBER = re.compile(r'(?:"((?:[^"\\]|\\.)*)"|(\d+))\s*:\s*')
_ANSWER = re.compile(r'\{\s*(?:"(?:[^"\\]|\\.)*"|\d+)\s*:|\[\s*[{\[]')
_BETWEEN = re.compile(r"[\s,]*")

_DEPTH = 2  # an answer may stand in an object in a list, not deeper


def _members(pairs: list[tuple[str, Any]]) -> Any:
    # Decoding to a dict would let the last of two equal names win unseen; apart, the first valid one does.
    members = dict(pairs)
    return members if len(members) == len(pairs) else [{name: value} for name, value in pairs]


_DECODER = json.JSONDecoder(parse_constant=no_constant, object_pairs_hook=_members)

Pair = tuple[str | None, Any]
"""A value and the id it came with, if any."""


def read_items(completion: Completion, ids: Sequence[str]) -> dict[str, list[Any]]:
    """Per id the values a reply holds for it, in their order; ids that were not asked for are left aside.

    Of a reply that breaks off, what is complete before the break. Where one id was asked for, a value without an id is
    its value.
    """
    found: dict[str, list[Any]] = {key: [] for key in ids}
    text = said(completion)
    if not text or _UNCLOSED.match(text):
        return found
    _sort(_written(text, found), found)
    missing = {key: seen for key, seen in found.items() if not seen}
    if missing and completion.finish != "length" and (mended := mend(text)) is not None:
        _sort(_pairs(mended, found), missing, alone=len(found) == 1)
    return found


def _sort(pairs: Iterator[Pair], found: dict[str, list[Any]], *, alone: bool = True) -> None:
    only = next(iter(found)) if alone and len(found) == 1 else ""
    for key, value in pairs:
        place = found.get(key or only)
        if place is not None:
            place.append(value)


def _written(text: str, ids: Collection[str]) -> Iterator[Pair]:
    try:
        whole = _DECODER.decode(text)
    except (ValueError, RecursionError):
        pass
    else:
        yield from _pairs(whole, ids)
        return
    for body in (*(fence[2] for fence in FENCE.finditer(text)), text):
        position = starts = 0
        while starts < STARTS and (start := next_opening(body, position)) >= 0:
            starts += 1
            try:
                value, position = _DECODER.raw_decode(body, start)
                yield from _pairs(value, ids)
            except (ValueError, RecursionError):
                yield from _torn(body, start, ids)
                # Of a torn answer nothing more is taken, least of all a value that lost its id. A brace in a sentence
                # is no answer.
                position = len(body) if _ANSWER.match(body, start) else start + 1


def _pairs(value: Any, ids: Collection[str], depth: int = 0) -> Iterator[Pair]:
    """The values in `{id: value}`, `{"id": id, ...}`, a list of these, or any of them as a member of an object."""
    if isinstance(value, list):
        for part in value if depth < _DEPTH else ():
            yield from _pairs(part, ids, depth + 1)
    elif not isinstance(value, dict):
        yield None, value
    elif named := [key for key in value if key in ids]:
        for key in named:
            part = value[key]
            if not isinstance(part, dict) or "id" not in part:
                yield key, part
            elif _id(part["id"]) == key:
                yield key, {name: inner for name, inner in part.items() if name != "id"}
    elif "id" in value:
        yield _id(value["id"]) or "", {name: part for name, part in value.items() if name != "id"}
    else:
        yield None, value
        for part in value.values() if depth < _DEPTH else ():
            if isinstance(part, list | dict):
                yield from (pair for pair in _pairs(part, ids, depth + 1) if pair[0] is not None)


def _id(value: Any) -> str:
    return str(value).strip() if isinstance(value, str | int) else ""


def _torn(text: str, start: int, ids: Collection[str], *, deeper: bool = True) -> Iterator[Pair]:
    """What is complete of an object or list that breaks off."""
    keyed, at = text[start] == "{", start + 1
    while (at := _between(text, at)) < len(text):
        key = None
        if keyed:
            member = _MEMBER.match(text, at)
            if member is None:
                return
            key, at = member[1] or member[2], member.end()
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            if deeper and key not in ids and text[at : at + 1] in ("{", "["):
                yield from _torn(text, at, ids, deeper=False)
            return
        if not isinstance(value, str | list | dict) and text[end : end + 1] not in (",", "]", "}"):
            return  # half a number may look whole
        at = end
        if not keyed:
            yield from _pairs(value, ids)
        else:
            yield from (pair for pair in _pairs({key: value}, ids) if pair[0] is not None)


def _between(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    return found.end() if found else at
