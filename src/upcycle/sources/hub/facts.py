"""What a Hub says of a dataset, as a listing: its facts in a list, its card, and what the datasets server knows.

In: JSON as the Hub's API sends it. Out: `Listing`. The decision: nothing that is missing or of another shape than
expected is an error, because three of ten cards are odd; it is only not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import PurePosixPath
from typing import Any

from upcycle.sources.index.listing import Listing, from_card, prose

_MOST_CELL = 200
_MOST_SAMPLE = 1_200
_SHOWN_ROWS = 3
_ROWS_SUFFIXES = (".parquet", ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".tab", ".arrow", ".feather", ".ipc")
_NOT_ROWS = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "croissant.json"})


def holds_rows(name: str) -> bool:
    """Whether a file of a repository is one that rows can be read from, by its name."""
    path = PurePosixPath(name)
    if path.name in _NOT_ROWS or any(part.startswith(".") for part in path.parts):
        return False
    return path.name.lower().removesuffix(".gz").endswith(_ROWS_SUFFIXES)


def why_not(name: str, files: Sequence[str], gated: object) -> str:
    """Why a dataset cannot be used, by what a Hub says of it; "" where nothing is known against it."""
    if gated not in (None, False, "", "false", "False"):
        return "gated"
    if not files or any(holds_rows(file) for file in files):
        return ""
    script = f"{name.rpartition('/')[2]}.py"
    return "a loading script, which is never run" if script in files else "no file of rows that can be read"


def listing_of(facts: Mapping[str, Any]) -> Listing | None:
    """The listing of one entry of the Hub's list; None where it has no id."""
    name = facts.get("id")
    if not isinstance(name, str) or not name:
        return None
    card = facts.get("cardData")
    card = card if isinstance(card, Mapping) else {}
    tags = [tag for tag in _list(facts.get("tags")) if isinstance(tag, str)]
    licences = _tagged(tags, "license") or tuple(_texts(card.get("license")))
    if licences in ((), ("other",)) and isinstance(card.get("license_name"), str):
        licences = (card["license_name"],)
    files = [
        one["rfilename"] for one in _list(facts.get("siblings")) if isinstance(one, Mapping) and "rfilename" in one
    ]
    columns, rows, size = _described(card.get("dataset_info"))
    popularity = facts.get("downloads")
    return Listing(
        name,
        name=str(card.get("pretty_name") or ""),
        text=prose(str(facts.get("description") or "")),
        tags=tuple(tag for tag in tags if ":" not in tag),
        categories=_tagged(tags, "task_categories") + _tagged(tags, "task_ids"),
        languages=_tagged(tags, "language"),
        licence=" and ".join(licences) or None,
        columns=tuple(columns),
        types=tuple(columns.values()),
        rows=rows,
        bytes=size,
        popularity=float(popularity) if isinstance(popularity, int | float) else None,
        modified=str(facts.get("lastModified") or ""),
        revision=str(facts.get("sha") or ""),
        skip="disabled" if facts.get("disabled") is True else why_not(name, files, facts.get("gated")),
    )


def has_card(facts: Mapping[str, Any]) -> bool:
    """Whether the repository holds a README."""
    return any(isinstance(one, Mapping) and one.get("rfilename") == "README.md" for one in _list(facts.get("siblings")))


def with_card(listing: Listing, markdown: str) -> Listing:
    """The same with its whole card instead of the first line or two that the list gives."""
    known = {key: value for key, value in asdict(listing).items() if key not in ("id", "name", "text")}
    found = from_card(listing.id, markdown, **known)
    return replace(found, name=listing.name or found.name, text=found.text or listing.text)


def with_rows(listing: Listing, info: Any, first: Any) -> Listing:
    """The same with columns, types, sizes and first rows, as the datasets server tells them."""
    configs = info.get("dataset_info") if isinstance(info, Mapping) else None
    columns, rows, size = _described(list(configs.values()) if isinstance(configs, Mapping) else None)
    found = replace(
        listing,
        columns=tuple(columns) or listing.columns,
        types=tuple(columns.values()) or listing.types,
        rows=rows if rows is not None else listing.rows,
        bytes=size if size is not None else listing.bytes,
    )
    shown = [one["row"] for one in _list(first.get("rows") if isinstance(first, Mapping) else None)
             if isinstance(one, Mapping) and isinstance(one.get("row"), Mapping)]  # fmt: skip
    return replace(found, sample=_as_text(shown[:_SHOWN_ROWS])) if shown else found


def _as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    values = [str(value)[:_MOST_CELL] for row in rows for value in row.values() if value not in (None, "")]
    return " ".join(" ".join(values).split())[:_MOST_SAMPLE]


def _described(infos: Any) -> tuple[dict[str, str], int | None, int | None]:
    """Columns with their types, rows and bytes, of one configuration's description or several."""
    columns: dict[str, str] = {}
    rows: list[int] = []
    sizes: list[int] = []
    for info in _list(infos):
        if not isinstance(info, Mapping):
            continue
        features = info.get("features")
        named = features.items() if isinstance(features, Mapping) else [
            (one.get("name"), one) for one in _list(features) if isinstance(one, Mapping)
        ]  # fmt: skip
        for name, feature in named:
            if isinstance(name, str):
                columns.setdefault(name, _type_of(feature))
        splits = info.get("splits")
        listed = list(splits.values()) if isinstance(splits, Mapping) else _list(splits)
        counts = [split.get("num_examples") for split in listed if isinstance(split, Mapping)]
        rows += [count for count in counts if isinstance(count, int)]
        if isinstance(info.get("dataset_size"), int):
            sizes.append(info["dataset_size"])
    return columns, sum(rows) if rows else None, sum(sizes) if sizes else None


def _type_of(feature: Any) -> str:
    if isinstance(feature, list):
        return f"list[{_type_of(feature[0])}]" if feature else "list"
    if not isinstance(feature, Mapping):
        return "unknown"
    kind, dtype = feature.get("_type"), feature.get("dtype")
    if kind == "ClassLabel" or (isinstance(dtype, Mapping) and "class_label" in dtype):
        return "label"
    inner = next((feature[key] for key in ("feature", "list", "sequence") if key in feature), None)
    if inner is not None:
        return f"list[{inner if isinstance(inner, str) else _type_of(inner)}]"
    if isinstance(dtype, str):
        return dtype
    return "struct" if kind is None or "struct" in feature else str(kind).lower()


def _tagged(tags: Sequence[str], kind: str) -> tuple[str, ...]:
    return tuple(tag.removeprefix(f"{kind}:") for tag in tags if tag.startswith(f"{kind}:"))


def _texts(value: Any) -> list[str]:
    return [str(one) for one in _list(value) if isinstance(one, str) and one]


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
