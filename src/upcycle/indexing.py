"""`upcycle index`: an index of datasets that lie elsewhere, made from a Hub or from a dump of its cards.

In: a Hub's address, or a file. Out: the index in the user's cache that `--source hub` searches, and a report. The
decision: what was learnt (`known.db`) and what is searched are two things; the second is written anew from the first
each time, and taken into use whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from upcycle.errors import ConfigError, SourceError
from upcycle.sources.index.known import Entry, Known
from upcycle.sources.index.listing import Listing, from_row
from upcycle.sources.index.place import index_folder
from upcycle.sources.index.store import Told, current, write_index

if TYPE_CHECKING:
    from upcycle.sources.encoder import SentenceEncoder

ENCODERS = ("auto", "minilm", "static", "none")
_MINILM_MOST = 20_000
_TOGETHER = 1_000


@dataclass(frozen=True)
class IndexReport:
    """What an index holds.

    Attributes:
        encoder: what its vectors were made with; None for words alone.
        notes: what could not be read or asked, each with the reason.
        requests: how many were sent to make it.
    """

    path: Path
    listings: int
    encoder: str | None
    notes: tuple[str, ...] = ()
    requests: int = 0

    def facts(self) -> dict[str, Any]:
        """Everything as plain values, for `--json`."""
        return {**asdict(self), "path": str(self.path), "notes": list(self.notes)}

    def __repr__(self) -> str:
        by = {None: "words alone", "static": "words and static vectors", "minilm": "words and MiniLM"}[self.encoder]
        lines = [f"{self.listings:,} datasets in {self.path}, searched by {by}"]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def show_index(folder: Path | None = None) -> IndexReport:
    """What the index in use holds.

    Raises:
        SourceError: there is none, or one of another version.
    """
    folder = folder or index_folder()
    generation = current(folder)
    if generation is None:
        raise SourceError(f"there is no index in {folder}; make one with: upcycle index build --hub")
    meta = orjson.loads((generation / "meta.json").read_bytes())
    return IndexReport(folder, meta["listings"], meta["encoder"])


def import_index(
    file: Path, *, folder: Path | None = None, encoder: str = "auto", fresh: bool = False, told: Told | None = None
) -> IndexReport:
    """Add the datasets of a card dump to what is known, and write the index.

    Args:
        file: Parquet or JSONL (also JSON, CSV, Arrow) with one dataset a row; see `listing.from_row` for the columns.
        encoder: "minilm", "static", "none", or "auto": MiniLM where it is fetched and datasets are few, else static
            vectors where they are installed.
        fresh: forget what was known before.

    Raises:
        ConfigError: no such file, or an encoder that is not here.
        SourceError: nothing in it can be read as a dataset's card.
    """
    if not file.is_file():
        raise ConfigError(f"there is no file {file}; give a dump of cards as Parquet or JSONL")
    chosen = _checked(encoder)
    notes: list[str] = []
    with Known(folder or index_folder()) as known:
        with known.together():
            if fresh:
                known.forget()
            count = _put_all(known, file, notes, told)
        if not count:
            why = notes[0] if notes else "it holds no rows"
            raise SourceError(f"{file} has no row with a dataset's id ({why}); name it in datasetId, id or name")
        return write(known, folder or index_folder(), chosen, tuple(notes), told)


def _put_all(known: Known, file: Path, notes: list[str], told: Told | None) -> int:
    some: list[Entry] = []
    count = 0
    for listing in _listings_of(file, notes):
        some.append(Entry(listing))
        count += 1
        if len(some) == _TOGETHER:
            known.put(some)
            some = []
            if told:
                told("cards", count, 0)
    known.put(some)
    return count


def _listings_of(file: Path, notes: list[str]) -> Iterator[Listing]:
    from upcycle.sources.readers import rows
    from upcycle.sources.tabular import Damaged

    unread, first = 0, ""
    try:
        for number, row in enumerate(rows(file), 1):
            listing = None if isinstance(row, Damaged) else from_row(row)
            if listing is not None:
                yield listing
                continue
            unread += 1
            first = first or f"row {number}: " + (row.reason if isinstance(row, Damaged) else "it names no dataset")
    except SourceError as error:
        notes.append(f"{file.name}: {error}; rows before that were read")
    if unread:
        notes.append(f"{unread:,} rows of {file.name} were left out ({first})")


def write(
    known: Known, folder: Path, encoder: str, notes: tuple[str, ...], told: Told | None, requests: int = 0
) -> IndexReport:
    """The index from everything that is known."""
    count = len(known)
    chosen = _encoder(encoder, count)
    write_index(known.listings(), folder, encoder=chosen, told=told)
    return IndexReport(folder, count, chosen.name if chosen else None, notes, requests)


def _checked(encoder: str) -> str:
    """The encoder's name, if it is here."""
    from upcycle.sources.encoder import encoder_named

    if encoder not in ENCODERS:
        raise ConfigError(f"there is no encoder {encoder!r}; one of {', '.join(ENCODERS)}")
    if encoder in ("minilm", "static") and encoder_named(encoder) is None:
        how = "upcycle models fetch minilm" if encoder == "minilm" else 'pip install "upcycle[embed]"'
        raise ConfigError(f"the encoder {encoder} is not here; get it with: {how}")
    return encoder


def _encoder(name: str, count: int) -> SentenceEncoder | None:
    from upcycle.sources.encoder import encoder_named

    if name == "none":
        return None
    if name != "auto":
        return encoder_named(name)
    return (encoder_named("minilm") if count <= _MINILM_MOST else None) or encoder_named("static")
