"""Curate: all checks over a whole set that is there, made here or not.

In: examples, and what is known of their task. Out: what is kept and what is dropped, each drop with its check's reason,
score and what it repeats; and for each check how many it read and dropped. The decision: checks run one after the
other, each over what the earlier ones kept, the free ones first, so that no call is paid for a row that is out anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from upcycle.contract import Contract, Kind
from upcycle.curation.answerable import answerable
from upcycle.curation.artefacts import artefact_check, artefacts
from upcycle.curation.balance import balance, balance_check
from upcycle.curation.check import KEEP, Check
from upcycle.curation.contract import contract_check
from upcycle.curation.decontamination.confirmation import confirmed
from upcycle.curation.decontamination.demonstrations import demonstration_check
from upcycle.curation.decontamination.tiers import TIERS, GoldIndex, tiers_in_words
from upcycle.curation.duplicates.conflict import conflicts, one_is_right
from upcycle.curation.duplicates.exact import exact_check, options_of
from upcycle.curation.duplicates.near import checked_threshold, content_of
from upcycle.curation.duplicates.near_join import near_duplicates
from upcycle.curation.duplicates.semantic import semantic_check
from upcycle.curation.judge import judge, trust
from upcycle.curation.language import language_check, languages_in, languages_of
from upcycle.curation.licence import licence_check
from upcycle.errors import BudgetExceededError, ConfigError, ProviderError, RowKind
from upcycle.llm.model import Model
from upcycle.records import Curated, Dropped, Example, Origin, Verdict
from upcycle.sources.licences import Policy, permits
from upcycle.task import Task

STAGE = "curation"

CHECKS: Mapping[str, str] = {
    "contract": "outputs that break the task's contract; without a task, empty ones and answers that are no option",
    "language": "fields surely in another language than the task's, or than nearly all of the set",
    "licence": "examples whose source's licence does not allow what was asked for",
    "demonstrations": "copies and near-copies of the task's demonstrations",
    "contamination": "examples that repeat a gold item",
    "conflict": "examples whose input another one has with another label, option or number",
    "exact": "examples that repeat an earlier one, whatever case, spacing and order of options",
    "near": "examples that share most of their wording and the answer with an earlier one",
    "semantic": "examples that say in other words what an earlier one says, by an encoder",
    "answerable": "examples whose output a model does not come to in a few tries",
    "judge": "examples a model says are not right",
    "artefacts": "examples whose label can be guessed from one part of the input alone",
    "balance": "a draw of the examples whose label is more frequent than the rarest one",
}
"""What each check drops, in the order in which they run."""

USUAL = ("contract", "language", "licence", "demonstrations", "contamination", "conflict", "exact", "near")
"""Checks that run unless others are named: they ask no model and drop nothing that is right."""


KNOWN = 40
"""Gold examples by which a judge is measured, five calls' worth; half of them are shown with a wrong output."""


@dataclass(frozen=True, slots=True)
class Checks:
    """Which checks run, and how strictly.

    Attributes:
        names: of `CHECKS`; those that have nothing to go by (no gold, no demonstrations) do nothing.
        near: shared wording from which on two examples are near-duplicates, 0 to 1.
        semantic: cosine of vectors from which on two examples say the same, 0 to 1.
        tiers: how gold is looked for.
        licence: which licences examples may have.
        guess: how surely a part must give the label away, 0 to 1.
        even: how many times as frequent as the rarest label another may be, 1 or more.
        judge: share of the examples that is judged.
        tries: answers a model may give.
    """

    names: tuple[str, ...] = USUAL
    near: float = 0.8
    semantic: float = 0.95
    tiers: tuple[str, ...] = TIERS
    licence: Policy = "any"
    guess: float = 0.8
    even: float = 1.0
    judge: float = 1.0
    tries: int = 3

    def __post_init__(self) -> None:
        for name in self.names:
            if name not in CHECKS:
                raise ConfigError(f"check {name!r} is not there; known checks: {', '.join(CHECKS)}")
        checked_threshold(self.near)
        permits(None, self.licence)
        for name, low, high in (
            ("semantic", 0.0, 1.0),
            ("guess", 0.0, 1.0),
            ("judge", 0.0, 1.0),
            ("even", 1.0, None),
            ("tries", 1, 100),
        ):
            value = getattr(self, name)
            if value < low or (high is not None and value > high) or (name == "judge" and value == 0):
                ends = f"{low:g} or more" if high is None else f"from {low:g} to {high:g}"
                raise ConfigError(f"{name} is {value}; give {ends}")

    @property
    def asks(self) -> bool:
        """Whether a model is needed."""
        return bool({"judge", "answerable"} & set(self.names))


