"""The study store: insert-only facts, claims, and errors that say what to do."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

import postgresql
from cvalues.errors import ChangedData, StudyBusy, StudyError, StudyTooNew, UsageError
from cvalues.records import now
from cvalues.schema import Attempt, Audit, Response, Run, SetRef, Verdict, response_id
from cvalues.study import Received, Study, open_study, tables
from cvalues.study import engine as engines
from make import plan


def received(request: str, text: str = "回复1更好", raw: bytes | None = None) -> Received:
    """A finished call."""
    origin = f"request:{request}"
    return Received(request, Response(id=response_id(origin), origin=origin, text=text, time=now()), raw)


def started(study: Study, name: str = "r", hash_: str = "b2:1") -> Run:
    """A run that has begun."""
    return study.start_run(Run(name=name, sets=(SetRef(name="s", hash=hash_, items=4),), models=("m",), start=now()))


def test_plan_and_answers_come_back_as_they_went_in(study: Study) -> None:
    """Items, requests, asks, responses and verdicts of a run are read back unchanged."""
    entries, items = plan(4)
    run = started(study)
    study.plan(run, entries, items)
    study.record([received(entry.request_id) for entry in entries])
    study.add_verdicts(
        [Verdict(criterion="choice", subject=(received(entries[0].request_id).response.id,), rater="x", value="1")]
    )
    assert [row.subject for row in study.asked("r")] == [item.id for item in items.values()]
    assert set(study.requests("r")) == {entry.request_id for entry in entries}
    assert {item.id for item in study.items("r").values()} == {item.id for item in items.values()}
    assert {response.text for response in study.responses("r").values()} == {"回复1更好"}
    assert len(study.verdicts("r", "choice")) == 1


def test_everything_may_be_repeated(study: Study) -> None:
    """Planning, recording and judging again adds nothing."""
    entries, items = plan(4)
    run = started(study)
    for _ in range(2):
        study.plan(started(study), entries, items)
        study.record(
            [received(entry.request_id) for entry in entries],
            (),
            [Verdict(criterion="choice", subject=("x",), rater="x", value="1")],
        )
    counts = study.counts()
    assert (counts["asked"], counts["response"], counts["verdict"], counts["run"]) == (4, 4, 1, 1), run


def people_facts(study: Study) -> None:
    """One answer, one decision and one line of the ledger, with what they refer to."""
    t = tables
    rows: list[tuple[sa.Table, dict[str, object]]] = [
        (t.person, {"id": "a1", "mark": "m", "name": "", "state": "active", "locale": "zh", "created": ""}),
        (t.campaign, {"name": "c", "kind": "judge-safety", "state": "open", "created": "", "body": "{}"}),
        (t.task, {"id": "t", "campaign": "c", "key": "k", "kind": "work", "category": "", "author": "", "rnd": 0, "need": 0, "done": 0,
                  "state": "open", "body": "{}"}),
        (t.submission, {"id": "s", "campaign": "c", "task": "t", "person": "a1", "rev": 1, "received": "", "body": "{}"}),
        (t.adjudication, {"id": "d", "campaign": "c", "task": "t", "person": "a1", "rev": 1, "received": "", "body": "{}"}),
        (t.ledger, {"chain": "x", "seq": 1, "time": "", "actor": "", "verb": "v", "object": "o", "body": "{}", "prev": "", "hash": ""}),
    ]  # fmt: skip
    with study.writing() as connection:
        for table, row in rows:
            connection.execute(sa.insert(table).values(**row))


@pytest.mark.parametrize("table", [table.name for table in tables.FACTS])
@pytest.mark.parametrize("verb", ["UPDATE {} SET body = 'x'", "DELETE FROM {}"])
def test_facts_cannot_be_changed(study: Study, table: str, verb: str) -> None:
    """The database itself refuses to update or delete a fact, whoever asks."""
    entries, items = plan(2)
    study.plan(started(study), entries, items)
    attempt = Attempt(request=entries[0].request_id, kind="timeout", detail="", time=now())
    study.record(
        [received(entries[0].request_id)],
        [attempt],
        [Verdict(criterion="choice", subject=("x",), rater="x", value="1")],
    )
    study.note(Audit(verb="v", object="o", time=now()))
    people_facts(study)
    if table == "asked":
        verb = verb.replace("body", "template")
    with pytest.raises(StudyError, match="insert-only"), study.writing() as connection:
        connection.execute(sa.text(verb.format(table)))


def test_claims_are_exclusive_between_living_processes(study: Study) -> None:
    """What a living process holds is busy for us, and free as soon as that process is dead."""
    entries, items = plan(4)
    study.plan(started(study), entries, items)
    ids = [entry.request_id for entry in entries]
    code = (
        "import sys, time; from cvalues.study import open_study\n"
        "print(len(open_study(sys.argv[1]).claim('r', sys.argv[2:])[0]), flush=True); time.sleep(60)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(study.where), *ids[:3]], stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline().strip() == "3"
    assert study.claim("r", ids) == ([ids[3]], ids[:3])
    other.kill()
    other.wait()
    other.stdout.close()
    assert study.claim("r", ids) == (ids, [])


def test_silent_claim_of_another_host_is_free_after_a_minute(study: Study) -> None:
    """A claim from another host counts while its heartbeat is younger than 60 s."""
    entries, items = plan(1)
    study.plan(started(study), entries, items)
    request = entries[0].request_id
    row = {
        "request": request,
        "run": "r",
        "host": "elsewhere",
        "process": 1,
        "process_start": "",
        "heartbeat": time.time() - 50,
    }
    with study.writing() as connection:
        connection.execute(sa.insert(tables.claim), [row])
    assert study.claim("r", [request]) == ([], [request])
    with study.writing() as connection:
        connection.execute(sa.update(tables.claim).values(heartbeat=time.time() - 61))
    assert study.claim("r", [request]) == ([request], [])


def test_heartbeat_and_release_touch_only_our_claims(study: Study) -> None:
    """A heartbeat renews our claims, a release frees them."""
    entries, items = plan(2)
    study.plan(started(study), entries, items)
    ids = [entry.request_id for entry in entries]
    study.claim("r", ids)
    with study.writing() as connection:
        connection.execute(sa.update(tables.claim).values(heartbeat=1.0))
    study.heartbeat()
    with study.reading() as connection:
        assert connection.execute(sa.select(sa.func.min(tables.claim.c.heartbeat))).scalar_one() > 1.0
    study.release(ids[:1])
    assert study.counts()["claim"] == 1


def test_answered_request_is_neither_claimed_nor_busy(study: Study) -> None:
    """What has a response is left alone."""
    entries, items = plan(2)
    study.plan(started(study), entries, items)
    study.record([received(entries[0].request_id)])
    ids = [entry.request_id for entry in entries]
    assert study.claim("r", ids) == (ids[1:], [])


def test_changed_data_under_a_run_is_refused_with_both_hashes(study: Study) -> None:
    """A run whose set has another content is refused, and the message gives the two hashes."""
    started(study, hash_="b2:old")
    with pytest.raises(ChangedData, match=r"'s' changed under run 'r': it was started with b2:old, the file is b2:new"):
        started(study, hash_="b2:new")


def test_other_settings_under_one_name_are_refused(study: Study) -> None:
    """A run name stands for one plan."""
    run = started(study)
    with pytest.raises(StudyError, match="exists with other settings"):
        study.start_run(msgspec.structs.replace(run, settings={"temperature": 1}))


def test_unknown_run_lists_the_runs(study: Study) -> None:
    """An unknown run name gives the names that exist; `latest` is the one that started last."""
    started(study, "alpha")
    assert study.run("latest").name == "alpha"
    with pytest.raises(UsageError, match="did you mean alpha"):
        study.run("alpah")


def test_newer_study_is_refused(tmp_path: Path) -> None:
    """A study of a newer schema says so and what to do."""
    path = tmp_path / "s.db"
    open_study(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    with pytest.raises(StudyTooNew, match="schema 9999.*upgrade"):
        open_study(path)


@pytest.mark.parametrize("content", [b"this is no database, but long enough to be one " * 40, b"\x00" * 5000])
def test_other_file_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    """A file that is no database is refused and not touched."""
    path = tmp_path / "s.db"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=r"s\.db"):
        open_study(path)
    assert path.read_bytes() == content


def test_database_of_another_program_is_refused(tmp_path: Path) -> None:
    """A database with other tables is not written to."""
    path = tmp_path / "s.db"
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE theirs (x)")
    raw.close()
    with pytest.raises(StudyError, match="another program .tables: theirs"):
        open_study(path)


def test_unwritable_folder_is_explained(tmp_path: Path) -> None:
    """A folder that cannot hold a file gives an error with the path."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StudyError, match="cannot be opened"):
        open_study(tmp_path / "file" / "s.db")
    with pytest.raises(StudyError, match="no such study"):
        open_study(tmp_path / "none.db", create=False)


