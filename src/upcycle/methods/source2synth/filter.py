"""The filter: an example of slice 1 stays only if the intermediate model comes to its answer in one of k tries.

It is Source2Synth's rejection sampling (arXiv 2409.08239, section 3.3; k = 3): it removes wrong and underdetermined
examples, and with them whatever is too hard for the model asked. So how many tries were right is kept beside each
example, and of those that every try got right a share can be left out (`easy`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from upcycle.config import Source2Synth
from upcycle.errors import RowKind
from upcycle.methods.source2synth.application import Application, Grounded, Unit
from upcycle.methods.source2synth.intermediate import Intermediate, Said
from upcycle.methods.source2synth.lessons import asked
from upcycle.records import Dropped

STAGE = "filter"


class Tried(NamedTuple):
    """How one example fared.

    Attributes:
        said: every try.
        right: tries that came to the answer.
        result: the example, with what asking cost; or why it is dropped.
    """

    said: tuple[str, ...]
    right: int
    result: Grounded | Dropped


async def filtered(
    examples: Sequence[tuple[Unit, Grounded]],
    application: Application,
    intermediate: Intermediate,
    settings: Source2Synth,
) -> list[Tried]:
    """Ask the intermediate model each example `settings.tries` times; kept is what it got right at least once.

    Raises:
        ProviderError, BudgetExceededError: a served model stopped the run.
    """
    prompts = [asked(one, settings) for _, one in examples]
    answers = await intermediate.answer(prompts, samples=settings.tries)
    return [
        await _judged(unit, one, said, application, intermediate.name, settings)
        for (unit, one), said in zip(examples, answers, strict=True)
    ]


async def _judged(
    unit: Unit, example: Grounded, said: Said, application: Application, name: str, settings: Source2Synth
) -> Tried:
    # What was said several times over is judged once: an execution match runs it.
    verdicts = {text: await application.right(example, text, unit) for text in dict.fromkeys(said.texts)}
    right = sum(verdicts[text] for text in said.texts)
    paid = with_cost(example, said)
    if said.error is not None and not right:
        reason = f"the intermediate model gave no answer: {said.error}"
        return Tried(said.texts, 0, dropped(paid, STAGE, said.error.kind, reason))
    if not right:
        last = said.texts[-1][-80:] if said.texts else ""
        reason = f"not answered in {len(said.texts)} tries by {name}; the last said {last!r}"
        return Tried(said.texts, 0, dropped(paid, STAGE, RowKind.UNANSWERED, reason))
    if right == settings.tries > 1 and not _stays(example.id, settings.easy):
        reason = f"easy: every try was right, and {settings.easy:.0%} of those are kept"
        return Tried(said.texts, right, dropped(paid, STAGE, RowKind.BALANCE, reason))
    return Tried(said.texts, right, paid)


def with_cost(example: Grounded, said: Said) -> Grounded:
    """The example with what asking about it cost; what was asked before, in the same words, was paid before."""
    origin = example.origin
    if said.calls and set(said.calls) <= set(origin.calls):
        return example
    return replace(
        example,
        origin=replace(
            origin,
            calls=tuple(dict.fromkeys((*origin.calls, *said.calls))),
            cost_micro_usd=origin.cost_micro_usd + said.cost_micro,
            tokens=origin.tokens + said.tokens,
        ),
    )


def dropped(example: Grounded, stage: str, kind: RowKind, reason: str) -> Dropped:
    """An example of slice 1 that is not in the dataset."""
    origin = replace(example.origin, split="slice 1")
    return Dropped(example.id, origin, stage, kind, reason, input=example.question, output=example.answer)


def _stays(name: str, share: float) -> bool:
    return share >= 1 or random.Random(name).random() < share
