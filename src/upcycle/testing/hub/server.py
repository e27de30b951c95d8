"""The fake Hub itself: started and stopped, faults, and which page answers what.

The datasets server (columns, types, first rows) is on an address of its own, as the real one is: `rows_url`.
"""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import orjson

from upcycle.testing.hub.reading import Reading
from upcycle.testing.hub.repo import HubRepo
from upcycle.testing.hub.routing import Page, RefusedError, Route
from upcycle.testing.hub.rows import Rows
from upcycle.testing.hub.writing import Writing
from upcycle.testing.threaded import InThread

if TYPE_CHECKING:
    from aiohttp import web

Fault = int | str
"""A status; or "html" (a page of HTML with status 200), "half" (half of the answer, then the connection breaks)."""


class FakeHub(InThread):
    """Use it as `async with` (in this loop) or `with` (in a thread of its own).

    Args:
        token: the one token that may write and see private repositories.
        user: the account it belongs to.
        licences: licences a card may name; any where not given.
        refusing: operation ("list", "info", "tree", "resolve", "cdn", "rows", "create", "commit", ...) to the faults
            its next requests meet; after those it works. A single one is for every request.
        holding: operation to how many of its requests are answered; those after it wait until the hub stops.
        retry_after: seconds that a 429 asks to wait.
        page: most datasets on a page of the list.
        part_bytes: files above this are uploaded in parts.
        redirecting: large files are read from another address, as on the real one.
    """

    def __init__(
        self,
        *,
        token: str = "hf_fake",  # noqa: S107 (a fake one)
        user: str = "somebody",
        licences: frozenset[str] | None = None,
        refusing: Mapping[str, Fault | Sequence[Fault]] | None = None,
        holding: Mapping[str, int] | None = None,
        retry_after: float = 0,
        page: int = 1000,
        part_bytes: int | None = None,
        redirecting: bool = True,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.token, self.user, self.redirecting, self.page = token, user, redirecting, page
        self.repos: dict[str, HubRepo] = {}
        self.large: dict[str, tuple[bytes, dict[str, str]]] = {}
        """Contents and headers of large files that were asked for."""
        self.requests: list[str] = []
        """Every request as "METHOD /path"."""
        self.asked: list[tuple[str, str]] = []
        """Every request as (operation, path with its query and range)."""
        self.counts: Counter[str] = Counter()
        """Requests by operation."""
        self.refusing: dict[str, Any] = {
            name: given if isinstance(given, int | str) else list(given) for name, given in (refusing or {}).items()
        }
        self.holding = dict(holding or {})
        """May be changed while it runs."""
        self._retry_after = retry_after
        self._pages = (Reading(self), Writing(self, licences, part_bytes))
        self._host, self._port, self._rows_port = host, port, 0
        self._runners: list[web.AppRunner] = []

    @property
    def url(self) -> str:
        """What to give as `--endpoint` or HF_ENDPOINT."""
        return f"http://{self._host}:{self._port}"

    @property
    def rows_url(self) -> str:
        """What to give as the address of the datasets server."""
        return f"http://{self._host}:{self._rows_port}"

    def repo(self, name: str, *, private: bool = False) -> HubRepo:
        """The repository of that name; made where there is none."""
        return self.repos.setdefault(name, HubRepo(name, private))

    def load(self, folder: Path, owner: str = "local") -> None:
        """Every folder below this one as a dataset of that owner."""
        for below in sorted(one for one in folder.iterdir() if one.is_dir()):
            files = {path.relative_to(below).as_posix(): path for path in sorted(below.rglob("*")) if path.is_file()}
            self.repo(f"{owner}/{below.name}").write({name: path.read_bytes() for name, path in files.items()})

    async def __aenter__(self) -> Self:
        self._port = await self._start(self.routes(), self._port)
        self._rows_port = await self._start(Rows(self).routes(), 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        for runner in self._runners:
            await runner.cleanup()

    async def _start(self, routes: Sequence[Route], port: int) -> int:
        from aiohttp import web

        app = web.Application(client_max_size=1 << 30)
        for method, path, operation, page in routes:
            answer = functools.partial(self._answer, operation, page)
            if method == "GET":
                app.router.add_get(path, answer, allow_head=True)
            else:
                app.router.add_route(method, path, answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        self._runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, self._host, port).start()
        return runner.addresses[0][1]

    def routes(self) -> list[Route]:
        """(method, path, operation, page) of everything that is answered."""
        return [route for pages in self._pages for route in pages.routes()]

    async def _answer(self, operation: str, page: Page, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        self.asked.append((operation, f"{request.path_qs} {request.headers.get('Range', '')}".strip()))
        self.counts[operation] += 1
        if self.counts[operation] > self.holding.get(operation, 1 << 60):
            await asyncio.Event().wait()
        fault = self._fault(operation)
        try:
            if isinstance(fault, int) and fault:
                raise RefusedError(fault, f"this Hub refuses to {operation}")
            if fault == "html":
                return self._html()
            answered = await page(request)
        except RefusedError as refusal:
            body = {"error": str(refusal), **refusal.more}
            headers = {"X-Error-Message": str(refusal), **({"X-Error-Code": refusal.code} if refusal.code else {})}
            if refusal.status in (429, 503):
                headers["Retry-After"] = f"{self._retry_after:g}"
            return self.send(body, status=refusal.status, headers=headers)
        return await _halved(request, answered) if fault == "half" else answered

    def _fault(self, operation: str) -> Fault:
        planned = self.refusing.get(operation, 0)
        if isinstance(planned, list):
            return planned.pop(0) if planned else 0
        return planned

    def _html(self) -> web.Response:
        from aiohttp import web

        return web.Response(text="<!doctype html><title>One moment</title>", content_type="text/html")

    def send(self, body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
        """A JSON response; without a body where it is None."""
        from aiohttp import web

        if body is None:
            return web.Response(status=status, headers=headers)
        return web.Response(body=orjson.dumps(body), status=status, headers=headers, content_type="application/json")

    def may_write(self, request: web.Request) -> bool:
        """Whether the request carries the token."""
        return request.headers.get("Authorization") == f"Bearer {self.token}"


async def _halved(request: web.Request, answered: web.StreamResponse) -> web.StreamResponse:
    """The same with its length told and half of it sent."""
    from aiohttp import web

    body = answered.body if isinstance(answered, web.Response) and isinstance(answered.body, bytes) else b""
    torn = web.StreamResponse(status=answered.status, headers=answered.headers)
    torn.content_length = len(body)
    await torn.prepare(request)
    await torn.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return torn
