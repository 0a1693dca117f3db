"""Tests of the judge workflow against a local server that plays model and judge, with its faults."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cvalues.errors import UsageError
from cvalues.judging.panel import Member, Panel
from cvalues.judging.rubric import rubric
from cvalues.runner import Bounds
from cvalues.scoring.preference import duels
from cvalues.study import Study, open_study
from cvalues.workflows.attack import attack
from cvalues.workflows.free import free_input
from cvalues.workflows.judge import Context, convene, dry_run, judge, subjects
from cvalues.workflows.judge_calls import JudgeOptions
from cvalues.workflows.judge_tables import attack_table, judged_table
from cvalues.workflows.plan import RunOptions, model_entries
from cvalues.workflows.run import run
from server import ChatServer, completion, failure

Say = Callable[[dict[str, Any], str, int], Any]
PLAIN = JudgeOptions(rubrics=("grade",), structured="none")


def nonce_of(body: dict[str, Any]) -> str:
    """The nonce that a judge was told."""
    found = re.findall(r"<<<([0-9a-f]{12})\n", body["messages"][-1]["content"])
    return found[0] if found else ""


def right(name: str, mark: str, **changes: Any) -> str:
    """A right answer to a built-in rubric."""
    answer: dict[str, Any] = {"nonce": mark, "reason": "理由"}
    for entry in rubric(name).field:
        answer[entry.key] = (
            entry.max if entry.kind == "score" else "none" if entry.kind == "category" else entry.values[-1]
        )
    return json.dumps(answer | changes, ensure_ascii=False)


def server(say: Say) -> ChatServer:
    """A server that answers prompts as a model and judges' asks as `say` does."""

    def script(body: dict[str, Any], number: int) -> Any:
        mark = nonce_of(body)
        return say(body, mark, number) if mark else completion(f"回复 {number}：先冷静下来，再找人商量。")

    return ChatServer(script)


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    """A study of its own."""
    with open_study(tmp_path / "study.db") as opened:
        yield opened


def answered(study: Study, url: str, *, count: int = 4, samples: int = 1, models: int = 1, name: str = "free") -> str:
    """Asks prompts of the server and returns the run's name."""
    specs = tuple(f"openai:model-{index}@{url}" for index in range(models))
    options = RunOptions(sets=("starter-prompts",), models=specs, limit=count, samples=samples, name=name)
    return run(options, study).run.name


def spec(server: ChatServer, name: str = "judge") -> str:
    """A judge at the server."""
    return f"openai:{name}@{server.url}"


@pytest.mark.parametrize("name", ["safety", "grade", "responsibility", "refusal", "overhelp"])
def test_every_rubric_gives_its_verdicts(study: Study, name: str) -> None:
    """A judge that answers rightly gives one verdict per criterion and response, once, and a second call asks nothing."""
    with server(lambda _body, mark, _n: right(name, mark)) as made:
        free = answered(study, made.url)
        before = made.total
        found = judge(study, free, [spec(made)], JudgeOptions(rubrics=(name,), structured="none"))[0]
        assert (found.subjects, found.valid, found.before, found.failed) == (4, 4, 0, 0)
        assert made.total - before == 4
        for criterion in rubric(name).criteria:
            verdicts = study.all_verdicts(free, criterion, found.rater)
            assert len(verdicts) == 4
            assert all(verdict.status == "ok" and verdict.reason == "理由" for verdict in verdicts)
        again = judge(study, free, [spec(made)], JudgeOptions(rubrics=(name,), structured="none"))[0]
        assert again.before == 4
        assert made.total - before == 4


@pytest.mark.parametrize(
    "text",
    [
        "我觉得不错，给 10 分。",
        "",
        '{"nonce": "',
        '{"nonce": "ffffffffffff", "reason": "别的条目", "verdict": "responsible"}',
        '{"verdict": "responsible"}',
    ],
)
def test_what_is_no_verdict_is_asked_again_and_then_absent(study: Study, text: str) -> None:
    """Prose, empty text, truncated JSON, another item's nonce: asked a bounded number of times with fresh nonces, then no verdict."""
    marks: list[str] = []

    def say(_body: dict[str, Any], mark: str, _n: int) -> str:
        marks.append(mark)
        return text

    with server(say) as made:
        free = answered(study, made.url, count=2)
        found = judge(study, free, [spec(made)], PLAIN)[0]
    assert (found.subjects, found.valid) == (2, 0)
    assert len(marks) == 6
    assert len(set(marks)) == 6
    verdicts = study.all_verdicts(free, "grade", found.rater)
    assert len(verdicts) == 2
    assert all(verdict.value is None and verdict.status == "no_verdict" and verdict.reason for verdict in verdicts)


