"""The audit of a set, from its name or file to a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cvalues.datasets.checking import Checking, check
from cvalues.scoring.audit import duplicates
from cvalues.scoring.audit.balance import balance, leaks
from cvalues.scoring.audit.material import gather, texts_of
from cvalues.scoring.audit.report import AuditReport, judge
from cvalues.scoring.audit.settings import Auditing
from cvalues.scoring.audit.shortcuts import measure
from cvalues.taxonomy import Taxonomy, builtin


def audit(
    source: str | Path,
    *,
    against: Sequence[str | Path] = (),
    seed: int = 0,
    taxonomy: Taxonomy | None = None,
    settings: Auditing | None = None,
) -> AuditReport:
    """Returns the shortcuts, duplicates, leaks and imbalances of a set.

    It works on graded prompts, comparisons, choices and prompts, known sets and users' files alike, also on rows that name no
    category or level. Rows are streamed: of a set of any size the texts of its prompts are kept, and the replies of at most
    `settings.sample` prompts per pair type, on which the fitted models rest; every other figure is exact.

    Args:
        source: the name of a known set (`NAME` or `NAME/PART`), else the path of a file.
        against: other sets or files in which prompts of this one are looked for.
        seed: seed of the sample and of the folds; the same seed gives the same report.
        taxonomy: names and levels of categories; the built-in one when None.
        settings: threshold, sample size, folds and column names.

    Raises:
        DataError: a set is not in the cache, or a file cannot be read or fits no known format.
        UsageError: neither a set nor a file has this name.
    """
    chosen, known = settings or Auditing(), taxonomy or builtin()
    material = gather(source, known, chosen, seed)
    found = measure(material, chosen, seed)
    even = balance(material)
    checked = check(source, taxonomy=known, settings=Checking(keep=0, columns=chosen.columns, defaults=chosen.defaults))
    return AuditReport(
        source=str(source),
        rows=material.rows,
        unread=material.unread,
        pairs=len(material.pairs),
        seed=seed,
        threshold=chosen.threshold,
        folds=chosen.folds,
        repeats=chosen.repeats,
        least=chosen.least,
        unsure=chosen.unsure,
        sampled=found.sampled,
        sampled_of=found.prompts,
        shortcuts=found.shortcuts,
        hard=found.hard,
        bars=judge(found.shortcuts, even),
        duplicates=duplicates.inside(material, chosen),
        overlaps=tuple(
            duplicates.against(material.texts, str(other), texts_of(other, known, chosen), chosen) for other in against
        ),
        balance=even,
        leaks=leaks(material, chosen.keep),
        check=dict(sorted(checked.counts.items())),
        check_faults=checked.fault_count,
        check_warnings=checked.warning_count,
    )
