"""Imputation: a part of an example is blanked, written anew by the intermediate model, and merged again.

For multi-hop questions the part is Q1, rebuilt from Q, Q2, E and D1 (Source2Synth, arXiv 2409.08239, section 4.1). The
example stays, with the new question, only if its answer is unchanged: the intermediate model, asked the new question as
the filter asks, comes to the old answer at least once. The paper reports the perplexity of questions before and after;
here it is per word, by the intermediate model itself, where that can score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from upcycle.config import Source2Synth
from upcycle.errors import RowError, RowKind
from upcycle.methods.source2synth.application import Grounded, Unit
from upcycle.methods.source2synth.filter import dropped, filtered, with_cost
from upcycle.methods.source2synth.intermediate import Intermediate, Said
from upcycle.methods.source2synth.slices import Making
from upcycle.records import Dropped

STAGE = "imputation"


class Likelihood(NamedTuple):
    """Log-likelihood of a question in nats, and its words."""

    nats: float
    words: int


class Imputed(NamedTuple):
    """What became of one example.

    Attributes:
        result: the rewritten example; the example as it was where nothing can be blanked; or why it is dropped.
        asked: whether a part was blanked.
        before, after: of the question, where it was rewritten and the model can score.
        same: whether it was rewritten word for word.
    """

    result: Grounded | Dropped
    asked: bool = False
    before: Likelihood | None = None
    after: Likelihood | None = None
    same: bool = False


async def imputed(
    examples: Sequence[tuple[Unit, Grounded]], making: Making, intermediate: Intermediate, settings: Source2Synth
) -> list[Imputed]:
    """Rebuild what can be rebuilt; in order.

    Raises:
        ProviderError, BudgetExceededError: a model stopped the run.
    """
    if not intermediate.writes:
        return [Imputed(one) for _, one in examples]
    blanks = [making.application.blank(one) for _, one in examples]
    places = [place for place, blank in enumerate(blanks) if blank is not None]
    said = await intermediate.answer([blank.prompt for blank in blanks if blank is not None], samples=1)
    found: list[Imputed] = [Imputed(one) for _, one in examples]
    rebuilt: list[int] = []
    for place, part in zip(places, said, strict=True):
        unit, example = examples[place]
        made = await _rebuilt(unit, example, part, making)
        found[place] = Imputed(made, asked=True)
        if isinstance(made, Grounded):
            rebuilt.append(place)
    await _answered(examples, found, rebuilt, making, intermediate, settings)
    return found


async def _rebuilt(unit: Unit, example: Grounded, said: Said, making: Making) -> Grounded | Dropped:
    example = with_cost(example, said)
    if said.error is not None:
        return dropped(example, STAGE, said.error.kind, f"the blanked part was not rebuilt: {said.error}")
    try:
        made = await making.application.rebuild(example, said.texts[0].strip(), making.writer(unit))
    except RowError as error:
        return dropped(example, STAGE, error.kind, f"the rebuilt parts were not merged: {error}")
    cost = Said((), made.origin.calls, made.origin.cost_micro_usd, made.origin.tokens)
    if isinstance(made, Dropped):
        return dropped(with_cost(example, cost), STAGE, made.kind, made.reason)
    return replace(made, id=example.id, units=example.units, origin=with_cost(example, cost).origin)


async def _answered(
    examples: Sequence[tuple[Unit, Grounded]],
    found: list[Imputed],
    rebuilt: Sequence[int],
    making: Making,
    intermediate: Intermediate,
    settings: Source2Synth,
) -> None:
    """Keep of the rebuilt ones those whose answer is unchanged."""
    asked: list[tuple[Unit, Grounded]] = []
    for place in rebuilt:
        made = found[place].result
        assert isinstance(made, Grounded)
        # The old answer is what the new question must lead to, whatever the rebuilding made of it.
        asked.append((examples[place][0], replace(made, answer=examples[place][1].answer)))
    whole = settings.model_copy(update={"easy": 1.0})
    tried = await filtered(asked, making.application, intermediate, whole)
    for place, (_, made), one in zip(rebuilt, asked, tried, strict=True):
        result = one.result
        if isinstance(result, Dropped) and result.kind == RowKind.UNANSWERED:
            reason = "the question with the rebuilt part does not lead to the answer any more"
            result = replace(result, stage=STAGE, reason=reason)
        before = after = None
        if isinstance(result, Grounded):
            before = await _likelihood(intermediate, examples[place][1].question)
            after = await _likelihood(intermediate, made.question)
        same = made.question == examples[place][1].question
        found[place] = Imputed(result, asked=True, before=before, after=after, same=same)


async def _likelihood(intermediate: Intermediate, question: str) -> Likelihood | None:
    nats = await intermediate.likelihood(question)
    return None if nats is None else Likelihood(nats, len(question.split()))