@dataclass(frozen=True, slots=True)
class Pass:
    """What one check did: how many examples it read and dropped, and a sentence where it has more to say."""

    check: str
    read: int
    dropped: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class CuratedSet(Curated):
    """Kept and dropped, with what each check did.

    Attributes:
        passes: one a check, in the order they ran.
        warnings: what a student could learn from the kept examples instead of the task.
        facts: measurements of checks that have some (judge, answerable, artefacts, balance), as plain values.
        stopped: why a check that asks a model stopped early; None where none did. What it had not read is kept.
    """

    passes: Sequence[Pass] = ()
    warnings: Sequence[str] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    stopped: str | None = None


async def curate(
    examples: Iterable[Example],
    *,
    checks: Checks | None = None,
    task: Task | None = None,
    gold: Sequence[tuple[str, Sequence[str] | None]] = (),
    known: Sequence[Example] = (),
    model: Model | None = None,
    seed: int = 0,
    tell: Callable[[Pass], None] | None = None,
) -> CuratedSet:
    """Run checks over a set.

    Args:
        checks: which, and how strictly; `Checks()` where not given.
        task: what the examples are for, where it is known: its contract, demonstrations and gold are used.
        gold: more inputs, with their options, that no example may repeat.
        known: examples whose outputs are right, by which the judge itself is measured; up to `KNOWN` are drawn. The
            task's gold where none are given.
        model: what judges, answers, and reads pairs that may say the same.
        tell: is told of each check as it ends.

    Raises:
        ConfigError: a check asks a model and there is none, or no task.
    """
    checks = checks or Checks()
    if checks.asks and (model is None or task is None):
        raise ConfigError("the checks judge and answerable ask a model about a task; give both a model and a task")
    kept = list(examples)
    dropped: list[Dropped] = []
    passes: list[Pass] = []
    facts: dict[str, object] = {}
    stopped: str | None = None
    work = _Work(checks, task, _items(task, gold), known or _known(task), model, seed, facts)
    for name in CHECKS:
        if name not in checks.names or (name == "licence" and checks.licence == "any"):
            continue
        try:
            check, note = await work.check(name, kept)
        except (BudgetExceededError, ProviderError) as error:
            stopped = f"{name}: {error}"
            break
        if check is None:
            continue
        read = len(kept)
        kept, out = _split(kept, check)
        dropped += out
        passes.append(Pass(name, read, len(out), note))
        if tell is not None:
            tell(passes[-1])
    audit = artefacts(kept, seed=seed)
    facts |= {"artefacts": audit.facts(), "balance": balance(kept).facts()}
    return CuratedSet(kept, dropped, passes, audit.warnings(), facts, stopped)


