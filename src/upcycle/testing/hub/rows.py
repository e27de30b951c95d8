"""The datasets server beside the fake Hub: configurations, columns and types, and rows, on an address of its own.

GET /info?dataset    GET /splits?dataset    GET /first-rows?dataset&config&split
GET /rows?dataset&config&split&offset&length
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from upcycle.testing.hub.repo import HubRepo
from upcycle.testing.hub.routing import RefusedError, Route

if TYPE_CHECKING:
    from aiohttp import web

    from upcycle.testing.hub.server import FakeHub

_MOST = 100
_TYPES = {bool: "bool", int: "int64", float: "float64", str: "string"}


class Rows:
    """The pages of the datasets server."""

    def __init__(self, hub: FakeHub) -> None:
        self._hub = hub

    def routes(self) -> list[Route]:
        """(method, path, operation, page) of each."""
        return [
            ("GET", "/info", "rows-info", self._info),
            ("GET", "/splits", "splits", self._splits),
            ("GET", "/first-rows", "first-rows", self._first),
            ("GET", "/rows", "rows", self._rows),
        ]

    def _repo(self, request: web.Request) -> HubRepo:
        found = self._hub.repos.get(request.query.get("dataset", ""))
        if found is None or found.private:
            raise RefusedError(404, "The dataset does not exist, or is not accessible.", "ResponseNotFound")
        if found.gated and not (found.granted and self._hub.may_write(request)):
            raise RefusedError(401, "The dataset is gated.", "ExternalUnauthenticatedError")
        if not found.tables():
            raise RefusedError(501, "The dataset cannot be read here.", "DatasetWithScriptNotSupported")
        return found

    async def _info(self, request: web.Request) -> web.StreamResponse:
        told: dict[str, Any] = {}
        for (config, split), rows in self._repo(request).tables().items():
            one = told.setdefault(config, {"features": _features(rows), "splits": {}, "config_name": config})
            one["splits"][split] = {"name": split, "num_examples": len(rows), "num_bytes": 100 * len(rows)}
            one["dataset_size"] = sum(part["num_bytes"] for part in one["splits"].values())
        return self._hub.send({"dataset_info": told, "pending": [], "failed": [], "partial": False})

    async def _splits(self, request: web.Request) -> web.StreamResponse:
        repo = self._repo(request)
        splits = [{"dataset": repo.name, "config": config, "split": split} for config, split in repo.tables()]
        return self._hub.send({"splits": splits, "pending": [], "failed": []})

    async def _first(self, request: web.Request) -> web.StreamResponse:
        repo, key, rows = self._asked(request)
        return self._hub.send({"dataset": repo.name, "config": key[0], "split": key[1], **_shown(rows[:_MOST], 0),
                               "truncated": len(rows) > _MOST})  # fmt: skip

    async def _rows(self, request: web.Request) -> web.StreamResponse:
        _, _, rows = self._asked(request)
        start, length = int(request.query.get("offset", 0)), min(int(request.query.get("length", _MOST)), _MOST)
        told = _shown(rows[start : start + length], start)
        return self._hub.send({**told, "num_rows_total": len(rows), "num_rows_per_page": _MOST, "partial": False})

    def _asked(self, request: web.Request) -> tuple[HubRepo, tuple[str, str], list[dict[str, Any]]]:
        repo = self._repo(request)
        key = request.query.get("config", ""), request.query.get("split", "")
        if key not in (tables := repo.tables()):
            raise RefusedError(404, "The split does not exist.", "ResponseNotFound")
        return repo, key, tables[key]


def _features(rows: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for row in rows[:_MOST]:
        for name, value in row.items():
            if value is not None:
                found.setdefault(name, _feature(value))
    return found


def _feature(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"_type": "List", "feature": _feature(value[0] if value else "")}
    return {"_type": "Value", "dtype": _TYPES.get(type(value), "string")}


def _shown(rows: list[dict[str, Any]], start: int) -> dict[str, Any]:
    features = [
        {"feature_idx": n, "name": name, "type": kind} for n, (name, kind) in enumerate(_features(rows).items())
    ]
    told = [{"row_idx": start + n, "row": row, "truncated_cells": []} for n, row in enumerate(rows)]
    return {"features": features, "rows": told}
