"""Tests of the Chinese of error messages: the catalogue is held against every message that the package can raise."""

from __future__ import annotations

import ast
import csv
import ctypes
import errno
import functools
import io
import itertools
import json
import os
import re
import socket
import string
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import aiohttp
import msgspec
import pytest
from aiohttp.client_reqrep import ConnectionKey
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cvalues.cli.app import app
from cvalues.cli.messages import Wording, catalogue, check_lines, fault_text, phrase, translate, wording
from cvalues.cli.show import complain
from cvalues.datasets import check
from cvalues.datasets.shapes import CODES, Fault
from cvalues.errors import CValuesError, MissingExtra, unknown_name
from cvalues.report.export import _why

SOURCE = Path(__file__).parents[2] / "src/cvalues"
FIELD = "\0"
"""Stands for a value in the shape of a message."""
BUILDERS = {"_why", "_trouble", "_field_fault", "_scale_fault"}
"""Functions that return a message, or the rest of one, for another function to raise; the last of a tuple is the message."""
PHRASE_ARGUMENTS = {"Problem": (2, 3), "fault": (2, 3), "_again": (3, 4), "pick": (2,), "unknown_name": (0,)}
"""Calls that take the words of a fault or the kind of a name, and at which places."""
PHRASE_BUILDERS = {"abbreviate"}
VALUES = ("文件 {甲}.jsonl", "b} c{0}", "{name}", "丙", "v-5", "六 6", "七", "h8")
"""Texts for the values of a message, one each."""


class Shape(NamedTuple):
    """A message with `FIELD` for each value, and where it stands."""

    text: str
    where: str


def _called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    if isinstance(node.func, ast.Name):
        return node.func.id
    return node.func.attr if isinstance(node.func, ast.Attribute) else ""


@functools.cache
def _trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.rglob("*.py"))}


@functools.cache
def _constants() -> dict[str, ast.expr]:
    found = {}
    for tree in _trees().values():
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found[node.targets[0].id] = node.value
    return found


@functools.cache
def _errors() -> frozenset[str]:
    """Names of all children of CValuesError, and of the one private error whose text becomes part of another."""
    names = {"CValuesError"}
    while True:
        more = {
            node.name
            for tree in _trees().values()
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
            and any(isinstance(base, ast.Name) and base.id in names for base in node.bases)
        }
        if more <= names:
            return frozenset(names | {"_BrokenOffError"})
        names |= more


def _shapes(node: ast.expr, local: dict[str, list[ast.expr]], depth: int = 4) -> list[str]:
    """All texts that an expression can be, `FIELD` for what is not written in the source."""
    found = [FIELD]
    match node:
        case ast.Constant(value=str(text)):
            found = [text]
        case ast.JoinedStr(values=parts):
            choices = [_shapes(part, local, depth) for part in parts]
            found = ["".join(chosen) for chosen in itertools.product(*choices)]
        case ast.FormattedValue(value=value) if not (isinstance(value, ast.Name) and value.id in _constants()):
            found = _shapes(value, local, depth)
        case ast.IfExp(body=one, orelse=other):
            found = _shapes(one, local, depth) + _shapes(other, local, depth)
        case ast.BoolOp(values=values):
            found = [shape for value in values for shape in _shapes(value, local, depth)]
        case ast.Name(id=name) if depth:
            values = local.get(name) or ([_constants()[name]] if name in _constants() else [])
            found = [shape for value in values for shape in _shapes(value, local, depth - 1)] or [FIELD]
        case _:
            pass
    return list(dict.fromkeys(found))


def _functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef, dict[str, list[ast.expr]]]]:
    """Every function with the values that its local names are given."""
    for path, tree in _trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                local: dict[str, list[ast.expr]] = {}
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Assign) and isinstance(inner.targets[0], ast.Name):
                        local.setdefault(inner.targets[0].id, []).append(inner.value)
                yield path, node, local


def _said(node: ast.AST, function: str, path: Path) -> list[ast.expr]:
    """The expressions that a node makes into the text of an error."""
    name = _called(node)
    if isinstance(node, ast.Return) and function in BUILDERS and node.value is not None:
        nothing = isinstance(node.value, ast.Constant) and node.value.value is None
        return node.value.elts[-1:] if isinstance(node.value, ast.Tuple) else [] if nothing else [node.value]
    if not isinstance(node, ast.Call):
        return []
    if name == "__init__" and path == SOURCE / "errors.py":
        return node.args[:1]
    if name == "Fault":
        return [keyword.value for keyword in node.keywords if keyword.arg == "problem"]
    if name in _errors() and name != "MissingExtra":
        return node.args[1:2] if name == "CallError" else node.args[:1]
    return []


