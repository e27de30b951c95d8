"""A crawl: what a Hub lists, its cards and its rows' beginnings into `Known`, so that nothing is asked for twice.

In: a Hub and what is known. Out: `Crawled`, and everything learnt in the file. The decision: each page of the list is
committed together with the address of the page after it, each card and each dataset's rows as they come; whoever kills
a crawl loses what was in flight. The whole list is walked in the order of creation, which nothing that happens
meanwhile shuffles; a limited one in the order of use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import orjson

from upcycle.sources.hub.facts import has_card, listing_of, with_card, with_rows
from upcycle.sources.hub.wire import CARD_BYTES, Hub, HubError, path_of
from upcycle.sources.index.known import Entry, Known
from upcycle.sources.index.listing import Listing

PAGE = 1_000
_AT_ONCE = 8
_STATE = "walk"
CHANGED = "changed"
"""Set in what is known from the first thing learnt until an index is written of it."""
UNFINISHED = "unfinished"
"""What is being listed, from its beginning until everything was asked and an index written of it."""

Told = Callable[[str, int, int], None]
"""Called with what is asked for ("listed", "cards", "rows"), how many are done, and of how many (0: not known)."""


@dataclass
class Crawled:
    """What a crawl learnt.

    Attributes:
        listed: datasets on the pages that were read; `changed` of them new or in another state than known.
        vanished: datasets that are on the Hub no more.
        notes: what could not be had, with the reason.
        stopped: why it ended before all was asked, "" where it did not.
    """

    listed: int = 0
    changed: int = 0
    vanished: int = 0
    cards: int = 0
    rows: int = 0
    notes: list[str] = field(default_factory=list)
    stopped: str = ""


class _Walk(NamedTuple):
    """Where a walk through the list stands.

    Attributes:
        kind: "all", "most" (used ones), "changed" (since), "ids" (which are still there).
        next: path of the next page.
        since: the newest change that was known when it began.
    """

    kind: str
    number: int
    next: str
    most: int = 0
    since: str = ""
    listed: int = 0


def build(
    known: Known, hub: Hub, *, most: int | None = None, cards: int = 0, rows: int = 0, told: Told | None = None
) -> Crawled:
    """List a Hub, or go on with it, and read the cards and rows of its most used datasets.

    Args:
        most: list only so many, the most used; all where not given.
        cards: read the whole cards of so many.
        rows: ask the datasets server for columns, types and first rows of so many.
    """
    done = Crawled()
    try:
        what = f"most {most}" if most else "all"
        if known.meta(UNFINISHED) != f"listed {what}":
            known.set_meta(UNFINISHED, what)
            _walked(known, hub, _begun(known, hub, "most" if most else "all", most or 0), done, told)
            known.set_meta(UNFINISHED, f"listed {what}")
        _read_cards(known, hub, cards, done, told)
        _read_rows(known, hub, rows, done, told)
    except HubError as error:
        done.stopped = str(error)
    return done


def update(known: Known, hub: Hub, *, cards: int = 0, rows: int = 0, told: Told | None = None) -> Crawled:
    """Ask for what changed since the last crawl, and forget what is not there any more."""
    done = Crawled()
    try:
        if (unfinished := _state(known)) is not None:
            _walked(known, hub, unfinished, done, told)
        if unfinished is None or unfinished.kind != "changed":
            _walked(known, hub, _begun(known, hub, "changed"), done, told)
        _walked(known, hub, _begun(known, hub, "ids"), done, told)
        _read_cards(known, hub, cards, done, told)
        _read_rows(known, hub, rows, done, told)
    except HubError as error:
        done.stopped = str(error)
    return done


def _begun(known: Known, hub: Hub, kind: str, most: int = 0) -> _Walk:
    """The walk that was interrupted if it is the same, else a new one."""
    before = _state(known)
    if before is not None and (before.kind, before.most) == (kind, most):
        return before
    number = int(known.meta("walks") or 0) + 1
    queries = {
        "all": f"full=true&sort=createdAt&direction=-1&limit={PAGE}",
        "most": f"full=true&sort=downloads&direction=-1&limit={min(PAGE, most or PAGE)}",
        "changed": f"full=true&sort=lastModified&direction=-1&limit={PAGE}",
        "ids": f"expand=sha&sort=createdAt&direction=-1&limit={PAGE}",
    }
    walk = _Walk(kind, number, f"/api/datasets?{queries[kind]}", most, known.newest() if kind == "changed" else "")
    known.set_meta("walks", str(number))
    _save(known, walk)
    return walk


def _state(known: Known) -> _Walk | None:
    found = known.meta(_STATE)
    return _Walk(**orjson.loads(found)) if found else None


def _save(known: Known, walk: _Walk | None) -> None:
    known.set_meta(_STATE, orjson.dumps(walk._asdict()).decode() if walk else None)


def _walked(known: Known, hub: Hub, walk: _Walk, done: Crawled, told: Told | None) -> None:
    """Read pages until the end of the list, or until nothing on them can be new."""
    started = walk
    while walk.next:
        first = walk.listed == 0 and walk.kind == "changed"
        etag = known.meta(f"etag {walk.next}") if first else None
        try:
            page, reply = hub.json(walk.next, headers={"If-None-Match": etag} if etag else None)
        except HubError as error:
            if error.status != 400 or walk.listed == 0:
                raise
            # The place is remembered for longer than the Hub remembers it.
            done.notes.append("the Hub did not know the place in its list any more; the list was begun again")
            _save(known, None)
            walk = _begun(known, hub, started.kind, started.most)._replace(since=started.since)
            continue
        if page is None:
            break  # the first page of what changed is the one that was read last time
        entries = [one for one in page if isinstance(one, dict)] if isinstance(page, list) else []
        after = walk._replace(next=_following(walk, entries, reply.next), listed=walk.listed + len(entries))
        with known.together():
            done.changed += _learn(known, walk, entries)
            if first and (tag := reply.headers.get("etag")):
                known.set_meta(f"etag {walk.next}", tag)
            _save(known, after)
        done.listed += len(entries)
        walk = after
        if told:
            told("listed", walk.listed, walk.most)
    with known.together():
        if walk.kind in ("all", "ids"):
            done.vanished += (gone := known.forget_unseen(walk.number))
            if gone:
                known.set_meta(CHANGED, "yes")
        _save(known, None)


def _following(walk: _Walk, entries: Sequence[dict[str, Any]], following: str | None) -> str:
    if not entries or following is None:
        return ""
    if walk.kind == "most" and walk.listed + len(entries) >= walk.most:
        return ""
    # Sorted by their last change: what comes after an older one was known before.
    if walk.kind == "changed" and str(entries[-1].get("lastModified") or "") < walk.since:
        return ""
    return following


def _learn(known: Known, walk: _Walk, entries: Sequence[dict[str, Any]]) -> int:
    """Put a page into what is known; how many are new or in another state."""
    if walk.kind == "ids":
        known.saw([str(one["id"]) for one in entries if one.get("id")], walk.number)
        return 0
    if walk.kind == "most":
        entries = entries[: walk.most - walk.listed]
    listings = {found.id: (found, facts) for facts in entries if (found := listing_of(facts)) is not None}
    before = known.get(list(listings))
    known.saw(listings, walk.number)
    put: list[Entry] = []
    changed = 0
    for name, (listing, facts) in listings.items():
        entry = before.get(name)
        if entry is not None and (entry.listing.modified, entry.listing.revision) == (
            listing.modified, listing.revision,
        ):  # fmt: skip
            # The same state: what was read of it stays, and only how much it is used is news.
            same = replace(entry.listing, popularity=listing.popularity, skip=listing.skip)
            if same != entry.listing:
                known.set_meta(CHANGED, "yes")
            put.append(entry._replace(listing=same))
            continue
        changed += 1
        put.append(Entry(listing, owes_card=has_card(facts), owes_rows=not listing.skip))
    known.put(put)
    if changed:
        known.set_meta(CHANGED, "yes")
    return changed


def _read_cards(known: Known, hub: Hub, most: int, done: Crawled, told: Told | None) -> None:
    owing = known.owing("card", most) if most else []
    tags = {name: known.etag(name) for name in owing}

    def ask(entry: Entry) -> tuple[str | None, str | None]:
        """The card, None where it is as it was; and the name of its state."""
        one, tag = entry.listing, tags[entry.listing.id]
        same = {"If-None-Match": tag} if tag else {}
        path = path_of(one.id, resolve=one.revision or "main", file="README.md")
        reply = hub.get(path, headers={"Range": f"bytes=0-{CARD_BYTES - 1}", **same})
        text = None if reply.status == 304 else reply.body[:CARD_BYTES].decode("utf-8", "replace")
        return text, reply.headers.get("etag")

    for count, (entry, found) in enumerate(_asked(known, owing, ask), 1):
        listing = entry.listing
        with known.together():
            if isinstance(found, HubError):
                listing = _missing(known, entry, found, done)
            else:
                text, etag = found
                listing = with_card(listing, text) if text is not None else listing
                known.set_etag(listing.id, etag)
                done.cards += 1
            if listing is not None:
                known.put([Entry(listing, False, entry.owes_rows)])
            known.set_meta(CHANGED, "yes")
        if told:
            told("cards", count, len(owing))


def _missing(known: Known, entry: Entry, why: HubError, done: Crawled) -> Listing | None:
    """What remains of a dataset whose card is not to be had: None where the dataset itself is gone."""
    if why.kind == "gone" and "Entry not found" not in str(why):
        known.forget_one(entry.listing.id)
        done.vanished += 1
        done.notes.append(f"{entry.listing.id} vanished while it was read")
        return None
    return entry.listing


def _read_rows(known: Known, hub: Hub, most: int, done: Crawled, told: Told | None) -> None:
    address = hub.rows_address
    if not most or address is None:
        return
    owing = known.owing("rows", most)

    def ask(entry: Entry) -> tuple[Any, Any]:
        name = {"dataset": entry.listing.id}
        info, _ = hub.json("/info", at=address, params=name)
        configs = info.get("dataset_info") if isinstance(info, dict) else None
        for config, about in configs.items() if isinstance(configs, dict) else ():
            splits = about.get("splits") if isinstance(about, dict) else None
            if isinstance(splits, dict) and splits:
                split = "train" if "train" in splits else next(iter(splits))
                return info, hub.json("/first-rows", at=address, params={**name, "config": config, "split": split})[0]
        return info, None

    unknown = 0
    for count, (entry, found) in enumerate(_asked(known, owing, ask), 1):
        listing = entry.listing
        if isinstance(found, HubError):
            unknown += 1
        else:
            listing = with_rows(listing, *found)
            done.rows += 1
        with known.together():
            known.put([Entry(listing, entry.owes_card, False)])
            known.set_meta(CHANGED, "yes")
        if told:
            told("rows", count, len(owing))
    if unknown:
        done.notes.append(f"the datasets server has no rows of {unknown:,} datasets")


def _asked(known: Known, owing: Sequence[str], ask: Callable[[Entry], Any]) -> Iterator[tuple[Entry, Any]]:
    """What is known and what `ask` answered of each dataset, in the order of the answers; a refusal is an answer.

    Raises:
        HubError: nobody is there to answer, or it does not answer as it should.
    """
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for start in range(0, len(owing), 4 * _AT_ONCE):
            entries = known.get(owing[start : start + 4 * _AT_ONCE])
            running: dict[Future[Any], Entry] = {threads.submit(ask, one): one for one in entries.values()}
            failed: HubError | None = None
            for future in as_completed(running):
                error = future.exception()
                if error is None:
                    yield running[future], future.result()
                elif not isinstance(error, HubError):
                    raise error
                elif error.kind == "unreachable" or (error.kind == "refused" and error.status in (0, 429)):
                    failed = error
                else:
                    yield running[future], error
            if failed is not None:
                raise failed
