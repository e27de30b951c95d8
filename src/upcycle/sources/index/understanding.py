"""A query understood: the words to look for, and the phrasings whose meaning to look for.

In: what a user wrote, and demonstrations. Out: weighted terms, and texts to encode. Without a model the frame of a
sentence ("we want to build a system that ...") is taken off by a fixed list; with one, it writes keyphrases and the
description that a fitting dataset would have (HyDE, arXiv 2212.10496). Phrasings are summed: two of one question found
more than either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from upcycle.sources.words import Term, query_terms

if TYPE_CHECKING:
    from upcycle.llm.model import Model

# How people begin when they say what they want to make; it says nothing of what the data are about.
_FRAME_WORDS = """
a algorithm algorithms an and any application approach are as at based be build by can could create design develop for
framework from given has have i improve in into is it its like make method methods model models need new novel of on or
our problem propose proposed should so solve system systems task technique that the their this to train training use
used uses using want we which will with would you
"""
_FRAME = frozenset(_FRAME_WORDS.split())
_WORD = re.compile(r"[\w/+#-]+")


class Wanted(NamedTuple):
    """What to look for.

    Attributes:
        terms: words and how much each counts.
        phrasings: texts that mean what is wanted, the user's own first.
    """

    terms: list[Term]
    phrasings: list[str]


def bare(query: str) -> str:
    """The words of a query that say what it is about; the query where none would be left.

    >>> bare("We want to build a system that finds faces in crowded streets.")
    'finds faces crowded streets'
    """
    return " ".join(word for word in _WORD.findall(query) if word.lower() not in _FRAME) or query


def understand(
    query: str, demonstrations: Sequence[str], spread: Mapping[str, int], documents: int, *, said: Sequence[str] = ()
) -> Wanted:
    """Terms and phrasings of a query.

    Args:
        spread: number of documents that hold a term, by term.
        said: keyphrases and a description a model wrote (`ask_for_phrasings`).
    """
    terms = query_terms(" ".join((bare(query), *said)), demonstrations, spread, documents, frame=1.0)
    return Wanted(terms, list(dict.fromkeys((query, bare(query), *said))))


async def ask_for_phrasings(query: str, model: Model) -> list[str]:
    """Keyphrases of a query, and the description a fitting dataset would have; nothing where the model fails."""
    from upcycle.errors import RowError
    from upcycle.llm.model import Request
    from upcycle.llm.replies import ask

    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "keyphrases": {"type": "string", "maxLength": 120},
            "description": {"type": "string", "maxLength": 500},
        },
        "required": ["keyphrases", "description"],
        "additionalProperties": False,
    }
    prompt = (Path(__file__).parent / "phrasings.md").read_text(encoding="utf-8").replace("{{query}}", query)
    request = Request(({"role": "user", "content": prompt},), stage="search", max_tokens=300, schema=schema)
    try:
        value = (await ask(model, request, tries=2)).value
    except RowError:
        return []
    return [text for text in (value["keyphrases"].strip(), value["description"].strip()) if text]
