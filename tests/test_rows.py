import asyncio

import pytest

from upcycle.errors import BudgetExceededError, RowError, RowKind
from upcycle.run import run_rows


async def collect(rows, work, *, at_once: int, wanted: int):
    kept: list[int] = []
    failed: list[int] = []
    async for row, result in run_rows(rows, work, at_once=at_once, needed=lambda: wanted - len(kept)):
        (failed if isinstance(result, RowError) else kept).append(row)
    return kept, failed


@pytest.mark.parametrize("at_once", [1, 7, 64])
async def test_the_rows_worked_are_the_same_prefix_at_any_concurrency(at_once: int):
    worked: list[int] = []

    async def work(row: int) -> int:
        worked.append(row)
        for _ in range(row % 5):
            await asyncio.sleep(0)
        if row % 3 == 0:
            raise RowError(RowKind.UNPARSEABLE, "no")
        return row

    kept, failed = await collect(range(1000), work, at_once=at_once, wanted=100)
    assert len(kept) == 100
    assert sorted(worked) == list(range(len(worked)))
    assert len(worked) == 150 or worked[-1] in kept, "no row is started that is not needed"
    assert sorted(kept + failed) == sorted(worked)


async def test_no_more_rows_are_in_flight_than_allowed():
    now = most = 0

    async def work(row: int) -> int:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        return row

    await collect(range(100), work, at_once=8, wanted=100)
    assert most == 8


async def test_a_fatal_error_stops_new_rows_and_lets_those_in_flight_finish():
    finished: list[int] = []

    async def work(row: int) -> int:
        if row == 3:
            raise BudgetExceededError("spent")
        for _ in range(5):
            await asyncio.sleep(0)
        finished.append(row)
        return row

    with pytest.raises(BudgetExceededError):
        await collect(range(100), work, at_once=4, wanted=100)
    assert finished == [0, 1, 2]


async def test_closing_the_stream_cancels_what_is_in_flight():
    cancelled: list[int] = []

    async def work(row: int) -> int:
        try:
            await asyncio.sleep(0 if row == 0 else 3600)
        except asyncio.CancelledError:
            cancelled.append(row)
            raise
        return row

    rows = run_rows(range(5), work, at_once=5, needed=lambda: 5)
    assert (await anext(rows))[0] == 0
    await rows.aclose()
    assert cancelled == [1, 2, 3, 4]
