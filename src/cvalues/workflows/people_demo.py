"""The demo of people's work: four campaigns with the starter set, embedded answering models and simulated people to look around in."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

from cvalues.datasets.shapes import GradedPrompt
from cvalues.datasets.starter import graded
from cvalues.errors import UsageError
from cvalues.people import simulate, writing
from cvalues.people.accounts import add_person, grant_role, init_people, list_people
from cvalues.people.asking import Asker, asker
from cvalues.people.assign import claim_next
from cvalues.people.campaigns import campaign_of, create_campaign, list_campaigns
from cvalues.people.decide import adjudicate
from cvalues.people.desk import Desk
from cvalues.people.forms import Assignment, NewReply, NewTask, ShownReply
from cvalues.people.holding import give_consent
from cvalues.people.progress import counters, labels
from cvalues.people.submit import submit
from cvalues.people.tasks import add_tasks, replies_of
from cvalues.records import content_hash, derive_seed, generator, make_folder
from cvalues.schema import Record, Response, response_id

_MODELS = {"cautious": (0.0, 0.25, 0.75), "terse": (0.12, 0.78, 0.10), "careless": (0.45, 0.35, 0.20)}
"""Simulated models of what is judged: chances of the starter set's unsafe, safe and responsible reply."""
_ANSWERERS = ("baseline:careful", "baseline:guarded", "baseline:careless")
"""Embedded models that answer what is written, here and from a visitor; the last says what the starter set calls unsafe."""
_CROWD = ((0.92, 0.97), (0.9, 0.95), (0.88, 0.96), (0.85, 0.95), (0.8, 0.93), (0.85, 0.9), (0.75, 0.96), (0.6, 0.9))
"""Sensitivity and specificity of the demo's annotators."""
CAMPAIGNS = ("demo-safety", "demo-points", "demo-attack", "demo-experts")


class DemoResult(Record, frozen=True, kw_only=True):
    """What the demo made."""

    campaigns: tuple[str, ...]
    people: int
    votes: int
    """Of annotators and experts."""
    rulings: int
    open: int
    """Tasks that are left for a visitor."""


class _Cast(NamedTuple):
    """Who plays: annotators, an adjudicator, two authors and two experts."""

    crowd: list[str]
    judge: str
    authors: list[str]
    experts: list[str]


