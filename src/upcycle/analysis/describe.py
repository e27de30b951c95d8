"""What sets of examples are like, side by side: the numbers of the DataTune paper's Table 3 and Figures 4 to 6.

In: sets of examples. Out: one `Description` each. Measured is the input of an example without its option lines (the
whole input where nothing else is in it). A set of more than `limit` examples is measured on a drawn sample, and says
so. Numbers that move with the size of a set stand twice: as the set is, and with all sets cut to the same size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from random import Random
from typing import Any, NamedTuple, Protocol

from upcycle.analysis import coverage, difficulty, rouge, variety
from upcycle.analysis.difficulty import Difficulty
from upcycle.analysis.tokens import words_and_marks
from upcycle.analysis.variety import FIRST, Lengths, Opening
from upcycle.contract import without_options
from upcycle.errors import ConfigError
from upcycle.records import Example

LIMIT = 20_000
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 21))
MARKED = (0.7, 0.8, 0.9)
"""Thresholds that are printed: the paper takes 0.8 for code, 0.9 for long texts, 0.7 for the rest."""

_MAPPED = 2_000
_DETECTED = 300
_CLOSEST = 5
_MOST_LABELS = 50


class Examples(Protocol):
    """A named set of examples, such as `sources.examples.ExampleSet`."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def examples(self) -> Sequence[Example]: ...


class Near(NamedTuple):
    """Two examples that are alike."""

    score: float
    id: str
    other: str
    text: str
    other_text: str


class Matched(NamedTuple):
    """The same numbers with every set cut to the same number of examples, and texts to the same number of tokens.

    Attributes:
        unique: threshold to share unique.
    """

    examples: int
    tokens: int
    bigrams: float
    unique: Mapping[str, float]


@dataclass(frozen=True)
class Description:
    """What one set is like.

    Attributes:
        rows: examples of the set.
        measured: how many of them were measured; fewer than `rows` where a sample was drawn with `seed`.
        skipped: rows that could not be read as examples.
        tokens, output_tokens: lengths of inputs and outputs, in words and punctuation marks.
        bigrams: different bigrams of the inputs divided by the number of examples.
        bigrams_first: the same in the first `variety.FIRST` tokens of each.
        opening: the most common first three tokens.
        repeated: share of inputs that occur before in the set, word for word.
        uniqueness: threshold to the share of inputs whose highest ROUGE-L with any other is below it.
        closest: pairs that are most alike without being the same.
        outputs: different outputs.
        labels: how often each output occurs, where outputs are labels (few, and repeated).
        label_bits: entropy of the outputs in bits.
        positions: how often the output is the first, second, ... option; "0" where it is none of the options.
        languages: share of inputs in each language, of `languages_of` inputs that were looked at.
        matched: None where there is one set only.
        covers: other set to the share of its area on the common map that this set lies in, too.
        points: places on that map of up to 2,000 inputs.
        notes: what the reader must know of these numbers.
    """

    name: str
    path: str
    rows: int
    measured: int
    seed: int
    tokens: Lengths
    output_tokens: Lengths
    bigrams: float
    bigrams_first: float
    opening: Opening
    repeated: float
    uniqueness: Mapping[str, float]
    closest: Sequence[Near]
    outputs: int
    labels: Mapping[str, int]
    label_bits: float
    positions: Mapping[str, int]
    languages: Mapping[str, float]
    languages_of: int
    skipped: int = 0
    difficulty: Difficulty | None = None
    matched: Matched | None = None
    covers: Mapping[str, float] = field(default_factory=dict)
    points: Sequence[tuple[float, float]] = ()
    notes: Sequence[str] = ()

    def facts(self) -> dict[str, Any]:
        """Everything but the map's points as plain values, for `--json`."""
        plain = asdict(self)
        del plain["points"]
        for name in ("tokens", "output_tokens", "opening", "matched"):
            value = getattr(self, name)
            plain[name] = value._asdict() if value is not None else None
        plain["closest"] = [near._asdict() for near in self.closest]
        return plain

    def __repr__(self) -> str:
        unique = f"{self.uniqueness['0.7']:.0%} unique at ROUGE-L 0.7" if self.uniqueness else "empty"
        return (
            f"Description({self.name!r}: {self.rows:,} examples, {self.tokens.mean:.1f} tokens,"
            f" {self.bigrams:.1f} bigrams each, {unique})"
        )


@dataclass(frozen=True)
class _Set:
    """A set while it is measured."""

    name: str
    given: Examples
    examples: Sequence[Example]
    texts: Sequence[str]
    tokens: Sequence[Sequence[str]]


def describe(
    sets: Sequence[Examples], *, gold: str | None = None, limit: int | None = LIMIT, seed: int = 0
) -> list[Description]:
    """Describe sets of examples side by side.

    Args:
        gold: name of the set that is gold; levels of difficulty are then its fifths.
        limit: most examples of a set that are measured; None for all.
        seed: of the samples drawn.

    Raises:
        ConfigError: `gold` is none of the sets, two sets have one name, or the limit is below 1.
    """
    names = [one.name for one in sets]
    if limit is not None and limit < 1:
        raise ConfigError(f"the limit is {limit}; give at least 1, or none at all")
    if gold is not None and gold not in names:
        raise ConfigError(f"gold {gold!r} is none of the sets: {', '.join(names)}")
    if len(set(names)) < len(names):
        raise ConfigError(f"two sets have the name {max(names, key=names.count)!r}; give each its own")
    opened = [_open(one, limit, seed) for one in sets]
    described = [_alone(one, seed) for one in opened]
    full = [one for one in opened if one.texts]
    if not full:
        return described
    matched = _matched(full, seed) if len(full) > 1 else {}
    hard = difficulty.by_words(
        {one.name: [f"{text}\n{e.output}" for text, e in zip(one.texts, one.examples, strict=True)] for one in full},
        gold=gold if any(one.name == gold for one in full) else None,
        seed=seed,
    )
    placed = _placed(full, seed)
    return [
        replace(
            one,
            difficulty=hard.get(one.name),
            matched=matched.get(one.name),
            covers=placed[one.name][1] if one.name in placed else {},
            points=placed[one.name][0] if one.name in placed else (),
        )
        for one in described
    ]


