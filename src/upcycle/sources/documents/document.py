"""A document: a title, passages in order, and links that lead to other documents.

Every kind of file becomes this one shape, so that what is built on documents never asks where they came from. The
decision: a link is what the reader sees (`text`) and the key it leads to (`target`), inside the passage it stands in; a
redirect and a disambiguation page are documents with a mark, for they are needed to follow links and are never asked
about.
"""

from __future__ import annotations

import re
import string
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

LONGEST = 400_000
"""Characters of a document that are read; a book is cut there."""

_DISAMBIGUATION = re.compile(
    r"\b(?:may|can) (?:also |commonly )?(?:refer to|stand for|mean|be)\b[^.]{0,60}:", re.IGNORECASE
)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = re.compile(rf"[{re.escape(string.punctuation)}“”‘’„«»–—…]")
_QUALIFIER = re.compile(r"\s*\([^()]*\)\s*$")
_SPACE = re.compile(r"[\s_]+")
_END = re.compile(r"(?<=[.!?。！？])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[^\W_a-z])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|Lt|Col|Gen|Capt|Sgt|Rev|Hon|Gov|Sen|Rep|No|vs|etc|cf|ca|c|b|d|r|approx|Inc"
    r"|Ltd|Co|Corp|Bros|Mt|Ft|Fig|vol|pp|ed|e\.g|i\.e|[A-Z]\.[A-Z])\.|\.\.\.)$"
)


@dataclass(frozen=True, slots=True)
class Link:
    """A link: the text a reader sees, and the title or path it leads to."""

    text: str
    target: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A paragraph, the heading it stands under, and its links in order."""

    text: str
    section: str = ""
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """One document.

    Attributes:
        id: stable and unique inside the source: a title, or a path.
        names: further keys that links use for it: its path, its page id.
        redirect: the title it only leads on to; its passages do not count.
        disambiguation: it lists what its title may mean, and states nothing.
    """

    id: str
    title: str
    passages: tuple[Passage, ...] = ()
    names: tuple[str, ...] = ()
    redirect: str | None = None
    disambiguation: bool = False

    @property
    def text(self) -> str:
        """All passages, a blank line between them."""
        return "\n\n".join(passage.text for passage in self.passages)

    @property
    def links(self) -> tuple[Link, ...]:
        return tuple(link for passage in self.passages for link in passage.links)


def make_document(
    name: str,
    title: str,
    passages: list[Passage],
    *,
    names: tuple[str, ...] = (),
    redirect: str | None = None,
    disambiguation: bool = False,
) -> Document:
    """A document with empty passages left out, cut at `LONGEST`, and marked where it only lists meanings."""
    kept: list[Passage] = []
    size = 0
    for passage in passages:
        text = passage.text.strip()
        if not text:
            continue
        if size + len(text) > LONGEST:
            break
        size += len(text)
        kept.append(passage if text == passage.text else Passage(text, passage.section, passage.links))
    listing = title.casefold().endswith("(disambiguation)") or bool(
        kept and len(kept[0].text) < 300 and _DISAMBIGUATION.search(kept[0].text)
    )
    return Document(name, title, tuple(kept), names, redirect, disambiguation or listing)


def key_of(title: str) -> str:
    """A title or a link's target as they are compared: case, underscores, spaces and the part after `#` do not count.

    >>> key_of("Moon_landing#Apollo 11")
    'moon landing'
    """
    whole = title if title.startswith("#") else title.partition("#")[0]
    return _SPACE.sub(" ", unicodedata.normalize("NFC", whole)).strip().casefold()


def plain_title(title: str) -> str:
    """A title without the qualifier behind it.

    >>> plain_title("Mercury (planet)")
    'Mercury'
    """
    return _QUALIFIER.sub("", title) or title


@lru_cache(maxsize=4096)
def folded(text: str) -> str:
    """A text as names are compared: case, accents, articles, punctuation and spaces folded.

    >>> folded("The  Élan, of a bear!")
    'elan of bear'
    """
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    return " ".join(_ARTICLES.sub(" ", _PUNCTUATION.sub(" ", plain)).split())


def occurs(name: str, text: str) -> bool:
    """Whether a name stands in a text as whole words, as `folded`.

    >>> occurs("The Élan", "on board the Elan."), occurs("Norway", "no way")
    (True, False)
    """
    wanted = folded(name)
    return bool(wanted) and f" {wanted} " in f" {folded(text)} "


def sentences(text: str) -> list[str]:
    """Sentences of a paragraph, whole; an abbreviation or an initial ends none.

    >>> sentences("She met Dr. A. Smith. They left.")
    ['She met Dr. A. Smith.', 'They left.']
    """
    found: list[str] = []
    start = 0
    for end in _END.finditer(text):
        if _ABBREVIATION.search(text, max(start, end.start() - 10), end.start()):
            continue
        found.append(text[start : end.end()].strip())
        start = end.end()
    found.append(text[start:].strip())
    return [sentence for sentence in found if sentence]
