"""A server that speaks the OpenAI and the Anthropic wire, fails as real ones do, and counts what was paid.

    POST /v1/chat/completions   POST /v1/messages   GET /v1/models   GET /stats

Benchmarks run against it on the machine they measure, so it parses HTTP itself: a few dozen microseconds a request.
A request counts as paid when its reply is made, whether or not anybody is still there to read it, as real servers bill.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Self

import orjson

from upcycle.errors import ConfigError, ProviderError, RowError
from upcycle.llm.model import Completion, Request
from upcycle.testing.threaded import InThread
from upcycle.testing.wire import Asked, RefusalError, counted, echo, read, refused, written

Script = Callable[[Request], str | Completion | Awaitable[str | Completion]]
"""What the server says: a function of the request; `ScriptedModel(...).complete` and any other model's is one."""

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


class _Refusal(NamedTuple):
    status: int
    message: str
    kind: str


class FakeServer(InThread):
    """Use it as `async with` (in this loop) or `with` (in a thread of its own).

    Args:
        reply: what it says; without one it echoes, in JSON that fits the request's schema. It may raise a
            `RefusalError` to be refused with.
        latency: seconds until a reply.
        rate_limited: share of requests answered 429 at once, with `Retry-After: retry_after`.
        failing: share answered 500.
        invalid: share answered 200, paid, with text that is not the JSON asked for.
        torn: share answered 200, paid, with a body that breaks off.
        models: names it knows; any other is answered 404.
        key: the key it wants; without one it takes any.
        dollars: price in dollars per million (prompt, reply) tokens, for the `cost` it counts.
    """

    def __init__(
        self,
        reply: Script | None = None,
        *,
        latency: float = 0.0,
        rate_limited: float = 0.0,
        failing: float = 0.0,
        invalid: float = 0.0,
        torn: float = 0.0,
        retry_after: float = 1.0,
        models: Sequence[str] = ("fake",),
        key: str = "",
        dollars: tuple[float, float] = (1.0, 1.0),
        seed: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._reply = reply or echo
        self._latency, self._retry_after = latency, retry_after
        self._shares = (rate_limited, failing, invalid, torn)
        self._models, self._key, self._dollars = tuple(models), key, dollars
        self._random = random.Random(seed)
        self._host, self._port = host, port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[asyncio.Transport] = set()
        self.requests: deque[Request] = deque(maxlen=10_000)
        self.in_flight = self.peak_in_flight = self.prompt_tokens = self.reply_tokens = 0
        self._paid: Counter[int] = Counter()
        self._statuses: Counter[int] = Counter()

    # -- starting and stopping -----------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """What to give as `--base-url`."""
        return f"http://{self._host}:{self._port}/v1"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), self._host, self._port, backlog=2048)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        for connection in tuple(self._connections):
            connection.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    # -- what it counted -----------------------------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """What was asked and paid so far; also at GET /stats."""
        dollars = self.prompt_tokens * self._dollars[0] + self.reply_tokens * self._dollars[1]
        paid = sum(self._paid.values())
        return {
            "requests": sum(self._statuses.values()) + self.in_flight,
            "statuses": {str(status): count for status, count in sorted(self._statuses.items())},
            "paid": paid,
            "paid_twice": paid - len(self._paid),
            "distinct": len(self._paid),
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
            "prompt_tokens": self.prompt_tokens,
            "reply_tokens": self.reply_tokens,
            "tokens": self.prompt_tokens + self.reply_tokens,
            "cost": dollars / 1e6,
        }

    # -- answering -----------------------------------------------------------------------------------------------

    def answer(self, connection: _Connection, head: bytes, body: bytes) -> None:
        """Answer one request, now or after the latency."""
        line = head[: head.find(b"\r\n")]
        if line.startswith(b"GET"):
            self._get(connection, line)
            return
        anthropic = b"/messages " in line
        asked = self._read(line, head, body, anthropic=anthropic)
        if isinstance(asked, _Refusal):
            self._send(connection, asked.status, refused(asked.message, asked.kind, anthropic=anthropic))
        else:
            self._take(connection, asked)

    def _get(self, connection: _Connection, line: bytes) -> None:
        if b"/stats " in line:
            connection.send(200, orjson.dumps(self.stats()))
        elif b"/models " in line:
            listed = [{"id": name, "object": "model"} for name in self._models]
            connection.send(200, orjson.dumps({"object": "list", "data": listed}))
        else:
            connection.send(404, b'{"error":{"message":"no such page"}}')

    def _read(self, line: bytes, head: bytes, body: bytes, *, anthropic: bool) -> Asked | _Refusal:
        if not (anthropic or b"/chat/completions " in line):
            return _Refusal(404, f"no such page: {line.decode('latin-1')}", "not_found_error")
        if self._key and self._key.encode() not in head:
            return _Refusal(401, "Incorrect API key provided", "invalid_api_key")
        try:
            asked = read(body, anthropic=anthropic)
        except (ValueError, KeyError, TypeError) as error:
            return _Refusal(400, f"not a request: {error!r}", "invalid_request_error")
        if self._models and asked.model not in self._models:
            return _Refusal(404, f"The model `{asked.model}` does not exist", "model_not_found")
        return asked

    def _take(self, connection: _Connection, asked: Asked) -> None:
        limited, failing, invalid, torn = self._shares
        draw = self._random.random()
        if draw < limited:
            extra = f"Retry-After: {self._retry_after:g}\r\n"
            body = refused("Rate limit reached", "rate_limit_exceeded", anthropic=asked.anthropic)
            self._send(connection, 429, body, extra)
            return
        self.requests.append(asked.request)
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        loop = asyncio.get_running_loop()
        if draw < limited + failing:
            body = refused("The server had an error", "server_error", anthropic=asked.anthropic)
            loop.call_later(self._latency, self._fail, connection, 500, body)
            return
        spoiled = draw - limited - failing
        how = "invalid" if spoiled < invalid else "torn" if spoiled < invalid + torn else ""
        if self._latency:
            loop.call_later(self._latency, self._speak, connection, asked, how)
        else:
            self._speak(connection, asked, how)

    def _fail(self, connection: _Connection, status: int, body: bytes) -> None:
        self.in_flight -= 1
        self._send(connection, status, body)

    def _speak(self, connection: _Connection, asked: Asked, how: str) -> None:
        try:
            said = self._reply(asked.request)
        except (RowError, ProviderError, ConfigError, RefusalError) as error:
            self._refuse(connection, asked, error)
            return
        if isinstance(said, str | Completion):
            self._pay(connection, asked, said, how)
            return
        task = asyncio.ensure_future(self._await(connection, asked, said, how))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _await(self, connection: _Connection, asked: Asked, said: Awaitable[str | Completion], how: str) -> None:
        try:
            self._pay(connection, asked, await said, how)
        except (RowError, ProviderError, ConfigError, RefusalError) as error:
            self._refuse(connection, asked, error)

    def _refuse(self, connection: _Connection, asked: Asked, error: Exception) -> None:
        status, headers = (error.status, error.headers) if isinstance(error, RefusalError) else (400, {})
        body = refused(str(error), "invalid_request_error", anthropic=asked.anthropic)
        self.in_flight -= 1
        self._send(connection, status, body, "".join(f"{name}: {value}\r\n" for name, value in headers.items()))

    def _pay(self, connection: _Connection, asked: Asked, said: str | Completion, how: str) -> None:
        completion = said if isinstance(said, Completion) else counted(asked.request, said)
        if how == "invalid":
            half = completion.text[: len(completion.text) // 2]
            prose = "I am sorry, but I would rather talk about the weather."
            completion = Completion(self._random.choice((half, prose)), completion.usage, completion.finish)
        self._paid[asked.identity] += 1
        self.prompt_tokens += completion.usage.prompt
        self.reply_tokens += completion.usage.completion
        self.in_flight -= 1
        self._statuses[200] += 1
        connection.send(200, written(asked, completion), torn=how == "torn")

    def _send(self, connection: _Connection, status: int, body: bytes, extra: str = "") -> None:
        self._statuses[status] += 1
        connection.send(status, body, extra)

    def opened(self, transport: asyncio.Transport) -> None:
        self._connections.add(transport)

    def closed(self, transport: asyncio.Transport) -> None:
        self._connections.discard(transport)


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive and Content-Length, which is what model clients send."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.opened(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._server.closed(self._transport)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[: end + 2])
            lower = head.lower()
            at = lower.find(b"\r\ncontent-length:")
            length = int(lower[at + 17 : lower.find(b"\r\n", at + 2)]) if at >= 0 else 0
            if at < 0 and b"\r\ntransfer-encoding:" in lower:
                self.send(411, b'{"error":{"message":"send Content-Length"}}')
                self._buffer.clear()
                return
            whole = end + 4 + length
            if len(self._buffer) < whole:
                return
            body = bytes(self._buffer[end + 4 : whole])
            del self._buffer[:whole]
            self._server.answer(self, head, body)

    def send(self, status: int, body: bytes, extra: str = "", *, torn: bool = False) -> None:
        """Write one response; half of its body, and no more, where it is to be torn."""
        if self._transport is None:
            return
        reason = _REASONS.get(status, "Error")
        head = (
            f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\n{extra}"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        self._transport.write(head + (body[: len(body) // 2] if torn else body))
        if torn:
            self._transport.close()
