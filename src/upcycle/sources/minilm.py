"""all-MiniLM-L6-v2 in numpy: a sentence encoder without torch, for the weights `upcycle models fetch minilm` brings.

In: texts. Out: rows of length 1. Six transformer layers (arXiv 2002.10957, 1908.10084) are some thirty lines of
matrix products, so the library that would run them (865 MB) is not needed for the few thousand texts encoded here;
about a hundred short texts a second on one core. The vocabulary is read by `tokenizers`, which `upcycle[embed]` brings.
`read` gives the tokens too, for who compares two texts word by word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

_LAYERS = 6
_HEADS = 12
_LONGEST = 128  # tokens; what the model was trained on
_BATCH_TOKENS = 4096
_ORDINARY = 990  # entries of the vocabulary before its words begin; words are in the order of their frequency
_PLAIN = 0.05  # weight of a punctuation mark


class Reading(NamedTuple):
    """A text as the encoder sees it.

    Attributes:
        vectors: float32 (2, 384), each of length 1: means of its tokens after the last layer and the one before.
        tokens: float32 (n, 384), each of length 1: its tokens after the last layer; empty for a text without any.
        weights: float32 (n,): how rare each token is, as the logarithm of its place in the vocabulary.
    """

    vectors: np.ndarray
    tokens: np.ndarray
    weights: np.ndarray


class MiniLM:
    """The encoder, loaded; call it with texts.

    Args:
        folder: where `model.safetensors` and `tokenizer.json` lie.
    """

    def __init__(self, folder: Path) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        self._weights = _fused(load_file(folder / "model.safetensors"))
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_LONGEST)

    def __call__(self, texts: Sequence[str]) -> Any:
        """A matrix (float32) with one row of length 1 a text, 384 wide."""
        import numpy as np

        rows = np.zeros((len(texts), 384), np.float32)
        for places, _, mask, (_, states) in self._encoded(texts):
            rows[places] = _pooled(states, mask)
        return rows

    def read(self, texts: Sequence[str]) -> list[Reading]:
        """Each text as its vectors and its tokens; the first of its two vectors is what `__call__` gives."""
        import numpy as np

        found: dict[int, Reading] = {}
        for places, ids, mask, layers in self._encoded(texts):
            vectors = np.stack([_pooled(states, mask) for states in reversed(layers)], axis=1)
            tokens = layers[-1] / np.linalg.norm(layers[-1], axis=2, keepdims=True)
            rarity = np.log1p(np.maximum(ids - _ORDINARY, 0) / 1000) + _PLAIN
            for row, place in enumerate(places):
                inner = slice(1, int(mask[row].sum()) - 1)  # what frames a text says nothing of it
                found[place] = Reading(vectors[row], tokens[row, inner], rarity[row, inner].astype(np.float32))
        return [found[place] for place in range(len(texts))]

    def _encoded(
        self, texts: Sequence[str]
    ) -> Iterator[tuple[list[int], np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]]:
        """Batches: the places of their texts, token ids, mask, and states after the last layer but one and the last."""
        import numpy as np

        # One surrogate alone would end the tokenizer's conversion to UTF-8.
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(clean)]
        order = sorted(range(len(tokens)), key=lambda number: len(tokens[number]))
        while order:
            # Texts of one length travel together; padding would cost more than it saves.
            size = max(1, _BATCH_TOKENS // len(tokens[order[-1]]))
            batch, order = order[-size:], order[:-size]
            width = max(len(tokens[number]) for number in batch)
            mask = np.zeros((len(batch), width), np.float32)
            ids = np.zeros((len(batch), width), np.int64)
            for row, number in enumerate(batch):
                ids[row, : len(tokens[number])], mask[row, : len(tokens[number])] = tokens[number], 1
            yield batch, ids, mask, self._states(ids, mask)

    def _states(self, ids: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        weights, stem, width = self._weights, "embeddings.", ids.shape[1]
        states = weights[f"{stem}word_embeddings.weight"][ids] + weights[f"{stem}position_embeddings.weight"][:width]
        states = self._normal(states + weights[f"{stem}token_type_embeddings.weight"][0], f"{stem}LayerNorm")
        hidden = (mask[:, None, None, :] - 1) * 1e9
        before = states
        for layer in range(_LAYERS):
            before, states = states, self._layer(states, hidden, f"encoder.layer.{layer}.")
        return before, states

    def _layer(self, states: np.ndarray, hidden: np.ndarray, stem: str) -> np.ndarray:
        import numpy as np

        texts, width, size = states.shape
        together = self._linear(states, f"{stem}attention.self").reshape(texts, width, 3, _HEADS, -1)
        query, key, value = (together[:, :, part].swapaxes(1, 2) for part in range(3))
        shares = query @ key.swapaxes(2, 3)
        shares *= np.float32(1 / np.sqrt(size // _HEADS))
        shares += hidden
        shares -= shares.max(axis=-1, keepdims=True)
        np.exp(shares, out=shares)
        shares /= shares.sum(axis=-1, keepdims=True)
        mixed = (shares @ value).swapaxes(1, 2).reshape(texts, width, size)
        states = self._normal(states + self._linear(mixed, f"{stem}attention.output.dense"),
                              f"{stem}attention.output.LayerNorm")  # fmt: skip
        inner = self._linear(states, f"{stem}intermediate.dense")
        gate = inner * inner  # GELU, in place: large arrays are slow to allocate
        gate *= 0.0356774081
        gate += 0.7978845608
        gate *= inner
        np.tanh(gate, out=gate)
        gate += 1
        gate *= 0.5
        inner *= gate
        return self._normal(states + self._linear(inner, f"{stem}output.dense"), f"{stem}output.LayerNorm")

    def _linear(self, states: np.ndarray, name: str) -> np.ndarray:
        # One product of two matrices; a stack of small ones would take three times as long.
        flat = states.reshape(-1, states.shape[-1]) @ self._weights[f"{name}.weight"].T
        flat += self._weights[f"{name}.bias"]
        return flat.reshape(*states.shape[:-1], -1)

    def _normal(self, states: np.ndarray, name: str) -> np.ndarray:
        import numpy as np

        states = states - states.mean(axis=-1, keepdims=True)
        states /= np.sqrt((states * states).mean(axis=-1, keepdims=True) + 1e-12)
        states *= self._weights[f"{name}.weight"]
        states += self._weights[f"{name}.bias"]
        return states


def _pooled(states: np.ndarray, mask: np.ndarray) -> np.ndarray:
    import numpy as np

    mean = (states * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def _fused(weights: dict[str, Any]) -> dict[str, Any]:
    """The weights, with query, key and value of each layer as one matrix: one product instead of three."""
    import numpy as np

    for layer in range(_LAYERS):
        stem = f"encoder.layer.{layer}.attention.self"
        for kind in ("weight", "bias"):
            parts = [weights.pop(f"{stem}.{name}.{kind}") for name in ("query", "key", "value")]
            weights[f"{stem}.{kind}"] = np.concatenate(parts)
    return weights


@cache
def load_minilm(folder: Path) -> MiniLM | None:
    """The encoder in a folder; None where the folder, or a library that reads it, is not there."""
    if not (folder / "model.safetensors").is_file():
        return None
    if find_spec("tokenizers") is None or find_spec("safetensors") is None:
        return None
    return MiniLM(folder)
