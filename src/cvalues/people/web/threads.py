"""Handlers that wait for the study run in worker threads.

Litestar's own `sync_to_thread` wraps a handler once for every time its route is rebuilt, which happens where one path has two methods
(seen in 2.25: the second wrapping makes its result a coroutine that nobody awaits).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

import anyio.to_thread

_P = ParamSpec("_P")
_T = TypeVar("_T")


def threaded(work: Callable[_P, _T]) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Returns a handler that does its work in a worker thread."""

    @functools.wraps(work)
    async def handler(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await anyio.to_thread.run_sync(functools.partial(work, *args, **kwargs))

    return handler
