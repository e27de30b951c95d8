"""Facts that the first sentences of an encyclopaedic text state in set phrases: what questions without a model are of.

In: a document. Out: `Fact`s about its subject: a relation and a value that stands there word for word. The decision:
few relations by narrow patterns in English, and nothing where a sentence is not surely about the document's subject or
names several values; a missed fact costs a question, a wrong one is taught.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from upcycle.sources.documents import Document, occurs, plain_title, sentences


@dataclass(frozen=True, slots=True)
class Relation:
    """What is told of a subject.

    Attributes:
        ask: the question, with `{x}` for the subject.
        noun: the value put as a description of the subject, where the value is a name that may lead on.
        compare: the question that compares two subjects by it, the lower value first, where values are years.
    """

    name: str
    ask: str
    noun: str | None = None
    compare: str | None = None


class Fact(NamedTuple):
    """A relation's value, and the sentence that tells it."""

    relation: Relation
    value: str
    sentence: str


BORN = Relation("born", "In which year was {x} born?", compare="Who was born earlier, {a} or {b}?")
DIED = Relation("died", "In which year did {x} die?", compare="Who died earlier, {a} or {b}?")
BIRTHPLACE = Relation("birthplace", "In which place was {x} born?", "the place where {x} was born")
SPOUSE = Relation("spouse", "Whom did {x} marry?", "the person whom {x} married")
PARENT = Relation("parent", "Who is named as a parent of {x}?", "the person named as a parent of {x}")
DIRECTOR = Relation("director", "Who directed {x}?", "the director of {x}")
AUTHOR = Relation("author", "Who wrote {x}?", "the author of {x}")
PERFORMER = Relation("performer", "Who recorded {x}?", "the performer of {x}")
RELEASED = Relation("released", "In which year did {x} come out?", compare="Which came out earlier, {a} or {b}?")
FOUNDED = Relation("founded", "In which year was {x} founded?", compare="Which was founded earlier, {a} or {b}?")
KIND = Relation("kind", "Who or what is {x}, in a few words?")

RELATIONS = (BORN, DIED, BIRTHPLACE, SPOUSE, PARENT, DIRECTOR, AUTHOR, PERFORMER, RELEASED, FOUNDED, KIND)

_MONTH = "(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_DATE = rf"(?:\d{{1,2}} {_MONTH},? |{_MONTH} \d{{1,2}}, ?|{_MONTH} )"
_YEAR = r"(1\d{3}|20\d{2})"
_CAPITAL = r"[^\W\d_a-z]"
_WORD = rf"{_CAPITAL}[\w'’.-]*"
_LINK = "(?:of|the|de|la|le|von|van|der|den|di|da|du|al|bin|ibn)"
_NAME = rf"({_WORD}(?: (?:{_LINK} ){{0,2}}{_WORD}){{0,4}})"
_LIFE = re.compile(rf"\((?:[^()]{{0,80}}?[;,] ?)?{_DATE}{_YEAR} ?[–—-] ?{_DATE}{_YEAR}\)")
_BORN = re.compile(rf"\bborn (?:on |in )?{_DATE}?{_YEAR}\b")
_DIED = re.compile(rf"\bdied (?:on |in )?{_DATE}?{_YEAR}\b")
_BIRTHPLACE = re.compile(rf"\bborn(?: (?:on )?{_DATE}?{_YEAR},?)? in {_NAME}(?=[,.)])")
_SPOUSE = re.compile(rf"\b(?:wife of|husband of|married to|was married to) (?:[a-z]+ ){{0,3}}{_NAME}")
_PARENT = re.compile(rf"\b(?:son|daughter) of (?:(?:the )?[a-z]+ ){{0,3}}{_NAME}")
_FILM = r"\b(?:film|movie|documentary|drama|comedy|thriller|musical|western|serial|melodrama)\b"
_DIRECTOR = re.compile(rf"{_FILM}[^.;]{{0,80}}?\bdirected (?:and \w+ )?by {_NAME}")
_DIRECTED_BY = re.compile(rf"^(?:It|The film) (?:is|was) (?:written and )?directed (?:and \w+ )?by {_NAME}")
_ROLES = (
    "author|writer|novelist|playwright|poet|singer|rapper|band|group|duo|artist|musician|singer-songwriter|composer"
)
_ROLE = rf"(?:(?:the )?(?:[\w-]+ ){{0,4}}(?:{_ROLES}) )?"
_AUTHOR = re.compile(rf"\b(?:novel|book|play|novella|poem|memoir)\b(?: written)? by {_ROLE}{_NAME}")
_PERFORMER = re.compile(rf"\b(?:album|song|single|EP)\b(?: recorded| released)? by {_ROLE}{_NAME}")
_WORK = "film|movie|album|novel|song|single|video game|documentary|play"
_RELEASED = re.compile(rf"\b(?:is|was) an? (?:[\w-]+ )?{_YEAR} [^.;]{{0,60}}?\b(?:{_WORK})\b")
_FOUNDED = re.compile(
    rf"\b(?:was|were) (?:first )?(?:founded|established|formed|incorporated) in (?:{_MONTH} )?{_YEAR}\b"
)
_AFTER_KIND = "that|which|who|whose|for|to|in|of|on|by|from|with|where|used|and"
_KIND = re.compile(rf"^\W?(?:is|was) (an? [^,.;:()]{{3,60}}?)(?= (?:{_AFTER_KIND})\b|[,.;:(])")
_VAGUER = "pair|member|part|kind|type|form|sort|series|group|list|set|collection|number|variety|name|term|word"
_VAGUE = re.compile(rf"an? (?:\w+ )?(?:{_VAGUER})$")
_PARTICIPLE = re.compile(r" \w+ed$")
_PERSON = re.compile(r"\b(?:he|she|his|her|hers|born)\b", re.IGNORECASE)
_MORE = re.compile(rf"^(?: (?:and|&) (?:the )?{_CAPITAL}|, (?:the )?{_CAPITAL}[^,.;]*(?:,| and ))")
_TIDY = ((re.compile(r"\s*\(\s*"), " ("), (re.compile(r"\s+([,.;)])"), r"\1"))
_OPENING = 3  # sentences


