"""A Hub on a local port: what `huggingface_hub` asks of one to make a repository, commit to it and read it back.

    POST /api/repos/create        POST /api/validate-yaml                     GET /api/whoami-v2
    GET  /api/datasets/OWNER/NAME[/revision/REV]                              GET /api/datasets/OWNER/NAME/tree/REV
    POST .../preupload/REV        POST OWNER/NAME.git/info/lfs/objects/batch  PUT /storage/OID, then POST .../verify
    POST .../commit/REV           GET, HEAD /datasets/OWNER/NAME/resolve/REV/FILE

Everything is kept in memory: repositories are `HubRepo` values that a test may look at or fill. Large and binary files
go through LFS, as on the real one; its Xet protocol is not spoken (clients fall back, or set HF_HUB_DISABLE_XET=1).
`FakeHub.routes` is the table of pages: a subclass adds its own.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import orjson

from upcycle.testing.threaded import InThread

if TYPE_CHECKING:
    from aiohttp import web

_BINARY = (".parquet", ".arrow", ".zip", ".gz", ".png", ".webp", ".bin")
_REGULAR_BYTES = 10_000_000
_AT = "2026-01-01T00:00:00.000Z"


class HubFile(NamedTuple):
    """A file of a repository; `lfs` where it was sent through LFS."""

    content: bytes
    lfs: bool = False

    @property
    def oid(self) -> str:
        """sha256 of an LFS file, the git blob id of any other."""
        if self.lfs:
            return hashlib.sha256(self.content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content, usedforsecurity=False).hexdigest()


class HubCommit(NamedTuple):
    """A commit: its id, its message, and which files it wrote and deleted."""

    oid: str
    summary: str
    written: tuple[str, ...]
    deleted: tuple[str, ...]


@dataclass
class HubRepo:
    """A dataset repository as it stands."""

    name: str
    private: bool = False
    files: dict[str, HubFile] = field(default_factory=dict)
    commits: list[HubCommit] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.commit("initial commit", {".gitattributes": HubFile(b"*.parquet filter=lfs diff=lfs merge=lfs -text\n")})

    @property
    def sha(self) -> str:
        """Id of the newest commit."""
        return self.commits[-1].oid

    def commit(self, summary: str, written: Mapping[str, HubFile], deleted: Sequence[str] = ()) -> HubCommit:
        """Write and delete files; returns the commit."""
        before = self.commits[-1].oid if self.commits else self.name
        for name in deleted:
            del self.files[name]
        self.files |= written
        parts = [before, summary, *deleted, *(f"{name} {one.oid}" for name, one in written.items())]
        oid = hashlib.sha1("\n".join(parts).encode(), usedforsecurity=False).hexdigest()
        self.commits.append(HubCommit(oid, summary, tuple(written), tuple(deleted)))
        return self.commits[-1]


class _RefusedError(Exception):
    def __init__(self, status: int, message: str, code: str = "", **more: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.more = status, code, more


Page = Callable[["web.Request"], "Awaitable[web.StreamResponse]"]


class FakeHub(InThread):
    """Use it as `async with` (in this loop) or `with` (in a thread of its own).

    Args:
        token: the one token that may write and see private repositories.
        user: the account it belongs to.
        licences: licences a card may name; any where not given.
        refusing: operation ("create", "info", "preupload", "batch", "upload", "verify", "commit", "resolve") to the
            statuses its next requests are answered with; after those it works. One number is for every request.
        part_bytes: files above this are uploaded in parts.
    """

    def __init__(
        self,
        *,
        token: str = "hf_fake",  # noqa: S107 (a fake one)
        user: str = "somebody",
        licences: frozenset[str] | None = None,
        refusing: Mapping[str, int | Sequence[int]] | None = None,
        part_bytes: int | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.token, self.user = token, user
        self.repos: dict[str, HubRepo] = {}
        self.requests: list[str] = []
        """Every request as "METHOD /path"."""
        self.counts: Counter[str] = Counter()
        """Requests by operation."""
        self._licences = licences
        self._refusing: dict[str, Any] = {
            name: given if isinstance(given, int) else list(given) for name, given in (refusing or {}).items()
        }
        self._part_bytes = part_bytes
        self._stored: dict[str, bytes] = {}
        self._parts: dict[str, dict[int, bytes]] = {}
        self._host, self._port = host, port
        self._runner: web.AppRunner | None = None

    # -- starting and stopping -----------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """What to give as `--endpoint` or HF_ENDPOINT."""
        return f"http://{self._host}:{self._port}"

    def repo(self, name: str, *, private: bool = False) -> HubRepo:
        """The repository of that name; made where there is none."""
        return self.repos.setdefault(name, HubRepo(name, private))

    async def __aenter__(self) -> Self:
        from aiohttp import web

        app = web.Application(client_max_size=1 << 30)
        for method, path, operation, page in self.routes():
            answer = functools.partial(self._answer, operation, page)
            if method == "GET":
                app.router.add_get(path, answer, allow_head=True)
            else:
                app.router.add_route(method, path, answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    # -- answering -----------------------------------------------------------------------------------------------

    def routes(self) -> list[tuple[str, str, str, Page]]:
        """(method, path, operation, page) of everything that is answered."""
        api, repo = "/api/datasets/{owner}/{name}", "/datasets/{owner}/{name}"
        return [
            ("GET", "/api/whoami-v2", "whoami", self._whoami),
            ("POST", "/api/repos/create", "create", self._create),
            ("POST", "/api/validate-yaml", "validate", self._validate),
            ("GET", api, "info", self._info),
            ("GET", api + "/revision/{rev}", "info", self._info),
            ("GET", api + "/tree/{rev}", "tree", self._tree),
            ("GET", api + "/tree/{rev}/{path:.+}", "tree", self._tree),
            ("POST", api + "/preupload/{rev}", "preupload", self._preupload),
            ("POST", api + "/commit/{rev}", "commit", self._commit),
            ("POST", repo + ".git/info/lfs/objects/batch", "batch", self._batch),
            ("PUT", "/storage/{oid}", "upload", self._upload),
            ("PUT", "/storage/{oid}/{part}", "upload", self._upload),
            ("POST", "/storage/{oid}/complete", "complete", self._complete),
            ("POST", "/storage/{oid}/verify", "verify", self._verify),
            ("GET", repo + "/resolve/{rev}/{path:.+}", "resolve", self._resolve),
        ]

    async def _answer(self, operation: str, page: Page, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        self.counts[operation] += 1
        try:
            if status := self._refusal(operation):
                raise _RefusedError(status, f"this Hub refuses to {operation}")
            return await page(request)
        except _RefusedError as refusal:
            body = {"error": str(refusal), **refusal.more}
            headers = {"X-Error-Message": str(refusal), **({"X-Error-Code": refusal.code} if refusal.code else {})}
            return self.send(body, status=refusal.status, headers=headers)

    def _refusal(self, operation: str) -> int:
        planned = self._refusing.get(operation, 0)
        if isinstance(planned, list):
            return planned.pop(0) if planned else 0
        return planned

    def send(self, body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
        """A JSON response."""
        from aiohttp import web

        return web.Response(body=orjson.dumps(body), status=status, headers=headers, content_type="application/json")

    def may_write(self, request: web.Request) -> bool:
        """Whether the request carries the token."""
        return request.headers.get("Authorization") == f"Bearer {self.token}"

    def _owner(self, request: web.Request) -> None:
        if not self.may_write(request):
            given = "Authorization" in request.headers
            raise _RefusedError(401, "Invalid credentials in Authorization header" if given else "Invalid username")

    def named(self, request: web.Request) -> HubRepo:
        """The repository a path names, if the request may see it."""
        name = f"{request.match_info['owner']}/{request.match_info['name']}"
        found = self.repos.get(name)
        if found is None or (found.private and not self.may_write(request)):
            status = 404 if self.may_write(request) else 401
            raise _RefusedError(status, "Repository not found", "RepoNotFound")
        revision = request.match_info.get("rev", "main")
        if revision != "main" and revision not in (commit.oid for commit in found.commits):
            raise _RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return found

    async def _whoami(self, request: web.Request) -> web.StreamResponse:
        self._owner(request)
        return self.send({"type": "user", "name": self.user, "fullname": self.user, "orgs": []})

    async def _create(self, request: web.Request) -> web.StreamResponse:
        self._owner(request)
        asked = await request.json()
        owner = asked.get("organization") or self.user
        if owner != self.user:
            raise _RefusedError(403, f"You don't have the rights to create a dataset under the namespace {owner}")
        name = f"{owner}/{asked['name']}"
        url = f"{self.url}/datasets/{name}"
        if name in self.repos:
            raise _RefusedError(409, "You already created this dataset repo", url=url)
        private = asked.get("visibility") == "private" or asked.get("private") is True
        self.repo(name, private=private)
        return self.send({"url": url, "name": name, "id": name, "private": private})

    async def _validate(self, request: web.Request) -> web.StreamResponse:
        import yaml

        text = (await request.json())["content"]
        parts = text.split("---\n", 2)
        try:
            meta = yaml.safe_load(parts[1]) if text.startswith("---\n") and len(parts) == 3 else {}
        except yaml.YAMLError as error:
            meta, problem = {}, f"the front matter is not YAML: {error}"
        else:
            problem = "" if isinstance(meta, dict) else "the front matter is not a mapping"
        licences = meta.get("license", []) if isinstance(meta, dict) else []
        for licence in licences if isinstance(licences, list) else [licences]:
            if self._licences is not None and licence not in self._licences:
                problem = f'"license" must be one of the known licences, not {licence!r}'
        if problem:
            return self.send({"errors": [{"message": problem}], "warnings": []}, status=400)
        return self.send({"errors": [], "warnings": []})

    async def _info(self, request: web.Request) -> web.StreamResponse:
        repo = self.named(request)
        return self.send(
            {
                "_id": repo.name, "id": repo.name, "author": repo.name.split("/")[0], "sha": repo.sha,
                "private": repo.private, "gated": False, "disabled": False, "downloads": 0, "likes": 0, "tags": [],
                "lastModified": _AT, "createdAt": _AT,
                "siblings": [{"rfilename": name} for name in sorted(repo.files)],
            }
        )  # fmt: skip

    async def _tree(self, request: web.Request) -> web.StreamResponse:
        repo = self.named(request)
        inside = request.match_info.get("path", "").strip("/")
        recursive = request.query.get("recursive", "").lower() == "true"
        entries: dict[str, dict[str, Any]] = {}
        for name, file in sorted(repo.files.items()):
            if inside and not name.startswith(f"{inside}/"):
                continue
            below = name[len(inside) + 1 if inside else 0 :]
            folder, slash, _ = below.partition("/")
            if slash and not recursive:
                path = f"{inside}/{folder}" if inside else folder
                entries[path] = {"type": "directory", "path": path, "size": 0, "oid": repo.sha}
                continue
            entry = {"type": "file", "path": name, "size": len(file.content), "oid": file.oid}
            entries[name] = entry | ({"lfs": _lfs(file)} if file.lfs else {})
        if inside and not entries:
            raise _RefusedError(404, f"{inside} does not exist", "EntryNotFound")
        return self.send(list(entries.values()))

    async def _preupload(self, request: web.Request) -> web.StreamResponse:
        self._owner(request)
        repo = self.named(request)
        files = []
        for asked in (await request.json())["files"]:
            path = asked["path"]
            binary = path.endswith(_BINARY) or b"\0" in base64.b64decode(asked.get("sample") or "")
            mode = "lfs" if binary or asked["size"] > _REGULAR_BYTES else "regular"
            known = repo.files.get(path)
            oid = known.oid if known else None
            files.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return self.send({"files": files})

    async def _batch(self, request: web.Request) -> web.StreamResponse:
        self._owner(request)
        self.named(request)
        objects: list[dict[str, Any]] = []
        for asked in orjson.loads(await request.read())["objects"]:
            oid, size = asked["oid"], asked["size"]
            objects.append({"oid": oid, "size": size})
            if oid not in self._stored:
                objects[-1]["actions"] = self._actions(oid, size)
        return self.send({"transfer": "basic", "objects": objects})

    def _actions(self, oid: str, size: int) -> dict[str, Any]:
        upload: dict[str, Any] = {"href": f"{self.url}/storage/{oid}"}
        if self._part_bytes and size > self._part_bytes:
            count = -(-size // self._part_bytes)
            pages = {str(part): f"{self.url}/storage/{oid}/{part}" for part in range(1, count + 1)}
            header = {"chunk_size": str(self._part_bytes), **pages}
            upload = {"href": f"{self.url}/storage/{oid}/complete", "header": header}
        return {"upload": upload, "verify": {"href": f"{self.url}/storage/{oid}/verify"}}

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        oid, content = request.match_info["oid"], await request.read()
        if part := request.match_info.get("part"):
            self._parts.setdefault(oid, {})[int(part)] = content
        else:
            self._store(oid, content)
        return self.send({}, headers={"ETag": f'"{hashlib.sha256(content).hexdigest()}"'})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        oid = request.match_info["oid"]
        wanted = [part["partNumber"] for part in orjson.loads(await request.read())["parts"]]
        parts = self._parts.pop(oid, {})
        if sorted(parts) != wanted:
            raise _RefusedError(400, f"parts {wanted} were announced, {sorted(parts)} came")
        self._store(oid, b"".join(parts[number] for number in wanted))
        return self.send({})

    def _store(self, oid: str, content: bytes) -> None:
        if hashlib.sha256(content).hexdigest() != oid:
            raise _RefusedError(400, "the content is not what its digest says")
        self._stored[oid] = content

    async def _verify(self, request: web.Request) -> web.StreamResponse:
        self._owner(request)
        asked = orjson.loads(await request.read())
        if len(self._stored.get(asked["oid"], b"")) != asked["size"]:
            raise _RefusedError(404, "the object was not uploaded whole")
        return self.send({})

    async def _commit(self, request: web.Request) -> web.StreamResponse:
        self._owner(request)
        repo = self.named(request)
        lines = [orjson.loads(line) for line in (await request.read()).splitlines() if line]
        head = lines[0]["value"]
        if head.get("parentCommit", repo.sha) != repo.sha:
            raise _RefusedError(412, "A commit has happened since. Please refresh and try again.")
        written, deleted = {}, []
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                written[value["path"]] = HubFile(base64.b64decode(value["content"]))
            elif line["key"] == "lfsFile":
                if value["oid"] not in self._stored:
                    raise _RefusedError(400, f"{value['path']} was not uploaded")
                written[value["path"]] = HubFile(self._stored[value["oid"]], lfs=True)
            elif line["key"] == "deletedFile":
                if value["path"] not in repo.files:
                    raise _RefusedError(404, "A file with this name doesn't exist", "EntryNotFound")
                deleted.append(value["path"])
            else:
                raise _RefusedError(400, f"unknown operation {line['key']!r}")
        made = repo.commit(head["summary"], written, deleted)
        url = f"{self.url}/datasets/{repo.name}/commit/{made.oid}"
        return self.send({"success": True, "commitOid": made.oid, "commitUrl": url})

    async def _resolve(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        repo = self.named(request)
        file = repo.files.get(request.match_info["path"])
        if file is None:
            raise _RefusedError(404, "Entry not found", "EntryNotFound")
        headers = {"ETag": f'"{file.oid}"', "X-Repo-Commit": repo.sha, "Accept-Ranges": "bytes"}
        return web.Response(body=file.content, headers=headers, content_type="application/octet-stream")


def _lfs(file: HubFile) -> dict[str, Any]:
    return {"oid": file.oid, "size": len(file.content), "pointerSize": 134}
