"""The student: a small model that is trained anew each round, in a process of its own, and examined on the gold.

In: examples. Out: an `Exam`, what it says of every gold row and whether that is right. The decision: an exam is written
down under a digest of everything that decides it, so a run that is killed and goes on trains nothing twice. What the
test rows came to is written down beside it and sealed: `open_test` reads it, and the method calls that at its end.

`fit` and `evaluate` are handed in (`training.fit.fit`, `evaluation.evaluate.evaluate`, or a test's own). They run in a
worker that is started once and stays warm; a function that another process could not import (a closure, a notebook's)
runs in a thread of this one.
"""

from __future__ import annotations

import asyncio
import hashlib
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

import orjson

from upcycle.config import Training
from upcycle.errors import ProviderError, RowKind, UpcycleError
from upcycle.methods.s3.gold import GoldParts
from upcycle.methods.s3.shown import ShownModel
from upcycle.methods.s3.worker import Learn, learn
from upcycle.records import Example
from upcycle.run import Run
from upcycle.training.fit import student_of

_EXAMS = "s3-exam"
_TESTS = "s3-test"


class Grade(NamedTuple):
    """What the student said of one gold row.

    Attributes:
        right: by the metric, 0 to 1.
        near: words in common with the right answer (F1) where answers are texts; else the same.
    """

    id: str
    said: str
    right: float
    near: float


@dataclass(frozen=True)
class Exam:
    """What a student came to.

    Attributes:
        key: digest of everything that decides it.
        rows: examples it was trained on.
        mine: grades of the mine rows, in their order.
        select: grades of the select rows.
        seconds: that training and grading took.
        folder: where the trained student lies.
    """

    key: str
    rows: int
    mine: tuple[Grade, ...]
    select: tuple[Grade, ...]
    seconds: float
    folder: Path

    def on_select(self) -> float:
        """Mean score on the select rows, 0 to 1."""
        return sum(grade.right for grade in self.select) / len(self.select)


