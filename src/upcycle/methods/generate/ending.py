"""When writing more is in vain: the yield of new examples over a window has sunk, or nothing usable comes any more.

Every loop of the method passes through here. Rows are judged in the order of their cells, so a resumed run ends at the
same row.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from upcycle.config import Generate
from upcycle.errors import ProviderError, RowKind
from upcycle.methods.generate.writing import Failure

BAD_CALLS = 6
"""So many calls in a row without one usable row end the method."""
_API = (RowKind.API_TRANSIENT, RowKind.API_FATAL)


class Ending:
    """Watches what became of the last rows and calls."""

    def __init__(self, settings: Generate) -> None:
        self._least = settings.min_new
        self._fates: deque[RowKind] = deque(maxlen=settings.window)
        self._bad: list[Failure] = []
        self.reason = ""
        """Why it is over; "" while it is not."""
        self.failure: ProviderError | None = None
        """The server failed every one of the last calls: the run is to stop, and can go on later."""

    def row(self, kind: RowKind) -> None:
        """One row's fate."""
        self._fates.append(kind)
        new = self._fates.count(RowKind.OK)
        if len(self._fates) == self._fates.maxlen and new < max(1, self._least * len(self._fates)):
            lost = Counter(fate for fate in self._fates if fate != RowKind.OK).most_common()
            told = ", ".join(f"{count} {fate.value}" for fate, count in lost)
            self.reason = self.reason or f"of the last {len(self._fates)} rows written only {new} were new ({told})"

    def call(self, failures: Sequence[Failure], rows: int) -> None:
        """One call's fate: how many rows it was for, and those of them that failed."""
        if len(failures) < rows:
            self._bad = []
        elif failures:  # a call that was left out in this process says nothing
            self._bad.append(failures[-1])
        if len(self._bad) < BAD_CALLS:
            return
        told = f"{len(self._bad)} calls in a row"
        if all(one.kind in _API for one in self._bad):
            self.failure = ProviderError(f"{told} failed at the model's server; the last: {self._bad[-1].reason}")
            return
        self.reason = self.reason or f"{told} brought no usable row; the last: {self._bad[-1].reason}"
