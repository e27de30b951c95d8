"""The OpenAI wire (chat completions), spoken by nearly every server: OpenAI, vLLM, llama.cpp, Ollama, SGLang, routers.

In: a `Request`. Out: a `Completion`, or an error already sorted. Servers differ in what they accept; what one refuses
is learnt from its first refusal, remembered for this instance, and the request sent again without it. So structured
output goes down a ladder (json_schema, json_object, the schema in the prompt) once, not once a row.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from upcycle.errors import ProviderError, RowError
from upcycle.llm.faults import AttemptError, refusal, words
from upcycle.llm.model import Completion, Message, Request, Usage
from upcycle.llm.schemas import in_words, to_strict
from upcycle.llm.transport import Transport, bare_address, number

OPENAI = "https://api.openai.com/v1"

_RUNGS = ("json_schema", "json_object", "prompt")
_STRUCTURED = re.compile(
    r"response_format|json_schema|json_object|json mode|structured|guided|grammar|schema", re.IGNORECASE
)
_FINISH = {"stop": "stop", "length": "length", "content_filter": "filter", None: "stop", "eos": "stop"}
# A parameter the server refuses by name, and what becomes of it.
_OPTIONAL = ("seed", "temperature", "max_tokens")


class OpenAIModel:
    """One model behind one OpenAI-compatible server."""

    def __init__(
        self,
        model: str,
        *,
        base_url: str = OPENAI,
        key: str = "",
        connect_timeout: float = 15.0,
        read_timeout: float = 600.0,
    ) -> None:
        self.name = f"openai/{model}"
        self.endpoint = bare_address(base_url)
        self._model = model
        # A key and credentials inside the address exclude each other; the key wins.
        self._url = f"{self.endpoint if key else base_url.rstrip('/')}/chat/completions"
        self._key = key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._transport = Transport(self.endpoint, headers, connect_timeout=connect_timeout, read_timeout=read_timeout)
        self._rung = 0
        self._without: set[str] = set()
        self._formats: dict[bytes, orjson.Fragment] = {}

    async def complete(self, request: Request) -> Completion:
        """Ask once; lower what the server has shown it does not accept, and ask again."""
        while True:
            rung, without = self._rung, frozenset(self._without)
            answer = await self._transport.post(self._url, self._body(request, rung))
            if answer.status == 200:
                return self._completion(answer.body, request)
            if not self._learn(answer.status, answer.body, request, rung, without):
                raise refusal(self.endpoint, answer.status, answer.body, answer.headers, secret=self._key)

    async def close(self) -> None:
        await self._transport.close()

    def _body(self, request: Request, rung: int) -> bytes:
        messages = request.messages
        body: dict[str, Any] = {"model": self._model}
        if request.schema is not None:
            if rung > 0:
                messages = _with_schema(messages, request.schema)
            if rung < len(_RUNGS) - 1:
                body["response_format"] = self._format(request.schema, rung)
        body["messages"] = messages
        body["max_completion_tokens" if "max_tokens" in self._without else "max_tokens"] = request.max_tokens
        if "temperature" not in self._without:
            body["temperature"] = request.temperature
        if request.sample and "seed" not in self._without:
            # Makes one vote another request than the next, and repeatable where the server honours it.
            body["seed"] = request.sample
        if request.stop:
            body["stop"] = request.stop
        return orjson.dumps(body)

    def _format(self, schema: dict[str, Any], rung: int) -> orjson.Fragment | dict[str, str]:
        if _RUNGS[rung] == "json_object":
            return {"type": "json_object"}
        text = orjson.dumps(schema)
        if text not in self._formats:
            strict = to_strict(schema)
            # Other servers decode lengths too; OpenAI refuses what its strict form does not know.
            sent = strict if strict is not None and self.endpoint == OPENAI else schema
            form = {"name": "reply", "schema": sent, "strict": strict is not None}
            if len(self._formats) > 256:
                self._formats.clear()
            self._formats[text] = orjson.Fragment(orjson.dumps({"type": "json_schema", "json_schema": form}))
        return self._formats[text]

    def _learn(self, status: int, body: bytes, request: Request, rung: int, without: frozenset[str]) -> bool:
        """Whether the refusal is of something that can be left out; remembers it."""
        if status not in {400, 404, 415, 422, 501}:
            return False
        said = words(body)
        for name in _OPTIONAL:
            refused = (
                name in said
                and name not in without
                and re.search(r"support|unrecogni|unexpected|extra|unknown|not permitted", said, re.IGNORECASE)
            )
            # "max_tokens is too large" is about this request, not about the parameter.
            if refused and (name != "max_tokens" or "max_completion_tokens" in said):
                self._without.add(name)
                return True
        if request.schema is not None and rung < len(_RUNGS) - 1 and _STRUCTURED.search(said):
            # Several requests may be refused at once; only the first of them lowers the rung.
            self._rung = max(self._rung, rung + 1)
            return True
        return False

    def _completion(self, body: bytes, request: Request) -> Completion:
        try:
            reply = orjson.loads(body)
            if "error" in reply and not reply.get("choices"):
                raise self._error_inside(reply["error"], body)
            choice = reply["choices"][0]
            message = choice["message"]
        except (orjson.JSONDecodeError, KeyError, IndexError, TypeError) as error:
            raise AttemptError(f"{self.endpoint} sent a torn reply ({error})", unsure=True) from error
        text = message.get("content") or ""
        if message.get("refusal"):
            return Completion(message["refusal"], _usage(reply, request, text), "filter")
        finish = choice.get("finish_reason")
        return Completion(text, _usage(reply, request, text), _FINISH.get(finish, finish))

    def _error_inside(self, error: Any, body: bytes) -> ProviderError | RowError | Exception:
        # Routers answer 200 and put the status of the server behind them into the body.
        code = error.get("code") if isinstance(error, dict) else None
        status = code if isinstance(code, int) and 400 <= code < 600 else 502
        return refusal(self.endpoint, status, body, {}, secret=self._key)


def _usage(reply: dict[str, Any], request: Request, text: str) -> Usage:
    block = reply.get("usage")
    if not block:
        return Usage(request.prompt_bytes(), len(text.encode()) + 1)
    prompt, written = number(block.get("prompt_tokens")), number(block.get("completion_tokens"))
    # Some servers count the reasoning only in the total.
    written = max(written, number(block.get("total_tokens")) - prompt)
    details = block.get("prompt_tokens_details")
    return Usage(prompt, written, number(details.get("cached_tokens")) if details else 0)


def _with_schema(messages: tuple[Message, ...], schema: dict[str, Any]) -> tuple[Message, ...]:
    last = messages[-1]
    return (*messages[:-1], {**last, "content": f"{last['content']}\n\n{in_words(schema)}"})
