"""Tests of help and usage errors in Chinese: the catalogue is held against every command, every page is rendered."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from typer.testing import CliRunner

from cvalues.cli import help_text, main
from cvalues.cli.app import app
from cvalues.cli.help import ChineseContext, Group, speak_chinese
from cvalues.cli.help_text import chinese, help_page, paragraphs, usage_message, words
from cvalues.cli.wrapping import fit, wrap

FOLDER = Path(help_text.__file__).parents[1] / "data/words"
HAN = re.compile("[\u4e00-\u9fff]")
WIDTH = 78


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns and an environment that names no language."""
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("CVALUES_LANG", "LC_ALL", "LC_MESSAGES", "LANG", "CVALUES_STUDY"):
        monkeypatch.delenv(name, raising=False)


def contexts() -> Iterator[Any]:
    """The context of every command of the command line, as if it were called for its help."""

    def walk(command: Any, name: str, parent: Any) -> Iterator[Any]:
        context = ChineseContext(command, info_name=name, parent=parent)
        yield context
        for child_name, child in getattr(command, "commands", {}).items():
            yield from walk(child, child_name, context)

    yield from walk(typer.main.get_command(app), "cvalues", None)


def texts() -> set[str]:
    """Every English text of help, without the examples."""
    found: set[str] = set()
    for context in contexts():
        found |= {part for part in paragraphs(context.command.help) if not part.startswith("Example:")}
        found |= {" ".join(entry.help.split()) for entry in context.command.get_params(context) if entry.help}
    return found


def invoke(*arguments: str, **environment: str) -> Any:
    """Runs a command line in this process."""
    return CliRunner().invoke(app, list(arguments), prog_name="cvalues", env=environment)


# --- the catalogue ------------------------------------------------------------------------------------------------------


def test_every_help_text_has_its_chinese() -> None:
    """Each sentence of help of each command, argument and option has a Chinese form in data/words/help*.toml."""
    assert sorted(text for text in texts() if text not in words().texts) == []


def test_no_chinese_text_is_left_over() -> None:
    """No entry is without its command or option, and none stands in two files."""
    assert sorted(set(words().texts) - texts()) == []
    keys = [
        key
        for file in sorted(FOLDER.glob("help*.toml"))
        for key in tomllib.loads(file.read_text(encoding="utf-8")).get("zh", {})
    ]
    assert sorted(keys) == sorted(set(keys))


def test_every_command_has_help() -> None:
    """Every command says what it does, and each of its arguments and options says what it is."""
    for context in contexts():
        assert paragraphs(context.command.help), context.command_path
        assert [entry.name for entry in context.command.get_params(context) if not entry.help] == []


def test_chinese_keeps_names_and_ends_like_the_english() -> None:
    """The Chinese of a text names the same options, files and commands, and is a sentence where the English is one."""
    named = re.compile(r"--[a-z][a-z-]*|`[^`]+`|\b[\w-]+\.(?:toml|jsonl?|csv|npz|xlsx|db|html)\b|cvalues \w+(?: \w+)?")
    for english, text in words().texts.items():
        assert HAN.search(text) or not re.search("[a-z]{3,} [a-z]{3,} [a-z]{3,}", english), english
        assert [name for name in named.findall(english) if name not in text] == [], english
        assert english.endswith(".") == text.endswith("。"), english


def test_names_of_an_error_agree() -> None:
    """Both languages of an error of usage name the same values, and each kind of value is known."""
    for entry in words().usage:
        assert {name for _, name, _ in entry.zh if name} == set(entry.fields), entry
        assert {what for _, _, what in entry.zh} <= {"", "message", "names"}


# --- pages --------------------------------------------------------------------------------------------------------------

PAGES = {context.command_path: context for context in contexts()}


@pytest.mark.parametrize("path", PAGES)
def test_page_of_help_is_chinese(path: str) -> None:
    """No page holds an English sentence, a line wider than the terminal, or a line that begins with a closing mark."""
    page = help_page(PAGES[path])
    assert page.startswith(f"用法：{path} [选项]")
    assert "  --help" in page
    for line in page.splitlines():
        assert cell_len(line) <= WIDTH, line
        assert line.strip()[:1] not in set("，。；：、！？）”"), line
    joined = " ".join(page.split("例：")[0].split() + page.partition("选项：")[2].split())
    rest = re.sub(r"cvalues [a-z]+ [a-z]+|(?:run|judge|gate|study|people) (?:init|attack|export|backup)", "", joined)
    assert re.findall(r"(?<![\w-])[A-Za-z']+(?: [a-z']+){2,}", rest) == []
    assert not re.search("default|required|env var|OPTIONS|COMMAND|<(?:str|int|float|path|list)", rest)


