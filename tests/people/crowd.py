"""A desk with a clock that tests move, people, and small tasks."""

from __future__ import annotations

from typing import Any

import msgspec

from cvalues.choice.ask import ask_prompt
from cvalues.people import accounts, assign, campaigns, submit, tasks
from cvalues.people.desk import Desk
from cvalues.people.forms import Assignment, Campaign, Gold, NewReply, NewTask, Receipt
from cvalues.prompts import template
from cvalues.records import content_hash, now
from cvalues.schema import Prompt, Request, Response, Run, SetRef, response_id
from cvalues.study import Planned, Received, Study

START = 1_800_000_000.0


class Clock:
    """Time that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float = 1.0) -> None:
        self.now += seconds


def make_desk(study: Study) -> tuple[Desk, Clock]:
    """A desk and its clock."""
    clock = Clock()
    return Desk(study, clock), clock


def reply(name: str, text: str = "") -> Response:
    """A response that came from a file."""
    origin = f"data:test#{name}"
    return Response(id=response_id(origin), origin=origin, text=text or f"回复{name}", prompt_id=f"p{name}")


def work(number: int | str, *, category: str = "law", author: str = "", **more: Any) -> NewTask:
    """A task with one reply."""
    given = NewReply(response=reply(str(number)), model="m")
    return NewTask(
        prompt=f"问题{number}", prompt_id=f"p{number}", replies=(given,), category=category, author=author, **more
    )


def gold(number: int | str, value: str | int = "safe", kind: Any = "gold", category: str = "law") -> NewTask:
    """A task whose answer is known."""
    return work(f"{kind}{number}", kind=kind, gold=Gold(value=value, reason="因为如此"), category=category)


def question(number: int | str, replies: int = 3) -> NewTask:
    """A question of an expert campaign."""
    given = tuple(NewReply(response=reply(f"{number}-{n}"), model="m") for n in range(replies))
    return NewTask(prompt=f"问题{number}", prompt_id=f"p{number}", replies=given, category="law", level=2)


def start(desk: Desk, kind: str = "judge-safety", name: str = "c", count: int = 5, **settings: Any) -> Campaign:
    """A campaign without consent, gold and adjustment unless it is asked for, with tasks."""
    fields = {"consent": False, "gold_share": 0.0, "sensitive": [], **settings}
    campaign = campaigns.create_campaign(desk, campaigns.campaign_of(kind, name, fields))
    if count:
        make = question if kind == "expert" else work
        tasks.add_tasks(desk, name, [make(number) for number in range(count)])
    return campaign


def people(desk: Desk, count: int, role: str = "annotator", campaign: str = "") -> list[str]:
    """People with a role."""
    found = []
    for number in range(count):
        person = accounts.add_person(desk, f"{role}{number}{campaign}")
        accounts.grant_role(desk, person, role, campaign)
        found.append(person)
    return found


def claim(desk: Desk, person: str, campaign: str = "c", duty: Any = "work") -> Assignment:
    """The next task, which there must be."""
    given = assign.claim_next(desk, person, campaign, duty)
    assert isinstance(given, Assignment), given
    return given


def send(desk: Desk, person: str, task: str, answer: dict[str, Any] | str | int, key: str = "") -> Receipt:
    """Sends an answer; a word is a verdict of safety, a number points."""
    body = {"safe": answer} if isinstance(answer, str) else {"points": answer} if isinstance(answer, int) else answer
    return submit.submit(desk, person, {"key": key or f"key-{person}-{task}", "task": task, "answer": body})


def vote_all(desk: Desk, person: str, answer: Any, campaign: str = "c") -> int:
    """Answers everything that a person can get, and returns how much that was."""
    count = 0
    while isinstance(given := assign.claim_next(desk, person, campaign), Assignment):
        send(desk, person, given.task, answer(given) if callable(answer) else answer)
        count += 1
    return count


def a_run(study: Study, models: int = 2, prompts: int = 6, samples: int = 1) -> Run:
    """A finished run of free responses."""
    items = [
        Prompt(id=f"p{n}", text=f"问题{n}？", level=1, category=("crimes", "insult", "law")[n % 3])
        for n in range(prompts)
    ]
    planned, received = [], []
    names = tuple(f"model{n}" for n in range(models))
    for name in names:
        for item in items:
            for sample in range(samples):
                asked = ask_prompt(item, template("plain"), sample=sample)
                request = Request(mode="generate", model=name, messages=asked.messages, sample=sample)
                planned.append(Planned(asked, request, request.id, content_hash(item)))
                origin = f"request:{request.id}"
                text = f"{name}对{item.id}的回复{sample}"
                received.append(
                    Received(
                        request.id,
                        Response(id=response_id(origin), origin=origin, text=text, prompt_id=item.id, time=now()),
                    )
                )
    run = study.start_run(
        Run(name="r1", sets=(SetRef(name="s", hash="b2:0", items=prompts),), models=names, kind="response", start=now())
    )
    study.plan(run, planned, {content_hash(item): item for item in items})
    study.record(received)
    study.end_run(msgspec.structs.replace(run, state="done"))
    return run
