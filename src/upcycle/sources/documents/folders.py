"""Files of several folders side by side: each folder's files keep apart, and its links stay inside it.

In: the paths of a source. Out: a name for each folder, put in front of the ids, names and links of its files. The
decision: with one folder there is no name, so ids are paths as its owner knows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from upcycle.sources.documents.document import Document, Link, Passage, key_of


def root_of(path: Path) -> Path:
    """The folder that ids and links of a source's files are relative to."""
    return (path if path.is_dir() else path.parent).resolve()


def folder_names(paths: Sequence[Path]) -> dict[Path, str]:
    """A name for each folder, however links write it; none where there is but one."""
    roots = list(dict.fromkeys(map(root_of, paths)))
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for root in roots if len(roots) > 1 else ():
        plain = root.name.replace("#", "-") or "root"  # what stands behind a # is no part of a link's target
        name, number = plain, 2
        while key_of(name) in taken:
            name, number = f"{plain}-{number}", number + 1
        taken.add(key_of(name))
        names[root] = name
    return names


def inside(folder: str, document: Document) -> Document:
    """The document of a named folder: its path and its links begin with the name, and so does one more title."""
    names = (document.title, *document.names)
    return replace(
        document,
        id=f"{folder}/{document.id}",
        passages=tuple(_inside(folder, passage) for passage in document.passages),
        names=tuple(f"{folder}/{name}" for name in names),
        redirect=f"{folder}/{document.redirect}" if document.redirect else None,
    )


def _inside(folder: str, passage: Passage) -> Passage:
    return replace(passage, links=tuple(Link(link.text, f"{folder}/{link.target}") for link in passage.links))


def keys_of(target: str, folders: frozenset[str]) -> list[str]:
    """Keys under which a link's target may be known: in its own folder first, then by its title in any."""
    whole = key_of(target)
    folder, _, path = whole.partition("/")
    if folder not in folders:
        return _forms(whole)
    forms = _forms(path)
    return [*(f"{folder}/{one}" for one in forms), *forms]


def _forms(whole: str) -> list[str]:
    """A target as it is, without the kind of file, its last part."""
    stem = whole.rpartition(".")[0] if whole.rpartition(".")[2] in ("md", "html", "htm", "txt") else ""
    last = (stem or whole).rpartition("/")[2] if "/" in whole else ""
    return [key for key in dict.fromkeys((whole, stem, last)) if key]
