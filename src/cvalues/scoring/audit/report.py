"""What an audit found: figures, bars, and the tables that show them in Chinese or English."""

from __future__ import annotations

from collections.abc import Iterator

from cvalues.schema import Cell, Estimate, Record, Table
from cvalues.scoring.audit.balance import Balance, Leak
from cvalues.scoring.audit.duplicates import Duplicates, Overlap
from cvalues.scoring.audit.material import PAIRS
from cvalues.scoring.audit.settings import Bar, measures, say
from cvalues.scoring.audit.shortcuts import LEVELS, SHORTCUTS, HardShare, Shortcut


class BarResult(Record, frozen=True, kw_only=True):
    """Whether one figure meets its bar."""

    bar: Bar
    pair: str
    """Pair type; empty for `declines`."""
    level: int
    value: Estimate
    met: bool | None
    """None where the figure has no data."""
    near: bool = False
    """True for a bar that is not met although the figure's interval reaches it."""


class AuditReport(Record, frozen=True, kw_only=True):
    """Shortcuts, duplicates, leaks and imbalances of a set."""

    source: str
    rows: int
    """Rows that make a record; graded prompts count once."""
    unread: int
    """Rows that make none; `check` says why."""
    pairs: int
    seed: int
    threshold: float
    folds: int
    repeats: int
    least: int
    unsure: float
    sampled: int
    """Prompts of the largest pair type that the fitted models saw."""
    sampled_of: int
    """Prompts of the largest pair type."""
    shortcuts: tuple[Shortcut, ...]
    hard: tuple[HardShare, ...]
    bars: tuple[BarResult, ...]
    duplicates: Duplicates
    overlaps: tuple[Overlap, ...]
    balance: Balance
    leaks: tuple[Leak, ...]
    check: dict[str, int]
    """Faults and warnings of `cvalues data check` by code, such as `near_label` (label drift) and `stray_space`."""
    check_faults: int
    check_warnings: int

    @property
    def broken(self) -> tuple[BarResult, ...]:
        """The bars that are not met."""
        return tuple(result for result in self.bars if result.met is False)

    @property
    def ok(self) -> bool:
        """Whether every bar with data is met and no duplicate straddles splits."""
        return not self.broken and not self.duplicates.across

    def verdict(self, language: str) -> str:
        """Returns what came out in `zh` or `en`: the bars, duplicates over splits, and the faults of rows where there are any."""
        measured = any(result.met is not None for result in self.bars)
        if not self.ok:
            counts = {"bars": len(self.broken), "across": self.duplicates.across}
            told = say("verdict.broken", language, source=self.source, **counts)
        else:
            told = say("verdict.ok" if measured else "verdict.unmeasured", language, source=self.source)
        if not self.check_faults:
            return told
        return told + say("verdict.faults", language, source=self.source, faults=self.check_faults)

    def tables(self, language: str) -> tuple[Table, ...]:
        """Returns the tables that have rows, in `zh` or `en`; ids only, no texts."""
        made = (
            _shortcut_table(self, language),
            _hard_table(self, language),
            _decline_table(self, language),
            _duplicate_table(self, language),
            _near_table(self, language),
            _balance_table(self, language),
            _leak_table(self, language),
            _check_table(self, language),
        )
        return tuple(table for table in made if table.rows)


def judge(shortcuts: tuple[Shortcut, ...], balance: Balance) -> tuple[BarResult, ...]:
    """Returns every bar with its result.

    A bar holds for each level of prompts by itself, and for all prompts only where their level is not known.
    """
    levels: dict[str, set[int]] = {}
    for entry in shortcuts:
        levels.setdefault(entry.pair, set()).add(entry.level)
    results = []
    for entry in shortcuts:
        bar = measures().bar_of(entry.name)
        if bar is not None and (entry.level or levels[entry.pair] == {0}):
            results.append(_result(bar, entry.pair, entry.level, entry.accuracy))
    bar = measures().bar_of("declines")
    known = {entry.level for entry in balance.declines}
    results.extend(
        _result(bar, "", entry.level, entry.share)
        for entry in balance.declines
        if bar is not None and (entry.level or known == {0})
    )
    return tuple(results)