def test_a_page_tells_what_the_english_one_tells() -> None:
    """The page of `pairs import` as a person sees it: usage, example, required options, defaults, the environment."""
    page = invoke("pairs", "import", "--help", "--lang", "zh").stdout
    assert page.splitlines()[0] == "用法：cvalues pairs import [选项] {source}"
    assert "例：cvalues pairs import cvalues-comparison/test -o test.jsonl --quarantine bad.jsonl" in " ".join(
        page.split()
    )
    assert "  source <文本>  数据集的名称，或比较对文件。 [必填]\n" in page
    assert re.search(r"  --numbering <文本> +只有一项的编号", page)
    assert re.search(r"  -o, --out <路径> +要写的比较对文件。 \[必填\]\n", page)
    study = "".join(invoke("study", "info", "--help", "--lang", "zh").stdout.split())
    assert "[环境变量：CVALUES_STUDY；默认：study.db]" in study


def test_a_group_lists_its_commands_in_one_line_each() -> None:
    """A group lists every command with a Chinese line that fits the terminal."""
    lines = invoke("--help", "--lang", "zh").stdout.partition("命令：\n")[2].splitlines()
    names = list(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert [line.split()[0] for line in lines] == names
    assert all(HAN.search(line) for line in lines)


# --- the language -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (("run", "--help", "--lang", "zh"), {}),
        (("run", "--help", "--lang=zh"), {}),
        (("--lang", "zh", "run", "--help"), {}),
        (("--lang", "en", "run", "--help", "--lang", "zh"), {}),
        (("run", "--help"), {"CVALUES_LANG": "zh"}),
        (("run", "--help"), {"LANG": "zh_CN.UTF-8"}),
        (("run", "--help"), {"LC_ALL": "zh_TW.UTF-8", "LANG": "en_US.UTF-8"}),
        (("--help",), {"LANG": "zh_CN.UTF-8"}),
        (("data", "--lang", "zh", "--help"), {}),
        (("data", "--help", "--lang", "zh"), {}),
        (("--lang", "zh", "people", "serve", "--help"), {}),
    ],
)
def test_help_is_chinese(arguments: tuple[str, ...], environment: dict[str, str]) -> None:
    """--lang anywhere, CVALUES_LANG and the locale choose Chinese, before help is shown."""
    done = invoke(*arguments, **environment)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("用法：cvalues")
    assert "Usage" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (("run", "--help"), {}),
        (("run", "--help", "--lang", "en"), {"LANG": "zh_CN.UTF-8"}),
        (("--lang", "en", "data", "list", "--help"), {"CVALUES_LANG": "zh"}),
        (("run", "--help"), {"LANG": "de_DE.UTF-8"}),
        (("run", "--help", "--lang", "fr"), {}),
        (("run", "--help"), {"CVALUES_LANG": "en", "LANG": "zh_CN.UTF-8"}),
    ],
)
def test_help_is_english(arguments: tuple[str, ...], environment: dict[str, str]) -> None:
    """English stays what it is, and --lang en wins over a Chinese environment."""
    done = invoke(*arguments, **environment)
    assert done.exit_code == 0
    assert done.stdout.startswith("Usage: cvalues")
    assert not HAN.search(done.stdout)


@pytest.mark.parametrize("arguments", [("--lang", "zh", "data", "list"), ("data", "--lang", "zh", "list")])
def test_language_of_a_group_holds_for_its_commands(arguments: tuple[str, ...]) -> None:
    """`cvalues --lang zh data list` is `cvalues data list --lang zh`; the command's own --lang comes first."""
    assert invoke(*arguments).stdout == invoke("data", "list", "--lang", "zh").stdout != ""
    assert invoke(*arguments, "--lang", "en").stdout == invoke("data", "list", "--lang", "en").stdout


@pytest.mark.parametrize("arguments", [(), ("--lang", "zh"), ("data",), ("pairs",)])
def test_a_group_without_a_command_shows_its_help(arguments: tuple[str, ...]) -> None:
    """A group alone shows its Chinese page on stderr and exits with 2, as in English."""
    done = invoke(*arguments, CVALUES_LANG="zh")
    assert done.exit_code == 2
    assert done.stderr.startswith("用法：cvalues")
    assert "命令：" in done.stderr
    assert done.stdout == ""
    assert invoke(*arguments, "--help", CVALUES_LANG="zh").stdout.splitlines()[-1] == done.stderr.splitlines()[-1]


