"""Plain generation: a model writes examples from nothing, cell by cell of a grid that code draws.

Read top to bottom: topics are named once, the grid is drawn (`grid`), each draw of cells is one call (`writing`) that
knows what was written before on its topics (`avoid`, `blocks`), every row is judged as it comes, in order, and writing
stops when the yield of new examples sinks (`ending`). It is what Prompt2Model's generator does (Viswanathan et al.,
arXiv 2308.12261, section 2.3), the companion of transformed data in DataTune (arXiv 2404.14361); where we differ is
that labels, attributes and option positions are drawn in code, the temperature is constant, and every loop ends.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing

from upcycle.config import Generate
from upcycle.curation.checks import Check
from upcycle.errors import ConfigError, RowError, RowKind, UpcycleError
from upcycle.llm.model import Model
from upcycle.llm.roles import Roles
from upcycle.methods.generate.avoid import Avoid
from upcycle.methods.generate.blocks import Blocks
from upcycle.methods.generate.ending import Ending
from upcycle.methods.generate.form import Form, form_of
from upcycle.methods.generate.grid import Cell, Draw, Grid, grid_for
from upcycle.methods.generate.writing import Failure, Row, Writer
from upcycle.records import Dropped, Example, Origin, example_id
from upcycle.run import Run, run_rows, write_text
from upcycle.task import Task
from upcycle.yamlfile import dump_yaml

__all__ = ["generate"]

METHOD = "generate"
GRID_FILE = "plans/generate.grid.yaml"
_LATE = "generate"
_END = "generate ended at draw"


def generate(
    task: Task,
    settings: Generate,
    *,
    models: Roles,
    run: Run,
    check: Check,
    needed: Callable[[], int],
    seed: int = 0,
    at_once: int = 32,
) -> AsyncGenerator[Example | Dropped, None]:
    """Examples that a model wrote, and what was dropped on the way; their order follows from seed and replies alone.

    Args:
        models: the executor writes; the planner, where there is one, names topics and styles.
        check: judges every row; shared with other methods, it drops what any of them made before.
        needed: how many kept examples are still wanted; asked before each call.
        at_once: most calls under way.

    Raises:
        ConfigError: at once, where no model is there to write, or the settings do not fit the task.
        ProviderError, BudgetExceededError, DiskError: the run stops; what is finished is kept.
    """
    if models.executor is None:
        raise ConfigError(
            "generate has a model write examples, and there is none (no key, server or weights were found, or --model"
            " none was given); name one with --model, or leave generate out of --method"
        )
    form = form_of(task, settings)
    writer = Writer(task, settings, form, models.executor, seed)
    return _generate(task, settings, form, writer, models.planner, run, check, needed, seed, at_once)


async def _generate(
    task: Task,
    settings: Generate,
    form: Form,
    writer: Writer,
    planner: Model | None,
    run: Run,
    check: Check,
    needed: Callable[[], int],
    seed: int,
    at_once: int,
) -> AsyncGenerator[Example | Dropped, None]:
    grid = await grid_for(task, settings, form, planner=planner, run=run, seed=seed)
    write_text(run.path / GRID_FILE, dump_yaml(grid.facts()))
    run.tell("generate", "grid drawn", text=_axes(grid), file=GRID_FILE)
    ending = Ending(settings)
    kept = 0
    draws = _Draws(grid, writer, Avoid(settings.avoid), run, needed)
    async with aclosing(draws.ended(at_once)) as ended:
        async for number, rows in ended:
            if draws.over:
                continue  # it was under way: its reply is in the journal now, and no longer wanted
            for row in rows:
                if needed() <= 0:
                    draws.over = True
                    break
                result = _judged(row, writer.model.name, check, seed)
                kept += isinstance(result, Example)
                ending.row(RowKind.OK if isinstance(result, Example) else result.kind)
                yield result
            ending.call([row.made for row in rows if isinstance(row.made, Failure)], len(rows))
            if ending.failure is not None:
                draws.over = True
            elif ending.reason:
                draws.end_at(number)
    if ending.failure is not None:
        raise ending.failure
    if ending.reason:
        run.ended[METHOD] = ending.reason
        run.tell("generate", "stopped", reason=ending.reason, kept=kept)


def _axes(grid: Grid) -> str:
    told = ", ".join(f"{len(values)} of {axis}" for axis, values in grid.axes.items())
    return f"{told}; outputs drawn in code" if "answers" in grid.facts() else told


class _Draws:
    """The draws of a run, written side by side; they come back in order, however they end.

    Once `over` is set nothing more is begun, and what is under way gets to finish: it is paid for.
    """

    def __init__(self, grid: Grid, writer: Writer, avoid: Avoid, run: Run, needed: Callable[[], int]) -> None:
        self._writer, self._run, self._needed = writer, run, needed
        self._blocks = Blocks(grid.draws(writer.per_call), avoid)
        self._seed = grid.seed
        # A row that failed at the server is asked again on request only (`upcycle retry`); a draw that once failed
        # stays out of the avoid-lists for good, or its late success would change every later prompt, to be paid again.
        # Replies that could not be read replay from the journal, for free, and count towards the ending as before.
        failed = run.journal.rows("transform", "failed")
        self._failed = {name for name, _, kind, _, _ in failed if kind in (RowKind.API_TRANSIENT, RowKind.API_FATAL)}
        self._late = set(run.journal.row_names(_LATE, "failed"))
        self._waiting: dict[int, list[Row]] = {}
        self._begun = self._turn = 0
        # Where writing ended before, no draw beyond is begun until it is seen not to end there any more: the same
        # command run again pays nothing.
        self._end = int(run.journal.meta(_END) or -1)
        self.over = False

    def end_at(self, number: int) -> None:
        """Writing more is in vain after this draw; the run remembers it."""
        self.over = True
        self._run.journal.set_meta(_END, str(number))

    async def ended(self, at_once: int) -> AsyncGenerator[tuple[int, list[Row]], None]:
        """(number, rows) of each draw, in the order of the draws."""
        running = run_rows(self._draws(), self._work, at_once=at_once, needed=self._calls)
        async with aclosing(running):
            try:
                async for draw, outcome in running:
                    self._waiting[draw.number] = _lost(draw, outcome) if isinstance(outcome, RowError) else outcome
                    while (rows := self._waiting.pop(self._turn, None)) is not None:
                        self._turn += 1
                        yield self._turn - 1, rows
            except UpcycleError:
                # What came back after the draw that ended the run is paid for: it is kept too.
                for number in sorted(self._waiting):
                    yield number, self._waiting.pop(number)
                raise

    def _draws(self) -> Iterator[Draw]:
        for draw in self._blocks:
            self._begun = draw.number + 1
            yield draw

    def _calls(self) -> int:
        if self.over or self._turn <= self._end < self._begun:
            return 0
        owed = self._needed() - sum(map(len, self._waiting.values()))
        return -(-owed // self._writer.per_call)

    async def _work(self, draw: Draw) -> list[Row]:
        try:
            shown = await self._blocks.shown(draw)
            if self.over or all(map(self._given_up, draw.cells)):
                self._blocks.end(draw, ())
                return []
            rows, inputs = await self._writer.write(draw, shown, self._given_up)
        except RowError:
            self._run.journal.row(_LATE, str(draw.number), state="failed", kind=RowKind.API_TRANSIENT)
            self._run.journal.commit()
            self._blocks.end(draw, ())
            raise
        except BaseException as error:
            self._blocks.give_up(error)
            raise
        self._blocks.end(draw, () if str(draw.number) in self._late else inputs)
        return rows

    def _given_up(self, cell: Cell) -> bool:
        return _row_id(self._seed, cell) in self._failed


def _lost(draw: Draw, error: RowError) -> list[Row]:
    return [Row(cell, Failure(error.kind, str(error)), error.calls) for cell in draw.cells]


def _judged(row: Row, model: str, check: Check, seed: int) -> Example | Dropped:
    origin = Origin(
        method=METHOD,
        record=f"{row.cell.number}: {row.cell.described()}",
        calls=row.calls,
        model=model,
        cost_micro_usd=row.cost_micro,
        tokens=row.tokens,
    )
    name = _row_id(seed, row.cell)
    if isinstance(row.made, Failure):
        return Dropped(name, origin, METHOD, row.made.kind, row.made.reason)
    made = row.made
    example = Example(name, made.input, made.output, origin, made.rationale, made.choices)
    verdict = check(example)
    if verdict.keep:
        return example
    return Dropped(name, origin, "curation", verdict.kind, verdict.reason, input=made.input, output=made.output,
                   score=verdict.score, other=verdict.other)  # fmt: skip


def _row_id(seed: int, cell: Cell) -> str:
    return example_id(METHOD, "", str(seed), str(cell.number))
