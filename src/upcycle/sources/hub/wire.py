"""A Hub asked politely: one request at a time and thread, patient where it asks for patience, one sentence where not.

In: paths below the Hub's address. Out: `Reply`. The decision: `huggingface_hub` brings session, token, headers and its
offline switch, but pages are turned here, because the place from which to go on (the cursor) must be remembered and its
own iterators hide it. A status of 429 or 5xx, a broken answer, and HTML where JSON was asked for are asked again, after
the pause the server names or a doubling one; all threads wait together.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import quote, urlsplit

import orjson

from upcycle.config import is_address
from upcycle.errors import ConfigError, SourceError

THE_HUB = "https://huggingface.co"
THE_ROWS = "https://datasets-server.huggingface.co"
ROWS_VARIABLE = "UPCYCLE_ROWS_ENDPOINT"
"""Names the datasets server, like HF_ENDPOINT the Hub."""

CARD_BYTES = 256 << 10
"""Most that is read of a card; a megabyte of HTML in one says no more."""

_TRIES = 5
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 120.0
_TIMEOUT = 60.0
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')

Kind = Literal["gone", "gated", "unreachable", "refused"]


class HubError(SourceError):
    """Something on a Hub cannot be had.

    Attributes:
        kind: "gone" (not there, or not for this token), "gated", "unreachable" (no network), "refused" (all else).
        status: the last answer's; 0 where there was none.
    """

    def __init__(self, kind: Kind, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.kind: Kind = kind
        self.status = status


class Reply(NamedTuple):
    """An answer with a status below 400."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def next(self) -> str | None:
        """Path and query of the page after this one."""
        found = _NEXT.search(self.headers.get("link", ""))
        if found is None:
            return None
        # Only the path is followed: a token goes to the address the user named and to no other.
        parts = urlsplit(found[1])
        return f"{parts.path}?{parts.query}"


