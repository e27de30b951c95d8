r"""Regular expressions of plans, in linear time: a plan may come from a model and a record from anywhere.

RE2 (no look-around, no back reference) cannot be made to run for ever, whatever the pattern and the text. Its classes
are widened to Unicode, so that `\w` means in a plan what it means in Python.
"""

from __future__ import annotations

import re
from typing import Any

MAX_PATTERN = 400
SEARCHED = 4_000
"""Characters of a text that a pattern is searched in."""

_WIDER = {"w": r"\pL\pM\p{Nd}_", "d": r"\p{Nd}"}
_CLASS_OR_ESCAPE = re.compile(r"\\.|\[\^?\]?|\]", re.DOTALL)


def compiled_pattern(text: str) -> Any:
    """The pattern as an RE2 object with `search`.

    Raises:
        ValueError: longer than 400 characters, or nothing RE2 can run, with what is wrong in it.
    """
    import re2

    if len(text) > MAX_PATTERN:
        raise ValueError(f"a pattern may hold {MAX_PATTERN} characters, this one has {len(text)}")
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(_widened(text), options)
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise ValueError(
            f"{text!r} is not a regular expression that can be run here ({why}); look-around and back references cannot"
        ) from None


def _widened(text: str) -> str:
    inside = False

    def wider(match: re.Match[str]) -> str:
        nonlocal inside
        found = match[0]
        if found[0] == "[":
            if inside:
                return found
            inside = True
        elif found == "]":
            inside = False
        elif found[1] in "wd":
            return _WIDER[found[1]] if inside else f"[{_WIDER[found[1]]}]"
        elif found[1] in "WD" and not inside:
            return f"[^{_WIDER[found[1].lower()]}]"
        return found

    return _CLASS_OR_ESCAPE.sub(wider, text)
