"""What the shipped starter rows must be: size, shape, language, harmlessness, splits, and the bars of the audit."""

from __future__ import annotations

import functools
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cvalues.datasets import starter
from cvalues.datasets.pairing import PAIR_TYPES
from cvalues.datasets.shapes import GradedPrompt
from cvalues.records import content_hash
from cvalues.schema import GRADES
from cvalues.scoring.audit import AuditReport, audit
from cvalues.taxonomy import builtin
from cvalues.text import near_duplicates

# The audit of the whole set takes seconds: one worker makes it for all of these tests.
pytestmark = pytest.mark.xdist_group("starter-content")


class Banned(NamedTuple):
    """A pattern that no text of the set may hold, and why."""

    name: str
    reason: str
    pattern: str
    hits: tuple[str, ...]
    """Texts that the pattern must find, so that a broken pattern cannot pass."""
    misses: tuple[str, ...] = ()
    """Texts that it must leave alone."""


def banned_patterns() -> list[Banned]:
    """The patterns of `tests/data/banned_content.toml`."""
    body = (Path(__file__).parents[1] / "data" / "banned_content.toml").read_text(encoding="utf-8")
    return [Banned(**entry) for entry in tomllib.loads(body)["banned"]]


BANNED = banned_patterns()
_CHINESE = r"[\u4e00-\u9fff]"
_HALF_WIDTH = re.compile(
    rf"{_CHINESE}\s*[,;:?!()\[\]\"'<>~]|[,;:?!()\[\]\"'<>~]\s*{_CHINESE}|{_CHINESE}\.(?!\d)|\.\.\."
)
_FULL_WIDTH_LETTERS = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\u3000]")
_PAIRED = ("（）", "《》", "“”", "‘’", "「」", "『』", "【】", "〔〕")


@functools.cache
def graded() -> tuple[GradedPrompt, ...]:
    """The shipped rows."""
    return tuple(starter.graded())


@functools.cache
def report() -> AuditReport:
    """The audit of the shipped rows."""
    return audit("starter-choice")


def texts() -> Iterator[tuple[str, str]]:
    """(Id and field, text) of everything that a reader sees."""
    for entry in graded():
        name = entry.prompt.id
        yield f"{name} text", entry.prompt.text
        yield f"{name} trap", entry.prompt.trap
        yield f"{name} note", entry.prompt.note
        for grade, reply in entry.replies.items():
            yield f"{name} {grade}", reply
        if entry.twin is not None:
            yield f"{name} twin", entry.twin.text
            yield f"{name} helpful", entry.twin.helpful
            yield f"{name} refusal", entry.twin.refusal


def shown(pattern: re.Pattern[str], *, leave: str = "") -> list[str]:
    """Where a pattern is found, with the match, the first ten."""
    found = []
    for name, text in texts():
        if not (leave and name.endswith(leave)) and (match := pattern.search(text)):
            found.append(f"{name}: {match.group()!r}")
    return found[:10]


def traditional() -> dict[str, str]:
    """Traditional character → its simplified form, of the table that `text` folds by."""
    body = resources.files("cvalues").joinpath("data/text/traditional.txt").read_text(encoding="utf-8")
    return {line[0]: line[1] for line in body.splitlines() if len(line) == 2}


def test_every_category_has_twenty_prompts() -> None:
    """At least 20 prompts for each of the 18 categories, and no category besides."""
    counts = Counter(entry.prompt.category for entry in graded())
    assert set(counts) == builtin().codes
    assert len(counts) == 18
    assert {code: count for code, count in counts.items() if count < 20} == {}


def test_every_prompt_has_all_that_belongs_to_it() -> None:
    """Three different replies, a trap, an author's batch, the licence, and whether the responsible reply declines."""
    for entry in graded():
        name = entry.prompt.id
        assert set(entry.replies) == set(GRADES), name
        assert len({reply.strip() for reply in entry.replies.values()}) == 3, name
        assert all(len(reply) >= 15 for reply in entry.replies.values()), name
        assert 2 <= len(entry.prompt.trap) <= 40, name
        assert entry.prompt.licence == "CC-BY-4.0", name
        assert re.fullmatch(r"starter-\d{4}-\d{2}[a-z]?", entry.prompt.author), name
        assert entry.responsible_declines is not None, name


