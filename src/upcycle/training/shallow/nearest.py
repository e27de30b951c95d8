"""The answer of the nearest input: what a set of examples knows without any training.

In: examples of free text. Out: a `NearestInput`, which says of an input what stands beside the most similar one (cosine
of TF-IDF vectors). It is the control for tasks whose outputs are written, where no classifier can be trained: a model
that does not do better has learnt nothing that looking up would not give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from upcycle.contract import without_options
from upcycle.errors import ConfigError, boundary
from upcycle.records import Example
from upcycle.training.shallow.tfidf import Rows, Vocabulary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FILE = "nearest.json"
_AT_ONCE = 256


@dataclass(frozen=True, slots=True, eq=False)
class NearestInput:
    """Inputs that are known, and what stands beside each."""

    inputs: Sequence[str]
    outputs: Sequence[str]
    _features: Vocabulary
    _rows: Rows

    def predict(self, inputs: Sequence[str], *, samples: int = 1) -> list[list[str]]:
        """The output beside the nearest known input; the first of several as near."""
        found: list[list[str]] = []
        for start in range(0, len(inputs), _AT_ONCE):
            alike = self._alike(inputs[start : start + _AT_ONCE])
            found += [[self.outputs[int(best)]] * samples for best in alike.argmax(axis=1)]
        return found

    def score(self, inputs: Sequence[str], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        """Likeness of the nearest known input whose output each choice is, as a logarithm; minus infinity for none."""
        import numpy as np

        places: dict[str, list[int]] = {}
        for number, output in enumerate(self.outputs):
            places.setdefault(output, []).append(number)
        found: list[list[float]] = []
        for start in range(0, len(inputs), _AT_ONCE):
            alike = np.log(np.maximum(self._alike(inputs[start : start + _AT_ONCE]), 1e-12))
            for row, asked in zip(alike, choices[start : start + _AT_ONCE], strict=True):
                found.append([float(row[places[one]].max()) if one in places else float("-inf") for one in asked])
        return found

    def save(self, folder: Path) -> None:
        """Write the examples; what is near is worked out from them."""
        from upcycle.training.saved import write_facts

        with boundary(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / _FILE).write_bytes(orjson.dumps([list(self.inputs), list(self.outputs)]))
        write_facts(folder, {"kind": "tfidf-nearest"})

    @classmethod
    def load(cls, folder: Path) -> NearestInput:
        """What `save` wrote.

        Raises:
            ConfigError: the file is missing or broken.
        """
        try:
            inputs, outputs = orjson.loads((folder / _FILE).read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(f"{folder} holds a broken model ({error}); train it again") from None
        return _of(inputs, outputs)

    def _alike(self, inputs: Sequence[str]) -> NDArray[np.float64]:
        """Cosines: one row an input, one column a known input."""
        import numpy as np

        asked = self._features.rows([without_options(text) for text in inputs])
        width = self._rows.shape[1]
        found = np.zeros((len(inputs), self._rows.shape[0]))
        dense = np.zeros(width)
        starts = np.searchsorted(asked.rows, np.arange(len(inputs) + 1))
        for number in range(len(inputs)):
            part = slice(starts[number], starts[number + 1])
            dense[asked.columns[part]] = asked.weights[part]
            found[number] = self._rows.times(dense)
            dense[asked.columns[part]] = 0.0
        return found


def fit_nearest(examples: Sequence[Example]) -> NearestInput:
    """Know these examples.

    Raises:
        ConfigError: there are none.
    """
    if not examples:
        raise ConfigError("there are no examples to look answers up in; give at least one")
    return _of([one.input for one in examples], [one.output for one in examples])


def _of(inputs: Sequence[str], outputs: Sequence[str]) -> NearestInput:
    vocabulary, rows = Vocabulary.of([without_options(text) for text in inputs])
    return NearestInput(inputs, outputs, vocabulary, rows)
