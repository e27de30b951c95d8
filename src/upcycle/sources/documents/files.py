"""A folder of Markdown, HTML and text files as documents that link to each other by path.

In: a folder or one file. Out: documents and what was left out, in the order of their paths. The decision: a document's
id is its path, its title what its author says (front matter, first heading, `<title>`, a first line that stands alone)
and else the file's name; links to the web are no links here, for nothing is behind them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from upcycle.sources.documents.document import Document, Link, Passage, make_document
from upcycle.sources.documents.dump import Lost
from upcycle.sources.files.opened import printable

MARKDOWN = frozenset([".md", ".markdown", ".mdx"])
HTML = frozenset([".html", ".htm", ".xhtml"])
TEXT = frozenset([".txt", ".text"])
KINDS = MARKDOWN | HTML | TEXT

_LARGEST = 64 << 20
_FRONT = re.compile(r"\A---\s*\n(.*?)\n(?:---|\.\.\.)\s*(?:\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"^(title|redirect_to|redirect)\s*:\s*[\"']?(.*?)[\"']?\s*$", re.MULTILINE)
_WIKI_LINK = re.compile(r"\[\[([^\[\]|#]+)(?:#[^\[\]|]*)?(?:\|([^\[\]]+))?\]\]")
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?([\w-]+)", re.IGNORECASE)
_REFRESH = re.compile(r"url\s*=\s*[\"']?([^\"';]+)", re.IGNORECASE)
_SPACES = re.compile(r"\s+")
_INDEX = frozenset(["index", "readme", "_index"])


def read_file(path: Path, root: Path) -> Document | Lost:
    """One file as a document; `root` is what its links and its id are relative to."""
    name, stem = printable(path.relative_to(root).as_posix()), printable(path.stem)
    try:
        if path.stat().st_size > _LARGEST:
            return Lost(name, f"it is larger than {_LARGEST >> 20} MB")
        raw = path.read_bytes()
    except OSError as error:
        return Lost(name, f"it cannot be read ({error.strerror})")
    suffix = path.suffix.casefold()
    text = _decoded(raw, html=suffix in HTML)
    if text is None:
        return Lost(name, "it is not UTF-8 text")
    if suffix in MARKDOWN:
        title, passages, redirect = _markdown(text)
    elif suffix in HTML:
        try:
            title, passages, redirect = _html(text)
        except AssertionError as error:  # so the standard library says that it knows no such declaration
            return Lost(name, f"it is not readable HTML ({error})")
    else:
        title, passages, redirect = (*_plain(text), None)
    led_to = (passage_with_targets(passage, name) for passage in passages)
    bare = name.removesuffix(printable(path.suffix))
    names = [name, bare, posixpath.dirname(name) if stem.casefold() in _INDEX else stem]
    document = make_document(
        name,
        title or stem.replace("_", " ").replace("-", " ").strip() or name,
        list(led_to),
        names=tuple(one for one in names if one),
        redirect=_target(redirect, name) or redirect if redirect else None,
    )
    if not document.passages and document.redirect is None:
        return Lost(name, "it holds no text")
    return document


def files_of(root: Path) -> Iterator[Path]:
    """Files below a folder that are documents by their names, in the order of their paths; hidden ones are left out."""
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root).parts
        if path.suffix.casefold() in KINDS and not any(part.startswith(".") for part in inside) and path.is_file():
            yield path


def passage_with_targets(passage: Passage, name: str) -> Passage:
    """The passage with links led to paths of this folder; links elsewhere are left out."""
    found = (Link(link.text, target) for link in passage.links if (target := _target(link.target, name)))
    return Passage(passage.text, passage.section, tuple(found))


def _target(href: str, name: str) -> str | None:
    if href.startswith("wiki:"):
        return href.removeprefix("wiki:")
    try:
        parts = urlsplit(href.strip())
    except ValueError:
        return None
    if parts.scheme or parts.netloc or not parts.path:
        return None
    path = printable(unquote(parts.path, errors="surrogateescape"))
    joined = path.lstrip("/") if path.startswith("/") else posixpath.join(posixpath.dirname(name), path)
    normal = posixpath.normpath(joined)
    return None if normal.startswith("..") else normal


def _decoded(raw: bytes, *, html: bool) -> str | None:
    if b"\0" in raw[:65536]:
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        stated = _CHARSET.search(raw[:4096]) if html else None
        if stated is None:
            return None
        try:
            return raw.decode(stated[1].decode(), "replace")
        except (LookupError, UnicodeError):
            return None


def _plain(text: str) -> tuple[str, list[Passage]]:
    blocks = [_SPACES.sub(" ", block).strip() for block in re.split(r"\n\s*\n", text)]
    blocks = [block for block in blocks if block]
    first = blocks[0] if blocks else ""
    if len(blocks) > 1 and len(first) <= 80 and first[-1] not in ".!?,;":
        return first.strip("#= "), [Passage(block) for block in blocks[1:]]
    return "", [Passage(block) for block in blocks]


def _markdown(text: str) -> tuple[str, list[Passage], str | None]:
    from markdown_it import MarkdownIt

    front = _FRONT.match(text)
    fields = dict(_FIELD.findall(front[1])) if front else {}
    tokens = MarkdownIt("commonmark").enable("table").parse(text[front.end() :] if front else text)
    title, section, heading, skipped = str(fields.get("title", "")), "", False, 0
    passages: list[Passage] = []
    for token in tokens:
        if token.type in ("table_open", "table_close"):
            skipped += 1 if token.type == "table_open" else -1
        elif token.type == "heading_open":
            heading = True
        elif token.type == "inline" and not skipped:
            shown, links = _inline(token.children or [])
            if heading:
                heading = False
                section = shown
                title = title or shown
            elif shown:
                passages.append(Passage(shown, "" if section == title else section, links))
    return title, passages, fields.get("redirect_to") or fields.get("redirect")


def _inline(children: list[Any]) -> tuple[str, tuple[Link, ...]]:
    parts: list[str] = []
    links: list[Link] = []
    opened: tuple[int, str] | None = None
    for child in children:
        match child.type:
            case "text" | "code_inline":
                parts.append(_WIKI_LINK.sub(lambda found: _wiki_link(found, links), child.content))
            case "softbreak" | "hardbreak":
                parts.append(" ")
            case "link_open":
                opened = (len(parts), str(child.attrs.get("href", "")))
            case "link_close" if opened is not None:
                shown = _SPACES.sub(" ", "".join(parts[opened[0] :])).strip()
                if shown:
                    links.append(Link(shown, opened[1]))
                opened = None
            case _:
                pass  # emphasis is not text; pictures and raw HTML are not seen
    return _SPACES.sub(" ", "".join(parts)).strip(), tuple(links)


def _wiki_link(found: re.Match[str], links: list[Link]) -> str:
    shown = (found[2] or found[1]).strip()
    links.append(Link(shown, f"wiki:{found[1].strip()}"))
    return shown


def _html(text: str) -> tuple[str, list[Passage], str | None]:
    page = _HtmlPage()
    page.feed(text)
    page.close()
    page.end_block()
    return page.heading or page.title, page.passages, page.redirect


class _HtmlPage(HTMLParser):
    """Blocks of an HTML page; what is no running text (menus, tables, scripts, note marks) is passed over."""

    _BLOCKS = frozenset(
        [
            "p",
            "li",
            "dd",
            "dt",
            "blockquote",
            "div",
            "section",
            "article",
            "main",
            "body",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "pre",
            "br",
            "hr",
            "ul",
            "ol",
            "dl",
        ]
    )
    _SKIPPED = frozenset(
        [
            "script",
            "style",
            "nav",
            "footer",
            "aside",
            "table",
            "form",
            "button",
            "select",
            "svg",
            "math",
            "template",
            "noscript",
            "sup",
        ]
    )
    _HEADINGS = frozenset(["h1", "h2", "h3", "h4", "h5", "h6"])

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = self.heading = ""
        self.redirect: str | None = None
        self.passages: list[Passage] = []
        self._section = ""
        self._parts: list[str] = []
        self._links: list[Link] = []
        self._anchor: tuple[int, str] | None = None
        self._skipping: list[str] = []
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in self._SKIPPED:
            self._skipping.append(tag)
        elif tag == "title":
            self._in_title = True
        elif tag == "meta" and (given.get("http-equiv") or "").casefold() == "refresh":
            found = _REFRESH.search(given.get("content") or "")
            self.redirect = found[1].strip() if found else self.redirect
        elif tag in self._BLOCKS:
            self.end_block()
        elif tag == "a" and given.get("href") and not self._skipping:
            self._anchor = (len(self._parts), given["href"] or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._SKIPPED:
            if tag in self._skipping:
                # What was opened inside and never closed ends with it.
                del self._skipping[self._skipping.index(tag) :]
        elif tag == "title":
            self._in_title = False
        elif tag == "a" and self._anchor is not None:
            shown = _SPACES.sub(" ", "".join(self._parts[self._anchor[0] :])).strip()
            if shown:
                self._links.append(Link(shown, self._anchor[1]))
            self._anchor = None
        elif tag in self._HEADINGS:
            shown = _SPACES.sub(" ", "".join(self._parts)).strip()
            self._parts, self._links, self._anchor = [], [], None
            if tag == "h1" and not self.heading:
                self.heading = shown
            else:
                self._section = shown
        elif tag in self._BLOCKS:
            self.end_block()

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title = _SPACES.sub(" ", self.title + data).strip()
        elif not self._skipping:
            self._parts.append(data)

    def end_block(self) -> None:
        """What was read since the last block ended is a passage, if it holds words."""
        text = _SPACES.sub(" ", "".join(self._parts)).strip()
        if text:
            self.passages.append(Passage(text, self._section, tuple(self._links)))
        self._parts, self._links, self._anchor = [], [], None