def _phrases_in(node: ast.AST, function: str, _path: Path) -> list[ast.expr]:
    """The expressions that a node makes into the words of a fault, or the kind of a name that does not exist."""
    if isinstance(node, ast.Return) and function in PHRASE_BUILDERS and node.value is not None:
        return [node.value]
    places = PHRASE_ARGUMENTS.get(_called(node), ())
    return [node.args[place] for place in places if isinstance(node, ast.Call) and place < len(node.args)]


def _collect(pick: Callable[[ast.AST, str, Path], list[ast.expr]]) -> tuple[Shape, ...]:
    found: dict[str, Shape] = {}
    for path, function, local in _functions():
        for node in ast.walk(function):
            for expression in pick(node, function.name, path):
                for text in _shapes(expression, local):
                    if re.search("[a-z]", text):  # a shape without words needs no translation
                        found.setdefault(text, Shape(text, f"{path.relative_to(SOURCE)}:{expression.lineno}"))
    return tuple(found.values())


@functools.cache
def messages() -> tuple[Shape, ...]:
    """Every message of the source."""
    return _collect(_said)


@functools.cache
def phrases() -> tuple[Shape, ...]:
    """Every expected or found text of a data fault, and every kind of name."""
    return _collect(_phrases_in)


FAULT_SHAPE = f"{FIELD}: expected {FIELD}, found {FIELD} [{FIELD}]"
"""What `Fault.__str__` writes; it is tested with faults."""


def _shape(entry: Wording) -> str:
    return FIELD.join(entry.literals)


def _filled(shape: str, values: tuple[str, ...] = VALUES) -> tuple[str, list[str]]:
    """A message of a shape, and the values that stand in it."""
    first, *rest = shape.split(FIELD)
    chosen = list(values[: len(rest)])
    return first + "".join(value + literal for value, literal in zip(chosen, rest, strict=True)), chosen


def _fits(entry: Wording) -> tuple[str, ...]:
    return ("safe", "unsafe") if entry.words else VALUES


def test_the_walk_sees_the_source() -> None:
    """The walk over the source finds messages of every layer, conditional and nested ones too."""
    found = {shape.text for shape in messages()}
    assert len(found) > 150
    assert len(phrases()) > 80
    assert "name at least one set, for example  cvalues run starter-choice -m baseline:ngram" in found
    assert f"unknown {FIELD} '{FIELD}'; did you mean {FIELD}? Available: {FIELD}." in found
    assert f"is not JSON ({FIELD}); give the results.json of a report" in found
    assert f"the connection ended after {FIELD} of {FIELD} bytes" in found
    assert f"this needs the package '{FIELD}': install it with  pip install 'cvalues[{FIELD}]'" in found


@pytest.mark.parametrize("shape", messages(), ids=lambda shape: shape.where)
def test_every_message_is_translated(shape: Shape) -> None:
    """Every message that the source can raise has a Chinese form, and that form keeps every value, whatever it holds."""
    text, values = _filled(shape.text)
    entry = next((entry for entry in catalogue().messages if entry.values(text) is not None), None)
    assert entry is not None, f"{shape.where}: no Chinese in errors.toml for: {text}"
    assert entry.values(text) == values
    chinese = translate(text, "zh")
    assert re.search("[\u4e00-\u9fff]", re.sub("|".join(map(re.escape, VALUES)), "", chinese))
    assert all(value in chinese for value in values)


@pytest.mark.parametrize("shape", phrases(), ids=lambda shape: shape.where)
def test_every_phrase_is_translated(shape: Shape) -> None:
    """Whatever a data fault expects or finds, and every kind of name, has a Chinese form that keeps every value."""
    entry = next((entry for entry in catalogue().phrases if _shape(entry) == shape.text), None)
    assert entry is not None, f"{shape.where}: no Chinese in faults.toml for: {shape.text.replace(FIELD, '{…}')}"
    text, values = _filled(shape.text, _fits(entry))
    assert entry.values(text) == values
    chinese = phrase(text, "zh")
    assert chinese != text
    assert all(value in chinese for value in values)


def test_no_entry_is_dead() -> None:
    """Every entry of the catalogue is the Chinese of something that the source says, and none stands there twice."""
    said = {shape.text for shape in messages()} | {FAULT_SHAPE}
    entries = [_shape(entry) for entry in catalogue().messages]
    assert [entry for entry in entries if entry not in said] == []
    words = {shape.text for shape in phrases()} | {"none of these"}
    assert [_shape(entry) for entry in catalogue().phrases if _shape(entry) not in words] == []
    for kind in (catalogue().messages, catalogue().phrases, catalogue().outside):
        shapes = [_shape(entry) for entry in kind]
        assert sorted(set(shapes)) == sorted(shapes)


