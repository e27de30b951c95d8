"""Documents as a source: folders of Markdown, HTML and text, MediaWiki dumps, rows of titled paragraphs."""

from upcycle.sources.documents.document import Document, Link, Passage, key_of, make_document, plain_title, sentences
from upcycle.sources.documents.dump import Lost
from upcycle.sources.documents.store import DocumentStore, Mention

__all__ = [
    "Document",
    "DocumentStore",
    "Link",
    "Lost",
    "Mention",
    "Passage",
    "key_of",
    "make_document",
    "plain_title",
    "sentences",
]
