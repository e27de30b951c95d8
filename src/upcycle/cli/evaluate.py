"""Hold a model against gold: every number with its interval, every prediction kept.

MODEL is the folder of a trained model or of a Hugging Face language model, smollm2 (the embedded one), or a served
model as --model names it elsewhere. GOLD is a BIG-bench task.json, a task file, SQuAD, HotpotQA, questions over
tables, or any labelled dataset; PATH:SPLIT names one split or subtask.
"""

from __future__ import annotations

import argparse

from upcycle.cli.options import columns_argument, columns_of

HELP = "hold a model against gold"
_METRICS = ("accuracy", "exact_match", "soft_exact_match", "multiple_choice_grade", "squad")


def arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("which", metavar="MODEL", help="a model's folder, smollm2, openai/NAME, anthropic/NAME, a .gguf")
    verb.add_argument("gold", metavar="GOLD", help="labelled items; PATH:SPLIT names one split or subtask")
    verb.add_argument("--metric", choices=_METRICS, help="what items are scored by (default: what suits the gold)")
    verb.add_argument(
        "--shots", type=int, default=0, metavar="K", help="demonstrations before each item; never items that are scored"
    )
    verb.add_argument(
        "-e", "--examples", metavar="FILE", help="what is shown (default: the task file's, else drawn from the gold)"
    )
    verb.add_argument(
        "--against", metavar="OTHER", help="another model, or an evaluation's folder or predictions.jsonl"
    )
    columns_argument(verb)
    verb.add_argument("--limit", type=int, metavar="N", help="score only so many items, drawn with the seed")
    verb.add_argument("-o", "--out", metavar="DIR", help="folder of the result (default: runs/evaluate-GOLD-MODEL)")
    verb.add_argument("--base-url", metavar="URL", help="address of an OpenAI-compatible server")
    verb.add_argument("--budget", metavar="LIMIT", help="the most to spend: 5usd, 200ktok, 1000calls")
    verb.add_argument("--concurrency", type=int, metavar="N", help="most calls in flight (default: 32)")
    verb.add_argument("--seed", type=int, default=0, metavar="N", help="of what is drawn (default: 0)")


def run(args: argparse.Namespace) -> int:
    import asyncio

    from upcycle import api
    from upcycle.cli import console
    from upcycle.cli.working import at_once
    from upcycle.evaluating import runs_here

    here = runs_here(args.which)
    args.model = None if here else args.which  # what a server answered is kept, what is computed here is not
    names = ("base_url", "budget", "concurrency")
    settings = {name: value for name in names if (value := getattr(args, name)) is not None}
    with console.events(args) as listener:
        work = api.evaluate(
            args.which, args.gold, metric=args.metric, shots=args.shots, examples=args.examples, against=args.against,
            columns=columns_of(args.columns), limit=args.limit, out=args.out, seed=args.seed, listener=listener,
            **settings,
        )  # fmt: skip
        found = at_once(work) if here else asyncio.run(work)
    if args.json:
        console.print_object(found.facts())
    else:
        print(found)
        print(f"  saved in {found.path}: evaluation.json, predictions.jsonl")
    return 0