def test_names_of_an_entry_agree() -> None:
    """Both languages of an entry name the same values, and no name stands for two values."""
    known = catalogue()
    for entry in (*known.messages, *known.phrases, *known.outside):
        assert len(set(entry.fields)) == len(entry.fields), _shape(entry)
        assert {name for _, name, _ in entry.zh if name} == set(entry.fields), _shape(entry)
        assert {what for _, _, what in entry.zh} <= {"", "message", "messages", "phrase", "found", "code", "or"}


def test_codes_are_those_of_the_checks() -> None:
    """Every code of a data fault has its Chinese, and there are no others."""
    assert set(catalogue().codes) == set(CODES)
    assert {name for line in catalogue().lines.values() for _, name, _, _ in string.Formatter().parse(line) if name} == {
        "fault", "count", "source", "rows", "good", "faults", "warnings",
    }  # fmt: skip


def test_other_messages_stay_english() -> None:
    """A message that the catalogue does not hold, and every message for `en`, comes back as it is."""
    for text in ("", "something: quite: else", "{0} {name}", ": ", "unknown", "expected"):
        assert translate(text, "zh") == text
    known = "p_values: expected numbers from 0 to 1"
    assert translate(known, "en") == known
    assert translate(known, "zh") != known


def test_long_messages_are_quick() -> None:
    """A message of 100 kB, of any of the forms that a search could stumble on, is translated in less than 0.2 s."""
    catalogue()
    for unit in ("a", ": ", "'", "; ", "expected , found ", " (", "x: expected y, found z [q] ", "; did you mean ?"):
        text = unit * (100_000 // len(unit))
        for message in (
            text,
            f"unknown {text} 'x'. Available: y.",
            f"{text}: no such file; give the path of an existing file",
        ):
            start = time.perf_counter()
            translate(message, "zh")
            assert time.perf_counter() - start < 0.2, unit


def test_values_may_hold_line_ends() -> None:
    """Line ends in values neither hide a message nor get lost."""
    text = "trial: model 'a\nb' failed: bad_reply: HTTP 200: x\ny; nothing more was asked"
    chinese = translate(text, "zh")
    assert chinese.startswith("试运行：模型“a\nb”失败：")
    assert "HTTP 200: x\ny" in chinese


@given(st.text(max_size=40), st.text(max_size=40))
def test_names_survive(name: str, other: str) -> None:
    """Any name is kept in the Chinese of the error that says it does not exist, and any text is translated without failure."""
    chinese = translate(str(unknown_name("model", name, [other])), "zh")
    assert chinese.startswith("没有名为“")
    assert name in chinese
    assert translate(name, "en") == name
    translate(name, "zh")


def test_unknown_names() -> None:
    """An unknown name gives the nearest and all names, or says that there is none, in both languages."""
    near = unknown_name("kind of model", "opnai", ["openai", "recorded"])
    assert str(near) == "unknown kind of model 'opnai'; did you mean openai? Available: openai, recorded."
    assert translate(str(near), "zh") == "没有名为“opnai”的模型种类；您是不是想写 openai？可用的有：openai, recorded。"
    far = unknown_name("run", "x", ["first"])
    assert str(far) == "unknown run 'x'. Available: first."
    assert translate(str(far), "zh") == "没有名为“x”的运行。可用的有：first。"
    assert translate(str(unknown_name("run", "x", [])), "zh") == "没有名为“x”的运行；目前一个都没有"
    assert translate(str(MissingExtra("pyarrow", "parquet")), "zh").endswith("pip install 'cvalues[parquet]'")


def test_messages_within_messages() -> None:
    """Messages that are part of others are translated too: reasons of a download, a fault, a failed call, the rest of a line."""
    text = (
        "s: f.txt could not be downloaded: http://a/f: HTTP 404 Not Found; http://b/f: the connection ended after 3 of 9 bytes "
        "(5 attempts). Bring it by hand: get the file from http://c on a machine that can, then  cvalues data pull s --from PATH"
    )
    assert translate(text, "zh") == (
        "s: f.txt 下载失败：http://a/f: HTTP 404 Not Found；http://b/f: 连接在收到 3 / 9 字节后中断（已尝试 5 次）。"
        "请手动获取：在能联网的机器上从 http://c 下载该文件，然后运行  cvalues data pull s --from PATH"
    )
    fault = Fault(file="a.csv", line=3, code="empty_reply", field="reply_1", expected="a text", found="an empty string")
    assert translate(f"{fault}; all faults:  cvalues data check a.csv", "zh") == (
        "a.csv:3: reply_1: 回复为空。应为：一段文本；实为：空字符串 [empty_reply]；查看全部问题：  cvalues data check a.csv"
    )
    assert translate("timeout: no reply within 60 s", "zh") == "timeout: 60 秒内没有回复"
    assert translate("HTTP 429: slow down", "zh") == "HTTP 429: slow down"
    why = _why(b"[1", msgspec.DecodeError(_raised(lambda: msgspec.json.decode(b"[1"))))
    assert translate(f"r.json: {why}", "zh") == "r.json: 不是 JSON（内容不完整）；请给出报告中的 results.json"


def test_faults_keep_what_the_file_holds() -> None:
    """Quoted values of the file are never translated, even when they read like our own words; brackets do not confuse."""
    for found in ("'nothing'", "'safe and unsafe'", "'no rows'", "'a [b] and [c]'"):
        fault = Fault(file="甲 {0}.csv", line=0, code="value", field="better", expected="1 or 2", found=found)
        assert fault_text(fault, "en") == str(fault)
        assert fault_text(fault, "zh") == (
            f"甲 {{0}}.csv: better: 值不在允许范围内。应为：1 或 2；实为：{found} [value]"
        )
    fault = Fault(
        file="a.csv",
        line=2,
        code="rank",
        field="better",
        expected="the reply of the higher grade",
        found="safe over unsafe",
    )
    assert "应为：等级较高的回复；实为：safe 优于 unsafe [rank]" in fault_text(fault, "zh")
    nested = wording("{a:word} and {b:word}", "{a} 和 {b}")
    assert nested.values("safe and unsafe") == ["safe", "unsafe"]
    assert nested.values("a b and c") is None


def test_a_check_in_chinese(tmp_path: Path) -> None:
    """A check's lines in Chinese: faults, warnings, what is not shown, and the summary; in English they are the report's own."""
    path = tmp_path / "own.csv"
    path.write_text("text,category,sourse\n, dangerous_topics ,x\n你好,nosuch,x\n", encoding="utf-8")
    report = check(path)
    lines = list(check_lines(report, "zh"))
    assert list(check_lines(report, "en")) == list(report.lines())
    assert len(lines) == len(list(report.lines()))
    assert "expected" not in "".join(lines)
    assert any("分类体系中没有这个类别" in line and "'nosuch' [unknown_category]" in line for line in lines)
    assert any(line.startswith("提醒：") for line in lines)
    assert (
        lines[-1]
        == f"{path}：共 2 行，{report.good} 行没有错误；{report.fault_count} 处错误，{report.warning_count} 处提醒"
    )
    cut = msgspec.structs.replace(report, faults=(), warnings=())
    hidden = report.fault_count + report.warning_count
    assert next(iter(check_lines(cut, "zh"))) == f"……另有 {hidden} 处未列出（见各代码的计数）"


def _raised(call: Callable[[], Any]) -> str:
    with pytest.raises((ValueError, csv.Error, zipfile.BadZipFile)) as caught:
        call()
    return str(caught.value)


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    count: int
    pair: tuple[int, int] = (0, 0)
    kind: Literal["a", "b"] = "a"


@functools.cache
def _outside() -> tuple[str, ...]:
    """What the system, the parsers and the client really say, each from its own mouth."""
    row = msgspec.json.Decoder(_Row).decode
    faults = [
        _raised(functools.partial(row, body))
        for body in ('{"count": "x"}', "{}", '{"count": 1, "x": 1}', '{"count": 1, "pair": [1]}', '{"count": 1, "kind": "c"}',
                     "{x", '{"count": 1} x', '{"count"', '{"count": x', '{"count": 1,}', '{"count": 1, "pair": [1,2,]}',
                     '{"kind": "\\x"}', '{"count": 01}', '{"count" 1}', '{"count": 1 "a"')
    ]  # fmt: skip
    faults += [
        _raised(functools.partial(json.loads, body)) for body in ("[", "{'a'", '{"a": 1 2}', '{"a" 1}', "1 2", '["a')
    ]
    faults += [
        _raised(functools.partial(tomllib.loads, body))
        for body in ("a = \n", "a = 1\n[a]\n[a]", "a = 1\na = 2", "a 1", "a = [1", "a = 1 2", "]")
    ]
    faults += [
        _raised(lambda: list(csv.reader(['"a'], strict=True))),
        _raised(lambda: list(csv.reader(['"a"b'], strict=True))),
        _raised(lambda: zipfile.ZipFile(io.BytesIO(b"x"))),
    ]
    numbers = (errno.ENOENT, errno.EACCES, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.EEXIST,
               errno.ENAMETOOLONG, errno.EIO, errno.ECONNREFUSED, errno.ECONNRESET, errno.ETIMEDOUT, errno.ENETUNREACH,
               errno.EHOSTUNREACH)  # fmt: skip
    key = ConnectionKey("h", 1, False, True, None, None, None)
    refused = OSError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)")
    network = [
        str(aiohttp.ClientConnectorError(key, refused)),
        str(refused.strerror),
        str(aiohttp.ServerDisconnectedError()),
    ]
    explain = ctypes.CDLL(None).gai_strerror
    explain.restype = ctypes.c_char_p
    resolver = [explain(number).decode() for number in (socket.EAI_NONAME, socket.EAI_AGAIN)]
    return (*faults, *map(os.strerror, numbers), *network, *resolver, str(TimeoutError("timed out")))


