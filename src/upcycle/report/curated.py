"""What `upcycle curate` leaves behind: a dataset in the layout of a run, its card, and what each check did.

In: the examples that were kept and dropped, and those that could not be read. Out: a `CuratedReport`. The card is
written last: its existence means that every file it names is whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

import upcycle
from upcycle.curation.curate import CHECKS, CuratedSet, Pass
from upcycle.errors import ConfigError, RowKind
from upcycle.records import Dropped, Example, Origin
from upcycle.report.card import size_category
from upcycle.report.croissant import describe_curated
from upcycle.report.dataset import write_examples
from upcycle.report.licence import judge_licences, licences_of
from upcycle.run import write_text
from upcycle.sources.examples import EXISTING, ExampleSet
from upcycle.yamlfile import dump_yaml

FACTS = "curation.json"
"""What each check did, beside the dataset; its existence says that a folder was written by `curate`."""


@dataclass(frozen=True, slots=True)
class CuratedReport:
    """What curating a dataset came to.

    Attributes:
        path: folder of the curated dataset.
        dataset: what was curated.
        read: examples that were read; `unread` rows could not be.
        dropped: kind to number, most frequent first; unread rows are not among them.
        stopped: why a check that asks a model stopped early, None where none did.
    """

    path: str
    dataset: str
    read: int
    unread: int
    kept: int
    splits: Mapping[str, int]
    dropped: Mapping[str, int]
    passes: Sequence[Pass]
    warnings: Sequence[str]
    stopped: str | None
    measured: Mapping[str, object] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Everything as plain values, for `--json`."""
        return {
            "path": self.path,
            "dataset": self.dataset,
            "read": self.read,
            "unread": self.unread,
            "kept": self.kept,
            "splits": dict(self.splits),
            "dropped": dict(self.dropped),
            "checks": [asdict(one) for one in self.passes],
            "warnings": list(self.warnings),
            "stopped": self.stopped,
            "measured": dict(self.measured),
        }

    def __str__(self) -> str:
        lines = [f"{self.dataset}: {self.kept:,} of {self.read:,} examples kept in {self.path}"]
        lines += [f"  {one.check:<16}{_told(one)}" for one in self.passes]
        if self.unread:
            lines.append(f"  {'unread':<16}{self.unread:,} rows; each with its reason in {self.path}/dropped")
        lines += [f"  note            {warning}" for warning in self.warnings]
        return "\n".join([*lines, *([f"  stopped         {self.stopped}"] if self.stopped else [])])

    __repr__ = __str__


def claim(path: Path, dataset: str | Path) -> None:
    """Make `path` a folder that a curation of `dataset` may be written into.

    Raises:
        ConfigError: it is the dataset, inside of it or around it, or it holds something else; nothing was changed.
    """
    read = Path(dataset).resolve()
    into = path.resolve()
    if into == read or into in read.parents or read in into.parents:
        raise ConfigError(
            f"{path} is the dataset {dataset}, or one of them holds the other; give another folder with -o"
        )
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{path} is a file; give a folder with -o")
    if path.is_dir() and any(path.iterdir()):
        before = _dataset_of(path / FACTS)
        if before is None:
            raise ConfigError(f"{path} exists and was not written by `upcycle curate`; give another folder with -o")
        if before != str(read):
            raise ConfigError(f"{path} holds the curation of {before}; give another folder with -o")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path} cannot be made a folder ({error.strerror}); give another place with -o") from None
    write_text(path / FACTS, orjson.dumps({"of": str(read)}).decode() + "\n")


