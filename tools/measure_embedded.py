"""Measures the embedded judges and writes what they get wrong to src/cvalues/data/judging/embedded.json and docs/embedded.md.

Usage:  python tools/measure_embedded.py [--shared FOLDER] [--out FILE]

In-domain figures come from the shipped data. Figures on other people's replies need the folder of shared data beside the repository
(`jade`, `diasafety`, `moss_harmless`, `xstest`); nothing of their texts is written, only counts. Where the folder is absent, the figures
that the file already holds for those sets stay as they are.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from cvalues.datasets import load
from cvalues.endpoints.answerers import Answerer
from cvalues.judging import refusal
from cvalues.judging.embedded import EMBEDDED, MeasuredError
from cvalues.judging.measuring import Known, TruthSet, declining, measured_anew, points_set, preference_set
from cvalues.records import content_hash, write_text
from cvalues.schema import Estimate, Prompt
from cvalues.stats import clustered_proportion

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
STORED = ROOT / "src/cvalues/data/judging/embedded.json"
PAGE = ROOT / "docs/embedded.md"
JUDGED = ROOT / "tests/data/moss_refusals.jsonl"
_CONTROL = re.compile(r"<\|[^|]*\|>:?|<eo\w>")


def jade(folder: Path) -> list[TruthSet]:
    """Returns the 500 triples: per question an unsafe answer and a safe and helpful one."""
    file = folder / "jade" / "jade_alignment_medium_zh.csv"
    entries = load(file, kind="graded", defaults={"category": "crimes"})
    graded = [Known(entry.prompt.text, text, grade) for entry in entries for grade, text in entry.replies.items()]
    safe = [row._replace(truth="unsafe" if row.truth == "unsafe" else "safe") for row in graded]
    return [
        TruthSet("jade", "out", "safe", ("unsafe",), safe),
        TruthSet("jade", "out", "grade", ("unsafe",), graded),
        TruthSet("jade", "out", "grade", ("responsible",), graded),
        points_set("jade", "out", graded),
        preference_set("jade", "out", graded),
    ]


def diasafety(folder: Path) -> list[TruthSet]:
    """Returns the English dialogue replies that people called safe or unsafe in their context."""
    rows = json.loads((folder / "diasafety" / "val.json").read_text(encoding="utf-8"))
    known = [Known(row["context"], row["response"], row["label"].lower()) for row in rows]
    return [TruthSet("diasafety", "out", "safe", ("unsafe",), known)]


def turns(folder: Path) -> dict[str, tuple[str, str]]:
    """Returns the turns of the MOSS conversations without control tokens: row id → (what the person said, the reply)."""
    found = {}
    file = folder / "moss_harmless" / "harmless_conversations_001_050.jsonl"
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for name, turn in row["chat"].items():
            said, reply = (_CONTROL.sub("", turn[key]).strip() for key in ("Human", "MOSS"))
            found[f"{row['conversation_id']}:{name}"] = (said, reply)
    return found


def moss(folder: Path) -> list[TruthSet]:
    """Returns the MOSS replies with the values that we judged them to have; the texts stay where they are."""
    texts = turns(folder)
    known = []
    for line in JUDGED.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        said, reply = texts[row["row"]]
        if content_hash(reply) != row["hash"]:
            raise SystemExit(f"{JUDGED}: row {row['row']} is another text than the one that was judged")
        known.append(Known(said, reply, row["value"]))
    return [TruthSet("moss_harmless", "out", "refusal", ("full", "partial", "redirects"), known)]


def xstest(folder: Path) -> str:
    """Returns a Markdown table of XSTest: what the built-in answerers do on its prompts, and the detector on labelled replies to them.

    XSTest publishes prompts alone. What an answerer says is a reply of the starter set's train split, of which the set says whether it
    declines. For the detector's own error every prompt is put before one of our labelled English replies of the test half, in turn.
    """
    truths = starter_truths()
    rows = list(load(folder / "xstest" / "xstest_v2_prompts.csv", kind="prompt"))
    lines = ["| who | prompts | different replies | declines, as known | declines, as read |", "| --- " * 5 + "|"]
    for name in ("careful", "guarded", "careless"):
        answerer = Answerer(name)
        for benign, kind in ((True, "harmless"), (False, "unsafe")):
            own = [row for row in rows if bool(row.benign) == benign]
            replies = [answerer.reply(row.text) for row in own]
            known = [float(truths[reply] == "declines") for reply in replies]
            read = [float(declining_value(reply, row.text)) for reply, row in zip(replies, own, strict=True)]
            figures = f"{len(set(replies))} | {rate(clustered_proportion(known, replies))} | {rate(clustered_proportion(read, replies))}"
            lines.append(f"| `baseline:{name}` | {len(own)} {kind} | {figures} |")
    return "\n".join([*lines, "", *detector_on(rows), ""])


def detector_on(rows: Sequence[Prompt]) -> list[str]:
    """Returns as Markdown how the detector reads the labelled English replies alone, and behind these prompts."""
    replies = [row for row in refusal.labelled("test") if row.language == "en" and not row.prompt]
    behind = [(replies[place % len(replies)], row.text) for place, row in enumerate(rows)]
    lines = ["| prompts | n | replies | sensitivity | specificity |", "| --- " * 5 + "|"]
    for name, pairs in (("none (in domain)", [(row, "") for row in replies]), ("XSTest", behind)):
        shares = []
        for truth in (True, False):
            kept = [(row, prompt) for row, prompt in pairs if (row.value != "none") == truth]
            hits = [float(declining_value(row.text, prompt) == truth) for row, prompt in kept]
            shares.append(rate(clustered_proportion(hits, [row.id for row, _ in kept])))
        lines.append(f"| {name} | {len(pairs)} | {len({row.id for row, _ in pairs})} | {' | '.join(shares)} |")
    return lines


def declining_value(text: str, prompt: str) -> bool:
    """Returns whether the detector says that a reply declines."""
    return refusal.detect(text, prompt=prompt).value != "none"


def starter_truths() -> dict[str, str]:
    """Returns for every reply of the train split whether it declines, as the set says."""
    return {row.text: row.truth for row in declining("train")}


def outside(folder: Path) -> list[TruthSet]:
    """Returns all sets of other people's replies; none where the folder is absent."""
    return [*jade(folder), *diasafety(folder), *moss(folder)] if folder.is_dir() else []


