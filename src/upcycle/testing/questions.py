"""A scripted writer of multi-hop questions: answers every prompt of Source2Synth's documents application, by rule.

It reads what a prompt shows and nothing else, as a model would: it asks for facts in set phrases where the text has
some, else for a name or a number that it leaves out of a sentence, and it solves questions in its own words, so that
the probe gets an honest reader. `ScriptedModel(write_question)` and `FakeServer(reply=write_question)` are models that
take the whole pipeline through, for free and the same every time. What it teaches is this writer's phrases, and a
sentence with a gap gives itself away to who searches for it: it tests a pipeline, it is no data to train on in earnest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from random import Random

from upcycle.llm.model import Request
from upcycle.methods.source2synth.documents.relations import RELATIONS, Fact, facts
from upcycle.sources.documents import Document, Passage, folded, make_document, occurs, plain_title, sentences

_GAP = "____"
_AGAIN = "that same one"
_SHORT = 120
_TEXT = re.compile(r"<text>\nTitle: (.*?)\n(.*?)\n</text>", re.DOTALL)
_LISTED = re.compile(r"(?:Choose|Its answer is) one of these, which other documents tell of too: (.*?)\.(?:\n|$| W)")
_ENTITY = re.compile(r"that contains the word: (.+)")
_SPAN = re.compile(r"\b(?:[^\W\d_a-z][\w'’-]+(?: [^\W\d_a-z][\w'’-]+){0,3}|\d[\d,.]*\d|\d)\b")
_CLUE = re.compile(r'the one whose name is missing \(____\) from "([^"]*)"')
_MISSING = re.compile(r'missing \(____\) from "([^"]*)"')


def write_question(request: Request, *, plain: bool = False) -> str:
    """The reply to one prompt; prose where there is nothing to ask, as models do.

    Args:
        plain: whatever fact a set phrase states, and of sentences with a gap only short ones: fewer questions, and
            such as a small student can learn to answer.
    """
    prompt = request.messages[-1]["content"]
    texts = [_document(*found) for found in _TEXT.findall(prompt)]
    if "Identify one entity" in prompt:
        return _entity_and_question(texts[0], _listed(prompt), plain=plain)
    if "Two questions belong together" in prompt:
        return _merged(*(_line(prompt, label) for label in ("First question", "Its answer", "Second question")))
    if "A question was made by merging" in prompt:
        entity = _line(prompt, "The answer to the lost question is")
        return _entity_and_question(texts[0], [entity], plain=plain).split("\n")[0]
    if "question that compares" in prompt:
        return _comparison(texts)
    if "Answer a question from a text" in prompt:
        return f"Answer: {solve(_line(prompt, 'Question'), texts) or 'cannot tell'}"
    if "Answer only if this" in prompt:
        return f"Answer: {solve(_line(prompt, 'Question'), texts) or 'cannot tell'}"
    if (entity := _ENTITY.search(prompt)) is not None:
        return _about(entity[1].strip(), texts[0], _listed(prompt), plain=plain)
    return "I am not sure what you would like me to write."


def solve(question: str, texts: Sequence[Document]) -> str | None:
    """The answer to a question in this writer's words, from these texts alone; None where they do not tell it."""
    while (clue := _CLUE.search(question)) is not None:
        name = _filled(clue[1], texts)
        if name is None:
            return None
        question = question.replace(clue[0], name).replace(_AGAIN, name)
    for _ in RELATIONS:
        for document in texts:
            for fact in facts(document):
                noun = (fact.relation.noun or "").format(x=document.title)
                if noun and noun in question:
                    question = question.replace(noun, fact.value)
    if (missing := _MISSING.search(question)) is not None:
        return _filled(missing[1], texts)
    for document in texts:
        for fact in facts(document):
            names = (document.title, plain_title(document.title))
            if any(question == fact.relation.ask.format(x=name) for name in names):
                return fact.value
    return _earlier(question, texts)


def _earlier(question: str, texts: Sequence[Document]) -> str | None:
    for first in texts:
        for second in texts:
            for one, other in _comparable(first, second):
                asked = (one.relation.compare or "").format(a=plain_title(first.title), b=plain_title(second.title))
                if question == asked:
                    return plain_title(first.title if int(one.value) < int(other.value) else second.title)
    return None


