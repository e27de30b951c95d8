"""Writing: one wish becomes one call, and its reply one row, or the reason why there is none.

A wish says what a row is to be like: a label and reasons for it (first set), a context, an error it is to resemble, or
the pattern behind many errors. As in the paper (arXiv 2310.13671, section 3.1 and 3.3) one call writes one row, at the
paper's temperature. The decision: where only a part is written the reply is that text and nothing else, because small
models write prose better than JSON; what they put around it is taken off (`cleaning.py`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from upcycle.config import S3
from upcycle.curation.duplicates.exact import folded
from upcycle.errors import RowError
from upcycle.llm.model import Model, Request
from upcycle.llm.replies import Reply, ask
from upcycle.methods.generate.form import Parts
from upcycle.methods.generate.grid import Cell
from upcycle.methods.generate.writing import Failure
from upcycle.methods.prompts import fill, show_task
from upcycle.methods.s3.cleaning import cleaned
from upcycle.methods.s3.gold import MineRow
from upcycle.methods.s3.shape import Cut, Shape
from upcycle.run import InOrder
from upcycle.task import Task

HERE = Path(__file__).parent
STAGE = "s3"
_MOST_TOKENS = 1500
_LEAST_TOKENS = 120
_TRIES = 2
_CONTROLS = ("", "seed", "random", "gold")


@dataclass(frozen=True, slots=True)
class Wish:
    """What one row is to be like.

    Attributes:
        number: its place among all rows of its round; with the round it names the row, and is its sample.
        round: 0 for the first set.
        label: the output it gets; None where the model writes the output.
        around: what stands around the written part; None where there is no context.
        parent: the mined row it is to resemble.
        reasons: why a text may have this label, some of which are to hold.
        pattern: what several errors have in common, in words; nothing of them is shown then.
        control: name of the control it is written for; "" where it is for the dataset.
    """

    number: int
    round: int
    label: str | None = None
    around: Cut | None = None
    parent: MineRow | None = None
    reasons: tuple[str, ...] = ()
    pattern: str = ""
    control: str = ""

    @property
    def sample(self) -> int:
        """The same words asked for twice are two calls, and each replays by itself; `ask` counts on from here."""
        place = _CONTROLS.index(self.control) * 100 + self.round
        return (place * 1_000_000 + self.number) * 10_000


class Written(NamedTuple):
    """A wish, what became of it, and what that cost."""

    wish: Wish
    made: Parts | Failure
    calls: tuple[str, ...] = ()
    cost_micro: int = 0
    tokens: int = 0


class Writer:
    """Turns wishes into rows.

    Args:
        clean: whether quotation marks and prefixes are taken off.
    """

    def __init__(self, task: Task, settings: S3, shape: Shape, model: Model, *, seed: int, clean: bool = True) -> None:
        self.model, self.shape = model, shape
        self._task, self._settings, self._seed, self._clean = task, settings, seed, clean
        self._tokens = _row_tokens(task)
        self._shown = show_task(task)

    async def rows(
        self, wishes: Iterator[Wish], *, at_once: int, needed: Callable[[], int]
    ) -> AsyncGenerator[Written, None]:
        """Rows in the order of their wishes; a wish is begun only while what is under way could not be enough.

        Raises:
            ProviderError, BudgetExceededError, DiskError: no row can be written; what was under way is paid for and
                in the journal.
        """
        line: InOrder[Written] = InOrder(at_once)
        under_way = 0
        try:
            while True:
                while not line.full and under_way < needed() and (wish := next(wishes, None)) is not None:
                    line.start(self.write(wish))
                    under_way += 1
                if line.idle:
                    return
                written = await line.oldest()
                under_way -= 1
                yield written
        finally:
            await line.close()

    async def write(self, wish: Wish) -> Written:
        """One row."""
        try:
            reply = await ask(
                self.model, self._request(wish), check=lambda value: self._wrong(wish, value), tries=_TRIES
            )
        except RowError as error:
            return Written(wish, Failure(error.kind, str(error)), error.calls)
        made = self._read(wish, reply.value)
        assert not isinstance(made, str)  # `_wrong` lets no such reply through
        return Written(wish, made, reply.calls, reply.cost_micro, reply.tokens)

    async def reasons(self, label: str, count: int) -> Reply:
        """Reasons why an input may have this label: asked for once.

        Raises:
            RowError: the model gave none that can be read.
        """
        prompt = fill(
            HERE, "reasons", task=self._shown, label=self.named(label), what=self.shape.what, count=str(count)
        )
        request = Request(
            ({"role": "user", "content": prompt},), stage=STAGE, max_tokens=200 + 40 * count,
            temperature=self._settings.temperature, schema=_REASONS,
        )  # fmt: skip
        return await ask(self.model, request)

    def named(self, label: str) -> str:
        """A label with what it means, where that is known."""
        meaning = self._settings.meanings.get(label)
        return f'"{label}" ({meaning})' if meaning else f'"{label}"'

    # -- asking ------------------------------------------------------------------------------------------------------

    def _request(self, wish: Wish) -> Request:
        whole = self._whole(wish)
        system = fill(HERE, "system-rows" if whole else "system-text", task=self._shown, fields=self._fields(wish))
        return Request(
            ({"role": "system", "content": system}, {"role": "user", "content": self._prompt(wish)}),
            stage=STAGE,
            max_tokens=self._tokens,
            temperature=self._settings.temperature,
            schema=self._schema(wish) if whole else None,
            sample=wish.sample,
        )

    def _whole(self, wish: Wish) -> bool:
        """Whether all parts of a row are written, not one."""
        return self.shape.kind == "text" or (self.shape.kind in ("pair", "span") and wish.around is None)

    def _prompt(self, wish: Wish) -> str:
        kind = self.shape.kind
        role = "pattern" if wish.pattern else "error" if wish.parent is not None else "first"
        values = {"what": self.shape.what, "pattern": wish.pattern, "reasons": "", "example": ""}
        values["label"] = self.named(wish.label) if wish.label is not None else ""
        values["answer"] = wish.label or ""
        if wish.around is not None:
            values["context"] = wish.around.context
        if wish.reasons:
            values["reasons"] = "\n" + fill(HERE, "because", reasons="\n".join(f"- {one}" for one in wish.reasons))
        if wish.parent is not None:
            values["example"] = self.shape.cut(wish.parent.input).written if wish.around else wish.parent.input
            values["output"] = wish.parent.output
        whole = "whole" if self._whole(wish) else kind
        return fill(HERE, f"{whole}-{role}", **values, wanted=self._wanted(wish))

    def _wanted(self, wish: Wish) -> str:
        if wish.label is None or self.shape.kind == "span":
            return ""
        return f" The right output for it is {self.named(wish.label)}."

    def _fields(self, wish: Wish) -> str:
        if self.shape.kind == "text" and self.shape.form is not None:
            return "\n".join(f'- "{name}": {what}' for name, what in self.shape.form.asked.items())
        fields = [f'- "{name}": the {name.lower()}' for name in self.shape.names]
        if self.shape.kind == "span":
            fields.append('- "output": the answer, copied from the context word by word')
        return "\n".join(fields)

    def _schema(self, wish: Wish) -> dict[str, Any]:
        if self.shape.kind == "text" and self.shape.form is not None:
            return self.shape.form.item_schema()
        names = [*self.shape.names, *(["output"] if self.shape.kind == "span" else [])]
        text = {"type": "string", "minLength": 1}
        return {"type": "object", "properties": dict.fromkeys(names, text), "required": names,
                "additionalProperties": False}  # fmt: skip

    # -- reading -----------------------------------------------------------------------------------------------------

    def _wrong(self, wish: Wish, value: Any) -> str | None:
        made = self._read(wish, value)
        return made if isinstance(made, str) else None

    def _read(self, wish: Wish, value: Any) -> Parts | str:
        """The parts of an example out of a reply, or what is wrong with it."""
        if self.shape.kind == "text" and self.shape.form is not None:
            options = (
                len(wish.parent.choices or ()) if wish.parent is not None else (self.shape.form.options or (0, 0))[1]
            )
            cell = Cell(wish.sample, {}, None, options)
            return self.shape.form.read(cell, value, self._seed)
        if isinstance(value, dict):
            return self._read_whole(wish, value)
        text = cleaned(value, prefixes=self._prefixes()) if self._clean else value.strip()
        if wrong := self._not_a_text(text):
            return wrong
        whole = wish.around.with_written(text) if wish.around is not None else text
        return self._checked(whole, wish.label or "")

    def _read_whole(self, wish: Wish, value: dict[str, Any]) -> Parts | str:
        texts = [cleaned(value[name], prefixes=self._prefixes()) if self._clean else value[name].strip()
                 for name in self.shape.names]  # fmt: skip
        if wrong := next(filter(None, map(self._not_a_text, texts)), None):
            return wrong
        output = str(value.get("output", "")).strip() if self.shape.kind == "span" else wish.label or ""
        return self._checked(self.shape.joined(texts), output)

    def _checked(self, text: str, output: str) -> Parts | str:
        if self.shape.kind == "span" and output not in self.shape.context_of(text):
            return "the answer does not stand in the context"
        wrong = self._task.contract.violation(text, output)
        return wrong if wrong is not None else Parts(text, output)

    def _not_a_text(self, text: str) -> str | None:
        """What small models hand in instead of a text: nothing, or the label's name."""
        if not any(map(str.isalnum, text)):
            return "the reply holds no word"
        names = {folded(one) for one in (*(self.shape.labels or ()), *self._settings.meanings.values())}
        said = folded(text)
        if said in names or said.removeprefix("label ").removeprefix("the label is ") in names:
            return f"the reply is only the name of a label ({text[:40]!r})"
        return None

    def _prefixes(self) -> Sequence[str]:
        return (*self.shape.names, "Review", "Text", "Input", "Sentence", "Question", "Output")


def _row_tokens(task: Task) -> int:
    """The most tokens one written row may take: half as many as the longest gold input has characters."""
    sizes = sorted(len(row.input) + len(row.output) for row in task.gold)
    typical = sizes[int(0.95 * (len(sizes) - 1))] if sizes else 600
    return min(_MOST_TOKENS, max(_LEAST_TOKENS, typical // 2 + 60))


_REASONS = {
    "type": "object",
    "properties": {"reasons": {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1}},
    "required": ["reasons"],
    "additionalProperties": False,
}
