"""JSON Schemas on their way to a server and back: the strict form, the words for a prompt, the compiled check.

A server's promise to follow a schema is a hint; every reply is checked here. Compiled checks are kept per schema
text, because compiling costs more than a thousand checks.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    import jsonschema_rs

Schema = dict[str, Any]

# Refused or ignored by servers that decode strictly; our own check still applies them.
_NOT_STRICT = frozenset({"default", "title", "examples", "minLength", "maxLength", "$schema", "$id"})


def to_strict(schema: Schema) -> Schema | None:
    """The form strict decoding asks for, or None where the schema does not fit it.

    Strict decoding wants every object closed and every property required. A property that may be left out cannot be
    said that way without changing what is valid, so such a schema does not fit.
    """
    strict = _strict(schema)
    return strict if isinstance(strict, dict) and strict.get("type") == "object" else None


def _strict(node: Any) -> Any:
    if isinstance(node, list):
        parts = [_strict(part) for part in node]
        return (
            None
            if any(part is None and source is not None for part, source in zip(parts, node, strict=True))
            else parts
        )
    if not isinstance(node, dict):
        return node
    if any(key in node for key in ("oneOf", "allOf", "not", "patternProperties", "if")):
        return None
    result: Schema = {}
    for key, value in node.items():
        if key in _NOT_STRICT:
            continue
        if key in {"properties", "$defs", "definitions"}:
            result[key] = {name: _strict(part) for name, part in value.items()}
            if None in result[key].values():
                return None
        elif key in {"items", "anyOf"}:
            result[key] = _strict(value)
            if result[key] is None:
                return None
        else:
            result[key] = value
    if node.get("type") == "object":
        properties = node.get("properties", {})
        if set(node.get("required", ())) != set(properties) or node.get("additionalProperties", False) is not False:
            return None
        result["additionalProperties"] = False
    return result


def in_words(schema: Schema) -> str:
    """What to add to a prompt where the server cannot hold a reply to a schema."""
    text = orjson.dumps(schema).decode()
    return f"Answer with one JSON value that satisfies this JSON Schema, and with nothing else:\n{text}"


def problem(value: Any, schema: Schema) -> str | None:
    """What is wrong with a value by its schema, in one sentence, or None."""
    check = _compiled(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS))
    if check.is_valid(value):
        return None
    error = _nearest(next(iter(check.iter_errors(value))))
    where = ".".join(map(str, error.instance_path))
    return f"{where}: {error.message[:300]}" if where else error.message[:300]


def _nearest(error: jsonschema_rs.ValidationError) -> jsonschema_rs.ValidationError:
    # "not valid under any" helps nobody: of the alternatives, the one the value came furthest with says what is wrong.
    branches = getattr(error.kind, "context", ()) if error.kind.name == "anyOf" else ()
    deepest = max(branches, key=lambda errors: (max(len(e.instance_path) for e in errors), -len(errors)), default=None)
    return _nearest(deepest[0]) if deepest else error


@functools.lru_cache(maxsize=128)  # a memo: the same text always compiles to the same check
def _compiled(schema: bytes) -> jsonschema_rs.Draft202012Validator:
    import jsonschema_rs

    return jsonschema_rs.Draft202012Validator(orjson.loads(schema))
