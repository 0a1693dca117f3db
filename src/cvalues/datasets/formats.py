"""From a row of any known format to a record: the format is recognised by the fields, every fault of a row is noted.

Ids: a given id is kept, a bare number becomes `<set>/<number>`, and without one a prompt is `<set>/<row>`. Pairs of the public
files have no ids: theirs are `<set>/<16 digits>`, a hash of question and replies, so that neither the order of a file nor a subset
of it changes them. `<set>` is the known set's name, or the file's name without its suffix and with hyphens for underscores.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, cast

import msgspec

from cvalues.datasets.columns import Level, fold
from cvalues.datasets.pairing import PAIR_TYPES, level_of, pair_hash
from cvalues.datasets.row import Row
from cvalues.datasets.shapes import Comparison, GradedPrompt, Item, Kind, Twin, abbreviate
from cvalues.errors import DataError
from cvalues.records import content_hash
from cvalues.schema import GRADES, Choice, Grade, Prompt, Reply

Format = Literal["prompts", "mc", "choices", "comparison", "graded"]
KIND_OF: dict[Format, Kind] = {
    "prompts": "prompt",
    "mc": "choice",
    "choices": "choice",
    "comparison": "comparison",
    "graded": "graded",
}
"""What a row of each format is."""
DEFAULT_KIND: dict[Format, Kind] = {
    "prompts": "prompt",
    "mc": "choice",
    "choices": "choice",
    "comparison": "choice",
    "graded": "choice",
}
"""What `load` returns of each format when it is not told."""
EXPECTED = (
    "text (or prompt, question) with category or level; or question, reply_1, reply_2, better; or prompt, pos_resp, neg_resp; "
    "or text with two of unsafe, safe, responsible; or the public prompt, label, meta_info"
)
"""The fields that make a format, for messages."""
FATAL = frozenset({"missing", "empty", "type", "value", "label", "rank"})
"""Faults with which a row makes no record."""
_SHOWN = re.compile(r"\[回复1\]：(.*)\[回复1结束\]\s*\[回复2\]：(.*)\[回复2结束\]", re.DOTALL)
_SPACES = re.compile(r"\s+")


def recognise(fields: Iterable[str]) -> Format | None:
    """Returns the format of a row by its renamed fields; None when there is none."""
    names = set(fields)
    if {"label", "meta_info"} <= names:
        return "mc"
    if {"pos_resp", "neg_resp"} <= names:
        return "comparison"
    if {"reply_1", "reply_2"} <= names or ("replies" in names and "better" in names):
        return "choices"
    if names & {"text", "prompt", "question"}:
        return "graded" if "replies" in names or len(names & set(GRADES)) >= 2 else "prompts"
    return None


def set_name(stem: str) -> str:
    """Returns the set name of a file: its name without suffix, hyphens for underscores and blanks."""
    return re.sub(r"[\s_]+", "-", stem.strip()) or "data"


def convert(form: Format, row: Row) -> Item | None:
    """Returns the record of a row, or None where it has faults that leave nothing to load; `row.faults` says which."""
    return _CONVERTERS[form](row)


def _fits(row: Row) -> bool:
    return not row.blocked and not any(fault.code in FATAL for fault in row.faults)


def _prompt(row: Row, *, category_needed: bool = True) -> Prompt:
    text = row.text(row.first("text", "prompt", "question"))
    bare = "answer" in row.fields and not row.has("category") and not row.has("domain_en") and not row.has("domain_zh")
    category = row.category(needed=category_needed and not bare)
    # 100PoisonMpts, the set with prompts and answers and no category, is made of responsibility prompts.
    level: Level = 2 if bare and not row.has("level") else row.need_level(category)
    chinese = row.label("domain_zh")
    prompt = Prompt(
        id=row.given_id() or f"{row.place.set_name}/{row.number}",
        text=text,
        level=level,
        category=category,
        language=row.label("language") or "zh",
        source=row.label("source") or row.place.set_name,
        licence=row.label("licence") or row.place.licence,
        parent=row.label("parent") or None,
        twin=None if isinstance(row.fields.get("twin"), dict) else row.label("twin") or None,
        benign=row.truth("benign") or False,
        difficulty="" if isinstance(row.fields.get("difficulty"), dict) else row.label("difficulty"),
        split=row.label("split") or row.place.split,
        trap=row.label("trap"),
        author=row.label("author"),
        note=row.label("note"),
    )
    if chinese and category in row.place.levels and row.place.codes.get(fold(chinese)) != category:
        row.fault("domain_name", "domain_zh", f"the Chinese name of {category}", abbreviate(chinese))
    return prompt


def _prompts(row: Row) -> Item | None:
    prompt = _prompt(row)
    tags = row.rest()
    return msgspec.structs.replace(prompt, tags=tags) if _fits(row) else None


def _graded(row: Row) -> Item | None:
    replies: dict[Grade, str] = {}
    source = row.get("replies")
    nested = isinstance(source, dict)
    if source is not None and not nested:
        row.fault("type", "replies", 'an object {"unsafe": …, "safe": …, "responsible": …}', type(source).__name__)
    texts = Row(source if nested else row.fields, row.line, row.number, row.place)
    for grade in GRADES:
        row.get(grade)
        if grade in texts.fields and (nested or str(texts.fields[grade] or "").strip()):
            replies[grade] = texts.text(grade, empty="empty_reply")
    row.faults += texts.faults
    empty = not str(row.get(row.first("text", "prompt", "question")) or "").strip()
    if empty and not any(reply.strip() for reply in replies.values()):
        row.fault("unfilled", row.first("text", "prompt", "question"), "a prompt and its replies", "an empty row")
        return None
    for extra in sorted(set(texts.fields) - set(GRADES)) if nested else ():
        row.fault("value", f"replies.{extra}", "unsafe, safe or responsible", abbreviate(extra))
    if len(replies) == 1:
        row.fault("missing", next(g for g in GRADES if g not in replies), "replies of two or three grades", "one")
    elif not replies:
        row.fault("no_replies", "replies", "replies of two or three grades", "none: no choices are made of it")
    prompt = _prompt(row)
    difficulty = _difficulties(row)
    twin = _twin(row)
    declines = row.truth("responsible_declines")
    if twin is not None and prompt.twin is None:
        prompt = msgspec.structs.replace(prompt, twin=f"{prompt.id}:twin")
    prompt = msgspec.structs.replace(prompt, tags=row.rest())
    if not _fits(row):
        return None
    return GradedPrompt(prompt=prompt, replies=replies, responsible_declines=declines, twin=twin, difficulty=difficulty)


def _difficulties(row: Row) -> dict[str, str]:
    """The difficulty of each pair type, where the row gives an object."""
    value = row.get("difficulty")
    if not isinstance(value, dict):
        return {}
    for code in sorted(set(value) - set(PAIR_TYPES)):
        row.fault("value", "difficulty", "the pair types su, rs, ru", abbreviate(code))
    return {str(code): str(entry) for code, entry in value.items()}


def _twin(row: Row) -> Twin | None:
    value = row.fields.get("twin")
    if not isinstance(value, dict):
        return None
    row.get("twin")
    try:
        return msgspec.convert(value, Twin)
    except msgspec.ValidationError as error:
        row.fault("type", "twin", "an object with text, helpful and refusal", str(error))
        return None


def _comparison(row: Row) -> Item | None:
    question = row.text(row.first("prompt", "text", "question"))
    better = Reply(text=row.text("pos_resp", empty="empty_reply"), grade=row.grade("pos_type"))
    worse = Reply(text=row.text("neg_resp", empty="empty_reply"), grade=row.grade("neg_type"))
    category = row.category(needed=False)
    given: Level | None = None
    if better.grade is None or worse.grade is None:
        given = row.need_level(category)
    else:
        row.get("level")
    stated = row.pick("collection", {"1": 1, "2": 2}, "1 or 2")
    collection: Level | None = stated or row.place.levels.get(category)
    return _pair(row, question, better, worse, Comparison(
        id="", prompt_id="", question="", better=better, worse=worse, level=given or 1, category=category, collection=collection,
    ))  # fmt: skip


def _pair(row: Row, question: str, better: Reply, worse: Reply, base: Comparison) -> Comparison | None:
    """The comparison of a row whose replies are read; ids, rank and the common fields."""
    try:
        level = level_of(better.grade, worse.grade) or base.level
    except DataError:
        row.fault("rank", "pos_type", "a grade above that of neg_type", f"{better.grade} and {worse.grade}")
        level = base.level
    name = row.place.set_name
    pair = Comparison(
        id=row.given_id() or f"{name}/{pair_hash(question, better.text, worse.text)}",
        prompt_id=row.given_id("prompt_id") or f"{name}/q-{content_hash(question)[3:19]}",
        question=question,
        better=better,
        worse=worse,
        level=level,
        category=base.category,
        collection=base.collection,
        difficulty=row.label("difficulty"),
        language=row.label("language") or "zh",
        split=row.label("split") or row.place.split,
        source=row.label("source") or name,
        tags=row.rest(),
    )
    return pair if _fits(row) else None


def _choices(row: Row) -> Item | None:
    question = row.text(row.first("question", "text", "prompt"))
    replies = _listed(row) if "replies" in row.fields else _columned(row)
    better = row.side("better" if "better" in row.fields else "label")
    if better is None and not any(fault.code == "value" for fault in row.faults):
        row.fault("missing", "better", "1 or 2 (回复1 or 回复2)", "nothing")
    if replies is None or better is None:
        row.rest()
        return None
    best, worst = (replies[0], replies[1]) if better == 1 else (replies[1], replies[0])
    category = row.category(needed=True)
    try:
        level = level_of(best.grade, worst.grade)
    except DataError:
        row.fault("rank", "better", "the reply of the higher grade", f"{best.grade} over {worst.grade}")
        level = 2
    if level is None:
        level = row.need_level(category)
    else:
        row.get("level")
    pair_id = row.given_id("pair_id") or f"{row.place.set_name}/{pair_hash(question, best.text, worst.text)}"
    collection = row.pick("collection", {"1": 1, "2": 2}, "1 or 2") or row.place.levels.get(category)
    choice = Choice(
        id=row.given_id() or f"{pair_id}:{'12' if better == 1 else '21'}",
        prompt_id=row.given_id("prompt_id") or f"{row.place.set_name}/q-{content_hash(question)[3:19]}",
        question=question,
        replies=replies,
        better=better,
        pair_id=pair_id,
        level=level,
        category=category,
        collection=collection,
        difficulty=row.label("difficulty"),
        language=row.label("language") or "zh",
        split=row.label("split") or row.place.split,
        source=row.label("source") or row.place.set_name,
        tags=_without(row.rest(), "response", "pred"),
    )
    return choice if _fits(row) else None


def _without(tags: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in tags.items() if name not in names}


def _columned(row: Row) -> tuple[Reply, Reply]:
    return (
        Reply(text=row.text("reply_1", empty="empty_reply"), grade=row.grade("grade_1")),
        Reply(text=row.text("reply_2", empty="empty_reply"), grade=row.grade("grade_2")),
    )


def _listed(row: Row) -> tuple[Reply, Reply] | None:
    value = row.get("replies")
    try:
        first, second = msgspec.convert(value, tuple[Reply, Reply])
    except msgspec.ValidationError as error:
        row.fault("type", "replies", 'two objects {"text": …, "grade": …}', str(error))
        return None
    for reply in (first, second):
        row.checked(reply.text, "replies", "empty_reply")
    return first, second


def _mc(row: Row) -> Item | None:
    meta = row.get("meta_info")
    if isinstance(meta, str):
        try:
            meta = msgspec.json.decode(meta)
        except msgspec.DecodeError:
            meta = None
    if not isinstance(meta, dict):
        row.fault("type", "meta_info", "an object with question, pos_resp, neg_resp, domain_en", "something else")
        return None
    inner = Row({**meta, "difficulty": meta.get("difficulty_level")}, row.line, row.number, row.place)
    question = inner.text("question")
    better_text, worse_text = inner.text("pos_resp", empty="empty_reply"), inner.text("neg_resp", empty="empty_reply")
    better = row.side("label")
    if better is None and not row.faults:
        row.fault("missing", "label", "回复1 or 回复2", "nothing")
    category = inner.category(needed=True)
    source, chinese = inner.label("source"), inner.label("domain_zh")
    difficulty, language = inner.label("difficulty"), inner.label("language")
    inner.get("difficulty_level")
    tags = inner.rest()
    row.faults += inner.faults
    prompt = row.text("prompt")
    if better is None or not _fits(row):
        return None
    texts = (better_text, worse_text) if better == 1 else (worse_text, better_text)
    texts = _shown(row, prompt, texts)
    if chinese and row.place.codes.get(fold(chinese)) != category:
        tags["domain_zh"] = chinese
    pair_id = f"{row.place.set_name}/{pair_hash(question, better_text, worse_text)}"
    choice = Choice(
        id=f"{pair_id}:{'12' if better == 1 else '21'}",
        prompt_id=f"{row.place.set_name}/q-{content_hash(question)[3:19]}",
        question=question,
        replies=(Reply(text=texts[0]), Reply(text=texts[1])),
        better=better,
        pair_id=pair_id,
        level=2,
        category=category,
        collection=row.place.levels.get(category, 2),
        difficulty=difficulty,
        language=language or "zh",
        split=row.place.split,
        source=source or row.place.set_name,
        tags=tags | _without(row.rest(), "response", "pred"),
    )
    return choice if _fits(row) else None


def _shown(row: Row, prompt: str, texts: tuple[str, str]) -> tuple[str, str]:
    """The replies as the instruction shows them, after a look whether their order agrees with the label."""
    first, second = texts
    if f"[回复1]：{first}[回复1结束]" in prompt and f"[回复2]：{second}[回复2结束]" in prompt:
        return texts
    found = _SHOWN.search(prompt)
    if found is None:
        row.fault(
            "prompt_text", "prompt", "[回复1]：…[回复1结束] and [回复2]：…[回复2结束]", "an instruction of another form"
        )
        return texts
    shown = (found.group(1), found.group(2))
    plain = [_SPACES.sub("", text) for text in (*shown, *texts)]
    if plain[:2] == [plain[3], plain[2]] and plain[2] != plain[3]:
        row.fault("label", "label", "the place of pos_resp in the instruction", "the place of neg_resp")
    elif plain[:2] != plain[2:]:
        row.fault("prompt_text", "prompt", "the replies of meta_info", "other texts")
    return cast("tuple[str, str]", shown)


_CONVERTERS: dict[Format, Callable[[Row], Item | None]] = {
    "prompts": _prompts,
    "mc": _mc,
    "choices": _choices,
    "comparison": _comparison,
    "graded": _graded,
}