class Hub:
    """One Hub and its datasets server.

    Args:
        address: of the Hub; HF_ENDPOINT or huggingface.co where not given.
        rows_address: of its datasets server; UPCYCLE_ROWS_ENDPOINT, or huggingface.co's own beside huggingface.co.
        pause: waits so many seconds.

    Raises:
        ConfigError: an address that is none, or `huggingface_hub` is not installed.
    """

    def __init__(
        self,
        address: str | None = None,
        rows_address: str | None = None,
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        try:
            from huggingface_hub import get_token
            from huggingface_hub.utils import build_hf_headers
        except ImportError:
            raise ConfigError('the Hub needs huggingface_hub; install it with: pip install "upcycle[hub]"') from None
        self.address = _address(address or os.environ.get("HF_ENDPOINT") or THE_HUB)
        given = rows_address or os.environ.get(ROWS_VARIABLE) or (THE_ROWS if self.address == THE_HUB else None)
        self.rows_address = _address(given) if given else None
        self.requests = 0
        """How many were sent."""
        _be_quiet()
        self._headers = build_hf_headers(token=get_token() or False, library_name="upcycle")
        self._pause = pause
        self._until = 0.0
        self._lock = threading.Lock()

    def get(
        self,
        path: str,
        *,
        at: str | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """The answer to one question; 304 is one where "If-None-Match" was among the headers.

        Args:
            path: below the address, with its query where it has one.
            at: another address than the Hub's.
            headers: more of them.

        Raises:
            HubError: in one sentence, after as many tries as it deserves.
        """
        return self._patiently(f"{at or self.address}{path}", params, headers, read=lambda reply: reply)

    def json(
        self,
        path: str,
        *,
        at: str | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[Any, Reply]:
        """The same, read as JSON; None with a 304. An answer that is no JSON is asked for again."""

        def read(reply: Reply) -> tuple[Any, Reply]:
            return (None if reply.status == 304 else orjson.loads(reply.body)), reply

        return self._patiently(f"{at or self.address}{path}", params, headers, read=read)

    def pages(self, path: str) -> Iterator[list[Any]]:
        """A list that comes in pages, page by page."""
        following: str | None = path
        while following:
            page, reply = self.json(following)
            yield page if isinstance(page, list) else []
            following = reply.next

    def _patiently(
        self,
        url: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        read: Callable[[Reply], Any],
    ) -> Any:
        from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled

        sent = {**self._headers, **(headers or {})}
        why, status, reached = "", 0, False
        for attempt in range(_TRIES):
            named = False
            self._wait()
            try:
                reply = self._send(url, params, sent)
            except OfflineModeIsEnabled:
                raise HubError("unreachable", "HF_HUB_OFFLINE is set, so no Hub is asked; unset it") from None
            except (HTTPError, OSError) as error:
                why, status = " ".join(str(error).split())[:200] or type(error).__name__, 0
                if not reached and attempt == 1 and _is_no_connection(error):
                    break  # nobody answered twice: there is no server, or no network
            else:
                reached, status = True, reply.status
                if status < 400:
                    try:
                        return read(reply)
                    except orjson.JSONDecodeError:
                        why = "it answered with something other than JSON"
                elif status in _AGAIN:
                    why = f"it answered {status}"
                else:
                    raise _refusal(url, reply)
                named = self._slow_down(reply.headers)
            if not named and attempt < _TRIES - 1:
                self._pause(_FIRST_PAUSE * 4**attempt)
        server = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"
        if not reached:
            raise HubError("unreachable", f"{server} cannot be reached ({why})")
        raise HubError("refused", f"{server} does not answer as a Hub does ({why}, {_TRIES} times); try later", status)

    def _send(self, url: str, params: Mapping[str, str] | None, headers: Mapping[str, str]) -> Reply:
        from huggingface_hub.utils import get_session

        with self._lock:
            self.requests += 1
        # Empty parameters would replace those of the address.
        response = get_session().get(
            url, params=dict(params) if params else None, headers=dict(headers), timeout=_TIMEOUT, follow_redirects=True
        )
        return Reply(response.status_code, {name.lower(): value for name, value in response.headers.items()},
                     response.content)  # fmt: skip

    def _wait(self) -> None:
        with self._lock:
            left = self._until - time.monotonic()
        if left > 0:
            self._pause(left)

    def _slow_down(self, headers: Mapping[str, str]) -> bool:
        """Everybody waits as long as the server says; whether it says."""
        try:
            from huggingface_hub.utils import parse_ratelimit_headers

            limits = parse_ratelimit_headers(headers)
        except ImportError:  # a version before the Hub told its limits
            limits = None
        asked = headers.get("retry-after", "")
        if re.fullmatch(r"\d+(\.\d+)?", asked):
            seconds = float(asked)
        elif limits is not None:
            seconds = float(limits.reset_in_seconds)
        else:
            return False
        with self._lock:
            self._until = time.monotonic() + min(seconds, _LONGEST_PAUSE)
        return True


def _be_quiet() -> None:
    """Some library sets the root logger to INFO on import; a line a request would then be printed."""
    import logging

    for name in ("httpx", "httpx2"):
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)


def path_of(name: str, *, resolve: str = "", file: str = "") -> str:
    """Path of a dataset in the API, or of a file of it at a revision.

    >>> path_of("a/b")
    '/api/datasets/a/b'
    >>> path_of("a/b", resolve="main", file="data/train 1.csv")
    '/datasets/a/b/resolve/main/data/train%201.csv'
    """
    if file:
        return f"/datasets/{quote(name)}/resolve/{quote(resolve, safe='')}/{quote(file)}"
    return f"/api/datasets/{quote(name)}"


def _address(text: str) -> str:
    text = text.rstrip("/")
    if not is_address(text):
        raise ConfigError(f"{text!r} is not the address of a Hub; write it like {THE_HUB}")
    return text


def _is_no_connection(error: BaseException) -> bool:
    # Whichever httpx it is (huggingface_hub moved from one to another), its classes are called this.
    return any(one.__name__ in ("ConnectError", "ConnectTimeout", "ProxyError") for one in type(error).__mro__)


def _refusal(url: str, reply: Reply) -> HubError:
    code, said = reply.headers.get("x-error-code", ""), reply.headers.get("x-error-message", "")
    what = urlsplit(url).path.removeprefix("/api").removeprefix("/datasets").strip("/")
    if code == "GatedRepo":
        return HubError("gated", "it is gated: ask for access on its page, and set HF_TOKEN", reply.status)
    if reply.status in (401, 403, 404, 410):
        told = f" ({said})" if said else ""
        return HubError("gone", f"{what} is not there, or not for this token{told}", reply.status)
    told = f": {said}" if said else ""
    return HubError("refused", f"{what} was refused with {reply.status}{told}", reply.status)
