"""Tests of `cvalues models list|show|check`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cvalues.cli.app import app
from cvalues.endpoints.presets import presets
from cvalues.endpoints.resolve import KINDS
from cvalues.errors import UsageError
from cvalues.schema import Table
from cvalues.workflows.models import check_model, describe, model_table
from cvalues.workflows.plan import RunOptions
from server import ChatServer, failure


def invoke(*arguments: str, code: int = 0) -> str:
    """What a command prints."""
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == code, done.output
    return done.stdout


def cells(table: Table) -> str:
    """All cells of a table as one text."""
    return "\n".join(" ".join(map(str, row)) for row in table.rows)


def test_everything_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Presets, built-in models, kinds, vendors and own models stand in one list, in both languages."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.toml").write_text('[mine]\nendpoint = "hf:weights"\npreset = "moss"\n', encoding="utf-8")
    names = [row["name"] for row in json.loads(invoke("models", "list", "--json"))]
    assert {*presets(), "baseline:ngram", "deepseek:MODEL", "hf:FOLDER", "completion:MODEL@URL", "mine"} <= set(names)
    assert len(names) == len(set(names))
    assert "论文中的系统" in invoke("models", "list", "--lang", "zh")
    assert "system of the paper" in invoke("models", "list", "--lang", "en")
    assert len(model_table().rows) == len(names)


def test_the_list_has_every_kind_in_words_of_its_language() -> None:
    """Each kind that `-m` takes is listed, and no column shows a key of the program or an English word in Chinese."""
    for language, own in (("zh", "[\u4e00-\u9fff]"), ("en", "[a-z]{4}")):
        rows = model_table(language=language).rows
        assert {f"{kind}:" for kind in KINDS} <= {str(row[0]).partition(":")[0] + ":" for row in rows}
        assert all(re.search(own, str(row[1])) and "_" not in str(row[1]) for row in rows)
    assert "key:" not in cells(model_table(language="zh"))


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("name", [*presets(), "baseline:ngram", "deepseek:chat", "openai:x@http://h/v1"])
def test_every_name_can_be_shown(name: str, language: str) -> None:
    """Whatever is listed can be shown in both languages, every fact under a name of its own language."""
    table = describe(name, language=language)
    assert table.rows
    facts = [str(row[0]) for row in table.rows]
    assert not any(fact.startswith("fact.") for fact in facts)


def test_a_preset_shows_its_sources() -> None:
    """Format, limit and licence stand with where they are published; what is inferred and not public is marked."""
    table = describe("moss")
    rows = {str(row[0]): row for row in table.rows}
    assert rows["format: user"][1:] == ("'<|Human|>: {text}<eoh>\\n'", "OpenLMLab/MOSS README")
    assert "(inferred)" in str(rows["stop strings"][2])
    assert "AGPL-3.0" in str(rows["licence"][1])
    assert "prompt format and decoding in the paper" in cells(table)
    assert "380" in cells(describe("chatplug-3.7b"))
    unknown = {str(row[0]): row for row in describe("chatplug-13b", language="zh").rows}
    assert "未公开" in unknown
    assert "推断" in str(unknown["类型"][2])
    assert str(unknown["格式：用户"][2]) == "取自 ChatPLUG-3.7B (推断)"


def test_own_models_show_no_secret(tmp_path: Path) -> None:
    """Of keys and headers the names are shown and never the values."""
    models = tmp_path / "models.toml"
    text = '[mine]\nendpoint = "openai:x@http://h/v1"\napi_key_env = "MY_KEY"\nheaders = { "X-Token" = "secret-1" }\nrpm = 5.0\n'
    models.write_text(text, encoding="utf-8")
    shown = cells(describe("mine", str(models)))
    assert "$MY_KEY" in shown
    assert "X-Token" in shown
    assert "secret-1" not in shown


def test_weights_show_what_their_files_say(tmp_path: Path) -> None:
    """A folder shows type, context, revision, template and the presets that fit, without torch."""
    (tmp_path / "config.json").write_text('{"model_type": "qwen2", "max_position_embeddings": 32768}')
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    shown = cells(describe(f"hf:{tmp_path}"))
    assert "32768" in shown
    assert "{{ messages }}" in shown
    assert "qwen" in shown


def test_unknown_names() -> None:
    """A name that nothing has gives the nearest names."""
    with pytest.raises(UsageError, match="did you mean moss"):
        describe("mos")
    with pytest.raises(UsageError, match="has no prompt format of its own"):
        check_model("qwen")


def test_a_preset_is_rendered() -> None:
    """Checking a preset renders an item of the starter set in its format and sends nothing."""
    printed = invoke("models", "check", "ziya-llama-13b")
    assert printed.startswith("<human>:")
    assert "<bot>:\n" in printed
    assert "nothing was sent" in printed
    assert "未发送" in invoke("models", "check", "moss", "--lang", "zh")


def test_a_model_is_sent_one_item() -> None:
    """Checking a model sends one item and shows the reply and how it is read; --render sends none."""
    with ChatServer(lambda _body, _n: "回复2更好。") as server:
        spec = f"openai:mock@{server.url}"
        body = json.loads(invoke("models", "check", spec, "--json"))
        assert server.total == 1
        assert json.loads(body["rendered"]) == server.bodies[0]
        assert (body["text"], body["outcome"], body["finish"], body["sent"]) == ("回复2更好。", "2", "stop", True)
        assert body["tokens"] > 50
        assert "{" in invoke("models", "check", spec, "--render")
        assert server.total == 1


def test_a_model_that_fails() -> None:
    """A call that fails shows its reason and gives exit code 3."""
    with ChatServer(lambda _body, _n: failure(404, "no such model")) as server:
        printed = invoke("models", "check", f"openai:mock@{server.url}", code=3)
    assert "no such model" in printed


def test_built_in_models_are_checked() -> None:
    """A built-in model answers with its scores."""
    checked = check_model("baseline:longer")
    assert checked.mode == "choose"
    assert set(checked.option_scores) == {"回复1", "回复2"}
    assert checked.outcome in {"1", "2"}


def test_options_of_a_check() -> None:
    """Template, mode and parameters shape what is sent."""

    def answer(body: dict[str, Any], _number: int) -> dict[str, Any]:
        top = [{"token": "A", "logprob": -0.1}, {"token": "B", "logprob": -2.0}]
        message = {"role": "assistant", "content": "A"}
        return {"choices": [{"message": message, "logprobs": {"content": [{**top[0], "top_logprobs": top}]}}]}

    with ChatServer(answer) as server:
        options = RunOptions(template="ab", mode="choose", params={"enable_thinking": False})
        checked = check_model(f"openai:mock@{server.url}", options)
    assert checked.option_scores == {"A": -0.1, "B": -2.0}
    assert server.bodies[0]["enable_thinking"] is False
    assert server.bodies[0]["max_tokens"] == 1


@pytest.mark.parametrize("language", ["zh", "en"])
def test_reward_models_are_listed(language: str) -> None:
    """File, folder and server of a reward model stand in the list, each with what it is."""
    rows = {row[0]: row[2] for row in model_table(language=language).rows}
    told = [rows[name] for name in ("reward:FILE", "reward:FOLDER", "reward:NAME@URL")]
    assert len(set(told)) == 3
    assert not any(str(text).startswith("kind.") for text in told)