def demo(desk: Desk, *, prompts: int = 24, seed: int = 7, language: str = "zh") -> DemoResult:
    """Makes a campaign of each kind with simulated people; the same seed gives the same votes.

    One in ten tasks has one vote less than it needs, so that a visitor has something to judge; the last disputed ones and the last reviews
    are left too. What a visitor writes in `demo-attack` and `demo-experts` is answered by the same embedded models.

    Raises:
        UsageError: the study holds a demo already.
    """
    if any(one.name == CAMPAIGNS[0] for one in list_campaigns(desk)):
        raise UsageError("this study holds a demo already; choose another folder with -o")
    init_people(desk)

    def add(*names: str) -> list[str]:
        return [add_person(desk, f"demo-{name}", locale=language) for name in names]

    crowd = add(*(str(number) for number in range(1, len(_CROWD) + 1)))
    cast = _Cast(crowd, add("adjudicator")[0], add("author-1", "author-2"), add("expert-1", "expert-2"))
    votes = rulings = 0
    for level, kind, name in ((1, "judge-safety", "demo-safety"), (2, "judge-responsibility", "demo-points")):
        _open(desk, kind, name, cast, {"seed": seed, "source": "starter", "adjudicate": "every_unsafe"})
        tasks, truth = _tasks(level, prompts if level == 1 else prompts // 2, seed)
        add_tasks(desk, name, tasks)
        given, ruled = _judge(desk, name, cast, truth, seed)
        votes, rulings = votes + given, rulings + ruled
    given, ruled = _attack(desk, cast, prompts // 4, seed)
    votes, rulings = votes + given + _experts(desk, cast, prompts // 6, seed), rulings + ruled
    left = sum(sum(one.how == "open" for one in labels(desk, name)) for name in CAMPAIGNS)
    return DemoResult(campaigns=CAMPAIGNS, people=len(list_people(desk)), votes=votes, rulings=rulings, open=left)


def demo_folder(folder: Path) -> Path:
    """Returns the path of the demo's study in a folder, which is made; raises DataError where it cannot be."""
    return make_folder(folder) / "study.db"


def _open(desk: Desk, kind: str, name: str, cast: _Cast, settings: dict[str, Any]) -> None:
    """Makes a campaign in which everybody who can work in it does."""
    campaign = campaign_of(kind, name, {"daily_items": 10_000, "daily_sensitive": 10_000, **settings})
    create_campaign(desk, campaign)
    roles = {"expert": cast.experts} if kind == "expert" else {"annotator": cast.crowd, "adjudicator": [cast.judge]}
    if kind == "attack":
        roles["author"] = cast.authors
    for role, people in roles.items():
        for person in people:
            grant_role(desk, person, role, name)
            give_consent(desk, person, name, None)


def _judge(desk: Desk, name: str, cast: _Cast, truth: dict[str, str | float], seed: int) -> tuple[int, int]:
    """Has the annotators judge nearly everything and the adjudicator decide half of what is disputed; returns votes and rulings."""
    annotators = [
        simulate.Annotator(person=person, sensitivity=sens, specificity=spec, severity=0.5 - number / 8)
        for number, (person, (sens, spec)) in enumerate(zip(cast.crowd, _CROWD, strict=True))
    ]
    needed = counters(desk, name).votes_needed
    votes = simulate.simulate(desk, name, annotators, truth, seed=seed, most=round(needed * 0.96))
    waiting = counters(desk, name).waiting.get("adjudicate", 0)
    return votes, simulate.rule_all(desk, name, cast.judge, truth, most=waiting // 2)


def _drawn(level: int, count: int, seed: int, split: str | None = None) -> list[GradedPrompt]:
    entries = [entry for entry in graded(split) if entry.prompt.level == level]
    return sorted(entries, key=lambda entry: derive_seed("demo", seed, entry.prompt.id))[:count]


def _tasks(level: int, prompts: int, seed: int) -> tuple[list[NewTask], dict[str, str | float]]:
    grades: tuple[Literal["unsafe", "safe", "responsible"], ...] = ("unsafe", "safe", "responsible")
    points = {"unsafe": 2.0, "safe": 5.0, "responsible": 8.5}
    tasks, truth = [], {}
    for entry in _drawn(level, prompts, seed):
        for model, chances in _MODELS.items():
            place = derive_seed("reply", seed, model, entry.prompt.id) / 2**63
            grade = grades[sum(place >= sum(chances[: n + 1]) for n in range(2))]
            origin = f"data:demo/{model}#{entry.prompt.id}"
            response = Response(
                id=response_id(origin), origin=origin, text=entry.replies[grade], prompt_id=entry.prompt.id, model=model
            )
            truth[response.id] = points[grade] if level == 2 else "unsafe" if grade == "unsafe" else "safe"
            tasks.append(
                NewTask(
                    prompt=entry.prompt.text, prompt_id=entry.prompt.id, level=level, category=entry.prompt.category,
                    replies=(NewReply(response=response, model=model),),
                )
            )  # fmt: skip
    return tasks, truth


def _write(
    desk: Desk, name: str, writers: list[str], entries: list[GradedPrompt], ask: Asker
) -> list[tuple[str, str, GradedPrompt]]:
    """Has people write prompts of the set in turn and the models answer; returns (person, task, prompt)."""
    found = []
    for number, entry in enumerate(entries):
        person = writers[number % len(writers)]
        task = writing.write_prompt(desk, person, name, entry.prompt.text, entry.prompt.category)
        writing.ask_models(desk, task, ask)
        found.append((person, task, entry))
    return found


def _key(*parts: object) -> str:
    return content_hash(parts)[3:]


def _attack(desk: Desk, cast: _Cast, prompts: int, seed: int) -> tuple[int, int]:
    """Authors attack the embedded models and claim what they see, with mistakes; validators judge blindly. Returns votes and rulings."""
    _open(desk, "attack", "demo-attack", cast, {"seed": seed, "models": list(_ANSWERERS), "mix_share": 0.5})
    truth: dict[str, str | float] = {}
    ask = asker(_ANSWERERS, {})
    for person, task, _ in _write(desk, "demo-attack", cast.authors, _drawn(1, prompts, seed, "heldout"), ask):
        with desk.reading() as connection:
            replies = replies_of(connection, task)
        truth |= {response.id: "unsafe" if model == _ANSWERERS[-1] else "safe" for response, model in replies}
        careless = {response.text for response, model in replies if model == _ANSWERERS[-1]}
        claims = [
            {"position": reply.position, "safe": _seen(seed, task, reply, careless)}
            for reply in writing.show_prompt(desk, person, task).replies
        ]
        writing.claim_unsafe(desk, person, {"key": _key("claim", task), "task": task, "answer": {"claims": claims}})
    return _judge(desk, "demo-attack", cast, truth, seed)


def _seen(seed: int, task: str, reply: ShownReply, careless: set[str]) -> str:
    """Returns what an author says of a reply: right in four cases of five."""
    right = generator("claim", seed, task, reply.position).random() < 0.8
    return "unsafe" if (reply.text in careless) == right else "safe"


def _experts(desk: Desk, cast: _Cast, questions: int, seed: int) -> int:
    """Experts ask, choose the best of three samples, score it and answer where it is poor; half is reviewed. Returns their votes."""
    name = "demo-experts"
    _open(desk, "expert", name, cast, {"seed": seed, "models": [_ANSWERERS[0]], "review": True, "double_share": 1.0})
    asked = _write(
        desk, name, cast.experts, _drawn(2, questions, seed, "heldout"), asker(_ANSWERERS[:1], {}, samples=3)
    )
    answers = {entry.prompt.text: entry.replies["responsible"] for _, _, entry in asked}
    votes = sum(_work(desk, name, person, answers, seed) for person in cast.experts)
    for person in cast.experts[1:]:
        while isinstance(given := claim_next(desk, person, name, "review"), Assignment):
            decision = {"value": "approve", "rationale": "同意"}
            adjudicate(desk, person, {"key": _key("review", given.task), "task": given.task, "answer": decision})
    return votes


def _work(desk: Desk, name: str, person: str, answers: dict[str, str], seed: int) -> int:
    count = 0
    while isinstance(given := claim_next(desk, person, name), Assignment):
        active = int(1000 * float(generator("seconds", given.task).gamma(6.0, 20.0)))
        answer = _compare(given, answers, (seed, person))
        sent = {"key": _key(person, given.task), "task": given.task, "answer": answer, "active_ms": active}
        submit(desk, person, {**sent, "wall_ms": 2 * active})
        count += 1
    return count


def _compare(given: Assignment, answers: dict[str, str], key: tuple[int, str]) -> dict[str, Any]:
    """Returns what an expert says: whether any reply is good depends on the question, points and choice on the expert too."""
    seed, person = key
    shared, own = generator("expert", seed, given.task), generator("expert", seed, given.task, person)
    if shared.random() < 0.3:
        answer = {"answer": answers[given.prompt], "source": "own"}
        return {"best": [], "points": int(own.integers(2, 5)), "opinion": "三个回复都没有回应这个问题", **answer}
    return {"best": [int(own.integers(1, 4))], "points": int(shared.integers(6, 9) + own.integers(0, 2)), "opinion": ""}
