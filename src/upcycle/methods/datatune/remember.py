"""What a run remembers of its plans: `plans/<slug>.yaml`, what is generated from it, its pilot, and the choice itself.

The `.yaml` is the truth: edited by hand before rows are made with it, it is used as edited, and every example's origin
says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from upcycle.errors import ConfigError, StaleRunError
from upcycle.methods.datatune.pilot import Pilot
from upcycle.methods.datatune.plans.plan import Plan
from upcycle.methods.datatune.transform import PlanBy
from upcycle.records import Dropped, Example, Record
from upcycle.run import Run, write_text
from upcycle.sources.source import Source

STAGE = "plan"


class Chosen(NamedTuple):
    """A source that will be used, with its plan and what the pilot showed.

    Attributes:
        share: of the wanted rows, what it is to give while the others can give theirs; 0 for a reserve.
        rate: examples kept for each record. The `_per_row` are for each record tried.
        failing: share of the pilot's records that the program failed on; a model does them where there is one.
        piloted: whether the numbers are this plan's; not those of one that was given, or before it was edited.
    """

    source: Source
    plan: Plan
    plan_by: PlanBy
    score: float
    share: float = 1.0
    rate: float = 1.0
    tokens_per_row: float = 0.0
    micro_per_row: float = 0.0
    calls_per_row: float = 0.0
    seconds_per_row: float = 0.0
    failing: float = 0.0
    agreement: float = 1.0
    piloted: bool = True

    @property
    def slug(self) -> str:
        """File name of the plan, without its ending."""
        return slug(self.plan.source)


class Choice(NamedTuple):
    """What `choose` found out."""

    expanded: str
    chosen: list[Chosen]


_NUMBERS = Chosen._fields[3:]


def slug(source: str) -> str:
    """File name of a source's plan."""
    return re.sub(r"[^\w.-]+", "_", source).strip("_.") or "source"


def given(path: Path, sources: Sequence[Source], *, asks: bool) -> Choice:
    """The choice a plan file makes.

    Raises:
        ConfigError: no such file, no valid plan, a plan for no source that is there, or for a model that is not.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the plan {path} cannot be read ({error})") from None
    plan = Plan.from_yaml(text, where=str(path))
    named = [source for source in sources if source.card.id == plan.source]
    if not named:
        ids = ", ".join(source.card.id for source in sources[:8])
        raise ConfigError(f"{path} is a plan for {plan.source!r}, which is not among the sources ({ids})")
    plan.require([column.name for column in named[0].card.columns])
    if plan.needs_model and not asks:
        raise ConfigError(f"{path} asks a model for some fields; give --model, or take its llm steps out")
    return Choice("", [Chosen(named[0], plan, "hand", 1.0, piloted=False)])


def remember(choice: Choice, run: Run) -> None:
    """Write the plans into the run, and the choice into its journal."""
    entries = []
    for one in choice.chosen:
        write_text(run.path / "plans" / f"{one.slug}.yaml", one.plan.to_yaml())
        _write_readings(run, one.slug, one.plan)
        entry = {"source": one.plan.source, "revision": one.source.card.revision, "slug": one.slug,
                 "sha": one.plan.sha(), "plan_by": one.plan_by}  # fmt: skip
        entries.append({**entry, **{key: getattr(one, key) for key in _NUMBERS}})
    run.journal.set_meta("chosen", orjson.dumps({"expanded": choice.expanded, "chosen": entries}).decode())


def _write_readings(run: Run, name: str, plan: Plan) -> None:
    write_text(run.path / "plans" / f"{name}.md", plan.to_markdown())
    write_text(run.path / "plans" / f"{name}.py", plan.to_program())


def remembered(known: dict[str, Any], sources: Sequence[Source], run: Run) -> Choice:
    """The choice an earlier process made, with the plans as they are in the run now.

    Raises:
        StaleRunError: a source is gone or changed, or a plan was edited after rows were made with it.
    """
    by_id = {source.card.id: source for source in sources}
    begun = run.journal.meta("transforming") is not None
    chosen = []
    for entry in known["chosen"]:
        source = _same(entry, by_id, run)
        path = run.path / "plans" / f"{entry['slug']}.yaml"
        try:
            plan = Plan.from_yaml(path.read_text(encoding="utf-8"), where=str(path))
        except FileNotFoundError:
            raise StaleRunError(f"{path} is missing; put it back or use another folder") from None
        if plan.sha() != entry["sha"]:
            if begun:
                told = f"{path} was edited after rows were made with it; use another folder, or undo the edit"
                raise StaleRunError(told)
            plan.require([column.name for column in source.card.columns])
            entry["sha"], entry["plan_by"], entry["piloted"] = plan.sha(), "hand", False
            _write_readings(run, entry["slug"], plan)
            run.tell(STAGE, "plan edited", source=entry["source"])
        chosen.append(Chosen(source, plan, entry["plan_by"], *(entry[key] for key in _NUMBERS)))
    run.journal.set_meta("chosen", orjson.dumps(known).decode())
    return Choice(known["expanded"], chosen)


def _same(entry: dict[str, Any], by_id: dict[str, Source], run: Run) -> Source:
    source = by_id.get(entry["source"])
    if source is None:
        raise StaleRunError(f"{run.path} was made with the source {entry['source']!r}, which is not there any more")
    if source.card.revision != entry["revision"]:
        raise StaleRunError(
            f"the source {entry['source']!r} changed since {run.path} was begun"
            f" (revision {entry['revision'][:12]} -> {source.card.revision[:12]}); use another folder"
        )
    return source


def write_pilot(run: Run, name: str, tried: Pilot, records: Sequence[Record], limit: int = 20) -> None:
    """`plans/<slug>.pilot.jsonl`: what the plan made of the first records it was tried on, or why nothing."""
    found: dict[str, list[dict[str, Any]]] = {}
    for result in (*tried.examples, *tried.dropped):
        ref = f"{result.origin.config}/{result.origin.split}/{result.origin.record}"
        found.setdefault(ref, []).append(_shown(result))
    lines = [
        orjson.dumps({"record": dict(record.fields), "ref": record.ref, **one}, default=str).decode()
        for record in records
        for one in found.get(record.ref, [])
    ]
    write_text(run.path / "plans" / f"{name}.pilot.jsonl", "".join(f"{line}\n" for line in lines[:limit]))


def _shown(result: Example | Dropped) -> dict[str, Any]:
    if isinstance(result, Example):
        return {"input": result.input, "output": result.output}
    return {"input": result.input, "output": result.output, "kind": result.kind.value, "reason": result.reason}
