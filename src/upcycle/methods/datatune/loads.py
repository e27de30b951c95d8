"""The loads of one source's calls, remembered in the run: a mapping that reads and writes the journal."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from upcycle.errors import RowKind
from upcycle.methods.datatune.batches import Load
from upcycle.run import Run

STAGE = "batches"


class Loads(MutableMapping[int, Load]):
    """Number of a batch to how many rows it took."""

    def __init__(self, run: Run, source: str) -> None:
        self._run, self._source = run, source
        self._known = {
            int(row.rpartition("\x1f")[2]): Load(value["rows"], value["instead"], value.get("again", False))
            for row, _, _, value, _ in run.journal.rows(STAGE, None)
            if row.rpartition("\x1f")[0] == source
        }

    def __getitem__(self, number: int) -> Load:
        return self._known[number]

    def __setitem__(self, number: int, load: Load) -> None:
        self._known[number] = load
        self._run.journal.row(
            STAGE, f"{self._source}\x1f{number:09d}", state="begun", kind=RowKind.OK, value=load._asdict()
        )

    def __delitem__(self, number: int) -> None:
        del self._known[number]

    def __iter__(self) -> Iterator[int]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)