def test_ids_are_unique_and_name_their_category() -> None:
    """An id is `starter/<category>-<three digits>` and comes once."""
    ids = [entry.prompt.id for entry in graded()]
    assert len(set(ids)) == len(ids)
    for entry in graded():
        assert re.fullmatch(rf"starter/{entry.prompt.category}-\d{{3}}", entry.prompt.id), entry.prompt.id


def test_prompts_are_8_to_200_characters() -> None:
    """Lengths from 8 to 200 characters, with short ones and long ones in the set."""
    lengths = {entry.prompt.id: len(entry.prompt.text) for entry in graded()}
    assert {name: length for name, length in lengths.items() if not 8 <= length <= 200} == {}
    assert min(lengths.values()) <= 15
    assert max(lengths.values()) >= 100


def test_there_are_a_hundred_twins() -> None:
    """At least 100 benign twins with a helpful answer and a needless refusal, none of them the prompt itself."""
    twins = [(entry, entry.twin) for entry in graded() if entry.twin is not None]
    assert len(twins) >= 100
    assert len({twin.text for _, twin in twins}) == len(twins)
    for entry, twin in twins:
        assert 4 <= len(twin.text) <= 200, entry.prompt.id
        assert twin.helpful.strip(), entry.prompt.id
        assert twin.refusal.strip(), entry.prompt.id
        assert twin.helpful != twin.refusal, entry.prompt.id
        assert twin.text != entry.prompt.text, entry.prompt.id


def test_every_file_has_the_header() -> None:
    """The first line of each file names category, canary, licence and notice; the canary is one and the same."""
    canaries = set()
    for code in sorted(builtin().codes):
        with (starter.folder() / f"{code}.jsonl").open(encoding="utf-8") as file:
            header: dict[str, Any] = json.loads(file.readline())
        assert (header["cvalues"], header["category"], header["licence"]) == ("starter", code, "CC-BY-4.0")
        assert "do not train" in header["notice"]
        canaries.add(header["canary"])
    (canary,) = canaries
    assert re.fullmatch(r"cvalues-starter [0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", canary)


def test_splits_are_50_10_40_in_every_category() -> None:
    """Train 50 %, dev 10 %, heldout 40 % with at least 8 prompts, within every category, to one prompt."""
    counts = Counter((entry.prompt.category, entry.prompt.split) for entry in graded())
    assert {split for _, split in counts} == {"train", "dev", "heldout"}
    for code in builtin().codes:
        total = sum(counts[code, split] for split in starter.SPLITS)
        assert counts[code, "heldout"] >= 8, code
        for split, share in (("train", 0.5), ("dev", 0.1), ("heldout", 0.4)):
            assert abs(counts[code, split] - share * total) <= 1, (code, split)


def test_no_near_duplicate_straddles_splits() -> None:
    """Neither prompts nor twins nor replies are nearly alike across splits, and no two prompts are anywhere."""
    assert report().duplicates.across == 0
    assert (report().duplicates.exact, report().duplicates.near, report().duplicates.replies) == (0, 0, 0)
    prompts = [entry.prompt for entry in graded()]
    close = near_duplicates([prompt.text for prompt in prompts], 0.5)
    assert [(prompts[i].id, prompts[j].id) for i, j, _ in close] == []
    replies = [(entry.prompt, reply) for entry in graded() for reply in entry.replies.values()]
    alike = near_duplicates([reply for _, reply in replies], 0.6)
    assert [
        (replies[i][0].id, replies[j][0].id) for i, j, _ in alike if replies[i][0].split != replies[j][0].split
    ] == []


def test_every_pair_type_has_a_difficulty() -> None:
    """Each pair of every prompt is easy or hard, and both come up."""
    values: Counter[str] = Counter()
    for entry in graded():
        assert set(entry.difficulty) == set(PAIR_TYPES), entry.prompt.id
        values.update(entry.difficulty.values())
    assert set(values) == {"easy", "hard"}


@pytest.mark.parametrize("banned", BANNED, ids=[banned.name for banned in BANNED])
def test_no_text_holds_what_is_banned(banned: Banned) -> None:
    """No text holds an address, account, key, or instruction for harm; the pattern finds its own examples and no others."""
    pattern = re.compile(banned.pattern)
    assert [text for text in banned.hits if not pattern.search(text)] == []
    assert [text for text in banned.misses if pattern.search(text)] == []
    assert len(banned.reason) > 15
    # The numbers of standards and statistics stand in notes, which no model sees.
    leave = "note" if banned.name == "phone or account" else ""
    assert shown(pattern, leave=leave) == [], banned.reason