def facts(document: Document) -> list[Fact]:
    """Facts about a document's subject, in the order of `RELATIONS`; one of a relation at most."""
    if not document.passages:
        return []
    opening = sentences(_tidy(document.passages[0].text))[:_OPENING]
    subject = plain_title(document.title)
    if not opening or not occurs(subject, opening[0]):
        return []
    found: dict[str, Fact] = {}
    for number, sentence in enumerate(opening):
        for fact in _told(sentence, subject, " ".join(opening), first=number == 0):
            if not occurs(fact.value, document.title):
                found.setdefault(fact.relation.name, fact)
    return [found[relation.name] for relation in RELATIONS if relation.name in found]


def _told(sentence: str, subject: str, opening: str, *, first: bool) -> Iterator[Fact]:
    about = first or re.match(rf"(?:He|She|It|They|The film|{re.escape(subject)})\b", sentence)
    if not about:
        return
    if _PERSON.search(opening):
        if life := _LIFE.search(sentence[:200]):
            yield Fact(BORN, life[1], sentence)
            yield Fact(DIED, life[2], sentence)
        yield from _single(sentence, ((BORN, _BORN), (DIED, _DIED), (SPOUSE, _SPOUSE), (PARENT, _PARENT)))
        if place := _BIRTHPLACE.search(sentence):
            yield Fact(BIRTHPLACE, place[2], sentence)
    else:
        yield from _single(sentence, ((FOUNDED, _FOUNDED),))
    yield from _single(
        sentence,
        ((DIRECTOR, _DIRECTOR), (DIRECTOR, _DIRECTED_BY), (AUTHOR, _AUTHOR), (PERFORMER, _PERFORMER),
         (RELEASED, _RELEASED)),
    )  # fmt: skip
    if first:
        after = sentence.partition(subject)[2]
        after = re.sub(r"^\s*\([^()]*\)", "", after)
        if (kind := _KIND.match(after)) and not _VAGUE.match(what := _PARTICIPLE.sub("", kind[1])):
            yield Fact(KIND, what, sentence)


def _single(sentence: str, patterns: tuple[tuple[Relation, re.Pattern[str]], ...]) -> Iterator[Fact]:
    """Values that stand alone: of "by Ann Bell and Tom Lee" neither is the answer."""
    for relation, pattern in patterns:
        match = pattern.search(sentence)
        if match and not _MORE.match(sentence[match.end(1) :]):
            yield Fact(relation, match[1].rstrip(".'’-"), sentence)


def _tidy(text: str) -> str:
    for pattern, put in _TIDY:
        text = pattern.sub(put, text)
    return text