@functools.cache
def _of_pairs() -> frozenset[str]:
    """The forms of faults in rows of pairs; tests of `cvalues pairs` hold their codes to the table."""
    words = tomllib.loads((SOURCE / "data/words/pairs.toml").read_text(encoding="utf-8"))
    said = {f"{entry['en']}{tail} [{code}]" for code, entry in words["fault"].items() for tail in ("", f": {FIELD}")}
    return frozenset(re.sub(r"\{\w+\}", FIELD, text) for text in said)


def test_what_others_say_is_translated() -> None:
    """What the system and the parsers say inside our messages has a Chinese form, and no such entry is invented."""
    said = _outside()
    for text in said:
        assert translate(text, "zh") != text, text
    inner = [part for text in said for part in re.split(r" \(at | - at |: line |JSON is malformed: | \(byte ", text)]
    entries = catalogue().outside
    unsaid = [_shape(entry) for entry in entries if not any(entry.values(part) is not None for part in (*said, *inner))]
    assert [shape for shape in unsaid if shape not in _of_pairs()] == []
    where = "models.toml: Expected `int`, got `str` - at `$.mine.rpm`; see docs/models.md for the fields of an entry"
    assert translate(where, "zh") == (
        "models.toml: 应为 `int`，实为 `str`（位置 `$.mine.rpm`）；每个条目可用的字段见 docs/models.md"
    )


