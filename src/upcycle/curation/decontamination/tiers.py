"""Contamination: what repeats an evaluation item must not be trained on. Three tiers, each naming what it found.

1. exact: the same words, whatever case, punctuation, Unicode form and order of options;
2. overlap: a verbatim span, by word 13-grams (8-grams for short items; arXiv 2005.14165 and after);
3. semantic: the same in other words, by an encoder and a lexical confirmation (`paraphrase.py`; arXiv 2311.04850).

`GoldIndex(items)` judges examples before they are kept, source records before they are transformed, and whole sets.
The decision: n-grams that many gold items share are the task's own wording and never count. A naive 13-gram rule
accuses most sources of a task with a template; here a template is learned from the gold itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from upcycle.contract import listed_options, without_options
from upcycle.curation.check import KEEP, Check
from upcycle.curation.decontamination.paraphrase import Neighbour, Paraphrases
from upcycle.curation.duplicates.exact import digest, folded
from upcycle.errors import ConfigError, RowKind
from upcycle.records import Example, Record, Verdict
from upcycle.sources.encoder import SentenceEncoder, sentence_encoder

TIERS = ("exact", "overlap", "semantic")
LOOKED = "contamination"
"""Where a run's journal remembers how gold was looked for: its card says what ran, not what was asked for."""

Item = tuple[str, Sequence[str] | None]
"""Input of a gold item, and its options where it carries them (else those its input lists)."""

_GRAM = 13  # words; the length the field uses (GPT-3 and after)
_SHORT_GRAM = 8
_SHORTEST = 5  # an item of fewer words is found by the exact tier only
_SHARE = 0.5
_RUN = 25  # words in a row that are no coincidence, however long the texts around them
_FEWEST = 3  # own words of a text count as at least so many; one word in common is never half of it
_TIMES = 3  # a text may be so many times longer than a very short item it contains
_LONGEST_FIELD = 200_000


class Match(NamedTuple):
    """What a text repeats: a gold item, by its number from 0, with tier, score (0 to 1) and the sentence to print."""

    tier: str
    item: int
    score: float
    reason: str

    def verdict(self) -> Verdict:
        return Verdict(
            keep=False,
            kind=RowKind.CONTAMINATED,
            reason=self.reason,
            score=round(self.score, 3),
            other=f"gold {self.item + 1}",
        )


def tier_of(reason: str) -> str:
    """The tier behind the reason of a verdict, for rows that were written and read again."""
    if reason.startswith("says in other words"):
        return "semantic"
    return "exact" if reason.startswith(("has the same words", "holds the words")) else "overlap"


def contamination_check(
    items: Sequence[Item], *, tiers: Sequence[str] = TIERS, encode: SentenceEncoder | None = None
) -> Check:
    """Drops an example that repeats a gold item.

    Args:
        items: inputs of the gold, with their options.
        tiers: which of `TIERS` to look through.
        encode: encoder of the third tier; None takes the one that is installed. Without any, that tier is off, which
            `GoldIndex.tiers` and `tiers_in_words` say.

    Raises:
        ConfigError: an unknown tier.
    """
    return GoldIndex(items, tiers=tiers, encode=encode).contaminated_example


