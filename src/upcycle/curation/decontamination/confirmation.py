"""Confirmation: a model reads the pairs of which an encoder is not sure, and says which are paraphrases.

In: examples and the index of the gold. Out: verdicts of those the model confirms, by id. Several pairs travel in one
call. The decision: the model is asked about every pair the encoder thinks possible, also those it would have dropped
by itself, because near misses (the same sentence with another number or name) lie as near as paraphrases do; where it
gives no usable answer, the encoder's own rule stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from upcycle.curation.asking import BATCH, asked_together, cut
from upcycle.curation.decontamination.paraphrase import Neighbour
from upcycle.curation.decontamination.tiers import GoldIndex
from upcycle.llm.model import Model, Request
from upcycle.records import Example, Verdict

_SCHEMA = {"type": "object", "properties": {"same": {"type": "boolean"}}, "required": ["same"],
           "additionalProperties": False}  # fmt: skip
_CHARS = 2_000


async def confirmed(
    examples: Sequence[Example], index: GoldIndex, model: Model, *, batch: int = BATCH, at_once: int = 16
) -> dict[str, Verdict]:
    """Examples that say in other words what a gold item says, according to the model: id to verdict.

    Only the third tier is looked through; the first two need no confirmation.

    Raises:
        ProviderError, BudgetExceededError: what is in flight then gets to finish first.
    """
    near = dict(zip((e.id for e in examples), index.neighbours(examples), strict=True))
    asked = [example for example in examples if (found := near[example.id]) is not None and found.judged]

    def request(group: Sequence[tuple[str, Example]]) -> Request:
        pairs = "\n".join(_pair(key, example, index, near[example.id]) for key, example in group)
        text = (Path(__file__).parents[1] / "prompts" / "same.md").read_text(encoding="utf-8").strip()
        messages = ({"role": "user", "content": text.replace("{{pairs}}", pairs)},)
        return Request(messages, stage="contamination", max_tokens=64 + 24 * len(group), schema=_SCHEMA)

    verdicts: dict[str, Verdict] = {}
    async for example, answer in asked_together(asked, model, request, batch=batch, at_once=at_once):
        found = near[example.id]
        assert found is not None
        same = found.same if answer.error is not None else answer.value["same"]
        if same:
            verdicts[example.id] = index.paraphrase_of(found).verdict()
    return verdicts


def _pair(key: str, example: Example, index: GoldIndex, found: Neighbour | None) -> str:
    assert found is not None
    item = cut(index.shown(found.item), _CHARS).replace("</pair", "< /pair")
    text = cut(example.input, _CHARS).replace("</pair", "< /pair")
    return f'<pair id="{key}">\nText:\n{text}\nItem:\n{item}\n</pair>'
