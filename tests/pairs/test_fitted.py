"""What a reward model was fitted on, and when a measurement of it says little."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pairfiles
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvalues.pairs.fitted import Fitted, Taint, fitted_on, from_archive, pair_hash, prompt_hash, taint, unique
from cvalues.pairs.scan import Scan
from cvalues.pairs.taints import SETTING, kept_taints, notes, told
from cvalues.schema import Reply

texts = st.text(max_size=30)


@given(texts, texts, texts)
def test_a_pair_is_known_by_its_three_texts(question: str, better: str, worse: str) -> None:
    """The same texts have the same hash, the other order has another one, and no text runs over into its neighbour."""
    assert pair_hash(question, better, worse) == pair_hash(question, better, worse)
    assert (pair_hash(question, better, worse) == pair_hash(question, worse, better)) == (better == worse)
    assert pair_hash(question + better, "", worse) != pair_hash(question, better, worse) or not better


def test_a_pass_gives_the_hashes_that_a_fit_keeps(tmp_path: Path) -> None:
    """The hashes of a file's good pairs, in their order, are those of the pairs themselves; faulty and repeated rows have none."""
    rows = [*pairfiles.three(1), pairfiles.FAULTS["identical"], *pairfiles.three(2), pairfiles.three(1)[0]]
    scan = Scan(pairfiles.write(tmp_path / "p.jsonl", rows))
    pairs = list(scan.pairs())
    own, prompts = scan.hashes()
    assert own.tolist() == [pair_hash(pair.question, pair.better.text, pair.worse.text) for pair in pairs]
    assert prompts.tolist() == [prompt_hash(pair.question) for pair in pairs]
    assert np.array_equal(fitted_on(pairs).pairs, np.unique(own))
    assert len(fitted_on(pairs).prompts) == 2


def test_own_pairs_own_prompts_and_held_back_pairs_are_told_apart() -> None:
    """Pairs that were fitted on, other pairs of their prompts, and held-back pairs of whatever set are counted each by itself."""
    fitted = fitted_on([pairfiles.pair(1), pairfiles.pair(2, split="heldout")], source="own.jsonl")
    assert fitted.heldout == 1
    asked = [
        pairfiles.pair(1),
        msgspec.structs.replace(pairfiles.pair(2), worse=Reply(text="另一个较差的回复。")),
        pairfiles.pair(9),
    ]
    own = np.array([pair_hash(one.question, one.better.text, one.worse.text) for one in asked], dtype=np.uint64)
    prompts = np.array([prompt_hash(one.question) for one in asked], dtype=np.uint64)
    found = taint("m", fitted, own, prompts)
    assert found == Taint(model="m", measured=3, pairs=1, prompts=1, heldout=1, source="own.jsonl")
    clean = fitted_on([pairfiles.pair(7)])
    assert taint("m", clean, own, prompts) is None
    assert taint("m", None, own, prompts) is None


def test_an_old_model_is_known_by_its_file_alone() -> None:
    """A model that names no pairs is warned of when it was fitted on this very file, and only then."""
    old = Fitted(unique(()), unique(()), 0, "own.jsonl", "sha256:1")
    prompts = unique([1, 2])
    assert taint("m", old, prompts, prompts, source_hash="sha256:2") is None
    assert taint("m", old, prompts, prompts, source_hash="") is None
    found = taint("m", old, prompts, prompts, source_hash="sha256:1")
    assert found is not None
    assert found.same_file
    assert "own.jsonl" in told(found, "en")


def test_damaged_hashes_are_refused() -> None:
    """Arrays of another type or shape are no hashes."""
    for wrong in (np.zeros(3), np.zeros((2, 2), dtype=np.uint64)):
        with pytest.raises(ValueError, match="damaged"):
            from_archive({"fitted_pairs": wrong}, heldout=0, source="")


def test_sentences_are_whole_in_both_languages_and_foreign_records_are_none() -> None:
    """Each kind of taint has its sentence in zh and en with its figures; settings that another program wrote give nothing."""
    one = Taint(model="rm", measured=50, pairs=7, prompts=3, heldout=11, source="own.jsonl")
    for language in ("zh", "en"):
        [text] = notes([one], language)
        assert all(part in text for part in ("rm", "50", "7", "3", "11", "own.jsonl"))
        assert "{" not in text
    assert told(one, "zh") != told(one, "en")
    assert kept_taints({SETTING: {"rm": {"model": "rm", "measured": 1, "pairs": 1}, "x": {"y": 1}}})[0].pairs == 1
    assert kept_taints({}) == kept_taints({SETTING: {"x": 3}}) == []
