"""One flat row out of nested fields: "a.b" for a dict, parallel lists "a.b" for a list of dicts.

In: a row as a reader gave it. Out: a row whose values are text, numbers, booleans, None or lists. The decision: a list
of `{text, label}` dicts and a dict of `text` and `label` lists look the same afterwards, because plans should not
care which of the two ways a dataset spells its options. A `Shape`, learned from a sample, keeps columns the same where
a nested value is empty or missing.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterable, Mapping
from typing import Any

Row = dict[str, Any]
Shape = Mapping[str, tuple[str, ...]]
"""Name of a nested field to the flat names under it, e.g. `{"answers": ("answers.text", "answers.start")}`."""

_PLAIN = frozenset({str, int, float, bool})
_DEEPEST = 12
_IMAGES = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"RIFF": "riff", b"%PDF": "pdf"}


def flatten(row: Row, shape: Shape) -> Row:
    """The row with nested fields flattened and values no text can hold described in words."""
    for value in row.values():
        if type(value) not in _PLAIN:
            break
    else:
        return row
    flat: Row = {}
    for name, value in row.items():
        _put(flat, str(name), value, shape, 0)
    return flat


def learn_shape(rows: Iterable[Row]) -> dict[str, tuple[str, ...]]:
    """Which flat names each nested field of these rows gives, nested ones first seen first."""
    under: dict[str, dict[str, None]] = {}
    for row in rows:
        for name, value in row.items():
            if not isinstance(value, dict | list):
                continue
            flat: Row = {}
            _put(flat, str(name), value, {}, 0)
            for leaf in flat:
                if leaf != name:
                    under.setdefault(str(name), {})[leaf] = None
    return {name: tuple(leaves) for name, leaves in under.items()}


def _put(flat: Row, name: str, value: Any, shape: Shape, depth: int) -> None:
    if type(value) in _PLAIN:
        flat[name] = value
    elif value is None or value in ([], {}):
        empty: Any = [] if isinstance(value, list) else None
        for leaf in shape.get(name, ()) or (name,):
            # A fresh list each time: rows must not share values.
            flat[leaf] = list(empty) if isinstance(empty, list) else None
    elif isinstance(value, dict):
        _put_dict(flat, name, value, shape, depth)
    elif isinstance(value, list | tuple):
        _put_list(flat, name, list(value), shape, depth)
    else:
        flat[name] = described(value)


def _put_dict(flat: Row, name: str, value: dict[Any, Any], shape: Shape, depth: int) -> None:
    if set(value) == {"bytes", "path"}:
        # The Hub's form of an image or a sound.
        flat[name] = described(value["bytes"]) if value["bytes"] is not None else f"<file: {value['path']}>"
    elif depth >= _DEEPEST:
        flat[name] = repr(value)
    else:
        for key, inner in value.items():
            _put(flat, f"{name}.{key}", inner, shape, depth + 1)


def _put_list(flat: Row, name: str, values: list[Any], shape: Shape, depth: int) -> None:
    if depth < _DEEPEST and all(isinstance(value, dict) for value in values):
        keys = dict.fromkeys(key for value in values for key in value)
        for key in keys:
            _put_list(flat, f"{name}.{key}", [value.get(key) for value in values], shape, depth + 1)
        if not keys:
            flat[name] = []
    else:
        flat[name] = [_inner(value, depth) for value in values]


def _inner(value: Any, depth: int) -> Any:
    if value is None or type(value) in _PLAIN:
        return value
    if depth >= _DEEPEST:
        return repr(value)
    if isinstance(value, list | tuple):
        return [_inner(inner, depth + 1) for inner in value]
    if isinstance(value, dict):
        return {str(key): _inner(inner, depth + 1) for key, inner in value.items()}
    return described(value)


def described(value: Any) -> Any:
    """A value that is neither text nor number, as text: dates in ISO form, bytes by kind and size."""
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
        kind = next((kind for magic, kind in _IMAGES.items() if data.startswith(magic)), "bytes")
        return f"<{kind}: {len(data)} bytes>"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | datetime.timedelta):
        return str(value)
    return value if value is None or type(value) in _PLAIN else str(value)
