"""The shape of a task: which part of an input is written, what it inherits, and what the model is asked for.

    single   a text that stands for itself; its label is drawn or inherited
    pair     named parts; one is written, the others (the context) and the label are inherited
    span     a context and a question; the question is written, context and answer are inherited
    text     input and output are both written (the LLM2LLM form, arXiv 2403.15042)

The decision: one value and a few functions of it, not a class for each, so that a kind is a word in prompts' names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from upcycle.config import S3, Generate
from upcycle.contract import Contract, Kind, infer_contract
from upcycle.errors import ConfigError
from upcycle.methods.generate.form import Form, form_of
from upcycle.parts import label_counts, part_names
from upcycle.records import Example, Origin
from upcycle.task import Task

ShapeKind = Literal["single", "pair", "span", "text"]


class Cut(NamedTuple):
    """An input around the part that is written.

    Attributes:
        mark: the name that stands before the written part, with its colon.
    """

    before: str
    mark: str
    written: str
    after: str = ""

    @property
    def context(self) -> str:
        """What is inherited."""
        return f"{self.before}{self.after}".strip()

    def with_written(self, text: str) -> str:
        """The input with another text in the place of the written part."""
        return f"{self.before}{self.mark}{text}{self.after}"


@dataclass(frozen=True)
class Shape:
    """How rows of one task are put together.

    Attributes:
        names: named parts of every input, in their order; empty where it has none.
        written: name of the part that is written.
        labels: the closed set of outputs; None where outputs are spans or texts.
        form: how a whole row is written, where input and output both are.
        what: what an input is, in words.
    """

    kind: ShapeKind
    names: tuple[str, ...]
    written: str
    labels: tuple[str, ...] | None
    form: Form | None
    what: str

    def cut(self, text: str) -> Cut:
        """An input around the part that is written; all of it is that part where there are no names."""
        mark = f"{self.written}: "
        at = 0 if text.startswith(mark) else text.rfind(f"\n{mark}") + 1
        if not self.names or (at == 0 and not text.startswith(mark)):
            return Cut("", "", text)
        start = at + len(mark)
        later = [text.find(f"\n{name}: ", start) for name in self.names if name != self.written]
        end = min((place for place in later if place >= 0), default=len(text))
        return Cut(text[:at], mark, text[start:end].strip(), text[end:])

    def context_of(self, text: str) -> str:
        """What no two parts of the gold may share: the context of an input, or all of one that has none."""
        return self.cut(text).context if self.kind in ("pair", "span") else text

    def joined(self, parts: Sequence[str]) -> str:
        """An input out of the texts of all its named parts."""
        return "\n".join(f"{name}: {text}" for name, text in zip(self.names, parts, strict=True))


def task_with_contract(task: Task) -> Task:
    """The task, its contract read off the gold where neither demonstrations nor the user say anything of outputs.

    Numbers that are few and repeat (0 and 1) are labels, whatever they look like.
    """
    contract = task.contract
    given = bool(task.demonstrations) or contract != Contract(language=contract.language)
    rows = _rows_of(task)
    if (contract.kind == Kind.NUMBER or not given) and (counts := label_counts(rows)) is not None:
        closed = Contract(kind=Kind.LABEL, labels=tuple(sorted(counts)), language=contract.language)
        return task.model_copy(update={"contract": closed})
    if given:
        return task
    inferred = infer_contract([(row.input, row.output) for row in task.gold], language=contract.language)
    return task.model_copy(update={"contract": inferred, "language": task.language or inferred.language})


def _rows_of(task: Task) -> list[Example]:
    return [
        Example(str(n), row.input, row.output, Origin("gold"), None, row.choices) for n, row in enumerate(task.gold)
    ]


def shape_of(task: Task, settings: S3) -> Shape:
    """The shape of a task, from its contract and the inputs of its gold.

    Raises:
        ConfigError: a part to write that no input has; extractive outputs without a context and a question.
    """
    contract = task.contract
    names = part_names(_rows_of(task)) if contract.kind in (Kind.LABEL, Kind.SPAN) else ()
    if settings.write is not None and settings.write not in names:
        told = f"their parts are {', '.join(names)}" if names else "they have no named parts"
        raise ConfigError(f"methods.s3.write: {settings.write!r} is no part of the gold's inputs; {told}")
    if contract.kind == Kind.SPAN and not names:
        raise ConfigError(
            "outputs are spans, and the gold's inputs have no named parts; write them like 'Context: ...' and, on"
            " another line, 'Question: ...'"
        )
    labels = None
    if contract.kind == Kind.LABEL:
        labels = contract.labels or tuple(sorted({row.output for row in task.gold}))
    kind: ShapeKind = "text"
    if contract.kind == Kind.LABEL:
        kind = "pair" if names else "single"
    elif contract.kind == Kind.SPAN:
        kind = "span"
    form = form_of(task, Generate()) if kind == "text" else None
    written = settings.write or (names[-1] if names else "")
    return Shape(kind, names, written, labels, form, settings.what or _what(kind, written))


def _what(kind: ShapeKind, written: str) -> str:
    return {"single": "an input of the task", "text": "an example of the task"}.get(kind, f"a {written.lower()}")
