"""The Anthropic wire (messages).

In: a `Request`. Out: a `Completion`, or an error already sorted. A schema is sent as the input of one tool the model
must call, which every model of the family follows; the tool's input is the reply.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from upcycle.llm.faults import AttemptError, refusal, words
from upcycle.llm.model import Completion, Request, Usage
from upcycle.llm.schemas import in_words
from upcycle.llm.transport import Transport, bare_address, number

ANTHROPIC = "https://api.anthropic.com"

_FINISH = {"end_turn": "stop", "stop_sequence": "stop", "tool_use": "stop", "max_tokens": "length", "refusal": "filter"}
_STRUCTURED = re.compile(r"tool|input_schema|schema", re.IGNORECASE)


class AnthropicModel:
    """One model behind Anthropic's server, or one that speaks its wire."""

    def __init__(
        self,
        model: str,
        *,
        base_url: str = ANTHROPIC,
        key: str = "",
        connect_timeout: float = 15.0,
        read_timeout: float = 600.0,
    ) -> None:
        self.name = f"anthropic/{model}"
        self.endpoint = bare_address(base_url)
        self._model = model
        self._url = f"{base_url.rstrip('/').removesuffix('/v1')}/v1/messages"
        self._key = key
        headers = {"anthropic-version": "2023-06-01", **({"x-api-key": key} if key else {})}
        self._transport = Transport(self.endpoint, headers, connect_timeout=connect_timeout, read_timeout=read_timeout)
        self._tools = True
        self._temperature = True

    async def complete(self, request: Request) -> Completion:
        """Ask once; leave out what the server has shown it does not accept, and ask again."""
        while True:
            tools, temperature = self._tools, self._temperature
            answer = await self._transport.post(self._url, self._body(request))
            if answer.status == 200:
                return self._completion(answer.body, request)
            said = words(answer.body) if answer.status == 400 else ""
            if temperature and "temperature" in said:
                self._temperature = False
            elif tools and _object(request.schema) and _STRUCTURED.search(said):
                self._tools = False
            else:
                raise refusal(self.endpoint, answer.status, answer.body, answer.headers, secret=self._key)

    async def close(self) -> None:
        await self._transport.close()

    def _body(self, request: Request) -> bytes:
        system = "\n\n".join(m["content"] for m in request.messages if m["role"] == "system")
        messages = [m for m in request.messages if m["role"] != "system"]
        body: dict[str, Any] = {"model": self._model, "max_tokens": request.max_tokens}
        if system:
            body["system"] = system
        if self._temperature:
            body["temperature"] = request.temperature
        if request.stop:
            body["stop_sequences"] = request.stop
        if request.schema is not None:
            if self._tools and _object(request.schema):
                body["tools"] = [{"name": "reply", "description": "The answer.", "input_schema": request.schema}]
                body["tool_choice"] = {"type": "tool", "name": "reply"}
            else:
                last = messages[-1]
                messages[-1] = {**last, "content": f"{last['content']}\n\n{in_words(request.schema)}"}
        body["messages"] = messages
        return orjson.dumps(body)

    def _completion(self, body: bytes, request: Request) -> Completion:
        try:
            reply = orjson.loads(body)
            text = "".join(map(_text, reply["content"]))
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise AttemptError(f"{self.endpoint} sent a torn reply ({error})", unsure=True) from error
        finish = reply.get("stop_reason")
        return Completion(text, _usage(reply, request, text), _FINISH.get(finish, finish or "stop"))


def _object(schema: dict[str, Any] | None) -> bool:
    return schema is not None and schema.get("type") == "object"


def _text(block: dict[str, Any]) -> str:
    if block.get("type") == "tool_use":
        return orjson.dumps(block["input"]).decode()
    return block.get("text", "") if block.get("type") == "text" else ""


def _usage(reply: dict[str, Any], request: Request, text: str) -> Usage:
    block = reply.get("usage")
    if not block:
        return Usage(request.prompt_bytes(), len(text.encode()) + 1)
    # Anthropic counts cached tokens apart; our `prompt` includes them.
    cached = number(block.get("cache_read_input_tokens"))
    prompt = number(block.get("input_tokens")) + cached + number(block.get("cache_creation_input_tokens"))
    return Usage(prompt, number(block.get("output_tokens")), cached)
