"""Raw rows of every container."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cvalues.datasets.tabular import layout, rows, text_encoding
from cvalues.errors import DataError

Write = Callable[..., Path]
KEEP = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def read(path: Path) -> list[tuple[int, object, str]]:
    """(line, fields, code of the problem) of every row."""
    return [(raw.line, raw.fields, raw.problem.code if raw.problem else "") for raw in rows(path, layout(path))]


@pytest.mark.parametrize(
    ("encoding", "bom", "name"),
    [
        ("utf-8", b"", "utf-8"),
        ("utf-8", codecs.BOM_UTF8, "utf-8-sig"),
        ("utf-16-le", codecs.BOM_UTF16_LE, "utf-16"),
        ("gb18030", b"", "gb18030"),
    ],
)
@pytest.mark.parametrize("container", ["jsonl", "csv"])
def test_encodings_are_recognised(write: Write, encoding: str, bom: bytes, name: str, container: str) -> None:
    """UTF-8 with or without BOM, UTF-16 with BOM and GB18030 give the same rows, also without a final newline."""
    text = '{"问题": "你好吗，朋友"}' if container == "jsonl" else '问题,类别\n"你好吗，朋友",法理学'
    path = write(f"a.{container}", bom + text.encode(encoding))
    assert layout(path).encoding == name
    (row,) = read(path)
    assert row[1]["问题"] == "你好吗，朋友"  # type: ignore[index]


def test_a_missing_final_newline_loses_no_row(write: Write) -> None:
    """The last row counts with and without a newline after it."""
    for ending in ("", "\n", "\r\n", "\n\n  \n"):
        assert len(read(write("a.jsonl", '{"a": 1}\n{"a": 2}' + ending))) == 2
        assert len(read(write("a.csv", "a,b\n1,2\n3,4" + ending))) == 2


def test_broken_json_lines_do_not_end_the_reading(write: Write) -> None:
    """A broken line, a JSON value that is no object and a duplicate comma are faults of their own lines; the others are read."""
    path = write("a.jsonl", '{"a": 1}\n{"a": \n[1]\n\n"x"\n{"a": 2,,}\n{"a": NaN}\n{"a": 3}')
    assert read(path) == [
        (1, {"a": 1}, ""),
        (2, None, "broken_json"),
        (3, None, "not_object"),
        (5, None, "not_object"),
        (6, None, "broken_json"),
        (7, None, "broken_json"),
        (8, {"a": 3}, ""),
    ]


def test_damaged_bytes_are_a_fault_of_their_line(write: Write) -> None:
    """A UTF-8 file with one damaged line is read as UTF-8 and only that line is a fault, wherever GB18030 would fit it."""
    good = [json.dumps({"t": f"第{i}个问题"}, ensure_ascii=False).encode() for i in range(5)]
    path = write("a.jsonl", b"\n".join([*good[:2], b'{"t": "\xff\xfe"}', *good[2:]]))
    assert [(line, code) for line, _, code in read(path) if code] == [(3, "encoding")]
    path = write("b.jsonl", b"\n".join([*good[:2], '{"t": "你好世界"}'.encode("gb18030"), *good[2:]]))
    assert text_encoding(path) == "utf-8"
    assert [(line, code) for line, _, code in read(path) if code] == [(3, "encoding")]


def test_a_gb18030_file_with_a_damaged_line_stays_gb18030(write: Write) -> None:
    """A mostly GB18030 file that does not fit it everywhere is read as GB18030 with the damaged lines as faults."""
    lines = ["问题,类别".encode("gb18030"), *("你好吗,法理学".encode("gb18030") for _ in range(4)), b"\xff\xff,x"]
    found = read(write("a.csv", b"\n".join(lines)))
    assert [code for _, _, code in found] == ["", "", "", "", "encoding"]
    assert found[0][1] == {"问题": "你好吗", "类别": "法理学"}


def test_csv_rows_have_physical_lines(write: Write) -> None:
    """A row is placed at its first physical line, also after cells of several lines, with both kinds of line end."""
    for end in ("\n", "\r\n"):
        text = end.join(["id,text", f'1,"a{end}b{end}c"', "2,d", "", '3,"e ""f"""'])
        assert read(write("a.csv", text)) == [
            (2, {"id": "1", "text": f"a{end}b{end}c"}, ""),
            (5, {"id": "2", "text": "d"}, ""),
            (7, {"id": "3", "text": 'e "f"'}, ""),
        ]


def test_csv_rows_of_another_length_are_faults(write: Write) -> None:
    """A short or long row is a fault at its own line; rows of empty cells are left out."""
    path = write("a.csv", "id,text\n1\n2,b\n,\n3,c,d\n")
    assert read(path) == [(2, None, "columns"), (3, {"id": "2", "text": "b"}, ""), (5, None, "columns")]


