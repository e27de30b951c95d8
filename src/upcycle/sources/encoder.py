"""Dense vectors for texts, where an encoder is installed: what lets "film" find "movie".

In: texts. Out: rows of unit length. The decision: static word vectors that lie inside a wheel (`upcycle[embed]`); no
download, no torch, thousands of texts a second. Without them search is lexical, and says so nowhere but here. Whether
two sentences say the same needs more: `sentence_encoder` takes MiniLM where its weights were fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from upcycle.llm import weights
from upcycle.sources.minilm import Reading, load_minilm

Encoder = Callable[[Sequence[str]], Any]
"""Texts to a matrix (numpy, float32) with one row of length 1 a text."""


@cache
def installed_encoder() -> Encoder | None:
    """The encoder of this installation, None without one."""
    spec = find_spec("wordllama")
    if spec is None or not spec.submodule_search_locations:
        return None
    from wordllama import WordLlama

    # Its own default looks elsewhere and then tries the network.
    model: Any = WordLlama.load(cache_dir=Path(spec.submodule_search_locations[0]), disable_download=True)

    def encode(texts: Sequence[str]) -> Any:
        return model.embed([text[:2000] or " " for text in texts], norm=True)

    return encode


class SentenceEncoder(NamedTuple):
    """An encoder under a name that thresholds are calibrated for: "minilm" or "static".

    Attributes:
        read: texts as vectors and tokens, where the encoder has tokens.
    """

    name: str
    encode: Encoder
    read: Callable[[Sequence[str]], list[Reading]] | None = None

    def __call__(self, texts: Sequence[str]) -> Any:
        """A matrix (float32) with one row of length 1 a text."""
        return self.encode(texts)


def sentence_encoder() -> SentenceEncoder | None:
    """The best encoder of sentences there is: fetched MiniLM, else static word vectors, else None."""
    model = load_minilm(weights.path("minilm"))
    if model is not None:
        return SentenceEncoder("minilm", model, model.read)
    static = installed_encoder()
    return None if static is None else SentenceEncoder("static", static)


def encoder_named(name: str) -> SentenceEncoder | None:
    """The encoder an index was made with, "minilm" or "static"; None where it is not here."""
    if name == "minilm":
        model = load_minilm(weights.path("minilm"))
        return None if model is None else SentenceEncoder("minilm", model, model.read)
    static = installed_encoder()
    return None if static is None or name != "static" else SentenceEncoder("static", static)