def _dataset_of(facts: Path) -> str | None:
    try:
        of = orjson.loads(facts.read_bytes())["of"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return of if isinstance(of, str) else None


def write_curated(path: Path, found: ExampleSet, curated: CuratedSet) -> CuratedReport:
    """Write the dataset, `curation.json`, `croissant.json` and the card into a folder.

    Raises:
        DiskError: no room; what was there before stays whole.
    """
    split_of = dict(zip((example.id for example in found.examples), found.split_of(), strict=True))
    splits: dict[str, list[Example]] = {split_name(name): [] for name in found.splits}
    for example in curated.kept:
        splits[split_name(split_of[example.id])].append(example)
    written = write_examples(path, splits, [*curated.dropped, *unread(found)])
    kinds = Counter(str(one.kind) for one in curated.dropped)
    report = CuratedReport(
        str(path), found.name, len(found), len(found.skipped), len(curated.kept), written.splits,
        dict(kinds.most_common()), curated.passes, curated.warnings, curated.stopped, curated.facts,
    )  # fmt: skip
    facts = orjson.dumps({"of": _dataset_of(path / FACTS), **report.facts()}, option=orjson.OPT_INDENT_2)
    write_text(path / FACTS, facts.decode() + "\n")
    done = [f"{one.check}: {CHECKS[one.check]}; {_told(one)}." for one in report.passes]
    document = describe_curated(path, found.name, kept=report.kept, languages=found.languages, done=done)
    write_text(path / "croissant.json", orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")
    write_text(path / "README.md", _card(path, found, report))
    return report


def split_name(name: str) -> str:
    """A split's name as file names hold it."""
    return "".join(char if char.isalnum() or char == "_" else "_" for char in name) or "train"


def unread(found: ExampleSet) -> list[Dropped]:
    """Rows that could not be read as examples, as drops: they are named by where they lie."""
    return [Dropped(where, Origin(EXISTING, found.name), "read", RowKind.SKIPPED, why) for where, why in found.skipped]


def _told(one: Pass) -> str:
    told = f"dropped {one.dropped:,} of {one.read:,}" if one.dropped else f"dropped none of {one.read:,}"
    return f"{told} ({one.note})" if one.note else told


def _card(path: Path, found: ExampleSet, report: CuratedReport) -> str:
    verdict = judge_licences(licences_of(path))
    hub = verdict.hub[0] if len(verdict.hub) == 1 else list(verdict.hub)
    data = [{"split": name, "path": f"data/{name}-*.parquet"} for name in report.splits]
    origins = [{"split": name, "path": f"provenance/{name}-*.parquet"} for name in report.splits]
    configs: list[dict[str, Any]] = []
    if data:
        configs.append({"config_name": "default", "default": True, "data_files": data})
        configs.append({"config_name": "provenance", "data_files": origins})
    if any((path / "dropped").glob("*.parquet")):
        dropped = [{"split": "train", "path": "dropped/train-*.parquet"}]
        configs.append({"config_name": "dropped", "data_files": dropped})
    head = {
        "pretty_name": f"{found.name}, curated",
        **({"language": list(found.languages)} if found.languages else {}),
        **({"license": hub} if hub else {}),
        **({"license_name": verdict.name, "license_link": "#licences"} if verdict.name else {}),
        "size_categories": [size_category(report.kept)],
        "source_datasets": [found.name],
        "tags": ["upcycle"],
        "configs": configs,
    }
    return f"---\n{dump_yaml(head)}---\n\n{_body(found, report, verdict.reason)}\n"


def _body(found: ExampleSet, report: CuratedReport, licences: str) -> str:
    rows = "\n".join(
        f"| {one.check} | {CHECKS[one.check]} | {one.read:,} | {one.dropped:,} | {one.note} |" for one in report.passes
    )
    notes = "\n".join(f"- {warning}" for warning in report.warnings) or "Nothing was noticed."
    stopped = f"\n\nA check stopped early: {report.stopped}." if report.stopped else ""
    return f"""# {found.name}, curated

**{report.kept:,} examples** of the {report.read:,} in {found.name}, kept by upcycle {upcycle.__version__}. How the rows
were read: {found.read_as or "as examples"}. {report.unread:,} rows could not be read.{stopped}

## What each check did

| check | drops | read | dropped | |
|---|---|---|---|---|
{rows or "| none | | | | |"}

Everything dropped is in the configuration `dropped`, with its reason, score and what it repeats.

## What a student could learn instead

{notes}

## Licences

{licences} Licences are as the source states them; this is not legal advice."""
