"""Adaptive concurrency for one endpoint: grows while latency holds, halves on 429, honours Retry-After and calls per minute."""

from __future__ import annotations

import asyncio
import collections
import time

from cvalues.endpoints.base import Limits

START = 32
"""Calls in flight at the beginning, before anything is known of the server."""
_SLOWER = 2.0
"""Growth stops while a round of calls takes this many times as long as the best round, since more would only queue."""
_SETTLE = 0.5
"""Seconds for which further 429s of the same burst do not halve again."""


class Limiter:
    """Admits calls to one endpoint. Use `await acquire()`, then exactly one of `succeeded`, `refused`, `failed`, `leave`.

    Slow start doubles the limit once per round of calls until the first 429 or until latency grows; from then on it adds one per
    round. A 429 halves it. `pause` stops admissions until a time.
    """

    def __init__(self, limits: Limits) -> None:
        """Starts at the endpoint's `start` (else `START`) calls in flight or its maximum, whichever is smaller."""
        self.maximum = max(1, limits.max_concurrency)
        self.limit = float(min(limits.start or START, self.maximum))
        self.in_flight = 0
        self._interval = 60.0 / limits.rpm if limits.rpm else 0.0
        self._next_start = 0.0
        self._resume = 0.0
        self._slow_start = True
        self._best = float("inf")
        self._round = 0
        self._round_seconds = 0.0
        self._last_cut = -1.0
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()

    async def acquire(self) -> None:
        """Waits until one more call may start, and counts it as in flight."""
        while self.in_flight >= int(self.limit):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        self.in_flight += 1
        if self._resume or self._interval:
            try:
                await self._wait_for_start()
            except asyncio.CancelledError:
                self.leave()
                raise

    async def _wait_for_start(self) -> None:
        while (delay := self._resume - time.monotonic()) > 0:
            await asyncio.sleep(delay)
        if self._interval:
            now = time.monotonic()
            start = max(now, self._next_start)
            self._next_start = start + self._interval
            if start > now:
                await asyncio.sleep(start - now)

    def succeeded(self, seconds: float) -> None:
        """Counts a call that came back in so many seconds, and grows the limit at the end of a round while latency holds."""
        self._round += 1
        self._round_seconds += seconds
        if self._round >= self.limit:
            self._end_round(self._round_seconds / self._round)
        self.leave()

    def _end_round(self, mean: float) -> None:
        self._round, self._round_seconds = 0, 0.0
        self._best = min(self._best, mean)
        if mean > _SLOWER * self._best + 0.05:
            self._slow_start = False
            # The best round ages, so that a server that became slower for good is not throttled for ever.
            self._best *= 1.1
            return
        self.limit = min(float(self.maximum), self.limit * 2 if self._slow_start else self.limit + 1)

    def refused(self, retry_after: float | None) -> None:
        """Counts a 429: halves the limit (once per burst) and stops admissions for as long as the server asked."""
        now = time.monotonic()
        self._slow_start = False
        if now - self._last_cut > _SETTLE:
            self._last_cut = now
            self.limit = max(1.0, self.limit / 2)
            self._round, self._round_seconds = 0, 0.0
        if retry_after:
            self._resume = max(self._resume, now + retry_after)
        self.leave()

    def failed(self) -> None:
        """Counts a call that failed for another reason; the limit stays."""
        self._slow_start = False
        self.leave()

    def leave(self) -> None:
        """Frees a slot without counting a call."""
        self.in_flight -= 1
        room = int(self.limit) - self.in_flight
        while room > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                room -= 1
