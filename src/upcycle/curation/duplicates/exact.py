"""Exact duplicates: the same example again, whatever its case, spacing, punctuation style and order of options.

Two strengths of "the same". `plain(text)` only evens out what no reader sees (Unicode form, case, spacing, typographic
quotes and dashes) and is safe for code; duplicates inside a set are found by it. `folded(text)` also leaves out
punctuation, keeping operators and signs of numbers, and is what contamination is looked for with.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from functools import cache

from upcycle.contract import listed_options, without_options
from upcycle.curation.check import KEEP, Check
from upcycle.errors import RowKind
from upcycle.records import Example, Verdict

_STYLE = str.maketrans("‘’‚‛“”„‟‐‑‒–—―", "''''\"\"\"\"------")
_OPERATORS = {"-": " − ", "*": " × ", "/": " ÷ ", "^": " ↑ "}
_OPERATOR = re.compile(r"(?<=\d)\s*([-*/^])\s*(?=\d)|(?<![\w)])(-)(?=\d)")
# Scripts written without spaces between words: Thai, Lao, Myanmar, Khmer, kana, Han. A character is their word.
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff])"
)
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


class _Unpunctuated(dict[int, str]):
    """A table for `str.translate`, filled as characters are met: punctuation becomes space, format marks vanish."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        category = unicodedata.category(char)
        # Symbols stay: "3 + 4" is not "3 4", and a text of emoji is a text.
        if category[0] in "PZ" or category in ("Cc", "Cn", "Sk"):
            char = " "
        elif category == "Cf":
            char = ""
        self[code] = char
        return char


def plain(text: str) -> str:
    """The text without what no reader sees: NFKC, case, spacing, typographic quotes and dashes.

    >>> plain("“Fine”,  she SAID")
    '"fine", she said'
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_STYLE))
    return " ".join(text.casefold().split())


def folded(text: str) -> str:
    """The text as bare words and numbers: `plain`, and without punctuation; what is only punctuation stays as it is.

    Scripts written without spaces are cut into characters. Operators between numbers and signs before them stay, since
    "6 / 3" is not "6 * 3"; "1,000" is "1000".

    >>> folded("Well-known:  is 6/3 = 2?")
    'well known is 6 ÷ 3 = 2'
    """
    text = plain(text)
    bare = _THOUSANDS.sub("", text)
    bare = _OPERATOR.sub(lambda found: _OPERATORS[found[1] or found[2]], bare)
    bare = bare.translate(_table())
    if not bare.isascii():
        bare = _UNSPACED.sub(r" \1 ", bare)
    return " ".join(bare.split()) or text


@cache
def _table() -> _Unpunctuated:
    return _Unpunctuated()


def digest(*parts: str) -> int:
    """A number of 64 bits for texts, the same in every process."""
    return int.from_bytes(hashlib.blake2b("\x1f".join(parts).encode("utf-8", "replace"), digest_size=8).digest())


def options_of(example: Example) -> Sequence[str]:
    """The options of an example: those it carries, else those its input lists."""
    return example.choices if example.choices is not None else listed_options(example.input)


def exact_check() -> Check:
    """Drops an example whose input, options and output were already kept; options may stand in another order.

    The verdict names the kept example's id in `other`. Ids and digests are numbers: a million kept examples fit in
    about 130 MB.
    """
    seen: dict[int, int | str] = {}

    def check(example: Example) -> Verdict:
        options = sorted(map(plain, options_of(example)))
        key = digest(plain(without_options(example.input)), *options, plain(example.output))
        first = seen.setdefault(key, _compact(example.id))
        if first == _compact(example.id):
            return KEEP
        return Verdict(
            keep=False,
            kind=RowKind.DUPLICATE,
            reason="repeats an example already kept",
            score=1.0,
            other=first if isinstance(first, str) else f"{first:016x}",
        )

    return check


def _compact(identifier: str) -> int | str:
    # Our own ids are 16 hex digits and take a quarter of the room as numbers; other datasets have ids of any kind.
    if len(identifier) == 16:
        try:
            number = int(identifier, 16)
        except ValueError:
            return identifier
        return number if f"{number:016x}" == identifier else identifier
    return identifier
