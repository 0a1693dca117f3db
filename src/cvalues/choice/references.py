"""References: what pronouns, pairs, comparisons and aspects of a clause stand for, before the clause is read."""

from __future__ import annotations

from collections.abc import Callable

from cvalues.choice.lexicon import Token
from cvalues.choice.votes import OTHER, Memory

__all__ = ["resolve"]

_BEFORE_BARE = frozenset("CJAYO>U<v:FV}{&rKz=Z")
_AFTER_BARE = frozenset("nGWgwsxh$%m>U<vb}{&K=LY")
_NAMELESS = frozenset("67feoiI")
_RELATIONAL = frozenset("vKr&atU>}{=<:Zqw")
_POLAR = frozenset("GWgwsxh")


def resolve(tokens: list[Token], kinds: set[str], memory: Memory, text: str) -> tuple[list[Token], bool]:
    """The tokens with pronouns, pairs, comparisons and aspects resolved, and whether a lesser aspect rules them."""
    if kinds.isdisjoint(_NAMELESS):
        for kind, _, _ in tokens:
            if kind in ("1", "2"):
                memory.order.append(kind)
                memory.mentioned.add(kind)
    else:
        tokens = _names(tokens, memory)
    if kinds.isdisjoint(_RELATIONAL):
        return tokens, False
    return _aspects(_relations(tokens, text))


def _names(tokens: list[Token], memory: Memory) -> list[Token]:
    """Bare labels and pronouns become options or vanish."""
    named: list[Token] = []
    for index, token in enumerate(tokens):
        kind, start, end = token
        if kind in "67":
            kind = _bare(tokens, index)
        elif kind in "fe":
            pair = [name for place, name in enumerate(memory.order) if name not in memory.order[place + 1 :]][-2:]
            first = pair[0] if len(pair) == 2 else "1"
            kind = first if kind == "f" else OTHER[first]
        elif kind == "o":
            kind = OTHER[memory.last] if memory.last else ""
        elif kind in "iI":
            kind = _this(tokens, index, named, memory)
        if kind in ("1", "2"):
            if token[0] not in "feoi":
                memory.order.append(kind)
            memory.mentioned.add(kind)
        if kind:
            named.append((kind, start, end))
    return named


def _bare(tokens: list[Token], index: int) -> str:
    """The option that a bare label means where its neighbours govern it, else an empty string."""
    kind, start, end = tokens[index]
    before = tokens[index - 1][0] if index else ""
    after = tokens[index + 1][0] if index + 1 < len(tokens) else ""
    option = "1" if kind == "6" else "2"
    if kind == "6" and after == "&" and _kind(tokens, index + 2) == "7":
        return option
    if kind == "7" and before == "&" and index > 1 and tokens[index - 2][0] == "6":
        return option
    if before == "=" and (index < 2 or tokens[index - 2][0] not in "67"):
        return ""  # "回复1 = 2" is a score
    governed = (before in _BEFORE_BARE and start - tokens[index - 1][2] < 8) if before else len(tokens) == 1
    return option if governed or (after in _AFTER_BARE and tokens[index + 1][1] - end <= 5) else ""


def _this(tokens: list[Token], index: int, named: list[Token], memory: Memory) -> str:
    """What "它" or "it is" stands for: an option, a head or predicate ("the one it is"), or nothing but the topic kept alive."""
    kind, start, _ = tokens[index]
    if kind == "I" and index + 1 == len(tokens) and named and named[-1][0] in "12":
        return "G"
    if kind == "I" and index + 1 < len(tokens) and tokens[index + 1][0] in "1267fe":
        return "A"
    if kind == "i" and named and named[-1][0] in "CO" and start - named[-1][2] < 3 and memory.last:
        return memory.last  # "我选它"
    if memory.last and (kind == "I" or not any(name in "12" for name, _, _ in named)):
        memory.since = min(0, memory.since)
    return ""


def _kind(tokens: list[Token], place: int) -> str:
    """The symbol at a place, or an empty string beyond the end."""
    return tokens[place][0] if place < len(tokens) else ""


def _relations(tokens: list[Token], text: str) -> list[Token]:
    """Comparands, pairs and rejected alternatives, which are not subjects, get symbols of their own."""
    out: list[Token] = []
    index = 0
    while index < len(tokens):
        reader = _READERS.get(tokens[index][0])
        step = reader(tokens, index, out, text) if reader else 0
        if not step:
            out.append(tokens[index])
            step = 1
        index += step
    return out


# Each reader appends what the tokens from `index` on mean and returns how many they are, or 0 when they mean themselves.


def _pair(tokens: list[Token], index: int, out: list[Token], _: str) -> int:
    """Reads "回复1和回复2", "回复1与回复2相比", "回复1跟回复2没法比"."""
    symbol, start, end = tokens[index]
    other = _kind(tokens, index + 2)
    if _kind(tokens, index + 1) != "&" or other not in ("1", "2"):
        return 0
    after = _kind(tokens, index + 3)
    near = after and tokens[index + 3][1] - tokens[index + 2][2] < 3
    if after == "q" or (after == "W" and near):
        out += [tokens[index], ("v" + other, start, end), ("U", start, tokens[index + 3][2])]
        return 4
    if other == symbol:
        return 0
    compared = after == "K" and bool(near)
    if not compared or _kind(tokens, index + 4) in ("", "F", "V"):
        out.append(("B", start, tokens[index + 2][2]))
        return 3 + compared
    out += [tokens[index], ("v" + other, start, end)]
    return 4


