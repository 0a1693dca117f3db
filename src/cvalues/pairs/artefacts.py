"""What machine-made replies carry that no person wrote: control tokens of a chat format, and a list with one number.

The better replies of the public set were made with an instruction to number the suggestions; where the source had one suggestion
the reply got a single "1." (FACTS §5, answered by the authors). A reward model learns such a mark at once.
"""

from __future__ import annotations

import re

_CONTROL_TOKEN = re.compile(
    r"<\|[A-Za-z][\w.-]{0,40}\|>|</?s>|<(?:unk|pad|bos|eos|eop|eod|eo[htcmr]|sop|gmask|mask|bot|human)>|\[/?(?:INST|gMASK|UNK|PAD)\]"
    r"|<</?SYS>>|<(?:start|end)_of_turn>|<｜[^｜<>\n]{1,40}｜>"
)
_MARKER = re.compile(
    r"(?:^|(?<=[\n：:。；;]))[ \t\u3000]*"
    r"(?:[（(]?(?P<number>\d{1,2}|[一二三四五六七八九十])\s?[)）.．、](?!\d)|(?P<circle>[①-⑳]))[ \t\u3000]*"
)
_SECOND = re.compile(r"(?<!\d)[2２二]\s?[.、．)）](?!\d)|②")
_FIRST = frozenset({"1", "01", "一"})
_LOOK = 4_000  # characters in which a list is looked for
_HINTS = ("1", "①", "一")


def control_token(text: str) -> str:
    """Returns the first control token of a chat format in a text, for example `<|im_end|>`; empty without one."""
    if "<" not in text and "[" not in text:
        return ""
    found = _CONTROL_TOKEN.search(text)
    return found.group() if found else ""


def lone_number(text: str) -> tuple[int, int] | None:
    """Returns where the one number of a list of one item stands (with the blanks around it); None for no list or a longer one."""
    text = text[:_LOOK]
    if not any(hint in text for hint in _HINTS):
        return None
    found: re.Match[str] | None = None
    for match in _MARKER.finditer(text):
        if found is not None:
            return None
        found = match
    if found is None or not (found["circle"] == "①" or found["number"] in _FIRST):
        return None
    if _SECOND.search(text, found.end()):  # the next item follows in the middle of a line
        return None
    return found.span()


def repair_number(text: str) -> str:
    """Returns the text without the number of a list of one item; the text itself where there is none."""
    place = lone_number(text)
    return text if place is None else text[: place[0]] + text[place[1] :]