class GoldIndex:
    """Gold items, searchable for one that a text repeats.

    Attributes:
        tiers: the tiers that are looked through; without an encoder "semantic" is not among them.
    """

    def __init__(
        self, items: Sequence[Item], *, tiers: Sequence[str] = TIERS, encode: SentenceEncoder | None = None
    ) -> None:
        for tier in tiers:
            if tier not in TIERS:
                raise ConfigError(f"contamination tier {tier!r} is not there; known tiers: {', '.join(TIERS)}")
        self._encode = (encode or sentence_encoder()) if "semantic" in tiers else None
        self.tiers = tuple(tier for tier in TIERS if tier in tiers and (tier != "semantic" or self._encode is not None))
        parts = [_parts(text, choices) for text, choices in items]
        self._exact: dict[int, int] = {}
        self._alone: dict[int, int] = {}
        for number, part in enumerate(parts):
            self._exact.setdefault(digest(part.stem, *part.options), number)
        for number in _own_stems(parts):
            self._alone.setdefault(digest(parts[number].stem), number)
        self._grams = _GramIndex([part.words() for part in parts])
        self._items = items
        self._paraphrases: Paraphrases | None = None

    def contaminated_example(self, example: Example) -> Verdict:
        """Whether an example repeats a gold item."""
        match = self.match(example.input, example.choices)
        return KEEP if match is None else match.verdict()

    def contaminated_record(self, record: Record) -> Verdict:
        """Whether the fields of a record hold a gold item, before anything is made of it.

        A field that is, folded, the whole input of an item is enough (unless several items share that input and differ
        in their options); else the fields together are searched for spans, and the two longest for paraphrases.
        """
        match = self.match_fields(record.fields)
        return KEEP if match is None else match.verdict()

    def match(self, text: str, choices: Sequence[str] | None = None) -> Match | None:
        """The item an input repeats, by the first tier that finds one."""
        return self.match_words(text, choices) or self._paraphrase([self._meant(text, choices)])

    def matches(self, examples: Sequence[Example]) -> list[Match | None]:
        """The item each example of a whole set repeats; paraphrases are looked for against the set they are in.

        Where that tier is on, it finds more than `match` does, which sees one example at a time.
        """
        found = [self.match_words(example.input, example.choices) for example in examples]
        rest = [place for place, match in enumerate(found) if match is None]
        paraphrases = self._meanings()
        if paraphrases is not None:
            texts = [self._meant(examples[place].input, examples[place].choices) for place in rest]
            for place, near in zip(rest, paraphrases.nearest_together(texts), strict=True):
                if near is not None and near.same:
                    found[place] = self.paraphrase_of(near)
        return found

    def match_words(self, text: str, choices: Sequence[str] | None) -> Match | None:
        """The item whose words an input has: the first two tiers, those of them that are looked through."""
        part = _parts(text, choices)
        if "exact" in self.tiers:
            number = self._exact.get(digest(part.stem, *part.options))
            if number is not None:
                return Match("exact", number, 1.0, f"has the same words as gold item {number + 1}")
        return self._grams.match(part.words()) if "overlap" in self.tiers else None

    def _meant(self, text: str, choices: Sequence[str] | None) -> str:
        return self._own(_shown(text, choices), _parts(text, choices).words())

    def match_fields(self, fields: Mapping[str, Any]) -> Match | None:
        """The item that a record's fields hold."""
        texts = [text[:_LONGEST_FIELD] for text in _texts(fields.values())]
        plain = [folded(text) for text in texts]
        if "exact" in self.tiers:
            for text in plain:
                number = self._alone.get(digest(text))
                if number is not None:
                    return Match("exact", number, 1.0, f"holds the words of gold item {number + 1}")
        if "overlap" in self.tiers and (match := self._grams.match(" ".join(plain).split())):
            return match
        longest = sorted(dict(zip(texts, plain, strict=True)).items(), key=lambda pair: -len(pair[1]))[:2]
        return self._paraphrase([self._own(text, words.split()) for text, words in longest])

    def _own(self, text: str, words: Sequence[str]) -> str:
        """A text without the task's own wording, which would make all texts of a task alike."""
        own = self._grams.without_common(words)
        return text if len(own) == len(words) else " ".join(own or words)

    def neighbours(self, examples: Sequence[Example]) -> list[Neighbour | None]:
        """For each example of a set the gold item nearest in meaning; None where the semantic tier is off."""
        paraphrases = self._meanings()
        if paraphrases is None:
            return [None] * len(examples)
        return paraphrases.nearest_together([self._meant(example.input, example.choices) for example in examples])

    def shown(self, number: int) -> str:
        """A gold item with its options, for people and models to read."""
        return _shown(*self._items[number])

    def paraphrase_of(self, near: Neighbour) -> Match:
        """The match that a paraphrase of an item is."""
        return Match("semantic", near.item, near.score, f"says in other words what gold item {near.item + 1} says")

    def _paraphrase(self, texts: Sequence[str]) -> Match | None:
        paraphrases = self._meanings()
        if paraphrases is None:
            return None
        found = [near for near in paraphrases.nearest(texts) if near is not None and near.same]
        return self.paraphrase_of(max(found, key=lambda near: near.score)) if found else None

    def _meanings(self) -> Paraphrases | None:
        if self._encode is None or not self._items:
            return None
        if self._paraphrases is None:  # only now, because it costs some milliseconds an item
            self._paraphrases = Paraphrases([self._meant(*item) for item in self._items], self._encode)
        return self._paraphrases


def tiers_in_words(tiers: Sequence[str] = TIERS) -> str:
    """What is looked for on this machine, in one sentence for people: never silent about a tier that is off."""
    looked = {"exact": "the same words", "overlap": "verbatim spans", "semantic": "paraphrases"}
    encoder = sentence_encoder() if "semantic" in tiers else None
    on = [looked[tier] for tier in TIERS if tier in tiers and (tier != "semantic" or encoder is not None)]
    said = f"gold is looked for by {', '.join(on) or 'nothing'}"
    if "semantic" not in tiers:
        return f"{said}; not by paraphrases, which `upcycle curate --gold` looks for"
    if encoder is None:
        how = "pip install 'upcycle[embed]', then upcycle models fetch minilm"
        return f"{said}; not by paraphrases, because no encoder is installed ({how})"
    if encoder.name == "static":
        return f"{said} by static word vectors, which find few; upcycle models fetch minilm finds most"
    return f"{said} by MiniLM"


class _Parts(NamedTuple):
    stem: str
    options: tuple[str, ...]

    def words(self) -> list[str]:
        return " ".join((self.stem, *self.options)).split()


