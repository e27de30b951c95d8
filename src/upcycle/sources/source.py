"""A source: data that exist, with a card and records; and how names on the command line become sources.

In: names ("stdlib", a folder, a file). Out: sources that can be read, and what was left out with the reason. The
decision: one unreadable file never stops the others; only a name that does not exist, or nothing readable at all, does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from upcycle.errors import SourceError
from upcycle.records import Record
from upcycle.sources.card import Card
from upcycle.sources.index.place import HUB

if TYPE_CHECKING:
    from upcycle.sources.files.layout import LeftOut

Skip = Callable[[str, str], None]
"""Called with what could not be read (a record's ref or a file's name) and why."""

STDLIB = "stdlib"
PACKAGE = "python:"
"""Before the name of an installed package whose functions are wanted."""


@runtime_checkable
class Source(Protocol):
    """Anything with a card and records; pass your own wherever sources are taken."""

    @property
    def card(self) -> Card: ...

    def records(
        self, *, config: str | None = None, split: str | None = None, skip: Skip | None = None
    ) -> Iterator[Record]:
        """Records in a fixed order and in flat memory, of all configurations and splits unless one is named."""
        ...


@runtime_checkable
class Drawn(Protocol):
    """A source whose records are dear to read one after another, and cheap in an order of its own."""

    def drawn(self, seed: int, skip: Skip | None = None) -> Iterator[Record]:
        """All records in a seeded order, neighbours from different places."""
        ...


def is_of_hub(name: str) -> bool:
    """Whether a name means a dataset of a Hub, or all of them."""
    return name == HUB or name.startswith(f"{HUB}:")


def open_sources(names: Sequence[str]) -> tuple[list[Source], list[tuple[str, str]]]:
    """Sources behind the names, with distinct ids, and what was left out: (file or folder, why).

    Args:
        names: paths of folders or files, "stdlib", "python:NAME" for an installed package, or "hub:OWNER/NAME".

    Raises:
        SourceError: a name that does not exist, or no readable source at all.
    """
    from upcycle.sources.files.folder import FolderSource
    from upcycle.sources.files.layout import Layout, LeftOut, discover
    from upcycle.sources.python_functions import package, standard_library

    if not names:
        raise SourceError('no source was named; give a folder, a file, or "stdlib"')
    sources: list[Source] = []
    layouts: list[Layout] = []
    left_out: list[LeftOut] = []
    for name in dict.fromkeys(names):
        if name == STDLIB:
            sources.append(standard_library())
            continue
        if name.startswith(PACKAGE):
            sources.append(package(name.removeprefix(PACKAGE)))
            continue
        if is_of_hub(name):
            _open_of_hub(name, sources, left_out)
            continue
        path = Path(name).expanduser()
        if not path.exists():
            raise SourceError(
                f'there is no source {name!r}; give a folder or a file that exists, "stdlib", "python:NAME",'
                ' or "hub:OWNER/NAME"'
            )
        found, missed = discover(path)
        if not found and not missed:
            missed.append(LeftOut(name, "no data file was found in it"))
        layouts.extend(layout for layout in found if layout.paths() not in [known.paths() for known in layouts])
        left_out.extend(missed)
    taken = {source.card.id for source in sources}
    sources.extend(FolderSource(layout, id=_distinct(layout.id, layout.root, taken)) for layout in layouts)
    if not sources:
        some = "; ".join(f"{name}: {why}" for name, why in left_out[:3])
        more = f" (and {len(left_out) - 3} more)" if len(left_out) > 3 else ""
        raise SourceError(f"no source can be read: {some}{more}")
    return sources, [(missing, why) for missing, why in left_out]


def _open_of_hub(name: str, sources: list[Source], left_out: list[LeftOut]) -> None:
    from upcycle.sources.files.layout import LeftOut
    from upcycle.sources.hub.source import open_hub
    from upcycle.sources.hub.wire import Hub

    if name == HUB:
        raise SourceError('"hub" is searched for a task; to read one dataset of it, name it as hub:OWNER/NAME')
    try:
        sources.append(open_hub(name, Hub()))
    except SourceError as error:
        left_out.append(LeftOut(name, str(error)))


def _distinct(wanted: str, root: Path, taken: set[str]) -> str:
    name = wanted
    if name in taken:
        name = f"{root.resolve().parent.name}/{wanted}"
    number = 2
    while name in taken:
        name, number = f"{wanted}-{number}", number + 1
    taken.add(name)
    return name
