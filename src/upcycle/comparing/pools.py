"""All pools of a comparison and the legs they allow, in the order of the table.

A pool that cannot be had is never silent: it is a `LeftOut` with the reason, and the table names it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from upcycle.budget import Budget
from upcycle.comparing.gold import ENOUGH, GOLD, GoldParts
from upcycle.comparing.legs import LeftOut, Leg, Pool
from upcycle.comparing.sets import (
    CURATED,
    EXISTING_LEG,
    NAMES,
    RANDOM,
    curated,
    existing,
    made,
    random_rows,
    without_gold,
)
from upcycle.comparing.students import TFIDF
from upcycle.config import BuildConfig
from upcycle.run import Listener
from upcycle.task import Task

MIXED = ("transformed", "generated")
"""What the mix of made rows is half of each of."""


class Tell(Protocol):
    """Is told what happens."""

    def __call__(self, kind: str, **data: Any) -> None: ...


def leg_names(config: BuildConfig) -> list[str]:
    """Every leg that draws rows and may be had, whatever the sources and the gold are like."""
    made_names = [NAMES.get(method, method) for method in _methods(config)]
    mixed = " + ".join(MIXED)
    return [EXISTING_LEG, *made_names, mixed, *(name + CURATED for name in (*made_names, mixed)), GOLD,
            *(f"{GOLD} + {name}" for name in made_names), RANDOM]  # fmt: skip


def legs_of(pools: Mapping[str, Pool], rows: int, student: str) -> list[Leg]:
    """The legs these pools allow."""
    made_names = [name for name in pools if name not in (EXISTING_LEG, RANDOM, GOLD) and not name.endswith(CURATED)]
    legs = [Leg(name, pools[name].about, [pools[name]]) for name in (EXISTING_LEG, *made_names) if name in pools]
    mixed = [pools[name] for name in MIXED if name in pools]
    if len(mixed) == len(MIXED):
        legs.append(Leg(" + ".join(MIXED), "half of each, in as many rows", mixed))
    for name in made_names:
        clean = pools.get(name + CURATED)
        if clean is not None and len(clean) < len(pools[name]):
            legs.append(Leg(clean.name, clean.about, [clean]))
    cleaned = [pools.get(pool.name + CURATED, pool) for pool in mixed]
    if len(mixed) == len(MIXED) and sum(map(len, cleaned)) < sum(map(len, mixed)):
        legs.append(Leg(" + ".join(MIXED) + CURATED, "half of each, without what checks drop", cleaned))
    if GOLD in pools:
        gold = pools[GOLD]
        legs.append(Leg(GOLD, gold.about, [gold], kind="gold"))
        if made_names:
            best = pools[made_names[0]]
            legs.append(Leg(f"{GOLD} + {best.name}", "half of each, in as many rows", [gold, best], kind="gold"))
    if RANDOM in pools:
        legs.append(Leg(RANDOM, pools[RANDOM].about, [pools[RANDOM]], kind="control"))
    if student != TFIDF:
        for leg in list(legs):
            if leg.kind != "control" and len(leg.pools) == 1 and not leg.name.endswith(CURATED):
                name = f"{leg.name}, TF-IDF"
                legs.append(
                    Leg(name, "the same rows, TF-IDF and logistic regression", leg.pools, "control", TFIDF, rows)
                )
    return legs


async def gather(
    task: Task,
    config: BuildConfig,
    parts: GoldParts,
    rows: int,
    folder: Path,
    *,
    listener: Listener | None = None,
    tell: Tell,
) -> tuple[dict[str, Pool], list[LeftOut]]:
    """Everything rows can be drawn from, cleaned of test items, and what could not be made.

    Args:
        rows: of a leg.
        folder: of the comparison; builds go into it.
        tell: hears of every leg that is left out.
    """
    pools: dict[str, Pool] = {}
    left_out: list[LeftOut] = []

    def take(found: Pool | LeftOut) -> None:
        if isinstance(found, LeftOut):
            left_out.append(found)
            tell("left out", leg=found.leg, why=found.why)
            return
        clean = without_gold(found, parts.test)
        if len(clean):
            pools[clean.name] = clean
        else:
            left_out.append(LeftOut(clean.name, "every row of it repeats a test item"))

    rest = config
    for method in _methods(config):
        if (why := _needs_model(method, config)) is not None:
            take(LeftOut(NAMES.get(method, method), why))
            continue
        pool = await made(method, task, rest, rows, folder, listener)
        take(pool)
        if isinstance(pool, Pool):
            rest = _with_less(rest, pool)
    for name in list(pools):
        take(await curated(pools[name], task))
    rows_of = (
        Counter(one.origin.source for one in pools["transformed"].examples) if "transformed" in pools else Counter()
    )
    used = [source for source, _ in rows_of.most_common() if source]
    take(existing(task, config, used, rows, parts.test, seed=config.seed))
    take(random_rows(config, rows, seed=config.seed))
    if parts.train:
        cost = config.compare.label_usd * len(parts.train)
        take(Pool("gold", "rows of the gold that are never scored", parts.train, cost))
    else:
        take(LeftOut("gold", _no_gold(task, config)))
    return pools, left_out


def _methods(config: BuildConfig) -> list[str]:
    """Transforming and generating, always; any other method where the task names it."""
    named = [name for name in config.methods.named() if name not in NAMES]
    return [*NAMES, *named]


def _needs_model(method: str, config: BuildConfig) -> str | None:
    if method == "datatune" or config.model.executor not in (None, "none"):
        return None
    return "it asks a model, and none is named (--model)"


def _with_less(config: BuildConfig, pool: Pool) -> BuildConfig:
    """What the next build may still spend of a budget in dollars."""
    if config.budget.usd is None:
        return config
    return config.model_copy(update={"budget": Budget(usd=max(0.0, config.budget.usd - pool.usd))})


def _no_gold(task: Task, config: BuildConfig) -> str:
    if not config.compare.gold_share:
        return "no share of the gold is to be trained on (gold_share)"
    return f"{len(task.gold)} gold items are fewer than {ENOUGH}, so all of them are scored and none is trained on"
