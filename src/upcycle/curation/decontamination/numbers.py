"""Numbers of a text, also those in English words: the same sentence with other numbers says another thing.

In: any text. Out: the set of its numbers as digits. The decision: number words that follow each other are one number,
as people read them ("ten thousand" is 10000, "three hundred and twelve" is 312); "one" alone is seldom a number.
"""

from __future__ import annotations

from upcycle.curation.duplicates.exact import folded

_UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SMALL = {word: number for number, word in enumerate(_UNITS)} | {word: 10 * n for n, word in enumerate(_TENS, 2)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_MOST_DIGITS = 15  # longer ones are names of things, and nobody writes them in words

NUMBER_WORDS = frozenset((*_SMALL, *_SCALES))


def numbers_of(text: str) -> set[str]:
    """Numbers of a text as digits; not 1, for "one" is seldom a number.

    >>> sorted(numbers_of("ten thousand euros, three billion, and 36m for twenty-five of them"))
    ['10000', '25', '3000000000', '36m']
    """
    found: set[str] = set()
    number = _Number()
    for word in folded(text).split():
        if word == "and" and number.takes_and:
            continue
        if not number.takes(word):
            found.update(number.told())
            number = _Number()
            if not number.takes(word) and word[0].isdigit():
                found.add(word)
    found.update(number.told())
    return found - {"1", "0"}


class _Number:
    """A number that is being read, word by word: what is whole of it (up to the last thousand), and what is not yet."""

    def __init__(self) -> None:
        self._whole = 0
        self._part: int | None = None
        self._last = ""

    @property
    def takes_and(self) -> bool:
        return self._last in _SCALES

    def takes(self, word: str) -> bool:
        """Whether the word belongs to this number; it is then part of it."""
        if word in _SCALES:
            scaled = (1 if self._part is None else self._part) * _SCALES[word]
            self._whole, self._part = (self._whole, scaled) if word == "hundred" else (self._whole + scaled, 0)
        elif word in _SMALL:
            joins = self._last in _SCALES or (self._last in _TENS and 0 < _SMALL[word] < 10)
            if self._part is not None and not joins:
                return False
            self._part = (self._part or 0) + _SMALL[word]
        elif word.isascii() and word.isdigit() and len(word) <= _MOST_DIGITS and self._part is None:
            self._part = int(word)
        else:
            return False
        self._last = word
        return True

    def told(self) -> list[str]:
        return [] if self._part is None else [str(self._whole + self._part)]
