"""Nothing lost, nothing doubled: threads, processes, and processes that are killed in mid-write."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa
from crowd import people, send, start, work

import postgresql
from cvalues.people import accounts, assign
from cvalues.people.desk import Desk, FairLock
from cvalues.people.forms import Assignment
from cvalues.people.tasks import add_tasks
from cvalues.people.verify import verify_people
from cvalues.study import Study, open_study, tables
from cvalues.study.verify import verify

WORKER = Path(__file__).with_name("worker.py")


def counted(study: Study) -> list[tuple[str, str, int | None]]:
    """(task, person, slot) of all first answers."""
    u = tables.submission.c
    with study.reading() as connection:
        return [
            (row.task, row.person, row.slot)
            for row in connection.execute(sa.select(u.task, u.person, u.slot).where(u.rev == 1))
        ]


def check(desk: Desk, overlap: int) -> None:
    """All promises, and no task with more counted answers than its overlap."""
    found = verify_people(desk)
    assert found.sound, found.faults[:5]
    assert verify(desk.study).sound
    rows = counted(desk.study)
    assert len({(task, person) for task, person, _ in rows}) == len(rows)
    votes = Counter(task for task, _, slot in rows if slot is not None)
    assert all(count <= overlap for count in votes.values())


def test_threads_never_exceed_the_overlap(study: Study) -> None:
    """32 people in 32 threads empty a campaign; every task gets its overlap exactly, however they collide."""
    desk = Desk(study)
    start(desk, count=24, overlap=3)
    crowd = people(desk, 32)
    barrier = threading.Barrier(len(crowd))
    errors: list[BaseException] = []

    def go(person: str) -> None:
        barrier.wait()
        try:
            while isinstance(given := assign.claim_next(desk, person, "c"), Assignment):
                send(desk, person, given.task, "safe")
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=go, args=(person,)) for person in crowd]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert errors == []
    check(desk, 3)
    assert len(counted(study)) == 24 * 3


def test_one_answer_sent_at_the_same_moment(study: Study) -> None:
    """Eight copies of one request at once, ten times over, are one answer with eight receipts that say the same."""
    desk = Desk(study)
    start(desk, count=10, overlap=2)
    person = people(desk, 1)[0]
    for _ in range(10):
        given = assign.claim_next(desk, person, "c")
        assert isinstance(given, Assignment)
        barrier = threading.Barrier(8)
        receipts = []

        def go(task: str = given.task, barrier: threading.Barrier = barrier, receipts: list = receipts) -> None:  # type: ignore[type-arg]
            barrier.wait()
            receipts.append(send(desk, person, task, "safe"))

        threads = [threading.Thread(target=go) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(receipts) == 8
        assert len({(receipt.id, receipt.rev, receipt.digest) for receipt in receipts}) == 1
        assert sum(not receipt.replayed for receipt in receipts) == 1
    check(desk, 2)


def test_two_tabs_show_one_task(study: Study) -> None:
    """A person who claims in several tabs at once holds one task."""
    desk = Desk(study)
    start(desk, count=10)
    person = people(desk, 1)[0]
    found = []
    threads = [threading.Thread(target=lambda: found.append(assign.claim_next(desk, person, "c"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({given.task for given in found}) == 1


def test_the_lock_is_fair() -> None:
    """Threads get the lock in the order in which they asked, and an error inside frees it."""
    lock, order = FairLock(), []
    with lock:
        threads = []
        for number in range(8):

            def go(number: int = number) -> None:
                with lock:
                    order.append(number)

            thread = threading.Thread(target=go)
            thread.start()
            threads.append(thread)
            deadline = time.monotonic() + 5
            while len(lock._waiting) < number + 1 and time.monotonic() < deadline:
                time.sleep(0.001)
    for thread in threads:
        thread.join(5)
    assert order == list(range(8))
    with pytest.raises(ValueError, match="x"), lock:
        raise ValueError("x")
    with lock:
        pass


def test_a_lock_with_places_lets_so_many_in() -> None:
    """Two places hold two threads at a time and never three; every thread gets its turn."""
    lock, inside, most = FairLock(2), 0, 0
    guard = threading.Lock()

    def go() -> None:
        nonlocal inside, most
        with lock:
            with guard:
                inside += 1
                most = max(most, inside)
            time.sleep(0.01)
            with guard:
                inside -= 1

    threads = [threading.Thread(target=go) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (most, inside, any(thread.is_alive() for thread in threads)) == (2, 0, False)


TASKS = 40
"""New tasks before each kill, so that there is work to be interrupted."""


def _setup(where: str, crowd: int) -> list[str]:
    with open_study(where) as study:
        desk = Desk(study)
        start(desk, count=TASKS, overlap=3, lease_minutes=0.005)
        return people(desk, crowd)


def _more(where: str, round_: int) -> None:
    with open_study(where) as study:
        add_tasks(Desk(study), "c", [work(f"{round_}-{number}") for number in range(TASKS)])


def _workers(where: str, persons: list[str], folder: Path, seed: int) -> list[subprocess.Popen[bytes]]:
    half = (len(persons) + 1) // 2
    groups = [persons[:half], persons[half:]]
    return [
        subprocess.Popen(
            [sys.executable, str(WORKER), where, str(folder / f"acknowledged-{number}"), str(seed), *group]
        )
        for number, group in enumerate(groups)
    ]


def _acknowledged(folder: Path) -> list[dict[str, str]]:
    """Everything that a worker had a receipt for; the last line of a killed worker may be cut."""
    found = []
    for path in folder.glob("acknowledged-*"):
        for line in path.read_bytes().split(b"\n"):
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
    return found


def _count(folder: Path) -> int:
    """How many receipts there are, counted quickly: while this looks, the people go on."""
    return sum(path.read_bytes().count(b"}\n") for path in folder.glob("acknowledged-*"))


def _kill_again_and_again(where: str, folder: Path, seed: int, kills: int = 7) -> None:
    """Starts two processes of people at work, kills them in mid-write so many times, lets them finish, and checks everything."""
    folder.mkdir()
    chance = random.Random(seed)  # noqa: S311 -- when to kill is no secret
    persons = _setup(where, 8)
    interrupted = 0
    for kill in range(kills):
        _more(where, kill)
        running = _workers(where, persons, folder, seed * 100 + kill)
        before, deadline = _count(folder), time.monotonic() + 20
        while _count(folder) < before + 6 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(chance.random() * 0.05)
        interrupted += all(process.poll() is None for process in running)
        for process in running:
            process.kill()
        for process in running:
            process.wait()
    for process in _workers(where, persons, folder, seed * 100 + 99):
        assert process.wait(400) == 0
    receipts = _acknowledged(folder)
    with open_study(where) as study:
        check(Desk(study), 3)
        with study.reading() as connection:
            stored = {row.id: row for row in connection.execute(sa.select(tables.submission))}
    for receipt in receipts:
        assert receipt["key"] in stored
        assert (stored[receipt["key"]].person, stored[receipt["key"]].task) == (receipt["person"], receipt["task"])
    assert interrupted == kills
    # Every vote was given in the end; what is stored beyond the receipts was committed in the moment of a kill.
    assert sum(row.slot is not None and row.rev == 1 for row in stored.values()) == 3 * TASKS * (kills + 1)
    assert len(stored) - len({receipt["key"] for receipt in receipts}) <= kills * len(persons)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_killed_in_mid_write_on_sqlite(tmp_path: Path, seed: int) -> None:
    """Two processes of people killed seven times: every acknowledged answer stands exactly once, and all promises hold."""
    _kill_again_and_again(str(tmp_path / "s.db"), tmp_path / "log", seed)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("seed", range(5))
def test_killed_in_mid_write_on_postgresql(postgres: str, tmp_path: Path, seed: int) -> None:
    """The same on PostgreSQL, whose connections die with the process."""
    with postgresql.database(postgres) as url:
        _kill_again_and_again(url, tmp_path / "log", seed)


def test_deactivated_while_at_work(study: Study) -> None:
    """Somebody who is deactivated while they hold a task gets no other, and what they still send is kept."""
    desk = Desk(study)
    start(desk, count=2, overlap=1)
    first, second = people(desk, 2)
    given = assign.claim_next(desk, first, "c")
    assert isinstance(given, Assignment)
    accounts.set_person_state(desk, first, "deactivated")
    assert not isinstance(assign.claim_next(desk, first, "c"), Assignment)
    while isinstance(other := assign.claim_next(desk, second, "c"), Assignment):
        send(desk, second, other.task, "safe")
    receipt = send(desk, first, given.task, "unsafe")
    assert not receipt.counted
    check(desk, 1)
