"""`report.html`: one self-contained page of a run, or of several side by side, that opens without a network.

In: runs and datasets. Out: one HTML file whose data lie inside it as compressed blocks. The decision: rows are packed
64 to a block, each example next to its source record, so that the page decodes only the rows somebody looks at and a
record costs little more than what differs from its example.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

import upcycle
from upcycle.errors import ConfigError
from upcycle.records import Dropped, Example, Origin
from upcycle.report import measured
from upcycle.report.gathered import Gathered, fold, gather
from upcycle.report.source_records import SourceRecords, key_of, read_again
from upcycle.run import write_text
from upcycle.sources.source import Source

PAGE = "report.html"
MOST_ROWS = 100_000
"""Rows of each kind (kept, dropped) one page holds, all its datasets together; beyond that, a sample of so many."""
MOST_CHARS = 200_000_000
"""Characters of text one page holds; rows after that are left out, and the page says so."""
BUILD_ROWS = 5_000
"""Rows on the page that a build writes at its end, so that its last second stays one; `upcycle report` takes more."""
_BUILD_RECORDS = 200_000
_LONGEST = 20_000
"""Characters of one field; of the rest the page gives the number."""
_BLOCK = 64
_SCRIPTS = ("blocks.js", "dom.js", "charts.js", "rows.js", "list.js", "detail.js", "browser.js", "pairs.js", "map.js",
            "sections.js", "main.js")  # fmt: skip


@dataclass(frozen=True)
class Page:
    """A page that was written: where, how large, and how many rows of each dataset are on it."""

    path: Path
    bytes: int
    datasets: Sequence[Mapping[str, Any]]

    def facts(self) -> dict[str, Any]:
        """Everything as plain values, for `--json`."""
        return {**asdict(self), "path": str(self.path)}

    def __repr__(self) -> str:
        lines = [f"{self.path}  {self.bytes / 1e6:.1f} MB"]
        for one in self.datasets:
            told = f"{one['shown']:,} of {one['kept']:,}" if one["shown"] < one["kept"] else f"{one['kept']:,}"
            lines.append(f"  {one['name']}: {told} examples, {one['dropped']:,} dropped")
            lines.extend(f"    {source}: {why}" for source, why in one["missing"].items())
        return "\n".join(lines)


def make_report(
    *runs: str | Path,
    out: str | Path | None = None,
    sources: Sequence[str] = (),
    rows: int = MOST_ROWS,
) -> Page:
    """Write the report of a run or dataset, or of several side by side.

    Args:
        out: the file; where not given, `report.html` in the run's folder, or `comparison.html` here for several.
        sources: where the source records are read from; where not given, as the run's own settings name them.
        rows: most examples (and most dropped rows) on the page, all datasets together.

    Raises:
        ConfigError: nothing named, or something that is no run.
        SourceError: no dataset can be read there.
    """
    if not runs:
        raise ConfigError("no run was named; give the folder of a run or a dataset")
    if rows < 1:
        raise ConfigError(f"a page of {rows} rows shows nothing; give at least 1")
    paths = [Path(run).expanduser() for run in runs]
    each = max(1, rows // len(paths))
    gathered = [gather(path, rows=each) for path in paths]
    records = [read_again(_origins(one), sources or one.sources) for one in gathered]
    return _write(_target(paths, out), gathered, records)


def write_page(path: Path, *, sources: Sequence[Source], outcome: Mapping[str, Any]) -> Page:
    """The page of a build that is about to end: what is quick to know, and a sample of rows where there are many.

    Args:
        sources: the build's, open.
        outcome: the facts of its report.
    """
    gathered = gather(path, rows=BUILD_ROWS, outcome=outcome)
    records = read_again(_origins(gathered), gathered.sources, opened=sources, limit=_BUILD_RECORDS)
    return _write(path / PAGE, [gathered], [records])


def _target(paths: Sequence[Path], out: str | Path | None) -> Path:
    if out is not None:
        target = Path(out).expanduser()
        if target.is_dir():
            return target / PAGE
        if target.suffix.lower() not in (".html", ".htm"):
            raise ConfigError(f"{out} is not an HTML file or a folder; write it like report.html")
        return target
    if len(paths) > 1:
        return Path("comparison.html")
    path = paths[0]
    return path / PAGE if path.is_dir() else path.with_name(f"{path.name}.{PAGE}")


def _origins(one: Gathered) -> Iterator[Origin]:
    yield from (example.origin for example in one.kept)
    yield from (dropped.origin for dropped in one.dropped)


def _write(target: Path, gathered: Sequence[Gathered], records: Sequence[SourceRecords]) -> Page:
    blocks: dict[str, str] = {}
    datasets = [
        _dataset(f"d{number}", name, one, found, blocks)
        for number, (name, one, found) in enumerate(zip(_names(gathered), gathered, records, strict=True))
    ]
    facts = {
        "version": upcycle.__version__,
        "datasets": datasets,
        "lengths": measured.lengths([one.kept for one in gathered]),
    }
    blocks["facts"] = packed(facts)
    title = " and ".join(one["name"] for one in datasets) if len(datasets) < 4 else f"{len(datasets)} datasets"
    text = page(f"{title} · upcycle", blocks)
    write_text(target, text)
    told = [
        {"name": one["name"], "kept": one["kept"], "shown": one["rows"]["kept"]["count"], "dropped": one["dropped"],
         "missing": one["missing"]}
        for one in datasets
    ]  # fmt: skip
    return Page(target, len(text.encode()), told)


def _names(gathered: Sequence[Gathered]) -> list[str]:
    """Names of the datasets, told apart by their folders where they are the same."""
    names = [one.name for one in gathered]
    return [
        name if names.count(name) == 1 else f"{one.path.resolve().parent.name}/{name}"
        for name, one in zip(names, gathered, strict=True)
    ]


# -- data ----------------------------------------------------------------------------------------------------------


def _dataset(key: str, name: str, one: Gathered, records: SourceRecords, blocks: dict[str, str]) -> dict[str, Any]:
    """Facts of one dataset for the page; its rows go into `blocks`."""
    kept = _pack_rows(f"{key}.kept", [_example(example, records) for example in one.kept], blocks)
    shown = one.kept[: kept["count"]]
    found = measured.labels(shown)
    names = [label for label, _ in found or ()]
    blocks[f"{key}.kept.index"] = packed(_kept_index(shown, one.parts, names))
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
        "missing": dict(records.missing),
    }


def _pack_rows(name: str, rows: Sequence[Mapping[str, Any]], blocks: dict[str, str]) -> dict[str, int]:
    chars = 0
    for start in range(0, len(rows), _BLOCK):
        part = rows[start : start + _BLOCK]
        blocks[f"{name}.{start // _BLOCK}"] = packed(part)
        chars += sum(row["chars"] for row in part)
        if chars > MOST_CHARS:
            return {"count": start + len(part), "block": _BLOCK}
    return {"count": len(rows), "block": _BLOCK}


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


# -- the file ------------------------------------------------------------------------------------------------------


def packed(value: Any) -> str:
    """A value as base64 of zlib of JSON: a third of its size, and nothing in it can end a script element."""
    text = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS, default=str)
    return base64.b64encode(zlib.compress(text, 6)).decode()


def page(title: str, blocks: Mapping[str, str]) -> str:
    """The HTML of a page with these data blocks; its policy lets nothing run but the script written into it here."""
    folder = Path(__file__).parent / "html"
    style = (folder / "style.css").read_text(encoding="utf-8")
    script = "\n".join(_inlined(folder / name) for name in _SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}}})();\n'
    parts = {
        "TITLE": html.escape(title),
        "POLICY": f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:;"
        " base-uri 'none'; form-action 'none'",
        "STYLE": style,
        "SCRIPT": script,
        "DATA": "\n".join(f'<script type="text/plain" id="{name}">{text}</script>' for name, text in blocks.items()),
    }
    template = (folder / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda found: parts[found[1]], template)


_MODULE_LINES = re.compile(r"^import .*;\n|^export (?=(?:async )?function|const|class)", re.MULTILINE)


def _inlined(path: Path) -> str:
    """A module's code without its imports and exports: all modules share the one script's scope."""
    return f"// {path.name}\n{_MODULE_LINES.sub('', path.read_text(encoding='utf-8'))}\n"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
