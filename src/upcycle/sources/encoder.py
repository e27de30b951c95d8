"""Dense vectors for texts, where an encoder is installed: what lets "film" find "movie".

In: texts. Out: rows of unit length. The decision: static word vectors that lie inside a wheel (`upcycle[embed]`); no
download, no torch, thousands of texts a second. Without them search is lexical, and says so nowhere but here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

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
