"""One HTTP session per provider: POST JSON, get status, headers and body; a broken connection is an `AttemptError`.

Opened at the first request, inside the running loop. No limit on connections (pacing is the gate's), no total
timeout (long replies are legitimate), redirects not followed (a POST would become a GET). The environment's proxy is
looked up once: aiohttp's own `trust_env` reads ~/.netrc in a thread at every request, which costs as much as the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from upcycle.errors import ConfigError
from upcycle.llm.faults import AttemptError

if TYPE_CHECKING:
    import aiohttp


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """A lazily opened session for one server.

    Args:
        server: how the server is called in sentences; never contains credentials.
        headers: sent with every request; kept here and never shown.
        read_timeout: longest silence while waiting for a reply, in seconds.
    """

    def __init__(self, server: str, headers: Mapping[str, str], *, connect_timeout: float, read_timeout: float) -> None:
        self.server = server
        self._headers = dict(headers)
        self._timeouts = (connect_timeout, read_timeout)
        self._session: aiohttp.ClientSession | None = None
        self._broken: tuple[type[BaseException], ...] = ()

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp

        connect, read = self._timeouts
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=read),
            headers={"Content-Type": "application/json", **self._headers},
            cookie_jar=aiohttp.DummyCookieJar(),
            **_proxy(self.server),
        )
        self._broken = (aiohttp.ClientError, TimeoutError, OSError)
        return self._session

    async def post(self, url: str, body: bytes) -> Answer:
        """Send one request.

        Raises:
            AttemptError: the connection failed or broke; `unsure` once the request may have been received.
        """
        session = self._session or self._open()
        try:
            async with session.post(url, data=body, allow_redirects=False) as response:
                return Answer(response.status, response.headers, await response.read())
        except self._broken as error:
            raise self._fault(error) from error

    async def get(self, url: str) -> Answer:
        """Like `post`, for the list of models."""
        session = self._session or self._open()
        try:
            async with session.get(url, allow_redirects=False) as response:
                return Answer(response.status, response.headers, await response.read())
        except self._broken as error:
            raise self._fault(error) from error

    def _fault(self, error: BaseException) -> Exception:
        import aiohttp

        # Only these are raised before a byte of the request was sent.
        unsent = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientProxyConnectionError)
        if isinstance(error, aiohttp.InvalidURL):
            return ConfigError(f"{self.server} is not an address; give --base-url like http://localhost:8000/v1")
        if isinstance(error, unsent):
            why = getattr(error, "os_error", None) or error
            return AttemptError(f"{self.server} cannot be reached: {why}", unreachable=True)
        if isinstance(error, TimeoutError):
            return AttemptError(f"{self.server} said nothing for {self._timeouts[1]:g} s", unsure=True)
        return AttemptError(f"the connection to {self.server} broke: {error or type(error).__name__}", unsure=True)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def _proxy(url: str) -> dict[str, Any]:
    from urllib.request import getproxies, proxy_bypass

    import aiohttp
    from yarl import URL

    parts = urlsplit(url)
    found = getproxies().get(parts.scheme)
    if not found or proxy_bypass(parts.hostname or ""):
        return {}
    proxy = URL(found if "://" in found else f"http://{found}")
    auth = aiohttp.BasicAuth(proxy.user, proxy.password or "") if proxy.user else None
    return {"proxy": proxy.with_user(None), "proxy_auth": auth}


def bare_address(url: str) -> str:
    """An address without credentials and trailing slash, as it may be shown and stored."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def is_local(url: str) -> bool:
    """Whether an address is on this machine, so that asking it costs nothing."""
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1", "0.0.0.0", "host.docker.internal"} or host.startswith("127.")  # noqa: S104 - compared


def number(value: Any) -> int:
    """A token count out of a usage block; servers leave it out or send null."""
    return int(value) if isinstance(value, int | float) else 0
