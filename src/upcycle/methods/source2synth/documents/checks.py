"""What makes a multi-hop question a false one, as checks whose reasons are counted.

In: a chain of hops and the merged question. Out: why it is dropped, or None. The paper makes none of these checks. Some
need no model: the linking entity or the answer in the question, yes-no questions, the title of a further document in
the question. Whether it can be answered from less than all its documents only a reader can tell: `asking.probe` asks
one, and where there is none `told_twice` drops what words alone give away: an answer that stands in an earlier document
too, and a description that the last document gives as well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from upcycle.sources.documents import Document, folded, occurs, plain_title
from upcycle.sources.words import terms

_YES_NO_ANSWERS = frozenset(["yes", "no", "true", "false"])
_NO_ANSWER = re.compile(
    r"^(cannot tell|can ?not (be )?(tell|determine)|unknown|none|not (mentioned|stated|given)|n a)\b"
)
_YES_NO = re.compile(
    r"^(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|may|might)\b", re.IGNORECASE
)
_LONGEST_ANSWER = 15  # words
_SAME_WORDS = 0.7  # of a description's words found in another document: it is told there too
_OPENING = 3  # passages
_PART = 4  # characters from which on a part of a name gives it away
_CAPITALISED = re.compile(r"\b[^\W\d_a-z][\w'’-]+")


@dataclass(frozen=True, slots=True)
class Hop:
    """One step: a question, its answer, and the document that tells it.

    Attributes:
        names: every way in which the answer is written: itself, its document's title, the texts of links to it.
        passage: the part of the document that tells it.
    """

    question: str
    answer: str
    document: str
    title: str
    passage: str
    names: tuple[str, ...] = ()


def flaw_of_answer(answer: str, entity: str) -> str | None:
    """Why an answer is none that a question should have."""
    plain = folded(answer)
    if not plain:
        return "the answer is empty"
    if plain in _YES_NO_ANSWERS:
        return "the answer is yes or no"
    if _NO_ANSWER.match(plain):
        return "the second document does not tell the answer"
    if plain == folded(entity):
        return "the answer is the linking entity itself"
    return "the answer is longer than an answer" if len(plain.split()) > _LONGEST_ANSWER else None


def leak(question: str, hops: Sequence[Hop]) -> str | None:
    """Why a merged question gives itself away."""
    if not question.rstrip(" \"'”»").endswith(("?", "？")):
        return "what was merged is no question"
    if _YES_NO.match(question):
        return "it is a yes-no question"
    for hop in hops[:-1]:
        if any(occurs(name, question) for name in (hop.answer, *hop.names)):
            return "the linking entity stands in the question"
    if occurs(hops[-1].answer, question):
        return "the answer stands in the question"
    for hop in hops[:-1]:
        if _named_in_part(hop.answer, question, hops[0].title):
            return "a part of the linking entity's name stands in the question"
    if any(occurs(plain_title(hop.title), question) for hop in hops[1:] if len(hop.title) > 2):
        return "the title of a further document stands in the question"
    return None


def told_twice(hops: Sequence[Hop]) -> str | None:
    """Why one document alone could be enough, as far as words tell."""
    last = hops[-1]
    if any(occurs(last.answer, hop.passage) for hop in hops[:-1]):
        return "one hop: the answer stands in an earlier document too"
    for number, hop in enumerate(hops[:-1]):
        clue = set(terms(hop.question)) - set(terms(f"{hop.answer} {last.title} which what who whose name missing"))
        if clue and len(clue & set(terms(last.passage))) >= _SAME_WORDS * len(clue):
            which = "a hop less" if number else "one hop"
            return f"{which}: the last document tells the description too"
    return None


def tell_apart(first: Document, second: Document) -> bool:
    """Whether two documents can be compared: one that names the other's subject may tell of both already."""
    if not first.passages or not second.passages or folded(first.title) == folded(second.title):
        return False
    return not any(
        occurs(plain_title(one.title), "\n".join(passage.text for passage in other.passages[:_OPENING]))
        for one, other in ((first, second), (second, first))
    )


def _named_in_part(entity: str, question: str, elsewhere: str) -> bool:
    """Whether a telling part of a name ("Byron" of "Lord Byron") stands in the question on the entity's account."""
    parts = {part for part in _CAPITALISED.findall(entity) if len(part) >= _PART}
    known = set(_CAPITALISED.findall(elsewhere))
    return any(re.search(rf"\b{re.escape(part)}\b", question) for part in parts - known)
