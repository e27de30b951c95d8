"""How texts become tokens: two rules, stated once, that every measurement here names.

`words` are what ROUGE compares: lower-cased runs of letters and digits, and single characters in scripts written
without spaces (Chinese, Japanese, Thai, Lao, Burmese, Khmer). On a text whose letters and digits are all ASCII this is
exactly the tokenizer of the `rouge-score` package without its stemmer; on others that package loses every letter
outside a-z, and ours does not. `words_and_marks` are what lengths, bigrams and openings count: the same words, but with
each punctuation mark or symbol a token of its own, which the numbers of the DataTune paper's Table 3 come closest to.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Callable, Iterable
from functools import cache
from typing import NamedTuple

Tokens = Callable[[str], list[str]]
"""A text to its tokens, in order."""

# Hiragana, Katakana and Han (with their extensions), Thai, Lao, Burmese, Khmer: written without spaces.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
# For ASCII, what every byte becomes: a lower-case letter, a digit, or the space between words.
_ASCII = bytes(ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else 32 for code in range(256))
_PLAIN = re.compile(r"[^\W_]+")
_PLAIN_AND_MARKS = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> list[str]:
    """Lower-cased words without punctuation; characters where a script has no spaces between words."""
    if text.isascii():
        return text.encode().translate(_ASCII).decode().split()
    return _rules(lower := text.lower())[0].findall(lower)


def words_and_marks(text: str) -> list[str]:
    """Lower-cased words, with every punctuation mark and symbol (an emoji is one) as a token of its own."""
    return _rules(lower := text.lower())[1].findall(lower)


def _rules(text: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    # The full rules are ten times slower and say the same where no such character is in the text.
    if text.isascii() or not (full := _full_rules())[2].search(text):
        return _PLAIN, _PLAIN_AND_MARKS
    return full[0], full[1]


@cache
def _full_rules() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Both rules for any script, and the characters that need them: unspaced scripts, combining marks, emoji joints.

    A letter keeps the marks (vowel signs, accents) that follow it; an emoji keeps its modifiers.
    """
    marks = _marks()
    unspaced = rf"[{_UNSPACED}][{marks}]*"
    word = rf"(?:[^\W_{_UNSPACED}][{marks}]*)+"
    with_lines = rf"(?:[^\W{_UNSPACED}][{marks}]*)+"
    symbol = rf"[^\w\s](?:[{marks}\U0001f3fb-\U0001f3ff]|\u200d[^\w\s])*"
    return (
        re.compile(rf"(?=[^\W_]){unspaced}|{word}"),
        re.compile(rf"{unspaced}|{with_lines}|{symbol}"),
        re.compile(rf"[{_UNSPACED}{marks}\u200d\U0001f3fb-\U0001f3ff]"),
    )


def _marks() -> str:
    """The combining marks of the basic plane, and the variation selectors, as the inside of a character class."""
    codes = [code for code in range(0x300, 0x10000) if unicodedata.category(chr(code))[0] == "M"]
    codes.append(0x200C)  # the joint of letters in Persian and Indic words
    ranges: list[list[int]] = []
    for code in sorted(codes):
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    # Few ranges beyond the basic plane: `re` looks through those one by one.
    return "".join(f"\\u{low:04x}-\\u{high:04x}" for low, high in ranges) + "\\U000e0100-\\U000e01ef"


class Interned(NamedTuple):
    """Texts as numbers: text `i` is `flat[starts[i]:starts[i + 1]]`.

    Attributes:
        flat: 32-bit token numbers of all texts, one after the other.
        starts: where each text begins in `flat`, and the end.
        known: how many different tokens there are; numbers are below it, in the order of their first appearance.
    """

    flat: array[int]
    starts: array[int]
    known: int


def intern(texts: Iterable[str], tokens: Tokens = words) -> Interned:
    """Each different token a number, so that comparing tokens is comparing integers."""
    numbers: dict[str, int] = {}
    flat, starts = array("i"), array("q", [0])
    for text in texts:
        flat.extend([numbers.setdefault(token, len(numbers)) for token in tokens(text)])
        starts.append(len(flat))
    return Interned(flat, starts, len(numbers))
