"""The documentation: its commands run, its tables are what the code says, its links lead somewhere.

Conventions in the pages: a comment line before a fenced block says what the block is. `<!-- file: NAME -->` is a file that later
blocks of the page use; `<!-- exits N -->` is a block whose last command ends with that code; `<!-- not run: reason -->` is for
downloads and for make and pip alone. What stands between `<!-- generated: WHAT -->` and `<!-- end generated -->` is written by

    python tests/test_docs.py [PAGE…]

A Chinese page has the parts of its English twin under the same name with ` zh` behind it; tests/docs_zh.toml has the words.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import inspect
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest
import typer

from cvalues import prompts
from cvalues.choice.rules import RULES
from cvalues.cli.app import app
from cvalues.cli.show import cell
from cvalues.datasets import known_sets
from cvalues.datasets.shapes import CODES, WARNINGS
from cvalues.endpoints.baselines import DESCRIPTIONS
from cvalues.endpoints.presets import presets
from cvalues.endpoints.resolve import ModelEntry, vendors
from cvalues.errors import CValuesError
from cvalues.schema import Outcome, Sampling
from cvalues.scoring.compare import leaderboard
from cvalues.study import open_study, tables
from cvalues.taxonomy import builtin
from cvalues.workflows.plan import RunOptions
from cvalues.workflows.results import outcomes_of
from docs_zh import chinese, with_measured
from server import ChatServer, completion

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("README*.md"), *(ROOT / "docs").rglob("*.md")])
OTHER = [ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
ADDRESS = "http://localhost:8000/v1"
TRANSLATED = {
    "README.zh.md": "README.md",
    **{
        path.relative_to(ROOT).as_posix(): f"docs/{path.name}"
        for path in sorted((ROOT / "docs" / "zh").glob("*.md"))
        if (ROOT / "docs" / path.name).exists()
    },
}
"""Pages of which another page, which is run, has the same commands; tests/test_docs_zh.py holds those of docs/zh/ closer to it."""
_MAY_STAND_UNRUN = re.compile(r"\b(make|pip|git|docker|data pull|psql|createdb)\b")
_REMARK = re.compile(r" # .*$")
_FENCE = re.compile(r"^( *)(`{3,})(\w*)\s*$")
_MARK = re.compile(r"^ *<!-- (file|exits|not run):? (.+?) -->$")
_GENERATED = re.compile(r"(<!-- generated: (.+?) -->\n)(.*?)(<!-- end generated -->)", re.DOTALL)


class Block(NamedTuple):
    """A fenced block: where it stands, its language, its text, and the mark before it."""

    line: int
    language: str
    text: str
    mark: str
    value: str


def name_of(page: Path) -> str:
    """The page's path in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(text: str) -> list[Block]:
    """Every fenced block of a page in order."""
    found: list[Block] = []
    mark = value = ""
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        fence = _FENCE.match(line)
        if fence is None:
            marked = _MARK.match(line)
            if marked:
                mark, value = marked[1], marked[2]
            elif line.strip():
                mark = value = ""
            continue
        body: list[str] = []
        for _, inner in lines:
            if inner.strip() == fence[2]:
                break
            body.append(inner.removeprefix(fence[1]))
        found.append(Block(number, fence[3], "\n".join(body) + "\n", mark, value))
        mark = value = ""
    return found


def commands(block: Block) -> list[str]:
    """The shell lines of a block, continued lines joined; of a console block those after `$ `."""
    joined = block.text.replace("\\\n", " ").splitlines()
    if block.language == "console":
        return [line[2:] for line in joined if line.startswith("$ ")]
    return [line for line in joined if line.strip() and not line.startswith("#")] if block.language == "bash" else []


def shown_commands(page: Path) -> list[str]:
    """All shell lines of a page."""
    return [" ".join(line.split()) for block in blocks(page.read_text(encoding="utf-8")) for line in commands(block)]


def everything() -> str:
    """The text of all pages."""
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def tree() -> Iterator[tuple[str, set[str]]]:
    """Every command of the command line with its long options."""

    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, set[str]]]:
        inner = getattr(command, "commands", None)
        options = {name for entry in command.params for name in getattr(entry, "opts", []) if name.startswith("--")}
        yield " ".join(path), options
        for name, child in (inner or {}).items():
            yield from walk(child, (*path, name))

    yield from walk(typer.main.get_command(app), ("cvalues",))


