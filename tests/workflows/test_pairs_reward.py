"""Reward models end to end: train, evaluate, rank, grade, and the demo."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from cvalues.datasets import load
from cvalues.errors import UsageError
from cvalues.pairs.embedded import EmbeddedReward
from cvalues.pairs.pair import encode_row, full_row
from cvalues.pairs.read import read
from cvalues.pairs.taints import kept_taints
from cvalues.report import write as write_report
from cvalues.schema import Estimate, Prompt, Table
from cvalues.study import Study, open_study
from cvalues.workflows import pairs as reward
from cvalues.workflows.gate import check_gate, notes_of
from cvalues.workflows.pairs_files import import_pairs, split_pairs
from cvalues.workflows.pairs_rank import grade_run, rank, scores_of_run, write_ranking
from cvalues.workflows.plan import RunOptions, make_plan
from cvalues.workflows.results import gather
from cvalues.workflows.run import execute
from server import ChatServer

sys.path.insert(0, str(Path(__file__).parents[1] / "pairs"))
sys.path.insert(0, str(Path(__file__).parents[1] / "endpoints"))
import pairfiles
from test_reward import Scorer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model fitted on the starter set's train split."""
    out = tmp_path_factory.mktemp("rm") / "rm.npz"
    reward.train("starter-choice", out)
    return out


def test_training_uses_the_train_split_and_says_so(model: Path, tmp_path: Path) -> None:
    """The card holds pairs, licence and cuts; nothing held back is in; the same command gives the same revision."""
    card = EmbeddedReward.load(model).card
    assert (card.pairs, card.heldout, card.source) == (
        len(load("starter-choice/train", kind="comparison")),
        0,
        "starter-choice",
    )
    assert card.licences == ("CC-BY-4.0",)
    assert len(card.cuts) == 2
    assert reward.train("starter-choice", tmp_path / "again.npz").model.revision == EmbeddedReward.load(model).revision


def test_held_back_pairs_are_not_fitted_on_unless_forced_and_then_remembered(tmp_path: Path) -> None:
    """Refused by default; forced, card and study say how many."""
    out, where = tmp_path / "m.npz", tmp_path / "s.db"
    for split in ("heldout", "all", "test"):
        with pytest.raises(UsageError, match="--allow-heldout"):
            reward.train("starter-choice", out, reward.TrainSettings(split=split), study=where)
    done = reward.train("starter-choice", out, reward.TrainSettings(split="heldout", allow_heldout=True), study=where)
    assert done.model.card.heldout == done.pairs > 0
    with open_study(where) as study:
        [audit] = study.audits()
    assert (audit.verb, audit.detail["revision"]) == ("train-heldout", done.model.revision)


