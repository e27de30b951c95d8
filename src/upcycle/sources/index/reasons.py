"""Why a dataset was found, in words a person can check against its card.

In: a listing, the parts of its score, and the terms that were looked for. Out: one line. The decision: only what can
be seen is named (words, columns, counts), never a number that means nothing outside one search.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from upcycle.sources.index.listing import Listing
from upcycle.sources.words import Term

_WORD = re.compile(r"[^\W_]+")
_SHOWN_CHARS = 600
_NEAR = 2.0  # standard deviations above the mean of the whole index
_MUCH = 1.0
_SEVERAL = 2


def why(listing: Listing, parts: Mapping[str, float], wanted: Sequence[Term], mentions: int) -> str:
    """What speaks for a listing, the most telling words first.

    Args:
        mentions: other cards that name it.
    """
    own = spaced(f"{listing.id} {listing.name} {listing.text[:_SHOWN_CHARS]} {' '.join(listing.tags)}")
    columns = spaced(" ".join(listing.columns))
    by_weight = sorted(wanted, key=lambda term: -term.weight)
    matched = [term.word for term in by_weight if begins_word(term.stem, own)][:6]
    inside = [term.word for term in by_weight if begins_word(term.stem, columns)][:4]
    said = [
        f"card: {', '.join(matched)}" if matched else "",
        f"columns: {', '.join(inside)}" if inside else "",
        "near in meaning" if parts.get("meaning", 0.0) > _NEAR else "",
        f"used often ({listing.popularity:,.0f})" if listing.popularity and parts["popularity"] >= _MUCH else "",
        f"named by {mentions} other cards" if mentions > _SEVERAL else "",
    ]
    return "; ".join(part for part in said if part) or "little speaks for it"


def spaced(text: str) -> str:
    """The words of a text in small letters, each after one space, for `begins_word`."""
    return "".join(f" {word}" for word in _WORD.findall(text.lower()))


def begins_word(stem: str, text: str) -> bool:
    """Whether a word of a `spaced` text begins with a stem: "rate" stands for "rating", "studi" for "study"."""
    start = stem[:-1] if len(stem) > 3 and stem[-1] in "ei" else stem
    return f" {start}" in text  # a pattern for each word of a query would take longer than the search
