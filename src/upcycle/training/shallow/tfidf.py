"""The small student that is always there: TF-IDF and logistic regression, in numpy alone.

In: texts and their labels. Out: a `TextClassifier`. It is the control beside which every larger student and every
selector is shown, and the probe that finds out what a part of the input gives away. The decision: no scikit-learn,
because sparse rows as three arrays, `bincount` for both products and L-BFGS (`descent.py`) are short and the base
install stays small; on the same tokens it says what scikit-learn's pair says, item for item.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from zipfile import BadZipFile

from upcycle.training.shallow.descent import Loss, dot, minimum

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Numbers = NDArray[np.int64]

_ARRAYS = "tfidf.npz"
_WORDS = "words.txt"
_GOOD_ENOUGH = 1e-4  # largest slope at the end
# Scripts without spaces: a character is the word.
_TOKEN = re.compile(
    "[\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f]|[^\\W_]+(?:'[a-z]+)?"
)


class Rows(NamedTuple):
    """A sparse matrix: value `weights[k]` stands in row `rows[k]` and column `columns[k]`."""

    rows: Numbers
    columns: Numbers
    weights: Floats
    shape: tuple[int, int]

    def times(self, vector: Floats) -> Floats:
        """Matrix times vector."""
        return _sums(self.rows, self.weights * vector[self.columns], self.shape[0])

    def transposed_times(self, vector: Floats) -> Floats:
        """Transposed matrix times vector."""
        return _sums(self.columns, self.weights * vector[self.rows], self.shape[1])

    def only(self, wanted: Numbers) -> Rows:
        """The rows with these numbers, in this order."""
        import numpy as np

        place = np.full(self.shape[0], -1, dtype=np.int64)
        place[wanted] = np.arange(len(wanted))
        kept = place[self.rows] >= 0
        return Rows(place[self.rows[kept]], self.columns[kept], self.weights[kept], (len(wanted), self.shape[1]))


def _sums(places: Numbers, values: Floats, number: int) -> Floats:
    import numpy as np

    return np.bincount(places, weights=values, minlength=number).astype(np.float64, copy=False)


@dataclass(frozen=True, slots=True, eq=False)
class TextClassifier:
    """A trained student.

    Attributes:
        labels: what it can say, sorted; the columns of `probabilities` stand in this order.
    """

    labels: tuple[str, ...]
    _features: Vocabulary
    _slopes: Floats  # one row a label
    _offsets: Floats

    def predict(self, inputs: Sequence[str], *, samples: int = 1) -> list[list[str]]:
        """The likeliest label of each input, `samples` times over (there is nothing random in it)."""
        best = self.probabilities(inputs).argmax(axis=1) if len(inputs) else []
        return [[self.labels[number]] * samples for number in best]

    def score(self, inputs: Sequence[str], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        """Natural logarithm of the probability of each choice of each input; minus infinity for unknown labels."""
        import numpy as np

        columns = {label: number for number, label in enumerate(self.labels)}
        logs = np.log(np.maximum(self.probabilities(inputs), 1e-300))
        return [
            [float(row[columns[choice]]) if choice in columns else float("-inf") for choice in asked]
            for row, asked in zip(logs, choices, strict=True)
        ]

    def save(self, folder: Path) -> None:
        """Write it as arrays and plain JSON; nothing in the folder can run when it is read."""
        import numpy as np

        from upcycle.errors import boundary
        from upcycle.training.saved import write_facts

        known = self._features
        with boundary(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(
                folder / _ARRAYS, grams=known.grams, idf=known.idf, slopes=self._slopes, offsets=self._offsets
            )
            (folder / _WORDS).write_text("\n".join(known.words), encoding="utf-8")
        write_facts(folder, {"kind": "tfidf", "labels": self.labels, "longest": known.longest})

    @classmethod
    def load(cls, folder: Path) -> TextClassifier:
        """What `save` wrote.

        Raises:
            ConfigError: a file is missing or broken.
        """
        import numpy as np

        from upcycle.errors import ConfigError
        from upcycle.training.saved import facts_of

        facts = facts_of(folder)
        try:
            words = (folder / _WORDS).read_text(encoding="utf-8").split("\n")
            with np.load(folder / _ARRAYS, allow_pickle=False) as arrays:
                known = Vocabulary(
                    {word: number for number, word in enumerate(words) if word}, arrays["grams"], arrays["idf"],
                    int(facts["longest"]),
                )  # fmt: skip
                return cls(tuple(facts["labels"]), known, arrays["slopes"], arrays["offsets"])
        except (OSError, KeyError, ValueError, BadZipFile) as error:
            raise ConfigError(f"{folder} holds a broken TF-IDF model ({error}); train it again") from None

    def probabilities(self, inputs: Sequence[str]) -> Floats:
        """One row an input, one column a label."""
        return self.chances(self._features.rows(inputs))

    def chances(self, rows: Rows) -> Floats:
        """The same for inputs that are features already."""
        return _probabilities(rows, self._slopes, self._offsets)


def fit(
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    longest: int = 2,
    least: int = 1,
    strength: float = 1.0,
    weights: Sequence[float] | None = None,
) -> TextClassifier:
    """Train on texts and labels.

    Args:
        longest: words in the longest n-gram, 1 or 2.
        least: texts an n-gram must occur in.
        strength: how closely the training set is followed (the inverse of the L2 penalty, scikit-learn's C).
        weights: how much each text counts, 1 on average; None for all alike.

    Raises:
        ValueError: no texts, or not one label a text.
    """
    if not texts or len(texts) != len(labels):
        raise ValueError(f"{len(texts)} texts and {len(labels)} labels; give one label a text, and at least one")
    vocabulary, rows = Vocabulary.of(texts, longest=longest, least=least)
    return fit_rows(rows, labels, strength=strength, features=vocabulary, weights=weights)


def fit_rows(
    rows: Rows,
    labels: Sequence[str],
    *,
    features: Vocabulary,
    strength: float = 1.0,
    weights: Sequence[float] | None = None,
) -> TextClassifier:
    """Train on rows that are features already."""
    import numpy as np

    names = tuple(sorted(set(labels)))
    index = {name: number for number, name in enumerate(names)}
    wanted = np.array([index[label] for label in labels])
    each = np.ones(len(wanted)) if weights is None else np.asarray(weights, dtype=np.float64)
    slopes, offsets = _logistic(rows, wanted, len(names), strength, each)
    return TextClassifier(names, features, slopes, offsets)


def tokens(text: str) -> list[str]:
    """Words in lower case, numbers, and single characters of scripts without spaces."""
    return _TOKEN.findall(text.lower())


class Vocabulary(NamedTuple):
    """The n-grams of a training set and how much each says."""

    words: dict[str, int]
    grams: Numbers  # sorted codes of the n-grams that are columns
    idf: Floats
    longest: int

    @classmethod
    def of(cls, texts: Sequence[str], *, longest: int = 2, least: int = 1) -> tuple[Vocabulary, Rows]:
        """Learn it, and give the same texts as rows."""
        import numpy as np

        words: dict[str, int] = {}
        codes, rows = _grams((tokens(text) for text in texts), lambda word: words.setdefault(word, len(words)), longest)
        # Equal pairs of text and n-gram once each, with how often they stood there.
        grams, columns = np.unique(codes, return_inverse=True)
        pairs, counts = np.unique(rows * max(1, len(grams)) + columns, return_counts=True)
        rows, columns = np.divmod(pairs, max(1, len(grams)))
        found = np.bincount(columns, minlength=len(grams))
        kept = found >= least
        place = np.cumsum(kept) - 1
        wide = kept[columns]
        idf = np.log((1 + len(texts)) / (1 + found[kept])) + 1
        known = cls(words, grams[kept], idf, longest)
        return known, known.weighted(rows[wide], place[columns[wide]], counts[wide], len(texts))

    def rows(self, texts: Sequence[str]) -> Rows:
        """Texts as rows; what was not in the training set is left out."""
        import numpy as np

        codes, rows = _grams((tokens(text) for text in texts), lambda word: self.words.get(word, -1), self.longest)
        if not len(self.grams):
            return self.weighted(rows[:0], codes[:0], codes[:0], len(texts))
        columns = np.searchsorted(self.grams, codes)
        columns[columns == len(self.grams)] = 0
        known = self.grams[columns] == codes
        pairs, counts = np.unique(rows[known] * len(self.grams) + columns[known], return_counts=True)
        rows, columns = np.divmod(pairs, len(self.grams))
        return self.weighted(rows, columns, counts, len(texts))

    def weighted(self, rows: Numbers, columns: Numbers, counts: Numbers, number: int) -> Rows:
        """Counts as weights: (1 + log count) x idf, every row of length 1."""
        import numpy as np

        weights = (1 + np.log(counts)) * self.idf[columns]
        lengths = np.sqrt(np.bincount(rows, weights=weights * weights, minlength=number))
        return Rows(rows, columns, weights / np.maximum(lengths[rows], 1e-12), (number, len(self.grams)))


_SHIFT = 31


def _grams(texts: Iterable[list[str]], number: Callable[[str], int], longest: int) -> tuple[Numbers, Numbers]:
    """Codes of all n-grams (-1 where a word has no number), and the text each stands in."""
    import numpy as np

    numbers: list[int] = []
    sizes: list[int] = []
    for words in texts:
        numbers.extend(map(number, words))
        sizes.append(len(words))
    ones = np.array(numbers, dtype=np.int64)
    rows = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
    if longest == 1 or len(ones) < 2:
        return ones, rows
    together = rows[1:] == rows[:-1]
    both = np.where((ones[:-1] < 0) | (ones[1:] < 0), -1, ((ones[:-1] + 1) << _SHIFT) + ones[1:])
    return np.concatenate([ones, both[together]]), np.concatenate([rows, rows[1:][together]])


def _probabilities(rows: Rows, slopes: Floats, offsets: Floats) -> Floats:
    import numpy as np

    values = np.stack([rows.times(slope) for slope in slopes], axis=1) + offsets
    values = np.exp(values - values.max(axis=1, keepdims=True))
    return values / values.sum(axis=1, keepdims=True)


def _logistic(rows: Rows, wanted: Numbers, labels: int, strength: float, each: Floats) -> tuple[Floats, Floats]:
    """Slopes and offsets that minimise the log loss of the texts plus the squared slopes / (2 strength texts)."""
    import numpy as np

    columns = rows.shape[1]
    if labels == 1:
        return np.zeros((1, columns)), np.zeros(1)
    if labels == 2:
        # One vector tells two labels apart: half the work, and a penalty that means what scikit-learn's does.
        weights = minimum(_two(rows, wanted, strength, each), np.zeros(columns + 1), _GOOD_ENOUGH)[None]
        return np.concatenate([-weights[:, :-1], weights[:, :-1]]) / 2, np.array([-weights[0, -1], weights[0, -1]]) / 2
    weights = minimum(_several(rows, wanted, labels, strength, each), np.zeros(labels * (columns + 1)), _GOOD_ENOUGH)
    weights = weights.reshape(labels, columns + 1)
    return weights[:, :-1], weights[:, -1]


def _two(rows: Rows, wanted: Numbers, strength: float, each: Floats) -> Loss:
    """Value and slope of the loss of one vector: columns, then the offset; positive speaks for the second label."""
    import numpy as np

    number = rows.shape[0]
    penalty = 1 / (strength * number)

    def loss(weights: Floats) -> tuple[float, Floats]:
        slopes = weights[:-1]
        said = rows.times(slopes) + weights[-1]
        wrong = each * (0.5 * (1 + np.tanh(said / 2)) - wanted) / number
        slope = np.append(rows.transposed_times(wrong) + penalty * slopes, wrong.sum())
        value = float((each * (np.logaddexp(0, said) - wanted * said)).mean())
        return value + penalty / 2 * dot(slopes, slopes), slope

    return loss


def _several(rows: Rows, wanted: Numbers, labels: int, strength: float, each: Floats) -> Loss:
    """The same of one vector a label, one after the other."""
    import numpy as np

    number, columns = rows.shape
    hits = np.zeros((number, labels))
    hits[np.arange(number), wanted] = 1
    penalty = 1 / (strength * number)

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(labels, columns + 1)
        slopes, offsets = weights[:, :-1], weights[:, -1]
        chances = _probabilities(rows, slopes, offsets)
        value = -(each * np.log(np.maximum(chances[np.arange(number), wanted], 1e-300))).mean()
        wrong = each[:, None] * (chances - hits) / number
        slope = np.empty_like(weights)
        for label in range(labels):
            slope[label, :-1] = rows.transposed_times(wrong[:, label]) + penalty * slopes[label]
        slope[:, -1] = wrong.sum(axis=0)
        return float(value) + penalty / 2 * float((slopes * slopes).sum()), slope.ravel()

    return loss
