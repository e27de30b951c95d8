"""What one prediction is worth beside the gold: exact match, soft match, F1, and the score of a chosen option.

All are functions of texts with values between 0 and 1, and gold against itself is always 1. The decision: numbers are
compared by value and never by their letters, because taking punctuation away, as SQuAD's script does, makes 35 of 3.5.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Sequence

from upcycle.contract import is_number

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_SIGNS = re.compile(r"[<>=+*/^|~\[\]{}]")  # in code and formulas these are the meaning
_NUMBER = re.compile(r"[-+]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?%?")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u0e00-\u0e7f]")
_BETWEEN_VALUES = re.compile(r"\s*(?:[;|\n]|,\s)\s*")


def plain(text: str) -> str:
    """A label as it is compared: case and spacing do not count."""
    return " ".join(text.casefold().split())


def squad_normal(text: str) -> str:
    """An answer as SQuAD's script compares it: no case, punctuation, articles (Rajpurkar et al. 2016, evaluate-v1.1).

    >>> squad_normal("The  Eiffel Tower!")
    'eiffel tower'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def same_label(said: str, answers: Sequence[str]) -> float:
    """Whether a label is one of the right ones."""
    return float(plain(said) in {plain(answer) for answer in answers})


def squad_exact(said: str, answers: Sequence[str]) -> float:
    """SQuAD's exact match: the best over all annotators."""
    return float(squad_normal(said) in {squad_normal(answer) for answer in answers})


def exact(said: str, answers: Sequence[str]) -> float:
    """Exact match as SQuAD's, with numbers compared by value and the signs of code and formulas by sign.

    >>> exact("1,000.", ["1000"]), exact("3.5", ["35"]), exact("a < b", ["a > b"])
    (1.0, 0.0, 0.0)
    """
    return float(any(_alike(said, answer) for answer in answers))


def _alike(said: str, answer: str) -> bool:
    if (wanted := number_of(answer)) is not None:
        return (found := number_of(said)) is not None and math.isclose(found, wanted, rel_tol=1e-9)
    if _SIGNS.findall(said) != _SIGNS.findall(answer):
        return False
    normal = squad_normal(answer)
    return squad_normal(said) == normal if normal else plain(said) == plain(answer)


def exact_list(said: str, values: Sequence[str]) -> float:
    """Exact match of an answer that is several values: each of them once, in any order.

    >>> exact_list("Rome, Paris", ["Paris", "Rome"])
    1.0
    """
    left = [one for one in _BETWEEN_VALUES.split(said.strip()) if one]
    for value in values:
        place = next((number for number, one in enumerate(left) if _alike(one, value)), None)
        if place is None:
            return exact(said, [", ".join(values)])
        left.pop(place)
    return float(not left)


def soft(said: str, answers: Sequence[str]) -> float:
    """Soft exact match: an answer stands in what was said, as whole words (Source2Synth, arXiv 2409.08239, section 4).

    It rewards long outputs, so it is never told without exact match, F1 and their length.
    """
    return float(any(_contained(said, answer) for answer in answers))


def _contained(said: str, answer: str) -> bool:
    if (wanted := number_of(answer)) is not None:
        found = (number_of(one.rstrip(",")) for one in _NUMBER.findall(said))
        return any(one is not None and math.isclose(one, wanted, rel_tol=1e-9) for one in found)
    whole, part = squad_normal(said), squad_normal(answer)
    if not part:
        return plain(answer) in plain(said)
    if _UNSPACED.search(part):
        return part in whole
    return f" {part} " in f" {whole} "


def soft_list(said: str, values: Sequence[str]) -> float:
    """Whether every value of an answer stands in what was said."""
    return float(all(_contained(said, value) for value in values))


def f1(said: str, answers: Sequence[str]) -> float:
    """SQuAD's F1 of words, the best over all annotators."""
    return max((_f1(squad_normal(said).split(), squad_normal(answer).split()) for answer in answers), default=0.0)


def _f1(said: list[str], answer: list[str]) -> float:
    if not said or not answer:
        return float(said == answer)
    shared = (Counter(said) & Counter(answer)).total()
    return 2 * shared / (len(said) + len(answer))


def grade(likelihoods: Sequence[float], worths: Sequence[float]) -> float:
    """What the likeliest option is worth (BIG-bench's multiple_choice_grade); equally likely ones share.

    The sharing matters: a model to which all options are alike must not be right because the right one stands first.
    """
    known = [-math.inf if math.isnan(one) else one for one in likelihoods]
    best = max(known)
    tied = [worth for one, worth in zip(known, worths, strict=True) if one == best]
    return sum(tied) / len(tied)


def number_of(text: str) -> float | None:
    """The value of a text that is one number; None for anything else."""
    text = text.strip().rstrip(".")
    if not is_number(text):
        return None
    try:
        return float(text.replace(",", "").rstrip("%"))
    except ValueError:
        return None


def macro_f1(said: Sequence[str], right: Sequence[str]) -> float:
    """F1 of each label that is right somewhere, averaged; what was said beside the labels counts as a miss."""
    labels = set(right)
    both = Counter(one for one, other in zip(said, right, strict=True) if one == other)
    told, wanted = Counter(said), Counter(right)
    return sum(2 * both[label] / (told[label] + wanted[label]) for label in labels) / len(labels) if labels else 0.0