def _result(bar: Bar, pair: str, level: int, value: Estimate) -> BarResult:
    if value.value is None:
        return BarResult(bar=bar, pair=pair, level=level, value=value, met=None)
    met = bar.holds(value.value)
    near = not met and bar.reached(value.low, value.high)
    return BarResult(bar=bar, pair=pair, level=level, value=value, met=met, near=near)


def bar_text(bar: Bar | None, language: str) -> str:
    """Returns a bar in words, for example `45–55 %`; a dash where there is none."""
    if bar is None:
        return "—"
    if bar.below is not None:
        return say("bar.below", language, high=f"{100 * bar.below:.0f}")
    low = "" if bar.at_least is None else f"{100 * bar.at_least:.0f}"
    if bar.at_most is None:
        return say("bar.at_least", language, low=low)
    return say("bar.between", language, low=low, high=f"{100 * bar.at_most:.0f}")


def verdict_text(results: list[BarResult], language: str) -> str:
    """Returns `met` where every result with data is met, else at which levels it is not."""
    if not results:
        return say("verdict.none", language)
    if all(result.met is None for result in results):
        return say("verdict.no_data", language)
    missed = [result for result in results if result.met is False]
    if not missed:
        return say("verdict.met", language)
    word = say("verdict.near" if all(result.near for result in missed) else "verdict.not_met", language)
    if {result.level for result in missed} == {0}:
        return word
    levels = say("verdict.and", language).join(level_name(result.level, language) for result in missed)
    return say("verdict.where", language, verdict=word, levels=levels)


def level_name(level: int, language: str) -> str:
    """Returns the name of the prompts of a level, `in all` for 0."""
    return say(f"column.level_{level}", language)


def pair_name(pair: str, language: str) -> str:
    """Returns the name of a pair type."""
    return say(f"pair.{pair.replace('/', '_')}", language)


def _columns(language: str, *names: str) -> tuple[str, ...]:
    return tuple(say(f"column.{name}", language) for name in names)


def _shortcut_table(report: AuditReport, language: str) -> Table:
    figures = {(entry.pair, entry.name, entry.level): entry for entry in report.shortcuts}
    levels = [level for level in LEVELS if any(entry.level == level for entry in report.shortcuts)]
    whole = any(entry.hard.n for entry in report.shortcuts)
    rows: list[tuple[Cell, ...]] = []
    for pair in PAIRS:
        for name in SHORTCUTS:
            if (pair, name, 0) not in figures:
                continue
            own = [figures.get((pair, name, level)) for level in levels]
            cells: list[Cell] = [None if entry is None else entry.accuracy for entry in own]
            if whole:
                cells.append(figures[pair, name, 0].hard)
            results = [result for result in report.bars if result.pair == pair and result.bar.name == name]
            bar = bar_text(measures().bar_of(name), language)
            shown = (pair_name(pair, language), say(f"shortcut.{name}", language))
            rows.append((*shown, *cells, bar, verdict_text(results, language)))
    heads = [
        "pair",
        "shortcut",
        *(f"level_{level}" for level in levels),
        *(["hard"] if whole else []),
        "bar",
        "verdict",
    ]
    return Table(
        title=say("title.shortcuts", language),
        columns=_columns(language, *heads),
        rows=tuple(rows),
        notes=tuple(_shortcut_notes(report, language)),
    )


def _shortcut_notes(report: AuditReport, language: str) -> Iterator[str]:
    yield say("note.folds", language, folds=report.folds, repeats=report.repeats, seed=report.seed)
    if report.sampled < report.sampled_of:
        yield say("note.sample", language, prompts=report.sampled_of, sample=report.sampled, seed=report.seed)
    if any(entry.name == "ngram" and entry.accuracy.value is None for entry in report.shortcuts):
        yield say("note.small", language, least=report.least)
    yield say("note.floor", language)


def _hard_table(report: AuditReport, language: str) -> Table:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (pair_name(entry.pair, language), level_name(entry.level, language), entry.pairs, entry.share)
        for entry in report.hard
    )
    by_field = any(entry.source == "field" for entry in report.hard)
    note = say("note.hard_field", language) if by_field else say("note.hard_model", language, unsure=report.unsure)
    return Table(
        title=say("title.hard", language),
        columns=_columns(language, "pair", "level", "pairs", "share"),
        rows=rows,
        notes=(note,),
    )


