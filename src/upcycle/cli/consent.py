"""A paid model that was chosen only because its key lies in the environment is asked about before it spends."""

from __future__ import annotations

import sys

from upcycle.config import BuildConfig
from upcycle.errors import ConfigError

_TOKENS_A_ROW = (900, 150)
"""A guess, before any pilot: prompt and reply tokens of one row."""


async def agreed(config: BuildConfig, *, yes: bool) -> BuildConfig:
    """`config` with its model settled, after the user agreed where that is needed.

    Raises:
        ConfigError: the user said no, or there is no terminal to ask on.
    """
    from upcycle.llm.connect import choose

    if config.model.executor is not None:
        return config
    choice = await choose(None, base_url=config.model.base_url)
    if choice.paid and not yes:
        _ask(choice.name, choice.why, config)
    return config


def _ask(name: str, why: str, config: BuildConfig) -> None:
    from upcycle.llm.prices import Prices

    price = Prices(config.prices).of(name)
    cost = "its price is not known"
    if price is not None:
        usd = config.rows * (_TOKENS_A_ROW[0] * price.prompt + _TOKENS_A_ROW[1] * price.completion) / 1e12
        cost = f"about ${usd:.2f} if every row asks it (most plans need no call per row)"
    told = f"{name} would be used because {why}; {config.rows:,} examples: {cost}; budget: {config.budget.described()}"
    if not sys.stdin.isatty():
        raise ConfigError(f"{told}. Give --yes to agree, --model to choose, or --model none to use none")
    if input(f"{told}. Go on? [y/N] ").strip().lower() not in ("y", "yes"):
        raise ConfigError("nothing was begun; choose a model with --model, or --model none")