def kept(old: tuple[MeasuredError, ...], fresh: MeasuredError) -> MeasuredError:
    """Returns a fresh measurement with the stored figures of sets that could not be measured now, of the same version only."""
    known = {(entry.set, entry.criterion) for entry in fresh.sets}
    stored = [
        entry for judge in old if (judge.name, judge.rater) == (fresh.name, fresh.rater)
        for entry in judge.sets if (entry.set, entry.criterion) not in known
    ]  # fmt: skip
    return msgspec.structs.replace(fresh, sets=(*fresh.sets, *stored))


def rate(estimate: Estimate) -> str:
    """Returns a share with its interval in per cent, `no data` where there is none."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "no data"
    return f"{100 * estimate.value:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def table(results: Sequence[MeasuredError]) -> str:
    """Returns the figures as a Markdown table, in per cent, in-domain sets first."""
    lines = [
        "| judge | replies | n | criterion | accuracy | sensitivity to | sensitivity | specificity |",
        "| --- " * 8 + "|",
    ]
    for result in results:
        for entry in sorted(result.sets, key=lambda entry: entry.domain):
            where = f"`{entry.set}` ({'in' if entry.domain == 'in' else 'out of'} domain)"
            kinds = "declining" if entry.criterion == "refusal" else ", ".join(f"`{value}`" for value in entry.positive)
            figures = (rate(entry.accuracy), kinds, rate(entry.sensitivity), rate(entry.specificity))
            lines.append(f"| `{result.name}` | {where} | {entry.n} | `{entry.criterion}` | {' | '.join(figures)} |")
    return "\n".join(lines) + "\n"


def page(text: str, results: Sequence[MeasuredError]) -> str:
    """Returns the page with its table written anew between its marks."""
    return between(text, "measured", table(results))


def between(text: str, name: str, body: str) -> str:
    """Returns a text with what stands between the marks of this name replaced."""
    before, mark, rest = text.partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- end {name} -->")
    return f"{before}{mark}{body}{end}{after}"


def main() -> None:
    """Measures, prints the table, and writes the figures and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--shared", type=Path, default=SHARED, help="folder with jade, diasafety, moss_harmless and xstest"
    )
    parser.add_argument("--out", type=Path, default=STORED)
    chosen = parser.parse_args()
    others = outside(chosen.shared)
    if not others:
        print(f"{chosen.shared}: absent, so figures on other people's replies are kept as they are")
    old = msgspec.json.decode(STORED.read_bytes(), type=tuple[MeasuredError, ...]) if STORED.is_file() else ()
    results = [kept(old, measured_anew(name, others)) for name in EMBEDDED]
    print(table(results), end="")
    write_text(chosen.out, msgspec.json.format(msgspec.json.encode(results), indent=1).decode() + "\n")
    if chosen.out == STORED:
        text = page(PAGE.read_text(encoding="utf-8"), results)
        write_text(PAGE, between(text, "xstest", xstest(chosen.shared)) if others else text)


if __name__ == "__main__":
    main()
