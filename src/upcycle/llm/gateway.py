"""The gateway: four small wrappers around a provider, each a Model: `Journaled(Retried(Paced(Metered(provider))))`.

Every attempt, not every call, is paced and metered. So a refused request waits without a slot and without a hold
while the others go on, and an attempt is written down before it is sent and after it came back, inside its slot: what
a crash can lose is what was in flight.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from upcycle.errors import ProviderError, RowError, RowKind
from upcycle.llm.faults import AttemptError
from upcycle.llm.model import Completion, Model, Request, Scoring, Usage
from upcycle.llm.pace import Gate
from upcycle.llm.prices import FREE, Price
from upcycle.run.ledger import Bound

if TYPE_CHECKING:
    from upcycle.run.journal import Journal
    from upcycle.run.ledger import Ledger


class Journaled:
    """Answers from the journal what was answered before; the same request twice at a time is asked once."""

    def __init__(self, model: Model, journal: Journal) -> None:
        self.name, self.endpoint = model.name, model.endpoint
        self._model, self._journal = model, journal
        self._under_way: dict[bytes, asyncio.Future[None]] = {}

    async def complete(self, request: Request) -> Completion:
        key = request.key(self.endpoint, self.name)
        while (other := self._under_way.get(key)) is not None:
            await asyncio.wait((other,))
        stored = self._journal.finished(key)
        if stored is not None:
            reply = orjson.loads(stored.response)
            return Completion(reply["text"], Usage(*stored.usage), reply["finish"], key.hex(), True, stored.cost_micro)
        self._under_way[key] = asyncio.get_running_loop().create_future()
        try:
            return await self._model.complete(request)
        finally:
            self._under_way.pop(key).set_result(None)

    async def close(self) -> None:
        await self._model.close()


class JournaledScoring(Journaled):
    """The same, for a provider that can score too; scores cost nothing and repeat, so they are not journaled."""

    def __init__(self, model: Model, journal: Journal, scorer: Scoring) -> None:
        super().__init__(model, journal)
        self._scorer = scorer

    async def score(self, prompt: str, continuations: list[str]) -> list[float]:
        return await self._scorer.score(prompt, continuations)


class Retried:
    """Asks again what may succeed: Retry-After to the letter, else exponential pauses with full jitter."""

    def __init__(
        self,
        model: Model,
        *,
        max_attempts: int = 8,
        first_pause: float = 0.5,
        longest_pause: float = 30.0,
        longest_wait: float = 900.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name, self.endpoint = model.name, model.endpoint
        self._model = model
        self._max_attempts, self._first, self._longest = max_attempts, first_pause, longest_pause
        self._longest_wait, self._sleep = longest_wait, sleep
        self._random = random.Random()
        self._answered = False

    async def complete(self, request: Request) -> Completion:
        lost = 0
        for attempt in range(1, self._max_attempts + 1):
            try:
                completion = await self._model.complete(request)
            except AttemptError as fault:
                lost += fault.cost_micro
                await self._pause(fault, attempt)
            else:
                self._answered = True
                return replace(completion, cost_micro=completion.cost_micro + lost) if lost else completion
        raise AssertionError("the last attempt returns or raises")

    async def _pause(self, fault: AttemptError, attempt: int) -> None:
        if fault.unreachable and not self._answered and attempt >= 3:
            raise ProviderError(f"{fault}; start the server, or give another --base-url or --model") from fault
        if attempt >= self._max_attempts:
            raise RowError(RowKind.API_TRANSIENT, f"{fault} (tried {attempt} times)") from fault
        if fault.retry_after is None:
            ceiling = min(self._longest, self._first * 2 ** (attempt - 1))
            await self._sleep(self._random.uniform(0, ceiling))
        elif fault.retry_after > self._longest_wait:
            raise ProviderError(
                f"{fault}; it asks to wait {fault.retry_after / 60:.0f} minutes, run again then"
            ) from fault
        else:
            await self._sleep(fault.retry_after)

    async def close(self) -> None:
        await self._model.close()


class Paced:
    """Lets attempts through a `Gate`; once the server has refused for good, none of those that still wait there."""

    def __init__(self, model: Model, gate: Gate) -> None:
        self.name, self.endpoint = model.name, model.endpoint
        self._model, self.gate = model, gate
        self._refused: ProviderError | None = None

    async def complete(self, request: Request) -> Completion:
        estimate = self.gate.estimate(request.prompt_bytes(), request.max_tokens)
        await self.gate.enter(estimate)
        refused, used = False, None
        try:
            if self._refused is not None:
                used = 0
                raise ProviderError(str(self._refused))
            completion = await self._model.complete(request)
            used = completion.usage.total
            return completion
        except AttemptError as fault:
            refused = fault.overloaded
            used = None if fault.unsure else 0
            raise
        except ProviderError as error:
            self._refused = error
            raise
        finally:
            self.gate.leave(refused=refused, estimate=estimate, used=used)

    async def close(self) -> None:
        await self._model.close()


class Metered:
    """Holds the most an attempt can cost, writes it down, sends it, and books what it did cost.

    An attempt whose fate is unknown (torn reply, silence after sending, cancelled) is booked at its bound; one that
    was refused at nothing, unless the server says what it used.
    """

    def __init__(self, model: Model, *, journal: Journal, ledger: Ledger, price: Price | None) -> None:
        self.name, self.endpoint = model.name, model.endpoint
        self._model, self._journal, self._ledger = model, journal, ledger
        self._price = price or FREE

    async def complete(self, request: Request) -> Completion:
        prompt = request.prompt_bytes()
        bound = Bound(self._price.bound(prompt, request.max_tokens), prompt + request.max_tokens)
        key = request.key(self.endpoint, self.name)
        await self._ledger.hold(bound)
        micro = tokens = 0
        try:
            await self._journal.begin(
                key,
                stage=request.stage,
                model=self.name,
                request=_stored(request),
                held_micro=bound.micro,
                held_tokens=bound.tokens,
            )
            micro, tokens = bound.micro, bound.tokens  # from here on it may have been billed
            try:
                completion = await self._model.complete(request)
            except (RowError, ProviderError) as error:
                micro, tokens = self._lost(error, bound)
                self._journal.fail(key, error=str(error), cost_micro=micro, tokens=tokens, attempts=1)
                raise
            usage = completion.usage
            micro, tokens = self._price.cost(usage), usage.total
            self._journal.finish(
                key,
                response=orjson.dumps({"text": completion.text, "finish": completion.finish}),
                usage=(usage.prompt, usage.completion, usage.cached),
                cost_micro=micro,
                attempts=1,
            )
            return Completion(completion.text, usage, completion.finish, key.hex(), False, micro)
        finally:
            self._ledger.settle(bound, micro=micro, tokens=tokens)

    def _lost(self, error: RowError | ProviderError, bound: Bound) -> tuple[int, int]:
        if not isinstance(error, AttemptError):
            return 0, 0
        if error.usage is not None:
            spent = self._price.cost(error.usage), error.usage.total
        else:
            spent = (bound.micro, bound.tokens) if error.unsure else (0, 0)
        error.cost_micro = spent[0]
        return spent

    async def close(self) -> None:
        await self._model.close()


def _stored(request: Request) -> bytes:
    return orjson.dumps(
        {
            "messages": request.messages,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "schema": request.schema,
            "sample": request.sample,
            "stop": request.stop,
        }
    )
