"""A dataset repository of the fake Hub: its files at every commit, and what a Hub counts and says of it.

In: files that a test writes. Out: the same at any revision, the facts of its card, and its rows as the datasets server
gives them. The decision: every commit keeps its own tree, so that what was pinned can be read after the branch went on.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NamedTuple

CONVERTED = "refs/convert/parquet"
"""The branch on which a Hub keeps a dataset as Parquet."""
_AT = "2026-01-01T00:00:00.000Z"
_SAID = 200


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
    """A dataset repository as it stands.

    Attributes:
        gated: False, "auto" or "manual"; such files are only for those who were granted access.
        granted: whether the Hub's token was.
        converted: files of the branch of Parquet conversions, by path ("default/train/0000.parquet").
        modified: when it last changed, as the Hub writes it.
    """

    name: str
    private: bool = False
    files: dict[str, HubFile] = field(default_factory=dict)
    commits: list[HubCommit] = field(default_factory=list)
    gated: bool | str = False
    granted: bool = False
    downloads: int = 0
    likes: int = 0
    modified: str = _AT
    converted: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._trees: dict[str, dict[str, HubFile]] = {}
        self.commit("initial commit", {".gitattributes": HubFile(b"*.parquet filter=lfs diff=lfs merge=lfs -text\n")})

    @property
    def sha(self) -> str:
        """Id of the newest commit."""
        return self.commits[-1].oid

    def commit(
        self, summary: str, written: Mapping[str, HubFile], deleted: Sequence[str] = (), *, at: str | None = None
    ) -> HubCommit:
        """Write and delete files; returns the commit."""
        before = self.commits[-1].oid if self.commits else self.name
        for name in deleted:
            del self.files[name]
        self.files |= written
        self.modified = at or self.modified
        parts = [before, summary, *deleted, *(f"{name} {one.oid}" for name, one in written.items())]
        oid = hashlib.sha1("\n".join(parts).encode(), usedforsecurity=False).hexdigest()
        self.commits.append(HubCommit(oid, summary, tuple(written), tuple(deleted)))
        self._trees[oid] = dict(self.files)
        return self.commits[-1]

    def write(self, files: Mapping[str, bytes | str], *, at: str | None = None) -> HubCommit:
        """Commit files by their contents, Parquet through LFS."""
        as_bytes = {name: one.encode() if isinstance(one, str) else one for name, one in files.items()}
        written = {name: HubFile(one, lfs=name.endswith(".parquet")) for name, one in as_bytes.items()}
        return self.commit(f"{len(files)} files", written, at=at)

    def at(self, revision: str) -> tuple[str, dict[str, HubFile]] | None:
        """The commit and the files of a branch or a commit; None where there is none."""
        if revision in ("main", self.sha):
            return self.sha, self.files
        digest = hashlib.sha1(b"".join(self.converted.values()), usedforsecurity=False).hexdigest()
        if self.converted and revision in (CONVERTED, digest):
            return digest, {name: HubFile(content, lfs=True) for name, content in self.converted.items()}
        tree = self._trees.get(revision)
        return None if tree is None else (revision, tree)

    def facts(self, *, full: bool = True) -> dict[str, Any]:
        """What the Hub's API says of it."""
        card, body = self._card()
        tags = [f"{kind}:{one}" for kind in ("task_categories", "license", "language") for one in _list(card.get(kind))]
        told: dict[str, Any] = {
            "_id": self.name, "id": self.name, "author": self.name.split("/")[0], "sha": self.sha,
            "private": self.private, "gated": self.gated, "disabled": False, "downloads": self.downloads,
            "likes": self.likes, "tags": [*tags, *_list(card.get("tags"))], "lastModified": self.modified,
            "createdAt": _AT,
        }  # fmt: skip
        if full:
            words = " ".join(re.sub(r"[#*`]", " ", body).split())
            told["description"] = words if len(words) <= _SAID else f"{words[:_SAID]}\N{HORIZONTAL ELLIPSIS} See the"
            told["cardData"] = card
            told["siblings"] = [{"rfilename": name} for name in sorted(self.files)]
        return told

    def _card(self) -> tuple[dict[str, Any], str]:
        import yaml

        readme = self.files.get("README.md")
        text = readme.content.decode("utf-8", "replace") if readme else ""
        parts = text.split("---\n", 2)
        if not text.startswith("---\n") or len(parts) < 3:
            return {}, text
        try:
            meta = yaml.safe_load(parts[1])
        except yaml.YAMLError:
            return {}, parts[2]
        return (meta if isinstance(meta, dict) else {}), parts[2]

    def tables(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        """Rows by configuration and split, of its Parquet and JSONL files."""
        if self.converted:
            found: dict[tuple[str, str], list[dict[str, Any]]] = {}
            for name, content in self.converted.items():
                config, split, *_ = PurePosixPath(name).parts
                found.setdefault((config, split), []).extend(_rows(name, content))
            return found
        found = {}
        for name, file in sorted(self.files.items()):
            if name.endswith((".parquet", ".jsonl")):
                split = next((one for one in ("test", "validation") if one in name), "train")
                found.setdefault(("default", split), []).extend(_rows(name, file.content))
        return found


def _rows(name: str, content: bytes) -> list[dict[str, Any]]:
    if name.endswith(".jsonl"):
        return [json.loads(line) for line in content.decode().split("\n") if line.strip()]
    import pyarrow.parquet as pq

    return pq.read_table(io.BytesIO(content)).to_pylist()


def _list(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]
