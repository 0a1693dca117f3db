"""Tests of batches made of single asks, with a model that is a function."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvalues.endpoints.base import Answer
from cvalues.endpoints.batching import Batcher, Job, Result, cut
from cvalues.errors import CallError
from cvalues.schema import Message, Request


def request(text: str) -> Request:
    """A request with this text."""
    return Request(mode="generate", model="m", messages=(Message(role="user", content=text),))


def text_of(asked: Request) -> str:
    """The text of a request."""
    return asked.messages[0].content


class Fake:
    """Answers with the reversed text; keeps the batches and the threads that it worked in."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[str] = set()

    def prepare(self, requests: Sequence[Request]) -> list[Job | Answer | CallError]:
        self.threads.add(threading.current_thread().name)
        ready: list[Job | Answer | CallError] = []
        for asked in requests:
            text = text_of(asked)
            if text == "long":
                ready.append(Answer(text="", finish="length"))
            elif text == "bad":
                ready.append(CallError("rejected", "bad", transient=False))
            else:
                ready.append(Job(asked, text[0], len(text)))
        return ready

    def work(self, jobs: Sequence[Job]) -> list[Result]:
        self.threads.add(threading.current_thread().name)
        self.batches.append([text_of(job.request) for job in jobs])
        if any(text_of(job.request) == "xbroken" for job in jobs):
            raise ZeroDivisionError("a fault of ours")
        return [Answer(text=text_of(job.request)[::-1]) for job in jobs]


def ask_all(fake: Fake, texts: Sequence[str], *, rows: int = 3, tokens: int = 1000) -> list[Answer | BaseException]:
    """What each ask gave, all asked at once."""
    batcher = Batcher(fake.prepare, fake.work, rows, tokens)

    async def go() -> list[Answer | BaseException]:
        try:
            return await asyncio.gather(*(batcher.ask(request(text)) for text in texts), return_exceptions=True)
        finally:
            await batcher.close()

    return asyncio.run(go())


def test_asks_share_batches_of_similar_length() -> None:
    """Asks of one group go out in batches of the widest first; every ask gets its own answer; one thread does the work."""
    fake = Fake()
    texts = [f"a{'x' * number}" for number in (5, 1, 9, 3, 7)]
    found = ask_all(fake, texts)
    assert [one.text for one in found if isinstance(one, Answer)] == [text[::-1] for text in texts]
    assert [[len(text) for text in batch] for batch in fake.batches] == [[10, 8, 6], [4, 2]]
    assert len(fake.threads) == 1


def test_groups_do_not_mix() -> None:
    """Jobs of two groups never share a batch."""
    fake = Fake()
    ask_all(fake, ["aa", "b", "a", "bb"], rows=8)
    assert all(len({text[0] for text in batch}) == 1 for batch in fake.batches)
    assert sorted(len(batch) for batch in fake.batches) == [2, 2]


def test_what_needs_no_batch_is_answered_at_once() -> None:
    """An answer or a refusal of `prepare` reaches its ask, and the others are answered."""
    long, bad, good = ask_all(Fake(), ["long", "bad", "ab"])
    assert isinstance(long, Answer)
    assert long.finish == "length"
    assert isinstance(bad, CallError)
    assert isinstance(good, Answer)


def test_a_fault_reaches_everyone_who_waits() -> None:
    """A fault of ours is raised in every ask instead of leaving it to wait for ever, and the batcher can be used again."""
    fake = Fake()
    found = ask_all(fake, ["xbroken", "xab", "yb", "z"])
    assert any(isinstance(one, ZeroDivisionError) for one in found)
    assert all(isinstance(one, Answer | ZeroDivisionError) for one in found)


def test_closing_leaves_nobody_waiting() -> None:
    """`close` while asks wait cancels them; a new ask after it works."""

    async def go() -> tuple[list[BaseException | Answer], Answer]:
        batcher = Batcher(Fake().prepare, Fake().work, 2, 100)
        waiting = [asyncio.create_task(batcher.ask(request("ab"))) for _ in range(3)]
        await asyncio.sleep(0)
        await batcher.close()
        found = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
        again = await batcher.ask(request("ab"))
        await batcher.close()
        return found, again

    found, again = asyncio.run(go())
    assert all(isinstance(one, asyncio.CancelledError) for one in found)
    assert again.text == "ba"


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 60)), max_size=30), st.integers(1, 9), st.integers(1, 200)
)
def test_cutting_keeps_its_bounds(given_jobs: list[tuple[str, int]], rows: int, tokens: int) -> None:
    """Every job is in one batch; a batch is of one group and within rows × width, or holds a single job; the widest go first."""
    jobs = [Job(request("x"), group, width) for group, width in given_jobs]
    left = list(jobs)
    while left:
        batch = cut(left, rows=rows, tokens=tokens)
        assert batch
        assert len({job.group for job in batch}) == 1
        assert len(batch) <= rows
        assert len(batch) == 1 or len(batch) * max(job.width for job in batch) <= tokens
        assert max(job.width for job in left) == batch[0].width
        left = [job for job in left if job not in batch]
    assert cut([], rows=rows, tokens=tokens) == []


@pytest.mark.parametrize("count", [1, 50])
def test_every_answer_is_its_own(count: int) -> None:
    """With many asks in many batches nobody gets another's answer."""
    texts = [f"a{number}" for number in range(count)]
    found = ask_all(Fake(), texts, rows=7, tokens=20)
    assert [one.text for one in found if isinstance(one, Answer)] == [text[::-1] for text in texts]