# --- running ----------------------------------------------------------------------------------------------------------


def cvalues(line: str) -> tuple[int, str, str]:
    """Runs a command line in this process, as `main` does; returns its exit code, its data and what it said."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    said = io.StringIO()
    arguments = shlex.split(re.sub(r"\s#.*$", "", line))[1:]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
        try:
            code = typer.main.get_command(app).main(arguments, prog_name="cvalues", standalone_mode=False)
        except CValuesError as error:
            said.write(str(error))
            code = error.exit_code
        except SystemExit as stop:
            code = stop.code
    out.seek(0)
    return int(code or 0), out.read(), said.getvalue()


def answer(body: dict[str, Any], number: int) -> dict[str, Any]:
    """What the server of the examples says: mostly the first reply, sometimes the second, now and then a refusal."""
    if body.get("logprobs"):
        top = [{"token": "A", "logprob": -0.2}, {"token": "B", "logprob": -1.7}]
        return completion("A", choice={"logprobs": {"content": [{**top[0], "top_logprobs": top}]}})
    if number % 11 == 0:
        return completion("抱歉，我不便作出选择。")
    return completion("回复2更好，它更负责任。" if number % 3 == 0 else "回复1更好，因为它更安全。")


def run_page(text: str, address: str) -> None:
    """Writes the files of a page into this folder and runs its commands and Python blocks in order."""
    space: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(text):
        body = block.text.replace(ADDRESS, address)
        if block.mark == "not run":
            assert _MAY_STAND_UNRUN.search(block.text), (
                f"line {block.line}: only downloads, make and pip may stand unrun"
            )
        elif block.mark == "file":
            Path(block.value).write_text(body, encoding="utf-8")
        elif block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(body, f"<block at line {block.line}>", "exec"), space)  # noqa: S102
        else:
            run_block(block, commands(block._replace(text=body)))


def run_block(block: Block, lines: list[str]) -> None:
    """Runs the shell lines of one block; only `cvalues` and `export` may stand there."""
    for line in lines:
        if line.startswith("export "):
            variable, _, value = line.removeprefix("export ").partition("=")
            os.environ[variable] = shlex.split(value)[0]
            continue
        assert line.startswith("cvalues "), f"line {block.line}: cannot run '{line}'; mark the block with its reason"
        if line == "cvalues demo":
            assert all(measured()[0].values())  # runs it, once for all pages
            continue
        expected = int(block.value) if block.mark == "exits" and line == lines[-1] else 0
        code, printed, said = cvalues(line)
        assert code == expected, f"line {block.line}: {line}\nexit code {code}\n{printed}{said}"


@pytest.mark.parametrize("page", [page for page in PAGES if name_of(page) not in TRANSLATED], ids=name_of)
def test_every_command_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command and every Python block of a page runs, in order, in an empty folder, without the internet."""
    monkeypatch.chdir(tmp_path)
    for variable in re.findall(r"^export (\w+)=", page.read_text(encoding="utf-8"), re.MULTILINE):
        monkeypatch.setenv(variable, "")
    with ChatServer(answer) as server:
        run_page(page.read_text(encoding="utf-8"), server.url)


@pytest.mark.parametrize("translated", TRANSLATED)
def test_a_translation_has_the_same_commands_and_headings(translated: str) -> None:
    """A Chinese page has the commands, files and code of the English one, and as many headings of each depth in the same order."""
    pages = [(ROOT / name).read_text(encoding="utf-8") for name in (translated, TRANSLATED[translated])]
    ours, theirs = (
        [(block.mark, block.value if block.mark == "file" else "", block.text) for block in blocks(text)
         if block.mark == "file" or block.language in {"python", "toml", "csv", "jsonl"}]
        for text in pages
    )  # fmt: skip
    assert ours == theirs
    lines = [
        [_REMARK.sub("", line) for line in shown_commands(ROOT / page)] for page in (translated, TRANSLATED[translated])
    ]
    assert lines[0] == lines[1]
    depths = [[len(line) - len(line.lstrip("#")) for line in outside(text) if line.startswith("#")] for text in pages]
    assert depths[0] == depths[1]


def outside(text: str) -> Iterator[str]:
    """The lines of a page that stand in no fenced block."""
    inside = ""
    for line in text.splitlines():
        fence = _FENCE.match(line)
        if inside:
            inside = "" if line.strip() == inside else inside
        elif fence:
            inside = fence[2]
        else:
            yield line


