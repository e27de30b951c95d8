"""Asking: all llm steps of a plan as one question, put to the model for several records in one call.

What is the same for every record (the task, the fields, the form of the reply) is one system message, byte for byte
the same in every call, so that a provider's prompt cache holds it; the records come last. Only fields the steps read
are shown, and a record is cut to a bound, so no record can make a call too long. `llm/together.py` does the asking.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from upcycle.contract import Contract, Kind
from upcycle.errors import RowError
from upcycle.llm.model import Message, Model, Request
from upcycle.llm.together import Answer, ask_together
from upcycle.methods.datatune.plans.steps import Llm
from upcycle.methods.prompts import CUT, fill, show_task
from upcycle.task import Task

STAGE = "transform"
SKIP = "skip"

_RECORD_TOKENS = 2_000
_FIELD_TOKENS = 400  # for a text whose contract gives no length
_MOST_FIELD_TOKENS = 1_500
_FRAME_TOKENS = 20  # id, names, brackets and commas of one entry
_REASON_TOKENS = 24  # why a record is skipped
_PROMPT_TOKENS = 6_000
_REPLY_TOKENS = 4_000
_BYTES_A_TOKEN = 3.6
_DEMONSTRATIONS = 3
_DEMONSTRATION_CHARS = (400, 300)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Calls(NamedTuple):
    """What a row's calls were, and its share of what they cost."""

    keys: tuple[str, ...] = ()
    cost_micro: int = 0
    tokens: int = 0


class Asked(NamedTuple):
    """What the model wrote for one record: fields, or why there are none.

    Attributes:
        values: the fields by name, all of them; empty where it skipped or failed.
        skip: the model's reason to leave the record out.
        error: why no valid answer came; its `calls` are those to forget when the record is to be asked afresh.
        calls: every call the record was in.
        tries: how many those were; more than 1 means asked again.
        wrong: what was wrong with the last reply; "" where there is a valid one.
    """

    values: dict[str, str]
    skip: str | None
    error: RowError | None
    calls: Calls
    tries: int
    wrong: str = ""


