"""What an estimate's `method` says, for people, in Chinese and English."""

from __future__ import annotations

import functools
import re
import tomllib
from importlib import resources
from typing import Any

_SHARE = re.compile(r"(?P<name>[\w-]+), (?P<share>[\d.]+%) of draws without a value")


@functools.cache
def _words() -> dict[str, Any]:
    text = resources.files("cvalues").joinpath("data/words/methods.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def method_text(method: str, language: str) -> str:
    """Returns an `Estimate.method` in `zh`; the English as it is for `en`, and where a method has no Chinese name."""
    if language != "zh":
        return method
    words = _words()
    kind, colon, why = method.partition(": ")
    if colon and kind in {"undefined", "no interval"}:
        return str(words[kind].format(why=words["reasons"].get(why, why)))
    share = _SHARE.fullmatch(method)
    if share is not None:
        name = words["names"].get(share["name"], share["name"])
        return str(words["share"].format(name=name, share=share["share"]))
    return str(words["names"].get(method, method))
