"""The dataset card: `README.md` with the YAML that makes `datasets.load_dataset(run)` work, and what people ask first.

In: the task, its settings and what the build came to. Out: a README that needs nothing else to be understood: where
rows come from, how they were made, what was left out and why, what it cost, what may be done with them. Written last:
its existence means that every file it names is whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import upcycle
from upcycle.config import BuildConfig
from upcycle.contract import Kind
from upcycle.curation.decontamination.tiers import LOOKED
from upcycle.errors import RowKind
from upcycle.report.croissant import rows_by_licence
from upcycle.report.licence import NOT_ADVICE, NOT_STATED, LicenceVerdict, judge_licences
from upcycle.report.summary import Report, SourceUse, drop_reasons
from upcycle.run import Run, write_text
from upcycle.sources.licences import spdx_id, traits_of
from upcycle.task import Task
from upcycle.yamlfile import dump_yaml

TASK_CATEGORIES: Mapping[Kind, str] = {
    Kind.LABEL: "text-classification",
    Kind.CHOICE: "multiple-choice",
    Kind.TEXT: "text-generation",
    Kind.NUMBER: "question-answering",
    Kind.CODE: "text-generation",
    Kind.SPAN: "question-answering",
}
"""The Hub's task category of what an output is."""

_MOST_REASONS = 12
_SIZES = (
    *((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")),
    *((10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B")),
    *((10**10, "1B<n<10B"), (10**11, "10B<n<100B"), (10**12, "100B<n<1T")),
)


def write_card(task: Task, config: BuildConfig, run: Run, report: Report) -> None:
    """Write `README.md` into the run."""
    verdict = judge_licences(rows_by_licence(report))
    body = "\n\n".join(part for part in _sections(task, config, run, report, verdict) if part)
    head = dump_yaml(front_matter(task, run.path, report, verdict))
    write_text(run.path / "README.md", f"---\n{head}---\n\n{body}\n")


def front_matter(task: Task, path: Path, report: Report, verdict: LicenceVerdict) -> dict[str, Any]:
    """The card's YAML as plain values, in the order in which people read it."""
    hub = verdict.hub[0] if len(verdict.hub) == 1 else list(verdict.hub)
    return {
        "pretty_name": task.name,
        **({"language": [task.language]} if task.language else {}),
        **({"license": hub} if hub else {}),
        **({"license_name": verdict.name, "license_link": "#licences"} if verdict.name else {}),
        "task_categories": [TASK_CATEGORIES[task.contract.kind]],
        "size_categories": [size_category(report.kept)],
        **({"source_datasets": [use.source for use in report.sources]} if report.sources else {}),
        "tags": ["synthetic", "upcycle"],
        "configs": _configs(path, report),
    }


def size_category(rows: int) -> str:
    """The Hub's size category of so many rows."""
    return next((name for limit, name in _SIZES if rows < limit), "n>1T")


def _configs(path: Path, report: Report) -> list[dict[str, object]]:
    def files(folder: str) -> list[dict[str, str]]:
        return [{"split": name, "path": f"{folder}/{name}-*.parquet"} for name in report.splits]

    configs: list[dict[str, object]] = []
    if report.splits:
        configs.append({"config_name": "default", "default": True, "data_files": files("data")})
        configs.append({"config_name": "provenance", "data_files": files("provenance")})
    if any((path / "dropped").glob("*.parquet")):
        configs.append(
            {"config_name": "dropped", "data_files": [{"split": "train", "path": "dropped/train-*.parquet"}]}
        )
    return configs


def _sections(task: Task, config: BuildConfig, run: Run, report: Report, verdict: LicenceVerdict) -> list[str]:
    path = run.path
    return [
        f"# {task.name}",
        task.instruction,
        _made(report),
        f"Every output: {task.contract.described()}.",
        "## Where the rows come from",
        _sources(report),
        "## How they were made",
        _making(path, report),
        "## What was dropped",
        _dropped(path, report),
        "## Duplicates and contamination",
        _contamination(task, report, run.journal.meta(LOOKED)),
        "## What it cost",
        _cost(config, report),
        "## Licences",
        _licences(verdict, report),
        "## Limits",
        _limits(report),
    ]


_WAYS = {
    "datatune": "out of existing datasets",
    "generate": "written from nothing by a model",
    "s3": "written by a model because of what a small model trained on them still got wrong",
    "source2synth": "written about real sources, and kept where a model trained on half of them could answer",
}


def _made(report: Report) -> str:
    splits = ", ".join(f"{name} {count:,}" for name, count in report.splits.items()) or "none"
    counts = [(name, count) for name, count in report.methods.items() if count] or [("datatune", 0)]
    how = " and ".join(_WAYS.get(method, f"by {method}") + (f" ({count:,})" if len(counts) > 1 else "")
                       for method, count in counts)  # fmt: skip
    told = f"**{report.kept:,} examples** ({splits}), made by upcycle {upcycle.__version__}: {how}."
    return f"{told} Fewer than the {report.wanted:,} asked for: {report.stopped}." if report.stopped else told


def _sources(report: Report) -> str:
    if not report.sources:
        wrote = "No source: a model wrote them. What each was to be like stands in the configuration `provenance`."
        return wrote if report.kept else "No source."
    rows = [
        (use.source, f"{use.kept:,}", ", ".join(use.licences) or NOT_STATED, use.revision[:12], f"`{use.plan[:12]}`")
        for use in report.sources
    ]
    note = "The origin of every row (source, revision, record, plan, calls) is in the configuration `provenance`."
    return f"{_table(('source', 'examples', 'licence', 'revision', 'plan'), rows)}\n\n{note}"


def _making(path: Path, report: Report) -> str:
    used = {use.source for use in report.sources}
    plans = [plan for plan in _plans(path) if plan.get("source") in used]
    parts = []
    if plans:
        told = [f"- **{_line(plan['source'])}**: {_line(plan.get('prose') or _steps(plan))}" for plan in plans]
        parts.append("One plan for each source, in `plans/`:\n\n" + "\n".join(told))
    if asked := [(str(plan["source"]), step) for plan in plans for step in plan.get("steps") or () if _asks(step)]:
        rows = [(source, _line(step.get("into", "")), _line(step.get("ask", ""))) for source, step in asked]
        parts.append("Fields that a model wrote:\n\n" + _table(("source", "field", "asked"), rows))
    models = sorted({str(stage["model"]) for stage in report.stages if stage.get("calls")})
    if not models:
        parts.append("No model was asked: everything was re-arranged by program.")
    else:
        listed = ", ".join(f"`{name}` ({digest})" for name, digest in _prompts(report))
        prompts = f" Prompts of upcycle {upcycle.__version__}, by their digests: {listed}." if listed else ""
        parts.append(f"Models: {', '.join(f'`{model}`' for model in models)}.{prompts}")
    return "\n\n".join(parts)


def _steps(plan: Mapping[str, Any]) -> str:
    """A plan that does not say in words what it does, by its steps."""
    named = [str(step["do"]) for step in plan.get("steps") or () if isinstance(step, dict) and step.get("do")]
    return f"{' then '.join(named) or 'nothing'}."


def _asks(step: object) -> bool:
    return isinstance(step, dict) and step.get("do") == "llm"


def _plans(path: Path) -> Iterator[Mapping[str, Any]]:
    import yaml

    for file in sorted((path / "plans").glob("*.yaml")):
        try:
            plan = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            continue  # a plan being edited by hand is no reason to be without a card
        if isinstance(plan, dict):
            yield plan


def _prompts(report: Report) -> Iterator[tuple[str, str]]:
    """The prompts of the methods that were used, with the beginning of their digests."""
    folder = Path(upcycle.__file__).parent / "methods"
    for method in report.methods:
        for file in sorted((folder / method / "prompts").glob("*.md")):
            yield f"{method}/{file.stem}", hashlib.sha256(file.read_bytes()).hexdigest()[:8]


def _dropped(path: Path, report: Report) -> str:
    if not report.dropped:
        return "Nothing."
    table = _table(("kind", "rows"), [(kind, f"{count:,}") for kind, count in report.dropped.items()])
    reasons = drop_reasons(path)
    if not reasons:
        return table
    shown = [(kind, _line(reason), f"{count:,}") for kind, reason, count in reasons[:_MOST_REASONS]]
    more = f" The {len(reasons) - _MOST_REASONS:,} rarer reasons" if len(reasons) > _MOST_REASONS else " Each row"
    return f"{table}\n\n{_table(('kind', 'reason', 'rows'), shown)}\n\n{more.strip()} can be found in `dropped`."


def _contamination(task: Task, report: Report, looked: str | None) -> str:
    """`looked` is how gold was looked for when the rows were made; empty where it was not."""
    same = report.dropped.get(RowKind.DUPLICATE, 0)
    told = f"{same:,} rows were dropped because they repeat another row or a demonstration."
    if not task.gold:
        return f"{told} No evaluation items were given, so none were looked for."
    items = f"{len(task.gold):,} evaluation items"
    if not looked:
        return f"{told} {items} were given, but looking for them was switched off."
    found = report.dropped.get(RowKind.CONTAMINATED, 0)
    return f"{told} {found:,} rows were dropped because they repeat one of {items}: {looked}."


def _cost(config: BuildConfig, report: Report) -> str:
    spent = f"${report.cost_usd:.4f}, {report.tokens:,} tokens, {report.calls:,} calls"
    if not report.calls:
        return f"{spent}."
    each = f", ${report.cost_usd / report.kept:.6f} for each example" if report.kept else ""
    rows = [
        (
            str(stage["stage"]),
            str(stage["model"]),
            f"{stage['calls']:,}",
            f"{stage['tokens']:,}",
            f"${stage['spent_micro'] / 1e6:.4f}",
        )
        for stage in report.stages
    ]
    table = f"\n\n{_table(('stage', 'model', 'calls', 'tokens', 'cost'), rows)}" if rows else ""
    return f"{spent}{each} ({config.model.executor or 'model chosen at run time'}).{table}"


def _licences(verdict: LicenceVerdict, report: Report) -> str:
    parts = [verdict.reason]
    if verdict.rows:
        by = {licence: [] for licence in verdict.rows}
        for use in report.sources:
            for licence in judge_licences(_stated(use)).rows:
                by.setdefault(licence, []).append(use.source)
        rows = [
            (licence, spdx_id(licence) or "none", _asked(licence), f"{count:,}", ", ".join(by[licence]))
            for licence, count in verdict.rows.items()
        ]
        parts.append(_table(("licence", "SPDX", "asks for", "rows", "sources"), rows))
    if verdict.attribute:
        listed = ", ".join(verdict.attribute)
        parts.append(f"Who passes these rows on names the sources above and keeps the notices of {listed}.")
        named = [use for use in report.sources if set(verdict.attribute) & set(judge_licences(_stated(use)).rows)]
        parts.append("\n".join(f"- {use.source}, revision {use.revision}, {', '.join(use.licences)}" for use in named))
    if report.calls:
        parts.append("What a model wrote is also under the terms of whoever serves that model.")
    parts.append(f"The licence of each row is in `provenance`. {NOT_ADVICE}")
    return "\n\n".join(parts)


def _stated(use: SourceUse) -> dict[str, int]:
    return {" and ".join(use.licences): 1}


def _asked(licence: str) -> str:
    return ", ".join(sorted(traits_of(None if licence == NOT_STATED else licence))) or "nothing"


def _limits(report: Report) -> str:
    wrote = report.calls > 0
    told = "Rows are as right as their sources; what a model wrote is as right as that model." if wrote else (
        "Rows are as right as their sources. Options, labels and sentences are re-arranged by program."
    )  # fmt: skip
    return (
        f"{told} Checks find what breaks the contract, not what is untrue. Whether the rows help is only known from"
        " a model trained on them and tested on items it has never seen."
    )


def _line(value: object) -> str:
    """Any text as part of one line of Markdown."""
    return " ".join(str(value).split())


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
