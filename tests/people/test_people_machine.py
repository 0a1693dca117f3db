"""The promises about people's work under any sequence of deeds, on both engines, against a model in plain Python."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from crowd import gold, make_desk, send, start, work
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

import postgresql
from cvalues.people import accounts, assign, decide, holding, tasks
from cvalues.people.errors import BadAnswer, KeyTaken, NeverAssigned
from cvalues.people.forms import Assignment
from cvalues.people.verify import verify_people
from cvalues.study import Study, open_study, tables
from cvalues.study.verify import verify

PEOPLE, TASKS = 5, 4
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""A failing sequence of deeds is short enough to be read as it is; shrinking it takes minutes."""


class Machine(RuleBasedStateMachine):
    """People who claim, wait, answer, answer again, skip, leave, and whose work is adjudicated."""

    given = Bundle("given")
    answered = Bundle("answered")
    study: Study

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[str, tuple[str, str, dict[str, Any]]] = {}
        """Key → (person, task, answer): everything that was acknowledged."""
        self.seen: dict[str, set[str]] = {}
        self.skipped: set[tuple[str, str]] = set()
        self.keys = 0
        self.desk, self.clock = make_desk(self.study)

    @initialize(adaptive=st.booleans(), order=st.sampled_from(["breadth", "depth"]))
    def _begin(self, adaptive: bool, order: str) -> None:
        self.people = [accounts.add_person(self.desk, f"p{number}") for number in range(PEOPLE)]
        self.author = self.people[0]
        overlap = 2 if adaptive else 3
        start(self.desk, count=0, overlap=overlap, third_on_disagreement=adaptive, order=order, lease_minutes=1.0, gold_share=0.1,
              gold_gap=(2, 3), daily_items=10_000, daily_minutes=1e6)  # fmt: skip
        new = [work(number, author=self.author if number == 0 else "") for number in range(TASKS)]
        tasks.add_tasks(self.desk, "c", [*new, gold(0), gold(1, "unsafe")])
        for person in self.people:
            accounts.grant_role(self.desk, person, "annotator", "c")
            accounts.grant_role(self.desk, person, "adjudicator", "c")
        self.seen = {person: set() for person in self.people}
        self.inactive: set[str] = set()

    def _person(self, number: int) -> str:
        return self.people[number]

    @rule(target=given, number=st.integers(0, PEOPLE - 1))
    def claim(self, number: int) -> Any:
        person = self._person(number)
        found = assign.claim_next(self.desk, person, "c")
        if not isinstance(found, Assignment):
            return multiple()
        assert person not in self.inactive
        assert (person, found.task) not in self.skipped
        held = {task for who, task in self._open_exposures() if who == person}
        assert found.task in held
        self.seen[person].add(found.task)
        self.clock.tick()
        return person, found.task

    @rule(pair=given)
    def heartbeat(self, pair: tuple[str, str]) -> None:
        holding.heartbeat(self.desk, *pair, opened=True)

    @rule(pair=given)
    def leave_page(self, pair: tuple[str, str]) -> None:
        holding.release(self.desk, *pair)

    @rule(seconds=st.sampled_from([1.0, 59.0, 61.0, 3600.0, -30.0]))
    def wait(self, seconds: float) -> None:
        """The clock may go back a little too."""
        self.clock.tick(seconds)

    @rule(pair=given, text=st.text(max_size=5), revision=st.integers(0, 3))
    def draft(self, pair: tuple[str, str], text: str, revision: int) -> None:
        kept = holding.save_draft(self.desk, *pair, {"opinion": text}, revision)
        assert kept >= revision

    @rule(target=answered, pair=given, value=st.sampled_from(["safe", "unsafe", "unsure"]))
    def submit(self, pair: tuple[str, str], value: str) -> Any:
        """Late or not, given away or skipped meanwhile: an answer is taken."""
        self.keys += 1
        key = f"key-{self.keys:06d}"
        receipt = send(self.desk, *pair, {"safe": value}, key)
        assert not receipt.replayed
        self.made[key] = (*pair, {"safe": value})
        self.skipped.discard(pair)
        return key

    @rule(key=answered)
    def send_again(self, key: str) -> None:
        person, task, answer = self.made[key]
        receipt = send(self.desk, person, task, answer, key)
        assert receipt.replayed
        assert receipt.id == key

    @rule(key=answered, number=st.integers(0, PEOPLE - 1))
    def take_a_key(self, key: str, number: int) -> None:
        """A key that stands for an answer is refused for any other one."""
        person, task, answer = self.made[key]
        other = {"safe": "unsure" if answer["safe"] != "unsure" else "safe"}
        with pytest.raises(KeyTaken):
            send(self.desk, person, task, other, key)
        someone = self._person(number)
        if someone != person:
            with pytest.raises((KeyTaken, NeverAssigned)):
                send(self.desk, someone, task, answer, key)

    @rule(number=st.integers(0, PEOPLE - 1), task=st.integers(0, TASKS - 1))
    def answer_what_was_never_given(self, number: int, task: int) -> None:
        person = self._person(number)
        with self.desk.reading() as connection:
            ids = (
                connection.execute(sa.select(tables.task.c.id).where(tables.task.c.kind == "work").order_by("id"))
                .scalars()
                .all()
            )
        if ids[task] not in self.seen[person]:
            with pytest.raises(NeverAssigned):
                send(self.desk, person, ids[task], "safe", f"never-{person}-{task}")

    @rule(pair=given, reason=st.sampled_from(["distress", "unclear"]))
    def skip(self, pair: tuple[str, str], reason: str) -> None:
        done = any((person, task) == pair for person, task, _ in self.made.values())
        if done:
            with pytest.raises(BadAnswer):
                holding.skip(self.desk, *pair, reason)
        else:
            holding.skip(self.desk, *pair, reason)
            self.skipped.add(pair)

    @rule(number=st.integers(0, PEOPLE - 1), state=st.sampled_from(["active", "paused", "deactivated"]))
    def person_state(self, number: int, state: str) -> None:
        person = self._person(number)
        accounts.set_person_state(self.desk, person, state)
        self.inactive.discard(person)
        if state != "active":
            self.inactive.add(person)

    @rule(pair=given)
    def more_votes(self, pair: tuple[str, str]) -> None:
        with contextlib.suppress(BadAnswer):
            tasks.add_votes(self.desk, pair[1])

    @rule(key=answered)
    def give_back(self, key: str) -> None:
        person, task, _ = self.made[key]
        holding.return_task(self.desk, task, person, "再看一遍", actor="")

    @rule(number=st.integers(0, PEOPLE - 1), value=st.sampled_from(["safe", "unsafe", ""]), twice=st.booleans())
    def adjudicate(self, number: int, value: str, twice: bool) -> None:
        person = self._person(number)
        found = assign.claim_next(self.desk, person, "c", "adjudicate")
        if not isinstance(found, Assignment):
            return
        assert found.task not in self.seen[person]
        self.seen[person].add(found.task)
        for trial in range(1 + twice):
            self.keys += 1
            answer = {"value": value or None, "ambiguous": not value, "rationale": "理由"}
            sent = {"key": f"rule-{self.keys:06d}", "task": found.task, "answer": answer}
            ruled = decide.adjudicate(self.desk, person, sent)
            assert ruled.rev == trial + 1
            assert all(vote.person != person for vote in ruled.votes)

    def _open_exposures(self) -> Iterator[tuple[str, str]]:
        e = tables.exposure.c
        with self.desk.reading() as connection:
            for row in connection.execute(sa.select(e.person, e.task).where(e.outcome.in_(("open", "returned")))):
                yield row.person, row.task

    @invariant()
    def promises_hold(self) -> None:
        if not getattr(self, "people", None):
            return
        found = verify_people(self.desk)
        assert found.sound, found.faults
        s, t, e = tables.slot.c, tables.task.c, tables.exposure.c
        with self.desk.reading() as connection:
            stored = {row.id: row for row in connection.execute(sa.select(tables.submission))}
            need = dict(connection.execute(sa.select(t.id, t.need).where(t.kind == "work")).all())
            authors = dict(connection.execute(sa.select(t.id, t.author)).all())
            exposures = connection.execute(sa.select(e.person, e.task)).all()
            leases = (
                connection.execute(
                    sa.select(s.person).where(s.state == "leased", s.lease >= self.clock.now, s.duty == "work")
                )
                .scalars()
                .all()
            )
            ledger = connection.execute(
                sa.select(sa.func.count()).select_from(tables.ledger).where(tables.ledger.c.verb == "submit")
            ).scalar_one()
        # Acknowledged is stored, exactly once; nothing else is.
        assert set(stored) == set(self.made)
        assert ledger == len(self.made)
        counted: dict[str, set[str]] = {}
        for key, (person, task, _) in self.made.items():
            assert (stored[key].person, stored[key].task) == (person, task)
            if stored[key].slot is not None and task in need:
                counted.setdefault(task, set()).add(person)
        assert all(len(who) <= need[task] for task, who in counted.items())
        assert len(exposures) == len(set(exposures))
        assert all(authors[task] != person for person, task in exposures)
        assert all(leases.count(person) <= 1 for person in leases)

    def teardown(self) -> None:
        assert verify(self.study).sound
        self.study.close()


def _machine(opened: Any) -> Any:
    class Bound(Machine):
        def __init__(self) -> None:
            self.study = opened()
            super().__init__()

    return Bound


def test_promises_on_sqlite(tmp_path: Path) -> None:
    """Overlap, one meeting per item, no own items, no refused and no doubled answer: after every step, whatever the steps are."""
    numbers = iter(range(10**6))
    machine = _machine(lambda: open_study(tmp_path / f"{next(numbers)}.db"))
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25, stateful_step_count=35, deadline=None, suppress_health_check=quiet, phases=PHASES
        ),
    )


@pytest.mark.postgres
def test_promises_on_postgresql(postgres: str) -> None:
    """The same on PostgreSQL, where rows are locked instead of the file."""
    with contextlib.ExitStack() as stack:

        def opened() -> Study:
            url = stack.enter_context(postgresql.database(postgres))
            return open_study(url)

        quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
        run_state_machine_as_test(
            _machine(opened),
            settings=settings(
                max_examples=6, stateful_step_count=30, deadline=None, suppress_health_check=quiet, phases=PHASES
            ),
        )
