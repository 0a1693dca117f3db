"""Rewriting a reply up or down, and growing prompts from seeds: what is asked, and what of the answers is taken.

The texts are `data/rewriting/templates.toml`. A rewritten reply has the grade that was asked for on the word of its template alone; its
origin says so, and a judge or a person may grade it like any other reply.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Literal, NamedTuple

import msgspec

from cvalues.pairs.artefacts import control_token, lone_number, repair_number
from cvalues.pairs.build import Candidate, Judged, Vote, missing_grades
from cvalues.records import clean, content_hash, derive_seed
from cvalues.schema import GRADES, Ask, Grade, Message, Prompt, Record, Response
from cvalues.text import near_duplicates, similarity

_PLACE = re.compile(r"\{(question|reply|category|topic|count|seeds)\}")
_LABEL = re.compile(r"^\s*(?:改写后的?(?:回复|回答)|(?:新的?)?(?:回复|回答))\s*[:：]\s*")
_BULLET = re.compile(r"^\s*(?:[-*•·]|[（(]?\d{1,3}\s*[.、．)）:：]|[一二三四五六七八九十]{1,3}、)\s*")
_DECLINES = re.compile(
    r"^(?:非常|很|十分|实在)?(?:抱歉|对不起|不好意思|遗憾)|作为(?:一个|一名)?(?:AI|人工智能|语言模型)"
    r"|我(?:不能|无法|没法|不会|不便|拒绝)[^。！？\n]{0,12}(?:写|提供|满足|协助|完成|生成|配合|照做)"
    r"|^(?:I'm |I am )?sorry\b|^I (?:can't|cannot|won't)\b"
)
_SHORTEST, _LONGEST_PROMPT = 4, 200
_SAME = 0.9
"""Similarity from which a rewriting counts as the reply itself."""


class RewritingTemplate(Record, frozen=True, kw_only=True):
    """A text by which a model is asked."""

    name: str
    version: int
    text: str
    to: Grade | None = None
    sources: tuple[Grade, ...] = msgspec.field(default=(), name="from")
    """Grades of the replies that it may be given, the best suited first."""

    @property
    def id(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"


class _File(Record, frozen=True, kw_only=True):
    template: tuple[RewritingTemplate, ...]


class Rewriting(NamedTuple):
    """One reply to be made: of which prompt, by which template, from which reply."""

    judged: Judged
    template: RewritingTemplate
    source: Candidate
    ask: Ask


Refused = Literal["", "empty", "cut", "blocked", "control_token", "same", "declined", "number"]


@functools.cache
def templates() -> dict[str, RewritingTemplate]:
    """Returns the templates by name."""
    body = resources.files("cvalues").joinpath("data/rewriting/templates.toml").read_bytes()
    return {entry.name: entry for entry in msgspec.toml.decode(body, type=_File).template}


def marked(text: str) -> str:
    """Returns a text between marks with a nonce that it does not hold."""
    number = 0
    while (mark := content_hash((text, number))[3:11]) in text:
        number += 1
    return f"<<<{mark}\n{text}\n{mark}>>>"


def _fill(template: RewritingTemplate, values: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda found: values.get(found[1], found[0]), template.text)


def rewritings(judged: Sequence[Judged]) -> list[Rewriting]:
    """Returns what has to be rewritten so that every prompt has a reply of each grade.

    The reply to start from is the one of the grade that the template names first. A prompt without any graded reply gives nothing.
    """
    found = []
    for entry in judged:
        held = {candidate.grade: candidate for candidate in reversed(entry.candidates) if candidate.grade is not None}
        for grade in missing_grades(entry):
            match = next(
                (
                    (one, held[grade_from])
                    for one in templates().values()
                    if one.to == grade
                    for grade_from in one.sources
                    if grade_from in held
                ),
                None,
            )
            if match is not None:
                template, source = match
                found.append(Rewriting(entry, template, source, _ask(entry.prompt, template, source)))
    return found


def _ask(prompt: Prompt, template: RewritingTemplate, source: Candidate) -> Ask:
    text = _fill(template, {"question": marked(prompt.text), "reply": marked(source.text)})
    return Ask(
        subject=prompt.id,
        prompt_id=prompt.id,
        messages=(Message(role="user", content=text),),
        template=f"{template.id}@{content_hash((template.text, source.text))[3:15]}",
        question=prompt.text,
    )


def taken(rewriting: Rewriting, response: Response, model: str) -> tuple[Candidate | None, Refused]:
    """Returns (the rewritten reply, "") or (None, why it is not taken).

    Not taken are: an empty answer, one that was cut off or blocked, one with control tokens of a chat format, one that is the source
    again (similarity 0.9), and a refusal where a worse reply was asked for. A numbered list of one item loses its number.
    """
    text = repair_number(_LABEL.sub("", clean(response.text).strip())).strip()
    why: Refused = ""
    if response.finish != "stop":
        why = "cut" if response.finish == "length" else "blocked"
    elif len(text) < _SHORTEST:
        why = "empty"
    elif control_token(text):
        why = "control_token"
    elif similarity(text, rewriting.source.text) >= _SAME:
        why = "same"
    elif rewriting.template.to == "unsafe" and _DECLINES.search(text):
        why = "declined"
    elif lone_number(text) is not None:
        why = "number"
    grade = rewriting.template.to
    if why or grade is None:
        return None, why
    rater = f"rewrite:{rewriting.template.id}@{model}"
    return Candidate(
        text=text, origin=rater, votes=(Vote(rater=rater, value=float(GRADES.index(grade)), grade=grade),)
    ), ""


def with_rewritten(judged: Sequence[Judged], made: Mapping[str, Sequence[Candidate]]) -> list[Judged]:
    """Returns the prompts with their rewritten replies (by prompt id) behind the others."""
    return [
        msgspec.structs.replace(entry, candidates=(*entry.candidates, *made.get(entry.prompt.id, ())))
        for entry in judged
    ]


TOPIC = "topic"
"""The tag of a prompt that names its topic."""
_NEAR = "near:"
_SEEDS = 5
_LONGEST_TOPIC = 60
_SAME_TOPIC = "与例子相同"


class Growth(NamedTuple):
    """One call for new prompts of a category and topic: the seeds that it shows, and how many it asks for."""

    category: str
    topic: str
    seeds: tuple[Prompt, ...]
    ask: Ask


def topic_of(prompt: Prompt) -> str:
    """Returns the topic of a prompt: its tag `topic`, else `near:ID` of its own: a prompt whose topic has no name opens one."""
    return prompt.tags.get(TOPIC) or f"{_NEAR}{prompt.id}"


def growth(
    prompts: Sequence[Prompt], names: Mapping[str, str], *, goal: int, turn: int, seed: int = 0, each: int = 10
) -> list[Growth]:
    """Returns the calls of one round: as many for each category as it lacks, shared out evenly; none when the goal is reached.

    Each call stays within one topic of its category, those with the fewest prompts first.

    Args:
        prompts: the prompts so far; grown ones are shown as seeds no more than others.
        names: category code → name as it is shown to the model.
        goal: prompts wanted in all.
        turn: number of the round, from 0; every round shows other seeds.
        seed: of the draw of topics and seeds.
        each: questions asked for in one call.
    """
    by_category: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        by_category.setdefault(prompt.category, []).append(prompt)
    if goal <= len(prompts) or not by_category:
        return []
    wanted = -(-goal // len(by_category))
    found = []
    for category, own in sorted(by_category.items()):
        lacking = max(0, wanted - len(own))
        topics: dict[str, list[Prompt]] = {}
        for prompt in own:
            topics.setdefault(topic_of(prompt), []).append(prompt)
        sizes = {topic: len(members) for topic, members in topics.items()}
        for call in range(-(-lacking // each)):
            count = min(each, lacking - call * each)
            topic = min(sizes, key=lambda name: (sizes[name], derive_seed("topic", seed, turn, name)))
            sizes[topic] += count
            order = sorted(topics[topic], key=lambda prompt: derive_seed("grow", seed, turn, call, prompt.id))
            seeds = _seeds(topic, order, own)
            text = _growing(category, topic, seeds, names, count)
            found.append(Growth(category, topic, seeds, _grow_ask(category, seeds, text, turn, call)))
    return found


def _seeds(topic: str, members: Sequence[Prompt], category: Sequence[Prompt]) -> tuple[Prompt, ...]:
    """Returns up to five prompts of a topic; where its name is not known and it has fewer, the most similar of the category too."""
    if len(members) >= _SEEDS or not topic.startswith(_NEAR):
        return tuple(members[:_SEEDS])
    held = {prompt.id for prompt in members}
    others = [prompt for prompt in category if prompt.id not in held]
    near = sorted(others, key=lambda prompt: (-similarity(prompt.text, members[0].text), prompt.id))
    return (*members, *near[: _SEEDS - len(members)])


def _growing(category: str, topic: str, seeds: Sequence[Prompt], names: Mapping[str, str], count: int) -> str:
    shown = _SAME_TOPIC if topic.startswith(_NEAR) else " ".join(clean(topic).split())[:_LONGEST_TOPIC]
    values = {
        "category": names.get(category, category) or "不限",
        "topic": shown,
        "count": str(count),
        "seeds": marked("\n".join(" ".join(prompt.text.split()) for prompt in seeds)),
    }
    return _fill(templates()["grow"], values)


def _grow_ask(category: str, seeds: Sequence[Prompt], text: str, turn: int, call: int) -> Ask:
    return Ask(
        subject=seeds[0].id,
        prompt_id=seeds[0].id,
        messages=(Message(role="user", content=text),),
        template=f"{templates()['grow'].id}@{turn}.{call}",
        question=category,
        sample=turn * 1000 + call,
    )


def grown(
    calls: Sequence[tuple[Growth, Response]], prompts: Sequence[Prompt], *, goal: int, threshold: float = 0.7
) -> list[Prompt]:
    """Returns the new prompts of a round's answers, in their order: none that is a near-duplicate of another, `goal` in all at most.

    Each has the category of its seeds, their topic as its tag `topic` (`near:ID` where it has no name), and, as its parent, the seed
    that it is most like. A line with control tokens, of fewer than 4 or
    more than 200 characters is not taken.
    """
    fresh: list[Prompt] = []
    for call, response in calls:
        for line in clean(response.text).splitlines():
            text = _BULLET.sub("", line).strip().strip("“”\"'").strip()
            if not _SHORTEST <= len(text) <= _LONGEST_PROMPT or control_token(text) or text.endswith(("：", ":")):
                continue
            parent = max(call.seeds, key=lambda seed: (similarity(seed.text, text), seed.id))
            fresh.append(
                msgspec.structs.replace(
                    parent, id=f"grown/{content_hash(text)[3:19]}", text=text, source="grown", parent=parent.id, twin=None,
                    benign=False, difficulty="", trap="", author="", note="", tags={TOPIC: call.topic},
                )
            )  # fmt: skip
    texts = [prompt.text for prompt in (*prompts, *fresh)]
    drop: set[int] = set()
    for first, second, _ in near_duplicates(texts, threshold):
        if second >= len(prompts) and first not in drop:
            drop.add(second)
    kept = [prompt for place, prompt in enumerate(fresh, len(prompts)) if place not in drop]
    return kept[: max(0, goal - len(prompts))]
