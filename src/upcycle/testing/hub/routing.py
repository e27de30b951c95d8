"""What pages of the fake Hub share: the shape of a route, a refusal, and the repository that a path names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from upcycle.testing.hub.repo import HubRepo

if TYPE_CHECKING:
    from aiohttp import web

    from upcycle.testing.hub.server import FakeHub

Page = Callable[["web.Request"], "Awaitable[web.StreamResponse]"]
Route = tuple[str, str, str, Page]
"""Method, path, operation, page."""


class RefusedError(Exception):
    """An answer other than 200, with the words and the code of a Hub."""

    def __init__(self, status: int, message: str, code: str = "", **more: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.more = status, code, more


def only_owner(hub: FakeHub, request: web.Request) -> None:
    """Refuse who does not carry the token."""
    if not hub.may_write(request):
        given = "Authorization" in request.headers
        raise RefusedError(401, "Invalid credentials in Authorization header" if given else "Invalid username")


def named(hub: FakeHub, request: web.Request) -> HubRepo:
    """The repository a path names, if the request may see it and its revision is there."""
    name = f"{request.match_info['owner']}/{request.match_info['name']}"
    found = hub.repos.get(name)
    if found is None or (found.private and not hub.may_write(request)):
        status = 404 if hub.may_write(request) else 401
        raise RefusedError(status, "Repository not found", "RepoNotFound")
    revision = request.match_info.get("rev", "main")
    if found.at(revision) is None:
        raise RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return found
