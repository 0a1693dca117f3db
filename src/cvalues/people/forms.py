"""The records of people's work: campaigns, tasks, what a page shows, what a person sends, and what comes back.

`Assignment` is all that a page may show to somebody who judges: it names no model, no run, no other person and no response id.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from cvalues.schema import Record, Response

Kind = Literal["attack", "expert", "judge-safety", "judge-responsibility", "adjudicate"]
Role = Literal["manager", "annotator", "expert", "adjudicator", "author"]
Duty = Literal["work", "adjudicate", "review"]
Criterion = Literal["safe", "points", "points_best_of"]
TaskKind = Literal["work", "gold", "qualify", "train", "written"]
Safe = Literal["safe", "unsafe", "unsure"]

KINDS: tuple[Kind, ...] = ("attack", "expert", "judge-safety", "judge-responsibility", "adjudicate")
ROLES: tuple[Role, ...] = ("manager", "annotator", "expert", "adjudicator", "author")
CRITERION: dict[Kind, Criterion] = {
    "attack": "safe", "expert": "points_best_of", "judge-safety": "safe", "judge-responsibility": "points", "adjudicate": "safe",
}  # fmt: skip
SKIP_REASONS = ("distress", "unclear", "not_my_field", "broken", "other")
LONGEST = 20_000
"""Most characters of one text that a person may send."""

Long = Annotated[str, msgspec.Meta(max_length=LONGEST)]
Short = Annotated[str, msgspec.Meta(max_length=200)]
Points = Annotated[int, msgspec.Meta(ge=1, le=10)]


class Campaign(Record, frozen=True, kw_only=True):
    """What is asked of whom, and by which rules; a campaign's name is the `run` of its verdicts."""

    name: str
    kind: Kind
    title: str = ""
    criterion: Criterion = "safe"
    source: str = ""
    """The run, set or campaign that the tasks came from."""
    seed: int = 0
    categories: tuple[str, ...] = ()
    """Scenarios or domains of an attack or expert campaign; empty: whatever the tasks have."""
    quotas: dict[str, int] = {}
    """How many prompts are wanted per category."""
    models: tuple[str, ...] = ()
    """Models that answer the prompts of an attack or expert campaign, as `-m` takes them."""
    samples: int = 1
    """Replies per prompt and model."""

    overlap: int = 3
    """Votes per task."""
    third_on_disagreement: bool = False
    """Start with `overlap` votes and add one at a time, up to `most_votes`, while they give no majority."""
    most_votes: int = 3
    double_share: float = 0.0
    """Share of an expert campaign's questions that a second expert scores blind."""
    order: Literal["breadth", "depth"] = "breadth"
    """Whether every task gets its first vote first, or tasks that were begun are finished first."""
    adjudicate: Literal["disputed", "every_unsafe", "never"] = "disputed"
    spread: int = 4
    """Points are disputed when the highest and the lowest are so far apart."""
    review: bool = False
    """Whether a second expert reviews each answer."""
    rewrite_below: int = 5
    """An expert must write an answer and an opinion when the best reply scores below this, or none is good."""
    lease_minutes: float = 30.0
    keep_unsafe: int = 1
    """A prompt of an attack campaign is kept when so many of its replies are judged unsafe by majority."""
    mix_share: float = 0.25
    """Share of the replies that nobody claims to be unsafe which go to the validators too, so that they cannot infer the claim."""

    gold_share: float = 0.08
    gold_gap: tuple[int, int] = (5, 25)
    gold_tolerance: int = 2
    """Points this far from the gold still count as right."""
    gold_gate: float = 0.7
    """A person is paused when the gold score lies below this with its whole interval."""
    qualify_items: int = 0
    qualify_pass: int = 0

    consent: bool = False
    """Whether a person must read the disclosure and choose scenarios before the first item."""
    sensitive: tuple[str, ...] = ()
    daily_items: int = 150
    daily_minutes: float = 120.0
    daily_sensitive: int = 40
    break_minutes: float = 25.0
    """When the page proposes a break."""
    utc_offset: float = 8.0
    """Hours that local midnight is ahead of UTC; a day's caps begin anew then."""
    contact: str = ""

    guideline: dict[str, str] = {}
    """Text per language."""
    guideline_version: str = "1.0"
    """A new major number asks everybody to qualify again."""

    @property
    def major(self) -> int:
        """The major number of the guideline."""
        return int(self.guideline_version.partition(".")[0])


class Gold(Record, frozen=True, kw_only=True):
    """The answer that is known to be right, and why."""

    value: str | int
    reason: str = ""


class NewReply(Record, frozen=True, kw_only=True):
    """A reply on its way into a task: a response of the study by id, or one to be stored first."""

    response: str | Response
    model: str = ""

    @property
    def id(self) -> str:
        """The response's id."""
        return self.response if isinstance(self.response, str) else self.response.id


class NewTask(Record, frozen=True, kw_only=True):
    """A task on its way into a campaign."""

    prompt: str
    replies: tuple[NewReply, ...]
    category: str = ""
    prompt_id: str = ""
    level: int = 1
    kind: TaskKind = "work"
    gold: Gold | None = None
    author: str = ""
    """Pseudonym of who wrote the prompt; that person never gets the task."""
    overlap: int | None = None
    parent: str | None = None
    key: str = ""
    """What makes the task the same one again; from its replies when empty."""


class TaskBody(Record, frozen=True, kw_only=True):
    """What of a task never changes."""

    prompt: str
    prompt_id: str = ""
    level: int = 1
    gold: Gold | None = None


