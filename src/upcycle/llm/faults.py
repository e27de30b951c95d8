"""What servers refuse with, sorted once: ask again, give this row up, or stop the run.

`refusal(...)` takes a status and the server's own words and returns the error to raise. An `AttemptError` is a
`RowError`, so a bare provider is a proper Model; only the retrying wrapper looks inside. The words decide where the
status does not: a 400 may mean "this prompt is too long" (one row) or "no such model" (every row).
"""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from typing import Any

import orjson

from upcycle.errors import ProviderError, RowError, RowKind, UpcycleError
from upcycle.llm.model import Usage


class AttemptError(RowError):
    """One attempt that brought no reply but may be tried again.

    Attributes:
        retry_after: seconds the server asks to wait; None when it does not say.
        overloaded: the server has more than it can serve (429, 503, 529); pacing adapts to the share of these.
        unsure: the server may have done the work, so the attempt counts at its largest possible cost.
        unreachable: nothing answered at the address.
        usage: what the server says the attempt used, if it says.
        cost_micro: what the attempt was booked at; set by the meter.
    """

    def __init__(
        self,
        reason: str,
        *,
        retry_after: float | None = None,
        overloaded: bool = False,
        unsure: bool = False,
        unreachable: bool = False,
        usage: Usage | None = None,
    ) -> None:
        super().__init__(RowKind.API_TRANSIENT, reason)
        self.retry_after, self.overloaded = retry_after, overloaded
        self.unsure, self.unreachable, self.usage = unsure, unreachable, usage
        self.cost_micro = 0


_TRY_AGAIN = frozenset({408, 409, 425, 429})
_OVERLOADED = frozenset({429, 503, 529})
_NO_MONEY = re.compile(
    r"insufficient_quota|exceeded your current quota|billing|credit balance|insufficient credits", re.IGNORECASE
)
_ONE_ROW = re.compile(
    r"context.{0,12}(length|size|window)|too long|too large|too many tokens|maximum.{0,20}tokens"
    r"|content.?(filter|policy|management)|moderat|flagged|safety",
    re.IGNORECASE,
)
_EVERY_ROW = re.compile(
    r"model.{0,80}(not (exist|found|supported|available)|unknown|invalid|does not exist)"
    r"|(unknown|invalid|unsupported|no such|unrecognized) model|model_not_found"
    r"|(unknown|unrecogni[sz]ed|unsupported|unexpected) (parameter|request argument|argument|field|keyword|value)"
    r"|unsupported_(parameter|value)|extra inputs are not permitted",
    re.IGNORECASE,
)


def refusal(server: str, status: int, body: bytes, headers: Mapping[str, str], *, secret: str = "") -> UpcycleError:
    """The error a refused request becomes.

    Args:
        server: how the server is called in sentences.
        secret: the key in use, struck out of the server's words (some servers repeat it).
    """
    said = words(body)
    if secret:
        said = said.replace(secret, "***")
    if 300 <= status < 400:
        return ProviderError(
            f"{server} redirects to {headers.get('Location', 'another address')}; give that as --base-url"
        )
    if status in {401, 402} or (status == 403 and not _ONE_ROW.search(said)):
        return ProviderError(f"{server} refused the key (HTTP {status}): {said}")
    if status in {404, 405, 501}:
        return ProviderError(f"{server} does not know this model or address (HTTP {status}): {said}")
    if status == 429 and _NO_MONEY.search(said):
        return ProviderError(f"{server} refused for lack of funds: {said}")
    if status in _TRY_AGAIN or status >= 500:
        return AttemptError(
            f"{server} answered HTTP {status}: {said}",
            retry_after=retry_after(headers),
            overloaded=status in _OVERLOADED,
            usage=_usage_inside(body) if status >= 500 else None,
        )
    if _NO_MONEY.search(said) and not _ONE_ROW.search(said):
        return ProviderError(f"{server} refused for lack of funds: {said}")
    if _EVERY_ROW.search(said) and not _ONE_ROW.search(said):
        return ProviderError(f"{server} refused every request of this kind (HTTP {status}): {said}")
    return RowError(RowKind.API_FATAL, f"{server} refused this request (HTTP {status}): {said}")


def words(body: bytes) -> str:
    """The server's own words out of an error body, at most 500 characters on one line."""
    try:
        found: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = body.decode("utf-8", "replace")
    while isinstance(found, dict):
        inner = next((found[k] for k in ("error", "message", "detail", "msg") if found.get(k)), None)
        code = found.get("code")
        if isinstance(inner, str) and isinstance(code, str) and code not in inner:
            inner = f"{inner} ({code})"
        found = str(found) if inner is None else inner
    return " ".join(str(found).split())[:500] or "no explanation"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by the Retry-After header (seconds or an HTTP date), or None."""
    value = headers.get("Retry-After")
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _usage_inside(body: bytes) -> Usage | None:
    # A failed answer that carries a usage block was worked on, and is billed.
    try:
        block = orjson.loads(body).get("usage")
        return Usage(int(block["prompt_tokens"]), int(block.get("completion_tokens", 0))) if block else None
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError):
        return None
