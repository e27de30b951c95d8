"""The ledger: what may be spent, what is held, what is spent. A budget is never overshot, at any concurrency.

Before a call is sent its largest possible cost is held; afterwards the hold is given back and the real cost booked. A
call that does not fit waits as long as other holds may still be given back, and raises when none could.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from upcycle.budget import Budget
from upcycle.errors import BudgetExceededError


class Bound(NamedTuple):
    """The most one attempt can cost: millionths of a dollar, tokens, calls."""

    micro: int
    tokens: int
    calls: int = 1


class Ledger:
    """Holds and spends against one budget. `spent_*` include what earlier processes of the same run spent."""

    def __init__(self, budget: Budget, *, micro: int = 0, tokens: int = 0, calls: int = 0) -> None:
        self.budget = budget
        self.spent_micro, self.spent_tokens, self.spent_calls = micro, tokens, calls
        self.held_micro = self.held_tokens = self.held_calls = 0
        self._open_holds = 0
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def money_capped(self) -> bool:
        """Whether the budget is in money, so that an unknown price must refuse."""
        return self.budget.usd is not None

    async def hold(self, bound: Bound) -> None:
        """Set the bound aside; waits while holds of other calls may free room.

        Raises:
            BudgetExceededError: it does not fit and nothing in flight could free room.
        """
        while not self._fits(bound):
            if not self._open_holds:
                raise BudgetExceededError(self._sentence(bound))
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        self._open_holds += 1
        self.held_micro += bound.micro
        self.held_tokens += bound.tokens
        self.held_calls += bound.calls

    def settle(self, bound: Bound, *, micro: int, tokens: int, calls: int = 1) -> None:
        """Give the hold back and book what was really spent."""
        self._open_holds -= 1
        self.held_micro -= bound.micro
        self.held_tokens -= bound.tokens
        self.held_calls -= bound.calls
        self.spent_micro += micro
        self.spent_tokens += tokens
        self.spent_calls += calls
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _fits(self, bound: Bound) -> bool:
        cap = self.budget
        return (
            (cap.usd is None or self.spent_micro + self.held_micro + bound.micro <= round(cap.usd * 1e6))
            and (cap.tokens is None or self.spent_tokens + self.held_tokens + bound.tokens <= cap.tokens)
            and (cap.calls is None or self.spent_calls + self.held_calls + bound.calls <= cap.calls)
        )

    def _sentence(self, bound: Bound) -> str:
        return (
            f"the budget of {self.budget.described()} does not cover the next call (up to {bound.tokens:,} tokens,"
            f" ${bound.micro / 1e6:.6f}); spent ${self.spent_micro / 1e6:.4f}, {self.spent_tokens:,} tokens,"
            f" {self.spent_calls:,} calls; run again with a larger --budget to go on"
        )
