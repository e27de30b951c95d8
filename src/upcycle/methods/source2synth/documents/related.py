"""Which entities of a document lead to which other documents: the pool that a second document is taken from.

In: a document and the store. Out: `Bridge`s, in the order of the text: an entity, the passage of the first document in
which it stands, and another document with a passage that tells of it. Related are the documents a link leads to and
those that link to the same thing; where a document has no links, those whose title it names and those that hold the
same name. The decision: a bridge is known before any model is asked, so nothing is paid for a document that leads
nowhere; one that its links lead in circles never comes back to, for documents visited are left out.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from upcycle.sources.documents import Document, DocumentStore, Link, occurs, plain_title, sentences

Allowed = Callable[[str], bool]
T = TypeVar("T")

_MOST = 40  # bridges of one document
_COMMON = 25  # documents that link to it: what half the world links to connects nothing
_PER_ENTITY = 3
_OPENING = 3  # passages
_WINDOW = 1200  # characters shown of a document
_ENOUGH = 500  # characters from which on a paragraph is shown without its neighbour
_NAME = re.compile(r"\b[^\W\d_a-z][\w'’&-]*(?:\s(?:(?:of|the|de|la|von|van|der|du|and)\s)?[^\W\d_a-z][\w'’&-]*){1,4}")
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_NO_NAME = re.compile(rf"^[\d\s.,–-]+$|^(?:\d{{1,2}} )?(?:{_MONTHS})(?: \d{{1,2}})?(?:,? \d{{4}})?$")


class Bridge(NamedTuple):
    """A way from one document to another.

    Attributes:
        entity: as it stands in the first document.
        names: every way in which the second document or its links write it.
        place: number of the first document's passage.
        number, second: of the other document, its number and its id.
        at: number of its passage that holds the entity; None where its beginning does.
        about: the other document is the one about the entity.
    """

    entity: str
    names: tuple[str, ...]
    place: int
    number: int
    second: str
    at: int | None
    about: bool


class Reached(NamedTuple):
    """Where a way leads: the document, and the passage of it that is shown."""

    document: Document
    passage: str


def bridges(
    store: DocumentStore, document: Document, allowed: Allowed, visited: frozenset[str], *, about: bool = False
) -> list[Bridge]:
    """Ways from a document to others that are allowed and not visited, at most `_MOST`.

    Args:
        about: only to the documents about the entities.
    """
    found: list[Bridge] = []
    seen: set[tuple[str, str]] = set()
    for way in _ways(store, document, about):
        name = way.second
        if name in visited or name == document.id or not allowed(name) or (way.entity, name) in seen:
            continue
        seen.add((way.entity, name))
        found.append(way)
        if len(found) >= _MOST:
            break
    return found


def bridges_of(
    store: DocumentStore, entity: str, place: int, allowed: Allowed, visited: frozenset[str]
) -> list[Bridge]:
    """Ways from one name, whatever document it was found in."""
    ways = (_to_titled(store, entity, entity, place), *_to_holding(store, entity, place))
    return [way for way in ways if way and way.second not in visited and allowed(way.second)]


def reached(store: DocumentStore, way: Bridge) -> Reached:
    """The document a way leads to."""
    second = store.get(way.number)
    at = way.at
    if at is None:
        opening = enumerate(second.passages[:_OPENING])
        at = next((at for at, one in opening if any(occurs(name, one.text) for name in way.names)), 0)
    holding = next((name for name in way.names if occurs(name, second.passages[at].text)), "")
    return Reached(second, window(second, at, holding))


def window(document: Document, place: int, holding: str = "") -> str:
    """What is shown of a document: a passage, with its neighbours where it is short, around a name where it is long."""
    text = document.passages[place].text
    if len(text) > _WINDOW:
        return _around(text, holding)
    following = place + 1
    while len(text) < _ENOUGH and following < len(document.passages):
        more = document.passages[following].text
        if len(text) + len(more) > _WINDOW:
            break
        text, following = f"{text}\n{more}", following + 1
    return text


def in_fixed_order(one: T, two: T, *, name: Callable[[T], str]) -> list[T]:
    """Two documents to compare, in the same order from whichever of them a question begins.

    So a question that both lead to comes out word for word the same, and is kept once; and which of the two is named
    first, drawn by their names, does not tell the answer.
    """
    pair = sorted((one, two), key=name)
    random.Random("\x1f".join(map(name, pair))).shuffle(pair)
    return pair


def is_name(text: str) -> bool:
    """Whether a link's text may be an entity: a name with a capital (or in a script without), no number and no date."""
    cased = any(char.isupper() for char in text) or not any(char.islower() for char in text)
    return 3 <= len(text) <= 60 and cased and not _NO_NAME.match(text)


def _ways(store: DocumentStore, document: Document, about: bool) -> Iterator[Bridge]:
    for place, passage in enumerate(document.passages):
        for link in passage.links:
            if is_name(link.text) and not occurs(link.text, document.title):
                yield from _by_link(store, link, place, about)
    if document.links:
        return
    for place, passage in enumerate(document.passages):
        for mention in store.named_in(passage.text):
            if is_name(mention.text) and not occurs(mention.text, document.title):
                name, title = store.named(mention.number)
                names = _distinct((mention.text, title, plain_title(title)))
                yield Bridge(mention.text, names, place, mention.number, name, None, about=True)
    for place, passage in enumerate(document.passages) if not about else ():
        for name in dict.fromkeys(_NAME.findall(passage.text)):
            if is_name(name) and not occurs(name, document.title):
                yield from _to_holding(store, name, place)


def _by_link(store: DocumentStore, link: Link, place: int, about: bool) -> Iterator[Bridge]:
    way = _to_titled(store, link.text, link.target, place)
    if way is not None:
        yield way
    linking = [] if about else store.linking(link.target, limit=_COMMON + 1)
    if len(linking) > _COMMON:
        return
    for other in linking:
        names = _distinct((link.text, plain_title(link.target), other.text))
        yield Bridge(link.text, names, place, other.number, other.id, other.place, about=False)


def _to_titled(store: DocumentStore, entity: str, target: str, place: int) -> Bridge | None:
    """The way to the document about the entity; it need not hold the name as the link writes it."""
    number = store.find(target)
    if number is None:
        return None
    name, title = store.named(number)
    return Bridge(entity, _distinct((entity, title, plain_title(title))), place, number, name, None, about=True)


def _to_holding(store: DocumentStore, name: str, place: int) -> Iterator[Bridge]:
    numbers = store.holding(name, limit=_COMMON + 1)
    if len(numbers) > _COMMON:
        return
    for number in numbers[: _PER_ENTITY + 1]:
        second = store.get(number)
        at = next((at for at, passage in enumerate(second.passages) if occurs(name, passage.text)), None)
        if at is not None:
            yield Bridge(name, (name,), place, number, second.id, at, about=False)


def _around(text: str, holding: str) -> str:
    """Whole sentences of a long passage, from the one before the name on."""
    parts = sentences(text)
    at = next((at for at, part in enumerate(parts) if holding and occurs(holding, part)), 0)
    taken: list[str] = []
    for part in parts[max(0, at - 1) :]:
        if taken and sum(map(len, taken)) + len(part) > _WINDOW:
            break
        taken.append(part[:_WINDOW])
    return " ".join(taken)


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))
