"""A dataset on a Hub as a source: its files at one commit, of which only what is needed is read.

In: "hub:OWNER/NAME", with ":CONFIGURATION" and "@REVISION" where they matter. Out: a source whose revision is the
commit, or the reason why it is none. The decision: rows are read by what reads folders, through streams that ask for
ranges; a script is never run, and where a repository holds no rows, the Hub's own conversion to Parquet is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, cast
from urllib.parse import quote

from upcycle.errors import ConfigError, SourceError
from upcycle.records import Record
from upcycle.sources.card import Card, Config, Split
from upcycle.sources.files.folder import FolderSource
from upcycle.sources.files.layout import Files, Layout
from upcycle.sources.files.readers import count
from upcycle.sources.files.remote import Blocks, RemoteFile
from upcycle.sources.hub.facts import holds_rows, listing_of
from upcycle.sources.hub.files import LaidOut, conversion, file_sizes, laid_out, part, readme
from upcycle.sources.hub.wire import Hub, path_of
from upcycle.sources.source import Skip

_NAME = re.compile(r"(?P<id>[\w.-]+(?:/[\w.-]+)?)(?::(?P<config>[^@]+))?(?:@(?P<revision>[\w./-]+))?", re.ASCII)
_COUNTED_FILES = 4
_HANDED = 20_000


class HubName(NamedTuple):
    """What a name on the command line says after "hub:"."""

    id: str
    config: str | None = None
    revision: str | None = None

    def pinned(self, commit: str) -> str:
        """The name that means the same rows for ever."""
        return f"hub:{self.id}{f':{self.config}' if self.config else ''}@{commit}"


def read_name(text: str) -> HubName:
    """The parts of "hub:OWNER/NAME[:CONFIGURATION][@REVISION]".

    Raises:
        ConfigError: it is not like that.
    """
    found = _NAME.fullmatch(text.removeprefix("hub:"))
    if found is None:
        raise ConfigError(f"{text!r} names no dataset of a Hub; write it like hub:owner/name or hub:owner/name@commit")
    return HubName(found["id"], found["config"], found["revision"])


class HubSource:
    """One dataset at one commit; `open_hub` makes it.

    Attributes:
        name: the name that opens the same rows again.
        notes: what of it is left out.
    """

    def __init__(self, name: str, layout: Layout, card: Card, notes: tuple[str, ...]) -> None:
        self.id, self.name, self.notes = card.id, name, notes
        self._layout, self._card = layout, card
        self._files = FolderSource(layout, id=card.id, revision=card.revision)
        self._handed: dict[tuple[str, str, str], Record] = {}

    def __repr__(self) -> str:
        return f"HubSource({self.name!r})"

    @cached_property
    def card(self) -> Card:
        """Its card; columns are found by the first rows."""
        numbers = [split.rows for config in self._card.configs for split in config.splits]
        rows = None if None in numbers else sum(number or 0 for number in numbers)
        return replace(self._card, columns=self._files.columns, rows=self._counted() if rows is None else rows)

    def _counted(self) -> int | None:
        """Rows of a few Parquet files; of more, and of text, counting is dear."""
        files = [file for splits in self._layout.files.values() for some in splits.values() for file in some]
        if len(files) > _COUNTED_FILES or any(file.suffix != ".parquet" for file in files):
            return None
        return sum(count(file) or 0 for file in files)

    def records(
        self, *, config: str | None = None, split: str | None = None, skip: Skip | None = None
    ) -> Iterator[Record]:
        """Records in the order of the files.

        Raises:
            SourceError: there is no such configuration or split.
        """
        return self._files.records(config=config, split=split, skip=skip)

    def drawn(self, seed: int, skip: Skip | None = None) -> Iterator[Record]:
        """All records, those of configurations and splits in turn, neighbours from different places of the files."""
        files, told = self._layout.files, skip or _ignore
        streams = [self._files.drawn_split(config, split, seed, told) for config in files for split in files[config]]
        while streams:
            for stream in list(streams):
                record = next(stream, None)
                if record is None:
                    streams.remove(stream)
                    continue
                if len(self._handed) < _HANDED:
                    self._handed[record.config, record.split, record.id] = record
                yield record

    def handed(self, config: str, split: str, number: str) -> Record | None:
        """A record that was drawn before, so that nobody asks the Hub for it again."""
        return self._handed.get((config, split, number))


def open_hub(text: str, hub: Hub) -> HubSource:
    """Open a dataset; its rows are not read yet.

    Raises:
        ConfigError: the name is none.
        HubError: no network, or the dataset is not there, or is gated.
        SourceError: why it cannot be used: a script, no rows, no such configuration.
    """
    name = read_name(text)
    facts, _ = hub.json(path_of(name.id) + (f"/revision/{quote(name.revision, safe='')}" if name.revision else ""))
    listing = listing_of(facts) if isinstance(facts, Mapping) else None
    if listing is None or not listing.revision:
        raise SourceError(f"{hub.address} does not say what a Hub says of a dataset")
    commit = listing.revision
    sizes = file_sizes(hub, name.id, commit)
    card = readme(hub, name.id, commit, sizes)
    if not any(map(holds_rows, sizes)):
        commit, sizes = conversion(hub, name.id, sizes, facts.get("gated"))
    found = laid_out(name.id, sizes, card, name.config)
    if facts.get("gated"):
        # Its facts are for everybody and its rows are not: better to know now.
        path = next(file for splits in found.files.values() for files in splits.values() for file in files)
        part(hub, name.id, commit, path, 0, 1)
    front = found.front
    about = Card(
        id=name.id,
        name=front.name or listing.name or name.id,
        text=front.text or listing.text,
        licence=front.licence or listing.licence,
        languages=front.languages or listing.languages,
        categories=front.categories or listing.categories,
        tags=front.tags or listing.tags,
        configs=_configs(found),
        columns=(),
        rows=None,
        bytes=sum(sizes[path] for splits in found.files.values() for files in splits.values() for path in files),
        revision=commit,
        path=f"{hub.address}/datasets/{name.id}/tree/{commit}",
    )
    return HubSource(name.pinned(commit), _elsewhere(hub, name.id, commit, sizes, found), about, found.notes)


def _configs(found: LaidOut) -> tuple[Config, ...]:
    stated = found.front.rows
    return tuple(
        Config(config, tuple(Split(split, files, stated.get((config, split), stated.get(("", split))))
                             for split, files in splits.items()))
        for config, splits in found.files.items()
    )  # fmt: skip


def _elsewhere(hub: Hub, name: str, commit: str, sizes: Mapping[str, int], found: LaidOut) -> Layout:
    """The layout with files that are read from the Hub."""
    blocks = Blocks()

    def remote(path: str) -> RemoteFile:
        return RemoteFile(path, sizes[path], lambda a, b: part(hub, name, commit, path, a, b), blocks)

    files = {
        config: {split: tuple(map(remote, some)) for split, some in splits.items()}
        for config, splits in found.files.items()
    }
    # What reads folders opens the files of a layout and asks nothing else of them.
    return Layout(name, Path(), cast("Files", files), found.front)


def _ignore(ref: str, reason: str) -> None:
    """Nobody asked to be told."""