def measured_text(example: Example) -> str:
    """What is measured of an example: its input without option lines, or all of it where it is nothing else."""
    return without_options(example.input).strip() or example.input


def drawn(examples: Sequence[Example], limit: int | None, seed: int) -> Sequence[Example]:
    """All examples, or a sample of `limit`."""
    if limit is None or len(examples) <= limit:
        return examples
    return Random(seed).sample(examples, limit)


def _open(one: Examples, limit: int | None, seed: int) -> _Set:
    some = drawn(one.examples, limit, seed)
    texts = [measured_text(example) for example in some]
    return _Set(one.name, one, some, texts, [words_and_marks(text) for text in texts])


def _alone(one: _Set, seed: int) -> Description:
    nearest = rouge.max_rouge_l(one.texts)
    shares = rouge.share_unique(nearest.scores, THRESHOLDS) if one.texts else []
    outputs = Counter(example.output for example in one.examples)
    few = len(outputs) <= min(_MOST_LABELS, len(one.examples) / 2)
    some = drawn(one.examples, _DETECTED, seed)
    spoken = variety.languages([measured_text(example) for example in some])
    found = variety.positions([e.output for e in one.examples], [e.choices for e in one.examples])
    rows = len(one.given.examples)
    return Description(
        name=one.name,
        path=one.given.path,
        rows=rows,
        measured=len(one.examples),
        seed=seed,
        skipped=len(getattr(one.given, "skipped", ())),
        tokens=variety.lengths(one.tokens),
        output_tokens=variety.lengths([words_and_marks(example.output) for example in one.examples]),
        bigrams=variety.bigrams_per_text(one.tokens),
        bigrams_first=variety.bigrams_per_text(one.tokens, FIRST),
        opening=variety.opening(one.tokens),
        repeated=1 - len({tuple(tokens) for tokens in one.tokens}) / len(one.tokens) if one.tokens else 0.0,
        uniqueness=dict(zip(map(str, THRESHOLDS), shares, strict=False)),
        closest=_closest(one, nearest),
        outputs=len(outputs),
        labels=dict(outputs.most_common()) if few else {},
        label_bits=variety.entropy(outputs),
        positions={str(place): count for place, count in sorted(found.items())},
        languages={code: count / len(some) for code, count in spoken.most_common()},
        languages_of=len(some),
        notes=_notes(one, rows, seed),
    )


def _notes(one: _Set, rows: int, seed: int) -> tuple[str, ...]:
    notes = []
    if len(one.examples) < rows:
        notes.append(f"measured on {len(one.examples):,} of {rows:,} examples, drawn with seed {seed}")
    if not rows:
        notes.append("it holds no examples")
    elif not rouge.is_compiled() and len(one.examples) > 2_000:
        notes.append(rouge.SLOWER)
    return tuple(notes)


def _closest(one: _Set, nearest: rouge.Nearest) -> list[Near]:
    """The most alike pairs that are not the same, each once."""
    pairs: dict[tuple[int, int], float] = {}
    for place in nearest.scores.argsort(kind="stable")[::-1].tolist():
        other, score = int(nearest.neighbours[place]), float(nearest.scores[place])
        if other >= 0 and score < 1:
            pairs.setdefault((min(place, other), max(place, other)), score)
        if len(pairs) == _CLOSEST:
            break
    return [
        Near(score, one.examples[a].id, one.examples[b].id, one.texts[a][:300], one.texts[b][:300])
        for (a, b), score in pairs.items()
    ]


def _matched(sets: Sequence[_Set], seed: int) -> dict[str, Matched]:
    """Every set at the size of the smallest, every text at the shortest median length."""
    count = min(len(one.texts) for one in sets)
    tokens = max(2, int(min(variety.lengths(one.tokens).median for one in sets)))
    found = {}
    for one in sets:
        places = range(count) if len(one.texts) == count else Random(seed).sample(range(len(one.texts)), count)
        scores = rouge.max_rouge_l([one.texts[place] for place in places]).scores
        unique = dict(zip(map(str, MARKED), rouge.share_unique(scores, MARKED), strict=True))
        bigrams = variety.bigrams_per_text([one.tokens[place] for place in places], tokens)
        found[one.name] = Matched(count, tokens, bigrams, unique)
    return found


def _placed(sets: Sequence[_Set], seed: int) -> dict[str, tuple[list[tuple[float, float]], dict[str, float]]]:
    texts = {one.name: [measured_text(e) for e in drawn(one.examples, _MAPPED, seed)] for one in sets}
    points = coverage.layout(texts).points
    return {
        name: (
            [(float(x), float(y)) for x, y in points[name]],
            {other: coverage.covered(points[name], points[other]) for other in points if other != name},
        )
        for name in points
    }
