"""Which label of a source means which label of the task, with evidence or not at all.

Evidence is, in this order: the same word; a class name the card declares; a glossary in the card's text or the
column's description ("0 negative, 1 positive"); and, where the task has exactly X and "not X", any other label of a
set that holds X.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from upcycle.methods.datatune.plans.steps import key_text

_PAIR = re.compile(
    r"(?<![\w.])(?P<code>-?\d{1,2})\s*(?:=+>?|:|-+>|\(|is\b|means\b|stands for\b|for\b|[–—-](?=\s))?\s*['\"`]?"
    r"(?P<name>[A-Za-z][A-Za-z_ -]*[A-Za-z])"
)
_REVERSED = re.compile(r"(?P<name>[A-Za-z][A-Za-z_-]*)['\"`]?\s*(?:\(|=)\s*(?P<code>-?\d{1,2})(?![\w./-])")
_STOPS = re.compile(r"\s+(?:and|or|if|when|for|in|of|to|is)\b.*$")


def plain(label: str) -> str:
    """Form in which labels are compared."""
    return re.sub(r"[\s_-]+", " ", label.casefold()).strip(" .\"'")


def mapping_for(
    labels: Sequence[str], values: Iterable[object], declared: Sequence[str] | None, texts: Sequence[str]
) -> dict[str, str] | None:
    """From a source's label values to the task's labels, covering all of the task's, or None without evidence.

    Args:
        values: labels as sampled; declared: class names of the card; texts: where a glossary may stand.
    """
    seen = {key_text(value) for value in values if value is not None and value != ""} | set(declared or ())
    wanted = {plain(label): label for label in labels}
    found = {value: wanted[plain(value)] for value in seen if plain(value) in wanted}
    if not found and all(re.fullmatch(r"-?\d{1,2}", value) for value in seen):
        meant = glossary(texts)
        found = {value: wanted[plain(meant[value])] for value in seen if plain(meant.get(value, "")) in wanted}
    found |= _complement(labels, seen, found)
    return dict(sorted(found.items())) if set(found.values()) == set(labels) and len(labels) > 1 else None


def glossary(texts: Sequence[str]) -> dict[str, str]:
    """What the texts say numbers stand for; a number that is said to stand for two things is left out."""
    meant: dict[str, set[str]] = {}
    for text in texts:
        for pattern in (_PAIR, _REVERSED):
            for found in pattern.finditer(text):
                name = plain(_STOPS.sub("", found["name"]))
                meant.setdefault(found["code"], set()).add(name)
    return {code: min(names) for code, names in meant.items() if len(names) == 1}


def _complement(labels: Sequence[str], seen: set[str], found: dict[str, str]) -> dict[str, str]:
    if len(labels) != 2:
        return {}
    for one, other in (labels, labels[::-1]):
        if plain(other) in (f"not {plain(one)}", f"non {plain(one)}") and one in found.values() and len(seen) <= 5:
            return {value: other for value in seen if value not in found}
    return {}