def _comparable(first: Document, second: Document) -> Iterator[tuple[Fact, Fact]]:
    for one in facts(first):
        for other in facts(second) if one.relation.compare and first is not second else ():
            if one.relation is other.relation and one.value != other.value:
                yield one, other


def _document(title: str, text: str) -> Document:
    return make_document(title, title, [Passage(line) for line in text.split("\n")])


def _line(prompt: str, label: str) -> str:
    match = re.search(rf"^{label}: (.*)$", prompt, re.MULTILINE)
    return match[1].strip() if match else ""


def _listed(prompt: str) -> list[str]:
    match = _LISTED.search(prompt)
    return match[1].split("; ") if match else []


def _entity_and_question(document: Document, listed: Sequence[str], *, plain: bool) -> str:
    for fact in facts(document):
        if fact.relation.noun and any(folded(fact.value) == folded(entity) for entity in listed):
            return f"Question: {fact.relation.ask.format(x=document.title)}\nEntity: {fact.value}"
    for entity in listed:
        for sentence in _sentences(document):
            if plain and len(sentence) > _SHORT:
                continue
            if sentence.count(entity) == 1 and not occurs(entity, sentence.replace(entity, _GAP)):
                masked = sentence.replace(entity, _GAP)
                return f'Question: Which name is missing ({_GAP}) from "{masked}"?\nEntity: {entity}'
    return "The text names nothing that I could ask for."


def _about(entity: str, document: Document, listed: Sequence[str], *, plain: bool) -> str:
    """A question about an entity: a fact where the text is about it, else a sentence with something left out."""
    if folded(plain_title(document.title)) == folded(entity):
        told = facts(document)
        if plain and told and not listed:
            # Drawn, so that not every question is about a year of birth.
            return f"Question: {Random(entity).choice(told).relation.ask.format(x=entity)}"
        for fact in told:
            leads = any(folded(fact.value) == folded(one) for one in listed) and fact.relation.noun
            if leads if listed else fact.relation.name != "kind":
                return f"Question: {fact.relation.ask.format(x=entity)}"
    for sentence in _sentences(document):
        if entity not in sentence or (plain and len(sentence) > _SHORT):
            continue
        spans = [span for span in _SPAN.findall(sentence) if sentence.count(span) == 1]
        for span in [one for one in listed if one in spans] if listed else spans:
            telling = " " in span or not sentence.startswith(span)  # any word may begin a sentence
            if telling and folded(span) and not occurs(span, entity) and not occurs(entity, span):
                return f'Question: About {entity}, what is missing ({_GAP}) from "{sentence.replace(span, _GAP)}"?'
    return f"There is little to ask about {entity} here."


def _merged(first: str, entity: str, second: str) -> str:
    clue = first.rstrip("?")
    for relation in RELATIONS:
        before, _, after = relation.ask.partition("{x}")
        if relation.noun and first.startswith(before) and first.endswith(after) and before:
            clue = relation.noun.format(x=first[len(before) : len(first) - len(after)])
    clue = clue.replace("Which name is missing", "the one whose name is missing")
    merged = re.sub(rf"\b{re.escape(entity)}\b", lambda _: _AGAIN, second)
    return f"Question: {merged.replace(_AGAIN, clue, 1)}"


def _comparison(texts: Sequence[Document]) -> str:
    first, second = texts[:2]
    for one, other in _comparable(first, second):
        names = (plain_title(first.title), plain_title(second.title))
        question = (one.relation.compare or "").format(a=names[0], b=names[1])
        chosen = names[0] if int(one.value) < int(other.value) else names[1]
        return f"Question: {question}\nFirst fact: {one.sentence}\nSecond fact: {other.sentence}\nAnswer: {chosen}"
    return "These two have nothing in common that I could compare."


def _sentences(document: Document) -> list[str]:
    found = [sentence for passage in document.passages for sentence in sentences(passage.text)]
    return [sentence for sentence in found if 30 <= len(sentence) <= 300 and '"' not in sentence]


def _filled(masked: str, texts: Sequence[Document]) -> str | None:
    """What fills the gap of a sentence, by finding the sentence."""
    before, gap, after = masked.partition(_GAP)
    if not gap:
        return None
    for document in texts:
        for sentence in _sentences(document):
            if sentence.startswith(before) and sentence.endswith(after) and len(sentence) > len(before) + len(after):
                return sentence[len(before) : len(sentence) - len(after)]
    return None
