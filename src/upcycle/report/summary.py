"""What a build came to: rows, drops with reasons, sources, cost; as a value, a line, and a notebook table."""

from __future__ import annotations

import html
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
    """What one source gave."""

    source: str
    kept: int
    licences: tuple[str, ...] = ()
    plan: str = ""
    revision: str = ""


@dataclass(frozen=True)
class Report:
    """The outcome of a build.

    Attributes:
        reached: whether exactly the asked number of examples was kept.
        stopped: why not, in one sentence; "" when reached.
        dropped: how many rows ended in each kind other than ok.
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
        lines = [
            f"{self.task}: {self.kept:,} of {self.wanted:,} examples in {self.path}",
            f"  sources  {used or 'none'}",
            f"  dropped  {lost}",
            f"  cost     ${self.cost_usd:.4f}, {self.tokens:,} tokens, {self.calls:,} calls",
        ]
        return "\n".join([*lines, f"  stopped  {self.stopped}"] if self.stopped else lines)

    def _repr_html_(self) -> str:
        cells = [
            (html.escape(use.source), f"{use.kept:,}", html.escape(", ".join(use.licences))) for use in self.sources
        ]
        rows = "".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in cells)
        return (
            f"<b>{html.escape(self.task)}</b>: {self.kept:,} of {self.wanted:,} examples, ${self.cost_usd:.4f}"
            f"<table><tr><th>source</th><th>examples</th><th>licence</th></tr>{rows}</table>"
        )


_FAILED = (RowKind.UNPARSEABLE, RowKind.API_TRANSIENT, RowKind.API_FATAL)


def summarise(task: Task, config: BuildConfig, run: Run, written: Written, stopped: UpcycleError | None) -> Report:
    """The report of what the run's journal holds."""
    kept = sum(written.splits.values())
    counts = run.journal.counts(STAGE)
    reason = ""
    if stopped is not None:
        reason = str(stopped)
    elif kept < config.rows:
        reason = f"every source that fits is exhausted after {kept:,} of {config.rows:,} examples"
        if failed := sum(counts.get(kind, 0) for kind in _FAILED):
            reason += f"; {failed:,} rows failed, `upcycle retry {run.path}` gives them another try"
    spent = run.journal.spent()
    return Report(
        path=run.path,
        task=task.name,
        wanted=config.rows,
        kept=kept,
        splits=written.splits,
        dropped={kind: count for kind, count in sorted(counts.items()) if kind != "ok"},
        sources=tuple(_uses(run)),
        stopped=reason,
        cost_usd=spent.micro / 1e6,
        tokens=spent.tokens,
        calls=spent.calls,
        stages=tuple(run.journal.ledger()),
    )


def _uses(run: Run) -> list[SourceUse]:
    uses: dict[str, SourceUse] = {}
    for source, plan, revision, licences, count in run.journal.sources(STAGE):
        found = uses.get(source)
        uses[source] = SourceUse(source, count + (found.kept if found else 0), tuple(licences), plan, revision)
    return sorted(uses.values(), key=lambda use: -use.kept)
