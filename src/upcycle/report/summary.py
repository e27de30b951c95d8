"""What a build came to: rows, drops with reasons, sources, cost; as a value, a line, and a notebook table."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upcycle.config import BuildConfig
from upcycle.errors import RowKind, UpcycleError
from upcycle.report.dataset import STAGE, Written
from upcycle.run import Run
from upcycle.task import Task

if TYPE_CHECKING:
    import datasets
    import pandas as pd


@dataclass(frozen=True, slots=True)
class SourceUse:
    """What one source gave.

    Attributes:
        cost_usd, tokens: of its rows, kept or not; planning is not counted to a source.
    """

    source: str
    kept: int
    licences: tuple[str, ...] = ()
    plan: str = ""
    revision: str = ""
    cost_usd: float = 0.0
    tokens: int = 0


@dataclass(frozen=True)
class Report:
    """The outcome of a build.

    Attributes:
        reached: whether exactly the asked number of examples was kept.
        stopped: why not, in one sentence; "" when reached.
        dropped: how many rows ended in each kind other than ok.
        reasons: where fewer were kept than asked for, why most rows were dropped, each with how many.
        methods: how many examples each method gave.
        notes: what the methods have to say about the run, a line each.
        instead: examples a model made by executing the plan, on records the program failed on.
    """

    path: Path
    task: str
    wanted: int
    kept: int
    splits: Mapping[str, int]
    dropped: Mapping[str, int]
    sources: Sequence[SourceUse]
    stopped: str = ""
    cost_usd: float = 0.0
    tokens: int = 0
    calls: int = 0
    stages: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    methods: Mapping[str, int] = field(default_factory=dict)
    instead: int = 0
    notes: Sequence[str] = field(default_factory=tuple)
    reasons: Sequence[tuple[str, int]] = field(default_factory=tuple)

    @property
    def reached(self) -> bool:
        return self.kept == self.wanted

    def facts(self) -> dict[str, Any]:
        """Everything as plain values, for `--json`."""
        return {**asdict(self), "path": str(self.path), "reached": self.reached}

    def to_datasets(self) -> datasets.DatasetDict:
        """The dataset as `datasets` loads it (needs the `hub` extra)."""
        from datasets import load_dataset

        return load_dataset(str(self.path))

    def to_pandas(self) -> pd.DataFrame:
        """All splits as one pandas frame (needs pandas)."""
        import pyarrow.parquet as pq

        return pq.read_table(self.path / "data").to_pandas()

    def __repr__(self) -> str:
        used = ", ".join(f"{use.source} {use.kept:,}" for use in self.sources)
        lost = ", ".join(f"{kind} {count:,}" for kind, count in self.dropped.items()) or "nothing"
        by = ", ".join(f"{method} {count:,}" for method, count in self.methods.items())
        lines = [
            f"{self.task}: {self.kept:,} of {self.wanted:,} examples in {self.path}",
            *([f"  methods  {by}"] if set(self.methods) - {"datatune"} else []),
            *([f"  sources  {used or 'none'}"] if used or set(self.methods) <= {"datatune"} else []),
            *(
                [f"  programs failed on {self.instead:,} ({self.instead / self.kept:.0%}), made by the model"]
                if self.instead
                else []
            ),
            *(f"  note     {note}" for note in self.notes),
            f"  dropped  {lost}",
            *(f"           {count:,} x {reason}" for reason, count in self.reasons),
            f"  cost     ${self.cost_usd:.4f}, {self.tokens:,} tokens, {self.calls:,} calls",
            *self._costs(),
        ]
        return "\n".join([*lines, f"  stopped  {self.stopped}"] if self.stopped else lines)

    def _costs(self) -> list[str]:
        """What a kept example cost, and where it went: by stage, and by source."""
        if not self.tokens or not self.kept:
            return []
        lines = [f"           per example: ${self.cost_usd / self.kept:.6f}, {self.tokens / self.kept:,.0f} tokens"]
        stages: dict[str, int] = {}
        for stage in self.stages:
            stages[stage["stage"]] = stages.get(stage["stage"], 0) + stage["tokens"]
        told = [f"{name} {tokens:,}" for name, tokens in stages.items() if tokens]
        used = [f"{use.source} {use.tokens:,}" for use in self.sources if use.tokens]
        lines += [f"           tokens by stage: {', '.join(told)}"] if told else []
        return lines + ([f"           tokens by source: {', '.join(used)}"] if used else [])

    def _repr_html_(self) -> str:
        cells = [
            (html.escape(use.source), f"{use.kept:,}", html.escape(", ".join(use.licences))) for use in self.sources
        ]
        rows = "".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in cells)
        return (
            f"<b>{html.escape(self.task)}</b>: {self.kept:,} of {self.wanted:,} examples, ${self.cost_usd:.4f}"
            f"<table><tr><th>source</th><th>examples</th><th>licence</th></tr>{rows}</table>"
        )


_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|\b[0-9a-f]{16}\b|\d[\d,.]*%?")
_TOLD = 3  # reasons in the few lines of a build that fell short
_FAILED = (RowKind.UNPARSEABLE, RowKind.API_TRANSIENT, RowKind.API_FATAL)


def summarise(task: Task, config: BuildConfig, run: Run, written: Written, stopped: UpcycleError | None) -> Report:
    """The report of what the run's journal holds."""
    kept = sum(written.splits.values())
    counts = run.journal.counts(STAGE)
    reason = ""
    if stopped is not None:
        reason = str(stopped)
    elif kept < config.rows:
        reason = _why_short(config, run, kept)
        if failed := sum(counts.get(kind, 0) for kind in _FAILED):
            reason += f"; {failed:,} rows failed, `upcycle retry {run.path}` gives them another try"
    spent = run.journal.spent()
    methods, uses = _uses(run)
    return Report(
        path=run.path,
        task=task.name,
        wanted=config.rows,
        kept=kept,
        splits=written.splits,
        dropped={kind: count for kind, count in sorted(counts.items()) if kind != "ok"},
        sources=tuple(uses),
        stopped=reason,
        cost_usd=spent.micro / 1e6,
        tokens=spent.tokens,
        calls=spent.calls,
        stages=tuple(run.journal.ledger()),
        methods={**dict.fromkeys(config.methods.named(), 0), **methods},
        instead=run.journal.made_instead(STAGE) if spent.calls else 0,
        notes=tuple(run.notes),
        reasons=_most_reasons(run.path) if kept < config.rows else (),
    )


