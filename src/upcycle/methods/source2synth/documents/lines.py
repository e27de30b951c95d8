"""Replies in labelled lines ("Question: ...", "Entity: ..."), as the paper asks for them.

Small models put labels in bold, number them, or say something first; what follows the last line with a label counts. A
prompt that asks for one thing gets it without the label too, where the reply is one line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_SPACES = re.compile(r"\s+")
_QUOTES = "\"“”'` "


def labelled(text: str, names: Sequence[str]) -> dict[str, str]:
    r"""What stands behind each label, in one line each; a label that is not there is left out.

    >>> labelled("Sure!\n**Question:** Who led it?\nEntity: Apollo 11", ["Question", "Entity"])
    {'Question': 'Who led it?', 'Entity': 'Apollo 11'}
    """
    found: dict[str, str] = {}
    for name in names:
        label = re.compile(rf"^[\s*#>\d.)-]*{name}[\s*]*[:：][\s*]*(.*)$", re.IGNORECASE | re.MULTILINE)
        lines = label.findall(text)
        if lines and (value := _bare(lines[-1])):
            found[name] = value
    if not found and len(names) == 1 and "\n" not in text.strip() and text.strip():
        found[names[0]] = _bare(text)
    return found


def _bare(text: str) -> str:
    text = _SPACES.sub(" ", text).strip().strip("*").strip()
    inner = text[1:-1]
    if len(text) > 2 and text[0] in _QUOTES and text[-1] in _QUOTES and not set(inner) & set('"“”'):
        return inner.strip()
    return text
