"""The words that matter in a decision between two replies, and the scanner that turns text into symbols.

Each word stands for one symbol of a small alphabet; the grammar in `clauses` reads symbols only. Words not listed are not
evidence. The words are in `data/text/choice_lexicon.toml`.
"""

from __future__ import annotations

import functools
import re
import tomllib
from importlib import resources
from typing import NamedTuple

__all__ = ["Token", "scan"]


# (symbol, start, end), a half-open span; a plain tuple because thousands are made per second.
Token = tuple[str, int, int]


# 1 2 options, 6 7 bare labels that need a governor; B the two, 3 both, N neither; f former, e latter, o the other one, i I this one
# $ safer, % riskier; G better, W worse (comparative by themselves); g good, w bad; s safe, x harmful; h other merit
# m more, L less, u higher (follows its noun); n not, M lacks; D all/both
# v than/compared with, r instead of, K "… compared", U is worse than, > beats, } exceeds, { is below
# z comes close to (means something when negated), d difference (a tie when negated), Z the Chinese object marker "把"
# C choose, O follow or trust (a choice when urged), J reject, A answer head, Y "the better reply" (a head, or a predicate after a subject)
# F therefore, V overall; ! what was just said is denied ("一点…都没有"), + only, q not to be compared (after a pair: the first is worse)
# c concession, b but, R correction, H if, Q which, T tie, X cannot tell
# P praiseworthy act that swallows the bad it names, p merit verb, E wrongful act that swallows the good it names
# S only under one aspect; a "from the angle of" (after its noun), t "in terms of" (before it); j because, w/hile y; & and; _ nothing
# The words of a label: "回复1", "Response B", "第一个回答". Letters count in upper case only (checked after the match).
_ZH_LABEL = "回复|回覆|回答|答复|应答|选项|方案|答案|回应|文本|助手|模型|版本|候选|反馈|输出|回信|对话|内容|话术"
_EN_LABEL = (
    "response|reply|answer|option|assistant|model|candidate|text|output|completion|message|choice|version|statement"
    "|chatbot|resp|suggestion"
)
_ANSWER = "回复|回覆|回答|答复|应答|回应|选项|答案|方案"
_NOT_A_LABEL = "(?![0-9]|点(?!赞)|方[面法案式]|\\.[0-9]|[个种条次些下样致定旦直切般起边共份项位句段名股级站型分岁])"
_MEASURE = "个|种|条|则|份|段|项|篇|版|位|句|款|号|名"
_FIRST = "1一甲壹a"
# "上面的更", "下边那条", "首条回复"; "上一个", "前一个" may also mean the one named before, so they are left to the lexicon
_PLACED = (
    rf"(?:(?<=[面边方侧现出])的?那?一?(?:(?:{_MEASURE})(?:{_ANSWER}|人|答主)?|(?:{_ANSWER})(?!结束))"
    rf"|(?<=[头首末])一?(?:{_MEASURE})(?:{_ANSWER}|人)?"
    rf"|(?<=[前后上下])的(?:那?一?(?:{_MEASURE})(?:{_ANSWER}|人)?|{_ANSWER})"
    r"|(?<=[面边侧])(?:的|那)(?=[更比较不则要明显最好强稳靠为好]))"
)
_OPTION = (
    rf"(?:{_ZH_LABEL})\s?(?:编号|序号|#|no\.?)?[\s\[(“\"'*_<#]{{0,3}}(?P<zh>[12一二甲乙壹贰]|[ab](?![a-z])){_NOT_A_LABEL}"
    rf"(?:\s?号)?"
    rf"|第\s?(?P<nth>[12一二])\s?(?:(?:{_MEASURE})(?: ?(?:{_ZH_LABEL}))?|(?:{_ZH_LABEL}))(?!问题|原因|方面|理由|点(?!赞)|步)"
    rf"|(?P<up>(?:上|左|前|靠前|靠上|先出现|先给出|排在?前|排在?上)(?:面|边|方|侧)?|头|首|最先){_PLACED}"
    rf"|(?P<down>(?:下|右|后|靠后|靠下|后出现|后给出|排在?后|排在?下)(?:面|边|方|侧)?|末|末尾|最后){_PLACED}"
    rf"|(?P<hao>[12一二甲乙壹贰])\s?号?(?:{_ZH_LABEL})(?![12一二])"
    rf"|(?P<hao2>[12一二])号(?!线|楼)"
)
_LATIN = (
    rf"(?:{_EN_LABEL})s?[ \[(\"'#*_<“]{{0,3}}(?:no\.? ?|number |#)?"
    r"(?P<en>[12](?![0-9])(?!\.[0-9])|one(?! of)|two|ii?|[ab])(?![a-z])"
    r"|(?:the )?(?:one |reply |response |answer )(?:listed|given|shown|presented|placed|that comes|on the|at the) "
    r"(?P<place>first|second|top|bottom|left|right)"
    r"|the (?P<of>first|second) of (?:these|them|the (?:two|pair))"
    rf"|(?:the )?(?P<ord>first|second|1st|2nd|top|bottom|left-hand|right-hand|upper|lower) (?:{_EN_LABEL}|one)(?![a-z])"
    r"|(?:the |no\. ?|number |#)(?P<the>first|second|1|2|one|two)(?= (?:is|was|does|provides|because|since|as|would|gives|seems|over"
    r"|has|for|and|or|though|but|of the two|refuses|encourages|promotes|declines|instead|offers|takes"
    r"|wins|makes|shows|respects)\b| ?[.,;!)\n]|$)"
    r"|(?P<rr>r[12])(?![a-z0-9])"
)
_BARE = (
    r"(?<![a-z0-9\-'])(?P<letter>[ab])(?![a-z0-9'’]|-[a-z]|股|级|型|站|座|轮|罩|超|层|楼|柱|计划|类|面|卷|超)"
    r"|(?<![指龟铠装盔])(?P<stem>[甲乙])(?![方醛醇肝烷状沟基胺苯酸炔烯型流级类板骨])"
    r"|(?<![a-z0-9./\-—第~])(?P<digit>[12])(?![0-9a-z年月日个种条次分点岁万亿元位名人小天周/%种]|[-~至到][0-9]|\.[0-9]|:[0-9])"
    r"|(?<!之)(?P<hanzi>[一二](?=[更比]|\s?[。,!]|\s?$))"
)
_ARTICLE_FOLLOWERS = frozenset(
    [
        "is",
        "was",
        "has",
        "had",
        "provides",
        "would",
        "and",
        "or",
        "because",
        "better",
        "over",
        "than",
        "gives",
        "offers",
        "does",
        "refuses",
        "wins",
        "as",
        "since",
        "seems",
        "appears",
        "for",
        "but",
        "contains",
        "encourages",
        "promotes",
        "declines",
        "avoids",
        "suggests",
        "shows",
        "could",
        "will",
        "should",
        "more",
        "also",
        "clearly",
        "though",
        "while",
        "takes",
        "states",
        "says",
        "directly",
        "ignores",
        "respects",
        "to",
        "in",
        "advises",
        "vs",
        "definitely",
        "obviously",
        "acknowledges",
        "explains",
        "treats",
    ]
)
_ENDS = {"。": ";", "!": ";", ";": ";", "…": ";", "\n": "\n", "?": "?", ",": ",", ":": ":", "—": ",", "–": ",",
         "-": ",", "(": ",", ")": ",", "=": "=",
         ">": ">", "<": "<", ".": ";"}  # fmt: skip