@dataclass(slots=True)
class _Work:
    """What checks are made of; each is made for what the earlier ones kept."""

    checks: Checks
    task: Task | None
    gold: Sequence[tuple[str, Sequence[str] | None]]
    known: Sequence[Example]
    model: Model | None
    seed: int
    facts: dict[str, object]

    async def check(self, name: str, kept: list[Example]) -> tuple[Check | None, str]:
        """The check for these examples, None where it has nothing to go by, and a sentence about it."""
        match name:
            case "contract":
                return contract_check(self.task.contract if self.task else _contract_of(kept)), ""
            case "language":
                return self._language(kept)
            case "licence":
                return licence_check(self.checks.licence), ""
            case "demonstrations":
                shown = self.task.demonstrations if self.task else ()
                return (demonstration_check([one.input for one in shown]) if shown else None), ""
            case "contamination":
                return await self._contamination(kept) if self.gold and self.checks.tiers else (None, "")
            case "conflict":
                one = one_is_right(self.task.contract if self.task else None, kept)
                return (_looked_up(conflicts(kept)) if one else None), ""
            case "exact":
                return exact_check(), ""
            case "near":
                return _near(kept, self.checks.near), ""
            case "semantic":
                return semantic_check(threshold=self.checks.semantic), ""
            case "artefacts":
                return artefact_check(kept, guess=self.checks.guess, seed=self.seed), ""
            case "balance":
                return balance_check(kept, most=self.checks.even, seed=self.seed), ""
        return await self._ask(name, kept)

    async def _contamination(self, kept: Sequence[Example]) -> tuple[Check, str]:
        """Gold is looked for in the set as a whole; a model, where there is one, has the word on paraphrases."""
        index = GoldIndex(self.gold, tiers=self.checks.tiers)
        note = f"{len(self.gold):,} gold; {tiers_in_words(self.checks.tiers)}"
        verdicts: dict[str, Verdict] | None = None
        if self.model is not None and "semantic" in index.tiers:
            words = {one.id: match.verdict() for one in kept if (match := index.match_words(one.input, one.choices))}
            try:
                rest = [one for one in kept if one.id not in words]
                verdicts = words | await confirmed(rest, index, self.model)
                note += f", possible pairs put to {self.model.name}"
            except (BudgetExceededError, ProviderError) as error:
                note += f"; the model confirmed none: {error}"  # the encoder's own word then stands for all
        if verdicts is None:
            found = zip(kept, index.matches(kept), strict=True)
            verdicts = {one.id: match.verdict() for one, match in found if match is not None}
        return _looked_up(verdicts), note

    def _language(self, kept: Sequence[Example]) -> tuple[Check | None, str]:
        if self.task is not None and self.task.contract.language:
            languages = languages_of(self.task.contract.language, self.task.demonstrations)
        else:
            languages = languages_in(kept)
        if languages.input is None and languages.output is None:
            return None, ""
        told = " and ".join(dict.fromkeys(filter(None, (languages.input, languages.output))))
        return language_check(languages), f"language {told}"

    async def _ask(self, name: str, kept: Sequence[Example]) -> tuple[Check, str]:
        assert self.task is not None, "checked at the start"
        assert self.model is not None, "checked at the start"
        if name == "judge":
            judged = await judge(kept, self.task, self.model, share=self.checks.judge, seed=self.seed)
            self.facts["judge"] = judged.facts()
            return judged.check(), str(judged) + await self._trust(self.task, self.model)
        answered = await answerable(kept, self.task, self.model, tries=self.checks.tries)
        self.facts["answerable"] = answered.facts()
        return answered.check(), f"asked {answered.model}"

    async def _trust(self, task: Task, model: Model) -> str:
        """How often the judge itself is right, in words; nothing where no outputs are known, or all are alike.

        What it cannot measure any more (no budget, no server) costs no verdict that was already given.
        """
        drawn = list(self.known)
        if len({one.output for one in drawn}) < 2 and not any(one.choices for one in drawn):
            return ""
        if len(drawn) > KNOWN:
            drawn = Random(self.seed).sample(drawn, KNOWN)
        try:
            measured = await trust(drawn, task, model, seed=self.seed)
        except (BudgetExceededError, ProviderError) as error:
            return f"; the judge itself was not measured: {error}"
        self.facts["trust"] = measured.facts()
        return f"; judge right on {measured.right} of {measured.read} known"


def _split(examples: Sequence[Example], check: Check) -> tuple[list[Example], list[Dropped]]:
    kept: list[Example] = []
    dropped: list[Dropped] = []
    for example in examples:
        verdict = check(example)
        if verdict.keep:
            kept.append(example)
        else:
            dropped.append(as_dropped(example, verdict))
    return kept, dropped


def as_dropped(example: Example, verdict: Verdict, stage: str = STAGE) -> Dropped:
    """An example that a check dropped, with the check's reasons."""
    return Dropped(
        example.id, example.origin, stage, verdict.kind, verdict.reason, example.input, example.output,
        verdict.score, verdict.other,
    )  # fmt: skip


def _near(examples: Sequence[Example], threshold: float) -> Check:
    """The whole-set form of `near_check`: the same drops, found many times faster."""
    verdicts: dict[str, Verdict] = {}
    for row, other, score in near_duplicates([content_of(example) for example in examples], threshold):
        verdicts[examples[row].id] = Verdict(
            keep=False,
            kind=RowKind.DUPLICATE,
            reason="shares most of its wording with an example already kept",
            score=round(score, 3),
            other=examples[other].id,
        )
    return _looked_up(verdicts)


def _looked_up(verdicts: Mapping[str, Verdict]) -> Check:
    return lambda example: verdicts.get(example.id, KEEP)


def _contract_of(examples: Sequence[Example]) -> Contract:
    """What can be asked of outputs where nobody said what they must be: an answer is one of its options."""
    choice = bool(examples) and all(options_of(example) for example in examples)
    return Contract(kind=Kind.CHOICE) if choice else Contract()


def _items(
    task: Task | None, gold: Sequence[tuple[str, Sequence[str] | None]]
) -> Sequence[tuple[str, Sequence[str] | None]]:
    return [*gold, *((item.input, item.choices) for item in (task.gold if task else ()))]


def _known(task: Task | None) -> list[Example]:
    items = task.gold if task else ()
    return [Example(f"gold {n}", item.input, item.output, Origin("gold"), choices=item.choices)
            for n, item in enumerate(items, 1)]  # fmt: skip


def unique_ids(examples: Iterable[Example]) -> list[Example]:
    """The same examples with ids that occur once each: drops and neighbours are named by them."""
    seen: dict[str, int] = {}
    found = []
    for example in examples:
        number = seen[example.id] = seen.get(example.id, 0) + 1
        found.append(example if number == 1 else replace(example, id=f"{example.id}-{number}"))
    return found
