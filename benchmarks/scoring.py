"""How fast options are scored by likelihood, and that the numbers are those of scoring each one alone.

Two BIG-bench tasks as published, two demonstrations before each item, with the embedded language model on two threads:
`cause_and_effect` (its 51 items of two_sentences) and `code_line_description` (60). Scored through `upcycle.evaluate`'s
own path (`s_both`), then by the scorer alone, and by the plain way on a part of the items: every option with its whole
prompt, one after the other, the head at the option's places only.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from bench import Line, arguments, finish
from upcycle.evaluation.asked import asked_of
from upcycle.evaluation.evaluate import evaluate_asked
from upcycle.evaluation.gold import GoldSet
from upcycle.evaluation.gold_files import read_gold_set

TASKS = ("cause_and_effect:two_sentences", "code_line_description")
FASTER, NEAR, SECONDS = 3.0, 1e-4, 60.0


class Timed(NamedTuple):
    """One way of scoring: log-likelihoods and seconds."""

    values: list[list[float]]
    seconds: float


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--data", default=os.environ.get("UPCYCLE_DATA", "../shared/data"), help="the shared data")
    parser.add_argument("--model", default="smollm2", help="a causal language model's folder, or smollm2")
    parser.add_argument("--plain", type=int, default=20, metavar="N", help="items of each task scored the plain way")
    parser.add_argument("--items", type=int, default=0, metavar="N", help="items of each task, 0 for all (default)")
    parser.add_argument("--threads", type=int, default=2, metavar="N")
    args = parser.parse_args()
    predictor = opened(args.model, args.threads)
    golds = [read_gold_set(Path(args.data) / "bigbench" / name) for name in TASKS]
    lines, facts = [], {}
    total, fast, slow, gap = 0.0, 0.0, 0.0, 0.0
    for name, gold in zip(TASKS, golds, strict=True):
        asked = asked_of(gold.items[: args.items or None], gold.metric, shots=2)
        started = time.perf_counter()
        scores = evaluate_asked(predictor, asked, form=gold.prompt)
        seconds = time.perf_counter() - started
        total += seconds
        one, other = both_ways(predictor, gold, asked, args.plain)
        fast, slow = fast + one.seconds, slow + other.seconds
        gap = max(gap, largest_gap(one.values, other.values))
        short = name.split(":")[0]
        facts |= {f"{short}_s": round(seconds, 2), f"{short}_grade": scores.main.value}
        lines.append(Line(f"{short}, {len(asked.items)} items, two-shot", f"{seconds:.1f} s"))
    lines += [
        Line("both together", f"{total:.1f} s", f"under {SECONDS:.0f} s", total < SECONDS if not args.items else None),
        Line("speedup over each option alone", f"{slow / fast:.2f}x", f"at least {FASTER:.0f}x", slow / fast >= FASTER),
        Line("largest gap of two log-likelihoods", f"{gap:.1e}", f"at most {NEAR:.0e}", gap <= NEAR),
    ]
    facts |= {"s_both": round(total, 2), "speedup": round(slow / fast, 3), "max_abs_diff": gap, "threads": args.threads}
    return finish("Options scored by likelihood", lines, facts, as_json=args.json)


def opened(model: str, threads: int) -> Any:
    import torch

    from upcycle.training.bases import base_folder
    from upcycle.training.saved import load

    torch.set_num_threads(threads)
    return load(base_folder(model))


def both_ways(predictor: Any, gold: GoldSet, asked: Any, items: int) -> tuple[Timed, Timed]:
    """The same items by the shared-prefix scorer and the plain way, spread over the set."""
    from upcycle.training.causal.scoring import likelihoods

    some = asked.items[:: max(1, len(asked.items) // items)][:items]
    prompts = [gold.prompt.asked(item.input, asked.shown) for item in some]
    options = [item.choices for item in some]
    timed = []
    for shared in (True, False):
        started = time.perf_counter()
        found = likelihoods(predictor.model, predictor.tokenizer, prompts, options, shared=shared)
        if found.shared is not shared:
            sys.exit("this model's prompts cannot be shared; there is nothing to measure")
        timed.append(Timed(found.values, time.perf_counter() - started))
    return timed[0], timed[1]


def largest_gap(ones: list[list[float]], others: list[list[float]]) -> float:
    pairs = [zip(one, other, strict=True) for one, other in zip(ones, others, strict=True)]
    return max(abs(one - other) for both in pairs for one, other in both)


if __name__ == "__main__":
    sys.exit(main())
