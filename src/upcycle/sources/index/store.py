"""An index in a folder: written aside, then taken into use by one rename, so that a half-written one is never read.

    FOLDER/current            the name of the generation in use
    FOLDER/GENERATION/        listings.json, places.npy, words/, numbers.npz, meta.json;
                              vectors.npy, bits.npy, scales.npy
    FOLDER/encoding/          vectors of a generation that is being written, batch by batch

In: listings. Out: files that `CardIndex` opens.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import orjson

from upcycle.errors import SourceError
from upcycle.sources.encoder import SentenceEncoder
from upcycle.sources.index.encoded import Encoded, write_digests
from upcycle.sources.index.lexical import write_words
from upcycle.sources.index.listing import Listing, as_json
from upcycle.sources.index.place import VERSION, current
from upcycle.sources.index.prior import Mentions, standardised
from upcycle.sources.index.vectors import VectorFiles

_BATCH = 2_048
ENCODING = "encoding"
_MEANING_CHARS = 700
_TOLD_EVERY = 2_048
_WORD = re.compile(r"\w+")
_MARKED = 20  # characters of description from which two equal ones are the same dataset

Told = Callable[[str, int, int], None]
"""Called with what is being written ("words", "vectors"), how many are done, and of how many."""


def write_index(
    listings: Iterable[Listing], folder: Path, *, encoder: SentenceEncoder | None = None, told: Told | None = None
) -> Path:
    """Write a new generation and take it into use; the folder of it.

    Args:
        encoder: makes the vectors; None for words alone.

    Raises:
        SourceError: no listing at all.
    """
    # Whoever reads the one before goes on reading it: it is removed only by the write after this one.
    folder.mkdir(parents=True, exist_ok=True)
    before = current(folder)
    for old in folder.iterdir():
        if old.is_dir() and old != before and old.name != ENCODING:
            shutil.rmtree(old, ignore_errors=True)
    unique = list({one.id: one for one in listings}.values())
    if not unique:
        raise SourceError("there is nothing to index; give a dump with at least one dataset, or --hub")
    made = folder / f"{time.time_ns():x}"
    made.mkdir()
    _write_listings(unique, made)
    write_words(_with_progress(map(whole_text, unique), len(unique), "words", told), made / "words")
    _write_numbers(unique, made / "numbers.npz")
    if encoder is not None:
        _write_vectors(unique, made, encoder, before, told)
    meta = {"version": VERSION, "listings": len(unique), "encoder": encoder.name if encoder else None}
    (made / "meta.json").write_bytes(orjson.dumps(meta))
    _take_into_use(folder, made)
    shutil.rmtree(folder / ENCODING, ignore_errors=True)
    return made


def whole_text(listing: Listing) -> str:
    """What words are looked for in; the name twice, for it says most."""
    name = f"{listing.id} {listing.name}"
    labels = " ".join((*listing.tags, *listing.categories, *listing.columns))
    return f"{name} {name} {listing.text} {labels} {listing.sample}"


def meaning_text(listing: Listing) -> str:
    """What is encoded: name and description, and what it is tagged with where it says little."""
    short = "" if len(listing.text) > 100 else " ".join((*listing.categories, *listing.columns))
    return f"{listing.name or listing.id}. {listing.text[:_MEANING_CHARS]} {short}".strip()


def names_of(listing: Listing) -> tuple[str, ...]:
    """What other cards may call it."""
    return (listing.id.rpartition("/")[2], *((listing.name,) if listing.name else ()))


def mark_of(listing: Listing) -> int:
    """A number that listings with the same description share; that of the id where there is none to speak of."""
    said = " ".join(_WORD.findall(listing.text.lower())) if len(listing.text) >= _MARKED else ""
    text = said if len(said) >= _MARKED else f"id {listing.id}"
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big", signed=True)


def _with_progress(texts: Iterable[str], total: int, what: str, told: Told | None) -> Iterable[str]:
    for number, text in enumerate(texts, 1):
        yield text
        if told and (number % _TOLD_EVERY == 0 or number == total):
            told(what, number, total)


def _write_listings(listings: Sequence[Listing], folder: Path) -> None:
    import numpy as np

    # One JSON object a line, and where each begins: one listing is read from where it lies, by nothing that is slow
    # to load.
    places = [0]
    with (folder / "listings.json").open("wb") as file:
        for one in listings:
            places.append(places[-1] + file.write(as_json(one) + b"\n"))
    np.save(folder / "places.npy", np.array(places, np.int64))


def _write_numbers(listings: Sequence[Listing], path: Path) -> None:
    import numpy as np

    mentions = Mentions()
    for number, one in enumerate(listings):
        mentions.know(number, names_of(one))
    for number, one in enumerate(listings):
        mentions.read(number, one.text)
    counts = mentions.counts(len(listings))
    np.savez(
        path,
        popularity=standardised(one.popularity for one in listings),
        mentioned=standardised(counts),
        mentions=np.array(counts, np.int32),
        marks=np.array([mark_of(one) for one in listings], np.int64),
    )


def _write_vectors(
    listings: Sequence[Listing], folder: Path, encoder: SentenceEncoder, before: Path | None, told: Told | None
) -> None:
    texts = [meaning_text(one) for one in listings]
    encoded = Encoded(folder.parent / ENCODING, encoder, before)
    files: VectorFiles | None = None
    for start in range(0, len(texts), _BATCH):
        together = encoded.rows(texts[start : start + _BATCH])
        files = files or VectorFiles(folder, len(texts), together.shape[1])
        files.add(together)
        if told:
            told("vectors", start + len(together), len(texts))
    if files is not None:
        files.close()
    write_digests(folder, texts)


def _take_into_use(folder: Path, made: Path) -> None:
    written = folder / "current.new"
    written.write_text(made.name, encoding="utf-8")
    os.replace(written, folder / "current")  # noqa: PTH105 (atomic also where the target exists)
