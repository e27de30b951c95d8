"""Blocks of draws: what a draw's prompt may know of earlier ones, whatever the concurrency and however often killed.

A prompt shows earlier inputs and is part of its call's key, so it must be the same when the run is resumed. Draws come
in blocks of 2, 4, 8, ... 64; the prompts of a block are settled at once, from the inputs of all blocks but the one
directly before it. So two blocks are under way at a time, nobody waits for the last reply of the block before, and
what a prompt shows depends on which replies came, never on when.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import count, islice

from upcycle.methods.generate.avoid import Avoid
from upcycle.methods.generate.grid import Cell, Draw

_FIRST, _LARGEST = 2, 64

Inputs = Sequence[tuple[Cell, str]]
"""Inputs that were written, each with its cell."""


class Blocks:
    """Draws in order (iterate over it), and for each, once the draws it may know of have ended, what it shows."""

    def __init__(self, draws: Iterator[Draw], avoid: Avoid) -> None:
        self._draws, self._avoid = draws, avoid
        self._taken: dict[int, list[Draw]] = {}
        self._block_of: dict[int, int] = {}
        self._inputs: defaultdict[int, dict[int, Inputs]] = defaultdict(dict)
        self._shown: dict[int, list[str]] = {}
        self._settled: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self._folded = 0
        self._broken: BaseException | None = None
        self._settle(0)
        self._settle(1)

    def __iter__(self) -> Iterator[Draw]:
        for block in count():
            yield from self._take(block)

    async def shown(self, draw: Draw) -> list[str]:
        """Earlier inputs its prompt shows; waits for the draws it may know of.

        Raises:
            UpcycleError: one of those ended the run, so this one is not begun.
        """
        await self._settled[self._block_of[draw.number]].wait()
        if self._broken is not None:
            raise self._broken
        return self._shown.pop(draw.number)

    def end(self, draw: Draw, inputs: Inputs) -> None:
        """A draw has ended, with these inputs."""
        self._inputs[self._block_of[draw.number]][draw.number] = inputs
        while len(self._inputs[self._folded]) == _size(self._folded):
            block, self._folded = self._folded, self._folded + 1
            for _, written in sorted(self._inputs.pop(block).items()):
                for cell, text in written:
                    self._avoid.add(cell, text)
            for one in self._taken.pop(block):
                del self._block_of[one.number]
            self._settled.pop(block)
            self._settle(block + 2)

    def give_up(self, error: BaseException) -> None:
        """A draw ended the run: nobody waits for it any longer."""
        self._broken = error
        for event in self._settled.values():
            event.set()

    def _take(self, block: int) -> list[Draw]:
        if block not in self._taken:
            self._taken[block] = list(islice(self._draws, _size(block)))
            self._block_of.update(dict.fromkeys((draw.number for draw in self._taken[block]), block))
        return self._taken[block]

    def _settle(self, block: int) -> None:
        for draw in self._take(block):
            self._shown[draw.number] = self._avoid.shown(draw.cells)
        self._settled[block].set()


def _size(block: int) -> int:
    return min(_LARGEST, _FIRST << min(block, 16))
