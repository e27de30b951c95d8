"""All checks of a task as one function, asked in the order of their cost; the first that drops decides.

Each check has a file of its own beside this one. What remembers (duplicates, label shares) remembers only what passed
everything before it, and one instance serves a whole run, whatever methods feed it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from upcycle.config import Curation
from upcycle.curation.balance import quota_check
from upcycle.curation.check import KEEP, Check
from upcycle.curation.contract import contract_check
from upcycle.curation.decontamination.demonstrations import demonstration_check
from upcycle.curation.decontamination.tiers import TIERS, GoldIndex, contamination_check
from upcycle.curation.duplicates.conflict import conflict_check, one_is_right
from upcycle.curation.duplicates.exact import exact_check
from upcycle.curation.duplicates.near import near_check
from upcycle.curation.duplicates.semantic import semantic_check
from upcycle.curation.language import language_check, languages_of
from upcycle.records import Example, Record, Verdict
from upcycle.sources.encoder import sentence_encoder
from upcycle.task import Task

__all__ = ["KEEP", "Check", "RecordCheck", "checks_for", "first_drop", "record_check_for", "tiers_of"]

RecordCheck = Callable[[Record], Verdict]
"""What judges a source's record."""


def checks_for(
    task: Task, settings: Curation | None = None, *, rows: int | None = None, written: bool = False
) -> Check:
    """The checks that judge one example at a time, while it is made.

    Args:
        settings: which checks, and how strictly.
        rows: examples the set will have; label shares are only kept where it is known.
        written: whether a model writes rows, which then may be near-copies of each other.

    Raises:
        ConfigError: the settings ask for what cannot be done here.
    """
    settings = settings or Curation()
    checks = [contract_check(task.contract)]
    if settings.demonstrations and task.demonstrations:
        checks.append(demonstration_check([shown.input for shown in task.demonstrations]))
    if settings.language and task.contract.language:
        checks.append(language_check(languages_of(task.contract.language, task.demonstrations)))
    if task.gold and (tiers := tiers_of(settings, written=written)):
        checks.append(contamination_check([(g.input, g.choices) for g in task.gold], tiers=tiers))
    # What remembers comes last, so that it remembers only what is kept.
    duplicates = settings.duplicates or ("near" if written else "exact")
    if duplicates != "off":
        if one_is_right(task.contract):
            checks.append(conflict_check())
        checks.append(exact_check())
    if duplicates in ("near", "semantic"):
        checks.append(near_check(settings.near))
    if duplicates == "semantic":
        checks.append(semantic_check(threshold=settings.semantic))
    if settings.label_share is not None and rows is not None:
        checks.append(quota_check(settings.label_share, rows))
    return first_drop(checks)


def tiers_of(settings: Curation, *, written: bool) -> tuple[str, ...]:
    """How gold is looked for while rows are made: as the settings say, else by words, and where a model writes rows and
    MiniLM is there to read them, by meaning too; what a call costs makes its 15 ms a row small.
    """
    if settings.contamination is not None:
        return settings.contamination
    encoder = sentence_encoder() if written else None
    return TIERS if encoder is not None and encoder.name == "minilm" else TIERS[:2]


def record_check_for(task: Task, settings: Curation | None = None) -> RecordCheck | None:
    """What refuses a source's record before anything is made of it: one that holds a gold item, by words or by spans.

    Paraphrases are looked for in what was made only: a record has many fields, and most of them never get there.
    """
    tiers = [tier for tier in tiers_of(settings or Curation(), written=False) if tier != "semantic"]
    if not task.gold or not tiers:
        return None
    return GoldIndex([(item.input, item.choices) for item in task.gold], tiers=tiers).contaminated_record


def first_drop(checks: Sequence[Check]) -> Check:
    """Checks as one; the first that drops decides."""

    def check(example: Example) -> Verdict:
        for one in checks:
            verdict = one(example)
            if not verdict.keep:
                return verdict
        return KEEP

    return check