def test_locked_study_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write lock that is held for longer than we wait gives an error that says so, and the study works again afterwards."""
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.2)
    path = tmp_path / "s.db"
    with open_study(path) as study:
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StudyBusy, match="another process has held the write lock"):
            started(study)
        holder.execute("ROLLBACK")
        holder.close()
        started(study)


def test_full_disk_keeps_what_was_committed(tmp_path: Path) -> None:
    """When the database cannot grow the error says what to do, and the records before it are all there."""
    path = tmp_path / "s.db"
    entries, items = plan(200)
    with open_study(path) as study:
        study.plan(started(study), entries, items)

        @sa.event.listens_for(study.engine, "checkout")
        def _small(connection: sqlite3.Connection, *_: object) -> None:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages + 4}")

        study.engine.dispose()
        kept = 0
        with pytest.raises(StudyError, match="disk is full.*run the same command again"):
            for entry in entries:
                study.record([received(entry.request_id, "长" * 3000)])
                kept += 1
    with open_study(path) as study:
        assert len(study.responses("r")) == kept


def test_password_is_not_shown() -> None:
    """The password of a URL does not reach messages."""
    assert "secret" not in engines.hide_password("postgresql://user:secret@127.0.0.1/db")


@pytest.mark.postgres
def test_a_server_that_was_restarted_is_found_again(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that idled and was ended by the server is replaced unseen; one in use is one clear error, and the next call works."""
    with postgresql.database(postgres) as url, open_study(url) as study:

        def end_all() -> None:
            others = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            outside = sa.create_engine(study.engine.url)
            with outside.connect() as connection:
                connection.execute(sa.text(others))
            outside.dispose()
            time.sleep(0.2)

        started(study)
        end_all()
        with pytest.raises(StudyError, match="connection"):
            study.runs()
        assert [run.name for run in study.runs()] == ["r"]
        monkeypatch.setattr(engines, "IDLE_SECONDS", 0.1)
        end_all()
        assert [run.name for run in study.runs()] == ["r"]
        with study.glancing() as connection:
            assert connection.execute(sa.select(tables.run.c.name)).scalars().all() == ["r"]


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=200), st.binary(max_size=50)
)
@settings(max_examples=40, deadline=None)
def test_any_storable_text_survives(tmp_path_factory: pytest.TempPathFactory, text: str, raw: bytes) -> None:
    """Any text without NUL and lone surrogates comes back as it was, with its raw bytes."""
    with open_study(tmp_path_factory.mktemp("s") / "s.db") as study:
        entries, items = plan(1)
        study.plan(started(study), entries, items)
        study.record([received(entries[0].request_id, text, raw)])
        assert study.responses("r")[entries[0].request_id].text == text
        with study.reading() as connection:
            assert connection.execute(sa.select(tables.response.c.raw)).scalar_one() == raw