def test_an_open_quote_costs_one_row(write: Write) -> None:
    """A quote that is never closed is a fault of its line, and the rows after it are read."""
    assert read(write("a.csv", 'id,text\n1,"abc\n2,b\n3,"c"\n4,d')) == [
        (2, None, "quoting"),
        (3, {"id": "2", "text": "b"}, ""),
        (4, {"id": "3", "text": "c"}, ""),
        (5, {"id": "4", "text": "d"}, ""),
    ]


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.jsonl", '{"a": 1}\n{"a": 2', [(1, ""), (2, "truncated")]),
        ("a.jsonl", '{"a": 1}\n{"a": 2\n', [(1, ""), (2, "broken_json")]),
        ("a.json", '[{"a": 1},\n{"a": 2}', [(1, ""), (2, ""), (2, "truncated")]),
        ("a.json", '[{"a": 1},\n{"a": "2', [(1, ""), (2, "truncated")]),
        ("a.csv", 'id,text\n1,b\n2,"c d\ne f', [(2, ""), (3, "truncated")]),
        ("a.csv", "id,text\n1,b\n2", [(2, ""), (3, "truncated")]),
        ("a.csv", "id,text\n1,b\n2\n", [(2, ""), (3, "columns")]),
        ("a.csv", 'id,text\n1,"b\n2,c\n3,d', [(2, "quoting"), (3, ""), (4, "")]),
    ],
)
def test_a_file_that_was_cut_is_called_truncated(
    write: Write, name: str, text: str, found: list[tuple[int, str]]
) -> None:
    """A last record that breaks off is `truncated` with its line; the same fault before the end, or a row ended, is not."""
    assert [(line, code) for line, _, code in read(write(name, text))] == found


def test_a_file_of_open_quotes_ends(write: Write) -> None:
    """Thousands of broken quotes are given up with a fault that says so, in bounded time."""
    path = write("a.csv", "id,text\n" + '1,"a" b\n' * 5000)
    found = list(rows(path, layout(path)))
    assert len(found) == 200
    assert found[-1].problem is not None
    assert "rest of the file is not read" in found[-1].problem.found


def test_a_column_named_twice_is_a_fault(write: Write) -> None:
    """A header that repeats a name is a fault at line 1."""
    assert read(write("a.csv", "id,text,id\n1,a,2"))[0] == (1, None, "columns")


@pytest.mark.parametrize(("name", "mark"), [("a.csv", ","), ("a.csv", ";"), ("a.tsv", "\t"), ("a.txt", "\t")])
def test_delimiters_are_recognised(write: Write, name: str, mark: str) -> None:
    """Comma, semicolon and tab are told from the header, not from the file's name."""
    assert read(write(name, f"id{mark}text\n1{mark}a")) == [(2, {"id": "1", "text": "a"}, "")]


def test_a_json_array_has_lines(write: Write) -> None:
    """Elements of a JSON array are rows with their lines; a broken element ends it with a fault that says so."""
    path = write("a.json", '[\n {"a": 1},\n {"a":\n  2}, 3\n]')
    assert read(path) == [(2, {"a": 1}, ""), (3, {"a": 2}, ""), (4, None, "not_object")]
    path = write("b.json", '[{"a": 1},\n{"a": }]')
    assert read(path) == [(1, {"a": 1}, ""), (2, None, "broken_json")]
    path = write("c.json", '[{"a": 1}\n{"a": 2}]')
    assert [code for *_, code in read(path)] == ["", "broken_json"]
    assert [code for *_, code in read(write("d.json", '[{"a": 1}'))] == ["", "truncated"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"PK\x03\x04....", "Excel workbook"),
        (b"\x1f\x8b....", "gzip"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"PAR1....", "cannot be read as Parquet"),
    ],
)
def test_files_that_are_no_data_say_what_they_are(write: Write, body: bytes, message: str) -> None:
    """An empty file, a workbook, an archive, an LFS pointer and a broken Parquet file are named for what they are."""
    path = write("a.csv", body)
    with pytest.raises(DataError, match=message):
        list(rows(path, layout(path)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A path that does not exist is an error that names it."""
    with pytest.raises(DataError, match="no such file"):
        layout(tmp_path / "none.csv")


def test_parquet_rows_are_read_in_order(tmp_path: Path) -> None:
    """Parquet gives the rows of every batch, nested values included, numbered from 1."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    records = [{"text": f"题{i}", "replies": {"safe": "甲"}} for i in range(5000)]
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "a.bin")
    found = read(tmp_path / "a.bin")
    assert [fields for _, fields, _ in found] == records
    assert [line for line, *_ in found] == list(range(1, 5001))


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\ufeff"), min_size=0, max_size=12)


@KEEP
@given(st.lists(st.lists(CELL, min_size=2, max_size=2), max_size=8))
def test_any_csv_that_python_writes_is_read_back(tmp_path: Path, table: list[list[str]]) -> None:
    """Whatever cells Python's csv writer puts into a file come back, blank rows left out."""
    text = io.StringIO()
    csv.writer(text).writerows([["a", "b"], *table])
    path = tmp_path / "a.csv"
    path.write_bytes(text.getvalue().encode())
    wanted = [{"a": row[0], "b": row[1]} for row in table if any(cell.strip("\r\n\t \ufeff") for cell in row)]
    assert [fields for _, fields, _ in read(path)] == wanted


@KEEP
@given(st.binary(min_size=1, max_size=300))
def test_no_bytes_crash_the_reader(tmp_path: Path, body: bytes) -> None:
    """Any bytes end in rows, faults or a DataError, never in another exception."""
    path = tmp_path / "a.csv"
    path.write_bytes(body)
    with contextlib.suppress(DataError):
        assert all((fields is None) == bool(code) for _, fields, code in read(path))


@KEEP
@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.one_of(st.none(), st.integers(), st.text(max_size=9))), max_size=6)
)
def test_any_json_lines_come_back(tmp_path: Path, records: list[dict[str, object]]) -> None:
    """JSON objects written one a line come back equal, with the line of each."""
    path = tmp_path / "a.jsonl"
    try:
        path.write_bytes("\n".join(json.dumps(record, ensure_ascii=False) for record in records).encode())
    except UnicodeEncodeError:
        return
    if records:
        assert read(path) == [(number, record, "") for number, record in enumerate(records, 1)]
