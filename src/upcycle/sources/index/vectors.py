"""Vectors of many texts as bytes, and the nearest of them by brute force.

In: rows of unit length (float32). Out: files with one byte and one bit a number. Up to 200,000 rows every
product is computed; above that the bits choose 4,096 candidates (Hamming distance by popcount) and only these are
multiplied: no approximate index to build, and a million rows answer in tens of milliseconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EXACT = 200_000
_CANDIDATES = 4_096
_MOST = 127.0


class VectorFiles:
    """The three files, open for writing, filled from the first row on.

    Args:
        rows: how many there will be.
        width: numbers in a row.
    """

    def __init__(self, folder: Path, rows: int, width: int) -> None:
        import numpy as np
        from numpy.lib.format import open_memmap

        words = -(-width // 64)
        self._bytes = open_memmap(folder / "vectors.npy", mode="w+", dtype=np.int8, shape=(rows, width))
        self._bits = open_memmap(folder / "bits.npy", mode="w+", dtype=np.uint8, shape=(rows, 8 * words))
        self._scales = open_memmap(folder / "scales.npy", mode="w+", dtype=np.float32, shape=(rows,))
        self._at = 0

    def add(self, rows: Any) -> None:
        """Write the next rows (float32, of unit length)."""
        import numpy as np

        end = self._at + len(rows)
        scales = np.maximum(np.abs(rows).max(axis=1), 1e-9) / _MOST
        self._bytes[self._at : end] = np.rint(rows / scales[:, None]).astype(np.int8)
        packed = np.packbits(rows > 0, axis=1)
        self._bits[self._at : end, : packed.shape[1]] = packed
        self._scales[self._at : end] = scales
        self._at = end

    def close(self) -> None:
        """Everything on disk."""
        for one in (self._bytes, self._bits, self._scales):
            one.flush()


class Vectors:
    """The vectors of an index, opened.

    Args:
        folder: where `VectorFiles` wrote them.
    """

    def __init__(self, folder: Path) -> None:
        import numpy as np

        self._bytes: NDArray[np.int8] = np.load(folder / "vectors.npy", mmap_mode="r")
        self._bits = np.load(folder / "bits.npy", mmap_mode="r").view(np.uint64)
        self._scales = np.load(folder / "scales.npy")
        self._whole: NDArray[np.float32] | None = None

    def scores(self, query: Any, sample: Any, also: Any) -> tuple[Any, Any, float, float]:
        """Cosines of a query with the rows near it and with those named in `also`.

        Args:
            query: one row of unit length.
            sample: numbers of rows that stand for all.
            also: numbers of rows wanted besides.

        Returns:
            Numbers of rows, their cosines, and mean and standard deviation of the cosines of the sample.
        """
        import numpy as np

        if len(self._bytes) <= EXACT:
            if self._whole is None:
                self._whole = self._bytes.astype(np.float32)
            found = (self._whole @ query.astype(np.float32)) * self._scales
            return np.arange(len(found)), found, float(found.mean()), float(found.std())
        near = np.union1d(self._nearest(query), also)
        usual = self._products(query, sample)
        return near, self._products(query, near), float(usual.mean()), float(usual.std())

    def near_the_middle(self, several: Any, rows: Any, sample: Any) -> tuple[Any, float, float]:
        """Cosines of rows with the mean of several, and mean and standard deviation of those of the sample."""
        import numpy as np

        middle = (self._bytes[several].astype(np.float32) * self._scales[several][:, None]).mean(axis=0)
        middle /= max(float(np.linalg.norm(middle)), 1e-9)
        usual = self._products(middle, sample)
        return self._products(middle, rows), float(usual.mean()), float(usual.std())

    def _products(self, query: Any, rows: Any) -> Any:
        import numpy as np

        return (self._bytes[rows].astype(np.float32) @ query.astype(np.float32)) * self._scales[rows]

    def _nearest(self, query: Any) -> Any:
        import numpy as np

        packed = np.zeros(self._bits.shape[1] * 8, np.uint8)
        own = np.packbits(query > 0)
        packed[: len(own)] = own
        asked = packed.view(np.uint64)
        far = np.zeros(len(self._bits), np.uint16)
        for word in range(self._bits.shape[1]):
            far += np.bitwise_count(self._bits[:, word] ^ asked[word])
        # Distances are small whole numbers: a histogram finds the limit that lets enough rows through.
        counts = np.cumsum(np.bincount(far))
        limit = int(np.searchsorted(counts, min(_CANDIDATES, len(far))))
        return np.flatnonzero(far <= limit)[: 2 * _CANDIDATES]
