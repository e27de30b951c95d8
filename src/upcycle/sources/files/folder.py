"""A dataset in files: its card and its records.

In: a `Layout` (which files are which split). Out: a `Source`. The decision: columns, nested shapes and row counts are
found on first use from the beginning of each configuration, so that opening a folder of datasets reads little, and the
revision is a digest of the files' contents, so that the same data are the same revision on every machine.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from upcycle.errors import SourceError
from upcycle.records import Record
from upcycle.sources.card import Card, Column, Config, Split
from upcycle.sources.files.columnar import class_names, group_rows, group_sizes
from upcycle.sources.files.flatten import Row, flatten, learn_shape
from upcycle.sources.files.layout import Layout
from upcycle.sources.files.opened import kind_of
from upcycle.sources.files.readers import count, rows
from upcycle.sources.files.tabular import Damaged
from upcycle.sources.source import Skip

_SAMPLE = 64
_WHOLE_DIGEST = 64 << 20
_CHUNK = 1 << 20
_DRAWN_FILES = 8
Labels = Mapping[str, tuple[str, ...]]


class FolderSource:
    """A dataset of one or more files, read as they lie.

    Args:
        revision: what the data are known to be; a digest of the files where not given.
    """

    def __init__(self, layout: Layout, *, id: str | None = None, revision: str | None = None) -> None:  # noqa: A002
        self.id = id or layout.id
        self._layout = layout
        self._revision = revision

    def __repr__(self) -> str:
        return f"FolderSource({self.id!r}, {str(self._layout.root)!r})"

    def records(
        self, *, config: str | None = None, split: str | None = None, skip: Skip | None = None
    ) -> Iterator[Record]:
        """Records in the order of the files.

        Raises:
            SourceError: there is no such configuration or split.
        """
        files = self._layout.files
        if config is not None and config not in files:
            raise SourceError(f"source {self.id} has no configuration {config!r}; it has {', '.join(files)}")
        configs = [config] if config is not None else list(files)
        if split is not None and not any(split in files[name] for name in configs):
            known = dict.fromkeys(name for each in configs for name in files[each])
            raise SourceError(f"source {self.id} has no split {split!r}; it has {', '.join(known)}")
        chosen = [(c, s) for c in configs for s in files[c] if split in (None, s)]
        return itertools.chain.from_iterable(self._split(c, s, skip or _ignore) for c, s in chosen)

    def drawn_split(self, config: str, split: str, seed: int, skip: Skip) -> Iterator[Record]:
        """Records of a split in an order in which neighbours come from different places, for who needs few of many.

        Row groups of Parquet files are taken in a seeded order, eight files at a time; other kinds can only be read
        from their beginning.
        """
        files = self._layout.files[config][split]
        if any(kind_of(path) != "parquet" for path in files):
            yield from self._split(config, split, skip)
            return
        number = 0
        for start in range(0, len(files), _DRAWN_FILES):
            groups: list[tuple[Path, int, int]] = []
            for path in files[start : start + _DRAWN_FILES]:
                try:
                    sizes = group_sizes(path)
                except SourceError as error:
                    skip(str(path), f"{error}; none of its rows of {config}/{split} were read")
                    return  # the numbers of all rows after these are not known
                for group, size in enumerate(sizes):
                    groups.append((path, group, number))
                    number += size
            Random(f"{seed}/{config}/{split}/{start}").shuffle(groups)
            for path, group, first in groups:
                try:
                    for place, row in enumerate(group_rows(path, group), first):
                        yield self._record(config, split, place, row)  # type: ignore[arg-type]
                except SourceError as error:
                    skip(str(path), f"{error}; row group {group} of {config}/{split} was not read to its end")

    def _record(self, config: str, split: str, number: int, row: Row) -> Record:
        fields = flatten(row, self._shapes[config])
        if labels := self._labels[config]:
            fields = _decoded(fields, labels)
        return Record(self.id, config, split, str(number), fields, self.revision)

    def _split(self, config: str, split: str, skip: Skip) -> Iterator[Record]:
        number = -1
        for path in self._layout.files[config][split]:
            try:
                for row in rows(path):
                    number += 1
                    if isinstance(row, Damaged):
                        skip(f"{config}/{split}/{number}", row.reason)
                        continue
                    yield self._record(config, split, number, row)
            except SourceError as error:
                skip(str(path), f"{error}; its rows after number {number} of {config}/{split} were not read")

    @cached_property
    def revision(self) -> str:
        """Digest of names, sizes and contents; of a file over 64 MB its time, head and tail stand for the content."""
        if self._revision is not None:
            return self._revision
        digest = hashlib.sha256()
        paths = {path for splits in self._layout.files.values() for files in splits.values() for path in files}
        if self._layout.readme:
            paths.add(self._layout.readme)
        for path in sorted(paths):
            digest.update(path.relative_to(self._layout.root).as_posix().encode() + b"\0")
            digest.update(_digest(path))
        return digest.hexdigest()[:16]

    @cached_property
    def card(self) -> Card:
        layout, front = self._layout, self._layout.front
        configs = tuple(self._config(name) for name in layout.files)
        numbers = [split.rows for config in configs for split in config.splits]
        paths = {path for splits in layout.files.values() for files in splits.values() for path in files}
        return Card(
            id=self.id,
            name=front.name or self.id,
            text=front.text,
            licence=front.licence,
            languages=front.languages,
            categories=front.categories,
            tags=front.tags,
            configs=configs,
            columns=self.columns,
            rows=None if None in numbers else sum(number or 0 for number in numbers),
            bytes=sum(path.stat().st_size for path in paths),
            revision=self.revision,
            path=str(layout.root if len(paths) > 1 or layout.readme else next(iter(paths))),
        )

    def _config(self, name: str) -> Config:
        splits = []
        for split, files in self._layout.files[name].items():
            stated = self._layout.front.rows
            number = _counted(files)
            if number is None:
                same = [rows for (_, other), rows in stated.items() if other == split]
                number = stated.get((name, split), same[0] if len(same) == 1 else None)
            relative = tuple(path.relative_to(self._layout.root).as_posix() for path in files)
            splits.append(Split(split, relative, number))
        return Config(name, tuple(splits))

    @cached_property
    def _samples(self) -> dict[str, list[Row]]:
        return {config: _first_rows(splits) for config, splits in self._layout.files.items()}

    @cached_property
    def _shapes(self) -> dict[str, dict[str, tuple[str, ...]]]:
        return {config: learn_shape(sample) for config, sample in self._samples.items()}

    @cached_property
    def _labels(self) -> dict[str, Labels]:
        stated = self._layout.front.labels
        found: dict[str, Labels] = {}
        for config, splits in self._layout.files.items():
            first = next(iter(splits.values()))[0]
            # One description without a name, or under another name, can only mean the data there are.
            general = next(iter(stated.values())) if len(stated) == 1 else stated.get("", {})
            found[config] = {**class_names(first), **general, **stated.get(config, {})}
        return found

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Its columns, by the first rows of each configuration."""
        described = self._layout.front.columns
        columns: dict[str, Column] = {}
        for config, sample in self._samples.items():
            labels = self._labels[config]
            flat = [flatten(row, self._shapes[config]) for row in sample]
            for name in dict.fromkeys(name for row in flat for name in row):
                values = [row[name] for row in flat if name in row]
                dtype = "label" if name in labels else dtype_of(values)
                text = described.get(name) or described.get(name.split(".")[0], "")
                known = columns.get(name)
                if known is None or known.dtype == "null":
                    columns[name] = Column(name, dtype, labels.get(name), text)
        return tuple(columns.values())


