"""`cvalues demo`: everything on the starter set with the built-in models, offline: choices, free responses, judges, pairs, the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cvalues.judging.attack import AttackResult
from cvalues.judging.panel import Member, Panel
from cvalues.records import generator, make_folder, now
from cvalues.report import write
from cvalues.report.words import Language
from cvalues.schema import Prompt, Table, Verdict
from cvalues.scoring import ItemOutcome
from cvalues.scoring.free_scores import FreeScore, free_scores
from cvalues.scoring.preference import Duel, duels
from cvalues.study import Study, open_study
from cvalues.workflows.attack import attack
from cvalues.workflows.calibrate import calibrate, places
from cvalues.workflows.free import measured_errors
from cvalues.workflows.judge import convene, judge
from cvalues.workflows.judge_calls import Judged, JudgeOptions
from cvalues.workflows.pairs import measured_demo
from cvalues.workflows.plan import RunOptions, make_plan
from cvalues.workflows.results import gather
from cvalues.workflows.run import execute

ANSWERERS = ("baseline:careful", "baseline:guarded", "baseline:careless")
"""The built-in models that write free responses."""
MODELS = ("baseline:ngram", "baseline:longer", "baseline:shorter", "baseline:first", "baseline:random", *ANSWERERS)
"""The built-in models that the demo measures on choices."""
JUDGES = ("rule:safety", "rule:refusal", "baseline:grade", "baseline:points", "baseline:prefer")
PANEL = Panel(
    name="demo", quorum=2, ties="people",
    member=(Member(judge="rule:safety"), Member(judge="baseline:grade")),
)  # fmt: skip
"""The two built-in judges of safety as a panel; where they contradict each other the reply is left to people."""
ATTACKED = ("rule:safety", "baseline:grade")
"""The judges that the attack suite is tried on."""
CHOICES, REPLIES = "demo", "demo-replies"
"""The names of the two runs."""
SIMULATED = "person:simulated"
"""How the raters of the made-up annotators begin: their verdicts are drawn, and say so wherever they appear."""
_SAMPLE = 300
_ANNOTATORS = 3
_ERROR = 0.08


@dataclass(frozen=True)
class Demo:
    """What the demo measured."""

    report: Path
    outcomes: list[ItemOutcome]
    scores: list[FreeScore]
    """Of the free responses, as the built-in judges read them."""
    tables: list[Table]
    """Comparison pairs: the embedded reward model beside the shortcuts."""
    panel: dict[str, int]
    """Of the panel's verdicts on the replies: `valid`, left to `people`, `none`."""
    duels: list[Duel]
    """Preference between the answerers, each pair shown in both orders."""
    attacks: list[tuple[Judged, str, list[AttackResult]]]
    """What the attack suite did to the built-in judges."""


def demo(folder: Path, *, language: str = "zh") -> Demo:
    """Measures the built-in models on the held-out split of the starter set and writes the report.

    The n-gram models and the answerers were fitted on the train split and are measured on prompts that they have not seen. Three
    simulated annotators judge a sample of the replies, so that judge cards and corrected rates can be looked at; their verdicts
    are drawn from the known grade of the retrieved reply with 8 % errors. The built-in judges of safety also sit as a panel, two replies
    to one prompt are compared in both orders, and the attack suite is tried on two judges.

    Raises:
        DataError: the folder cannot be made.
        StudyError: the study in it cannot be written.
    """
    make_folder(folder)
    split = {"split": "heldout"}
    with open_study(folder / "study.db") as study:
        execute(make_plan(RunOptions(sets=("starter-choice",), models=MODELS, filters=split, name=CHOICES)), study)
        sets = ("starter-prompts", "starter-twins")
        execute(make_plan(RunOptions(sets=sets, models=ANSWERERS, filters=split, name=REPLIES)), study)
        judged = dict(zip(JUDGES, judge(study, REPLIES, JUDGES), strict=True))
        met = convene(study, REPLIES, PANEL, {spec: [judged[spec].rater] for spec in ATTACKED})
        attacks = attack(study, ATTACKED, JudgeOptions())
        grader = _simulate(study)
        calibrate(study, [REPLIES], f"{SIMULATED}-*", grader, "safe")
        evaluated = measured_demo(folder)
        # The numbers rest on the judge that read every reply, not on the people who are made up.
        data = gather([CHOICES, REPLIES], study, language=language, rater=grader)
        both: dict[Language, tuple[Table, ...]] = {
            "zh": tuple(evaluated.tables("zh")),
            "en": tuple(evaluated.tables("en")),
        }
        data = msgspec.structs.replace(data, pairs=both)
        scores = free_scores(data.free.outcomes, rater=grader, errors=measured_errors())
    return Demo(
        report=write(folder / "report", data),
        outcomes=data.outcomes,
        scores=scores,
        tables=evaluated.tables(language),
        panel=met,
        duels=duels(data.free.preferred),
        attacks=[(entry, name, results[:1]) for entry, name, results in attacks],
    )


def _simulate(study: Study) -> str:
    """Adds the verdicts of simulated annotators on a sample of the replies; returns the rater of the grading judge."""
    where = places(study, [REPLIES])
    chosen: Sequence[str] = sorted(where)
    chosen = [chosen[place] for place in sorted(generator("demo sample").permutation(len(chosen))[:_SAMPLE])]
    benign = {item.id for item in study.items(REPLIES).values() if isinstance(item, Prompt) and item.benign}
    found = []
    for number in range(1, _ANNOTATORS + 1):
        wrong = generator("demo annotator", number).random(len(chosen)) < _ERROR
        for key, errs in zip(chosen, wrong, strict=True):
            # The careless model helps with harmless prompts, as it should.
            careless = where[key].model == "baseline:careless" and where[key].prompt not in benign
            unsafe = careless != bool(errs)
            found.append(
                Verdict(
                    criterion="safe", subject=(key,), rater=f"{SIMULATED}-{number}", value="unsafe" if unsafe else "safe",
                    reason="simulated", run=REPLIES, time=now(),
                )
            )  # fmt: skip
    study.add_verdicts(found)
    return next(
        verdict.rater for verdict in study.all_verdicts(REPLIES, "safe") if verdict.rater.startswith("rule:grade@")
    )
