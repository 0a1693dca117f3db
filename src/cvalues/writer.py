"""The thread that writes finished calls into the study in groups, so that the event loop never waits for the disk."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from cvalues.errors import CValuesError
from cvalues.schema import Attempt
from cvalues.study import Received, Study

GROUP = 500
"""Most records of one transaction; a group takes some ten milliseconds."""
PAUSE = 0.05
"""Seconds between two transactions, in which other writers get the lock."""
HEARTBEAT_SECONDS = 15.0


class Finished(NamedTuple):
    """What one call came to: a response, or an attempt that failed."""

    received: Received | None = None
    attempt: Attempt | None = None


class Writer:
    """Owns the write side of a run. `put` never blocks; `committed` is called in this thread after each durable group."""

    def __init__(
        self,
        study: Study,
        committed: Callable[[Sequence[Finished]], None],
        broken: Callable[[CValuesError], None],
    ) -> None:
        """Prepares the thread; `start` runs it."""
        self._study = study
        self._committed = committed
        self._broken = broken
        self._queue: queue.SimpleQueue[Finished | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="cvalues-writer", daemon=True)
        self._beat = time.monotonic()
        self.error: CValuesError | None = None

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def put(self, finished: Finished) -> None:
        """Hands over one finished call."""
        self._queue.put(finished)

    def close(self) -> None:
        """Writes what is left and waits for the thread to end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._group():
                time.sleep(PAUSE)
        except CValuesError as error:
            self.error = error
            self._broken(error)

    def _group(self) -> bool:
        group: list[Finished] = []
        going = True
        try:
            entry = self._queue.get(timeout=1.0)
            while True:
                if entry is None:
                    going = False
                    break
                group.append(entry)
                if len(group) >= GROUP:
                    break
                entry = self._queue.get_nowait()
        except queue.Empty:
            pass
        if group:
            received = [entry.received for entry in group if entry.received]
            attempts = [entry.attempt for entry in group if entry.attempt]
            self._study.record(received, attempts)
            self._committed(group)
        if time.monotonic() - self._beat > HEARTBEAT_SECONDS:
            self._beat = time.monotonic()
            self._study.heartbeat()
        return going
