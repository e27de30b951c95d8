"""A dataset as the page holds it: facts, and rows in compressed blocks.

In: what was gathered, and the source records. Out: plain values, and blocks of text by name. The decision: some dozens
of rows make a block, each example next to its source record, so that the page unpacks only the rows somebody looks at
and a record costs little more than what differs from its example.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from upcycle.records import Dropped, Example, Origin
from upcycle.report import measured
from upcycle.report.gathered import Gathered, fold
from upcycle.report.likeness import Uniqueness
from upcycle.report.source_records import SourceRecords, key_of

MOST_CHARS = 200_000_000
"""Characters of text one page holds; rows after that are left out, and the page says so."""
_LONGEST = 20_000
"""Characters of one field; of the rest the page gives the number."""
_BLOCK, _LARGE_BLOCK = 64, 256
"""Rows packed together: few are unpacked to read one, more where there are so many that a search unpacks them all."""
_MANY = 10_000


def packed(value: Any) -> str:
    """A value as base64 of zlib of JSON: a third of its size, and nothing in it can end a script element."""
    text = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS, default=str)
    return base64.b64encode(zlib.compress(text, 6)).decode()


def dataset(
    key: str,
    name: str,
    one: Gathered,
    records: SourceRecords,
    blocks: dict[str, str],
    *,
    unique: Uniqueness | None = None,
    gold: Sequence[Example] = (),
) -> dict[str, Any]:
    """Facts of one dataset for the page; its rows go into `blocks`, under names that begin with `key`."""
    kept = _pack_rows(f"{key}.kept", [_example(example, records) for example in one.kept], blocks)
    shown = one.kept[: kept["count"]]
    found = measured.labels(shown)
    names = [label for label, _ in found or ()]
    index = _kept_index(shown, one.parts, names)
    if unique is not None:
        index["numbers"]["closest ROUGE-L"] = unique.scores[: len(shown)]
        index["nearest"] = [other if other < len(shown) else -1 for other in unique.nearest[: len(shown)]]
    blocks[f"{key}.kept.index"] = packed(index)
    dropped = _pack_rows(f"{key}.dropped", [_drop(row, records) for row in one.dropped], blocks)
    blocks[f"{key}.dropped.index"] = packed(_dropped_index(one.dropped[: dropped["count"]], shown))
    facts = {name: value for name, value in one.facts.items() if name != "config"}
    config = one.facts.get("config") or {}
    return {
        **facts,
        "seed": config.get("seed"),
        "budget": config.get("budget"),
        "key": key,
        "name": name,
        "kept": one.kept_total,
        "dropped": one.dropped_total,
        "rows": {"kept": kept, "dropped": dropped},
        "labels": found,
        "positions": measured.positions(shown),
        "openings": {
            "input": measured.openings([example.input for example in shown]),
            "output": measured.openings([example.output for example in shown]) if found is None else [],
        },
        "named": _named(one, gold),
        "uniqueness": {"curve": unique.curve, "note": unique.note} if unique else None,
        "missing": dict(records.missing),
    }


def _named(one: Gathered, gold: Sequence[Example]) -> dict[str, dict[str, str]]:
    """Demonstrations and gold items that dropped rows were too close to, by the names the checks give them."""
    texts = {f"gold {number}": (item.input, item.output) for number, item in enumerate(gold, 1)}
    for number, shown in enumerate(one.facts.get("task", {}).get("demonstrations") or (), 1):
        if isinstance(shown, dict):
            texts[f"demonstration {number}"] = (str(shown.get("input", "")), str(shown.get("output", "")))
    wanted = {row.other for row in one.dropped if row.other in texts}
    return {name: {"input": _cut(texts[name][0]), "output": _cut(texts[name][1])} for name in sorted(wanted)}


def _pack_rows(name: str, rows: Sequence[dict[str, Any]], blocks: dict[str, str]) -> dict[str, int]:
    chars, size = 0, _LARGE_BLOCK if len(rows) > _MANY else _BLOCK
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        chars += sum(row.pop("chars") for row in part)
        blocks[f"{name}.{start // size}"] = packed(part)
        if chars > MOST_CHARS:
            return {"count": start + len(part), "block": size}
    return {"count": len(rows), "block": size}


def _example(example: Example, records: SourceRecords) -> dict[str, Any]:
    row: dict[str, Any] = {"id": example.id, "input": _cut(example.input), "output": _cut(example.output)}
    if example.rationale:
        row["rationale"] = _cut(example.rationale)
    if example.choices:
        row["choices"] = [_cut(choice) for choice in example.choices]
    return _with_origin(row, example.origin, records)


def _drop(dropped: Dropped, records: SourceRecords) -> dict[str, Any]:
    row: dict[str, Any] = {"id": dropped.id, "stage": dropped.stage, "kind": dropped.kind, "reason": dropped.reason}
    for name in ("input", "output"):
        if (text := getattr(dropped, name)) is not None:
            row[name] = _cut(text)
    if dropped.score is not None:
        row["score"] = dropped.score
    if dropped.other is not None:
        row["other"] = dropped.other
    return _with_origin(row, dropped.origin, records)


def _with_origin(row: dict[str, Any], origin: Origin, records: SourceRecords) -> dict[str, Any]:
    told = {name: getattr(origin, name) for name in ("method", "source", "revision", "config", "split", "record",
            "model", "round", "cost_micro_usd", "tokens")}  # fmt: skip
    row["origin"] = {
        **{name: value for name, value in told.items() if value is not None},
        "licences": list(origin.licences),
        "calls": len(origin.calls),
        "plan": (origin.plan or "")[:12],
    }
    if (key := key_of(origin)) is not None and key in records.fields:
        row["fields"] = {name: _cut(_text(value)) for name, value in records.fields[key].items()}
        if key in records.changed:
            row["changed"] = True
    row["chars"] = sum(map(len, _texts(row)))
    return row


def _texts(row: Mapping[str, Any]) -> Iterator[str]:
    yield from (row.get(name, "") for name in ("input", "output", "rationale"))
    yield from row.get("fields", {}).values()


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS, default=str).decode()


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} … [{len(text) - _LONGEST:,} more characters]"


def _kept_index(examples: Sequence[Example], parts: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """What lists are filtered and sorted by, column by column."""
    number = {label: position for position, label in enumerate(labels)}
    return {
        "facets": {
            "source": _coded([example.origin.source or "" for example in examples]),
            "method": _coded([example.origin.method for example in examples]),
            "split": _coded(list(parts[: len(examples)])),
            **({"label": {"names": labels, "of": [number[e.output] for e in examples]}} if labels else {}),
        },
        "numbers": {
            "input length": [len(example.input) for example in examples],
            "output length": [len(example.output) for example in examples],
        },
    }


def _dropped_index(dropped: Sequence[Dropped], kept: Sequence[Example]) -> dict[str, Any]:
    place = {example.id: number for number, example in enumerate(kept)}
    return {
        "facets": {
            "kind": _coded([row.kind for row in dropped]),
            "reason": _coded([fold(row.reason) for row in dropped]),
            "source": _coded([row.origin.source or "" for row in dropped]),
        },
        "numbers": {"score": [row.score for row in dropped]},
        "other": [place.get(row.other or "", -1) for row in dropped],
    }


def _coded(values: Sequence[str]) -> dict[str, Any]:
    names = list(dict.fromkeys(values))
    number = {name: position for position, name in enumerate(names)}
    return {"names": names, "of": [number[value] for value in values]}
