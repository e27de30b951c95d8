"""When two answers are the same: soft rules, stated here once and used by filter, imputation and applications.

A reply may hold a chain; its answer is what follows its last "Answer:". It is right where it matches exactly (case,
punctuation and articles folded, numbers by value: "1,250" is 1250), or where the true answer stands in it as whole
words (soft exact match). Two limits, because a reply that recites the page has not answered: it may be said with at
most twelve words beyond its own, and beside a number no other number may stand.
"""

from __future__ import annotations

import re

from upcycle.evaluation.metrics import exact, number_of, soft
from upcycle.training.chains import answer_of

_ROOM = 12
_NUMBERS = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?%?")


def soft_match(said: str, answer: str) -> bool:
    """Whether a reply comes to the answer.

    >>> soft_match("It was in Rome, Italy.", "Rome"), soft_match("12.50", "12.5"), soft_match("no", "Norway")
    (True, True, False)
    >>> soft_match("There were 5.", "5"), soft_match("One of 4, 5 or 6", "5")
    (True, False)
    """
    said, answer = answer_of(said), answer.strip()
    if not said or not answer:
        return False
    if exact(said, [answer]):
        return True
    if number_of(answer) is not None:
        found = [one.rstrip(",") for one in _NUMBERS.findall(said)]
        return len(found) == 1 and bool(exact(found[0], [answer]))
    return len(said.split()) <= len(answer.split()) + _ROOM and bool(soft(said, [answer]))
