"""The pools of a comparison: what each method made of the task, and data as they are.

Each made pool is a run of its own in the comparison's `builds` folder, so it is made once, resumes like any build, and
is there to be looked at. A build that cannot begin is a leg left out with the build's own sentence, never a stop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import orjson

from upcycle.budget import Budget
from upcycle.comparing.legs import LeftOut, Pool
from upcycle.config import BuildConfig, Compare, Methods
from upcycle.curation.curate import Checks, curate
from upcycle.curation.decontamination.tiers import GoldIndex
from upcycle.errors import ConfigError, SourceError
from upcycle.evaluation.gold import GoldItem
from upcycle.records import Example, Origin, example_id
from upcycle.report.summary import Report
from upcycle.run import Listener, write_text
from upcycle.sources.examples import EXISTING, read_examples
from upcycle.sources.reading import reading_of
from upcycle.sources.source import Source, open_sources
from upcycle.task import Task

NAMES = {"datatune": "transformed", "generate": "generated"}
"""What the rows of a method are called in the table; the others keep their method's name."""
BUILDS = "builds"
EXISTING_LEG, RANDOM, CURATED = "existing", "random rows", ", curated"
_SPARE = 1.25  # rows made for each one a leg takes, so that seeds draw different ones and checks may drop some
TIERS = ("exact", "overlap")
"""How rows that repeat test items are looked for; the encoder's tier would take longer than all students together."""
_SAMPLE = 64
_RANDOM_SOURCES = 12
_FOUND = 3


async def made(
    method: str, task: Task, config: BuildConfig, rows: int, folder: Path, listener: Listener | None
) -> Pool | LeftOut:
    """The rows one method makes of the task.

    Args:
        rows: a leg will take; some more are made.
        folder: of the comparison.
    """
    from upcycle.api import open_run
    from upcycle.build import build

    name = NAMES.get(method, method)
    wanted = math.ceil(rows * _SPARE)
    settings = getattr(config.methods, method) or type(Methods.model_validate({method: {}}).named()[method])()
    methods = Methods.model_validate({method: settings.model_dump(exclude_unset=True)})
    own = config.model_copy(
        update={"methods": methods, "rows": wanted, "compare": Compare(), "split": {"train": 1.0}}
    )  # fmt: skip
    path = folder / BUILDS / name
    done = folder / BUILDS / f"{name}.json"
    asked = orjson.dumps([wanted, own.identity(), _about(task)], option=orjson.OPT_SORT_KEYS).decode()
    facts: dict[str, Any] | None = _done(done, asked)
    if facts is None:
        try:
            with open_run(task, own, path, listener) as run:
                report: Report = await build(task, own, run)
        except (ConfigError, SourceError) as error:
            return LeftOut(name, str(error))
        facts = {"asked": asked, "usd": report.cost_usd, "tokens": report.tokens, "stopped": report.stopped,
                 "sources": [use.source for use in report.sources], "kept": report.kept}  # fmt: skip
        if report.kept and not (report.stopped and config.budget != Budget()):
            write_text(done, orjson.dumps(facts).decode())
    if not facts["kept"]:
        return LeftOut(name, facts["stopped"] or "the build kept nothing")
    examples = read_examples(path, split="train").examples
    about = ", ".join(facts["sources"][:4]) or f"written by {config.model.executor}"
    notes = (f"{name}: {facts['stopped']}",) if facts["stopped"] else ()
    return Pool(name, about, examples, float(facts["usd"]), int(facts["tokens"]), notes=notes, path=path)


def _about(task: Task) -> dict[str, Any]:
    return task.model_dump(mode="json")


def _done(file: Path, asked: str) -> dict[str, Any] | None:
    """What a finished build came to; None where it is not finished, or was another."""
    try:
        facts: Any = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    return facts if isinstance(facts, dict) and facts.get("asked") == asked else None


async def curated(pool: Pool, task: Task) -> Pool:
    """The pool as `upcycle curate` leaves it by its usual checks."""
    gold = [(item.input, item.choices) for item in task.gold]
    checks = Checks(tiers=TIERS)
    found = await curate(pool.examples, checks=checks, task=task, gold=gold)
    name = pool.name + CURATED
    told = ", ".join(f"{one.check} {one.dropped}" for one in found.passes if one.dropped)
    notes = () if told else (f"{name}: the checks dropped nothing, so it would be the same rows",)
    return replace(pool, name=name, about=f"without what checks drop: {told}", examples=found.kept, notes=notes)