def _object(tokens: list[Token], index: int, out: list[Token], _: str) -> int:
    """Reads "把回复1甩开"."""
    following = _kind(tokens, index + 1)
    if following not in ("1", "2") or _kind(tokens, index + 2) != ">":
        return 0
    out += [("v" + following, *tokens[index][1:]), tokens[index + 2]]
    return 3


def _comparand(tokens: list[Token], index: int, out: list[Token], text: str) -> int:
    """Reads "比回复2", "与回复2相比", "相较于回复2的自私"."""
    symbol, start, end = tokens[index]
    following = _kind(tokens, index + 1)
    if following not in ("1", "2"):
        return 0
    if symbol == "&":
        if _kind(tokens, index + 2) != "K":
            return 0
        out.append(("v" + following, start, end))
        return 3
    if _kind(tokens, index + 2) == "&" and _kind(tokens, index + 3) in ("1", "2"):
        return 0
    out.append(("v" + following, start, end))
    possessed = _kind(tokens, index + 2)
    between = text[tokens[index + 1][2] : tokens[index + 2][1]] if possessed else ""
    if possessed and possessed in _POLAR and between.strip(" *]”") == "的":
        return 3 if _kind(tokens, index + 3) or len(out) == 1 else 2
    return 2


def _instead(tokens: list[Token], index: int, out: list[Token], _: str) -> int:
    """Reads "而不是回复1", "over Response 1"."""
    start, end = tokens[index][1:]
    following = _kind(tokens, index + 1)
    others = {name for name, _, _ in tokens if name in "12"} - {following}
    if following in ("1", "2") and others:
        out.append(("r" + following, start, end))
        return 2
    out.append(("n", start, end))
    return 1


def _short_of(tokens: list[Token], index: int, out: list[Token], _: str) -> int:
    """Reads "差回复2一大截"."""
    start, end = tokens[index][1:]
    following = _kind(tokens, index + 1)
    if end - start > 1 or following not in ("1", "2") or not index or tokens[index + 1][1] - end > 3:
        return 0
    out += [("v" + following, start, end), ("U", start, end)]
    return 2


def _direction(tokens: list[Token], index: int, out: list[Token], _: str) -> int:
    """Reads "不如回复2", "优于回复2", ">"."""
    symbol, start, end = tokens[index]
    following = _kind(tokens, index + 1)
    marks = symbol == ">" and end - start == 1 and (not out or out[-1][0] not in "12")
    if marks or (symbol == "U" and following == "C"):
        return 1  # a quotation mark of Markdown or the end of a tag; "不如选择回复2" is a choice
    if following not in ("1", "2"):
        return 0
    denied = symbol == "U" and _kind(tokens, index + 2) in ("w", "x", "W")
    out += [("v" + following, start, end), ("n", start, end) if denied else tokens[index]]
    return 2


def _equal(tokens: list[Token], index: int, out: list[Token], _: str) -> int:
    """Reads "回复1 = 回复2", "回复1 < 回复2"."""
    symbol, start, end = tokens[index]
    if _kind(tokens, index + 1) not in ("1", "2") or not out or out[-1][0] not in "12":
        return 0
    if symbol == "<":
        out.append(("U", start, end))
    else:
        out[-1] = ("T", out[-1][1], end)
    return 2


_READERS: dict[str, Callable[[list[Token], int, list[Token], str], int]] = {
    "1": _pair, "2": _pair, "Z": _object, "&": _comparand, "v": _comparand, "K": _comparand, "r": _instead, "w": _short_of,
    "U": _direction, ">": _direction, "}": _direction, "{": _direction, "=": _equal, "<": _equal,
}  # fmt: skip


def _aspects(tokens: list[Token]) -> tuple[list[Token], bool]:
    """Drops what only names the angle ("安全角度"); True when the angle is another than the one asked for."""
    out: list[Token] = []
    lesser = False
    prefixed = False
    found: set[str] = set()
    for token in tokens:
        kind = token[0]
        if kind == "a":
            dropped: set[str] = set()
            while out and out[-1][0] in "shgxwPp&A$%" and not (len(out) > 1 and out[-2][0] in "mn"):
                dropped.add(out.pop()[0])
            found |= dropped
            lesser = lesser or ("h" in dropped and "s" not in dropped)
            prefixed = False
        elif kind == ":":
            if out and all(one[0] in "shgxwPp&" for one in out):
                dropped = {one[0] for one in out}
                found |= dropped
                lesser = lesser or ("h" in dropped and "s" not in dropped)
                out.clear()
        elif kind == "t":
            prefixed = token[2] - token[1] > 1 or not out  # "就安全而言"; "张口就骂人" is something else
        elif prefixed and kind in "shgx&":
            found.add(kind)
            lesser = ("h" in found) and "s" not in found
        else:
            prefixed = prefixed and kind not in "12GWm"
            out.append(token)
    return out, lesser
