"""Writing: one draw becomes one call, its rows are validated one by one, and only the missing or bad ones asked again.

How a reply is read (fences, prose, a torn end) and its rows are told apart is `llm/together.py`. What never changes
stands first in the prompt, for the server's prompt cache. A draw costs at most two calls of bounded length, whatever
comes back: a row that fails twice is cheaper to draw anew than to ask for alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from upcycle.config import Generate
from upcycle.errors import RowError, RowKind
from upcycle.llm.model import Model, Request
from upcycle.llm.together import Answer, ask_together
from upcycle.methods.generate.blocks import Inputs
from upcycle.methods.generate.form import Form, Parts
from upcycle.methods.generate.grid import Cell, Draw
from upcycle.methods.prompts import cut, fill, show_task
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
        avoid = fill(HERE, "avoid", inputs="\n".join(f"- {text}" for text in shown)) + "\n\n" if shown else ""
        answers = await self._ask(draw, draw.cells, "rows", avoid=avoid)
        rows = {cell.number: self._row(cell, answer) for cell, answer in answers}
        for _, answer in answers:
            if answer.error is not None and not answer.calls:
                raise answer.error
        inputs = [(row.cell, row.made.input) for row in rows.values() if isinstance(row.made, Parts)]
        missing = {row.cell.number: row for row in rows.values() if isinstance(row.made, Failure)}
        if missing and all(given_up(row.cell) for row in missing.values()):
            return [row for row in rows.values() if row.cell.number not in missing], inputs
        if missing:
            rows |= await self._again(draw, missing)
        return list(rows.values()), inputs

    async def _again(self, draw: Draw, missing: dict[int, Row]) -> dict[int, Row]:
        """The missing rows from one more call, with what both calls cost."""
        said = {number: row.made.reason for number, row in missing.items() if isinstance(row.made, Failure)}
        why = {number: reason.partition(" (asked twice;")[0] for number, reason in said.items()}
        answers = await self._ask(draw, [row.cell for row in missing.values()], "again", why=why)
        rows = (self._row(cell, answer) for cell, answer in answers)
        return {row.cell.number: _with_cost_of(missing[row.cell.number], row) for row in rows}

    async def _ask(
        self, draw: Draw, cells: Sequence[Cell], prompt: str, *, why: dict[int, str] | None = None, avoid: str = ""
    ) -> list[tuple[Cell, Answer]]:
        def request(items: Sequence[tuple[str, Cell]]) -> Request:
            lines = []
            for key, cell in items:
                earlier = f" (earlier: {cut(why[cell.number], 200)})" if why else ""
                lines.append(f"{key}: {self._form.wish(cell)}{earlier}")
            values = {"rows": "\n".join(lines), "avoid": avoid}
            # The draw's number is the sample: the same words asked twice are two calls, and each replays by itself.
            return Request(
                ({"role": "system", "content": self._system},
                 {"role": "user", "content": fill(HERE, prompt, **values)}),
                stage="generate",
                max_tokens=self._row_tokens * len(items) + _LEAST_ROW_TOKENS,
                temperature=self._temperature,
                schema=self._form.item_schema(),
                sample=draw.number,
            )  # fmt: skip

        answers = await ask_together(self.model, cells, request, check=self._wrong, tries=1)
        return list(zip(cells, answers, strict=True))

    def _wrong(self, cell: Cell, item: Any) -> str | None:
        made = self._form.read(cell, item, self._seed)
        return made if isinstance(made, str) else None

    def _row(self, cell: Cell, answer: Answer) -> Row:
        made = self._form.read(cell, answer.value, self._seed) if answer.error is None else _failure(answer.error)
        assert not isinstance(made, str)  # `_wrong` lets no such answer through
        return Row(cell, made, answer.calls, answer.cost_micro, answer.tokens)


def row_tokens(task: Task) -> int:
    """The most tokens one written row may take: as many as the longest demonstration has characters."""
    sizes = [len(d.input) + len(d.output) + len(d.rationale or "") for d in task.demonstrations]
    return min(_MOST_TOKENS, max(_LEAST_ROW_TOKENS, max(sizes, default=600) + 60))


def _failure(error: RowError) -> Failure:
    return Failure(error.kind, str(error).replace("(1 try;", "(asked twice;"))


def _with_cost_of(first: Row, again: Row) -> Row:
    # Only the later call is named: it decided the row, and asking the first afresh would change its other rows.
    return again._replace(cost_micro=first.cost_micro + again.cost_micro, tokens=first.tokens + again.tokens)
