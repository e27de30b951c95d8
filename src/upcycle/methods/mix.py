"""Mix: several methods feed one dataset by their shares, judged by one set of checks.

Each method is asked in turn, the one furthest behind its share first, so the order is the same however fast each is.
A share is an aim and not a cap: where a method ends before its share is reached, the others fill up, and it is said.
A method is only asked while its share is short, so nothing is begun (and paid) beyond what is wanted of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing, suppress
from typing import Any

from upcycle.errors import SourceError, UpcycleError
from upcycle.records import Dropped, Example
from upcycle.run import Run

Start = Callable[[Callable[[], int]], AsyncGenerator[Example | Dropped, None]]
"""Starts a method, which asks the function it is given how many kept examples are still wanted of it."""


async def mix(
    methods: Mapping[str, tuple[float, Start]], *, wanted: int, run: Run, last: Collection[str] = ()
) -> AsyncGenerator[Example | Dropped, None]:
    """What the methods make and drop, interleaved by share, until `wanted` examples are kept or every method ended.

    Args:
        methods: name to (share, start); shares are weights.
        wanted: examples wanted in all.
        last: methods that are asked once the others have their share, since they start from what those made.

    Raises:
        SourceError: no method made anything, and one found no source.
        UpcycleError: what a method raises, other than finding no source beside other methods. What the others have
            under way gets to finish first: it is paid for.
    """
    parts = {name: _Part(name, share, start) for name, (share, start) in methods.items()}
    _allot(list(parts.values()), wanted)
    open_parts = list(parts.values())
    no_source: SourceError | None = None
    try:
        while open_parts and sum(part.kept for part in parts.values()) < wanted:
            part = min(
                open_parts, key=lambda one: (one.target <= one.kept, one.name in last, (one.kept + 0.5) / one.share)
            )
            try:
                result = await anext(part.results, None)
            except SourceError as error:
                no_source, result = error, None
                run.ended[part.name] = str(error)
                if len(parts) == 1:
                    raise
            except UpcycleError:
                async with aclosing(_finish(open_parts, part)) as rest:
                    async for result in rest:
                        yield result
                raise
            if result is None:
                open_parts.remove(part)
                _fill_up(part, open_parts, wanted - sum(one.kept for one in parts.values()), run)
                continue
            part.kept += isinstance(result, Example)
            yield result
    finally:
        for part in parts.values():
            await part.results.aclose()
    if no_source is not None and not any(part.kept for part in parts.values()):
        raise no_source


class _Part:
    """One method's state: what it aims at, and what it gave."""

    def __init__(self, name: str, share: float, start: Start) -> None:
        self.name, self.share = name, share
        self.kept = self.target = 0
        self.results: Any = start(lambda: self.target - self.kept)


async def _finish(parts: list[_Part], failed: _Part) -> AsyncGenerator[Example | Dropped, None]:
    """What the other methods have under way, with nothing new begun."""
    for part in parts:
        if part is failed:
            continue
        part.target = part.kept
        with suppress(UpcycleError):  # it may meet the same end; the first is the one to tell
            async for result in part.results:
                yield result


def _allot(parts: list[_Part], wanted: int) -> None:
    """Targets by share that sum to `wanted`, the remainder to the largest fractions."""
    total = sum(part.share for part in parts)
    exact = {part.name: part.kept + wanted * part.share / total for part in parts}
    for part in parts:
        part.target = int(exact[part.name])
    short = wanted - sum(part.target - part.kept for part in parts)
    for part in sorted(parts, key=lambda one: one.target - exact[one.name])[:short]:
        part.target += 1


def _fill_up(ended: _Part, others: list[_Part], missing: int, run: Run) -> None:
    if others and missing > 0 and ended.kept < ended.target:
        _allot(others, missing)
        run.tell("mix", "filled up", method=ended.name, kept=ended.kept, share=ended.target,
                 by=[part.name for part in others])  # fmt: skip
