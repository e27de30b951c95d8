"""Rows of JSON: one object a line, an array of objects, or one object that holds them."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from upcycle.errors import SourceError
from upcycle.sources.files.opened import HEAD, File, Rows, open_bytes, open_text, size_of
from upcycle.sources.files.tabular import Damaged

_LONGEST_LINE = 256 << 20
_WHOLE_JSON = 512 << 20
_BOM = b"\xef\xbb\xbf"
_BETWEEN = re.compile(r"[\s,]*")


def jsonl_rows(path: File) -> Rows:
    if starts_an_array(path):
        yield from _json_array_rows(path)
        return
    with open_bytes(path) as stream:
        first = True
        while line := stream.readline(_LONGEST_LINE):
            if len(line) == _LONGEST_LINE:
                raise SourceError(f"a line of it is longer than {_LONGEST_LINE >> 20} MB")
            if first:
                line, first = line.removeprefix(_BOM), False
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError:
                if line.isspace() or not line:
                    continue
                row = _loads_leniently(line)
            yield row if isinstance(row, dict | Damaged) else _not_an_object(row)


def _loads_leniently(line: bytes) -> Any:
    """What strict JSON refuses and people write: NaN and Infinity become null."""
    try:
        row = json.loads(line, parse_constant=lambda _: None)
        orjson.dumps(row)
    except UnicodeDecodeError:
        return Damaged("it is not UTF-8 text")
    except json.JSONDecodeError as error:
        return Damaged(f"it is not JSON ({error.msg} at column {error.colno})")
    except RecursionError:
        return Damaged("it is nested too deeply")
    except (TypeError, ValueError):
        return Damaged("it holds text that is not Unicode or a number too large")
    return row


def _not_an_object(row: Any) -> Damaged:
    return Damaged(f"it is a JSON {type(row).__name__}, not an object of fields")


def starts_an_array(path: File) -> bool:
    with open_bytes(path) as stream:
        return stream.read(HEAD).removeprefix(_BOM).lstrip().startswith(b"[")


def json_rows(path: File) -> Rows:
    if starts_an_array(path):
        yield from _json_array_rows(path)
        return
    with open_bytes(path) as stream:
        first = stream.readline(_LONGEST_LINE).removeprefix(_BOM)
        more = stream.read(HEAD).strip()
    if more and isinstance(_loads_leniently(first), dict):
        yield from jsonl_rows(path)
        return
    if size_of(path) > _WHOLE_JSON:
        raise SourceError(f"it is one JSON object of over {_WHOLE_JSON >> 20} MB; write its rows one a line (JSONL)")
    with open_bytes(path) as stream:
        whole = _loads_leniently(stream.read().removeprefix(_BOM))
    if isinstance(whole, Damaged):
        raise SourceError(whole.reason)
    yield from _rows_of_object(whole)


def _rows_of_object(whole: Any) -> Rows:
    """Rows inside one JSON object: a list of rows under some key, rows by key, columns, or the one row it is."""
    if not isinstance(whole, dict):
        raise SourceError(_not_an_object(whole).reason)
    values = list(whole.values())
    tables = [
        value for value in values if isinstance(value, list) and value and all(isinstance(v, dict) for v in value)
    ]
    if tables:
        yield from (row if isinstance(row, dict) else _not_an_object(row) for row in max(tables, key=len))
    elif len(values) > 1 and all(isinstance(value, dict) and value for value in values):
        yield from ({"key": key, **value} for key, value in whole.items())
    elif values and all(isinstance(value, list) for value in values) and len({len(value) for value in values}) == 1:
        yield from (dict(zip(whole, row, strict=True)) for row in zip(*values, strict=True))
    else:
        yield whole


def _json_array_rows(path: File) -> Rows:
    """Elements of a top-level array, decoded one by one out of a buffer that is refilled as they are taken."""
    decoder = json.JSONDecoder(parse_constant=lambda _: None)
    with open_text(path) as stream:
        text, at, step = stream.read(HEAD).lstrip()[1:], 0, HEAD
        while True:
            at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
            if text.startswith("]", at):
                return
            try:
                row, at = decoder.raw_decode(text, at)
            except json.JSONDecodeError as error:
                more = stream.read(step)
                if not more or len(text) - at > _LONGEST_LINE:
                    raise SourceError(f"it is not valid JSON, or cut short ({error.msg})") from error
                # Doubling keeps the re-reading of one long element linear.
                text, at, step = text[at:] + more, 0, step * 2
                continue
            except RecursionError as error:
                raise SourceError("it is nested too deeply") from error
            yield _clean(row)
            step = HEAD


def _clean(row: Any) -> dict[str, Any] | Damaged:
    if not isinstance(row, dict):
        return _not_an_object(row)
    try:
        orjson.dumps(row)
    except (TypeError, ValueError):
        return Damaged("it holds text that is not UTF-8 or a number too large")
    return row