@dataclass
class Student:
    """Trains and examines; use it as an asynchronous context manager.

    Attributes:
        fit: `fit(examples, training, folder=..., seed=...)` gives a predictor.
        evaluate: `evaluate(predictor, items, metric, seed=...)` gives scores with `items`.
        shown: a language model that is shown examples, in place of one that is trained on them.
        trained: exams that were not known.
    """

    fit: Callable[..., Any]
    evaluate: Callable[..., Any]
    training: Training
    gold: GoldParts
    metric: str
    run: Run
    seed: int = 0
    shown: ShownModel | None = None
    trained: int = 0
    _worker: subprocess.Popen[bytes] | None = field(default=None, init=False)

    async def exam(self, examples: Sequence[Example], *, start: Exam | None = None, keep: bool = True) -> Exam:
        """Train on examples and examine; known results are read from the journal.

        Args:
            start: the exam whose student is trained on; None trains anew. A student that comes to the same wherever
                it starts (TF-IDF, and a model that is shown rows) is trained anew in either case.
            keep: whether the student itself is written down, not only what it said.
        """
        training = self.training
        start = start if self.goes_on else None
        if start is not None:
            training = training.model_copy(update={"student": str(start.folder)})
        key = self._key(examples, start)
        folder = self.run.path / "s3" / "students" / key
        known = {name: value for name, _, _, value, _ in self.run.journal.rows(_EXAMS)}.get(key)
        if known is None:
            known = await self._learn(examples, training, key, folder if keep else None)
        return Exam(
            key, known["rows"], _grades(known["mine"]), _grades(known["select"]), known["seconds"], folder
        )  # fmt: skip

    @property
    def name(self) -> str:
        """What is trained, or the model that is shown rows."""
        if self.shown is not None:
            return self.shown.model.name
        return student_of(self.training, self.training.kind)

    @property
    def quick(self) -> bool:
        """Whether it costs nothing to train it once more."""
        return self.shown is None and self.name == "tfidf"

    @property
    def goes_on(self) -> bool:
        """Whether training it on from where it was differs from training it anew."""
        return self.shown is None and not self.quick

    def open_test(self, exam: Exam) -> tuple[Grade, ...]:
        """What the student of an exam came to on the test rows; for the end, when everything is decided."""
        known = {name: value for name, _, _, value, _ in self.run.journal.rows(_TESTS)}
        return _grades(known.get(exam.key, []))

    async def _learn(
        self, examples: Sequence[Example], training: Training, key: str, folder: Path | None
    ) -> dict[str, Any]:
        began = time.monotonic()
        items = [row.item() for row in (*self.gold.mine, *self.gold.select, *self.gold.test)]
        if self.shown is not None:
            grades = await self.shown.learn(examples, items, seed=self.seed)
        else:
            work = Learn(
                self.fit, self.evaluate, tuple(examples), training, tuple(items), self.metric, folder, self.seed
            )  # fmt: skip
            grades = await self._done(work)
        self.trained += 1
        mine, select = len(self.gold.mine), len(self.gold.select)
        seconds = round(time.monotonic() - began, 3)
        facts = {"rows": len(examples), "mine": grades[:mine], "select": grades[mine : mine + select],
                 "seconds": seconds}  # fmt: skip
        self.run.journal.row(_TESTS, key, state="done", kind=RowKind.OK, value=grades[mine + select :])
        self.run.journal.row(_EXAMS, key, state="done", kind=RowKind.OK, value=facts)
        self.run.journal.commit()
        return facts

    def _key(self, examples: Sequence[Example], start: Exam | None) -> str:
        digest = hashlib.sha256()
        what = self.training.model_dump(mode="json") if self.shown is None else self.shown.model.name
        about = [what, self.seed, self.metric, start.key if start else None]
        digest.update(orjson.dumps(about))
        for row in (*self.gold.mine, *self.gold.select, *self.gold.test):
            digest.update(f"{row.id}\x1e{row.input}\x1e{row.output}\x1f".encode())
        for example in examples:
            digest.update(f"{example.input}\x1e{example.output}\x1e{example.weight}\x1f".encode())
        return digest.hexdigest()[:24]

    # -- the worker --------------------------------------------------------------------------------------------------

    async def _done(self, work: Learn) -> list[tuple[str, str, float, float]]:
        if not _importable(self.fit) or not _importable(self.evaluate):
            return await asyncio.to_thread(learn, work)
        if self._worker is None or self._worker.poll() is not None:
            self._worker = _started()
            await asyncio.to_thread(_send, self._worker, sys.path)
        await asyncio.to_thread(_send, self._worker, work)
        answer = await asyncio.to_thread(_receive, self._worker)
        if isinstance(answer, UpcycleError):
            raise answer
        return answer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()
            worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    pipe.close()


def _started() -> subprocess.Popen[bytes]:
    # Not -m: the package imports the worker's module already, which Python then warns of.
    command = [sys.executable, "-c", "from upcycle.methods.s3.worker import main; main()"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _send(worker: subprocess.Popen[bytes], value: object) -> None:
    assert worker.stdin is not None
    try:
        worker.stdin.write(pickle.dumps(value))
        worker.stdin.flush()
    except BrokenPipeError:
        pass  # what it died of is told when its answer is read


def _receive(worker: subprocess.Popen[bytes]) -> Any:
    assert worker.stdout is not None
    try:
        return pickle.load(worker.stdout)  # noqa: S301 - our own process
    except (EOFError, ValueError, pickle.UnpicklingError):
        return ProviderError(
            f"the process that trains the small model ended with {worker.wait()} (out of memory?); what is finished is"
            " kept, run again to go on, or take a smaller student"
        )


def _importable(function: Callable[..., Any]) -> bool:
    """Whether another process finds this function by its name."""
    module, name = getattr(function, "__module__", "__main__"), getattr(function, "__qualname__", "<")
    return module != "__main__" and "<" not in name and getattr(sys.modules.get(module), name, None) is function


def _grades(values: Sequence[Sequence[Any]]) -> tuple[Grade, ...]:
    return tuple(Grade(str(one[0]), str(one[1]), float(one[2]), float(one[3])) for one in values)
