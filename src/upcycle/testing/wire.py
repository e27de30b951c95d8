"""Two wires from the server's side: requests in, replies out; and a reply made up to fit any JSON Schema."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from upcycle.llm.model import Completion, Request, Usage

Schema = dict[str, Any]


class RefusalError(Exception):
    """Raised by a script: the server refuses with this status, in these words, with these headers."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})


class Asked(NamedTuple):
    """A request as the server received it, and what tells it from every other prompt."""

    request: Request
    model: str
    anthropic: bool
    identity: int


def read(body: bytes, *, anthropic: bool) -> Asked:
    """Decode a request. Raises ValueError, KeyError or TypeError where it is none."""
    wire = orjson.loads(body)
    messages = wire["messages"]
    if system := wire.get("system"):
        messages = [{"role": "system", "content": system}, *messages]
    if anthropic:
        tools = wire.get("tools")
        schema = tools[0]["input_schema"] if tools else None
    else:
        form = wire.get("response_format")
        schema = form["json_schema"]["schema"] if form and form.get("type") == "json_schema" else None
    seed = wire.get("seed") or 0
    request = Request(
        tuple(messages),
        "",
        wire.get("max_tokens") or wire.get("max_completion_tokens") or 1024,
        wire.get("temperature", 1.0),
        schema,
        seed,
        tuple(wire.get("stop") or wire.get("stop_sequences") or ()),
    )
    return Asked(request, wire["model"], anthropic, hash(orjson.dumps((messages, seed))))


def written(asked: Asked, completion: Completion) -> bytes:
    """Encode a reply."""
    usage = completion.usage
    if not asked.anthropic:
        message = {"role": "assistant", "content": completion.text}
        return orjson.dumps(
            {
                "id": "chatcmpl-fake",
                "object": "chat.completion",
                "model": asked.model,
                "choices": [{"index": 0, "message": message, "finish_reason": completion.finish}],
                "usage": {
                    "prompt_tokens": usage.prompt,
                    "completion_tokens": usage.completion,
                    "total_tokens": usage.total,
                },
            }
        )
    stop = {"stop": "end_turn", "length": "max_tokens", "filter": "refusal"}.get(completion.finish, completion.finish)
    return orjson.dumps(
        {
            "id": "msg_fake",
            "type": "message",
            "role": "assistant",
            "model": asked.model,
            "content": [_block(asked, completion.text)],
            "stop_reason": stop,
            "usage": {"input_tokens": usage.prompt, "output_tokens": usage.completion},
        }
    )


def _block(asked: Asked, text: str) -> dict[str, Any]:
    if asked.request.schema is not None:
        try:
            return {"type": "tool_use", "id": "toolu_fake", "name": "reply", "input": orjson.loads(text)}
        except orjson.JSONDecodeError:
            pass
    return {"type": "text", "text": text}


def refused(message: str, kind: str, *, anthropic: bool) -> bytes:
    """Encode an error."""
    error = {"type": kind, "message": message}
    return orjson.dumps({"type": "error", "error": error} if anthropic else {"error": {**error, "code": kind}})


def counted(request: Request, text: str, finish: str = "stop") -> Completion:
    """A completion with usage by four characters a token, cut at the request's `max_tokens` as servers do."""
    prompt = sum(len(message["content"]) for message in request.messages) // 4 + 4 * len(request.messages)
    tokens = len(text) // 4 + 1
    if tokens > request.max_tokens:
        return Completion(text[: request.max_tokens * 4], Usage(prompt, request.max_tokens), "length")
    return Completion(text, Usage(prompt, tokens), finish)


_ROW = re.compile(r'<record id="(\d+)">(.*?)</record>', re.DOTALL)


def echo(request: Request) -> str:
    """The reply where no script is given: the end of the prompt, in JSON that fits the schema if there is one."""
    prompt = request.messages[-1]["content"]
    if request.schema is None:
        return f"echo: {prompt[-200:]}"
    rows = dict(_ROW.findall(prompt))
    if rows and set(rows) == set(request.schema.get("properties", ())):
        # Several records in one call: each entry echoes its own record.
        one = request.schema["$defs"]["row"]
        return orjson.dumps({key: satisfy(one, text) for key, text in rows.items()}).decode()
    return orjson.dumps(satisfy(request.schema, prompt)).decode()


def satisfy(schema: Schema, text: str) -> Any:
    """A value that satisfies a JSON Schema by simple rules, and is the same for the same text.

    Knows type, const, enum, properties, items, anyOf, oneOf, $ref, lengths and bounds; not patterns and formats.
    """
    return _value(schema, schema, text, zlib.crc32(text.encode()), 0)


def _value(node: Schema, root: Schema, text: str, draw: int, depth: int) -> Any:
    if "const" in node:
        return node["const"]
    if "enum" in node:
        return node["enum"][draw % len(node["enum"])]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in node:
            return _value(node[key][0], root, text, draw, depth)
    if "$ref" in node:
        return _value(_resolve(root, node["$ref"]), root, text, draw, depth + 1)
    kind = node.get("type", "object" if "properties" in node else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        required = node.get("required", ())
        return {
            name: _value(part, root, text, draw, depth + 1)
            for name, part in node.get("properties", {}).items()
            if name in required or depth < 4
        }
    if kind == "array":
        length = max(node.get("minItems", 1 if depth < 4 else 0), 0)
        return [_value(node.get("items", {}), root, text, draw + i, depth + 1) for i in range(length)]
    if kind in {"integer", "number"}:
        low = node.get("minimum", 0)
        return low + draw % max(1, int(node.get("maximum", low + 100)) - int(low) + 1)
    return {"boolean": draw % 2 == 0, "null": None}.get(kind, _words(node, text))


def _words(node: Schema, text: str) -> str:
    shortest, longest = node.get("minLength", 1), node.get("maxLength", 60)
    words = " ".join(text[-80:].split())[-min(longest, 60) :].strip() or "echo"
    return words[:longest].ljust(shortest, ".")


def _resolve(root: Schema, ref: str) -> Schema:
    node: Any = root
    for part in ref.removeprefix("#/").split("/"):
        node = node[part]
    return node