def test_commands_do_not_read_help() -> None:
    """A command that shows no help, in Chinese too, loads neither the pages nor their texts."""
    code = "import sys; from cvalues.cli import main; main()"
    probe = "import sys, atexit; atexit.register(lambda: print(sorted(m for m in sys.modules if m.startswith('cvalues.cli.'))));"
    done = subprocess.run(
        [sys.executable, "-c", probe + code, "--version"],
        capture_output=True, text=True, timeout=120, check=True, env={"CVALUES_LANG": "zh", "PATH": ""},
    )  # fmt: skip
    assert "cvalues.cli.help'" in done.stdout
    assert "help_text" not in done.stdout
    assert "wrapping" not in done.stdout


# --- errors of usage ----------------------------------------------------------------------------------------------------

ERRORS = {
    "rnu": "没有命令“rnu”；您是不是想写“run”？",
    "zzzzzz": "没有命令“zzzzzz”。",
    "data shwo x": "没有命令“shwo”；您是不是想写“show”？",
    "data --lang zh": "缺少命令。",
    "judge": "缺少参数“runs”。",
    "compare a": "缺少参数“candidate”。",
    "compare a b c d": "多出了参数：c d",
    "pairs import x": "缺少选项 -o / --out。",
    "run --limt 3": "没有选项 --limt；您是不是想写 --limit、--timeout？",
    "run --zzzzzz": "没有选项 --zzzzzz。",
    "run -z": "没有选项 -z。",
    "run --limit x": "--limit 的值不对：应为整数",
    "run --limit 0": "--limit 的值不对：不能小于 1",
    "run --rpm x": "--rpm 的值不对：应为数字",
    "run --limit 1.5": "--limit 的值不对：应为整数",
    "people plan --rate 3": "--rate 的值不对：不能大于 1",
    "people plan --items x": "--items 的值不对：应为整数",
    "report a -o": "选项 -o 后面需要一个值。",
    "run --config": "选项 --config 后面需要一个值。",
    "run --dry-run=4": "选项 --dry-run 不带值。",
}


@pytest.mark.parametrize("command", ERRORS)
def test_error_of_usage_is_chinese(command: str) -> None:
    """What typer and click say of a mistake is said in Chinese, on stderr, with exit code 2 and where to find help."""
    done = invoke(*command.split(), CVALUES_LANG="zh")
    assert done.exit_code == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[-1] == f"错误: {ERRORS[command]}"
    assert not re.search("Usage|Error|Try|Invalid|Missing|No such|Option |Input|OPTIONS", done.stderr)
    if len(lines) > 1:
        assert lines[0].startswith("用法：cvalues")
        assert re.fullmatch(r"查看帮助：cvalues( [a-z-]+)* --help", lines[-3])


