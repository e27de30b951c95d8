import asyncio

import pytest

from upcycle.budget import Budget, parse_budget
from upcycle.errors import BudgetExceededError, ConfigError
from upcycle.run import Bound, Ledger


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("5usd", Budget(usd=5)),
        ("$0.25", Budget(usd=0.25)),
        ("200ktok", Budget(tokens=200_000)),
        ("2mtok", Budget(tokens=2_000_000)),
        ("1000calls", Budget(calls=1000)),
        ("5usd,200ktok", Budget(usd=5, tokens=200_000)),
    ],
)
def test_a_budget_is_read_in_money_tokens_and_calls(text: str, budget: Budget):
    assert parse_budget(text) == budget


@pytest.mark.parametrize("text", ["5", "five usd", "", "5euros", "-3usd"])
def test_a_budget_that_is_not_understood_is_refused(text: str):
    with pytest.raises(ConfigError, match="5usd, 200ktok or 1000calls"):
        parse_budget(text)


async def test_a_zero_budget_refuses_the_first_call():
    with pytest.raises(BudgetExceededError, match="run again with a larger --budget"):
        await Ledger(Budget(tokens=0)).hold(Bound(0, 1))


async def test_what_an_earlier_process_spent_counts():
    ledger = Ledger(Budget(usd=1), micro=999_999)
    await ledger.hold(Bound(1, 0))
    ledger.settle(Bound(1, 0), micro=1, tokens=0)
    with pytest.raises(BudgetExceededError):
        await ledger.hold(Bound(1, 0))


@pytest.mark.parametrize("workers", [1, 64])
async def test_a_budget_is_never_overshot_at_any_concurrency(workers: int):
    ledger = Ledger(Budget(tokens=1_000))
    most = refused = 0

    async def work() -> None:
        nonlocal most, refused
        for _ in range(40):
            try:
                await ledger.hold(Bound(0, 50))
            except BudgetExceededError:
                refused += 1
                return
            await asyncio.sleep(0)
            ledger.settle(Bound(0, 50), micro=0, tokens=30)
            most = max(most, ledger.spent_tokens + ledger.held_tokens)

    await asyncio.gather(*(work() for _ in range(workers)))
    assert most <= 1_000
    assert ledger.spent_tokens > 950 - 30, "what still fits is spent, not left"
    assert refused >= 1
    assert ledger.held_tokens == 0


async def test_a_call_waits_for_room_that_another_may_give_back():
    ledger = Ledger(Budget(calls=2))
    await ledger.hold(Bound(0, 0))
    await ledger.hold(Bound(0, 0))
    waiting = asyncio.ensure_future(ledger.hold(Bound(0, 0)))
    await asyncio.sleep(0)
    assert not waiting.done()
    ledger.settle(Bound(0, 0), micro=0, tokens=0, calls=0)  # refused by the server: not a paid call
    await waiting
