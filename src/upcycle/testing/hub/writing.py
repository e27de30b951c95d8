"""Pages of the fake Hub that write: making a repository, sending its files, and the commit that takes them in.

GET  /api/whoami-v2                  POST /api/repos/create            POST /api/validate-yaml
POST .../preupload/REV               POST OWNER/NAME.git/info/lfs/objects/batch
PUT  /storage/OID, then POST .../verify                                POST .../commit/REV
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import orjson

from upcycle.testing.hub.repo import HubFile
from upcycle.testing.hub.routing import RefusedError, Route, named, only_owner

if TYPE_CHECKING:
    from aiohttp import web

    from upcycle.testing.hub.server import FakeHub

_BINARY = (".parquet", ".arrow", ".zip", ".gz", ".png", ".webp", ".bin")
_REGULAR_BYTES = 10_000_000


class Writing:
    """The pages of one hub that change it.

    Args:
        licences: licences a card may name; any where not given.
        part_bytes: files above this are uploaded in parts.
    """

    def __init__(self, hub: FakeHub, licences: frozenset[str] | None, part_bytes: int | None) -> None:
        self._hub = hub
        self._licences, self._part_bytes = licences, part_bytes
        self._stored: dict[str, bytes] = {}
        self._parts: dict[str, dict[int, bytes]] = {}

    def routes(self) -> list[Route]:
        """(method, path, operation, page) of each."""
        api, repo = "/api/datasets/{owner}/{name}", "/datasets/{owner}/{name}"
        return [
            ("GET", "/api/whoami-v2", "whoami", self._whoami),
            ("POST", "/api/repos/create", "create", self._create),
            ("POST", "/api/validate-yaml", "validate", self._validate),
            ("POST", api + "/preupload/{rev}", "preupload", self._preupload),
            ("POST", api + "/commit/{rev}", "commit", self._commit),
            ("POST", repo + ".git/info/lfs/objects/batch", "batch", self._batch),
            ("PUT", "/storage/{oid}", "upload", self._upload),
            ("PUT", "/storage/{oid}/{part}", "upload", self._upload),
            ("POST", "/storage/{oid}/complete", "complete", self._complete),
            ("POST", "/storage/{oid}/verify", "verify", self._verify),
        ]

    async def _whoami(self, request: web.Request) -> web.StreamResponse:
        only_owner(self._hub, request)
        return self._hub.send({"type": "user", "name": self._hub.user, "fullname": self._hub.user, "orgs": []})

    async def _create(self, request: web.Request) -> web.StreamResponse:
        only_owner(self._hub, request)
        asked = await request.json()
        owner = asked.get("organization") or self._hub.user
        if owner != self._hub.user:
            raise RefusedError(403, f"You don't have the rights to create a dataset under the namespace {owner}")
        name = f"{owner}/{asked['name']}"
        url = f"{self._hub.url}/datasets/{name}"
        if name in self._hub.repos:
            raise RefusedError(409, "You already created this dataset repo", url=url)
        private = asked.get("visibility") == "private" or asked.get("private") is True
        self._hub.repo(name, private=private)
        return self._hub.send({"url": url, "name": name, "id": name, "private": private})

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
            return self._hub.send({"errors": [{"message": problem}], "warnings": []}, status=400)
        return self._hub.send({"errors": [], "warnings": []})

    async def _preupload(self, request: web.Request) -> web.StreamResponse:
        only_owner(self._hub, request)
        repo = named(self._hub, request)
        files = []
        for asked in (await request.json())["files"]:
            path = asked["path"]
            binary = path.endswith(_BINARY) or b"\0" in base64.b64decode(asked.get("sample") or "")
            mode = "lfs" if binary or asked["size"] > _REGULAR_BYTES else "regular"
            known = repo.files.get(path)
            oid = known.oid if known else None
            files.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return self._hub.send({"files": files})

    async def _batch(self, request: web.Request) -> web.StreamResponse:
        only_owner(self._hub, request)
        named(self._hub, request)
        objects: list[dict[str, Any]] = []
        for asked in orjson.loads(await request.read())["objects"]:
            oid, size = asked["oid"], asked["size"]
            objects.append({"oid": oid, "size": size})
            if oid not in self._stored:
                objects[-1]["actions"] = self._actions(oid, size)
        return self._hub.send({"transfer": "basic", "objects": objects})

    def _actions(self, oid: str, size: int) -> dict[str, Any]:
        upload: dict[str, Any] = {"href": f"{self._hub.url}/storage/{oid}"}
        if self._part_bytes and size > self._part_bytes:
            count = -(-size // self._part_bytes)
            pages = {str(part): f"{self._hub.url}/storage/{oid}/{part}" for part in range(1, count + 1)}
            header = {"chunk_size": str(self._part_bytes), **pages}
            upload = {"href": f"{self._hub.url}/storage/{oid}/complete", "header": header}
        return {"upload": upload, "verify": {"href": f"{self._hub.url}/storage/{oid}/verify"}}

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        oid, content = request.match_info["oid"], await request.read()
        if part := request.match_info.get("part"):
            self._parts.setdefault(oid, {})[int(part)] = content
        else:
            self._store(oid, content)
        return self._hub.send({}, headers={"ETag": f'"{hashlib.sha256(content).hexdigest()}"'})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        oid = request.match_info["oid"]
        wanted = [part["partNumber"] for part in orjson.loads(await request.read())["parts"]]
        parts = self._parts.pop(oid, {})
        if sorted(parts) != wanted:
            raise RefusedError(400, f"parts {wanted} were announced, {sorted(parts)} came")
        self._store(oid, b"".join(parts[number] for number in wanted))
        return self._hub.send({})

    def _store(self, oid: str, content: bytes) -> None:
        if hashlib.sha256(content).hexdigest() != oid:
            raise RefusedError(400, "the content is not what its digest says")
        self._stored[oid] = content

    async def _verify(self, request: web.Request) -> web.StreamResponse:
        only_owner(self._hub, request)
        asked = orjson.loads(await request.read())
        if len(self._stored.get(asked["oid"], b"")) != asked["size"]:
            raise RefusedError(404, "the object was not uploaded whole")
        return self._hub.send({})

    async def _commit(self, request: web.Request) -> web.StreamResponse:
        only_owner(self._hub, request)
        repo = named(self._hub, request)
        lines = [orjson.loads(line) for line in (await request.read()).splitlines() if line]
        head = lines[0]["value"]
        if head.get("parentCommit", repo.sha) != repo.sha:
            raise RefusedError(412, "A commit has happened since. Please refresh and try again.")
        written, deleted = {}, []
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                written[value["path"]] = HubFile(base64.b64decode(value["content"]))
            elif line["key"] == "lfsFile":
                if value["oid"] not in self._stored:
                    raise RefusedError(400, f"{value['path']} was not uploaded")
                written[value["path"]] = HubFile(self._stored[value["oid"]], lfs=True)
            elif line["key"] == "deletedFile":
                if value["path"] not in repo.files:
                    raise RefusedError(404, "A file with this name doesn't exist", "EntryNotFound")
                deleted.append(value["path"])
            else:
                raise RefusedError(400, f"unknown operation {line['key']!r}")
        made = repo.commit(head["summary"], written, deleted)
        url = f"{self._hub.url}/datasets/{repo.name}/commit/{made.oid}"
        return self._hub.send({"success": True, "commitOid": made.oid, "commitUrl": url})
