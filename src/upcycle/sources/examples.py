"""Examples that exist: a run of ours, any labelled dataset, a file of rows or a BIG-bench task, read as `Example`s.

In: a path. Out: an `ExampleSet`, or with `iter_examples` one example after the other in flat memory. The decision: a
row that cannot be read is never left out silently; it is in `skipped` with its place and the reason.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from upcycle.errors import SourceError
from upcycle.records import Example, Origin, Record, example_id
from upcycle.sources.bigbench import BigBench, bigbench_of
from upcycle.sources.files.folder import FolderSource
from upcycle.sources.reading import Columns, Reading, reading_of
from upcycle.sources.source import Skip, open_sources

EXISTING = "existing"
"""The method in the origin of an example that was read, not made here."""

_SAMPLE = 64
_OURS = {"id", "input", "output", "method", "source"}


class Skipped(NamedTuple):
    """A row, or a whole file, that could not be read as examples."""

    where: str
    why: str


@dataclass(frozen=True, slots=True)
class ExampleSet:
    """A dataset read as examples.

    Attributes:
        name: of the folder or file, with the split where one was named.
        splits: split to number of examples, in the order in which `examples` holds them.
        skipped: what could not be read.
        licence: as its card states it; None where it states none (a run's rows carry their own in `origin`).
        languages: as its card states them.
        instruction: what the task is, where the dataset says so.
        read_as: one line that says which column was taken for what.
        complete: False where `limit` cut the reading short.
    """

    name: str
    path: str
    examples: Sequence[Example]
    skipped: Sequence[Skipped] = ()
    splits: Mapping[str, int] = field(default_factory=dict)
    licence: str | None = None
    languages: tuple[str, ...] = ()
    instruction: str | None = None
    read_as: str = ""
    complete: bool = True

    def __len__(self) -> int:
        return len(self.examples)

    def split_of(self) -> Iterator[str]:
        """The split of each example, in their order."""
        return itertools.chain.from_iterable(itertools.repeat(name, count) for name, count in self.splits.items())


def read_examples(
    path: str | Path, *, split: str | None = None, limit: int | None = None, columns: Columns | None = None
) -> ExampleSet:
    """Everything a dataset holds, as examples.

    Args:
        path: a run folder, a dataset's folder, or a JSONL, JSON, CSV, TSV, Parquet or Arrow file; `PATH:SPLIT` reads
            one split.
        limit: stop after so many examples.
        columns: which column is the input (several: a list, or joined by "+"), the output, the choices.

    Raises:
        SourceError: nothing there, several datasets, no recognisable columns; in one sentence.
    """
    found = open_examples(path, columns=columns)
    named, split = found.named(split)
    skipped: list[Skipped] = list(found.left_out)
    examples: list[Example] = []
    splits: dict[str, int] = {}
    complete = True
    for one in [split] if split else found.splits:
        before = len(examples)
        rows = found.rows(one, lambda where, why: skipped.append(Skipped(where, why)))
        room = None if limit is None else limit - len(examples)
        examples.extend(itertools.islice(rows, room))
        complete = complete and (room is None or next(rows, None) is None)
        if len(examples) > before:
            splits[one] = len(examples) - before
    return ExampleSet(
        named, str(path), examples, tuple(skipped), splits, found.licence, found.languages, found.instruction,
        found.read_as, complete,
    )  # fmt: skip


def iter_examples(
    path: str | Path, *, split: str | None = None, columns: Columns | None = None, skip: Skip | None = None
) -> Iterator[Example]:
    """The same examples one by one, in flat memory; `skip` is called with the place and the reason of each not read.

    Raises:
        SourceError: as `read_examples`, before the first example.
    """
    found = open_examples(path, columns=columns)
    _, split = found.named(split)
    tell = skip or (lambda where, why: None)
    for where, why in found.left_out:
        tell(where, why)
    return itertools.chain.from_iterable(found.rows(one, tell) for one in ([split] if split else found.splits))


@dataclass(frozen=True, slots=True)
class OpenExamples:
    """A dataset that was found and can be read split by split.

    Attributes:
        rows: gives the examples of a split, and tells of each that cannot be read.
        wanted: the split that the path named, if it did.
    """

    name: str
    splits: tuple[str, ...]
    rows: Callable[[str, Skip], Iterator[Example]]
    left_out: tuple[Skipped, ...] = ()
    licence: str | None = None
    languages: tuple[str, ...] = ()
    instruction: str | None = None
    read_as: str = ""
    wanted: str | None = None

    def named(self, split: str | None) -> tuple[str, str | None]:
        """The name with the split, and the split that is to be read (None for all).

        Raises:
            SourceError: there is no such split.
        """
        split = split or self.wanted
        if split is not None and split not in self.splits:
            raise SourceError(f"{self.name} has no split {split!r}; it has {', '.join(self.splits) or 'none'}")
        return (f"{self.name}:{split}" if split else self.name), split


def open_examples(path: str | Path, *, columns: Columns | None = None) -> OpenExamples:
    """Find out what lies at `path`, without reading all of it.

    Raises:
        SourceError: nothing there, several datasets, no recognisable columns.
    """
    where, split = _path_and_split(path)
    if where.is_dir() and columns is None and (ours := _open_ours(where)) is not None:
        found = ours
    elif where.is_file() and (task := bigbench_of(where)) is not None:
        rows = partial(_bigbench_rows, task)
        found = OpenExamples(task.name, ("test",), rows, instruction=task.instruction, read_as="a BIG-bench task")
    else:
        found = _open_dataset(where, columns)
    return found if split is None else _with_split(found, split)


def _with_split(found: OpenExamples, split: str) -> OpenExamples:
    from dataclasses import replace

    return replace(found, wanted=split)


def _path_and_split(path: str | Path) -> tuple[Path, str | None]:
    where = Path(path).expanduser()
    if where.exists():
        return where, None
    before, colon, split = str(path).rpartition(":")
    if colon and before and Path(before).expanduser().exists():
        return Path(before).expanduser(), split
    raise SourceError(f"there is no dataset {str(path)!r}; give a folder or a file that exists")


def _open_dataset(path: Path, columns: Columns | None) -> OpenExamples:
    sources, left_out = open_sources([str(path)])
    if len(sources) > 1:
        some = ", ".join(source.card.id for source in sources[:6])
        more = f" and {len(sources) - 6} more" if len(sources) > 6 else ""
        raise SourceError(f"{path} holds {len(sources)} datasets ({some}{more}); give one of them")
    source = sources[0]
    assert isinstance(source, FolderSource)
    configs = [config.name for config in source.card.configs]
    config = "default" if "default" in configs else configs[0]
    missed = [Skipped(name, why) for name, why in left_out]
    if others := [name for name in configs if name != config]:
        missed.append(Skipped(", ".join(others), f"only the configuration {config!r} is read"))
    sample = [dict(record.fields) for record in itertools.islice(source.records(config=config), _SAMPLE)]
    names = list(dict.fromkeys(name for row in sample for name in row))
    try:
        reading = reading_of(names, sample, columns)
    except SourceError as error:
        raise SourceError(f"{path}: {error}") from None
    splits = tuple(split.name for one in source.card.configs if one.name == config for split in one.splits)
    return OpenExamples(
        source.card.id, splits, partial(_dataset_rows, source, config, reading), tuple(missed),
        source.card.licence, source.card.languages, None, reading.described(),
    )  # fmt: skip


def _dataset_rows(source: FolderSource, config: str, reading: Reading, split: str, skip: Skip) -> Iterator[Example]:
    licences = (source.card.licence,) if source.card.licence else ()
    for record in source.records(config=config, split=split, skip=skip):
        read = reading.read(record.fields)
        if isinstance(read, str):
            skip(record.ref, read)
            continue
        yield Example(
            example_id(EXISTING, source.id, record.revision, record.ref),
            read.input,
            read.output,
            _origin_of(record, licences),
            rationale=read.rationale,
            choices=read.choices,
        )


def _origin_of(record: Record, licences: tuple[str, ...]) -> Origin:
    return Origin(
        EXISTING, record.source, record.revision, record.config, record.split, record.id, licences=licences
    )  # fmt: skip


def _bigbench_rows(task: BigBench, split: str, skip: Skip) -> Iterator[Example]:
    for number, read in enumerate(task.items):
        if isinstance(read, str):
            skip(f"default/{split}/{number}", read)
            continue
        origin = Origin(EXISTING, task.name, task.revision, "default", split, str(number))
        identifier = example_id(EXISTING, task.name, task.revision, f"default/{split}/{number}")
        yield Example(identifier, read.input, read.output, origin, choices=read.choices)


def _open_ours(path: Path) -> OpenExamples | None:
    """A dataset in the layout that runs write, or None."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted((path / "data").glob("*.parquet"))
    if not files:
        is_run = (path / "run.db").is_file() and (path / "task.yaml").is_file()
        return OpenExamples(path.resolve().name, (), lambda split, skip: iter(()), read_as="a run") if is_run else None
    try:
        if not all(set(pq.read_schema(file).names) >= _OURS for file in files):
            return None
    except (pa.ArrowInvalid, OSError):
        return None  # the reader of any dataset names the broken file
    splits: dict[str, list[Path]] = {}
    order = {"train": 0, "validation": 1, "test": 2}
    for file in sorted(files, key=lambda file: (order.get(file.name.split("-")[0], 3), file.name)):
        splits.setdefault(file.name.split("-")[0], []).append(file)
    return OpenExamples(
        path.resolve().name, tuple(splits), partial(_our_rows, path, splits, set()), instruction=_instruction(path),
        read_as="the columns of a run",
    )  # fmt: skip


def _instruction(path: Path) -> str | None:
    import yaml

    try:
        task = yaml.safe_load((path / "task.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return task.get("instruction") if isinstance(task, dict) else None


def _our_rows(
    path: Path, splits: Mapping[str, Sequence[Path]], seen: set[str], split: str, skip: Skip
) -> Iterator[Example]:
    from upcycle.sources.files.readers import rows

    number = -1
    for file in splits[split]:
        origins = _Origins(path / "provenance" / file.name)
        try:
            for row in rows(file):
                assert isinstance(row, dict)
                number += 1
                example = _our_example(row, origins, split, number, seen)
                if isinstance(example, str):
                    skip(f"default/{split}/{number}", example)
                else:
                    yield example
        except SourceError as error:
            skip(str(file), f"{error}; its rows after number {number} of {split} were not read")


def _our_example(row: dict[str, Any], origins: _Origins, split: str, number: int, seen: set[str]) -> Example | str:
    text, output = row["input"], row["output"]
    if not isinstance(output, str) or not output.strip():
        return "it has no output (column 'output')"
    if not isinstance(text, str) or not text.strip():
        return "it has no input (column 'input')"
    identifier = row["id"]
    origin = origins.of(row)
    if not isinstance(identifier, str) or not identifier or identifier in seen:
        # Ids are what drops and neighbours are named by: a repeated one gets its own.
        identifier = example_id(EXISTING, str(row["source"]), str(identifier), f"{split}/{number}")
    seen.add(identifier)
    choices = row.get("choices")
    return Example(
        identifier, text, output, origin, row.get("rationale"), tuple(choices) if choices else None, row.get("weight")
    )


class _Origins:
    """Origins of one data file's rows: its provenance lies beside it in the same order, if nobody edited either."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._next = self._rows() if file.is_file() else iter(())
        self._by_id: dict[str, Origin] | None = None

    def _rows(self) -> Iterator[dict[str, Any]]:
        from upcycle.sources.files.readers import rows

        return (row for row in rows(self._file) if isinstance(row, dict))

    def of(self, row: Mapping[str, Any]) -> Origin:
        if self._by_id is None:
            found = next(self._next, None)
            if found is not None and found.get("id") == row["id"]:
                return _origin(found)
            others = self._rows() if self._file.is_file() else ()
            self._by_id = {str(other.get("id")): _origin(other) for other in others}
        known = self._by_id.get(str(row["id"]))
        return known or Origin(str(row["method"] or EXISTING), row["source"])


_LISTS = ("calls", "parents", "licences")


def _origin(row: Mapping[str, Any]) -> Origin:
    known: dict[str, Any] = {name: row[name] for name in Origin.__dataclass_fields__ if row.get(name) is not None}
    known |= {name: tuple(known[name]) for name in _LISTS if name in known}
    return Origin(**known)
