"""What a report is made from."""

from __future__ import annotations

from cvalues.report.words import Language
from cvalues.schema import Choice, Record, Response, Run
from cvalues.scoring import ItemOutcome
from cvalues.taxonomy import Taxonomy

__all__ = ["ModelFacts", "ReportInput"]


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


class ReportInput(Record, frozen=True, kw_only=True):
    """Everything that the report of a two-choice measurement is made from; it is read, never changed."""

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

    @property
    def model_names(self) -> tuple[str, ...]:
        """Every model of the runs and outcomes, in order of first appearance."""
        named = [model for run in self.runs for model in run.models]
        return tuple(dict.fromkeys([*named, *(outcome.model for outcome in self.outcomes)]))

    def is_baseline(self, model: str) -> bool:
        """Returns whether the model is a baseline, by its facts or, without facts, by its name."""
        facts = self.models.get(model)
        return facts.baseline if facts and facts.spec else model.startswith("baseline:")
