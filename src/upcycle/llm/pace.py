"""The gate: how many requests are under way, and how many start in a minute.

Concurrency adapts to the *share* of refusals: servers answer a few 429s at any load, and halving at each of them would
collapse a good endpoint to one request at a time. Requests and tokens per minute are spaced evenly with a burst of
one tenth of a minute; tokens are reserved by estimate and corrected by what the server counted.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

_TOO_MANY = 0.15
_SHRINK = 0.7
_BURST = 6.0  # seconds of allowance that may be used at once
_BYTES_PER_TOKEN = 3.6


class Gate:
    """Lets requests through. `limit` is the present concurrency, never above `concurrency`."""

    def __init__(
        self,
        concurrency: int = 32,
        *,
        rpm: int | None = None,
        tpm: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.concurrency = concurrency
        self.limit = float(concurrency)
        self.inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._clock = clock
        self._requests = _Rate(rpm / 60) if rpm else None
        self._tokens = _Rate(tpm / 60) if tpm else None
        self._answers = self._refused = 0

    async def enter(self, estimate: int = 0) -> None:
        """Wait for a slot, and for the rates to allow one more request of about so many tokens."""
        delay = self._delay(estimate)
        if delay > 0:
            await asyncio.sleep(delay)
        if self.inside < int(self.limit) and not self._waiting:
            self.inside += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._free()  # the slot was handed over at the very moment of the cancellation
            raise

    def leave(self, *, refused: bool = False, estimate: int = 0, used: int | None = None) -> None:
        """Give the slot back and learn from how it went."""
        if self._tokens and used is not None:
            self._tokens.correct(used - estimate)
        self._learn(refused)
        self._free()

    def estimate(self, prompt_bytes: int, max_tokens: int) -> int:
        """About how many tokens a request takes: what the tokens-per-minute allowance is asked for."""
        return int(prompt_bytes / _BYTES_PER_TOKEN) + max_tokens

    def _delay(self, estimate: int) -> float:
        if self._requests is None and self._tokens is None:
            return 0.0
        now = self._clock()
        return max(
            self._requests.take(1, now) if self._requests else 0.0,
            self._tokens.take(estimate, now) if self._tokens else 0.0,
        )

    def _learn(self, refused: bool) -> None:
        self._answers += 1
        self._refused += refused
        if self._answers < max(20, int(self.limit)):
            return
        if self._refused > _TOO_MANY * self._answers:
            self.limit = max(1.0, self.limit * _SHRINK)
        else:
            self.limit = min(float(self.concurrency), self.limit + max(1.0, self.limit * 0.1))
        self._answers = self._refused = 0

    def _free(self) -> None:
        self.inside -= 1
        while self._waiting and self.inside < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.inside += 1
                turn.set_result(None)


class _Rate:
    """So much a second, evenly: the instant at which everything granted so far will have been earned."""

    def __init__(self, per_second: float) -> None:
        self._each = 1 / per_second
        self._earned = float("-inf")

    def take(self, amount: int, now: float) -> float:
        """Seconds to wait before using this much."""
        start = max(self._earned, now)
        self._earned = start + amount * self._each
        return max(0.0, start - now - _BURST)

    def correct(self, amount: int) -> None:
        self._earned += amount * self._each
