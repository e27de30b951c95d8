"""The sums and equations of a worked solution, read out of running text and worked out again.

In: text as people write it ("Rs. 20 x 3 = 60, so n = 60/5"). Out: chains of equal sides, each side a value where it
can be worked out. What cannot be read is left out, never guessed: a side counts only when all of it is understood.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

# What stands between a number and the next sign: "20 km/hr * 3 hours", "(9 x 14) sq.ft".
_WORD = r"(?:(?!(?:or|and|is|to|by|for|so|then|if|as|at|but|where|from|we|he|she)\b)[A-Za-z]{2,}\.?|[mshg]\b\.?)\d?"
_UNITS = (
    rf"(?<=[\d)])[ \t]*{_WORD}(?:[ \t]*/?[ \t]*{_WORD})?"
    r"(?=[ \t]*(?:[+*/=),.;&\n]|-(?![A-Za-z]{2})|and\b)|[ \t]+[xX][ \t]*[\d(]|\s*$)"
)
_PLAIN: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), into)
    for pattern, into in (
        (r"[-=]*[-=]>|<=>|⇒|→|⇔|∴|--+", ";"),
        (r"[×∗⋅·•✕]", "*"),
        (r"[÷⁄∕]", "/"),
        (r"[–—−]", "-"),
        (r"[≈≅]|~=|==+", "="),
        (r"[\[{]", "("),
        (r"[\]}]", ")"),
        (r"(?<=\d),(?=\d{3}(?!\d)|\d{2},\d{3}(?!\d))|(?<=\d) (?=000\b)", ""),
        (r"(?i)(?:\brs\.?|[$£€₹])\s*(?=[\d.])", ""),
        (r"(?<=\d)\s*[$£€₹](?!\s*\d)|(?<=\d)\s*/-", ""),
        (r"\b[A-Za-z]\d(?![\dA-Za-z]*\()", "?"),
        (r"½", " 1/2"),
        (r"¼", " 1/4"),
        (r"¾", " 3/4"),
        (r"(?i)\bsqrt\b", "√"),
        (r"(?i)\bpi\b|(?<=\d)pi\b", "π"),
        (r"(?i)\b(?:is )?(?:equals?|equal to)\b|(?<=[\d)]) is (?=[\d$])", "="),
        (r"(?i)\bdivided by\b", "/"),
        (r"\bC\s*\((\d+)\s*,\s*(\d+)\)", r"(\1C\2)"),
        (r"%\s+of\s+(\d+(?:\.\d+)?)[ \t]*[A-Za-z ]*(?==)", r"%*\1"),
        (r"(?<![\d./*])(?<![\d./*]\s)(\d+)\s+(\d+/\d+)(?![\d/])", r"(\1+\2)"),
        (_UNITS, " "),
        (r"(?<=[\d)%!])(?:\s+[xX]\s*|[xX])(?=[\d.])|(?<=[\d)%!])\s+[xX]\s+(?=\()|(?<=\))x(?=\()", "*"),
        (r"(?<=[\d)%])\s+of\s+(?=[\d(])", "*"),
        (_UNITS, " "),
        (r"\n[ \t]*(?==)", " "),
    )
)
_TOKEN = re.compile(
    r"(?P<number>\d+(?:\.\d+)?|\.\d+)|(?P<many>\d*C\(|\d*P\()|(?P<word>[A-Za-z]{2,})|(?P<letter>[A-Za-z])"
    r"|(?P<sign>\*\*|[-+*/^()!√%=π])|(?P<space>[ \t]+)|(?P<other>.|\n)",
    re.DOTALL,
)


class Side(NamedTuple):
    """One side of an equation: its tokens, as they stand."""

    tokens: tuple[str, ...]

    @property
    def letters(self) -> frozenset[str]:
        """The unknowns."""
        return frozenset(t for at, t in enumerate(self.tokens) if t.isalpha() and t != "π" and not self._chooses(at))

    def _chooses(self, at: int) -> bool:
        """Whether the letter at this place stands for a number of choices: "8C4"."""
        return (
            self.tokens[at] in "CP"
            and 0 < at < len(self.tokens) - 1
            and self.tokens[at - 1].isdigit()
            and self.tokens[at + 1].isdigit()
        )

    @property
    def is_computed(self) -> bool:
        """Whether there is anything to work out."""
        return len(self.tokens) - (self.tokens[0] in "+-") - (self.tokens[-1] == "%") > 1

    @property
    def is_number(self) -> bool:
        """Whether it is one number as written."""
        tokens = self.tokens[:-1] if self.tokens[-1] == "%" else self.tokens
        return len(tokens) == 1 and (tokens[0][0].isdigit() or tokens[0][0] == ".")

    @property
    def is_unknown(self) -> bool:
        """Whether it is one letter."""
        return len(self.tokens) == 1 and self.tokens[0].isalpha() and self.tokens[0] != "π"

    @property
    def places(self) -> int | None:
        """How many places a number is written to; None for anything else."""
        return len(self.tokens[0].partition(".")[2]) if self.is_number else None

    @property
    def top_level(self) -> tuple[int, ...]:
        """Where the tokens outside all brackets stand."""
        found: list[int] = []
        depth = 0
        for at, piece in enumerate(self.tokens):
            depth += (piece == "(") - (piece == ")")
            if depth == 0 and piece != ")":
                found.append(at)
        return tuple(found)

    def __str__(self) -> str:
        return "".join(self.tokens)

    def value(self, known: Mapping[str, float] | None = None) -> float | None:
        """What it comes to, None where that cannot be worked out."""
        try:
            found = _Reading(self.tokens, known or {}).whole()
        except (ValueError, ZeroDivisionError, OverflowError, RecursionError):
            return None
        return found if isinstance(found, (int, float)) and math.isfinite(found) else None

    @property
    def is_exact(self) -> bool:
        """Whether whole numbers are only added, taken away and multiplied, so that nothing is rounded."""
        return not any(piece in ("/", "√", "^", "%") or "." in piece for piece in self.tokens)


Chain = tuple[Side, ...]


def chains(text: str) -> list[Chain]:
    """All runs of sides that are said to be equal, in reading order; sides that break off are left out."""
    found: list[Chain] = []
    for segment in _segments(text):
        sides = [Side(tuple(side)) for side in map(_unbracketed, _split(segment, "=")) if side]
        # A minus at the front follows a word: "what is left - 20 = 30" says nothing of 20.
        sides = sides[1:] if sides and sides[0].tokens[0] == "-" else sides
        if len(sides) > 1:
            found.append(tuple(sides))
    return found


def _segments(text: str) -> list[list[str]]:
    for pattern, into in _PLAIN:
        text = pattern.sub(into, text)
    segments: list[list[str]] = [[]]
    for match in _TOKEN.finditer(text):
        if match.lastgroup == "space":
            continue
        if match.lastgroup in ("word", "other") and not (match[0] == ":" and segments[-1]):
            segments.append([])
        else:
            segments[-1].append(match[0] if match[0] in "CP" else match[0].lower())
    return segments


def _unbracketed(pieces: list[str]) -> list[str]:
    """Without a bracket that was opened before the side or is closed after it: "(168/19 = 8.84)"."""
    spare = pieces.count("(") - pieces.count(")")
    if spare == 1 and pieces[0] == "(":
        return pieces[1:]
    return pieces[:-1] if spare == -1 and pieces[-1] == ")" else pieces


def _split(tokens: list[str], at: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for piece in tokens:
        if piece == at:
            parts.append([])
        else:
            parts[-1].append(piece)
    return parts


@dataclass
class _Reading:
    """A descent through the tokens of one side."""

    tokens: tuple[str, ...]
    known: Mapping[str, float]
    at: int = 0

    def whole(self) -> float:
        value = self._sum()
        if self.at != len(self.tokens):
            raise ValueError("something is left over")
        return value

    def _next(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _take(self) -> str:
        piece = self._next()
        self.at += 1
        return piece

    def _sum(self) -> float:
        value = self._product()
        while self._next() in ("+", "-"):
            value = value + self._product() if self._take() == "+" else value - self._product()
        return value

    def _product(self) -> float:
        value = self._power()
        while True:
            piece = self._next()
            if piece == "*":
                self.at += 1
                value *= self._power()
            elif piece == "/":
                self.at += 1
                value /= self._power()
            elif piece == "(" or piece.isalpha() or piece == "√" or piece == "π":
                value *= self._power()
            else:
                return value

    def _power(self) -> float:
        if self._next() == "-":
            self.at += 1
            return -self._power()
        value = self._atom()
        while self._next() in ("!", "%"):
            value = math.factorial(_small(value)) if self._take() == "!" else value / 100
        if self._next() in ("^", "**"):
            self.at += 1
            raised = self._power()
            if abs(raised) > 50 or isinstance(value**raised, complex):
                raise ValueError("no power to work out")
            value = value**raised
        return value

    def _atom(self) -> float:
        piece = self._take()
        if piece == "(":
            value = self._sum()
            if self._take() != ")":
                raise ValueError("a bracket is open")
            return value
        if piece == "√":
            return math.sqrt(self._atom())
        if piece == "π":
            return math.pi
        if piece.isalpha():
            if piece not in self.known:
                raise ValueError("an unknown")
            return self.known[piece]
        if not piece or not (piece[0].isdigit() or piece[0] == "."):
            raise ValueError("no number")
        if self._next() in ("C", "P") and piece.isdigit() and self.tokens[self.at + 1 : self.at + 2]:
            ways = math.comb if self._take() == "C" else math.perm
            return ways(_small(float(piece)), _small(self._atom()))
        return float(piece)


def _small(value: float) -> int:
    if value != int(value) or not 0 <= value <= 40:
        raise ValueError("no small whole number")
    return int(value)