def _decline_table(report: AuditReport, language: str) -> Table:
    bar = measures().bar_of("declines")
    rows: list[tuple[Cell, ...]] = []
    for entry in report.balance.declines:
        results = [result for result in report.bars if result.bar.name == "declines" and result.level == entry.level]
        name = level_name(entry.level, language)
        rows.append((name, entry.share.n, entry.share, bar_text(bar, language), verdict_text(results, language)))
    return Table(
        title=say("title.declines", language),
        columns=_columns(language, "level", "of", "share", "bar", "verdict"),
        rows=tuple(rows),
    )


def _duplicate_table(report: AuditReport, language: str) -> Table:
    found = report.duplicates
    threshold = f"{report.threshold:g}"
    rows: list[tuple[Cell, ...]] = [
        (say("item.exact", language), found.exact, found.prompts + found.twins),
        (say("item.near", language, threshold=threshold), found.near, found.prompts + found.twins),
    ]
    if report.balance.splits:
        rows.append((say("item.across", language), found.across, found.exact + found.near))
    if report.pairs:
        rows.append((say("item.replies", language), found.replies, None))
    for other in report.overlaps:
        rows.append((say("item.both", language, source=other.source), other.exact, other.prompts))
        rows.append((say("item.both_near", language, source=other.source), other.near, None))
    return Table(
        title=say("title.duplicates", language), columns=_columns(language, "what", "count", "of"), rows=tuple(rows)
    )


def _near_table(report: AuditReport, language: str, limit: int = 10) -> Table:
    pairs = [*report.duplicates.examples[:limit], *(pair for other in report.overlaps for pair in other.examples[:3])]
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (pair.first, pair.second, f"{pair.similarity:.2f}", "/".join(filter(None, dict.fromkeys(pair.splits))))
        for pair in pairs
    )
    columns = _columns(language, "first", "second", "similarity", "splits")
    return Table(title=say("title.near", language), columns=columns, rows=rows, notes=(say("note.ids", language),))


def _balance_table(report: AuditReport, language: str) -> Table:
    found = report.balance
    rows: list[tuple[Cell, ...]] = []
    for entry in found.categories:
        least, most = min(entry.counts.values()), max(entry.counts.values())
        of = level_name(entry.level, language) if entry.level else say("column.level_unknown", language)
        what = f"{say('item.categories', language)} ({of})"
        rows.append((what, f"{least} / {most}", f"{entry.ratio:.2f}"))
    for name, count in found.splits.items():
        rows.append((say("item.split", language, name=name), str(count), f"≥ {found.thinnest[name]}"))
    if found.better_first.value is not None:
        rows.append((say("item.better_first", language), _percent(found.better_first), str(found.better_first.n)))
        rows.append((say("item.one_order", language), str(found.one_order), str(found.ordered_pairs)))
    rows.extend(
        (say("item.labels", language, name=column.name), _percent(column.largest), str(column.largest.n))
        for column in found.labels
    )
    return Table(
        title=say("title.balance", language), columns=_columns(language, "what", "value", "detail"), rows=tuple(rows)
    )


def _percent(estimate: Estimate) -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "—"
    return f"{100 * estimate.value:.1f} % [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def _leak_table(report: AuditReport, language: str) -> Table:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (say(f"item.{leak.name}", language), leak.where, leak.count, ", ".join(leak.prompts[:3]))
        for leak in report.leaks
    )
    columns = (*_columns(language, "what"), "where", *_columns(language, "count", "examples"))
    return Table(title=say("title.leaks", language), columns=columns, rows=rows)


def _check_table(report: AuditReport, language: str) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (say("item.rows", language), report.rows),
        (say("item.unread", language), report.unread),
        (say("item.faults", language), report.check_faults),
        (say("item.warnings", language), report.check_warnings),
    ]
    rows += [(code, count) for code, count in sorted(report.check.items(), key=lambda entry: (-entry[1], entry[0]))]
    return Table(title=say("title.check", language), columns=_columns(language, "code", "count"), rows=tuple(rows))