MISTAKES = {
    "run": "请至少指定一个数据集",
    "run starter-choice": "请用 -m 至少指定一个模型",
    "run starter-choise -m baseline:first": "没有名为“starter-choise”的数据集或文件；您是不是想写 starter-choice",
    "run starter-choice -m baseline:frist": "没有名为“frist”的基线；您是不是想写 first",
    "run starter-choice -m openai:x": "“openai:x”没有地址",
    "run starter-choice -m recorded:none.jsonl": "none.jsonl: 文件不存在",
    "run starter-choice -m baseline:first --filter level": "--filter 的写法是 key=value",
    "run starter-choice -m baseline:first --template plain": "不能用来问二选一题目",
    "study info": "study.db: 研究不存在",
    "score broken.jsonl": "broken.jsonl:1: 该行或该元素不是 JSON",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_mistakes_are_explained_in_chinese(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --lang zh the mistakes of a user are explained in Chinese, in one paragraph."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.jsonl").write_text("{x\n", encoding="utf-8")
    arguments = [*command.split(), "--lang", "zh"]
    monkeypatch.setattr("sys.argv", ["cvalues", *arguments])
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, CValuesError), result.output
    complain(result.exception)
    said = capsys.readouterr().err
    assert said.startswith("错误: ")
    assert MISTAKES[command] in said
    assert not re.search("expected|unknown|found|give|write ", said)


def test_failed_calls_are_told_in_chinese(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The summary of a run gives the last failure in Chinese, after the name of its kind."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.jsonl").write_text('{"prompt": "别的", "response": "回复1"}\n', encoding="utf-8")
    result = CliRunner().invoke(
        app, ["run", "starter-choice", "-m", "recorded:r.jsonl", "--limit", "2", "--lang", "zh", "--json"]
    )
    assert result.exit_code == 3
    assert "missing: r.jsonl 中没有对“" in result.stderr
    failures = [model["last_failure"] for model in json.loads(result.stdout)["models"].values()]
    assert all(failure.startswith("missing: r.jsonl holds no response to") for failure in failures)
