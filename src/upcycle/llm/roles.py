"""The models of a run by role: opened once each, the same one shared where roles name the same.

The choice is written into the run: a run made with one model is not continued with another, even where the choice was
not named but found (a key, a local server).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from upcycle.config import BuildConfig
from upcycle.errors import StaleRunError
from upcycle.llm.connect import Choice, NoModelError, choose, open_model, price_of
from upcycle.llm.model import Model
from upcycle.run import Run


class Roles(NamedTuple):
    """Who plans, who writes fields of rows, who grades; None where no model is to be asked.

    Attributes:
        priced: whether every model's price is known (a free one's is 0).
    """

    planner: Model | None = None
    executor: Model | None = None
    judge: Model | None = None
    priced: bool = True


@asynccontextmanager
async def open_models(config: BuildConfig, run: Run) -> AsyncIterator[Roles]:
    """Open what the settings ask for, and close it again.

    Raises:
        ConfigError: an unknown model, or no price under a money budget.
        StaleRunError: the run was made with another model.
    """
    choices: dict[str, Choice | None] = {}
    why = "only what needs no model is done"
    for role in ("planner", "executor", "judge"):
        try:
            choices[role] = await choose(getattr(config.model, role), base_url=config.model.base_url)
        except NoModelError as error:
            choices[role], why = None, f"{error}; until then only what needs no model is done"
    _same_as_before(choices, run)
    prices = Path(config.prices) if config.prices else None
    opened: dict[Choice, Model] = {}
    for choice in dict.fromkeys(choices.values()):
        if choice is None:
            run.tell("model", "chosen", name="none", why=why)
            continue
        run.tell("model", "chosen", name=choice.name, why=choice.why, endpoint=choice.endpoint)
        opened[choice] = open_model(
            choice,
            journal=run.journal,
            ledger=run.ledger,
            concurrency=config.concurrency,
            rpm=config.rpm,
            tpm=config.tpm,
            prices=prices,
        )
    try:
        yield Roles(
            *(opened.get(choice) if choice else None for choice in choices.values()),
            priced=all(price_of(choice, prices=prices) is not None for choice in opened),
        )
    finally:
        for model in opened.values():
            await model.close()


def _same_as_before(choices: dict[str, Choice | None], run: Run) -> None:
    told = "; ".join(
        f"{role} {choice.name} at {choice.endpoint}" if choice else f"{role} none" for role, choice in choices.items()
    )
    before = run.journal.meta("models")
    if before is not None and before != told and run.journal.holds_work():
        raise StaleRunError(
            f"{run.path} was made with another model ({before} -> {told}); nothing was overwritten: name the earlier"
            " one with --model, or use another folder"
        )
    run.journal.set_meta("models", told)
