"""The intermediate model behind one interface, whatever it is: a trained adapter, a trained small model, a served one.

The paper trains it on slice 0 (arXiv 2409.08239, section 3.3). A trained one is fitted by what the method is handed,
into a folder of the run that is named by slice 0: a killed build opens it again. A served one is shown examples of
slice 0 in its prompt, which is another method, and is said to be; a served model that *was* fine-tuned on slice 0 (its
rows lie in the run as JSONL) is asked without any. What a trained model said is remembered in the journal, as the
gateway does for served ones.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import orjson

from upcycle.errors import ProviderError, RowError
from upcycle.llm.model import Model, Request, Scoring
from upcycle.llm.replies import ask
from upcycle.methods.prompts import fill
from upcycle.methods.source2synth.application import METHOD
from upcycle.methods.source2synth.lessons import Lessons
from upcycle.records import Example
from upcycle.run import Run
from upcycle.training.predictor import Predictor, Progress, Told

HERE = Path(__file__).parent
_SAID = "source2synth said"
_TOKENS = 400  # of a served answer: a chain of a few sentences
_OPENING = "Question:"
_COLDEST = 0.01  # students draw, and nothing can be drawn at 0
T = TypeVar("T")


class Train(Protocol):
    """What the method is handed: trains on examples into a folder, or opens the folder where it is whole."""

    def __call__(self, examples: Sequence[Example], *, folder: Path, told: Told) -> Predictor: ...


class Said(NamedTuple):
    """What was said to one prompt, and what it cost; `error` where nothing came."""

    texts: tuple[str, ...]
    calls: tuple[str, ...] = ()
    cost_micro: int = 0
    tokens: int = 0
    error: RowError | None = None


class Intermediate(Protocol):
    """What filter and imputation ask.

    Attributes:
        name: for people: what it is, and what it learned from.
        writes: whether it can write free text, as imputation needs.
    """

    name: str
    writes: bool

    async def answer(self, prompts: Sequence[str], *, samples: int) -> list[Said]: ...

    async def likelihood(self, text: str) -> float | None:
        """Natural logarithm of the likelihood of a question; None where the model cannot tell."""
        ...


class Trained:
    """A student that was trained on slice 0."""

    def __init__(self, predictor: Predictor, run: Run, key: str, *, name: str, writes: bool) -> None:
        self.name, self.writes = name, writes
        self._predictor, self._run, self._key = predictor, run, key
        self._known = {row: tuple(value) for row, _, _, value, _ in run.journal.rows(_SAID)}

    async def answer(self, prompts: Sequence[str], *, samples: int) -> list[Said]:
        names = [_digest(self._key, str(samples), prompt) for prompt in prompts]
        new = {name: prompt for name, prompt in zip(names, prompts, strict=True) if name not in self._known}
        if new:
            texts = list(new.values())
            said = await in_thread(lambda _: self._predictor.predict(texts, samples=samples))
            self._remember(dict(zip(new, said, strict=True)))
        return [Said(self._known[name]) for name in names]

    async def likelihood(self, text: str) -> float | None:
        if not self.writes:
            return None
        name = _digest(self._key, "likelihood", text)
        if name not in self._known:
            found = await in_thread(lambda _: self._predictor.score([_OPENING], [[f" {text}"]]))
            self._remember({name: [repr(found[0][0])]})
        nats = float(self._known[name][0])
        return nats if math.isfinite(nats) else None

    def _remember(self, said: dict[str, list[str]]) -> None:
        for name, found in said.items():
            self._known[name] = tuple(found)
            self._run.journal.row(_SAID, name, state="done", kind="ok", value=found)
        self._run.journal.commit()


class Served:
    """A model behind the gateway, shown some of slice 0 in its prompt."""

    writes = True

    def __init__(self, model: Model, shown: Sequence[Example], *, instruction: str, temperature: float) -> None:
        self._model, self._temperature = model, temperature
        self.name = f"{model.name}, served, with {len(shown)} examples of slice 0 in its prompt"
        pairs = "\n\n".join(f"<input>\n{one.input}\n</input>\n{one.output}" for one in shown)
        self._system = fill(HERE, "answer", instruction=instruction, examples=pairs or "(none)")

    async def answer(self, prompts: Sequence[str], *, samples: int) -> list[Said]:
        found = await asyncio.gather(*(self._said(prompt, samples) for prompt in prompts), return_exceptions=True)
        said: list[Said] = []
        for one in found:
            if isinstance(one, BaseException):
                raise one  # what else was under way has ended by now, and is in the journal
            said.append(one)
        return said

    async def _said(self, prompt: str, samples: int) -> Said:
        texts: list[str] = []
        calls: list[str] = []
        cost = tokens = 0
        for number in range(samples):
            try:
                reply = await ask(self._model, self._request(prompt, number, samples), tries=2)
            except RowError as error:
                return Said(tuple(texts), (*calls, *error.calls), cost, tokens, error)
            texts.append(reply.value)
            calls += reply.calls
            cost, tokens = cost + reply.cost_micro, tokens + reply.tokens
        return Said(tuple(texts), tuple(calls), cost, tokens)

    def _request(self, prompt: str, number: int, samples: int) -> Request:
        messages = ({"role": "system", "content": self._system},
                    {"role": "user", "content": f"<input>\n{prompt}\n</input>"})  # fmt: skip
        heat = self._temperature if samples > 1 else 0.0
        return Request(messages, "intermediate", _TOKENS, heat, sample=number)

    async def likelihood(self, text: str) -> float | None:
        if not isinstance(self._model, Scoring):
            return None
        try:
            return (await self._model.score(_OPENING, [f" {text}"]))[0]
        except (RowError, ProviderError):
            return None  # it is a number beside the data; that it is missing is seen


async def trained(lessons: Lessons, train: Train, run: Run, *, temperature: float) -> Trained:
    """Train the intermediate model on slice 0, or open it again.

    Args:
        temperature: of its draws, where it is a model that has one.

    Raises:
        ConfigError: the student cannot learn such outputs, or a library that it needs is not installed.
    """
    examples = [*lessons.questions, *lessons.blanks]
    key = _digest(*(orjson.dumps([one.input, one.output]).decode() for one in examples))
    folder = run.path / "source2synth" / f"intermediate-{key}"
    run.tell(METHOD, "training the intermediate model", examples=len(examples), folder=str(folder))

    def work(stopped: Callable[[], bool]) -> Predictor:
        return train(examples, folder=folder, told=hearing(run, stopped))

    predictor = await in_thread(work)
    if isinstance(predictor, _Warm):
        predictor.temperature = max(temperature, _COLDEST)
    name = f"a student trained on {len(lessons.questions)} examples of slice 0"
    return Trained(predictor, run, key, name=name, writes=bool(lessons.blanks))


@runtime_checkable
class _Warm(Protocol):
    """A student whose draws have a temperature that can be set."""

    temperature: float


def hearing(run: Run, stopped: Callable[[], bool]) -> Told:
    """Tells the run how training goes, and ends it at its next step where it is to stop."""

    def told(progress: Progress) -> None:
        if stopped():
            raise _Stopped
        if progress.steps:
            run.tell("train", "progress", keep=False, kept=progress.step, wanted=progress.steps,
                     loss=progress.loss, seconds_left=progress.seconds_left)  # fmt: skip

    return told


class _Stopped(BaseException):
    """Ends a training thread whose build was interrupted; seen by nobody else."""


async def in_thread(work: Callable[[Callable[[], bool]], T]) -> T:
    """Do what computes for long; `work` is told by a function whether it is to stop."""
    # A cancelled build must not wait for hours of training: the thread is told to end at its next step.
    stop: list[bool] = []

    def quietly() -> T | None:
        try:
            return work(lambda: bool(stop))
        except _Stopped:
            return None

    try:
        found = await asyncio.to_thread(quietly)
    except asyncio.CancelledError:
        stop.append(True)
        raise
    return found  # type: ignore[return-value]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]
