"""`upcycle index`: an index of datasets that lie elsewhere, made from a Hub or from a dump of its cards.

In: a Hub's address, or a file. Out: the index in the user's cache that `--source hub` searches, and a report. The
decision: what was learnt (`known.db`) and what is searched are two things; the second is written anew from the first
each time, and taken into use whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from upcycle.errors import ConfigError, SourceError
from upcycle.sources.index.known import Entry, Known
from upcycle.sources.index.listing import Listing, from_row
from upcycle.sources.index.place import current, index_folder
from upcycle.sources.index.store import Told, write_index

if TYPE_CHECKING:
    from upcycle.sources.encoder import SentenceEncoder
    from upcycle.sources.hub.crawl import Crawled
    from upcycle.sources.hub.wire import Hub

ENCODERS = ("auto", "minilm", "static", "none")
CARDS = 1_000
"""Whole cards that are read, where nothing else is asked: those of the most used datasets."""
_MINILM_MOST = 20_000
_TOGETHER = 1_000


@dataclass(frozen=True)
class IndexReport:
    """What an index holds.

    Attributes:
        encoder: what its vectors were made with; None for words alone.
        notes: what could not be read or asked, each with the reason.
        requests: how many were sent to make it.
        changed: datasets that are new or in another state; `vanished` those that are not there any more.
        stopped: why it ended before all was asked; the same command goes on there.
    """

    path: Path
    listings: int
    encoder: str | None
    notes: tuple[str, ...] = ()
    requests: int = 0
    changed: int = 0
    vanished: int = 0
    stopped: str = ""

    def facts(self) -> dict[str, Any]:
        """Everything as plain values, for `--json`."""
        return {**asdict(self), "path": str(self.path), "notes": list(self.notes)}

    def __repr__(self) -> str:
        by = {None: "words alone", "static": "words and static vectors", "minilm": "words and MiniLM"}[self.encoder]
        lines = [f"{self.listings:,} datasets in {self.path}, searched by {by}"]
        if self.requests:
            lines.append(f"  {self.changed:,} new or changed, {self.vanished:,} vanished; {self.requests:,} requests")
        lines += [f"  {note}" for note in self.notes]
        if self.stopped:
            lines.append(f"  stopped: {self.stopped}; the same command goes on there")
        return "\n".join(lines)


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
        return _written(known, folder or index_folder(), chosen, tuple(notes), told)


def build_index(
    *,
    folder: Path | None = None,
    endpoint: str | None = None,
    rows_endpoint: str | None = None,
    most: int | None = None,
    cards: int = CARDS,
    rows: int = 0,
    encoder: str = "auto",
    fresh: bool = False,
    told: Told | None = None,
) -> IndexReport:
    """List the datasets of a Hub, or go on listing them, and write the index.

    Args:
        endpoint: the Hub's address; HF_ENDPOINT or huggingface.co where not given.
        rows_endpoint: its datasets server's; UPCYCLE_ROWS_ENDPOINT, or huggingface.co's own.
        most: only so many, the most used; all where not given.
        cards: read the whole card of so many, the most used; the list itself gives a line or two of each.
        rows: ask the datasets server for columns, types and first rows of so many.
        fresh: forget what was known before.

    Raises:
        ConfigError: an address or an encoder that is none.
        SourceError: the Hub cannot be reached, and nothing is known yet.
    """
    from upcycle.sources.hub.crawl import build
    from upcycle.sources.hub.wire import Hub

    hub, chosen = Hub(endpoint, rows_endpoint), _checked(encoder)
    _can_ask_for_rows(hub, rows)
    folder = folder or index_folder()
    with Known(folder) as known:
        _same_hub(known, hub, fresh=fresh)
        if fresh:
            known.forget()
        known.set_meta("hub", hub.address)
        done = build(known, hub, most=most, cards=cards, rows=rows, told=told)
        return _crawled(known, hub, done, folder, chosen, told)


def update_index(
    *,
    folder: Path | None = None,
    endpoint: str | None = None,
    rows_endpoint: str | None = None,
    cards: int = CARDS,
    rows: int = 0,
    encoder: str = "auto",
    told: Told | None = None,
) -> IndexReport:
    """Ask the Hub for what changed since it was listed, forget what vanished, and write the index where it matters.

    Raises:
        ConfigError: as `build_index`; or no Hub was listed yet.
        SourceError: as `build_index`.
    """
    from upcycle.sources.hub.crawl import update
    from upcycle.sources.hub.wire import Hub

    folder = folder or index_folder()
    with Known(folder) as known:
        if (listed := known.meta("hub")) is None:
            raise ConfigError(f"{folder} holds nothing of a Hub that could be updated; use: upcycle index build --hub")
        hub, chosen = Hub(endpoint or listed, rows_endpoint), _checked(encoder)
        _can_ask_for_rows(hub, rows)
        _same_hub(known, hub, fresh=False)
        return _crawled(known, hub, update(known, hub, cards=cards, rows=rows, told=told), folder, chosen, told)


def _same_hub(known: Known, hub: Hub, *, fresh: bool) -> None:
    listed = known.meta("hub")
    if listed not in (None, hub.address) and known.listed() and not fresh:
        raise ConfigError(f"the index is of {listed}, not of {hub.address}; give --fresh to begin anew, or --index DIR")


def _can_ask_for_rows(hub: Hub, rows: int) -> None:
    if rows and hub.rows_address is None:
        raise ConfigError(
            f"the datasets server of {hub.address} is not known; give its address with --rows-endpoint URL"
        )


def _crawled(known: Known, hub: Hub, done: Crawled, folder: Path, encoder: str, told: Told | None) -> IndexReport:
    """The report of a crawl, after the index was written if anything in it is other than before."""
    if not len(known):
        raise SourceError(f"{done.stopped or f'{hub.address} lists no datasets'}; nothing is known yet")
    from upcycle.sources.hub.crawl import CHANGED, UNFINISHED

    report = None
    if known.meta(CHANGED) is None and not done.changed:
        with suppress(SourceError):
            report = show_index(folder)
    if report is None:
        report = _written(known, folder, encoder, (), told)
        known.set_meta(CHANGED, None)
    if not done.stopped:
        known.set_meta(UNFINISHED, None)
    return replace(
        report,
        notes=tuple(done.notes),
        requests=hub.requests,
        changed=done.changed,
        vanished=done.vanished,
        stopped=done.stopped,
    )


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
    from upcycle.sources.files.readers import rows
    from upcycle.sources.files.tabular import Damaged

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


def _written(known: Known, folder: Path, encoder: str, notes: tuple[str, ...], told: Told | None) -> IndexReport:
    """The index from everything that is known."""
    count = len(known)
    chosen = _encoder(encoder, count)
    write_index(known.listings(), folder, encoder=chosen, told=told)
    return IndexReport(folder, count, chosen.name if chosen else None, notes)


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