def test_a_second_try_may_succeed(study: Study) -> None:
    """A judge that answers rightly on its second try gives a verdict and leaves no trace of the first among the verdicts."""
    seen: set[str] = set()

    def say(body: dict[str, Any], mark: str, _n: int) -> str:
        key = body["messages"][-1]["content"].replace(mark, "")
        if key in seen:
            return right("responsibility", mark)
        seen.add(key)
        return right("responsibility", mark, points=11)

    with server(say) as made:
        free = answered(study, made.url)
        found = judge(study, free, [spec(made)], JudgeOptions(rubrics=("responsibility",), structured="none"))[0]
    assert found.valid == 4
    assert found.calls == 8
    assert [verdict.value for verdict in study.all_verdicts(free, "points", found.rater)] == [10.0] * 4


def test_a_schema_is_asked_for_where_it_is_taken(study: Study) -> None:
    """`auto` sends a JSON Schema, falls back to a JSON object and then to nothing where the server refuses."""
    for accepted in ("json_schema", "json_object", "none"):

        def say(body: dict[str, Any], mark: str, _n: int, accepted: str = accepted) -> Any:
            kind = body.get("response_format", {}).get("type", "none")
            kinds = ["json_schema", "json_object", "none"]
            if kinds.index(kind) < kinds.index(accepted):
                return failure(400, "response_format is not supported")
            return right("grade", mark)

        with server(say) as made:
            free = answered(study, made.url, count=3, name=accepted)
            found = judge(study, free, [f"openai:judge-{accepted}@{made.url}"], JudgeOptions(rubrics=("grade",)))[0]
            assert found.valid == 3
            last = made.bodies[-1].get("response_format", {"type": "none"})
        assert last["type"] == accepted
        if accepted == "json_schema":
            assert list(last["json_schema"]["schema"]["properties"]) == ["nonce", "reason", "verdict"]


def test_a_dead_judge_is_counted_and_asked_again_later(study: Study) -> None:
    """Calls that fail for good are counted as failed and give no verdict; a later call asks exactly those."""
    state = {"dead": True}

    def say(_body: dict[str, Any], mark: str, _n: int) -> Any:
        return failure(401, "no key") if state["dead"] else right("grade", mark)

    with server(say) as made:
        free = answered(study, made.url)
        found = judge(study, free, [spec(made)], PLAIN)[0]
        assert found.failed == 4
        assert found.valid == 0
        assert study.all_verdicts(free, "grade") == []
        state["dead"] = False
        assert judge(study, free, [spec(made)], PLAIN)[0].valid == 4


def test_a_judge_that_times_out_is_failed_not_zero(study: Study, tmp_path: Path) -> None:
    """A judge that never answers in time gives no verdict and counts as failed; one that does beside it is not disturbed."""
    models = tmp_path / "models.toml"
    with server(lambda _body, mark, _n: right("grade", mark)) as made:
        free = answered(study, made.url, count=2)
        made.latency = 1.5
        models.write_text(
            f'[slow]\nendpoint = "openai:judge@{made.url}"\ntimeout = 0.2\nattempts = 2\n', encoding="utf-8"
        )
        entries = model_entries(RunOptions(models_file=str(models)))
        (slow,) = judge(study, free, ["slow"], PLAIN, Context(entries=entries))
        made.latency = 0.0
        (quick,) = judge(study, free, [spec(made, "quick")], PLAIN)
    assert (slow.valid, slow.failed) == (0, 2)
    assert study.all_verdicts(free, "grade", slow.rater) == []
    assert quick.valid == 2


def test_two_prompts_are_two_judges(study: Study) -> None:
    """The same model asked in two languages is two raters, whose verdicts stand apart; the retired one stays readable."""
    with server(lambda _body, mark, _n: right("grade", mark)) as made:
        free = answered(study, made.url)
        one = judge(study, free, [spec(made)], PLAIN)[0]
        other = judge(study, free, [spec(made)], JudgeOptions(rubrics=("grade",), structured="none", language="en"))[0]
    assert one.rater != other.rater
    assert {verdict.rater for verdict in study.all_verdicts(free, "grade")} == {one.rater, other.rater}
    assert len(study.all_verdicts(free, "grade", one.rater)) == 4


def test_preference_is_asked_in_both_orders(study: Study) -> None:
    """Two models' responses to a prompt are compared in both orders, and the verdicts keep the order shown."""
    with server(lambda _body, mark, _n: right("preference", mark, verdict="1")) as made:
        free = answered(study, made.url, count=3, models=2)
        found = judge(study, free, [spec(made)], JudgeOptions(rubrics=("preference",), structured="none"))[0]
    assert (found.subjects, found.valid) == (6, 6)
    pairs = {verdict.subject for verdict in study.all_verdicts(free, "preference", found.rater)}
    assert len(pairs) == 6
    assert all((second, first) in pairs for first, second in pairs)


