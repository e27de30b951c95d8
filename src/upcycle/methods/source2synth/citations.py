"""An executor for recipes: an answer out of a document, with the passage that says so, checked to be one.

What a model writes as a quotation is looked up in the document: it has to stand there word for word (spaces and the
shapes of quotation marks aside) and hold the answer. The decision: what goes into the example is the document's own
text, cut out where the quotation was found, so that no citation in a dataset was written by a model. A student's reply
is right if it comes to the answer and cites any passage of the document that holds it; it need not be the same one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from upcycle.methods.source2synth.application import Grounded, Truth, Unit
from upcycle.methods.source2synth.matching import soft_match
from upcycle.sources.documents import Document, folded, occurs
from upcycle.training.chains import answer_of

QUESTION, ANSWER, QUOTE = "question", "answer", "quote"
_FEWEST, _MOST = 4, 80  # words of a quotation
_YES_NO = frozenset(["yes", "no", "true", "false"])
_MARKS = str.maketrans("“”„«»‘’‚", '"""""\'\'\'')
_OUTER = "\"' \n…."
_POINTS_AT = re.compile(
    r"\b(?:the|this) (?:text|passage|document|excerpt|paragraph|unit|quote|context)\b", re.IGNORECASE
)
_SOURCE = "\nSource: "
_CITED = re.compile(r'Source: *(?P<where>[^\n"]*?): *"(?P<quote>.+)"', re.DOTALL)


class Citation(NamedTuple):
    """A reply in its parts; `quote` is empty where it cites nothing."""

    answer: str
    quote: str


class CitationExecutor:
    """Checks what a recipe's fields `question`, `answer` and `quote` hold against the unit's document."""

    name = "citation"

    async def truth(self, unit: Unit, made: Mapping[str, str]) -> Truth:
        """The answer with its source and the passage as it stands there, or the first thing that is wrong."""
        document = _document(unit)
        question, answer = made.get(QUESTION, ""), made.get(ANSWER, "").strip().rstrip(".")
        if not question.rstrip().endswith(("?", "？")):
            return Truth(None, "the question is no question")
        if _POINTS_AT.search(question):
            return Truth(None, "the question points at a text that nobody sees beside it")
        if not folded(answer) or folded(answer) in _YES_NO:
            return Truth(None, "the answer is empty, or yes or no")
        if occurs(answer, question):
            return Truth(None, "the answer stands in the question")
        found = quoted(made.get(QUOTE, ""), document)
        if found is None:
            return Truth(None, "the quotation does not stand in the document word for word")
        if not _FEWEST <= len(found.split()) <= _MOST:
            return Truth(None, f"the quotation is not between {_FEWEST} and {_MOST} words long")
        if not occurs(answer, found):
            return Truth(None, "the quotation does not hold the answer")
        return Truth(cited(answer, document.id, found))

    async def same(self, unit: Unit, grounded: Grounded, said: str) -> bool:
        """Whether a reply comes to the answer and cites a passage of the document that holds it."""
        wanted, given = parts_of(grounded.answer), parts_of(answer_of(said))
        if not given.quote or not soft_match(given.answer, wanted.answer):
            return False
        found = quoted(given.quote, _document(unit))
        return found is not None and len(found.split()) >= _FEWEST and occurs(wanted.answer, found)

    async def close(self) -> None:
        """Nothing is held."""


def cited(answer: str, where: str, quote: str) -> str:
    """An answer with its citation, as datasets hold it.

    >>> print(cited("30 days", "refunds.md", "Refunds are paid within 30 days."))
    30 days
    Source: refunds.md: "Refunds are paid within 30 days."
    """
    return f'{answer}{_SOURCE}{where}: "{quote}"'


def parts_of(text: str) -> Citation:
    """A cited answer taken apart.

    >>> parts_of(cited("30 days", "refunds.md", "Refunds are paid within 30 days.")).quote
    'Refunds are paid within 30 days.'
    """
    match = _CITED.search(text)
    if match is None:
        return Citation(text.strip(), "")
    return Citation(text[: match.start()].strip(), match["quote"])


def quoted(quote: str, document: Document) -> str | None:
    """The document's own words for a quotation, None where it does not stand in any one passage."""
    wanted = quote.translate(_MARKS).strip(_OUTER)
    if not wanted:
        return None
    pattern = re.compile(r"\s+".join(map(re.escape, wanted.split())), re.IGNORECASE)
    for passage in document.passages:
        # One character becomes one, so that places found are places of the text itself.
        if match := pattern.search(passage.text.translate(_MARKS)):
            return _whole(passage.text, match.start(), match.end())
    return None


def _whole(text: str, start: int, end: int) -> str:
    """What was found, with the rest of a word it breaks off in, the full stop behind it, and both marks of a pair."""
    while start > 0 and text[start - 1].isalnum() and text[start].isalnum():
        start -= 1
    while end < len(text) and text[end].isalnum() and text[end - 1].isalnum():
        end += 1
    if end < len(text) and text[end] in ".!?":
        end += 1
    if text[start:end].translate(_MARKS).count('"') % 2:
        # One of a pair of quotation marks was left behind.
        before, after = text[start - 1 : start].translate(_MARKS), text[end : end + 1].translate(_MARKS)
        start, end = (start - 1, end) if before == '"' else (start, end + (after == '"'))
    return text[start:end]


def _document(unit: Unit) -> Document:
    assert isinstance(unit.value, Document), "the recipe's ground is documents"
    return unit.value
