"""The data of the item browser."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from measured import measurement

from cvalues.records import clean
from cvalues.report.items import CHUNK, browser, cut, embed
from cvalues.schema import OUTCOMES, Reply


def parsed(data: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The index and all texts, read back."""
    found = browser(data)
    return json.loads(found.pairs), [entry for chunk in found.chunks for entry in json.loads(chunk)]


@given(
    st.recursive(
        st.text() | st.integers(-(2**53), 2**53) | st.none(), lambda deeper: st.lists(deeper, max_size=4), max_leaves=8
    )
)
def test_embedded_json_reads_back(value: Any) -> None:
    """Any value comes back from the embedded JSON, and nothing in it can end a script element or a line of script."""
    stored = json.loads(json.dumps(value).replace("\\u0000", "\\ufffd")) if value is not None else None
    markup = str(embed(stored))
    assert json.loads(markup) == stored
    assert not set(markup) & set("<>&\u2028\u2029")


@given(st.text(max_size=60), st.integers(0, 10), st.integers(0, 10))
def test_cut_keeps_both_ends_and_counts_the_rest(text: str, head: int, tail: int) -> None:
    """A short text is whole; a long one keeps head and tail, and the number left out makes up the true length."""
    found = cut(text, head, tail)
    if isinstance(found, str):
        assert len(text) <= head + tail
        assert found == clean(text)
    else:
        assert (found[0], found[2]) == (clean(text[:head]), clean(text[len(text) - tail :]))
        assert len(found[0]) + found[1] + len(found[2]) == len(text)


def test_every_outcome_is_in_the_index() -> None:
    """Each model's outcome of each choice stands under its pair, with the rule, and failed calls as `failed`."""
    data = measurement(70)
    index, texts = parsed(data)
    assert len(texts) == len(index["pairs"]) == 70
    found = {}
    for ident, _, _, _, _, _, _, asked, rows in index["pairs"]:
        for place, model, status, rule in rows:
            key = (index["models"][model], asked[place][0])
            found[key] = (ident, asked[place][1], index["outcomes"][status], index["rules"][rule])
    wanted = {(o.model, o.choice): (o.pair, o.better, o.outcome or "failed", o.rule) for o in data.outcomes}
    assert found == wanted
    assert {status for *_, status, _ in found.values()} == {*OUTCOMES, "failed"}


def test_texts_stand_beside_their_rows() -> None:
    """Replies, answers, evidence and failures are those of the outcome whose number they carry."""
    data = measurement(30)
    index, texts = parsed(data)
    for pair, entry in zip(index["pairs"], texts, strict=True):
        for number, (place, model, _, _) in enumerate(pair[8]):
            choice = data.items[pair[7][place][0]]
            name = index["models"][model]
            assert entry["q"] == choice.question
            shown = [entry["a"][reply] for reply in entry["c"][place]]
            assert shown == [[reply.text, reply.grade] for reply in choice.replies]
            response = data.responses.get(f"{name}:{choice.id}")
            assert entry["t"][number] == (response.text if response else None)
            assert entry.get("f", {}).get(str(number)) == data.failures.get((name, choice.id))
        assert len(entry["a"]) == 2  # both orders share their two texts


def test_chunks_are_of_equal_size() -> None:
    """All chunks but the last hold CHUNK pairs, so that the page finds a pair by division."""
    sizes = [len(json.loads(chunk)) for chunk in browser(measurement(2 * CHUNK + 1, {"m": 0.5})).chunks]
    assert sizes == [CHUNK, CHUNK, 1]


def test_outcome_of_unknown_choice_is_shown_without_texts() -> None:
    """An outcome whose choice is not at hand keeps its row, with an empty question and no replies."""
    data = msgspec.structs.replace(measurement(3, {"m": 0.9}), items={})
    index, texts = parsed(data)
    assert len(index["pairs"]) == 3
    assert [(entry["q"], entry["a"], entry["c"]) for entry in texts] == [("", [], [[], []])] * 3


def test_huge_text_is_cut_with_its_true_length() -> None:
    """A reply of ten million characters leaves at most a few thousand in the page, and its length."""
    data = measurement(2, {"m": 1.0})
    ident, response = next(iter(data.responses.items()))
    huge = msgspec.structs.replace(response, text="长" * 10_000_000)
    _, texts = parsed(msgspec.structs.replace(data, responses={ident: huge}))
    found = next(text for entry in texts for text in entry["t"] if text)
    assert len(found[0]) + found[1] + len(found[2]) == 10_000_000
    assert len(found[0]) + len(found[2]) <= 4_000


def test_same_text_with_two_grades_stays_two_replies() -> None:
    """Two replies with one text but different grades are kept apart."""
    data = measurement(1, {"m": 1.0})
    items = {
        ident: msgspec.structs.replace(
            choice, replies=(Reply(text="同", grade="safe"), Reply(text="同", grade="unsafe"))
        )
        for ident, choice in data.items.items()
    }
    _, texts = parsed(msgspec.structs.replace(data, items=items))
    assert texts[0]["a"] == [["同", "safe"], ["同", "unsafe"]]