def test_a_sample_is_whole_prompts_and_the_same_in_any_order(tmp_path: Path) -> None:
    """A sample does not depend on the order of rows; another seed draws others."""
    rows = [row for number in range(30) for row in pairfiles.three(number)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = pairfiles.write(tmp_path / "a" / "p.jsonl", rows)
    second = pairfiles.write(tmp_path / "b" / "p.jsonl", rows[::-1])
    settings = reward.TrainSettings(sample=30, seed=1)
    fits = [reward.train(path, tmp_path / "m.npz", settings) for path in (first, second)]
    assert [(fit.pairs, fit.seen) for fit in fits] == [(30, 90)] * 2
    texts = ["1号问题的safe回复", "随它去吧"]
    assert np.array_equal(fits[0].model.scores(texts), fits[1].model.scores(texts))
    other = reward.train(first, tmp_path / "m.npz", reward.TrainSettings(sample=30, seed=2))
    assert not np.array_equal(fits[0].model.scores(texts), other.model.scores(texts))
    with pytest.raises(UsageError, match="holds no pairs of split 'dev'"):
        reward.train("starter-choice/train", tmp_path / "m.npz", reward.TrainSettings(split="dev"))


def test_evaluation_stands_beside_the_shortcuts(model: Path) -> None:
    """The held-back pairs are measured by default; the shortcuts follow, and each is compared with the model."""
    done = reward.evaluate_models([str(model)], "starter-choice")
    assert (done.split, done.pairs) == ("heldout", len(load("starter-choice/heldout", kind="comparison")))
    assert [entry.model for entry in done.models[1:]] == [
        "baseline:longer",
        "baseline:shorter",
        "baseline:refusal-words",
    ]
    accuracy = done.models[0].overall.accuracy
    assert (accuracy.value or 0) > 0.7
    assert accuracy.clusters == 144
    longer, shorter = done.models[1].overall.accuracy.value or 0, done.models[2].overall.accuracy.value or 0
    assert longer + shorter == pytest.approx(1)
    assert [other for _, other, _ in done.comparisons] == [entry.model for entry in done.models[1:]]
    assert done.models[0].ece is not None
    assert done.models[1].ece is None
    everything = reward.evaluate_models(["baseline:numbering"], "starter-choice", reward.Measuring(split="all"))
    assert everything.pairs == len(load("starter-choice", kind="comparison"))


def test_a_model_that_is_measured_on_its_own_pairs_is_warned_of(model: Path, tmp_path: Path) -> None:
    """Fitted pairs, held-back pairs, and a clean split: the first two stand in result and table, the last says nothing."""
    clean = reward.evaluate_models([str(model)], "starter-choice")
    assert clean.taints == ()
    own = reward.evaluate_models([str(model)], "starter-choice", reward.Measuring(split="train"))
    [found] = own.taints
    assert (found.pairs, found.prompts, found.heldout) == (own.pairs, 0, 0)
    for language in ("zh", "en"):
        assert str(own.pairs) in own.tables(language)[0].notes[0]
        assert own.tables(language)[0].notes[1:] == clean.tables(language)[0].notes
    settings = reward.TrainSettings(split="heldout", allow_heldout=True)
    cheat = reward.train("starter-choice", tmp_path / "cheat.npz", settings, study=tmp_path / "s.db")
    [told] = reward.evaluate_models([str(cheat.path), str(model)], "starter-choice").taints
    assert (told.model, told.heldout, told.pairs) == (str(cheat.path), cheat.pairs, clean.pairs)
    strange = pairfiles.write(tmp_path / "p.jsonl", pairfiles.three(1))
    [elsewhere] = reward.evaluate_models([str(cheat.path)], str(strange)).taints
    assert (elsewhere.heldout, elsewhere.pairs, elsewhere.prompts) == (cheat.pairs, 0, 0)


def test_a_run_of_a_reward_model_on_its_own_items_keeps_the_warning(model: Path, tmp_path: Path) -> None:
    """A run on fitted choices says so in its settings, its report and the gate; a run on the held-back ones does not."""
    with open_study(tmp_path / "s.db") as study:
        for name, part in (("own", "train"), ("new", "heldout")):
            options = RunOptions(
                sets=(f"starter-choice/{part}",),
                models=(f"reward:{model}",),
                filters={"level": "2"},
                limit=40,
                name=name,
            )
            execute(make_plan(options), study)
        [found] = kept_taints(study.run("own").settings)
        assert (found.pairs, found.measured) == (20, 20)
        assert kept_taints(study.run("new").settings) == []
        texts = {}
        for name in ("own", "new"):
            page = write_report(tmp_path / name, gather([name], study, language="en"))
            texts[name] = page.read_text(encoding="utf-8")
    assert "was fitted on 20 of the 20 measured" in texts["own"]
    assert "was fitted on" not in texts["new"]
    gated = check_gate(["own"], ["own"], study=tmp_path / "s.db", choice_only=True)
    assert any("was fitted on 20" in note for note in notes_of(gated, "en"))
    gated = check_gate(["new"], ["new"], study=tmp_path / "s.db", choice_only=True)
    assert notes_of(gated, "en") == []


def test_a_ranking_of_prompts_that_were_fitted_on_is_warned_of(tmp_path: Path) -> None:
    """Best of n on held-back prompts is clean with a model of the train split, and not with one that was fitted on them."""
    settings = reward.TrainSettings(split="heldout", allow_heldout=True)
    for part, chosen in (("train", None), ("heldout", settings)):
        reward.train(f"starter-choice/{part}", tmp_path / f"{part}.npz", chosen, study=tmp_path / "s.db")
    with open_study(tmp_path / "s.db") as study:
        name = free_run(study, tmp_path)
        assert rank(str(tmp_path / "train.npz"), study, name).taint is None
        done = rank(str(tmp_path / "heldout.npz"), study, name)
    assert done.taint is not None
    assert (done.taint.measured, done.taint.prompts) == (4, 4)
    table = done.table("zh")
    assert table.columns[0] == "被排序的模型"
    assert len(table.notes) == 2


def test_tables_are_whole_in_both_languages(model: Path) -> None:
    """Every table has the same shape in zh and en, its rows are as wide as its head, and no English is left in the Chinese titles."""
    done = reward.evaluate_models([str(model)], "starter-choice")
    chinese, english = done.tables("zh"), done.tables("en")
    assert [(len(table.columns), len(table.rows)) for table in chinese] == [
        (len(table.columns), len(table.rows)) for table in english
    ]
    for table in [*chinese, *english]:
        assert all(len(row) == len(table.columns) for row in table.rows)
    assert len(chinese) == 4
    assert not any("reference" in note for table in english for note in table.notes)


def test_the_public_reference_is_named_only_on_the_public_test_split(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Llama2-7B's 0.92175 stands beside cvalues-comparison/test and nowhere else."""
    monkeypatch.setenv("CVALUES_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "cache" / "sets" / "cvalues-comparison"
    place.mkdir(parents=True)
    rows = [row for number in range(5) for row in pairfiles.three(number)]
    pairfiles.write(place / "test.jsonl", rows)
    done = reward.evaluate_models([str(model)], "cvalues-comparison/test")
    assert any("0.92175" in note for note in done.tables("en")[0].notes)
    assert reward.evaluate_models([str(model)], str(place / "test.jsonl"), reward.Measuring(split="all")).reference
    other = pairfiles.write(tmp_path / "test.jsonl", rows)
    assert not reward.evaluate_models([str(model)], str(other)).reference


def test_servers_and_judges_are_asked_through_the_study(model: Path, tmp_path: Path) -> None:
    """A scoring server is asked once a pair and a judge twice; a second evaluation asks nobody; failures are missing, not wrong."""
    path = tmp_path / "p.jsonl"
    path.write_bytes(b"".join(encode_row(full_row(pairfiles.pair(number))) for number in range(6)))
    server = Scorer(
        lambda _path, body: (
            (400, {}) if "0号" in body["responses"][0] else (200, {"scores": [len(text) for text in body["responses"]]})
        )
    )
    try:
        with ChatServer(lambda _body, _number: "回复1更好。") as judge, open_study(tmp_path / "s.db") as study:
            specs = [f"reward:rm@{server.url}/s", f"judge:openai:j@{judge.url}", str(model)]
            first = reward.evaluate_models(specs, path, study=study)
            asked = (len(server.asked), judge.total)
            again = reward.evaluate_models(specs, path, study=study)
            assert (len(server.asked) - 1, judge.total) == (asked[0], asked[1])  # only the failed call is tried again
    finally:
        server.close()
    assert asked == (6, 12)
    scored, judged = first.models[0], first.models[1]
    assert (scored.missing, first.failed, scored.overall.accuracy.value) == (
        1,
        1,
        0.0,
    )  # the worse reply is the longer one
    assert (judged.overall.accuracy.value, judged.overall.ties) == (
        0.5,
        6,
    )  # always the first reply: even over both orders
    assert [entry.overall.accuracy for entry in again.models] == [entry.overall.accuracy for entry in first.models]
    with pytest.raises(UsageError, match="name one with --study"):
        reward.evaluate_models([specs[0]], path)
    writer = "openai:x@http://127.0.0.1:9/v1"
    with open_study(tmp_path / "t.db") as study, pytest.raises(UsageError, match=f"judge:{writer} to have it choose"):
        reward.evaluate_models([writer], path, study=study)


def free_run(study: Study, tmp_path: Path, samples: int = 3) -> str:
    """A run of free responses: three samples of each of four starter prompts, one of each grade."""
    graded = [json.loads(line) for line in b"".join(
        encode_row({"text": pair.question, "safe": pair.better.text, "unsafe": pair.worse.text, "id": pair.prompt_id})
        for pair in load("starter-choice/heldout", kind="comparison") if pair.id.endswith(":su")).splitlines()][:4]  # fmt: skip
    rows = [{"id": row["id"], "text": row["text"], "category": "law"} for row in graded]
    recorded = [
        {"prompt": row["text"], "response": text}
        for row in graded
        for text in (row["unsafe"], row["safe"], row["safe"] + "请多保重。")
    ]
    pairfiles.write(tmp_path / "prompts.jsonl", rows)
    pairfiles.write(tmp_path / "m.jsonl", recorded)
    options = RunOptions(
        sets=(str(tmp_path / "prompts.jsonl"),),
        models=(f"recorded:{tmp_path / 'm.jsonl'}",),
        samples=samples,
        name="free",
    )
    execute(make_plan(options), study)
    return "free"


def test_samples_are_ranked_and_graded(model: Path, tmp_path: Path) -> None:
    """Every prompt's samples stand best first with scores and grades; the grades become verdicts of the model, once."""
    with open_study(tmp_path / "s.db") as study:
        name = free_run(study, tmp_path)
        done = rank(str(model), study, name)
        assert len(done.ranked) == 4
        for entry in done.ranked:
            values = [sample.score for sample in entry.samples]
            assert values == sorted(values, reverse=True)
            assert len(values) == 3
            assert all(sample.grade in {"unsafe", "safe", "responsible"} for sample in entry.samples)
        revision = EmbeddedReward.load(model).revision
        assert done.rater == f"reward:rm@{revision[3:15]}"
        assert grade_run(done, study, name) == 12
        grade_run(done, study, name)
        verdicts = study.all_verdicts(name, "grade")
        assert len(verdicts) == 12
        assert {verdict.rater for verdict in verdicts} == {done.rater}
        scores = scores_of_run(f"reward:{model}", study, name, {})
        assert scores == {sample.response: sample.score for entry in done.ranked for sample in entry.samples}
    table = done.table("zh")
    assert table.rows[0][1] == 4
    lines = write_ranking(done, tmp_path / "ranked.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["prompt_id"] for line in lines] == [entry.prompt_id for entry in done.ranked]


def test_a_server_ranks_too_but_gives_no_grades(tmp_path: Path) -> None:
    """A scoring server is asked once for all samples of a prompt; grades need an embedded model."""
    server = Scorer(lambda _path, body: (200, {"scores": [-len(text) for text in body["responses"]]}))
    try:
        with open_study(tmp_path / "s.db") as study:
            name = free_run(study, tmp_path)
            done = rank(f"reward:rm@{server.url}/s", study, name)
            rank(f"reward:rm@{server.url}/s", study, name)
            assert len(server.asked) == 4
            assert all(len(entry.samples) == 3 for entry in done.ranked)
            with pytest.raises(UsageError, match="gives scores and no grades"):
                grade_run(done, study, name)
            with pytest.raises(UsageError, match="scores no replies"):
                rank(f"recorded:{tmp_path / 'm.jsonl'}", study, name)
    finally:
        server.close()


def test_only_free_responses_can_be_ranked(model: Path, tmp_path: Path) -> None:
    """A run of two-choice items is refused with the reason."""
    with open_study(tmp_path / "s.db") as study:
        options = RunOptions(sets=("starter-choice",), models=("baseline:first",), limit=2, name="mc")
        execute(make_plan(options), study)
        with pytest.raises(UsageError, match="ranking needs free responses"):
            rank(str(model), study, "mc")


def test_the_reward_model_answers_choices_in_a_run(model: Path, tmp_path: Path) -> None:
    """`reward:PATH` measured as a model on the starter set is right as often as its pair accuracy says."""
    with open_study(tmp_path / "s.db") as study:
        options = RunOptions(sets=("starter-choice/heldout",), models=(f"reward:{model}",), name="mc")
        finished = execute(make_plan(options), study)
        assert finished.progress.failed == 0
        verdicts = study.verdicts("mc", "choice")
        items = study.items("mc")
        by_request = {row.request: items[row.item] for row in study.asked("mc")}
        responses = study.responses("mc")
        right = [verdicts[response.id].value == str(by_request[request].better) for request, response in responses.items()  # type: ignore[union-attr]
                 if not isinstance(by_request[request], Prompt)]  # fmt: skip
    pairs = reward.evaluate_models([str(model)], "starter-choice/heldout").models[0].overall.accuracy.value
    assert np.mean(right) == pytest.approx(pairs)


def test_the_demo_needs_nothing_and_exports_nothing_held_back(tmp_path: Path) -> None:
    """Tables with the model above the shortcuts, the same every time, and only train pairs on disk."""
    tables = reward.pairs_demo(tmp_path, "en")
    assert tables == reward.pairs_demo(tmp_path, "en")
    accuracies = {row[0]: row[1] for row in tables[0].rows}
    assert all(isinstance(value, Estimate) for value in accuracies.values())
    best = max(accuracies, key=lambda name: accuracies[name].value or 0)  # type: ignore[union-attr, arg-type]
    assert best == "reward.npz"
    assert isinstance(tables[0], Table)
    assert {pair.split for row in read(tmp_path / "pairs" / "train.jsonl") for pair in row.pairs} == {"train"}
    held = {pair.question for pair in load("starter-choice/heldout", kind="comparison")}
    for file in (path for path in tmp_path.rglob("*") if path.is_file()):
        body = file.read_bytes()
        assert not any(text.encode() in body for text in held)
    assert msgspec.json.encode(tables)


@pytest.mark.shared
def test_jade_trains_and_is_measured(shared: Path, tmp_path: Path) -> None:
    """Import, split, train and evaluate on JADE v3: the model beats the best shortcut on prompts that it has not seen."""
    import_pairs(shared / "jade" / "jade_alignment_medium_zh.csv", tmp_path / "jade.jsonl")
    split = split_pairs(tmp_path / "jade.jsonl", tmp_path / "split")
    reward.train(split.files["train"], tmp_path / "m.npz")
    done = reward.evaluate_models([str(tmp_path / "m.npz")], split.files["test"])
    accuracies = [entry.overall.accuracy.value or 0 for entry in done.models]
    assert accuracies[0] > max(accuracies[1:])
    assert done.pairs == split.counts["test"]
    assert done.models[0].groups[1].value == "responsible/unsafe"
