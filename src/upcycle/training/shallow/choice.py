"""Which option of a question is right, by TF-IDF and logistic regression over the pairs of input and option.

In: examples with options. Out: a `ChoiceClassifier`. Each option with its input is one text, labelled right or wrong;
the option whose text is likeliest right is chosen. The decision: a linear student of single words would see the option
alone (what the input says is the same for all its options), so a pair's text also holds words of both together: which
input words stand beside a short option, and how much of the option the input repeats. It is the smallest student that
can be wrong for the right reason, and it says what options give away by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from upcycle.contract import listed_options, without_options
from upcycle.errors import ConfigError
from upcycle.records import Example
from upcycle.training.shallow.tfidf import TextClassifier, fit, tokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RIGHT, WRONG = "right", "wrong"
_SHORT = 3  # words of an option that is paired with every word of the input
_PARTS = 4  # how finely it is told how much of an option the input repeats
_STRENGTH = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class ChoiceClassifier:
    """A trained student; it needs the options listed in the input, or given to `score`."""

    _pairs: TextClassifier

    def predict(self, inputs: Sequence[str], *, samples: int = 1) -> list[list[str]]:
        """The likeliest of the options that each input lists; an empty text where it lists none."""
        options = [listed_options(text) for text in inputs]
        scores = self.score(inputs, options)
        return [
            [asked[max(range(len(asked)), key=row.__getitem__)] if asked else ""] * samples
            for asked, row in zip(options, scores, strict=True)
        ]

    def score(self, inputs: Sequence[str], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        """Natural logarithm of the probability of each choice; those of one input sum to 1."""
        import numpy as np

        texts = [pair for text, asked in zip(inputs, choices, strict=True) for pair in _pairs_of(text, asked)]
        if not texts:
            return [[] for _ in inputs]
        column = self._pairs.labels.index(RIGHT)
        chances = self._pairs.probabilities(texts)[:, column]
        odds = np.log(np.maximum(chances, 1e-300)) - np.log(np.maximum(1 - chances, 1e-300))
        found: list[list[float]] = []
        start = 0
        for asked in choices:
            found.append(_shares(odds[start : start + len(asked)]))
            start += len(asked)
        return found

    def save(self, folder: Path) -> None:
        """Write it as the classifier of pairs that it is."""
        from upcycle.training.saved import facts_of, write_facts

        self._pairs.save(folder)
        write_facts(folder, {**facts_of(folder), "kind": "tfidf-choice"})

    @classmethod
    def load(cls, folder: Path) -> ChoiceClassifier:
        """What `save` wrote.

        Raises:
            ConfigError: a file is missing or broken.
        """
        return cls(TextClassifier.load(folder))


def fit_choices(examples: Sequence[Example], *, strength: float = _STRENGTH) -> ChoiceClassifier:
    """Train on examples that have options; the others are left out.

    Raises:
        ConfigError: no example has options with its output among them and another beside it.
    """
    texts: list[str] = []
    labels: list[str] = []
    for example in examples:
        options = list(example.choices or listed_options(example.input))
        if example.output in options and len(options) > 1:
            texts += _pairs_of(example.input, options)
            labels += [RIGHT if option == example.output else WRONG for option in options]
    if not texts:
        raise ConfigError("no example has options with its output among them; tfidf cannot learn to choose from these")
    return ChoiceClassifier(fit(texts, labels, longest=2, strength=strength))


def _pairs_of(text: str, options: Sequence[str]) -> list[str]:
    asked = tokens(without_options(text))
    return [" ".join(_words(asked, tokens(option))) for option in options]


def _words(asked: Sequence[str], option: Sequence[str]) -> Iterator[str]:
    """The option's words, then what it has to do with the input; every word is one token of letters and digits."""
    yield from option
    known = set(asked)
    shared = sum(word in known for word in option)
    yield f"shared{round(_PARTS * shared / len(option))}of{_PARTS}" if option else "empty"
    if len(option) <= _SHORT:
        name = "x".join("".join(filter(str.isalnum, word)) for word in option)
        for word in dict.fromkeys(asked):
            yield f"{''.join(filter(str.isalnum, word))}with{name}"


def _shares(odds: NDArray[np.float64]) -> list[float]:
    """Logarithms of shares that sum to 1."""
    import numpy as np

    if not len(odds):
        return []
    top = odds.max()
    return (odds - top - np.log(np.exp(odds - top).sum())).tolist()