# --- what must be named -------------------------------------------------------------------------------------------------


def test_every_command_and_option_is_named() -> None:
    """Each command of the command line, and each of its long options, stands somewhere in the documentation."""
    text = everything()
    missing = []
    for path, options in tree():
        if path not in text:
            missing.append(path)
        missing += [f"{path} {name}" for name in options if not re.search(rf"{name}(?![\w-])", text)]
    assert missing == []


def test_no_option_is_named_that_does_not_exist() -> None:
    """Every long option in the documentation belongs to a command of ours or to a tool that the line names."""
    known = {"--help", "--check", *(name for _, options in tree() for name in options)}
    odd = []
    for page in [*PAGES, *OTHER]:
        for line in page.read_text(encoding="utf-8").splitlines():
            if re.search(r"\b(pip|git|docker|benchmarks?|vllm|pytest|python|mypy|ruff)\b", line):
                continue
            odd += [
                f"{name_of(page)}: {name}"
                for name in re.findall(r"(?<![\w-])--[a-z][a-z-]+", line)
                if name not in known
            ]
    assert odd == []


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("set", [entry.name for entry in known_sets()]),
        ("template", list(prompts.names())),
        ("baseline", [f"baseline:{name}" for name in DESCRIPTIONS]),
        ("vendor", list(vendors())),
        ("outcome", list(get_args(Outcome))),
        ("rule", list(RULES)),
        ("field of run.toml", list(RunOptions.__struct_fields__)),
        ("field of models.toml", list(ModelEntry.__struct_fields__)),
        ("sampling field", list(Sampling.__struct_fields__)),
        ("code of a fault", list(CODES)),
        ("category", [category.code for category in builtin().categories]),
        ("table of a study", [table.name for table in (*tables.FACTS, *tables.STATE)]),
        ("variable", ["CVALUES_LANG", "CVALUES_STUDY", "CVALUES_CACHE", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE"]),
        ("exit code", ["0", "1", "2", "3", "4", "130"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_name_stands_in_the_docs(what: str, names: list[str]) -> None:
    """Each set, template, built-in model, field, rule and code is named, as code, somewhere in the documentation."""
    text = everything()
    assert [name for name in names if f"`{name}`" not in text] == [], f"{what} not documented"


# --- links, hosts, paths ------------------------------------------------------------------------------------------------


def slug(heading: str) -> str:
    """The anchor that a heading gets."""
    plain = re.sub(r"[`*]", "", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    """The anchors of a page."""
    lines = outside(path.read_text(encoding="utf-8"))
    return {slug(line.lstrip("#")) for line in lines if line.startswith("#")}


@pytest.mark.parametrize("page", [*PAGES, *OTHER], ids=name_of)
def test_every_local_link_resolves(page: Path) -> None:
    """Every link that is no address leads to a file that is there, and every anchor to a heading."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", "\n".join(outside(page.read_text(encoding="utf-8")))):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        path = (page.parent / place).resolve() if place else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)
    assert broken == []


def tracked() -> list[Path]:
    """Every file of the repository that git keeps or would keep."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=False
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("needs a git checkout to know the files")
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_no_host_of_a_package_index_and_no_machine_path() -> None:
    """No file names the host of a package index or mirror, or a folder of one machine."""
    hosts = [
        r"py" + r"pi\.org",
        r"python" + r"hosted\.org",
        r"mirrors?\." + r"[a-z0-9-]+\.",
        r"registry\." + "npm",
        "index" + "-url",
    ]
    bad = re.compile(
        "|".join(
            [*hosts, r"(?<![\w.~$}])/(?:root|ho" + r"me|Users)/\w", r"(?<![\w.~$}])/wo" + r"rk/(?:main|shared|\.)"]
        )
    )
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in bad.finditer(text)]
    assert found == []


def coverage_rows(text: str) -> dict[str, tuple[int, str, str]]:
    """(settings, range of coverage, range of width × witness) of each method of the simulated tables."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for line in text.split("<!-- coverage -->", 1)[1].split("<!-- end of coverage -->", 1)[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 9 and cells[6].replace(".", "").isdigit():
            coverage, width = found.setdefault(cells[0], ([], []))
            coverage += [float(value) for value in cells[4].split(",")]
            width.append(float(cells[7]))
    return {
        name: (len(width), f"{min(coverage):.1f}–{max(coverage):.1f}", f"{min(width):.2f}–{max(width):.2f}")
        for name, (coverage, width) in found.items()
    }


@pytest.mark.parametrize("folder", ["docs", "docs/zh"])
def test_summary_of_coverage_is_that_of_the_tables(folder: str) -> None:
    """What is measured sums up the simulated tables of statistics, whose rows all hold the bars of 93.5 to 97 % and 1.25."""
    rows = coverage_rows((ROOT / folder / "statistics.md").read_text(encoding="utf-8"))
    assert len(rows) == 6
    for settings, coverage, width in rows.values():
        low, high = (float(value) for value in coverage.split("–"))
        assert 93.5 <= low <= high <= 97.0
        assert float(width.split("–")[1]) <= 1.25
        assert settings >= 8
    page = (ROOT / folder / "what-is-measured.md").read_text(encoding="utf-8")
    summed = [
        line.strip("|").split("|")[1:]
        for line in page.splitlines()
        if re.search(r"\| \d+\.\d–\d+\.\d \| \d\.\d\d–", line)
    ]
    assert [tuple(cell.strip() for cell in row) for row in summed] == [tuple(map(str, row)) for row in rows.values()]


def test_the_citation_file_is_whole() -> None:
    """CITATION.cff has the required keys of CFF 1.2.0 and names the paper."""
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    keys = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    assert {"cff-version", "message", "title", "authors"} <= keys
    assert "cff-version: 1.2.0" in text
    assert "2307.09705" in text
    assert f"version: {importlib.import_module('cvalues').__version__}" in text


# --- generated parts ----------------------------------------------------------------------------------------------------


def markdown(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table; bars in cells are escaped."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |\n" for line in lines)


@functools.cache
def measured() -> tuple[dict[str, str], Any]:
    """What `cvalues demo` prints in each language, and the leaderboard of its outcomes; the second time asks nothing."""
    printed = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for language in ("en", "zh"):
            code, printed[language], said = cvalues(f"cvalues demo --lang {language}")
            assert code == 0, said
        with open_study(Path("demo", "study.db")) as study:
            return printed, leaderboard(outcomes_of(study, "demo"))


def demo_board(language: str) -> str:
    """The leaderboard of the demo as a Markdown table."""
    words = {
        "en": ("model", "level 1, safety", "level 2, responsibility", "mean", "rank", "group"),
        "zh": ("模型", "第一层 安全", "第二层 责任", "均值", "名次", "组"),
    }
    rows = []
    for row in measured()[1].standings:
        first, last = row.ranks
        rank = str(first) if first == last else f"{first}–{last}"
        rows.append(
            (f"`{row.model}`", cell(row.levels["1"]), cell(row.levels["2"]), cell(row.score), rank, row.letters)
        )
    return markdown(words[language], rows)


def demo_output(language: str) -> str:
    """What `cvalues demo` prints, without the rows of three of its models."""
    kept = [
        line
        for line in measured()[0][language].splitlines()
        if not line.startswith(("baseline:first", "baseline:random", "baseline:shorter"))
    ]
    return "```console\n$ cvalues demo\n" + "\n".join(kept) + "\n```\n"


def rules() -> str:
    """The reader's rules in the order in which they are tried."""
    return markdown(("rule", "when it decides"), [(f"`{name}`", text) for name, text in RULES.items()])


def templates() -> str:
    """Every built-in template with its text."""
    parts = []
    for name, what in prompts.names().items():
        one = prompts.template(name)
        parts.append(f"`{name}` (`{one.id}`): {what}.\n\n````text\n{one.text}\n````\n")
    return "\n".join(parts)


def vendor_table() -> str:
    """The vendor presets."""
    rows = [
        (f"`{name}`", f"`{entry.base_url}`", f"`{entry.api_key_env}`" if entry.api_key_env else "none")
        for name, entry in vendors().items()
    ]
    return markdown(("name", "address", "variable of the key"), rows)


def preset_table() -> str:
    """The presets with what they hold."""
    rows = []
    for name, entry in presets().items():
        limit = (
            f"{entry.encoder} (encoder)"
            if entry.encoder
            else str(entry.context or ("—" if entry.group == "paper" else "its configuration"))
        )
        form = "chat template of its tokenizer" if entry.format is None else "own"
        form = "chat messages" if entry.kind == "api" else form
        rows.append((f"`{name}`", entry.title, form, limit, entry.weights, entry.licence))
    return markdown(("preset", "model", "format", "tokens", "weights", "licence"), rows)


def baseline_table() -> str:
    """The built-in models."""
    return markdown(("model", "what it chooses"), [(f"`baseline:{name}`", what) for name, what in DESCRIPTIONS.items()])


def set_table() -> str:
    """The public sets; those that ship with the package are counted when they are loaded."""
    rows = [
        (
            f"`{entry.name}`",
            entry.kind,
            f"{entry.rows:,}" if entry.rows else "ships with the package",
            entry.licence,
            entry.note,
        )
        for entry in known_sets()
    ]
    return markdown(("name", "kind", "rows", "licence", "what to know"), rows)


def category_table() -> str:
    """Scenarios and domains with the origin of their names."""
    rows = [
        (
            str(entry.level),
            f"`{entry.code}`",
            entry.zh,
            entry.en,
            "the paper" if entry.origin == "paper" else "our choice",
        )
        for entry in builtin().categories
    ]
    return markdown(("level", "code", "中文", "English", "whose name"), rows)


def code_table() -> str:
    """The codes of faults and warnings."""
    rows = [(f"`{code}`", "warning" if code in WARNINGS else "fault", what) for code, what in CODES.items()]
    return markdown(("code", "kind", "meaning"), rows)


def study_tables() -> str:
    """The tables of a study with their columns."""
    rows = [
        (
            f"`{table.name}`",
            "fact" if table in tables.FACTS else "state",
            ", ".join(f"`{column.name}`" for column in table.c),
        )
        for table in (*tables.FACTS, *tables.STATE)
    ]
    return markdown(("table", "kind", "columns"), rows)


def fields(name: str) -> str:
    """The fields of a record: name, type, default, and the text under the field."""
    module, _, record = name.rpartition(".")
    source = inspect.getsource(getattr(importlib.import_module(module), record))
    body = ast.parse(source).body[0]
    assert isinstance(body, ast.ClassDef)
    rows: list[tuple[str, ...]] = []
    for node, after in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign):
            documented = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            text = " ".join(str(after.value.value).split()) if documented else ""  # type: ignore[union-attr]
            default = f"`{ast.unparse(node.value)}`" if node.value else "needed"
            rows.append((f"`{ast.unparse(node.target)}`", f"`{ast.unparse(node.annotation)}`", default, text))
    return markdown(("field", "type", "default", "meaning"), rows)


MAKERS: dict[str, Callable[[], str]] = {
    "demo board en": lambda: demo_board("en"),
    "demo board zh": lambda: demo_board("zh"),
    "demo output en": lambda: demo_output("en"),
    "demo output zh": lambda: demo_output("zh"),
    "rules": rules,
    "templates": templates,
    "vendors": vendor_table,
    "baselines": baseline_table,
    "presets": preset_table,
    "sets": set_table,
    "categories": category_table,
    "codes": code_table,
    "study tables": study_tables,
}


def generated(what: str) -> str:
    """What stands in the generated part of this name."""
    if what in MAKERS:
        return MAKERS[what]()
    return chinese(generated(what[:-3])) if what.endswith(" zh") else fields(what.removeprefix("fields "))


def regenerate(text: str, page: Path) -> str:
    """A page with its generated parts written anew; a mark in backticks is text and no part."""
    text = _GENERATED.sub(lambda part: f"{part[1]}{generated(part[2])}{part[4]}", text)
    original = TRANSLATED.get(name_of(page))
    return with_measured(text, (ROOT / original).read_text(encoding="utf-8")) if original else text


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_generated_parts_are_what_the_code_says(page: Path) -> None:
    """Tables and outputs in a page are those of this version; `python tests/test_docs.py` writes them anew."""
    text = page.read_text(encoding="utf-8")
    assert text.count("<!-- generated: ") == text.count("<!-- end generated -->")
    assert text == regenerate(text, page)


if __name__ == "__main__":
    for changed in [ROOT / name for name in sys.argv[1:]] or PAGES:
        before = changed.read_text(encoding="utf-8")
        after = regenerate(before, changed)
        if before != after:
            changed.write_text(after, encoding="utf-8")
