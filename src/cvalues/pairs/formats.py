"""Pairs in the forms that training tools read. Each form is a function from a pair to one JSON object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cvalues.pairs.pair import Pair, public_row

Row = dict[str, Any]


def _said(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def trl(pair: Pair) -> Row:
    """Returns TRL's preference form with an explicit prompt (RewardTrainer, DPOTrainer)."""
    return {"prompt": pair.question, "chosen": pair.better.text, "rejected": pair.worse.text}


def trl_chat(pair: Pair) -> Row:
    """Returns TRL's conversational preference form with an explicit prompt."""
    return {
        "prompt": [_said("user", pair.question)],
        "chosen": [_said("assistant", pair.better.text)],
        "rejected": [_said("assistant", pair.worse.text)],
    }


def llama_factory(pair: Pair) -> Row:
    """Returns LLaMA-Factory's Alpaca form of a ranking set; `dataset_info.json` beside the file says so."""
    return {"instruction": pair.question, "input": "", "chosen": pair.better.text, "rejected": pair.worse.text}


def ms_swift(pair: Pair) -> Row:
    """Returns ms-swift's standard form for DPO and reward models."""
    messages = [_said("user", pair.question), _said("assistant", pair.better.text)]
    return {"messages": messages, "rejected_response": pair.worse.text}


def openrlhf(pair: Pair) -> Row:
    """Returns OpenRLHF's form: two whole conversations, for `--apply_chat_template --chosen_key chosen --rejected_key rejected`."""
    user = _said("user", pair.question)
    return {
        "chosen": [user, _said("assistant", pair.better.text)],
        "rejected": [user, _said("assistant", pair.worse.text)],
    }


def hugging_face(pair: Pair) -> Row:
    """Returns a row of the Parquet files of a Hugging Face folder: TRL's fields, then what the pair is."""
    return {
        **trl(pair),
        "chosen_grade": pair.better.grade or "",
        "rejected_grade": pair.worse.grade or "",
        "type": pair.type,
        "level": pair.level,
        "category": pair.category,
        "pair_id": pair.id,
        "prompt_id": pair.prompt_id,
        "licence": pair.licence,
    }


LINES: dict[str, Callable[[Pair], Row]] = {
    "public": public_row,
    "trl": trl,
    "trl-chat": trl_chat,
    "llama-factory": llama_factory,
    "ms-swift": ms_swift,
    "openrlhf": openrlhf,
}
"""Forms that are a file of JSON Lines with one line a pair."""
FORMATS: dict[str, str] = {
    "public": "CValues-Comparison: prompt, pos_resp, neg_resp, pos_type, neg_type",
    "trl": "TRL preference: prompt, chosen, rejected",
    "trl-chat": "TRL conversational preference: lists of messages",
    "llama-factory": "LLaMA-Factory ranking set, with dataset_info.json beside it",
    "ms-swift": "ms-swift: messages, rejected_response",
    "openrlhf": "OpenRLHF: chosen and rejected as conversations",
    "hf": "Hugging Face folder: Parquet per split and README.md",
    "choices": "public multiple-choice file: every pair in both orders",
}
"""Every form of an export with what it is."""