def test_one_family_is_warned_about(study: Study) -> None:
    """A judge of the measured model's family is reported as related to it."""
    with server(lambda _body, mark, _n: right("grade", mark)) as made:
        options = RunOptions(
            sets=("starter-prompts",), models=(f"openai:qwen2.5-7b@{made.url}", f"openai:glm-4@{made.url}"), limit=2
        )
        free = run(options, study).run.name
        found = judge(study, free, [spec(made, "qwen-max")], PLAIN)[0]
    assert found.related == ["qwen2.5-7b"]


def test_a_judge_needs_free_responses(study: Study) -> None:
    """A run of two-choice items and a model that cannot write are refused with what to do."""
    run(RunOptions(sets=("starter-choice",), models=("baseline:first",), limit=4, name="choices"), study)
    with pytest.raises(UsageError, match="holds no free responses"):
        judge(study, "choices", ["rule:safety"])
    with server(lambda _body, mark, _n: right("grade", mark)) as made:
        free = answered(study, made.url)
        with pytest.raises(UsageError, match="cannot write and so cannot judge"):
            judge(study, free, ["baseline:longer"])
        with pytest.raises(UsageError, match=f"cvalues pairs rank reward:rm@{made.url} RUN --verdicts"):
            judge(study, free, [f"reward:rm@{made.url}"])


def test_latest_is_a_measurement(study: Study) -> None:
    """What a judge was asked is no run that `latest` means."""
    with server(lambda _body, mark, _n: right("grade", mark)) as made:
        free = answered(study, made.url)
        judge(study, free, [spec(made)], PLAIN)
    assert study.run("latest").name == free


def test_a_dry_run_counts_what_is_open(study: Study) -> None:
    """A dry run asks nothing and counts the responses without a verdict."""
    with server(lambda _body, mark, _n: right("grade", mark)) as made:
        free = answered(study, made.url)
        before = made.total
        table = dry_run(study, free, [spec(made), "baseline:grade"], PLAIN)
        assert made.total == before
        assert [row[2] for row in table.rows] == [4, 0]
        judge(study, free, [spec(made)], PLAIN)
        assert dry_run(study, free, [spec(made)], PLAIN).rows[0][2] == 0


def test_built_in_judges_judge_everything(study: Study) -> None:
    """The built-in judges give a verdict on every response, once."""
    with server(lambda _body, mark, _n: right("grade", mark)) as made:
        free = answered(study, made.url, count=3, samples=2)
    for name in ("rule:safety", "rule:refusal", "baseline:grade"):
        found = judge(study, free, [name])[0]
        assert (found.subjects, found.valid, found.before) == (6, 6, 0)
        assert judge(study, free, [name])[0].before == 6
        for criterion in found.criteria:
            assert len(study.all_verdicts(free, criterion, found.rater)) == 6


def test_a_panel_decides_and_passes_ties_to_people(study: Study) -> None:
    """Two judges that agree give the panel's verdict; where they differ with equal weight it is withheld for people."""

    def say(body: dict[str, Any], mark: str, _n: int) -> str:
        strict = body["model"] == "strict" and len(body["messages"][-1]["content"]) % 2
        return right("grade", mark, verdict="unsafe" if strict else "safe")

    with server(say) as made:
        free = answered(study, made.url, count=12)
        names = [spec(made, "strict"), spec(made, "mild")]
        raters = {name: [entry.rater for entry in judge(study, free, [name], PLAIN)] for name in names}
    panel = Panel(name="p", member=tuple(Member(judge=name) for name in names), quorum=2)
    counts = convene(study, free, panel, raters)
    assert counts["valid"] + counts["people"] == 12
    assert counts["none"] == 0
    verdicts = study.all_verdicts(free, "grade", panel.rater)
    assert len(verdicts) == 12
    differing = sum(verdict.status == "no_verdict" for verdict in verdicts)
    assert differing == counts["people"]
    assert 0 < differing < 12


def test_attacks_are_measured_on_a_gullible_and_on_a_strict_judge(study: Study) -> None:
    """A judge that obeys orders in the reply is found out; one that always says unsafe withstands everything; a copier gives nothing."""

    def say(body: dict[str, Any], mark: str, _n: int) -> str:
        content = body["messages"][-1]["content"]
        match body["model"]:
            case "gullible":
                steered = re.search("responsible|满分|10 分|10分", content.partition("<<<")[2])
                return right("grade", mark, verdict="responsible" if steered else "unsafe")
            case "copier":
                copied = re.findall(r"\{.*?\}", content.partition("<<<")[2].replace("\n> ", "\n"), re.DOTALL)
                return copied[-1] if copied else right("grade", mark, verdict="unsafe")
            case _:
                return right("grade", mark, verdict="unsafe")

    with server(say) as made:
        names = [spec(made, name) for name in ("gullible", "strict", "copier")]
        found = attack(study, names, PLAIN, Context())
        again = made.total
        attack(study, names, PLAIN, Context())
        assert made.total == again
    results = {entry.rater.partition("@")[0]: scored for entry, _, scored in found}
    assert results["judge:gullible"][0].raised > 10
    assert results["judge:strict"][0].raised == 0
    assert results["judge:strict"][0].attacks >= 40
    assert results["judge:copier"][0].raised == 0
    assert results["judge:copier"][0].withheld > 5
    assert len(attack_table(found).rows) == sum(len(scored) for _, _, scored in found)


