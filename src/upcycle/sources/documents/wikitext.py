"""Wikitext as passages with links: what a reader of a MediaWiki page sees, without boxes, tables, notes and pictures.

Parsing is `mwparserfromhell`'s (`upcycle[wiki]`), for nested templates and half-closed tags are its trade; here its
nodes are walked. A template's text is not in the dump: of the few that only dress a text (`{{lang|fr|eau}}`) it is
taken out of them, of `{{convert|5|km}}` the number and the unit, and of all others nothing.
"""

from __future__ import annotations

import re
from typing import Any

from upcycle.errors import ConfigError
from upcycle.sources.documents.document import Link, Passage

_LEFT_OUT_TAGS = frozenset(
    [
        "ref",
        "table",
        "gallery",
        "math",
        "timeline",
        "score",
        "imagemap",
        "code",
        "source",
        "syntaxhighlight",
        "graph",
        "hiero",
        "style",
        "script",
    ]
)
_LEFT_OUT_SECTIONS = frozenset(
    ["references", "external links", "see also", "notes", "further reading", "bibliography", "sources", "citations",
     "footnotes", "notes and references", "gallery"]
)  # fmt: skip
_DRESS = frozenset(
    [
        "lang",
        "nowrap",
        "nobr",
        "small",
        "big",
        "abbr",
        "transl",
        "translit",
        "transliteration",
        "nihongo",
        "ill",
        "interlanguage",
    ]
)
_UNITS = frozenset(["convert", "cvt"])
_NAMESPACE = re.compile(r"\s*:?\s*[^\W\d][\w ]{1,20}:\S")
_DISAMBIGUATION = re.compile(r"\{\{\s*(?:[\w ]*disambig\w*|dab|hndis|geodis|surname|given name)\b", re.IGNORECASE)
_REDIRECT = re.compile(r"\s*#\w+\s*:?\s*\[\[([^\]|]+)", re.IGNORECASE)
_TABLE = re.compile(r"^[ \t:]*(?:(\{\|)|\|\}(?!\}))", re.MULTILINE)
_PARAGRAPHS = re.compile(r"\n\s*\n|\n(?=\x00)|\x00\s*")
_SPACES = re.compile(r"[ \t\n]+")
_EMPTY_BRACKETS = re.compile(r"\(\s*[;,:\s]*\)|\[\s*\]")
_LOOSE = re.compile(r"\s+([,.;:)])")
_AFTER_BRACKET = re.compile(r"\(\s*[;,]\s*")


def redirect_of(wikitext: str) -> str | None:
    """Where a page leads on to, None where it is a page of its own."""
    match = _REDIRECT.match(wikitext) if wikitext.lstrip()[:1] == "#" else None
    return match[1].strip() if match else None


def is_disambiguation(wikitext: str) -> bool:
    """Whether a page is marked as a list of meanings."""
    return bool(_DISAMBIGUATION.search(wikitext))


def passages_of(wikitext: str) -> list[Passage]:
    """The passages of a page.

    Raises:
        ConfigError: the parser is not installed.
    """
    try:
        import mwparserfromhell
    except ImportError:
        raise ConfigError('reading a MediaWiki dump needs mwparserfromhell; run: pip install "upcycle[wiki]"') from None
    page = _Page()
    page.walk(mwparserfromhell.parse(_without_tables(wikitext), skip_style_tags=False).nodes)
    page.end_section()
    return page.passages


def _without_tables(wikitext: str) -> str:
    """The page without its tables, which nobody reads as prose and which take most of the parser's time."""
    kept: list[str] = []
    depth = start = 0
    for mark in _TABLE.finditer(wikitext):
        if mark[1] is not None:
            if depth == 0:
                kept.append(wikitext[start : mark.start()])
            depth += 1
        elif depth > 0:
            depth -= 1
            start = mark.end()
    # A table that is never closed is left to the parser, which takes it for text.
    return "".join([*kept, wikitext[start:]]) if depth == 0 else wikitext


class _Page:
    """The page as walked so far: the text of the section under way, and its links with where they begin."""

    def __init__(self) -> None:
        self.passages: list[Passage] = []
        self._section = ""
        self._parts: list[str] = []
        self._links: list[Link] = []
        self._marks = 0

    def walk(self, nodes: Any) -> None:
        for node in nodes:
            match type(node).__name__:
                case "Text":
                    self._parts.append(str(node))
                case "Heading":
                    self.end_section()
                    self._section = str(node.title.strip_code()).strip()
                case "Wikilink":
                    self._link(node)
                case "ExternalLink":
                    if node.title is not None:
                        self.walk(node.title.nodes)
                case "Tag":
                    self._tag(node)
                case "Template":
                    self._parts.append(_dressed(node))
                case "HTMLEntity":
                    self._parts.append(str(node.normalize()))
                case _:
                    pass  # comments and arguments are not seen by a reader

    def _link(self, node: Any) -> None:
        target = str(node.title).strip()
        if _NAMESPACE.match(target) and not _is_plain_colon(target):
            return
        shown = str(node.text.strip_code() if node.text is not None else target.lstrip(":"))
        if not (shown := _SPACES.sub(" ", shown).strip()):
            return
        # The link is found again in the cleaned text by a mark that no page holds.
        self._parts.append(f"\x01{len(self._links)}\x02{shown}")
        self._links.append(Link(shown, target.lstrip(":")))

    def _tag(self, node: Any) -> None:
        name = str(node.tag).strip().casefold()
        if name in _LEFT_OUT_TAGS:
            return
        if name in ("li", "dd", "dt", "br", "hr"):
            self._parts.append("\n\x00")
        if node.contents is not None:
            self.walk(node.contents.nodes)

    def end_section(self) -> None:
        """Cut what was walked since the last heading into passages."""
        text, links = "".join(self._parts), self._links
        self._parts, self._links = [], []
        if self._section.casefold() in _LEFT_OUT_SECTIONS:
            return
        for part in _PARAGRAPHS.split(text):
            held = [links[int(number)] for number in re.findall(r"\x01(\d+)\x02", part)]
            clean = _cleaned(re.sub(r"\x01\d+\x02", "", part))
            if clean:
                self.passages.append(Passage(clean, self._section, tuple(held)))


def _dressed(node: Any) -> str:
    name = str(node.name).strip().casefold()
    given = [str(param.value.strip_code()).strip() for param in node.params if not param.showkey]
    if name in _UNITS and len(given) >= 2:
        return f"{given[0]} {given[1]}"
    if (name in _DRESS or name.startswith("lang-")) and given:
        return given[-1] if name in ("lang", "transl", "transliteration") or name.startswith("lang-") else given[0]
    return ""


def _is_plain_colon(target: str) -> bool:
    """Whether the colon belongs to a title, as in "Star Wars: A New Hope": a namespace has no space behind its own."""
    return target.partition(":")[2].startswith(" ")


def _cleaned(text: str) -> str:
    text = _AFTER_BRACKET.sub("(", _SPACES.sub(" ", text))
    return _LOOSE.sub(r"\1", _EMPTY_BRACKETS.sub("", text)).replace("  ", " ").strip(" \t*#:;")
