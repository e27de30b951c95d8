"""Writing: one draw becomes one call, its rows are validated one by one, and only the missing or bad ones asked again.

A reply is read leniently (fences, prose around it, a torn end: the whole rows in it count) and judged strictly. What
never changes stands first in the prompt, for the server's prompt cache. A draw costs at most two calls of bounded
length, whatever comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from upcycle.config import Generate
from upcycle.errors import RowError, RowKind
from upcycle.llm.model import Completion, Model, Request
from upcycle.llm.replies import find_json, read_reply
from upcycle.methods.generate.blocks import Inputs
from upcycle.methods.generate.form import Form, Parts
from upcycle.methods.generate.grid import Cell, Draw
from upcycle.methods.prompts import fill, show_task
from upcycle.task import Task

HERE = Path(__file__).parent
_MOST_TOKENS = 4000  # of one reply; fewer rows travel together where rows are long
_LEAST_ROW_TOKENS = 100


class Failure(NamedTuple):
    """Why a row is not there."""

    kind: RowKind
    reason: str


class Row(NamedTuple):
    """One cell of a draw, written or not, with its share of what its calls cost.

    Attributes:
        calls: keys of the calls that decided it; of a failed row, those whose repetition could help.
    """

    cell: Cell
    made: Parts | Failure
    calls: tuple[str, ...] = ()
    cost_micro: int = 0
    tokens: int = 0


class Writer:
    """Turns draws into rows."""

    def __init__(self, task: Task, settings: Generate, form: Form, model: Model, seed: int) -> None:
        self.model = model
        self._form, self._seed, self._temperature = form, seed, settings.temperature
        self._row_tokens = row_tokens(task)
        self.per_call = max(1, min(settings.per_call, _MOST_TOKENS // self._row_tokens))
        language = f"- all of it in the language {task.language}" if task.language else ""
        fields = [*(f'- "{name}": {what}' for name, what in form.asked.items()), language]
        self._system = fill(
            HERE,
            "write",
            task=show_task(task),
            fields="\n".join(filter(None, fields)),
            keys=", ".join(f'"{name}": ...' for name in form.asked),
        )

    async def write(
        self, draw: Draw, shown: Sequence[str], given_up: Callable[[Cell], bool] = lambda _: False
    ) -> tuple[list[Row], Inputs]:
        """The draw's rows in order, and the inputs of its first reply, which later draws may be shown.

        Args:
            given_up: cells that are not to be asked for a second time; where they are all that is missing, their rows
                are left out.

        Raises:
            RowError: the first call brought no reply.
            ProviderError, BudgetExceededError, DiskError: the run stops.
        """
        first = await self._call(draw, _rows_asked(draw.cells, self._form, shown), len(draw.cells))
        items, calls = items_of(first), [first]
        rows: list[Row] = []
        missing: list[tuple[Cell, str]] = []
        for cell in draw.cells:
            made = self._read(cell, items.get(_id(draw, cell)))
            if isinstance(made, str):
                missing.append((cell, made))
            else:
                rows.append(Row(cell, made, (first.key,)))
        inputs = [(row.cell, row.made.input) for row in rows if isinstance(row.made, Parts)]
        if not all(given_up(cell) for cell, _ in missing):
            rows += await self._again(draw, missing, calls)
        rows.sort(key=lambda row: row.cell.number)
        return list(_with_costs(rows, calls)), inputs

    async def _again(self, draw: Draw, missing: Sequence[tuple[Cell, str]], calls: list[Completion]) -> list[Row]:
        asked = [f"{_id(draw, cell)}: {self._form.wish(cell)} (earlier: {reason})" for cell, reason in missing]
        try:
            again = await self._call(draw, fill(HERE, "again", rows="\n".join(asked)), len(missing))
        except RowError as error:
            return [Row(cell, Failure(error.kind, str(error)), error.calls) for cell, _ in missing]
        calls.append(again)
        items, rows = items_of(again), []
        for cell, _ in missing:
            made = self._read(cell, items.get(_id(draw, cell)))
            if isinstance(made, str):
                rows.append(Row(cell, Failure(RowKind.UNPARSEABLE, f"{made} (asked twice)"), (again.key,)))
            else:
                rows.append(Row(cell, made, (again.key,)))
        return rows

    async def _call(self, draw: Draw, asked: str, rows: int) -> Completion:
        # The draw's number is the sample: the same words asked twice are two calls, and each replays by itself.
        return await self.model.complete(
            Request(
                ({"role": "system", "content": self._system}, {"role": "user", "content": asked}),
                stage="generate",
                max_tokens=self._row_tokens * rows + _LEAST_ROW_TOKENS,
                temperature=self._temperature,
                schema=_reply_schema(self._form.item_schema()),
                sample=draw.number,
            )
        )

    def _read(self, cell: Cell, item: Mapping[str, Any] | None) -> Parts | str:
        return "the reply holds no row with this id" if item is None else self._form.read(cell, item, self._seed)


def row_tokens(task: Task) -> int:
    """The most tokens one written row may take: as many as the longest demonstration has characters."""
    sizes = [len(d.input) + len(d.output) + len(d.rationale or "") for d in task.demonstrations]
    return min(_MOST_TOKENS, max(_LEAST_ROW_TOKENS, max(sizes, default=600) + 60))


def items_of(completion: Completion) -> dict[str, Mapping[str, Any]]:
    """Written rows by id: those of a whole reply, else every whole row that can be found in it."""
    read = read_reply(completion, _ANY_ROWS)
    if read.problem is None:
        found = read.value["rows"]
    else:
        text = completion.text.rpartition("</think>")[2]
        found = list(_loose(text)) if "<think" not in text else []
    items = [item for item in found if isinstance(item, dict)]
    return {str(item["id"]).strip(): item for item in reversed(items) if isinstance(item.get("id"), str | int)}


def _loose(text: str) -> Iterator[Any]:
    for value in find_json(text):
        if isinstance(value, dict) and isinstance(value.get("rows"), list):
            yield from value["rows"]
        elif isinstance(value, list):
            yield from value
        else:
            yield value


def _rows_asked(cells: Sequence[Cell], form: Form, shown: Sequence[str]) -> str:
    avoid = fill(HERE, "avoid", inputs="\n".join(f"- {text}" for text in shown)) + "\n\n" if shown else ""
    rows = "\n".join(f"{number}: {form.wish(cell)}" for number, cell in enumerate(cells, 1))
    return fill(HERE, "rows", avoid=avoid, rows=rows)


def _id(draw: Draw, cell: Cell) -> str:
    return str(cell.number - draw.cells[0].number + 1)


def _with_costs(rows: Sequence[Row], completions: Sequence[Completion]) -> Iterator[Row]:
    """Rows with what the draw's calls cost split among them to the last unit, so that sums over rows are true."""
    cost = sum(one.cost_micro for one in completions)
    tokens = sum(one.usage.total for one in completions)
    for n, row in enumerate(rows):
        yield row._replace(cost_micro=_part(cost, n, len(rows)), tokens=_part(tokens, n, len(rows)))


def _part(whole: int, number: int, parts: int) -> int:
    return whole * (number + 1) // parts - whole * number // parts


def _reply_schema(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"rows": {"type": "array", "items": item}},
        "required": ["rows"],
        "additionalProperties": False,
    }


_ANY_ROWS = {"type": "object", "properties": {"rows": {"type": "array"}}, "required": ["rows"]}
