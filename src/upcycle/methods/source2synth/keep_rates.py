"""What curation kept, beside what the paper's kept: the numbers that say how good construction was, and how hard.

The paper removed 13 % of its multi-hop questions (7, 8 and 11 % at 500, 750 and 1,250) and kept 2,160 of 8,000 of its
table questions, 27 % (arXiv 2409.08239, sections 4.1 and 4.2). A share far from those says that the generator, the
intermediate model or the sources are others, not that anything is wrong.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from upcycle.evaluation.intervals import wilson
from upcycle.methods.source2synth.application import Grounded
from upcycle.methods.source2synth.filter import Tried
from upcycle.methods.source2synth.imputation import Imputed, Likelihood

PAPER = "the paper removed 13 % of its multi-hop questions and kept 27 % of its table questions"


@dataclass(slots=True)
class KeepRates:
    """Counts of one run, as they stand.

    Attributes:
        intermediate: what answered.
        slice_0: examples it learned from.
        constructed: examples of slice 1 that were asked about.
        right: how many tries were right, to how many examples.
        kinds: question type to (asked, kept by the filter).
        same: of the rewritten questions that are kept, how many came back word for word.
    """

    intermediate: str = "nobody"
    slice_0: int = 0
    constructed: int = 0
    right: Counter[int] = field(default_factory=Counter)
    kinds: dict[str, list[int]] = field(default_factory=dict)
    filtered_out: int = 0
    blanked: int = 0
    rewritten: int = 0
    same: int = 0
    _before: list[Likelihood] = field(default_factory=list)
    _after: list[Likelihood] = field(default_factory=list)

    def count_filtered(self, asked: Sequence[Grounded], tried: Sequence[Tried]) -> None:
        """Count what the filter did."""
        for example, one in zip(asked, tried, strict=True):
            kept = isinstance(one.result, Grounded)
            self.right[one.right] += 1
            self.filtered_out += not kept
            counts = self.kinds.setdefault(example.kind or "any", [0, 0])
            counts[0] += 1
            counts[1] += kept

    def count_imputed(self, imputed: Sequence[Imputed]) -> None:
        """Count what imputation did."""
        for one in imputed:
            self.blanked += one.asked
            kept = one.asked and isinstance(one.result, Grounded)
            self.rewritten += kept
            self.same += kept and one.same
            if one.before is not None and one.after is not None:
                self._before.append(one.before)
                self._after.append(one.after)

    @property
    def asked(self) -> int:
        return self.right.total()

    def facts(self) -> dict[str, Any]:
        """Everything as plain values."""
        kept = self.asked - self.filtered_out
        before, after = _perplexity(self._before), _perplexity(self._after)
        return {
            "intermediate": self.intermediate,
            "slice_0": self.slice_0,
            "slice_1": self.constructed,
            "filter": {
                "asked": self.asked,
                "kept": kept,
                "share": kept / self.asked if self.asked else None,
                "share_ci": list(wilson(kept, self.asked)),
                "tries_right": {str(number): self.right[number] for number in sorted(self.right)},
                "kinds": {kind: {"asked": asked, "kept": kept} for kind, (asked, kept) in sorted(self.kinds.items())},
            },
            "imputation": {
                "blanked": self.blanked,
                "kept": self.rewritten,
                "word_for_word": self.same,
                "perplexity_before": before,
                "perplexity_after": after,
            },
            "paper": {"multi_hop_removed": 0.13, "tables_kept": 0.27},
        }

    def lines(self) -> list[str]:
        """The same for people."""
        if not self.asked:
            return []
        kept = self.asked - self.filtered_out
        low, high = wilson(kept, self.asked)
        share = f"{kept / self.asked:.0%}, 95 % {low:.0%} to {high:.0%}"
        told = [f"filter kept {kept:,} of {self.asked:,} ({share}) by {self.intermediate}; {PAPER}"]
        if len(self.kinds) > 1:
            kinds = [f"{kind} {kept:,} of {asked:,}" for kind, (asked, kept) in sorted(self.kinds.items())]
            told.append(f"kept by type: {', '.join(kinds)}")
        if self.blanked:
            line = f"imputation kept {self.rewritten:,} of {self.blanked:,} rewritten questions"
            line += f", {self.same:,} word for word" if self.same else ""
            if (before := _perplexity(self._before)) and (after := _perplexity(self._after)):
                line += f"; perplexity a word {before:.1f} before, {after:.1f} after"
            told.append(line)
        return told


def _perplexity(found: Sequence[Likelihood]) -> float | None:
    words = sum(one.words for one in found)
    return math.exp(-sum(one.nats for one in found) / words) if words else None