def dtype_of(values: list[Any]) -> str:
    """Type of a column by its sampled values: the widest of them, "null" where all are missing."""
    filled = [value for value in values if value is not None]
    if not filled:
        return "null"
    if all(isinstance(value, list) for value in filled):
        return f"list[{dtype_of([inner for value in filled for inner in value])}]"
    for dtype, types in (("bool", bool), ("int", int), ("float", (int, float)), ("string", str)):
        if all(isinstance(value, types) for value in filled):
            return dtype
    return "mixed"


def _ignore(ref: str, reason: str) -> None:
    """Nobody asked to be told."""


def _first_rows(splits: Mapping[str, tuple[Path, ...]]) -> list[Row]:
    for path in itertools.chain.from_iterable(splits.values()):
        try:
            sample = [row for row in itertools.islice(rows(path), _SAMPLE) if not isinstance(row, Damaged)]
        except SourceError:
            continue
        if sample:
            return sample
    return []


def _counted(files: tuple[Path, ...]) -> int | None:
    total = 0
    for path in files:
        try:
            number = count(path)
        except SourceError:
            return None
        if number is None:
            return None
        total += number
    return total


def _digest(path: Path) -> bytes:
    facts = path.stat()
    digest = hashlib.sha256(f"{facts.st_size}\0".encode())
    with path.open("rb") as file:
        if facts.st_size > _WHOLE_DIGEST:
            digest.update(str(facts.st_mtime_ns).encode())
            digest.update(file.read(_CHUNK))
            file.seek(-_CHUNK, 2)
            digest.update(file.read(_CHUNK))
        else:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.digest()


def _decoded(fields: Row, labels: Labels) -> Row:
    decoded = dict(fields)
    for name, names in labels.items():
        if name in decoded:
            decoded[name] = _name_of(decoded[name], names)
    return decoded


def _name_of(value: Any, names: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [_name_of(inner, names) for inner in value]
    if isinstance(value, bool) or value in names:
        return value
    if isinstance(value, str):
        value = int(value) if value.lstrip("-").isdecimal() else value
    if isinstance(value, int) and value == -1:
        # The Hub's way of saying that a test set keeps its labels to itself.
        return None
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value
