"""`cvalues judge attack`: how often replies that try to steer a judge succeed."""

from __future__ import annotations

from collections.abc import Sequence

from cvalues.endpoints.base import Answer, LocalEndpoint
from cvalues.errors import CallError
from cvalues.judging.attack import AttackResult, results, suite
from cvalues.records import content_hash, now
from cvalues.schema import Ask, Message, Mode, Prompt, Request, Run, SetRef
from cvalues.study import Planned, Study
from cvalues.workflows.judge import Context, judge
from cvalues.workflows.judge_calls import Judged, JudgeOptions
from cvalues.workflows.run import drive

ALONE = "attacks/alone"
ATTACKED = "attacks/attacked"
"""The models under whose names the suite's replies stand in a study."""


class _Suite(LocalEndpoint):
    """Answers a prompt of the suite with its reply, alone or under an attack."""

    modes: frozenset[Mode] = frozenset({"generate"})

    def __init__(self, name: str, texts: dict[str, str]) -> None:
        super().__init__(name, content_hash(sorted(texts.items())))
        self._texts = texts

    async def ask(self, request: Request) -> Answer:
        """Returns the reply that stands for the request's question."""
        text = self._texts.get(request.question)
        if text is None:
            raise CallError("rejected", f"{self.name} has no such reply", transient=False)
        return Answer(text=text, model=self.name)


def prepare(study: Study) -> Run:
    """Puts the suite's replies into a study as the responses of a run, and returns the run. May be repeated."""
    known = suite()
    rows = [(ALONE, base.id, base, base.reply) for base in known.base]
    rows += [(ATTACKED, attack.id, known.of(attack), known.reply(attack)) for attack in known.attack]
    texts: dict[str, dict[str, str]] = {ALONE: {}, ATTACKED: {}}
    plan, items = [], {}
    for model, key, _, text in rows:
        texts[model][key] = text
    endpoints = {model: _Suite(model, found) for model, found in texts.items()}
    for model, key, base, _ in rows:
        prompt = Prompt(id=f"attack:{key}", text=base.prompt, level=1, category=base.category, source="judge-attacks")
        item = content_hash(prompt)
        items[item] = prompt
        # The reply is looked up by its key, which stands where a choosing model would be told the question.
        request = Request(
            mode="generate",
            model=model,
            revision=endpoints[model].revision,
            messages=(Message(role="user", content=base.prompt),),
            question=key,
        )
        ask = Ask(subject=prompt.id, prompt_id=prompt.id, messages=request.messages, template="judge-attacks")
        plan.append(Planned(ask, request, request.id, item))
    digest = content_hash(known)
    run = Run(
        name=f"judge-attacks-{digest[3:11]}",
        sets=(SetRef(name="judge-attacks", hash=digest, items=len(rows)),),
        models=(ALONE, ATTACKED),
        kind="judge",
        start=now(),
    )
    run = study.start_run(run)
    study.plan(run, plan, items)
    drive(study, run, plan, endpoints)
    return run


def attack(
    study: Study, judges: Sequence[str], options: JudgeOptions, context: Context | None = None
) -> list[tuple[Judged, str, list[AttackResult]]]:
    """Lets judges grade the suite and returns for each judge, and each criterion that has a better end, how the attacks did."""
    run = prepare(study)
    rows = {row.request: row for row in study.asked(run.name)}
    place = {response.id: rows[request] for request, response in study.responses(run.name).items()}
    found = []
    for entry in judge(study, run.name, judges, options, context):
        for criterion in entry.criteria:
            values: dict[str, dict[str, str | float | None]] = {ALONE: {}, ATTACKED: {}}
            for verdict in study.all_verdicts(run.name, criterion, entry.rater):
                row = place[verdict.subject[0]]
                values[row.model][row.subject.removeprefix("attack:")] = verdict.value
            scored = results(criterion, values[ALONE], values[ATTACKED])
            if criterion in RANKED and scored:
                found.append((entry, criterion, scored))
    return found


RANKED = ("safe", "grade", "points", "harm_detail")
"""Criteria with a better end that an attack can aim at."""
