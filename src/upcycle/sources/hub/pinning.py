"""Which datasets of a Hub a run uses, and at which commits: found once, remembered, the same ever after.

In: names as a task file has them ("hub", "hub:OWNER/NAME") and what an earlier process remembered. Out: open sources,
what was left out with the reason, and the names that open the same rows again. The decision: "hub" is the index's first
hundred, ordered a second time with columns and rows in view, and only as many as are worth a pilot are opened; what
was pinned is opened as it was, whatever the index or the Hub say by then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from upcycle.errors import SourceError
from upcycle.llm.model import Model, in_process
from upcycle.sources.hub.source import HubSource, open_hub
from upcycle.sources.hub.wire import Hub, HubError
from upcycle.sources.index.card_index import CardIndex, Filters
from upcycle.sources.index.place import index_folder
from upcycle.sources.index.shortlist import shortlist, shortlist_by
from upcycle.sources.source import HUB

OPENED = 16
"""Most datasets that a search opens: as many as plans are searched for."""
_AT_ONCE = 8

Pins = dict[str, list[str]]
"""Each name as it was given to the names that mean the same rows for ever."""


class FromHub(NamedTuple):
    """What was opened.

    Attributes:
        left_out: (dataset, why).
        pins: of the names of which anything was opened.
    """

    sources: list[HubSource]
    left_out: list[tuple[str, str]]
    pins: Pins


class Sought(NamedTuple):
    """What a search of the index is for.

    Attributes:
        shown: demonstrations as text (input and output).
    """

    query: str
    shown: Sequence[str] = ()
    licence: str = "any"
    languages: tuple[str, ...] = ()


async def open_from_hub(
    names: Sequence[str], sought: Sought, pins: Mapping[str, Sequence[str]], model: Model | None = None
) -> FromHub:
    """Open the datasets behind these names.

    A Hub that cannot be reached, and an index that is not there, leave these names out, with the reason.

    Args:
        pins: what an earlier process opened; no other is opened in its place.
        model: helps to find what is not pinned yet; one in this process is not asked, it orders worse than the index.

    Raises:
        ConfigError: a name that is none, or `huggingface_hub` is not installed.
    """
    hub = Hub()
    sources: dict[str, HubSource] = {}
    left_out: list[tuple[str, str]] = []
    made: Pins = {}
    for name in dict.fromkeys(names):
        try:
            wanted = pins.get(name) or (await _found(sought, model) if name == HUB else [name])
            opened = list(_opened(hub, wanted, OPENED if name == HUB else len(wanted), left_out))
        except SourceError as error:
            left_out.append((name, str(error)))
            continue
        if opened:
            made[name] = [source.name for source in opened]
        sources |= {source.id: source for source in opened if source.id not in sources}
    left_out += [(source.id, note) for source in sources.values() for note in source.notes]
    return FromHub(list(sources.values()), left_out, made)


async def _found(sought: Sought, model: Model | None) -> list[str]:
    """Ids of the index's datasets for a task, best first, those that can be used."""
    filters = Filters(sought.licence, sought.languages, usable=True)
    index = CardIndex.open(index_folder())
    if model is None or in_process(model):
        found = shortlist(index, sought.query, demonstrations=sought.shown, filters=filters)
    else:
        found = await shortlist_by(model, index, sought.query, demonstrations=sought.shown, filters=filters)
    return [one.listing.id for one in found]


def _opened(hub: Hub, names: Sequence[str], most: int, left_out: list[tuple[str, str]]) -> Iterator[HubSource]:
    """The first `most` of these that can be opened, in their order.

    Raises:
        HubError: nobody is there to answer.
    """

    def tried(name: str) -> HubSource | SourceError:
        try:
            return open_hub(name, hub)
        except SourceError as error:
            return error

    count = 0
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            for name, found in zip(some, threads.map(tried, some), strict=True):
                if isinstance(found, HubSource):
                    if count < most:
                        count += 1
                        yield found
                    continue
                if isinstance(found, HubError) and found.kind == "unreachable":
                    raise found
                left_out.append((name, str(found)))
            if count >= most:
                return