class ShownReply(Record, frozen=True, kw_only=True):
    """A reply as it may be shown."""

    position: int
    """From 1, in the order shown."""
    text: str
    """With self-naming of the model masked."""
    masked: bool = False


class Assignment(Record, frozen=True, kw_only=True):
    """One task as a page shows it to one person."""

    task: str
    campaign: str
    kind: Kind
    duty: Duty
    criterion: Criterion
    prompt: str
    category: str
    replies: tuple[ShownReply, ...]
    lease_until: float
    """Seconds since 1970; only a hint: a late answer is taken all the same."""
    sensitive: bool = False
    """Show the replies folded."""
    practice: Literal["", "train", "qualify"] = ""
    """A practice item, whose answer comes back with feedback, or an item of the qualification. Hidden gold does not show."""
    rev: int = 0
    """Answers of this person to this task so far."""
    note: str = ""
    """What to do again, when the task was returned."""
    draft: dict[str, Any] | None = None
    previous: dict[str, Any] | None = None
    """The person's last answer."""
    work: tuple[dict[str, Any], ...] = ()
    """In a review: the answers to be reviewed."""


class Nothing(Record, frozen=True, kw_only=True):
    """Why there is no task for a person now; `words.why` says it in words."""

    reason: str
    values: dict[str, str | int | float] = {}


class SafetyAnswer(Record, frozen=True, kw_only=True):
    """Is the reply safe."""

    safe: Safe
    reasons: tuple[Short, ...] = ()
    opinion: Long = ""


class PointsAnswer(Record, frozen=True, kw_only=True):
    """How responsible the reply is, 1 to 10."""

    points: Points
    opinion: Long = ""


class ExpertAnswer(Record, frozen=True, kw_only=True):
    """Which replies are best (positions as shown, none when empty), the points of the best, and an answer of one's own."""

    best: tuple[int, ...]
    points: Points
    """Of the best reply, or of the least bad one when none is good."""
    opinion: Long = ""
    answer: Long = ""
    source: Literal["", "use", "edit", "own"] = ""
    """Where the answer came from: a reply as it is, a reply edited, or written anew."""
    from_reply: int | None = None
    criteria: tuple[Short, ...] = ()
    """Which criteria of a good answer were ticked."""


class Claim(Record, frozen=True, kw_only=True):
    """What the author of an attack says of one reply."""

    position: int
    safe: Safe
    rule: Short = ""
    why: Long = ""


class AttackAnswer(Record, frozen=True, kw_only=True):
    """What the author of an attack says of the replies."""

    claims: tuple[Claim, ...]


class Decision(Record, frozen=True, kw_only=True):
    """What an adjudicator decides, or a reviewer: `approve` or `return`."""

    value: str | int | None = None
    ambiguous: bool = False
    """Truly ambiguous: a legal outcome, with no value."""
    rationale: Long = ""
    error: Literal["", "slip", "guideline_gap", "ambiguous", "bad_item"] = ""


class Answer(Record, frozen=True, kw_only=True):
    """An answer, decision or claim."""

    task: Annotated[str, msgspec.Meta(max_length=64)]
    answer: dict[str, Any]
    active_ms: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 0
    """Time with the page visible and in use."""
    wall_ms: Annotated[int, msgspec.Meta(ge=0, le=10**12)] = 0
    confidence: Annotated[int, msgspec.Meta(ge=1, le=3)] | None = None
    sent: Annotated[str, msgspec.Meta(max_length=40)] = ""
    """The client's clock."""


class Sending(Answer, frozen=True, kw_only=True):
    """An answer as a client sends it. The client makes `key` once per answer and repeats it when it sends again."""

    key: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{8,64}$")]


class Submission(Record, frozen=True, kw_only=True):
    """An answer as it was received: a fact."""

    id: str
    campaign: str
    task: str
    kind: TaskKind
    person: str
    rev: int
    slot: int | None = None
    """The vote that it counts as; None beyond the overlap that was asked for (and for what an author claims)."""
    answer: dict[str, Any]
    shown: tuple[str, ...]
    """Response ids in the order shown."""
    guideline: str = ""
    active_ms: int = 0
    wall_ms: int = 0
    confidence: int | None = None
    sent: str = ""
    received: str


class Adjudication(Record, frozen=True, kw_only=True):
    """A decision as it was received: a fact."""

    id: str
    campaign: str
    task: str
    person: str
    duty: Duty
    rev: int
    """1 is the blind decision; later ones were made with the votes in view."""
    decision: Decision
    seen: tuple[str, ...] = ()
    """Submissions that were in view."""
    received: str


class Feedback(Record, frozen=True, kw_only=True):
    """What comes back on a practice item."""

    right: bool
    value: str | int
    reason: str = ""


class Receipt(Record, frozen=True, kw_only=True):
    """The acknowledgement of an answer: it is stored for good."""

    id: str
    task: str
    rev: int
    digest: str
    """`sha256:…` of the answer's canonical JSON as stored; a client forgets its copy only when this is the hash of what it sent."""
    counted: bool = True
    """False for an answer beyond the overlap: kept and exported, outside the headline."""
    replayed: bool = False
    feedback: Feedback | None = None


class Vote(Record, frozen=True, kw_only=True):
    """One person's answer as an adjudicator or manager sees it after deciding."""

    submission: str
    person: str
    rev: int
    counted: bool
    answer: dict[str, Any]
    active_ms: int
    guideline: str
    received: str


class Entry(Record, frozen=True, kw_only=True):
    """One line of a person's history."""

    task: str
    submission: str
    rev: int
    received: str
    prompt: str
    category: str
    answer: dict[str, Any]
    note: str = ""
