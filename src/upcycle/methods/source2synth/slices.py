"""Two slices, split by unit: what construction makes of one half of the units, and of the other.

The side of a unit follows from its name and the seed alone, so it is known before anything is read, no table or
article is ever on both sides, and a question over several documents is kept to one side by asking `side` of each
(Source2Synth, arXiv 2409.08239, section 3.2; splitting by row, as re-implementations do, leaks). Units are begun side
by side and used in their order, so a slice is the same at any concurrency and after any number of kills.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from upcycle.errors import RowError, RowKind
from upcycle.llm.model import Model
from upcycle.methods.source2synth.application import METHOD, Application, Grounded, Unit, Writer
from upcycle.records import Dropped, Origin, example_id
from upcycle.run import Run
from upcycle.run.rows import InOrder
from upcycle.task import Task


class Built(NamedTuple):
    """What one unit came to; without a unit, what of the source cannot be used."""

    unit: Unit | None
    results: Sequence[Grounded | Dropped]


_STAGE = "source2synth slice 0"
_PULLED = "source2synth slice 0: units seen"


def side(unit: str, seed: int) -> int:
    """The slice a unit belongs to: 0 or 1, each for half of the names."""
    return hashlib.sha256(f"{seed}\x1f{unit}".encode()).digest()[0] & 1


class Making(NamedTuple):
    """Who constructs, for what, and how much of one unit.

    Attributes:
        split: whether units of one side may not be used for examples of the other; where nobody is trained on one half,
            they may.
        noted: what was mended in each unit that had to be, by its id, as the units are gone through.
    """

    application: Application
    task: Task
    model: Model | None
    seed: int
    per_unit: int
    at_once: int
    split: bool = True
    noted: dict[str, Sequence[str]] | None = None

    def writer(self, unit: Unit) -> Writer:
        here = side(unit.id, self.seed)
        return Writer(
            unit,
            task=self.task,
            model=self.model,
            seed=self.seed,
            wanted=self.per_unit,
            allowed=lambda other: not self.split or side(other, self.seed) == here,
        )


class Slice:
    """Constructs the examples of one side, in the order of its units.

    Args:
        which: the side; None for both.
        missing: how many examples are still wanted; no unit is begun that those under way could make needless.
        skip: how many units of the source were gone through before; what of them cannot be used was told then.

    Attributes:
        pulled: units of the source gone through so far, of either side.
        tried: units of this side construction was begun with.
    """

    def __init__(self, making: Making, which: int | None, *, missing: Callable[[], int], skip: int = 0) -> None:
        self._making, self._which, self._missing, self._skip = making, which, missing, skip
        self._unusable: list[Dropped] = []
        self.pulled = self.tried = 0

    async def built(self) -> AsyncGenerator[Built, None]:
        """What each unit came to; unusable ones too. Ends when nothing is missing or the source is exhausted.

        Raises:
            ProviderError, BudgetExceededError, DiskError, ConfigError: the run stops; what is under way is finished.
        """
        making = self._making
        running: InOrder[Built] = InOrder(making.at_once)
        units = self._units()
        under_way = 0
        exhausted = False
        try:
            while True:
                while not exhausted and not running.full and under_way * making.per_unit < self._missing():
                    unit = next(units, None)
                    if unit is None:
                        exhausted = True
                        break
                    running.start(self._construct(unit))
                    under_way += 1
                if self._unusable:
                    told, self._unusable = self._unusable, []
                    yield Built(None, told)
                if running.idle:
                    return
                built = await running.oldest()
                under_way -= 1
                yield built
        finally:
            await running.close()

    def _units(self) -> Iterator[Unit]:
        for found in self._making.application.units(self._making.seed):
            self.pulled += 1
            if isinstance(found, Unit) and found.notes and self._making.noted is not None:
                self._making.noted[found.id] = found.notes
            if isinstance(found, Dropped):
                if self.pulled > self._skip:
                    self._unusable.append(found)
            elif self._which is None or side(found.id, self._making.seed) == self._which:
                self.tried += 1
                yield found

    async def _construct(self, unit: Unit) -> Built:
        writer = self._making.writer(unit)
        try:
            return Built(unit, await self._making.application.construct(unit, writer))
        except RowError as error:
            name = example_id(METHOD, unit.source, unit.revision, unit.id, "unit")
            origin = Origin(METHOD, unit.source, unit.revision or None, record=unit.id, calls=error.calls,
                            licences=unit.licences)  # fmt: skip
            return Built(unit, [Dropped(name, origin, "construct", error.kind, str(error))])


def noted_lines(noted: Mapping[str, Sequence[str]]) -> list[str]:
    """What was mended in the units of a source, one line a kind with its total.

    >>> noted_lines({"a.csv": ["rows of totals left out: 2"], "b.csv": ["rows of totals left out: 1"]})
    ['source2synth, rows of totals left out: 3 (in 2 of its units)']
    """
    total: Counter[str] = Counter()
    units: Counter[str] = Counter()
    for notes in noted.values():
        for what, _, number in (note.rpartition(": ") for note in notes):
            total[what] += int(number)
            units[what] += 1
    return [f"source2synth, {what}: {total[what]:,} (in {units[what]:,} of its units)" for what in sorted(total)]


class SliceZero(NamedTuple):
    """Slice 0 as it was settled: it never changes again, or the intermediate model would be another.

    Attributes:
        pulled: units of the source that were gone through.
    """

    examples: Sequence[Grounded]
    dropped: Sequence[Dropped]
    pulled: int


async def slice_zero(making: Making, size: int, run: Run, *, wrong: Callable[[Grounded], Dropped | None]) -> SliceZero:
    """Construct slice 0, or read it where an earlier process settled it.

    Args:
        size: examples wanted; fewer where the source is exhausted.
        wrong: what drops an example before it can teach.
    """
    if (pulled := run.journal.meta(_PULLED)) is not None:
        return _settled(run, int(pulled))
    kept: list[Grounded] = []
    dropped: list[Dropped] = []
    making_it = Slice(making, 0, missing=lambda: size - len(kept))
    async for built in making_it.built():
        for one in built.results:
            found = one if isinstance(one, Dropped) else wrong(one)
            if found is not None:
                dropped.append(found)
            elif isinstance(one, Grounded) and len(kept) < size:
                kept.append(one)
        run.tell(METHOD, "slice 0", keep=False, made=len(kept), wanted=size)
    for number, one in enumerate((*kept, *dropped)):
        state = "kept" if isinstance(one, Grounded) else "dropped"
        run.journal.row(_STAGE, f"{number:08d}", state=state, kind=RowKind.OK, value=one)
    run.journal.set_meta(_PULLED, str(making_it.pulled))
    run.journal.commit()
    return SliceZero(kept, dropped, making_it.pulled)


def _settled(run: Run, pulled: int) -> SliceZero:
    kept = [_grounded(value) for _, _, _, value, _ in run.journal.rows(_STAGE, "kept")]
    dropped = [_dropped(value) for _, _, _, value, _ in run.journal.rows(_STAGE, "dropped")]
    return SliceZero(kept, dropped, pulled)


def _grounded(value: dict[str, Any]) -> Grounded:
    known: dict[str, Any] = {**value, "units": tuple(value["units"]), "origin": _origin(value["origin"])}
    return Grounded(**known)


def _dropped(value: dict[str, Any]) -> Dropped:
    again = None if value.get("again") is None else tuple(value["again"])
    known: dict[str, Any] = {
        **value, "kind": RowKind(value["kind"]), "origin": _origin(value["origin"]), "again": again
    }  # fmt: skip
    return Dropped(**known)


def _origin(value: dict[str, Any]) -> Origin:
    known: dict[str, Any] = value | {key: tuple(value.get(key) or ()) for key in ("calls", "parents", "licences")}
    return Origin(**known)
