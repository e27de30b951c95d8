"""Cleaning: what a model puts around a text it was asked to write, taken off before anybody reads the text.

Three quarters of the published RTE additions begin with a quotation mark (measured on the released files; gold: 0.6 %),
and a student learns such a mark sooner than the task. The decision: only what frames the whole text goes, never a
quotation inside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "'": "'", "‘": "’", "「": "」", "『": "』", "`": "`"}
_FENCE = re.compile(r"\A```\w*\n(.*?)\n?```\Z", re.DOTALL)
_HERE = re.compile(
    r"\A(?:sure|certainly|of course|okay|ok)?[!,.:]?\s*(?:here(?:'s| is| are)|below is)\b[^\n:]{0,120}:\s*",
    re.IGNORECASE,
)
_SURE = re.compile(r"\A(?:sure|certainly|of course)[!.:]\s+", re.IGNORECASE)
_NUMBER = re.compile(r"\A(?:\(?\d{1,3}[.):]|[-*•])\s+")
_BOLD = re.compile(r"\A\*\*([^*\n]+)\*\*\s*")


def cleaned(text: str, *, prefixes: Sequence[str] = ()) -> str:
    r"""The text without fences, announcements, named prefixes and the quotation marks around all of it.

    Args:
        prefixes: words that may stand before the text with a colon ("Hypothesis").

    >>> cleaned('Hypothesis: "It rains."', prefixes=["Hypothesis"])
    'It rains.'
    >>> cleaned('"Yes" and "no" are words.')
    '"Yes" and "no" are words.'
    """
    text = text.strip()
    for _ in range(4):  # a quoted text may hold a prefix, and a prefixed one be quoted
        before = text
        if fenced := _FENCE.match(text):
            text = fenced[1].strip()
        text = _SURE.sub("", _HERE.sub("", text)).strip()
        text = _without_prefix(text, prefixes)
        text = _unquoted(text)
        if text == before:
            break
    return text


def bare(line: str) -> str:
    """A line of a list on its own: without its number, its dash and the quotation marks around it.

    >>> bare("1. 'It drags,'")
    'It drags,'
    """
    return " ".join(cleaned(_NUMBER.sub("", line.strip(), count=1)).split())


def _without_prefix(text: str, prefixes: Sequence[str]) -> str:
    if not prefixes:
        return text
    bare = _BOLD.sub(lambda found: found[1] if found[1].rstrip().endswith(":") else found[0], text, count=1)
    names = "|".join(re.escape(one) for one in sorted(prefixes, key=len, reverse=True))
    found = re.match(rf"\A(?:(?:new|similar|another)\s+)?(?:{names})\s*(?:\d+\s*)?:\s*", bare, re.IGNORECASE)
    return bare[found.end() :].strip() if found else text


def _unquoted(text: str) -> str:
    """The inside where one pair of marks stands around the whole, and a mark that was opened and never closed."""
    close = _QUOTES.get(text[:1])
    if close is None or len(text) < 2:
        return text
    inside = text[1:-1] if text.endswith(close) else None
    if inside is not None and close not in inside and text[0] not in inside:
        return inside.strip()
    if inside is None and text[0] in '"“„«「『' and close not in text[1:] and text[0] not in text[1:]:
        return text[1:].strip()
    return text
