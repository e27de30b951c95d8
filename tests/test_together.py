"""Several items in one call: whatever form a reply takes it is read, and only what is wrong is asked again."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from upcycle.budget import Budget
from upcycle.errors import BudgetExceededError, ProviderError, RowError, RowKind
from upcycle.llm.faults import AttemptError
from upcycle.llm.gateway import Journaled, Metered, Paced, Retried
from upcycle.llm.model import Completion, Model, Request, Usage
from upcycle.llm.openai import OpenAIModel
from upcycle.llm.pace import Gate
from upcycle.llm.prices import Price
from upcycle.llm.together import Answer, ask_together, read_items, together
from upcycle.run.journal import Journal
from upcycle.run.ledger import Ledger
from upcycle.testing import FakeServer, RefusalError, ScriptedModel, satisfy

SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}
PROSE = "I would rather not."


def request(rows: Sequence[tuple[str, str]], **given: Any) -> Request:
    system = {"role": "system", "content": "Double every word."}
    user = {"role": "user", "content": "\n".join(f"{key}={word}" for key, word in rows)}
    return Request((system, user), "test", max_tokens=10 * len(rows), schema=SCHEMA, **given)


def asked(request: Request) -> dict[str, str]:
    """The words of a request by their ids, as a model reads them."""
    lines = request.messages[-1]["content"].split("\n\n")[0].split("\n")
    return dict(line.split("=", 1) for line in lines)  # type: ignore[misc]


def doubled(word: str, value: Any) -> str | None:
    return None if value["answer"] == word * 2 else f"{value['answer']!r} is not {word!r} twice"


def right(request: Request) -> dict[str, Any]:
    return {key: {"answer": word * 2} for key, word in asked(request).items()}


async def ask(model: ScriptedModel, words: Sequence[str], tries: int = 4) -> list[Answer]:
    return await ask_together(model, words, request, check=doubled, tries=tries)


def values(answers: Sequence[Answer]) -> list[str | None]:
    return [answer.value and answer.value["answer"] for answer in answers]


def sizes(model: ScriptedModel) -> list[int]:
    return [len(asked(one)) for one in model.requests]


A, B, C = ({"answer": word * 2} for word in "abc")


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"1": A, "2": B, "3": C}),
        json.dumps({"rows": [{"id": "1", **A}, {"id": "2", **B}, {"id": "3", **C}]}),
        json.dumps([{"id": 1, **A}, {"id": 2, **B}, {"id": 3, **C}]),
        json.dumps({"rows": {"1": A, "2": B, "3": C}}),
        json.dumps({"note": "as asked", "answers": [{"id": " 1", **A}, {"id": 2, **B}, {"id": "3", **C}]}),
        json.dumps([{"1": A}, {"2": B}, {"3": C}]),
        json.dumps({"3": C, "1": A, "2": B}),
        json.dumps({"rows": [{"id": 3, **C}, {"id": 1, **A}, {"id": 2, **B}]}),
        json.dumps({"1": {"id": 1, **A}, "2": {"id": "2", **B}, "3": {"id": "3", **C}}),
        json.dumps({"1": {**A, "skip": None}, "2": {**B, "skip": ""}, "3": C}),
        json.dumps({"0": C, "1": A, "2": B, "3": C, "4": A, "x": B}),
        json.dumps([{"id": "1", **B}, {"id": "1", **A}, {"id": "2", **B}, {"id": "3", **C}, {"id": "3", **A}]),
        '{"1": {"answer": "no"}, "1": {"answer": "aa"}, "2": {"answer": "bb"}, "3": {"answer": "cc"}}',
        '{"1": {"answer": "aa"}, "1": {"answer": "no"}, "2": {"answer": "bb"}, "3": {"answer": "cc"}}',
        '{"1": {"answer": "aa"}, "2": {"answer": "bb",}, "3": {"answer": "cc"}}',
        "\n".join(json.dumps({"id": n, **value}) for n, value in enumerate((A, B, C), 1)),
        "Here:\n```json\n" + json.dumps({"1": A, "2": B, "3": C}, indent=2) + "\n```\nAnything else?",
        "<think>[1] or {2}?</think>Sure [1]: " + json.dumps({"1": A, "2": B, "3": C}) + " Done.",
        "{'1': {'answer': 'aa'}, '2': {'answer': 'bb'}, '3': {'answer': 'cc'},}",
        '{1: {"answer": "aa"}, 2: {"answer": "bb"}, 3: {"answer": "cc"}}',
    ],
)
async def test_every_form_of_a_reply_is_read_in_one_call(text: str) -> None:
    model = ScriptedModel([text])
    answers = await ask(model, ["a", "b", "c"])
    assert values(answers) == ["aa", "bb", "cc"]
    assert [answer.tries for answer in answers] == [1, 1, 1]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"1": A}),
        json.dumps(A),
        json.dumps([A]),
        json.dumps({"rows": [{"id": "1", **A}]}),
        json.dumps({"id": None, **A}),
        f"The answer:\n```\n{json.dumps(A)}\n```",
        "{'answer': 'aa'}",
    ],
)
async def test_one_item_may_be_answered_without_its_id(text: str) -> None:
    assert values(await ask(ScriptedModel([text]), ["a"])) == ["aa"]


async def test_several_items_are_never_told_apart_by_their_place() -> None:
    model = ScriptedModel(lambda asked: [A, B] if len(model.requests) == 1 else right(asked))
    assert values(await ask(model, ["a", "b"])) == ["aa", "bb"]
    assert sizes(model) == [2, 1, 1]


async def test_an_id_that_is_given_two_names_is_asked_again() -> None:
    model = ScriptedModel(lambda asked: {"1": {"id": 2, **A}, "2": B} if len(model.requests) == 1 else right(asked))
    assert values(await ask(model, ["a", "b"])) == ["aa", "bb"]
    assert sizes(model) == [2, 1]


async def test_swapped_answers_fail_the_check_of_their_own_item() -> None:
    model = ScriptedModel(lambda asked: {"1": B, "2": A, "3": C} if len(model.requests) == 1 else right(asked))
    assert values(await ask(model, ["a", "b", "c"])) == ["aa", "bb", "cc"]
    assert sizes(model) == [3, 1, 1]


async def test_only_missing_and_wrong_items_are_asked_again() -> None:
    def reply(request: Request) -> Any:
        given = right(request)
        if len(model.requests) == 1:
            given.pop("2")
            given["5"] = {"answer": 5}
            given["6"] = "ff"
        return given

    model = ScriptedModel(reply)
    answers = await ask(model, list("abcdefgh"))
    assert values(answers) == [word * 2 for word in "abcdefgh"]
    assert [list(asked(one).values()) for one in model.requests] == [list("abcdefgh"), ["b", "e"], ["f"]]
    assert [answer.tries for answer in answers] == [1, 2, 1, 1, 2, 2, 1, 1]


async def test_the_model_is_told_what_was_wrong_and_with_which_item() -> None:
    model = ScriptedModel([{"1": {"answer": "zz"}, "2": B}, right_later := {"1": A}])
    await ask(model, ["a", "b"])
    told = model.requests[1].messages[-1]["content"]
    assert "1: 'zz' is not 'a' twice" in told
    assert model.requests[1].sample != model.requests[0].sample
    assert right_later == {"1": A}


@pytest.mark.parametrize(
    "junk",
    [
        "",
        PROSE,
        "[" * 5000,
        '{"1": ' * 2000,
        "{}",
        "[]",
        "null",
        '<think>{"1": {"answer": "aa"}}',
        "[[[[[]]]]]",
        '{"1": NaN}',
    ],
)
async def test_items_no_reply_answers_end_alone_after_their_tries_and_say_so(junk: str) -> None:
    model = ScriptedModel(lambda _: junk)
    answers = await ask(model, list("abcdefgh"))
    assert {answer.error.kind for answer in answers if answer.error} == {RowKind.UNPARSEABLE}
    assert all(answer.value is None and answer.tries == 4 for answer in answers)
    assert "4 tries" in str(answers[0].error)
    assert sizes(model) == [8, 4, 4, 2, 2, 2, 2, *[1] * 8]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 16])
@pytest.mark.parametrize("tries", [1, 2, 3, 4, 6])
async def test_half_of_the_items_wrong_for_ever_costs_no_more_than_the_bound(count: int, tries: int) -> None:
    words = [f"w{number}" for number in range(count)]
    model = ScriptedModel(lambda asked: {k: v for k, v in right(asked).items() if int(v["answer"][-1]) % 2})
    answers = await ask(model, words, tries)
    bad = count - count // 2
    assert [answer.error is None for answer in answers] == [number % 2 == 1 for number in range(count)]
    assert len(model.requests) <= 1 + (tries - 1) * bad
    assert all(answer.tries == (tries if answer.error else 1) for answer in answers)
    assert sum(sizes(model)) == count + (tries - 1) * bad
    if tries > 1:
        assert sizes(model)[-bad:] == [1] * bad, "at last each is asked alone"


def cutting(request: Request) -> Completion:
    """A server that cuts at max_tokens, where an entry takes 25."""
    text = json.dumps(right(request))
    shown = text[: request.max_tokens * len(text) // (25 * len(asked(request)))]
    return Completion(shown, Usage(1, request.max_tokens), "length" if shown != text else "stop")


async def test_of_a_cut_reply_the_complete_items_are_used_and_the_rest_is_given_more_room() -> None:
    model = ScriptedModel(cutting)
    answers = await ask(model, list("abcdefgh"))
    assert values(answers) == [word * 2 for word in "abcdefgh"]
    assert sizes(model) == [8, 3, 2, 1, 1]
    assert [one.max_tokens for one in model.requests] == [80, 60, 40, 40, 40]


async def test_room_grows_fourfold_at_most() -> None:
    model = ScriptedModel(lambda request: Completion("[", Usage(1, request.max_tokens), "length"))
    answers = await ask(model, ["a"], tries=6)
    assert [one.max_tokens for one in model.requests] == [10, 20, 40, 40, 40, 40]
    assert "cut off" in str(answers[0].error)


FORMS: dict[str, Callable[[dict[str, Any]], str]] = {
    "mapping": lambda given: json.dumps(given),
    "rows": lambda given: json.dumps({"rows": [{"id": key, **value} for key, value in given.items()]}, indent=1),
    "lines": lambda given: "\n".join(json.dumps({"id": int(key), **value}) for key, value in given.items()),
    "fenced": lambda given: f"Sure, {{1}}:\n```json\n{json.dumps({'rows': given})}\n```",
}


@pytest.mark.parametrize("form", FORMS)
def test_wherever_a_reply_breaks_off_what_is_read_was_written(form: str) -> None:
    texts = ["plain", 'quo"te', '{"2": {"answer": "fake"}}', "brace } ] {", "lîne\nbreak\\", "[1]"]
    given = {str(number): {"answer": text} for number, text in enumerate(texts, 1)}
    whole = FORMS[form](given)
    most = 0
    for end in range(len(whole) + 1):
        found = read_items(Completion(whole[:end], finish="length"), list(given))
        for key, seen in found.items():
            assert all(value == given[key] for value in seen if isinstance(value, dict) and "answer" in value), end
            assert all(isinstance(value, dict) for value in seen)
        read = sum(bool(seen) for seen in found.values())
        assert read >= most or form == "fenced", "what was read of a shorter reply is read of a longer one"
        most = max(most, read)
    assert most == len(given)


@pytest.mark.parametrize(
    ("text", "finish", "ids", "read"),
    [
        ('{"1": {"answer": "no"}, "2": {"answer": "aa"}, "3', "length", "1", {"1": [{"answer": "no"}]}),
        ('{"2": {"answer": "aa"}, "3": {"ans', "length", "1", {"1": []}),
        ('[{"id": 2, "answer": "aa"}, {"ans', "length", "1", {"1": []}),
        ('{"1": {"2": {"answer": "bb"}, "x', "length", "12", {"1": [], "2": []}),
        ('{"rows": {"1": {"2": {"answer": "bb"}, "x', "length", "12", {"1": [], "2": []}),
        ("{'1': {'answer': 'aa'}, '2': {'ans", "length", "12", {"1": [], "2": []}),
        ('{"1": 12', "length", "1", {"1": []}),
        ('{"1": 12, "2": 3', "length", "12", {"1": [12], "2": []}),
        ('{"1": 12, "2": 3}', "stop", "12", {"1": [12], "2": [3]}),
        ('[[[[{"id": 1, "answer": "aa"}]]]]', "stop", "1", {"1": []}),
        ('[[{"id": 1, "answer": "aa"}]]', "stop", "1", {"1": [{"answer": "aa"}]}),
        ('{"2": {"answer": "aa"}}', "stop", "1", {"1": [{"2": {"answer": "aa"}}]}),
        ('{"id": 2, "answer": "aa"}', "stop", "1", {"1": []}),
    ],
)
def test_a_value_is_never_taken_for_another_id_nor_half_of_one_for_a_whole(
    text: str, finish: str, ids: str, read: dict[str, list[Any]]
) -> None:
    assert read_items(Completion(text, finish=finish), list(ids)) == read


def test_what_is_fenced_comes_before_what_was_only_mentioned() -> None:
    text = 'Such as {"1": {"answer": "xx"}}:\n```json\n{"1": {"answer": "aa"}}\n```'
    assert read_items(Completion(text), ["1", "2"])["1"][0] == {"answer": "aa"}


def test_one_answer_is_found_behind_braces_in_sentences() -> None:
    text = 'As {x} and \\frac{a}{b} and [see 1] show, {"answer": "aa"} is it'
    assert {"answer": "aa"} in read_items(Completion(text), ["1"])["1"]


async def test_replies_torn_without_notice_lose_no_complete_item() -> None:
    def reply(request: Request) -> str:
        text = json.dumps(right(request))
        return text[: len(text) // 2] if len(asked(request)) > 1 else text

    model = ScriptedModel(reply)
    assert values(await ask(model, list("abcdefgh"))) == [word * 2 for word in "abcdefgh"]
    assert sizes(model)[0] == 8
    assert sum(sizes(model)) < 8 + 5 + 4 + 3


async def test_shares_of_cost_and_tokens_add_up_to_the_calls() -> None:
    draw = random.Random(3)
    paid: list[Completion] = []

    def reply(request: Request) -> Completion:
        kept = {key: value for key, value in right(request).items() if draw.random() < 0.6}
        usage = Usage(draw.randrange(1000), draw.randrange(100))
        paid.append(Completion(json.dumps(kept), usage, key=f"k{len(paid)}", cost_micro=draw.randrange(10_000)))
        return paid[-1]

    answers = await ask(ScriptedModel(reply), [f"w{n}" for n in range(13)])
    assert sum(answer.cost_micro for answer in answers) == sum(call.cost_micro for call in paid)
    assert sum(answer.tokens for answer in answers) == sum(call.usage.total for call in paid)
    assert {key for answer in answers for key in answer.calls} == {call.key for call in paid}
    assert all(len(answer.calls) == answer.tries for answer in answers)
    for answer in answers:
        assert answer.error is None or answer.error.calls == answer.calls[-len(answer.error.calls) :]


async def test_the_same_replies_lead_to_the_same_requests_in_whatever_order_they_come() -> None:
    words = [f"w{n}" for n in range(16)]

    def said(request: Request) -> str:
        draw = random.Random(request.key("e", "m").hex())
        return json.dumps({key: value for key, value in right(request).items() if draw.random() < 0.5})

    class Late(ScriptedModel):
        async def complete(self, request: Request) -> Completion:
            for _ in range(order.randrange(20)):
                await asyncio.sleep(0)
            return await super().complete(request)

    runs = []
    for seed in range(5):
        order = random.Random(seed)
        model = Late(said)
        answers = await ask(model, words)
        keys = [one.key("e", "m") for one in model.requests]
        runs.append((sorted(keys), [(a.value, a.tries, a.tokens, str(a.error)) for a in answers]))
    assert all(run == runs[0] for run in runs)
    assert len(set(runs[0][0])) == len(runs[0][0]), "no request is made twice"


async def test_what_stops_a_run_is_raised_after_the_calls_under_way_have_ended() -> None:
    ended: list[int] = []

    def reply(request: Request) -> Any:
        if len(model.requests) == 1:
            return PROSE
        if len(model.requests) == 2:
            return ProviderError("the key was refused")
        ended.append(1)
        return right(request)

    model = ScriptedModel(reply)
    with pytest.raises(ProviderError, match="the key was refused"):
        await ask(model, list("abcd"))
    assert ended == [1]
    with pytest.raises(BudgetExceededError):
        await ask(ScriptedModel([BudgetExceededError("no money")]), list("abcd"))


async def test_an_item_the_server_refuses_fails_alone() -> None:
    def reply(request: Request) -> Any:
        if "long" in asked(request).values():
            return RowError(RowKind.API_FATAL, "the prompt is too long")
        return right(request)

    model = ScriptedModel(reply)
    answers = await ask(model, ["a", "b", "long", "d"])
    assert values(answers) == ["aa", "bb", None, "dd"]
    error = answers[2].error
    assert error is not None
    assert (error.kind, str(error), answers[2].tries) == (RowKind.API_FATAL, "the prompt is too long", 3)
    assert sizes(model) == [4, 2, 2, 1, 1]


async def test_an_item_the_filter_withholds_fails_alone_and_is_asked_once_alone() -> None:
    def reply(request: Request) -> Any:
        bad = "rude" in asked(request).values()
        return Completion("", finish="filter") if bad else right(request)

    model = ScriptedModel(reply)
    answers = await ask(model, ["a", "rude"])
    assert values(answers) == ["aa", None]
    assert answers[1].error is not None
    assert answers[1].error.kind == RowKind.API_FATAL
    assert sizes(model) == [2, 1, 1]


async def test_a_server_in_trouble_is_not_asked_more_often_for_it() -> None:
    model = ScriptedModel([AttemptError("HTTP 503 (tried 8 times)")])
    answers = await ask(model, list("abcd"))
    assert {answer.error.kind for answer in answers if answer.error} == {RowKind.API_TRANSIENT}
    assert [answer.error.calls for answer in answers if answer.error] == [()] * 4
    assert sizes(model) == [4]


async def test_a_failed_item_names_the_calls_that_were_its_own() -> None:
    def reply(request: Request) -> Completion:
        given = {key: value for key, value in right(request).items() if value["answer"] != "bb"}
        return Completion(json.dumps(given), key=f"call {len(model.requests)}")

    model = ScriptedModel(reply)
    answers = await ask(model, ["a", "b"])
    assert answers[1].calls == ("call 1", "call 2", "call 3", "call 4")
    assert answers[1].error is not None
    assert answers[1].error.calls == ("call 2", "call 3", "call 4"), "asking it afresh leaves the others alone"
    answers = await ask(model, ["b", "b"], tries=1)
    assert [answer.error and answer.error.calls for answer in answers] == [("call 5",)] * 2


async def test_nothing_is_asked_for_nothing() -> None:
    assert await ask(ScriptedModel([]), []) == []
    with pytest.raises(ValueError, match="tries"):
        await ask(ScriptedModel([]), ["a"], tries=0)


def test_the_schema_of_a_reply_names_every_id_once_and_can_be_satisfied() -> None:
    schema = together(SCHEMA, ["1", "2"])
    assert schema["required"] == ["1", "2"]
    assert satisfy(schema, "text") == {"1": {"answer": "text"}, "2": {"answer": "text"}}


# -- against a served model, with a journal ----------------------------------------------------------------------------


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "run.db")
    yield journal
    journal.close()


def served(server: FakeServer, journal: Journal) -> Model:
    """The whole gateway in front of a server; pauses take one turn of the loop."""
    bare = OpenAIModel("fake", base_url=server.url)
    metered = Metered(bare, journal=journal, ledger=Ledger(Budget()), price=Price(1_000_000, 1_000_000))
    return Journaled(Retried(Paced(metered, Gate(16)), sleep=lambda _: asyncio.sleep(0)), journal)


async def test_a_stopped_run_that_goes_on_asks_only_what_was_not_answered(journal: Journal) -> None:
    refusals, stopped = iter([False, True, False, True, True]), 0

    def reply(request: Request) -> str:
        if next(refusals, False):
            raise RefusalError(401, "gone")
        return json.dumps(dict(list(right(request).items())[::2]))

    words = [f"w{n}" for n in range(12)]
    runs: list[list[Answer]] = []
    async with FakeServer(reply) as server:
        while len(runs) < 2:
            paid = server.stats()["paid"]
            model = served(server, journal)
            try:
                runs.append(await ask_together(model, words, request, check=doubled))
            except ProviderError:
                stopped += 1
            await model.close()
        stats = server.stats()
    assert stopped > 0
    assert (stats["paid"], stats["paid_twice"]) == (paid, 0), "the last run was all from the journal"
    told = [[(a.value, a.calls, a.cost_micro, str(a.error)) for a in answers] for answers in runs]
    assert told[0] == told[1]
    assert values(runs[0]) == [word * 2 for word in words]
    assert sum(a.tokens for a in runs[0]) == stats["tokens"]


async def test_a_served_model_that_fails_as_servers_do_still_answers_every_item(journal: Journal) -> None:
    def reply(request: Request) -> str:
        return json.dumps(right(request))

    async with FakeServer(reply, rate_limited=0.1, failing=0.1, invalid=0.2, retry_after=0) as server:
        model = served(server, journal)
        words = [f"w{n}" for n in range(64)]
        batches = [words[start : start + 8] for start in range(0, 64, 8)]
        told = await asyncio.gather(*(ask_together(model, batch, request, check=doubled) for batch in batches))
        await model.close()
    assert [value for answers in told for value in values(answers)] == [word * 2 for word in words]