def test_migrated_schema_is_the_declared_schema(study: Study) -> None:
    """What the migrations build is exactly what `tables` declares."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with study.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, tables.metadata) == []


def test_zombie_is_dead() -> None:
    """A killed child that nobody has waited for does not hold its claims."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    start = engines.process_start(child.pid)
    assert engines.process_alive(child.pid, start)
    child.kill()
    deadline = time.monotonic() + 5
    while engines.process_alive(child.pid, start) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not engines.process_alive(child.pid, start)
    child.wait()
    assert engines.process_alive(os.getpid(), engines.process_start(os.getpid()))


@pytest.mark.parametrize("table", [table.name for table in tables.STATE])
def test_every_state_table_is_named(table: str) -> None:
    """Tables of people's work are part of the study's own list, so that counting and the documentation see them."""
    assert table in tables.metadata.tables


def test_a_study_of_the_first_schema_is_migrated(study: Study, tmp_path: Path) -> None:
    """A study with records of revision 0001 gets the tables of people's work and keeps every record."""
    from alembic import command
    from alembic.config import Config

    entries, items = plan(4)
    where = str(study.where) if engines.is_url(study.where) else str(tmp_path / "old.db")
    if engines.is_url(study.where):
        with study.writing() as connection:
            connection.execute(sa.text("DROP SCHEMA public CASCADE"))
            connection.execute(sa.text("CREATE SCHEMA public"))
        study.engine.dispose()
    engine = engines.connect(where)
    config = Config()
    config.set_main_option("script_location", str(Path(engines.__file__).parent / "migrations"))
    with engine.connect().execution_options(write=True) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.commit()
    old = Study(engine, where)
    old.plan(started(old), entries, items)
    old.record([received(entry.request_id) for entry in entries])
    old.close()
    with open_study(where) as migrated:
        assert len(migrated.responses("r")) == 4
        assert migrated.counts()["submission"] == 0
        people_facts(migrated)