def _parts(text: str, choices: Sequence[str] | None) -> _Parts:
    # Options may stand in another order in the gold; everything else must be the same words in the same order.
    options = choices if choices is not None else listed_options(text)
    return _Parts(folded(without_options(text)), tuple(sorted(map(folded, options))))


def _shown(text: str, choices: Sequence[str] | None) -> str:
    options = choices if choices is not None else listed_options(text)
    return "\n".join((without_options(text), *options))


def _own_stems(parts: Sequence[_Parts]) -> Iterator[int]:
    """Items whose input without options is theirs alone, and long enough to be recognised by itself."""
    counts = Counter(part.stem for part in parts)
    for number, part in enumerate(parts):
        if len(part.stem.split()) >= _SHORTEST and (not part.options or counts[part.stem] == 1):
            yield number


def _texts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield from _texts(value.values())
        elif isinstance(value, list | tuple):
            yield from _texts(value)


class _GramIndex:
    """Word n-grams of the gold that are not the task's own wording, and the items each is in."""

    def __init__(self, items: Sequence[list[str]]) -> None:
        self._items = items
        self._common = {size: _common(items, size) for size in (_GRAM, _SHORT_GRAM)}
        self._owners: dict[int, dict[int, list[int]]] = {}
        self._own_words: list[int] = []
        for number, words in enumerate(items):
            size = _size_for(len(words))
            common = self._common.get(size, frozenset())
            grams = list(_grams(words, size)) if size else []
            own = [place for place, one in enumerate(grams) if one not in common]
            self._own_words.append(_shared_wording(grams, size, common).count(0))
            for one in dict.fromkeys(grams[place] for place in own):
                self._owners.setdefault(size, {}).setdefault(one, []).append(number)

    def match(self, words: Sequence[str]) -> Match | None:
        """The item that shares most with these words: half of what the shorter of both has, or a long run."""
        best: Match | None = None
        for size, owners in self._owners.items():
            if size < _SHORT_GRAM and len(words) > _TIMES * size:
                continue
            grams = list(_grams(words, size))
            hits: dict[int, list[int]] = {}
            for place, one in enumerate(grams):
                for number in owners.get(one, ()):
                    hits.setdefault(number, []).append(place)
            if not hits:
                continue
            shared = _shared_wording(grams, size, self._common.get(size, ()))
            mine = shared.count(0)
            for number, places in hits.items():
                own = _covered(places, size, len(words), shared)
                share = min(1.0, own / max(_FEWEST, min(mine, self._own_words[number])))
                run = _longest_run(places) + size - 1
                if (share >= _SHARE or run >= _RUN) and (best is None or share > best.score):
                    how = f"shares {share:.0%} of its words, in runs of {size} or more, with"
                    if share < _SHARE:
                        how = f"has {run} words in a row in common with"
                    best = Match("overlap", number, share, f"{how} gold item {number + 1}")
        return best

    def without_common(self, words: Sequence[str]) -> list[str]:
        """Words that stand in no n-gram that many gold items share."""
        common = self._common[_SHORT_GRAM]
        if not common or len(words) < _SHORT_GRAM:
            return list(words)
        marked = _shared_wording(list(_grams(words, _SHORT_GRAM)), _SHORT_GRAM, common)
        return [word for word, shared in zip(words, marked, strict=True) if not shared]


def _common(items: Sequence[list[str]], size: int) -> set[int]:
    counts: Counter[int] = Counter()
    for words in items:
        counts.update(set(_grams(words, size)))
    most = max(3, 0.02 * len(items))
    return {one for one, count in counts.items() if count > most}


def _size_for(words: int) -> int:
    if words >= 2 * _GRAM:
        return _GRAM
    if words >= _SHORT_GRAM:
        return _SHORT_GRAM
    return words if words >= _SHORTEST else 0


def _grams(words: Sequence[str], size: int) -> Iterator[int]:
    return (hash(tuple(words[start : start + size])) for start in range(len(words) - size + 1))


def _shared_wording(grams: Sequence[int], size: int, common: Container[int]) -> bytearray:
    """For each word of a text, 1 where it stands in an n-gram that many gold items share."""
    marked = bytearray(len(grams) + size - 1 if grams else 0)
    for place, one in enumerate(grams):
        if one in common:
            marked[place : place + size] = b"\1" * size
    return marked


def _covered(places: Sequence[int], size: int, words: int, shared: bytearray) -> int:
    """Words in at least one of the n-grams that begin at these places, those of shared wording left out."""
    covered = bytearray(words)
    for place in places:
        covered[place : place + size] = b"\1" * size
    return sum(one and not other for one, other in zip(covered, shared, strict=True))


def _longest_run(places: Sequence[int]) -> int:
    longest = run = 1
    for before, place in pairwise(places):
        run = run + 1 if place == before + 1 else 1
        longest = max(longest, run)
    return longest