def _most_reasons(path: Path) -> tuple[tuple[str, int], ...]:
    return tuple((reason, count) for _, reason, count in drop_reasons(path)[:_TOLD])


def _why_short(config: BuildConfig, run: Run, kept: int) -> str:
    ended = [f"{method} ended: {why}" for method, why in run.ended.items()]
    if config.methods.datatune and "datatune" not in run.ended:
        ended.insert(0, "every source that fits is exhausted")
    return f"{'; '.join(ended) or 'every method ended'} after {kept:,} of {config.rows:,} examples"


def _uses(run: Run) -> tuple[dict[str, int], list[SourceUse]]:
    methods: dict[str, int] = {}
    uses: dict[str, SourceUse] = {}
    costs = run.journal.costs(STAGE)
    for method, source, plan, revision, licences, count in run.journal.sources(STAGE):
        methods[method] = methods.get(method, 0) + count
        if source:  # what a model wrote from nothing has none
            found = uses.get(source)
            micro, tokens = costs.get(source, (0, 0))
            kept = count + (found.kept if found else 0)
            uses[source] = SourceUse(source, kept, tuple(licences), plan, revision, micro / 1e6, tokens)
    return methods, sorted(uses.values(), key=lambda use: -use.kept)


def drop_reasons(path: Path) -> list[tuple[str, str, int]]:
    """Why rows are not in a run's dataset: (kind, reason, rows), most frequent first.

    Reasons that differ only in a number, an id or a quoted text are one; what varies is written "…".
    """
    import pyarrow.parquet as pq

    counts: Counter[tuple[str, str]] = Counter()
    for file in sorted((path / "dropped").glob("*.parquet")):
        table = pq.read_table(file, columns=["kind", "reason"])
        for row in table.group_by(["kind", "reason"]).aggregate([([], "count_all")]).to_pylist():
            counts[str(row["kind"]), _VARYING.sub("…", row["reason"] or "")] += row["count_all"]
    return [(kind, reason, count) for (kind, reason), count in sorted(counts.items(), key=lambda p: (-p[1], p[0]))]
