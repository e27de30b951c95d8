"""The sources of a run: those that can be read, each that cannot named with the reason, those of a Hub pinned.

In: a task and its settings. Out: open sources. The decision: which datasets of a Hub a run uses, and at which commits,
is written into its journal before a record is read, so that the run reproduces whatever the Hub becomes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import orjson

from upcycle.config import BuildConfig
from upcycle.errors import SourceError
from upcycle.llm.model import Model
from upcycle.run import Run
from upcycle.sources.source import Source, is_of_hub, open_sources
from upcycle.task import Task

if TYPE_CHECKING:
    from upcycle.sources.hub.pinning import FromHub, Sought

PINS = "hub"
"""Where a run's journal holds the names that open the same rows of a Hub again."""


async def readable(task: Task, config: BuildConfig, run: Run, model: Model | None = None) -> list[Source]:
    """The sources that can be read; each that cannot is named with the reason, and the others go on.

    Args:
        model: helps to find datasets of a Hub that this run has not pinned yet.

    Raises:
        SourceError: none can be read; or a Hub that this run is made from cannot be reached.
    """
    names = config.sources or ("stdlib",)
    others = [name for name in names if not is_of_hub(name)]
    sources: list[Source] = []
    left_out: list[tuple[str, str]] = []
    if len(others) < len(names):
        found = await _of_hub(task, config, [name for name in names if is_of_hub(name)], run, model)
        sources += found.sources
        left_out += found.left_out
    if others:
        opened, unreadable = open_sources(others)
        sources += opened
        left_out += unreadable
    for name, reason in left_out:
        run.tell("sources", "source skipped", source=name, reason=reason)
    if not sources:
        raise SourceError(f"no source can be read: {'; '.join(f'{name}: {why}' for name, why in left_out[:3])}")
    return sources


async def _of_hub(task: Task, config: BuildConfig, names: list[str], run: Run, model: Model | None) -> FromHub:
    from upcycle.sources.hub.pinning import open_from_hub

    pins = orjson.loads(run.journal.meta(PINS) or "{}")
    found = await open_from_hub(names, sought(task, config.licence, config.languages), pins, model)
    if lost := [name for name in names if name in pins and name not in found.pins]:
        why = next(reason for name, reason in found.left_out if name == lost[0] or name in pins[lost[0]])
        raise SourceError(
            f"{run.path} is made from {lost[0]}, which cannot be read now: {why}; run it again when it can"
        )
    run.journal.set_meta(PINS, orjson.dumps({**found.pins, **pins}).decode())
    for source in found.sources:
        run.tell("sources", "pinned", source=source.id, revision=source.card.revision, licence=source.card.licence)
    return found


async def opened_for(task: Task, names: Sequence[str], licence: str, languages: tuple[str, ...]) -> list[Source]:
    """The sources behind the names that can be read now, outside any run.

    Raises:
        SourceError: none can be read.
    """
    from upcycle.sources.hub.pinning import open_from_hub

    others = [name for name in names if not is_of_hub(name)]
    if len(others) == len(names):
        return open_sources(others)[0]
    found = await open_from_hub([name for name in names if is_of_hub(name)], sought(task, licence, languages), {})
    if not found.sources and not others:
        raise SourceError(f"no source can be read: {'; '.join(f'{name}: {why}' for name, why in found.left_out[:3])}")
    return [*found.sources, *(open_sources(others)[0] if others else [])]


def sought(task: Task, licence: str, languages: tuple[str, ...]) -> Sought:
    """What the index of a Hub is searched for."""
    from upcycle.sources.hub.pinning import Sought

    shown = [f"{one.input}\n{one.output}" for one in task.demonstrations]
    return Sought(task.instruction, shown, licence, languages)
