"""Artefacts: what gives a label away to somebody who has not read the whole input.

A set written by a model often has them: a hypothesis that is negated whenever the label is "no", options of which the
longest is right, quotation marks around everything. A student trained on such rows learns the habit and not the task.
The probe is the partial-input baseline of Gururangan et al. (NAACL 2018): how well a small student guesses the label
from one part alone, beside always guessing the most frequent label. The decision: each probe is also read with rows
that share a part kept in one fold, because rows that were written from the same premise repeat each other, and only
what is left then is a habit of the whole set.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from random import Random

from upcycle.contract import without_options
from upcycle.curation.check import KEEP, Check
from upcycle.curation.duplicates.exact import options_of
from upcycle.errors import RowKind
from upcycle.evaluation.intervals import wilson
from upcycle.parts import label_counts, part_names, parts_of
from upcycle.records import Example, Verdict

NEGATIONS = ("not", "no", "never", "none", "nothing", "nobody", "neither", "nor", "without")
"""Words of negation. Contractions do not count, so that numbers can be set beside those of published audits."""

_NEGATION = re.compile(rf"\b(?:{'|'.join(NEGATIONS)})\b", re.IGNORECASE)
_QUOTES = "\"'“”„«»‘’「『"
_WORD = re.compile(r"\w+")
_FOLDS = 5
_LEAST = 3  # words of fewer texts only help to recognise single rows
_STRENGTH = 2.0  # of the student that guesses; what was measured with it is in docs/curation.md
_MOST_PROBED = 20_000  # rows; a probe of more says the same and takes longer
_MOST_PROBED_LABELS = 20
_ENOUGH = 100  # rows; in fewer, what repeats may be chance
_MEMORABLE = 0.05  # share of rows from which on one opening is worth naming
WHOLE = "input"
OPTIONS = "options"
SURFACE = "surface"
"""No part, but what can be seen of the last one without reading it: length, quotes, negation, its first words."""


@dataclass(frozen=True, slots=True)
class Probe:
    """How well one part alone gives the label away.

    Attributes:
        part: name of the part ("Hypothesis"), "options" without their question, or "surface".
        accuracy: share of rows whose label a student guesses from the part (5-fold).
        low, high: 95 % Wilson interval of it.
        apart: the same with rows that share a part kept in one fold; None where no two do.
        majority: share of the most frequent label; of options, of the likeliest position.
    """

    part: str
    rows: int
    accuracy: float
    low: float
    high: float
    apart: float | None
    majority: float

    @property
    def gives_away(self) -> bool:
        """Whether the part alone tells the label better than its frequency does, beyond chance.

        By two points; of the surface by ten, because in texts that people wrote it tells five to eight.
        """
        accuracy = self.accuracy if self.apart is None else self.apart
        return accuracy - (self.accuracy - self.low) > self.majority + (0.1 if self.part == SURFACE else 0.02)


@dataclass(frozen=True, slots=True)
class Habits:
    """What one part of the rows looks like.

    Attributes:
        words: mean number of words.
        quoted: rows that begin with a quotation mark.
        opening: the most common first three words, in lower case, and in how many rows they stand.
        negated: label to share of its rows that hold a word of negation ("" where outputs are no labels).
    """

    part: str
    rows: int
    words: float
    quoted: int
    opening: str
    opening_rows: int
    negated: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Artefacts:
    """The audit of one set."""

    rows: int
    probes: tuple[Probe, ...]
    habits: tuple[Habits, ...]

    def facts(self) -> dict[str, object]:
        """The same as plain values for JSON."""
        return {
            "rows": self.rows,
            "probes": [asdict(p) for p in self.probes],
            "habits": [asdict(h) for h in self.habits],
        }

    def warnings(self) -> list[str]:
        """One sentence for each thing a student could learn instead of the task."""
        found = []
        for probe in self.probes:
            if probe.gives_away:
                told = f"{probe.accuracy:.1%}" + (f" ({probe.apart:.1%} apart)" if probe.apart is not None else "")
                found.append(
                    f"the label can be guessed from the {probe.part} alone: {told}, majority {probe.majority:.1%}"
                )
        for habit in self.habits:
            if habit.quoted > 0.1 * habit.rows:
                found.append(f"{habit.quoted:,} of {habit.rows:,} rows begin the {habit.part} with a quotation mark")
            if habit.rows >= _ENOUGH and habit.opening_rows > _MEMORABLE * habit.rows:
                share = habit.opening_rows / habit.rows
                found.append(f"{share:.1%} of rows begin the {habit.part} with {habit.opening!r}")
            shares = list(habit.negated.values())
            apart = max(shares) - min(shares) if 1 < len(shares) <= 5 and habit.rows >= _ENOUGH else 0
            if apart > 0.05 and max(shares) > 2 * min(shares):
                told = ", ".join(f"{label} {share:.1%}" for label, share in habit.negated.items())
                found.append(f"negation in the {habit.part} goes with the label: {told}")
        return found


def artefacts(examples: Sequence[Example], *, seed: int = 0) -> Artefacts:
    """Audit a set: probes of every part that can be read alone, and the habits of its parts.

    Sets of fewer than 50 rows, of more than 20 labels, and outputs that are no labels get habits only.
    """
    some = list(examples)
    if len(some) > _MOST_PROBED:
        some = Random(seed).sample(some, _MOST_PROBED)
    labels = label_counts(some)
    names = part_names(some)
    parts = [_parts(example, names) for example in some]
    probes: list[Probe] = []
    if len(some) >= 50:
        if labels is not None and 1 < len(labels) <= _MOST_PROBED_LABELS:
            outputs, groups = [example.output for example in some], _groups(parts)
            probes += [_probe(name, [p[name] for p in parts], outputs, groups, labels, seed) for name in names]
            texts = [_surface(part[names[-1] if names else WHOLE]) for part in parts]
            probes.append(_probe(SURFACE, texts, outputs, groups, labels, seed))
        elif all(len(options_of(example)) > 1 for example in some):
            probes.append(_probe_options(some, seed))
    return Artefacts(len(some), tuple(probes), tuple(_habits(some, parts, labels)))


def artefact_check(examples: Sequence[Example], *, guess: float = 0.8, seed: int = 0) -> Check:
    """Drops examples whose label a student guesses from one part alone with a probability of at least `guess`.

    One verdict an example of `examples`, looked up by its id; others pass. Parts are those of `artefacts`; where there
    are none, nothing is dropped. Rows that share a part are in one fold.
    """
    sure: dict[str, tuple[str, float]] = {}
    labels, names = label_counts(examples), part_names(examples)
    if labels is not None and 1 < len(labels) <= _MOST_PROBED_LABELS and names and len(examples) >= 50:
        parts = [parts_of(example.input, names) for example in examples]
        groups = _groups(parts)
        for name in names:
            guessed = _guesses([part[name] for part in parts], [e.output for e in examples], groups, seed)
            for example, (label, chance) in zip(examples, guessed, strict=True):
                if label == example.output and chance >= max(guess, sure.get(example.id, ("", 0.0))[1]):
                    sure[example.id] = (name, chance)

    def check(example: Example) -> Verdict:
        if (found := sure.get(example.id)) is None:
            return KEEP
        reason = f"its label can be guessed from the {found[0]} alone"
        return Verdict(keep=False, kind=RowKind.ARTEFACT, reason=reason, score=round(found[1], 3))

    return check


def _probe(
    name: str, texts: Sequence[str], outputs: Sequence[str], groups: Sequence[int], labels: Mapping[str, int], seed: int
) -> Probe:
    rows = len(texts)
    right = _right(texts, outputs, range(rows), seed)
    apart = _right(texts, outputs, groups, seed) / rows if len(set(groups)) < rows else None
    low, high = wilson(right, rows)
    return Probe(name, rows, right / rows, low, high, apart, max(labels.values()) / rows)


def _probe_options(examples: Sequence[Example], seed: int) -> Probe:
    """Which option is right, told from the options alone: the one a student finds likeliest."""
    from upcycle.training.shallow.tfidf import fit

    # Sets like COPA hold every option twice, once right and once wrong: those stay in one fold.
    folds = _folds(_groups([dict.fromkeys(options_of(example), "") for example in examples]), seed)
    right = 0
    for fold in range(_FOLDS):
        shown = [example for example, of in zip(examples, folds, strict=True) if of != fold]
        pairs = [(option, str(option == e.output)) for e in shown for option in options_of(e)]
        held = [example for example, of in zip(examples, folds, strict=True) if of == fold]
        if not pairs or not held:
            continue
        texts = [_with_surface(option) for option, _ in pairs]
        student = fit(texts, [answer for _, answer in pairs], longest=1, least=_LEAST, strength=_STRENGTH)
        for example in held:
            options = options_of(example)
            scores = student.score([_with_surface(option) for option in options], [["True"]] * len(options))
            right += options[max(range(len(options)), key=lambda place: scores[place][0])] == example.output
    places = Counter(options_of(e).index(e.output) for e in examples if e.output in options_of(e))
    low, high = wilson(right, len(examples))
    majority = max(places.values(), default=0) / len(examples)
    return Probe(OPTIONS, len(examples), right / len(examples), low, high, None, majority)


def _right(texts: Sequence[str], outputs: Sequence[str], groups: Sequence[int], seed: int) -> int:
    guessed = _guesses(texts, outputs, groups, seed)
    return sum(label == output for (label, _), output in zip(guessed, outputs, strict=True))


def _guesses(texts: Sequence[str], outputs: Sequence[str], groups: Sequence[int], seed: int) -> list[tuple[str, float]]:
    """The label a student guesses for each text, and how sure it is; trained on the folds that text is not in."""
    import numpy as np

    from upcycle.training.shallow.tfidf import Vocabulary, fit_rows

    folds = np.array(_folds(groups, seed))
    # The words are counted once: which ones a fold has is no secret that could give a label away.
    vocabulary, rows = Vocabulary.of(texts, longest=1, least=_LEAST)
    guessed: list[tuple[str, float]] = [("", 0.0)] * len(texts)
    for fold in range(_FOLDS):
        held, shown = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if not len(held) or not len(shown):
            continue
        said = [outputs[number] for number in shown.tolist()]
        student = fit_rows(rows.only(shown), said, features=vocabulary, strength=_STRENGTH)
        chances = student.chances(rows.only(held))
        for number, row in zip(held.tolist(), chances, strict=True):
            best = int(row.argmax())
            guessed[number] = (student.labels[best], float(row[best]))
    return guessed


def _folds(groups: Sequence[int], seed: int) -> list[int]:
    """A fold for each row; rows of one group are in the same."""
    order = list(dict.fromkeys(groups))
    Random(seed).shuffle(order)
    place = {group: number % _FOLDS for number, group in enumerate(order)}
    return [place[group] for group in groups]


def _groups(parts: Sequence[Mapping[str, str]]) -> list[int]:
    """A number for each row; rows that share a part, directly or through others, have the same one.

    A part that stands in a fifth of the rows is the task's wording and links nothing.
    """
    first: dict[tuple[str, str], int] = {}
    counts = Counter(pair for part in parts for pair in part.items())
    leader = list(range(len(parts)))

    def find(row: int) -> int:
        while leader[row] != row:
            leader[row] = leader[leader[row]]
            row = leader[row]
        return row

    for row, part in enumerate(parts):
        for pair in part.items():
            if counts[pair] <= 0.2 * len(parts):
                leader[find(row)] = find(first.setdefault(pair, row))
    return [find(row) for row in range(len(parts))]


def _parts(example: Example, names: Sequence[str]) -> Mapping[str, str]:
    return parts_of(example.input, names) if names else {WHOLE: without_options(example.input)}


def _surface(text: str) -> str:
    """Everything about a text but its words, as words: length, quotation marks, negation, punctuation, opening."""
    words = _WORD.findall(text.lower())
    marks = [f"length{len(words).bit_length()}", f"fifth{len(words) // 5}", *(f"opening{word}" for word in words[:2])]
    marks += [f"quoted{text.lstrip()[:1] in _QUOTES}", f"negated{bool(_NEGATION.search(text))}"]
    return " ".join([*marks, f"ends{ord(text.rstrip()[-1])}" if text.strip() else "empty"])


def _with_surface(option: str) -> str:
    return f"{option} {_surface(option)}"


def _habits(
    examples: Sequence[Example], parts: Sequence[Mapping[str, str]], labels: Mapping[str, int] | None
) -> list[Habits]:
    shown: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for example, part in zip(examples, parts, strict=True):
        label = example.output if labels is not None else ""
        for name, text in part.items():
            shown[name].append((text, label))
        if labels is None and not options_of(example):
            shown["output"].append((example.output, ""))
    return [_habits_of(name, pairs) for name, pairs in shown.items()]


def _habits_of(name: str, pairs: Sequence[tuple[str, str]]) -> Habits:
    openings: Counter[str] = Counter()
    negated: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    words = quoted = 0
    for text, label in pairs:
        found = _WORD.findall(text.lower())
        words += len(found)
        quoted += text.lstrip()[:1] in _QUOTES and bool(text.strip())
        if len(found) >= 3:
            openings[" ".join(found[:3])] += 1
        negated[label][0] += bool(_NEGATION.search(text))
        negated[label][1] += 1
    opening, count = max(openings.items(), key=lambda pair: (pair[1], pair[0]), default=("", 0))
    shares = {label: round(some / all_, 4) for label, (some, all_) in sorted(negated.items())}
    return Habits(name, len(pairs), round(words / max(1, len(pairs)), 1), quoted, opening, count, shares)