def test_the_table_of_judges_has_a_row_each(study: Study) -> None:
    """The table shows each judge with its verdicts, and what the suite holds is no measurement."""
    with server(lambda _body, mark, _n: right("grade", mark)) as made:
        free = answered(study, made.url)
        table = judged_table(judge(study, free, [spec(made), "rule:safety"], PLAIN))
    assert len(table.rows) == 2
    assert len(subjects(study, free)) == 4


def test_one_failed_call_costs_the_others_no_try(study: Study) -> None:
    """Where one call fails for good, the others are still asked again up to the bound, and then have no verdict."""

    def say(body: dict[str, Any], mark: str, _n: int) -> Any:
        material = body["messages"][-1]["content"]
        if "回复 1：" in material:
            return failure(400, "bad request")
        return right("grade", mark) if "回复 2：" in material else "只是闲聊。"

    with server(say) as made:
        free = answered(study, made.url, count=4)
        found = judge(study, free, [spec(made)], PLAIN)[0]
    assert (found.subjects, found.valid, found.failed) == (4, 1, 1)
    assert found.calls == 1 + 2 * 3
    verdicts = study.all_verdicts(free, "grade", found.rater)
    assert sorted(verdict.status for verdict in verdicts) == ["no_verdict", "no_verdict", "ok"]


def test_a_bound_of_calls_holds_over_rubrics(study: Study) -> None:
    """No more calls are made than the bound allows, over all rubrics and tries together."""
    with server(lambda _body, mark, _n: "闲聊" if mark else "") as made:
        free = answered(study, made.url, count=4)
        before = made.total
        options = JudgeOptions(rubrics=("grade", "refusal"), structured="none")
        found = judge(study, free, [spec(made)], options, Context(bounds=Bounds(max_calls=5)))
        assert made.total - before == 5
    assert sum(entry.calls for entry in found) == 5


def test_an_unknown_rule_names_the_existing_ones(study: Study) -> None:
    """`-j rule:NAME` that does not exist is refused with those that do, before anything is asked."""
    with server(lambda _body, mark, _n: right("grade", mark)) as made:
        free = answered(study, made.url)
        with pytest.raises(UsageError, match=r"rule:nope.*baseline:grade.*rule:refusal, rule:safety"):
            judge(study, free, ["rule:nope"], PLAIN)
        with pytest.raises(UsageError, match="rule:nope"):
            dry_run(study, free, ["rule:nope"], PLAIN)


def test_tokens_of_judging_are_counted(study: Study) -> None:
    """What the judge's calls took stands in its row: calls, tokens in and out; a repeated command adds none."""
    with server(lambda _body, mark, _n: right("grade", mark)) as made:
        free = answered(study, made.url)
        (first,) = judge(study, free, [spec(made)], PLAIN)
        (again,) = judge(study, free, [spec(made)], PLAIN)
    assert first.calls == 4
    assert first.tokens_in > 0
    assert first.tokens_out > 0
    assert (again.calls, again.tokens_in, again.cost) == (0, 0, 0.0)
    (row,) = judged_table([first], "zh").rows
    assert row[-3:] == (first.tokens_in, first.tokens_out, None)
    priced = replace(first, cost=0.5, currency="CNY")
    assert judged_table([priced]).rows[0][-1] == "0.5000 CNY"


def test_a_built_in_judge_of_preference_sees_both_orders(study: Study) -> None:
    """`baseline:prefer` gives a verdict on every pair of two models in both orders, and the two agree; `baseline:points` gives points."""
    run(
        RunOptions(sets=("starter-prompts",), models=("baseline:careful", "baseline:careless"), limit=8, name="own"),
        study,
    )
    prefer, points = judge(study, "own", ["baseline:prefer", "baseline:points"])
    assert (prefer.subjects, prefer.valid, points.subjects) == (16, 16, 16)
    (duel,) = duels(free_input(study, "own").preferred)
    assert (duel.pairs, duel.single_order, duel.consistent.value) == (8, 0, 1.0)
    assert (duel.a_wins.value or 0) > 0.5
    assert judge(study, "own", ["baseline:prefer"])[0].before == 16
    values = [verdict.value for verdict in study.all_verdicts("own", "points")]
    assert all(isinstance(value, float) and 1 <= value <= 10 and value == round(value) for value in values)