def test_characters_are_simplified() -> None:
    """No text holds a traditional character; 噁 is simplified in 二噁英."""
    table = traditional()
    pattern = re.compile(f"(?!(?<=二)噁英)[{''.join(map(re.escape, table))}]")
    assert pattern.search("這")
    assert not pattern.search("二噁英")
    assert shown(pattern) == []


def test_punctuation_is_full_width() -> None:
    """Beside Chinese characters stands Chinese punctuation; digits and letters are half-width."""
    assert all(_HALF_WIDTH.search(text) for text in ("好,", "好.", "(好", "好 ?"))
    assert not _HALF_WIDTH.search("1. 好；涨3.5%")
    assert shown(_HALF_WIDTH) == []
    assert shown(_FULL_WIDTH_LETTERS) == []


def test_brackets_and_quotes_are_closed() -> None:
    """Every opening bracket and quote of a text has its closing one, in this order."""
    wrong = []
    for name, text in texts():
        for opening, closing in _PAIRED:
            depth = 0
            for char in text:
                depth += (char == opening) - (char == closing)
                if depth < 0:
                    break
            if depth:
                wrong.append(f"{name}: {opening}{closing}")
    assert wrong[:10] == []


def test_no_stray_blanks() -> None:
    """No text begins or ends with a blank, holds a control character, a double blank or an empty line."""
    assert shown(re.compile(r"\A\s|\s\Z|[\x00-\x09\x0b-\x1f\ufffd]|  |\n\n")) == []


def test_hotlines_are_known_ones() -> None:
    """A five-digit number that callers are told to dial is one of the public hotlines."""
    known = {"12345", "12356", "12315", "12338", "12348", "12333", "12366", "12393", "12386", "12388", "12355", "12360", "12320", "12329",
             "12319", "12328", "12350", "12369", "12377", "12321", "12300", "12309", "12306", "12385", "12326", "12305", "12358", "12341",
             "96110", "95598", "12122", "12123", "12379"}  # fmt: skip
    called = re.compile(r"(?:拨打|拨|打|致电|电话)\s*(\d{5})(?!\d)")
    unknown = [f"{name}: {number}" for name, text in texts() for number in called.findall(text) if number not in known]
    assert unknown == []


def test_check_finds_nothing() -> None:
    """`cvalues data check` on the starter set finds neither fault nor warning."""
    assert (report().check_faults, report().check_warnings, report().check) == (0, 0, {})


def test_a_third_of_responsible_replies_decline() -> None:
    """At least a third of the responsible replies decline too, at each level."""
    for declines in report().balance.declines:
        assert declines.share.value is not None
        assert declines.share.value >= 1 / 3, declines


def test_no_text_gives_its_answer_away() -> None:
    """No question quotes a reply or names a label, and no reply names its grade."""
    assert report().leaks == ()


@pytest.mark.parametrize("name", ["longer", "shorter", "refusal_count", "refusal_words", "first_five"])
def test_no_shortcut_breaks_its_bar(name: str) -> None:
    """Every bar, of the rules and of the fitted models, is met for each pair type and each level by itself."""
    missed = [
        f"{result.pair} level {result.level}: {result.value.value:.3f}"
        for result in report().bars
        if result.bar.name == name and result.met is not True
    ]
    assert [result for result in report().bars if result.bar.name == name]
    assert missed == []


def test_the_blind_reading_is_of_these_texts_and_agrees() -> None:
    """A reader who saw neither labels nor order graded the replies as they ship: the file covers every prompt, at least 95 % agree."""
    path = Path(__file__).parents[2] / "docs/blind-reading.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    by_id = {row["id"]: row for row in rows}
    assert len(by_id) == len(rows)
    graded = {entry.prompt.id: entry for entry in starter.graded()}
    assert set(by_id) == set(graded)
    agreed = 0
    for key, entry in graded.items():
        texts = [entry.replies[grade] for grade in GRADES]
        assert by_id[key]["texts"] == content_hash([entry.prompt.text, *texts]), f"{key} was changed after it was read"
        assert sorted(by_id[key]["read"].values()) == sorted(GRADES)
        agreed += sum(by_id[key]["read"][grade] == grade for grade in GRADES)
    assert agreed / (3 * len(rows)) >= 0.95
