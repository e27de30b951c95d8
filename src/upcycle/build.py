"""Start here: the product is one readable function.

`build` makes a task's dataset: open the model, produce examples from existing data, write them down, report. Every
stage is a function of its own with its own tests; the run directory shows the same order.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from upcycle.config import BuildConfig
from upcycle.errors import BudgetExceededError, ConfigError, ProviderError, RowKind, UpcycleError
from upcycle.llm.roles import open_models
from upcycle.producing import beside_random, produce
from upcycle.records import Dropped, Example
from upcycle.report.card import write_card
from upcycle.report.croissant import write_croissant
from upcycle.report.dataset import STAGE, write
from upcycle.report.page import write_page
from upcycle.report.summary import Report, summarise
from upcycle.run import Run
from upcycle.sources.opening import readable
from upcycle.sources.source import Source
from upcycle.task import Task


async def build(task: Task, config: BuildConfig, run: Run) -> Report:
    """Make the dataset of `task` in the run's directory.

    Work that stops short (budget, provider, sources exhausted) still writes what was kept, and the report says why.

    Raises:
        ConfigError, SourceError, StaleRunError: nothing began; a server that refuses from the first call on is one.
        DiskError: no room; everything committed is saved, and the same call goes on when there is room.
    """
    sources: list[Source] = []
    stopped: UpcycleError | None = None
    async with open_models(config, run) as models:
        try:
            if config.methods.datatune:
                sources = await readable(task, config, run, models.planner)
            await keep(produce(task, config, sources, models, run), config.rows, run)
        except (BudgetExceededError, ProviderError) as error:
            stopped = error
    if isinstance(stopped, ProviderError) and not run.journal.counts(STAGE) and not run.journal.answered():
        # A wrong key, an unknown model or an address where nobody answers: nothing began, so nothing is to be written.
        raise ConfigError(str(stopped)) from stopped
    if config.methods.source2synth is not None and config.methods.source2synth.compare and stopped is None:
        run.notes.append(await beside_random(task, config, config.methods.source2synth, run))
    run.tell("write", "writing")
    written = write(run, split=config.split, seed=config.seed)
    report = summarise(task, config, run, written, stopped)
    write_croissant(task, run, report)
    write_card(task, config, run, report)
    write_page(run.path, sources=sources, outcome=report.facts())
    run.tell("build", "done" if report.reached else "stopped short", **report.facts())
    return report


async def keep(produced: AsyncGenerator[Example | Dropped, None], wanted: int, run: Run) -> None:
    """Write every row's fate into the journal as it is known, and say how it goes about five times a second.

    What an earlier process kept is made again from the journal, for free, so that one order decides what is kept;
    failed rows stay as they are until `upcycle retry`.
    """
    run.journal.forget_rows(STAGE, state="kept")
    run.journal.forget_rows(STAGE, state="dropped")
    run.kept, told = 0, 0.0
    async with aclosing(produced):
        async for result in produced:
            if isinstance(result, Example):
                run.journal.row(STAGE, result.id, state="kept", kind=RowKind.OK, value=result)
                run.kept += 1
            else:
                failed = result.kind in (RowKind.UNPARSEABLE, RowKind.API_TRANSIENT, RowKind.API_FATAL)
                state = "failed" if failed else "dropped"
                run.journal.row(STAGE, result.id, state=state, kind=result.kind, value=result)
            if time.monotonic() - told > 0.2 or run.kept == wanted:
                told = time.monotonic()
                spent = run.ledger
                run.tell(STAGE, "progress", keep=False, kept=run.kept, wanted=wanted,
                         usd=spent.spent_micro / 1e6, tokens=spent.spent_tokens)  # fmt: skip
    run.journal.commit()
