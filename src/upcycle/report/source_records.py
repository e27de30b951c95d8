"""The source records behind rows, read again: a run stores where a record lies and its digest, not the record.

In: rows' origins and the names of the sources. Out: the fields of each record that is still there. The decision: a
source that has disappeared, or a record that is another one by now, is said to be so beside the row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from upcycle.errors import SourceError
from upcycle.records import Origin, Record
from upcycle.sources.hub.source import HubSource
from upcycle.sources.source import Source, is_of_hub, open_sources

Key = tuple[str, str, str, str]
"""Source, configuration, split, number."""
_ABOVE = 5
"""Folders looked into for a source with a relative name: the run's own and those above it."""


@dataclass(frozen=True)
class SourceRecords:
    """Records by where they lie.

    Attributes:
        fields: of each record that was read.
        changed: those whose digest is not the one the run noted.
        missing: source to the reason why its records are not here.
    """

    fields: Mapping[Key, Mapping[str, Any]] = field(default_factory=dict)
    changed: frozenset[Key] = frozenset()
    missing: Mapping[str, str] = field(default_factory=dict)


def key_of(origin: Origin) -> Key | None:
    """Where the record of a row lies; None where it has none."""
    if origin.source is None or origin.record is None:
        return None
    return origin.source, origin.config or "", origin.split or "", origin.record


def read_again(
    origins: Iterable[Origin],
    names: Sequence[str],
    *,
    near: Path = Path(),
    opened: Sequence[Source] = (),
    limit: int | None = None,
) -> SourceRecords:
    """Read the records these origins name.

    Args:
        names: sources as a task file or `--source` names them; used where `opened` is empty.
        near: a run's folder; a relative name is looked for here and in the folders above it, since it was given from
            where the build was started.
        opened: the same sources where a caller has them open.
        limit: read at most so many records of one split.
    """
    wanted: dict[str, dict[tuple[str, str], dict[str, str | None]]] = {}
    for origin in origins:
        if (key := key_of(origin)) is not None:
            wanted.setdefault(key[0], {}).setdefault(key[1:3], {})[key[3]] = origin.record_sha256
    if not wanted:
        return SourceRecords()
    missing: dict[str, str] = {}
    by_id = {_id(source): source for source in opened or _open([_found(name, near) for name in names], missing, wanted)}
    fields: dict[Key, Mapping[str, Any]] = {}
    changed: set[Key] = set()
    for name, splits in wanted.items():
        source = by_id.get(name)
        if source is None:
            missing.setdefault(name, "it is not among the sources that can be opened from here")
            continue
        for (config, split), numbers in splits.items():
            if isinstance(source, HubSource):
                _handed(source, config, split, numbers, fields, changed)
                continue
            try:
                left = _read(source, config, split, numbers, limit, fields, changed)
            except (SourceError, OSError) as error:
                missing[name] = str(error)
                continue
            if left:
                missing[name] = f"{left:,} of its records were not found again in {config}/{split}"
    return SourceRecords(fields, frozenset(changed), missing)


def _open(names: Sequence[str], missing: dict[str, str], wanted: Iterable[str]) -> list[Source]:
    """Those of the named sources that are there; one that is gone does not hide the others."""
    sources: list[Source] = []
    gone: list[str] = []
    for name in names:
        if is_of_hub(name):
            gone.append("it is on a Hub, at the revision its rows name, and is not asked for again")
            continue
        try:
            sources.extend(open_sources([name])[0])
        except SourceError as error:
            gone.append(str(error))
    if gone:
        found = {_id(source) for source in sources}
        missing.update({name: "; ".join(gone) for name in wanted if name not in found})
    return sources


def _found(name: str, near: Path) -> str:
    path = Path(name).expanduser()
    if path.is_absolute() or path.exists():
        return name
    above = [near.resolve(), *near.resolve().parents][:_ABOVE]
    return next((str(folder / path) for folder in above if (folder / path).exists()), name)


def _id(source: Source) -> str:
    # A card reads every file of its source; most sources of a folder are not needed here.
    known = getattr(source, "id", None)
    return known if isinstance(known, str) else source.card.id


def _read(
    source: Source,
    config: str,
    split: str,
    numbers: dict[str, str | None],
    limit: int | None,
    fields: dict[Key, Mapping[str, Any]],
    changed: set[Key],
) -> int:
    """Read records of one split until all wanted ones are found; how many were not."""
    left = len(numbers)
    for count, record in enumerate(source.records(config=config or None, split=split or None)):
        if left == 0 or (limit is not None and count >= limit):
            break
        if record.id not in numbers:
            continue
        key = (_id(source), config, split, record.id)
        left -= 1
        fields[key] = record.fields
        if _differs(record, numbers[record.id]):
            changed.add(key)
    return left


def _handed(
    source: HubSource,
    config: str,
    split: str,
    numbers: Mapping[str, str | None],
    fields: dict[Key, Mapping[str, Any]],
    changed: set[Key],
) -> None:
    """Records that the build itself was given; nobody asks a Hub a second time to show them."""
    for number, digest in numbers.items():
        if (record := source.handed(config, split, number)) is not None:
            fields[key := (source.id, config, split, number)] = record.fields
            if _differs(record, digest):
                changed.add(key)


def _differs(record: Record, digest: str | None) -> bool:
    return digest is not None and record.sha256() != digest
