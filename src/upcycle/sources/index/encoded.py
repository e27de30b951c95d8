"""Texts as vectors, each encoded once: an index that is updated, or killed while it is built, encodes only what is new.

In: texts. Out: their vectors, taken from the generation before where the text is the same, or from the parts that a
killed build left behind; the rest is encoded and kept as another part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import orjson

from upcycle.sources.encoder import SentenceEncoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Encoded:
    """Vectors that are known already, and an encoder for the others.

    Args:
        folder: where parts are kept until the index is in use.
        before: the generation in use; None where there is none.
    """

    def __init__(self, folder: Path, encoder: SentenceEncoder, before: Path | None) -> None:
        self._folder, self._encoder = folder, encoder
        self._tables: list[Any] = []
        self._places: dict[int, tuple[int, int]] = {}
        self._parts = 0
        if before is not None and (before / "digests.npy").is_file():
            self._take_over(before)
        folder.mkdir(exist_ok=True)
        for part in sorted(folder.glob(f"{encoder.name}-*.npz")):
            self._take_part(part)

    def rows(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row of unit length a text."""
        import numpy as np

        digests = [_digest(text) for text in texts]
        new = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in self._places}
        if new:
            made = np.asarray(self._encoder(list(new.values())), np.float32)
            self._keep(np.array(list(new), np.int64), made)
        return np.stack([self._row(*self._places[digest]) for digest in digests])

    def _row(self, table: int, place: int) -> Any:
        import numpy as np

        rows, scales = self._tables[table]
        return rows[place] if scales is None else rows[place].astype(np.float32) * scales[place]

    def _know(self, digests: Any, rows: Any, scales: Any = None) -> None:
        self._tables.append((rows, scales))
        self._places |= {int(digest): (len(self._tables) - 1, place) for place, digest in enumerate(digests)}

    def _take_over(self, before: Path) -> None:
        import numpy as np

        if orjson.loads((before / "meta.json").read_bytes()).get("encoder") == self._encoder.name:
            rows = np.load(before / "vectors.npy", mmap_mode="r")
            self._know(np.load(before / "digests.npy"), rows, np.load(before / "scales.npy"))

    def _take_part(self, part: Path) -> None:
        import numpy as np

        self._parts += 1
        try:
            with np.load(part) as held:
                self._know(held["digests"], held["rows"])
        except (BadZipFile, OSError, ValueError, KeyError):
            part.unlink(missing_ok=True)

    def _keep(self, digests: Any, rows: Any) -> None:
        import numpy as np

        self._parts += 1
        path = self._folder / f"{self._encoder.name}-{self._parts:06}.npz"
        with path.with_suffix(".new").open("wb") as file:
            np.savez(file, digests=digests, rows=rows)
        path.with_suffix(".new").replace(path)
        self._know(digests, rows)


def write_digests(folder: Path, texts: Sequence[str]) -> None:
    """Remember in a generation which texts its vectors are of."""
    import numpy as np

    np.save(folder / "digests.npy", np.array([_digest(text) for text in texts], np.int64))


def _digest(text: str) -> int:
    made = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(made, "big", signed=True)
