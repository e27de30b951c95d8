"""Whether a record's worked solution contradicts its answer: another option named, a wrong sum, a root that is none.

Answers in published datasets are wrong more often than a training set can bear, and where a worked solution stands
beside the answer the two can be compared at no cost: its sums are worked out again, its roots put back into its
equations. A record is kept only when some of this can be followed, none of it fails, and no number of the question is
passed over: where little can be followed, answers are wrong nearly as often as where a sum fails.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

from upcycle.methods.datatune.plans.arithmetic import Chain, Side, chains
from upcycle.methods.datatune.plans.values import same

_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+"
_NUMBERS = re.compile(rf"(?<![\w.])(?:{_NUMBER})(?!\w*\^)")
_RUPEES = re.compile(r"(?i)\brs\.")
_VERDICT = re.compile(
    r"(?i)\b(?:answer|ans|option|choice|correct)\b\W{0,8}(?:is|:|=|option|choice)?\W{0,6}\(?([A-H])\b(?![’'])"
)
_WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905
_PICTURE = re.compile(
    r"(?i)\b(figure|diagram|graph|table|picture|chart)\b|\bmust be true\b|\bnone of (these|the above)\b|^\s*I\.",
    re.MULTILINE,
)
_MOST_TEXT = 20_000
_MOST_DIGITS = 40
_MOST_DIVISIONS = 3
_MOST_SHOWN = 60
_MOST_UNKNOWNS = 3
_MOST_WAYS = 30
_FREE = (0.7183, 1.618)


def contradiction(question: str, answer: str, solution: str, letter: str = "") -> str | None:
    """Why the worked solution does not bear out the answer, or None."""
    solution = solution[:_MOST_TEXT]
    if _PICTURE.search(question) or _PICTURE.search(answer):
        return "the question needs more than its text"
    said = _VERDICT.findall(solution)
    if letter and said and said[-1].upper() != letter.upper():
        return f"the solution ends in option {said[-1]}"
    told = _values(solution)
    if not told:
        return "the solution holds no numbers"
    wanted = _values(answer)
    if (wanted and not wanted <= told) or (not wanted and same(answer) not in same(solution)):
        return "the solution does not arrive at the answer"
    followed = follow(solution)
    if followed.wrong:
        return f"its sum {followed.wrong} is wrong"
    if not followed.held:
        return "the solution holds no sum that can be worked out again"
    unused = [n for n in sorted(_values(question) - told) if _matters(n) and not _rescaled(n) & told]
    return f"the solution makes no use of the {float(unused[0]):g} of the question" if unused else None


class Followed(NamedTuple):
    """What working a solution out again shows.

    Attributes:
        wrong: the first sum or equation that does not hold.
        held: how many do.
    """

    wrong: str | None
    held: int


def follow(solution: str) -> Followed:
    """Work the sums of a solution out again, and put its roots back into its equations."""
    found = chains(solution)
    roots = _roots(found)
    wrong: str | None = None
    count = 0
    for chain in found:
        for at, (left, right) in enumerate(itertools.pairwise(chain)):
            if not (left.is_computed or right.is_computed):
                continue
            holds = _holds(left, right, roots)
            count += holds is True
            # A number at the front often only ends a phrase: "the cost of 7 = 7*87".
            if holds is False and wrong is None and not (at == 0 and left.is_number):
                wrong = f"{left} = {right}"[:_MOST_SHOWN]
    return Followed(wrong, count)


def _roots(found: list[Chain]) -> Mapping[str, list[float]]:
    """The values each unknown is given."""
    roots: dict[str, list[float]] = {}
    for chain in found:
        values = [value for one in chain if (value := one.value()) is not None]
        for one in chain:
            if one.is_unknown:
                given = roots.setdefault(one.tokens[0], [])
                given += [value for value in values if value not in given]
    return roots


def _holds(left: Side, right: Side, roots: Mapping[str, list[float]]) -> bool | None:
    """Whether any of the roots makes two sides equal; None where that cannot be read."""
    letters = sorted(left.letters | right.letters)
    if len(letters) > _MOST_UNKNOWNS:
        return None
    free = [letter for letter in letters if letter not in roots]
    read = False
    ways = itertools.product(*(roots.get(letter, [_FREE[0]]) for letter in letters))
    for way in itertools.islice(ways, _MOST_WAYS):
        known = dict(zip(letters, way, strict=True))
        agreed = _agree(left, right, known)
        if agreed and free:
            # What is true of two numbers drawn at random is true of all.
            agreed = _agree(left, right, known | {letter: _FREE[1] + at for at, letter in enumerate(free)})
        if agreed:
            return True
        read = read or agreed is not None
    if free and not _proportional(left, right, free):
        return None
    return False if read else None


def _proportional(left: Side, right: Side, free: list[str]) -> bool:
    """Whether both sides are multiples of one unknown, so that they differ wherever it is not nothing."""
    if len(free) != 1 or left.letters != right.letters or left.letters != set(free):
        return False
    for one in (left, right):
        drawn = [one.value({free[0]: float(at)}) for at in range(3)]
        if None in drawn or "/" in one.tokens or drawn[0] != 0 or drawn[2] != 2 * (drawn[1] or 0):
            return False
    return True


def _agree(left: Side, right: Side, known: Mapping[str, float]) -> bool | None:
    """Whether two sides come to the same under any way people mean their fractions; None where one is unreadable."""
    exact = left.is_exact and right.is_exact and not left.letters and not right.letters
    read = False
    for one, other in itertools.product(_meant(left), _meant(right)):
        value, said = one.value(known), other.value(known)
        if value is None or said is None:
            continue
        read = True
        near = _near(value, said, right.places) or _near(said, value, left.places)
        if value == said if exact else near:
            return True
    return False if read else None


def _meant(one: Side) -> Iterator[Side]:
    """The side as it stands, and with its line of division under or over more of it: "50/12+13" for 50/(12+13)."""
    yield one
    at_top = one.top_level
    signs = {one.tokens[at] for at in at_top if at}
    if 0 < one.tokens.count("/") <= _MOST_DIVISIONS and (signs & {"+", "-"} or "!" in one.tokens):
        for at in at_top:
            if one.tokens[at] == "/":
                above, below = one.tokens[:at], one.tokens[at + 1 :]
                yield Side(("(", *above, ")", "/", "(", *below, ")"))
                yield Side(("(", *above, ")", "/", *below))
                yield Side((*above, "/", "(", *below, ")"))


def _near(value: float, said: float, places: int | None = 0) -> bool:
    """Whether a value may be written so, rounded to its places, as a share, as a percentage, in hours or in minutes."""
    unit = 10.0 ** -(places or 0)
    for scale in (1, 100, 0.01, 60, 1 / 60):
        apart = abs(value * scale - said)
        share = apart / max(abs(value * scale), abs(said), 1e-9)
        if share <= 0.002 or (apart <= 0.51 * unit and share <= 0.05) or (apart <= 1.01 * unit and share <= 0.01):
            return True
    return False


def _matters(number: Fraction) -> bool:
    # Small numbers turn up as words or not at all; a hundred and a year are seldom what is asked about.
    return not (number.denominator == 1 and number < 12) and number != 100 and not 1900 <= number <= 2100


def _rescaled(number: Fraction) -> set[Fraction]:
    """The number as shares, minutes, dozens and what is left of a hundred."""
    whole = {1 - number, 1 + number / 100, 1 - number / 100, 100 + number, 100 - number}
    return whole | {number * by for by in (100, 60, 1000, 12, 100_000)} | {number / by for by in (100, 60, 1000)}


def _values(text: str) -> set[Fraction]:
    numbers = _NUMBERS.findall(_RUPEES.sub(" ", text))
    found = {Fraction(number.replace(",", "")) for number in numbers if len(number) <= _MOST_DIGITS}
    lowered = text.casefold()
    return found | {Fraction(value) for value, word in enumerate(_WORDS) if re.search(rf"\b{word}\b", lowered)}
