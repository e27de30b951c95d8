"""The dataset card: `README.md` with the YAML that makes `datasets.load_dataset(run)` work, and what people ask first.

Written last: its existence means that every file it names is whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import upcycle
from upcycle.config import BuildConfig
from upcycle.report.summary import Report
from upcycle.run import Run, write_text
from upcycle.task import Task
from upcycle.yamlfile import dump_yaml


def write_card(task: Task, config: BuildConfig, run: Run, report: Report) -> None:
    """Write `README.md` into the run."""
    meta = {
        "pretty_name": task.name,
        "language": [task.language] if task.language else [],
        "license": _licence(report),
        "tags": ["synthetic", "upcycle"],
        "size_categories": [_size(report.kept)],
        "configs": _configs(run, report),
    }
    body = "\n\n".join(part for part in _sections(task, config, report) if part)
    write_text(run.path / "README.md", f"---\n{dump_yaml(meta)}---\n\n{body}\n")


def _configs(run: Run, report: Report) -> list[dict[str, object]]:
    def files(folder: str) -> list[dict[str, str]]:
        return [{"split": name, "path": f"{folder}/{name}-*.parquet"} for name in report.splits]

    configs: list[dict[str, object]] = []
    if report.splits:
        configs.append({"config_name": "default", "default": True, "data_files": files("data")})
        configs.append({"config_name": "provenance", "data_files": files("provenance")})
    if any((run.path / "dropped").glob("*.parquet")):
        configs.append(
            {"config_name": "dropped", "data_files": [{"split": "train", "path": "dropped/train-*.parquet"}]}
        )
    return configs


def _licence(report: Report) -> str:
    # Rows of several licences carry theirs in `provenance`; naming one for all would claim more than is known.
    found = {licence for use in report.sources for licence in (use.licences or ("unknown",))}
    if report.kept > sum(use.kept for use in report.sources):
        found.add("unknown")  # what a model wrote: its provider's terms apply, and nobody knows them here
    return found.pop() if len(found) == 1 else "other"


def _size(rows: int) -> str:
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")):
        if rows < limit:
            return name
    return "1M<n<10M"


def _sections(task: Task, config: BuildConfig, report: Report) -> list[str]:
    return [
        f"# {task.name}",
        task.instruction,
        _made(report),
        f"Every output: {task.contract.described()}.",
        "## Where the rows come from",
        _sources(report),
        "## What was dropped",
        _dropped(report),
        "## What it cost",
        _cost(config, report),
        "## Limits",
        _LIMITS,
    ]


_LIMITS = """Rows are as right as their sources. Options, labels and sentences are re-arranged by program; fields that a
model wrote carry its name and calls in `provenance`."""


def _made(report: Report) -> str:
    splits = ", ".join(f"{name} {count:,}" for name, count in report.splits.items()) or "none"
    ways = {"datatune": "out of existing datasets", "generate": "written from nothing by a model"}
    counts = list(report.methods.items()) or [("datatune", 0)]
    how = " and ".join(ways.get(method, f"by {method}") + (f" ({count:,})" if len(counts) > 1 else "")
                       for method, count in counts)  # fmt: skip
    told = f"**{report.kept:,} examples** ({splits}), made by upcycle {upcycle.__version__}: {how}."
    return f"{told} Fewer than the {report.wanted:,} asked for: {report.stopped}." if report.stopped else told


def _sources(report: Report) -> str:
    if not report.sources:
        wrote = "No source: a model wrote them. What each was to be like stands in the configuration `provenance`."
        return wrote if report.kept else "No source."
    rows = [
        (use.source, f"{use.kept:,}", ", ".join(use.licences) or "not stated", use.revision[:12], f"`{use.plan[:12]}`")
        for use in report.sources
    ]
    note = (
        "The plans are in `plans/`; the origin of every row is in the configuration `provenance`. Licences are as the"
        " sources state them; this is not legal advice."
    )
    return f"{_table(('source', 'examples', 'licence', 'revision', 'plan'), rows)}\n\n{note}"


def _dropped(report: Report) -> str:
    if not report.dropped:
        return "Nothing."
    table = _table(("kind", "rows"), [(kind, f"{count:,}") for kind, count in report.dropped.items()])
    return f"{table}\n\nEach with its reason in the configuration `dropped`."


def _cost(config: BuildConfig, report: Report) -> str:
    spent = f"${report.cost_usd:.4f}, {report.tokens:,} tokens, {report.calls:,} calls"
    return f"{spent} ({config.model.executor or 'model chosen at run time'})." if report.calls else f"{spent}."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
