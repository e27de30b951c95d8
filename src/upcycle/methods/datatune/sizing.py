"""Sizing: how many records the next call holds, by how many of those before had to be asked again.

The size of a batch follows from the outcomes of batches that had all ended before it could start, taken in the order
of their numbers. So it does not depend on the order in which batches end, on concurrency or on where a run was killed,
and a resumed run makes the same calls.
"""

from __future__ import annotations

_TOO_MANY = 0.10
_FEW = 0.02
_JUDGED = 32  # records of one size before its failures are judged
_PATIENCE = 4  # times as many before more are dared; doubled whenever that was too many


class Sizing:
    """The sizes of batches 0, 1, 2, ...

    A size is halved once over 10 % of at least 32 records asked with it were asked again or failed, and doubled once
    under 2 % of at least 128 were; each halving makes the next doubling wait for twice as many records.

    Args:
        start: size of the first batches.
        least: smallest size.
        most: largest size.
        lag: batch i starts only after batch i - lag has ended; the caller sees to it.
    """

    def __init__(self, start: int = 8, least: int = 1, most: int = 16, lag: int = 32) -> None:
        if not 1 <= least <= start <= most or lag < 1:
            raise ValueError(f"sizes must satisfy 1 <= {least} <= {start} <= {most}, and the lag {lag} be at least 1")
        self._least, self._most, self._lag = least, most, lag
        self._sizes = [start] * lag
        self._ended: dict[int, tuple[int, int]] = {}
        self._next = 0  # number of the first batch not yet judged
        self._current = start
        self._asked = self._failed = 0
        self._wait = _JUDGED * _PATIENCE

    def size(self, batch: int) -> int:
        """How many records batch number `batch` takes.

        Raises:
            ValueError: batch number `batch - lag` has not been recorded yet.
        """
        if batch >= len(self._sizes):
            raise ValueError(f"the size of batch {batch} is not known before batch {batch - self._lag} has ended")
        return self._sizes[batch]

    def record(self, batch: int, asked: int, failed: int) -> None:
        """Note that a batch of `asked` records ended, `failed` of which were asked again or failed."""
        if batch < self._next or batch in self._ended:
            raise ValueError(f"batch {batch} has ended before")
        self._ended[batch] = (asked, failed)
        while (ended := self._ended.pop(self._next, None)) is not None:
            self._judge(self._sizes[self._next], *ended)
            self._sizes.append(self._current)
            self._next += 1

    def _judge(self, size: int, asked: int, failed: int) -> None:
        if size != self._current:
            return  # under way since before the size changed; it says nothing of the new one
        self._asked += asked
        self._failed += failed
        rate = self._failed / max(1, self._asked)
        if self._asked >= _JUDGED and rate > _TOO_MANY:
            self._wait *= 2
            self._change(max(self._least, self._current // 2))
        elif self._asked >= self._wait:
            self._change(min(self._most, self._current * 2) if rate < _FEW else self._current)

    def _change(self, size: int) -> None:
        self._current, self._asked, self._failed = size, 0, 0
