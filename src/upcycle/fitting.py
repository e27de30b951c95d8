"""From a dataset on disk to a student beside it: what `upcycle.train` and `upcycle train` do.

The training split is learned, the validation split (or a seeded tenth of training, where the student needs one) decides
when to stop and which settings win, and the test split is not even read. Examples that repeat gold are left out and
counted. Run again, it goes on where it stopped, and a student that is finished is not trained again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from pydantic import ValidationError

from upcycle.config import BuildConfig, Training
from upcycle.curation.decontamination.tiers import GoldIndex
from upcycle.errors import ConfigError
from upcycle.records import Example
from upcycle.run import Event, Listener
from upcycle.run.folder import is_being_written
from upcycle.sources.examples import open_examples, read_examples
from upcycle.training.fit import fit, kind_for, student_of
from upcycle.training.predictor import Progress
from upcycle.training.saved import facts_of, write_facts
from upcycle.yamlfile import load_yaml

_VALIDATION = ("validation", "valid", "val", "dev", "development")
_SHARE = 0.1
_FEWEST = 10  # examples from which on a tenth can be spared


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What training came to.

    Attributes:
        path: folder of the student.
        student, kind: what it is, and what it learned to say.
        examples, validation: rows that were learned, and rows that decided.
        removed: rows that repeat gold; they were left out.
        unread: rows that could not be read.
        loss: on validation, in nats; None where nothing had to be decided.
        train_loss: over the last steps; None where there are no steps.
        rate, alpha: the settings that were taken, and `tried` of them in all.
        trained: False where the folder held this very student already.
        notes: sentences the user should know of.
    """

    path: Path
    student: str
    kind: str
    examples: int
    validation: int
    removed: int
    unread: int
    loss: float | None
    train_loss: float | None
    rate: float | None
    alpha: int | None
    tried: int
    seconds: float
    trained: bool
    notes: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {**asdict(self), "path": str(self.path), "notes": list(self.notes)}

    def __str__(self) -> str:
        how = f"trained on {self.examples:,} examples in {duration(self.seconds)}"
        lines = [f"{self.student} {how}" if self.trained else f"{self.student} was trained on these examples already"]
        if self.loss is not None:
            lines.append(f"  validation  loss {self.loss:.4f} on {self.validation:,} examples")
        if self.rate is not None:
            chosen = f"rate {self.rate:g}" + (f", alpha {self.alpha}" if self.alpha else "")
            lines.append(f"  settings    {chosen}" + (f", the best of {self.tried}" if self.tried > 1 else ""))
        if self.removed:
            lines.append(f"  left out    {self.removed:,} examples that repeat gold")
        if self.unread:
            lines.append(f"  unread      {self.unread:,} rows")
        lines.append(f"  model       {self.path}")
        return "\n".join(lines)


class Parts(NamedTuple):
    """A dataset as training takes it."""

    name: str
    read_as: str
    train: list[Example]
    validation: list[Example]
    unread: int


def train_dataset(
    dataset: str | PathLike[str],
    *,
    out: str | PathLike[str] | None = None,
    gold: str | PathLike[str] | None = None,
    real: str | PathLike[str] | None = None,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    seed: int | None = None,
    listener: Listener | None = None,
    **settings: Any,
) -> TrainReport:
    """Train a student on a dataset; the arguments are those of `upcycle.train`.

    Raises:
        ConfigError, SourceError, StaleRunError: nothing began, nothing was overwritten.
        DiskError: no room for a checkpoint; the same call goes on when there is room.
    """
    tell = _Teller(listener)
    given, run_seed = _settings(Path(dataset), settings)
    seed = run_seed if seed is None else seed
    parts = _parts(dataset, columns)
    if not parts.train:
        raise ConfigError(f"{parts.name} has no training example; give a dataset with some")
    tell("read", count=len(parts.train), name=parts.name, read_as=parts.read_as)
    kind = kind_for(given, parts.train)
    student = student_of(given, kind)
    given = given.model_copy(update={"kind": kind, "student": student})
    if student != "tfidf" and not parts.validation:
        parts = _with_validation(parts, seed)
    parts, removed = _without_gold(parts, gold)
    if removed:
        tell("told", text=f"{removed} examples repeat gold; they are left out")
    _check_labels(parts, kind, tell)
    folder = Path(out) if out is not None else default_folder(dataset, parts.name)
    known = read_examples(Path(real), columns=columns).examples if real is not None else ()
    started = time.monotonic()
    before = facts_of(folder).get("digest")
    fit(
        parts.train, given, validation=parts.validation if student != "tfidf" else (), real=known, folder=folder,
        seed=seed, told=tell.progress,
    )  # fmt: skip
    facts: dict[str, Any] = facts_of(folder)
    if trained := before is None:
        facts = {**facts, "student": student, "dataset": str(dataset), "removed": removed, "examples": len(parts.train),
                 "seconds": round(time.monotonic() - started, 1)}  # fmt: skip
        write_facts(folder, facts)
    return TrainReport(
        folder, student, kind, facts.get("examples", len(parts.train)), len(parts.validation), removed, parts.unread,
        facts.get("loss"), facts.get("train_loss"), facts.get("rate"), facts.get("alpha"),
        len(facts.get("grid", ())) or 1, facts.get("seconds", 0.0), trained, tuple(tell.notes),
    )  # fmt: skip


