"""Text cut into search terms, and a task cut into the terms worth searching for.

In: any text. Out: terms, lower-cased, identifiers split, English words stemmed, Cyrillic words cut to a crude stem,
Chinese, Japanese and Korean as overlapping pairs of characters. The decision: the same function makes the terms of
documents and of queries, so the index itself needs no tokenizer and no list of languages.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z\d])(?=[A-Z])")
_PAIRED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]+")
_CYRILLIC_STEM = 6

_STOP_WORDS = """
a about above after again all also am an and any are as at be because been before being below between both but by can
could did do does doing down during each few for from further had has have having he her here hers him his how i if in
into is it its itself just me more most my no nor not of off on once only or other our out over own same she should so
some such than that the their them then there these they this those through to too under until up very was we were what
when where which while who whom why will with would you your s t d ll m re ve 和 的 了 是 в и на не что с
по о об от за из к у до для как или
"""
# Words in which tasks are put, whatever they are about; they would match every second card.
_FRAME_WORDS = """
answer question task give given say tell predict decide whether determine output input text sentence following make
write provide return one two example dataset data based short use using need choose select label speaker kind pick
correct option choice best word different
"""
_STOP = frozenset(_STOP_WORDS.split())
_FRAME = frozenset(_FRAME_WORDS.split())
_FRAME_WEIGHT = 0.2
_DEMONSTRATION_TERMS = 24
_DEMONSTRATION_SHARE = 0.35
_FORM_SHARE = 0.6

_OPTION = re.compile(r"^\s*(choice:|[-(]?[A-Ea-e1-5][).:]\s)", re.MULTILINE)
_CODE = re.compile(r"\bdef \w+\(|\breturn\b.*\n|\bprint\(|\blambda\b|\bfor \w+ in\b|^import \w+", re.MULTILINE)
_SQL = re.compile(r"\bSELECT\b.+\bFROM\b", re.DOTALL)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class Term(NamedTuple):
    """A term to look for: as the user wrote it, as it is indexed, and how much it counts."""

    word: str
    stem: str
    weight: float


def words(text: str) -> list[str]:
    """Words of a text before stemming, in order."""
    found: list[str] = []
    for token in _WORD.findall(text):
        if token.isascii():
            # Most words of most cards; asking the patterns below about each would take twice as long.
            plain = token.islower() or token.isdigit() or token[1:].islower() or (token.isupper() and token.isalpha())
            found += [token.lower()] if plain else [part.lower() for part in _CAMEL.split(token)]
        elif _PAIRED.search(token):
            for run in _PAIRED.findall(token):
                found += [run[n : n + 2] for n in range(max(1, len(run) - 1))]
            found += [part.lower() for part in _PAIRED.split(token) if part]
        else:
            found += [part.lower() for part in _CAMEL.split(token)]
    return found


@lru_cache(maxsize=1 << 17)
def stem(word: str) -> str:
    """The form in which a word is indexed."""
    if "\u0400" <= word[0] <= "\u04ff":
        return word[:_CYRILLIC_STEM]
    return _english(word) if word.isascii() and len(word) > 2 and not word.isdigit() else word


def terms(text: str) -> list[str]:
    """Indexed terms of a text, words of grammar left out."""
    return [stem(word) for word in words(text) if word not in _STOP and len(word) < 40]


def query_terms(
    query: str,
    demonstrations: Sequence[str],
    spread: Mapping[str, int],
    documents: int,
    *,
    frame: float = _FRAME_WEIGHT,
) -> list[Term]:
    """What to look for: the words of the instruction, what the demonstrations have in common, and their form.

    Args:
        spread: number of documents of the catalog that hold a term, by term.
        documents: number of documents in the catalog.
        frame: weight of words in which tasks are put ("answer", "question"). Among few sources they match half of
            them; among tens of thousands their rarity says enough, and 1 finds more.
    """
    found: dict[str, Term] = {}
    for word in words(query):
        if word not in _STOP:
            weight = frame if stem(word) in _frame_stems() or word.isdigit() else 1.0
            _raise(found, word, weight)
    for word in form_words(demonstrations):
        _raise(found, word, _FORM_SHARE)
    for word, weight in _common(demonstrations, spread, documents):
        _raise(found, word, weight)
    return list(found.values())


def form_words(demonstrations: Sequence[str]) -> list[str]:
    """What the demonstrations look like, in the words that cards use for it."""
    if not demonstrations:
        return []
    most = len(demonstrations) / 2
    found: list[str] = []
    if sum(len(_OPTION.findall(text)) >= 2 for text in demonstrations) > most:
        found += ["multiple", "choice", "options", "choices"]
    if sum(bool(_SQL.search(text)) for text in demonstrations) > most:
        found += ["sql", "text2sql"]
    elif sum(bool(_CODE.search(text)) for text in demonstrations) > most:
        found += ["python", "code", "function"]
    elif sum(_reckons(text) for text in demonstrations) > most:
        found += ["math", "arithmetic", "number", "problem"]
    return found


def _reckons(text: str) -> bool:
    """Several numbers, and one of them in the output (the last line)."""
    return len(_NUMBER.findall(text)) >= 3 and bool(_NUMBER.search(text.rstrip().rpartition("\n")[2]))


def _common(demonstrations: Sequence[str], spread: Mapping[str, int], documents: int) -> list[tuple[str, float]]:
    """Words that several demonstrations share and few sources hold: the material of the task."""
    holding: Counter[str] = Counter()
    spelled: dict[str, str] = {}
    for text in demonstrations:
        mine = {stem(word): word for word in words(text) if word not in _STOP and len(word) > 1 and not word.isdigit()}
        holding.update(mine.keys())
        spelled = {**mine, **spelled}
    least = 2 if len(demonstrations) > 2 else 1
    scored: list[tuple[float, str]] = []
    for term, number in holding.items():
        if number >= least and term in spread and term not in _frame_stems():
            rarity = math.log(1 + documents / (1 + spread[term]))
            scored.append((number / len(demonstrations) * rarity, term))
    scored.sort(key=lambda pair: (-pair[0], pair[1]))
    return [
        (spelled[term], _DEMONSTRATION_SHARE * holding[term] / len(demonstrations))
        for _, term in scored[:_DEMONSTRATION_TERMS]
    ]


def _raise(found: dict[str, Term], word: str, weight: float) -> None:
    key = stem(word)
    if key not in found or found[key].weight < weight:
        found[key] = Term(word, key, weight)


@cache
def _frame_stems() -> frozenset[str]:
    return frozenset(stem(word) for word in _FRAME)


def _english(word: str) -> str:
    tokens = _stemmer()(word)
    return tokens[0] if tokens else word


@cache
def _stemmer() -> Callable[[str], list[str]]:
    import tantivy

    builder: Any = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.raw())
    return builder.filter(tantivy.Filter.stemmer("english")).build().analyze
