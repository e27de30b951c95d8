"""Multi-hop questions as the paper has a model write them: an entity, Q1, a second document, Q2, its answer, a merge.

Read `_bridge` top to bottom; it is section 4.1.1 of Source2Synth (arXiv 2409.08239), with what that leaves out: the
answer is read from the second document and must stand there, more hops are the same step again with the answer as the
next entity, and every question is probed. `_comparison` is ours. The decision: whatever fails ends the example as a
`RowError` whose text names no value, and so becomes one counted reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from upcycle.errors import RowError, RowKind
from upcycle.methods.source2synth.application import Grounded, Writer
from upcycle.methods.source2synth.documents.asking import Prompts, Values, asked, probe, shown
from upcycle.methods.source2synth.documents.checks import Hop, flaw_of_answer, leak, tell_apart, told_twice
from upcycle.methods.source2synth.documents.finished import Finished, finished
from upcycle.methods.source2synth.documents.related import (
    Bridge,
    bridges,
    bridges_of,
    in_fixed_order,
    is_name,
    reached,
    window,
)
from upcycle.records import Dropped
from upcycle.sources.documents import Document, DocumentStore, folded, occurs, plain_title

NOWHERE = "no entity of the document occurs in another document that may be used"
_TOLD_ENTITIES = 12


@dataclass(slots=True)
class Draft:
    """The questions of one document while they are written.

    Attributes:
        used: entities (or documents compared with) that earlier questions hinge on.
        question, answer: of the one under way, as far as it came.
    """

    writer: Writer
    store: DocumentStore
    prompts: Prompts
    document: Document
    hops: int
    probing: bool
    used: dict[str, set[str]] = field(default_factory=lambda: {"bridge": set(), "comparison": set()})
    question: str | None = None
    answer: str | None = None

    async def write(self, kind: str) -> Grounded | Dropped:
        """One question of this kind, or why there is none."""
        self.question = self.answer = None
        try:
            made = await (_bridge(self) if kind == "bridge" else _comparison(self))
        except RowError as error:
            return self.writer.dropped(str(error), error.kind, question=self.question, answer=self.answer)
        return finished(self.writer, made)


async def _bridge(draft: Draft) -> Finished:
    """One bridge question that begins with this document."""
    first, way = await _first(draft)
    chain = [first]
    draft.question = first.question
    for number in range(1, draft.hops):
        hop, onward = await _next(draft, way, chain, last=number == draft.hops - 1)
        draft.answer = hop.answer
        before = chain[-1]
        names = (before.answer, *before.names)
        draft.question = await merged(draft.writer, draft.prompts, draft.question, hop.question, before.answer, names)
        chain.append(hop)
        way = onward
    made = Finished("bridge", draft.question, chain)
    _refuse(leak(made.question, chain))
    if draft.probing:
        await _probe(draft, made)
    else:
        _refuse(told_twice(chain))
    return made


async def _first(draft: Draft) -> tuple[Hop, Bridge]:
    """An entity of the first document that leads on, and the question it answers."""
    document, used, writer = draft.document, draft.used["bridge"], draft.writer
    ways = bridges(draft.store, document, writer.allowed, frozenset([document.id]))
    fresh = [way for way in ways if folded(way.entity) not in used]
    _refuse(NOWHERE if not ways else "every entity that leads on was asked about" if not fresh else None)
    drawn = writer.rng.choice(fresh)
    passage = window(document, drawn.place, drawn.entity)
    named = [way.entity for way in fresh if occurs(way.entity, passage)]
    told = "; ".join(list(dict.fromkeys([drawn.entity, *named]))[:_TOLD_ENTITIES])

    def wrong(read: Values) -> str | None:
        if not occurs(read["Entity"], passage):
            return "the entity does not stand in the text"
        return "the question contains the entity" if occurs(read["Entity"], read["Question"]) else None

    values = {
        "document_one": shown(document.title, passage),
        "entities": f" Choose one of these, which other documents tell of too: {told}.",
    }
    sample = len(used)
    used.add(folded(drawn.entity))
    read = await asked(writer, draft.prompts, "entity_question", ("Question", "Entity"), values, wrong, sample=sample)
    entity = read["Entity"]
    used.add(folded(entity))
    leading = [way for way in ways if folded(way.entity) == folded(entity)]
    leading = leading or bridges_of(draft.store, entity, drawn.place, writer.allowed, frozenset([document.id]))
    _refuse(None if leading else "the entity occurs in no other document that may be used")
    way = writer.rng.choice(leading)
    return Hop(read["Question"], entity, document.id, document.title, passage, way.names), way


async def _next(draft: Draft, way: Bridge, chain: Sequence[Hop], *, last: bool) -> tuple[Hop, Bridge]:
    """The question about the entity that the next document answers, and the way on from its answer."""
    entity, (second, passage) = chain[-1].answer, reached(draft.store, way)
    text = shown(second.title, passage)
    onward = [] if last else _onward(draft, second, passage, chain)
    _refuse(None if last or onward else "the chain ends before its last document: no further entity leads on")

    def wrong(read: Values) -> str | None:
        # Any of its names: the second document may know the entity by another one than the first.
        named = any(occurs(name, read["Question"]) for name in (entity, *way.names))
        return None if named else f"the question does not contain {entity}"

    values = {"entity": entity, "document_two": text}
    if not last:
        values["entities"] = "; ".join(list(dict.fromkeys(one.entity for one in onward))[:_TOLD_ENTITIES])
    prompt = "second_question" if last else "middle_question"
    question = (await asked(draft.writer, draft.prompts, prompt, ("Question",), values, wrong))["Question"]
    values = {"document_two": text, "question": question}
    answer = (await asked(draft.writer, draft.prompts, "answer", ("Answer",), values, lambda _: None))["Answer"]
    answer = answer.rstrip(".") if " " in answer else answer
    _refuse(flaw_of_answer(answer, entity))
    _refuse(None if occurs(answer, passage) else "the answer does not stand in the second document")
    if last:
        return Hop(question, answer, second.id, second.title, passage), way
    leading = [one for one in onward if folded(one.entity) == folded(answer)]
    _refuse(None if leading else "the chain ends before its last document: the answer leads nowhere")
    following = draft.writer.rng.choice(leading)
    return Hop(question, answer, second.id, second.title, passage, following.names), following


def _onward(draft: Draft, second: Document, passage: str, chain: Sequence[Hop]) -> list[Bridge]:
    """Ways on from what is shown of the document that was reached, to none that was visited."""
    visited = frozenset([second.id, *(hop.document for hop in chain)])
    entity = chain[-1].answer
    return [
        one
        for one in bridges(draft.store, second, draft.writer.allowed, visited)
        if is_name(one.entity) and occurs(one.entity, passage) and not occurs(one.entity, entity)
    ]


async def merged(writer: Writer, prompts: Prompts, first: str, second: str, entity: str, names: Sequence[str]) -> str:
    """Two questions as one that does not name what links them.

    Raises:
        RowError: the model did not manage without the name.
    """

    def wrong(read: Values) -> str | None:
        told = next((name for name in names if occurs(name, read["Question"])), None)
        return f"the question contains {told}" if told else None

    values = {"question_one": first, "question_two": second, "entity": entity}
    return (await asked(writer, prompts, "merge", ("Question",), values, wrong))["Question"]


async def _comparison(draft: Draft) -> Finished:
    """One question that compares this document's subject with that of a document like it."""
    other = _like(draft)
    draft.used["comparison"].add(other.id)
    pair = in_fixed_order(draft.document, other, name=lambda one: one.id)
    names = [plain_title(one.title) for one in pair]
    passages = [window(one, 0) for one in pair]

    def wrong(read: Values) -> str | None:
        if not all(occurs(name, read["Question"]) for name in names):
            return "the question does not name both"
        if folded(read["Answer"]) not in map(folded, names):
            return f"the answer is neither {names[0]} nor {names[1]}"
        facts = (read["First fact"], read["Second fact"])
        told = all(occurs(fact, text) for fact, text in zip(facts, passages, strict=True))
        return None if told else "a fact is not copied word for word from its text"

    values = {
        "first": names[0],
        "second": names[1],
        "document_one": shown(pair[0].title, passages[0]),
        "document_two": shown(pair[1].title, passages[1]),
    }
    labels = ("Question", "First fact", "Second fact", "Answer")
    read = await asked(draft.writer, draft.prompts, "comparison", labels, values, wrong)
    draft.question, draft.answer = read["Question"], read["Answer"]
    chosen = next(name for name in names if folded(name) == folded(read["Answer"]))
    facts = (read["First fact"], read["Second fact"])
    chain = [
        Hop(f"What is told of {name}?", fact, one.id, one.title, passage)
        for name, fact, one, passage in zip(names, facts, pair, passages, strict=True)
    ]
    made = Finished("comparison", read["Question"], chain, chosen, names[1 - names.index(chosen)])
    _refuse(None if made.question.endswith("?") else "what was merged is no question")
    if draft.probing:
        await _probe(draft, made)
    return made


def _like(draft: Draft) -> Document:
    document, used = draft.document, draft.used["comparison"]
    opening = document.passages[0].text
    others = (draft.store.get(number) for number in draft.store.like(opening, limit=12))
    fit = [
        one
        for one in others
        if one.id != document.id and one.id not in used and draft.writer.allowed(one.id) and tell_apart(document, one)
    ]
    _refuse(None if fit else "no other document is like it")
    return draft.writer.rng.choice(fit[:5])


async def _probe(draft: Draft, made: Finished) -> None:
    passages = [shown(hop.title, hop.passage) for hop in made.hops]
    _refuse(await probe(draft.writer, draft.prompts, made.question, passages, made.is_answer))


def _refuse(reason: str | None) -> None:
    if reason is not None:
        raise RowError(RowKind.SKIPPED, reason)
