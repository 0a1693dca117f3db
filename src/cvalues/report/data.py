"""What a report is made from."""

from __future__ import annotations

from cvalues.hardening.decisions import Decision
from cvalues.hardening.rounds import Round
from cvalues.judging.card import JudgeCard
from cvalues.report.words import Language
from cvalues.schema import Choice, Prompt, Record, Response, Run, Table, Verdict
from cvalues.scoring import ItemOutcome
from cvalues.scoring.free import FreeOutcome
from cvalues.scoring.preference import Preferred
from cvalues.scoring.readers import ReaderError
from cvalues.taxonomy import Taxonomy

__all__ = ["FreeInput", "ModelFacts", "ReportInput"]


class ModelFacts(Record, frozen=True, kw_only=True):
    """What is known of one model besides its answers."""

    spec: str = ""
    """As the user gave it, for example `openai:NAME@http://…` or `baseline:longer`; never a key."""
    revision: str = ""
    served: tuple[str, ...] = ()
    """The model names that the server reported."""

    @property
    def baseline(self) -> bool:
        """True for a built-in model that understands nothing: a floor, not a competitor."""
        return self.spec.startswith("baseline:")


class FreeInput(Record, frozen=True, kw_only=True):
    """What is known of free responses: all empty where none were asked."""

    outcomes: list[FreeOutcome] = []
    """One per model, prompt and sample that was planned."""
    prompts: dict[tuple[str, str], Prompt] = {}
    """By set and prompt id; a prompt that is missing is shown without its text."""
    verdicts: dict[str, list[Verdict]] = {}
    """By response id every verdict that stands, those without a value too, oldest first."""
    preferred: list[Preferred] = []
    failures: dict[tuple[str, str, int], str] = {}
    """By (model, prompt id, sample): why the call failed for good."""
    errors: tuple[ReaderError, ...] = ()
    """Measured errors of the built-in readers."""
    cards: tuple[JudgeCard, ...] = ()
    """Judge cards of earlier calibrations; those of another hash are shown as stale."""
    rater: str = ""
    """The headline rater that the user wants; empty for people before panels before judges before rules."""


class ReportInput(Record, frozen=True, kw_only=True):
    """Everything that a report is made from; it is read, never changed."""

    taxonomy: Taxonomy
    runs: tuple[Run, ...] = ()
    outcomes: list[ItemOutcome] = []
    """One per model and choice that was planned, with `outcome` None where the call failed for good or is still open."""
    items: dict[str, Choice] = {}
    """By choice id; a choice that is missing here is shown without its texts."""
    responses: dict[str, Response] = {}
    """By response id."""
    evidence: dict[str, str] = {}
    """By response id: the span of the text that decided its outcome."""
    failures: dict[tuple[str, str], str] = {}
    """By (model, choice id): why the call failed for good."""
    models: dict[str, ModelFacts] = {}
    templates: dict[str, str] = {}
    """Text of each template by `name@hash`."""
    language: Language = "zh"
    """The language that the page opens in."""
    free: FreeInput = FreeInput()
    pairs: dict[Language, tuple[Table, ...]] = {}
    """Tables on comparison pairs and reward models, by language; empty where none were built."""
    rounds: tuple[Round, ...] = ()
    """Rounds of hardening of the study, in the order in which they began."""
    decisions: tuple[Decision, ...] = ()
    """What the gate answered on these runs, oldest first."""
    prompt_of: dict[str, str] = {}
    """Id of the prompt by id of the choice, where the items are not at hand."""

    @property
    def model_names(self) -> tuple[str, ...]:
        """Every model of the runs and outcomes, in order of first appearance."""
        named = [model for run in self.runs for model in run.models]
        heard = [outcome.model for outcome in self.outcomes] + [outcome.model for outcome in self.free.outcomes]
        return tuple(dict.fromkeys([*named, *heard]))

    @property
    def prompts_of_choices(self) -> dict[str, str]:
        """Id of the prompt by id of the choice."""
        return self.prompt_of | {item.id: item.prompt_id for item in self.items.values()}

    def is_baseline(self, model: str) -> bool:
        """Returns whether the model is a baseline, by its facts or, without facts, by its name."""
        facts = self.models.get(model)
        return facts.baseline if facts and facts.spec else model.startswith("baseline:")
