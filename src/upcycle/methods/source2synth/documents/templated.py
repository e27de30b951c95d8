"""Multi-hop questions without a model: two facts that text states in set phrases, put together by template.

A question begins with a relation of the first document ("the director of Kiss and Tell"), or with a sentence of it in
which a name is missing; the name leads to a second document, and that states a fact of it. What comes out is sound as
far as the patterns of `relations` are, reads like a template, and asks for years, places, names and kinds only: filler
for training and material for tests, not a replacement for questions that a model writes. The same checks hold, with
words in the place of a reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from upcycle.methods.source2synth.application import Grounded, Writer
from upcycle.methods.source2synth.documents.checks import Hop, leak, tell_apart, told_twice
from upcycle.methods.source2synth.documents.finished import Finished, finished
from upcycle.methods.source2synth.documents.related import Bridge, bridges, in_fixed_order, window
from upcycle.methods.source2synth.documents.relations import Fact, facts
from upcycle.methods.source2synth.documents.written import NOWHERE
from upcycle.records import Dropped
from upcycle.sources.documents import Document, DocumentStore, folded, occurs, sentences

_GAP = "____"
_SENTENCE = (40, 260)
_NO_FACTS = "what its entities lead to states no fact in set phrases"


class Start(NamedTuple):
    """How an entity of a document is described without its name."""

    noun: str
    hop: Hop
    way: Bridge


def bridge_questions(
    writer: Writer, store: DocumentStore, document: Document, *, hops: int
) -> Iterator[Grounded | Dropped]:
    """Bridge questions that begin with this document; what fails a check is dropped with the reason."""
    ways = bridges(store, document, writer.allowed, frozenset([document.id]), about=True)
    if not ways:
        yield writer.dropped(NOWHERE)
        return
    made = False
    asked: set[str] = set()
    for start in _starts(document, ways):
        if folded(start.way.entity) in asked:
            continue
        for question, chain in _onward(writer, store, start, hops):
            reason = leak(question, chain) or told_twice(chain)
            made = True
            if reason is not None:
                yield writer.dropped(reason, question=question, answer=chain[-1].answer)
                continue
            asked.add(folded(start.way.entity))
            yield finished(writer, Finished("bridge", question, chain))
            break
    if not made:
        yield writer.dropped(_NO_FACTS)


def comparison_questions(writer: Writer, store: DocumentStore, document: Document) -> Iterator[Grounded | Dropped]:
    """Questions which of two subjects came first, by years that both documents state."""
    mine = [fact for fact in facts(document) if fact.relation.compare]
    if not mine:
        yield writer.dropped("its subject cannot be compared: no year is stated in a set phrase")
        return
    asked: set[str] = set()
    for other in _like(writer, store, document):
        theirs = {fact.relation.name: fact for fact in facts(other)}
        shared = [(fact, theirs[fact.relation.name]) for fact in mine if fact.relation.name in theirs]
        shared = [(one, two) for one, two in shared if one.value != two.value and one.relation.name not in asked]
        if shared:
            one, two = writer.rng.choice(shared)
            asked.add(one.relation.name)
            yield _compared(writer, (document, one), (other, two))
    if not asked:
        yield writer.dropped("no other document is like it")


def merged_by_words(first: str, second: str, entity: str) -> str:
    """Two questions as one, with the first quoted where the second names what it asks for."""
    clue = f'the answer to "{first}"'
    pattern = re.compile(rf"\b{re.escape(entity)}\b", re.IGNORECASE)
    return pattern.sub(lambda _: clue, second) if pattern.search(second) else f"{second} (It is {clue}.)"


def _starts(document: Document, ways: list[Bridge]) -> Iterator[Start]:
    """Descriptions of the entities, those by a relation first."""
    told = [fact for fact in facts(document) if fact.relation.noun]
    for fact in told:
        for way in ways:
            if any(folded(name) == folded(fact.value) for name in way.names):
                noun = (fact.relation.noun or "").format(x=document.title)
                question = fact.relation.ask.format(x=document.title)
                passage = window(document, 0, fact.value)
                if occurs(fact.value, passage):
                    yield Start(noun, Hop(question, fact.value, document.id, document.title, passage, way.names), way)
    for way in ways:
        for sentence in sentences(document.passages[way.place].text):
            masked = _masked(sentence, way)
            if masked is None:
                continue
            clue = f'missing (____) from this sentence about {document.title}: "{masked}"'
            passage = window(document, way.place, way.entity)
            hop = Hop(f"Which name is {clue}", way.entity, document.id, document.title, passage, way.names)
            yield Start(f"the one whose name is {clue}", hop, way)
            break


def _masked(sentence: str, way: Bridge) -> str | None:
    if not _SENTENCE[0] <= len(sentence) <= _SENTENCE[1] or sentence.count(way.entity) != 1 or '"' in sentence:
        return None
    masked = sentence.replace(way.entity, _GAP)
    return None if any(occurs(name, masked) for name in way.names) else masked


def _onward(writer: Writer, store: DocumentStore, start: Start, hops: int) -> Iterator[tuple[str, list[Hop]]]:
    """Merged questions with their chains, `hops` documents long."""
    yield from _extended(writer, store, start.noun, [start.hop], start.way, hops)


def _extended(
    writer: Writer, store: DocumentStore, noun: str, chain: list[Hop], way: Bridge, hops: int
) -> Iterator[tuple[str, list[Hop]]]:
    second, entity = store.get(way.number), chain[-1].answer
    told = facts(second)
    writer.rng.shuffle(told)
    # What a thing is says the least; any other fact comes first.
    told.sort(key=lambda fact: fact.relation.name == "kind")
    passage = window(second, 0, entity)
    for fact in told:
        if not occurs(fact.value, passage) or folded(fact.value) == folded(entity):
            continue
        question = fact.relation.ask.format(x=entity)
        if len(chain) + 1 == hops:
            hop = Hop(question, fact.value, second.id, second.title, passage)
            yield fact.relation.ask.format(x=noun), [*chain, hop]
        elif fact.relation.noun:
            visited = frozenset([second.id, *(one.document for one in chain)])
            for onward in bridges(store, second, writer.allowed, visited, about=True):
                if any(folded(name) == folded(fact.value) for name in onward.names):
                    hop = Hop(question, fact.value, second.id, second.title, passage, onward.names)
                    further = fact.relation.noun.format(x=noun)
                    yield from _extended(writer, store, further, [*chain, hop], onward, hops)


def _compared(writer: Writer, one: tuple[Document, Fact], two: tuple[Document, Fact]) -> Grounded:
    pair = in_fixed_order(one, two, name=lambda told: told[0].id)
    (first, fact), (second, other) = pair
    question = (fact.relation.compare or "").format(a=first.title, b=second.title)
    earlier = first if int(fact.value) < int(other.value) else second
    chain = [
        Hop(told.relation.ask.format(x=document.title), told.value, document.id, document.title, window(document, 0))
        for document, told in pair
    ]
    later = second if earlier is first else first
    return finished(writer, Finished("comparison", question, chain, earlier.title, later.title))


def _like(writer: Writer, store: DocumentStore, document: Document) -> Iterator[Document]:
    for number in store.like(document.passages[0].text, limit=30):
        other = store.get(number)
        if other.id != document.id and writer.allowed(other.id) and tell_apart(document, other):
            yield other
