"""The history of a run of S3: every round with its numbers, as a file for machines, one for people and an audit list.

    s3/rounds.json   everything below
    s3/rounds.md     the same as tables
    s3/audit.jsonl   gold rows somebody should look at: contradictions, and errors that came back

The decision: it is written after every round, whole, so that a run that is killed has told what it had found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from upcycle.evaluation.intervals import mean_interval
from upcycle.methods.s3.controls import Line, Point
from upcycle.methods.s3.gold import GoldParts
from upcycle.methods.s3.looks import Look
from upcycle.methods.s3.patterns import Cluster
from upcycle.methods.s3.rounds import Error
from upcycle.methods.s3.student import Exam, Grade
from upcycle.records import Example
from upcycle.run import Run, write_text

FOLDER = "s3"
_PAIRS = 5


@dataclass
class History:
    """What happened so far.

    Attributes:
        rounds: facts of each round, in order.
        audit: gold rows to look at, with the reason.
        table: the S3 set and its controls on the test rows.
    """

    run: Run
    gold: GoldParts
    about: dict[str, Any]
    first: dict[str, Any] = field(default_factory=dict)
    rounds: list[dict[str, Any]] = field(default_factory=list)
    audit: list[dict[str, Any]] = field(default_factory=list)
    table: list[Line] = field(default_factory=list)
    curve: list[Point] = field(default_factory=list)
    ended: str = ""

    def __post_init__(self) -> None:
        self.audit += [one._asdict() for one in self.gold.set_aside]

    def came_back(self, errors: Sequence[Error], number: int) -> None:
        """Errors that were mined again although they had been extrapolated."""
        known = {one["id"] for one in self.audit}
        for error in errors:
            if error.row.id not in known:
                why = f"the student still says {error.said!r} after round {number - 1}, which wrote rows like it"
                self.audit.append({"id": error.row.id, "input": error.row.input, "output": error.row.output,
                                   "reason": f"{why}; hard, or mislabelled"})  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            **self.about,
            "gold": self.gold.facts(),
            "first": self.first,
            "rounds": self.rounds,
            "table": [{**one.facts(), "words": one.words()} for one in self.table],
            "curve": [one._asdict() for one in self.curve],
            "audit": len(self.audit),
            "ended": self.ended,
        }

    def write(self) -> None:
        """Write all three files."""
        folder = self.run.path / FOLDER
        option = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
        write_text(folder / "rounds.json", orjson.dumps(self.facts(), option=option, default=str).decode())
        write_text(folder / "rounds.md", in_words(self.facts()))
        write_text(folder / "audit.jsonl", "".join(orjson.dumps(one).decode() + "\n" for one in self.audit))


def exam_facts(exam: Exam) -> dict[str, Any]:
    """Score on the select rows with its interval, and the errors on the mined ones."""
    values = [one.right for one in exam.select]
    return {"rows": exam.rows, "select": exam.on_select(), "select_ci": list(mean_interval(values)),
            "select_rows": len(values), "seconds": exam.seconds}  # fmt: skip


def cluster_facts(found: Sequence[Cluster], after: Exam | None) -> list[dict[str, Any]]:
    """Each cluster with its errors before the round and how many of them are left after it."""
    left = {one.id for one in after.mine if one.right < 0.5} if after is not None else set()
    return [
        {"gold": one.gold, "said": one.said, "words": list(one.words), "pattern": one.pattern,
         "before": len(one.errors), "after": sum(name in left for name in one.ids()) if after is not None else None}
        for one in found
    ]  # fmt: skip


def pairs(errors: Sequence[Error], added: Sequence[Example]) -> list[dict[str, Any]]:
    """A few errors beside what was written because of them."""
    by_parent: dict[str, Example] = {}
    for example in added:
        for parent in example.origin.parents:
            by_parent.setdefault(parent, example)
    shown = [(error, by_parent[error.row.id]) for error in errors if error.row.id in by_parent]
    return [
        {"id": error.row.id, "error": error.row.input, "said": error.said, "gold": error.row.output,
         "written": example.input, "output": example.output}
        for error, example in shown[:_PAIRS]
    ]  # fmt: skip


def look_facts(look: Look | None) -> dict[str, Any] | None:
    """A look as plain values."""
    return None if look is None else look.facts()


def mean(grades: Sequence[Grade]) -> float:
    """Mean score, 0 to 1."""
    return sum(one.right for one in grades) / max(1, len(grades))


# -- for people ------------------------------------------------------------------------------------------------------


def in_words(facts: Mapping[str, Any]) -> str:
    """The history as Markdown."""
    gold, first = facts["gold"], facts["first"]
    aside = f"{gold['set_aside']} set aside"
    lines = [
        "# Rounds of S3",
        "",
        f"Gold: {gold['mine']} rows to mine, {gold['select']} to select by, {gold['test']} to test on, {aside}.",
        "",
        f"A {facts['kind']} task; student {facts['student']}; scored by {facts['metric']}.",
        "",
    ]
    if first:
        lines += [f"First set: {first['rows']} rows, {_percent(first['select'], first['select_ci'])} on select.", ""]
    for one in facts["rounds"]:
        lines += _round(one)
    if facts["table"]:
        lines += [
            "## On the test rows, read once",
            "",
            "| trained on | rows | score | S3 ahead by |",
            "|---|---|---|---|",
        ]
        lines += [f"| {one['name']} | {one['rows']} | {_percent(one['score'], one['ci'])} | {one['words'] or '-'} |"
                  for one in facts["table"]]  # fmt: skip
        lines.append("")
    if facts["curve"]:
        lines += ["## What the set adds to gold", "", "| gold rows | alone | with the set |", "|---|---|---|"]
        lines += [
            f"| {one['gold']} | {100 * one['alone']:.1f} | {100 * one['with_set']:.1f} |" for one in facts["curve"]
        ]
        lines.append("")
    lines.append(f"Ended: {facts['ended'] or 'not yet'}. {facts['audit']} gold rows are on the audit list.")
    return "\n".join(lines) + "\n"


def _round(one: Mapping[str, Any]) -> list[str]:
    fate = "kept" if one["kept"] else "not kept"
    lost = ", ".join(f"{count} {kind}" for kind, count in one["dropped"].items()) or "none"
    told = (
        f"{one['errors']} errors, {one['fresh']} of them new; {one['written']} rows written, {one['added']} good"
        f" (dropped: {lost}); ${one['cost_micro'] / 1e6:.4f}, {one['tokens']:,} tokens. {one['reason']}."
    )
    lines = [f"## Round {one['round']}: {fate}", "", told, ""]
    if one["clusters"]:
        lines += ["| right | said | words or pattern | errors before | after |", "|---|---|---|---|---|"]
        lines += [
            f"| {_cell(c['gold'])} | {_cell(c['said'])} | {_cell(c['pattern'] or ', '.join(c['words']))} |"
            f" {c['before']} | {'-' if c['after'] is None else c['after']} |"
            for c in one["clusters"]
        ]
        lines.append("")
    if look := one["look"]:
        share = f", {look['share']:.0%} of the first set's at equal size" if look["share"] is not None else ""
        labels = ", ".join(f"{label} {count}" for label, count in (look["labels"] or {}).items())
        lines.append(f"Variety: {look['bigrams']} unique bigrams a row{share}. Labels: {labels or 'none'}.")
        lines += [f"- {text}" for text in look["warnings"]] + [""]
    return lines


def _percent(score: float, interval: Sequence[float]) -> str:
    return f"{100 * score:.1f} % ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")[:160] or "-"
