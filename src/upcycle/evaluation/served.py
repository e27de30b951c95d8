"""Hold a model behind the gateway against gold: a server's, or the embedded one's.

In: an open `Model`, a `GoldSet`, what is to be asked of it. Out: `Scores`. Where the model can score text, options are
chosen by likelihood as with any other; where it only writes, its answer is matched with the options, and that is said.
The decision: an item that the server did not answer is left out and counted, neither right nor wrong; every answer is
in the run's journal, so that the same command asks for nothing twice and goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from upcycle.contract import listed_options, with_options
from upcycle.errors import ProviderError, RowError
from upcycle.evaluation.asked import Asked, counted, labels_of
from upcycle.evaluation.estimates import scores_of
from upcycle.evaluation.evaluate import chosen, matched, option_named, said_of
from upcycle.evaluation.gold import GoldItem, GoldSet
from upcycle.evaluation.scores import Prediction, Scores
from upcycle.llm.model import Message, Model, Request, Scoring
from upcycle.run import Run, run_rows

STAGE = "evaluate"
_CHARS_PER_TOKEN = 2  # cautious: the answer of a foreign script must not be cut
_LEAST_TOKENS = 48
_MOST_TOKENS = 1024


async def evaluate_served(
    model: Model, gold: GoldSet, asked: Asked, run: Run, *, at_once: int = 32, seed: int = 0
) -> Scores:
    """Ask a model every item and score what it says.

    Args:
        at_once: most calls under way.

    Raises:
        ProviderError: the server refused for good, or answered not one item.
        BudgetExceededError, DiskError: the run stops; what was answered is kept.
    """
    likely = asked.metric == "multiple_choice_grade" and isinstance(model, Scoring)
    labels = labels_of(asked)
    found: dict[str, Prediction] = {}
    why: RowError | None = None
    told = 0.0

    async def work(item: GoldItem) -> Prediction:
        if likely:
            assert isinstance(model, Scoring)
            prompt = gold.prompt.asked(item.input, asked.shown)
            return chosen(item, await model.score(prompt, list(item.choices or ())), None)
        completion = await model.complete(request_for(gold, asked, item))
        if asked.metric == "multiple_choice_grade":
            return matched(item, completion.text.strip())
        if labels:
            return _label(item, completion.text.strip(), labels)
        return said_of(item, completion.text.strip(), asked.metric)

    running = run_rows(_items(asked), work, at_once=at_once, needed=lambda: len(asked.items))
    async with aclosing(running) as results:
        async for item, result in results:
            if isinstance(result, RowError):
                why = result
            else:
                found[item.id] = result
            if time.monotonic() - told > 0.2 or len(found) == len(asked.items):
                told = time.monotonic()
                run.tell(STAGE, "progress", keep=False, kept=len(found), wanted=len(asked.items),
                         usd=run.ledger.spent_micro / 1e6, tokens=run.ledger.spent_tokens)  # fmt: skip
    if not found:
        raise ProviderError(f"{model.name} answered none of {counted(len(asked.items))} ({why})")
    warnings = list(asked.warnings)
    if missing := len(asked.items) - len(found):
        warnings.append(f"{counted(missing)} left out: the model did not answer ({why}); the same command asks again")
    answered = asked._replace(items=[item for item in asked.items if item.id in found])
    return scores_of(answered, [found[item.id] for item in answered.items], seed=seed, warnings=warnings)


def _label(item: GoldItem, said: str, labels: Sequence[str]) -> Prediction:
    """A written label: "Positive." is "positive", and what names none or two of them is none."""
    place = option_named(said, labels)
    found = said_of(item, said if place is None else labels[place], "accuracy")
    return replace(found, measures={"unmatched": float(place is None)})


def _items(asked: Asked) -> Iterator[GoldItem]:
    yield from asked.items


def request_for(gold: GoldSet, asked: Asked, item: GoldItem) -> Request:
    """One item as a conversation: what is to be done, the demonstrations as turns, the item."""
    told = "\n\n".join(part for part in (gold.instruction, _rule(asked)) if part)
    messages: list[Message] = [{"role": "system", "content": told}]
    for text, output in asked.shown:
        messages += [{"role": "user", "content": text}, {"role": "assistant", "content": output}]
    text = item.input.strip()
    if item.choices and not all(choice in text for choice in item.choices) and not listed_options(text):
        text = with_options(text, item.choices)
    messages.append({"role": "user", "content": text})
    longest = max(len(answer) for one in asked.items for answer in (*one.answers, *(one.choices or ())))
    tokens = min(_MOST_TOKENS, max(_LEAST_TOKENS, longest // _CHARS_PER_TOKEN))
    return Request(tuple(messages), STAGE, max_tokens=tokens)


def _rule(asked: Asked) -> str:
    if asked.metric == "multiple_choice_grade":
        return "Answer with one of the choices, word for word, and nothing else."
    if asked.metric == "squad":
        return "Answer with the shortest words of the context that answer the question, and nothing else."
    if labels := labels_of(asked):
        return f"Answer with one of these, and nothing else: {', '.join(labels)}."
    return "Answer with the answer alone, without any explanation."
