"""Adaptive concurrency."""

from __future__ import annotations

import asyncio
import time

import pytest

from cvalues.endpoints.base import Limits
from cvalues.limiter import START, Limiter


def rounds(limiter: Limiter, count: int, seconds: float) -> None:
    """Lets `count` full rounds of calls succeed in so many seconds each."""

    async def go() -> None:
        for _ in range(count):
            size = int(limiter.limit)
            for _ in range(size):
                await limiter.acquire()
            for _ in range(size):
                limiter.succeeded(seconds)

    asyncio.run(go())


def test_an_endpoint_may_name_its_start() -> None:
    """What makes batches begins with all that it wants, within its maximum."""
    assert Limiter(Limits(max_concurrency=512, start=512)).limit == 512
    assert Limiter(Limits(max_concurrency=100, start=512)).limit == 100


def test_doubles_while_latency_holds_up_to_the_maximum() -> None:
    """Slow start doubles once per round, and the endpoint's maximum is the ceiling."""
    limiter = Limiter(Limits(max_concurrency=100))
    rounds(limiter, 1, 0.1)
    assert limiter.limit == 2 * START
    rounds(limiter, 3, 0.1)
    assert limiter.limit == 100


def test_small_maximum_is_respected_from_the_start() -> None:
    """An endpoint that allows three calls never has more in flight."""
    assert Limiter(Limits(max_concurrency=3)).limit == 3


def test_growth_stops_when_calls_take_longer() -> None:
    """A round that takes more than twice the best ends slow start and does not grow."""
    limiter = Limiter(Limits(max_concurrency=1000))
    rounds(limiter, 1, 0.5)
    before = limiter.limit
    rounds(limiter, 1, 3.0)
    assert limiter.limit == before
    rounds(limiter, 1, 0.5)
    assert limiter.limit == before + 1


def test_a_burst_of_429_halves_once() -> None:
    """Many 429s of one burst halve the limit once, a later one halves it again, and it never falls below one."""
    limiter = Limiter(Limits(max_concurrency=64))

    async def go() -> None:
        for _ in range(8):
            await limiter.acquire()
        for _ in range(8):
            limiter.refused(None)

    asyncio.run(go())
    assert limiter.limit == START / 2
    for _ in range(20):
        limiter._last_cut = -1.0
        limiter.in_flight += 1
        limiter.refused(None)
    assert limiter.limit == 1


def test_retry_after_stops_admissions() -> None:
    """After a 429 with Retry-After nothing starts before that time."""
    limiter = Limiter(Limits())

    async def go() -> float:
        await limiter.acquire()
        limiter.refused(0.3)
        began = time.monotonic()
        await limiter.acquire()
        return time.monotonic() - began

    assert asyncio.run(go()) >= 0.29


def test_calls_per_minute_are_spaced() -> None:
    """600 calls a minute means a tenth of a second between two starts."""
    limiter = Limiter(Limits(rpm=600))

    async def go() -> float:
        began = time.monotonic()
        for _ in range(4):
            await limiter.acquire()
        return time.monotonic() - began

    assert 0.29 <= asyncio.run(go()) < 2


def test_waiters_are_let_in_when_slots_free_up() -> None:
    """A call that waits starts as soon as another leaves, and a cancelled waiter takes no slot."""

    async def go() -> None:
        limiter = Limiter(Limits(max_concurrency=1))
        await limiter.acquire()
        gone = asyncio.create_task(limiter.acquire())
        waiter = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        limiter.leave()
        await asyncio.wait_for(waiter, 1)
        assert limiter.in_flight == 1
        with pytest.raises(asyncio.CancelledError):
            await gone

    asyncio.run(go())