def existing(
    task: Task, config: BuildConfig, used: Sequence[str], rows: int, test: Sequence[GoldItem], *, seed: int
) -> Pool | LeftOut:
    """Labelled data as they are: the named datasets, else the transformed rows' sources, else what a search finds.

    Args:
        used: sources of the transformed rows, in the order in which they are taken until there are enough rows.
        test: tells how many of the outputs are ones the task knows.
    """
    name, notes = EXISTING_LEG, []
    if config.compare.existing:
        examples = [one for path in config.compare.existing for one in read_examples(path).examples]
        about = ", ".join(Path(one).name for one in config.compare.existing)
    else:
        try:
            sources, _ = open_sources(config.sources or ("stdlib",))
        except SourceError as error:
            return LeftOut(name, str(error))
        known = {source.card.id: source for source in sources}
        chosen = [one for one in used if one in known] or _found(task, sources)
        examples, unread = _as_they_are([known[one] for one in chosen], rows, seed, evenly=False)
        if not examples:
            return LeftOut(
                name, "; ".join(unread)[:200] or "no source was found for the task; name one with --existing"
            )
        about = ", ".join(dict.fromkeys(str(one.origin.source) for one in examples)) + ", as they are"
        notes = [f"{name}: {'; '.join(unread)}"] if unread else []
    answers = {answer for item in test for answer in item.answers}
    strange = sum(one.output not in answers for one in examples)
    if strange and not any(item.choices for item in test):
        notes.append(f"{name}: {strange / len(examples):.0%} of its outputs are none that the test items have")
    return Pool(name, about, examples, notes=tuple(notes))


def _found(task: Task, sources: Sequence[Source]) -> list[str]:
    """Sources that a search for the task finds, best first."""
    from upcycle.sources.catalog import Catalog

    shown = [f"{one.input}\n{one.output}" for one in task.demonstrations]
    hits = Catalog.build(sources).search(task.instruction, demonstrations=shown, limit=_FOUND)
    return [hit.card.id for hit in hits]


def random_rows(config: BuildConfig, rows: int, *, seed: int) -> Pool | LeftOut:
    """Rows of sources drawn blindly, as they are: what choosing sources for the task is worth."""
    name = RANDOM
    try:
        sources, _ = open_sources(config.sources or ("stdlib",))
    except SourceError as error:
        return LeftOut(name, str(error))
    drawn = Random(f"{seed} sources").sample(sources, min(len(sources), _RANDOM_SOURCES))
    found, _ = _as_they_are(drawn, rows, seed, evenly=True)
    if not found:
        return LeftOut(name, "no source has columns of input and output")
    read = list(dict.fromkeys(str(one.origin.source) for one in found))
    told = f"{len(read)} source{'s' if len(read) > 1 else ''}"
    return Pool(name, f"of {told} drawn blindly, as they are", found)


def without_gold(pool: Pool, test: Sequence[GoldItem]) -> Pool:
    """The pool without rows that repeat a test item, exactly or in most of their wording; how many is counted."""
    index = GoldIndex([(item.input, item.choices) for item in test], tiers=TIERS)
    kept = [one for one in pool.examples if index.contaminated_example(one).keep]
    gone = len(pool) - len(kept)
    if not gone:
        return pool
    notes = (*pool.notes, f"{pool.name}: {gone:,} rows that repeat test items were removed")
    return replace(pool, examples=kept, removed=gone, notes=notes)


def _as_they_are(sources: Sequence[Source], rows: int, seed: int, *, evenly: bool) -> tuple[list[Example], list[str]]:
    """Rows of the sources, evenly many of each or one source after the other, and those that cannot be read so."""
    wanted = math.ceil(rows * _SPARE)
    parts: list[list[Example]] = []
    unread: list[str] = []
    for source in sources:
        part = _read(source, wanted, seed)
        if isinstance(part, str):
            unread.append(part)
        else:
            parts.append(part)
        if not evenly and sum(map(len, parts)) >= wanted:
            break
    if not evenly:
        return [example for part in parts for example in part][:wanted], unread
    longest = max(map(len, parts), default=0)
    mixed = [part[place] for place in range(longest) for part in parts if place < len(part)]
    return mixed[:wanted], unread


def _read(source: Source, wanted: int, seed: int) -> list[Example] | str:
    """A draw of a source's records read by their columns' names; in words why they cannot be."""
    sample = [dict(record.fields) for record in islice(source.records(), _SAMPLE)]
    try:
        reading = reading_of(list(dict.fromkeys(name for row in sample for name in row)), sample)
    except SourceError:
        return f"{source.card.id} has no columns of input and output"
    found: list[Example] = []
    for record in islice(source.records(), 4 * wanted):
        read = reading.read(record.fields)
        if not isinstance(read, str):
            origin = Origin(EXISTING, record.source, record.revision, record.config, record.split, record.id)
            identifier = example_id(EXISTING, record.source, record.revision, record.ref)
            found.append(Example(identifier, read.input, read.output, origin, choices=read.choices))
    Random(f"{seed} {source.card.id}").shuffle(found)
    return found[:wanted]