_DENIALS = "not|isn|wasn|doesn|nowhere|hardly|never|t"
_AS_GOOD_AS = (
    r"(?:not|(?:is|was|does)n't|nowhere|hardly|never|t)(?: [a-z]+)?"
    r"(?: near(?:ly)?| quite| half| even| remotely| come off| seem| sound| look| really)?"
    r" (?:as|so) (?P<as>[a-z-]+(?: (?:and|or) [a-z-]+)?) as(?! possible)(?![a-z])"
)


_AN_ANSWER = re.compile(r" better (?:answer|response|reply|option|choice|approach|way)")


class _Machine(NamedTuple):
    """The compiled scanner."""

    coarse: re.Pattern[str]
    """Where something may begin: a word of Latin letters or one character."""
    words: dict[str, str]
    lengths: dict[str, tuple[int, ...]]
    """Lengths of the listed words that begin with this Latin word or these two characters, longest first."""
    labels: dict[str, re.Pattern[str]]
    """The label pattern to try at this Latin word or character."""


def _beginning(word: str) -> str:
    """What a word is found by: its first Latin word, or its first two characters."""
    head = re.match("[a-z]+", word)
    return head[0] if head else word[:2]


@functools.cache
def _machine() -> _Machine:
    """The scanner, compiled at its first use."""
    source = resources.files("cvalues").joinpath("data/text/choice_lexicon.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(source)
    words = {
        word: symbol for table in tables.values() for symbol, listed in table.items() for word in listed.split("|")
    }
    lengths: dict[str, set[int]] = {}
    for word in words:
        lengths.setdefault(_beginning(word), set()).add(len(word))
    openings = {word[0] for word in words if not word[0].isascii()}
    chinese, latin, bare, denied = (re.compile(source) for source in (_OPTION, _LATIN, _BARE, _AS_GOOD_AS))
    labels = {word[0]: chinese for word in (*_ZH_LABEL.split("|"), *"第上左前靠先排头首最下右后末")}
    labels |= {character: re.compile(_OPTION + "|" + _BARE) for character in "12一二甲乙壹贰"}
    labels |= {word + plural: latin for word in _EN_LABEL.split("|") for plural in ("", "s")}
    labels |= dict.fromkeys(("the", "one", "first", "second", "top", "bottom", "r", "no", "number", "#"), latin)
    labels |= dict.fromkeys(_DENIALS.split("|"), denied)
    labels |= dict.fromkeys("ab", bare)
    singles = "".join(sorted(openings | {key for key in labels if not key.isascii()} | set("12#")))
    return _Machine(
        re.compile(rf"[a-z]+|[{singles}]|[。!;…\n?,:—–()=><]|(?<=[\s*\])])-(?= )|\.(?=\s|$|[\"'”)\]*])"),
        words,
        {key: tuple(sorted(found, reverse=True)) for key, found in lengths.items()},
        labels,
    )


_FIRSTS = frozenset(("one", "first", "i", "r1", "top", "upper", "left-hand", "left"))
# The commonest labels before the commonest characters, which need no pattern: a sixth of the scanner's time.
_PLAIN = {f"{word}{digit}": digit for word in ("回复", "回答", "选项") for digit in "12"}
_BRACKETED = {"(A)": "1", "(B)": "2", "(甲)": "1", "(乙)": "2", "(1)": "6", "(2)": "7", "(一)": "6", "(二)": "7"}
_AFTER_PLAIN = frozenset("的更比和是,。不在会]:没虽则鼓提明直建强违存有给能更可优胜好中与劝指忽")
_LATIN_SET = frozenset("abcdefghijklmnopqrstuvwxyz")
_LABELS = frozenset(("place", "of", "zh", "nth", "hao", "hao2", "hao3", "ord", "stem"))


def _label(match: re.Match[str], folded: str) -> str:
    """The symbol of a label, or an empty string when the letter is an article or a list marker."""
    group = match.lastgroup
    value = match[group or 0]
    if group == "as":
        words = _machine().words
        return "U" if words.get(value.rpartition(" ")[2], "g") in "Ggshmp" else ">"
    if group in ("up", "down"):
        return "1" if group == "up" else "2"
    symbol = "1" if value[0] in _FIRST or value in _FIRSTS else "2"
    if group in _LABELS or group == "rr":
        return symbol
    if group == "digit":
        return "" if _lists(folded, *match.span(group or 0)) else "67"[symbol == "2"]
    if value in ("a", "b", "i", "ii") and group != "the":
        return _letter(folded, symbol, *match.span(group or 0))
    return "67"[symbol == "2"] if group == "hanzi" else symbol


def _letter(folded: str, symbol: str, start: int, end: int) -> str:
    """The symbol of a Latin letter or Roman number; nothing for the article and for "response i think"."""
    lower = folded[start].islower()
    if symbol == "1" and folded[end : end + 1] == " " and folded[end + 1 : end + 2].islower():
        follower = re.match("[a-z]+", folded[end + 1 : end + 20])
        if lower or not follower or follower[0] not in _ARTICLE_FOLLOWERS or _AN_ANSWER.match(folded, end):
            return ""
    bare = lower and (folded[start] == "i" or not _labelled(folded, start))
    return "67"[symbol == "2"] if bare else symbol


def _labelled(folded: str, start: int) -> bool:
    """Whether a label word stands just before."""
    return bool(re.search(rf"(?i:{_EN_LABEL}|{_ZH_LABEL})s?[ \[(\"'#*_<“]{{0,3}}$", folded[max(0, start - 16) : start]))


def _lists(folded: str, start: int, end: int) -> bool:
    """Whether a number opens a line of a list."""
    if folded[end : end + 1] not in (".", "、", ")") or not folded[end + 1 : end + 4].strip():
        return False
    return not folded[folded.rfind("\n", 0, start) + 1 : start].strip()


def scan(folded: str) -> list[Token]:
    """The symbols of a folded text in order; empty for an empty text."""
    machine = _machine()
    low = folded.lower()
    if len(low) != len(folded):  # a letter whose small form is longer, such as the dotted capital I
        low = "".join(letter.lower()[0] for letter in folded)
    tokens: list[Token] = []
    append = tokens.append
    done = 0
    words, lengths, labels = machine.words, machine.lengths, machine.labels
    for match in machine.coarse.finditer(low):
        start = match.start()
        if start < done:
            continue
        key = match[0]
        if key in _ENDS:
            if key == "(" and (kind := _BRACKETED.get(folded[start : start + 3], "")):
                done = start + 3
                append((kind, start, done))
                continue
            if key != ">" or low[start - 1 : start] not in ("-", "="):  # not an arrow
                append((_ENDS[key], start, start + 1))
            continue
        if key in labels:
            if (
                key in "回选"
                and (kind := _PLAIN.get(low[start : start + 3], ""))
                and low[start + 3 : start + 4] in _AFTER_PLAIN
            ):
                done = start + 3 + (low[start + 3 : start + 4] == "]")
                append((kind, start, done))
                continue
            if (label := labels[key].match(low, start)) and (kind := _label(label, folded)):
                done = label.end()
                closing = low[done : done + 1]
                done += closing == "]" or (closing == ")" and "(" in label[0])  # the bracket belongs to the label
                append((kind, start, done))
                continue
        latin = key < "{"
        for length in lengths.get(key if latin else low[start : start + 2], ()):
            word = low[start : start + length]
            if word in words and not (latin and low[start + length : start + length + 1] in _LATIN_SET):
                done = start + length
                break
        else:
            if latin or key not in words:
                continue
            word, done = key, start + 1
        if (kind := words[word]) != "_":
            append((kind, start, done))
    return tokens
