"""The one interface to language models: `Model.complete(Request) -> Completion`.

Requests and completions are plain slotted values, not pydantic models: 3,000 of them pass per second on a good
endpoint. Wrappers (journal, retry, pace, meter) are Models too.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import orjson

Message = dict[str, str]
"""One chat message: `{"role": "system" | "user" | "assistant", "content": text}`."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a model.

    Attributes:
        messages: chat messages; the part that does not change between rows comes first, for prompt caches.
        stage: which stage asks ("rerank", "plan", "transform", ...); recorded, not part of the key.
        max_tokens: the most the reply may hold; part of the bound that is held in the ledger.
        schema: JSON Schema the reply must satisfy, or None for prose.
        sample: index of the sample, so that several votes on the same prompt are several calls.
    """

    messages: tuple[Message, ...]
    stage: str
    max_tokens: int = 512
    temperature: float = 0.0
    schema: dict[str, Any] | None = None
    sample: int = 0
    stop: tuple[str, ...] = ()
    # The journal and the meter ask for the same key, the meter and the pace for the same size: worked out once.
    _key: tuple[str, str, bytes] = field(default=("", "", b""), init=False, repr=False, compare=False)
    _bytes: int = field(default=0, init=False, repr=False, compare=False)

    def key(self, endpoint: str, model: str) -> bytes:
        """sha256 of everything that decides the reply: endpoint, model, messages, parameters, schema, sample."""
        if self._key[:2] != (endpoint, model):
            asked = (self.messages, self.max_tokens, self.temperature, self.schema, self.sample, self.stop)
            text = orjson.dumps([endpoint, model, *asked], option=orjson.OPT_SORT_KEYS)
            object.__setattr__(self, "_key", (endpoint, model, hashlib.sha256(text).digest()))
        return self._key[2]

    def prompt_bytes(self) -> int:
        """UTF-8 bytes of messages and schema plus 16 a message for its frame: never fewer than the prompt's tokens."""
        if not self._bytes:
            schema = len(orjson.dumps(self.schema)) + 256 if self.schema is not None else 0
            size = sum(len(m["content"].encode()) + 16 for m in self.messages) + 16 + schema
            object.__setattr__(self, "_bytes", size)
        return self._bytes


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call as the server counted them. `prompt` includes `cached`."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0

    @property
    def total(self) -> int:
        return self.prompt + self.completion


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back.

    Attributes:
        text: the reply as sent.
        finish: "stop", "length" (cut by max_tokens), "filter" or the server's own word.
        key: hex key of the call in the journal ("" before it is journaled).
        replayed: answered from the journal, for free.
        cost_micro: cost in millionths of a US dollar; 0 where unpriced.
    """

    text: str
    usage: Usage = field(default_factory=Usage)
    finish: str = "stop"
    key: str = ""
    replayed: bool = False
    cost_micro: int = 0


@runtime_checkable
class Model(Protocol):
    """Anything that answers requests.

    `name` is what origins record, e.g. "openai/gpt-x"; `endpoint` names the server (part of the call's key).
    `complete` raises `RowError` (this row cannot be answered: kind api-transient, api-fatal or unparseable),
    `ProviderError` (no row can be answered), `BudgetExceededError` or `DiskError`.
    """

    name: str
    endpoint: str

    async def complete(self, request: Request) -> Completion: ...

    async def close(self) -> None: ...


@runtime_checkable
class Scoring(Protocol):
    """A model that can also score: log-likelihood of each continuation after the prompt (natural logarithm)."""

    async def score(self, prompt: str, continuations: list[str]) -> list[float]: ...


def in_process(model: Model | None) -> bool:
    """Whether this model runs in this process: small, and every token it reads or writes is the user's own time."""
    return model is not None and model.endpoint.startswith("embedded:")