class Asking:
    """The llm steps of one plan as requests.

    Args:
        steps: llm steps that follow one another; a later one may read what an earlier one writes.
        expanded: the task in the words of `expand`.
        prose: the plan in words, where the model should see it.
        tries: calls a record is in at most.
    """

    def __init__(self, steps: Sequence[Llm], *, task: Task, expanded: str, prose: str = "", tries: int = 4) -> None:
        self.steps = tuple(steps)
        self._tries = tries
        self._names = _names(self.steps)
        self._reads = _reads(self.steps)
        self._system: Message = {"role": "system", "content": self._prompt(task, expanded, prose)}
        self._schema = _schema(self._names)
        fields = sum(_bound(name, step.contract) for name, step in self._names.items())
        self._row_tokens = _FRAME_TOKENS + max(fields, _REASON_TOKENS)

    async def answers(
        self, rows: Sequence[Mapping[str, Any]], model: Model, *, once: bool = False, wrong: Sequence[str] = ()
    ) -> list[Asked]:
        """What the model writes for each of some records, asked in one call; at most `fits(rows)` should be given.

        Args:
            once: do not ask again for those whose replies cannot be used.
            wrong: where these are such records, what was wrong with each reply.

        Raises:
            ProviderError: and whatever else is no single record's failure.
        """
        shown = [self._show(row) for row in rows]
        answers = await ask_together(
            model, shown, self._request, check=self._check, tries=1 if once else self._tries, wrong=wrong
        )
        return [self._asked(answer) for answer in answers]

    def fits(self, rows: Sequence[Mapping[str, Any]], limit_tokens: int = _PROMPT_TOKENS) -> int:
        """How many of the leading records one call can hold, by its prompt and by its reply; at least 1."""
        room = limit_tokens - _tokens(self._system["content"])
        most = min(len(rows), _REPLY_TOKENS // self._row_tokens)
        for count, row in enumerate(rows[:most]):
            room -= _tokens(_tagged(str(count + 1), self._show(row)))
            if room < 0:
                return max(1, count)
        return max(1, most)

    @property
    def shared_tokens(self) -> int:
        """Tokens every call repeats, however many records it holds."""
        return _tokens(self._system["content"])

    def holds(self, rows: Sequence[Mapping[str, Any]], most: int) -> int:
        """How many records like these one call can hold, `most` at most; at least 1."""
        sizes = [_tokens(_tagged("10", self._show(row))) for row in rows]
        room = (_PROMPT_TOKENS - self.shared_tokens) * len(sizes) // max(1, sum(sizes))
        return max(1, min(most, _REPLY_TOKENS // self._row_tokens, room))

    def _request(self, shown: Sequence[tuple[str, str]]) -> Request:
        records = "\n".join(_tagged(key, text) for key, text in shown)
        messages = (self._system, {"role": "user", "content": records})
        return Request(messages, STAGE, max_tokens=max(64, len(shown) * self._row_tokens), schema=self._schema)

    def _prompt(self, task: Task, expanded: str, prose: str) -> str:
        several = len(self._names) > 1
        plan = f"Plan: {prose}\n" if prose else ""
        lines = [
            f"- {json.dumps(name, ensure_ascii=False)}: {step.ask} ({_told(step, several=several)})"
            for name, step in self._names.items()
        ]
        return fill(
            Path(__file__).parent,
            "row",
            task=show_task(task, most=_DEMONSTRATIONS, chars=_DEMONSTRATION_CHARS),
            about=f"About the task: {expanded}\n{plan}" if expanded else plan,
            fields="\n".join(lines),
            shape="{" + ", ".join(f"{json.dumps(name, ensure_ascii=False)}: ..." for name in self._names) + "}",
        )

    def _show(self, row: Mapping[str, Any]) -> str:
        return show_record({name: row.get(name) for name in self._reads})

    def _check(self, _: str, value: Any) -> str | None:
        if SKIP in value:
            return None if value[SKIP].strip() else f"give a reason in {SKIP!r}"
        for name, step in self._names.items():
            if wrong := _field_violation(step.contract, str(value[name])):
                return f"{name}: {wrong}"
        return None

    def _asked(self, answer: Answer) -> Asked:
        calls = Calls(answer.calls, answer.cost_micro, answer.tokens)
        if answer.error is not None:
            return Asked({}, None, answer.error, calls, answer.tries, answer.wrong)
        if SKIP in answer.value:
            return Asked({}, answer.value[SKIP].strip(), None, calls, answer.tries)
        values = {step.into: str(answer.value[name]).strip() for name, step in self._names.items()}
        return Asked(values, None, None, calls, answer.tries)


def show_record(fields: Mapping[str, Any], tokens: int = _RECORD_TOKENS) -> str:
    """Fields of one record as JSON of about `tokens` tokens at most: short fields whole, long ones cut alike."""
    texts = {name: _plain(value) if isinstance(value, str) else _json(value) for name, value in fields.items()}
    sizes = {name: len(text.encode()) for name, text in texts.items()}
    room = int(tokens * _BYTES_A_TOKEN)
    # The shortest first: what a short field leaves of its share is shared by the longer ones.
    for place, name in enumerate(sorted(sizes, key=lambda name: sizes[name])):
        share = room // (len(sizes) - place)
        room -= min(sizes[name], share)
        if sizes[name] > share:
            texts[name] = _json(texts[name].encode()[:share].decode(errors="ignore") + CUT)
        elif isinstance(fields[name], str):
            texts[name] = _json(texts[name])
    parts = (f"{_json(name)}:{text}" for name, text in texts.items())
    # JSON may escape a slash, so a record cannot close the tag it stands in.
    return ("{" + ",".join(parts) + "}").replace("</", "<\\/")


def _plain(text: str) -> str:
    # A lone surrogate cannot be sent, and a control character takes six others in JSON. What is cut anyway is not read.
    short = text[: int(_RECORD_TOKENS * _BYTES_A_TOKEN) + 1]
    return _CONTROL.sub(" ", short.encode("utf-8", "replace").decode())


def _json(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    except (TypeError, ValueError, RecursionError):
        text = json.dumps(str(value), ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()


def _tagged(key: str, text: str) -> str:
    return f'<record id="{key}">{text}</record>'


def _tokens(text: str) -> int:
    # By bytes: a character of Chinese is about a token, one of English a quarter of one.
    return int(len(text.encode()) / _BYTES_A_TOKEN) + 1


def _names(steps: Sequence[Llm]) -> dict[str, Llm]:
    """The steps by the names the reply uses: those of their fields, unless the reply needs the word itself."""
    names: dict[str, Llm] = {}
    for step in steps:
        name = step.into
        while name in names or name in (SKIP, "id"):
            name += "_"
        names[name] = step
    return names


def _reads(steps: Sequence[Llm]) -> tuple[str, ...]:
    reads: dict[str, None] = {}
    written: set[str] = set()
    for step in steps:
        reads.update(dict.fromkeys(name for name in step.fields if name not in written))
        written.add(step.into)
    return tuple(reads)


def _told(step: Llm, *, several: bool) -> str:
    told = step.contract.described()
    return f"from {', '.join(step.fields)}; {told}" if several else told


def _field_violation(contract: Contract, text: str) -> str | None:
    if contract.kind in (Kind.CHOICE, Kind.SPAN):
        return None if text.strip() else "the value is empty"
    return contract.violation("-", text.strip())


def _schema(names: Mapping[str, Llm]) -> dict[str, Any]:
    # Two closed forms instead of one with nulls: a null "skip" a record would be paid for again and again.
    fields = {name: _field_schema(step.contract) for name, step in names.items()}
    return {"anyOf": [_closed(fields), _closed({SKIP: {"type": "string"}})]}


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _field_schema(contract: Contract) -> dict[str, Any]:
    if contract.kind == Kind.LABEL and contract.labels:
        return {"enum": list(contract.labels)}
    if contract.kind == Kind.NUMBER:
        return {"type": ["string", "number"]}
    return {"type": "string"}


def _bound(name: str, contract: Contract) -> int:
    """Most tokens a field's value takes, its name included."""
    named = len(name.encode()) // 3 + 4
    if contract.kind == Kind.LABEL and contract.labels:
        return named + max(len(label.encode()) for label in contract.labels) // 2 + 4
    if contract.kind == Kind.NUMBER:
        return named + 24
    if contract.max_chars is not None:
        return named + min(_MOST_FIELD_TOKENS, contract.max_chars // 2 + 16)
    return named + _FIELD_TOKENS