@pytest.mark.parametrize("command", ["rnu", "judge", "run --limt 3", "run --limit x", "run --config"])
def test_error_of_usage_in_english_is_left_alone(command: str) -> None:
    """Without Chinese the words of typer and click stay, with the same exit code."""
    done = invoke(*command.split(), CVALUES_LANG="en")
    assert done.exit_code == 2
    assert not HAN.search(done.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--lang zh pairs split x -o y --numbering z", "错误: --numbering 只能是 keep、repair 或 drop，而不是“z”\n"),
        ("data list --lang fr", "错误: --lang 只能是 zh 或 en，而不是“fr”\n"),
        ("--lang fr data list", "错误: --lang 只能是 zh 或 en，而不是“fr”\n"),
    ],
)
def test_a_bad_choice_is_explained_in_chinese(
    arguments: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A value outside its list is refused in Chinese, with --lang before the command or a Chinese environment."""
    monkeypatch.setattr("signal.signal", lambda *_: None)  # else the interrupt of tests would stay ours
    monkeypatch.setattr("sys.argv", ["cvalues", *arguments.split()])
    monkeypatch.setenv("CVALUES_LANG", "zh")
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == message


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Got unexpected extra arguments (a b)", "多出了参数：a b"),
        ("No such option: --limt Did you mean --limit?", "没有选项 --limt；您是不是想写 --limit？"),
        ("Invalid value for '--limit': 'x' is not a valid integer range.", "--limit 的值不对：“x”不是整数"),
        ("Invalid value for '--rate': 3.0 is not in the range 0<=x<=1.", "--rate 的值不对：3.0 不在范围 0<=x<=1 内"),
        ("Invalid value for 'kind': 'x' is not one of 'a', 'b'.", "“kind” 的值不对：“x”不在可选之列：“a”、“b”"),
        ("Invalid value for '--study' (env var: 'CVALUES_STUDY'): x", "--study（环境变量 “CVALUES_STUDY”）的值不对：x"),
        ('No such command "it\'s".', "没有命令“it's”。"),
        ("something new", "something new"),
    ],
)
def test_words_of_other_versions_are_known(said: str, expected: str) -> None:
    """The wordings of older versions of the library are known; one that nobody knows stays English."""
    assert usage_message(said) == expected


@given(st.text())
def test_any_message_is_answered(text: str) -> None:
    """Whatever a user typed stands in the Chinese message, as it was."""
    assert usage_message(f"Got unexpected extra argument(s) ({text})") == f"多出了参数：{text}"
    usage_message(text)


def test_a_caller_gets_the_exception() -> None:
    """Without standalone mode errors of usage are raised, and codes returned, whatever the language."""
    command: Any = typer.main.get_command(app)
    with pytest.raises(Exception, match="rnu"):
        command.main(["rnu", "--lang", "zh"], prog_name="cvalues", standalone_mode=False)
    assert command.main(["--lang", "zh"], prog_name="cvalues", standalone_mode=False) == 2


def small(ending: Exception | None) -> typer.Typer:
    """A command line with one command that ends in this way."""
    program = typer.Typer(cls=Group, rich_markup_mode=None, add_completion=False)
    program.callback()(lambda: None)

    @program.command()
    def end(lang: str = "") -> None:
        if ending is not None:
            raise ending

    return program


@pytest.mark.parametrize(
    ("ending", "code", "said"),
    [(None, 0, ""), (typer.Exit(3), 3, ""), (typer.Abort(), 1, "已中止\n"), (KeyboardInterrupt(), 130, "")],
)
def test_exit_codes_are_those_of_english(ending: Any, code: int, said: str) -> None:
    """However a command ends, its exit code is the same in both languages."""
    ours = CliRunner().invoke(small(ending), ["end", "--lang", "zh"])
    theirs = CliRunner().invoke(small(ending), ["end", "--lang", "en"])
    assert ours.exit_code == theirs.exit_code == code
    assert ours.stderr == said


def test_a_text_without_chinese_stays_english() -> None:
    """Help that has no Chinese yet is shown as it is, and a hidden command is not listed."""
    program = typer.Typer(cls=Group, rich_markup_mode=None, add_completion=False, help="Do new things.")
    program.command("seen", help="Do a new thing.")(lambda: None)
    program.command("unseen", hidden=True)(lambda: None)
    command: Any = typer.main.get_command(program)
    speak_chinese(command)
    page = help_page(command.context_class(command, info_name="new"))
    assert "Do new things." in page
    assert "seen    Do a new thing." in page or "seen  Do a new thing." in page
    assert "unseen" not in page


def test_plain_help_is_what_every_command_uses() -> None:
    """No command shows its help in panels, which would be English: every one is plain."""
    assert {context.command.rich_markup_mode for context in contexts()} == {None}


# --- lines --------------------------------------------------------------------------------------------------------------


def test_lines_by_hand() -> None:
    """Chinese breaks anywhere but before a closing mark and after an opening one; Latin words stay whole."""
    assert wrap("测量安全，说明把握。", 8) == ["测量安", "全，说明", "把握。"]
    assert wrap("用 --limit（整数）", 10) == ["用 --limit", "（整数）"]
    assert wrap("abcdefgh", 3) == ["abc", "def", "gh"]
    assert wrap("", 10) == wrap("  ", 10) == []
    assert chinese("Example:  cvalues demo") == "例：cvalues demo"


def test_one_line_by_hand() -> None:
    """A short text loses its full stop; a long one ends where a thought does, else at a comma or anywhere with `…`."""
    assert fit("测量安全。", 20) == "测量安全"
    assert fit("测量模型的安全；说明把握有多大。", 20) == "测量模型的安全"
    assert fit("测量模型的安全，说明把握有多大。", 20) == "测量模型的安全…"
    assert fit("测量模型的安全和把握", 14) == "测量模型的安…"
    assert fit("一：测量模型的安全和把握有多大", 14) == "一：测量模型…"


@given(st.text(st.sampled_from("测量，。（）“” -ab`c;:…\n\t漢｡"), max_size=60), st.integers(8, 40))
def test_lines_fit_and_keep_the_text(text: str, width: int) -> None:
    """No line is wider than asked for, none begins or ends with a space, and nothing but spaces is lost."""
    lines = wrap(text, width)
    assert all(cell_len(line) <= width and line == line.strip() != "" for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert cell_len(fit(text, width)) <= max(width, 1) or cell_len(text) <= width
