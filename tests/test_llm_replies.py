"""Replies: JSON is found wherever it stands, always checked, mended only when whole, asked for again when wrong."""

from __future__ import annotations

from typing import Any

import pytest

from upcycle.errors import RowError, RowKind
from upcycle.llm.model import Completion, Request, Usage
from upcycle.llm.replies import ask, find_json, read_reply
from upcycle.testing import ScriptedModel

SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}
PROSE = "I would rather not."


def request(**given: Any) -> Request:
    return Request(({"role": "system", "content": "s"}, {"role": "user", "content": "u"}), "test", **given)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"answer": "a"}', "a"),
        ('```json\n{"answer": "a"}\n```', "a"),
        ('Sure!\n\n```\n{"answer": "a"}\n```\nAnything else?', "a"),
        ('Here you are: {"answer": "a"} I hope it helps.', "a"),
        ('{"answer": "if (x) { y[0] = \\"}\\"; }"}', 'if (x) { y[0] = "}"; }'),
        ('As {x} and [1] show, {"answer": "\\\\frac{a}{b}"} is it', "\\frac{a}{b}"),
        ('{"note": 1} {"answer": "second"}', "second"),
        ('<think>{"answer": "no"} hm</think>{"answer": "yes"}', "yes"),
        ('```json\n{"answer": "```python\\nx\\n```"}\n```', "```python\nx\n```"),
    ],
)
def test_json_is_found_in_what_models_say_around_it(text: str, value: str) -> None:
    read = read_reply(Completion(text), SCHEMA)
    assert (read.value, read.problem, read.repaired) == ({"answer": value}, None, False)


@pytest.mark.parametrize("text", ["{'answer': 'a',}", '{"answer": "a",}', 'So:\n```json\n{answer: "a"}\n```'])
def test_nearly_json_is_mended_and_said_to_be(text: str) -> None:
    read = read_reply(Completion(text), SCHEMA)
    assert (read.value, read.problem, read.repaired) == ({"answer": "a"}, None, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        PROSE,
        '""',
        "[]",
        '{"answer": 5}',
        '{"answer": NaN}',
        '{"other": "a"}',
        '{"answer": "half a sen',
        '```json\n{"answer": "half a sen',
        "[" * 5000,
        "{" * 5000,
    ],
)
def test_what_is_not_an_answer_is_not_made_one(text: str) -> None:
    assert read_reply(Completion(text), SCHEMA).problem is not None


def test_a_cut_reply_is_no_reply_even_where_it_happens_to_fit() -> None:
    assert read_reply(Completion('{"answer": "a"}', finish="length"), SCHEMA).problem is not None
    assert read_reply(Completion("words and", finish="length"), None).problem is not None


def test_prose_is_taken_as_it_is_where_no_schema_was_asked_for() -> None:
    assert read_reply(Completion("  words \n"), None).value == "words"


def test_a_further_check_decides_among_several_values() -> None:
    read = read_reply(
        Completion('{"answer": "a"} or {"answer": "b"}'), SCHEMA, lambda v: None if v["answer"] == "b" else "not b"
    )
    assert read.value == {"answer": "b"}


def test_the_problem_says_where_and_what() -> None:
    problem = read_reply(Completion('{"answer": 5}'), SCHEMA).problem
    assert problem is not None
    assert problem.startswith("answer: 5 is not of type")


async def test_a_valid_reply_is_asked_for_once() -> None:
    model = ScriptedModel([Completion('{"answer": "a"}', Usage(3, 4), key="k1", cost_micro=9)])
    reply = await ask(model, request(schema=SCHEMA))
    assert (reply.value, reply.repaired, reply.calls) == ({"answer": "a"}, False, ("k1",))
    assert (reply.cost_micro, reply.tokens) == (9, 7)


async def test_a_wrong_reply_is_asked_for_again_as_another_sample_and_then_with_what_was_wrong() -> None:
    said = [Completion(PROSE, Usage(1, 1), key=f"k{n}", cost_micro=2) for n in range(3)]
    model = ScriptedModel([*said, Completion('{"answer": "a"}', Usage(1, 1), key="k3", cost_micro=2)])
    reply = await ask(model, request(schema=SCHEMA, temperature=0.7, sample=5))
    assert [asked.sample for asked in model.requests] == [5, 1005, 2005, 3005]
    assert (reply.calls, reply.cost_micro, reply.tokens) == (("k0", "k1", "k2", "k3"), 8, 8)
    first, second, third, fourth = (asked.messages[-1]["content"] for asked in model.requests)
    assert first == second == "u"
    assert "holds no JSON" in third
    assert "JSON Schema" in third
    assert fourth == third
    assert all(asked.messages[0]["content"] == "s" for asked in model.requests)


async def test_at_temperature_zero_the_second_try_already_says_what_was_wrong() -> None:
    model = ScriptedModel([PROSE, '{"answer": "a"}'])
    await ask(model, request(schema=SCHEMA))
    assert "holds no JSON" in model.requests[1].messages[-1]["content"]


async def test_a_cut_reply_is_asked_for_again_with_more_room() -> None:
    model = ScriptedModel([Completion("{", finish="length")] * 3 + ['{"answer": "a"}'])
    await ask(model, request(schema=SCHEMA, max_tokens=100))
    assert [asked.max_tokens for asked in model.requests] == [100, 200, 400, 400]


async def test_a_row_is_unparseable_after_the_last_try() -> None:
    model = ScriptedModel([PROSE] * 2)
    with pytest.raises(RowError, match=r"holds no JSON.*2 tries.*I would rather") as caught:
        await ask(model, request(schema=SCHEMA), tries=2)
    assert caught.value.kind == RowKind.UNPARSEABLE


async def test_a_filtered_reply_is_not_asked_for_again() -> None:
    model = ScriptedModel([Completion("", finish="filter")])
    with pytest.raises(RowError, match="filter") as caught:
        await ask(model, request())
    assert caught.value.kind == RowKind.API_FATAL


async def test_what_fails_the_check_is_asked_for_again() -> None:
    model = ScriptedModel(["no", "yes"])
    reply = await ask(model, request(), check=lambda text: None if text == "yes" else "say yes")
    assert reply.value == "yes"
    assert "say yes" in model.requests[1].messages[-1]["content"]


def test_values_are_found_in_order() -> None:
    assert list(find_json('a [1, 2] b {"c": "]"} d')) == [[1, 2], {"c": "]"}]