def default_folder(dataset: str | PathLike[str], name: str) -> Path:
    """Where a student goes that was given no folder: into the run it was trained on, else beside the runs."""
    path = Path(dataset)
    return path / "model" if (path / "run.db").is_file() else Path("runs") / f"{name.replace(':', '-')}-model"


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(3.2), duration(75), duration(7500)
    ('3.2 s', '1 min 15 s', '2 h 5 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _settings(dataset: Path, given: Mapping[str, Any]) -> tuple[Training, int]:
    """What was asked for, over what the run's own task file says of training."""
    base, seed = Training(), 0
    if (dataset / "config.yaml").is_file() and (dataset / "run.db").is_file():
        if is_being_written(dataset):
            raise ConfigError(f"{dataset} is being built; wait for it, or train on another folder")
        config = load_yaml(dataset / "config.yaml", BuildConfig)
        base, seed = config.training, config.seed
    try:
        named = {name: value for name, value in given.items() if value is not None}
        return Training.model_validate({**base.model_dump(exclude_unset=True), **named}), seed
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise ConfigError(f"{where}: {problem['msg'].removeprefix('Value error, ')}") from None


def _parts(dataset: str | PathLike[str], columns: Mapping[str, str | Sequence[str]] | None) -> Parts:
    found = open_examples(Path(dataset), columns=columns)
    if found.wanted is not None:
        read = read_examples(Path(dataset), columns=columns)
        return Parts(read.name, read.read_as, list(read.examples), [], len(read.skipped))
    others = [name for name in found.splits if name not in ("test", *_VALIDATION)]
    if not others:
        names = ", ".join(found.splits) or "no rows"
        raise ConfigError(
            f"{found.name} has no training split (it has {names}); name the rows to train on, like {dataset}:SPLIT"
        )
    learned = "train" if "train" in others else others[0]
    decides = next((name for name in found.splits if name in _VALIDATION), None)
    train = read_examples(Path(dataset), split=learned, columns=columns)
    validation = read_examples(Path(dataset), split=decides, columns=columns).examples if decides else ()
    return Parts(found.name, found.read_as, list(train.examples), list(validation), len(train.skipped))


def _with_validation(parts: Parts, seed: int) -> Parts:
    """A tenth of the training examples decides, where there are enough."""
    if len(parts.train) < _FEWEST:
        return parts
    order = list(range(len(parts.train)))
    Random(f"validation {seed}").shuffle(order)
    chosen = set(order[: max(1, round(_SHARE * len(order)))])
    return parts._replace(
        train=[one for number, one in enumerate(parts.train) if number not in chosen],
        validation=[one for number, one in enumerate(parts.train) if number in chosen],
    )


def _without_gold(parts: Parts, gold: str | PathLike[str] | None) -> tuple[Parts, int]:
    """The examples that repeat no gold item, and how many do.

    Raises:
        ConfigError: all of them do.
    """
    if gold is None:
        return parts, 0
    from upcycle.evaluation.gold_files import read_gold_set

    items = read_gold_set(Path(gold)).items
    index = GoldIndex([(item.input, item.choices) for item in items], tiers=("exact", "overlap"))
    kept = [[one for one in some if index.contaminated_example(one).keep] for some in (parts.train, parts.validation)]
    removed = len(parts.train) + len(parts.validation) - sum(map(len, kept))
    if not kept[0]:
        raise ConfigError(f"every example of {parts.name} repeats {gold}; train on other rows than those you score")
    return parts._replace(train=kept[0], validation=kept[1]), removed


def _check_labels(parts: Parts, kind: str, tell: _Teller) -> None:
    if kind == "label" and len({one.output for one in parts.train}) == 1:
        tell("told", text=f"every output is {parts.train[0].output!r}, so the student can only say that")


class _Teller:
    """Tells a listener how it goes, and remembers the sentences."""

    def __init__(self, listener: Listener | None) -> None:
        self._listener = listener
        self.notes: list[str] = []

    def __call__(self, kind: str, **data: Any) -> None:
        if kind == "told":
            self.notes.append(data["text"])
        if self._listener is not None:
            self._listener(Event(time.time(), "train", kind, data))

    def progress(self, now: Progress) -> None:
        if now.text:
            self("told", text=now.text)
        else:
            self("progress", kept=now.step, wanted=now.steps, epoch=round(now.epoch, 3), loss=now.loss,
                 seconds_left=now.seconds_left)  # fmt: skip
