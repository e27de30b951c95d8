"""A paid model that was chosen only because its key lies in the environment is asked about before it spends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from upcycle.config import BuildConfig
from upcycle.errors import ConfigError

if TYPE_CHECKING:
    from upcycle.llm.connect import Choice

_TOKENS_A_ROW = (900, 150)
"""A guess, before any pilot: prompt and reply tokens of one row."""


async def agree(config: BuildConfig, *, yes: bool) -> None:
    """Ask, where a paid model that nobody named would be used.

    Raises:
        ConfigError: the user said no, or there is no terminal to ask on.
    """
    from upcycle.llm.connect import NoModelError, choose

    if yes or config.model.executor is not None:
        return
    try:
        choice = await choose(None, base_url=config.model.base_url)
    except NoModelError:
        return  # the build says so, and goes on with what needs none
    if choice is None or choice.asked_for or not choice.paid:
        return
    told = (
        f"{choice.name} would be used because {choice.why}; {config.rows:,} examples cost {_estimate(choice, config)};"
        f" budget: {config.budget.described()}"
    )
    if not sys.stdin.isatty():
        raise ConfigError(f"{told}. Give --yes to agree, --model to choose one, or --model none")
    # Nothing else runs yet, so blocking the loop is fine.
    if input(f"{told}. Go on? [y/N] ").strip().lower() not in ("y", "yes"):  # noqa: ASYNC250
        raise ConfigError("nothing was begun; choose a model with --model, or --model none")


def _estimate(choice: Choice, config: BuildConfig) -> str:
    from upcycle.llm.connect import price_of
    from upcycle.llm.model import Usage

    price = price_of(choice, prices=Path(config.prices) if config.prices else None)
    if price is None:
        return "an unknown price"
    usd = config.rows * price.cost(Usage(*_TOKENS_A_ROW)) / 1e6
    guess = "every row is written by it" if config.methods.generate else "most plans ask no model per row"
    return f"up to about ${max(usd, 0.01):.2f} (a guess before any pilot; {guess})"
