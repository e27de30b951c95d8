"""When two answers are the same: soft rules, stated here once and used by filter, imputation and applications.

A reply may hold a chain; its answer is what follows its last "Answer:". Both texts are compared after folding case,
accents, articles, punctuation and spaces; numbers by value ("1,250" is 1250, "12.50" is 12.5); and the true answer
counts as found where it stands in what was said as whole words (soft exact match), unless that is far longer than an
answer would be.
"""

from __future__ import annotations

import re
import string
import unicodedata

from upcycle.contract import is_number

ANSWER_MARK = "Answer:"
"""Stands between a chain and its answer."""

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans(string.punctuation, " " * len(string.punctuation))
_ROOM = 12  # words an answer may be said with beyond its own; a reply that recites the page has not answered


def answer_of(said: str) -> str:
    """The answer in a reply: what follows its last "Answer:", else the whole of it.

    >>> answer_of("Who led it? Byron. Answer: a bear")
    'a bear'
    """
    return said.rpartition(ANSWER_MARK)[2].strip() if ANSWER_MARK in said else said.strip()


def folded(text: str) -> str:
    """A text as it is compared.

    >>> folded("The  Élan, of a bear!")
    'elan of bear'
    """
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(char for char in plain if not unicodedata.combining(char)).translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split())


def soft_match(said: str, answer: str) -> bool:
    """Whether a reply comes to the answer.

    >>> soft_match("It was in Rome, Italy.", "Rome"), soft_match("12.50", "12.5"), soft_match("no", "Norway")
    (True, True, False)
    """
    said, answer = answer_of(said), answer.strip()
    if is_number(said) and is_number(answer):
        return _value(said) == _value(answer)
    one, other = folded(said), folded(answer)
    if not one or not other:
        return said == answer != ""
    if one == other:
        return True
    words, wanted = one.split(), other.split()
    short = len(words) <= len(wanted) + _ROOM
    return short and any(words[at : at + len(wanted)] == wanted for at in range(len(words) - len(wanted) + 1))


def _value(text: str) -> float:
    text = text.strip()
    return float(text.rstrip("%").replace(",", "")) / (100 if text.endswith("%") else 1)
