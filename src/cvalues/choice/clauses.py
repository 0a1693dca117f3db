"""One clause: a state machine that turns symbols into votes.

A clause is read from left to right by a small state machine: which reply it speaks of, what
it is compared with, whether the predicate is negated, and whether it only concedes, asks or supposes.
"""

from __future__ import annotations

from collections.abc import Callable

from cvalues.choice.lexicon import Token
from cvalues.choice.votes import COMPARED, DECIDED, MERIT, OTHER, PRAISE, SHARED, TIED, Memory, Scope, Vote

__all__ = ["HANDLERS", "Clause"]

_POSITIVE = frozenset("Ggsh$")
_OVERALL = frozenset("GWgw")
_POLAR = frozenset("GWgwsxhPpE$%")


class Clause:
    """The state machine of one clause."""

    # Class attributes are the starting state: cheaper than assigning twenty of them for every clause.
    subject = ""
    explicit = False
    """The clause itself names its subject."""
    compared = ""
    """The reply that the subject is compared with."""
    negations = 0
    flipped = 0
    """The parity of the last predicate, for "不安全和负责任"."""
    negated = False
    only_at = alone_at = 0
    """Where "only" ends, and where the reply after it ends ("只有回复2提到了报警")."""
    more = less = graded = False
    inverted = inverted_at_option = False
    """Reads "没有" may turn the next reply into a comparand ("没有回复1好")."""
    absorbed = False
    """The rest is the object of an act already judged."""
    moved = voted = False
    named_from = named_at = 0
    head: tuple[str, int, int] | None = None
    """A governor that waits for its reply: symbol, end, negations."""
    pending: tuple[int, int, int] | None = None
    """A predicate that waits for its subject: sign, rank, place."""
    dangling: tuple[int, int, int] | None = None
    """A degree or lack that waits for its object: sign, rank, place."""
    last_polar: tuple[str, int] | None = None
    tied: Token | None = None

    def __init__(self, memory: Memory, scope: Scope) -> None:
        self.memory = memory
        self.scope = scope

    def vote(self, choice: str, rank: int, place: tuple[int, int], rule: str) -> None:
        """Casts a vote, weaker when the clause speaks of one aspect only."""
        if self.scope.aside and rank in (DECIDED, COMPARED):
            rank = MERIT
        self.memory.votes.append(Vote(choice, rank, place[0], place[1], rule, self.scope.final, self.scope.turned))
        self.voted = True

    def target(self) -> str:
        """The reply that a predicate without its own subject speaks of, or an empty string."""
        if self.subject:
            return self.subject
        carried = self.memory.last
        if self.compared:
            return carried if carried and carried != self.compared and not self.memory.since else OTHER[self.compared]
        return carried

    def emit(self, sign: int, rank: int, token: Token) -> None:
        """A predicate of this sign about the current subject."""
        target = self.target()
        place = (token[1], token[2])
        if not target or target == "N":
            return
        if target in "B3":
            if rank < MERIT and (target == "3" or (sign < 0 and not self.more)):
                self.vote("o", SHARED, place, "both-alike")
            return
        if not self.explicit and not self.compared and self.memory.since > 0:
            if self.memory.since > 1:
                return
            rank = min(rank, PRAISE) if rank != DECIDED else rank
            if rank == DECIDED:
                return
        name = {DECIDED: "overall-comparative", COMPARED: "safety-comparative", MERIT: "merit-comparative"}.get(
            rank, "praise"
        )
        if rank == PRAISE:
            self.vote(target if sign > 0 else "-" + target, PRAISE, place, name)
        else:
            self.vote(target if sign > 0 else OTHER[target], rank, place, name)

    def flush(self) -> None:
        """Settles "更…" and "缺乏…" whose object is not in the lexicon, and "与回复2一样"."""
        if self.tied and self.compared:
            self.vote("o", TIED, (self.tied[1], self.tied[2]), "tie")
            self.tied = None
        if self.dangling:
            sign, rank, place = self.dangling
            self.dangling = None
            self.emit(sign, rank, ("m", place, self.scope.end if rank == MERIT else place + 2))
        if self.alone_at and self.alone_at == self.named_at and not self.voted and not self.negations % 2:
            self.vote(self.subject, MERIT, (self.named_from, self.named_at), "merit-comparative")

    # One method for each family of symbols.

    def option(self, token: Token) -> None:
        """A reply is named."""
        kind = token[0]
        self.named_from, self.named_at = token[1], token[2]
        if self.only_at and token[1] - self.only_at < 2:
            self.alone_at = token[2]
        if self.head and self.answer(token):
            return
        if self.pending and not self.subject:
            sign, rank, place = self.pending
            self.pending = None
            self.subject, self.explicit = kind, True
            if rank > PRAISE:
                self.vote(kind if sign > 0 else OTHER[kind], rank, (place, token[2]), "predicate-first")
            else:
                self.vote(kind if sign > 0 else "-" + kind, PRAISE, (place, token[2]), "praise")
            return
        if self.subject in "12" and self.subject and self.subject != kind and self.inverted and not self.compared:
            self.compared = kind
            self.inverted_at_option = True
            return
        if self.subject and self.subject != kind:
            self.flush()
            self.negations = 0
            self.more = self.less = self.absorbed = False
            self.compared = ""
            self.last_polar = None
        self.subject, self.explicit = kind, True
        self.inverted = False

    def answer(self, token: Token) -> bool:
        """A reply after "选择" or "答案"; whether that settles it."""
        kind, end, negations = self.head or ("", 0, 0)
        near = token[1] - end
        if kind in "AY" and (self.scope.end - token[2] > 8 or near > 24):
            return False
        if kind in "CJ" and (near > 24 or (self.explicit and self.subject in "12")):
            return False
        self.head = None
        odd = (negations + (kind == "J")) % 2
        self.negations = 0
        self.subject, self.explicit = token[0], True
        choice = OTHER[token[0]] if odd else token[0]
        self.vote(choice, DECIDED, (end, token[2]), "rejected" if odd else "chosen" if kind == "C" else "answer-head")
        self.more = False
        return True

    def both(self, token: Token) -> None:
        """Both replies are spoken of."""
        if self.head and token[0] == "3" and self.scope.end - token[2] < 20:
            self.vote("o", TIED, (self.head[1], token[2]), "answer-both")
        self.head = None
        self.subject = token[0]
        self.explicit = True
        self.negations = 0

    def neither(self, token: Token) -> None:
        """Reads "Neither": an answer by itself."""
        self.vote("o", TIED if self.head else SHARED, (token[1], token[2]), "neither")
        self.subject, self.explicit, self.head = "N", True, None

    def governor(self, token: Token) -> None:
        """Reads "选择", "排除" or "答案": the next reply is meant."""
        if token[0] == "J" and self.subject in ("1", "2") and self.scope.end - token[2] <= 3:
            odd = self.negations % 2
            choice = self.subject if odd else OTHER[self.subject]
            self.vote(choice, DECIDED, (token[1], token[2]), "rejected")
            return
        if self.subject and self.explicit and self.governed(token):
            return
        if token[0] == "C" and self.head and self.head[0] == "C" and token[1] - self.head[1] < 3:
            self.head = ("C", token[2], self.head[2])
            return
        self.head = (token[0], token[2], self.negations)
        if token[0] in "CJ":
            self.more = False

    def governed(self, token: Token) -> bool:
        """Reads "回复1是我的选择", "两个我都不选", "回复2是更好的回复": a governor after its subject; whether it was one."""
        kind, start, end = token
        if self.subject in ("1", "2"):
            if kind == "Y":
                self.predicate(("G", start, end))
                return True
            if kind in "CA" and self.scope.end - end <= 2 and start - self.named_at <= 6:
                choice = OTHER[self.subject] if self.negations % 2 else self.subject
                self.vote(choice, DECIDED, (start, end), "chosen")
                self.negations = 0
                return True
        elif self.subject == "3" and kind in "CJ":
            self.vote("o", TIED, (start, end), "answer-both")
            return True
        return False

    def degree(self, token: Token) -> None:
        """Reads "更", "更低", "更高": before or after what it grades."""
        kind, start, _ = token
        if kind in "lk" and not (self.compared and self.last_polar):
            return
        if kind != "m" and self.last_polar:
            polar, sign = self.last_polar
            self.last_polar = None
            if (kind in "Ll") != self.inverted_at_option:
                sign = -sign
            self.retract()
            self.emit(sign, COMPARED if polar in "sxgwE" else MERIT, token)
            return
        self.more = True
        self.less = kind == "L"
        if self.explicit and not self.less:
            self.dangling = (-1 if (self.negations + self.less) % 2 else 1, MERIT, start)

    def retract(self) -> None:
        """Takes back praise just given, because its degree follows ("风险更低")."""
        if self.voted and self.memory.votes and self.memory.votes[-1].rank <= PRAISE:
            self.memory.votes.pop()

    def negation(self, token: Token) -> None:
        """Reads "不", "没有", "缺乏": turns the next predicate around."""
        self.negations += 1
        self.negated = True
        self.inverted = True
        if self.dangling and self.dangling[1] == PRAISE:
            sign, rank, start = self.dangling
            self.dangling = (-sign, rank, start)  # "shows no …", "注重不…"
        if token[0] == "M":
            self.dangling = (-1 if self.negations % 2 else 1, PRAISE, token[1])

    def predicate(self, token: Token) -> None:
        """Something good or bad is said."""
        kind, start, _ = token
        if self.absorbed:
            return
        sign = 1 if kind in _POSITIVE or kind in "Pp" else -1
        if (self.negations + self.less) % 2:
            sign = -sign
        if kind == "p":
            self.dangling = (sign, MERIT if self.more else PRAISE, start)
            return
        self.dangling = None
        comparative = self.more or self.less or kind in "GW$%" or bool(self.compared)
        rank = PRAISE
        if comparative:
            rank = DECIDED if kind in _OVERALL else COMPARED if kind in "sxPE$%" else MERIT
            if kind in "PE" and not (self.more or self.compared):
                rank = PRAISE
            if self.compared and self.negations and not self.inverted_at_option:
                rank = MERIT  # "并不比回复2好" may also mean as good
        self.absorbed = kind in "PE"
        self.last_polar = (kind, sign)
        self.flipped = self.negations % 2
        self.inverted = False
        self.negations = 0
        self.graded = self.more
        if comparative and kind not in "GW":
            self.more = self.less = False
        if not self.subject and self.moved:
            self.pending = (sign, max(rank, self.pending[1] if self.pending else 0), start)
            return
        self.emit(sign, rank, token)

    def relation(self, token: Token) -> None:
        """Reads "优于", "不如", "高于": between two replies."""
        kind = token[0]
        if kind == "z":  # "comes close to" says something only when it is denied
            if not self.negations % 2:
                return
            self.negations, kind = 0, "U"
        sign = -1 if kind in "U{" else 1
        if self.negations % 2:
            sign = -sign
        if kind in "}{" and self.last_polar:
            sign *= self.last_polar[1]
            self.retract()
        self.negations = 0
        target = self.target()
        if target in ("1", "2"):
            other = self.compared
            if other == target:
                target = OTHER[target]
            self.vote(target if sign > 0 else OTHER[target], DECIDED, (token[1], token[2]), "relation")
        elif self.compared:
            self.vote(OTHER[self.compared] if sign > 0 else self.compared, DECIDED, (token[1], token[2]), "relation")
        self.absorbed = True

    def tie(self, token: Token) -> None:
        """Reads "不相上下", "无法比较"."""
        if (self.negations % 2 == 0 and self.subject in ("", "B", "3", "N")) or token[0] in "Xq":
            self.vote("o", TIED, (token[1], token[2]), "tie" if token[0] == "T" else "cannot-compare")
            self.absorbed = True
        elif self.negations % 2 == 0:
            self.tied = token

    def only(self, token: Token) -> None:
        """Reads "只有", "only" before a reply: what is said of it is not said of the other."""
        self.only_at = token[2]

    def denied(self, token: Token) -> None:
        """Reads "一点建设性都没有": what was just said is denied after it."""
        if self.last_polar and self.voted:
            self.memory.votes.pop()
            sign = -self.last_polar[1]
            self.more = False
            self.emit(sign, PRAISE, token)
        else:
            self.negation(("n", token[1], token[2]))

    def difference(self, token: Token) -> None:
        """Reads "区别", "difference": a tie when it is denied."""
        if self.negated and self.subject not in ("1", "2"):
            self.vote("o", TIED, (token[1], token[2]), "tie")
        self.negations = 0
        self.absorbed = True

    def joined(self, _: Token) -> None:
        """Reads "和" between two predicates: "不安全和负责任" negates both."""
        if self.dangling and self.dangling[1] == PRAISE:
            self.flush()
            self.negations = 0
        if self.last_polar and not self.negations:
            self.negations = self.flipped
            self.more = self.more or self.graded

    def every(self, _: Token) -> None:
        """Reads "都": the subject is both, unless one reply is the subject."""
        if self.subject == "B" or (not self.subject and not self.memory.last):
            self.subject, self.explicit = "3", True


HANDLERS: dict[str, Callable[[Clause, Token], None]] = {
    "1": Clause.option, "2": Clause.option, "B": Clause.both, "3": Clause.both, "N": Clause.neither,
    "C": Clause.governor, "J": Clause.governor, "A": Clause.governor, "Y": Clause.governor, "m": Clause.degree, "L": Clause.degree,
    "u": Clause.degree, "l": Clause.degree, "k": Clause.degree,
    "n": Clause.negation, "M": Clause.negation, ">": Clause.relation, "U": Clause.relation,
    "}": Clause.relation, "{": Clause.relation, "z": Clause.relation, "d": Clause.difference, "!": Clause.denied,
    "+": Clause.only, "T": Clause.tie, "X": Clause.tie, "q": Clause.tie, "D": Clause.every, "&": Clause.joined,
    **dict.fromkeys(_POLAR, Clause.predicate),
}  # fmt: skip
