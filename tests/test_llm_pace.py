"""The gate: slots, a share of refusals that shrinks it, rates by the minute. Time is a number here, nobody sleeps."""

from __future__ import annotations

import asyncio
import random

import pytest

from upcycle.llm.pace import Gate


async def entered(gate: Gate, count: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.ensure_future(gate.enter()) for _ in range(count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


def run_answers(gate: Gate, refused: list[bool]) -> None:
    for answer in refused:
        gate.inside += 1
        gate.leave(refused=answer)


async def test_no_more_requests_are_inside_than_the_limit_and_the_rest_go_in_order() -> None:
    gate = Gate(3)
    tasks = await entered(gate, 5)
    assert [task.done() for task in tasks] == [True, True, True, False, False]
    gate.leave()
    await asyncio.sleep(0)
    assert [task.done() for task in tasks] == [True, True, True, True, False]
    gate.leave()
    await tasks[4]
    assert gate.inside == 3


async def test_a_cancelled_waiter_loses_no_slot() -> None:
    gate = Gate(1)
    first, second, third = await entered(gate, 3)
    second.cancel()
    gate.leave()
    await third
    assert first.done()
    assert gate.inside == 1
    fourth, fifth = await entered(gate, 2)
    gate.leave()
    fourth.cancel()  # the slot was just handed to it
    await fifth
    assert gate.inside == 1


def test_a_few_refusals_at_random_do_not_shrink_the_gate() -> None:
    gate, draw = Gate(64), random.Random(1)
    run_answers(gate, [draw.random() < 0.05 for _ in range(6400)])
    assert gate.limit == 64


def test_many_refusals_shrink_the_gate_and_successes_open_it_again() -> None:
    gate = Gate(64)
    run_answers(gate, [n % 2 == 0 for n in range(64)])
    assert gate.limit == pytest.approx(44.8)
    run_answers(gate, [True] * 2000)
    assert gate.limit == 1
    run_answers(gate, [False] * 3000)
    assert gate.limit == 64


async def test_a_gate_never_opens_wider_than_asked() -> None:
    gate = Gate(8)
    run_answers(gate, [False] * 500)
    assert gate.limit == 8


def test_requests_per_minute_are_spaced_after_a_short_burst() -> None:
    now = [100.0]
    gate = Gate(1000, rpm=60, clock=lambda: now[0])
    delays = [gate._delay(0) for _ in range(20)]
    assert delays[:7] == [0.0] * 7
    assert delays[7:10] == pytest.approx([1.0, 2.0, 3.0])
    now[0] += 3600
    assert gate._delay(0) == 0.0


def test_tokens_per_minute_are_corrected_by_what_was_used() -> None:
    gate = Gate(10, tpm=6000, clock=lambda: 0.0)
    assert gate._delay(600) == 0.0
    assert gate._delay(600) == 0.0
    assert gate._delay(600) == pytest.approx(6.0)
    gate.inside = 3
    for _ in range(3):
        gate.leave(estimate=600, used=100)
    assert gate._delay(100) == 0.0


def test_the_estimate_of_a_request_is_its_prompt_by_bytes_and_its_longest_reply() -> None:
    assert Gate().estimate(3600, 200) == 1200
