"""Documents as a source: folders of Markdown, HTML and text, MediaWiki dumps, rows of titled paragraphs."""

from upcycle.sources.documents.document import (
    Document,
    Link,
    Passage,
    folded,
    key_of,
    make_document,
    occurs,
    plain_title,
    sentences,
)
from upcycle.sources.documents.dump import Lost
from upcycle.sources.documents.store import DocumentStore, Linking, Mention

__all__ = [
    "Document",
    "DocumentStore",
    "Link",
    "Linking",
    "Lost",
    "Mention",
    "Passage",
    "folded",
    "key_of",
    "make_document",
    "occurs",
    "plain_title",
    "sentences",
]
