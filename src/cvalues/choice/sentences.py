"""Sentences: symbols are cut into clauses, pronouns and comparisons are resolved, and each clause casts its votes.

A clause that asks, supposes or concedes casts none; a clause after "but" or in a conclusion says so in its votes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from cvalues.choice.clauses import HANDLERS, Clause
from cvalues.choice.lexicon import Token
from cvalues.choice.references import resolve
from cvalues.choice.votes import COMPARED, DECIDED, MERIT, OTHER, PRAISE, SHARED, TIED, Memory, Scope, Vote

__all__ = ["Findings", "read_sentences"]

_WEAK_CORRECTIONS = frozenset(
    ("等等", "wait", "actually", "有误", "修正", "edit", "oops", "hold on", "改为", "on reflection", "revised", "不对", "更正",
     "correction", "纠正", "反过来", "改选", "不不", "推翻", "不成立", "typo", "my bad", "retract", "重新判断", "重新评估")
)  # fmt: skip
_AFTER_ALONE = frozenset((",", ";", "\n", "", ":", "j", ")"))
# What may stand around a label that is a clause by itself: "或许是回复2吧". Longest first, because nothing is tried again.
_FILLERS = (
    "不二之选|不二选择|十有八九|无可争议|毋庸置疑|毫无悬念|毫无疑问|综上所述|不外乎|不用说|二选一|倾向于|偏向于|准没错|"
    "坦白说|大概率|没商量|老实说|说实话|一个|一定|一条|个人|也许|优先|估计|似乎|倾向|偏向|八成|其实|勉强|只能|可能|"
    "因此|多半|大概|好了|好像|应当|应该|当然|总之|总体|恐怕|或许|所以|无疑|无非|明显|显然|最终|来说|毕竟|没跑|没错|"
    "的话|硬要|综上|综合|肯定|胜方|自然|觉得|认为|还是|这个|这条|那个|那条|非得|非要|首先|应"
    "|all the way|absolutely|definitely|going with|marginally|personally|certainly|obviously|side with|therefore|"
    "honestly|narrowly|possibly|probably|question|slightly|believe|clearly|finally|go with|leaning|overall|perhaps|"
    "verdict|answer|barely|choose|course|easily|likely|please|simply|surely|winner|doubt|every|final|guess|hands|leans|"
    "maybe|think|total|would|call|down|good|head|just|lean|most|okay|pick|sure|take|that|then|thus|time|took|well|yeah|"
    "all|any|day|eom|for|gun|had|has|hmm|i'd|say|the|way|yes|be|if|is|it|me|my|no|of|ok|so|to|um|i"
)
_FILLER = re.compile(rf"(?:{_FILLERS}|[\W_是为即选就我想吧啊啦呢哦呀嘛了哈会还答号那取投给挑算略稍更偏归站要得必都])*+")
_FORCED = re.compile(
    r"必须|一定|非|硬|我|从|角度|来看|保护|要选|选|挑|安全|责任|后果|长远|理性|正确|勉强|分个"
    r"|must|have to|had to|forced|need|safe|responsib|choose|pick"
)
# "想省事就选回复1": a choice for some users only, which says something when another such choice follows
_WISH = re.compile(
    r"[\s,;、]{0,2}(?:如果|若|要是)?(?:用户|你|您)?"
    r"(?:想要?|喜欢|追求|注重|看重|在意|在乎|希望|图|求|需要|赶时间|重视|偏好|看中|讲究|for )[^,;。!?\n我]{1,14}"
)
# "应该听回复2的": following a reply is a choice when somebody is urged to
_URGED = re.compile(
    r"应|请|建议|劝|还是|要|最好|不妨|宁|就|别|不|我|大家|咱|你|您|用户|可以|会|愿|该|得|莫|勿|谁"
    r"|\b(?:i|we|you|us|would|should|must|let's|please|better|not|don't|never|nobody|to|can|could|users?|everyone)\b|'d\b"
)
_FOLLOWED = re.compile(
    r"[\W]*(?:(?:所)?说?的)?(?:去做|来做|做|办|行事|执行|就(?:对|行|好|是)了?|准没错|吧|即可|为好|才对|方案)?[\W]*"
)
_OPTION_END = re.compile(r"[^,。]{0,6}[12AB一二甲乙](?:个|条|种|号|则)?\]?(?:回复|回答)?")
# "在责任感方面：", "In terms of safety: "; a criterion that names something bad says nothing by itself
_CRITERION = re.compile(
    r"[\W_]*(?!.*(?:风险|危|害|问题|缺|差|劣|错|违|不|risk|harm|danger|worse|issue|problem|not\b))[^:。,;\n12]{1,28}: ?[\[*\"'“]*",
    re.IGNORECASE,
)
_RATED = re.compile(r"[(:]\s?\d|[(:].{1,12}分\)")
_NOT_IT = re.compile(r"(?:不是|并非|绝非|不会是|不该是|不应是|不选|\bnot|n't)[ \[“\"'*]{0,3}(?:the )?$", re.IGNORECASE)
_SENTENCE_ENDS = frozenset(";\n?")
_SETTLED = frozenset("fei67IoRHQcb")  # a sentence with one of these may need what stands before it
_HEADINGS = frozenset("VFA:&Y")
_SPEAKING = frozenset("12BN3CJAYTXOfeoIi67DVFdqz") | {"H", "Q"}
_LEADS = frozenset("jyb")
_BREAKS = _SENTENCE_ENDS | _LEADS | {",", "R", ":"}


class Findings(NamedTuple):
    """All evidence of a text."""

    votes: list[Vote]
    corrections: list[int]
    """Places where the writer takes something back."""
    alone: list[Token]
    """Labels that make up a clause of their own, with the symbol of what follows: `\\n`, `;`, `,` or an empty string."""
    mentioned: frozenset[str]
    bound: list[Vote]
    """What holds under a condition only; some of it stands among the votes as well."""


class _Part(NamedTuple):
    """One clause before reading: its tokens, what led to it and what ends it."""

    tokens: list[Token]
    lead: str
    stop: str
    start: int
    end: int


def read_sentences(tokens: list[Token], text: str) -> Findings:
    """All evidence in the symbols of a text; empty findings for none."""
    if len(tokens) > 24 and (concluded := _conclusion(tokens, text)):
        return concluded
    memory = Memory()
    parts: list[_Part] = []
    current: list[Token] = []
    lead, begin = "", 0
    speaks = False
    for token in tokens:
        kind, start, end = token
        if kind not in _BREAKS:
            current.append(token)
            speaks = speaks or kind in _SPEAKING
            continue
        if kind == ":" and not _heading(current):
            current.append(token)
            continue
        if kind == "R" and (current or not _opens(text, start)) and text[start:end].lower() in _WEAK_CORRECTIONS:
            continue
        if current:
            parts.append(_Part(current, lead, kind, begin, start))
            current, lead = [], ""
        if kind == "R":
            memory.corrections.append(start)
        begin = end
        if kind in _LEADS:
            lead = kind if lead != "b" else lead
        elif kind in _SENTENCE_ENDS:
            if parts and (speaks or (memory.last and memory.since < 2) or memory.head):
                _sentence(parts, memory, text)
            elif parts:
                memory.since += 1
                memory.heading = 0
            parts, lead, speaks = [], "", False
    if current:
        parts.append(_Part(current, lead, "", begin, len(text)))
    if parts:
        _sentence(parts, memory, text)
    _bind_wishes(memory, text)
    return Findings(memory.votes, memory.corrections, memory.alone, frozenset(memory.mentioned), memory.bound)


def _conclusion(tokens: list[Token], text: str) -> Findings | None:
    """The findings of the last sentence alone, when it is an overall decision that nothing else in the text could change."""
    last = len(tokens) - 1
    while last > 0 and tokens[last][0] in _SENTENCE_ENDS:
        last -= 1
    begin = last
    while begin > 0 and tokens[begin - 1][0] not in _SENTENCE_ENDS:
        begin -= 1
    kinds = [token[0] for token in tokens]
    if "V" not in kinds[begin : begin + 2] or "V" in kinds[:begin] or not _SETTLED.isdisjoint(kinds[begin:]):
        return None
    if len(tokens) - begin > 24:
        return None
    found = read_sentences(tokens[begin:], text)
    choices = {vote.choice for vote in found.votes}
    settled = len(choices) == 1 and choices <= {"1", "2"} and found.votes[-1].rank == DECIDED
    return found if settled and found.votes[-1].final and not found.alone else None


def _bind_wishes(memory: Memory, text: str) -> None:
    """Adds choices such as "想省事就选回复1" to what holds under a condition; looked at only when both replies are chosen."""
    if len({vote.choice for vote in memory.votes if vote.rank == DECIDED}) < 2:
        return
    ends = [begin for begin, _ in memory.begun[1:]] + [len(memory.votes)]
    for (begin, start), end in zip(memory.begun, ends, strict=True):
        if _WISH.match(text, start):
            memory.bound += memory.votes[begin:end]


def _opens(text: str, start: int) -> bool:
    """Whether a sentence or clause begins here; "等等" elsewhere only ends a list."""
    before = text[max(0, start - 3) : start].rstrip(" \"'“(*")
    return not before or before[-1] in "。!?;,.\n…—-"


def _heading(current: list[Token]) -> bool:
    """Whether a colon after these symbols ends a clause: a question, or a label by itself."""
    kinds = [token[0] for token in current]
    return "Q" in kinds or (bool(kinds) and all(kind in "12" for kind in kinds))


def _sentence(parts: list[_Part], memory: Memory, text: str) -> None:
    """Reads the clauses of one sentence in order."""
    conceded = turned = aside = supposed = False
    final, memory.heading = memory.heading, _headed(parts)
    memory.order.clear()
    place = _question(parts)
    for index, given in enumerate(parts):
        part = given
        kinds = {token[0] for token in part.tokens}
        if part.lead == "b":
            conceded, turned, supposed = False, True, False
        if not kinds.isdisjoint("FV"):
            final = max(final, _level(kinds))
        if "c" in kinds:
            shared = index > 0 and _just_shared(memory, parts[0].start)
            conceded, turned = not shared, shared  # "Both are safe, though Response 2 is more responsible"
        if index and parts[index - 1].stop == ":" and all(token[0] in "12" for token in parts[index - 1].tokens):
            kept = [token for token in given.tokens if token[0] not in "67"]  # "回复2：1" is a score
            part = given._replace(tokens=kept)
        tokens, narrowed = resolve(part.tokens, kinds, memory, text)
        narrowed = narrowed or ("S" in kinds and "s" not in kinds)
        aside = narrowed or (aside and ("S" in kinds or part.lead != "b"))
        supposed = supposed or ("H" in kinds and not _FORCED.search(text, part.start, part.end))
        scope = Scope(final, turned, aside, part.start, part.end)
        asks = "Q" in kinds or index > place
        if conceded or asks or "H" in kinds or (supposed and not kinds & {"C", "A"}):
            if supposed and not conceded and "Q" not in kinds:
                _suppose(tokens, memory, scope, text)
            _pass_over(part, tokens, memory, conceded)
        elif not _alone(part, tokens, memory, text, final):
            _tell(tokens, memory, scope, text, supposed=supposed)
        if conceded and not any(later.lead == "b" for later in parts[index + 1 :]):
            conceded = False
    memory.since += 1


def _headed(parts: list[_Part]) -> int:
    """The level of the heading that a sentence is, 0 when it is none."""
    if parts[0].tokens[0][0] not in "VFA" or len(parts) > 2:
        return 0
    named = {token[0] for part in parts for token in part.tokens}
    return _level(named) if named <= _HEADINGS else 0


def _question(parts: list[_Part]) -> int:
    """The place after which the clauses of a sentence are a question; beyond the last one when it does not ask."""
    place = len(parts) - 1
    asked = False
    while place >= 0 and (place == len(parts) - 1 or parts[place].stop not in ",:"):
        asked = asked or parts[place].stop == "?"
        place -= 1
    return place if asked else len(parts)


def _just_shared(memory: Memory, start: int) -> bool:
    """Whether the last vote, in this sentence, says the same of both replies."""
    return bool(memory.votes) and memory.votes[-1].rank == SHARED and memory.votes[-1].start >= start


def _tell(tokens: list[Token], memory: Memory, scope: Scope, text: str, *, supposed: bool) -> None:
    """A clause that states something; what is stated under a condition is marked as such."""
    before = len(memory.votes)
    _clause(tokens, memory, scope, text)
    kind, start, end = tokens[-1] if tokens else ("", 0, 0)
    named = len(memory.votes) == before and kind in ("1", "2") and not text[end : scope.end].strip(" ]*\"'”")
    if named and _CRITERION.fullmatch(text, scope.start, start):
        memory.votes.append(Vote(kind, COMPARED, start, end, "criterion", scope.final, scope.turned))
    if supposed:
        memory.bound += memory.votes[before:]
    elif before < len(memory.votes):
        memory.begun.append((before, scope.start))


def _level(kinds: set[str]) -> int:
    """2 for words of an overall judgement, 1 for "therefore" and answer heads, 0 for neither."""
    return 2 if "V" in kinds else 0 if kinds.isdisjoint("FA") else 1


def _suppose(tokens: list[Token], memory: Memory, scope: Scope, text: str) -> None:
    """Keeps what a conditional clause would decide apart from what is decided."""
    kept, memory.votes = memory.votes, []
    last, since = memory.last, memory.since
    _clause(tokens, memory, scope, text)
    found = [vote for vote in memory.votes if vote.rank >= MERIT or (vote.rank == PRAISE and vote.choice in OTHER)]
    memory.votes, memory.last, memory.since = kept, last, since
    names = {token[0] for token in tokens if token[0] in "12"}
    if not found and len(names) == 1 and all(token[0] in "12yFV" for token in tokens):
        found = [Vote(names.pop(), DECIDED, tokens[0][1], tokens[-1][2], "conditional", final=0, turned=False)]
    memory.bound += found


def _pass_over(part: _Part, tokens: list[Token], memory: Memory, conceded: bool) -> None:
    """A clause without votes still says what is spoken of; "cannot tell which" is an answer."""
    for kind, start, end in tokens:
        if kind in "12":
            memory.last, memory.since = kind, 0
            memory.mentioned.add(kind)
        elif kind in "XT" and not conceded and part.stop != "?" and "H" not in {token[0] for token in tokens}:
            memory.votes.append(
                Vote("o", TIED, start, end, "cannot-compare" if kind == "X" else "tie", final=0, turned=False)
            )


def _alone(part: _Part, tokens: list[Token], memory: Memory, text: str, final: int) -> bool:
    """A label by itself, such as a first line "回复2" or the heading "回复1："; whether it was one."""
    if len(tokens) > 4:
        return False
    kinds = [token[0] for token in tokens if token[0] not in "FV:&"]
    if len(kinds) > 1 and kinds[0] != kinds[1]:
        return False
    if (
        len(kinds) == 1
        and kinds[0] in "3BN"
        and not memory.votes
        and _FILLER.fullmatch((text[part.start : tokens[-1][1]] + " " + text[tokens[-1][2] : part.end]).lower())
    ):
        if part.stop in (";", "\n", ""):
            memory.votes.append(Vote("o", TIED, tokens[-1][1], tokens[-1][2], "answer-both", final=0, turned=False))
        return False
    if not kinds or any(kind not in "12" for kind in kinds) or len(set(kinds)) != 1 or memory.head:
        return False
    named = [token for token in tokens if token[0] in "12"]
    begin = next((token[2] for token in reversed(tokens) if token[0] in "FV" and token[2] <= named[0][1]), part.start)
    written = text[begin : named[0][1]] + " " + text[named[-1][2] : part.end]
    if not _FILLER.fullmatch(written.lower()) or part.stop not in _AFTER_ALONE or _RATED.match(text, part.end):
        return False
    memory.last, memory.since = kinds[0], 0
    memory.order.append(kinds[0])
    memory.mentioned.add(kinds[0])
    if part.stop == ":":
        memory.since = -3
    else:
        memory.alone.append((kinds[0] + part.stop + "F" * bool(final), named[0][1], named[0][2]))
    return True


def _clause(tokens: list[Token], memory: Memory, scope: Scope, text: str) -> None:
    """Runs the state machine over one clause."""
    clause = Clause(memory, scope)
    if memory.head:
        clause.head = ("A", tokens[0][1] if tokens else 0, 0)
        memory.head = False
    kinds = [token[0] for token in tokens]
    clause.moved = "1" in kinds or "2" in kinds
    instead = ""
    for kind, token in zip(kinds, tokens, strict=True):
        if (handler := HANDLERS.get(kind)) is not None:
            handler(clause, token)
        elif kind in ("v1", "v2"):
            clause.compared = kind[1]
        elif kind in ("r1", "r2"):
            instead = kind[1]
        elif kind == "O" and not (clause.head and token[1] - clause.head[1] < 2) and _urges(token, text, scope):
            clause.governor(("C", token[1], token[2]))
    clause.flush()
    if (
        not clause.voted
        and clause.negations % 2
        and clause.subject in ("1", "2")
        and _NOT_IT.search(text[max(0, clause.named_from - 12) : clause.named_from])
        and not text[clause.named_at : scope.end].strip(" ]”\"'*")
    ):
        clause.vote(OTHER[clause.subject], DECIDED, (clause.named_at, clause.named_at), "rejected")
    if (
        instead
        and not clause.voted
        and clause.subject in ("", "1", "2")
        and clause.subject != instead
        and clause.target()
    ):
        clause.vote(OTHER[instead], DECIDED, (tokens[0][1], tokens[-1][2]), "instead")
    if clause.head and clause.head[0] == "A" and text[clause.head[1] : scope.end].strip(" *\"'“[(:是为") == "":
        memory.head = True
    if clause.subject in ("1", "2"):
        memory.last, memory.since = clause.subject, min(0, memory.since)


def _urges(token: Token, text: str, scope: Scope) -> bool:
    """Whether a word such as "听" or "follow" urges somebody to follow the reply after it."""
    before = text[scope.start : token[1]].lower()
    if before.strip(" \n*\"'“"):
        return bool(_URGED.search(before))
    if text[token[1]].isascii():
        return True
    named = _OPTION_END.match(text, token[2], scope.end)
    return bool(named and _FOLLOWED.fullmatch(text, named.end(), scope.end))
