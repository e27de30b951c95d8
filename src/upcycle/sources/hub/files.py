"""Files of a dataset on a Hub at one commit: how large they are, which configuration and split they are, and parts.

In: a dataset's id and a commit. Out: sizes by path, a layout, bytes of a file from a place to another. The decision:
the layout is found by what lays out folders, from a folder that holds the card and empty files of the same names.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import quote

from upcycle.errors import SourceError
from upcycle.sources.card import FrontMatter
from upcycle.sources.files.layout import one_dataset
from upcycle.sources.hub.facts import holds_rows, why_not
from upcycle.sources.hub.wire import CARD_BYTES, Hub, HubError, path_of

CONVERTED = "refs/convert/parquet"
"""The branch on which a Hub keeps what it converted to Parquet."""
_CONVERTED_FILE = re.compile(r"[^/]+/[^/]+/\d{4}\.parquet")
_MOST_FILES = 2_000
_MOST_CONFIGS = 8

Layout = dict[str, dict[str, tuple[str, ...]]]
"""Configuration to split to paths."""


class LaidOut(NamedTuple):
    """Which files are what, by the card and their names; `notes` say what was left out."""

    files: Layout
    front: FrontMatter
    notes: tuple[str, ...]


def file_sizes(hub: Hub, name: str, commit: str) -> dict[str, int]:
    """Bytes of each file, by path.

    Raises:
        HubError: they cannot be listed.
    """
    sizes: dict[str, int] = {}
    for page in hub.pages(f"{path_of(name)}/tree/{quote(commit, safe='')}?recursive=true"):
        for entry in page:
            if isinstance(entry, Mapping) and entry.get("type") == "file" and _is_inside(str(entry.get("path", ""))):
                sizes[str(entry["path"])] = int(entry.get("size") or 0)
    return sizes


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts


def conversion(hub: Hub, name: str, sizes: Mapping[str, int], gated: object) -> tuple[str, dict[str, int]]:
    """The commit and the files of the Hub's own conversion to Parquet, for a dataset that holds no rows itself.

    Raises:
        SourceError: there is none, so the dataset cannot be used; it says why.
    """
    try:
        facts, _ = hub.json(f"{path_of(name)}/revision/{quote(CONVERTED, safe='')}")
    except HubError as error:
        if error.kind != "gone":
            raise
        why = why_not(name, list(sizes), gated) or "no file of rows that can be read"
        raise SourceError(f"it has {why}" if why != "gated" else f"it is {why}") from None
    commit = str(facts.get("sha") or CONVERTED)
    return commit, {path: size for path, size in file_sizes(hub, name, commit).items() if holds_rows(path)}


def readme(hub: Hub, name: str, commit: str, sizes: Mapping[str, int]) -> str:
    """The beginning of its card, "" where there is none."""
    if "README.md" not in sizes:
        return ""
    path = path_of(name, resolve=commit, file="README.md")
    reply = hub.get(path, headers={"Range": f"bytes=0-{CARD_BYTES - 1}"})
    return reply.body[:CARD_BYTES].decode("utf-8", "replace")


def part(hub: Hub, name: str, commit: str, path: str, start: int, end: int) -> bytes:
    """Bytes of a file.

    Raises:
        HubError: they cannot be had.
    """
    address = path_of(name, resolve=commit, file=path)
    reply = hub.get(address, headers={"Range": f"bytes={start}-{end - 1}"})
    found = reply.body if reply.status == 206 else reply.body[start:end]
    if len(found) != end - start:
        raise HubError("refused", f"{name}/{path} is not as long as the Hub says it is", reply.status)
    return found


def laid_out(name: str, sizes: Mapping[str, int], card: str, config: str | None) -> LaidOut:
    """Which files are which configuration and split.

    Raises:
        SourceError: no file of rows, or no such configuration.
    """
    paths = [path for path, size in sorted(sizes.items()) if holds_rows(path) and size]
    notes = []
    if len(paths) > _MOST_FILES:
        notes.append(f"{name}: the first {_MOST_FILES:,} of its {len(paths):,} files are read")
        paths = paths[:_MOST_FILES]
    with tempfile.TemporaryDirectory(prefix="upcycle-hub-") as folder:
        front, files, told = _in_folder(Path(folder), name, paths, card)
    notes += told
    if paths and all(_CONVERTED_FILE.fullmatch(path) for path in paths) and not front.data_files:
        files = _converted(paths)
    if config is not None:
        if config not in files:
            known = ", ".join(list(files)[:20]) or "none"
            raise SourceError(f"it has no configuration {config!r}; it has {known}")
        files = {config: files[config]}
    if not files:
        raise SourceError("it has no file of rows that can be read")
    if len(files) > _MOST_CONFIGS:
        first = [one for one in files if one == "default"] + [one for one in files if one != "default"]
        told = f"{_MOST_CONFIGS} of its {len(files):,} configurations are read"
        notes.append(f"{name}: {told}; name another as hub:{name}:CONFIGURATION")
        files = {one: files[one] for one in first[:_MOST_CONFIGS]}
    return LaidOut(files, front, tuple(notes))


def _converted(paths: list[str]) -> Layout:
    files: dict[str, dict[str, list[str]]] = {}
    for path in paths:
        config, split, _ = path.split("/")
        files.setdefault(config, {}).setdefault(split, []).append(path)
    return {config: {split: tuple(some) for split, some in splits.items()} for config, splits in files.items()}


def _in_folder(folder: Path, name: str, paths: list[str], card: str) -> tuple[FrontMatter, Layout, list[str]]:
    for path in paths:
        made = folder / path
        made.parent.mkdir(parents=True, exist_ok=True)
        made.touch()
    if card:
        (folder / "README.md").write_text(card, encoding="utf-8")
    found, left_out = one_dataset(folder, name)
    files = {
        config: {
            split: tuple(path.relative_to(folder).as_posix() for path in some) for split, some in splits.items()
        }
        for config, splits in found.files.items()
    }  # fmt: skip
    told = [f"{one.name.removeprefix(f'{folder}/')}: {one.why}" for one in left_out]
    return found.front, files, [f"{name}/{one}" for one in told]
