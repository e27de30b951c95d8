"""Pages of the fake Hub that read: the list of datasets, what one holds, and its files, whole or in ranges.

GET  /api/datasets?full&limit&sort&direction&cursor&expand     GET /api/datasets/OWNER/NAME[/revision/REV]
GET  /api/datasets/OWNER/NAME/tree/REV[/FOLDER]                GET /api/datasets/OWNER/NAME/parquet
GET, HEAD /datasets/OWNER/NAME/resolve/REV/FILE                GET /cdn/OID  (where resolve sends for large files)
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson

from upcycle.testing.hub.repo import HubFile, HubRepo
from upcycle.testing.hub.routing import RefusedError, Route, named

if TYPE_CHECKING:
    from aiohttp import web

    from upcycle.testing.hub.server import FakeHub

_SORTS = {"downloads": "downloads", "likes": "likes", "lastModified": "modified", "createdAt": "name"}


class Reading:
    """The pages of one hub that change nothing."""

    def __init__(self, hub: FakeHub) -> None:
        self._hub = hub

    def routes(self) -> list[Route]:
        """(method, path, operation, page) of each."""
        api, repo = "/api/datasets/{owner}/{name}", "/datasets/{owner}/{name}"
        return [
            ("GET", "/api/datasets", "list", self._list),
            ("GET", api, "info", self._info),
            ("GET", api + "/revision/{rev}", "info", self._info),
            ("GET", api + "/parquet", "parquet", self._parquet),
            ("GET", api + "/tree/{rev}", "tree", self._tree),
            ("GET", api + "/tree/{rev}/{path:.+}", "tree", self._tree),
            ("GET", repo + "/resolve/{rev}/{path:.+}", "resolve", self._resolve),
            ("GET", "/cdn/{oid}", "cdn", self._cdn),
        ]

    async def _list(self, request: web.Request) -> web.StreamResponse:
        asked, hub = request.query, self._hub
        seen = [repo for repo in hub.repos.values() if not repo.private or hub.may_write(request)]
        seen.sort(key=lambda repo: repo.name)
        if sort := asked.get("sort"):
            if sort not in _SORTS:
                raise RefusedError(400, f"cannot sort by {sort}")
            seen.sort(key=lambda repo: getattr(repo, _SORTS[sort]), reverse=asked.get("direction", "-1") == "-1")
        limit = min(int(asked.get("limit", 100)), hub.page)
        start = _start_of(asked.get("cursor"))
        page = seen[start : start + limit]
        if expand := asked.getall("expand", []):
            told = [{"_id": repo.name, "id": repo.name, **_expanded(repo, expand)} for repo in page]
        else:
            told = [repo.facts(full=asked.get("full", "").lower() == "true") for repo in page]
        body = orjson.dumps(told)
        headers = {"ETag": f'W/"{hashlib.sha1(body, usedforsecurity=False).hexdigest()}"'}
        if start + limit < len(seen):
            again = [(key, value) for key, value in asked.items() if key != "cursor"]
            cursor = base64.urlsafe_b64encode(str(start + limit).encode()).decode()
            headers["Link"] = f'<{hub.url}/api/datasets?{urlencode([*again, ("cursor", cursor)])}>; rel="next"'
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return hub.send(None, status=304, headers=headers)
        return hub.send(told, headers=headers)

    async def _info(self, request: web.Request) -> web.StreamResponse:
        repo = named(self._hub, request)
        sha, files = _at(repo, request)
        told = {**repo.facts(), "sha": sha, "siblings": [{"rfilename": name} for name in sorted(files)]}
        return self._hub.send(told)

    async def _parquet(self, request: web.Request) -> web.StreamResponse:
        repo = named(self._hub, request)
        if not repo.converted:
            raise RefusedError(404, "No parquet conversion", "EntryNotFound")
        found: dict[str, dict[str, list[str]]] = {}
        for name in sorted(repo.converted):
            config, split, file = name.split("/")
            url = f"{self._hub.url}/api/datasets/{repo.name}/parquet/{config}/{split}/{file}"
            found.setdefault(config, {}).setdefault(split, []).append(url)
        return self._hub.send(found)

    async def _tree(self, request: web.Request) -> web.StreamResponse:
        repo = named(self._hub, request)
        sha, files = _at(repo, request)
        inside = request.match_info.get("path", "").strip("/")
        recursive = request.query.get("recursive", "").lower() == "true"
        entries: dict[str, dict[str, Any]] = {}
        for name, file in sorted(files.items()):
            if inside and not name.startswith(f"{inside}/"):
                continue
            below = name[len(inside) + 1 if inside else 0 :]
            folder, slash, _ = below.partition("/")
            if slash and not recursive:
                path = f"{inside}/{folder}" if inside else folder
                entries[path] = {"type": "directory", "path": path, "size": 0, "oid": sha}
                continue
            entry = {"type": "file", "path": name, "size": len(file.content), "oid": file.oid}
            entries[name] = entry | ({"lfs": _lfs(file)} if file.lfs else {})
        if inside and not entries:
            raise RefusedError(404, f"{inside} does not exist", "EntryNotFound")
        return self._hub.send(list(entries.values()))

    async def _resolve(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        repo = named(self._hub, request)
        sha, files = _at(repo, request)
        if repo.gated and not (repo.granted and self._hub.may_write(request)):
            given = "Authorization" in request.headers
            raise RefusedError(403 if given else 401, f"Access to dataset {repo.name} is restricted", "GatedRepo")
        file = files.get(request.match_info["path"])
        if file is None:
            raise RefusedError(404, "Entry not found", "EntryNotFound")
        headers = {"ETag": f'"{file.oid}"', "X-Repo-Commit": sha, "Accept-Ranges": "bytes"}
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        if file.lfs and self._hub.redirecting:
            # As the real one does: the bytes of large files lie elsewhere.
            self._hub.large[file.oid] = file.content, headers
            linked = {"X-Linked-Size": str(len(file.content)), "X-Linked-ETag": headers["ETag"]}
            return web.Response(
                status=302, headers={**headers, **linked, "Location": f"{self._hub.url}/cdn/{file.oid}"}
            )
        return _ranged(request, file.content, headers)

    async def _cdn(self, request: web.Request) -> web.StreamResponse:
        found = self._hub.large.get(request.match_info["oid"])
        if found is None:
            raise RefusedError(403, "the address is not valid any more")
        return _ranged(request, *found)


def _ranged(request: web.Request, content: bytes, headers: dict[str, str]) -> web.StreamResponse:
    from aiohttp import web

    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if asked is None:
        return web.Response(body=content, headers=headers, content_type="application/octet-stream")
    start, end = int(asked[1]), min(int(asked[2] or len(content) - 1), len(content) - 1)
    if start >= len(content):
        return web.Response(status=416, headers={**headers, "Content-Range": f"bytes */{len(content)}"})
    headers = {**headers, "Content-Range": f"bytes {start}-{end}/{len(content)}"}
    body = content[start : end + 1]
    return web.Response(status=206, body=body, headers=headers, content_type="application/octet-stream")


def _at(repo: HubRepo, request: web.Request) -> tuple[str, dict[str, HubFile]]:
    revision = request.match_info.get("rev", "main")
    if (found := repo.at(revision)) is None:
        raise RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return found


def _expanded(repo: HubRepo, wanted: list[str]) -> dict[str, Any]:
    facts = repo.facts()
    return {name: facts[name] for name in wanted if name in facts}


def _start_of(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(cursor))
    except ValueError:
        raise RefusedError(400, "Invalid cursor") from None


def _lfs(file: HubFile) -> dict[str, Any]:
    return {"oid": file.oid, "size": len(file.content), "pointerSize": 134}
