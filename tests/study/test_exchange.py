"""Export, import, backup and verification of a study, on both engines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

import postgresql
from cvalues.errors import DataError, StudyError, UsageError
from cvalues.records import now
from cvalues.schema import Attempt, Response, Run, Verdict, response_id
from cvalues.study import Received, Study, open_study, tables
from cvalues.study.exchange import backup_study, export_study, import_study
from cvalues.study.verify import verify
from make import plan


def fill(study: Study, count: int = 6) -> None:
    """A run with answers, a failure, raw bytes and a verdict."""
    entries, items = plan(count)
    run = study.start_run(Run(name="r", sets=(), models=("m",), start=now()))
    study.plan(run, entries, items)
    received = []
    for entry in entries[1:]:
        origin = f"request:{entry.request_id}"
        response = Response(id=response_id(origin), origin=origin, text="回复1", time=now())
        received.append(Received(entry.request_id, response, b"\x00\xff"))
    attempt = Attempt(request=entries[0].request_id, kind="timeout", detail="d", time=now(), final=True)
    verdict = Verdict(criterion="choice", subject=(received[0].response.id,), rater="x", value="1", time=now())
    study.record(received, [attempt], [verdict])


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_export_and_import_give_the_same_study(study: Study, tmp_path: Path, form: str) -> None:
    """What was exported comes back record for record, and importing it again adds nothing."""
    fill(study)
    manifest = export_study(study, tmp_path / "out", form)
    with open_study(tmp_path / "copy.db") as copy:
        assert import_study(copy, tmp_path / "out") == manifest.rows
        assert import_study(copy, tmp_path / "out") == 0
        assert copy.counts() == {**study.counts(), "claim": 0}
        assert verify(copy).sound
        again = export_study(copy, tmp_path / "again", form)
    assert {name: entry.rows for name, entry in again.files.items()} == {
        name: entry.rows for name, entry in manifest.files.items()
    }


def test_import_of_another_study_merges_by_id(study: Study, tmp_path: Path) -> None:
    """Another study's records are added once; a run of the same name with another plan is refused."""
    with open_study(tmp_path / "other.db") as other:
        fill(other)
    assert import_study(study, tmp_path / "other.db") > 0
    assert import_study(study, tmp_path / "other.db") == 0
    with open_study(tmp_path / "third.db") as third:
        third.start_run(Run(name="r", sets=(), models=("another",), start=now()))
    with pytest.raises(StudyError, match="run 'r' of the import has other models"):
        import_study(study, tmp_path / "third.db")


def test_damaged_or_newer_export_is_refused(study: Study, tmp_path: Path) -> None:
    """A changed file, a newer schema and a folder without a manifest are each refused, and nothing is merged."""
    fill(study)
    out = tmp_path / "out"
    export_study(study, out)
    with open_study(tmp_path / "copy.db") as copy:
        manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        (out / "manifest.json").write_text(json.dumps({**manifest, "schema": "9999"}), encoding="utf-8")
        with pytest.raises(DataError, match="written by a newer version"):
            import_study(copy, out)
        (out / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        with (out / "verdict.jsonl").open("a", encoding="utf-8") as file:
            file.write("{}\n")
        with pytest.raises(DataError, match="is not the file that was exported"):
            import_study(copy, out)
        (out / "manifest.json").write_text("{}", encoding="utf-8")
        with pytest.raises(DataError, match="is no manifest"):
            import_study(copy, out)
        with pytest.raises(DataError, match="no such file"):
            import_study(copy, tmp_path)
        assert copy.counts()["response"] == 0


def test_backup_is_a_whole_study(tmp_path: Path) -> None:
    """A backup opens and verifies; an existing file and an unwritable place are refused."""
    with open_study(tmp_path / "s.db") as study:
        fill(study)
        path = backup_study(study, tmp_path / "deep" / "copy.db")
        with open_study(path) as copy:
            assert verify(copy).sound
            assert copy.counts() == study.counts()
        with pytest.raises(UsageError, match="never overwrites"):
            backup_study(study, path)
        (tmp_path / "file").write_text("", encoding="utf-8")
        with pytest.raises(DataError, match="could not be written"):
            backup_study(study, tmp_path / "file" / "copy.db")


@pytest.mark.postgres
def test_backup_of_postgresql_names_the_tool(postgres: str) -> None:
    """For a PostgreSQL study the backup command says what to use."""
    with postgresql.database(postgres) as url, open_study(url) as study, pytest.raises(UsageError, match="pg_dump"):
        backup_study(study, Path("x"))


def test_unknown_format_is_refused(study: Study, tmp_path: Path) -> None:
    """An export has one of two formats."""
    with pytest.raises(UsageError, match="choose jsonl or parquet"):
        export_study(study, tmp_path, "csv")


def test_verify_finds_each_kind_of_fault(tmp_path: Path) -> None:
    """A changed record, a record that cannot be read, a missing reference, a wrong state and an unfinished 'done' run are all found."""
    with open_study(tmp_path / "s.db") as study:
        fill(study)
        assert verify(study).sound
        with study.writing() as connection:
            for table in tables.FACTS:
                connection.exec_driver_sql(f"DROP TRIGGER {table.name}_no_update")
                connection.exec_driver_sql(f"DROP TRIGGER {table.name}_no_delete")
            connection.exec_driver_sql("UPDATE verdict SET body = replace(body, '\"1\"', '\"2\"')")
            connection.exec_driver_sql("UPDATE item SET body = 'x' WHERE id = 'c1'")
            connection.exec_driver_sql(
                "DELETE FROM request WHERE id IN (SELECT request FROM asked ORDER BY position LIMIT 1)"
            )
            connection.execute(sa.update(tables.run).values(state="done"))
        problems = " | ".join(fault.problem for fault in verify(study).faults)
    for expected in (
        "is not the hash of its record",
        "cannot be read",
        "refers to a request",
        "in one column",
        "asks have no response",
    ):
        assert expected in problems
