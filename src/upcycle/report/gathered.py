"""Everything a report shows of one run or dataset, gathered from where it lies and read in flat memory.

In: a run's folder, or any dataset `iter_examples` reads. Out: `Gathered`, whose counts are of all rows and whose rows
are up to a limit. The decision: rows of a run lie in random order on disk (kept ones are shuffled, dropped ones sorted
by a digest), so whole row groups, evenly spaced, are a random sample.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import orjson

from upcycle.errors import ConfigError, RowKind
from upcycle.records import Dropped, Example, Origin
from upcycle.report.dataset import EXAMPLE_COLUMNS, STAGE
from upcycle.run.journal import connect

_REASONS = 40
"""Reasons named per kind; the rest are counted together."""
Files = Sequence[tuple[str, Path]]
Use = tuple[tuple[str, ...], str, str]
"""Licences, source and method of an example."""


@dataclass(frozen=True)
class Gathered:
    """One run or dataset as a report needs it.

    Attributes:
        kept: its examples, and `parts` the split of the dataset each is in.
        dropped: what is not in it, with the reasons.
        kept_total, dropped_total: how many there are in all; the sequences may hold fewer.
        facts: everything else, as plain values.
        sources: names a run's records were read from, to be opened again.
    """

    path: Path
    name: str
    kept: Sequence[Example]
    parts: Sequence[str]
    kept_total: int
    dropped: Sequence[Dropped]
    dropped_total: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ()


def gather(path: Path, *, rows: int, outcome: Mapping[str, Any] | None = None) -> Gathered:
    """Read what a report shows of one run or dataset.

    Args:
        path: a run's folder, a dataset's folder or file.
        rows: most rows of each kind (kept, dropped) that are read themselves.
        outcome: the facts of a build that is about to end; an earlier one's are in the run's events.

    Raises:
        ConfigError: a journal that cannot be read.
        SourceError: nothing is there, or it is neither a run nor a dataset.
    """
    is_run, curation = (path / "run.db").is_file(), _plain_json(path / "curation.json")
    data = _files(path / "data")
    if not is_run and not _is_ours(data):
        return _of_dataset(path, rows)
    kept, parts, kept_total = _kept(data, rows)
    files = _files(path / "dropped")
    dropped, dropped_total = _dropped(files, rows)
    facts: dict[str, Any] = {
        "kind": "run" if is_run else "curated" if curation else "dataset",
        "task": _plain_yaml(path / "task.yaml"),
        "config": _plain_yaml(path / "config.yaml"),
        "plans": _plans(path),
        "splits": {split: count for split, count in _split_rows(data).items() if count},
        "drops": _drops(files),
        "licences": _licences(path),
    }
    if is_run:
        try:
            facts |= _journal(path, outcome)
        except sqlite3.DatabaseError as error:
            raise ConfigError(f"{path / 'run.db'} cannot be read ({error}); is it a run's journal?") from None
    if rounds := _plain_json(path / "s3" / "rounds.json"):
        facts["s3"] = rounds
    if curation:
        facts["curation"] = {name: curation.get(name) for name in ("dataset", "read", "checks", "warnings")}
        facts["unreadable"] = facts.get("unreadable", 0) + (curation.get("unread") or 0)
    told = facts["config"].get("sources") or ([curation["of"]] if curation.get("of") else [])
    sources = tuple(told) or (("stdlib",) if is_run else ())
    return Gathered(path, path.resolve().name, kept, parts, kept_total, dropped, dropped_total, facts, sources)


def _of_dataset(path: Path, limit: int) -> Gathered:
    """Any other dataset: every k-th example where there are more than `limit`."""
    from upcycle.sources.examples import open_examples

    found = open_examples(path)
    skipped: list[tuple[str, str]] = list(found.left_out)
    kept: list[tuple[str, Example]] = []
    step, total, licences = 1, 0, Counter[Use]()
    splits: Counter[str] = Counter()
    rows = chain.from_iterable(
        ((split, example) for example in found.rows(split, lambda where, why: skipped.append((where, why))))
        for split in found.splits
    )
    for split, example in rows:
        if total % step == 0:
            kept.append((split, example))
            if len(kept) > limit:
                kept, step = kept[::2], 2 * step
        total += 1
        splits[split] += 1
        licences[example.origin.licences, example.origin.source or "", example.origin.method] += 1
    facts = {
        "kind": "dataset",
        "task": {"instruction": found.instruction or ""},
        "read_as": found.read_as,
        "splits": dict(splits),
        "skipped": {"count": len(skipped), "first": skipped[:50]},
        "licences": _by_use(licences),
    }
    return Gathered(path, found.name, [e for _, e in kept], [s for s, _ in kept], total, [], 0, facts, (str(path),))


# -- rows on disk --------------------------------------------------------------------------------------------------


def _files(folder: Path) -> list[tuple[str, Path]]:
    """Parquet files of a folder with their split, in the order train, validation, test."""
    order = {"train": 0, "validation": 1, "test": 2}
    found = [(path.name.split("-")[0], path) for path in sorted(folder.glob("*.parquet"))]
    return sorted(found, key=lambda pair: (order.get(pair[0], 3), pair[1].name))


def _is_ours(files: Files) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return bool(files) and all(set(pq.read_schema(path).names) >= set(EXAMPLE_COLUMNS) for _, path in files)
    except (pa.ArrowInvalid, OSError):
        return False  # the reader of any dataset names the broken file


def _split_rows(files: Files) -> dict[str, int]:
    import pyarrow.parquet as pq

    counts: Counter[str] = Counter()
    for split, path in files:
        counts[split] += pq.read_metadata(path).num_rows
    return dict(counts)


def _kept(files: Files, limit: int) -> tuple[list[Example], list[str], int]:
    import pyarrow.parquet as pq

    examples: list[Example] = []
    parts: list[str] = []
    chosen, total = _groups(files, limit)
    for split, path, group in chosen:
        table = pq.ParquetFile(path).read_row_group(group)
        beside = path.parent.parent / "provenance" / path.name
        origins = pq.ParquetFile(beside).read_row_group(group).to_pylist() if beside.is_file() else []
        by_id = {origin["id"]: _origin(origin) for origin in origins}
        for row in table.to_pylist():
            origin = by_id.get(row["id"]) or Origin(row["method"] or "", row["source"])
            choices = tuple(row["choices"]) if row["choices"] is not None else None
            examples.append(
                Example(row["id"], row["input"] or "", row["output"] or "", origin, row["rationale"], choices)
            )
            parts.append(split)
    return examples[:limit], parts[:limit], total


def _dropped(files: Files, limit: int) -> tuple[list[Dropped], int]:
    import pyarrow.parquet as pq

    dropped: list[Dropped] = []
    chosen, total = _groups(files, limit)
    for _, path, group in chosen:
        for row in pq.ParquetFile(path).read_row_group(group).to_pylist():
            told = {name: row.get(name) for name in ("input", "output", "score", "other")}
            reason = row.get("reason") or "no reason was given"
            dropped.append(
                Dropped(
                    row["id"],
                    _origin(row),
                    row.get("stage") or "",
                    RowKind(row.get("kind") or RowKind.SKIPPED),
                    reason,
                    **told,
                )
            )
    return dropped[:limit], total


_ORIGIN = tuple(name for name in Origin.__dataclass_fields__)
_LISTS = ("calls", "parents", "licences")


def _origin(row: Mapping[str, Any]) -> Origin:
    known: dict[str, Any] = {name: row[name] for name in _ORIGIN if row.get(name) is not None}
    known |= {name: tuple(known.get(name, ())) for name in _LISTS}
    known.setdefault("method", "")
    return Origin(**known)


def _groups(files: Files, limit: int) -> tuple[list[tuple[str, Path, int]], int]:
    """Row groups that hold about `limit` rows, evenly spaced over all files, and the number of all rows."""
    import pyarrow.parquet as pq

    groups: list[tuple[str, Path, int]] = []
    total = 0
    for split, path in files:
        meta = pq.read_metadata(path)
        groups.extend((split, path, number) for number in range(meta.num_row_groups))
        total += meta.num_rows
    if total <= limit:
        return groups, total
    count = min(len(groups), -(-limit * len(groups) // total))
    return [groups[number * len(groups) // count] for number in range(count)], total


# -- counts of all rows --------------------------------------------------------------------------------------------

_QUOTED = re.compile(r"(?<![^\s(\[:])(['\"])((?:(?!\1).)*|.*?)\1(?=[\s.,;:)\]]|$)")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def fold(reason: str) -> str:
    """A reason without what differs from row to row: numbers, quoted texts, and whatever is quoted last.

    A quoted single word before the last stays: it names a field.

    >>> fold("filter: 'cause' holds 'He'"), fold("shares 63% of its word 13-grams with gold item 7")
    ("filter: 'cause' holds …", 'shares …% of its word …-grams with gold item …')
    """
    line = reason.splitlines()[0] if reason else ""
    found = list(_QUOTED.finditer(line))
    for one in reversed(found):
        if not one[2].isidentifier() or (one is found[-1] and len(found) > 1):
            line = f"{line[: one.start()]}…{line[one.end() :]}"
    return _NUMBER.sub("…", line)[:160]


def _drops(files: Files) -> list[dict[str, Any]]:
    """Drops by stage and kind with their folded reasons, most first."""
    import pyarrow.parquet as pq

    counted: dict[tuple[str, str], Counter[str]] = {}
    for _, path in files:
        for batch in pq.ParquetFile(path).iter_batches(columns=["stage", "kind", "reason"]):
            rows = zip(*(batch.column(name).to_pylist() for name in ("stage", "kind", "reason")), strict=True)
            for (stage, kind, reason), count in Counter(rows).items():
                counted.setdefault((stage or "", kind or ""), Counter())[fold(reason or "")] += count
    drops = []
    for (stage, kind), reasons in sorted(counted.items(), key=lambda pair: -pair[1].total()):
        named = reasons.most_common(_REASONS)
        rest = reasons.total() - sum(count for _, count in named)
        drops.append({"stage": stage, "kind": kind, "count": reasons.total(), "reasons": named, "others": rest})
    return drops


def _licences(path: Path) -> list[dict[str, Any]]:
    """Kept rows by licence, source and method."""
    import pyarrow.parquet as pq

    counts: Counter[Use] = Counter()
    for _, file in _files(path / "provenance"):
        for batch in pq.ParquetFile(file).iter_batches(columns=["licences", "source", "method"]):
            rows = zip(*(batch.column(name).to_pylist() for name in ("licences", "source", "method")), strict=True)
            counts.update((tuple(licences or ()), source or "", method or "") for licences, source, method in rows)
    return _by_use(counts)


def _by_use(counts: Counter[Use]) -> list[dict[str, Any]]:
    return [
        {"licences": list(licences), "source": source, "method": method, "rows": count}
        for (licences, source, method), count in counts.most_common()
    ]


# -- the journal ---------------------------------------------------------------------------------------------------


def _journal(path: Path, outcome: Mapping[str, Any] | None) -> dict[str, Any]:
    db = connect(path / "run.db", read_only=True)
    try:
        events = [
            (at, stage, kind, orjson.loads(data))
            for at, stage, kind, data in db.execute("SELECT at, stage, kind, data FROM events ORDER BY id")
        ]
        cursor = db.execute("SELECT * FROM ledger ORDER BY stage, model")
        names = [column[0] for column in cursor.description]
        ledger = [dict(zip(names, row, strict=True)) for row in cursor]
        ended = outcome or next((d for _, s, k, d in reversed(events) if s == "build" and k != "progress"), {})
        # Of a run that came to its end the files tell, and much faster than a walk through the journal.
        walk = "SELECT state, count(*) FROM rows WHERE stage=? GROUP BY state"
        states = {} if ended else dict(db.execute(walk, (STAGE,)))
        by_source = _by_source(db) if ledger else []
    finally:
        db.close()
    return {
        "wanted": ended.get("wanted"),
        "stopped": ended.get("stopped") or "",
        "ended": bool(ended),
        "at": events[-1][0] if events else None,
        "states": states,
        "ledger": ledger,
        "by_source": by_source,
        **_told(events),
    }


def _by_source(db: sqlite3.Connection) -> list[dict[str, Any]]:
    """What the rows of each source cost, kept or not; calls of no row (search, plans) are in the ledger only."""
    found = db.execute(
        "SELECT json_extract(value, '$.origin.source'), state, count(*),"
        " sum(coalesce(json_extract(value, '$.origin.cost_micro_usd'), 0)),"
        " sum(coalesce(json_extract(value, '$.origin.tokens'), 0)) FROM rows WHERE stage=? GROUP BY 1, 2",
        (STAGE,),
    )
    return [
        {"source": source or "", "state": state, "rows": rows, "micro": micro or 0, "tokens": tokens or 0}
        for source, state, rows, micro, tokens in found
    ]


def _told(events: Sequence[tuple[float, str, str, Any]]) -> dict[str, Any]:
    """What the events say of the contract, the model, the search for sources and of unreadable records."""
    tried: dict[str, dict[str, Any]] = {}
    left: dict[str, str] = {}
    told: dict[str, Any] = {"found": [], "chosen": [], "contract": "", "model": "", "unreadable": 0}
    for _, stage, kind, data in events:
        match stage, kind:
            case "task", "contract":
                told["contract"] = data.get("text", "")
            case "model", "chosen":
                told["model"] = data.get("name", "")
            case "search", "found":
                told["found"] = data.get("sources", [])
            case "pilot", "tried":
                tried[data["source"]] = data
            case "plan", "chosen":
                told["chosen"] = [name for name, *_ in data.get("sources", [])]
            case ("plan" | "transform", "source dropped") | ("sources", "source skipped"):
                left[data["source"]] = data.get("reason") or "too few of its rows are good"
            case "source", "record skipped":
                told["unreadable"] += 1
    return {**told, "tried": list(tried.values()), "left": left}


# -- what was asked ------------------------------------------------------------------------------------------------


def _plain_yaml(path: Path) -> dict[str, Any]:
    """A file as plain values; empty where it is absent or damaged."""
    import yaml

    try:
        found = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _plain_json(path: Path) -> dict[str, Any]:
    """The same of JSON."""
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _plans(path: Path) -> list[dict[str, Any]]:
    plans = []
    for file in sorted((path / "plans").glob("*.yaml")):
        plan = {"slug": file.stem, "source": str(_plain_yaml(file).get("source") or file.stem)}
        for kind in ("yaml", "md", "py"):
            text = file.with_suffix(f".{kind}")
            plan[kind] = text.read_text(encoding="utf-8", errors="replace") if text.is_file() else ""
        plans.append(plan)
    return plans
