"""The gateway: nothing is asked twice, nothing is overspent, what may succeed is tried again, what cannot stops."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from upcycle.budget import Budget
from upcycle.errors import BudgetExceededError, ConfigError, ProviderError, RowError, RowKind
from upcycle.llm.connect import Choice, open_model
from upcycle.llm.faults import AttemptError
from upcycle.llm.gateway import Journaled, Metered, Paced, Retried
from upcycle.llm.model import Completion, Model, Request, Usage
from upcycle.llm.openai import OpenAIModel
from upcycle.llm.pace import Gate
from upcycle.llm.prices import Price
from upcycle.run.journal import Journal
from upcycle.run.ledger import Ledger
from upcycle.testing import FakeServer, FlakyModel, RefusalError, ScriptedModel

DOLLAR = Price(1_000_000, 1_000_000)  # one millionth of a dollar a token


def request(text: str = "hello", **given: int) -> Request:
    return Request(({"role": "user", "content": text},), "test", **given)  # type: ignore[arg-type]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "run.db")
    yield journal
    journal.close()


@pytest.fixture
def pauses() -> list[float]:
    return []


def gateway(model: Model, journal: Journal, ledger: Ledger, pauses: list[float] | None = None, **given: int) -> Model:
    """The whole stack, pausing on paper."""

    async def sleep(seconds: float) -> None:
        if pauses is not None:
            pauses.append(seconds)
        await asyncio.sleep(0)

    metered = Metered(model, journal=journal, ledger=ledger, price=DOLLAR)
    return Journaled(Retried(Paced(metered, Gate(given.get("concurrency", 64))), sleep=sleep), journal)


def call(journal: Journal) -> tuple[str, int, int, int, str]:
    journal.commit()
    with sqlite3.connect(journal.path) as db:
        row = db.execute("SELECT state, cost_micro, tokens, attempts, error FROM calls").fetchone()
    db.close()
    return row


async def test_a_finished_call_is_answered_from_the_journal_for_free(journal: Journal) -> None:
    model, ledger = ScriptedModel(["only once"]), Ledger(Budget())
    first = await gateway(model, journal, ledger).complete(request())
    spent = ledger.spent_micro
    again = await gateway(ScriptedModel([]), journal, ledger).complete(request())
    assert (again.text, again.usage, again.key, again.replayed) == (first.text, first.usage, first.key, True)
    assert again.cost_micro == first.cost_micro == spent
    assert ledger.spent_micro == spent


async def test_the_same_request_twice_at_a_time_is_asked_once(journal: Journal) -> None:
    async with FakeServer(latency=0.02) as server:
        model = gateway(OpenAIModel("fake", base_url=server.url), journal, Ledger(Budget()))
        replies = await asyncio.gather(*(model.complete(request()) for _ in range(5)))
        assert server.stats()["paid"] == 1
        assert sorted(reply.replayed for reply in replies) == [False, True, True, True, True]
        await model.close()


async def test_another_sample_is_another_call(journal: Journal) -> None:
    model = ScriptedModel(["one", "two"])
    stack = gateway(model, journal, Ledger(Budget()))
    assert [(await stack.complete(request(sample=n))).text for n in (0, 1)] == ["one", "two"]


async def test_a_failed_call_is_asked_again_next_time(journal: Journal) -> None:
    broken = gateway(ScriptedModel([RowError(RowKind.API_FATAL, "too long")]), journal, Ledger(Budget()))
    with pytest.raises(RowError, match="too long"):
        await broken.complete(request())
    assert call(journal)[0] == "failed"
    assert (await gateway(ScriptedModel(["fine"]), journal, Ledger(Budget())).complete(request())).text == "fine"
    assert call(journal)[0] == "done"


async def test_the_real_usage_is_booked_and_the_hold_given_back(journal: Journal) -> None:
    ledger = Ledger(Budget())
    said = Completion("x", Usage(10, 5))
    completion = await gateway(ScriptedModel([said]), journal, ledger).complete(request())
    assert completion.cost_micro == 15
    assert (ledger.spent_micro, ledger.spent_tokens, ledger.spent_calls) == (15, 15, 1)
    assert (ledger.held_micro, ledger.held_tokens, ledger.held_calls) == (0, 0, 0)
    assert journal.spent() == (15, 15, 1)


async def test_a_refused_attempt_costs_nothing_and_waits_as_long_as_it_is_told(
    journal: Journal, pauses: list[float]
) -> None:
    refused = AttemptError("429", retry_after=7.25, overloaded=True)
    ledger = Ledger(Budget())
    stack = gateway(ScriptedModel([refused, refused, Completion("x", Usage(3, 1))]), journal, ledger, pauses)
    assert (await stack.complete(request())).cost_micro == 4
    assert pauses == [7.25, 7.25]
    assert ledger.spent_micro == 4
    assert call(journal)[3] == 3


async def test_an_attempt_whose_fate_is_unknown_counts_at_its_bound(journal: Journal) -> None:
    torn = AttemptError("broke", unsure=True)
    ledger = Ledger(Budget())
    stack = gateway(ScriptedModel([torn, Completion("x", Usage(3, 1))]), journal, ledger)
    asked = request(max_tokens=100)
    completion = await stack.complete(asked)
    bound = asked.prompt_bytes() + 100
    assert completion.cost_micro == ledger.spent_micro == bound + 4
    assert journal.spent() == (bound + 4, bound + 4, 2)


async def test_a_500_with_a_usage_block_is_booked_at_it(journal: Journal) -> None:
    ledger = Ledger(Budget())
    late = AttemptError("500", usage=Usage(9, 1))
    await gateway(ScriptedModel([late, Completion("x", Usage(3, 1))]), journal, ledger).complete(request())
    assert ledger.spent_micro == 14


async def test_pauses_grow_with_full_jitter(journal: Journal, pauses: list[float]) -> None:
    script = [AttemptError("500")] * 7 + ["at last"]
    assert (
        await gateway(ScriptedModel(script), journal, Ledger(Budget()), pauses).complete(request())
    ).text == "at last"
    assert len(pauses) == 7
    assert all(0 <= pause <= min(30, 0.5 * 2**n) for n, pause in enumerate(pauses))
    assert len(set(pauses)) == 7


async def test_a_row_is_given_up_after_the_last_attempt(journal: Journal, pauses: list[float]) -> None:
    model = ScriptedModel([AttemptError("HTTP 500: oops")] * 8)
    with pytest.raises(RowError, match=r"HTTP 500: oops \(tried 8 times\)") as caught:
        await gateway(model, journal, Ledger(Budget()), pauses).complete(request())
    assert caught.value.kind == RowKind.API_TRANSIENT
    assert not isinstance(caught.value, AttemptError)
    assert len(model.requests) == 8


async def test_a_fatal_answer_is_not_tried_again(journal: Journal) -> None:
    model = ScriptedModel([ProviderError("wrong key")])
    with pytest.raises(ProviderError, match="wrong key"):
        await gateway(model, journal, Ledger(Budget())).complete(request())
    assert len(model.requests) == 1


async def test_a_server_that_never_answered_stops_the_run_soon(journal: Journal, pauses: list[float]) -> None:
    nobody = AttemptError("http://x cannot be reached", unreachable=True)
    with pytest.raises(ProviderError, match="start the server"):
        await gateway(ScriptedModel([nobody] * 8), journal, Ledger(Budget()), pauses).complete(request())
    assert len(pauses) == 2


async def test_a_server_that_answered_before_is_waited_for(journal: Journal, pauses: list[float]) -> None:
    nobody = AttemptError("http://x cannot be reached", unreachable=True)
    stack = gateway(ScriptedModel(["one", *[nobody] * 5, "two"]), journal, Ledger(Budget()), pauses)
    await stack.complete(request("a"))
    assert (await stack.complete(request("b"))).text == "two"


async def test_a_wait_of_hours_stops_the_run_instead(journal: Journal) -> None:
    stack = gateway(ScriptedModel([AttemptError("429", retry_after=3600)]), journal, Ledger(Budget()))
    with pytest.raises(ProviderError, match="60 minutes"):
        await stack.complete(request())


async def test_while_one_request_waits_the_others_have_its_slot(journal: Journal) -> None:
    waiting, go_on = asyncio.Event(), asyncio.Event()

    async def sleep(_: float) -> None:
        waiting.set()
        await go_on.wait()

    script = {"refused": AttemptError("429", retry_after=99, overloaded=True), "other": "served"}
    metered = Metered(ScriptedModel(script), journal=journal, ledger=Ledger(Budget()), price=DOLLAR)
    stack = Retried(Paced(metered, Gate(1)), sleep=sleep)
    refused = asyncio.ensure_future(stack.complete(request("refused")))
    await waiting.wait()
    assert (await stack.complete(request("other"))).text == "served"
    refused.cancel()


async def test_a_cancelled_call_counts_at_its_bound(journal: Journal) -> None:
    ledger, heard = Ledger(Budget()), asyncio.Event()

    async def silence(_: Request) -> str:
        heard.set()
        await asyncio.Event().wait()
        return ""

    async with FakeServer(silence) as server:
        model = gateway(OpenAIModel("fake", base_url=server.url), journal, ledger)
        under_way = asyncio.ensure_future(model.complete(request(max_tokens=50)))
        await heard.wait()
        under_way.cancel()
        with pytest.raises(asyncio.CancelledError):
            await under_way
        await model.close()
    bound = request(max_tokens=50).prompt_bytes() + 50
    assert (ledger.spent_micro, ledger.held_micro) == (bound, 0)
    after_the_crash = Journal(journal.path)
    assert after_the_crash.spent().micro == bound
    after_the_crash.close()


@pytest.mark.parametrize("concurrency", [1, 64])
async def test_a_budget_is_never_overshot(journal: Journal, concurrency: int) -> None:
    limit = 20_000
    async with FakeServer(latency=0.001, torn=0.05, rate_limited=0.05, retry_after=0.0, seed=4) as server:
        ledger = Ledger(Budget(tokens=limit))
        model = gateway(OpenAIModel("fake", base_url=server.url), journal, ledger, concurrency=concurrency)
        rows = await asyncio.gather(
            *(model.complete(request(f"{n} " + "word " * 20, max_tokens=60)) for n in range(400)),
            return_exceptions=True,
        )
        await model.close()
        assert any(isinstance(row, BudgetExceededError) for row in rows)
        assert server.stats()["tokens"] <= ledger.spent_tokens <= limit
        assert ledger.spent_tokens > limit * 0.8


async def test_no_price_under_a_money_budget_refuses_to_start(journal: Journal) -> None:
    choice = Choice("openai/nobody-knows", "https://models.example.com/v1", "named", True, True)
    with pytest.raises(ConfigError, match=r"price of openai/nobody-knows is not known.*budget in tokens"):
        open_model(choice, journal=journal, ledger=Ledger(Budget(usd=1.0)))
    open_model(choice, journal=journal, ledger=Ledger(Budget(tokens=1000)))


async def test_the_key_is_nowhere_in_the_journal(journal: Journal) -> None:
    choice_key = "sk-very-secret-4711"

    def script(asked: Request) -> str:
        if "bad" in asked.messages[0]["content"]:
            raise RefusalError(400, f"you sent {choice_key}, which is odd")
        return "fine"

    async with FakeServer(script, key=choice_key) as server:
        choice = Choice("openai/fake", server.url, "named", False, True)
        environ = {"OPENAI_API_KEY": choice_key}
        model = open_model(choice, journal=journal, ledger=Ledger(Budget()), environ=environ)
        await model.complete(request("good"))
        with pytest.raises(RowError, match=r"\*\*\*") as caught:
            await model.complete(request("bad"))
        await model.close()
    assert choice_key not in str(caught.value)
    journal.commit()
    assert not any(choice_key.encode() in path.read_bytes() for path in journal.path.parent.iterdir())


async def test_all_rows_come_through_a_flaky_model(journal: Journal) -> None:
    flaky = FlakyModel(
        ScriptedModel(lambda r: r.messages[0]["content"]), rate_limited=0.1, failing=0.1, torn=0.1, seed=1
    )
    stack = gateway(flaky, journal, Ledger(Budget()))
    replies = await asyncio.gather(*(stack.complete(request(str(n))) for n in range(200)))
    assert [reply.text for reply in replies] == [str(n) for n in range(200)]


async def test_a_refusal_for_good_spares_the_requests_that_wait(journal: Journal) -> None:
    model = ScriptedModel([ProviderError("no such model")])
    ledger = Ledger(Budget())
    metered = Metered(model, journal=journal, ledger=ledger, price=None)
    paced = Paced(metered, Gate(1))
    asked = [paced.complete(request(f"row {n}")) for n in range(5)]
    ended = await asyncio.gather(*asked, return_exceptions=True)
    assert [str(error) for error in ended] == ["no such model"] * 5
    assert ledger.spent_calls == 1
